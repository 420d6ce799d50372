"""The tasks of a server: made, changed, deleted, started, and there again after a restart."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from ntvmedia.access.refusals import WrongField
from ntvmedia.avtools.job import Probe
from ntvmedia.errors import ConfigError, RemoteError
from ntvmedia.hub.context import StreamState
from ntvmedia.interfaces import IPullSink, ISource
from ntvmedia.relay.attempt import Fan
from ntvmedia.relay.refusals import NoRelay, TargetTaken, TooManyRelays
from ntvmedia.relay.service import MAX_PROBES
from ntvmedia.relay.sources import Sources
from ntvmedia.store import StoreError, delete_relay
from tests.relay.rig import KEY, FakeSource, RelayCase


class RegistryTests(RelayCase):
    """What is kept of tasks."""

    def add_fails(self, error: type[Exception], **fields: Any) -> str:
        """Return why one is not made."""
        target = {"application": "liveshow", "stream": "cam", **fields.pop("target", {})}
        made = self.relays.registry.add({"source": "fake://h/s", "target": target, **fields})
        return str(self.failureResultOf(made, error).value)

    def test_restart(self) -> None:
        """P-603: tasks survive a restart; those that are enabled are started with the server."""
        first = self.add()
        other = self.add(target={"stream": "b"}, enabled=False)
        self.relays.start(other)
        self.assertEqual(len(self.source.open), 2)
        self.finish()
        before = dict(self.relays.registry)
        self.make()
        self.assertEqual(dict(self.relays.registry), before)
        self.assertEqual(self.state(first).state, "connecting")
        self.assertEqual(self.state(other).state, "stopped")
        self.assertEqual(len(self.source.open), 1)
        self.finish()

    def test_spread(self) -> None:
        """Many tasks do not ask all at once."""
        for number in range(60):
            self.add(target={"stream": f"s{number}"})
        self.finish()
        self.make()
        self.assertEqual(len(self.source.pulls), 1)
        self.advance(2.5)
        self.assertIn(len(self.source.pulls), range(28, 34))
        self.advance(2.5)
        self.assertEqual(len(self.source.pulls), 60)
        self.finish()

    def test_duplicates(self) -> None:
        """E-ST-09: two tasks do not make the same stream, here or on one other server."""
        id_ = self.add(renditions=[{"stream": "small"}])
        self.assertEqual(self.add_fails(TargetTaken), f"relay {id_} makes liveshow/cam already")
        self.add_fails(TargetTaken, target={"stream": "small"})
        self.add_fails(TargetTaken, target={"stream": "c"}, renditions=[{"stream": "cam"}])
        other = self.add(target={"server": "rtmp://h"})
        self.add_fails(TargetTaken, target={"server": "rtmp://h"})
        self.add(target={"server": "rtmp://h2"})
        changed = self.relays.registry.change(other, {"target": {"server": ""}})
        self.failureResultOf(changed, TargetTaken)
        # One keeps what is its own.
        self.successResultOf(self.relays.registry.change(id_, {"description": "x"}))
        self.assertEqual(len(self.source.open), 3)
        self.finish()

    def test_rounds(self) -> None:
        """E-ST-08: tasks that take streams of this server may not go round in a ring."""
        self.add("stream:liveshow/b")
        self.add("stream:liveshow/c", target={"stream": "b"})
        line = self.add_fails(WrongField, source="stream:liveshow/cam", target={"stream": "c"})
        self.assertIn("go round", line)
        # Nor by way of a pattern, whichever of them is made first.
        self.add("stream:liveshow/p-k", target={"stream": "k"})
        line = self.add_fails(
            WrongField, source="stream:liveshow/$1", on_demand=True, target={"stream": "p-*"}
        )
        self.assertIn("go round", line)
        line = self.add_fails(
            WrongField, source="stream:liveshow/x$1", on_demand=True, target={"stream": "*"}
        )
        self.assertIn("more than 4 tasks", line)
        self.finish()

    def test_most(self) -> None:
        """There are not more than the settings allow."""
        self.make(max_relays=1)
        self.add()
        line = self.add_fails(TooManyRelays, target={"stream": "b"})
        self.assertIn("relay.max_relays", line)
        self.finish()

    def test_source_refuses(self) -> None:
        """An address that its source does not like is said at once, and not quoted."""
        line = self.add_fails(WrongField, source="fake://h/bad")
        self.assertEqual(line, "source: no such thing")
        line = self.add_fails(WrongField, source="nope://h/secret")
        self.assertTrue(line.startswith('source: there is no source for "nope:"; those that the'))
        self.assertIn("fake, stream", line)
        line = self.add_fails(WrongField, fallbacks=["fake://h/bad"])
        self.assertEqual(line, "fallbacks: of number 1: no such thing")
        self.finish()

    def test_change(self) -> None:
        """What is changed goes on with the new values, without the old source; secrets stay."""
        id_ = self.add()
        self.source.last.start()
        self.successResultOf(self.relays.registry.change(id_, {"description": "door"}))
        self.assertEqual(len(self.source.pulls), 1)
        self.successResultOf(self.relays.registry.change(id_, {"stall_seconds": 5}))
        self.assertEqual([x.is_open for x in self.source.pulls], [False, True])
        self.assertEqual(self.source.last.url, "fake://u:p@h/s?token")
        self.assertEqual(self.ups()[-1], "down the task was changed")
        self.assertEqual(self.source.last.options.stall_seconds, 5.0)
        self.finish()

    def test_viewers_stay(self) -> None:
        """Who watches goes on watching, as long as the stream keeps its name."""
        id_ = self.add()
        change = self.relays.registry.change
        for fields, state in (
            ({"stall_seconds": 5}, StreamState.WAITING),
            ({"source": "fake://h/other", "fallbacks": ["fake://h/b"]}, StreamState.WAITING),
            ({"target": {"stream": "new"}}, StreamState.ENDED),
            ({"on_demand": True}, StreamState.ENDED),
        ):
            self.source.last.start()
            self.source.last.media(1.0)
            key = KEY._replace(stream="new") if "on_demand" in fields else KEY
            stream = self.stream(key)
            self.assertIs(stream.state, StreamState.LIVE)
            self.successResultOf(change(id_, fields))
            self.assertIs(stream.state, state, fields)
        self.finish()

    def test_change_waits_for_the_old(self) -> None:
        """The old source gives everything back before the new one is asked."""
        self.source.are_slow = True
        id_ = self.add()
        self.successResultOf(self.relays.registry.change(id_, {"source": "fake://h/new"}))
        self.assertEqual(len(self.source.pulls), 1)
        self.source.are_slow = False
        self.source.last.let_go()
        self.assertEqual([x.url for x in self.source.open], ["fake://h/new"])
        self.finish()

    def test_enabled(self) -> None:
        """To disable a task stops it; to enable it starts it; a stopped one stays so otherwise."""
        id_ = self.add()
        change = self.relays.registry.change
        self.successResultOf(change(id_, {"enabled": False}))
        self.assertEqual(self.state(id_)[:2], ("stopped", "the task was disabled"))
        self.successResultOf(change(id_, {"stall_seconds": 5}))
        self.assertEqual(self.source.open, [])
        self.successResultOf(change(id_, {"enabled": True}))
        self.assertEqual(len(self.source.open), 1)
        self.finish()

    def test_stopped_by_hand_stays(self) -> None:
        """An operator who stopped a task and then edits it has not started it."""
        id_ = self.add()
        self.successResultOf(self.relays.stop(id_))
        self.successResultOf(self.relays.registry.change(id_, {"stall_seconds": 5}))
        self.assertEqual(self.state(id_).state, "stopped")
        self.finish()

    def test_remove(self) -> None:
        """A deleted task is stopped; what is asked of it afterwards is refused."""
        id_ = self.add()
        self.source.last.start()
        self.successResultOf(self.relays.registry.remove(id_))
        self.assertEqual(self.source.open, [])
        self.assertIsNone(self.stream())
        for call in (self.relays.state, self.relays.log, self.relays.start, self.relays.stop):
            with self.assertRaisesRegex(NoRelay, f"there is no relay '{id_}'"):
                call(id_)
        self.failureResultOf(self.relays.registry.remove(id_), NoRelay)
        self.failureResultOf(self.relays.registry.change(id_, {}), NoRelay)
        self.finish()

    def test_write_fails(self) -> None:
        """G-RS: what the database does not take does not run; it is read again later."""
        id_ = self.add()
        self.store.problem = StoreError("disk full")
        self.add_fails(StoreError, target={"stream": "b"})
        self.assertEqual(list(self.relays.registry), [id_])
        self.store.problem = None
        # Another program took it away meanwhile.
        self.store.run_now(lambda connection: delete_relay(connection, id_))
        self.advance(6.0)
        self.assertEqual(dict(self.relays.registry), {})
        self.assertEqual(self.source.open, [])
        self.finish()

    def test_lost(self) -> None:
        """A task that is not in the database any more is not changed."""
        id_ = self.add()
        self.store.run_now(lambda connection: delete_relay(connection, id_))
        changed = self.relays.registry.change(id_, {"loop": False})
        self.assertIn("has no relay", str(self.failureResultOf(changed, StoreError).value))
        self.finish()

    def test_unreadable(self) -> None:
        """A server whose database cannot be read does not start."""
        self.finish()
        self.store.problem = StoreError("gone")
        with self.assertRaisesRegex(ConfigError, "gone"):
            self.relays.registry.load()

    def test_note(self) -> None:
        """What is noted of a change has no secrets."""
        noted: list[str] = []

        def write(connection: Any, before: Any, after: Any) -> None:
            noted.append(str((before, after)))

        made = self.relays.registry.add(
            {
                "source": "fake://u:secret@h/s?secret",
                "target": {"application": "liveshow", "stream": "cam"},
            },
            write,
        )
        relay = self.successResultOf(made)
        self.successResultOf(self.relays.registry.remove(relay.id, write))
        self.assertEqual(len(noted), 2)
        self.assertNotIn("secret", str(noted))
        self.finish()


class StartTests(RelayCase):
    """By hand."""

    def test_twice(self) -> None:
        """To start what runs, or to stop what does not, changes nothing."""
        id_ = self.add()
        self.relays.start(id_)
        self.assertEqual(len(self.source.pulls), 1)
        for _number in range(2):
            self.successResultOf(self.relays.stop(id_))
        self.relays.start(id_)
        self.relays.start(id_)
        self.assertEqual(len(self.source.open), 1)
        self.finish()

    def test_shutdown(self) -> None:
        """The server waits for sources that give back what they have; viewers are told the end."""
        self.source.are_slow = True
        self.add()
        self.source.last.start()
        stopping = self.relays.stopService()
        self.assertNoResult(stopping)
        self.assertIsNone(self.stream())
        self.source.last.let_go()
        self.successResultOf(stopping)
        self.hub_service.stopService()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.ups()[-1], "down the server is stopping")


class ProbeTests(RelayCase):
    """What is in a source."""

    def test_pulled(self) -> None:
        """A source is pulled for a moment, and nothing is published."""
        asked = self.relays.probe("fake://h/s", "tcp")
        self.assertEqual(self.source.last.options.transport, "tcp")
        self.advance(5.0)
        self.source.last.start()
        self.source.last.media(4.0)
        found = self.successResultOf(asked)
        self.assertIsInstance(found, Probe)
        self.assertEqual(
            [(x.kind, x.codec) for x in found.tracks], [("video", "h264"), ("audio", "aac")]
        )
        self.assertEqual(found.tracks[1].channels, 2)
        self.assertGreater(found.bitrate_kbps, 20)
        self.assertEqual(self.source.open, [])
        self.assertEqual(self.host.hub.streams, {})
        self.finish()

    def test_nothing(self) -> None:
        """E-SR-09: nothing within 20 s, or a failure, is an answer."""
        asked = self.relays.probe("fake://h/s")
        self.advance(20.5)
        self.assertIn("no media", str(self.failureResultOf(asked, RemoteError).value))
        asked = self.relays.probe("fake://h/s")
        self.source.last.fail("refused: 404", is_permanent=True)
        self.assertTrue(self.failureResultOf(asked, RemoteError).value.is_permanent)
        self.assertEqual(self.source.open, [])
        self.finish()

    def test_no_address(self) -> None:
        """What is none is refused before anything is asked."""
        self.failureResultOf(self.relays.probe("h"), WrongField)
        self.failureResultOf(self.relays.probe("fake://h/bad"), RemoteError)
        self.failureResultOf(self.relays.probe("nope://h"), RemoteError)
        self.source.error = RemoteError("forbidden network", is_permanent=True)
        self.failureResultOf(self.relays.probe("fake://h/s"), RemoteError)
        self.finish()

    def test_cancelled(self) -> None:
        """Nothing is left of a probe that nobody waits for, nor at the end of the server."""
        asked = self.relays.probe("fake://h/s")
        asked.addErrback(lambda _failure: None)
        asked.cancel()
        self.assertEqual(self.source.open, [])
        left = self.relays.probe("fake://h/s")
        left.addErrback(lambda _failure: None)
        self.finish()

    def test_at_a_time(self) -> None:
        """Each may be a process: however often somebody asks, there are few at a time."""
        asked = [self.relays.probe("fake://h/s") for _time in range(MAX_PROBES)]
        self.assertEqual(len(self.source.open), MAX_PROBES)
        error = self.failureResultOf(self.relays.probe("fake://h/s"), RemoteError).value
        self.assertIn("at a time", str(error))
        self.assertFalse(error.is_permanent)
        self.assertEqual(len(self.source.open), MAX_PROBES)
        asked[0].addErrback(lambda _failure: None)
        asked[0].cancel()
        asked[0] = self.relays.probe("fake://h/s")
        self.assertEqual(len(self.source.open), MAX_PROBES)
        for one in asked:
            one.addErrback(lambda _failure: None)
        self.finish()

    def test_source_that_knows(self) -> None:
        """A source with a method of its own is asked that."""
        self.source.probe = lambda host, url, options: _done(  # type: ignore[attr-defined]
            Probe("asf", 1.0)
        )
        self.assertEqual(self.successResultOf(self.relays.probe("fake://h/s")).format, "asf")
        self.finish()


class SchemesTests(RelayCase):
    """Who pulls from where."""

    def test_plugins(self) -> None:
        """P-604: somebody else's source of a scheme of ours replaces ours."""

        class Ours(FakeSource):
            pass

        Ours.__module__ = "ntvmedia.clients.fake"
        theirs, own = FakeSource(self), Ours(self)
        for plugins in ([own, theirs], [theirs, own]):
            self.assertIs(Sources((), plugins).find("FAKE://x"), theirs)
        self.finish()

    def test_interfaces(self) -> None:
        """Ours provide what they say."""
        verifyObject(ISource, self.relays.sources.find("stream:a/b"))
        verifyObject(ISource, self.source)
        verifyObject(IPullSink, Fan([self.source], print))
        self.add()
        verifyObject(IPullSink, self.source.last.sink)
        self.finish()


def _done(found: Probe) -> Deferred[Probe]:
    answer: Deferred[Probe] = Deferred()
    answer.callback(found)
    return answer
