"""Tests of ntvmedia.hub.datagrams."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.hub.blocks import Block
from ntvmedia.hub.datagram_sockets import (
    DatagramSockets,
    can_segment,
    send_datagram,
    split_block,
)
from ntvmedia.hub.datagrams import (
    BURST_MS,
    CATCH_UP_RATE,
    DatagramOutlet,
    fan_out_datagrams as fan_out,
)
from ntvmedia.hub.many_messages import UDP_SEGMENT, Messages
from tests.hub.fakes import FakeReactor

ADDRESSES = {0: ("192.0.2.1", 5000), 1: ("192.0.2.1", 5001), 2: ("192.0.2.1", 5002)}
STEP = BURST_MS / 1000 / CATCH_UP_RATE


def framed(*datagrams: tuple[int, bytes]) -> bytes:
    """Write a block of datagrams, each with its channel."""
    return b"".join(struct.pack(">BBH", 0x24, channel, len(x)) + x for channel, x in datagrams)


def block(time_ms: int, *datagrams: tuple[int, bytes], key: bool = False) -> Block:
    """Make a block; of one datagram with its time, unless others are given."""
    return Block(framed(*(datagrams or ((0, b"%d" % time_ms),))), key, 0, time_ms)


class FakeDatagramSocket:
    """A kernel's end of a socket: takes `room` calls more."""

    def __init__(self) -> None:
        self.room = 1 << 40
        self.error: OSError | None = None
        self.refuses_segments = 0
        self.refuses: Any = None
        self.calls: list[tuple[list[bytes], Any, Any]] = []

    def sendmsg(self, buffers: Sequence[Any], ancillary: Any, flags: int, address: Any) -> int:
        """Note what is sent."""
        if self.error is not None:
            raise self.error
        if ancillary and self.refuses_segments:
            raise OSError(self.refuses_segments, "no")
        if address == self.refuses:
            raise OSError(errno.ENETUNREACH, "no")
        if not self.room:
            raise BlockingIOError
        self.room -= 1
        self.calls.append(([bytes(x) for x in buffers], tuple(ancillary), address))
        return sum(map(len, buffers))

    def fileno(self) -> int:
        """Return a number that is no open file's."""
        return 1_000_001

    def taken(self) -> list[bytes]:
        """Return the datagrams so far, and forget them."""
        found = [x for buffers, _ancillary, _address in self.calls for x in buffers]
        self.calls = []
        return found


class FakeMany:
    """Sends to many by a fake socket, `most` in one call."""

    def __init__(self, sock: FakeDatagramSocket) -> None:
        self.socket = sock
        self.most = 1000
        self.made = 0
        self.calls = 0

    def can_reach(self, address: Any) -> bool:
        """Names are no numbers."""
        return bool(address[0] != "name")

    def messages(self, addresses: Sequence[Any]) -> Messages:
        """Count how often they are made."""
        assert addresses
        self.made += 1
        return FakeMessages(self, addresses)


class FakeMessages:
    """To some addresses."""

    def __init__(self, many: FakeMany, addresses: Sequence[Any]) -> None:
        self.many = many
        self.addresses = addresses

    def send(self, start: int, data: bytes, segment: int) -> int:
        """Send to one after the other, as the kernel does."""
        self.many.calls += 1
        cut = [data[place : place + segment] for place in range(0, len(data), segment)]
        ancillary = ()
        if len(cut) > 1:
            size = segment.to_bytes(2, sys.byteorder)
            ancillary = ((socket.IPPROTO_UDP, UDP_SEGMENT, size),)  # type: ignore[assignment]
        sent = 0
        for address in self.addresses[start : start + self.many.most]:
            try:
                self.many.socket.sendmsg(cut, ancillary, 0, address)
            except OSError:
                if not sent:
                    raise
                break
            sent += 1
        return sent


