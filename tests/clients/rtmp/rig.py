"""A client without a network: a reactor in memory, and peers that are our server's sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.clients.rtmp.client import RTMPClient
from ntvmedia.config import OutboundSettings
from ntvmedia.config.reading import parse_section
from ntvmedia.errors import RemoteError
from ntvmedia.media import Packet, Track
from ntvmedia.media.relaying import PullOptions, PushOptions
from ntvmedia.outbound.streams import StreamConnector
from ntvmedia.wire.rtmp.events import (
    MetadataReceived,
    PlayRequested,
    PublishRequested,
    ServerEvent,
)
from ntvmedia.wire.rtmp.server import ServerSession
from tests.clients.rtsp.rig import Reactor
from tests.endpoints.rtmp.server import AUDIO, RANDOM, VIDEO, frame, sound

PEER: Final = "192.0.2.7"
URL: Final = f"rtmp://{PEER}/liveshow/test?key=secret"

Answer = Callable[[ServerSession, ServerEvent], None]


def accept(session: ServerSession, event: ServerEvent) -> None:
    """Grant every request."""
    if isinstance(event, PublishRequested):
        session.accept_publish()
    elif isinstance(event, PlayRequested):
        session.accept_play()


def refuse(code: str, description: str = "") -> Answer:
    """Return what refuses every request."""

    def answer(session: ServerSession, event: ServerEvent) -> None:
        if isinstance(event, PublishRequested | PlayRequested):
            session.reject(code, description)

    return answer


class Transport(StringTransport):
    """A connection, as the client has it."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing."""

    def write(self, data: bytes) -> None:
        """Keep it; nothing is sent any more once the connection is told to close."""
        if not self.disconnecting and not self.disconnected:
            super().write(data)


class Remote:
    """One connection, from the side of a server that accepts what it is asked, or as `answer` says.

    Attributes:
        events: What the client did and sent.
        taken: Bytes that came.
    """

    def __init__(self, protocol: Any, answer: Answer, **settings: Any) -> None:
        self.session = ServerSession(RANDOM, **settings)
        self.answer = answer
        self.events: list[Any] = []
        self.taken = b""
        self.takes = True
        self.lost = False
        self.protocol = protocol
        self.transport = Transport(peerAddress=IPv4Address("TCP", PEER, 1935))
        protocol.makeConnection(self.transport)

    def run(self) -> None:
        """Carry bytes both ways until nobody has any; nothing while this takes nothing."""
        while self.takes:
            data = self.transport.value()
            self.transport.clear()
            self.taken += data
            self.session.receive_data(data)
            for event in self.session.events():
                self.events.append(event)
                self.answer(self.session, event)
            told = self.session.data_to_send()
            if told and not self.lost:
                self.protocol.dataReceived(told)
            if not data and not told:
                return

    def say(self, data: bytes) -> None:
        """Send bytes, and read what they lead to."""
        self.protocol.dataReceived(data)
        self.run()

    def stop_taking(self) -> None:
        """Have the connection full."""
        self.takes = False
        outlet: Any = self.transport.producer
        outlet.pauseProducing()

    def take(self) -> None:
        """Take all that waits, for now."""
        self.takes = True
        self.run()
        while self.transport.producer is not None and self.transport.producer.blocked:
            self.transport.producer.resumeProducing()
            self.run()

    @property
    def packets(self) -> list[Packet]:
        """Those that the client published."""
        return [event for event in self.events if isinstance(event, Packet)]

    @property
    def tracks(self) -> list[Track]:
        """Those that it announced."""
        return [event for event in self.events if isinstance(event, Track)]

    @property
    def requests(self) -> list[tuple[str, str, str]]:
        """The application, the stream's name and the address of each publication and play."""
        return [
            (event.app, event.name, event.tc_url)
            for event in self.events
            if isinstance(event, PublishRequested | PlayRequested)
        ]

    def lose(self, reason: Exception | None = None) -> None:
        """End the connection."""
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(reason or ConnectionDone()))


