"""Tests of ntvmedia.formats.flv."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.formats import flv
from ntvmedia.formats.flv import Demuxer, Event, Header, Tag, TagType

# FLV 10.1 E.2 and E.3: signature, version, flags, size of header; the first back pointer.
HEADER = bytes.fromhex("464c56 01 05 00000009 00000000")

LIMIT = 64


def tag_bytes(tag: Tag) -> bytes:
    """Encode one tag and its back pointer by FLV 10.1 E.4.1, apart from the code under test."""
    return (
        bytes([tag.kind])
        + len(tag.body).to_bytes(3, "big")
        + (tag.timestamp % 2**24).to_bytes(3, "big")
        + bytes([tag.timestamp >> 24, 0, 0, 0])
        + tag.body
        + (11 + len(tag.body)).to_bytes(4, "big")
    )


tag_values = st.builds(
    Tag, st.sampled_from(TagType), st.integers(0, 2**32 - 1), st.binary(max_size=LIMIT)
)


def demux(pieces: Iterable[bytes]) -> tuple[list[Event], str]:
    """Return what comes out of the pieces: the events, and the error after them."""
    demuxer = Demuxer(max_body_size=LIMIT)
    events: list[Event] = []
    try:
        for piece in pieces:
            demuxer.receive_data(piece)
            events.extend(demuxer.events())
    except PeerError as error:
        return events, str(error)
    return events, ""


def test_golden_header() -> None:
    """B-FL-01: 9 bytes of header and PreviousTagSize0; the flags are audio 4 and video 1."""
    assert flv.file_header(True, True) == HEADER
    assert flv.file_header(True, False) == bytes.fromhex("464c56 01 04 00000009 00000000")
    assert flv.file_header(False, True)[4] == 1
    assert flv.file_header(False, False)[4] == 0


def test_golden_tag() -> None:
    """B-FL-01: TimestampExtended has bits 24 to 31, the back pointer is 11 more than the body."""
    golden = bytes.fromhex("09 000002 000001 01 000000 1700 0000000d")
    assert flv.tag(TagType.VIDEO, 0x01000001, b"\x17\x00") == golden
    assert demux([HEADER + golden]) == (
        [Header(True, True), Tag(TagType.VIDEO, 0x01000001, b"\x17\x00")],
        "",
    )


@pytest.mark.parametrize(
    ("timestamp", "bytes_4_to_7"),
    [
        (2**24 - 1, "ffffff 00"),
        (2**24, "000000 01"),
        (2**31, "000000 80"),
        (2**32 - 1, "ffffff ff"),
        (2**32 + 5, "000005 00"),
        (-1, "ffffff ff"),
    ],
)
def test_extended_timestamp(timestamp: int, bytes_4_to_7: str) -> None:
    """B-FL-01: right at 2**24, 2**31 and 2**32, after which it wraps."""
    assert flv.tag(TagType.AUDIO, timestamp, b"")[4:8] == bytes.fromhex(bytes_4_to_7)


def test_pieces_of_a_tag() -> None:
    """Header and back pointer, made apart for the serialiser, are those of a whole tag."""
    body = bytes(70_000)
    head = flv.tag_header(TagType.SCRIPT, 77, len(body))
    whole = flv.tag(TagType.SCRIPT, 77, body)
    assert head + body + flv.back_pointer(len(body)) == whole


def test_body_too_long_to_write() -> None:
    """The size field has 24 bits: our own mistake if we ask for more."""
    with pytest.raises(UsageError):
        flv.tag(TagType.VIDEO, 0, bytes(2**24))


def test_reserved_and_encrypted_tags_are_skipped() -> None:
    """A tag of a reserved type, or encrypted (E.4.1 "Filter"), is dropped; the next is read."""
    tag = Tag(TagType.AUDIO, 7, b"a")
    reserved = bytes.fromhex("1f 000001 000000 00 000000 ff 0000000c")
    encrypted = bytes.fromhex("28 000001 000000 00 000000 ff 0000000c")
    assert demux([HEADER + reserved + encrypted + tag_bytes(tag)])[0][1:] == [tag]


def test_back_pointers_are_not_checked() -> None:
    """Writers that crashed leave wrong ones, and no reader needs them."""
    tag = Tag(TagType.AUDIO, 7, b"a")
    broken = tag_bytes(tag)[:-4] + b"\xde\xad\xbe\xef"
    assert demux([HEADER[:-4] + b"????" + broken * 2])[0][1:] == [tag, tag]


def test_longer_header() -> None:
    """Fields that a later version might add to the header are passed over (E.2 DataOffset)."""
    tag = Tag(TagType.VIDEO, 1, b"v")
    head = bytes.fromhex("464c56 02 01 0000000c abcdef 00000000")
    assert demux([head + tag_bytes(tag)]) == ([Header(False, True), tag], "")


@pytest.mark.parametrize(
    ("data", "offset"),
    [(b"<", 0), (b"FLX", 0), (HEADER[:8] + b"\x08", 5), (HEADER[:5] + b"\xff" * 4, 5)],
)
def test_not_flv(data: bytes, offset: int) -> None:
    """What is no FLV is refused from its first wrong byte, and the demuxer is spent."""
    demuxer = Demuxer()
    demuxer.receive_data(data)
    with pytest.raises(PeerError) as caught:
        list(demuxer.events())
    assert caught.value.offset == offset
    with pytest.raises(UsageError):
        list(demuxer.events())


def test_too_large() -> None:
    """A tag over the limit is refused from its header alone, with its place in the stream."""
    demuxer = Demuxer(max_body_size=10)
    first = tag_bytes(Tag(TagType.VIDEO, 0, bytes(10)))
    demuxer.receive_data(HEADER + first + tag_bytes(Tag(TagType.VIDEO, 0, bytes(11)))[:11])
    events = demuxer.events()
    assert [next(events), next(events)] == [Header(True, True), Tag(TagType.VIDEO, 0, bytes(10))]
    with pytest.raises(LimitExceeded) as caught:
        next(events)
    assert (caught.value.limit, caught.value.offset) == (10, len(HEADER + first))


def test_buffered() -> None:
    """An unfinished tag is kept, and nothing else."""
    demuxer = Demuxer()
    whole = tag_bytes(Tag(TagType.VIDEO, 0, bytes(100)))
    demuxer.receive_data(HEADER + whole + whole[:50])
    assert len(list(demuxer.events())) == 2
    # The back pointer of the first tag is passed over together with the second.
    assert demuxer.buffered == 4 + 50


@given(st.lists(tag_values, max_size=8))
def test_round_trip(expected: list[Tag]) -> None:
    """B-FL-01: what is written is what an encoder apart writes, and comes back."""
    stream = HEADER + b"".join(map(tag_bytes, expected))
    assert HEADER + b"".join(flv.tag(*tag) for tag in expected) == stream
    assert demux([stream]) == ([Header(True, True), *expected], "")


@given(st.lists(tag_values, max_size=4), st.binary(max_size=40), st.data())
def test_cuts_do_not_matter(good: list[Tag], junk: bytes, data: st.DataObject) -> None:
    """However a stream is cut, good or bad, the same events and the same error come out."""
    stream = HEADER + b"".join(map(tag_bytes, good)) + junk
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    places = [0, *sorted(cuts), len(stream)]
    assert demux([stream[a:b] for a, b in pairwise(places)]) == demux([stream])


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_only_documented_errors(pieces: list[bytes]) -> None:
    """F-RE-09: any bytes are parsed or refused with `PeerError`; `demux` lets others out."""
    demux(pieces)
    demux([HEADER, *pieces])
