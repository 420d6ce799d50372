"""The way out to viewers that take datagrams: UDP, to one address or to a group.

With `outlet`, the only module that sends on sockets. A block is the same for all viewers: each of
its datagrams stands behind a head of 4 bytes as in RTSP (RFC 2326 section 10.12), which says how
long it is and on which channel it goes. What goes to one address is given to the kernel in as few
calls as it can: datagrams of one size with a shorter one at the end are one call (UDP_SEGMENT,
udp(7)), which the kernel or the network card cuts. Nothing is copied for a viewer.

A datagram that is lost is lost. What waits does so for two reasons: who joins is given the past a
little at a time, since a burst is what networks lose first; and the kernel may have no room.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from twisted.internet.interfaces import IDelayedCall, IWriteDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from ntvmedia.hub.blocks import Block

BURST_MS: Final = 50
"""Milliseconds of media that are sent in one go to who joins."""

CATCH_UP_RATE: Final = 5
"""How much faster than time who joins is given what there was before him."""

# The same where the reactor comes seldom, up to so seldom: after a longer pause no burst makes up
# for it.
_LATE_RATE: Final = 1.5
_LATEST_MS: Final = 100

# udp(7), since Linux 4.18; Python has no name for it. The kernel cuts one call into 64 at most.
UDP_SEGMENT: Final = 103
_MAX_SEGMENTS: Final = 64
_MAX_BATCH: Final = 65_000

_HEAD: Final = 4
_BURST_SECONDS: Final = BURST_MS / 1000 / CATCH_UP_RATE

# What is answered where a path or a network card cannot have its datagrams cut by the kernel.
_CANNOT_SEGMENT: Final = frozenset(
    {errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT}
)

_log = Logger()

Address = tuple[Any, ...]
"""Of a socket: host, port, and for IPv6 two numbers more."""

_Ancillary = Sequence[tuple[int, int, bytes]]


class Batch(NamedTuple):
    """What is given to the kernel in one call.

    Attributes:
        channel: Of all of it; reports have odd ones.
        datagrams: One or more; all but the last are of the same size.
        ancillary: Tells the kernel that size, where there are several.
    """

    channel: int
    datagrams: Sequence[memoryview]
    ancillary: _Ancillary


def split_block(data: bytes, *, segmented: bool) -> list[Batch]:
    """Return what a block's datagrams are sent as, in order for each channel.

    Args:
        data: Of a block: heads and datagrams.
        segmented: Gather those that the kernel can cut.
    """
    view = memoryview(data)
    channels: dict[int, list[memoryview]] = {}
    place, end = 0, len(data)
    while place < end:
        start = place + _HEAD
        place = start + int.from_bytes(data[place + 2 : start], "big")
        datagrams = channels.get(data[start - 3])
        if datagrams is None:
            datagrams = channels[data[start - 3]] = []
        datagrams.append(view[start:place])
    batches: list[Batch] = []
    for channel, datagrams in channels.items():
        for run in _runs(datagrams) if segmented else ([x] for x in datagrams):
            ancillary: _Ancillary = ()
            if len(run) > 1:
                size = len(run[0]).to_bytes(2, sys.byteorder)
                ancillary = ((socket.IPPROTO_UDP, UDP_SEGMENT, size),)
            batches.append(Batch(channel, run, ancillary))
    return batches


def can_segment(sock: socket.socket) -> bool:
    """Whether this system's kernel cuts datagrams."""
    try:
        sock.getsockopt(socket.IPPROTO_UDP, UDP_SEGMENT)
    except OSError:
        return False
    return True


def send_datagram(sock: socket.socket, data: bytes, address: Address) -> bool:
    """Send one datagram; returns whether the kernel took it."""
    try:
        sock.sendto(data, address)
    except OSError:
        return False
    return True