class Case(SynchronousTestCase):
    """Has two sockets, a reactor, and one outlet or more."""

    gathers = False

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.packets, self.reports = FakeDatagramSocket(), FakeDatagramSocket()
        self.many = FakeMany(self.packets)
        self.sockets = DatagramSockets(
            self.reactor,
            self.packets,  # type: ignore[arg-type]
            self.reports,  # type: ignore[arg-type]
            segmented=True,
            most_waiting=1000,
            many=self.many if self.gathers else None,
        )
        self.broken = 0

    def outlet(self, host: str = "192.0.2.1") -> DatagramOutlet:
        """Make an outlet."""
        addresses = {channel: (host, port) for channel, (_host, port) in ADDRESSES.items()}
        return DatagramOutlet(self.sockets, addresses, self._broken)

    def _broken(self) -> None:
        self.broken += 1

    def run_writers(self) -> None:
        """Tell those who wait that there is room."""
        for writer in tuple(self.reactor.writers):
            writer.doWrite()


def sizes(*counts: int) -> list[tuple[int, bytes]]:
    """Make datagrams of some sizes on channel 0."""
    return [(0, bytes([number % 256]) * count) for number, count in enumerate(counts)]


def runs(*counts: int) -> list[list[int]]:
    """Tell in which runs datagrams of some sizes are sent."""
    found = split_block(framed(*sizes(*counts)), segmented=True)
    return [[len(x) for x in batch.datagrams] for batch in found]


def test_runs() -> None:
    """Datagrams of one size, and a shorter one behind them, are one call (udp(7))."""
    assert runs(1452, 1452, 300) == [[1452, 1452, 300]]
    assert runs(1452, 300, 1452, 1452) == [[1452, 300], [1452, 1452]]
    assert runs(300, 1452) == [[300], [1452]]
    assert runs(300, 200, 100) == [[300, 200], [100]]
    assert runs(7) == [[7]]
    assert runs() == []


def test_runs_are_bounded() -> None:
    """The kernel cuts 64 at most, and one call is less than 65,507 bytes."""
    assert [len(run) for run in runs(*[100] * 130)] == [64, 64, 2]
    found = runs(*[1452] * 60)
    assert [len(run) for run in found] == [44, 16]
    assert max(map(sum, found)) < 65507


def test_segment_size() -> None:
    """The kernel is told the size as a short integer of the machine."""
    (batch,) = split_block(framed(*sizes(1452, 1452, 300)), segmented=True)
    size = (1452).to_bytes(2, sys.byteorder)
    assert batch.ancillary == ((socket.IPPROTO_UDP, UDP_SEGMENT, size),)
    (single,) = split_block(framed(*sizes(1452)), segmented=True)
    assert single.ancillary == ()


channels = st.integers(0, 3)
datagrams = st.lists(st.tuples(channels, st.binary(max_size=6)), max_size=40)


@given(datagrams, st.booleans())
def test_nothing_is_lost(given_ones: list[tuple[int, bytes]], segmented: bool) -> None:
    """Each channel has its datagrams in their order, however they are gathered."""
    found: dict[int, list[bytes]] = {}
    for channel, batch, ancillary in split_block(framed(*given_ones), segmented=segmented):
        found.setdefault(channel, []).extend(map(bytes, batch))
        assert bool(ancillary) is (len(batch) > 1)
        assert segmented or len(batch) == 1
        assert all(len(x) == len(batch[0]) for x in batch[:-1])
        assert len(batch[-1]) <= len(batch[0])
    expected: dict[int, list[bytes]] = {}
    for channel, data in given_ones:
        expected.setdefault(channel, []).append(data)
    assert found == expected


