"""Callbacks as rows, and the queue of what is still to be delivered to them.

Values only; what they mean is the business of `ntvmedia.callbacks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import (
    JSON,
    BigInteger,
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
    select,
    update,
)

from ntvmedia.store.rows import all_rows, unless_taken, with_lists, with_tuples
from ntvmedia.store.schema import METADATA

# JSON in the table.
_LISTS: Final = ("events",)

CALLBACKS: Final = Table(
    "callbacks",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("url", Text, nullable=False),
    Column("events", JSON, nullable=False),
    Column("method", String(8), nullable=False),
    Column("dialect", String(16), nullable=False),
    Column("secret", Text, nullable=False),
    Column("decides", Boolean, nullable=False),
    Column("on_failure", String(8), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    CheckConstraint("id <> ''", name="id"),
)

# The program gives the numbers: they say the order, and a batch is written without being read back.
NOTIFICATIONS: Final = Table(
    "notifications",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("callback", String(32), nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("event", String(32), nullable=False),
    Column("lane", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)

# SQLite takes 32,766 values in a statement; a list of this length is one statement on both.
_AT_A_TIME: Final = 500


@dataclass(frozen=True)
class CallbackRow:
    """One callback.

    No text may have a NUL character, which PostgreSQL does not keep, or half of a surrogate pair.

    Attributes:
        id: The key; 1 to 32 characters.
        name: At most 128 characters.
        method: A word of at most 8 characters, as is `on_failure`.
        dialect: A word of at most 16 characters.
        created_at: Seconds since 1970, as is `updated_at`.
    """

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    method: str
    dialect: str
    secret: str
    decides: bool
    on_failure: str
    enabled: bool
    created_at: float
    updated_at: float


class NotificationRow(NamedTuple):
    """Something that a callback is still to be told.

    Attributes:
        id: The key: what is told later has a higher one.
        callback: The callback's id.
        event_id: The event's, at most 64 characters.
        event: A word of at most 32 characters.
        lane: What is told in order has the same; such as the name of a stream.
        facts: A JSON object.
        created_at: Seconds since 1970.
    """

    id: int
    callback: str
    event_id: str
    event: str
    lane: str
    facts: str
    created_at: float


class WaitingRow(NamedTuple):
    """A `NotificationRow` without what it tells."""

    id: int
    callback: str
    event_id: str
    event: str
    lane: str
    created_at: float


def list_callbacks(connection: Connection) -> list[CallbackRow]:
    """Return all callbacks, the oldest first.

    Raises:
        StoreError: Somebody else wrote into the table what this program never does.
    """
    rows = [
        CallbackRow(**with_tuples(row, _LISTS, f'of callback "{row["id"]}"'))
        for row in all_rows(connection, CALLBACKS, "the table of callbacks")
    ]
    return sorted(rows, key=lambda row: (row.created_at, row.id))


def insert_callback(connection: Connection, row: CallbackRow) -> None:
    """Add a callback.

    Raises:
        Duplicate: There is one with this id. The transaction may go on without it.
    """
    with unless_taken(connection, f'there is a callback "{row.id}" already'):
        connection.execute(insert(CALLBACKS).values(with_lists(row, _LISTS)))


def update_callback(connection: Connection, row: CallbackRow) -> bool:
    """Give a callback other values.

    Returns:
        Whether there is one with this id.
    """
    values = with_lists(row, _LISTS)
    change = update(CALLBACKS).where(CALLBACKS.c.id == row.id).values(values)
    return connection.execute(change).rowcount == 1


def delete_callback(connection: Connection, id_: str) -> bool:
    """Remove a callback, and what it was still to be told.

    Returns:
        Whether there was one with this id.
    """
    connection.execute(delete(NOTIFICATIONS).where(NOTIFICATIONS.c.callback == id_))
    return connection.execute(delete(CALLBACKS).where(CALLBACKS.c.id == id_)).rowcount == 1


def list_notifications(connection: Connection) -> list[WaitingRow]:
    """Return what waits, the oldest first, without what it tells."""
    columns = [NOTIFICATIONS.c[name] for name in WaitingRow._fields]
    rows = connection.execute(select(*columns).order_by(NOTIFICATIONS.c.id))
    return [WaitingRow(*row) for row in rows]


def read_notifications(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Return what some of those that wait tell, by id; those that are gone are left out."""
    found: dict[int, str] = {}
    for some in _cut(ids):
        columns = select(NOTIFICATIONS.c.id, NOTIFICATIONS.c.facts)
        rows = connection.execute(columns.where(NOTIFICATIONS.c.id.in_(some)))
        found.update((int(row[0]), str(row[1])) for row in rows)
    return found


def change_notifications(
    connection: Connection, added: Sequence[NotificationRow], done: Sequence[int]
) -> None:
    """Write down what is to be told, and cross out what was told."""
    if added:
        connection.execute(insert(NOTIFICATIONS), [row._asdict() for row in added])
    for some in _cut(done):
        connection.execute(delete(NOTIFICATIONS).where(NOTIFICATIONS.c.id.in_(some)))


def _cut(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), _AT_A_TIME):
        yield ids[start : start + _AT_A_TIME]