@implementer(IWriteDescriptor)
class DatagramSockets:
    """Two sockets through which many outlets send: packets, and reports of them.

    Args:
        reactor: Tells when the kernel has room again; its clock is monotonic.
        packets: Not blocking.
        reports: Likewise.
        segmented: The kernel cuts datagrams.
        most_waiting: Bytes that may wait for one outlet, besides what it began with.

    Attributes:
        reactor: As given.
        segmented: As given.
        most_waiting: As given.
        send_packet: The `sendmsg` of the one.
        send_report: That of the other.
    """

    def __init__(
        self,
        reactor: Any,
        packets: socket.socket,
        reports: socket.socket,
        *,
        segmented: bool,
        most_waiting: int,
    ) -> None:
        self.reactor = reactor
        self.segmented = segmented
        self.most_waiting = most_waiting
        self.send_packet = packets.sendmsg
        self.send_report = reports.sendmsg
        self._packets = packets
        self._waiting: dict[DatagramOutlet, None] = {}
        self._split: tuple[bytes, bool, list[Batch]] = (b"", False, [])

    def batches(self, data: bytes, *, segmented: bool) -> list[Batch]:
        """Return what a block is sent as; made once for all outlets that get it now."""
        known, was_segmented, batches = self._split
        if known is not data or was_segmented is not segmented:
            batches = split_block(data, segmented=segmented)
            self._split = (data, segmented, batches)
        return batches

    def wait(self, outlet: DatagramOutlet) -> None:
        """Have an outlet told by `go_on` when the kernel has room."""
        if not self._waiting:
            self.reactor.addWriter(self)
        self._waiting[outlet] = None

    def forget(self, outlet: DatagramOutlet) -> None:
        """Do not tell it any more. Idempotent."""
        if self._waiting.pop(outlet, self) is None and not self._waiting:
            self.reactor.removeWriter(self)

    def close(self) -> None:
        """Let go of the reactor; the sockets are somebody else's to close."""
        if self._waiting:
            self._waiting.clear()
            self.reactor.removeWriter(self)

    # What the reactor calls

    def fileno(self) -> int:
        return self._packets.fileno()

    def doWrite(self) -> None:
        # Who has to wait again stands behind all others.
        for outlet in tuple(self._waiting):
            del self._waiting[outlet]
            try:
                outlet.go_on()
            except Exception:
                _log.failure("an outlet failed")
                outlet.abort()
            if outlet in self._waiting:
                return
        if not self._waiting:
            self.reactor.removeWriter(self)

    def connectionLost(self, reason: object) -> None:
        """Forget all: the reactor found the socket to be of no use."""
        self._waiting.clear()

    def logPrefix(self) -> str:
        return "datagrams"


