"""RTP packets: the fixed header, and what may stand between it and the payload (RFC 3550 5.1)."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from ntvmedia.errors import PeerError

HEADER_SIZE: Final = 12
"""Bytes before the payload of the packets that we build."""

MAX_PAYLOAD: Final = 1440
"""Bytes of payload, so that an IP packet has 1500: less 40 of IPv6, 8 of UDP and 12 of RTP."""

_REFERENCE: Final = "RFC 3550 section 5.1"
_EXTENSION: Final = "RFC 3550 section 5.3.1"

_HEADER: Final = struct.Struct(">BBHII")
_unpack: Final = _HEADER.unpack_from
_pack: Final = _HEADER.pack

_VERSION: Final = 0x80
_PADDING: Final = 0x20
_EXTENDED: Final = 0x10


class RTPPacket(NamedTuple):
    """One packet.

    Attributes:
        payload_type: 0 to 127.
        sequence_number: 0 to 65535; wraps.
        timestamp: In ticks of the payload format's clock, 32 bits; wraps.
        ssrc: The synchronisation source, 32 bits.
        marker: What it marks, the payload format says: mostly the end of an access unit.
        payload: Without padding.
    """

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    marker: bool
    payload: bytes


def parse_packet(data: bytes) -> RTPPacket:
    """Read a packet; contributing sources and the header extension are passed over.

    Raises:
        PeerError: It is too short, of another version, or its extension or padding is longer
            than itself.
    """
    end = len(data)
    if end < HEADER_SIZE:
        raise PeerError(f"an RTP packet of {end} bytes", reference=_REFERENCE, offset=end)
    first, second, sequence_number, timestamp, ssrc = _unpack(data)
    start = HEADER_SIZE
    if first != _VERSION:
        if first & 0xC0 != _VERSION:
            raise PeerError(f"RTP version {first >> 6}", reference=_REFERENCE, offset=0)
        start += 4 * (first & 0x0F)
        if first & _EXTENDED:
            if start + 4 > end:
                raise PeerError("a header extension is cut off", reference=_EXTENSION, offset=end)
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        if first & _PADDING:
            # The last byte counts itself; with 0, as some cameras send, there is none.
            end -= data[-1]
        if start > end:
            raise PeerError("the header is longer than the packet", reference=_REFERENCE, offset=0)
    return RTPPacket(
        second & 0x7F, sequence_number, timestamp, ssrc, second >= 0x80, data[start:end]
    )


def build_packet(
    payload_type: int,
    sequence_number: int,
    timestamp: int,
    ssrc: int,
    marker: bool,
    payload: bytes,
) -> bytes:
    """Write a packet with the fixed header alone.

    Args:
        sequence_number: Any; its lowest 16 bits are written.
        timestamp: Any; its lowest 32 bits are written.
    """
    second = payload_type | 0x80 if marker else payload_type
    return _pack(_VERSION, second, sequence_number & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload
