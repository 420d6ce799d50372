"""Tests of avcC and H.264's sequence parameter sets."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from ntvmedia.codecs import h264, nal
from ntvmedia.codecs.bits import BitWriter
from ntvmedia.errors import LimitExceeded, PeerError
from tests.codecs import vectors

SPS = h264.parse_configuration(vectors.AVCC_1080).sps[0]
PPS = h264.parse_configuration(vectors.AVCC_1080).pps[0]
# sprop-parameter-sets=Z0IACpZTBYmI,aMljiA== (RFC 6184 section 8.2.1).
RFC_SPS = bytes.fromhex("6742000a9653058988")


def sps_unit(
    width_mbs: int = 20,
    map_units: int = 15,
    *,
    profile: int = 66,
    order: Sequence[int] = (2,),
    chroma: int = 1,
    lists: Sequence[Sequence[int] | None] = (),
    progressive: bool = True,
    crop: tuple[int, int, int, int] = (0, 0, 0, 0),
    timing: tuple[int, int] | None = None,
    sar: tuple[int, int] | None = None,
) -> bytes:
    """Encode a sequence parameter set as section 7.3.2.1.1 has it."""
    w = BitWriter()
    w.u(profile, 8)
    w.u(0, 8)
    w.u(30, 8)
    w.ue(0)
    if profile == 244:
        w.ue(chroma)
        if chroma == 3:
            w.u(0, 1)
        w.ue(2)
        w.ue(1)
        w.u(0, 1)
        w.u(bool(lists), 1)
        for deltas in lists:
            w.u(deltas is not None, 1)
            for delta in deltas or ():
                w.se(delta)
    w.ue(4)
    w.ue(order[0])
    if order[0] == 0:
        w.ue(6)
    elif order[0] == 1:
        w.u(1, 1)
        w.se(-3)
        w.se(5)
        w.ue(len(order) - 1)
        for offset in order[1:]:
            w.se(offset)
    w.ue(4)
    w.u(0, 1)
    w.ue(width_mbs - 1)
    w.ue(map_units - 1)
    w.u(progressive, 1)
    if not progressive:
        w.u(1, 1)
    w.u(1, 1)
    w.u(any(crop), 1)
    if any(crop):
        for side in crop:
            w.ue(side)
    w.u(timing is not None or sar is not None, 1)
    if timing is not None or sar is not None:
        w.u(sar is not None, 1)
        if sar is not None:
            w.u(255, 8)
            w.u(sar[0], 16)
            w.u(sar[1], 16)
        w.u(0b11, 2)  # overscan
        w.u(0, 1)
        w.u(1, 1)
        w.ue(0)
        w.ue(5)
        w.u(timing is not None, 1)
        if timing is not None:
            w.u(timing[0], 32)
            w.u(timing[1], 32)
    w.u(1, 1)
    return nal.escape(b"\x67" + w.to_bytes())


@pytest.mark.parametrize(
    ("record", "name", "size", "coded", "rate", "sar", "profile", "level"),
    [
        (
            vectors.AVCC_1080, "avc1.640028", (1920, 1080), (1920, 1088), 30000 / 1001, (1, 1),
            "High", "4",
        ),
        (
            vectors.AVCC_576I, "avc1.64001e", (720, 576), (720, 576), 25.0, (64, 45), "High", "3",
        ),
        (
            vectors.AVCC_BASELINE, "avc1.42c00c", (320, 240), (320, 240), 15.0, (1, 1),
            "Constrained Baseline", "1.2",
        ),
        (
            vectors.AVCC_444, "avc1.f40015", (322, 242), (336, 256), 50.0, (1, 1),
            "High 4:4:4 Predictive", "2.1",
        ),
    ],
)  # fmt: skip
def test_x264(
    record: bytes,
    name: str,
    size: tuple[int, int],
    coded: tuple[int, int],
    rate: float,
    sar: tuple[int, int],
    profile: str,
    level: str,
) -> None:
    """What ffprobe says of the file; and avcC is built again byte for byte."""
    config = h264.parse_configuration(record)
    assert (config.codec_string, config.length_size) == (name, 4)
    sps = h264.parse_sps(config.sps[0])
    assert h264.first_sps(config) == sps
    assert (sps.width, sps.height) == size
    assert (sps.coded_width, sps.coded_height) == coded
    assert sps.frame_rate == pytest.approx(rate)
    assert sps.sample_aspect_ratio == sar
    assert (sps.profile, sps.level) == (profile, level)
    assert h264.build_configuration(config.sps, config.pps) == record


def test_colour_and_depth() -> None:
    """BT.709 in 10 bits, 4:4:4; and an interlaced stream says so."""
    sps = h264.parse_sps(h264.parse_configuration(vectors.AVCC_444).sps[0])
    assert (sps.bit_depth_luma, sps.chroma_format, sps.colour[:3]) == (10, 3, (1, 1, 1))
    assert not h264.parse_sps(h264.parse_configuration(vectors.AVCC_576I).sps[0]).progressive


def test_without_usability() -> None:
    """The SPS of RFC 6184's example has no VUI: there is no frame rate."""
    sps = h264.parse_sps(RFC_SPS)
    assert (sps.width, sps.height, sps.profile, sps.level) == (176, 144, "Baseline", "1")
    assert (sps.frame_rate, sps.sample_aspect_ratio) == (None, (1, 1))