class DatagramOutlet:
    """A `BlockOutlet` that sends each channel of its blocks to an address of its own.

    Args:
        sockets: To send with.
        addresses: By channel; those of odd channels get reports.
        broken: Called when this has to end because of a bug.

    Attributes:
        lost: Calls that failed: what they were to send is lost.
    """

    __slots__ = (
        "__weakref__",
        "_addresses",
        "_began_bytes",
        "_broken",
        "_clock_ms",
        "_clocked_at",
        "_place",
        "_queue",
        "_queued_bytes",
        "_routes",
        "_segmented",
        "_skipping",
        "_sockets",
        "_timer",
        "catch_up",
        "closed",
        "dropped_blocks",
        "generation",
        "lost",
        "ready",
        "sent_bytes",
        "stalled",
    )

    def __init__(
        self,
        sockets: DatagramSockets,
        addresses: Mapping[int, Address],
        broken: Callable[[], None],
    ) -> None:
        self._sockets = sockets
        self._routes = {
            channel: (sockets.send_report if channel & 1 else sockets.send_packet, address)
            for channel, address in addresses.items()
        }
        self._broken = broken
        self._segmented = sockets.segmented
        self._queue: deque[Block] = deque()
        self._queued_bytes = 0
        self._began_bytes = 0
        # How many batches of the first that waits are gone.
        self._place = 0
        self._skipping = False
        # Stream time up to which what waits may be sent, and when that was so.
        self._clock_ms = 0.0
        self._clocked_at = 0.0
        self._timer: IDelayedCall | None = None
        self.catch_up: Callable[[int], bytes] | None = None
        self.closed = False
        self.dropped_blocks = 0
        self.generation = 0
        self.lost = 0
        self.ready = True
        self.sent_bytes = 0
        self.stalled = False

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    def send(self, data: bytes, /) -> int:
        batches = self._sockets.batches(data, segmented=self._segmented)
        sent = self._send(batches, 0)
        if sent < len(batches):
            self._place = sent
            raise BlockingIOError
        return len(data)

    def hold(self, block: Block, sent: int) -> None:
        self._put(block)
        self.ready = False
        self._clock_ms = block.time_ms
        self._clocked_at = self._sockets.reactor.seconds()
        self._sockets.wait(self)

    def queue_block(self, block: Block) -> None:
        if self.closed:
            return
        if self._skipping:
            if not block.is_keyframe:
                self.dropped_blocks += 1
                return
            self._skipping = False
            self.generation = block.generation
        elif self._queued_bytes + len(block.data) > max(
            self._sockets.most_waiting, self._began_bytes
        ):
            self.dropped_blocks += len(self._queue) + 1
            self.skip_to_keyframe()
            return
        if self._queue:
            self._put(block)
        else:
            self.ready = True
            try:
                self.sent_bytes += self.send(block.data)
            except BlockingIOError:
                self.hold(block, 0)

    def begin(self, header: bytes, blocks: Sequence[Block], generation: int) -> None:
        self._let_go()
        self.generation = generation
        self._skipping = not blocks
        self.ready = False
        self.write(header)
        if blocks:
            self._queue.extend(blocks)
            self._began_bytes = self._queued_bytes = sum(len(block.data) for block in blocks)
            self._clock_ms = blocks[0].time_ms
            self._clocked_at = self._sockets.reactor.seconds()
            self.go_on()

    def write(self, data: bytes) -> None:
        if self.closed or not data:
            return
        self._send(split_block(data, segmented=False), 0)
        self.sent_bytes += len(data)

    def skip_to_keyframe(self) -> None:
        self._let_go()
        self._skipping = True
        self.ready = False

    def look(self) -> None:
        """Do nothing: who takes datagrams does not say so to the kernel."""

    def abort(self) -> None:
        if not self.closed:
            self.close()
            self._broken()

    def close(self) -> None:
        """Send nothing more. Idempotent."""
        self.closed = True
        self.ready = False
        self.catch_up = None
        self._let_go()

    def go_on(self) -> None:
        """Send of what waits as much as may be sent now."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        sockets, queue = self._sockets, self._queue
        now = sockets.reactor.seconds()
        # However late the reactor comes: no more than one burst, or than it takes to catch up.
        passed_ms = max(0.0, (now - self._clocked_at) * 1000)
        most_ms = max(BURST_MS, min(passed_ms, _LATEST_MS) * _LATE_RATE)
        self._clock_ms += min(passed_ms * CATCH_UP_RATE, most_ms)
        self._clocked_at = now
        while queue:
            block = queue[0]
            ahead_ms = block.time_ms - self._clock_ms
            if ahead_ms > 0:
                if ahead_ms > BURST_MS:
                    # There is nothing in between: it is the next, whatever its time.
                    self._clock_ms = block.time_ms - BURST_MS
                self._timer = sockets.reactor.callLater(_BURST_SECONDS, self._timed)
                return
            batches = sockets.batches(block.data, segmented=self._segmented)
            self._place = self._send(batches, self._place)
            if self._place < len(batches):
                sockets.wait(self)
                return
            self._place = 0
            queue.popleft()
            size = len(block.data)
            self._queued_bytes -= size
            self.sent_bytes += size
        self._began_bytes = 0
        self.ready = not self.closed

    def _timed(self) -> None:
        self._timer = None
        try:
            self.go_on()
        except Exception:
            _log.failure("an outlet failed")
            self.abort()

    def _put(self, block: Block) -> None:
        self._queue.append(block)
        self._queued_bytes += len(block.data)

    def _let_go(self) -> None:
        """Give up what waits."""
        self._queue.clear()
        self._queued_bytes = self._began_bytes = self._place = 0
        self._sockets.forget(self)
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _send(self, batches: list[Batch], start: int) -> int:
        """Send batches from one on; returns which is the next: less than all if it must wait."""
        routes = self._routes
        place = start
        end = len(batches)
        while place < end:
            try:
                for channel, datagrams, ancillary in batches[place:] if place else batches:
                    send, address = routes[channel]
                    send(datagrams, ancillary, 0, address)
                    place += 1
            except BlockingIOError:
                if not batches[place].channel & 1:
                    return place
                # Reports have a socket of their own, and the next tells the same.
                self.lost += 1
                place += 1
            except OSError as error:
                batch = batches[place]
                if batch.ancillary and error.errno in _CANNOT_SEGMENT:
                    self._segmented = False
                    self._send_singly(batch)
                else:
                    # No route, a filter of this machine, no memory: others are not concerned, and
                    # he may be there again. Who is gone for good is silent, and is ended for it.
                    self.lost += 1
                place += 1
        return place

    def _send_singly(self, batch: Batch) -> None:
        send, address = self._routes[batch.channel]
        for datagram in batch.datagrams:
            try:
                send((datagram,), (), 0, address)
            except OSError:
                self.lost += 1


def _runs(datagrams: Iterable[memoryview]) -> list[list[memoryview]]:
    """Gather those of one size that follow each other, with a shorter one behind them."""
    runs: list[list[memoryview]] = []
    run: list[memoryview] = []
    size = room = 0
    for datagram in datagrams:
        length = len(datagram)
        # An empty one could not be cut off.
        if not (run and 0 < length <= size and length <= room and len(run) < _MAX_SEGMENTS):
            run = []
            runs.append(run)
            size, room = length, _MAX_BATCH
        run.append(datagram)
        # Behind a shorter one there is no place.
        room = room - length if length == size else 0
    return runs
