"""ID3 tags, as far as HLS needs them: how long one is, and the time that Apple's frame tells.

Cited as "ID3 n", which is section n of "ID3 tag version 2.4.0 - Main Structure"; versions 2.2 and
2.3 differ where it says so.
"""

from __future__ import annotations

from typing import Final

HEADER_SIZE: Final = 10
"""Bytes before a tag's frames."""

TIMESTAMP_OWNER: Final = b"com.apple.streaming.transportStreamTimestamp"
"""RFC 8216 section 3.4: whose PRIV frame tells the time of a segment's first sample."""

# Of the header's flags (ID3 3.1).
_UNSYNCHRONISED: Final = 0x80
_EXTENDED: Final = 0x40
_HAS_FOOTER: Final = 0x10

_TIMESTAMP_SIZE: Final = 8
_TIMESTAMP_MASK: Final = (1 << 33) - 1


def parse_tag_size(data: bytes, place: int = 0) -> int:
    """Return how long the tag at a place is, with header and footer, in bytes; 0 for no tag."""
    head = data[place : place + HEADER_SIZE]
    if (
        len(head) < HEADER_SIZE
        or head[:3] != b"ID3"
        or not 2 <= head[3] <= 4
        or head[4] == 0xFF
        or max(head[6:]) >= 0x80
    ):
        return 0
    footer = HEADER_SIZE if head[3] == 4 and head[5] & _HAS_FOOTER else 0
    return HEADER_SIZE + _syncsafe(head[6:]) + footer


def parse_timestamp(tag: bytes) -> int | None:
    """Return the time that a tag tells, in ticks of 90 kHz modulo 2**33; None for none.

    Args:
        tag: With its header; of one that is cut off, what there is counts.
    """
    size = parse_tag_size(tag)
    version, flags = (tag[3], tag[5]) if size else (0, 0)
    if version < 3:
        return None
    body = tag[HEADER_SIZE:size]
    if flags & _UNSYNCHRONISED:
        body = body.replace(b"\xff\x00", b"\xff")
    place = 0
    if flags & _EXTENDED:
        # Version 2.3 does not count the length's own bytes.
        length = body[:4]
        place = _syncsafe(length) if version == 4 else 4 + int.from_bytes(length, "big")
    while place + HEADER_SIZE <= len(body):
        name = body[place : place + 4]
        if not name.isalnum():
            return None  # padding
        length = body[place + 4 : place + 8]
        count = _syncsafe(length) if version == 4 else int.from_bytes(length, "big")
        start = place + HEADER_SIZE
        place = start + count
        if name == b"PRIV" and place <= len(body):
            owner, _mark, told = body[start:place].partition(b"\0")
            if owner == TIMESTAMP_OWNER and len(told) == _TIMESTAMP_SIZE:
                return int.from_bytes(told, "big") & _TIMESTAMP_MASK
    return None


def _syncsafe(data: bytes) -> int:
    """Read a number of which each byte has seven bits (ID3 6.2)."""
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value
