"""Tests of ntvmedia.hub.many_messages, and of what `datagrams` makes of it."""

from __future__ import annotations

import errno
import socket
from typing import Any
from weakref import ref

import pytest
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.hub.datagram_sockets import DatagramSockets, can_segment
from ntvmedia.hub.datagrams import DatagramOutlet, fan_out_datagrams
from ntvmedia.hub.many_messages import SocketMessages
from tests.hub import test_datagrams as alone
from tests.hub.fakes import FakeReactor
from tests.hub.test_datagrams import STEP, block

MANY = 1100  # more than the kernel takes in one call


class LiveTests(alone.LiveTests):
    """The same where many are sent to at once."""

    gathers = True

    def test_one_call_for_all(self) -> None:
        """Each batch is one call, and what it needs is made once for the same viewers."""
        outlets = [self.outlet(f"192.0.2.{number}") for number in range(50)]
        for _block in range(3):
            fan_out_datagrams(outlets, block(0, (0, b"aaaa"), (0, b"aaaa"), (2, b"sound")))
        self.assertEqual((self.many.calls, self.many.made), (6, 2))
        self.assertEqual(len(self.packets.calls), 300)
        fan_out_datagrams(outlets[1:], block(0))
        self.assertEqual(self.many.made, 3)
        self.assertEqual(outlets[0].sent_bytes, outlets[1].sent_bytes - 5)

    def test_streams_in_turns(self) -> None:
        """Several streams go out by the same sockets: what each needs is made once too."""
        streams = [[self.outlet(f"192.0.{x}.{y}") for y in range(3)] for x in range(3)]
        for _block in range(4):
            for outlets in streams:
                fan_out_datagrams(outlets, block(0))
        self.assertEqual(self.many.made, 3)
        gone = ref(streams[0][0])
        for outlet in streams.pop(0):
            outlet.close()
        del outlet, outlets
        self.packets.taken()
        self.assertIsNone(gone())

    def test_short_calls(self) -> None:
        """The kernel may take fewer than it is given."""
        self.many.most = 7
        outlets = [self.outlet(f"192.0.2.{number}") for number in range(20)]
        fan_out_datagrams(outlets, block(0, (0, b"a"), (2, b"b")))
        for channel in (0, 2):
            port = alone.ADDRESSES[channel][1]
            hosts = [call[2][0] for call in self.packets.calls if call[2][1] == port]
            self.assertEqual(hosts, [f"192.0.2.{number}" for number in range(20)])

    def test_by_itself(self) -> None:
        """One whose address is no number, or whose path cuts nothing, is sent to alone."""
        self.packets.refuses_segments = errno.EIO
        first = self.outlet()
        fan_out_datagrams([first], block(0, (0, b"aa"), (0, b"aa")))
        self.packets.refuses_segments = 0
        self.packets.taken()
        outlets = [first, self.outlet("name"), self.outlet("192.0.2.2")]
        fan_out_datagrams(outlets, block(0, (0, b"aa"), (0, b"aa")))
        self.assertEqual(self.packets.taken(), [b"aa"] * 6)
        self.assertEqual([x.gathers is None for x in outlets], [True, True, False])

    def test_bug(self) -> None:
        """A bug ends those that it concerns, and no others."""
        outlets = [self.outlet(), self.outlet("name")]
        self.many.messages = None  # type: ignore[assignment]
        fan_out_datagrams(outlets, block(0))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertEqual([x.closed for x in outlets], [True, False])
        self.assertEqual(self.packets.taken(), [b"0"])


class PacingTests(alone.PacingTests):
    """The same."""

    gathers = True


