"""Tests of ntvmedia.callbacks.registry and service: changes, doubts, starts and stops."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from twisted.internet.defer import CancelledError

from ntvmedia.access.refusals import WrongField
from ntvmedia.callbacks import registry
from ntvmedia.callbacks.refusals import NoCallback, TooManyCallbacks
from ntvmedia.callbacks.registry import CallbackRegistry
from ntvmedia.errors import ConfigError
from ntvmedia.events import ServerStarted, ServerStopping, StreamIdle, StreamWanted
from ntvmedia.store import RETRY_SECONDS, StoreError, list_callbacks
from tests.callbacks.rig import KEY, NOW, FakeCase, application, request

NEW = {"name": "a", "url": "http://r/", "events": ["play"], "secret": "topsecret"}


class RegistryTests(FakeCase):
    """Changes that are kept, or are not."""

    def setUp(self) -> None:
        super().setUp()
        self.noted: list[Any] = []

    def note(self, connection: Any, before: Any, after: Any) -> None:
        """Keep what is noted with a change."""
        self.assertTrue(connection.in_transaction())
        self.noted.append((before, after))

    def rows(self) -> list[Any]:
        """Return what the database has."""
        found: list[Any] = self.host.store.run_now(list_callbacks)
        return found

    def test_life(self) -> None:
        """A callback is made, changed and deleted, here and in the database, and each is noted."""
        all_ = self.callbacks.registry
        added = self.successResultOf(all_.add(NEW, self.note))
        self.assertEqual((all_[added.id], all_.find(added.id)), (added, added))
        self.assertEqual(all_.times(added.id), (NOW, NOW))
        self.clock.advance(5)
        changed = self.successResultOf(all_.change(added.id, {"name": "b"}, self.note))
        self.assertEqual(all_.times(added.id), (NOW, NOW + 5))
        self.assertEqual(list(all_.values()), [changed])
        (row,) = self.rows()
        self.assertEqual((row.name, row.secret), ("b", "topsecret"))
        self.successResultOf(all_.change(added.id, {"name": "b"}, self.note))  # nothing changes
        self.successResultOf(all_.remove(added.id, self.note))
        self.assertEqual((len(all_), self.rows()), (0, []))
        (none, first), (second, third), (fourth, gone) = self.noted
        self.assertEqual((none, gone), (None, None))
        self.assertEqual((first["name"], second["name"], third["name"]), ("a", "a", "b"))
        self.assertEqual(third, fourth)
        # F-AC-03.
        self.assertNotIn("topsecret", str(self.noted) + str(self.logged))

    def test_refused(self) -> None:
        """What is wrong changes nothing."""
        all_ = self.callbacks.registry
        self.failureResultOf(all_.add({**NEW, "url": "x"}), WrongField)
        self.failureResultOf(all_.add({"name": "a"}), WrongField)
        self.failureResultOf(all_.change("none", {}), NoCallback)
        self.failureResultOf(all_.remove("none"), NoCallback)
        with self.assertRaises(NoCallback):
            all_.find("none\n")
        with patch.object(registry, "MAX_CALLBACKS", 0):
            self.failureResultOf(all_.add(NEW), TooManyCallbacks)
        self.assertEqual(self.rows(), [])

    def test_note_fails(self) -> None:
        """A change that cannot be noted is not made."""

        def fail(*_values: object) -> None:
            raise StoreError("no room for it")

        self.failureResultOf(self.callbacks.registry.add(NEW, fail), StoreError)
        self.assertEqual((len(self.callbacks.registry), self.rows()), (0, []))

    def test_doubt(self) -> None:
        """After a write whose answer was lost the database is read again, and believed."""
        self.host.store.lost = StoreError("the connection is lost")
        self.failureResultOf(self.callbacks.registry.add(NEW), StoreError)
        self.assertEqual([x.name for x in self.callbacks.registry.values()], ["a"])

    def test_doubt_lasts(self) -> None:
        """While it cannot be read, it is tried again, and nothing is changed meanwhile."""
        self.host.store.problem = StoreError("gone")
        all_ = self.callbacks.registry
        self.failureResultOf(all_.add(NEW), StoreError)
        self.failureResultOf(all_.add(NEW), StoreError)
        self.clock.advance(RETRY_SECONDS)
        self.host.store.problem = None
        self.clock.advance(RETRY_SECONDS)
        self.successResultOf(all_.add(NEW))
        self.assertEqual([x for x in self.clock.getDelayedCalls() if x.active()], [])

    def test_removed_by_others(self) -> None:
        """A callback that the database has no more goes here too."""
        added = self.successResultOf(self.callbacks.registry.add(NEW))
        self.host.store.run_now(lambda x: x.exec_driver_sql("DELETE FROM callbacks"))
        self.failureResultOf(self.callbacks.registry.change(added.id, {"name": "b"}), StoreError)
        self.assertEqual(len(self.callbacks.registry), 0)

    def test_caller_leaves(self) -> None:
        """A client that hangs up does not leave a change half done."""
        self.host.store.at_once = False
        adding = self.callbacks.registry.add(NEW)
        adding.cancel()
        self.failureResultOf(adding, CancelledError)
        self.host.store.step()
        self.assertEqual(len(self.callbacks.registry), len(self.rows()))
        self.assertEqual(len(self.callbacks.registry), 1)

    def test_in_turn(self) -> None:
        """Changes follow one another."""
        added = self.successResultOf(self.callbacks.registry.add(NEW))
        self.host.store.at_once = False
        changes = [self.callbacks.registry.change(added.id, {"name": x}) for x in "xyz"]
        self.assertEqual(self.host.store.waiting, 1)
        for _step in range(3):
            self.host.store.step()
        self.assertEqual([self.successResultOf(x).name for x in changes], ["x", "y", "z"])

    def load(self) -> CallbackRegistry:
        """Return what a server that starts now has."""
        loaded = CallbackRegistry(
            self.host.store, self.now, self.host.random, lambda: None, self.clock
        )
        loaded.load()
        return loaded

    def test_not_understood(self) -> None:
        """One that is not understood is left out; one that decides ends the start (F-AC-10)."""
        self.successResultOf(self.callbacks.registry.add(NEW))
        self.host.store.run_now(lambda x: x.exec_driver_sql("UPDATE callbacks SET dialect='new'"))
        self.assertEqual(len(self.load()), 0)
        self.host.store.run_now(lambda x: x.exec_driver_sql("UPDATE callbacks SET decides=true"))
        with self.assertRaises(ConfigError):
            self.load()
        self.host.store.problem = StoreError("gone")
        with self.assertRaises(ConfigError):
            self.load()

    def test_secrets_in_the_log(self) -> None:
        """F-AC-03: neither an address nor a secret is in the log, whatever is done."""
        added = self.add(url="http://me:hush@r/h?token=hush", secret="hush", decides=True)
        self.decide(request())
        self.outbound.asked[0].fail(is_permanent=True)
        self.events.play(1)
        self.outbound.asked[0].reply(500)
        self.successResultOf(self.callbacks.registry.change(added.id, {"secret": "hush2"}))
        self.successResultOf(self.callbacks.registry.remove(added.id))
        self.assertGreater(len(self.logged), 3)
        self.assertNotIn("hush", "\n".join(self.logged))


class ServiceTests(FakeCase):
    """The server's own events, and its end."""

    def test_removed_while_tested(self) -> None:
        """A test whose callback is deleted meanwhile is answered so."""
        added = self.add()
        testing = self.callbacks.test(added.id)
        self.successResultOf(self.callbacks.registry.remove(added.id))
        self.outbound.asked[0].reply()
        self.failureResultOf(testing, NoCallback)
        self.assertEqual(self.callbacks._sender.last, {})

    def test_third_parties_are_not_remembered(self) -> None:
        """Of applications' own systems nothing is kept: there may be thousands."""
        found = application(authorize_url="http://cms.example/auth")
        self.host.applications["liveshow"] = found
        self.decide(request())
        self.outbound.asked[0].reply(403)
        self.assertEqual(self.callbacks._sender.last, {})

    def test_events(self) -> None:
        """What the server and its hub say is told under the names of callbacks."""
        self.add(
            events=["stream_not_found", "nobody_watching", "server_start", "server_stop"],
        )
        for event in (ServerStarted(), StreamWanted(KEY), StreamIdle(KEY), ServerStopping()):
            self.host.events.emit(event)
        bodies = []
        while self.outbound.asked:
            bodies.append(self.outbound.asked[0].got.fields)
            self.outbound.asked[0].reply()
        found = {body["event"]: body for body in bodies}
        self.assertEqual(
            set(found), {"stream_not_found", "nobody_watching", "server_start", "server_stop"}
        )
        self.assertEqual(found["nobody_watching"]["stream"], "one")
        self.assertNotIn("stream", found["server_start"])
        # Those of the server are in order.
        order = [body["event"] for body in bodies if "stream" not in body]
        self.assertEqual(order, ["server_start", "server_stop"])
        self.assertEqual(len({body["service_id"] for body in bodies}), 1)

    def test_ids_of_the_server(self) -> None:
        """A server has the same id after a restart, and its run another one."""
        before = dict(self.callbacks._server_facts)
        after = dict(self.make()._server_facts)
        self.assertEqual(before["server_id"], after["server_id"])
        self.assertNotEqual(before["service_id"], after["service_id"])

    def test_stop(self) -> None:
        """The end waits a moment for what is told, and leaves nothing behind."""
        self.add()
        self.events.play(1)
        stopping = self.callbacks.stopService()
        self.assertNoResult(stopping)
        self.outbound.asked[0].reply()
        self.successResultOf(stopping)
        self.assertEqual([x for x in self.clock.getDelayedCalls() if x.active()], [])

    def test_stop_in_vain(self) -> None:
        """Who does not answer is not waited for longer."""
        self.add(name="a")
        self.add(name="b", url="http://other/")
        self.events.play(1)
        self.outbound.asked[0].fail()
        stopping = self.callbacks.stopService()
        self.clock.advance(1.9)
        self.assertNoResult(stopping)
        self.clock.advance(0.2)
        self.successResultOf(stopping)
        self.assertEqual(self.outbound.asked, [])
        self.assertEqual([x for x in self.clock.getDelayedCalls() if x.active()], [])
        self.assertEqual(self.callbacks.counts.waiting, 2)
