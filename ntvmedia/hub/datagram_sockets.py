"""The sockets that datagrams leave by, and how a block is given to them in few calls.

A block is the same for all viewers: each of its datagrams stands behind a head of 4 bytes as in
RTSP (RFC 2326 section 10.12), which says how long it is and on which channel it goes. Datagrams of
one size with a shorter one at the end are one batch (UDP_SEGMENT, udp(7)), which the kernel or the
network card cuts; and one batch goes to many viewers in one call, where the system has that.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twisted.internet.interfaces import IWriteDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from ntvmedia.hub.blocks import Block
from ntvmedia.hub.many_messages import UDP_SEGMENT, Address, ManyMessages, Messages

if TYPE_CHECKING:
    from ntvmedia.hub.datagrams import DatagramOutlet

# The kernel cuts one call into 64 at most.
_MAX_SEGMENTS: Final = 64
_MAX_BATCH: Final = 65_000

_HEAD: Final = 4

# Groups of outlets for which messages are kept; there is one for each stream that is played.
_MAX_GATHERED: Final = 100

# What is answered where a path or a network card cannot have its datagrams cut by the kernel.
CANNOT_SEGMENT: Final = frozenset(
    {errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT}
)

_log = Logger()

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
        many: Of the socket for packets, to send to many at once; None where that cannot be.

    Attributes:
        reactor: As given.
        segmented: As given.
        most_waiting: As given.
        many: As given.
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
        many: ManyMessages | None = None,
    ) -> None:
        self.reactor = reactor
        self.segmented = segmented
        self.most_waiting = most_waiting
        self.many = many
        self.send_packet = packets.sendmsg
        self.send_report = reports.sendmsg
        self._packets = packets
        self._waiting: dict[DatagramOutlet, None] = {}
        # By the first of the outlets that were sent to together, as a stream's are.
        self._gathered: dict[
            DatagramOutlet, tuple[Sequence[DatagramOutlet], dict[int, Messages]]
        ] = {}
        self._split: tuple[bytes, bool, list[Batch]] = (b"", False, [])

    def batches(self, data: bytes, *, segmented: bool) -> list[Batch]:
        """Return what a block is sent as; made once for all outlets that get it now."""
        known, was_segmented, batches = self._split
        if known is not data or was_segmented is not segmented:
            batches = split_block(data, segmented=segmented)
            self._split = (data, segmented, batches)
        return batches

    def send_to_all(self, outlets: Sequence[DatagramOutlet], block: Block) -> None:
        """Send a block to outlets of these sockets, each batch of it to all in as few calls.

        Args:
            outlets: All of them are ready, and `gather` here.
            block: The block.
        """
        batches = self.batches(block.data, segmented=self.segmented)
        waiting: dict[DatagramOutlet, int] = {}
        for number, batch in enumerate(batches):
            channel, datagrams, _ancillary = batch
            if not outlets:
                break  # there was no room for anybody
            if channel & 1:
                for outlet in outlets:
                    outlet.send_batch(batch)
                continue
            messages = self._messages_to(outlets, channel)
            data = b"".join(datagrams)
            size = len(datagrams[0])
            place, end = 0, len(outlets)
            while place < end:
                try:
                    place += messages.send(place, data, size)
                except BlockingIOError:
                    waiting.update(dict.fromkeys(outlets[place:], number))
                    outlets = outlets[:place]
                    break
                except OSError:
                    # It has a reason of its own, which does not concern the others.
                    outlets[place].send_batch(batch)
                    place += 1
        size = len(block.data)
        for outlet in outlets:
            outlet.sent_bytes += size
        for outlet, number in waiting.items():
            outlet.hold_from(block, number)

    def _messages_to(self, outlets: Sequence[DatagramOutlet], channel: int) -> Messages:
        """Return what sends to a channel of outlets: mostly those of the block before."""
        known = self._gathered.get(outlets[0])
        if known is None or known[0] != outlets:
            if len(self._gathered) >= _MAX_GATHERED:
                self._gathered.clear()
            known = self._gathered[outlets[0]] = (outlets, {})
        messages = known[1].get(channel)
        if messages is None:
            assert self.many is not None
            messages = self.many.messages([outlet.address(channel) for outlet in outlets])
            known[1][channel] = messages
        return messages

    def wait(self, outlet: DatagramOutlet) -> None:
        """Have an outlet told by `go_on` when the kernel has room."""
        if not self._waiting:
            self.reactor.addWriter(self)
        self._waiting[outlet] = None

    def left(self, outlet: DatagramOutlet) -> None:
        """Keep nothing for an outlet that was closed."""
        for first, (outlets, _messages) in tuple(self._gathered.items()):
            if outlet in outlets:
                del self._gathered[first]

    def forget(self, outlet: DatagramOutlet) -> None:
        """Do not tell it any more. Idempotent."""
        if self._waiting.pop(outlet, self) is None and not self._waiting:
            self.reactor.removeWriter(self)

    def close(self) -> None:
        """Let go of the reactor; the sockets are somebody else's to close."""
        self._gathered.clear()
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
