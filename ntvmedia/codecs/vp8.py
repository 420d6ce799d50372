"""VP8: the header of a keyframe, which is all the configuration that VP8 has (RFC 6386)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.errors import PeerError

CODEC_STRING: Final = "vp08.00.10.08"
"""The RFC 6381 name; VP8 has no profiles or levels that anybody looks at."""

_REFERENCE: Final = "RFC 6386 section 9.1"
_START_CODE: Final = b"\x9d\x01\x2a"


class KeyframeHeader(NamedTuple):
    """The header of a keyframe.

    Attributes:
        version: 0 to 3: which filters are used; called "profile" by ffmpeg.
        width: In luma samples, 1 to 16383.
        height: Likewise.
        horizontal_scale: 0 none, 1 5/4, 2 5/3, 3 twice.
        vertical_scale: Likewise.
    """

    version: int
    width: int
    height: int
    horizontal_scale: int
    vertical_scale: int


def is_keyframe(payload: bytes) -> bool:
    """Whether the frame is a keyframe: the lowest bit of its tag is 0."""
    return bool(payload) and not payload[0] & 1


def parse_keyframe(payload: bytes) -> KeyframeHeader:
    """Read the header of a keyframe.

    Raises:
        PeerError: It is no keyframe, is cut off, or has no size.
    """
    if len(payload) < 10 or not is_keyframe(payload) or payload[3:6] != _START_CODE:
        raise PeerError("not a VP8 keyframe", reference=_REFERENCE, offset=0)
    width = int.from_bytes(payload[6:8], "little")
    height = int.from_bytes(payload[8:10], "little")
    if not width & 0x3FFF or not height & 0x3FFF:
        raise PeerError("a picture without size", reference=_REFERENCE, offset=6)
    version = payload[0] >> 1 & 7
    return KeyframeHeader(version, width & 0x3FFF, height & 0x3FFF, width >> 14, height >> 14)
