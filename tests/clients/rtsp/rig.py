"""A client without a network: a reactor in memory, and servers that answer as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.clients.rtsp.client import RTSPClient
from ntvmedia.clients.rtsp.options import DEFAULTS, Options, RTSPError
from ntvmedia.config import OutboundSettings
from ntvmedia.config.reading import parse_section
from ntvmedia.media.packets import Packet, Track
from ntvmedia.outbound.streams import StreamConnector
from ntvmedia.wire.rtp.presentation import describe_stream
from ntvmedia.wire.rtp.stream_sender import StreamSender
from ntvmedia.wire.rtsp.headers import Headers
from ntvmedia.wire.rtsp.messages import (
    Interleaved,
    Reader,
    Request,
    Response,
    build_interleaved,
    build_response,
    reason_of,
)
from ntvmedia.wire.rtsp.transport import Lower, parse_transport
from ntvmedia.wire.sdp import CONTENT_TYPE, build_sdp
from tests.endpoints.rtsp.server import AUDIO, VIDEO, media
from tests.outbound.rig import Names

PEER: Final = "192.0.2.7"
LOCAL: Final = "192.0.2.1"
URL: Final = f"rtsp://{PEER}/live/test"
WALL: Final = 1.8e9

Answer = Callable[[Request], Response | None]


def response(status: int = 200, *fields: tuple[str, str], body: bytes = b"") -> Response:
    """Make an answer."""
    return Response(status, reason_of(status), Headers(list(fields)), body)


class Transport(StringTransport):
    """A connection, as the client has it."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing."""

    def write(self, data: bytes) -> None:
        """Keep it; nothing is sent any more once the connection is told to close."""
        if not self.disconnecting and not self.disconnected:
            super().write(data)


class UDPPort:
    """A bound port: what was written to it, and whether it is still there."""

    def __init__(self, number: int, protocol: Any, interface: str) -> None:
        self.number = number
        self.protocol = protocol
        self.interface = interface
        self.written: list[tuple[bytes, tuple[str, int]]] = []
        self.open = True
        protocol.makeConnection(self)

    def getHandle(self) -> Any:
        """Return what takes socket options."""
        return self

    def setsockopt(self, *_option: int) -> None:
        """Refuse, as a system may: buffers are only wished for."""
        raise OSError

    def write(self, data: bytes, address: tuple[str, int]) -> None:
        """Keep it."""
        self.written.append((data, address))

    def stopListening(self) -> None:
        """Be gone."""
        self.open = False

    def receive(self, data: bytes, address: tuple[str, int]) -> None:
        """Have something come."""
        self.protocol.datagramReceived(data, address)


class Reactor(MemoryReactorClock):
    """A reactor in memory.

    Attributes:
        names: What names mean.
        ports: UDP ports that were bound, in order.
        taken: Those that somebody else has; None for all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names = Names()
        self.nameResolver = self.names
        self.ports: list[UDPPort] = []
        self.taken: set[int] | None = set()

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> UDPPort:
        """Bind a port."""
        if self.taken is None or port in self.taken:
            raise CannotListenError(interface, port, OSError())
        self.ports.append(UDPPort(port, protocol, interface))
        return self.ports[-1]

    @property
    def open_ports(self) -> list[int]:
        """Those that are bound now."""
        return [port.number for port in self.ports if port.open]


class Remote:
    """One connection, from the server's side.

    It answers as a server does that has a stream of H.264 and AAC, but for what `answers` has by
    method: None for no answer.
    """

    def __init__(self, protocol: Any, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.requests: list[Request] = []
        self.frames: list[Interleaved] = []
        self.lost = False
        self.transport = Transport(
            peerAddress=IPv4Address("TCP", PEER, 554), hostAddress=IPv4Address("TCP", LOCAL, 40000)
        )
        self.protocol = protocol
        self.stream = StreamSender(bytes(16), WALL, "cname", 1 << 20)
        self.description = describe_stream(self.stream, (VIDEO, AUDIO), "test", "1")
        self._reader = Reader()
        protocol.makeConnection(self.transport)

    @property
    def producer(self) -> Any:
        """What is told when this takes no more, and when it does again."""
        return self.transport.producer

    @property
    def methods(self) -> list[str]:
        """Of the requests, in order."""
        return [request.method for request in self.requests]

    def run(self) -> None:
        """Answer all that is asked, until nothing more is."""
        while data := self.transport.value():
            self.transport.clear()
            self._reader.receive_data(data)
            while (message := self._reader.next_message()) is not None:
                if isinstance(message, Interleaved):
                    self.frames.append(message)
                elif isinstance(message, Request):
                    self.requests.append(message)
                    self._answer(message)

    def say(self, data: bytes) -> None:
        """Send bytes, and answer what they lead to."""
        self.protocol.dataReceived(data)
        self.run()

    def rtp(self, packets: Iterable[Packet]) -> list[tuple[int, bytes]]:
        """Return RTP of media: the track's place, and each packet."""
        found = []
        for packet in packets:
            self.stream.prepare(packet)
            place = (VIDEO, AUDIO).index(packet.track)
            found += [(place, data) for data in self.stream.packets(packet)]
        return found

    def play(self, packets: Iterable[Packet]) -> None:
        """Send media interleaved, on the usual channels."""
        frames = [build_interleaved(2 * place, data) for place, data in self.rtp(packets)]
        self.say(b"".join(frames))

    def lose(self, reason: Exception | None = None) -> None:
        """End the connection."""
        self.lost = True
        self.protocol.connectionLost(Failure(reason or ConnectionDone()))

    def _answer(self, request: Request) -> None:
        made = self.answers.get(request.method, self._usual)(request)
        if made is not None:
            fields = [("CSeq", request.headers.get("cseq")), *made.headers]
            self.protocol.dataReceived(build_response(made._replace(headers=Headers(fields))))

    def _usual(self, request: Request) -> Response:
        match request.method:
            case "OPTIONS":
                return response(200, ("Public", "DESCRIBE, SETUP, PLAY, GET_PARAMETER"))
            case "DESCRIBE":
                body = build_sdp(self.description)
                kind = ("Content-Type", CONTENT_TYPE)
                return response(200, kind, ("Content-Base", f"{request.url}/"), body=body)
            case "SETUP":
                text = request.headers.get("transport")
                if parse_transport(text)[0].lower is Lower.UDP:
                    text += ";server_port=6000-6001"
                return response(200, ("Transport", text), ("Session", "s1;timeout=60"))
        return response()


