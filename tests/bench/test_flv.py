"""The FLV side of the load generator."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from bench.flv import AUDIO, VIDEO, BadStream, Dechunker, FLVPlayer, FLVReader, Media, is_keyframe
from tests.bench.media import FLV_HEADER, INTERFRAME, KEYFRAME, flv_tag

STREAM = FLV_HEADER + flv_tag(VIDEO, 0x01020304, KEYFRAME + b"abc") + flv_tag(AUDIO, 5, b"\xaf\x01")


@given(st.lists(st.integers(0, len(STREAM)), max_size=5))
def test_reader(cuts: list[int]) -> None:
    """Tags come out with their extended timestamps and places, however the bytes are cut."""
    reader, tags = FLVReader(), []
    places = [0, *sorted(cuts), len(STREAM)]
    for begin, end in pairwise(places):
        tags += reader.feed(STREAM[begin:end])
    assert tags == [
        Media(VIDEO, 0x01020304, KEYFRAME + b"abc", 13),
        Media(AUDIO, 5, b"\xaf\x01", 13 + 15 + 8),
    ]
    assert reader.received == len(STREAM)


def test_not_flv() -> None:
    """Something else than FLV is told at once, not counted as a stream."""
    with pytest.raises(BadStream, match="not FLV"):
        FLVReader().feed(b"<html>" + bytes(20))


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (VIDEO, KEYFRAME, True),
        (VIDEO, INTERFRAME, False),
        (VIDEO, b"\x17\0\0\0\0", False),
        (AUDIO, KEYFRAME, False),
        (VIDEO, b"", False),
        (VIDEO, b"\x91hvc1", True),
        (VIDEO, b"\x93hvc1", True),
        (VIDEO, b"\x90hvc1", False),
        (VIDEO, b"\xa3hvc1", False),
    ],
)
def test_keyframe(kind: int, body: bytes, expected: bool) -> None:
    """Coded keyframes count, legacy and Enhanced RTMP; configurations and others do not."""
    assert is_keyframe(Media(kind, 0, body, 0)) is expected


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.integers(1, 9))
def test_dechunker(parts: list[bytes], step: int) -> None:
    """The content comes out whole, however the framing is cut."""
    wire = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in parts)
    dechunker = Dechunker()
    pieces = [dechunker.feed(wire[at : at + step]) for at in range(0, len(wire), step)]
    assert b"".join(pieces) == b"".join(parts)


def test_dechunker_of_half_a_chunk() -> None:
    """Content is not held back until its chunk is complete: bytes are counted as they come."""
    assert Dechunker().feed(b"10\r\nabc") == b"abc"


@pytest.mark.parametrize("chunked", [False, True])
def test_player(chunked: bool) -> None:
    """A player asks for its stream, and reads tags from a plain and from a chunked body."""
    player = FLVPlayer("h", "live", "s")
    assert player.greeting.startswith(b"GET /live/s.flv HTTP/1.1\r\nHost: h\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n"
    body = STREAM
    if chunked:
        head += b"Transfer-Encoding: Chunked\r\n"
        body = b"%X\r\n%s\r\n" % (len(STREAM), STREAM)
    answer = head + b"\r\n" + body
    assert player.feed(answer[:20]) == ([], b"")
    tags, reply = player.feed(answer[20:])
    assert [tag.kind for tag in tags] == [VIDEO, AUDIO]
    assert (reply, player.received) == (b"", len(STREAM))


def test_player_refused() -> None:
    """A refusal ends a player; it is no empty stream."""
    with pytest.raises(BadStream, match="404"):
        FLVPlayer("h", "live", "s").feed(b"HTTP/1.1 404 Not Found\r\n\r\n")
    with pytest.raises(BadStream, match="endless"):
        FLVPlayer("h", "live", "s").feed(bytes(20000))
