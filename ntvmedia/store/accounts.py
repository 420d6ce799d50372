"""Users, their sessions and tokens as rows: what they mean is the business of `ntvmedia.accounts`.

Passwords, cookies and tokens are kept as hashes only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Double,
    ForeignKey,
    String,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from ntvmedia.store.rows import unless_taken
from ntvmedia.store.schema import METADATA

USERS: Final = Table(
    "users",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("role", String(32), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("password_changed_at", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("logged_in_at", Double),
    CheckConstraint("name <> ''", name="name"),
)

# What a user had goes with the user, whoever deletes the row.
_OWNER: Final = "users.name"

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("owner", String(64), ForeignKey(_OWNER, ondelete="CASCADE"), nullable=False, index=True),
    Column("peer_host", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("used_at", Double, nullable=False),
)

TOKENS: Final = Table(
    "tokens",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("owner", String(64), ForeignKey(_OWNER, ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(128), nullable=False),
    Column("role", String(32), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("used_at", Double),
)


@dataclass(frozen=True)
class UserRow:
    """One user. Texts have no NUL character and no half of a surrogate pair.

    Attributes:
        name: The key, compared case-sensitively; 1 to 64 characters.
        role: A word of at most 32 characters.
        password_hash: As argon2 spells it, with its parameters and salt.
        password_changed_at: Seconds since 1970, as are the other times.
        logged_in_at: None for never.
    """

    name: str
    role: str
    enabled: bool
    password_hash: str
    password_changed_at: float
    created_at: float
    updated_at: float
    logged_in_at: float | None


@dataclass(frozen=True)
class SessionRow:
    """One session of a browser.

    Attributes:
        id: What it is called in lists; it opens nothing.
        secret_hash: SHA-256 of the cookie, in hexadecimal digits.
        owner: The name of a user there is.
        peer_host: The address that logged in.
        agent: What the browser calls itself.
        created_at: Seconds since 1970, as is `used_at`.
    """

    id: str
    secret_hash: str
    owner: str
    peer_host: str
    agent: str
    created_at: float
    used_at: float


@dataclass(frozen=True)
class TokenRow:
    """One token of a program.

    Attributes:
        id: What it is called in lists; it opens nothing.
        secret_hash: SHA-256 of the token, in hexadecimal digits.
        owner: The name of a user there is.
        name: What people call it; at most 128 characters.
        role: A word of at most 32 characters.
        created_at: Seconds since 1970, as are the other times.
        expires_at: None for never.
        used_at: None for never.
    """

    id: str
    secret_hash: str
    owner: str
    name: str
    role: str
    created_at: float
    expires_at: float | None
    used_at: float | None


_Row = TypeVar("_Row", UserRow, SessionRow, TokenRow)


def list_users(connection: Connection) -> list[UserRow]:
    """Return all users, in the order of their names' code points."""
    return sorted(_all(connection, USERS, UserRow), key=lambda row: row.name)


def insert_user(connection: Connection, row: UserRow) -> None:
    """Add a user.

    Raises:
        Duplicate: There is one of this name. The transaction may go on without it.
    """
    _insert(connection, USERS, row, f'there is a user "{row.name}" already')


def update_user(connection: Connection, row: UserRow) -> bool:
    """Give a user other values.

    Returns:
        Whether there is one of this name.
    """
    change = update(USERS).where(USERS.c.name == row.name).values(asdict(row))
    return connection.execute(change).rowcount == 1


def delete_user(connection: Connection, name: str) -> bool:
    """Remove a user, with the sessions and tokens.

    Returns:
        Whether there was one of this name.
    """
    return connection.execute(delete(USERS).where(USERS.c.name == name)).rowcount == 1


def list_sessions(connection: Connection) -> list[SessionRow]:
    """Return all sessions, the oldest first."""
    return sorted(_all(connection, SESSIONS, SessionRow), key=lambda row: (row.created_at, row.id))


def insert_session(connection: Connection, row: SessionRow) -> None:
    """Add a session.

    Raises:
        Duplicate: There is one of this id or secret.
    """
    _insert(connection, SESSIONS, row, "there is this session already")


def delete_sessions(connection: Connection, ids: Sequence[str]) -> None:
    """Remove sessions; those that there are not do not matter."""
    _delete(connection, SESSIONS, ids)


def touch_sessions(connection: Connection, used_at: Mapping[str, float]) -> None:
    """Keep when sessions were last used, by id; those that there are not do not matter."""
    _touch(connection, SESSIONS, used_at)


def list_tokens(connection: Connection) -> list[TokenRow]:
    """Return all tokens, the oldest first."""
    return sorted(_all(connection, TOKENS, TokenRow), key=lambda row: (row.created_at, row.id))


def insert_token(connection: Connection, row: TokenRow) -> None:
    """Add a token.

    Raises:
        Duplicate: There is one of this id or secret.
    """
    _insert(connection, TOKENS, row, "there is this token already")


def delete_tokens(connection: Connection, ids: Sequence[str]) -> None:
    """Remove tokens; those that there are not do not matter."""
    _delete(connection, TOKENS, ids)


def touch_tokens(connection: Connection, used_at: Mapping[str, float]) -> None:
    """Keep when tokens were last used, by id; those that there are not do not matter."""
    _touch(connection, TOKENS, used_at)


def _all(connection: Connection, table: Table, kind: type[_Row]) -> list[_Row]:
    return [kind(**row) for row in connection.execute(select(table)).mappings()]


def _insert(
    connection: Connection, table: Table, row: UserRow | SessionRow | TokenRow, taken: str
) -> None:
    with unless_taken(connection, taken):
        connection.execute(insert(table).values(asdict(row)))


def _delete(connection: Connection, table: Table, ids: Sequence[str]) -> None:
    if ids:
        # One statement for each: databases limit how many values one statement may have.
        statement = delete(table).where(table.c.id == bindparam("gone"))
        connection.execute(statement, [{"gone": one} for one in ids])


def _touch(connection: Connection, table: Table, used_at: Mapping[str, float]) -> None:
    if used_at:
        statement: Any = update(table).where(table.c.id == bindparam("found"))
        values = [{"found": one, "used_at": at} for one, at in used_at.items()]
        connection.execute(statement.values(used_at=bindparam("used_at")), values)
