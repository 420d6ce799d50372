"""HEVC: HEVCDecoderConfigurationRecord, and kinds of NAL units.

ISO/IEC 14496-15 section 8.3.2.1 (hvcC) and annex E (codec names); ISO/IEC 23008-2 table 7-1. The
parameter sets themselves are read in `hevc_sets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ntvmedia.codecs.hevc_sets import PPS_UNIT, SPS, SPS_UNIT, VPS_UNIT, parse_sps, vps_frame_rate
from ntvmedia.codecs.nal import split_length_prefixed
from ntvmedia.errors import LimitExceeded, PeerError

PREFIX_SEI: Final = 39

_HVCC: Final = "ISO/IEC 14496-15 section 8.3.2.1"

_FIXED: Final = 23
_MAX_UNIT: Final = 0xFFFF
# Of each kind: an identifier of a parameter set is below 16 (VPS, SPS) or 64 (PPS).
_MAX_SETS: Final = 64
# The first types of units that are no slice, and the range of random access pictures (table 7-1).
_FIRST_NOT_VCL: Final = 32
_FIRST_IRAP: Final = 16
_LAST_IRAP: Final = 21


class HEVCDecoderConfiguration(NamedTuple):
    """The contents of hvcC.

    Attributes:
        profile_space: 0 to 3; 0 in every stream so far.
        tier: 0 Main, 1 High.
        profile_idc: 1 Main, 2 Main 10, ...
        compatibility: general_profile_compatibility_flags, 32 bits.
        constraints: general_constraint_indicator_flags, 6 bytes.
        level_idc: Thirty times the level.
        length_size: Bytes of the length before each unit: 1 to 4.
        vps: Video parameter sets, with their NAL unit header.
        sps: Sequence parameter sets, likewise; none until the encoder has one.
        pps: Picture parameter sets, likewise.
        sei: Prefix SEI that holds for the whole stream.
    """

    profile_space: int
    tier: int
    profile_idc: int
    compatibility: int
    constraints: bytes
    level_idc: int
    length_size: int
    vps: tuple[bytes, ...]
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    sei: tuple[bytes, ...]

    @property
    def codec_string(self) -> str:
        """The RFC 6381 name: "hvc1.1.6.L93.90" (ISO/IEC 14496-15 section E.3)."""
        # The compatibility flags go in with their bits turned round, without leading zeros.
        turned = int(f"{self.compatibility:032b}"[::-1], 2)
        space = ("", "A", "B", "C")[self.profile_space]
        tier = "H" if self.tier else "L"
        parts = ["hvc1", f"{space}{self.profile_idc}", f"{turned:x}", f"{tier}{self.level_idc}"]
        parts += [f"{byte:x}" for byte in self.constraints.rstrip(b"\x00")]
        return ".".join(parts)


def parse_configuration(data: bytes) -> HEVCDecoderConfiguration:
    """Read hvcC. The arrays may come in any order; empty units are left out; there may be none.

    Raises:
        PeerError: It is no hvcC, or an array goes beyond the end.
    """
    # Version 0 is what ffmpeg wrote before 2014, with the same fields.
    if len(data) < _FIXED or data[0] > 1:
        raise PeerError("no HEVCDecoderConfigurationRecord", reference=_HVCC, offset=0)
    units: dict[int, list[bytes]] = {}
    position = _FIXED
    for _array in range(data[22]):
        if position + 3 > len(data):
            raise PeerError("an array of units is cut off", reference=_HVCC, offset=position)
        found = units.setdefault(data[position] & 0x3F, [])
        count = int.from_bytes(data[position + 1 : position + 3], "big")
        position += 3
        for _unit in range(count):
            start = position + 2
            stop = start + int.from_bytes(data[position:start], "big")
            if start > len(data) or stop > len(data):
                raise PeerError("a parameter set is cut off", reference=_HVCC, offset=position)
            if stop > start:
                found.append(data[start:stop])
            position = stop
    return HEVCDecoderConfiguration(
        data[1] >> 6,
        data[1] >> 5 & 1,
        data[1] & 0x1F,
        int.from_bytes(data[2:6], "big"),
        data[6:12],
        data[12],
        (data[21] & 3) + 1,
        tuple(units.get(VPS_UNIT, ())),
        tuple(units.get(SPS_UNIT, ())),
        tuple(units.get(PPS_UNIT, ())),
        tuple(units.get(PREFIX_SEI, ())),
    )


def build_configuration(
    vps: Sequence[bytes], sps: Sequence[bytes], pps: Sequence[bytes], sei: Sequence[bytes] = ()
) -> bytes:
    """Write hvcC with lengths of 4 bytes, from parameter sets; repeated ones are left out.

    Raises:
        PeerError: There is no SPS, or the first one is broken.
        LimitExceeded: There are more parameter sets than HEVC has numbers for, or too long ones.
    """
    if not sps:
        raise PeerError("hvcC needs a sequence parameter set", reference=_HVCC)
    first = parse_sps(sps[0])
    parts = [
        b"\x01",
        first.general_profile,
        # No min_spatial_segmentation_idc, and so no parallelismType.
        b"\xf0\x00\xfc",
        bytes(
            (
                0xFC | first.chroma_format,
                0xF8 | (first.bit_depth_luma - 8),
                0xF8 | (first.bit_depth_chroma - 8),
            )
        ),
        # avgFrameRate 0: not told; constantFrameRate 0; lengths of 4 bytes.
        b"\x00\x00",
        bytes((first.temporal_layers << 3 | first.temporal_nesting << 2 | 3,)),
    ]
    kinds = ((VPS_UNIT, vps), (SPS_UNIT, sps), (PPS_UNIT, pps), (PREFIX_SEI, sei))
    arrays = [(kind, list(dict.fromkeys(units))) for kind, units in kinds if units]
    parts.append(bytes((len(arrays),)))
    for kind, units in arrays:
        if len(units) > _MAX_SETS:
            raise LimitExceeded("too many parameter sets", reference=_HVCC, limit=_MAX_SETS)
        # array_completeness: all are here and none in the stream, which "hvc1" demands.
        parts.append(bytes((0x80 | kind, 0, len(units))))
        for unit in units:
            if len(unit) > _MAX_UNIT:
                raise LimitExceeded("a parameter set is too long", reference=_HVCC, limit=_MAX_UNIT)
            parts.append(len(unit).to_bytes(2, "big"))
            parts.append(unit)
    return b"".join(parts)


def first_sps(config: HEVCDecoderConfiguration) -> SPS | None:
    """Read the first parameter set that is not broken; None where there is none.

    Where it does not tell the frame rate, that of the video parameter set is put in.
    """
    for unit in config.sps:
        try:
            sps = parse_sps(unit)
        except PeerError:
            continue
        if sps.frame_rate is None and config.vps:
            sps = sps._replace(frame_rate=vps_frame_rate(config.vps[0]))
        return sps
    return None


def is_keyframe(payload: bytes) -> bool:
    """Whether the frame (units after 4-byte lengths) is a random access picture: BLA, IDR, CRA.

    The first slice decides: all slices of a picture have the same type (section 7.4.2.2).
    """
    position, end = 4, len(payload)
    while position < end:
        kind = payload[position] >> 1 & 0x3F
        if kind < _FIRST_NOT_VCL:
            return _FIRST_IRAP <= kind <= _LAST_IRAP
        position += 4 + int.from_bytes(payload[position - 4 : position], "big")
    return False


def has_parameter_sets(payload: bytes) -> bool:
    """Whether an SPS stands in the frame (units after 4-byte lengths) before its first slice."""
    position, end = 4, len(payload)
    while position < end:
        kind = payload[position] >> 1 & 0x3F
        if kind == SPS_UNIT:
            return True
        if kind < _FIRST_NOT_VCL:
            return False
        position += 4 + int.from_bytes(payload[position - 4 : position], "big")
    return False


def parameter_sets(units: Iterable[bytes]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Pick out the video, sequence and picture parameter sets, each once, in their order."""
    found: dict[int, dict[bytes, None]] = {VPS_UNIT: {}, SPS_UNIT: {}, PPS_UNIT: {}}
    for unit in units:
        kind = unit[0] >> 1 & 0x3F if unit else 0
        if kind in found:
            found[kind][unit] = None
    return list(found[VPS_UNIT]), list(found[SPS_UNIT]), list(found[PPS_UNIT])


def configuration_from_frame(payload: bytes) -> bytes:
    """Make hvcC of the parameter sets in a frame (units after 4-byte lengths).

    Returns:
        `b""` where it does not have all of VPS, SPS and PPS.

    Raises:
        PeerError: The frame or the SPS is broken.
    """
    vps, sps, pps = parameter_sets(split_length_prefixed(payload))
    return build_configuration(vps, sps, pps) if vps and sps and pps else b""