class FullTests(alone.FullTests):
    """The same."""

    gathers = True

    def test_turns(self) -> None:
        """Who found no room waits, with what he has not got; who got all of it does not."""
        outlets = [self.outlet(f"192.0.2.{number}") for number in range(3)]
        self.packets.room = 5
        fan_out_datagrams(outlets, block(0, (0, b"picture"), (2, b"sound")))
        self.assertEqual([x.ready for x in outlets], [True, True, False])
        self.packets.room = 1
        self.run_writers()
        self.assertTrue(outlets[2].ready)
        self.assertEqual(self.packets.taken(), [b"picture"] * 3 + [b"sound"] * 3)
        sizes = {x.sent_bytes for x in outlets}
        self.assertEqual(len(sizes), 1)


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 12), st.integers(1, 5)), min_size=1, max_size=12
    )
)
def test_everybody_gets_all(turns: list[tuple[int, int, int]]) -> None:
    """Whatever the kernel takes and when, everybody gets each datagram once, in order."""
    case = FullTests()
    case.setUp()
    outlets = [case.outlet(f"192.0.2.{number}") for number in range(4)]
    number = 0
    for datagrams, room, most in turns:
        case.packets.room, case.many.most = room, most
        kept = [(2 * (x % 2), b"%d" % (number + x)) for x in range(datagrams)]
        fan_out_datagrams(outlets, block(number, *kept, key=True))
        number += datagrams
        case.run_writers()
    case.packets.room = 1 << 40
    while case.reactor.writers or any(x.queued_bytes for x in outlets):
        case.run_writers()
        case.reactor.advance(STEP)
    for place in range(4):
        for port in (5000, 5002):
            calls = [x for x in case.packets.calls if x[2] == (f"192.0.2.{place}", port)]
            got = [int(x) for datagrams, _ancillary, _address in calls for x in datagrams]
            assert got == sorted(set(got))
        everything = [x for x in case.packets.calls if x[2][0] == f"192.0.2.{place}"]
        assert sum(len(x[0]) for x in everything) == number
    assert len({x.sent_bytes for x in outlets}) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("segmented", [True, False])
def test_sockets(host: str, segmented: bool) -> None:
    """What the kernel is given comes, on IPv4 and IPv6, in order, to all of many."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sender, first, last = (socket.socket(family, socket.SOCK_DGRAM) for _each in range(3))
    with sender, first, last:
        for sock in (sender, first, last):
            sock.bind((host, 0))
            sock.settimeout(5)
        segmented = segmented and can_segment(sender)
        many = SocketMessages(sender, segmented=segmented)
        sockets = DatagramSockets(
            FakeReactor(), sender, sender, segmented=segmented, most_waiting=1000, many=many
        )
        ends = [first.getsockname(), *[("", 0)] * (MANY - 2), last.getsockname()]
        closed = (host, 9)  # "discard": nobody is there, and what is sent is lost
        outlets = [
            DatagramOutlet(sockets, {0: end if end[1] else closed}, lambda: None) for end in ends
        ]
        wanted = [bytes([number]) * size for number, size in enumerate((900, 900, 20))]
        for _block in range(2):
            fan_out_datagrams(outlets, block(0, *((0, x) for x in wanted)))
        for sock in (first, last):
            assert [sock.recv(2000) for _each in range(6)] == 2 * wanted
        assert {x.lost for x in outlets} == {0}


@pytest.mark.parametrize(
    ("family", "address", "found"),
    [
        (socket.AF_INET, ("127.0.0.1", 5), True),
        (socket.AF_INET, ("localhost", 5), False),
        (socket.AF_INET, ("::1", 5), False),
        (socket.AF_INET6, ("::1", 5), True),
        (socket.AF_INET6, ("::1", 5, 0, 0), True),
        (socket.AF_INET6, ("fe80::1%lo", 5), True),
        (socket.AF_INET6, ("fe80::1%7", 5, 0, 7), True),
        (socket.AF_INET6, ("fe80::1%nowhere", 5), False),
        (socket.AF_INET6, ("127.0.0.1", 5), False),
    ],
)
def test_can_reach(family: int, address: tuple[Any, ...], found: bool) -> None:
    """Hosts are numbers of the socket's family; a zone may be a name."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        assert SocketMessages(sock, segmented=False).can_reach(address) is found


class ErrorTests(SynchronousTestCase):
    """What the kernel does not do."""

    def test_refused(self) -> None:
        """The reason is the kernel's."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            messages = SocketMessages(sock, segmented=False).messages([("127.0.0.1", 9)] * 2)
            with self.assertRaises(OSError) as caught:
                messages.send(0, bytes(70_000), 70_000)
            self.assertEqual(caught.exception.errno, errno.EMSGSIZE)
