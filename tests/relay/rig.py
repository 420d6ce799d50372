"""A server's relays in memory: a clock, a hub, a database, and sources that do as they are told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ntvmedia.access import ApplicationType
from ntvmedia.config import HubSettings, RelaySettings, Settings
from ntvmedia.errors import RemoteError
from ntvmedia.events import Event, EventBus, PublishEnded, PublishStarted, RelayDown, RelayUp
from ntvmedia.hub.clockwork import HubService
from ntvmedia.hub.streams import Hub
from ntvmedia.interfaces import ISource, ITarget
from ntvmedia.media import Codec, Packet, StreamKey, Track
from ntvmedia.relay.attempt import Fan
from ntvmedia.relay.service import RelayService
from ntvmedia.relay.states import RelayState
from tests.callbacks.rig import QuickStore

VIDEO = Track(Codec.H264, config=b"v1")
AUDIO = Track(Codec.AAC, clock_rate=48000, config=bytes.fromhex("1190"), channels=2)
DATA = Track(Codec.AMF0, clock_rate=1000)
KEY = StreamKey("liveshow", "cam")
NOW = 1_700_000_000.0
STEP = 0.5


def application(name: str = "liveshow", **fields: Any) -> Any:
    """Return the part of an application that is looked at."""
    return SimpleNamespace(
        **{"name": name, "enabled": True, "type": ApplicationType.LIVE, **fields}
    )


class Pull:
    """One pull, which does as a test says.

    Attributes:
        is_open: It has not given everything back.
        is_cancelled: It was told to end.
    """

    def __init__(self, case: Any, url: str, options: Any, sink: Any, *, is_slow: bool) -> None:
        self.url = url
        self.options = options
        self.sink = sink
        self.is_open = True
        self.is_cancelled = False
        self._case = case
        self._at = 0.0
        self._works: Deferred[None] = Deferred()
        self._gives_back: Deferred[None] = Deferred()
        if not is_slow:
            self._gives_back.callback(None)

    async def run(self) -> None:
        """Go on until it is ended."""
        try:
            await self._works
        except CancelledError:
            self.is_cancelled = True
            await self._gives_back
            raise
        finally:
            self.is_open = False

    def start(self, *, audio: bool = True) -> None:
        """Send the tracks, and a keyframe."""
        self.sink.track_received(VIDEO)
        if audio:
            self.sink.track_received(AUDIO)
        self.media()

    def media(self, seconds: float = 0.0, *, is_keyframe: bool = True) -> None:
        """Send some, at once or while time goes by."""
        end = self._at + seconds
        while True:
            for track in (VIDEO, AUDIO):
                dts = int(self._at * track.clock_rate)
                keyframe = is_keyframe or track is AUDIO
                self.sink.packet_received(Packet(track, dts, dts, keyframe, bytes(1000)))
            self.sink.batch_ended()
            self._at += STEP
            if self._at > end or not self.is_open or self.is_cancelled:
                return
            self._case.advance(STEP)

    def data(self) -> None:
        """Send what is no media."""
        self.sink.track_received(DATA)
        self.sink.packet_received(Packet(DATA, 0, 0, True, b"d"))
        self.sink.batch_ended()

    def fail(
        self, message: str = "refused", status: int = 0, *, is_permanent: bool = False
    ) -> None:
        """Let it fail."""
        self._works.errback(RemoteError(message, status, is_permanent=is_permanent))

    def end(self) -> None:
        """Let it come to its end."""
        self._works.callback(None)

    def let_go(self) -> None:
        """Give everything back at last."""
        self._gives_back.callback(None)


@implementer(ISource)
class FakeSource:
    """A source of tests: each of its pulls does as it is told."""

    schemes = ("fake",)
    transcodes = False

    def __init__(self, case: Any) -> None:
        self.case = case
        self.pulls: list[Pull] = []
        self.error: Exception | None = None
        self.are_slow = False

    def check(self, url: str) -> None:
        """Refuse some."""
        if "/bad" in url:
            raise RemoteError("no such thing", is_permanent=True)

    def pull(self, host: Any, url: str, options: Any, sink: Any) -> Deferred[None]:
        """Begin one."""
        if self.error is not None:
            raise self.error
        self.pulls.append(Pull(self.case, url, options, sink, is_slow=self.are_slow))
        return Deferred.fromCoroutine(self.pulls[-1].run())

    @property
    def open(self) -> list[Pull]:
        """The pulls that go on."""
        return [pull for pull in self.pulls if pull.is_open]

    @property
    def last(self) -> Pull:
        """The newest."""
        return self.pulls[-1]


@implementer(ISource)
class FakeTranscodingSource(FakeSource):
    """A source that encodes itself. Its pulls send to the sink of `sinks` that is asked."""

    schemes = ("coded",)
    transcodes = True

    def pull_transcoded(self, host: Any, url: str, options: Any, outputs: Any) -> Deferred[None]:
        """Begin one; it sends the same to all."""
        self.outputs = [output for output, _sink in outputs]
        return self.pull(host, url, options, Fan([sink for _output, sink in outputs]))


class FakeTranscoder:
    """Gives on what it gets, and knows what it was asked for."""

    def __init__(self, reactor: Any, outputs: Any) -> None:
        self.outputs = [output for output, _sink in outputs]
        self.fan = Fan([sink for _output, sink in outputs])
        self.track_received = self.fan.track_received
        self.metadata_received = self.fan.metadata_received
        self.packet_received = self.fan.packet_received
        self.batch_ended = self.fan.batch_ended
        self.noted = self.fan.noted
        self.done: Deferred[None] = Deferred()
        self.is_ending = self.is_stopped = False

    def end(self) -> None:
        """Give out what is left, when the test says so."""
        self.is_ending = True

    def stop(self) -> Deferred[None]:
        """End."""
        self.is_stopped = True
        return succeed(None)


@implementer(ITarget)
class FakeTarget:
    """Another server, which takes all."""

    schemes = ("rtmp",)

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.hops: tuple[str, ...] = ()
        self.got: list[Packet] = []
        self.dropped = self.bytes_out = 0
        self.done: Deferred[None] = Deferred()

    def check(self, url: str) -> None:
        """Like all."""

    def push(
        self, host: Any, url: str, tracks: Any, metadata: Any, options: Any, started: Any
    ) -> Deferred[None]:
        """Take a stream."""
        self.urls.append(url)
        self.hops = options.hops
        self.done = Deferred()
        started(self)
        return self.done

    def track_received(self, track: Track) -> None:
        """Take it."""

    def metadata_received(self, fields: Any) -> None:
        """Take it."""

    def packet_received(self, packet: Packet) -> None:
        """Keep it."""
        self.got.append(packet)

    def batch_ended(self) -> None:
        """Take it."""

    def end(self) -> None:
        """Say goodbye."""
        self.done.callback(None)


class FakeHost:
    """What relays need of a server.

    Args:
        reactor: Its time.
        store: Its database.
        settings: Of the sections `hub` and `relay`.
    """

    def __init__(self, reactor: Any, store: Any, **settings: Any) -> None:
        self.reactor = reactor
        self.store = store
        hub = {x: settings.pop(x) for x in tuple(settings) if hasattr(HubSettings, x)}
        self.settings = Settings(hub=HubSettings(**hub), relay=RelaySettings(**settings))
        self.events = EventBus()
        self.hub = Hub(reactor, self.settings.hub, self.events, lambda: NOW + reactor.seconds())
        self.server_id = "own"
        self.applications: dict[str, Any] = {"liveshow": application()}
        self.access = SimpleNamespace(forbidden=set())
        self.limit = ""
        self.relays: Any = None
        self._randoms = 0

    def limits(self, request: Any) -> Any:
        """Refuse where there is a reason to."""
        assert request.protocol == "relay"
        return SimpleNamespace(reason=self.limit) if self.limit else None

    def random(self, count: int) -> bytes:
        """Return other bytes each time, of which the first is as if all waits were the middle."""
        self._randoms += 1
        return bytes([128]) + self._randoms.to_bytes(count - 1, "big")


class RelayCase(SynchronousTestCase):
    """Relays with a clock."""

    def setUp(self) -> None:
        self.store = QuickStore()
        self.addCleanup(self.store.close)
        self.make()

    def make(self, **settings: Any) -> None:
        """Make a server and start it."""
        self.reactor = Clock()
        self.host = FakeHost(self.reactor, self.store, **settings)
        self.source = FakeSource(self)
        self.coded = FakeTranscodingSource(self)
        self.target = FakeTarget()
        self.transcoders: list[FakeTranscoder] = []
        self.events: list[Event] = []
        for kind in (RelayUp, RelayDown, PublishStarted, PublishEnded):
            self.host.events.subscribe(kind, self.events.append)
        self.relays = RelayService(
            self.host,
            lambda: NOW + self.reactor.seconds(),
            [self.source, self.coded],
            [self.target],
            self._transcoder,
        )
        self.host.relays = self.relays
        self.hub_service = HubService(self.reactor, self.host.hub)
        self.hub_service.startService()
        self.relays.load()
        self.relays.startService()

    def _transcoder(self, reactor: Any, outputs: Any) -> FakeTranscoder:
        self.transcoders.append(FakeTranscoder(reactor, outputs))
        return self.transcoders[-1]

    def advance(self, seconds: float) -> None:
        """Let time go by, as a reactor does."""
        while seconds > 0:
            self.reactor.advance(min(seconds, STEP))
            seconds -= STEP

    def add(self, source: str = "fake://u:p@h/s?token", **fields: Any) -> str:
        """Make a task, and return its id."""
        target = {"application": "liveshow", "stream": "cam", **fields.pop("target", {})}
        made = self.relays.registry.add({"source": source, "target": target, **fields})
        relay = self.successResultOf(made)
        return str(relay.id)

    def state(self, id_: str) -> RelayState:
        """Return how a task is doing."""
        return self.relays.state(id_)

    def stream(self, key: StreamKey = KEY) -> Any:
        """Return a stream of the server; None where it is not there."""
        return self.host.hub.streams.get(key)

    def ups(self) -> list[str]:
        """Return what was told of sources."""
        kinds: tuple[type[Any], ...] = (RelayUp, RelayDown)
        return [
            f"up {x.source}" if isinstance(x, RelayUp) else f"down {x.reason}"
            for x in self.events
            if isinstance(x, kinds)
        ]

    def finish(self) -> None:
        """Stop the server: nothing is left of it."""
        self.successResultOf(self.relays.stopService())
        self.hub_service.stopService()
        self.assertEqual(self.source.open + self.coded.open, [])
        ups = [x for x in self.events if isinstance(x, RelayUp)]
        downs = [x for x in self.events if isinstance(x, RelayDown)]
        self.assertEqual(len(ups), len(downs))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
