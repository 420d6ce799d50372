"""Packed audio of HLS: frames, tags, what is cut off, and what is none."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats.packed_audio import MAX_JUNK, Demuxer, Event
from ntvmedia.media import Codec, Packet, Track
from tests.formats.packed_bytes import (
    AC3,
    EAC3,
    EAC3_DEPENDENT,
    MP3,
    adts,
    demux,
    frame,
    tag,
    timestamp,
)

KINDS = {Codec.AAC: adts(), Codec.MP3: MP3, Codec.AC3: AC3, Codec.EAC3: EAC3}


def packets(events: list[Event]) -> list[Packet]:
    """Keep packets."""
    return [event for event in events if isinstance(event, Packet)]


def times(events: list[Event]) -> list[int]:
    """Return the decode times of packets."""
    return [packet.dts for packet in packets(events)]


@pytest.mark.parametrize("codec", KINDS)
def test_kinds(codec: Codec) -> None:
    """All formats of RFC 8216 section 3.4: a track, and packets that are counted on from 0."""
    data = KINDS[codec]
    events, damaged, error = demux([[data * 3]])
    assert (damaged, error) == (0, "")
    track, first, second, third = events
    assert isinstance(track, Track)
    assert track.codec is codec
    samples = {Codec.AAC: 1024, Codec.MP3: 1152}.get(codec, 1536)
    payload = data[7:] if codec is Codec.AAC else data
    assert [first, second, third] == [
        Packet(track, n * samples, n * samples, True, payload) for n in range(3)
    ]


@pytest.mark.parametrize("codec", KINDS)
def test_tag_tells_the_time(codec: Codec) -> None:
    """The first frame behind a tag has its time, in the clock of the track."""
    data = KINDS[codec]
    events, damaged, _error = demux([[timestamp(900_000) + data * 2]])
    rate = packets(events)[0].track.clock_rate
    assert times(events)[0] == 10 * rate
    assert damaged == 0


def test_has_times() -> None:
    """Whether a tag told a time can be asked."""
    for data, told in ((adts() * 2, False), (timestamp(0) + adts() * 2, True)):
        demuxer = Demuxer()
        demuxer.receive_data(data)
        assert list(demuxer.events()) + list(demuxer.flush())
        assert demuxer.has_times is told


def test_small_differences_are_rounding() -> None:
    """Times of 90 kHz that are rounded make no gaps; what is half a frame off does."""
    second = 2 * 1024 * 90000 // 48000
    exact = [[timestamp(0) + adts() * 2], [timestamp(second + 3) + adts()]]
    assert times(demux(exact)[0]) == [0, 1024, 2048]
    late = [[timestamp(0) + adts() * 2], [timestamp(second + 9000) + adts()]]
    assert times(demux(late)[0]) == [0, 1024, 2048 + 4800]


def test_several_tags() -> None:
    """Tags behind one another, with a picture of 100 kB, and in the middle of a segment."""
    large = tag(frame(b"APIC", bytes(100_000)))
    data = large + timestamp(90000) + tag(b"") + adts() * 2 + large + timestamp(180000) + adts() * 2
    events, damaged, error = demux([[data]])
    assert times(events) == [48000, 49024, 96000, 97024]
    assert (damaged, error) == (0, "")


def test_wrap() -> None:
    """Times of 33 bits go on over their wrap, forwards and back."""
    top = 1 << 33
    events, _damaged, _error = demux(
        [
            [timestamp(top - 90000) + adts() * 2],
            [timestamp(90000) + adts() * 2],
            [timestamp(top - 45000) + adts() * 2],
        ]
    )
    start = (top - 90000) * 48 // 90
    assert times(events) == [
        *(start, start + 1024),
        *(start + 96000, start + 97024),
        *(start + 24000, start + 25024),
    ]


def test_cut_frame_before_a_segment() -> None:
    """A segment that is cut off in a frame loses that frame; the next begins with its own."""
    whole, other = adts(b"first" * 20), adts(b"next!" * 20)
    for following in (timestamp(90000) + other * 2, other * 2):
        events, damaged, error = demux([[whole * 2 + whole[:50]], [following]])
        assert [packet.payload for packet in packets(events)] == [
            *[b"first" * 20] * 2,
            *[b"next!" * 20] * 2,
        ]
        assert (damaged, error) == (1, "")


def test_frame_that_spans_segments() -> None:
    """Where a file was cut anywhere, the frame in the middle is put together."""
    data = b"".join(adts(bytes((n,)) * 100) for n in range(6))
    for place in (1, 5, 150, 321, 400):
        events, damaged, error = demux([[data[:place]], [data[place:]]])
        assert [packet.payload[0] for packet in packets(events)] == list(range(6))
        assert times(events) == [n * 1024 for n in range(6)]
        assert (damaged, error) == (0, "")


def test_cut_frame_before_a_tag() -> None:
    """A frame that a tag cuts short, in one segment, is left out, and the tag counts."""
    whole = adts(b"f" * 200)
    events, damaged, _error = demux([[whole * 2 + whole[:60] + timestamp(90000) + whole * 2]])
    assert times(events) == [0, 1024, 48000, 49024]
    assert damaged == 1


def test_garbage() -> None:
    """What is no frame is passed over, also what looks like the beginning of one."""
    for junk in (b"\0" * 500, b"\xff\xf1" * 40, b"ID3", b"\x0b\x77" * 20, b"TAG".ljust(128)):
        events, damaged, error = demux([[junk + adts() * 2 + junk + adts() * 2 + junk]])
        assert times(events) == [0, 1024, 2048, 3072]
        assert (damaged, error) == (3, "")


def test_dependent_substreams() -> None:
    """E-AC-3: what depends on a substream is in its packet, also at the end, and counts once."""
    unit = EAC3 + EAC3_DEPENDENT
    events, damaged, _error = demux([[unit * 3], [timestamp(90000) + unit * 2]])
    assert [packet.payload for packet in packets(events)] == [unit] * 5
    assert times(events) == [0, 1536, 3072, 48000, 49536]
    assert damaged == 0


def test_another_codec() -> None:
    """Behind a tag there may be another codec: another track from there on."""
    events, damaged, _error = demux([[timestamp(0) + adts() * 2], [timestamp(90000) + MP3 * 3]])
    assert [track.codec for track in events if isinstance(track, Track)] == [Codec.AAC, Codec.MP3]
    assert times(events) == [0, 1024, 44100, 45252, 46404]
    assert damaged == 0


def test_no_packed_audio() -> None:
    """Too much junk, or nothing else, is an error; a tag alone is none, and nothing neither."""
    assert "no packed audio" in demux([[bytes(MAX_JUNK + 2)]])[2]
    assert "no packed audio" in demux([[b"<html>"]])[2]
    assert demux([[adts() * 2 + bytes(MAX_JUNK + 100)]])[2].startswith("no packed audio at byte 32")
    assert demux([[timestamp(0)]]) == ([], 0, "")
    assert demux([]) == ([], 0, "")


def test_spent() -> None:
    """Behind the end, and behind an error, nothing is read."""
    demuxer = Demuxer()
    assert list(demuxer.flush()) == []
    with pytest.raises(UsageError):
        list(demuxer.events())
    demuxer = Demuxer()
    demuxer.receive_data(bytes(MAX_JUNK + 100))
    with pytest.raises(PeerError):
        list(demuxer.events())
    with pytest.raises(UsageError):
        list(demuxer.flush())


units = st.sampled_from(
    (
        adts(b"x" * 30),
        adts(b"y" * 200),
        adts(b"cut" * 20)[:40],
        timestamp(12345),
        timestamp((1 << 33) - 5),
        tag(frame(b"TIT2", b"title")),
        MP3,
        EAC3,
        EAC3_DEPENDENT,
        b"junk",
        b"\xff",
        b"\xff\xf1\x50",
        b"ID3\x04\0\0\0\0\x10\0",
    )
)


@settings(max_examples=100)
@given(st.lists(st.lists(units, max_size=6), max_size=3), st.data())
def test_cuts_do_not_matter(segments: list[list[bytes]], data: st.DataObject) -> None:
    """However segments are cut, good or bad, the same events and the same error come out."""
    whole = [b"".join(parts) for parts in segments]
    pieces = []
    for segment in whole:
        cuts = data.draw(st.lists(st.integers(0, len(segment)), max_size=6))
        places = [0, *sorted(cuts), len(segment)]
        pieces.append([segment[a:b] for a, b in pairwise(places)])
    assert demux(pieces) == demux([[segment] for segment in whole])
    assert demux([[segment[n : n + 1] for n in range(len(segment))] for segment in whole]) == demux(
        [[segment] for segment in whole]
    )


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=300), max_size=3))
def test_any_bytes(segments: list[bytes]) -> None:
    """Nothing but `PeerError` is raised, whatever the bytes."""
    demux([[segment] for segment in segments])
