"""How many pictures decoders hold back, by real parameter sets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.codecs import h264, hevc
from ntvmedia.codecs.bits import BitWriter
from ntvmedia.codecs.nal import escape
from ntvmedia.codecs.reordering import h264_reordered, hevc_reordered
from tests.codecs import vectors

AVC = {
    # ffprobe's has_b_frames of the same files.
    "1080": (vectors.AVCC_1080, 2),
    "576i": (vectors.AVCC_576I, 2),
    "baseline": (vectors.AVCC_BASELINE, 0),
    "4:4:4": (vectors.AVCC_444, 2),
}


@pytest.mark.parametrize("name", AVC)
def test_x264(name: str) -> None:
    """x264 tells it in VUI; Baseline has no B-frames."""
    config, expected = AVC[name]
    assert h264_reordered(h264.parse_configuration(config).sps[0]) == expected


@pytest.mark.parametrize("config", [vectors.HVCC_720, vectors.HVCC_1078])
def test_x265(config: bytes) -> None:
    """x265 allows for two by default."""
    assert hevc_reordered(hevc.parse_configuration(config).sps[0]) == 2


def camera(*, order: int = 0, references: int = 2, profile: int = 77) -> bytes:
    """Write a set as cameras do, without VUI."""
    writer = BitWriter()
    writer.u(0x67, 8)
    writer.u(profile, 8)
    writer.u(0, 8)
    writer.u(31, 8)
    writer.ue(0)
    writer.ue(0)
    writer.ue(order)
    if order == 0:
        writer.ue(0)
    elif order == 1:
        writer.u(0, 1)
        for _number in range(2):
            writer.se(-5)
        writer.ue(2)
        writer.se(1)
        writer.se(2)
    writer.ue(references)
    writer.u(0, 1)
    writer.ue(39)
    writer.ue(29)
    writer.u(0b110, 3)  # frame_mbs_only, direct_8x8, no cropping
    writer.u(0, 1)  # no VUI
    writer.u(1, 1)
    return writer.to_bytes()


def test_not_told() -> None:
    """Without VUI it is not known, but where there is nothing to reorder with."""
    assert h264_reordered(camera()) is None
    assert h264_reordered(camera(order=1)) is None
    assert h264_reordered(camera(references=1)) == 0
    assert h264_reordered(camera(order=2)) == 0
    assert h264_reordered(camera(profile=66)) == 0


def test_not_sets() -> None:
    """Other units tell nothing."""
    assert h264_reordered(b"") is None
    assert h264_reordered(b"\x68\xeb\xe3\xcb") is None
    assert hevc_reordered(b"\x44\x01\xc1\x72") is None
    assert hevc_reordered(b"") is None


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    """Never raises; what is told is 0 to 16."""
    for found in (h264_reordered(b"\x67" + escape(data)), hevc_reordered(b"\x42\x01" + data)):
        assert found is None or 0 <= found <= 16
