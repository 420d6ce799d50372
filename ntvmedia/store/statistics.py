"""Statistics as rows: sums by day, points of charts, and the log of viewers.

What was counted is added to what is there, so rows of the same key may come any number of times.
A batch is written once, however often it is asked for: an answer that is lost on the way counts
nobody twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Date,
    Double,
    Index,
    Integer,
    String,
    Table,
    Text,
    and_,
    case,
    delete,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from ntvmedia.store.schema import METADATA

# The stream "" has what was counted of streams without a name here; the application "" what was
# refused to applications that there are not.
STATISTICS_DAYS: Final = Table(
    "statistics_days",
    METADATA,
    Column("day", Date, primary_key=True),
    Column("application", String(128), primary_key=True),
    Column("stream", String(128), primary_key=True),
    Column("protocol", String(32), primary_key=True),
    Column("viewers", BigInteger, nullable=False),
    Column("peak", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("publishes", BigInteger, nullable=False),
)

STATISTICS_REFUSALS: Final = Table(
    "statistics_refusals",
    METADATA,
    Column("day", Date, primary_key=True),
    Column("application", String(128), primary_key=True),
    Column("protocol", String(32), primary_key=True),
    Column("rule", String(32), primary_key=True),
    Column("refused", BigInteger, nullable=False),
)

# The application "" is the whole server. Charts ask for a time of one application, pruning for
# the oldest of all.
STATISTICS_POINTS: Final = Table(
    "statistics_points",
    METADATA,
    Column("span", Integer, primary_key=True, autoincrement=False),
    Column("application", String(128), primary_key=True),
    Column("time", Double, primary_key=True),
    Column("viewers", BigInteger, nullable=False),
    Column("publishers", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Index(None, "span", "time"),
)

VIEWER_LOG: Final = Table(
    "viewer_log",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("run", String(32), nullable=False),
    Column("application", String(128), nullable=False),
    Column("stream", String(128), nullable=False),
    Column("protocol", String(32), nullable=False),
    Column("peer", String(64), nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("page_url", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double, nullable=True),
    Column("seconds", Double, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "started_at", "id"),
    Index(None, "application", "stream", "started_at"),
)
# Who still watches: few, to be found at a start among all that ever did.
Index(
    "ix_viewer_log_open",
    VIEWER_LOG.c.run,
    sqlite_where=VIEWER_LOG.c.ended_at.is_(None),
    postgresql_where=VIEWER_LOG.c.ended_at.is_(None),
)

# The last batch that each process has written, and when: what kill -9 leaves behind.
STATISTICS_RUNS: Final = Table(
    "statistics_runs",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("batch", BigInteger, nullable=False),
    Column("written_at", Double, nullable=False),
)


class DayRow(NamedTuple):
    """What was counted on one day in UTC, of one stream by one protocol.

    Attributes:
        viewers: Who began to watch on this day, or still watched at its beginning.
        peak: The most at the same time.
        seconds: Watched by all of them together.
        bytes_in: Media bytes from publishers by this protocol.
        bytes_out: Bytes to viewers.
        publishes: How often publishing began.
    """

    day: date
    application: str
    stream: str
    protocol: str
    viewers: int
    peak: int
    seconds: float
    bytes_in: int
    bytes_out: int
    publishes: int


class RefusalRow(NamedTuple):
    """How often a rule refused on one day in UTC.

    Attributes:
        application: Empty for one that there is not.
        rule: As in `ntvmedia.access.Verdict`.
    """

    day: date
    application: str
    protocol: str
    rule: str
    refused: int


class PointRow(NamedTuple):
    """One point of a chart.

    Attributes:
        span: Seconds that it stands for.
        time: When they begin, in seconds since 1970.
        application: Empty for the whole server.
        viewers: The most at the same time.
        publishers: Likewise.
        seconds: For how long of the span it was counted: bytes divided by it are a rate.
        bytes_in: Media bytes from publishers.
        bytes_out: Bytes to viewers.
    """

    span: int
    time: float
    application: str
    viewers: int
    publishers: int
    seconds: float
    bytes_in: int
    bytes_out: int


class ViewerRow(NamedTuple):
    """One who watched.

    Attributes:
        id: Of this row.
        run: Of the process that served him.
        peer: His address, without the port.
        started_at: Seconds since 1970, as is `ended_at`.
        ended_at: None while he watches.
        seconds: For how long, by a clock that nobody sets.
        reason: Why he left, one clause; empty while he watches.
    """

    id: str
    run: str
    application: str
    stream: str
    protocol: str
    peer: str
    user_agent: str
    page_url: str
    started_at: float
    ended_at: float | None
    seconds: float
    bytes_out: int
    reason: str


class Batch(NamedTuple):
    """What is written at once.

    Attributes:
        run: Of the process, at most 32 characters: no other one's.
        number: 1 and up; each higher than that of the batch before it.
        written_at: Seconds since 1970.
    """

    run: str
    number: int
    written_at: float
    days: Sequence[DayRow] = ()
    refusals: Sequence[RefusalRow] = ()
    points: Sequence[PointRow] = ()
    viewers: Sequence[ViewerRow] = ()


def write_batch(connection: Connection, batch: Batch) -> bool:
    """Add one batch to what is there.

    Returns:
        Whether it was added; not where it was before.
    """
    runs = STATISTICS_RUNS.c
    last = connection.execute(select(runs.batch).where(runs.run == batch.run)).scalar()
    if last is not None and last >= batch.number:
        return False
    mark = {"run": batch.run, "batch": batch.number, "written_at": batch.written_at}
    _upsert(connection, STATISTICS_RUNS, [mark])
    for table, rows in (
        (STATISTICS_DAYS, batch.days),
        (STATISTICS_REFUSALS, batch.refusals),
        (STATISTICS_POINTS, batch.points),
        (VIEWER_LOG, batch.viewers),
    ):
        _upsert(connection, table, [row._asdict() for row in rows])
    return True


# What becomes of a column when the key is there already; in other columns the new value counts.
_ADDED: Final = {
    STATISTICS_DAYS: ("viewers", "seconds", "bytes_in", "bytes_out", "publishes"),
    STATISTICS_REFUSALS: ("refused",),
    STATISTICS_POINTS: ("seconds", "bytes_in", "bytes_out"),
}
_LARGEST: Final = {
    STATISTICS_DAYS: ("peak",),
    STATISTICS_POINTS: ("viewers", "publishers"),
}


def _upsert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    new = statement.excluded
    keys = [column.name for column in table.primary_key]
    values: dict[str, Any] = {}
    for column in table.columns:
        name = column.name
        if name in _ADDED.get(table, ()):
            values[name] = column + new[name]
        elif name in _LARGEST.get(table, ()):
            values[name] = case((new[name] > column, new[name]), else_=column)
        elif name not in keys:
            values[name] = new[name]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values), rows)


def close_viewers(connection: Connection, run: str, reason: str) -> int:
    """End in the log who watched when another process ended without a word.

    They watched until that process wrote for the last time.

    Args:
        run: Of this process; its own viewers stay.
        reason: One clause.

    Returns:
        How many there were.
    """
    runs = STATISTICS_RUNS.c
    marks = connection.execute(select(runs.run, runs.written_at).where(runs.run != run)).all()
    log = VIEWER_LOG.c
    count = 0
    for other, written_at in marks:
        ended_at = case((log.started_at > written_at, log.started_at), else_=written_at)
        closing = (
            update(VIEWER_LOG)
            .where(log.run == other, log.ended_at.is_(None))
            .values(ended_at=ended_at, reason=reason)
        )
        count += connection.execute(closing).rowcount
    connection.execute(delete(STATISTICS_RUNS).where(runs.run != run))
    return count


def prune_days(connection: Connection, before: date, limit: int) -> int:
    """Delete the oldest days, and refusals, from before a day; at most `limit` rows of each.

    Returns:
        How many of one or the other went, the larger: less than `limit` when nothing is left.
    """
    return max(
        _prune(connection, table, table.c.day < before, limit)
        for table in (STATISTICS_DAYS, STATISTICS_REFUSALS)
    )


def prune_points(connection: Connection, span: int, before: float, limit: int) -> int:
    """Delete the oldest points of a span; the rest as of `prune_days`."""
    points = STATISTICS_POINTS.c
    condition = and_(points.span == span, points.time < before)
    return _prune(connection, STATISTICS_POINTS, condition, limit)


def prune_viewers(connection: Connection, before: float, limit: int) -> int:
    """Delete from the log who came before a time; the rest as of `prune_days`.

    One who watches still is written again.
    """
    return _prune(connection, VIEWER_LOG, VIEWER_LOG.c.started_at < before, limit)


def _prune(connection: Connection, table: Table, condition: Any, limit: int) -> int:
    keys = tuple(table.primary_key)
    doomed = select(*keys).where(condition).limit(limit)
    return connection.execute(delete(table).where(tuple_(*keys).in_(doomed))).rowcount
