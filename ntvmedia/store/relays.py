"""Relay tasks as rows. Values only; see `ntvmedia.relay`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

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
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from ntvmedia.store.problems import Duplicate, StoreError, is_duplicate
from ntvmedia.store.schema import METADATA

RELAYS: Final = Table(
    "relays",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("description", String(200), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("on_demand", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("fallbacks", JSON, nullable=False),
    Column("recover_seconds", Double, nullable=False),
    Column("transport", String(8), nullable=False),
    Column("loop", Boolean, nullable=False),
    Column("stall_seconds", Double, nullable=False),
    Column("video", JSON, nullable=False),
    Column("audio", JSON, nullable=False),
    Column("renditions", JSON, nullable=False),
    Column("target", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    CheckConstraint("id <> ''", name="id"),
    CheckConstraint("stall_seconds > 0", name="stall_seconds"),
)


@dataclass(frozen=True)
class RelayRow:
    """One relay task.

    No text may have a NUL character, which PostgreSQL does not keep, or half of a surrogate pair.

    Attributes:
        id: The key; 1 to 32 characters.
        description: At most 200 characters.
        fallbacks: Addresses.
        recover_seconds: As the next but one, above 0.
        transport: A word of at most 8 characters.
        video: A JSON object, as are `audio` and `target`.
        renditions: JSON objects.
        created_at: Seconds since 1970, as is `updated_at`.
    """

    id: str
    description: str
    enabled: bool
    on_demand: bool
    source: str
    fallbacks: tuple[str, ...]
    recover_seconds: float
    transport: str
    loop: bool
    stall_seconds: float
    video: Mapping[str, Any]
    audio: Mapping[str, Any]
    renditions: tuple[Mapping[str, Any], ...]
    target: Mapping[str, Any]
    created_at: float
    updated_at: float


def list_relays(connection: Connection) -> list[RelayRow]:
    """Return all relay tasks, the oldest first.

    Raises:
        StoreError: Somebody else wrote into the table what this program never does.
    """
    order = (RELAYS.c.created_at, RELAYS.c.id)
    try:
        rows = connection.execute(select(RELAYS).order_by(*order)).mappings().all()
    except ValueError as error:  # JSON that is none
        raise StoreError(f'the table "relays" cannot be read: {error}') from None
    return [_read(row) for row in rows]


def insert_relay(connection: Connection, row: RelayRow) -> None:
    """Add a relay task.

    Raises:
        Duplicate: There is one with this id. The transaction may go on without it.
    """
    try:
        with connection.begin_nested():
            connection.execute(insert(RELAYS).values(_written(row)))
    except IntegrityError as error:
        if is_duplicate(error):
            raise Duplicate(f'there is a relay "{row.id}" already') from None
        raise


def update_relay(connection: Connection, row: RelayRow) -> bool:
    """Give a relay task other values.

    Returns:
        Whether there is one with this id.
    """
    change = update(RELAYS).where(RELAYS.c.id == row.id).values(_written(row))
    return connection.execute(change).rowcount == 1


def delete_relay(connection: Connection, id_: str) -> bool:
    """Remove a relay task.

    Returns:
        Whether there was one with this id.
    """
    return connection.execute(delete(RELAYS).where(RELAYS.c.id == id_)).rowcount == 1


def _written(row: RelayRow) -> dict[str, Any]:
    lists = {"fallbacks": list(row.fallbacks), "renditions": [dict(x) for x in row.renditions]}
    return {**asdict(row), **lists}


def _read(row: Mapping[Any, Any]) -> RelayRow:
    for name, kind in (
        ("fallbacks", list), ("renditions", list), ("video", dict), ("audio", dict),
        ("target", dict),
    ):  # fmt: skip
        if not isinstance(row[name], kind):
            raise StoreError(f'"{name}" of relay "{row["id"]}" is no {kind.__name__}')
    lists = {name: tuple(row[name]) for name in ("fallbacks", "renditions")}
    return RelayRow(**{**row, **lists})
