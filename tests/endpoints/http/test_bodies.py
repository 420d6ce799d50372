"""Tests of ntvmedia.endpoints.http.bodies."""

from __future__ import annotations

from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given, strategies as st

from ntvmedia.endpoints.http.bodies import (
    MAX_CHUNK_LINE_BYTES,
    MAX_TRAILER_BYTES,
    ChunkedBody,
    FixedBody,
    body_of,
)
from ntvmedia.endpoints.http.heads import CHUNKED, RequestHead


def read(body: ChunkedBody | FixedBody, pieces: list[bytes]) -> tuple[bytes, bool, str, bytes]:
    """Return content, completeness, the error, and what is left over."""
    content = b""
    left = b""
    for piece in pieces:
        end = 0
        if not body.complete and body.error is None:
            end, found = body.receive(piece, 0)
            content += b"".join(found)
        left += piece[end:]
    if body.error is not None:
        return content, False, str(body.error), b""
    return content, body.complete, "", left


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut data at the places given."""
    return [data[a:b] for a, b in pairwise([0, *sorted(cuts), len(data)])]


def test_golden() -> None:
    """The example of RFC 9112 7.1.3, with an extension and a trailer."""
    data = b"4;a=b\r\nWiki\r\n5\r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n0\r\nX: y\r\n\r\nGET /"
    assert read(ChunkedBody(), [data]) == (b"Wikipedia in\r\n\r\nchunks.", True, "", b"GET /")


@pytest.mark.parametrize(
    "data",
    [
        b"0x2\r\nab\r\n0\r\n\r\n",
        b"+2\r\nab\r\n0\r\n\r\n",
        b"-2\r\nab\r\n0\r\n\r\n",
        b"1_0\r\nab\r\n0\r\n\r\n",
        b" 2\r\nab\r\n0\r\n\r\n",
        b"2 \r\nab\r\n0\r\n\r\n",
        b"\r\nab\r\n0\r\n\r\n",
        b";a\r\nab\r\n0\r\n\r\n",
        b"2\nab\r\n0\r\n\r\n",
        b"2\r\nab\n0\r\n\r\n",
        b"2\r\nabc\r\n0\r\n\r\n",
        b"2\r\nabc\n",
        b"2;a\rb\r\nab\r\n0\r\n\r\n",
        b"2;a\0b\r\nab\r\n0\r\n\r\n",
        b"0\r\n\n",
        b"0\r\nA: b\n\r\n",
        b"1000000000000000\r\n",
        b"\xb2\r\nab\r\n0\r\n\r\n",
    ],
)
def test_smuggling(data: bytes) -> None:
    """F-RE-06: sizes and line ends that others might read in another way end the body."""
    _content, complete, error, _left = read(ChunkedBody(), [data])
    assert not complete
    assert error


def test_limits() -> None:
    """A chunk's line and the trailer section may be so long, and not longer."""
    extension = b"1;" + b"a" * (MAX_CHUNK_LINE_BYTES - 4) + b"\r\n"
    assert read(ChunkedBody(), [extension + b"x\r\n0\r\n\r\n"])[:2] == (b"x", True)
    for pieces in ([b"1;a" + extension[2:]], [bytes([byte]) for byte in b"1;" + b"a" * 2000]):
        body = ChunkedBody()
        assert "too long" in read(body, pieces)[2]
    field = b"X: " + b"y" * 507 + b"\r\n"
    lines = MAX_TRAILER_BYTES // len(field)
    assert read(ChunkedBody(), [b"0\r\n" + field * (lines - 1) + b"\r\n"])[1]
    body = ChunkedBody()
    assert "trailers" in read(body, [b"0\r\n" + field * (lines + 1)])[2]
    assert body.error is not None
    assert body.error.status == 431


def test_linear() -> None:
    """F-RE-08: chunks of one byte, and an endless line byte by byte, cost linear time."""

    def seconds(count: int) -> float:
        data = b"1\r\nx\r\n" * count + b"0\r\n\r\n"
        pieces = [data[at : at + 65536] for at in range(0, len(data), 65536)]
        before = process_time()
        content, complete, _error, _left = read(ChunkedBody(), pieces)
        after = process_time()
        assert (len(content), complete) == (count, True)
        return after - before

    short = min(seconds(10_000) for _turn in range(3))
    # Quadratic would be 64 times as much.
    assert min(seconds(80_000) for _turn in range(2)) < 24 * short + 0.05


def test_fixed() -> None:
    """A body of known length ends there."""
    assert read(FixedBody(5), [b"abc", b"defg", b"h"]) == (b"abcde", True, "", b"fgh")
    assert read(FixedBody(5), [b"abcd"]) == (b"abcd", False, "", b"")


def test_body_of() -> None:
    """A head says which kind of body follows."""
    head = RequestHead(b"POST", b"/", 1, [])
    assert body_of(head) is None
    head.body_length = 3
    assert isinstance(body_of(head), FixedBody)
    head.body_length = CHUNKED
    assert isinstance(body_of(head), ChunkedBody)


@given(
    st.lists(st.binary(min_size=1, max_size=30), max_size=5),
    st.binary(max_size=20),
    st.booleans(),
    st.data(),
)
def test_round_trip_and_cuts(
    chunks: list[bytes], behind: bytes, broken: bool, data: st.DataObject
) -> None:
    """However a body is cut, the same content, the same end and the same error come out."""
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    wire += (b"" if broken else b"0\r\n\r\n") + behind
    places = data.draw(st.lists(st.integers(0, len(wire)), max_size=6))
    whole = read(ChunkedBody(), [wire])
    assert read(ChunkedBody(), cut(wire, places)) == whole
    if not broken:
        assert whole == (b"".join(chunks), True, "", behind)


@given(st.binary(max_size=100), st.data())
def test_any_bytes(wire: bytes, data: st.DataObject) -> None:
    """Nothing is raised, whatever comes."""
    places = data.draw(st.lists(st.integers(0, len(wire)), max_size=6))
    assert read(ChunkedBody(), cut(wire, places)) == read(ChunkedBody(), [wire])