class Sink:
    """Keeps what is played."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.packets: list[Packet] = []
        self.fields: list[Mapping[str, object]] = []
        self.batches = 0
        self.patience = 0.0
        self.at_packet: Callable[[], None] | None = None

    def track_received(self, track: Track) -> None:
        """Keep it."""
        self.tracks.append(track)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        """Keep it."""
        self.fields.append(fields)

    def packet_received(self, packet: Packet) -> None:
        """Keep it."""
        self.packets.append(packet)
        if self.at_packet is not None:
            self.at_packet()

    def batch_ended(self) -> None:
        """Count it."""
        self.batches += 1

    def noted(self, line: str) -> None:
        """Nothing is noted here."""
        raise AssertionError(line)


class ClientCase(SynchronousTestCase):
    """A client that may connect to 192.0.2.0/24 and what is public.

    When a test ends, no connection or timer is left.
    """

    def setUp(self) -> None:
        self.reactor = Reactor()
        settings = parse_section(
            OutboundSettings, "outbound", {"allow": ["192.0.2.0/24", "2001:db8::/32"]}
        )
        connector = StreamConnector(self.reactor, settings)
        self.client = RTMPClient(self.reactor, connector, lambda count: RANDOM[:count])
        self.client.startService()
        self.sink = Sink()
        self.feeds: list[Any] = []
        self.remotes: list[Remote] = []
        self._endings: list[Deferred[None]] = []
        self.addCleanup(self._end)

    def play(self, url: str = URL, **options: Any) -> Deferred[None]:
        """Begin to play to `sink`."""
        return self.kept(self.client.play(url, self.sink, PullOptions(**options)))

    def publish(
        self, url: str = URL, tracks: tuple[Track, ...] = (VIDEO, AUDIO), **options: Any
    ) -> Deferred[None]:
        """Begin to publish; the feeds are `feeds`."""
        return self.kept(
            self.client.publish(
                url, tracks, {"encoder": "x"}, PushOptions(**options), self.feeds.append
            )
        )

    def kept(self, ending: Deferred[None]) -> Deferred[None]:
        """Have somebody who does not mind that it is cancelled when the test ends."""
        self._endings.append(ending)
        return ending

    def connected(self, answer: Answer = accept, **settings: Any) -> Remote:
        """Let a connection that the client asked for be made, and answer what it asks."""
        host, port, factory, *_rest = self.reactor.tcpClients[-1]
        protocol = factory.buildProtocol(IPv4Address("TCP", host, port))
        remote = Remote(protocol, answer, **settings)
        self.remotes.append(remote)
        remote.run()
        return remote

    def pass_time(self, seconds: float, *remotes: Remote) -> None:
        """Let time pass, a quarter of a second at a time, and have servers answer."""
        for _step in range(round(seconds * 4)):
            self.reactor.advance(0.25)
            for remote in remotes:
                remote.run()

    def problem(self, ending: Deferred[None]) -> RemoteError:
        """Return what a play or publication failed with, soon."""
        self.pass_time(0.5)
        error = self.failureResultOf(ending, RemoteError).value
        assert isinstance(error, RemoteError)
        return error

    def _end(self) -> None:
        for ending in self._endings:
            ending.addErrback(lambda failure: failure.trap(CancelledError) and None)
        closing = self.client.stopService()
        self.pass_time(3.25)
        for remote in self.remotes:
            if not remote.lost:
                self.assertTrue(remote.transport.disconnecting or remote.transport.disconnected)
                remote.lose()
        self.successResultOf(closing)
        self.assertEqual(self.client.connections, 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


__all__ = ["AUDIO", "PEER", "URL", "VIDEO", "ClientCase", "MetadataReceived", "Remote", "Sink",
           "accept", "frame", "refuse", "sound"]  # fmt: skip
