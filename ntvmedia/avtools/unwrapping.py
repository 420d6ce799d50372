"""MPEG-TS out of datagrams: as it is, or in RTP (RFC 2250 section 2). Without sockets or clocks."""

from __future__ import annotations

from typing import Final

from ntvmedia.errors import PeerError
from ntvmedia.wire.rtp.packets import RTPPacket, parse_packet
from ntvmedia.wire.rtp.reordering import ReorderBuffer

SYNC: Final = 0x47
"""The first byte of a packet of MPEG-TS (ISO/IEC 13818-1 2.4.3.2)."""

MP2T: Final = 33
"""RTP's payload type of MPEG-TS (RFC 3551 section 6)."""

# What senders give the static type 33 another number by: 96 to 127 are anybody's.
_DYNAMIC: Final = 96

# Packets that wait for one before them: a sender's burst, and no more than its pictures can wait.
_HELD: Final = 32
_HELD_SECONDS: Final = 0.05


class Unwrapper:
    """Gives the MPEG-TS in datagrams.

    Args:
        must_be_rtp: Nothing else is taken.

    Attributes:
        is_rtp: The last one was RTP.
        strange: Datagrams that were neither.
        foreign_type: The payload type of the last RTP packet that is no MPEG-TS; -1 for none.
    """

    def __init__(self, *, must_be_rtp: bool = False) -> None:
        self._must_be_rtp = must_be_rtp
        self._reordering = ReorderBuffer(_HELD, _HELD_SECONDS)
        self.is_rtp = must_be_rtp
        self.strange = 0
        self.foreign_type = -1

    @property
    def lost(self) -> int:
        """RTP packets that never came."""
        return self._reordering.lost

    def receive(self, data: bytes, now: float) -> bytes:
        """Return what a datagram gives, with those that it lets go; mostly one, or none.

        Args:
            data: The datagram.
            now: Monotonic seconds.
        """
        if not data:
            return b""
        if data[0] == SYNC and not self._must_be_rtp:
            self.is_rtp = False
            return data
        packet = self._packet(data)
        if packet is None:
            self.strange += 1
            return b""
        self.is_rtp = True
        ready = self._reordering.receive(packet, now)
        if len(ready) == 1:
            return ready[0].packet.payload
        return b"".join([x.packet.payload for x in ready])

    def late(self, now: float) -> bytes:
        """Return what has waited long enough."""
        ready = self._reordering.handle_timeout(now)
        return b"".join([x.packet.payload for x in ready])

    def next_timeout(self) -> float | None:
        """Return when `late` has something, in monotonic seconds; None for never."""
        return self._reordering.next_timeout()

    def _packet(self, data: bytes) -> RTPPacket | None:
        try:
            packet = parse_packet(data)
        except PeerError:
            return None
        kind = packet.payload_type
        is_ours = kind == MP2T or kind >= _DYNAMIC
        if not is_ours or not packet.payload.startswith(b"\x47"):
            self.foreign_type = kind
            return None
        return packet
