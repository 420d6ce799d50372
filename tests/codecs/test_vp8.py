"""Tests of VP8's keyframes."""

from __future__ import annotations

import pytest

from ntvmedia.codecs import vp8
from ntvmedia.errors import PeerError
from tests.codecs import vectors


def test_libvpx() -> None:
    """What ffprobe says of the file."""
    assert vp8.is_keyframe(vectors.VP8_144)
    assert vp8.parse_keyframe(vectors.VP8_144) == (0, 176, 144, 0, 0)


def test_scaling() -> None:
    """The two highest bits of each side are a factor."""
    head = bytes.fromhex("160000 9d012a 80c2 6841")
    assert vp8.parse_keyframe(head) == (3, 640, 360, 3, 1)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "f14c009d012ab0009000",
        "f04c009d012bb0009000",
        "f04c009d012ab000",
        "f04c009d012a00c09000",
    ],
)
def test_refused(head: str) -> None:
    """Nothing; no keyframe; no start code; cut off; no width."""
    with pytest.raises(PeerError):
        vp8.parse_keyframe(bytes.fromhex(head))
    assert vp8.is_keyframe(bytes.fromhex(head)) == (head[:2] == "f0")
