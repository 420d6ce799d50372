"""Preferences hold at once, are kept for good, and are known again after a doubt."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.errors import ConfigError
from ntvmedia.events import EventBus, PreferencesChanged
from ntvmedia.preferences import Preferences, Values, WrongPreference
from ntvmedia.store import RETRY_SECONDS, StoreError, list_preferences, write_preferences
from tests.store.slow import SlowStore


class PreferencesTests(SynchronousTestCase):
    """The registry, on a real database."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.store = SlowStore(Path(folder.name))
        self.events = EventBus()
        self.clock = Clock()
        self.heard: list[int] = []
        self.events.subscribe(PreferencesChanged, self.changed)
        self.preferences = self.make()

    def changed(self, _event: PreferencesChanged) -> None:
        """Note what held when it was told."""
        self.heard.append(self.preferences.values.max_players)

    def make(self) -> Preferences:
        """Return what a server that starts now has."""
        made = Preferences(self.store, self.events, lambda: 0.0, self.clock)
        made.load()
        return made

    def change(self, **fields: Any) -> Deferred[Values]:
        """Change some."""
        return self.preferences.change(fields)

    def kept(self) -> dict[str, Any]:
        """Return what the database has."""
        found: dict[str, Any] = self.store.run_now(list_preferences)
        return found

    def test_changed(self) -> None:
        """It is in the database, here, and told, in this order; and after a restart."""
        values = self.successResultOf(self.change(max_players=5, trusted_proxies=["10.0.0.0/8"]))
        self.assertEqual((values.max_players, self.heard), (5, [5]))
        self.assertEqual(self.kept(), {"max_players": 5, "trusted_proxies": ["10.0.0.0/8"]})
        self.assertEqual(self.make().values, values)

    def test_not_before_it_is_kept(self) -> None:
        """While the database works, the old value holds."""
        self.store.at_once = False
        done = self.change(max_players=5)
        self.assertEqual(self.preferences.values.max_players, 0)
        self.assertNoResult(done)
        self.store.step()
        self.assertEqual(self.successResultOf(done).max_players, 5)

    def test_one_after_the_other(self) -> None:
        """Changes that come together do not undo one another."""
        self.store.at_once = False
        changes = [self.change(max_players=5), self.change(max_publishers=6)]
        self.store.step()
        self.store.step()
        for change in changes:
            self.successResultOf(change)
        values = self.make().values
        self.assertEqual((values.max_players, values.max_publishers), (5, 6))

    def test_cancelled(self) -> None:
        """A client that hangs up leaves the change whole."""
        self.store.at_once = False
        self.change(max_players=5).addErrback(lambda _failure: None).cancel()
        self.store.step()
        self.assertEqual((self.preferences.values.max_players, self.heard), (5, [5]))

    def test_the_same(self) -> None:
        """What changes nothing is no change: not noted, not told."""
        noted: list[Any] = []
        self.successResultOf(
            self.preferences.change({"max_players": 0}, lambda *x: noted.append(x))
        )
        self.assertEqual((self.heard, noted, self.kept()), ([], [], {}))

    def test_noted(self) -> None:
        """The note is made in the same transaction, with what was and what is."""
        noted: list[Any] = []

        def note(_connection: Any, before: Any, after: Any) -> None:
            noted.append((before["max_players"], after["max_players"]))

        self.successResultOf(self.preferences.change({"max_players": 5}, note))
        self.assertEqual(noted, [(0, 5)])

        def fail(*_arguments: Any) -> None:
            raise StoreError("the disk is full")

        self.failureResultOf(self.preferences.change({"max_players": 6}, fail), StoreError)
        self.assertEqual(self.kept(), {"max_players": 5})

    def test_wrong(self) -> None:
        """Nothing of a change with a mistake is kept."""
        self.failureResultOf(self.change(max_players=5, max_publishers=-1), WrongPreference)
        self.assertEqual((self.kept(), self.heard), ({}, []))

    def test_answer_lost(self) -> None:
        """A write whose answer was lost is found when the database is read again."""
        self.store.lost = StoreError("the connection broke")
        self.failureResultOf(self.change(max_players=5), StoreError)
        self.assertEqual((self.preferences.values.max_players, self.heard), (0, []))
        self.store.problem = StoreError("it is down")
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.heard, [])
        self.store.problem = None
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual((self.preferences.values.max_players, self.heard), (5, [5]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_settled_before_the_next(self) -> None:
        """The next change begins with what the database has."""
        self.store.lost = StoreError("the connection broke")
        self.failureResultOf(self.change(max_players=5), StoreError)
        values = self.successResultOf(self.change(max_publishers=6))
        self.assertEqual((values.max_players, values.max_publishers), (5, 6))

    def test_unknown_values(self) -> None:
        """What a newer version wrote, or a hand, is left out, and the rest is used."""
        rows = {"max_players": 5, "max_publishers": "many", "of_next_year": 1}
        self.store.run_now(lambda connection: write_preferences(connection, rows))
        self.assertEqual(self.make().values, Values(max_players=5))

    def test_no_database(self) -> None:
        """The start fails with one line."""
        self.store.problem = StoreError("it is down")
        with self.assertRaises(ConfigError):
            self.make()
