"""What every payload format has: one thing that makes payloads, and one that reads them."""

from __future__ import annotations

from typing import Final, Protocol, TypeAlias

from ntvmedia.media.packets import Packet, Track
from ntvmedia.wire.rtp.packets import RTPPacket

Payload: TypeAlias = tuple[bytes, bool]
"""What one RTP packet holds, and its marker bit."""

Event: TypeAlias = Track | Packet

MAX_PICTURE: Final = 10 * 1024 * 1024
"""Bytes of an access unit of video: what RTMP, FLV and MPEG-TS accept too, and above a keyframe of
4K at any rate in use."""

MAX_PICTURE_PACKETS: Final = 1 << 14
"""Packets of an access unit: twice what the largest needs."""

MAX_SOUND: Final = 64 * 1024
"""Bytes of an access unit of sound in fragments: above the largest of any codec here."""


class Packetiser(Protocol):
    """Makes the payloads of one track, for as long as its configuration is the same.

    Attributes:
        clock_rate: Ticks a second of the RTP timestamps.
        step: Ticks from each payload of a packet to the next; 0 where all have one time.
    """

    clock_rate: int
    step: int

    def packetise(self, packet: Packet) -> list[Payload]:
        """Return the payloads of a packet, in order; none where it is empty or broken."""


class Depacketiser(Protocol):
    """Reads the payloads of one track.

    Nothing in a payload makes it raise: what is damaged is left out and counted.
    """

    @property
    def damaged(self) -> int:
        """Access units that were left out, as far as is known."""

    def receive(self, packet: RTPPacket, ticks: int, lost: bool) -> list[Event]:
        """Take the next packet in order, and return what is complete with it.

        A track comes before its first packet, and again when its configuration changes.

        Args:
            packet: Its payload may be empty.
            ticks: Its time, without wraps, in ticks of the RTP clock.
            lost: Packets before it are missing.
        """

    def flush(self) -> list[Event]:
        """Return what waits for more: nothing more comes."""
