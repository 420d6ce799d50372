"""Rows that wait to be written: put together as they come, and never more than there is room for.

While the database fails, days and refusals grow only with the names that there are; points and
rows of the viewer log are dropped from the oldest on, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from ntvmedia.store import Batch, DayRow, PointRow, RefusalRow, ViewerRow

MAX_DAYS: Final = 20_000
"""Rows of days that wait. What is counted of further streams is counted of "", in memory as in the
database: names come from publishers, and each makes a row for 400 days."""

MAX_POINTS: Final = 20_000
"""Points that wait: of one application, those of two weeks."""

MAX_VIEWERS: Final = 50_000
"""Rows of the viewer log that wait: some 20 MB."""

# What is counted at once is in one row: more than anybody watches.
_LARGEST: Final = (1 << 63) - 1

_K = TypeVar("_K")
_V = TypeVar("_V")


class Counts:
    """The sums of one row of a day; as in `DayRow`."""

    __slots__ = ("bytes_in", "bytes_out", "peak", "publishes", "seconds", "viewers")

    def __init__(self) -> None:
        self.viewers = 0
        self.peak = 0
        self.seconds = 0.0
        self.bytes_in = 0
        self.bytes_out = 0
        self.publishes = 0


class Watched(Protocol):
    """One who has a row in the log of viewers."""

    def row(self) -> ViewerRow:
        """Return it as it is now."""


class _DayKey(NamedTuple):
    day: date
    application: str
    stream: str
    protocol: str


class Pending:
    """All that waits.

    Args:
        run: Of this process, as in `Batch`.

    Attributes:
        dropped_points: How many were dropped for want of room.
        dropped_viewers: Likewise, rows of the viewer log.
    """

    def __init__(self, run: str) -> None:
        self.dropped_points = 0
        self.dropped_viewers = 0
        self._run = run
        self._number = 0
        self._days: dict[_DayKey, Counts] = {}
        self._refusals: dict[tuple[date, str, str, str], int] = {}
        self._points: dict[tuple[Any, ...], PointRow] = {}
        self._viewers: dict[int, Watched] = {}
        # The streams that have rows of their own on the newest day.
        self._named: set[tuple[str, str]] = set()
        self._named_day = date.min

    def __len__(self) -> int:
        return len(self._days) + len(self._refusals) + len(self._points) + len(self._viewers)

    def day(self, day: date, application: str, stream: str, protocol: str) -> Counts:
        """Return what is counted on a day, to be added to."""
        key = _DayKey(day, application, stream, protocol)
        counts = self._days.get(key)
        if counts is None:
            if not self._has_room(day, application, stream):
                return self._nameless(key)
            counts = self._days[key] = Counts()
        return counts

    def refused(self, row: RefusalRow) -> None:
        """Add refusals."""
        key = (row.day, row.application, row.protocol, row.rule)
        self._refusals[key] = self._refusals.get(key, 0) + row.refused

    def point(self, row: PointRow) -> None:
        """Add to a point."""
        key = row[:3]
        before = self._points.get(key)
        if before is not None:
            row = PointRow(
                *key,
                max(before.viewers, row.viewers),
                max(before.publishers, row.publishers),
                before.seconds + row.seconds,
                before.bytes_in + row.bytes_in,
                before.bytes_out + row.bytes_out,
            )
        self._points[key] = row
        if len(self._points) > MAX_POINTS:
            del self._points[next(iter(self._points))]
            self.dropped_points += 1

    def viewer(self, session: int, watched: Watched) -> None:
        """Write a row of the viewer log, or write it anew: as it is when it is taken."""
        self._viewers[session] = watched
        if len(self._viewers) > MAX_VIEWERS:
            del self._viewers[next(iter(self._viewers))]
            self.dropped_viewers += 1

    def take(self, wall: float, limit: int) -> Batch | None:
        """Take the batch that is to be written next.

        Args:
            wall: Seconds since 1970.
            limit: Most rows of it.

        Returns:
            None where there is nothing. What was taken is the caller's to keep until it is written.
        """
        days = _taken(self._days, limit)
        left = limit - len(days)
        refusals = _taken(self._refusals, left)
        left -= len(refusals)
        points = _taken(self._points, left)
        viewers = _taken(self._viewers, left - len(points))
        if not (days or refusals or points or viewers):
            return None
        self._number += 1
        return Batch(
            self._run,
            self._number,
            wall,
            [_row(key, counts) for key, counts in days if _counted(counts)],
            [RefusalRow(*key, count) for key, count in refusals],
            [point for _key, point in points],
            [watched.row() for _session, watched in viewers],
        )

    def _has_room(self, day: date, application: str, stream: str) -> bool:
        if not stream:
            return True
        if day > self._named_day:
            self._named_day = day
            self._named.clear()
        name = (application, stream)
        if name not in self._named:
            if len(self._named) >= MAX_DAYS:
                return False
            self._named.add(name)
        return len(self._days) < MAX_DAYS

    def _nameless(self, key: _DayKey) -> Counts:
        # There are as many applications as an operator has made; beyond all measure they are
        # counted together too.
        application = key.application if len(self._days) < 2 * MAX_DAYS else ""
        return self._days.setdefault(key._replace(application=application, stream=""), Counts())


def _taken(rows: dict[_K, _V], limit: int) -> list[tuple[_K, _V]]:
    """Take the oldest out of a dict."""
    if len(rows) <= limit:
        found = list(rows.items())
        rows.clear()
        return found
    keys: Iterable[_K] = [key for key, _index in zip(rows, range(limit), strict=False)]
    pop: Callable[[_K], _V] = rows.pop
    return [(key, pop(key)) for key in keys]


def _counted(counts: Counts) -> bool:
    return any(getattr(counts, name) for name in Counts.__slots__)


def _row(key: _DayKey, counts: Counts) -> DayRow:
    return DayRow(
        *key,
        counts.viewers,
        counts.peak,
        counts.seconds,
        min(counts.bytes_in, _LARGEST),
        min(counts.bytes_out, _LARGEST),
        counts.publishes,
    )
