"""VP9: VPCodecConfigurationRecord, and the header of a frame.

"VP Codec ISO Media File Format Binding" v1.0, whose record serves VP8 too; "VP9 Bitstream &
Decoding Process Specification" section 6.2 (uncompressed header).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.codecs.bits import BitReader
from ntvmedia.codecs.vui import Colour
from ntvmedia.errors import PeerError
from ntvmedia.media.packets import Codec

_VPCC: Final = "VP-ISOBMFF section VP Codec Configuration Box"
_HEADER: Final = "VP9 section 6.2"

_VERSION_AND_FLAGS: Final = b"\x01\x00\x00\x00"
_SYNC_CODE: Final = 0x498342
_RGB: Final = 7
# matrix_coefficients by `color_space` (VP9 section 7.2.2); primaries and transfer it does not tell.
_MATRIX: Final = (2, 5, 1, 6, 7, 9, 2, 0)
# chromaSubsampling of the record.
# 4:2:0 with chroma in the place of luma: what the binding takes where nothing is told.
_420: Final = 1
_422: Final = 2
_444: Final = 3
_440: Final = 4

# Level times ten, with its largest luma samples a second, in a picture, and in a side
# (VP9 annex A, "Levels").
_LEVELS: Final = (
    (10, 829440, 36864, 512),
    (11, 2764800, 73728, 768),
    (20, 4608000, 122880, 960),
    (21, 9216000, 245760, 1344),
    (30, 20736000, 552960, 2048),
    (31, 36864000, 983040, 2752),
    (40, 83558400, 2228224, 4160),
    (41, 160432128, 2228224, 4160),
    (50, 311951360, 8912896, 8384),
    (51, 588251136, 8912896, 8384),
    (52, 1176502272, 8912896, 8384),
    (60, 1176502272, 35651584, 16832),
    (61, 2353004544, 35651584, 16832),
    (62, 4706009088, 35651584, 16832),
)


class VPConfiguration(NamedTuple):
    """The contents of vpcC.

    Attributes:
        profile_idc: 0 to 3.
        level_idc: Ten times the level; 0 where it is not told.
        bit_depth: 8, 10 or 12.
        chroma_subsampling: 0 and 1 4:2:0, 2 4:2:2, 3 4:4:4, 4 4:4:0.
        colour: How samples become colours.
    """

    profile_idc: int = 0
    level_idc: int = 0
    bit_depth: int = 8
    chroma_subsampling: int = 0
    colour: Colour = Colour()

    def codec_string(self, codec: Codec = Codec.VP9) -> str:
        """Return the RFC 6381 name, in its short form: "vp09.00.10.08"."""
        name = "vp08" if codec is Codec.VP8 else "vp09"
        # Browsers know no level 0; 1 is what an encoder means that does not tell.
        level = self.level_idc or 10
        return f"{name}.{self.profile_idc:02}.{level:02}.{self.bit_depth:02}"


class KeyframeHeader(NamedTuple):
    """The header of a VP9 keyframe.

    Attributes:
        profile_idc: 0 to 3.
        bit_depth: 8, 10 or 12.
        chroma_subsampling: As in `VPConfiguration`.
        colour: How samples become colours.
        width: In luma samples.
        height: Likewise.
        shown_width: What the picture should be scaled to; usually the width.
        shown_height: Likewise.
    """

    profile_idc: int
    bit_depth: int
    chroma_subsampling: int
    colour: Colour
    width: int
    height: int
    shown_width: int
    shown_height: int


def parse_configuration(data: bytes) -> VPConfiguration:
    """Read vpcC, with its 4 bytes of version and flags or without.

    Raises:
        PeerError: It is none.
    """
    # Without them, the third byte holds the bit depth, which is not 0.
    if data[:4] == _VERSION_AND_FLAGS:
        data = data[4:]
    if len(data) < 6 or data[0] > 3 or data[2] >> 4 not in (8, 10, 12):
        raise PeerError("no VPCodecConfigurationRecord", reference=_VPCC, offset=0)
    colour = Colour(data[3], data[4], data[5], data[2] & 1 != 0)
    return VPConfiguration(data[0], data[1], data[2] >> 4, data[2] >> 1 & 7, colour)


def build_configuration(config: VPConfiguration) -> bytes:
    """Write vpcC with its 4 bytes of version and flags."""
    colour = config.colour
    packed = config.bit_depth << 4 | config.chroma_subsampling << 1 | colour.full_range
    fields = (config.profile_idc, config.level_idc, packed)
    numbers = (colour.primaries, colour.transfer, colour.matrix)
    return _VERSION_AND_FLAGS + bytes((*fields, *numbers, 0, 0))


def configuration_from_frame(payload: bytes, frame_rate: float = 0.0) -> bytes:
    """Make vpcC of a keyframe's header.

    Args:
        frame_rate: Frames a second, for the level; 0 where it is not known.

    Returns:
        `b""` where the frame is no keyframe.

    Raises:
        PeerError: The frame is broken.
    """
    if not is_keyframe(payload):
        return b""
    header = parse_keyframe(payload)
    level = level_for(header.width, header.height, frame_rate)
    return build_configuration(
        VPConfiguration(
            header.profile_idc, level, header.bit_depth, header.chroma_subsampling, header.colour
        )
    )


def level_for(width: int, height: int, frame_rate: float) -> int:
    """Return ten times the lowest level for such pictures; 0 where none is high enough."""
    picture = width * height
    side = max(width, height)
    for level, rate, size, longest in _LEVELS:
        if picture <= size and picture * frame_rate <= rate and side <= longest:
            return level
    return 0


def is_keyframe(payload: bytes) -> bool:
    """Whether the frame is a keyframe, by its first byte (VP9 section 6.2)."""
    if not payload or payload[0] >> 6 != 2:
        return False
    # Profile 3 has a reserved bit before show_existing_frame and frame_type; both are 0.
    if payload[0] & 0x30 == 0x30:
        return not payload[0] & 0x06
    return not payload[0] & 0x0C


def parse_keyframe(payload: bytes) -> KeyframeHeader:
    """Read the header of a keyframe.

    Raises:
        PeerError: It is no keyframe, is cut off, or has reserved values.
    """
    if not is_keyframe(payload):
        raise PeerError("not a VP9 keyframe", reference=_HEADER, offset=0)
    reader = BitReader(payload[:32], _HEADER)
    reader.skip(2)
    profile = reader.u(1) | reader.u(1) << 1
    reader.skip(5 if profile == 3 else 4)
    if reader.u(24) != _SYNC_CODE:
        raise PeerError("a keyframe has no sync code", reference=_HEADER, offset=1)
    depth = 8
    if profile >= 2:
        depth = 12 if reader.flag() else 10
    space = reader.u(3)
    chroma = _420
    full_range = True
    if space != _RGB:
        full_range = reader.flag()
        if profile & 1:
            horizontal, vertical = reader.flag(), reader.flag()
            reader.skip(1)
            chroma = (_444, _440, _422, _420)[horizontal * 2 + vertical]
    elif profile & 1:
        chroma = _444
        reader.skip(1)
    else:
        raise PeerError("RGB is not allowed in this profile", reference=_HEADER, offset=4)
    width, height = reader.u(16) + 1, reader.u(16) + 1
    shown = (width, height)
    if reader.flag():
        shown = (reader.u(16) + 1, reader.u(16) + 1)
    colour = Colour(matrix=_MATRIX[space], full_range=full_range)
    return KeyframeHeader(profile, depth, chroma, colour, width, height, *shown)
