"""What can go wrong with a database, in words for its operator.

The text of a driver's exception holds SQL and values, sometimes in the language of another
machine. What leaves the package is one clause of ours, made from the driver's number of the error.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError

from ntvmedia.errors import NtvMediaError


class StoreError(NtvMediaError):
    """The database did not do what was asked; nothing of that transaction is kept.

    The message is one clause: what failed, and why. It has no SQL and no password.
    """


class Duplicate(StoreError):
    """There is a row with this key already."""


# Primary result codes of SQLite ("Result and Error Codes"): the low byte of the extended ones.
_SQLITE: Final = {
    sqlite3.SQLITE_FULL: "the disk of the database is full",
    sqlite3.SQLITE_BUSY: "the database is locked by another program",
    sqlite3.SQLITE_LOCKED: "the database is locked by another program",
    sqlite3.SQLITE_READONLY: "the database is read-only",
    sqlite3.SQLITE_PERM: "the database file may not be used: permission denied",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the database file is broken",
    sqlite3.SQLITE_NOTADB: "the database file is broken: it is not a database",
    sqlite3.SQLITE_IOERR: "the disk of the database failed",
    sqlite3.SQLITE_NOMEM: "there is no memory left for the database",
    sqlite3.SQLITE_INTERRUPT: "the database took too long",
    sqlite3.SQLITE_PROTOCOL: "the database is locked by another program",
    sqlite3.SQLITE_CONSTRAINT: "the database refuses a value",
    sqlite3.SQLITE_TOOBIG: "the database refuses a value: it is too large",
}

_NO_TABLES: Final = "the database has not the tables of this program"
_NO_COLUMNS: Final = "the database's tables have not the columns of this program"

# As SQLite says it, which has no numbers of its own for these.
_SQLITE_TEXTS: Final = {
    "no such table": _NO_TABLES,
    "no such column": _NO_COLUMNS,
    "has no column named": _NO_COLUMNS,
}

# PostgreSQL, appendix A "Error Codes", and the classes that they begin with.
_POSTGRESQL: Final = {
    "22": "the database refuses a value",
    "23": "the database refuses a value",
    "25006": "the database is read-only",
    "25P03": "the database took too long",
    "28": "the database does not accept this user or password",
    "3D000": "the server has no such database",
    "40": "the database is busy with another change",
    "42501": "the user of the database may not do this: permission denied",
    "42703": _NO_COLUMNS,
    "42P01": _NO_TABLES,
    "53": "the database server has too little of something",
    "53100": "the disk of the database is full",
    "53200": "the database server has no memory left",
    "53300": "the database server has too many connections",
    "55P03": "the database is locked by another program",
    "57014": "the database took too long",
    "57P": "the database is shutting down or starting up",
    "58": "the disk of the database failed",
    "XX001": "the database is broken",
    "XX002": "the database is broken",
}

# A unique key: SQLite's extended codes, and PostgreSQL's.
_DUPLICATES: Final = {
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    "23505",
}


def is_duplicate(error: SQLAlchemyError) -> bool:
    """Return whether a row was refused because its key is taken."""
    return _code(error) in _DUPLICATES


def describe(error: SQLAlchemyError) -> StoreError | None:
    """Put an exception of SQLAlchemy into words.

    Returns:
        What to raise instead; `None` for what no operator can mend: a bug of this program.
    """
    if isinstance(error, TimeoutError):
        return StoreError("the database took too long")
    if not isinstance(error, DBAPIError):
        return None
    code = _code(error)
    if code in _DUPLICATES:
        return Duplicate("the database has a row with this key already")
    if isinstance(code, int):
        text = _SQLITE.get(code & 0xFF)
        if code == sqlite3.SQLITE_ERROR:
            said = str(error.orig)
            text = next((x for part, x in _SQLITE_TEXTS.items() if part in said), text)
    elif code is not None:
        text = _POSTGRESQL.get(code) or _POSTGRESQL.get(code[:3]) or _POSTGRESQL.get(code[:2])
    else:
        text = None
    if text is None and error.connection_invalidated:
        text = "the connection to the database is lost"
    return StoreError(text) if text else None


def _code(error: SQLAlchemyError) -> int | str | None:
    """Return SQLite's extended result code, or PostgreSQL's five characters."""
    cause: Any = getattr(error, "orig", None)
    number: int | None = getattr(cause, "sqlite_errorcode", None)
    letters: str | None = getattr(cause, "sqlstate", None)
    return number if number is not None else letters
