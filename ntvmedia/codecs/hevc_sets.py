"""HEVC: sequence parameter sets, and the frame rate in video parameter sets.

ISO/IEC 23008-2 sections 7.3.2.1 (VPS), 7.3.2.2 (SPS), 7.3.3 (profile, tier, level), E.2.1 (VUI).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.codecs.bits import BitReader
from ntvmedia.codecs.nal import unescape
from ntvmedia.codecs.vui import Colour, Usability, check_size, frame_rate, read_appearance
from ntvmedia.errors import PeerError

VPS_UNIT: Final = 32
SPS_UNIT: Final = 33
PPS_UNIT: Final = 34

_SPS: Final = "ISO/IEC 23008-2 section 7.3.2.2"
_VPS: Final = "ISO/IEC 23008-2 section 7.3.2.1"

_PROFILES: Final = {
    1: "Main",
    2: "Main 10",
    3: "Main Still Picture",
    4: "Range Extensions",
    5: "High Throughput",
    9: "Screen Content Coding",
}


class SPS(NamedTuple):
    """A sequence parameter set.

    Attributes:
        width: Of the picture to show, in luma samples: what the conformance window leaves.
        height: Likewise.
        coded_width: Before cropping.
        coded_height: Before cropping.
        sample_aspect_ratio: Width to height of one sample; (1, 1) where it is not told.
        frame_rate: Frames a second, by VUI; None where it is not told.
        general_profile: 12 bytes: profile space, tier, profile, compatibility, constraints, level.
        temporal_layers: 1 to 7.
        temporal_nesting: sps_temporal_id_nesting_flag.
        id: sps_seq_parameter_set_id, 0 to 15.
        chroma_format: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
        bit_depth_luma: 8 to 16.
        bit_depth_chroma: 8 to 16.
        colour: How samples become colours.
    """

    width: int
    height: int
    coded_width: int
    coded_height: int
    sample_aspect_ratio: tuple[int, int]
    frame_rate: float | None
    general_profile: bytes
    temporal_layers: int
    temporal_nesting: bool
    id: int
    chroma_format: int
    bit_depth_luma: int
    bit_depth_chroma: int
    colour: Colour

    @property
    def profile_idc(self) -> int:
        """1 Main, 2 Main 10, ..."""
        return self.general_profile[0] & 0x1F

    @property
    def level_idc(self) -> int:
        """Thirty times the level."""
        return self.general_profile[11]

    @property
    def profile(self) -> str:
        """Name of the profile; its number where it has no name."""
        return profile_name(self.profile_idc)

    @property
    def level(self) -> str:
        """Name of the level, with the tier where that is High: "5.1 High"."""
        return level_name(self.level_idc, self.general_profile[0] >> 5 & 1)


def profile_name(profile_idc: int) -> str:
    """Return the name of a profile; its number where it has no name."""
    return _PROFILES.get(profile_idc, str(profile_idc))


def level_name(level_idc: int, tier: int) -> str:
    """Return the name of a level, with the tier where that is High: "5.1 High"."""
    return f"{level_idc / 30:.2g}" + (" High" if tier else "")


def parse_sps(unit: bytes) -> SPS:
    """Read a sequence parameter set, NAL unit header included.

    VUI that is cut off counts as absent: decoders do without it.

    Raises:
        PeerError: It is none, or ends early, or has values out of range.
        LimitExceeded: The picture is larger than any level allows.
    """
    if len(unit) < 2 or unit[0] >> 1 & 0x3F != SPS_UNIT:
        raise PeerError("not a sequence parameter set", reference=_SPS, offset=0)
    rbsp = unescape(unit)
    reader = BitReader(rbsp, _SPS)
    reader.skip(16 + 4)
    layers = reader.u(3)
    nesting = reader.flag()
    _skip_profile_tier_level(reader, layers)
    sps_id = _at_most(reader, 15)
    chroma_format = _at_most(reader, 3)
    separate = chroma_format == 3 and reader.flag()
    width, height = reader.ue(), reader.ue()
    check_size(width, height, _SPS)
    left = right = top = bottom = 0
    if reader.flag():
        left, right, top, bottom = reader.ue(), reader.ue(), reader.ue(), reader.ue()
    unit_x = 2 if chroma_format in (1, 2) and not separate else 1
    unit_y = 2 if chroma_format == 1 and not separate else 1
    shown_width = width - (left + right) * unit_x
    shown_height = height - (top + bottom) * unit_y
    check_size(shown_width, shown_height, _SPS)
    depth_luma, depth_chroma = 8 + _at_most(reader, 8), 8 + _at_most(reader, 8)
    usability = _usability(reader, layers)
    return SPS(
        shown_width,
        shown_height,
        width,
        height,
        usability.sample_aspect_ratio,
        usability.frame_rate,
        rbsp[3:15],
        layers + 1,
        nesting,
        sps_id,
        chroma_format,
        depth_luma,
        depth_chroma,
        usability.colour,
    )


def vps_frame_rate(unit: bytes) -> float | None:
    """Read the frame rate of a video parameter set; None where it does not tell, or is broken."""
    if len(unit) < 2 or unit[0] >> 1 & 0x3F != VPS_UNIT:
        return None
    reader = BitReader(unescape(unit), _VPS)
    try:
        reader.skip(16 + 4 + 2 + 6)
        layers = reader.u(3)
        reader.skip(1 + 16)
        _skip_profile_tier_level(reader, layers)
        _skip_ordering(reader, layers)
        largest_layer = reader.u(6)
        reader.skip(_at_most(reader, 1023) * (largest_layer + 1))
        if not reader.flag():
            return None
        ticks, time_scale = reader.u(32), reader.u(32)
    except PeerError:
        return None
    return frame_rate(time_scale, ticks)


def _at_most(reader: BitReader, largest: int) -> int:
    value = reader.ue()
    if value > largest:
        raise PeerError(
            f"{value} where at most {largest} is allowed",
            reference=_SPS,
            offset=reader.position >> 3,
        )
    return value


def _skip_profile_tier_level(reader: BitReader, layers: int) -> None:
    """Pass over profile_tier_level (section 7.3.3) with `layers` sub-layers below the whole."""
    reader.skip(96)
    flags = [(reader.flag(), reader.flag()) for _layer in range(layers)]
    if layers:
        reader.skip(2 * (8 - layers))
    for has_profile, has_level in flags:
        reader.skip(88 * has_profile + 8 * has_level)


def _skip_ordering(reader: BitReader, layers: int) -> None:
    """Pass over the sizes of the decoded picture buffer."""
    for _layer in range(layers + 1 if reader.flag() else 1):
        for _field in range(3):
            reader.ue()


def _usability(reader: BitReader, layers: int) -> Usability:
    """Read on from log2_max_pic_order_cnt_lsb_minus4 to VUI, and that."""
    try:
        _skip_coding_tools(reader, layers)
        if not reader.flag():
            return Usability()
        ratio, colour = read_appearance(reader)
    except PeerError:
        return Usability()
    rate = None
    try:
        reader.skip(1)  # neutral_chroma_indication_flag
        fields = reader.flag()
        reader.skip(1)  # frame_field_info_present_flag
        if reader.flag():
            for _side in range(4):
                reader.ue()  # default display window: a hint that decoders ignore
        if reader.flag():
            # A tick is the time of a picture, and a picture may be a field (section E.3.1).
            ticks, time_scale = reader.u(32), reader.u(32)
            rate = frame_rate(time_scale, ticks * 2 if fields else ticks)
    except PeerError:
        pass
    return Usability(ratio, rate, colour)


def _skip_coding_tools(reader: BitReader, layers: int) -> None:
    order_bits = 4 + _at_most(reader, 12)
    _skip_ordering(reader, layers)
    for _field in range(6):
        reader.ue()  # sizes of coding and transform blocks
    if reader.flag() and reader.flag():
        _skip_scaling_lists(reader)
    reader.skip(2)  # amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if reader.flag():
        reader.skip(8)  # bit depths of PCM
        reader.ue()
        reader.ue()
        reader.skip(1)
    _skip_reference_sets(reader)
    if reader.flag():
        reader.skip(_at_most(reader, 32) * (order_bits + 1))  # long-term reference pictures
    reader.skip(2)  # sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag


def _skip_scaling_lists(reader: BitReader) -> None:
    """Pass over scaling_list_data (section 7.3.4)."""
    for size in range(4):
        for _matrix in range(2 if size == 3 else 6):
            if not reader.flag():
                reader.ue()
                continue
            if size > 1:
                reader.se()
            for _coefficient in range(min(64, 1 << (4 + 2 * size))):
                reader.se()


def _skip_reference_sets(reader: BitReader) -> None:
    """Pass over the short-term reference picture sets (section 7.3.7)."""
    pictures = 0
    for index in range(_at_most(reader, 64)):
        if index and reader.flag():
            # Predicted from the set before it: one or two flags for each picture of that, and one.
            reader.skip(1)
            reader.ue()
            kept = 0
            for _picture in range(pictures + 1):
                kept += reader.flag() or reader.flag()
            pictures = kept
            if pictures > 16:
                raise PeerError("a set has more than 16 pictures", reference=_SPS)
        else:
            negative, positive = _at_most(reader, 16), _at_most(reader, 16)
            pictures = negative + positive
            for _picture in range(pictures):
                reader.ue()
                reader.skip(1)