@pytest.mark.parametrize("order", [(0,), (1, 3, -4, 2**30), (2,)])
@pytest.mark.parametrize(
    "lists", [(), [None] * 12, [[0] * 16] * 6 + [[1] * 64] * 6, [[-8]] * 6 + [[5, -13]] * 6]
)
def test_everything_in_it(order: Sequence[int], lists: Sequence[Sequence[int] | None]) -> None:
    """All kinds of picture order, full scaling lists and ones that end early: the rest is right."""
    sps = h264.parse_sps(
        sps_unit(profile=244, chroma=3, order=order, lists=lists, timing=(1, 100), sar=(4, 3))
    )
    assert (sps.width, sps.height, sps.frame_rate) == (320, 240, 50.0)
    assert (sps.sample_aspect_ratio, sps.bit_depth_luma, sps.bit_depth_chroma) == ((4, 3), 10, 9)


@pytest.mark.parametrize(
    ("chroma", "progressive", "size"),
    [
        (0, True, (320 - 3, 240 - 7)),
        (1, True, (320 - 6, 240 - 14)),
        (1, False, (320 - 6, 480 - 28)),
        (2, True, (320 - 6, 240 - 7)),
        (3, False, (320 - 3, 480 - 14)),
    ],
)
def test_cropping(chroma: int, progressive: bool, size: tuple[int, int]) -> None:
    """Units of cropping, by equations 7-19 to 7-22."""
    sps = h264.parse_sps(
        sps_unit(profile=244, chroma=chroma, progressive=progressive, crop=(1, 2, 3, 4))
    )
    assert (sps.width, sps.height) == size


@pytest.mark.parametrize(
    ("timing", "rate"),
    [((0, 50), None), ((1, 0), None), ((0, 0), None), ((1, 90000), None), ((1001, 60000), 29.97)],
)
def test_time_scale(timing: tuple[int, int], rate: float | None) -> None:
    """F-RE-10: a time scale or tick of 0, or an absurd one, is no frame rate and no division."""
    found = h264.parse_sps(sps_unit(timing=timing)).frame_rate
    assert found is None if rate is None else found == pytest.approx(rate, abs=0.001)


@pytest.mark.parametrize(("width", "height"), [(2**27, 15), (20, 2**27), (2**32 - 1, 2**32 - 1)])
def test_huge_pictures(width: int, height: int) -> None:
    """F-RE-10: dimensions of 2^31 and more exceed a limit."""
    with pytest.raises(LimitExceeded):
        h264.parse_sps(sps_unit(width, height))


def test_cropped_to_nothing() -> None:
    """A picture without a sample is refused, however large the crop."""
    for crop in ((160, 0, 0, 0), (0, 0, 2**31, 2**31)):
        with pytest.raises(PeerError, match="nothing"):
            h264.parse_sps(sps_unit(crop=crop))


def test_sixty_four_zeros() -> None:
    """F-RE-10: an Exp-Golomb code of 64 zeros."""
    with pytest.raises(PeerError, match="31 leading zeros"):
        h264.parse_sps(nal.escape(b"\x67\x42\x00\x1e" + bytes(16) + b"\x80"))


