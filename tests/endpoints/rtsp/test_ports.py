"""Tests of ntvmedia.endpoints.rtsp.ports."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ntvmedia.config.reading import PortRange
from ntvmedia.endpoints.rtsp.ports import (
    DatagramReader,
    NoPorts,
    PortPair,
    PortPool,
    SendingPorts,
    is_report,
)
from ntvmedia.hub.many_messages import Address
from ntvmedia.wire.rtp.rtcp import ReceiverReport, build_compound
from tests.endpoints.rtsp.udp import LOCAL, bound, free_ports
from tests.hub.fakes import FakeReactor

REPORT = build_compound((ReceiverReport(7, ()),))


class PoolTests(SynchronousTestCase):
    """D-TR-05: even and odd ports that follow each other, and back they come."""

    def test_pairs(self) -> None:
        """All that are in the range, each once; then there is none, and no socket is left."""
        ports = free_ports(10)
        pool = PortPool(ports)
        pairs = [pool.take(LOCAL) for _each in range(10)]
        self.assertEqual([x.port for x in pairs], list(range(ports.first, ports.last, 2)))
        for pair in pairs:
            self.assertEqual(pair.packets.getsockname(), (LOCAL, pair.port))
            self.assertEqual(pair.reports.getsockname(), (LOCAL, pair.port + 1))
        self.assertRaises(NoPorts, pool.take, LOCAL)
        for pair in pairs:
            pool.give_back(pair)
        self.assertEqual(pool.free, 10)
        for port in range(ports.first, ports.last + 1):
            bound(LOCAL, port).close()

    def test_odd_range(self) -> None:
        """A range that begins with an odd port, or ends with an even one, has less."""
        first = free_ports(3).first
        pool = PortPool(PortRange(first + 1, first + 4))
        self.assertEqual(pool.free, 1)
        pair = pool.take(LOCAL)
        self.addCleanup(pair.close)
        self.assertEqual(pair.port, first + 2)

    def test_oldest_first(self) -> None:
        """What is under way to a port's last owner is not soon another's."""
        pool = PortPool(free_ports(3))
        first = pool.take(LOCAL)
        pool.give_back(first)
        second = pool.take(LOCAL)
        self.addCleanup(second.close)
        self.assertNotEqual(second.port, first.port)

    def test_taken_by_another_program(self) -> None:
        """Half a pair is none: the next one is taken, and nothing is left open."""
        ports = free_ports(3)
        other = bound(LOCAL, ports.first + 1)
        self.addCleanup(other.close)
        pool = PortPool(ports)
        pair = pool.take(LOCAL)
        self.addCleanup(pair.close)
        self.assertEqual(pair.port, ports.first + 2)
        bound(LOCAL, ports.first).close()
        self.assertEqual(pool.free, 2)

    def test_no_such_address(self) -> None:
        """An address that is not this machine's, or none, is told at once."""
        pool = PortPool(free_ports(3))
        for host in ("192.0.2.1", "2001:db8::1"):
            error = self.assertRaises(NoPorts, pool.take, host)
            self.assertIn(host, str(error))
        self.assertEqual(pool.free, 3)

    def test_ipv6(self) -> None:
        """A client of IPv6 has ports of it."""
        pair = PortPool(free_ports(3)).take("::1")
        self.addCleanup(pair.close)
        self.assertEqual(pair.packets.family, socket.AF_INET6)


