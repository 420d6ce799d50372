"""A server in memory: the RTSP endpoint on a hub with a clock, and peers that write RTSP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from ntvmedia.access import BUILT_IN, Access, Application
from ntvmedia.config import HubSettings, RTSPSettings, Settings
from ntvmedia.endpoints.rtsp.connection import RTSPConnection
from ntvmedia.endpoints.rtsp.factory import RTSPFactory, make_rtsp_service
from ntvmedia.events import (
    ApplicationChanged,
    Event,
    EventBus,
    PlayEnded,
    PlayStarted,
    PublishEnded,
    PublishStarted,
)
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.streams import Hub
from ntvmedia.interfaces import IHost
from ntvmedia.media import Codec, Packet, StreamKey, Track
from ntvmedia.preferences import Preferences
from ntvmedia.wire.rtp.packets import RTPPacket, parse_packet
from ntvmedia.wire.rtp.presentation import describe_stream
from ntvmedia.wire.rtp.rtcp import SenderReport, parse_compound
from ntvmedia.wire.rtp.stream_sender import RANDOM_BYTES, StreamSender
from ntvmedia.wire.rtsp.headers import Headers
from ntvmedia.wire.rtsp.messages import (
    Interleaved,
    Reader,
    Request,
    Response,
    build_interleaved,
    build_request,
)
from ntvmedia.wire.rtsp.rtp_info import TrackInfo, parse_rtp_info
from ntvmedia.wire.rtsp.session_fields import parse_session
from ntvmedia.wire.sdp import SessionDescription, build_sdp, parse_sdp
from tests.codecs import vectors
from tests.hub.fakes import FakeReactor

RANDOM = bytes(range(256)) * 16
WALL_CLOCK: Final = 1.8e9

VIDEO = Track(Codec.H264, config=vectors.AVCC_BASELINE)
AUDIO = Track(Codec.AAC, clock_rate=48000, config=bytes.fromhex("1190"), channels=2)
KEY = StreamKey("liveshow", "test")
HOST: Final = "rtsp://192.0.2.9:8554"
URL: Final = f"{HOST}/liveshow/test"
TCP: Final = "RTP/AVP/TCP;unicast;interleaved="


def frame(milliseconds: int, *, is_keyframe: bool = False, size: int = 8) -> Packet:
    """A picture with one NAL unit, its time in it."""
    head = b"\x65\x88" if is_keyframe else b"\x41\x88"  # the first slice of a picture
    unit = head + b"%08d" % milliseconds + bytes(size - 8)
    payload = len(unit).to_bytes(4, "big") + unit
    return Packet(VIDEO, milliseconds * 90, milliseconds * 90, is_keyframe, payload)


def sound(milliseconds: int) -> Packet:
    """A raw AAC frame, its time in it."""
    return Packet(AUDIO, milliseconds * 48, milliseconds * 48, True, b"\x21%08d" % milliseconds)


def media(start: int, end: int, *, group: int = 1000) -> list[Packet]:
    """Pictures and sound, 25 a second, with a keyframe at each multiple of `group`."""
    found = []
    for time in range(start, end, 40):
        found += [frame(time, is_keyframe=time % group == 0), sound(time)]
    return found


class Transport(StringTransport):
    """What a connection needs besides.

    Attributes:
        writes: The very objects that were written.
        quiet: Nothing is kept of what is written.
    """

    def __init__(self, address: IPv4Address) -> None:
        super().__init__(peerAddress=address)
        self.no_delay = False
        self.writes: list[bytes] = []
        self.quiet = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Remember it."""
        self.no_delay = enabled

    def write(self, data: bytes) -> None:
        """Keep it."""
        if not self.quiet:
            self.writes.append(data)
            super().write(data)

    def resumeProducing(self) -> None:
        """Read again; of a connection that closes, or is closed, as TCP does it: nothing."""
        if not self.disconnecting and not self.disconnected:
            super().resumeProducing()

    def pauseProducing(self) -> None:
        """Read nothing; likewise."""
        if not self.disconnecting and not self.disconnected:
            super().pauseProducing()


