"""Opus in MPEG-TS: its descriptor, and the control header before each access unit.

"Opus Interactive Audio Codec: Transport Multiplexing Standard", drafted for ETSI as version 0.1.3
and never published there, as FFmpeg, GStreamer, VLC and mpegts.js all have it.
"""

from __future__ import annotations

from typing import Final

from ntvmedia.codecs.opus import OpusHead, build_opus_head, parse_opus_head
from ntvmedia.errors import PeerError
from ntvmedia.formats.mpegts_tables import descriptor, registration, split_descriptors
from ntvmedia.media.packets import Track

IDENTIFIER: Final = b"Opus"

_REFERENCE: Final = "Opus in MPEG-TS section 4"

# EN 300 468 section 6.2.16: the extension descriptor, and in it the tag for Opus.
_EXTENSION_TAG: Final = 0x7F
_OPUS_TAG: Final = 0x80

# Streams, how many of them are stereo, and the mapping, by number of channels: the order of Vorbis
# (RFC 7845 section 5.1.1.2).
_LAYOUTS: Final = {
    3: (2, 1, bytes((0, 2, 1))),
    4: (2, 2, bytes((0, 1, 2, 3))),
    5: (3, 2, bytes((0, 4, 1, 2, 3))),
    6: (4, 2, bytes((0, 4, 1, 2, 3, 5))),
    7: (4, 3, bytes((0, 4, 1, 2, 3, 5, 6))),
    8: (5, 3, bytes((0, 6, 1, 2, 3, 4, 5, 7))),
}
_DUAL_MONO: Final = OpusHead(2, 0, 48000, 0, 255, 2, 0, bytes((0, 1)))

# The control header: eleven bits 01111111111, flags for trimming at start and end and for an
# extension, two reserved ones.
_PREFIX: Final = 0x7FE0
_PREFIX_BYTES: Final = _PREFIX.to_bytes(2, "big")
_PREFIX_MASK: Final = 0xFFE0
_START_TRIM: Final = 0x10
_END_TRIM: Final = 0x08
_EXTENSION: Final = 0x04


def channel_code(track: Track) -> int | None:
    """Return `channel_config_code` of a track, or None where there is none: odd mappings."""
    if not track.config:
        return track.channels if track.channels in (1, 2) else None
    try:
        head = parse_opus_head(track.config)
    except PeerError:
        return None
    if head.mapping_family == 0:
        return head.channels
    mapping = (head.streams, head.coupled, head.mapping)
    if mapping == _LAYOUTS.get(head.channels):
        return head.channels
    if mapping in ((1, 0, b"\x00"), (1, 1, b"\x00\x01")):
        return head.channels
    return 0 if mapping == (2, 0, b"\x00\x01") else None


def descriptors(code: int) -> bytes:
    """Write the descriptors that say a private stream is Opus."""
    return registration(IDENTIFIER) + descriptor(_EXTENSION_TAG, bytes((_OPUS_TAG, code)))


def config_from_descriptors(data: bytes) -> bytes | None:
    """Make the OpusHead that a stream's descriptors stand for; None where they are not for Opus.

    Pre-skip is 0: what to drop at a start is told in the control headers.
    """
    for tag, body in split_descriptors(data):
        if tag == _EXTENSION_TAG and len(body) >= 2 and body[0] == _OPUS_TAG:
            code = body[1]
            if code == 0:
                return build_opus_head(_DUAL_MONO)
            if code <= 2:
                return build_opus_head(OpusHead(code, 0, coupled=code - 1))
            if code in _LAYOUTS:
                return build_opus_head(OpusHead(code, 0, 48000, 0, 1, *_LAYOUTS[code]))
    return None


def control_header(size: int) -> bytes:
    """Write what stands before an access unit of `size` bytes."""
    return _PREFIX_BYTES + b"\xff" * (size // 255) + bytes((size % 255,))


def split_access_units(data: bytes) -> list[bytes]:
    """Cut access units, each after its control header; one that is cut off ends the list.

    Raises:
        PeerError: A control header is wrong; there was nothing good before it.
    """
    units: list[bytes] = []
    place, end = 0, len(data)
    while place + 3 <= end:
        head = data[place] << 8 | data[place + 1]
        if head & _PREFIX_MASK != _PREFIX:
            if units:
                break
            raise PeerError("no control header of Opus", reference=_REFERENCE, offset=place)
        place += 2
        size = 0
        while place < end and data[place] == 255:
            size += 255
            place += 1
        if place >= end:
            break
        size += data[place]
        place += 1
        place += 2 * bool(head & _START_TRIM) + 2 * bool(head & _END_TRIM)
        if head & _EXTENSION:
            place += 1 + (data[place] if place < end else 0)
        if place + size > end:
            break
        if size:
            units.append(data[place : place + size])
        place += size
    return units
