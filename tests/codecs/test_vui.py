"""Tests of what H.264 and HEVC have in common."""

from __future__ import annotations

import pytest

from ntvmedia.codecs import vui
from ntvmedia.codecs.bits import BitReader, BitWriter
from ntvmedia.errors import LimitExceeded, PeerError


@pytest.mark.parametrize(
    ("index", "extended", "ratio"),
    [
        (0, None, (1, 1)),
        (1, None, (1, 1)),
        (2, None, (12, 11)),
        (13, None, (160, 99)),
        (16, None, (2, 1)),
        (17, None, (1, 1)),
        (254, None, (1, 1)),
        (255, (64, 45), (64, 45)),
        (255, (0, 45), (1, 1)),
        (255, (64, 0), (1, 1)),
    ],
)
def test_aspect_ratio(index: int, extended: tuple[int, int] | None, ratio: tuple[int, int]) -> None:
    """Table E-1; reserved numbers, and an extended ratio with a zero, are "unspecified"."""
    writer = BitWriter()
    writer.u(1, 1)
    writer.u(index, 8)
    for side in extended or ():
        writer.u(side, 16)
    writer.u(0b0_1_101_1_1, 7)
    for number in (9, 16, 10):
        writer.u(number, 8)
    writer.u(0, 1)
    reader = BitReader(writer.to_bytes(), "TEST 1")
    assert vui.read_appearance(reader) == (ratio, (9, 16, 10, True))


@pytest.mark.parametrize(
    ("time_scale", "ticks", "rate"),
    [(25, 1, 25.0), (0, 1, None), (1, 0, None), (0, 0, None), (1000, 1, 1000.0), (1001, 1, None)],
)
def test_frame_rate(time_scale: int, ticks: int, rate: float | None) -> None:
    """F-RE-10: no division by zero, and no absurd rate."""
    assert vui.frame_rate(time_scale, ticks) == rate


def test_size() -> None:
    """F-RE-10: the limits of a side, both inclusive."""
    vui.check_size(1, vui.MAX_DIMENSION, "TEST 1")
    for size in ((vui.MAX_DIMENSION + 1, 1), (1, 2**31)):
        with pytest.raises(LimitExceeded):
            vui.check_size(*size, "TEST 1")
    for size in ((0, 1), (1, -(2**31))):
        with pytest.raises(PeerError, match="nothing"):
            vui.check_size(*size, "TEST 1")
