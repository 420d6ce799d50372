"""One track on its way out: numbered packets, shared by all who watch, and sender reports."""

from __future__ import annotations

import struct
from typing import Final

from ntvmedia.errors import UsageError
from ntvmedia.media.packets import Packet, Track
from ntvmedia.media.timebase import rescale
from ntvmedia.wire.rtp.formats import packetiser
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD
from ntvmedia.wire.rtp.rtcp import SenderReport, ntp_from_unix

_pack: Final = struct.Struct(">BBHII").pack
_VERSION: Final = 0x80


class Sender:
    """Makes the RTP packets of one track.

    Args:
        track: Of a codec that RTP has a payload format for.
        payload_type: 0 to 127.
        ssrc: At random, 32 bits.
        sequence_number: Of the first packet: at random (RFC 3550 5.1).
        timestamp: Of the time 0: at random, 32 bits.
        mtu: Bytes of a payload, at most.

    Raises:
        UsageError: The codec has no payload format.

    Attributes:
        ssrc: As given.
        payload_type: As given.
        clock_rate: Ticks a second of the timestamps.
        sequence_number: Of the next packet: not cut to 16 bits.
        packets: That were made.
        octets: Of their payloads.
    """

    __slots__ = (
        "_mtu",
        "_packetiser",
        "_same_clock",
        "_start",
        "_track",
        "clock_rate",
        "octets",
        "packets",
        "payload_type",
        "sequence_number",
        "ssrc",
    )

    def __init__(
        self,
        track: Track,
        payload_type: int,
        *,
        ssrc: int,
        sequence_number: int,
        timestamp: int,
        mtu: int = MAX_PAYLOAD,
    ) -> None:
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.sequence_number = sequence_number
        self.packets = 0
        self.octets = 0
        self._start = timestamp
        self._mtu = mtu
        self.configure(track)

    def configure(self, track: Track) -> None:
        """Take the track with another configuration; numbers and times go on.

        Raises:
            UsageError: The codec has no payload format.
        """
        made = packetiser(track, self._mtu)
        if made is None:
            raise UsageError(f"RTP has no payload format for {track.codec}")
        self._packetiser = made
        self._track = track
        self.clock_rate = made.clock_rate
        self._same_clock = made.clock_rate == track.clock_rate

    def timestamp(self, ticks: int) -> int:
        """Return the RTP timestamp of a time in ticks of the track: 32 bits, for RTP-Info."""
        if not self._same_clock:
            ticks = rescale(ticks, self._track.clock_rate, self.clock_rate)
        return (self._start + ticks) & 0xFFFFFFFF

    def packetise(self, packet: Packet) -> list[bytes]:
        """Return the RTP packets of one media packet; none where it cannot be sent."""
        maker = self._packetiser
        payloads = maker.packetise(packet)
        ticks = packet.pts
        if not self._same_clock:
            ticks = rescale(ticks, self._track.clock_rate, self.clock_rate)
        timestamp, step = (self._start + ticks) & 0xFFFFFFFF, maker.step
        number, ssrc, kind = self.sequence_number, self.ssrc, self.payload_type
        octets = 0
        made: list[bytes] = []
        for payload, marker in payloads:
            second = kind | 0x80 if marker else kind
            made.append(_pack(_VERSION, second, number & 0xFFFF, timestamp, ssrc) + payload)
            number += 1
            octets += len(payload)
            if step:
                timestamp = (timestamp + step) & 0xFFFFFFFF
        self.sequence_number = number
        self.packets += len(made)
        self.octets += octets
        return made

    def report(self, wall_zero: float, now: float) -> SenderReport:
        """Make a sender report: what the media clock shows now, not when something was sent.

        Args:
            wall_zero: Seconds since 1970 at the stream's time 0, the same for all its tracks.
            now: Seconds since 1970.
        """
        ticks = round((now - wall_zero) * self.clock_rate)
        timestamp = (self._start + ticks) & 0xFFFFFFFF
        return SenderReport(self.ssrc, ntp_from_unix(now), timestamp, self.packets, self.octets)
