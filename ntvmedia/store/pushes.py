"""Pushes as rows: where live streams are sent to. Values only; see `ntvmedia.relay.pushes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Double,
    String,
    Table,
    Text,
    delete,
    insert,
    update,
)

from ntvmedia.store.rows import all_rows, unless_taken, with_lists, with_tuples
from ntvmedia.store.schema import METADATA

_LISTS: Final = ("streams",)

PUSHES: Final = Table(
    "pushes",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("description", String(200), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("application", String(128), nullable=False),
    Column("streams", JSON, nullable=False),
    Column("server", Text, nullable=False),
    Column("target_application", Text, nullable=False),
    Column("target_stream", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("transport", String(8), nullable=False),
    Column("stall_seconds", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    CheckConstraint("id <> ''", name="id"),
    CheckConstraint("stall_seconds > 0", name="stall_seconds"),
)


@dataclass(frozen=True)
class PushRow:
    """One push.

    No text may have a NUL character, which PostgreSQL does not keep, or half of a surrogate pair.

    Attributes:
        id: The key; 1 to 32 characters.
        description: At most 200 characters.
        application: At most 128 characters.
        streams: Names or patterns.
        transport: A word of at most 8 characters.
        stall_seconds: Above 0.
        created_at: Seconds since 1970, as is `updated_at`.
    """

    id: str
    description: str
    enabled: bool
    application: str
    streams: tuple[str, ...]
    server: str
    target_application: str
    target_stream: str
    query: str
    transport: str
    stall_seconds: float
    created_at: float
    updated_at: float


def list_pushes(connection: Connection) -> list[PushRow]:
    """Return all pushes, the oldest first.

    Raises:
        StoreError: Somebody else wrote into the table what this program never does.
    """
    rows = [
        PushRow(**with_tuples(row, _LISTS, f'of push "{row["id"]}"'))
        for row in all_rows(connection, PUSHES, "the table of pushes")
    ]
    return sorted(rows, key=lambda row: (row.created_at, row.id))


def insert_push(connection: Connection, row: PushRow) -> None:
    """Add a push.

    Raises:
        Duplicate: There is one with this id. The transaction may go on without it.
    """
    with unless_taken(connection, f'there is a push "{row.id}" already'):
        connection.execute(insert(PUSHES).values(with_lists(row, _LISTS)))


def update_push(connection: Connection, row: PushRow) -> bool:
    """Give a push other values.

    Returns:
        Whether there is one with this id.
    """
    change = update(PUSHES).where(PUSHES.c.id == row.id).values(with_lists(row, _LISTS))
    return connection.execute(change).rowcount == 1


def delete_push(connection: Connection, id_: str) -> bool:
    """Remove a push.

    Returns:
        Whether there was one with this id.
    """
    return connection.execute(delete(PUSHES).where(PUSHES.c.id == id_)).rowcount == 1
