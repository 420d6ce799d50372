"""Windows Media over HTTP: chunks in, an ASF stream out."""

from __future__ import annotations

import io
import itertools
from functools import cache
from typing import Any

import av
import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.wire.mmsh import (
    MAX_HEADER_BYTES,
    ChunkReader,
    Data,
    Ended,
    Event,
    Header,
    describe_fields,
    parse_header,
    play_fields,
)
from tests.avtools.media import movie

# ASF 01.20.03 3: the GUID of the Data Object, as it is written.
DATA_OBJECT = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


@pytest.fixture(scope="module", name="asf")
def _asf() -> bytes:
    """A movie of Windows Media."""
    return movie("asf", video="wmv2", audio="wmav2", seconds=1.0)


def parts(asf: bytes) -> tuple[bytes, list[bytes]]:
    """Cut a movie into its header, with the beginning of the Data Object, and its packets."""
    end = asf.index(DATA_OBJECT) + 50
    size = parse_header(asf[:end]).packet_size
    length = int.from_bytes(asf[end - 34 : end - 26], "little")
    media = asf[end : end - 50 + length]
    return asf[:end], [media[at : at + size] for at in range(0, len(media), size)]


def chunk(kind: str, payload: bytes, flags: int = 0x0C, mark: int = 0x24) -> bytes:
    """Frame a payload (2.2.3.1)."""
    body = (7).to_bytes(4, "little") + bytes((0, flags)) + len(payload).to_bytes(2, "little")
    body += payload
    return bytes((mark, ord(kind))) + len(body).to_bytes(2, "little") + body


def stream(asf: bytes) -> bytes:
    """Return what a server sends for a movie: packets without the zeros at their end."""
    header, packets = parts(asf)
    sent = [chunk("H", header), *(chunk("D", x.rstrip(b"\0")) for x in packets)]
    return b"".join(sent) + bytes.fromhex("2445 0400 00000000")


def read(*pieces: bytes) -> list[Event]:
    """Read pieces of an answer."""
    reader, found = ChunkReader(), list[Event]()
    for piece in pieces:
        reader.receive_data(piece)
        found += reader.events()
    return found


def outcome(pieces: list[bytes]) -> tuple[list[Event], str]:
    """Return what comes of pieces, and the error."""
    reader, found = ChunkReader(), list[Event]()
    try:
        for piece in pieces:
            reader.receive_data(piece)
            found.extend(reader.events())
    except PeerError as error:
        return found, str(error)
    return found, ""


def test_movie_comes_out_as_it_was(asf: bytes) -> None:
    """What is put together again is the file, which FFmpeg reads to its end."""
    events = read(stream(asf))
    assert events[-1] == Ended(0)
    header = events[0]
    assert isinstance(header, Header)
    assert header.streams == (1, 2)
    data = header.data + b"".join(x.data for x in events if isinstance(x, Data))
    header_bytes, packets = parts(asf)
    assert data == header_bytes + b"".join(packets)
    opened: Any = av.open(io.BytesIO(data), format="asf")
    with opened as container:
        assert sum(1 for _frame in container.decode(video=0)) == 25


def test_loop(asf: bytes) -> None:
    """VLC begins each loop with a header again: it is told as one, and packets go on."""
    header, packets = parts(asf)
    sent = chunk("H", header) + chunk("D", packets[0]) + chunk("H", header) + chunk("D", packets[1])
    kinds = [type(x) for x in read(sent)]
    assert kinds == [Header, Data, Header, Data]


def test_change(asf: bytes) -> None:
    """2.2.3.3: after a stream change nothing is taken before the next header."""
    header, packets = parts(asf)
    change = bytes.fromhex("2443 0400 00000000")
    sent = chunk("H", header) + change + chunk("H", header, mark=0xA4) + chunk("D", packets[0])
    assert [type(x) for x in read(sent)] == [Header, Header, Data]
    with pytest.raises(PeerError, match="before"):
        read(chunk("H", header) + change + chunk("D", packets[0]))


def test_header_in_parts(asf: bytes) -> None:
    """2.2.3.2: a long header comes in several chunks, the last one marked."""
    header, _packets = parts(asf)
    sent = chunk("H", header[:100], 0x04) + chunk("H", header[100:200], 0)
    sent += chunk("H", header[200:], 0x08)
    (found,) = read(sent)
    assert isinstance(found, Header)
    assert found.data == header


def test_others_are_passed_over(asf: bytes) -> None:
    """Metadata, packet pairs and fillers are of no use here."""
    header, _packets = parts(asf)
    sent = b"".join(chunk(x, b"playlist-gen-id=1") for x in "MPT") + chunk("H", header)
    assert [type(x) for x in read(sent)] == [Header]


@pytest.mark.parametrize("wrong", [b"<html>", b"$X\0\0", b"$D\x04\0abcd", b"\xff\xd8\xff\xe0"])
def test_no_chunks(wrong: bytes) -> None:
    """E-SR-02: what is something else is said to be so at once."""
    with pytest.raises(PeerError):
        read(wrong)


def test_endless_header() -> None:
    """E-SR-02: a header without end takes no memory without end."""
    reader = ChunkReader()
    part = chunk("H", bytes(60_000), 0)
    with pytest.raises(LimitExceeded):
        for _part in range(MAX_HEADER_BYTES // 60_000 + 1):
            reader.receive_data(part)
            list(reader.events())


def test_packet_that_is_too_long(asf: bytes) -> None:
    """All packets have one size."""
    header, packets = parts(asf)
    with pytest.raises(PeerError, match="packet"):
        read(chunk("H", header) + chunk("D", packets[0] + b"x"))


@given(st.lists(st.integers(0, 20_000), max_size=12))
def test_cut_anywhere(cuts: list[int]) -> None:
    """However the answer is cut, the same comes out."""
    whole = made()
    places = sorted({0, len(whole), *(x % len(whole) for x in cuts)})
    pieces = [whole[a:b] for a, b in itertools.pairwise(places)]
    assert outcome(pieces) == outcome([whole])


@given(st.binary(max_size=300), st.integers(0, 3000), st.booleans())
def test_wrong_bytes(junk: bytes, at: int, in_header: bool) -> None:
    """Whatever the bytes, only a `PeerError` is raised."""
    whole = made()
    place = at % (800 if in_header else len(whole))
    outcome([whole[:place] + junk + whole[place + len(junk) :]])
    outcome([junk])


@cache
def made() -> bytes:
    """Return what a server sends, made once."""
    return stream(movie("asf", video="wmv2", audio="wmav2", seconds=0.4))


def test_requests() -> None:
    """2.2.1.4: what servers look at."""
    assert "request-context=1" in describe_fields()[0]
    fields = play_fields((1, 3))
    assert "xPlayStrm=1" in fields
    assert "stream-switch-count=2" in fields
    assert "stream-switch-entry=ffff:1:0 ffff:3:0" in fields
