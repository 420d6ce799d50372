"""The rules of access as rows: values only; what they mean is the business of `ntvmedia.access`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Double,
    Integer,
    String,
    Table,
    Text,
    delete,
    insert,
    update,
)

from ntvmedia.store.rows import all_rows, unless_taken, with_lists, with_tuples
from ntvmedia.store.schema import METADATA
from ntvmedia.store.streams import STREAM_LABELS

IP_RULES: Final = Table(
    "ip_rules",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("network", String(64), nullable=False),
    Column("action", String(8), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

FORBIDDEN_STREAMS: Final = Table(
    "forbidden_streams",
    METADATA,
    Column("application", String(128), primary_key=True),
    Column("stream", String(128), primary_key=True),
    Column("comment", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)

SHARE_LINKS: Final = Table(
    "share_links",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("application", String(128), nullable=False),
    Column("stream", String(128), nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("max_viewers", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    CheckConstraint("max_viewers >= 0", name="max_viewers"),
)

SIGNING_KEYS: Final = Table(
    "signing_keys",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("application", String(128), nullable=False),
    Column("secret", String(64), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

# Their rows name an application, in its column.
_OF_APPLICATIONS: Final = (FORBIDDEN_STREAMS, SHARE_LINKS, SIGNING_KEYS, STREAM_LABELS)


@dataclass(frozen=True, slots=True)
class IPRuleRow:
    """One network, and what it may.

    Attributes:
        id: The key, of at most 16 characters.
        network: As text, of at most 64 characters.
        action: A word of at most 8 characters.
        scopes: What it is about: words.
        created_at: Seconds since 1970, as is `updated_at`.
    """

    id: str
    network: str
    action: str
    scopes: tuple[str, ...]
    enabled: bool
    comment: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class ForbiddenStreamRow:
    """One stream that nobody may publish or play; both names together are the key."""

    application: str
    stream: str
    comment: str
    created_at: float


@dataclass(frozen=True, slots=True)
class ShareLinkRow:
    """One share link.

    Attributes:
        id: The key, of at most 16 characters.
        expires_at: Seconds since 1970; 0 for never.
        max_viewers: 0 for any number.
    """

    id: str
    name: str
    application: str
    stream: str
    expires_at: float
    max_viewers: int
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class SigningKeyRow:
    """One key that addresses are signed with.

    Attributes:
        id: The key of the row, of at most 32 characters.
        application: Whose streams it is good for; empty for all.
        secret: Hexadecimal; empty where it is in a file.
    """

    id: str
    application: str
    secret: str = field(repr=False)
    enabled: bool
    comment: str
    created_at: float
    updated_at: float


_R = TypeVar("_R", IPRuleRow, ForbiddenStreamRow, ShareLinkRow, SigningKeyRow)


class Rows(Generic[_R]):
    """The rows of one table of rules.

    Args:
        table: Where they are.
        kind: What each becomes.
        lists: The columns that are lists of texts.
    """

    def __init__(self, table: Table, kind: type[_R], lists: tuple[str, ...] = ()) -> None:
        self._table = table
        self._kind: type[Any] = kind
        self._lists = lists
        self._key = tuple(column.name for column in table.primary_key)

    def all(self, connection: Connection) -> list[_R]:
        """Return all rows, in the order of their keys.

        Raises:
            StoreError: Somebody else wrote into the table what this program never does.
        """
        called = f'the table "{self._table.name}"'
        rows = [
            self._kind(**with_tuples(row, self._lists, f"in {called}"))
            for row in all_rows(connection, self._table, called)
        ]
        return sorted(rows, key=lambda row: tuple(getattr(row, name) for name in self._key))

    def insert(self, connection: Connection, row: _R) -> None:
        """Add one.

        Raises:
            Duplicate: There is one of this key. The transaction may go on without it.
        """
        with unless_taken(connection, "there is one of this name already"):
            connection.execute(insert(self._table).values(with_lists(row, self._lists)))

    def update(self, connection: Connection, row: _R) -> bool:
        """Give the one of the same key other values; return whether there is one."""
        values = with_lists(row, self._lists)
        done = connection.execute(update(self._table).where(*self._is(row)).values(values))
        return done.rowcount == 1

    def delete(self, connection: Connection, row: _R) -> bool:
        """Remove the one of the same key; return whether there was one."""
        return connection.execute(delete(self._table).where(*self._is(row))).rowcount == 1

    def _is(self, row: _R) -> list[Any]:
        return [self._table.c[name] == getattr(row, name) for name in self._key]


IP_RULE_ROWS: Final = Rows(IP_RULES, IPRuleRow, ("scopes",))
FORBIDDEN_STREAM_ROWS: Final = Rows(FORBIDDEN_STREAMS, ForbiddenStreamRow)
SHARE_LINK_ROWS: Final = Rows(SHARE_LINKS, ShareLinkRow)
SIGNING_KEY_ROWS: Final = Rows(SIGNING_KEYS, SigningKeyRow)


def move_access(connection: Connection, name: str, after: str | None) -> None:
    """Have the rules that name an application follow it.

    Args:
        connection: In the transaction that changes the application.
        name: The name it had.
        after: The name it gets; None where it goes, and they with it.
    """
    for table in _OF_APPLICATIONS:
        # What is left of one that had the new name before would be in the way.
        gone = name if after is None else after
        connection.execute(delete(table).where(table.c.application == gone))
        if after is not None:
            connection.execute(
                update(table).where(table.c.application == name).values(application=after)
            )
