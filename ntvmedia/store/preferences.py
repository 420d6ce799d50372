"""What is set for the whole server, as rows: a name and a value as JSON has it.

What the names mean is the business of `ntvmedia.preferences`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import JSON, Column, Connection, String, Table, delete, insert, select

from ntvmedia.store.problems import StoreError
from ntvmedia.store.schema import METADATA

PREFERENCES: Final = Table(
    "preferences",
    METADATA,
    Column("key", String(128), primary_key=True),
    Column("value", JSON, nullable=False),
)


def list_preferences(connection: Connection) -> dict[str, Any]:
    """Return all values that were ever set, by name.

    Raises:
        StoreError: Somebody else wrote into the table what this program never does.
    """
    try:
        rows = connection.execute(select(PREFERENCES)).all()
    except ValueError:
        # SQLAlchemy reads the JSON while it fetches the rows.
        raise StoreError("a value in the table of preferences is broken") from None
    return {row.key: row.value for row in rows}


def write_preferences(connection: Connection, values: Mapping[str, object]) -> None:
    """Set values, new ones or others than before; those not named stay.

    Args:
        connection: In a transaction.
        values: By name, at most 128 characters each: what JSON can hold, without NUL characters.
    """
    if values:
        connection.execute(delete(PREFERENCES).where(PREFERENCES.c.key.in_(list(values))))
        rows = [{"key": key, "value": value} for key, value in values.items()]
        connection.execute(insert(PREFERENCES), rows)
