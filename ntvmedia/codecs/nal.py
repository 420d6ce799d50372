"""NAL units: their two framings, and emulation prevention.

ISO/IEC 14496-15 section 4.3.2 puts a length before each unit (MP4, FLV, and `Packet.payload`);
ISO/IEC 14496-10 Annex B puts a start code there (MPEG-TS, elementary files). The same holds for
H.264, HEVC and VVC.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from typing import Final

from ntvmedia.errors import PeerError

START_CODE: Final = b"\x00\x00\x00\x01"

_LENGTHS: Final = "ISO/IEC 14496-15 section 4.3.2"
_ANNEX_B: Final = "ISO/IEC 14496-10 section B.1"
_LENGTH: Final = struct.Struct(">I").unpack_from
_TO_ESCAPE: Final = re.compile(rb"\x00\x00(?=[\x00-\x03])")


def is_well_formed(payload: bytes) -> bool:
    """Whether `payload` is one or more units, none empty, each after its 4-byte length.

    Made for every frame that comes in: a frame of good form needs no splitting and joining.
    """
    position, end = 0, len(payload)
    # Fewer than five bytes are no unit with its length.
    last = end - 4
    while position < last:
        # Faster by a third than int.from_bytes of a slice: 0.9 against 1.4 microseconds a frame.
        (length,) = _LENGTH(payload, position)
        if not length:
            return False
        position += 4 + length
    return position == end != 0


def split_length_prefixed(payload: bytes, length_size: int = 4) -> list[bytes]:
    """Cut a frame into its units; empty ones are left out.

    Args:
        length_size: Bytes of each length: 1, 2 or 4, and 3 is read too.

    Raises:
        PeerError: A unit, or its length, goes beyond the end.
    """
    units: list[bytes] = []
    end = len(payload)
    position = 0
    while position < end:
        start = position + length_size
        length = int.from_bytes(payload[position:start], "big")
        position = start + length
        if start > end or position > end:
            raise PeerError(
                f"a NAL unit of {length} bytes goes beyond the frame's end",
                reference=_LENGTHS,
                offset=start - length_size,
            )
        if length:
            units.append(payload[start:position])
    return units


def join_length_prefixed(units: Iterable[bytes]) -> bytes:
    """Put each unit after its length in 4 bytes."""
    parts: list[bytes] = []
    for unit in units:
        parts.append(len(unit).to_bytes(4, "big"))
        parts.append(unit)
    return b"".join(parts)


def normalise(payload: bytes, length_size: int = 4) -> bytes:
    """Bring a frame to the form of `Packet.payload`: lengths of 4 bytes, no empty unit.

    Returns:
        The same object where it has that form already; `b""` where it holds no unit.

    Raises:
        PeerError: As `split_length_prefixed`.
    """
    if length_size == 4 and is_well_formed(payload):
        return payload
    return join_length_prefixed(split_length_prefixed(payload, length_size))


def split_annexb(stream: bytes) -> list[bytes]:
    """Cut a byte stream at its start codes; empty units are left out.

    Zero bytes before a start code and at the end belong to no unit.

    Raises:
        PeerError: There are other bytes before the first start code.
    """
    head, *units = stream.split(b"\x00\x00\x01")
    if head.strip(b"\x00"):
        raise PeerError("the byte stream has no start code", reference=_ANNEX_B, offset=0)
    # A unit never ends with a zero byte (section 7.4.1), so these are trailing_zero_8bits or the
    # first byte of a four-byte start code.
    return [bare for unit in units if (bare := unit.rstrip(b"\x00"))]


def join_annexb(units: Iterable[bytes]) -> bytes:
    """Put each unit after a start code of 4 bytes."""
    parts: list[bytes] = []
    for unit in units:
        parts.append(START_CODE)
        parts.append(unit)
    return b"".join(parts)


def to_annexb(payload: bytes, length_size: int = 4) -> bytes:
    """Turn a frame with lengths into one with start codes.

    Raises:
        PeerError: As `split_length_prefixed`.
    """
    return join_annexb(split_length_prefixed(payload, length_size))


def from_annexb(stream: bytes) -> bytes:
    """Turn a frame with start codes into one with lengths of 4 bytes.

    Raises:
        PeerError: As `split_annexb`.
    """
    return join_length_prefixed(split_annexb(stream))


def unescape(unit: bytes) -> bytes:
    """Remove the emulation prevention bytes (ISO/IEC 14496-10 section 7.3.1)."""
    return unit.replace(b"\x00\x00\x03", b"\x00\x00")


def escape(rbsp: bytes) -> bytes:
    """Insert emulation prevention bytes (ISO/IEC 14496-10 section 7.4.1)."""
    unit = _TO_ESCAPE.sub(b"\x00\x00\x03", rbsp)
    return unit + b"\x03" if unit.endswith(b"\x00\x00") else unit
