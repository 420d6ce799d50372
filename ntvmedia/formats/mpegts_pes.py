"""PES packets: their headers and times (ISO/IEC 13818-1, "H.222.0", section 2.4.3.6)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.errors import PeerError
from ntvmedia.formats.mpegts_packets import TIME_MASK

AUDIO_STREAM: Final = 0xC0
VIDEO_STREAM: Final = 0xE0
PRIVATE_STREAM: Final = 0xBD
"""`stream_id` (H.222.0 table 2-22) of the first sound, the first picture, and private data."""

FIXED_SIZE: Final = 9
"""Bytes of a header before its optional fields."""

_PES: Final = "H.222.0 2.4.3.6"

# '10', and data_alignment_indicator: every PES packet begins with an access unit.
_ALIGNED: Final = 0x84
_HAS_PTS: Final = 0x80
_HAS_BOTH: Final = 0xC0

# Bytes that `PES_packet_length` counts: those after it.
_MAX_LENGTH: Final = 0xFFFF

# Before a time, in 4 bits: a PTS alone, a PTS with a DTS after it, a DTS.
_PTS_ALONE: Final = 2
_PTS_FIRST: Final = 3
_DTS: Final = 1


class PESHeader(NamedTuple):
    """What stands before the data of a PES packet.

    Attributes:
        size: Bytes of the header.
        total: Bytes of the whole packet; 0 where it ends with the beginning of the next.
        pts: Presentation time modulo 2**33 in ticks of 90 kHz, or None.
        dts: Decode time, likewise; the presentation time where it is not told.
    """

    size: int
    total: int
    pts: int | None
    dts: int | None


def header(stream_id: int, size: int, pts: int, dts: int) -> bytes:
    """Write a header.

    Args:
        stream_id: `VIDEO_STREAM` or another.
        size: Bytes of the data. Of video any number; of sound at most what fits 16 bits.
        pts: Presentation time in ticks of 90 kHz, of any size.
        dts: Decode time, likewise; at most `pts`.
    """
    if pts == dts:
        flags, times = _HAS_PTS, _stamp(_PTS_ALONE, pts)
    else:
        flags, times = _HAS_BOTH, _stamp(_PTS_FIRST, pts) + _stamp(_DTS, dts)
    length = 3 + len(times) + size
    # The length is told where it can be: demultiplexers then need not wait for the next frame to
    # know that this one is whole. 0 is for video alone.
    if length > _MAX_LENGTH:
        length = 0
    head = bytes((0, 0, 1, stream_id, length >> 8, length & 0xFF, _ALIGNED, flags, len(times)))
    return head + times


def parse_header(data: bytes) -> PESHeader | None:
    """Read the header at the start of a PES packet.

    Args:
        data: Its first bytes.

    Returns:
        None where it is cut off.

    Raises:
        PeerError: It is no PES packet of sound or pictures.
    """
    if not b"\x00\x00\x01".startswith(data[:3]) and data[:3] != b"\x00\x00\x01":
        raise PeerError("no PES packet", reference=_PES, offset=0)
    if len(data) < FIXED_SIZE:
        return None
    if data[6] >> 6 != 2:
        raise PeerError("no PES packet of sound or pictures", reference=_PES, offset=6)
    size = FIXED_SIZE + data[8]
    if len(data) < size:
        return None
    length = data[4] << 8 | data[5]
    total = 6 + length if length else 0
    if total and total < size:
        raise PeerError("a PES packet is shorter than its header", reference=_PES, offset=4)
    pts = dts = None
    if data[7] & _HAS_PTS and size >= FIXED_SIZE + 5:
        pts = dts = _time(data, FIXED_SIZE)
        if data[7] & _HAS_BOTH == _HAS_BOTH and size >= FIXED_SIZE + 10:
            dts = _time(data, FIXED_SIZE + 5)
    return PESHeader(size, total, pts, dts)


def _stamp(prefix: int, time: int) -> bytes:
    """Write 33 bits in three parts, each with a marker bit behind it."""
    time &= TIME_MASK
    value = (
        prefix << 36
        | (time >> 30) << 33
        | (time >> 15 & 0x7FFF) << 17
        | (time & 0x7FFF) << 1
        | 0x100010001
    )
    return value.to_bytes(5, "big")


def _time(data: bytes, place: int) -> int:
    value = int.from_bytes(data[place : place + 5], "big")
    return (value >> 33 & 7) << 30 | (value >> 17 & 0x7FFF) << 15 | (value >> 1 & 0x7FFF)
