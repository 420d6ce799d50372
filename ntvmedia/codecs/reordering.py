"""How many pictures a decoder of H.264 or HEVC holds back, as sequence parameter sets tell.

ISO/IEC 14496-10 sections 7.3.2.1.1 and E.1.1 (max_num_reorder_frames), ISO/IEC 23008-2 section
7.3.2.2 (sps_max_num_reorder_pics). Where only presentation times are known, as in RTP, decode times
are made up from it.
"""

from __future__ import annotations

from typing import Final

from ntvmedia.codecs.bits import BitReader
from ntvmedia.codecs.h264 import SPS_UNIT as H264_SPS
from ntvmedia.codecs.hevc_sets import SPS_UNIT as HEVC_SPS
from ntvmedia.codecs.nal import unescape
from ntvmedia.codecs.vui import read_appearance
from ntvmedia.errors import PeerError

MAX_REORDERED: Final = 16
"""Pictures that a decoder may hold back: the most of any level (MaxDpbFrames)."""

_H264: Final = "ISO/IEC 14496-10 section 7.3.2.1.1"
_HEVC: Final = "ISO/IEC 23008-2 section 7.3.2.2"

_BASELINE: Final = 66
# Profiles whose SPS tells chroma format and bit depth (ISO/IEC 14496-10 section 7.3.2.1.1).
_HIGH: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


def h264_reordered(unit: bytes) -> int | None:
    """Return how many pictures may stand before one in decoding and behind it in display.

    Args:
        unit: A sequence parameter set, NAL unit header included.

    Returns:
        0 to 16; None where the set does not tell, or is broken. It is 0 also where nothing says
        so, but there is nothing to reorder with: in Baseline, and with one reference picture.
    """
    if len(unit) < 4 or unit[0] & 0x1F != H264_SPS:
        return None
    reader = BitReader(unescape(unit), _H264)
    try:
        in_order = _skip_to_vui(reader)
        if in_order:
            return 0
        told = _bitstream_restriction(reader) if reader.flag() else None
    except PeerError:
        return None
    return told if told is not None and told <= MAX_REORDERED else None


def hevc_reordered(unit: bytes) -> int | None:
    """Return the same of HEVC, for the highest temporal sub-layer.

    Args:
        unit: A sequence parameter set, NAL unit header included.
    """
    if len(unit) < 3 or unit[0] >> 1 & 0x3F != HEVC_SPS:
        return None
    reader = BitReader(unescape(unit), _HEVC)
    try:
        reader.skip(16 + 4)
        layers = reader.u(3)
        reader.skip(1 + 96)
        flags = [(reader.flag(), reader.flag()) for _layer in range(layers)]
        if layers:
            reader.skip(2 * (8 - layers))
        for has_profile, has_level in flags:
            reader.skip(88 * has_profile + 8 * has_level)
        reader.ue()  # sps_seq_parameter_set_id
        if reader.ue() == 3:
            reader.skip(1)  # separate_colour_plane_flag
        reader.ue()
        reader.ue()
        if reader.flag():
            for _side in range(4):
                reader.ue()
        for _field in range(3):  # bit depths, log2_max_pic_order_cnt_lsb_minus4
            reader.ue()
        told = 0
        for _layer in range(layers + 1 if reader.flag() else 1):
            reader.ue()  # sps_max_dec_pic_buffering_minus1
            told = reader.ue()
            reader.ue()  # sps_max_latency_increase_plus1
    except PeerError:
        return None
    return told if told <= MAX_REORDERED else None


def _skip_to_vui(reader: BitReader) -> bool:
    """Pass over all before vui_parameters_present_flag; return whether nothing is reordered."""
    reader.skip(8)
    profile = reader.u(8)
    reader.skip(16)
    reader.ue()  # seq_parameter_set_id
    if profile in _HIGH:
        chroma_format = reader.ue()
        if chroma_format == 3:
            reader.skip(1)
        reader.ue()
        reader.ue()
        reader.skip(1)
        if reader.flag():
            _skip_scaling_lists(reader, 12 if chroma_format == 3 else 8)
    reader.ue()  # log2_max_frame_num_minus4
    order = reader.ue()
    if order == 0:
        reader.ue()
    elif order == 1:
        reader.skip(1)
        reader.se()
        reader.se()
        for _frame in range(min(reader.ue(), 255)):
            reader.se()
    references = reader.ue()
    # Type 2 of the picture order count is for output in the order of decoding (section 8.2.1).
    in_order = profile == _BASELINE or order == 2 or references <= 1
    reader.skip(1)
    reader.ue()
    reader.ue()
    if not reader.flag():  # frame_mbs_only_flag
        reader.skip(1)
    reader.skip(1)
    if reader.flag():
        for _side in range(4):
            reader.ue()
    return in_order


def _bitstream_restriction(reader: BitReader) -> int | None:
    """Read on in VUI to max_num_reorder_frames."""
    read_appearance(reader)
    if reader.flag():
        reader.skip(32 + 32 + 1)
    has_nal = reader.flag()
    if has_nal:
        _skip_hrd(reader)
    has_vcl = reader.flag()
    if has_vcl:
        _skip_hrd(reader)
    if has_nal or has_vcl:
        reader.skip(1)
    reader.skip(1)  # pic_struct_present_flag
    if not reader.flag():
        return None
    reader.skip(1)
    for _field in range(4):
        reader.ue()
    return reader.ue()


def _skip_hrd(reader: BitReader) -> None:
    """Pass over hrd_parameters (section E.1.2)."""
    count = reader.ue() + 1
    reader.skip(8)
    for _schedule in range(min(count, 32)):
        reader.ue()
        reader.ue()
        reader.skip(1)
    reader.skip(20)


def _skip_scaling_lists(reader: BitReader, count: int) -> None:
    for index in range(count):
        if not reader.flag():
            continue
        scale = 8
        for _position in range(16 if index < 6 else 64):
            scale = (scale + reader.se()) & 0xFF
            if not scale:
                break
