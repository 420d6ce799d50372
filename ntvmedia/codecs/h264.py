"""H.264: AVCDecoderConfigurationRecord, sequence parameter sets, and kinds of NAL units.

ISO/IEC 14496-15 section 5.3.3.1 (avcC), ISO/IEC 14496-10 sections 7.3.2.1.1 and E.1.1 (SPS).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ntvmedia.codecs.bits import BitReader
from ntvmedia.codecs.nal import split_length_prefixed, unescape
from ntvmedia.codecs.vui import Colour, Usability, check_size, frame_rate, read_appearance
from ntvmedia.errors import LimitExceeded, PeerError

IDR: Final = 5
SEI: Final = 6
SPS_UNIT: Final = 7
PPS_UNIT: Final = 8
ACCESS_UNIT_DELIMITER: Final = 9

_AVCC: Final = "ISO/IEC 14496-15 section 5.3.3.1"
_SPS: Final = "ISO/IEC 14496-10 section 7.3.2.1.1"

_TYPE: Final = 0x1F
_MAX_SPS: Final = 31
_MAX_PPS: Final = 255
_MAX_UNIT: Final = 0xFFFF

# Profiles whose SPS tells chroma format and bit depth (section 7.3.2.1.1).
_HIGH: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
# avcC tells them for all but these.
_PLAIN: Final = frozenset({66, 77, 88})

_PROFILES: Final = {
    44: "CAVLC 4:4:4 Intra",
    66: "Baseline",
    77: "Main",
    83: "Scalable Baseline",
    86: "Scalable High",
    88: "Extended",
    100: "High",
    110: "High 10",
    118: "Multiview High",
    122: "High 4:2:2",
    128: "Stereo High",
    244: "High 4:4:4 Predictive",
}


class AVCDecoderConfiguration(NamedTuple):
    """The contents of avcC.

    Attributes:
        profile_idc: As in the first SPS.
        constraint_flags: The byte between profile and level.
        level_idc: Ten times the level, but for level 1b.
        length_size: Bytes of the length before each unit: 1 to 4.
        sps: Sequence parameter sets, with their NAL unit header; none until the encoder has one.
        pps: Picture parameter sets, likewise.
    """

    profile_idc: int
    constraint_flags: int
    level_idc: int
    length_size: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]

    @property
    def codec_string(self) -> str:
        """The RFC 6381 name: "avc1.64001f"."""
        return f"avc1.{self.profile_idc:02x}{self.constraint_flags:02x}{self.level_idc:02x}"


class SPS(NamedTuple):
    """A sequence parameter set.

    Attributes:
        width: Of the picture to show, in luma samples: what remains after cropping.
        height: Likewise.
        coded_width: Before cropping.
        coded_height: Before cropping.
        sample_aspect_ratio: Width to height of one sample; (1, 1) where it is not told.
        frame_rate: Frames a second, by VUI; None where it is not told.
        profile_idc: 66 Baseline, 77 Main, 100 High, ...
        constraint_flags: constraint_set0_flag is the highest bit.
        level_idc: Ten times the level.
        id: seq_parameter_set_id, 0 to 31.
        chroma_format: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
        bit_depth_luma: 8 to 14.
        bit_depth_chroma: 8 to 14.
        progressive: frame_mbs_only_flag: no picture is made of fields.
        colour: How samples become colours.
    """

    width: int
    height: int
    coded_width: int
    coded_height: int
    sample_aspect_ratio: tuple[int, int]
    frame_rate: float | None
    profile_idc: int
    constraint_flags: int
    level_idc: int
    id: int
    chroma_format: int
    bit_depth_luma: int
    bit_depth_chroma: int
    progressive: bool
    colour: Colour

    @property
    def profile(self) -> str:
        """Name of the profile; its number where it has no name."""
        if self.profile_idc == 66 and self.constraint_flags & 0x40:
            return "Constrained Baseline"
        return _PROFILES.get(self.profile_idc, str(self.profile_idc))

    @property
    def level(self) -> str:
        """Name of the level: "3.1"."""
        return level_name(self.profile_idc, self.constraint_flags, self.level_idc)


def level_name(profile_idc: int, constraint_flags: int, level_idc: int) -> str:
    """Return the name of a level: "3.1", "1b" (ISO/IEC 14496-10 section A.3)."""
    old_1b = level_idc == 11 and profile_idc in (66, 77, 88) and constraint_flags & 0x10
    if level_idc == 9 or old_1b:
        return "1b"
    return f"{level_idc // 10}.{level_idc % 10}" if level_idc % 10 else str(level_idc // 10)


def parse_configuration(data: bytes) -> AVCDecoderConfiguration:
    """Read avcC. Empty parameter sets are left out, and there may be none at all.

    The extension for High profiles is not read: the SPS says the same, and encoders omit it.

    Raises:
        PeerError: It is no avcC, or a parameter set goes beyond the end.
    """
    if len(data) < 6 or data[0] != 1:
        raise PeerError("no AVCDecoderConfigurationRecord", reference=_AVCC, offset=0)
    sps, position = _sets(data, 6, data[5] & 0x1F)
    # Some encoders end the record here when they have no PPS.
    count = data[position] if position < len(data) else 0
    pps, position = _sets(data, position + 1, count)
    return AVCDecoderConfiguration(data[1], data[2], data[3], (data[4] & 3) + 1, sps, pps)


def build_configuration(sps: Sequence[bytes], pps: Sequence[bytes]) -> bytes:
    """Write avcC with lengths of 4 bytes, from parameter sets; repeated ones are left out.

    Raises:
        PeerError: There is no SPS, or the first one is broken.
        LimitExceeded: There are more, or longer ones, than the record has room for.
    """
    if not sps:
        raise PeerError("avcC needs a sequence parameter set", reference=_AVCC)
    first = parse_sps(sps[0])
    sps_list, pps_list = list(dict.fromkeys(sps)), list(dict.fromkeys(pps))
    if len(sps_list) > _MAX_SPS or len(pps_list) > _MAX_PPS:
        raise LimitExceeded("too many parameter sets", reference=_AVCC, limit=_MAX_SPS)
    parts = [bytes((1, *sps[0][1:4], 0xFF, 0xE0 | len(sps_list)))]
    _append_sets(parts, sps_list)
    parts.append(bytes((len(pps_list),)))
    _append_sets(parts, pps_list)
    if first.profile_idc not in _PLAIN:
        depths = (first.bit_depth_luma - 8, first.bit_depth_chroma - 8)
        parts.append(bytes((0xFC | first.chroma_format, 0xF8 | depths[0], 0xF8 | depths[1], 0)))
    return b"".join(parts)


def parse_sps(unit: bytes) -> SPS:
    """Read a sequence parameter set, NAL unit header included.

    VUI that is cut off counts as absent: decoders do without it.

    Raises:
        PeerError: It is none, or ends early, or has values out of range.
        LimitExceeded: The picture is larger than any level allows.
    """
    if len(unit) < 4 or unit[0] & _TYPE != SPS_UNIT:
        raise PeerError("not a sequence parameter set", reference=_SPS, offset=0)
    reader = BitReader(unescape(unit), _SPS)
    reader.skip(8)
    profile_idc, constraint_flags, level_idc = reader.u(8), reader.u(8), reader.u(8)
    sps_id = _at_most(reader, 31)
    chroma_format, depth_luma, depth_chroma, separate = 1, 8, 8, False
    if profile_idc in _HIGH:
        chroma_format = _at_most(reader, 3)
        separate = chroma_format == 3 and reader.flag()
        depth_luma, depth_chroma = 8 + _at_most(reader, 6), 8 + _at_most(reader, 6)
        reader.skip(1)  # qpprime_y_zero_transform_bypass_flag
        if reader.flag():
            _skip_scaling_lists(reader, 12 if chroma_format == 3 else 8)
    _skip_order(reader)
    _at_most(reader, 16)  # max_num_ref_frames
    reader.skip(1)  # gaps_in_frame_num_value_allowed_flag
    width = (reader.ue() + 1) * 16
    map_units = reader.ue() + 1
    progressive = reader.flag()
    height = map_units * (16 if progressive else 32)
    check_size(width, height, _SPS)
    if not progressive:
        reader.skip(1)  # mb_adaptive_frame_field_flag
    reader.skip(1)  # direct_8x8_inference_flag
    left = right = top = bottom = 0
    if reader.flag():
        left, right, top, bottom = reader.ue(), reader.ue(), reader.ue(), reader.ue()
    # Units of cropping: section 7.4.2.1.1, equations 7-19 to 7-22.
    monochrome = separate or not chroma_format
    unit_x = 2 if chroma_format in (1, 2) and not monochrome else 1
    unit_y = 2 if chroma_format == 1 and not monochrome else 1
    unit_y *= 1 if progressive else 2
    shown_width = width - (left + right) * unit_x
    shown_height = height - (top + bottom) * unit_y
    check_size(shown_width, shown_height, _SPS)
    usability = _usability(reader)
    return SPS(
        shown_width,
        shown_height,
        width,
        height,
        usability.sample_aspect_ratio,
        usability.frame_rate,
        profile_idc,
        constraint_flags,
        level_idc,
        sps_id,
        chroma_format,
        depth_luma,
        depth_chroma,
        progressive,
        usability.colour,
    )


def first_sps(config: AVCDecoderConfiguration) -> SPS | None:
    """Read the first parameter set that is not broken; None where there is none."""
    for unit in config.sps:
        try:
            return parse_sps(unit)
        except PeerError:
            continue
    return None


def is_keyframe(payload: bytes) -> bool:
    """Whether the frame (units after 4-byte lengths) is an IDR picture.

    The first slice decides: all slices of an access unit are IDR or none is (section 7.4.1.2.4).
    """
    position, end = 4, len(payload)
    while position < end:
        kind = payload[position] & _TYPE
        if 1 <= kind <= IDR:
            return kind == IDR
        position += 4 + int.from_bytes(payload[position - 4 : position], "big")
    return False


def has_parameter_sets(payload: bytes) -> bool:
    """Whether an SPS stands in the frame (units after 4-byte lengths) before its first slice."""
    position, end = 4, len(payload)
    while position < end:
        kind = payload[position] & _TYPE
        if kind == SPS_UNIT:
            return True
        if 1 <= kind <= IDR:
            return False
        position += 4 + int.from_bytes(payload[position - 4 : position], "big")
    return False


def parameter_sets(units: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Pick out the sequence and the picture parameter sets, each once, in their order."""
    sps: dict[bytes, None] = {}
    pps: dict[bytes, None] = {}
    for unit in units:
        kind = unit[0] & _TYPE if unit else 0
        if kind == SPS_UNIT:
            sps[unit] = None
        elif kind == PPS_UNIT:
            pps[unit] = None
    return list(sps), list(pps)


