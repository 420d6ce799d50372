"""A hub with a clock, and viewers without sockets, for the tests of the hub."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.config import HubSettings
from ntvmedia.events import (
    Event,
    EventBus,
    PlayEnded,
    PlayStarted,
    PublishEnded,
    PublishStarted,
    StreamIdle,
    StreamWanted,
)
from ntvmedia.hub.context import StreamState
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.rendition import RenditionKey
from ntvmedia.hub.stream import Stream
from ntvmedia.hub.streams import Hub
from ntvmedia.hub.viewer import OutletViewer, ViewerInfo
from ntvmedia.media import Codec, Packet, StreamKey, Track
from tests.hub.fakes import (
    AUDIO,
    VIDEO,
    FakeConnection,
    FakePublisher,
    FakeReactor,
    FakeSerialiser,
    audio,
    video,
)

KEY = StreamKey("liveshow", "test")
FLV = RenditionKey("flv")
SOUND = RenditionKey("flv", (("video", "none"),))
VIDEO_2 = Track(Codec.H264, config=b"v2")
AUDIO_2 = Track(Codec.PCM_ALAW, clock_rate=8000, config=b"a2")
OTHER_VIDEO = Track(Codec.H264, number=1, config=b"w1")
INFO = ViewerInfo("flv", "192.0.2.9:9", "player", "http://example.org/")
ALL_EVENTS = (PublishStarted, PublishEnded, PlayStarted, PlayEnded, StreamIdle, StreamWanted)


class Player:
    """A viewer's connection."""

    def __init__(self, case: HubCase, stream: Stream, key: RenditionKey = FLV) -> None:
        self.transport = FakeConnection(case.reactor)
        self.outlet = case.hub.outlet(self.transport)
        self.transport.outlet = self.outlet
        self.ends: list[str] = []
        self.error: Exception | None = None
        self.viewer: OutletViewer = stream.play(key, self.outlet, INFO, self.ended)

    def ended(self, reason: str) -> None:
        """Note it."""
        self.ends.append(reason)
        if self.error is not None:
            raise self.error

    @property
    def seen(self) -> str:
        """All that it was sent."""
        return self.transport.wire.decode()


class HubCase(SynchronousTestCase):
    """A hub with a clock."""

    settings: dict[str, Any] = {}  # noqa: RUF012

    def setUp(self) -> None:
        self.make()

    def make(self, **settings: Any) -> None:
        """Make a hub."""
        self.reactor = FakeReactor()
        self.reactor.advance(1000.0)
        self.bus = EventBus()
        self.happened: list[Event] = []
        for kind in ALL_EVENTS:
            self.bus.subscribe(kind, self.happened.append)
        self.hub = Hub(
            self.reactor, HubSettings(**{**self.settings, **settings}), self.bus, lambda: 1.7e9
        )
        self.serialisers: list[FakeSerialiser] = []
        self.hub.register_format("flv", self.serialiser)

    def serialiser(self, options: Any) -> FakeSerialiser:
        """Make one."""
        made = FakeSerialiser(options)
        self.serialisers.append(made)
        return made

    def begin(self, *tracks: Track, **publish: Any) -> tuple[Publication, Stream]:
        """Publish, and announce tracks."""
        publication = self.hub.publish(KEY, FakePublisher(), **publish)
        for track in tracks:
            publication.track_received(track)
        return publication, self.hub.streams[KEY]

    def live(self, at: int = 0) -> tuple[Publication, Stream]:
        """Publish sound and pictures, and send one of each."""
        publication, stream = self.begin(VIDEO, AUDIO)
        self.send(publication, video(at, key=True), audio(at))
        self.assertIs(stream.state, StreamState.LIVE)
        return publication, stream

    def send(self, publication: Publication, *packets: Packet) -> None:
        """Send packets in one read."""
        for packet in packets:
            publication.packet_received(packet)
        publication.batch_ended()

    def events(self, kind: type[Event]) -> list[Any]:
        """What happened of one kind."""
        return [event for event in self.happened if type(event) is kind]

    def end(self) -> None:
        """Stop, and see that nothing is left."""
        self.hub.stop("done")
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual((self.hub.viewers, self.hub.waiting, self.hub.streams), (0, 0, {}))
