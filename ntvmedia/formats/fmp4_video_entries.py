"""Sample entries of pictures: "avc1", "hvc1", "av01" and "vp09".

ISO/IEC 14496-12 section 12.1, cited as "ISOBMFF n"; ISO/IEC 14496-15; "AV1 Codec ISO Media File
Format Binding" v1.2; "VP Codec ISO Media File Format Binding" v1.0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from ntvmedia.codecs import av1, h264, hevc, hevc_sets, vp9
from ntvmedia.codecs.vui import Colour
from ntvmedia.errors import PeerError
from ntvmedia.formats.fmp4_boxes import SampleEntry, box
from ntvmedia.media.packets import Track

# Where hvcC counts its arrays (ISO/IEC 14496-15 section 8.3.2.1.2).
_HVCC_ARRAYS: Final = 22

# SEI that no decoder needs: user_data_unregistered, as x265 signs its work in 2 kB.
_UNREGISTERED: Final = b"\x05"

# Units of SEI that go into hvcC: HDR has one or two.
_MAX_SEI: Final = 16

# obu_type of metadata, which av1C may have too (AV1-ISOBMFF section 2.3.4).
_METADATA: Final = 5

# Level 1 times ten: what an encoder means that does not tell one (as `VPConfiguration` has it).
_LOWEST_VP9_LEVEL: Final = 10

# 72 pixels an inch, and 24 bits of colour: the same for everybody (ISOBMFF 12.1.3.2).
_RESOLUTION: Final = 0x480000
_DEPTH: Final = 0x18

_MAX_SIDE: Final = 0xFFFF
_UNKNOWN_SIZE: Final = (0, 0)
_UNKNOWN_COLOUR: Final = Colour()
_SQUARE: Final = (1, 1)


def h264_entry(track: Track, _payload: bytes) -> SampleEntry | None:
    """Describe H.264 as "avc1", with all parameter sets in avcC (ISO/IEC 14496-15 section 5.4.2).

    None where it has no sequence parameter set that can be read.

    Raises:
        PeerError: The configuration is broken.
    """
    record = h264.parse_configuration(track.config)
    sps = h264.first_sps(record)
    if sps is None:
        return None
    sets = _readable_first(record.sps, h264.parse_sps)
    return _visual(
        b"avc1",
        (sps.width, sps.height),
        box(b"avcC", h264.build_configuration(sets, record.pps)),
        ratio=sps.sample_aspect_ratio,
        colour=sps.colour,
        frame_rate=sps.frame_rate,
    )


def hevc_entry(track: Track, _payload: bytes) -> SampleEntry | None:
    """Describe HEVC as "hvc1", with all parameter sets in hvcC (ISO/IEC 14496-15 section 8.4.1).

    None where it has no sequence parameter set that can be read.

    Raises:
        PeerError: The configuration is broken.
    """
    record = hevc.parse_configuration(track.config)
    sps = hevc.first_sps(record)
    if sps is None:
        return None
    sets = _readable_first(record.sps, hevc_sets.parse_sps)
    config = hevc.build_configuration(record.vps, sets, record.pps)
    sei = [unit for unit in record.sei if unit[2:3] != _UNREGISTERED]
    return _visual(
        b"hvc1",
        (sps.width, sps.height),
        box(b"hvcC", _with_sei(config, sei[:_MAX_SEI])),
        ratio=sps.sample_aspect_ratio,
        colour=sps.colour,
        frame_rate=sps.frame_rate,
    )


def av1_entry(track: Track, payload: bytes) -> SampleEntry | None:
    """Describe AV1 as "av01" (AV1-ISOBMFF section 2.2).

    None where neither the configuration nor the keyframe has a sequence header, unless the
    configuration has at least its head, which tells what a decoder must be able to.

    Raises:
        PeerError: The configuration is broken.
    """
    config = track.config
    units: list[av1.OBU] = []
    if config:
        units = _obus(av1.parse_configuration(config).units)
    found = _sequence_header(units) or _sequence_header(_obus(payload))
    if found is None:
        if not config:
            return None
        return _visual(b"av01", _UNKNOWN_SIZE, box(b"av1C", config[:4]), is_complete=False)
    unit, sequence = found
    record = av1.build_configuration(unit)
    # initial_presentation_delay, which the sequence header does not have.
    delay = config[3:4] or b"\x00"
    metadata = [other.to_bytes() for other in units if other.type == _METADATA]
    return _visual(
        b"av01",
        (sequence.width, sequence.height),
        box(b"av1C", record[:3], delay, record[4:], *metadata),
        colour=sequence.colour,
        frame_rate=sequence.frame_rate,
    )


def vp9_entry(track: Track, payload: bytes) -> SampleEntry:
    """Describe VP9 as "vp09" (VP-ISOBMFF section "VP Codec Configuration Box").

    The size is in a keyframe only, which also makes up for a configuration that is broken or not
    there.
    """
    size = _UNKNOWN_SIZE
    told = b""
    try:
        told = vp9.configuration_from_frame(payload)
        if told:
            header = vp9.parse_keyframe(payload)
            size = header.width, header.height
    except PeerError:
        told = b""
    try:
        record = vp9.parse_configuration(track.config)
    except PeerError:
        record = vp9.parse_configuration(told) if told else vp9.VPConfiguration()
    if not record.level_idc:
        record = record._replace(level_idc=vp9.level_for(*size, 0) or _LOWEST_VP9_LEVEL)
    return _visual(
        b"vp09",
        size,
        box(b"vpcC", vp9.build_configuration(record)),
        colour=record.colour,
        is_complete=bool(told),
    )


def _visual(
    kind: bytes,
    size: tuple[int, int],
    configuration: bytes,
    *,
    ratio: tuple[int, int] = _SQUARE,
    colour: Colour = _UNKNOWN_COLOUR,
    frame_rate: float | None = None,
    is_complete: bool = True,
) -> SampleEntry:
    """Write a VisualSampleEntry (ISOBMFF 12.1.3), with pasp and colr (12.1.4, 12.1.5)."""
    # VP9 and AV1 have one more, 65536, than there is room for.
    width, height = min(size[0], _MAX_SIDE), min(size[1], _MAX_SIDE)
    shown = width
    boxes = [configuration]
    if ratio[0] != ratio[1]:
        # What is too wide is no aspect ratio but an error of the encoder.
        shown = width * ratio[0] // ratio[1]
        if 0 < shown <= _MAX_SIDE:
            boxes.append(box(b"pasp", struct.pack(">II", *ratio)))
        else:
            shown = width
    if colour != _UNKNOWN_COLOUR:
        numbers = (colour.primaries, colour.transfer, colour.matrix, colour.full_range << 7)
        boxes.append(box(b"colr", b"nclx", struct.pack(">HHHB", *numbers)))
    head = struct.pack(
        # One data reference, no name of a compressor, no colour table, one frame in a sample.
        ">6xH16xHHIIIH32xHh",
        1,
        width,
        height,
        _RESOLUTION,
        _RESOLUTION,
        0,
        1,
        _DEPTH,
        -1,
    )
    return SampleEntry(box(kind, head, *boxes), shown, height, frame_rate, is_complete)


def _readable_first(units: Sequence[bytes], parse: Callable[[bytes], object]) -> list[bytes]:
    """Put those that cannot be read last: a record is made from the first."""
    broken: list[bytes] = []
    for unit in units:
        try:
            parse(unit)
        except PeerError:
            broken.append(unit)
    return [unit for unit in units if unit not in broken] + broken


def _with_sei(config: bytes, units: Sequence[bytes]) -> bytes:
    """Add an array of prefix SEI to hvcC: HDR's, which holds for the whole stream."""
    if not units:
        return config
    count = config[_HVCC_ARRAYS] + 1
    # array_completeness is 0: the stream may have other SEI.
    parts = [config[:_HVCC_ARRAYS], bytes((count,)), config[_HVCC_ARRAYS + 1 :]]
    parts.append(struct.pack(">BH", hevc.PREFIX_SEI, len(units)))
    for unit in units:
        parts.append(len(unit).to_bytes(2, "big"))
        parts.append(unit)
    return b"".join(parts)


def _obus(data: bytes) -> list[av1.OBU]:
    try:
        return av1.split_obus(data)
    except PeerError:
        return []


def _sequence_header(units: Sequence[av1.OBU]) -> tuple[av1.OBU, av1.SequenceHeader] | None:
    """Find the first sequence header that can be read."""
    for unit in units:
        if unit.type == av1.SEQUENCE_HEADER:
            try:
                return unit, av1.parse_sequence_header(unit.payload)
            except PeerError:
                continue
    return None
