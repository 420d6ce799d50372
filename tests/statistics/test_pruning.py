"""Old rows go, a few at a time; and never by a clock that was just set."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.statistics.pruning import (
    BATCH_ROWS,
    INTERVAL_SECONDS,
    SETTLED_SECONDS,
    Pruner,
    Steadiness,
    rounds,
)
from ntvmedia.store import StoreError
from tests.statistics.totals import at


def test_what_is_old() -> None:
    """P-308: days go after 400, the log after its own; points after a time for each span."""
    found: list[Any] = [batch for batch in rounds(at("2026-11-22T12:00:00"), 400, 30)]
    days, minutes, tens, hours, viewers = (batch.keywords for batch in found)
    assert days["before"] == date(2025, 10, 18)
    assert (minutes["span"], minutes["before"]) == (60, at("2026-11-20T12:00:00"))
    assert (tens["span"], tens["before"]) == (600, at("2026-10-23T12:00:00"))
    assert (hours["span"], hours["before"]) == (3600, at("2025-10-18T12:00:00"))
    assert viewers["before"] == at("2026-10-23T12:00:00")
    assert {batch.keywords["limit"] for batch in found} == {BATCH_ROWS}


def test_long_ago() -> None:
    """G-RS-06: a clock at the beginning of time makes nothing old."""
    [days, *_rest] = (batch.keywords for batch in map(as_partial, rounds(-6e10, 100_000, 30)))
    assert days["before"] == date.min


def as_partial(batch: Callable[[Any], int]) -> partial[int]:
    """Return what a round is."""
    assert isinstance(batch, partial)
    return batch


def test_steadiness() -> None:
    """G-RS-05: a clock that jumps is not trusted for ten minutes; one that drifts is."""
    steady = Steadiness(0.0, 1000.0)
    assert not steady.is_steady(10.0, 1010.0)
    assert not steady.is_steady(SETTLED_SECONDS - 1, 1000 + SETTLED_SECONDS - 1)
    assert steady.is_steady(SETTLED_SECONDS, 1000 + SETTLED_SECONDS)
    assert not steady.is_steady(610.0, 5e9)
    assert not steady.is_steady(1200.0, 5e9 + 590)
    assert steady.is_steady(1210.0, 5e9 + 600)
    for step in range(1000):  # a second in each ten: very wrong, but even
        assert steady.is_steady(1210.0 + step * 10, 5e9 + 600 + step * 11)
    assert not steady.is_steady(11_230.0, 5e9)


class Database:
    """One that says how much there was."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.left: dict[str, int] = {}
        self.error: Exception | None = None
        self.held: Deferred[int] | None = None

    def run(self, work: partial[int]) -> Deferred[int]:
        """Delete what there is."""
        name = work.func.__name__
        self.asked.append(name)
        if self.held is not None:
            return self.held
        if self.error is not None:
            return fail(self.error)
        gone = min(self.left.get(name, 0), BATCH_ROWS)
        self.left[name] = self.left.get(name, 0) - gone
        return succeed(gone)


class PrunerTests(SynchronousTestCase):
    """Rounds, by two clocks."""

    def setUp(self) -> None:
        self.reactor = Clock()
        self.wall = at("2026-11-22T12:00:00")
        self.database = Database()
        self.asked = self.database.asked
        values = SimpleNamespace(statistics_days=400, viewer_log_days=30)
        preferences = SimpleNamespace(values=values)
        self.pruner = Pruner(self.reactor, self.database, preferences, self.wall)

    def advance(self, seconds: float) -> None:
        """Let time pass, and look every ten seconds."""
        end = self.reactor.seconds() + seconds
        while self.reactor.seconds() < end:
            self.reactor.advance(1.0)
            self.wall += 1.0
            if self.reactor.seconds() % 10 == 0:
                self.pruner.look(self.wall)

    def test_rounds(self) -> None:
        """After ten minutes, and then each hour, everything is looked through once."""
        self.advance(SETTLED_SECONDS - 1)
        self.assertEqual(self.asked, [])
        self.advance(1)
        once = ["prune_days", *["prune_points"] * 3, "prune_viewers"]
        self.assertEqual(self.asked, once)
        self.advance(INTERVAL_SECONDS - 10)
        self.assertEqual(self.asked, once)
        self.advance(10)
        self.assertEqual(self.asked, once * 2)

    def test_batches(self) -> None:
        """A million rows go a thousand at a time, one batch each second."""
        self.database.left["prune_viewers"] = 10 * BATCH_ROWS + 5
        self.advance(SETTLED_SECONDS)
        self.assertEqual(self.asked.count("prune_viewers"), 1)
        self.advance(9)
        self.assertEqual(self.asked.count("prune_viewers"), 10)
        self.advance(60)
        self.assertEqual(self.asked.count("prune_viewers"), 11)
        self.assertEqual(self.database.left["prune_viewers"], 0)

    def test_clock_is_set(self) -> None:
        """G-RS-05: a clock that leaps ahead deletes nothing, and ends a round that goes on."""
        self.advance(300)
        self.wall += 20 * 365 * 86_400
        self.advance(SETTLED_SECONDS - 10)
        self.assertEqual(self.asked, [])
        self.wall -= 20 * 365 * 86_400
        self.advance(SETTLED_SECONDS - 20)
        self.assertEqual(self.asked, [])
        self.database.left["prune_days"] = 100 * BATCH_ROWS
        self.advance(40)
        self.assertIn("prune_days", self.asked)
        self.wall += 86_400.0
        self.advance(10)
        count = len(self.asked)
        self.advance(60)
        self.assertEqual(len(self.asked), count)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_failure(self) -> None:
        """While the database fails it is said once an hour, and tried again."""
        self.database.error = StoreError("the disk is full")
        self.advance(SETTLED_SECONDS)
        self.assertEqual(self.asked, ["prune_days"])
        self.database.error = None
        self.advance(INTERVAL_SECONDS)
        self.assertEqual(len(self.asked), 6)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_bug(self) -> None:
        """A bug is told with its traceback, and the next round comes all the same."""
        self.database.error = ZeroDivisionError()
        self.advance(SETTLED_SECONDS)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.database.error = None
        self.advance(INTERVAL_SECONDS)
        self.assertEqual(len(self.asked), 6)

    def test_stop(self) -> None:
        """A stop ends a round, also one that waits for the database."""
        self.pruner.stop()
        self.database.held = Deferred()
        self.advance(SETTLED_SECONDS)
        self.assertEqual(self.asked, ["prune_days"])
        self.pruner.stop()
        self.pruner.stop()
        self.advance(60)
        self.assertEqual(self.asked, ["prune_days"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
