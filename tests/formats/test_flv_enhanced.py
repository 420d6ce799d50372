"""Tests of ntvmedia.formats.flv_enhanced."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats.flv_enhanced import (
    MAX_MODIFIERS,
    MAX_TRACKS_IN_MESSAGE,
    ExtendedMessage,
    Part,
    parse_audio,
    parse_video,
    spelled,
)
from tests.formats.flv_bytes import many_codecs, many_tracks, modifier

bodies = st.binary(max_size=20)
fourccs = st.binary(min_size=4, max_size=4)
numbers = st.integers(0, 255)


def test_single() -> None:
    """E-RTMP v2: first byte, FourCC, body; the track is number 0."""
    message = parse_video(bytes.fromhex("93 68766331 0102"))
    assert message == ExtendedMessage(3, 0, [Part(0, b"hvc1", b"\x01\x02")], None)
    message = parse_audio(bytes.fromhex("91 4f707573 ff"))
    assert message == ExtendedMessage(1, 0, [Part(0, b"Opus", b"\xff")], None)


def test_command_frame_has_no_body() -> None:
    """A-ER-03: frame type 5 with an enhanced header has one byte of command, and no FourCC."""
    assert parse_video(bytes.fromhex("d1 00")).parts == []
    assert parse_video(bytes.fromhex("d1")).parts == []


def test_metadata_is_read_though_it_says_command() -> None:
    """A-ER-03, A-ER-04: the frame type of metadata is ignored."""
    assert parse_video(b"\xd4hvc1body").parts == [Part(0, b"hvc1", b"body")]


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 65536])
def test_modifier_sizes(size: int) -> None:
    """A-ER-06: sizes 1 to 255 in one byte; 256 says that 16 bits follow, up to 65536."""
    body = b"\xa7" + modifier(bytes(size), 3, kind=9) + b"av01frame"
    assert parse_video(body) == ExtendedMessage(3, 0, [Part(0, b"av01", b"frame")], None)
    body = b"\x97" + modifier(bytes(size), 1, kind=9) + b"Opusframe"
    assert parse_audio(body) == ExtendedMessage(1, 0, [Part(0, b"Opus", b"frame")], None)


def test_chain_of_modifiers() -> None:
    """A-ER-06: modifiers follow one another, and unknown kinds are passed over."""
    nano = (123_456).to_bytes(3, "big")
    chain = modifier(b"x", 7, kind=15) + modifier(nano, 7) + modifier(b"yy", 1, kind=3)
    assert parse_video(b"\x97" + chain + b"vp09f") == ExtendedMessage(
        1, 123_456, [Part(0, b"vp09", b"f")], None
    )


@pytest.mark.parametrize(
    ("data", "nano"),
    [
        (b"\x00\x00", 0),
        (b"\x00", 0),
        ((999_999).to_bytes(3, "big"), 999_999),
        ((999_999).to_bytes(3, "big") + b"rest", 999_999),
        ((1_000_000).to_bytes(3, "big"), 0),
    ],
)
def test_nano_offset(data: bytes, nano: int) -> None:
    """A-ER-06: an offset of fewer than 3 bytes, or of a millisecond and more, is ignored."""
    assert parse_audio(b"\x97" + modifier(data, 1) + b"Opus").nano_offset == nano


def test_modifiers_are_bounded() -> None:
    """A-ER-06: as many as allowed are read, one more is refused."""
    allowed = modifier(b"x", 7) * (MAX_MODIFIERS - 1) + modifier(b"x", 1)
    assert parse_video(b"\x97" + allowed + b"av01f").parts == [Part(0, b"av01", b"f")]
    with pytest.raises(LimitExceeded):
        parse_video(b"\x97" + modifier(b"x", 7) + allowed + b"av01f")


def test_multitrack_one_track() -> None:
    """A-ER-05: one track has no size, and reaches to the end of the message."""
    message = parse_video(b"\x96\x01avc1\x05body")
    assert message == ExtendedMessage(1, 0, [Part(5, b"avc1", b"body")], None)
    message = parse_audio(b"\x95\x01fLaC\xffbody")
    assert message == ExtendedMessage(1, 0, [Part(255, b"fLaC", b"body")], None)


def test_modifier_before_multitrack() -> None:
    """A-ER-05, A-ER-06: both in one message."""
    body = b"\x97" + modifier(b"\x00\x00\x01", 6) + b"\x01avc1\x05body"
    assert parse_video(body) == ExtendedMessage(1, 1, [Part(5, b"avc1", b"body")], None)


@given(st.lists(st.tuples(numbers, bodies), min_size=1, max_size=6), fourccs, st.integers(0, 4))
def test_many_tracks(tracks: list[tuple[int, bytes]], fourcc: bytes, packet_type: int) -> None:
    """A-ER-05: every track comes out, in the order of the message, empty ones too."""
    expected = [Part(number, fourcc, body) for number, body in tracks]
    message = parse_video(many_tracks(tracks, fourcc, packet_type, 0x96))
    assert message == ExtendedMessage(packet_type, 0, expected, None)
    message = parse_audio(many_tracks(tracks, fourcc, packet_type, 0x95))
    assert message == ExtendedMessage(packet_type, 0, expected, None)


@given(st.lists(st.tuples(fourccs, numbers, bodies), min_size=1, max_size=6))
def test_many_codecs(tracks: list[tuple[bytes, int, bytes]]) -> None:
    """A-ER-05: with many codecs each track has its own FourCC; all of the message is read."""
    expected = [Part(number, fourcc, body) for fourcc, number, body in tracks]
    assert parse_video(many_codecs(tracks, 1, 0x96)) == ExtendedMessage(1, 0, expected, None)
    assert parse_audio(many_codecs(tracks, 1, 0x95)) == ExtendedMessage(1, 0, expected, None)


@pytest.mark.parametrize(
    "body",
    [
        b"\x96\x16avc1\x00\x00\x00\x00",  # multitrack within multitrack
        b"\x96\x31avc1\x00\x00\x00\x00",  # a reserved layout
        b"\x96",
        b"\x96\x01",
        b"\x96\x01avc1",
        b"\x96\x21",
        b"\x91avc",
        b"\x97",
        b"\x97\x00",
        b"\x97\x00x",
        b"\x97\xff\x00",
        b"\x97\xff\xff\xffshort",
    ],
)
def test_broken_headers(body: bytes) -> None:
    """A-ER-05, A-ER-06: nested, reserved and cut off headers fail in a controlled manner."""
    with pytest.raises(PeerError):
        parse_video(body)


def test_overlong_track() -> None:
    """A-ER-05: a track that goes beyond the end ends the message; those before it are kept."""
    body = many_tracks([(0, b"good"), (1, b"cut off")], b"hvc1", 1, 0x96)
    message = parse_video(body[:-1])
    assert message.parts == [Part(0, b"hvc1", b"good")]
    assert message.problem is not None
    assert message.problem.offset == body.index(b"good") + 4


def test_tracks_are_bounded() -> None:
    """A-ER-05: a message of a million empty tracks is not read to its end."""
    tracks = [(0, b"")] * MAX_TRACKS_IN_MESSAGE
    assert parse_video(many_tracks(tracks, b"hvc1", 1, 0x96)).problem is None
    message = parse_video(many_tracks([*tracks, (0, b"")], b"hvc1", 1, 0x96))
    assert len(message.parts) == MAX_TRACKS_IN_MESSAGE
    assert isinstance(message.problem, LimitExceeded)


@given(st.sampled_from([b"", b"\x96", b"\x97", b"\x95", b"\x96\x11hvc1"]), st.binary(max_size=60))
def test_only_documented_errors(head: bytes, tail: bytes) -> None:
    """F-RE-09: any bytes are parsed or refused with `PeerError`."""
    for parse in (parse_video, parse_audio):
        try:
            message = parse(head + tail or b"\x00")
        except PeerError:
            continue
        assert sum(len(part.body) for part in message.parts) <= len(head + tail)


def test_spelled() -> None:
    """A-ER-13: an unknown FourCC is named in hexadecimal, and in letters where it has some."""
    assert spelled(b"av01") == "0x61763031 ('av01')"
    assert spelled(b"\x00\xff\n!") == "0x00ff0a21"
