"""Tests of vpcC and VP9's keyframes."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.codecs import vp9
from ntvmedia.codecs.bits import BitWriter
from ntvmedia.codecs.vp9 import VPConfiguration
from ntvmedia.codecs.vui import Colour
from ntvmedia.errors import PeerError
from ntvmedia.media.packets import Codec
from tests.codecs import vectors


@pytest.mark.parametrize(
    ("packet", "record", "name", "size"),
    [
        (vectors.VP9_360, vectors.VPCC_360, "vp09.00.21.08", (640, 360)),
        (vectors.VP9_422, vectors.VPCC_422, "vp09.03.21.10", (642, 362)),
    ],
)
def test_libvpx(packet: bytes, record: bytes, name: str, size: tuple[int, int]) -> None:
    """What ffprobe says of the file; and vpcC of the keyframe is ffmpeg's, byte for byte."""
    config = vp9.parse_configuration(record)
    assert config.codec_string() == name
    assert vp9.is_keyframe(packet)
    header = vp9.parse_keyframe(packet)
    assert (header.width, header.height) == size == (header.shown_width, header.shown_height)
    assert vp9.configuration_from_frame(packet, 30.0) == record
    assert vp9.build_configuration(config) == record
    assert vp9.parse_configuration(record[4:]) == config


def test_name_of_a_silent_encoder() -> None:
    """A level that is not told is level 1, since names need one; VP8 has the same record."""
    assert VPConfiguration().codec_string() == "vp09.00.10.08"
    assert VPConfiguration().codec_string(Codec.VP8) == "vp08.00.10.08"


@pytest.mark.parametrize(
    ("size", "rate", "level"),
    [
        ((256, 144), 15.0, 10),
        ((1280, 720), 30.0, 31),
        ((1280, 720), 60.0, 40),
        ((1920, 1080), 60.0, 41),
        ((3840, 2160), 60.0, 51),
        ((512, 16), 1.0, 10),
        ((514, 16), 1.0, 11),
        ((65536, 65536), 1.0, 0),
    ],
)
def test_levels(size: tuple[int, int], rate: float, level: int) -> None:
    """VP9 annex A: by samples a second, samples, and the longer side."""
    assert vp9.level_for(*size, rate) == level


@pytest.mark.parametrize(
    ("first", "expected"),
    [(0x82, True), (0x86, False), (0x8A, False), (0xB1, True), (0xB3, False), (0x42, False)],
)
def test_keyframes(first: int, expected: bool) -> None:
    """By the first byte; in profile 3 the bits lie one lower."""
    assert vp9.is_keyframe(bytes((first,))) == expected


def test_no_keyframe() -> None:
    """Nothing, or another frame, has no configuration; a keyframe that is cut off is broken."""
    assert not vp9.is_keyframe(b"")
    assert vp9.configuration_from_frame(b"\x86\x00") == b""
    with pytest.raises(PeerError, match="not a VP9 keyframe"):
        vp9.parse_keyframe(b"\x86\x00")
    for packet in (b"\x82", vectors.VP9_360[:8], b"\x82\x00\x00\x00"):
        with pytest.raises(PeerError):
            vp9.parse_keyframe(packet)


def test_rgb_and_scaling() -> None:
    """Profile 1 in RGB, shown in another size; RGB in profile 0 is refused."""
    for profile in (1, 0):
        writer = BitWriter()
        for value, count in (
            (2, 2), (profile & 1, 1), (profile >> 1, 1), (0b0010, 4), (0x498342, 24), (7, 3),
            *([(0, 1)] if profile else []),
            (639, 16), (359, 16), (1, 1), (1279, 16), (719, 16),
        ):  # fmt: skip
            writer.u(value, count)
        if profile:
            header = vp9.parse_keyframe(writer.to_bytes())
            assert header == (1, 8, 3, (2, 2, 0, True), 640, 360, 1280, 720)
        else:
            with pytest.raises(PeerError, match="RGB"):
                vp9.parse_keyframe(writer.to_bytes())


@pytest.mark.parametrize(
    "record", ["", "01000000 0015", "01000000 0415 80 020202", "0015 70 020202"]
)
def test_broken_records(record: str) -> None:
    """Cut off; a profile or bit depth that there is not."""
    with pytest.raises(PeerError):
        vp9.parse_configuration(bytes.fromhex(record))


NUMBERS = st.integers(0, 255)


@given(
    st.tuples(
        st.integers(0, 3),
        NUMBERS,
        st.sampled_from([8, 10, 12]),
        st.integers(0, 7),
        st.tuples(NUMBERS, NUMBERS, NUMBERS, st.booleans()).map(lambda x: Colour(*x)),
    ).map(lambda x: VPConfiguration(*x))
)
def test_round_trip(config: VPConfiguration) -> None:
    """What is built is read."""
    assert vp9.parse_configuration(vp9.build_configuration(config)) == config
