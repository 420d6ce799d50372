"""Tests of ntvmedia.access.registry: changes that were committed, and not answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from ntvmedia.access import BUILT_IN, Applications, NameInUse, NoApplication
from ntvmedia.events import ApplicationChanged
from ntvmedia.store import RETRY_SECONDS, ApplicationRow, StoreError, delete_application
from tests.access.registries import RegistryCase, overwrite

LOST = "the connection to the database is lost"


class DoubtTests(RegistryCase):
    """Memory and database are the same again, whatever the database said."""

    def lose(self, changing: Callable[[], Deferred[Any]]) -> None:
        """Have a change committed whose answer is lost, with nothing read after it."""
        self.heard.clear()
        self.store.at_once = False
        self.store.lost = StoreError(LOST)
        before = dict(self.applications)
        changed = changing()
        self.store.step()
        self.assertEqual(str(self.failureResultOf(changed, StoreError).value), LOST)
        self.assertEqual(dict(self.applications), before)
        self.assertEqual(self.heard, [])

    def same(self) -> None:
        """Memory is what a server that starts now has, the times too."""
        now = self.make()
        self.assertEqual(dict(self.applications), dict(now))
        for name in now:
            self.assertEqual(self.applications.times(name), now.times(name))

    def test_lost_answer(self) -> None:
        """What was committed and not answered is found at once, and everybody told."""
        changes: list[tuple[Callable[[], Deferred[Any]], list[tuple[str, str | None]]]] = [
            (lambda: self.applications.add("one", {"signed": True}), [("one", "one")]),
            (lambda: self.applications.change("one", {"signed": False}), [("one", "one")]),
            (
                lambda: self.applications.change("one", {"name": "two"}),
                [("one", None), ("two", "two")],
            ),
            (lambda: self.applications.remove("two"), [("two", None)]),
        ]
        for number, (change, events) in enumerate(changes):
            self.now += 1
            self.lose(change)
            self.assertNotEqual(dict(self.applications), dict(self.make()), number)
            self.assertEqual(self.store.waiting, 1)
            self.store.step()
            self.assertEqual(self.heard, events)
            self.same()
            self.assertEqual((self.store.waiting, self.clock.getDelayedCalls()), (0, []))

    def test_told_when_all_is_known(self) -> None:
        """Who is told of one name finds all names as they are."""
        self.add("one")
        known: list[set[str]] = []
        self.bus.subscribe(
            ApplicationChanged, lambda _event: known.append(set(self.applications) - set(BUILT_IN))
        )
        self.lose(lambda: self.applications.change("one", {"name": "two"}))
        self.store.step()
        self.assertEqual(known, [{"two"}, {"two"}])

    def test_lost_and_changes_wait(self) -> None:
        """Changes that wait already are made, in order, on what the database has."""
        self.add("one")
        self.heard.clear()
        self.store.at_once = False
        self.store.lost = StoreError(LOST)
        renaming = self.applications.change("one", {"name": "two"})
        changes: list[Deferred[Any]] = [
            self.applications.change("one", {"signed": True}),
            self.applications.add("two", {}),
            self.applications.change("two", {"signed": True}),
            self.applications.add("one", {}),
        ]
        self.store.step()
        self.failureResultOf(renaming, StoreError)
        while self.store.waiting:
            self.assertEqual(self.store.waiting, 1)
            self.store.step()
            self.same()
        self.failureResultOf(changes[0], NoApplication)
        self.failureResultOf(changes[1], NameInUse)
        self.assertTrue(self.successResultOf(changes[2]).signed)
        self.successResultOf(changes[3])
        self.assertEqual(
            self.heard, [("one", None), ("two", "two"), ("two", "two"), ("one", "one")]
        )

    def test_read_fails_too(self) -> None:
        """While nothing can be read all stays as it is; the clock has it tried again."""
        self.add("one")
        self.lose(lambda: self.applications.remove("one"))
        self.store.problem = StoreError("the database is starting up")
        self.store.step()
        adding = self.applications.add("two", {})
        self.store.step()
        text = str(self.failureResultOf(adding, StoreError).value)
        self.assertEqual(text, "the database is starting up")
        for _ in range(3):
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(RETRY_SECONDS - 1.0)
            self.assertEqual(self.store.waiting, 0)
            self.clock.advance(1.0)
            self.store.step()
            self.assertIn("one", self.applications)
            self.assertEqual(self.heard, [])
        # An hour without a database is not an hour of lines.
        self.assertEqual(sum("cannot be read" in line for line in self.logged), 1)
        self.store.problem = None
        self.clock.advance(RETRY_SECONDS)
        self.store.step()
        self.assertEqual(self.heard, [("one", None)])
        self.same()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_change_reads_before_the_clock(self) -> None:
        """A change that comes before the next try reads itself; the try then has nothing to do."""
        self.lose(lambda: self.applications.add("one", {}))
        self.store.problem = StoreError(LOST)
        self.store.step()
        self.store.problem = None
        removing = self.applications.remove("one")
        self.store.step()
        self.assertEqual(self.heard, [("one", "one")])
        self.store.step()
        self.successResultOf(removing)
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual((self.store.waiting, self.clock.getDelayedCalls()), (0, []))
        self.assertEqual(self.heard, [("one", "one"), ("one", None)])
        self.same()
        # It is ready for the next one.
        self.lose(lambda: self.applications.add("one", {}))
        self.store.step()
        self.assertEqual(self.heard, [("one", "one")])

    def test_without_a_clock(self) -> None:
        """Where there is no reactor one read is tried, and then the next change reads."""
        self.applications = Applications(self.store, self.bus, lambda: self.now)
        self.applications.load()
        for name in ("one", "two"):
            self.lose(lambda name=name: self.applications.add(name, {}))  # type: ignore[misc]
            self.store.problem = StoreError(LOST)
            self.store.step()
            self.assertEqual((self.store.waiting, self.heard), (0, []))
            self.store.problem = None
            changing = self.applications.change(name, {"signed": True})
            self.store.step()
            self.store.step()
            self.assertTrue(self.successResultOf(changing).signed)
            self.assertEqual(self.heard, [(name, name), (name, name)])
            self.same()

    def test_nothing_was_lost(self) -> None:
        """What was undone after all is no event; nor is a refusal of the database a doubt."""
        self.add("one")
        self.heard.clear()
        self.store.at_once = False
        self.store.problem = StoreError(LOST)
        changing = self.applications.change("one", {"signed": True})
        self.store.step()
        self.failureResultOf(changing, StoreError)
        self.store.problem = None
        self.assertEqual(self.store.waiting, 1)
        self.store.step()
        self.assertEqual(self.heard, [])
        self.same()
        other = self.make()
        self.store.at_once = True
        self.successResultOf(other.add("two", {}))
        self.heard.clear()
        self.store.at_once = False
        adding = self.applications.add("two", {})
        self.store.step()
        self.failureResultOf(adding, NameInUse)
        self.assertEqual((self.store.waiting, self.heard), (0, []))

    def test_bug(self) -> None:
        """A bug while a change is written leaves as much doubt: the next change reads first."""
        self.store.lost = ZeroDivisionError()
        self.failureResultOf(self.applications.add("one", {}), ZeroDivisionError)
        self.assertEqual((self.heard, "one" in self.applications), ([], False))
        self.failureResultOf(self.applications.add("one", {}), NameInUse)
        self.assertEqual(self.heard, [("one", "one")])

    def test_bug_of_the_read(self) -> None:
        """A read that fails for a bug has a traceback, once, and is tried again too."""
        self.lose(lambda: self.applications.add("one", {}))
        self.store.problem = ZeroDivisionError()
        self.store.step()
        self.clock.advance(RETRY_SECONDS)
        self.store.step()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.store.problem = None
        self.clock.advance(RETRY_SECONDS)
        self.store.step()
        self.same()

    def test_client_hangs_up_in_doubt(self) -> None:
        """Who asked may leave during the read: it is finished, and so is the change."""
        self.lose(lambda: self.applications.add("one", {}))
        adding = self.applications.add("two", {})
        adding.cancel()
        self.failureResultOf(adding, CancelledError)
        while self.store.waiting:
            self.store.step()
        self.assertEqual(self.applications.keys(), {*BUILT_IN, "one", "two"})
        self.same()

    def test_not_understood_any_more(self) -> None:
        """What cannot be understood when it is read again is gone, not as it was."""
        self.add("a")
        bad = ApplicationRow(**{**self.store.rows()["a"].__dict__, "type": "hologram"})
        self.store.run_now(lambda connection: overwrite(connection, bad))
        self.store.run_now(lambda connection: delete_application(connection, "tv"))
        self.heard.clear()
        self.failureResultOf(self.applications.change("tv", {"signed": True}), StoreError)
        self.assertEqual(self.heard, [("tv", None), ("a", None)])
        self.same()