class Peer:
    """One client and the server's connection for it.

    Attributes:
        frames: What came interleaved, and was not taken yet.
        session: The id that the server gave; empty before.
    """

    def __init__(self, server: Server, address: str = "192.0.2.1", url: str = URL) -> None:
        self.server = server
        self.url = url
        protocol = server.build(address)
        assert protocol is not None
        self.protocol: RTSPConnection = protocol
        self.transport = Transport(IPv4Address("TCP", address, 50000))
        self.protocol.makeConnection(self.transport)
        self.frames: list[Interleaved] = []
        self.session = ""
        self.description: SessionDescription | None = None
        self.sender: StreamSender | None = None
        self._sequence = 0
        self._reader = Reader()
        self._answers: list[Response] = []

    def receive(self) -> None:
        """Read what the server sent."""
        data = self.transport.value()
        self.transport.clear()
        self._reader.receive_data(data)
        for message in self._reader.messages():
            if isinstance(message, Interleaved):
                self.frames.append(message)
            else:
                assert isinstance(message, Response), message
                self._answers.append(message)

    def send(self, method: str, url: str = "", body: bytes = b"", **fields: str) -> None:
        """Send a request, and do not wait for its answer.

        Args:
            method: Of it.
            url: Absolute, or what is to stand behind the stream's.
            body: Of it.
            fields: Headers, with underscores for hyphens. `Session` is that of this peer.
        """
        self._sequence += 1
        if "://" not in url and url != "*":
            url = self.url + url
        headers = {"CSeq": str(self._sequence)}
        if self.session:
            headers["Session"] = self.session
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}
        request = Request(method, url, Headers(headers.items()), body)
        self.protocol.dataReceived(build_request(request))

    def answers(self) -> list[Response]:
        """Take the answers that came."""
        self.receive()
        found, self._answers = self._answers, []
        return found

    def ask(self, method: str, url: str = "", body: bytes = b"", **fields: str) -> Response:
        """Send a request, and return its answer, which must be there at once."""
        self.send(method, url, body, **fields)
        found = self.answers()
        assert len(found) == 1, found
        assert found[0].headers.get("cseq") == fields.get("CSeq", str(self._sequence))
        if "session" in found[0].headers:
            self.session = parse_session(found[0].headers.get("session")).id
        return found[0]

    def ok(self, method: str, url: str = "", body: bytes = b"", **fields: str) -> Response:
        """The same for what must be accepted."""
        answer = self.ask(method, url, body, **fields)
        assert answer.status == 200, answer
        return answer

    # Playing

    def describe(self) -> SessionDescription:
        """Ask for the stream, which must be there."""
        self.description = parse_sdp(self.ok("DESCRIBE").body)
        return self.description

    def set_up(self, tracks: Mapping[int, str]) -> None:
        """Set up tracks, each with its channels."""
        for track, channels in tracks.items():
            self.ok("SETUP", f"/trackID={track}", Transport=TCP + channels)

    def play(self, tracks: Mapping[int, str] | None = None) -> dict[int, TrackInfo]:
        """Describe, set up and play; return what the server says of the start, by track."""
        description = self.describe()
        if tracks is None:
            places = range(len(description.media))
            tracks = {place: f"{2 * place}-{2 * place + 1}" for place in places}
        self.set_up(tracks)
        return infos(self.ok("PLAY"))

    def rtp(self, channel: int) -> list[RTPPacket]:
        """Take the packets that came on a channel."""
        return [parse_packet(data) for data in self._taken(channel)]

    def reports(self, channel: int) -> list[SenderReport]:
        """Take the sender reports that came on a channel."""
        compounds = [parse_compound(data) for data in self._taken(channel)]
        assert all(isinstance(found[0], SenderReport) for found in compounds)
        return [x[0] for x in compounds if isinstance(x[0], SenderReport)]

    def _taken(self, channel: int) -> list[bytes]:
        self.receive()
        found = [frame.payload for frame in self.frames if frame.channel == channel]
        self.frames = [frame for frame in self.frames if frame.channel != channel]
        return found

    # Publishing

    def announce(self, tracks: Iterable[Track] = (VIDEO, AUDIO), **fields: str) -> Response:
        """Announce tracks, as a player of ours would find them described."""
        self.sender = StreamSender(RANDOM[:RANDOM_BYTES], WALL_CLOCK, "camera", 1 << 20)
        described = describe_stream(self.sender, tracks, "camera", "1")
        return self.ask(
            "ANNOUNCE", "", build_sdp(described), Content_Type="application/sdp", **fields
        )

    def record(self, tracks: Iterable[Track] = (VIDEO, AUDIO)) -> Response:
        """Announce tracks, set them up, and ask to record."""
        tracks = tuple(tracks)
        assert self.announce(tracks).status == 200
        for place in range(len(tracks)):
            channels = f"{2 * place}-{2 * place + 1}"
            self.ok("SETUP", f"/trackID={place}", Transport=f"{TCP}{channels};mode=record")
        return self.ask("RECORD", Range="npt=0.000-")

    def publish(self, *packets: Packet) -> None:
        """Send media within the connection, video on channel 0 and sound on 2; in one read."""
        assert self.sender is not None
        frames = [
            build_interleaved(2 if packet.track is AUDIO else 0, data)
            for packet in packets
            for data in self.sender.packets(packet)
        ]
        self.protocol.dataReceived(b"".join(frames))

    def report(self, track: Track, channel: int, seconds: float) -> None:
        """Send a sender report of a track."""
        assert self.sender is not None
        data = self.sender.report(track, WALL_CLOCK + seconds)
        self.protocol.dataReceived(build_interleaved(channel, data))

    def lose(self) -> None:
        """Break the connection."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


def infos(answer: Response) -> dict[int, TrackInfo]:
    """Return what RTP-Info says, by track."""
    found = parse_rtp_info(answer.headers.get("rtp-info"))
    return {int(info.url.rpartition("=")[2]): info for info in found}


class Source:
    """One who publishes without a network.

    Attributes:
        dismissals: Why it was sent away, if it was.
    """

    protocol = "test"
    peer = "192.0.2.7:1"

    def __init__(
        self, server: Server, tracks: Iterable[Track] = (VIDEO, AUDIO), key: StreamKey = KEY
    ) -> None:
        self.dismissals: list[str] = []
        self.publication: Publication = server.hub.publish(key, self)
        for track in tracks:
            self.publication.track_received(track)

    def dismissed(self, reason: str) -> None:
        """Remember it."""
        self.dismissals.append(reason)

    def send(self, *packets: Packet) -> None:
        """Publish packets, all in one read."""
        for packet in packets:
            self.publication.packet_received(packet)
        self.publication.batch_ended()

    def leave(self, *, lost: bool = False) -> None:
        """End it."""
        self.publication.close("test", lost=lost)


@implementer(IHost)
class Server:
    """The server; it is its own `IHost`."""

    certificates: Any = None
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

    def __init__(
        self,
        hub: HubSettings | None = None,
        rtsp: RTSPSettings | None = None,
        protocol: str = "rtsp",
        **applications: Application,
    ) -> None:
        self.reactor: Any = FakeReactor()
        self.settings = Settings(hub=hub or HubSettings(), rtsp=rtsp or RTSPSettings())
        self.events = EventBus()
        self.applications: Any = {**BUILT_IN, **applications}
        self.wall_clock = WALL_CLOCK
        self.preferences: Any = Preferences(self.store, self.events, lambda: WALL_CLOCK)
        self.access: Any = Access(self.applications, wall_clock=lambda: self.wall_clock)
        self.hub = Hub(self.reactor, self.settings.hub, self.events, lambda: WALL_CLOCK)
        self.told: list[Event] = []
        for kind in (PublishStarted, PublishEnded, PlayStarted, PlayEnded):
            self.events.subscribe(kind, self.told.append)
        self._parts: dict[Any, Any] = {}
        self._randoms = 0
        self.service: Any = make_rtsp_service(self, (), protocol, None)
        self.factory = RTSPFactory(self, self.settings.rtsp, protocol)

    def random(self, count: int) -> bytes:
        """Return bytes that are others each time, and the same in each run."""
        self._randoms += 1
        start = self._randoms * 7 % 256
        return RANDOM[start : start + count]

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

    def build(self, host: str = "192.0.2.1") -> RTSPConnection | None:
        """Build a connection, or None where there is no room."""
        return self.factory.buildProtocol(IPv4Address("TCP", host, 50000))

    def change(self, application: Application) -> None:
        """Let an application be another from now on, and tell it."""
        self.applications[application.name] = application
        self.events.emit(ApplicationChanged(application.name, application.name))

    def source(self, **options: Any) -> Source:
        """Have a stream, two groups of pictures and a bit long."""
        source = Source(self, **options)
        source.send(*media(0, 2200))
        return source

    def peer(self, address: str = "192.0.2.1", path: str = "/liveshow/test") -> Peer:
        """Have somebody connect."""
        return Peer(self, address, HOST + path)

    def player(self, path: str = "/liveshow/test") -> Peer:
        """Have somebody play all tracks of a stream that is there."""
        peer = self.peer(path=path)
        peer.play()
        return peer

    def publisher(self, path: str = "/liveshow/test", tracks: Any = (VIDEO, AUDIO)) -> Peer:
        """Have somebody publish, and be accepted."""
        peer = self.peer(path=path)
        answer = peer.record(tracks)
        assert answer.status == 200, answer
        return peer

    def wait(self, seconds: float) -> None:
        """Let time pass, a second at a time, as the server's clockwork sees it."""
        for _ in range(int(seconds)):
            self.reactor.advance(1)
            self.factory.tick()
            self.hub.tick()

    def kinds(self) -> list[str]:
        """Name what happened, in order."""
        return [type(event).__name__ for event in self.told]

    def pending(self) -> list[str]:
        """Name the timers that are left."""
        return [str(call) for call in self.reactor.getDelayedCalls()]


def assert_in_order(packets: list[RTPPacket]) -> None:
    """Check that nothing is missing, and nothing comes twice."""
    numbers = [packet.sequence_number for packet in packets]
    assert numbers == [(numbers[0] + place) & 0xFFFF for place in range(len(numbers))]


def texts(packets: list[RTPPacket]) -> list[int]:
    """Return the times in milliseconds that stand in the pictures or sounds."""
    return [int(packet.payload[-8:]) for packet in packets]


def pictures(packets: list[RTPPacket]) -> list[int]:
    """The same of pictures, without packets of parameter sets."""
    return texts([x for x in packets if x.payload[0] & 31 not in (7, 8)])
