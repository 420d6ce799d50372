"""Live streams are sent wherever pushes say, while they are there and while the pushes are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access.refusals import WrongField
from ntvmedia.errors import RemoteError
from ntvmedia.hub.refusals import NameTaken
from ntvmedia.media import Packet, StreamKey
from ntvmedia.media.relaying import PushOptions
from ntvmedia.relay import push_service
from ntvmedia.relay.push import GOODBYE_SECONDS, PushState
from ntvmedia.relay.push_registry import MAX_PUSHES
from ntvmedia.relay.push_service import PushService
from ntvmedia.relay.refusals import NoPush, TargetTaken, TooManyPushes
from tests.callbacks.rig import QuickStore
from tests.relay.rig import NOW, VIDEO, FakeHost

SERVER = "rtmp://user:secret@cdn.example"
OWN_ID = "00000000000000aa"


class Connection:
    """One push, as its server sees it."""

    def __init__(self, url: str, options: PushOptions) -> None:
        self.url = url
        self.options = options
        self.bytes_out = self.dropped = 0
        self.packets = 0
        self.ended = self.cancelled = False
        self.done: Deferred[None] = Deferred(self.cancel)

    def cancel(self, _done: Any) -> None:
        """Note it."""
        self.cancelled = True

    def track_received(self, track: Any) -> None:
        """Take it."""

    def metadata_received(self, fields: Any) -> None:
        """Take it."""

    def batch_ended(self) -> None:
        """Take it."""

    def packet_received(self, packet: Packet) -> None:
        """Count it."""
        self.packets += 1
        self.bytes_out += len(packet.payload)

    def end(self) -> None:
        """Take a goodbye; who is slow says so later."""
        self.ended = True


class Target:
    """Other servers."""

    schemes = ("rtmp", "rtsp")

    def __init__(self) -> None:
        self.all: list[Connection] = []
        self.accepts = True

    def check(self, url: str) -> None:
        """Refuse one."""
        if "bad.example" in url:
            raise RemoteError("no such server", is_permanent=True)

    def push(
        self, host: Any, url: str, tracks: Any, metadata: Any, options: Any, started: Any
    ) -> Deferred[None]:
        """Take a stream."""
        made = Connection(url, options)
        self.all.append(made)
        if self.accepts:
            started(made)
        return made.done

    @property
    def open(self) -> list[Connection]:
        """Those that were told no goodbye, and were not hung up."""
        return [x for x in self.all if not (x.ended or x.cancelled or x.done.called)]

    def say_goodbye(self) -> None:
        """Have all goodbyes taken."""
        for made in self.all:
            if made.ended and not made.done.called:
                made.done.callback(None)


class PushServiceCase(SynchronousTestCase):
    """A server with a clock."""

    def setUp(self) -> None:
        self.store = QuickStore()
        self.addCleanup(self.store.close)
        self.reactor = Clock()
        self.start()

    def start(self) -> None:
        """Make the server, and start it."""
        host: Any = FakeHost(self.reactor, self.store)
        self.host = host
        self.host.server_id = OWN_ID
        self.host.preferences = SimpleNamespace(values=SimpleNamespace(server_address=""))
        self.target = Target()
        self.pushes = PushService(
            self.host, lambda: NOW + self.reactor.seconds(), [self.target], "box"
        )
        self.pushes.load()
        self.pushes.startService()

    def publish(self, name: str = "cam", application: str = "liveshow", **fields: Any) -> Any:
        """Have a stream."""
        publisher = SimpleNamespace(
            protocol="rtmp", peer="p", dismissed=lambda _reason: None, **fields
        )
        publication = self.host.hub.publish(StreamKey(application, name), publisher)
        publication.track_received(VIDEO)
        self.media(publication, 0)
        self.reactor.advance(self.host.settings.hub.analyze)
        return publication

    def media(self, publication: Any, dts: int) -> None:
        """Send a keyframe."""
        publication.packet_received(Packet(VIDEO, dts, dts, True, b"12345678"))
        publication.batch_ended()

    def add(self, **fields: Any) -> str:
        """Make a push, and return its id."""
        fields = {"server": SERVER, **fields}
        return str(self.successResultOf(self.pushes.registry.add(fields)).id)

    def change(self, id_: str, **fields: Any) -> None:
        """Change it."""
        self.successResultOf(self.pushes.registry.change(id_, fields))

    def refused(self, kind: type[Exception], **fields: Any) -> str:
        """See that one is not made, and return why."""
        failure = self.failureResultOf(self.pushes.registry.add({"server": SERVER, **fields}), kind)
        return str(failure.value)

    def urls(self) -> list[str]:
        """Return where something is sent now."""
        return [x.url.partition("@")[2] for x in self.target.open]

    def state(self, id_: str, name: str = "cam") -> PushState:
        """Return how a stream does."""
        return self.pushes.states(id_)[StreamKey("liveshow", name)]

    def finish(self) -> None:
        """Stop the server: nothing is left of it."""
        stopping = self.pushes.stopService()
        self.reactor.advance(GOODBYE_SECONDS)
        self.target.say_goodbye()
        for made in self.target.all:
            if not made.done.called:
                made.done.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(self.target.open, [])
        self.host.hub.stop("end")
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class StreamTests(PushServiceCase):
    """Streams come and go."""

    def test_life(self) -> None:
        """A stream is sent from its beginning to its end; then its server is told goodbye."""
        id_ = self.add(query="token=secret")
        self.assertEqual(self.pushes.state(id_).state, "idle")
        publication = self.publish()
        self.assertEqual(self.urls(), ["cdn.example/liveshow/cam?token=secret"])
        self.media(publication, 1000)
        state = self.pushes.state(id_)
        self.assertEqual((state.state, state.bytes_out), ("running", 16))
        self.assertEqual(self.state(id_).state, "running")
        publication.close("bye", lost=False)
        self.assertTrue(self.target.all[0].ended)
        self.assertEqual(self.pushes.states(id_), {})
        self.assertNotIn("secret", str(self.pushes.log(id_)))
        self.finish()

    def test_rate(self) -> None:
        """Who asks for the first time is told how much is sent, not that it is nothing."""
        id_ = self.add()
        publication = self.publish()
        for second in range(1, 11):
            self.reactor.advance(1)
            self.media(publication, second * VIDEO.clock_rate)
            self.target.all[0].bytes_out += 12_500 - 8
        state = self.pushes.state(id_)
        self.assertEqual((state.state, state.bitrate_kbps), ("running", 100))
        self.finish()

    def test_idle_since(self) -> None:
        """Nothing is sent since the last stream ended, not since the push was started."""
        id_ = self.add()
        self.assertEqual(self.pushes.state(id_).since, NOW)
        self.reactor.advance(60)
        publication = self.publish()
        self.reactor.advance(60)
        publication.close("bye", lost=False)
        self.target.say_goodbye()
        idle = self.pushes.state(id_)
        self.assertEqual((idle.state, idle.since), ("idle", NOW + self.reactor.seconds()))
        self.reactor.advance(60)
        self.assertEqual(self.pushes.state(id_), idle)
        self.finish()

    def test_idle_since_a_change(self) -> None:
        """What waited for its turn is not meant any more."""
        self.add(streams=["cam"])
        id_ = self.add(streams=["c*"], query="other")
        self.publish()
        self.assertEqual(self.pushes.state(id_).state, "waiting")
        self.reactor.advance(60)
        self.change(id_, streams=["dog"])
        idle = self.pushes.state(id_)
        self.assertEqual((idle.state, idle.since), ("idle", NOW + self.reactor.seconds()))
        self.finish()

    def test_which(self) -> None:
        """Of several pushes each sends what it is for; of several streams each goes to its name."""
        self.add(streams=["ca*"], application="liveshow", server="rtmp://@a")
        self.add(application="other", server="rtmp://@b", target_application="in")
        self.publish("cam")
        self.publish("car")
        self.publish("dog")
        self.publish("cat", "other")
        self.assertEqual(self.urls(), ["a/liveshow/cam", "a/liveshow/car", "b/in/cat"])
        self.assertEqual(self.pushes.sending, 3)
        self.finish()

    def test_made_while_a_stream_begins(self) -> None:
        """A push that is made before a stream is ready sends it when it is."""
        publisher: Any = SimpleNamespace(protocol="rtmp", peer="p", dismissed=lambda _reason: None)
        publication = self.host.hub.publish(StreamKey("liveshow", "cam"), publisher)
        publication.track_received(VIDEO)
        self.add()
        self.assertEqual(self.target.all, [])
        self.media(publication, 0)
        self.reactor.advance(self.host.settings.hub.analyze)
        self.assertEqual(self.urls(), ["cdn.example/liveshow/cam"])
        self.finish()

    def test_refused_publisher(self) -> None:
        """E-ST-09: who is refused is sent nowhere, and what is sent already is sent once."""
        self.add()
        self.publish()
        with self.assertRaises(NameTaken):
            self.publish()
        self.assertEqual(len(self.target.all), 1)
        self.finish()

    def test_publisher_lost(self) -> None:
        """While a stream waits for its publisher its server is kept."""
        self.add()
        self.publish().close("lost", lost=True)
        self.publish()
        self.assertEqual(len(self.target.all), 1)
        self.assertEqual(len(self.target.open), 1)
        self.finish()

    def test_comes_again(self) -> None:
        """A stream that is back at once is sent anew when its server has taken the goodbye."""
        id_ = self.add()
        self.publish().close("bye", lost=False)
        self.publish()
        self.assertEqual(len(self.target.all), 1)
        self.assertIn("waits while the connection before it ends", self.state(id_).reason)
        self.assertIn("cam: waits", self.pushes.state(id_).reason)
        self.target.say_goodbye()
        self.assertEqual(len(self.target.all), 2)
        self.assertEqual(self.state(id_).state, "running")
        self.finish()

    def test_hops(self) -> None:
        """E-ST-08: the server is told what the stream has passed, ourselves last."""
        self.add()
        self.publish(hops=("00000000000000bb",))
        self.assertEqual(self.target.all[0].options.hops, ("00000000000000bb", OWN_ID))
        self.finish()

    def test_bound(self) -> None:
        """There is a limit to what is sent at a time; who has to wait has its turn later."""
        with patch.object(push_service, "MAX_SENDING", 1):
            id_ = self.add()
            first = self.publish("a")
            self.publish("b")
            self.assertEqual(self.urls(), ["cdn.example/liveshow/a"])
            self.assertIn("1 streams are sent already", self.state(id_, "b").reason)
            first.close("bye", lost=False)
            self.target.say_goodbye()
            self.assertEqual(self.urls(), ["cdn.example/liveshow/b"])
        self.finish()

    def test_same_place(self) -> None:
        """E-ST-09: two pushes do not throw each other out; the second follows the first."""
        first = self.add(streams=["cam"])
        second = self.add(streams=["c*"], query="other")
        self.publish()
        self.assertEqual(len(self.target.all), 1)
        self.assertIn(f"push {first} sends there", self.state(second).reason)
        self.successResultOf(self.pushes.registry.remove(first))
        self.target.say_goodbye()
        self.assertEqual(self.urls(), ["cdn.example/liveshow/cam?other"])
        self.finish()

    def test_failure(self) -> None:
        """A server that fails is asked again, for as long as the stream is there."""
        self.target.accepts = False
        id_ = self.add()
        publication = self.publish()
        self.assertEqual(self.state(id_).state, "connecting")
        self.target.all[0].done.errback(Failure(RemoteError("refused")))
        state = self.pushes.state(id_)
        self.assertEqual((state.state, state.reason), ("waiting", "liveshow/cam: refused"))
        self.assertGreater(state.next_retry_at, NOW)
        publication.close("bye", lost=False)
        self.reactor.advance(1000)
        self.assertEqual(len(self.target.all), 1)
        self.assertEqual(self.pushes.state(id_).state, "idle")
        self.finish()


class ChangeTests(PushServiceCase):
    """Pushes come, change and go while streams are live."""

    def test_added_and_removed(self) -> None:
        """What is live is sent at once, and no longer when the push is gone."""
        self.publish()
        id_ = self.add()
        self.assertEqual(len(self.urls()), 1)
        self.successResultOf(self.pushes.registry.remove(id_))
        self.assertEqual(self.urls(), [])
        with self.assertRaises(NoPush):
            self.pushes.state(id_)
        self.finish()

    def test_changed(self) -> None:
        """What goes elsewhere is sent anew; what stays as it is, is not interrupted."""
        self.publish("a")
        self.publish("b")
        id_ = self.add(application="liveshow")
        kept = self.target.all[0]
        self.change(id_, description="other")
        self.change(id_, streams=["a"])
        self.assertEqual(self.urls(), ["cdn.example/liveshow/a"])
        self.assertFalse(kept.ended)
        self.change(id_, query="x=1")
        self.target.say_goodbye()
        self.assertTrue(kept.ended)
        self.assertEqual(self.urls(), ["cdn.example/liveshow/a?x=1"])
        self.change(id_, streams=["b"])
        self.assertEqual(self.urls(), ["cdn.example/liveshow/b?x=1"])
        self.finish()

    def test_secrets_stay(self) -> None:
        """A change that does not name the server keeps its password."""
        self.publish()
        id_ = self.add()
        self.change(id_, target_stream="x$STREAM")
        self.assertEqual(self.target.all[-1].url, f"{SERVER}/liveshow/xcam")
        self.finish()

    def test_enabled(self) -> None:
        """What is disabled sends nothing, until it is enabled."""
        self.publish()
        id_ = self.add(enabled=False)
        self.assertEqual((self.urls(), self.pushes.state(id_).state), ([], "stopped"))
        self.change(id_, enabled=True)
        self.assertEqual(len(self.urls()), 1)
        self.change(id_, enabled=False)
        self.assertEqual((self.urls(), self.pushes.state(id_).state), ([], "stopped"))
        self.finish()

    def test_started_and_stopped(self) -> None:
        """An operator may stop one for a while, and start one that is not enabled."""
        self.publish()
        id_ = self.add()
        stopping = self.pushes.stop(id_)
        self.assertNoResult(stopping)
        self.change(id_, description="still stopped")
        self.assertEqual((self.urls(), self.pushes.state(id_).state), ([], "stopped"))
        self.target.say_goodbye()
        self.successResultOf(stopping)
        self.pushes.start(id_)
        self.pushes.start(id_)
        self.assertEqual(len(self.urls()), 1)
        texts = [line.text for line in self.pushes.log(id_)]
        self.assertEqual(texts.count("started"), 2)
        for call in (self.pushes.start, self.pushes.stop, self.pushes.log, self.pushes.states):
            with self.assertRaisesRegex(NoPush, "no push 'x'"):
                call("x")
        self.finish()

    def test_server_restarts(self) -> None:
        """Pushes are there again after a restart; those that are enabled send."""
        self.add(description="one")
        self.add(enabled=False, target_stream="2$STREAM")
        self.publish()
        self.finish()
        self.start()
        self.publish()
        self.assertEqual(self.urls(), ["cdn.example/liveshow/cam"])
        self.finish()

    def test_server_stops(self) -> None:
        """All servers are told goodbye; one that takes none is not waited for long."""
        self.add()
        self.publish()
        stopping = self.pushes.stopService()
        self.assertTrue(self.target.all[0].ended)
        self.assertNoResult(stopping)
        self.reactor.advance(GOODBYE_SECONDS)
        self.successResultOf(stopping)
        self.publish("b")
        self.assertEqual(len(self.target.all), 1)
        self.host.hub.stop("end")


class RegistryTests(PushServiceCase):
    """What may be a push."""

    def test_own(self) -> None:
        """E-ST-08: what would be sent to this server itself is refused, however it is called."""
        for host in ("127.0.0.1", "127.1.2.3", "localhost:1935", "[::1]", "box", "0.0.0.0"):
            self.assertIn("this server", self.refused(WrongField, server=f"rtmp://{host}"))
        self.host.preferences.values.server_address = "public.example"
        self.assertIn("this server", self.refused(WrongField, server="rtmp://public.example"))
        self.add(server="rtmp://127.0.0.1:1936")
        self.finish()

    def test_twice(self) -> None:
        """E-ST-09: the same once more is refused, whatever the user is called."""
        id_ = self.add(streams=["a", "b"])
        why = self.refused(TargetTaken, streams=["b", "a"], server="rtmp://other@CDN.example")
        self.assertIn(id_, why)
        other = self.add(streams=["a"])
        failing = self.pushes.registry.change(other, {"streams": ["a", "b"]})
        self.failureResultOf(failing, TargetTaken)
        self.change(id_, description="is not in its own way")
        self.finish()

    def test_most(self) -> None:
        """There is a limit to how many there are."""
        for number in range(MAX_PUSHES):
            self.add(target_stream=f"{number}$STREAM")
        self.refused(TooManyPushes)
        self.finish()

    def test_targets(self) -> None:
        """What no target can be is refused when it is typed."""
        self.assertIn("no such server", self.refused(WrongField, server="rtmp://bad.example"))
        self.assertIn("no target", self.refused(WrongField, server="rtsps://h"))
        self.refused(WrongField, server="")
        self.refused(WrongField, unknown=1)
        self.finish()