class LiveTests(Case):
    """A viewer that keeps up."""

    def test_sends_at_once(self) -> None:
        """A block is sent when it comes: packets and reports on their sockets."""
        outlet = self.outlet()
        data = block(0, (0, b"aaaa"), (1, b"report"), (0, b"bb"), (2, b"sound"))
        fan_out([outlet], data)
        segment = ((socket.IPPROTO_UDP, UDP_SEGMENT, (4).to_bytes(2, sys.byteorder)),)
        self.assertEqual(
            self.packets.calls,
            [([b"aaaa", b"bb"], segment, ADDRESSES[0]), ([b"sound"], (), ADDRESSES[2])],
        )
        self.assertEqual(self.reports.calls, [([b"report"], (), ADDRESSES[1])])
        self.assertEqual(outlet.sent_bytes, len(data.data))
        self.assertTrue(outlet.ready)

    def test_split_once(self) -> None:
        """What all viewers of a block get is looked at once, and copied for none."""
        outlets = [self.outlet(f"192.0.2.{number}") for number in range(3)]
        data = block(0, (0, b"aaaa"), (0, b"aaaa"))
        fan_out(outlets, data)
        first = self.sockets.batches(data.data, segmented=True)
        self.assertIs(first, self.sockets.batches(data.data, segmented=True))
        self.assertIs(first[0].datagrams[0].obj, data.data)
        self.assertEqual([call[2][0][-1] for call in self.packets.calls], ["0", "1", "2"])

    def test_no_route_disturbs_nobody(self) -> None:
        """One that cannot be reached loses what is his; the others do not notice."""
        near, far = self.outlet(), self.outlet("203.0.113.1")
        self.packets.refuses = ("203.0.113.1", 5000)
        fan_out([far, near], block(0, (0, b"picture"), (2, b"sound")))
        self.assertEqual(sorted(self.packets.taken()), [b"picture", b"sound", b"sound"])
        self.assertEqual((far.lost, near.lost), (1, 0))
        self.assertTrue(far.ready)
        self.assertEqual(self.broken, 0)

    def test_kernel_cannot_segment(self) -> None:
        """Where a path or a card cannot, each datagram is sent by itself from then on."""
        for number in (errno.EINVAL, errno.EIO, errno.EMSGSIZE):
            self.packets.refuses_segments = number
            outlet = self.outlet()
            for _block in range(2):
                fan_out([outlet], block(0, (0, b"aa"), (0, b"aa"), (2, b"s"), (2, b"s")))
                self.assertEqual(self.packets.taken(), [b"aa", b"aa", b"s", b"s"])
            self.assertEqual(outlet.lost, 0)

    def test_close(self) -> None:
        """After it nothing is sent, and nothing is left with the reactor."""
        outlet = self.outlet()
        outlet.begin(b"", [block(0, key=True), block(500)], 0)
        outlet.close()
        outlet.close()
        fan_out([outlet], block(540))
        outlet.write(framed((1, b"goodbye")))
        self.assertEqual(self.packets.taken(), [b"0"])
        self.assertEqual(self.reports.taken(), [])
        self.assertEqual((self.reactor.getDelayedCalls(), outlet.queued_bytes), ([], 0))

    def test_abort_is_told_once(self) -> None:
        """Who has a bug is ended, and its session is told so."""
        outlet = self.outlet()
        outlet.abort()
        outlet.abort()
        self.assertEqual(self.broken, 1)
        self.assertTrue(outlet.closed)


