"""Tests of ntvmedia.endpoints.proxied."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.endpoints.peers import peer_of
from ntvmedia.endpoints.proxied import HEADER_SECONDS, ProxiedFactory

HEADER = b"PROXY TCP4 192.0.2.1 198.51.100.1 50000 1935\r\n"


class Recorded(Protocol):
    """Keeps what it is told."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data


class RecordingFactory(Factory):
    """Builds them, as long as it is told to."""

    def __init__(self) -> None:
        self.built: list[Recorded] = []
        self.full = False

    def buildProtocol(self, addr: Any) -> Any:
        if self.full:
            return None
        self.built.append(Recorded(peer_of(addr)))
        return self.built[-1]


class ProxiedTests(SynchronousTestCase):
    """A-HS-12: the header counts only where it is enabled, and from a trusted peer."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.inner = RecordingFactory()
        networks = [cast(Any, ip_network("10.0.0.0/8"))]
        self.factory = ProxiedFactory(self.clock, self.inner, networks)

    def connect(self, host: str) -> StringTransport:
        """Have a peer connect; its transport finds its protocol as a real one does."""
        address = IPv4Address("TCP", host, 40000)
        transport = StringTransport(peerAddress=address)
        protocol = self.factory.buildProtocol(address)
        transport.protocol = protocol  # type: ignore[attr-defined]
        protocol.makeConnection(transport)
        return transport

    def send(self, transport: Any, data: bytes) -> None:
        """Let data arrive at whatever protocol the transport has now."""
        transport.protocol.dataReceived(data)

    def test_trusted(self) -> None:
        """The real protocol sees the client, and gets what follows the header; any cut."""
        for cut in range(len(HEADER)):
            transport = self.connect("10.1.2.3")
            self.send(transport, HEADER[:cut])
            self.send(transport, HEADER[cut:] + b"\x03ab")
            self.send(transport, b"cd")
            protocol = self.inner.built[-1]
            self.assertEqual((protocol.peer, protocol.data), ("192.0.2.1:50000", b"\x03abcd"))
            self.assertIs(protocol.transport, transport)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_untrusted(self) -> None:
        """From anybody else the header is just bytes."""
        transport = self.connect("192.0.2.99")
        self.send(transport, HEADER)
        protocol = self.inner.built[-1]
        self.assertEqual((protocol.peer, protocol.data), ("192.0.2.99:40000", HEADER))

    def test_no_header(self) -> None:
        """A trusted peer without a header is cut off, and no error is logged."""
        transport = self.connect("10.1.2.3")
        self.send(transport, b"\x03" + bytes(20))
        self.assertTrue(transport.disconnected)
        self.assertEqual(self.inner.built, [])

    def test_silence(self) -> None:
        """One that sends nothing is cut off in time."""
        transport = self.connect("10.1.2.3")
        self.clock.advance(HEADER_SECONDS - 0.01)
        self.assertFalse(transport.disconnected)
        self.clock.advance(0.01)
        self.assertTrue(transport.disconnected)

    def test_full(self) -> None:
        """Where there is no room for the client, its connection is closed."""
        self.inner.full = True
        transport = self.connect("10.1.2.3")
        self.send(transport, HEADER)
        self.assertTrue(transport.disconnected)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class BelievedTests(SynchronousTestCase):
    """F-AC-05: one whom a preference believes may send a header, and need not."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.inner = RecordingFactory()
        self.believed: tuple[Any, ...] = (ip_network("10.0.0.0/8"),)
        self.factory = ProxiedFactory(self.clock, self.inner, believed=lambda: self.believed)

    def say(self, host: str, *pieces: bytes) -> list[tuple[str, bytes]]:
        """Have a peer send something; return what the real protocols know and were told."""
        address = IPv4Address("TCP", host, 40000)
        transport = StringTransport(peerAddress=address)
        protocol = self.factory.buildProtocol(address)
        transport.protocol = protocol  # type: ignore[attr-defined]
        protocol.makeConnection(transport)
        for piece in pieces:
            transport.protocol.dataReceived(piece)  # type: ignore[attr-defined]
        return [(recorded.peer, recorded.data) for recorded in self.inner.built]

    def test_header(self) -> None:
        """It is read, in any pieces."""
        told = self.say("10.0.0.1", *(bytes([x]) for x in HEADER + b"GET"))
        self.assertEqual(told, [("192.0.2.1:50000", b"GET")])

    def test_no_header(self) -> None:
        """What begins otherwise is served as it is, from its first byte."""
        for piece in (b"GET / HTTP/1.1", b"PLAY rtsp", b"\x03", b"\r\nGET", b"\x16\x03"):
            self.inner.built.clear()
            self.assertEqual(self.say("10.0.0.1", piece), [("10.0.0.1:40000", piece)])

    def test_says_nothing(self) -> None:
        """One that waits, or stops within what may be a header, is served after a while."""
        self.assertEqual(self.say("10.0.0.1", b"PRO"), [])
        self.clock.advance(HEADER_SECONDS)
        self.assertEqual([(x.peer, x.data) for x in self.inner.built], [("10.0.0.1:40000", b"PRO")])

    def test_not_believed(self) -> None:
        """From anybody else a header is what any bytes are; a change counts at once."""
        self.assertEqual(self.say("192.0.2.7", HEADER), [("192.0.2.7:40000", HEADER)])
        self.believed = ()
        self.inner.built.clear()
        self.assertEqual(self.say("10.0.0.1", HEADER), [("10.0.0.1:40000", HEADER)])