def configuration_from_frame(payload: bytes) -> bytes:
    """Make avcC of the parameter sets in a frame (units after 4-byte lengths).

    Returns:
        `b""` where it does not have both an SPS and a PPS.

    Raises:
        PeerError: The frame or the SPS is broken.
    """
    sps, pps = parameter_sets(split_length_prefixed(payload))
    return build_configuration(sps, pps) if sps and pps else b""


def _sets(data: bytes, position: int, count: int) -> tuple[tuple[bytes, ...], int]:
    """Read parameter sets, each after its length in 2 bytes; return also where they end."""
    found: list[bytes] = []
    for _index in range(count):
        start = position + 2
        stop = start + int.from_bytes(data[position:start], "big")
        if stop > len(data) or start > len(data):
            raise PeerError("a parameter set is cut off", reference=_AVCC, offset=position)
        if stop > start:
            found.append(data[start:stop])
        position = stop
    return tuple(found), position


def _append_sets(parts: list[bytes], units: Iterable[bytes]) -> None:
    for unit in units:
        if len(unit) > _MAX_UNIT:
            raise LimitExceeded("a parameter set is too long", reference=_AVCC, limit=_MAX_UNIT)
        parts.append(len(unit).to_bytes(2, "big"))
        parts.append(unit)


def _at_most(reader: BitReader, largest: int) -> int:
    value = reader.ue()
    if value > largest:
        raise PeerError(
            f"{value} where at most {largest} is allowed",
            reference=_SPS,
            offset=reader.position >> 3,
        )
    return value


def _skip_scaling_lists(reader: BitReader, count: int) -> None:
    """Pass over the lists (section 7.3.2.1.1.1); a delta that gives 0 ends one."""
    for index in range(count):
        if not reader.flag():
            continue
        scale = 8
        for _position in range(16 if index < 6 else 64):
            scale = (scale + reader.se()) & 0xFF
            if not scale:
                break


def _skip_order(reader: BitReader) -> None:
    """Pass over log2_max_frame_num and picture order count."""
    _at_most(reader, 12)
    kind = _at_most(reader, 2)
    if kind == 0:
        _at_most(reader, 12)
    elif kind == 1:
        reader.skip(1)
        reader.se()
        reader.se()
        for _frame in range(_at_most(reader, 255)):
            reader.se()


def _usability(reader: BitReader) -> Usability:
    try:
        if not reader.flag():
            return Usability()
        ratio, colour = read_appearance(reader)
    except PeerError:
        return Usability()
    rate = None
    try:
        if reader.flag():
            # A tick is the time of a field, whatever the pictures are (section E.2.1).
            ticks, time_scale = reader.u(32), reader.u(32)
            rate = frame_rate(time_scale, 2 * ticks)
    except PeerError:
        pass
    return Usability(ratio, rate, colour)
