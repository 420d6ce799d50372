"""AV1: AV1CodecConfigurationRecord, sequence header, and open bitstream units.

"AV1 Codec ISO Media File Format Binding" v1.2 section 2.3 (av1C) and 5 (codec names); "AV1
Bitstream & Decoding Process Specification" sections 5.3 (OBU), 5.5 (sequence header), 5.9.2.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.codecs.bits import BitReader
from ntvmedia.codecs.vui import Colour, frame_rate
from ntvmedia.errors import PeerError

SEQUENCE_HEADER: Final = 1
TEMPORAL_DELIMITER: Final = 2
FRAME_HEADER: Final = 3
FRAME: Final = 6

_AV1C: Final = "AV1-ISOBMFF section 2.3"
_OBU: Final = "AV1 section 5.3"
_SEQUENCE: Final = "AV1 section 5.5"

# Types that MP4 does without (AV1-ISOBMFF section 2.4): delimiters, tile lists, padding.
_NOT_IN_SAMPLES: Final = frozenset({TEMPORAL_DELIMITER, 8, 15})
_HAS_SIZE: Final = 2
_HAS_EXTENSION: Final = 4
# leb128 is at most 8 bytes long (section 4.10.5).
_MAX_SIZE_BYTES: Final = 8

_PROFILES: Final = ("Main", "High", "Professional")


class OBU(NamedTuple):
    """An open bitstream unit.

    Attributes:
        type: obu_type, 0 to 15.
        header: Its header, of 1 or 2 bytes, with obu_has_size_field as it came.
        payload: What follows header and size.
    """

    type: int
    header: bytes
    payload: bytes

    def to_bytes(self) -> bytes:
        """Write it with its size."""
        header = bytes((self.header[0] | _HAS_SIZE,)) + self.header[1:]
        return header + _leb128(len(self.payload)) + self.payload


class SequenceHeader(NamedTuple):
    """A sequence header.

    Attributes:
        profile_idc: seq_profile: 0 Main, 1 High, 2 Professional.
        level_idc: seq_level_idx of the first operating point: 0 is level 2.0, 31 "any".
        tier: 0 Main, 1 High.
        width: Of the largest frame, in luma samples.
        height: Likewise.
        frame_rate: Frames a second; None where it is not told.
        bit_depth: 8, 10 or 12.
        monochrome: There is no chroma.
        subsampling: Whether chroma is halved in width, and in height.
        chroma_position: chroma_sample_position, 0 to 3.
        colour: How samples become colours.
        is_still: reduced_still_picture_header: a single picture.
    """

    profile_idc: int
    level_idc: int
    tier: int
    width: int
    height: int
    frame_rate: float | None
    bit_depth: int
    monochrome: bool
    subsampling: tuple[bool, bool]
    chroma_position: int
    colour: Colour
    is_still: bool

    @property
    def profile(self) -> str:
        """Name of the profile."""
        return _PROFILES[self.profile_idc]

    @property
    def level(self) -> str:
        """Name of the level, with the tier where that is High: "5.1 High"."""
        return level_name(self.level_idc, self.tier)


class AV1Configuration(NamedTuple):
    """The contents of av1C.

    Attributes:
        profile_idc: seq_profile.
        level_idc: seq_level_idx_0.
        tier: seq_tier_0.
        bit_depth: 8, 10 or 12.
        monochrome: There is no chroma.
        subsampling: Whether chroma is halved in width, and in height.
        chroma_position: chroma_sample_position.
        units: configOBUs: the sequence header, perhaps metadata; or nothing.
    """

    profile_idc: int
    level_idc: int
    tier: int
    bit_depth: int
    monochrome: bool
    subsampling: tuple[bool, bool]
    chroma_position: int
    units: bytes

    @property
    def codec_string(self) -> str:
        """The RFC 6381 name, in its short form: "av01.0.04M.08"."""
        tier = "H" if self.tier else "M"
        return f"av01.{self.profile_idc}.{self.level_idc:02}{tier}.{self.bit_depth:02}"


def level_name(level_idc: int, tier: int) -> str:
    """Return the name of a level, with the tier where that is High: "5.1 High"."""
    if level_idc == 31:
        return "any"
    return f"{2 + (level_idc >> 2)}.{level_idc & 3}" + (" High" if tier else "")


def profile_name(profile_idc: int) -> str:
    """Return the name of a profile; its number where it has no name."""
    return _PROFILES[profile_idc] if profile_idc < len(_PROFILES) else str(profile_idc)


def parse_configuration(data: bytes) -> AV1Configuration:
    """Read av1C.

    Raises:
        PeerError: It is none.
    """
    if len(data) < 4 or data[0] != 0x81:
        raise PeerError("no AV1CodecConfigurationRecord", reference=_AV1C, offset=0)
    high, twelve = data[2] & 0x40, data[2] & 0x20
    return AV1Configuration(
        data[1] >> 5,
        data[1] & 0x1F,
        data[2] >> 7,
        (12 if twelve else 10) if high else 8,
        data[2] & 0x10 != 0,
        (data[2] & 8 != 0, data[2] & 4 != 0),
        data[2] & 3,
        data[4:],
    )


def build_configuration(unit: OBU) -> bytes:
    """Write av1C with a sequence header in it.

    Raises:
        PeerError: The sequence header is broken.
    """
    sequence = parse_sequence_header(unit.payload)
    flags = (
        sequence.tier << 7
        | (sequence.bit_depth > 8) << 6
        | (sequence.bit_depth == 12) << 5
        | sequence.monochrome << 4
        | sequence.subsampling[0] << 3
        | sequence.subsampling[1] << 2
        | sequence.chroma_position
    )
    head = bytes((0x81, sequence.profile_idc << 5 | sequence.level_idc, flags, 0))
    return head + unit.to_bytes()


def configuration_from_frame(payload: bytes) -> bytes:
    """Make av1C of the sequence header in a temporal unit; `b""` where there is none.

    Raises:
        PeerError: The temporal unit or the sequence header is broken.
    """
    for unit in split_obus(payload):
        if unit.type == SEQUENCE_HEADER:
            return build_configuration(unit)
    return b""


def sequence_header(config: AV1Configuration) -> SequenceHeader | None:
    """Read the sequence header in av1C; None where there is none, or a broken one."""
    try:
        for unit in split_obus(config.units):
            if unit.type == SEQUENCE_HEADER:
                return parse_sequence_header(unit.payload)
    except PeerError:
        return None
    return None


def split_obus(data: bytes) -> list[OBU]:
    """Cut a temporal unit into its OBUs; one without a size reaches to the end.

    Raises:
        PeerError: An OBU goes beyond the end, or has the forbidden bit.
    """
    units: list[OBU] = []
    position, end = 0, len(data)
    while position < end:
        start, body, stop = _bounds(data, position)
        units.append(OBU(data[start] >> 3 & 15, _header(data, start), data[body:stop]))
        position = stop
    return units


def normalise(data: bytes) -> bytes:
    """Bring a temporal unit to the form of `Packet.payload`: sizes, and no delimiters or padding.

    Returns:
        The same object where it has that form already.

    Raises:
        PeerError: As `split_obus`.
    """
    position, end = 0, len(data)
    while position < end:
        start, _body, position = _bounds(data, position)
        if not data[start] & _HAS_SIZE or data[start] >> 3 & 15 in _NOT_IN_SAMPLES:
            break
    else:
        return data
    return b"".join(x.to_bytes() for x in split_obus(data) if x.type not in _NOT_IN_SAMPLES)


def is_keyframe(payload: bytes) -> bool:
    """Whether a temporal unit begins with a key frame that is shown: decoding can begin here.

    A broken one is none.
    """
    position, end = 0, len(payload)
    still = False
    try:
        while position < end:
            start, body, position = _bounds(payload, position)
            kind = payload[start] >> 3 & 15
            if body == position:
                continue
            if kind == SEQUENCE_HEADER:
                still = payload[body] & 8 != 0
            elif kind in (FRAME_HEADER, FRAME):
                # show_existing_frame 0, frame_type 0 (KEY_FRAME), show_frame 1 (section 5.9.2).
                return still or payload[body] & 0xF0 == 0x10
    except PeerError:
        return False
    return False


def has_parameter_sets(payload: bytes) -> bool:
    """Whether a temporal unit has a sequence header before its first frame."""
    try:
        position, end = 0, len(payload)
        while position < end:
            start, _body, position = _bounds(payload, position)
            kind = payload[start] >> 3 & 15
            if kind in (SEQUENCE_HEADER, FRAME_HEADER, FRAME):
                return kind == SEQUENCE_HEADER
    except PeerError:
        return False
    return False


def parse_sequence_header(payload: bytes) -> SequenceHeader:
    """Read a sequence header, without OBU header and size.

    Raises:
        PeerError: It ends early, or has reserved values.
    """
    reader = BitReader(payload, _SEQUENCE)
    profile_idc = reader.u(3)
    if profile_idc >= len(_PROFILES):
        raise PeerError(f"profile {profile_idc} is reserved", reference=_SEQUENCE, offset=0)
    reader.skip(1)  # still_picture
    is_still = reader.flag()
    rate = None
    if is_still:
        level_idc, tier = reader.u(5), 0
    else:
        rate, level_idc, tier = _operating_points(reader)
    width_bits, height_bits = reader.u(4) + 1, reader.u(4) + 1
    width, height = reader.u(width_bits) + 1, reader.u(height_bits) + 1
    _skip_tools(reader, is_still)
    depth, monochrome, subsampling, position, colour = _colour(reader, profile_idc)
    return SequenceHeader(
        profile_idc,
        level_idc,
        tier,
        width,
        height,
        rate,
        depth,
        monochrome,
        subsampling,
        position,
        colour,
        is_still,
    )


def _operating_points(reader: BitReader) -> tuple[float | None, int, int]:
    """Read timing and operating points: the frame rate; level and tier of the first one."""
    rate, delay_bits = None, 0
    if reader.flag():
        ticks, time_scale = reader.u(32), reader.u(32)
        if reader.flag():  # equal_picture_interval
            rate = frame_rate(time_scale, ticks * (reader.ue() + 1))
        if reader.flag():  # decoder_model_info_present_flag
            delay_bits = reader.u(5) + 1
            reader.skip(32 + 5 + 5)
    has_display_delay = reader.flag()
    level_idc = tier = 0
    for index in range(reader.u(5) + 1):
        reader.skip(12)  # operating_point_idc
        level = reader.u(5)
        high = reader.u(1) if level > 7 else 0
        if not index:
            level_idc, tier = level, high
        if delay_bits and reader.flag():
            reader.skip(2 * delay_bits + 1)
        if has_display_delay and reader.flag():
            reader.skip(4)
    return rate, level_idc, tier


def _skip_tools(reader: BitReader, is_still: bool) -> None:
    """Pass over what stands between frame size and colour."""
    if not is_still and reader.flag():
        reader.skip(4 + 3)  # lengths of frame numbers
    reader.skip(3)
    if not is_still:
        reader.skip(4)
        order_hint = reader.flag()
        if order_hint:
            reader.skip(2)
        # Screen content tools: chosen by each frame, or forced to this; only without them is
        # there nothing about integer motion vectors.
        if (reader.flag() or reader.flag()) and not reader.flag():
            reader.skip(1)
        if order_hint:
            reader.skip(3)
    reader.skip(3)


def _colour(
    reader: BitReader, profile_idc: int
) -> tuple[int, bool, tuple[bool, bool], int, Colour]:
    """Read color_config (section 5.5.2)."""
    high = reader.flag()
    depth = 10 if high else 8
    if profile_idc == 2 and high and reader.flag():
        depth = 12
    monochrome = profile_idc != 1 and reader.flag()
    primaries = transfer = matrix = 2
    if reader.flag():
        primaries, transfer, matrix = reader.u(8), reader.u(8), reader.u(8)
    if not monochrome and (primaries, transfer, matrix) == (1, 13, 0):
        # sRGB.
        return depth, False, (False, False), 0, Colour(primaries, transfer, matrix, True)
    colour = Colour(primaries, transfer, matrix, reader.flag())
    if monochrome:
        return depth, True, (True, True), 0, colour
    if profile_idc == 2 and depth == 12:
        horizontal = reader.flag()
        subsampling = (horizontal, horizontal and reader.flag())
    else:
        subsampling = ((True, True), (False, False), (True, False))[profile_idc]
    position = reader.u(2) if subsampling == (True, True) else 0
    return depth, False, subsampling, position, colour


def _bounds(data: bytes, position: int) -> tuple[int, int, int]:
    """Find where the OBU at `position`, its payload and its successor begin."""
    start = position
    flags = data[start]
    if flags & 0x80:
        raise PeerError("the forbidden bit of an OBU is set", reference=_OBU, offset=start)
    position += 2 if flags & _HAS_EXTENSION else 1
    end = len(data)
    size = end - position
    if flags & _HAS_SIZE:
        size, shift = 0, 0
        while position < end and shift < 7 * _MAX_SIZE_BYTES:
            byte = data[position]
            position += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        else:
            raise PeerError("the size of an OBU is cut off", reference=_OBU, offset=start)
    if size < 0 or position + size > end:
        raise PeerError("an OBU goes beyond the end", reference=_OBU, offset=start)
    return start, position, position + size


def _header(data: bytes, start: int) -> bytes:
    return data[start : start + (2 if data[start] & _HAS_EXTENSION else 1)]


def _leb128(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
