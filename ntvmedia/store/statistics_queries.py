"""Questions to the statistics: pages for people, and whole tables in pieces for exports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, func, literal, or_, select, tuple_

from ntvmedia.store.problems import StoreError
from ntvmedia.store.statistics import (
    STATISTICS_DAYS,
    STATISTICS_POINTS,
    STATISTICS_REFUSALS,
    VIEWER_LOG,
    DayRow,
    PointRow,
    RefusalRow,
    ViewerRow,
)

DAY_KEYS: Final = ("day", "application", "stream", "protocol")
"""What days can be told apart by. Where they are not, one row has the sum of several."""

# Where rows are put together, the largest of several is all that is known of their peak.
_SUMS: Final = ("viewers", "seconds", "bytes_in", "bytes_out", "publishes")

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Which rows of a table, and which page of them. All that is given has to hold.

    Attributes:
        application: Only this one; None for all.
        stream: Likewise.
        protocol: Likewise.
        text: In the names, in either case; empty for all.
        sort: A column, with "-" before it from the last; empty for the table's own order.
        limit: Rows of the page, above 0.
        offset: Rows before it.
    """

    application: str | None = None
    stream: str | None = None
    protocol: str | None = None
    text: str = ""
    sort: str = ""
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, kw_only=True)
class DaySlice(Slice):
    """Rows of days.

    Attributes:
        since: The first day; None for all.
        until: The last day, which is in it; None for all.
        by: Of `DAY_KEYS`; the rest is added up, and empty in the rows.
    """

    since: date | None = None
    until: date | None = None
    by: tuple[str, ...] = DAY_KEYS


@dataclass(frozen=True, kw_only=True)
class RefusalSlice(Slice):
    """Rows of refusals; `stream` is of no use here.

    Attributes:
        since: The first day; None for all.
        until: The last day, which is in it; None for all.
        rule: Only this one; None for all.
    """

    since: date | None = None
    until: date | None = None
    rule: str | None = None


@dataclass(frozen=True, kw_only=True)
class ViewerSlice(Slice):
    """Rows of the log of viewers.

    Attributes:
        since: Who came at this time or later, in seconds since 1970; None for all.
        until: Who came before; None for all.
        peer: Only this address; None for all.
    """

    since: float | None = None
    until: float | None = None
    peer: str | None = None


class Found(NamedTuple):
    """One page.

    Attributes:
        rows: In order.
        total: Of all pages.
    """

    rows: Sequence[Any]
    total: int


def find_days(connection: Connection, wanted: DaySlice) -> Found:
    """Find days: `DayRow`s, whose `day` is None where days are added up; the newest first."""
    days = STATISTICS_DAYS.c
    conditions = _day_conditions(STATISTICS_DAYS, wanted, ("application", "stream"))
    keys = [name for name in DAY_KEYS if name in wanted.by]
    if len(keys) == len(DAY_KEYS):
        return _page(connection, STATISTICS_DAYS, conditions, wanted, DayRow, "-day")
    columns: dict[str, ColumnElement[Any]] = {
        name: days[name] if name in keys else literal(None if name == "day" else "")
        for name in DAY_KEYS
    }
    columns |= {name: func.sum(days[name]) for name in _SUMS} | {"peak": func.max(days.peak)}
    grouped = select(*(columns[name].label(name) for name in DayRow._fields)).where(*conditions)
    # Without a group there would be one row of nothing where there is nothing.
    grouped = grouped.group_by(*(days[name] for name in keys)).having(func.count() > 0)
    inner = grouped.subquery()
    default = "-day" if "day" in keys else "-seconds"
    found = _page(connection, inner, [], wanted, DayRow, default, keys)
    # Sums of PostgreSQL are decimals.
    return Found([_whole(row) for row in found.rows], found.total)


def find_refusals(connection: Connection, wanted: RefusalSlice) -> Found:
    """Find `RefusalRow`s, the newest first."""
    conditions = _day_conditions(STATISTICS_REFUSALS, wanted, ("application", "rule"))
    if wanted.rule is not None:
        conditions.append(STATISTICS_REFUSALS.c.rule == wanted.rule)
    return _page(connection, STATISTICS_REFUSALS, conditions, wanted, RefusalRow, "-day")


def find_viewers(connection: Connection, wanted: ViewerSlice) -> Found:
    """Find `ViewerRow`s, who came last first."""
    return _page(
        connection, VIEWER_LOG, _viewer_conditions(wanted), wanted, ViewerRow, "-started_at"
    )


def find_points(
    connection: Connection, span: int, application: str, since: float, until: float
) -> list[PointRow]:
    """Find the points of one chart, in the order of time: from `since` and before `until`."""
    points = STATISTICS_POINTS.c
    found = (
        select(STATISTICS_POINTS)
        .where(
            points.span == span,
            points.application == application,
            points.time >= since,
            points.time < until,
        )
        .order_by(points.time)
    )
    return [PointRow(**row) for row in connection.execute(found).mappings()]