@pytest.mark.parametrize("keep", range(4, 9))
def test_cut_off_usability(keep: int) -> None:
    """VUI that is cut off counts as absent; a cut before it is an error."""
    whole = sps_unit(timing=(1, 50), sar=(4, 3))
    for length in range(len(whole)):
        try:
            sps = h264.parse_sps(whole[:length])
        except PeerError:
            assert length < 10
        else:
            assert (sps.width, sps.height) == (320, 240)
    assert h264.parse_sps(whole[:-keep]).frame_rate is None


@pytest.mark.parametrize(
    ("profile", "flags", "level", "name"),
    [(66, 0x10, 11, "1b"), (100, 0x10, 11, "1.1"), (100, 0, 9, "1b"), (77, 0, 52, "5.2")],
)
def test_level_names(profile: int, flags: int, level: int, name: str) -> None:
    """Level 1b is spelled in two ways (section A.3)."""
    assert h264.level_name(profile, flags, level) == name


def test_two_parameter_sets() -> None:
    """A-MD-06: with two SPS, the first that can be read is used, and all are kept."""
    broken = b"\x67\x64\x00"
    record = bytes.fromhex("0164 0028 ff e2") + b"\x00\x03" + broken
    record += len(SPS).to_bytes(2, "big") + SPS + b"\x01" + b"\x00\x01\x68"
    config = h264.parse_configuration(record)
    assert config.sps == (broken, SPS)
    sps = h264.first_sps(config)
    assert sps is not None
    assert sps.width == 1920


@pytest.mark.parametrize("tail", ["e000", "e0", "e1000000", "e1000001000168"])
def test_no_parameter_sets(tail: str) -> None:
    """A-MD-06: no SPS, or an empty one: the record is read, and there is none to use."""
    config = h264.parse_configuration(bytes.fromhex("01640028ff" + tail))
    assert (config.sps, h264.first_sps(config)) == ((), None)
    assert config.codec_string == "avc1.640028"


@pytest.mark.parametrize("record", ["", "0164002800", "0064 0028 ff e0 00", "01640028ffe1ffff67"])
def test_broken_records(record: str) -> None:
    """Cut off; another version; a set beyond the end."""
    with pytest.raises(PeerError):
        h264.parse_configuration(bytes.fromhex(record))


def test_build() -> None:
    """Repeated sets are written once; none, or too long ones, are refused."""
    record = h264.build_configuration([SPS, SPS], [PPS, PPS])
    assert h264.parse_configuration(record)[4:] == ((SPS,), (PPS,))
    with pytest.raises(PeerError, match="needs"):
        h264.build_configuration([], [PPS])
    with pytest.raises(LimitExceeded):
        h264.build_configuration([SPS], [b"\x68" + bytes(65535)])
    with pytest.raises(LimitExceeded):
        h264.build_configuration([SPS], [b"\x68" + bytes((n,)) for n in range(256)])


def test_frames() -> None:
    """IDR by the first slice; parameter sets before it; avcC of what stands in the frame."""
    idr = nal.join_length_prefixed([b"\x09\xf0", SPS, PPS, b"\x06\x05", b"\x65\x88"])
    inter = nal.join_length_prefixed([b"\x09\x30", b"\x41\x9a", SPS])
    assert (h264.is_keyframe(idr), h264.has_parameter_sets(idr)) == (True, True)
    assert (h264.is_keyframe(inter), h264.has_parameter_sets(inter)) == (False, False)
    assert (h264.is_keyframe(b""), h264.has_parameter_sets(b"\x00" * 7)) == (False, False)
    assert h264.configuration_from_frame(idr) == vectors.AVCC_1080
    assert h264.configuration_from_frame(nal.join_length_prefixed([SPS])) == b""


@given(
    st.integers(1, 1055), st.integers(1, 500), st.sampled_from([66, 244]), st.booleans(),
    st.tuples(st.integers(1, 1000), st.integers(1, 120000)),
)  # fmt: skip
def test_sizes(
    width: int, height: int, profile: int, progressive: bool, timing: tuple[int, int]
) -> None:
    """Every size that a level allows is read, with its frame rate."""
    unit = sps_unit(width, height, profile=profile, progressive=progressive, timing=timing)
    sps = h264.parse_sps(unit)
    assert (sps.width, sps.height) == (width * 16, height * (16 if progressive else 32))
    rate = timing[1] / timing[0] / 2
    assert sps.frame_rate == (rate if rate <= 1000 else None)
    record = h264.build_configuration([unit], [PPS])
    assert h264.parse_configuration(record).sps == (unit,)
