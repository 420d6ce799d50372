"""What was written, for whoever asks: at most `BATCH_SECONDS` old."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from ntvmedia.errors import UsageError
from ntvmedia.statistics.counting import SPANS
from ntvmedia.store import (
    DayRow,
    DaySlice,
    Found,
    PointRow,
    RefusalSlice,
    ViewerRow,
    ViewerSlice,
    find_days,
    find_points,
    find_refusals,
    find_viewers,
    next_days,
    next_viewers,
)

_T = TypeVar("_T")


class Reports:
    """Asks the database. All answers fail with `StoreError` while it does.

    Args:
        store: An `ntvmedia.store.Store`.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def days(self, wanted: DaySlice) -> Deferred[Found]:
        """Find days, as `ntvmedia.store.find_days`."""
        return self._read(partial(find_days, wanted=wanted))

    def refusals(self, wanted: RefusalSlice) -> Deferred[Found]:
        """Find refusals, as `ntvmedia.store.find_refusals`."""
        return self._read(partial(find_refusals, wanted=wanted))

    def viewers(self, wanted: ViewerSlice) -> Deferred[Found]:
        """Find rows of the log of viewers, as `ntvmedia.store.find_viewers`."""
        return self._read(partial(find_viewers, wanted=wanted))

    def points(
        self, span: int, application: str, since: float, until: float
    ) -> Deferred[list[PointRow]]:
        """Find the points of a chart.

        Args:
            span: One of `SPANS`.
            application: Its name; empty for the whole server.
            since: Seconds since 1970.
            until: The same; a point at this time is not in it.

        Raises:
            UsageError: There are no points of this span.
        """
        if span not in SPANS:
            raise UsageError(f"there are no points of {span} s")
        return self._read(
            lambda connection: find_points(connection, span, application, since, until)
        )

    def next_days(self, wanted: DaySlice, after: DayRow | None) -> Deferred[list[DayRow]]:
        """Read days in pieces, as `ntvmedia.store.next_days`."""
        return self._read(partial(next_days, wanted=wanted, after=after))

    def next_viewers(
        self, wanted: ViewerSlice, after: ViewerRow | None
    ) -> Deferred[list[ViewerRow]]:
        """Read the log of viewers in pieces, as `ntvmedia.store.next_viewers`."""
        return self._read(partial(next_viewers, wanted=wanted, after=after))

    def _read(self, work: Callable[[Any], _T]) -> Deferred[_T]:
        answer: Deferred[_T] = self._store.run(work, read_only=True)
        return answer
