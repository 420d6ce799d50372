"""Tests of HEVC's sequence and video parameter sets."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.codecs import hevc, hevc_sets, nal
from ntvmedia.codecs.bits import BitWriter
from ntvmedia.errors import LimitExceeded, PeerError
from tests.codecs import vectors

# general_profile_space to general_level_idc: Main, level 4.
GENERAL = bytes.fromhex("01 60000000 900000000000 78")


def profile_tier_level(w: BitWriter, layers: int) -> None:
    """Encode profile_tier_level; the first sub-layer has a profile, the others a level too."""
    w.u(int.from_bytes(GENERAL, "big"), 96)
    for layer in range(layers):
        w.u(1, 1)
        w.u(layer > 0, 1)
    if layers:
        w.u(0, 2 * (8 - layers))
    for layer in range(layers):
        w.u(0, 88)
        if layer:
            w.u(0, 8)


def ordering(w: BitWriter, layers: int) -> None:
    """Encode the sizes of the decoded picture buffer for every sub-layer."""
    w.u(1, 1)
    for _layer in range(layers + 1):
        for value in (4, 2, 0):
            w.ue(value)


def sps_unit(
    width: int = 640,
    height: int = 360,
    *,
    layers: int = 0,
    chroma: int = 1,
    crop: tuple[int, int, int, int] = (0, 0, 0, 0),
    timing: tuple[int, int] | None = None,
    rich: bool = False,
    fields: bool = False,
) -> bytes:
    """Encode a sequence parameter set as section 7.3.2.2 has it; `rich` turns everything on."""
    w = BitWriter()
    w.u(0, 4)
    w.u(layers, 3)
    w.u(1, 1)
    profile_tier_level(w, layers)
    w.ue(0)
    w.ue(chroma)
    if chroma == 3:
        w.u(0, 1)
    w.ue(width)
    w.ue(height)
    w.u(any(crop), 1)
    if any(crop):
        for side in crop:
            w.ue(side)
    w.ue(2)
    w.ue(2)
    w.ue(4)
    ordering(w, layers)
    for value in (0, 3, 0, 3, 1, 1):
        w.ue(value)
    w.u(rich, 1)
    if rich:
        w.u(1, 1)
        scaling_lists(w)
    w.u(0b10, 2)
    w.u(rich, 1)
    if rich:
        w.u(0x77, 8)
        w.ue(0)
        w.ue(2)
        w.u(1, 1)
    reference_sets(w, rich)
    w.u(rich, 1)
    if rich:
        w.ue(2)
        w.u(0, 2 * (8 + 1))
    w.u(0b11, 2)
    w.u(timing is not None, 1)
    if timing is not None:
        w.u(1, 1)
        w.u(14, 8)  # 4:3
        w.u(0, 3)
        w.u(0, 1)
        w.u(fields, 1)
        w.u(0, 1)
        w.u(1, 1)
        for _side in range(4):
            w.ue(0)
        w.u(1, 1)
        w.u(timing[0], 32)
        w.u(timing[1], 32)
    w.u(1, 1)
    return nal.escape(b"\x42\x01" + w.to_bytes())


def scaling_lists(w: BitWriter) -> None:
    """Encode scaling_list_data with predicted and with coded lists."""
    for size in range(4):
        for matrix in range(2 if size == 3 else 6):
            coded = matrix % 2
            w.u(coded, 1)
            if not coded:
                w.ue(0)
                continue
            if size > 1:
                w.se(-3)
            for index in range(min(64, 1 << (4 + (size << 1)))):
                w.se(index % 3 - 1)


def reference_sets(w: BitWriter, rich: bool) -> None:
    """Encode short-term reference picture sets: none, or three, of which two are predicted."""
    if not rich:
        w.ue(0)
        return
    w.ue(3)
    w.ue(2)  # the first: two negative pictures, one positive
    w.ue(1)
    for _picture in range(3):
        w.ue(0)
        w.u(1, 1)
    w.u(1, 1)  # the second, from the first: four flags, of which one drops its picture
    w.u(0, 1)
    w.ue(0)
    for used, delta in ((1, None), (0, 1), (0, 0), (1, None)):
        w.u(used, 1)
        if delta is not None:
            w.u(delta, 1)
    w.u(1, 1)  # the third, from the second, which kept three
    w.u(1, 1)
    w.ue(1)
    for _picture in range(4):
        w.u(1, 1)


@pytest.mark.parametrize("rich", [False, True])
@pytest.mark.parametrize("layers", [0, 1, 6])
@pytest.mark.parametrize("fields", [False, True])
def test_everything_in_it(rich: bool, layers: int, fields: bool) -> None:
    """Sub-layers, scaling lists, PCM, predicted reference sets: what stands behind is right."""
    unit = sps_unit(layers=layers, rich=rich, fields=fields, timing=(1001, 60000))
    sps = hevc_sets.parse_sps(unit)
    assert (sps.width, sps.height, sps.temporal_layers) == (640, 360, layers + 1)
    assert sps.sample_aspect_ratio == (4, 3)
    assert sps.frame_rate == pytest.approx(29.97 if fields else 59.94, abs=0.001)
    assert (sps.bit_depth_luma, sps.bit_depth_chroma) == (10, 10)
    assert (sps.general_profile, sps.level, sps.profile) == (GENERAL, "4", "Main")


@pytest.mark.parametrize(
    ("chroma", "size"),
    [(0, (637, 353)), (1, (634, 346)), (2, (634, 353)), (3, (637, 353))],
)
def test_cropping(chroma: int, size: tuple[int, int]) -> None:
    """Units of the conformance window, by table 6-1."""
    sps = hevc_sets.parse_sps(sps_unit(chroma=chroma, crop=(1, 2, 3, 4)))
    assert (sps.width, sps.height) == size
    assert (sps.coded_width, sps.coded_height) == (640, 360)


def test_colour() -> None:
    """BT.2020 with PQ, as x265 wrote it."""
    sps = hevc_sets.parse_sps(hevc.parse_configuration(vectors.HVCC_1078).sps[0])
    assert sps.colour == (9, 16, 9, False)
    assert (sps.coded_width, sps.coded_height, sps.bit_depth_luma) == (1920, 1080, 10)


@pytest.mark.parametrize("timing", [(0, 50), (1, 0), (1, 90000)])
def test_time_scale(timing: tuple[int, int]) -> None:
    """F-RE-10: a time scale or tick of 0, or an absurd one, is no frame rate and no division."""
    assert hevc_sets.parse_sps(sps_unit(timing=timing)).frame_rate is None


@pytest.mark.parametrize(("width", "height"), [(2**31, 360), (640, 2**31), (0, 0), (640, 0)])
def test_absurd_pictures(width: int, height: int) -> None:
    """F-RE-10: dimensions of 2^31, or of 0, are refused."""
    with pytest.raises(LimitExceeded if max(width, height) > 640 else PeerError):
        hevc_sets.parse_sps(sps_unit(width, height))


def test_cropped_to_nothing() -> None:
    """A window that leaves nothing is refused."""
    with pytest.raises(PeerError, match="nothing"):
        hevc_sets.parse_sps(sps_unit(crop=(2**31, 0, 0, 0)))


def test_cut_off() -> None:
    """VUI that is cut off counts as absent; a cut before the bit depths is an error."""
    whole = sps_unit(timing=(1, 50), rich=True, layers=2)
    for length in range(len(whole) - 1):
        try:
            sps = hevc_sets.parse_sps(whole[:length])
        except PeerError:
            assert length < 60
        else:
            assert (sps.width, sps.height) == (640, 360)
    assert hevc_sets.parse_sps(whole[:-12]).frame_rate is None
    with pytest.raises(PeerError, match="not a sequence"):
        hevc_sets.parse_sps(vectors.AVCC_1080)


def vps_unit(timing: tuple[int, int] | None, layers: int = 1) -> bytes:
    """Encode a video parameter set as section 7.3.2.1 has it, with two layer sets."""
    w = BitWriter()
    w.u(0, 4)
    w.u(3, 2)
    w.u(0, 6)
    w.u(layers, 3)
    w.u(1, 1)
    w.u(0xFFFF, 16)
    profile_tier_level(w, layers)
    ordering(w, layers)
    w.u(3, 6)
    w.ue(1)
    w.u(0b1111, 4)
    w.u(timing is not None, 1)
    if timing is not None:
        w.u(timing[0], 32)
        w.u(timing[1], 32)
    w.u(1, 1)
    return nal.escape(b"\x40\x01" + w.to_bytes())


def test_frame_rate_of_video_parameter_set() -> None:
    """Where the SPS does not tell, the VPS may; what is broken or silent gives nothing."""
    unit = vps_unit((1001, 24000))
    assert hevc_sets.vps_frame_rate(unit) == pytest.approx(23.976, abs=0.001)
    assert hevc_sets.vps_frame_rate(vps_unit(None)) is None
    assert hevc_sets.vps_frame_rate(vps_unit((0, 0))) is None
    assert hevc_sets.vps_frame_rate(unit[:-6]) is None
    assert hevc_sets.vps_frame_rate(b"\x42") is None
    record = hevc.build_configuration([unit], [sps_unit()], [b"\x44\x01\xc1"])
    sps = hevc.first_sps(hevc.parse_configuration(record))
    assert sps is not None
    assert sps.frame_rate == pytest.approx(23.976, abs=0.001)


@given(st.integers(1, 8192), st.integers(1, 8192), st.integers(0, 6), st.booleans())
def test_sizes(width: int, height: int, layers: int, rich: bool) -> None:
    """Every size is read, and hvcC built of the set says the same."""
    unit = sps_unit(width, height, layers=layers, rich=rich)
    sps = hevc_sets.parse_sps(unit)
    assert (sps.width, sps.height) == (width, height)
    config = hevc.parse_configuration(hevc.build_configuration([], [unit], []))
    assert (config.level_idc, config.profile_idc) == (120, 1)
    assert config.sps == (unit,)