def next_days(connection: Connection, wanted: DaySlice, after: DayRow | None) -> list[DayRow]:
    """Return the `limit` days after one, by their key: so that all are read in pieces.

    `by`, `sort` and `offset` count for nothing.
    """
    conditions = _day_conditions(STATISTICS_DAYS, wanted, ("application", "stream"))
    last = tuple(after[: len(DAY_KEYS)]) if after is not None else None
    return _piece(connection, STATISTICS_DAYS, conditions, DAY_KEYS, last, wanted.limit, DayRow)


def next_viewers(
    connection: Connection, wanted: ViewerSlice, after: ViewerRow | None
) -> list[ViewerRow]:
    """Return the `limit` who came after one; as `next_days`."""
    keys = ("started_at", "id")
    last = (after.started_at, after.id) if after is not None else None
    conditions = _viewer_conditions(wanted)
    return _piece(connection, VIEWER_LOG, conditions, keys, last, wanted.limit, ViewerRow)


def _conditions(table: Table, wanted: Slice, texts: Sequence[str]) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        table.c[name] == value
        for name in ("application", "stream", "protocol")
        if name in table.c and (value := getattr(wanted, name)) is not None
    ]
    if wanted.text:
        columns = [table.c[name] for name in texts]
        found.append(or_(*(column.icontains(wanted.text, autoescape=True) for column in columns)))
    return found


def _day_conditions(
    table: Table, wanted: DaySlice | RefusalSlice, texts: Sequence[str]
) -> list[ColumnElement[bool]]:
    found = _conditions(table, wanted, texts)
    if wanted.since is not None:
        found.append(table.c.day >= wanted.since)
    if wanted.until is not None:
        found.append(table.c.day <= wanted.until)
    return found


def _viewer_conditions(wanted: ViewerSlice) -> list[ColumnElement[bool]]:
    log = VIEWER_LOG.c
    found = _conditions(VIEWER_LOG, wanted, ("application", "stream", "peer"))
    if wanted.since is not None:
        found.append(log.started_at >= wanted.since)
    if wanted.until is not None:
        found.append(log.started_at < wanted.until)
    if wanted.peer is not None:
        found.append(log.peer == wanted.peer)
    return found


def _page(
    connection: Connection,
    table: Any,
    conditions: Sequence[ColumnElement[bool]],
    wanted: Slice,
    kind: Callable[..., Any],
    default: str,
    keys: Sequence[str] | None = None,
) -> Found:
    """Return one page of a table or subquery.

    Args:
        kind: Of the rows, a named tuple.
        default: What it is sorted by.
        keys: What no two rows have the same of; by default the primary key.
    """
    if keys is None:
        keys = [column.name for column in table.primary_key]
    counting = select(func.count()).select_from(table).where(*conditions)
    total = connection.execute(counting).scalar_one()
    sort = wanted.sort or default
    name, is_reversed = sort.removeprefix("-"), sort.startswith("-")
    # Pages do not overlap: rows that are the same by that are sorted by their key, and in the same
    # direction, so that an index has them in order.
    columns = [table.c[name], *(table.c[key] for key in keys if key != name)]
    order = [column.desc() if is_reversed else column.asc() for column in columns]
    page = select(table).where(*conditions).order_by(*order)
    return Found(_read(connection, page.limit(wanted.limit).offset(wanted.offset), kind), total)


def _piece(
    connection: Connection,
    table: Table,
    conditions: Sequence[ColumnElement[bool]],
    keys: Sequence[str],
    last: tuple[Any, ...] | None,
    limit: int,
    kind: Callable[..., _T],
) -> list[_T]:
    columns = [table.c[name] for name in keys]
    rows = select(table).where(*conditions).order_by(*columns).limit(limit)
    if last is not None:
        # With their types: SQLite keeps days as texts.
        after = [literal(value, column.type) for value, column in zip(last, columns, strict=True)]
        rows = rows.where(tuple_(*columns) > tuple_(*after))
    return _read(connection, rows, kind)


def _read(connection: Connection, rows: Any, kind: Callable[..., _T]) -> list[_T]:
    try:
        return [kind(**row) for row in connection.execute(rows).mappings()]
    except ValueError:
        # SQLAlchemy reads the days while it fetches the rows.
        raise StoreError("a day in the statistics is broken") from None


def _whole(row: DayRow) -> DayRow:
    return row._replace(
        viewers=int(row.viewers),
        peak=int(row.peak),
        seconds=float(row.seconds),
        bytes_in=int(row.bytes_in),
        bytes_out=int(row.bytes_out),
        publishes=int(row.publishes),
    )