class ReaderTests(SynchronousTestCase):
    """What comes is read, and a bug ends nothing."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.pair = PortPair(LOCAL, free_ports(1).first)
        self.addCleanup(self.pair.close)
        self.came: list[tuple[bytes, Address]] = []
        self.ended = 0
        self.reader = DatagramReader(self.reactor, self.pair.packets, self._received, self._ended)
        self.client = bound(LOCAL, 0)
        self.addCleanup(self.client.close)

    def _received(self, data: bytes, address: Address) -> None:
        self.came.append((data, address))
        if data == b"stop":
            self.reader.stop()
        if data == b"bug":
            raise ZeroDivisionError

    def _ended(self) -> None:
        self.ended += 1

    def send(self, *datagrams: bytes) -> None:
        """Send some."""
        for data in datagrams:
            self.client.sendto(data, (LOCAL, self.pair.port))

    def test_reads_all(self) -> None:
        """Each with its address, the empty one too; then the end of the batch is told, once."""
        verifyObject(IReadDescriptor, self.reader)
        self.send(b"a", b"", bytes(9000))
        self.reader.doRead()
        address = self.client.getsockname()
        self.assertEqual(self.came, [(b"a", address), (b"", address), (bytes(9000), address)])
        self.assertEqual(self.ended, 1)

    def test_turns(self) -> None:
        """F-RE-11: a flood does not keep the reactor from others."""
        self.send(*[b"x"] * 230)
        self.reader.doRead()
        self.assertLess(len(self.came), 230)
        self.reader.doRead()
        self.assertEqual(len(self.came), 230)

    def test_stops_in_between(self) -> None:
        """Once it was stopped, nothing more is told, of what came before either."""
        self.send(b"stop", b"more")
        self.reader.doRead()
        self.reader.stop()
        self.assertEqual([data for data, _address in self.came], [b"stop"])
        self.assertEqual((self.ended, self.reactor.readers), (0, set()))

    def test_unreachable(self) -> None:
        """An ICMP message for a socket that is connected ends nothing (F-RE-11)."""
        self.pair.packets.connect(self.client.getsockname())
        self.client.close()
        self.pair.packets.send(b"nobody is there")
        # As Twisted's reactors do with an event that is an error alone.
        self.reactor.removeReader(self.reader)
        self.reader.connectionLost(None)
        self.assertEqual(self.reactor.readers, {self.reader})
        error = self.pair.packets.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.assertEqual(error, 0)
        self.reader.stop()
        self.reader.connectionLost(None)
        self.assertEqual(self.reactor.readers, set())

    def test_closed(self) -> None:
        """One that is closed is not read again."""
        self.pair.close()
        self.reactor.removeReader(self.reader)
        self.reader.connectionLost(None)
        self.assertEqual(self.reactor.readers, set())

    def test_bug(self) -> None:
        """It is logged, and what comes later is read."""
        self.send(b"bug")
        self.reader.doRead()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.send(b"later")
        self.reader.doRead()
        self.assertEqual(self.came[-1][0], b"later")
        self.assertEqual(self.reactor.readers, {self.reader})


class SendingPortsTests(SynchronousTestCase):
    """All players of an address share one pair; who is meant is known by whence reports come."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.pair = PortPair(LOCAL, free_ports(1).first)
        self.addCleanup(self.pair.close)
        self.sending = SendingPorts(self.reactor, self.pair, segmented=True, most_waiting=1000)
        self.addCleanup(self.sending.close)
        self.heard: list[str] = []
        self.client = bound(LOCAL, 0)
        self.addCleanup(self.client.close)

    def claim(self, owner: str, *ports: int) -> bool:
        """Claim two ports of this host."""
        addresses = [(LOCAL, port) for port in ports]
        return self.sending.claim(owner, addresses, lambda: self.heard.append(owner))

    def report(self, data: bytes = REPORT) -> None:
        """Send a report from the client's port, and let it be read."""
        self.client.sendto(data, (LOCAL, self.pair.port + 1))
        for reader in self.reactor.readers:
            reader.doRead()

    def test_heard(self) -> None:
        """D-TR-09: a report from the second port, and from there alone; what is none is not."""
        port = self.client.getsockname()[1]
        verifyObject(IWriteDescriptor, self.sending.sockets)
        self.assertTrue(self.claim("other", 5000, 5001))
        self.report()
        self.assertEqual(self.heard, [])
        self.assertTrue(self.claim("he", port - 1, port))
        self.report(b"\x80\x60 no report")
        self.report(b"")
        self.assertEqual(self.heard, [])
        self.report()
        self.assertEqual(self.heard, ["he"])
        self.sending.give_up("he")
        self.report()
        self.assertEqual(self.heard, ["he"])

    def test_one_owner(self) -> None:
        """D-TR-08: two sessions never play to the same port; one may, with several tracks."""
        self.assertTrue(self.claim("he", 5000, 5001))
        self.assertTrue(self.claim("he", 5000, 5001))
        self.assertFalse(self.claim("she", 5000, 5001))
        self.assertFalse(self.claim("she", 5001, 5002))
        self.assertTrue(self.claim("she", 5002, 5003))
        self.sending.give_up("he")
        self.assertTrue(self.claim("she", 5000, 5001))

    def test_not_read(self) -> None:
        """F-RE-11: what comes to the port that packets are sent from is never read."""
        for _datagram in range(100):
            self.client.sendto(bytes(1000), (LOCAL, self.pair.port))
        watched = {reader.fileno() for reader in self.reactor.readers}
        self.assertEqual(watched, {self.pair.reports.fileno()})
        size = self.pair.packets.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.assertLess(size, 10_000)


def test_is_report() -> None:
    """RTCP is known by its version and packet type; RTP with any payload type is none."""
    cases: list[tuple[bytes, Any]] = [
        (REPORT, True),
        (b"\x80\xc8\0\0", True),
        (b"\x80\xcf\0\0", True),
        (b"\x80\xe0\0\0", False),
        (b"\x80\x60\0\0", False),
        (b"\x00\xc9\0\0", False),
        (b"\x80\xc9", False),
        (b"", False),
    ]
    for data, expected in cases:
        assert is_report(data) is expected, data
