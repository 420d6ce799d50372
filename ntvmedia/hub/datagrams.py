"""The way out to viewers that take datagrams: UDP, to one address or to a group.

With `outlet` and `datagram_sockets`, what alone sends on sockets. Nothing is copied for a viewer.

A datagram that is lost is lost. What waits does so for two reasons: who joins is given the past a
little at a time, since a burst is what networks lose first; and the kernel may have no room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ntvmedia.hub.blocks import Block, BlockOutlet
from ntvmedia.hub.datagram_sockets import (
    CANNOT_SEGMENT,
    Batch,
    DatagramSockets,
    split_block,
)
from ntvmedia.hub.many_messages import Address
from ntvmedia.hub.outlet import fan_out

BURST_MS: Final = 50
"""Milliseconds of media that are sent in one go to who joins."""

CATCH_UP_RATE: Final = 5
"""How much faster than time who joins is given what there was before him."""

# The same where the reactor comes seldom, up to so seldom: after a longer pause no burst makes up
# for it.
_LATE_RATE: Final = 1.5
_LATEST_MS: Final = 100

_BURST_SECONDS: Final = BURST_MS / 1000 / CATCH_UP_RATE

_log = Logger()


class DatagramOutlet:
    """A `BlockOutlet` that sends each channel of its blocks to an address of its own.

    Args:
        sockets: To send with.
        addresses: By channel; those of odd channels get reports. They are kept, not copied.
        broken: Called when this has to end because of a bug.

    Attributes:
        lost: Calls that failed: what they were to send is lost.
    """

    __slots__ = (
        "__weakref__",
        "_addresses",
        "_addresses",
        "_began_bytes",
        "_broken",
        "_clock_ms",
        "_clocked_at",
        "_gathers",
        "_place",
        "_queue",
        "_queued_bytes",
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
        self._addresses = addresses
        self._broken = broken
        many = sockets.many
        self._gathers = many is not None and all(map(many.can_reach, addresses.values()))
        self._segmented = sockets.segmented
        # Empty for nearly all of them nearly always, and then not there: it takes 760 bytes.
        self._queue: deque[Block] | None = None
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

    @property
    def gathers(self) -> DatagramSockets | None:
        """What sends to this and others at once; None where that cannot be now."""
        sockets = self._sockets
        is_like_others = self.ready and self._gathers and self._segmented is sockets.segmented
        return sockets if is_like_others else None

    def address(self, channel: int) -> Address:
        """Return where a channel goes."""
        return self._addresses[channel]

    def send_batch(self, batch: Batch) -> None:
        """Send a part of a block by itself; it is lost if it cannot be sent."""
        if not self._send([batch], 0):
            self.lost += 1

    def hold_from(self, block: Block, place: int) -> None:
        """Keep the batches of a block from one on."""
        self._place = place
        self.hold(block, 0)

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
            self.dropped_blocks += len(self._queue or ()) + 1
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
            self._queue = deque(blocks)
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
        self._sockets.left(self)

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
        self._queue = None
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
        if self._queue is None:
            self._queue = deque()
        self._queue.append(block)
        self._queued_bytes += len(block.data)

    def _let_go(self) -> None:
        """Give up what waits."""
        self._queue = None
        self._queued_bytes = self._began_bytes = self._place = 0
        self._sockets.forget(self)
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _send(self, batches: list[Batch], start: int) -> int:
        """Send batches from one on; returns which is the next: less than all if it must wait."""
        sockets, addresses = self._sockets, self._addresses
        send_packet, send_report = sockets.send_packet, sockets.send_report
        place = start
        end = len(batches)
        while place < end:
            try:
                for channel, datagrams, ancillary in batches[place:] if place else batches:
                    send = send_report if channel & 1 else send_packet
                    send(datagrams, ancillary, 0, addresses[channel])
                    place += 1
            except BlockingIOError:
                if not batches[place].channel & 1:
                    return place
                # Reports have a socket of their own, and the next tells the same.
                self.lost += 1
                place += 1
            except OSError as error:
                batch = batches[place]
                if batch.ancillary and error.errno in CANNOT_SEGMENT:
                    self._segmented = False
                    self._send_singly(batch)
                else:
                    # No route, a filter of this machine, no memory: others are not concerned, and
                    # he may be there again. Who is gone for good is silent, and is ended for it.
                    self.lost += 1
                place += 1
        return place

    def _send_singly(self, batch: Batch) -> None:
        send = self._sockets.send_report if batch.channel & 1 else self._sockets.send_packet
        address = self._addresses[batch.channel]
        for datagram in batch.datagrams:
            try:
                send((datagram,), (), 0, address)
            except OSError:
                self.lost += 1


def fan_out_datagrams(outlets: Iterable[BlockOutlet], block: Block) -> None:
    """Send one block to all outlets, as `fan_out`: where the system can, to many in one call."""
    gathered: dict[DatagramSockets, list[DatagramOutlet]] = {}
    others: list[BlockOutlet] = []
    for outlet in outlets:
        if not isinstance(outlet, DatagramOutlet) or (sockets := outlet.gathers) is None:
            others.append(outlet)
        elif sockets in gathered:
            gathered[sockets].append(outlet)
        else:
            gathered[sockets] = [outlet]
    fan_out(others, block)
    for sockets, group in gathered.items():
        try:
            sockets.send_to_all(group, block)
        except Exception:
            _log.failure("outlets failed")
            for outlet in group:
                outlet.abort()
