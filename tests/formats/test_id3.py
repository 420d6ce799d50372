"""ID3 tags as HLS has them: how long they are, and the time that they tell."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.formats.id3 import parse_tag_size, parse_timestamp
from tests.formats.packed_bytes import frame, tag, timestamp

# Written by FFmpeg 5.1: -f adts -write_id3v2 1 and -metadata with
# 'id3v2_priv.com.apple.streaming.transportStreamTimestamp=\x00\x00\x00\x00\x00\x01\xec\x30'.
FFMPEG_TAG = bytes.fromhex(
    "49443304000000000062"
    "50524956000000350000"
    "636f6d2e6170706c652e73747265616d696e672e7472616e73706f727453747265616d54696d657374616d7000"
    "000000000001ec30"
    "545353450000000f0000034c61766635392e32372e31303000"
    "00000000000000000000"
)


def test_golden() -> None:
    """RFC 8216 section 3.4 as FFmpeg writes it, with a frame behind, and padding: 1.4 s."""
    assert parse_tag_size(FFMPEG_TAG) == len(FFMPEG_TAG) == 108
    assert parse_timestamp(FFMPEG_TAG) == 126000
    assert FFMPEG_TAG[10:].startswith(timestamp(126000)[10:])


@given(st.integers(0, (1 << 33) - 1), st.sampled_from((3, 4)), st.integers(0, 300))
def test_round_trip(time: int, version: int, size: int) -> None:
    """Whatever frames stand before and behind it, and whatever the version, the time is found."""
    before = frame(b"TIT2", bytes(size), version)
    for data in (timestamp(time, version=version), timestamp(time, before, version=version)):
        assert parse_tag_size(data) == len(data)
        assert parse_tag_size(b"??" + data + b"more", 2) == len(data)
        assert parse_timestamp(data) == time
        assert parse_timestamp(data + b"more") == time


def test_upper_bits() -> None:
    """The upper 31 bits of the 64 are to be zero; what stands there is no time."""
    assert parse_timestamp(timestamp(5 | 1 << 40)) == 5


def test_footer() -> None:
    """ID3 3.4: a footer of ten bytes belongs to the tag; version 2.3 has none."""
    body = frame(b"TIT2", b"x")
    assert parse_tag_size(tag(body, flags=0x10)) == 10 + len(body) + 10
    assert parse_tag_size(tag(body, flags=0x10, version=3)) == 10 + len(body)


def test_extended_header() -> None:
    """ID3 3.2: what stands before the frames is passed over; version 2.3 counts without itself."""
    private = timestamp(90000)[10:]
    newer = tag((6).to_bytes(4, "big") + b"\1\0" + private, flags=0x40)
    assert parse_timestamp(newer) == 90000
    older = tag((6).to_bytes(4, "big") + bytes(6) + private, flags=0x40, version=3)
    assert parse_timestamp(older) == 90000


def test_unsynchronised() -> None:
    """ID3 6.1: a zero was put behind each 0xff, and is taken out."""
    private = timestamp(0x1_FF00_FF00)[10:].replace(b"\xff", b"\xff\x00")
    assert parse_timestamp(tag(private, flags=0x80)) == 0x1_FF00_FF00


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ID3",
        b"ID3\x04\x00\x00\x00\x00\x00",
        b"ID3\x05\x00\x00\x00\x00\x00\x00",
        b"ID3\x01\x00\x00\x00\x00\x00\x00",
        b"ID3\x04\xff\x00\x00\x00\x00\x00",
        b"ID3\x04\x00\x00\x80\x00\x00\x00",
        b"TAG\x04\x00\x00\x00\x00\x00\x00",
    ],
)
def test_no_tag(data: bytes) -> None:
    """What only begins like a tag is none, nor what another version would have."""
    assert parse_tag_size(data) == 0
    assert parse_timestamp(data) is None


def test_no_time() -> None:
    """Of another owner, of another length, cut off, of version 2.2, or behind padding."""
    assert parse_timestamp(tag(frame(b"PRIV", b"com.example\0" + bytes(8)))) is None
    assert parse_timestamp(timestamp(7)[:-1]) is None
    owner = b"com.apple.streaming.transportStreamTimestamp\0"
    assert parse_timestamp(tag(frame(b"PRIV", owner + bytes(5)))) is None
    assert parse_timestamp(tag(timestamp(7)[10:], version=2)) is None
    assert parse_timestamp(tag(bytes(20) + timestamp(7)[10:])) is None


@given(st.binary(max_size=200), st.integers(0, 255))
def test_any_bytes(body: bytes, flags: int) -> None:
    """Nothing is raised, and it ends, whatever a tag has in it."""
    for version in (2, 3, 4):
        data = tag(body, flags=flags, version=version)
        assert parse_tag_size(data) >= 10 + len(body)
        told = parse_timestamp(data)
        assert told is None or 0 <= told < 1 << 33
