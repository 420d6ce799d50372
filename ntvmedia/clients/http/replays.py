"""What a server sends again after its connection was lost, left out (E-ST-07).

Servers begin each connection with what they have kept, which may be the last half minute. Where
their clock goes on, times tell; many begin at 0 each time, so the times alone do not: a packet has
to be one that was there.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Final
from zlib import crc32

from zope.interface import implementer

from ntvmedia.interfaces import IMediaSink
from ntvmedia.media.packets import MediaKind, Packet, Track

REMEMBERED: Final = 2048
"""Packets of each track: 80 seconds of pictures, 40 of sound."""

# Times of the same packet, in parts of a second, may differ so much: those of sound are counted on
# from where a connection began.
_SAME: Final = 200

# Of a payload, as much as tells it from others.
_TOLD_BY: Final = 256


class Memory:
    """The last packets of one track.

    Attributes:
        rate: Of its clock.
        last: The decode time of the last one.
        is_new: The next packet is the first one of a connection.
        is_replayed: What comes was there before.
    """

    __slots__ = ("_count", "_sums", "_times", "is_new", "is_replayed", "last", "rate")

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.last = 0
        self.is_new = False
        self.is_replayed = False
        self._times = array("q", bytes(8 * REMEMBERED))
        self._sums = array("L", bytes(array("L").itemsize * REMEMBERED))
        self._count = 0

    def add(self, packet: Packet) -> None:
        """Remember a packet."""
        place = self._count % REMEMBERED
        # Whatever a demuxer counted: it fits.
        self._times[place] = packet[1] & 0x7FFFFFFFFFFFFFFF
        self._sums[place] = crc32(packet[4][:_TOLD_BY], len(packet[4]) & 0xFFFFFFFF)
        self._count += 1
        self.last = packet[1]

    def has(self, packet: Packet) -> bool:
        """Whether a packet was there, at about its time."""
        wanted = crc32(packet[4][:_TOLD_BY], len(packet[4]) & 0xFFFFFFFF)
        time, near = packet[1] & 0x7FFFFFFFFFFFFFFF, self.rate // _SAME
        return any(
            self._sums[place] == wanted and abs(self._times[place] - time) <= near
            for place in range(min(self._count, REMEMBERED))
        )


@implementer(IMediaSink)
class ReplayFilter:
    """Passes on what was not there before a connection was lost.

    Args:
        sink: Gets it.
        memories: What was there, by `Track.id`: of an earlier filter, or empty; it is kept up.

    Attributes:
        dropped: Packets that were left out.
        passed: Packets of pictures and sound that were given on.
    """

    def __init__(self, sink: IMediaSink, memories: dict[int, Memory] | None = None) -> None:
        self.dropped = 0
        self.passed = 0
        self._sink = sink
        self._memories: dict[int, Memory] = {} if memories is None else memories
        self.reconnected()

    def reconnected(self) -> None:
        """Look at what comes: another connection begins."""
        for memory in self._memories.values():
            memory.is_new = True
            memory.is_replayed = False

    def track_received(self, track: Track) -> None:
        """Take a track."""
        memory = self._memories.get(track.id)
        if memory is None or memory.rate != track.clock_rate:
            self._memories[track.id] = Memory(track.clock_rate)
        self._sink.track_received(track)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        """Take what is said of the stream."""
        self._sink.metadata_received(fields)

    def packet_received(self, packet: Packet) -> None:
        """Take a packet of an announced track."""
        track = packet[0]
        memory = self._memories[track.id]
        if memory.is_new:
            memory.is_new = False
            memory.is_replayed = track.kind is not MediaKind.DATA and memory.has(packet)
        if memory.is_replayed:
            if packet[1] <= memory.last + memory.rate // _SAME:
                self.dropped += 1
                return
            memory.is_replayed = False
        memory.add(packet)
        if track.kind is not MediaKind.DATA:
            self.passed += 1
        self._sink.packet_received(packet)

    def batch_ended(self) -> None:
        """Send on what came."""
        self._sink.batch_ended()
