"""Tests of av1C, AV1's sequence header and its units."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.codecs import av1
from ntvmedia.codecs.av1 import OBU
from ntvmedia.codecs.bits import BitWriter
from ntvmedia.errors import PeerError
from tests.codecs import vectors

SEQUENCE = av1.split_obus(av1.parse_configuration(vectors.AV1C_362).units)[0]
DELIMITER = b"\x12\x00"


def frame(first: int, kind: int = av1.FRAME) -> bytes:
    """Encode a frame OBU whose payload begins with this byte."""
    return OBU(kind, bytes((kind << 3 | 2,)), bytes((first, 0, 0))).to_bytes()


def sequence_header(
    width: int,
    height: int,
    *,
    profile: int = 0,
    timing: tuple[int, int, int] | None = None,
    points: int = 1,
    colour: tuple[int, int, int] | None = None,
    depth: int = 8,
    still: bool = False,
) -> bytes:
    """Encode a sequence header as section 5.5 has it, with decoder model where it has timing."""
    w = BitWriter()
    w.u(profile, 3)
    w.u(still, 1)
    w.u(still, 1)
    if still:
        w.u(9, 5)
    else:
        w.u(timing is not None, 1)
        if timing is not None:
            w.u(timing[0], 32)
            w.u(timing[1], 32)
            w.u(1, 1)
            w.ue(timing[2] - 1)
            w.u(1, 1)
            w.u(9, 5)
            w.u(1, 32)
            w.u(0, 10)
        w.u(1, 1)
        w.u(points - 1, 5)
        for point in range(points):
            w.u(1 << point, 12)
            w.u(9 if point == 0 else 5, 5)
            if point == 0:
                w.u(1, 1)
            if timing is not None:
                w.u(1, 1)
                w.u(0, 21)
            w.u(1, 1)
            w.u(7, 4)
    w.u(15, 4)
    w.u(15, 4)
    w.u(width - 1, 16)
    w.u(height - 1, 16)
    if not still:
        w.u(1, 1)
        w.u(0, 7)
    w.u(0, 3)
    if not still:
        w.u(0, 4)
        w.u(1, 1)
        w.u(0, 2)
        w.u(0, 1)
        w.u(1, 1)
        w.u(0, 1)
        w.u(1, 1)
        w.u(6, 3)
    w.u(0, 3)
    w.u(depth > 8, 1)
    if profile == 2 and depth > 8:
        w.u(depth == 12, 1)
    if profile != 1:
        w.u(0, 1)
    w.u(colour is not None, 1)
    for number in colour or ():
        w.u(number, 8)
    if colour != (1, 13, 0):
        w.u(1, 1)
        if profile == 2 and depth == 12:
            w.u(0b11, 2)
        if profile == 0 or (profile == 2 and depth == 12):
            w.u(2, 2)
    w.u(0b01, 2)
    return w.to_bytes()


@pytest.mark.parametrize(
    ("record", "name", "size", "level"),
    [
        (vectors.AV1C_720, "av01.0.05M.08", (1280, 720), "3.1"),
        (vectors.AV1C_362, "av01.0.01M.10", (642, 362), "2.1"),
    ],
)
def test_encoders(record: bytes, name: str, size: tuple[int, int], level: str) -> None:
    """SVT-AV1 and libaom: what ffprobe says of the file; av1C is built again byte for byte."""
    config = av1.parse_configuration(record)
    assert config.codec_string == name
    sequence = av1.sequence_header(config)
    assert sequence is not None
    assert (sequence.width, sequence.height) == size
    assert (sequence.profile, sequence.level, sequence.frame_rate) == ("Main", level, None)
    assert av1.build_configuration(av1.split_obus(config.units)[0]) == record


def test_keyframe_of_libaom() -> None:
    """The start of a real temporal unit, its frame cut to what is there."""
    unit = vectors.AV1_KEYFRAME_START[:16] + b"\x30" + vectors.AV1_KEYFRAME_START[19:]
    assert av1.is_keyframe(unit)
    assert av1.has_parameter_sets(unit)
    assert av1.configuration_from_frame(unit) == vectors.AV1C_362
    sequence = av1.parse_sequence_header(SEQUENCE.payload)
    assert sequence.colour == (9, 16, 9, False)


@pytest.mark.parametrize("timing", [None, (1001, 60000, 2), (0, 0, 1), (1, 2**32 - 1, 1)])
@pytest.mark.parametrize("points", [1, 3, 32])
def test_timing(timing: tuple[int, int, int] | None, points: int) -> None:
    """F-RE-10: frame rate from timing info; zeros and absurd values give none."""
    data = sequence_header(1920, 1080, timing=timing, points=min(points, 12))
    sequence = av1.parse_sequence_header(data)
    assert (sequence.width, sequence.height) == (1920, 1080)
    assert (sequence.level, sequence.bit_depth, sequence.chroma_position) == ("4.1 High", 8, 2)
    if timing == (1001, 60000, 2):
        assert sequence.frame_rate == pytest.approx(29.97, abs=0.001)
    else:
        assert sequence.frame_rate is None


@pytest.mark.parametrize(
    ("profile", "depth", "colour", "subsampling"),
    [
        (0, 10, (9, 16, 9), (True, True)),
        (1, 8, None, (False, False)),
        (1, 10, (1, 13, 0), (False, False)),
        (2, 10, (1, 1, 1), (True, False)),
        (2, 12, (1, 1, 1), (True, True)),
    ],
)
def test_colour(
    profile: int,
    depth: int,
    colour: tuple[int, int, int] | None,
    subsampling: tuple[bool, bool],
) -> None:
    """All branches of color_config, and that av1C carries what they say."""
    payload = sequence_header(640, 360, profile=profile, depth=depth, colour=colour)
    sequence = av1.parse_sequence_header(payload)
    assert (sequence.bit_depth, sequence.subsampling) == (depth, subsampling)
    assert sequence.colour == (*(colour or (2, 2, 2)), True)
    config = av1.parse_configuration(av1.build_configuration(OBU(1, b"\x0a", payload)))
    assert config[:6] == (profile, 9, 1, depth, False, subsampling)
    assert config.codec_string == f"av01.{profile}.09H.{depth:02}"


def test_still_picture() -> None:
    """A reduced header has a level only; its frame is a keyframe whatever it begins with."""
    payload = sequence_header(65536, 1, still=True)
    sequence = av1.parse_sequence_header(payload)
    assert (sequence.width, sequence.height, sequence.is_still) == (65536, 1, True)
    assert av1.is_keyframe(OBU(1, b"\x0a", payload).to_bytes() + frame(0x60))


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (0x10, True),  # KEY_FRAME, shown
        (0x1F, True),
        (0x00, False),  # KEY_FRAME for later
        (0x30, False),  # INTER_FRAME
        (0x50, False),  # INTRA_ONLY_FRAME
        (0x90, False),  # show_existing_frame
    ],
)
def test_keyframes(first: int, expected: bool) -> None:
    """Only a key frame that is shown lets decoding begin."""
    assert av1.is_keyframe(SEQUENCE.to_bytes() + frame(first)) == expected
    assert av1.is_keyframe(frame(first, av1.FRAME_HEADER)) == expected
    assert not av1.has_parameter_sets(frame(first))


def test_normalise() -> None:
    """Delimiters and padding go, sizes come; what is right already is not copied."""
    good = SEQUENCE.to_bytes() + frame(0x10)
    assert av1.normalise(good) is good
    assert av1.normalise(DELIMITER + good) == good
    assert av1.normalise(good + b"\x7a\x02\x00\x80") == good
    last = b"\x30\x10\x00\x00"  # a frame without a size reaches to the end
    assert av1.normalise(DELIMITER + SEQUENCE.to_bytes() + last) == good
    extended = b"\x36\x08\x01\x10"
    assert av1.normalise(extended) is extended
    assert av1.normalise(b"\x34\x08\x10") == extended
    assert av1.configuration_from_frame(frame(0x10)) == b""


@pytest.mark.parametrize("data", ["80", "0a05aa", "0a", "0a" + "80" * 9 + "00", "34", "0affffffff"])
def test_broken_units(data: str) -> None:
    """The forbidden bit; beyond the end; a size that does not end."""
    broken = bytes.fromhex(data)
    for function in (av1.split_obus, av1.normalise):
        with pytest.raises(PeerError):
            function(broken)
    assert not av1.is_keyframe(broken)
    assert not av1.has_parameter_sets(broken)


@pytest.mark.parametrize("record", ["", "8105 0c", "0105 0c00"])
def test_broken_records(record: str) -> None:
    """Cut off; no marker. A broken sequence header in a record counts as none."""
    with pytest.raises(PeerError):
        av1.parse_configuration(bytes.fromhex(record))
    config = av1.parse_configuration(vectors.AV1C_720)
    assert av1.sequence_header(config._replace(units=b"\x0a\x01\xff")) is None
    assert av1.sequence_header(config._replace(units=b"")) is None
    assert av1.level_name(31, 0) == "any"


@given(st.lists(st.tuples(st.sampled_from([1, 3, 5, 6]), st.binary(max_size=300)), max_size=5))
def test_units_round_trip(units: list[tuple[int, bytes]]) -> None:
    """Units are cut as they were written, whatever their size."""
    obus = [OBU(kind, bytes((kind << 3 | 2,)), payload) for kind, payload in units]
    data = b"".join(unit.to_bytes() for unit in obus)
    assert av1.split_obus(data) == obus
    assert av1.normalise(data) is data
