"""AC-3 (RFC 4184) and E-AC-3 (RFC 4598) in RTP: two bytes, then frames or a fragment of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ntvmedia.errors import UsageError
from ntvmedia.formats.mpegts_audio import AC3Reader
from ntvmedia.formats.mpegts_packets import CLOCK_RATE
from ntvmedia.media.packets import Codec, Packet, Track
from ntvmedia.media.timebase import rescale
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD, RTPPacket
from ntvmedia.wire.rtp.payloads import Event, Payload

_HEADER: Final = 2
_MOST_FRAGMENTS: Final = 255

# Frame types of AC-3: whole frames; a first fragment with at least 5/8 of the frame, or with less;
# another fragment. E-AC-3 has a single bit: whether it is a fragment.
_WHOLE: Final = 0
_MOST: Final = 1
_SOME: Final = 2
_REST: Final = 3


class Packetiser:
    """Makes payloads: one access unit, or a fragment of one.

    Args:
        track: AC-3 or E-AC-3.
        mtu: Bytes of a payload, at most.

    Raises:
        UsageError: `mtu` has no room for anything.
    """

    step = 0

    def __init__(self, track: Track, mtu: int = MAX_PAYLOAD) -> None:
        if mtu <= _HEADER:
            raise UsageError("a payload of RTP has 3 bytes at least")
        self.clock_rate = track.clock_rate
        self._room = mtu - _HEADER
        self._enhanced = track.codec is Codec.EAC3

    def packetise(self, packet: Packet) -> list[Payload]:
        data, room = packet.payload, self._room
        size = len(data)
        count = -(-size // room)
        if count <= 1:
            return [(bytes((_WHOLE, 1)) + data, True)] if data else []
        if count > _MOST_FRAGMENTS:
            return []
        if self._enhanced:
            first = rest = 1
        else:
            first, rest = (_MOST if 8 * room >= 5 * size else _SOME), _REST
        return [
            (
                bytes((rest if place else first, count)) + data[place : place + room],
                place + room >= size,
            )
            for place in range(0, size, room)
        ]


class Depacketiser:
    """Reads payloads of both, since the frames tell which it is.

    Args:
        parameters: Nothing is read of them.
        clock_rate: The sample rate.
        channels: Of the description; the frames tell better.
        number: Of the track.
    """

    def __init__(
        self, parameters: Mapping[str, str], clock_rate: int, channels: int = 0, number: int = 0
    ) -> None:
        self.damaged = 0
        self._clock_rate = clock_rate
        self._reader = AC3Reader(number)

    def receive(self, packet: RTPPacket, ticks: int, lost: bool) -> list[Event]:
        events: list[Event] = []
        payload = packet.payload
        if len(payload) <= _HEADER:
            return events
        if lost:
            self.damaged += 1
            self._reader.lost()
        # The reader finds by itself where a frame begins, and takes the time of the first that
        # does; so what fragments tell of themselves is not needed, but that they are none.
        begins = payload[_HEADER : _HEADER + 2] == b"\x0b\x77"
        pts = rescale(ticks, self._clock_rate, CLOCK_RATE) if begins else None
        self._reader.read(payload[_HEADER:], pts, None, events)
        return events

    def flush(self) -> list[Event]:
        return []
