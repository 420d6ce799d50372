"""Tests of ntvmedia.clients.http.mp4_order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.clients.http.mp4_order import MAX_BOXES, REREAD_BYTES, MP4Order
from ntvmedia.errors import RemoteError

# As FFmpeg 7 writes it by default: ftyp, free, mdat.
FTYP = bytes.fromhex("00000020 66747970 69736f6d 00000200 69736f6d 69736f32 61766331 6d703431")
FREE = bytes.fromhex("00000008 66726565")
CLAUSE = "its index is at its end: it can be played as a file, or converted with faststart"


def box(kind: bytes, size: int = 8) -> bytes:
    """Return a box of a size."""
    return size.to_bytes(4, "big") + kind + bytes(size - 8)


def head(kind: bytes, size: int) -> bytes:
    """Return the head of a box whose size is in 64 bits (ISOBMFF 4.2)."""
    return b"\0\0\0\1" + kind + size.to_bytes(8, "big")


def order(pieces: list[bytes]) -> str:
    """Return what comes of a file: its problem, or whether it is settled."""
    found = MP4Order()
    try:
        for piece in pieces:
            found.receive_data(piece)
    except RemoteError as error:
        assert error.is_permanent
        return str(error)
    return "settled" if found.is_settled else "open"


@pytest.mark.parametrize(
    "data",
    [
        FTYP + FREE + bytes.fromhex("00b20b44 6d646174"),
        FTYP + head(b"mdat", 1 << 40),
        FTYP + FREE + bytes.fromhex("00000000 6d646174"),  # to the end of the file
        box(b"wide") + bytes.fromhex("00b20b44 6d646174"),  # QuickTime
        FTYP + head(b"uuid", 16 + 300) + bytes(300) + bytes.fromhex("00100000 6d646174"),
    ],
)
def test_index_at_its_end(data: bytes) -> None:
    """E-ST-05: it is told at the head of the media, not after all of it."""
    assert order([data]) == CLAUSE
    assert order([data[:-1]]) == "open"


@pytest.mark.parametrize(
    "data",
    [
        FTYP + box(b"moov", 100),
        FTYP + FREE + box(b"moov", 100) + bytes.fromhex("00b20b44 6d646174"),
        FTYP + box(b"moof", 100),  # it is for the demuxer to say what is missing
        FTYP + box(b"mdat", REREAD_BYTES) + box(b"moov"),
        FTYP + bytes.fromhex("00000007 66726565"),  # less than its own head
        FTYP + bytes.fromhex("00000000 66726565"),
        head(b"free", 15),
        b"no MP4 at all",
        FREE * MAX_BOXES,
    ],
)
def test_left_to_the_demuxer(data: bytes) -> None:
    """All else is played, or the demuxer says what is wrong with it."""
    assert order([data]) == "settled"
    assert order([data, bytes.fromhex("00b20b44 6d646174")]) == "settled"


def test_not_yet() -> None:
    """Until index or media come it goes on, whatever is between, and keeps no more than a head."""
    assert order([]) == order([b""]) == order([FTYP]) == "open"
    assert order([box(b"free", 1 << 20)] * 3) == "open"
    assert order([FREE * (MAX_BOXES - 1)]) == "open"
    found = MP4Order()
    found.receive_data(head(b"uuid", 1 << 63))
    for _count in range(100):
        found.receive_data(bytes(1 << 16))
    assert not found.is_settled


BOXES = st.one_of(
    st.sampled_from([FTYP, FREE, box(b"moov", 30), box(b"mdat", 40), head(b"wide", 16)]),
    st.sampled_from([b"\0\1\0\0mdat", b"\0\0\0\0mdat", head(b"mdat", 1 << 33), head(b"uuid", 20)]),
    st.binary(max_size=20),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(BOXES, max_size=6).map(b"".join), st.data())
def test_cuts_do_not_matter(data: bytes, draw: st.DataObject) -> None:
    """However a file is cut, the same comes out, and nothing but what is documented."""
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=8))
    whole = order([data])
    assert order([data[a:b] for a, b in pairwise([0, *sorted(cuts), len(data)])]) == whole
    assert order([data[n : n + 1] for n in range(len(data))]) == whole
