"""Segments of HLS, whatever they are: what is read of each, and what goes on in the next."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats.hls_media import MAX_DISGUISE, SegmentDemuxer, is_media
from ntvmedia.media import MediaKind, Track
from tests.formats import packed_bytes
from tests.formats.hls_segments import (
    INIT,
    PICTURE,
    SECOND,
    STEP,
    VIDEO_PID,
    demux,
    endless,
    frames,
    mp4,
    packets,
    picture,
    pictures,
    tables,
    ts,
)
from tests.formats.mp4_bytes import BASE, PAYLOAD, SIZE, box, fragment, full, tfdt, traf, trun
from tests.formats.ts_bytes import Wire

PACKED = packed_bytes.timestamp(900_000) + packed_bytes.adts() * 3
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20


def test_mpegts_counters_begin_anew() -> None:
    """Segmenters count packets anew in each segment: no picture and no sound is lost."""
    events, damaged, error = demux([[ts(0, 25)], [ts(25, 25)], [ts(50, 25)]])
    assert pictures(events) == list(range(75))
    assert frames(events) == list(range(141))
    assert (damaged, error) == (0, "")
    video = [packet for packet in packets(events) if packet.track.kind is MediaKind.VIDEO]
    assert [packet.dts for packet in video] == [10 * SECOND + n * PICTURE for n in range(75)]


def test_mpegts_without_tables() -> None:
    """Where only the first segment has PAT and PMT they stay in force."""
    wire = Wire()
    first = ts(0, 5, wire=wire)
    wire.packets.clear()
    second = ts(5, 5, wire=wire)
    bare = b"".join(packet for packet in wire.packets if packet[1] & 0x1F == 1)
    assert len(bare) < len(second)
    events, damaged, _error = demux([[first], [bare]])
    assert pictures(events) == list(range(10))
    assert damaged == 0


def test_mpegts_pictures_that_span_segments() -> None:
    """Wherever segments are cut, also in a picture, all come out, once."""
    wire = Wire()
    tables(wire, sound=False)
    for n in range(6):
        data = picture(n, is_key=n == 0) + bytes(500) + b"%08d" % n
        wire.pes(VIDEO_PID, data, n * PICTURE, stream_id=0xE0, length=0)
    whole = demux([[wire.data]])
    assert pictures(whole[0]) == list(range(6))
    for place in range(len(wire.packets)):
        cut = place * 188
        assert demux([[wire.data[:cut]], [wire.data[cut:]]]) == whole


def test_mpegts_cut_off() -> None:
    """Of a segment that ends within a packet that one is lost, and nothing of the next."""
    for size in (1, 100, 187):
        events, damaged, error = demux([[ts(0, 5) + b"G" * size], [ts(5, 5)]])
        assert pictures(events) == list(range(10))
        assert (damaged, error) == (1, "")


def test_mpegts_behind_a_picture() -> None:
    """Segments that hosts of pictures should take for such: what is behind is found, each time."""
    events, _damaged, error = demux([[PNG + ts(0, 5)], [PNG + ts(5, 5)], [ts(10, 5)]])
    assert pictures(events) == list(range(15))
    assert frames(events) == list(range(29))
    assert error == ""


def test_mpegts_short() -> None:
    """A segment of one packet, or of two, is one as well."""
    wire = Wire()
    tables(wire, sound=False)
    wire.pes(VIDEO_PID, picture(0), 0, stream_id=0xE0, length=0)
    pieces = [[packet] for packet in wire.packets]
    events, damaged, error = demux(pieces)
    assert pictures(events) == [0]
    assert (damaged, error) == (0, "")


def test_mpegts_late_track() -> None:
    """A track that the first segment has not is there from where it begins."""
    events, _damaged, _error = demux([[ts(0, 5, sound=False)], [ts(5, 5)]])
    kinds = [event.kind for event in events if isinstance(event, Track)]
    assert kinds == [MediaKind.VIDEO, MediaKind.AUDIO]
    assert frames(events)[0] == 10


def test_mpegts_wrap() -> None:
    """The counter of 33 bits goes on over its wrap within a run, in all tracks."""
    start = (1 << 33) - SECOND
    events, _damaged, _error = demux([[ts(0, 25, start=start)], [ts(25, 25, start=start)]])
    video = [p.dts for p in packets(events) if p.track.kind is MediaKind.VIDEO]
    sound = [p.dts for p in packets(events) if p.track.kind is MediaKind.AUDIO]
    assert video == [start + n * PICTURE for n in range(50)]
    assert {b - a for a, b in pairwise(sound)} == {1024}
    assert abs(sound[0] - start * 48 / 90) <= 1


def test_mpegts_recovery_points() -> None:
    """Pictures that broadcasts have instead of IDR count as keyframes."""
    wire = Wire()
    tables(wire, sound=False)
    recovery = b"\0\0\0\1\x06\x06\x01\x84\x80"
    sets = picture(0)[: picture(0).index(b"\x65\x88")]
    data = sets[:-4] + recovery + b"\0\0\0\1\x41\x9a%08d" % 0
    wire.pes(VIDEO_PID, data, 0, stream_id=0xE0, length=0)
    events, _damaged, _error = demux([[wire.data]])
    assert [packet.is_keyframe for packet in packets(events)] == [True]


def test_mp4() -> None:
    """Fragments that follow their initialization section, in segments of their own."""
    events, damaged, error = demux([[mp4(n)] for n in range(5)], INIT)
    video, sound = (
        [packet for packet in packets(events) if packet.track.kind is kind]
        for kind in (MediaKind.VIDEO, MediaKind.AUDIO)
    )
    assert [packet.dts for packet in video] == [n * STEP for n in range(5)]
    assert [packet.payload for packet in sound] == [b"aac%d" % n for n in range(5)]
    assert (damaged, error) == (0, "")


def test_mp4_without_times() -> None:
    """Fragments that do not tell their times go on where the ones before end, over segments."""
    events, _damaged, _error = demux([[mp4(7)], [mp4(0, timed=False)], [mp4(0, timed=False)]], INIT)
    assert [p.dts for p in packets(events) if p.track.kind is MediaKind.VIDEO] == [700, 800, 900]


def test_mp4_with_moov_in_each() -> None:
    """Segments that have their initialization section in them need none."""
    whole = demux([[mp4(n)] for n in range(3)], INIT)
    assert demux([[INIT + mp4(n)] for n in range(3)]) == whole


def test_mp4_cut_off() -> None:
    """Of a segment that is cut off only that is lost; the next one is read from its start."""
    for size in range(len(mp4(1))):
        events, damaged, error = demux([[mp4(0)], [mp4(1)[:size]], [mp4(2)]], INIT)
        if size >= 16:
            assert error == ""
            times = {p.dts for p in packets(events) if p.track.kind is MediaKind.VIDEO}
            assert {0, 200} <= times <= {0, 100, 200}
            assert damaged == (len(packets(events)) < 6 and size != 16)


def test_mp4_box_without_size() -> None:
    """The last box of a segment need not tell its size: it ends where the segment does."""
    events, damaged, error = demux([[endless(mp4(n))] for n in range(3)], INIT)
    assert events == demux([[mp4(n)] for n in range(3)], INIT)[0]
    assert (damaged, error) == (0, "")


def test_mp4_of_a_larger_file() -> None:
    """Fragments that tell where their data are in their file are read in segments too."""
    whole = demux([[mp4(n)] for n in range(3)], INIT)
    assert demux([[mp4(n, base=10_000 + n)] for n in range(3)], INIT) == whole
    data = fragment(
        traf(1, tfdt(0), trun(1, 0), flags=BASE, fields=(5000).to_bytes(8, "big")),
        traf(2, tfdt(0), trun(1, 0), flags=BASE, fields=(5000 + SIZE).to_bytes(8, "big")),
        data=PAYLOAD + b"aac0",
    )
    assert packets(demux([[data]], INIT)[0]) == packets(whole[0])[:2]


def test_new_initialization_section() -> None:
    """Another one within a run changes the tracks; times go on as they are told."""
    demuxer = SegmentDemuxer()
    found = []
    for number, init in enumerate((INIT, INIT.replace(b"mp4a", b"mp4x"), INIT)):
        demuxer.init_section(init)
        demuxer.begin()
        demuxer.receive_data(mp4(number))
        found.append([packet.dts for packet in packets([*demuxer.events(), *demuxer.end()])])
    assert found == [[0, 0], [100], [200, 2048]]
    assert not list(demuxer.flush())


def test_initialization_section_stays() -> None:
    """Behind a discontinuity the section of before is in force where there is no other."""
    demuxer, events = SegmentDemuxer(), []
    demuxer.init_section(INIT)
    for _run in range(2):
        demuxer.begin(discontinuity=True)
        demuxer.receive_data(mp4(5))
        events += [*demuxer.events(), *demuxer.end(), *demuxer.flush()]
    assert len(packets(events)) == 4


def test_packed_audio() -> None:
    """Raw AAC with its time in a tag; without one it is told that times were counted."""
    events, damaged, error = demux([[PACKED], [packed_bytes.adts() * 2]])
    assert [packet.dts for packet in packets(events)] == [480000 + n * 1024 for n in range(5)]
    assert (damaged, error) == (0, "")
    for data, told in ((PACKED, True), (packed_bytes.adts() * 5, False), (ts(0, 1), True)):
        demuxer = SegmentDemuxer()
        assert demuxer.has_times
        demuxer.begin()
        demuxer.receive_data(data)
        assert packets([*demuxer.events(), *demuxer.end()])
        assert demuxer.has_times is told


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (ts(0, 5), "mpegts"),
        (ts(0, 1)[:188], "mpegts"),
        (PNG + ts(0, 5), "mpegts"),
        (mp4(0), "mp4"),
        (INIT, "mp4"),
        (box(b"ftyp", b"isom", bytes(4)), "mp4"),
        (endless(mp4(0)), "mp4"),
        (PACKED, "packed_audio"),
        (packed_bytes.adts() * 3, "packed_audio"),
        (packed_bytes.MP3 * 3, "packed_audio"),
        (packed_bytes.AC3 * 3, "packed_audio"),
        (packed_bytes.EAC3 * 3, "packed_audio"),
    ],
)
def test_kinds(data: bytes, kind: str) -> None:
    """What a segment is, its first bytes tell, whatever its name."""
    demuxer = SegmentDemuxer()
    demuxer.init_section(INIT if kind == "mp4" else b"")
    demuxer.begin()
    assert demuxer.kind == ""
    demuxer.receive_data(data)
    list(demuxer.events())
    list(demuxer.end())
    assert demuxer.kind == kind
    assert is_media(data, True)
    assert not is_media(data[:8], False)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<!DOCTYPE html><title>no</title>", "an HTML page"),
        (b"\n\n <HTML>", "an HTML page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Error/>", "XML"),
        (json.dumps({"error": "gone"}).encode(), "JSON"),
        (b"#EXTM3U\n#EXTINF:1,\na.ts\n", "a playlist"),
        (b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n", "WebVTT subtitles"),
        (PNG, "a PNG picture"),
        (b"GIF89a" + bytes(500), "a GIF picture"),
        (b"\xff\xd8\xff\xe0" + bytes(500), "a JPEG picture"),
        (b"\x1f\x8b\x08" + bytes(50), "gzip"),
        (bytes(range(200)) * 400, "(a wrong key?)"),
        (b"\0", "(a wrong key?)"),
    ],
)
def test_no_media(data: bytes, name: str) -> None:
    """What comes instead of a segment is named, as far as it can be told."""
    _events, _damaged, error = demux([[data]])
    assert "neither MPEG-TS, MP4 nor packed audio" in error
    assert name in error
    with pytest.raises(PeerError) as caught:
        is_media(data, True)
    assert str(caught.value) == error


def test_no_media_is_told_soon() -> None:
    """Not more than 64 kB are kept to find out."""
    assert not is_media(bytes(MAX_DISGUISE - 1), False)
    with pytest.raises(PeerError):
        is_media(bytes(MAX_DISGUISE), False)
    with pytest.raises(PeerError, match="empty"):
        is_media(b"", True)


def test_no_initialization_section() -> None:
    """A page instead of an initialization section is named; and MP4 without any is an error."""
    with pytest.raises(PeerError, match=r"initialization section .* an HTML page"):
        SegmentDemuxer().init_section(b"<html></html>")
    assert "before the moov box" in demux([[mp4(0)]])[2]


def test_empty() -> None:
    """Segments without bytes, and runs without segments, are nothing."""
    assert demux([]) == ([], 0, "")
    assert demux([[], [b""]], INIT) == ([], 0, "")
    assert demux([[ts(0, 5)], [], [ts(5, 5)]]) == demux([[ts(0, 5)], [ts(5, 5)]])


def test_kind_changes() -> None:
    """Where the next segment is of another kind the one before ends, with all that it had."""
    events, damaged, error = demux([[ts(0, 5)], [mp4(3)], [PACKED], [ts(0, 5)]], INIT)
    assert [packet.dts for packet in packets(events)][-1] == 10 * SECOND + 4 * PICTURE
    assert len([event for event in events if isinstance(event, Track)]) == 7
    assert len(packets(events)) == 2 * (5 + 10) + 2 + 3
    assert (damaged, error) == (0, "")


def test_order_of_use() -> None:
    """Whoever forgets to begin, to end or to flush is told."""
    demuxer = SegmentDemuxer()
    with pytest.raises(UsageError):
        demuxer.receive_data(b"")
    demuxer.begin()
    with pytest.raises(UsageError):
        demuxer.begin()
    with pytest.raises(UsageError):
        list(demuxer.flush())
    demuxer.receive_data(ts(0, 2))
    list(demuxer.events())
    list(demuxer.end())
    with pytest.raises(UsageError):
        demuxer.begin(discontinuity=True)
    assert demuxer.buffered
    list(demuxer.flush())
    assert not demuxer.buffered
    demuxer.begin(discontinuity=True)


segments = st.sampled_from(
    (
        ts(0, 3),
        ts(3, 3),
        ts(0, 2, keys=())[188:],
        ts(6, 2)[:-100],
        PNG + ts(8, 2),
        mp4(0),
        mp4(1),
        mp4(2)[:-20],
        endless(mp4(3)),
        INIT + mp4(4),
        PACKED,
        PACKED[:-4],
        packed_bytes.adts() * 2,
        packed_bytes.EAC3 + packed_bytes.EAC3_DEPENDENT,
        b"<html>",
        b"",
        full(b"free", bytes(30)),
    )
)


@settings(max_examples=60)
@given(st.lists(segments, max_size=4), st.data())
def test_cuts_do_not_matter(parts: list[bytes], data: st.DataObject) -> None:
    """However segments are cut, good or bad, the same events and the same error come out."""
    whole = demux([[part] for part in parts], INIT)
    pieces = []
    for part in parts:
        cuts = data.draw(st.lists(st.integers(0, len(part)), max_size=5))
        pieces.append([part[a:b] for a, b in pairwise([0, *sorted(cuts), len(part)])])
    assert demux(pieces, INIT) == whole
    small = [part for part in parts if len(part) < 6000]
    assert demux([[part[n : n + 1] for n in range(len(part))] for part in small], INIT) == demux(
        [[part] for part in small], INIT
    )


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=600), max_size=3), st.sampled_from((b"", INIT)))
def test_any_bytes(parts: list[bytes], init: bytes) -> None:
    """Nothing but `PeerError` is raised, whatever the bytes."""
    demux([[part] for part in parts], init)
    demux([[b"G" + part.ljust(187) + b"G" + part] for part in parts], init)
