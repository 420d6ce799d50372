"""Tests of ntvmedia.clients.http.containers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings, strategies as st
from twisted.internet.task import Clock

from ntvmedia.clients.http import containers
from ntvmedia.clients.http.containers import FLVReader, MPEGTSReader, Reader
from ntvmedia.errors import PeerError, RemoteError
from ntvmedia.formats import amf0
from ntvmedia.formats.flv import TagType, file_header, tag
from ntvmedia.media.packets import Codec, MediaKind, Packet, Track
from tests.clients.test_pacing import Sink
from tests.formats.hls_segments import ts
from tests.formats.ts_bytes import Wire

# As x264 and FFmpeg's aac write them: Baseline 64x64, and AAC LC 44.1 kHz stereo (FLV 10.1 E.4).
AVC_HEAD = bytes.fromhex("17 00 000000 0142c00affe1000b6742c00ada0410c6c0440001000468ce3c80")
AAC_HEAD = bytes.fromhex("af 00 1210")
KEYFRAME = bytes.fromhex("17 01 000028 00000003 658881")
PICTURE = bytes.fromhex("27 01 000000 00000003 419a02")
SOUND = bytes.fromhex("af 01 21104500")

HEADER = file_header(True, True)
META = tag(TagType.SCRIPT, 0, amf0.encode("onMetaData", amf0.ECMAArray({"width": 64.0})))
CAPTION = amf0.encode("onTextData", "hello")
TRACKS = tag(TagType.VIDEO, 0, AVC_HEAD) + tag(TagType.AUDIO, 0, AAC_HEAD)
# VP6 with an alpha channel, which nothing here carries (FLV 10.1 E.4.3.1).
ALPHA = tag(TagType.VIDEO, 0, b"\x15" + bytes(9))


def flv(sink: Any) -> Reader:
    """Return a reader of FLV, whose notes go to the sink too."""
    return FLVReader(sink, sink.noted)


def mpegts(sink: Any) -> Reader:
    """Return a reader of MPEG-TS, likewise."""
    return MPEGTSReader(sink, sink.noted)


def read(make: Callable[[Any], Reader], pieces: list[bytes], *, end: bool = True) -> list[Any]:
    """Return what comes of a body; an error is the last."""
    sink: Any = Sink(Clock())
    reader = make(sink)
    found: list[Any] = []
    try:
        for piece in pieces:
            reader.receive_data(piece)
        if end:
            reader.end()
    except (PeerError, RemoteError) as error:
        found = [type(error), str(error), getattr(error, "is_permanent", None)]
    items: list[Any] = sink.items()
    count = sum(isinstance(x, Packet) and x.track.codec is not Codec.AMF0 for x in items)
    assert reader.packets == count
    return items + found


def media(items: list[Any]) -> list[tuple[Codec, int, int, bool, bytes]]:
    """Return what packets are, plainly."""
    return [(x[0].codec, *x[1:5]) for x in items if isinstance(x, Packet)]


def test_flv() -> None:
    """Tracks, what is said, pictures in milliseconds of 90 kHz, sound, and captions."""
    times = tag(TagType.VIDEO, 1000, KEYFRAME) + tag(TagType.AUDIO, 1003, SOUND)
    more = tag(TagType.SCRIPT, 1010, CAPTION) + tag(TagType.VIDEO, 1040, PICTURE)
    items = read(flv, [HEADER + META + TRACKS + times + more])
    assert items[0] == {"width": 64.0}
    tracks = [item for item in items if isinstance(item, Track)]
    assert [track.codec for track in tracks] == [Codec.H264, Codec.AAC, Codec.AMF0]
    assert [track.config for track in tracks[:2]] == [AVC_HEAD[5:], AAC_HEAD[2:]]
    assert media(items) == [
        (Codec.H264, 90000, 93600, True, KEYFRAME[5:]),
        (Codec.AAC, 1003 * 44100 // 1000, 1003 * 44100 // 1000, True, SOUND[2:]),
        (Codec.AMF0, 1010, 1010, True, CAPTION),
        (Codec.H264, 93600, 93600, False, PICTURE[5:]),
    ]


def test_flv_wraps() -> None:
    """After 49 days the 32 bits of a time begin anew, and the stream goes on."""
    late = (1 << 32) - 20
    body = HEADER + TRACKS
    for time in (late, late + 40):
        body += tag(TagType.VIDEO, time & 0xFFFFFFFF, PICTURE)
    first, second = media(read(flv, [body]))
    assert second[1] - first[1] == 40 * 90


def test_flv_script() -> None:
    """What is for the player of a connection, or no AMF, is left out; the rest goes on."""
    for body in (
        amf0.encode("|RtmpSampleAccess", True, True),
        amf0.encode("onStatus", {"code": "x"}),
        amf0.encode(1.0),
        b"",
        b"\xff\xff",
        b"\x02\x00",
    ):
        sound = tag(TagType.AUDIO, 0, AAC_HEAD) + tag(TagType.AUDIO, 0, SOUND)
        items = read(flv, [HEADER + tag(TagType.SCRIPT, 0, body) + sound])
        assert [type(item) for item in items] == [Track, Packet], body
    assert read(flv, [HEADER + tag(TagType.SCRIPT, 0, amf0.encode("onMetaData", 1.0))]) == [{}]


def test_flv_unusable() -> None:
    """E-ST-05: what cannot be passed on is noted once; where there is nothing else, it is told."""
    items = read(flv, [HEADER + ALPHA * 3 + TRACKS + tag(TagType.AUDIO, 0, SOUND)])
    [note] = [x for x in items if isinstance(x, str)]
    assert note.startswith("some of it cannot be passed on: video codec id 5")
    with patch.object(containers, "PATIENCE_BYTES", 100):
        *_others, kind, words, is_permanent = read(flv, [HEADER + ALPHA * 3, ALPHA * 3])
        assert (kind, is_permanent) == (RemoteError, True)
        assert words.startswith("nothing of it can be passed on: ")
        # Silence, and media that are late, are no problem.
        assert RemoteError not in read(flv, [HEADER + META * 9])
        sound = tag(TagType.AUDIO, 0, AAC_HEAD) + tag(TagType.AUDIO, 0, SOUND)
        assert RemoteError not in read(flv, [HEADER + sound + ALPHA * 9, ALPHA * 9])


def test_flv_broken() -> None:
    """What is before the damage is given on."""
    good = HEADER + TRACKS + tag(TagType.AUDIO, 0, SOUND)
    items = read(flv, [good + b"\x09\xff\xff\xff" + bytes(100)])
    assert [type(item) for item in items[:3]] == [Track, Track, Packet]
    assert issubclass(items[3], PeerError)
    # One that is cut off is of no use, and no error.
    assert read(flv, [good + tag(TagType.AUDIO, 9, SOUND)[:-6]]) == items[:3]


def test_mpegts() -> None:
    """E-SR-05: pictures and sound; the last of them at the end; junk before them is passed over."""
    items = read(mpegts, [ts(0, 25)])
    assert {x.codec for x in items if isinstance(x, Track)} == {Codec.H264, Codec.AAC}
    pictures = [x for x in items if isinstance(x, Packet) and x.track.kind is MediaKind.VIDEO]
    assert [int(x.payload[-8:]) for x in pictures] == list(range(25))
    assert [b.dts - a.dts for a, b in pairwise(pictures)] == [3600] * 24
    before = read(mpegts, [ts(0, 25)], end=False)
    assert len(before) < len(items)
    assert media(read(mpegts, [b"\1" * 1000 + ts(0, 25)])) == media(items)


def mpeg2(count: int) -> bytes:
    """Return MPEG-TS of MPEG-2 pictures."""
    wire = Wire()
    wire.pat((1, 0x20))
    wire.pmt((0x02, 0x100, b""))
    for number in range(count):
        wire.pes(0x100, bytes(400), number * 3600, stream_id=0xE0, length=0)
    return wire.data


def test_mpegts_unusable() -> None:
    """E-ST-05: a codec that cannot be passed on is named, with what to do; alone it is the end."""
    clause = "to have it, choose a codec to make of it"
    body = mpeg2(50)
    items = read(mpegts, [body[:9400], body[9400:]])
    assert [type(item) for item in items] == [str]
    assert items[0].endswith(clause)
    with patch.object(containers, "PATIENCE_BYTES", 5000):
        note, kind, words, is_permanent = read(mpegts, [body])
        assert (note, kind, is_permanent) == (items[0], RemoteError, True)
        assert words.endswith("cannot be passed on as it is: choose a codec to make of it")


@pytest.mark.parametrize("make", [flv, mpegts])
def test_empty(make: Callable[[Any], Reader]) -> None:
    """Of nothing comes nothing."""
    assert read(make, []) == read(make, [b"", b""]) == []


PARTS = st.one_of(
    st.sampled_from([META, TRACKS, ALPHA, tag(TagType.SCRIPT, 20, CAPTION)]),
    st.builds(
        tag,
        st.sampled_from([TagType.VIDEO, TagType.AUDIO, TagType.SCRIPT]),
        st.integers(0, (1 << 32) - 1),
        st.sampled_from([KEYFRAME, PICTURE, SOUND, AAC_HEAD, AVC_HEAD]) | st.binary(max_size=12),
    ),
)
JUNK = st.binary(max_size=12)


def check_cuts(make: Callable[[Any], Reader], body: bytes, draw: st.DataObject) -> None:
    """However a body is cut, the same comes of it."""
    cuts = draw.draw(st.lists(st.integers(0, len(body)), max_size=6))
    pieces = [body[a:b] for a, b in pairwise([0, *sorted(cuts), len(body)])]
    whole = read(make, [body])
    found = read(make, pieces)
    # When a note is made depends on reads, and that it is made does not.
    assert [x for x in found if not _is_note(x)] == [x for x in whole if not _is_note(x)]
    assert bool([x for x in found if _is_note(x)]) == bool([x for x in whole if _is_note(x)])


def _is_note(item: Any) -> bool:
    return isinstance(item, str) and ("some of it" in item or "is left out" in item)


@settings(max_examples=60, deadline=None)
@given(st.lists(PARTS, max_size=8).map(b"".join), JUNK, st.data())
def test_flv_cuts(parts: bytes, junk: bytes, draw: st.DataObject) -> None:
    """Whatever comes: the same for every cut, and no error but those that are documented."""
    check_cuts(flv, HEADER + parts + junk, draw)


STREAM = ts(0, 10)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(STREAM) - 1), JUNK), max_size=4), st.data())
def test_mpegts_cuts(damage: list[tuple[int, bytes]], draw: st.DataObject) -> None:
    """E-SR-05: so with a stream that was damaged on its way."""
    body = bytearray(STREAM)
    for place, junk in damage:
        body[place : place + len(junk)] = junk
    check_cuts(mpegts, bytes(body), draw)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=4), st.sampled_from([flv, mpegts]))
def test_anything(pieces: list[bytes], make: Callable[[Any], Reader]) -> None:
    """No bytes raise what is not documented."""
    read(make, pieces)
