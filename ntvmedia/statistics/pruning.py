"""Deleting what is too old, a little at a time, and not by a clock that is not to be trusted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ntvmedia.statistics.counting import SPANS, day_of
from ntvmedia.store import StoreError, prune_days, prune_points, prune_viewers

BATCH_ROWS: Final = 1000
"""Rows that are deleted in one transaction: some 20 ms, in which nothing else is written."""

PAUSE_SECONDS: Final = 1.0
"""Between two of these."""

INTERVAL_SECONDS: Final = 3600.0
"""From the end of one round to the next."""

SETTLED_SECONDS: Final = 600.0
"""How long the wall clock has to go evenly before anything is deleted by it. A machine may start
with any time at all, and be told the right one minutes later."""

# More than clocks drift apart in an interval between two looks.
STEP_SECONDS: Final = 30.0

DAY_SECONDS: Final = 86_400.0

# How long the points of each span are kept; those of the longest as long as the days.
POINT_DAYS: Final = {SPANS[0]: 2, SPANS[1]: 30}


class Steadiness:
    """Says whether the wall clock can be trusted: it was not set for a while."""

    def __init__(self, now: float, wall: float) -> None:
        self._since = now
        self._offset = wall - now

    def is_steady(self, now: float, wall: float) -> bool:
        """Look at both clocks; to be called every few seconds.

        Args:
            now: Monotonic seconds.
            wall: Seconds since 1970.
        """
        offset = wall - now
        if abs(offset - self._offset) > STEP_SECONDS:
            self._since = now
        # A clock that is adjusted slowly is trusted.
        self._offset = offset
        return now - self._since >= SETTLED_SECONDS


def rounds(wall: float, days: int, viewer_log_days: int) -> list[Callable[[Any], int]]:
    """Return what deletes a batch each; done with, one by one, when it returns less than a batch.

    Args:
        wall: Seconds since 1970.
        days: How many days statistics are kept, today not counted.
        viewer_log_days: The same for the log of viewers.
    """
    oldest = day_of(wall) - timedelta(days=min(days, day_of(wall).toordinal() - 1))
    found: list[Callable[[Any], int]] = [partial(prune_days, before=oldest, limit=BATCH_ROWS)]
    for span in SPANS:
        before = wall - POINT_DAYS.get(span, days) * DAY_SECONDS
        found.append(partial(prune_points, span=span, before=before, limit=BATCH_ROWS))
    log_before = wall - viewer_log_days * DAY_SECONDS
    found.append(partial(prune_viewers, before=log_before, limit=BATCH_ROWS))
    return found


class Pruner:
    """Deletes what is too old: from time to time, a batch at a time.

    Args:
        reactor: Its clock is monotonic.
        store: The database.
        preferences: Of the server; its values are read at each round.
        wall: Seconds since 1970.
    """

    _log = Logger()

    def __init__(self, reactor: Any, store: Any, preferences: Any, wall: float) -> None:
        self._reactor = reactor
        self._store = store
        self._preferences = preferences
        now = reactor.seconds()
        self._steadiness = Steadiness(now, wall)
        self._due = now
        self._pruning: Deferred[None] | None = None

    def look(self, wall: float) -> None:
        """Begin a round if it is time; to be called every few seconds.

        Args:
            wall: Seconds since 1970.
        """
        now = self._reactor.seconds()
        is_steady = self._steadiness.is_steady(now, wall)
        if self._pruning is not None:
            if not is_steady:
                self.stop()
            return
        if not is_steady or now < self._due:
            return
        values = self._preferences.values
        batches = rounds(wall, values.statistics_days, values.viewer_log_days)
        self._due = now + INTERVAL_SECONDS
        pruning = Deferred.fromCoroutine(self._prune(batches))
        if not pruning.called:
            self._pruning = pruning
        pruning.addBoth(self._pruned)

    def stop(self) -> None:
        """Delete nothing more. Idempotent."""
        if self._pruning is not None:
            self._pruning.cancel()

    async def _prune(self, batches: list[Callable[[Any], int]]) -> None:
        for prune in batches:
            while await self._store.run(prune) >= BATCH_ROWS:
                await deferLater(self._reactor, PAUSE_SECONDS)

    def _pruned(self, result: Any) -> None:
        self._pruning = None
        check = getattr(result, "check", None)
        if check is None or check(CancelledError):
            return
        if check(StoreError):
            self._log.warn("old statistics stay for now: {error}", error=result.value)
        else:
            self._log.failure("old statistics stay for now", result)
