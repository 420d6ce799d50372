"""Tests of ntvmedia.store.changes: turns, commits, doubts, and the read at the start."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.errors import ConfigError, Refused
from ntvmedia.store import RETRY_SECONDS, Changes, Duplicate, StoreError

AWAY = StoreError("the database is shutting down or starting up")
LOST = StoreError("the connection to the database is lost")


class HeldDatabase:
    """A table of labels by name, whose transactions happen when the test says so.

    Attributes:
        rows: What is committed.
        waiting: Transactions that have not begun.
        at_once: Do them when they are asked for.
        problem: What all transactions fail with, after they were undone.
        lost: What the next one fails with, after it was committed.
    """

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.waiting: list[tuple[Callable[[Any], Any], Deferred[Any]]] = []
        self.at_once = True
        self.problem: Exception | None = None
        self.lost: Exception | None = None

    def run(self, work: Callable[[Any], Any]) -> Deferred[Any]:
        """Put the work in the queue."""
        answer: Deferred[Any] = Deferred()
        self.waiting.append((work, answer))
        if self.at_once:
            self.step()
        return answer

    def run_now(self, work: Callable[[Any], Any]) -> Any:
        """Do it."""
        rows = dict(self.rows)
        result = work(rows)
        if self.problem is not None:
            raise self.problem
        self.rows = rows
        return result

    def step(self) -> None:
        """Do the oldest transaction."""
        work, answer = self.waiting.pop(0)
        try:
            result = self.run_now(work)
            lost, self.lost = self.lost, None
            if lost is not None:
                raise lost
        except Exception:
            answer.errback(Failure())
        else:
            answer.callback(result)


class Shelves:
    """A registry as a registry is written.

    Attributes:
        labels: What it has, by name.
        heard: What it had when it told of a change.
    """

    def __init__(self, database: HeldDatabase, reactor: Any, *, at_once: bool = True) -> None:
        self.labels: dict[str, str] = {}
        self.heard: list[dict[str, str]] = []
        self._changes = Changes(
            "shelves", database, dict, self._read_again, reactor, at_once=at_once
        )

    def load(self) -> None:
        """Read all."""
        self.labels = self._changes.load()

    def add(self, name: str, label: str) -> Deferred[int]:
        """Add a shelf; returns how many the database has then."""
        return self._changes.in_turn(partial(self._add, name, label))

    def remove(self, name: str) -> Deferred[None]:
        """Remove one."""
        return self._changes.in_turn(partial(self._remove, name))

    async def _add(self, name: str, label: str) -> int:
        if name in self.labels:
            raise Refused(f"there is {name} already")

        def work(rows: dict[str, str]) -> int:
            if name in rows:
                raise Duplicate("the database has it already")
            rows[name] = label
            return len(rows)

        count = await self._changes.commit(work, f"shelf {name}")
        self.labels[name] = label
        self._tell()
        return count

    async def _remove(self, name: str) -> None:
        def work(rows: dict[str, str]) -> None:
            if rows.pop(name, None) is None:
                raise StoreError("the database has it no more")

        await self._changes.commit(work)
        del self.labels[name]
        self._tell()

    def _read_again(self, rows: dict[str, str]) -> None:
        if "?" in rows.values():
            raise StoreError("a shelf is not understood")
        before, self.labels = self.labels, rows
        if self.labels != before:
            self._tell()

    def _tell(self) -> None:
        self.heard.append(dict(self.labels))


class ChangesCase(SynchronousTestCase):
    """Has a database with one row, and a registry that read it."""

    def setUp(self) -> None:
        self.database = HeldDatabase()
        self.database.rows["a"] = "A"
        self.clock = Clock()
        self.shelves = self.make()
        self.logged: list[str] = []
        observer: Any = self.log
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def log(self, event: LogEvent) -> None:
        """Keep what is logged."""
        self.logged.append(formatEvent(event))

    def make(self, *, at_once: bool = True) -> Shelves:
        """Return the registry of a server that starts now."""
        shelves = Shelves(self.database, self.clock, at_once=at_once)
        shelves.load()
        return shelves

    def lines(self, text: str) -> int:
        """Return how many lines of the log have a text."""
        return sum(text in line for line in self.logged)

    def is_quiet(self) -> bool:
        """Say whether nothing waits, for the database or for the clock."""
        return not self.database.waiting and not self.clock.getDelayedCalls()


class LoadTests(ChangesCase):
    """The read at the start."""

    def test_load(self) -> None:
        """A registry has what the database has, and tells nobody: nobody knew otherwise."""
        self.assertEqual((self.shelves.labels, self.shelves.heard), ({"a": "A"}, []))

    def test_database_away(self) -> None:
        """A database that cannot be read ends the start with what to mend; what is here stays."""
        self.database.problem = AWAY
        with self.assertRaisesRegex(ConfigError, f"^database: {AWAY}$") as caught:
            self.shelves.load()
        self.assertEqual(caught.exception.path, ("database",))
        self.assertEqual(self.shelves.labels, {"a": "A"})
        self.assertTrue(self.is_quiet())
        self.database.problem = None
        self.database.rows["b"] = "B"
        self.shelves.load()
        self.assertEqual(self.shelves.labels, {"a": "A", "b": "B"})

    def test_bug(self) -> None:
        """A bug is none that an operator can mend."""
        self.database.problem = ZeroDivisionError()
        with self.assertRaises(ZeroDivisionError):
            self.shelves.load()


class TurnTests(ChangesCase):
    """One after the other, and committed before it counts."""

    def test_in_order(self) -> None:
        """A change begins when the one before has ended, and finds what that left."""
        self.database.at_once = False
        adding = [self.shelves.add(name, name.upper()) for name in "bcb"]
        counts: list[int] = []
        for name in "bc":
            self.assertEqual(len(self.database.waiting), 1)
            self.assertNotIn(name, self.shelves.labels)
            self.database.step()
            self.assertIn(name, self.shelves.labels)
            counts.append(self.successResultOf(adding[len(counts)]))
        self.assertEqual(counts, [2, 3])
        # The third was refused without asking the database.
        self.failureResultOf(adding[2], Refused)
        self.assertEqual([len(heard) for heard in self.shelves.heard], [2, 3])
        self.assertEqual(self.shelves.labels, self.database.rows)
        self.assertTrue(self.is_quiet())

    def test_failures_end_a_turn(self) -> None:
        """A change that is refused, or not begun, holds up nobody."""
        self.database.at_once = False
        self.failureResultOf(self.shelves.add("a", "x"), Refused)
        adding = self.shelves.add("b", "B")
        self.database.step()
        self.successResultOf(adding)

    def test_duplicate(self) -> None:
        """A row that is there already is no doubt: the database has answered."""
        self.database.rows["b"] = "other"
        self.failureResultOf(self.shelves.add("b", "B"), Duplicate)
        self.assertEqual((self.shelves.labels, self.shelves.heard), ({"a": "A"}, []))
        self.assertEqual(self.logged, [])
        self.assertTrue(self.is_quiet())

    def test_caller_leaves(self) -> None:
        """A client that hangs up, in its turn or before it, leaves no change half done."""
        self.database.at_once = False
        changes = [self.shelves.add(name, name.upper()) for name in "bc"]
        for change in changes:
            change.cancel()
            self.failureResultOf(change, CancelledError)
        third = self.shelves.add("d", "D")
        for _ in "bcd":
            self.database.step()
        self.successResultOf(third)
        self.assertEqual(list(self.shelves.labels), list("abcd"))
        self.assertEqual(self.shelves.labels, self.database.rows)


class DoubtTests(ChangesCase):
    """A commit that fails may have been made all the same."""

    def lose(self, changing: Callable[[], Deferred[Any]]) -> None:
        """Have a change committed whose answer is lost, with nothing read after it."""
        self.database.at_once = False
        self.database.lost = LOST
        before, heard = dict(self.shelves.labels), list(self.shelves.heard)
        changed = changing()
        self.database.step()
        self.assertIs(self.failureResultOf(changed, StoreError).value, LOST)
        self.assertEqual((self.shelves.labels, self.shelves.heard), (before, heard))

    def test_answer_lost(self) -> None:
        """All is read again at once, has what was committed, and tells of it."""
        self.lose(lambda: self.shelves.add("b", "B"))
        self.assertEqual(self.lines(f"the change of shelf b is not saved: {LOST}"), 1)
        self.assertEqual(len(self.database.waiting), 1)
        self.database.step()
        self.assertEqual(self.shelves.heard, [{"a": "A", "b": "B"}])
        self.lose(lambda: self.shelves.remove("a"))
        self.assertEqual(self.lines("the change of shelves is not saved"), 1)
        self.database.step()
        self.assertEqual(self.shelves.heard[1:], [{"b": "B"}])
        self.assertTrue(self.is_quiet())

    def test_nothing_was_committed(self) -> None:
        """A change that was undone after all is no event; the next one is made."""
        self.database.problem = AWAY
        self.failureResultOf(self.shelves.add("b", "B"), StoreError)
        self.database.problem = None
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual((self.shelves.labels, self.shelves.heard), ({"a": "A"}, []))
        self.assertTrue(self.is_quiet())
        self.assertEqual(self.successResultOf(self.shelves.add("b", "B")), 2)

    def test_another_program(self) -> None:
        """What the database has no more is found out, and gone here too."""
        del self.database.rows["a"]
        self.failureResultOf(self.shelves.remove("a"), StoreError)
        self.assertEqual((self.shelves.labels, self.shelves.heard), ({}, [{}]))

    def test_changes_wait(self) -> None:
        """Changes that wait already are made before the read in the background, but on one."""
        self.database.at_once = False
        self.database.lost = LOST
        lost = self.shelves.add("b", "B")
        again, other = self.shelves.add("b", "B"), self.shelves.add("c", "C")
        self.database.step()
        self.failureResultOf(lost, StoreError)
        self.assertNoResult(again)
        self.database.step()
        self.failureResultOf(again, Refused)
        self.database.step()
        self.successResultOf(other)
        found = {"a": "A", "b": "B"}
        self.assertEqual(self.shelves.heard, [found, {**found, "c": "C"}])
        self.assertTrue(self.is_quiet())

    def test_database_away(self) -> None:
        """While nothing can be read nothing is changed; the clock has it tried, in few lines."""
        self.lose(lambda: self.shelves.add("b", "B"))
        self.database.problem = AWAY
        self.database.at_once = True
        self.database.step()
        for _ in range(3):
            self.assertIs(self.failureResultOf(self.shelves.remove("a"), StoreError).value, AWAY)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(RETRY_SECONDS)
            self.assertEqual((self.shelves.labels, self.shelves.heard), ({"a": "A"}, []))
        self.assertEqual(self.lines(f"shelves cannot be read: {AWAY}"), 1)
        self.assertEqual(self.lines(f"shelves is not made, for want of a read: {AWAY}"), 3)
        self.assertEqual(list(self.database.rows), ["a", "b"])
        self.database.problem = None
        self.clock.advance(RETRY_SECONDS - 0.001)
        self.assertEqual(self.shelves.heard, [])
        self.clock.advance(0.001)
        self.assertEqual(self.shelves.heard, [{"a": "A", "b": "B"}])
        self.assertTrue(self.is_quiet())
        # The next time is told again.
        self.lose(lambda: self.shelves.remove("a"))
        self.database.problem = AWAY
        self.database.step()
        self.assertEqual(self.lines("shelves cannot be read"), 2)

    def test_change_reads_before_the_clock(self) -> None:
        """A change that comes before the next try reads itself; the try has nothing to do then."""
        self.lose(lambda: self.shelves.add("b", "B"))
        self.database.problem = AWAY
        self.database.step()
        self.database.problem = None
        removing = self.shelves.remove("b")
        self.database.step()
        self.assertEqual(self.shelves.heard, [{"a": "A", "b": "B"}])
        self.database.step()
        self.successResultOf(removing)
        self.clock.advance(RETRY_SECONDS)
        self.assertTrue(self.is_quiet())
        self.assertEqual(self.shelves.heard[1:], [{"a": "A"}])

    def test_later(self) -> None:
        """Where it need not be at once, the first read in the background is after a while."""
        self.shelves = self.make(at_once=False)
        self.lose(lambda: self.shelves.add("b", "B"))
        self.clock.advance(RETRY_SECONDS - 0.001)
        self.assertEqual(self.database.waiting, [])
        self.clock.advance(0.001)
        self.database.step()
        self.assertEqual(self.shelves.heard, [{"a": "A", "b": "B"}])
        self.assertTrue(self.is_quiet())

    def test_without_a_clock(self) -> None:
        """Where there is no reactor one read is tried, and then the next change reads."""
        self.shelves = Shelves(self.database, None)
        self.shelves.load()
        for name in "bc":
            self.lose(lambda name=name: self.shelves.add(name, "x"))  # type: ignore[misc]
            self.database.problem = AWAY
            self.database.step()
            self.database.problem = None
            self.assertEqual(self.database.waiting, [])
            self.assertNotIn(name, self.shelves.labels)
            removing = self.shelves.remove(name)
            self.database.step()
            self.assertIn(name, self.shelves.labels)
            self.database.step()
            self.successResultOf(removing)
        self.assertEqual(self.lines("shelves cannot be read"), 2)

    def test_bug_of_a_commit(self) -> None:
        """A bug leaves as much doubt, which is not met again unasked: the next change reads."""
        self.database.lost = ZeroDivisionError()
        self.failureResultOf(self.shelves.add("b", "B"), ZeroDivisionError)
        self.assertTrue(self.is_quiet())
        self.assertEqual(self.shelves.heard, [])
        self.failureResultOf(self.shelves.add("b", "B"), Refused)
        self.assertEqual(self.shelves.heard, [{"a": "A", "b": "B"}])

    def test_bug_of_a_read(self) -> None:
        """A read that fails for a bug has a traceback, once, and is tried again too."""
        self.lose(lambda: self.shelves.add("b", "B"))
        self.database.at_once = True
        self.database.problem = ZeroDivisionError()
        self.database.step()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.database.problem = None
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.shelves.heard, [{"a": "A", "b": "B"}])

    def test_not_understood(self) -> None:
        """What the registry does not understand it has not; it stays in doubt until it does."""
        self.lose(lambda: self.shelves.add("b", "B"))
        self.database.at_once = True
        self.database.rows["b"] = "?"
        self.database.step()
        text = str(self.failureResultOf(self.shelves.remove("a"), StoreError).value)
        self.assertEqual(text, "a shelf is not understood")
        self.assertEqual(self.shelves.labels, {"a": "A"})
        self.database.rows["b"] = "C"
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.shelves.labels, {"a": "A", "b": "C"})
        self.assertTrue(self.is_quiet())

    def test_caller_leaves_in_doubt(self) -> None:
        """Who asked may leave during the read: it is finished, and so is the change."""
        self.lose(lambda: self.shelves.add("b", "B"))
        adding = self.shelves.add("c", "C")
        adding.cancel()
        self.failureResultOf(adding, CancelledError)
        while self.database.waiting:
            self.database.step()
        self.assertEqual(list(self.shelves.labels), ["a", "b", "c"])
        self.assertEqual(self.shelves.labels, self.database.rows)

    def test_one_read_for_many(self) -> None:
        """Doubt on doubt makes no second round of tries."""
        self.database.problem = AWAY
        self.failureResultOf(self.shelves.add("b", "B"), StoreError)
        self.database.problem = None
        # Its own read settles the first doubt; then its commit is the next.
        self.database.at_once = False
        adding = self.shelves.add("b", "B")
        self.database.step()
        self.database.lost = LOST
        self.database.step()
        self.failureResultOf(adding, StoreError)
        self.assertEqual((self.database.waiting, len(self.clock.getDelayedCalls())), ([], 1))
        self.clock.advance(RETRY_SECONDS)
        self.database.step()
        self.assertEqual(self.shelves.labels, {"a": "A", "b": "B"})
        self.assertTrue(self.is_quiet())
