"""The audit log as rows: who changed what, and how it was before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Double,
    Index,
    Integer,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    or_,
    select,
)

from ntvmedia.store.problems import StoreError
from ntvmedia.store.schema import METADATA

AUDIT: Final = Table(
    "audit",
    METADATA,
    # SQLite counts by itself only what it calls an integer, which has 64 bits there.
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("time", Double, nullable=False),
    Column("who", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("session", String(32), nullable=False),
    Column("peer_host", Text, nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Index(None, "time"),
    Index(None, "who"),
    Index(None, "action"),
    Index(None, "subject"),
)


@dataclass(frozen=True)
class AuditRow:
    """One change, or somebody's coming and going.

    Texts have no NUL character and no half of a surrogate pair.

    Attributes:
        time: Seconds since 1970.
        who: The user's name; "operator on the host" for the command line.
        kind: "session", "token" or "control": how it showed who it is.
        session: The id of the session or token; empty where there is none.
        peer_host: The address that asked; empty for the command line.
        action: What was done, such as "users.change"; at most 64 characters.
        subject: With what, such as a name.
        before: What may be shown of it, before; None where there was nothing.
        after: The same, after; None where there is nothing.
        id: Grows with each row; 0 before it is kept.
    """

    time: float
    who: str
    kind: str
    session: str
    peer_host: str
    action: str
    subject: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    id: int = 0


@dataclass(frozen=True)
class AuditQuery:
    """Which rows, and in what order. All that is given has to hold.

    Attributes:
        who: Of this user; empty for all.
        action: This one, or below it: "users" is "users.add" too; empty for all.
        subject: Exactly this; empty for all.
        text: In the user, action or subject, in any case; empty for all.
        since: Not before, in seconds since 1970; None for all.
        until: Before, in seconds since 1970; None for all.
        oldest_first: Else the newest.
        page: From 1.
        page_size: Rows on each page, above 0.
    """

    who: str = ""
    action: str = ""
    subject: str = ""
    text: str = ""
    since: float | None = None
    until: float | None = None
    oldest_first: bool = False
    page: int = 1
    page_size: int = 50


@dataclass(frozen=True)
class AuditPage:
    """What a query found.

    Attributes:
        rows: Those of the page that was asked for.
        total: How many there are on all pages.
    """

    rows: list[AuditRow]
    total: int


def insert_audit(connection: Connection, row: AuditRow) -> None:
    """Add a row; its id is chosen by the database."""
    connection.execute(insert(AUDIT).values({name: getattr(row, name) for name in _GIVEN}))


def query_audit(connection: Connection, query: AuditQuery) -> AuditPage:
    """Find rows.

    Raises:
        StoreError: Somebody else wrote into the table what this program never does.
    """
    if not all(map(_can_be_kept, (query.who, query.action, query.subject, query.text))):
        return AuditPage([], 0)
    conditions = _conditions(query)
    total = connection.execute(
        select(func.count()).select_from(AUDIT).where(*conditions)
    ).scalar_one()
    # The id and not the time: the clock may have been set back.
    order = AUDIT.c.id.asc() if query.oldest_first else AUDIT.c.id.desc()
    page = (
        select(AUDIT)
        .where(*conditions)
        .order_by(order)
        .limit(query.page_size)
        .offset((query.page - 1) * query.page_size)
    )
    try:
        rows = connection.execute(page).mappings().all()
    except ValueError:
        # SQLAlchemy reads the JSON while it fetches the rows.
        raise StoreError("a value in the audit log is broken") from None
    return AuditPage([AuditRow(**row) for row in rows], total)


def prune_audit(connection: Connection, before: float, limit: int) -> int:
    """Remove the oldest rows.

    Args:
        connection: A batch is a transaction, so that others have their turn between.
        before: Seconds since 1970: what is not older stays.
        limit: Of rows.

    Returns:
        How many there were; as many as the limit where there may be more.
    """
    old = select(AUDIT.c.id).where(AUDIT.c.time < before).order_by(AUDIT.c.id).limit(limit)
    return connection.execute(delete(AUDIT).where(AUDIT.c.id.in_(old))).rowcount


_GIVEN: Final = tuple(name for name in AuditRow.__dataclass_fields__ if name != "id")


def _can_be_kept(text: str) -> bool:
    """Whether a row may have this text: the drivers raise for a NUL, or half of a pair."""
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False


def _conditions(query: AuditQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if query.who:
        found.append(AUDIT.c.who == query.who)
    if query.action:
        below = AUDIT.c.action.startswith(f"{query.action}.", autoescape=True)
        found.append(or_(AUDIT.c.action == query.action, below))
    if query.subject:
        found.append(AUDIT.c.subject == query.subject)
    if query.text:
        columns = (AUDIT.c.who, AUDIT.c.action, AUDIT.c.subject)
        found.append(or_(*(column.icontains(query.text, autoescape=True) for column in columns)))
    if query.since is not None:
        found.append(AUDIT.c.time >= query.since)
    if query.until is not None:
        found.append(AUDIT.c.time < query.until)
    return found
