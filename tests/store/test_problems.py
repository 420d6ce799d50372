"""Every trouble of a driver is one clause without SQL and without values."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InvalidRequestError,
    OperationalError,
    TimeoutError,
)

from ntvmedia.store import Duplicate
from ntvmedia.store.problems import describe, is_duplicate

STATEMENT = "UPDATE applications SET publish_password = 'hush'"


def from_sqlite(code: int, text: str = "text") -> DBAPIError:
    """Make what SQLAlchemy raises for a result code of SQLite."""
    cause: Any = sqlite3.OperationalError(text)
    cause.sqlite_errorcode = code
    return OperationalError(STATEMENT, {"publish_password": "hush"}, cause)


def from_postgresql(state: str | None, lost: bool = False) -> DBAPIError:
    """Make what SQLAlchemy raises for an SQLSTATE."""
    cause: Any = Exception(f"LINE 1: {STATEMENT}")
    cause.sqlstate = state
    return DBAPIError(STATEMENT, {}, cause, connection_invalidated=lost)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_FULL, "the disk of the database is full"),
        (sqlite3.SQLITE_BUSY, "the database is locked by another program"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "the database is locked by another program"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, "the database is read-only"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "the database file is broken"),
        (sqlite3.SQLITE_NOTADB, "the database file is broken: it is not a database"),
        (sqlite3.SQLITE_CANTOPEN, "the database file cannot be opened"),
        (sqlite3.SQLITE_IOERR_FSYNC, "the disk of the database failed"),
        (sqlite3.SQLITE_INTERRUPT, "the database took too long"),
        (sqlite3.SQLITE_CONSTRAINT_CHECK, "the database refuses a value"),
    ],
)
def test_sqlite(code: int, expected: str) -> None:
    """Extended result codes count as what they are a kind of."""
    assert str(describe(from_sqlite(code))) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("53100", "the disk of the database is full"),
        ("53400", "the database server has too little of something"),
        ("25006", "the database is read-only"),
        ("57014", "the database took too long"),
        ("57P01", "the database is shutting down or starting up"),
        ("28P01", "the database does not accept this user or password"),
        ("42501", "the user of the database may not do this: permission denied"),
        ("40P01", "the database is busy with another change"),
        ("22001", "the database refuses a value"),
        ("XX001", "the database is broken"),
    ],
)
def test_postgresql(state: str, expected: str) -> None:
    """The whole code counts before its class."""
    assert str(describe(from_postgresql(state))) == expected
    assert str(describe(from_postgresql(state, lost=True))) == expected


def test_lost_connection() -> None:
    """A connection that ended has no code."""
    assert (
        str(describe(from_postgresql(None, lost=True))) == "the connection to the database is lost"
    )


def test_pool() -> None:
    """Nor has a wait for a connection."""
    assert str(describe(TimeoutError())) == "the database took too long"


@pytest.mark.parametrize(
    "bug",
    [
        from_sqlite(sqlite3.SQLITE_ERROR, "near UPDATE: syntax error"),
        from_sqlite(sqlite3.SQLITE_MISUSE),
        from_postgresql("42601"),
        from_postgresql(None),
        InvalidRequestError("x"),
    ],
)
def test_bugs(bug: DBAPIError) -> None:
    """What no operator can mend is not put into words."""
    assert describe(bug) is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, True),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, True),
        (sqlite3.SQLITE_CONSTRAINT_NOTNULL, False),
    ],
)
def test_duplicates(code: int, expected: bool) -> None:
    """A taken key is a refusal of its own."""
    cause: Any = sqlite3.IntegrityError("UNIQUE constraint failed: applications.name")
    cause.sqlite_errorcode = code
    error = IntegrityError(STATEMENT, {}, cause)
    assert is_duplicate(error) is expected
    assert isinstance(describe(error), Duplicate) is expected


def test_duplicate_of_postgresql() -> None:
    """23505 is "unique_violation"; 23514, "check_violation", is none."""
    assert is_duplicate(from_postgresql("23505"))
    assert not is_duplicate(from_postgresql("23514"))