class PacingTests(Case):
    """The past is given to who joins a little at a time: at most 50 ms of media in one go."""

    def test_bursts(self) -> None:
        """First the reports, then a burst every 10 ms, in order and complete."""
        outlet = self.outlet()
        past = [block(x, key=not x) for x in range(0, 2000, 20)]
        outlet.begin(framed((1, b"report")), past, 0)
        self.assertEqual(self.reports.taken(), [b"report"])
        got = self.packets.taken()
        while not outlet.ready:
            self.reactor.advance(STEP)
            burst = self.packets.taken()
            times = [int(x) for x in burst]
            if times:
                self.assertLessEqual(times[-1] - times[0], BURST_MS)
            got += burst
        self.assertEqual(got, [b"%d" % x for x in range(0, 2000, 20)])
        self.assertAlmostEqual(self.reactor.seconds(), 2 / CATCH_UP_RATE, delta=0.05)
        self.assertEqual(outlet.sent_bytes, sum(len(x.data) for x in past) + 10)

    def test_late_reactor(self) -> None:
        """A reactor that comes late makes no long burst of it."""
        outlet = self.outlet()
        outlet.begin(b"", [block(x, key=not x) for x in range(0, 2000, 20)], 0)
        self.packets.taken()
        self.reactor.advance(1.0)
        self.assertLessEqual(len(self.packets.taken()), 3 * BURST_MS // 20 + 1)

    def test_slow_reactor(self) -> None:
        """Where the reactor is busy for 60 or 100 ms each time, who joins catches up as well."""
        for seconds in (0.06, 0.1):
            outlet = self.outlet()
            outlet.begin(b"", [block(x, key=not x) for x in range(0, 2000, 50)], 0)
            time_ms, began = 2000, self.reactor.seconds()
            for _turn in range(round(20 / seconds)):
                self.reactor.advance(seconds)
                while time_ms < 2000 + (self.reactor.seconds() - began) * 1000:
                    fan_out([outlet], block(time_ms))
                    time_ms += 50
            self.assertTrue(outlet.ready)
            self.assertEqual((outlet.queued_bytes, outlet.dropped_blocks), (0, 0))

    def test_what_comes_meanwhile(self) -> None:
        """What is live waits behind the past; then it is sent at once."""
        outlet = self.outlet()
        outlet.begin(b"", [block(0, key=True), block(40), block(80)], 0)
        fan_out([outlet], block(120))
        self.reactor.advance(STEP)
        self.reactor.advance(STEP)
        self.reactor.advance(STEP)
        self.assertTrue(outlet.ready)
        self.assertEqual(self.packets.taken(), [b"0", b"40", b"80", b"120"])
        fan_out([outlet], block(160))
        self.assertEqual(self.packets.taken(), [b"160"])
        self.assertEqual(outlet.queued_bytes, 0)

    def test_gap(self) -> None:
        """Over an hour in which nothing was sent nobody waits; nor where times go back."""
        outlet = self.outlet()
        outlet.begin(b"", [block(0, key=True), block(3_600_000), block(10)], 0)
        self.reactor.advance(STEP)
        self.assertEqual(self.packets.taken(), [b"0", b"3600000", b"10"])

    def test_nothing_kept(self) -> None:
        """Without a past one begins with the next keyframe."""
        outlet = self.outlet()
        outlet.begin(b"", (), 0)
        fan_out([outlet], block(20))
        self.assertEqual((self.packets.taken(), outlet.dropped_blocks), ([], 1))
        fan_out([outlet], block(40, key=True))
        fan_out([outlet], block(60))
        self.assertEqual(self.packets.taken(), [b"40", b"60"])

    def test_skip(self) -> None:
        """After a pause what waited is forgotten, and a keyframe is the next."""
        outlet = self.outlet()
        outlet.begin(b"", [block(0, key=True), block(500)], 0)
        outlet.skip_to_keyframe()
        self.assertEqual((self.reactor.getDelayedCalls(), outlet.queued_bytes), ([], 0))
        fan_out([outlet], block(520))
        fan_out([outlet], block(540, key=True))
        self.assertEqual(self.packets.taken(), [b"0", b"540"])


class FullTests(Case):
    """The kernel has no room: all who share the socket have to wait."""

    def test_goes_on(self) -> None:
        """What is left of a block, and what follows it, is sent when there is room; once."""
        first, second = self.outlet(), self.outlet("192.0.2.2")
        self.packets.room = 1
        fan_out([first, second], block(0, (0, b"picture"), (2, b"sound")))
        self.assertEqual((first.ready, second.ready), (False, False))
        fan_out([first, second], block(40))
        self.assertEqual(self.reactor.writers, {self.sockets})
        self.packets.room = 1 << 40
        self.run_writers()
        self.reactor.advance(STEP)
        for outlet in (first, second):
            self.assertTrue(outlet.ready)
            self.assertEqual(outlet.queued_bytes, 0)
        self.assertEqual(self.reactor.writers, set())
        calls, self.packets.calls = self.packets.calls, []
        for host in ("192.0.2.1", "192.0.2.2"):
            sent = [x for buffers, _a, address in calls if address[0] == host for x in buffers]
            self.assertEqual(sent, [b"picture", b"sound", b"40"])

    def test_turns(self) -> None:
        """Who had his turn stands behind the others."""
        outlets = [self.outlet(f"192.0.2.{number}") for number in range(3)]
        self.packets.room = 0
        fan_out(outlets, block(0, (0, b"picture"), (2, b"sound")))
        for _turn in range(6):
            self.packets.room = 1
            self.run_writers()
        self.assertEqual([x.ready for x in outlets], [True, True, True])
        self.assertEqual(sorted(self.packets.taken()), [b"picture"] * 3 + [b"sound"] * 3)

    def test_limit(self) -> None:
        """No more waits than the hub lets wait for anybody: then a keyframe is the next."""
        outlet = self.outlet()
        self.packets.room = 0
        for time in range(0, 4000, 40):
            fan_out([outlet], block(time, (0, bytes(96))))
            self.assertLessEqual(outlet.queued_bytes, 1000)
        self.assertEqual(outlet.dropped_blocks, 100)
        self.packets.room = 1 << 40
        self.run_writers()
        fan_out([outlet], block(4000, key=True))
        self.assertEqual(self.packets.taken(), [b"4000"])

    def test_reports_do_not_wait(self) -> None:
        """A report for which there is no room is left out; the next one says the same."""
        outlet = self.outlet()
        self.reports.room = 0
        fan_out([outlet], block(0, (1, b"report"), (0, b"picture")))
        self.assertEqual(self.packets.taken(), [b"picture"])
        self.assertEqual((outlet.ready, outlet.lost), (True, 1))

    def test_close_while_waiting(self) -> None:
        """Who leaves while he waits is forgotten; the sockets may be closed then."""
        first, second = self.outlet(), self.outlet("192.0.2.2")
        self.packets.room = 0
        fan_out([first, second], block(0))
        first.close()
        self.assertEqual(self.reactor.writers, {self.sockets})
        self.sockets.close()
        self.assertEqual(self.reactor.writers, set())


actions = st.lists(
    st.one_of(
        st.tuples(st.just("block"), st.integers(1, 4)),
        st.tuples(st.just("room"), st.integers(0, 6)),
        st.tuples(st.just("time"), st.integers(0, 40)),
        st.tuples(st.just("turn"), st.just(0)),
    ),
    max_size=60,
)


@given(st.integers(0, 30), actions)
def test_in_order(past: int, taken_actions: list[tuple[str, int]]) -> None:
    """Whatever the kernel takes and when: each datagram once at most, in order; then all is live.

    What was left out begins again with a keyframe.
    """
    case = Case()
    case.setUp()
    outlet = case.outlet()
    blocks = [
        block(x * 40, (0, b"%d" % (4 * x)), (0, b"%d" % (4 * x + 1)), key=x % 5 == 0)
        for x in range(past)
    ]
    outlet.begin(b"", blocks, 0)
    number = past
    for action, count in taken_actions:
        if action == "block":
            datagrams = [(0, b"%d" % (4 * number + x)) for x in range(count)]
            fan_out([outlet], block(number * 40, *datagrams, key=number % 5 == 0))
            number += 1
        elif action == "room":
            case.packets.room = count
        elif action == "time":
            case.reactor.advance(count / 1000)
        else:
            case.run_writers()
    case.packets.room = 1 << 40
    while case.reactor.writers or outlet.queued_bytes:
        case.run_writers()
        case.reactor.advance(STEP)
    fan_out([outlet], block(number * 40, (0, b"%d" % (4 * number)), key=True))
    got = [int(x) for x in case.packets.taken()]
    assert got == sorted(set(got))
    assert got[-1] == 4 * number
    for before, after in pairwise(got):
        assert after // 4 - before // 4 <= 1 or after // 4 % 5 == 0 or after // 4 == number
    assert (outlet.ready, outlet.queued_bytes) == (True, 0)
    assert case.reactor.getDelayedCalls() == []


class SocketTests(SynchronousTestCase):
    """With real sockets of this machine."""

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Make two sockets: one to send with, and one on an address."""
        both = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _each in range(2)]
        for sock in both:
            self.addCleanup(sock.close)
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(5)
        return both[0], both[1]

    def test_segments_arrive(self) -> None:
        """What is given to the kernel in one call comes as the datagrams that it is made of."""
        sender, receiver = self.pair()
        sockets = DatagramSockets(
            FakeReactor(), sender, sender, segmented=can_segment(sender), most_waiting=1000
        )
        outlet = DatagramOutlet(sockets, {0: receiver.getsockname()}, lambda: None)
        wanted = [bytes([number]) * size for number, size in enumerate((900, 900, 900, 20))]
        fan_out([outlet], block(0, *((0, x) for x in wanted)))
        self.assertEqual([receiver.recv(2000) for _each in wanted], wanted)
        self.assertEqual(outlet.lost, 0)

    def test_send_datagram(self) -> None:
        """One datagram; what the kernel refuses is told, and does not raise."""
        sender, receiver = self.pair()
        self.assertTrue(send_datagram(sender, b"report", receiver.getsockname()))
        self.assertEqual(receiver.recv(100), b"report")
        self.assertFalse(send_datagram(sender, bytes(70_000), receiver.getsockname()))
