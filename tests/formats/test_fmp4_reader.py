"""Boxes: where they begin and end, and what goes beyond."""

from __future__ import annotations

from struct import Struct

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats import fmp4_reader
from ntvmedia.formats.fmp4_reader import (
    Box,
    Header,
    child,
    children,
    numbers,
    parse_header,
    required,
    signed,
    unpack,
    version_and_flags,
    whole_box,
)
from tests.formats.mp4_bytes import box, full, words


def container(data: bytes, offset: int = 100) -> Box:
    """Make a container of these contents."""
    return Box(b"cont", memoryview(data), offset)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (words(8) + b"free", Header(b"free", 8, 8)),
        (words(0x80000000) + b"mdat", Header(b"mdat", 8, 0x80000000)),
        (words(0) + b"mdat", Header(b"mdat", 8, 0)),
        (words(1) + b"mdat" + words(1, 2), Header(b"mdat", 16, 0x100000002)),
        (words(24) + b"uuid", Header(b"uuid", 24, 24)),
        (words(1) + b"uuid" + words(0, 32), Header(b"uuid", 32, 32)),
        (words(9) + b"fre", None),
        (words(1) + b"mdat" + words(1), None),
        (b"", None),
    ],
)
def test_headers(data: bytes, header: Header | None) -> None:
    """14496-12 4.2: sizes of 32 and of 64 bits, up to the end, and types of 16 bytes."""
    assert parse_header(data) == header
    assert parse_header(b"xyz" + data, 3) == header


@pytest.mark.parametrize(
    "data",
    [
        words(2) + b"free",
        words(7) + b"free",
        words(23) + b"uuid",
        words(1) + b"mdat" + words(0, 15),
        words(1) + b"mdat" + words(0, 0),
    ],
)
def test_sizes_too_small(data: bytes) -> None:
    """A box that ends in its header would be read for ever."""
    with pytest.raises(PeerError) as caught:
        parse_header(b"12345" + data, 5, 1000)
    assert caught.value.offset == 1005


def test_whole_box() -> None:
    """One box that is all of the data; what comes after it does not count."""
    assert whole_box(box(b"moov", b"abc") + b"more", b"moov", 7) == Box(
        b"moov", memoryview(b"abc"), 15
    )
    assert bytes(whole_box(words(0) + b"moovabc", b"moov").body) == b"abc"
    for data in (b"", box(b"moof", b""), words(12) + b"moovabc"):
        with pytest.raises(PeerError):
            whole_box(data, b"moov")


def test_children() -> None:
    """Boxes in their order, with their places; a rest too short for a box is left out."""
    data = b"skip" + box(b"aaaa", b"1") + box(b"bbbb") + box(b"aaaa", b"2") + bytes(4)
    found = list(children(container(data), 4))
    assert [(x.kind, bytes(x.body), x.offset) for x in found] == [
        (b"aaaa", b"1", 112),
        (b"bbbb", b"", 121),
        (b"aaaa", b"2", 129),
    ]
    last = list(children(container(words(0) + b"lastabc")))
    assert [bytes(x.body) for x in last] == [b"abc"]


@pytest.mark.parametrize(
    "data",
    [
        words(9) + b"aaaa",
        words(1) + b"aaaa" + words(0),
        words(1) + b"aaaa" + words(0xFFFFFFFF, 0xFFFFFFFF),
        words(0) + b"uuid" + bytes(5),
    ],
)
def test_children_that_go_beyond(data: bytes) -> None:
    """F-RE-09: what is in a box ends with it; good ones come first."""
    found = children(container(box(b"good") + data))
    assert next(found).kind == b"good"
    with pytest.raises(PeerError) as caught:
        next(found)
    assert caught.value.offset == 108


def test_too_many_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """F-RE-09: the number of boxes in one has a limit."""
    monkeypatch.setattr(fmp4_reader, "MAX_CHILDREN", 3)
    assert len(list(children(container(box(b"free") * 3)))) == 3
    with pytest.raises(LimitExceeded):
        list(children(container(box(b"free") * 4)))


def test_child() -> None:
    """The first of a kind, or none, or an error."""
    found = container(box(b"aaaa", b"1") + box(b"bbbb", b"2") + box(b"bbbb", b"3"))
    one = child(found, b"bbbb")
    assert one is not None and bytes(one.body) == b"2"
    assert required(found, b"bbbb") == one
    assert child(found, b"cccc") is None
    with pytest.raises(PeerError, match="a cont box without cccc"):
        required(found, b"cccc")


def test_fields() -> None:
    """Fields and tables are read only where they are."""
    found = whole_box(full(b"test", words(1, -2, 3), version=2, flags=0x030405), b"test")
    assert version_and_flags(found) == (2, 0x030405)
    assert unpack(Struct(">HI"), found, 6) == (1, 0xFFFFFFFE)
    assert list(numbers(found, 4, 3)) == [1, 0xFFFFFFFE, 3]
    assert list(signed(numbers(found, 4, 3))) == [1, -2, 3]
    assert list(numbers(found, 4, 6, 2)) == [0, 1, 0xFFFF, 0xFFFE, 0, 3]
    assert list(numbers(found, 8, 1, 8)) == [0xFFFFFFFE00000003]
    assert list(numbers(found, 15, 1, 1)) == [3]
    assert not numbers(found, 16, 0)
    for place, count, width in ((4, 4, 4), (17, 0, 4), (0, 0xFFFFFFFF, 8)):
        with pytest.raises(PeerError, match="test box is cut off"):
            numbers(found, place, count, width)
    with pytest.raises(PeerError):
        unpack(Struct(">I"), found, 13)
    with pytest.raises(PeerError):
        version_and_flags(container(b"123"))


@given(st.binary(max_size=200), st.integers(0, 20))
def test_any_bytes(data: bytes, skip: int) -> None:
    """F-RE-09: whatever the bytes, boxes in their order within their bounds, or `PeerError`."""
    place = skip
    try:
        for found in children(container(data, 0), skip):
            assert place < found.offset
            place = found.offset + len(found.body)
            assert place <= len(data)
    except PeerError:
        pass
