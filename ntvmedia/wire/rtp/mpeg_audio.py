"""MPEG audio in RTP (RFC 2250 section 3.5, "MPA"): MP3, and layers I and II.

Four bytes stand before the frames: zeros, and where a fragment lies in its frame. The clock is
90 kHz, whatever the sample rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ntvmedia.errors import UsageError
from ntvmedia.formats.mpegts_audio import MPEGAudioReader
from ntvmedia.formats.mpegts_packets import CLOCK_RATE
from ntvmedia.media.packets import Packet, Track
from ntvmedia.media.timebase import rescale
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD, RTPPacket
from ntvmedia.wire.rtp.payloads import Event, Payload

_HEADER: Final = 4
_LARGEST: Final = 0xFFFF


class Packetiser:
    """Makes payloads: one frame, or a fragment of one.

    Args:
        track: MPEG audio.
        mtu: Bytes of a payload, at most.

    Raises:
        UsageError: `mtu` has no room for anything.
    """

    clock_rate = CLOCK_RATE
    step = 0

    def __init__(self, track: Track, mtu: int = MAX_PAYLOAD) -> None:
        if mtu <= _HEADER:
            raise UsageError("a payload of RTP has 5 bytes at least")
        self._room = mtu - _HEADER

    def packetise(self, packet: Packet) -> list[Payload]:
        data, room = packet.payload, self._room
        if len(data) > _LARGEST:
            return []
        # The marker is for the first frame after silence (RFC 3551 section 4.1).
        return [
            (place.to_bytes(_HEADER, "big") + data[place : place + room], False)
            for place in range(0, len(data), room)
        ]


class Depacketiser:
    """Reads payloads.

    Args:
        parameters: Nothing is read of them.
        clock_rate: 90000; some senders have the sample rate.
        channels: Of the description; the frames tell better.
        number: Of the track.
    """

    def __init__(
        self,
        parameters: Mapping[str, str],
        clock_rate: int = CLOCK_RATE,
        channels: int = 0,
        number: int = 0,
    ) -> None:
        self.damaged = 0
        self._clock_rate = clock_rate
        self._reader = MPEGAudioReader(number)
        self._waits = False

    def receive(self, packet: RTPPacket, ticks: int, lost: bool) -> list[Event]:
        events: list[Event] = []
        payload = packet.payload
        if len(payload) <= _HEADER:
            return events
        place = int.from_bytes(payload[2:_HEADER], "big")
        if lost:
            self.damaged += 1
            self._reader.lost()
            self._waits = True
        if self._waits and place:
            return events  # a fragment whose beginning is lost
        self._waits = False
        pts = None if place else rescale(ticks, self._clock_rate, CLOCK_RATE)
        self._reader.read(payload[_HEADER:], pts, None, events)
        return events

    def flush(self) -> list[Event]:
        return []