class Sink:
    """Keeps what is played."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.packets: list[Packet] = []
        self.batches = 0
        self.problem: Exception | None = None

    def track_received(self, track: Track) -> None:
        """Keep it."""
        self.tracks.append(track)

    def packet_received(self, packet: Packet) -> None:
        """Keep it, or raise what is wanted."""
        if self.problem is not None:
            raise self.problem
        self.packets.append(packet)

    def batch_ended(self) -> None:
        """Count it."""
        self.batches += 1


class ClientCase(SynchronousTestCase):
    """A client that may connect to 192.0.2.0/24 and what is public.

    When a test ends, no connection, port or timer is left.
    """

    def setUp(self) -> None:
        self.reactor = Reactor()
        settings = parse_section(OutboundSettings, "outbound", {"allow": ["192.0.2.0/24"]})
        connector = StreamConnector(self.reactor, settings)
        self.client = RTSPClient(self.reactor, connector, self._random, lambda: WALL)
        self.sink = Sink()
        self.answers: dict[str, Answer] = {}
        self.remotes: list[Remote] = []
        self._count = 0
        self._endings: list[Deferred[None]] = []
        self.addCleanup(self._end)

    def play(self, options: Options = DEFAULTS, url: str = URL) -> Deferred[None]:
        """Begin to play to `sink`."""
        return self.kept(self.client.play(url, self.sink, options))

    def kept(self, ending: Deferred[None]) -> Deferred[None]:
        """Have somebody who does not mind that it is cancelled when the test ends."""
        self._endings.append(ending)
        return ending

    def connected(self, place: int = -1) -> Remote:
        """Let a connection that the client asked for be made, and answer what it asks."""
        host, port, factory, *_rest = self.reactor.tcpClients[place]
        protocol = factory.buildProtocol(IPv4Address("TCP", host, port))
        remote = Remote(protocol, self.answers)
        self.remotes.append(remote)
        remote.run()
        return remote

    def pass_time(self, seconds: float, *remotes: Remote) -> None:
        """Let time pass, a quarter of a second at a time, and have servers answer."""
        for _step in range(round(seconds * 4)):
            self.reactor.advance(0.25)
            for remote in remotes:
                remote.run()

    def problem(self, ending: Deferred[None]) -> RTSPError:
        """Return what a play or publication failed with, soon."""
        self.pass_time(0.5)
        error = self.failureResultOf(ending, RTSPError).value
        assert isinstance(error, RTSPError)
        return error

    def _random(self, count: int) -> bytes:
        """Return bytes that differ each time."""
        self._count += 1
        return (self._count * 0x9E3779B97F4A7C15).to_bytes(16, "big")[-count:]

    def _end(self) -> None:
        for ending in self._endings:
            ending.addErrback(lambda failure: failure.trap(CancelledError) and None)
        closing = self.client.close()
        self.assertEqual(self.reactor.open_ports, [])
        for remote in self.remotes:
            if not remote.lost:
                self.assertTrue(remote.transport.disconnecting or remote.transport.disconnected)
                remote.lose()
        self.successResultOf(closing)
        self.assertEqual(self.client.connections, 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


__all__ = ["AUDIO", "URL", "VIDEO", "ClientCase", "Remote", "Sink", "media", "response"]
