"""Tests of ntvmedia.labels.registry: labels are kept, in memory and in the database."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Applications
from ntvmedia.errors import ConfigError
from ntvmedia.events import EventBus
from ntvmedia.labels import Labels, WrongLabel, registry
from ntvmedia.labels.texts import TooManyLabels
from ntvmedia.media import StreamKey
from ntvmedia.store import RETRY_SECONDS, StoreError, list_stream_labels
from tests.store.slow import SlowStore

KEY = StreamKey("studio", "a")


class LabelTests(SynchronousTestCase):
    """A registry on a real database."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.store = SlowStore(Path(folder.name))
        self.events = EventBus()
        self.clock = Clock()
        self.labels = Labels(self.store, self.events, self.clock)
        self.labels.load()

    def kept(self) -> dict[StreamKey, str]:
        """Return what the database has."""
        rows = self.store.run_now(list_stream_labels)
        return {StreamKey(row.application, row.stream): row.label for row in rows}

    def give(self, text: str, key: StreamKey = KEY) -> Any:
        """Give a label; returns what came of it."""
        return self.successResultOf(self.labels.give(key, text))

    def test_life(self) -> None:
        """Given, changed, taken away; the same after a restart."""
        self.assertEqual(self.labels.of(KEY), "")
        self.assertEqual(self.give(" One "), "One")
        self.assertEqual(self.give("Two"), "Two")
        self.give("Other", StreamKey("studio", "b"))
        self.assertEqual((self.labels.of(KEY), len(self.labels)), ("Two", 2))
        again = Labels(self.store, EventBus())
        again.load()
        self.assertEqual(again.of(KEY), "Two")
        self.assertEqual(self.give(""), "")
        self.assertEqual(self.kept(), {StreamKey("studio", "b"): "Other"})
        self.assertEqual(self.labels.of(KEY), "")

    def test_notes(self) -> None:
        """A note is called once, in the transaction of what really changes; or nothing is kept."""
        noted: list[Any] = []
        notes = lambda _connection, before, after: noted.append((before, after))  # noqa: E731
        self.successResultOf(self.labels.give(KEY, "One", notes))
        self.successResultOf(self.labels.give(KEY, "One", notes))
        self.assertEqual(noted, [({"label": ""}, {"label": "One"})])

        def broken(_connection: Any, _before: Any, _after: Any) -> None:
            raise StoreError("no room")

        self.failureResultOf(self.labels.give(KEY, "Two", broken), StoreError)
        self.assertEqual((self.kept()[KEY], self.labels.of(KEY)), ("One", "One"))

    def test_refusals(self) -> None:
        """A label that is none changes nothing; there are not more than there may be."""
        self.failureResultOf(self.labels.give(KEY, "a\nb"), WrongLabel)
        self.patch(registry, "MAX_LABELS", 1)
        self.give("One")
        self.give("Two")
        other = StreamKey("studio", "b")
        self.failureResultOf(self.labels.give(other, "x"), TooManyLabels)
        self.give("", other)
        self.assertEqual(self.kept(), {KEY: "Two"})

    def test_in_turn(self) -> None:
        """Changes follow one another, whoever hangs up meanwhile."""
        self.store.at_once = False
        first: Deferred[str] = self.labels.give(KEY, "One")
        second = self.labels.give(KEY, "Two")
        first.addErrback(lambda failure: None)
        first.cancel()
        self.assertEqual(self.store.waiting, 1)
        self.store.step()
        self.assertEqual(self.labels.of(KEY), "One")
        self.store.step()
        self.assertEqual(self.successResultOf(second), "Two")

    def test_failed_write(self) -> None:
        """What is not kept is not here."""
        self.store.problem = StoreError("the disk of the database is full")
        self.failureResultOf(self.labels.give(KEY, "One"), StoreError)
        self.assertEqual(self.labels.of(KEY), "")
        self.failureResultOf(self.labels.give(KEY, "Two"), StoreError)
        self.store.problem = None
        self.assertEqual(self.give("Three"), "Three")

    def test_lost_answer(self) -> None:
        """A write whose answer was lost is found in the background, when the database answers."""
        self.store.lost = StoreError("the connection to the database is lost")
        self.failureResultOf(self.labels.give(KEY, "One"), StoreError)
        self.assertEqual(self.labels.of(KEY), "")
        self.store.problem = StoreError("the database is shutting down or starting up")
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.labels.of(KEY), "")
        self.store.problem = None
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.labels.of(KEY), "One")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_applications(self) -> None:
        """Labels follow their application to another name, here and in the database, or go."""
        applications = Applications(self.store, self.events, self.clock.seconds)
        applications.load()
        self.successResultOf(applications.add("studio", {}))
        self.give("One")
        self.give("News", StreamKey("tv", "a"))
        self.successResultOf(applications.change("studio", {"name": "stage"}))
        moved = StreamKey("stage", "a")
        self.assertEqual((self.labels.of(KEY), self.labels.of(moved)), ("", "One"))
        self.assertEqual(self.kept()[moved], "One")
        self.successResultOf(applications.change("stage", {"enabled": False}))
        self.assertEqual(self.labels.of(moved), "One")
        self.successResultOf(applications.remove("stage"))
        self.assertEqual(self.kept(), {StreamKey("tv", "a"): "News"})
        self.assertEqual((self.labels.of(moved), len(self.labels)), ("", 1))

    def test_application_goes_meanwhile(self) -> None:
        """A label that is taken away while its application goes is no bug."""
        applications = Applications(self.store, self.events, self.clock.seconds)
        applications.load()
        self.successResultOf(applications.add("studio", {}))
        self.give("One")
        self.store.at_once = False
        taken = self.labels.give(KEY, "")
        removed = applications.remove("studio")
        while self.store.waiting:
            self.store.step()
        self.successResultOf(removed)
        self.assertEqual(self.successResultOf(taken), "")
        self.assertEqual(len(self.labels), 0)

    def test_broken_database(self) -> None:
        """At the start, a database that cannot be read ends it with what to mend."""
        self.store.problem = StoreError("the database file is broken")
        with self.assertRaisesRegex(ConfigError, "database: the database file is broken"):
            self.labels.load()
