"""A whole server of live streams in memory: what the tests of outputs over HTTP share."""

from __future__ import annotations

import re
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import BUILT_IN, Access, Request, Verdict
from ntvmedia.config import Settings
from ntvmedia.endpoints.http.endpoint import HTTPEndpoint, HTTPService
from ntvmedia.endpoints.http.flv import FLVRoute
from ntvmedia.endpoints.http.ts import TSRoute
from ntvmedia.events import EventBus, PlayEnded, PlayStarted
from ntvmedia.formats import flv
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.streams import Hub
from ntvmedia.media import Codec, Packet, StreamKey, Track
from ntvmedia.preferences import Preferences
from tests.endpoints.http.rig import Client, Pages, request

KEY = StreamKey("liveshow", "test")
GET = request(b"GET", b"/liveshow/test.flv", b"User-Agent: player", b"Referer: http://a.example/")
VIDEO = Track(Codec.VP8)
AUDIO = Track(Codec.MP3, clock_rate=44100, channels=2)


class SlowAccess(Access):
    """Answers when it is told to.

    Attributes:
        asked: The questions, and where the answers go.
    """

    def __init__(self) -> None:
        super().__init__(BUILT_IN)
        self.asked: list[tuple[Request, Deferred[Verdict]]] = []

    def decide(self, request: Request, **_how: Any) -> Deferred[Verdict]:
        """Keep the question."""
        answer: Deferred[Verdict] = Deferred()
        self.asked.append((request, answer))
        return answer


class Publisher:
    """Whoever publishes."""

    protocol = "test"
    peer = "192.0.2.9:1"

    def dismissed(self, reason: str) -> None:
        """Never in these tests."""
        raise AssertionError(reason)


class Host:
    """A server with nothing but a hub, access, and the routes of FLV and TS."""

    certificates: Any = None
    draining = False

    def __init__(self, access: Access) -> None:
        self.reactor = MemoryReactorClock()
        self.events = EventBus()
        self.settings = Settings()
        self.hub = Hub(self.reactor, self.settings.hub, self.events, lambda: 784111777.0)
        self.access = access
        # Nothing is changed for good here.
        store: Any = None
        self.preferences = Preferences(store, self.events, lambda: 784111777.0)
        self.applications = BUILT_IN
        self.routes: list[Any] = [FLVRoute(), TSRoute()]
        self._parts: dict[Any, Any] = {}

    def web_resource(self) -> Pages:
        """Return some pages."""
        return Pages()

    def media_routes(self) -> list[Any]:
        """Return the routes."""
        return self.routes

    def part(self, kind: Any) -> Any:
        """Return the only one of a kind."""
        if kind not in self._parts:
            self._parts[kind] = kind(self)
        return self._parts[kind]

    def random(self, count: int) -> bytes:
        """Return what nobody here needs."""
        return bytes(count)


class Case(SynchronousTestCase):
    """A server, and who published on it."""

    access: Access = Access(BUILT_IN)

    def setUp(self) -> None:
        self.host = Host(self.access)
        self.plays: list[str] = []
        self.host.events.subscribe(PlayStarted, lambda event: self.plays.append(event.protocol))
        self.host.events.subscribe(PlayEnded, lambda event: self.plays.append(event.reason))
        self.make_service()
        self.time = 0

    def make_service(self) -> None:
        """Make the service that listens, with the host's settings, and connect a client."""
        endpoint = HTTPEndpoint()
        self.service = cast(
            HTTPService,
            endpoint.make_service(cast(Any, self.host), endpoint.parse_settings({})),
        )
        self.service.privilegedStartService()
        self.service.startService()
        self.client = self.connect()

    def connect(self) -> Client:
        """Connect a client."""
        return Client(self.service.front, "192.0.2.1")

    def publish(self) -> Publication:
        """Publish sound and pictures, and wait until the hub knows both."""
        publication = self.host.hub.publish(KEY, Publisher())
        publication.track_received(VIDEO)
        publication.track_received(AUDIO)
        for _number in range(3):
            self.feed(publication)
        self.host.reactor.advance(2)
        self.host.hub.tick()
        return publication

    def feed(self, publication: Publication) -> None:
        """Send a keyframe and some sound."""
        self.time += 40
        at = self.time
        video = b"\x10\0\0\x9d\x01\x2a" + b"v" * 40
        audio = b"\xff\xfb\x90\x64" + b"a" * 40
        publication.packet_received(Packet(VIDEO, at * 90, at * 90, True, video))
        publication.packet_received(Packet(AUDIO, at * 44, at * 44, True, audio))
        publication.batch_ended()
        self.host.reactor.advance(1)


def dechunked(data: bytes) -> tuple[bytes, bool]:
    """Return what is in chunks, and whether the last one was there and nothing behind it."""
    content = b""
    while data:
        match = re.match(rb"([0-9a-f]+)\r\n", data)
        assert match is not None, data[:50]
        size = int(match[1], 16)
        chunk = data[match.end() : match.end() + size]
        assert data[match.end() + size : match.end() + size + 2] == b"\r\n"
        data = data[match.end() + size + 2 :]
        if not size:
            return content, not data
        content += chunk
    return content, False


def kinds(data: bytes) -> list[int]:
    """Return the types of the tags of an FLV file, having checked its form."""
    demuxer = flv.Demuxer()
    demuxer.receive_data(data)
    events = list(demuxer.events())
    assert isinstance(events[0], flv.Header)
    return [int(event.kind) for event in events[1:] if isinstance(event, flv.Tag)]
