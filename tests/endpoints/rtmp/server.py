"""A server in memory: the RTMP endpoint on a hub with a clock, and our own client for its peers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from ntvmedia.access import BUILT_IN, Access
from ntvmedia.config import HubSettings, RTMPSettings, Settings
from ntvmedia.endpoints.rtmp.connection import RTMPConnection
from ntvmedia.endpoints.rtmp.factory import RTMPFactory, make_rtmp_service
from ntvmedia.events import Event, EventBus, PlayEnded, PlayStarted, PublishEnded, PublishStarted
from ntvmedia.hub.streams import Hub
from ntvmedia.interfaces import IHost
from ntvmedia.media import Codec, Packet, StreamKey, Track
from ntvmedia.preferences import Preferences
from ntvmedia.wire.rtmp.client import ClientSession
from ntvmedia.wire.rtmp.events import Accepted

RANDOM = bytes(range(256)) * 16

# Baseline 64x64 and AAC LC 44.1 kHz stereo, as libx264 and FFmpeg's aac write them.
AVCC = bytes.fromhex("0142c00affe1000b6742c00ada0410c6c0440001000468ce3c80")
VIDEO = Track(Codec.H264, config=AVCC)
AUDIO = Track(Codec.AAC, clock_rate=44100, config=bytes.fromhex("1210"), channels=2)
KEY = StreamKey("liveshow", "test")


def frame(milliseconds: int, *, is_keyframe: bool = False) -> Packet:
    """A picture with one NAL unit, its time in it."""
    unit = (b"\x65" if is_keyframe else b"\x41") + b"%08d" % milliseconds
    payload = len(unit).to_bytes(4, "big") + unit
    return Packet(VIDEO, milliseconds * 90, milliseconds * 90, is_keyframe, payload)


def sound(milliseconds: int) -> Packet:
    """A raw AAC frame, its time in it."""
    dts = (milliseconds * 44100 + 500) // 1000
    return Packet(AUDIO, dts, dts, True, b"\x21%08d" % milliseconds)


class Transport(StringTransport):
    """What a connection needs besides."""

    def __init__(self, address: IPv4Address) -> None:
        super().__init__(peerAddress=address)
        self.no_delay = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Remember it."""
        self.no_delay = enabled


class Peer:
    """One client and the server's connection for it."""

    def __init__(self, server: Server, protocol: RTMPConnection, session: Any) -> None:
        self.server = server
        self.protocol = protocol
        self.session = session
        self.events: list[Any] = []
        self.transport = Transport(IPv4Address("TCP", "192.0.2.1", 50000))
        protocol.makeConnection(self.transport)
        if session is not None:
            self.exchange()

    def exchange(self) -> None:
        """Carry bytes both ways until nobody has any."""
        while True:
            data = self.session.data_to_send()
            if data and not self.transport.disconnected:
                self.protocol.dataReceived(data)
            answer = self.transport.value()
            self.transport.clear()
            if not data and not answer:
                return
            self.session.receive_data(answer)
            self.events += self.session.events()

    def send(self, *packets: Packet) -> None:
        """Publish packets."""
        for packet in packets:
            self.session.send_packet(packet)
        self.exchange()

    def media(self) -> list[bytes]:
        """The payloads that came so far."""
        return [event.payload for event in self.events if isinstance(event, Packet)]

    def lose(self) -> None:
        """Break the connection."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


@implementer(IHost)
class Server:
    """The server; it is its own `IHost`."""

    certificates = None
    draining = False
    outbound: Any = None
    connector: Any = None
    server_id = "0123456789abcdef"
    relays: Any = None
    pushes: Any = None
    store: Any = None
    accounts: Any = None
    callbacks: Any = None
    statistics: Any = None
    labels: Any = None

    def __init__(self, hub: HubSettings | None = None, rtmp: RTMPSettings | None = None) -> None:
        self.reactor = Clock()
        self.settings = Settings(hub=hub or HubSettings(), rtmp=rtmp or RTMPSettings())
        self.events = EventBus()
        self.applications = BUILT_IN
        self.access: Any = Access(self.applications)
        self.preferences = Preferences(self.store, self.events, lambda: 1.8e9)
        self._parts: dict[Any, Any] = {}
        self.hub = Hub(self.reactor, self.settings.hub, self.events, lambda: 1.8e9)
        self.told: list[Event] = []
        for kind in (PublishStarted, PublishEnded, PlayStarted, PlayEnded):
            self.events.subscribe(kind, self.told.append)
        self.service: Any = make_rtmp_service(self, (), "rtmp", None)
        self.factory = RTMPFactory(self, self.settings.rtmp, "rtmp")

    def random(self, count: int) -> bytes:
        """Return bytes that are the same each time."""
        return (RANDOM * (count // len(RANDOM) + 1))[:count]

    def connect(self, *, publishing: bool, name: str = "test", app: str = "liveshow") -> Peer:
        """Have a client connect and ask for what it wants."""
        session = ClientSession(
            RANDOM, publishing=publishing, app=app, name=name, tc_url=f"rtmp://host/{app}"
        )
        return Peer(self, self.build(), session)

    def build(self, host: str = "192.0.2.1") -> Any:
        """Build a connection, or None where there is no room."""
        return self.factory.buildProtocol(IPv4Address("TCP", host, 50000))

    def part(self, kind: Any) -> Any:
        """Return the only one of a kind."""
        if kind not in self._parts:
            self._parts[kind] = kind(self)
        return self._parts[kind]

    def web_resource(self) -> Any:
        """No test asks for a page."""
        raise NotImplementedError

    def media_routes(self) -> list[Any]:
        """There is no HTTP."""
        return []

    def publisher(self, tracks: Iterable[Track] = (VIDEO, AUDIO), **names: str) -> Peer:
        """Have an encoder publish, with its tracks announced."""
        peer = self.connect(publishing=True, **names)
        assert any(isinstance(event, Accepted) for event in peer.events), peer.events
        for track in tracks:
            peer.session.send_track(track)
        peer.exchange()
        return peer

    def player(self, **names: str) -> Peer:
        """Have a player ask for a stream."""
        return self.connect(publishing=False, **names)

    def kinds(self) -> list[str]:
        """Name what happened, in order."""
        return [type(event).__name__ for event in self.told]
