"""The moov box: its tracks; and ordinary files, read where their samples are."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats.fmp4_movie import Defaults, parse_movie
from ntvmedia.media import Codec, Track, to_milliseconds
from tests.codecs import vectors
from tests.formats import mp4_files
from tests.formats.mp4_bytes import (
    EMPTY,
    aac_entry,
    box,
    demux,
    full,
    moov,
    mvex,
    of_track,
    sound_entry,
    tables,
    trak,
    video_entry,
    words,
)
from tests.formats.mp4_files import CLIPS
from tests.fuzz.mutation import mutated

# "eng" in 3 times 5 bits (14496-12 8.4.2.3).
ENGLISH = struct.pack(">H", 5 << 10 | 14 << 5 | 7)
GUJARATI = struct.pack(">H", 7 << 10 | 21 << 5 | 10)


def test_tracks() -> None:
    """Pictures and sound in their order; numbers count by kind; what is off comes last."""
    movie = parse_movie(
        moov(
            trak(aac_entry(), track_id=9, timescale=48000, flags=0),
            trak(video_entry(), track_id=4),
            trak(box(b"text", bytes(8)), track_id=5, handler=b"text"),
            trak(aac_entry(), track_id=7, timescale=48000, language=ENGLISH),
            trak(sound_entry(b"samr"), track_id=8),
            mvex((7, 1, 1024, 5, 6), (8, 2, 3, 4, 5)),
        )
    )
    h264 = Track(Codec.H264, config=vectors.AVCC_1080)
    aac = Track(
        *(Codec.AAC, 0, 48000, vectors.AAC_LC_STEREO),
        channels=2,
        language="en",
    )
    second = Track(Codec.AAC, 1, 48000, vectors.AAC_LC_STEREO, channels=2)
    assert [(one.id, one.track) for one in movie.tracks] == [(4, h264), (7, aac), (9, second)]
    assert [one.defaults for one in movie.tracks] == [
        *(Defaults(), Defaults(1, 1024, 5, 6), Defaults())
    ]
    assert movie.defaults[8] == Defaults(2, 3, 4, 5)
    assert movie.is_fragmented
    assert movie.left_out == ("samr",)
    assert not parse_movie(moov(trak(video_entry()))).is_fragmented


@pytest.mark.parametrize(
    ("language", "more", "expected"),
    [
        (b"\x55\xc4", b"", ""),
        (ENGLISH, b"", "en"),
        (GUJARATI, b"", "guj"[:2]),
        (struct.pack(">H", 7 << 10 | 19 << 5 | 23), b"", "gsw"),
        # QuickTime's numbers: English, and "not told".
        (b"\0\0", b"", ""),
        (b"\x7f\xff", b"", ""),
        (ENGLISH, full(b"elng", b"pt-BR\0"), "pt-BR"),
        (ENGLISH, full(b"elng", b"no tag!\0"), "en"),
        (ENGLISH, full(b"elng"), "en"),
    ],
)
def test_languages(language: bytes, more: bytes, expected: str) -> None:
    """14496-12 8.4.2.3, 8.4.6: three letters, for which BCP 47 may have two; or a tag."""
    (one,) = parse_movie(moov(trak(video_entry(), language=language, more=more))).tracks
    assert one.track.language == expected


def test_headers_of_64_bits() -> None:
    """14496-12 8.2.2, 8.3.2, 8.4.2: version 1 has dates and durations of 64 bits."""
    plain = moov(trak(aac_entry(), track_id=3, timescale=48000, language=ENGLISH))
    (one,) = parse_movie(plain).tracks
    wide = plain
    for kind, short, long in (
        (b"mvhd", words(0, 0, 1000, 0), words(0, 0, 0, 0, 1000, 0, 0)),
        (b"tkhd", words(0, 0, 3, 0, 0), words(0, 0, 0, 0, 3, 0, 0, 0)),
        (b"mdhd", words(0, 0, 48000, 0), words(0, 0, 0, 0, 48000, 0, 0)),
    ):
        head, _kind, rest = wide.partition(kind)
        wide = head + kind + b"\1" + rest[1:4] + rest[4:].replace(short, long, 1)
    # The sizes of all boxes around are others now.
    wide = resized(wide)
    assert wide != plain
    assert parse_movie(wide).tracks[0][:4] == one[:4]


def resized(data: bytes) -> bytes:
    """Correct the sizes of boxes whose versions have grown by 12 bytes, and those around."""
    for kind, grown in ((b"mvhd", 12), (b"tkhd", 12), (b"mdhd", 12), (b"mdia", 12), (b"trak", 24)):
        place = data.index(kind) - 4
        size = int.from_bytes(data[place : place + 4], "big") + grown
        data = data[:place] + words(size) + data[place + 4 :]
    return words(len(data)) + data[4:]


def test_edits_and_clocks() -> None:
    """14496-12 8.6.6: the edit's delay is in the movie's ticks, its start in the media's."""
    edits = full(b"elst", words(2, 500, -1, 0x10000, 0, 1024, 0x10000))
    listed = tables([4, 4], chunks=[0], runs=[1, 2, 1], times=[2, 2048])
    movie = parse_movie(moov(trak(aac_entry(), listed, timescale=96000, edits=edits)))
    (one,) = movie.tracks
    assert [sample.dts for sample in one.samples] == [24000 - 512, 24000 + 512]
    assert one.end == 4096
    assert one.duration == 24000 + 1536


def test_packets() -> None:
    """A sample and its data are a packet; what is broken, empty or not read is none."""
    entries = video_entry() + video_entry(b"mp4v")
    listed = tables([9, 9], chunks=[0, 9], runs=[1, 1, 1, 2, 1, 2], sync=[2])
    (one,) = parse_movie(moov(trak(entries, listed, entries=2))).tracks
    first, second = one.samples
    packet = one.packet(first, b"\0\0\0\5\x65abcd")
    assert packet is not None
    assert packet == (one.track, 0, 0, False, b"\0\0\0\5\x65abcd")
    assert one.packet(first, b"\0\0\0\6\x65abcd") is None
    assert one.packet(first, b"") is None
    assert one.packet(second, b"\0\0\0\5\x65abcd") is None


def test_references_out_of_the_file() -> None:
    """14496-12 8.7.2: a file whose media are elsewhere has nothing to read."""
    for dref, is_read in (
        (full(b"url ", b"file:///etc/passwd\0"), False),
        (full(b"alis", b"somewhere"), False),
        (full(b"url "), True),
        (full(b"alis", b"here", flags=1), True),
    ):
        movie = parse_movie(moov(trak(video_entry(), dref=dref)))
        assert [one.track.codec for one in movie.tracks] == ([Codec.H264] if is_read else [])
        assert movie.left_out == (() if is_read else ("avc1",))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no whole moov"),
        (moov()[:-1], "no whole moov"),
        (box(b"ftyp"), "no whole moov"),
        (box(b"moov", box(b"cmov", words(1))), "compressed"),
        (moov(trak(video_entry(), timescale=0)), "timescale of 0"),
        (moov(box(b"trak")), "without mdia"),
        (moov(trak(video_entry()).replace(b"tkhd", b"free")), "without tkhd"),
        (moov(trak(video_entry()).replace(b"minf", b"free")), "without minf"),
        (moov(trak(video_entry()).replace(b"stbl", b"free")), "without stbl"),
        (moov(trak(video_entry()).replace(b"stsd", b"free")), "without stsd"),
        (moov(trak(video_entry()).replace(b"mdhd", b"free")), "without mdhd"),
        (moov(box(b"mvex", full(b"trex", words(1)))), "cut off"),
        (
            moov(
                trak(
                    sound_entry(b".mp3", rate=44100) + sound_entry(b".mp3", rate=48000),
                    entries=2,
                )
            ),
            "several sample rates",
        ),
    ],
)
def test_broken_movies(data: bytes, message: str) -> None:
    """F-RE-09: what is missing is named."""
    with pytest.raises(PeerError, match=message):
        parse_movie(data)


def test_no_handler() -> None:
    """A track that does not say what it is, is none of ours."""
    movie = parse_movie(moov(trak(video_entry()).replace(b"hdlr", b"free")))
    assert movie.tracks == () == movie.left_out


def test_a_movie_without_clock() -> None:
    """There are files whose mvhd says 0 ticks a second, or that have none."""
    edits = full(b"elst", words(1, 0, 0, 0x10000))
    for data in (
        moov(trak(video_entry(), edits=edits), timescale=0),
        box(b"moov", trak(video_entry(), edits=edits)),
    ):
        assert len(parse_movie(data).tracks) == 1


def test_limits() -> None:
    """F-RE-09: tracks, with or without defaults of fragments, have a limit."""
    tracks = [trak(video_entry(), track_id=number) for number in range(1, 66)]
    assert len(parse_movie(moov(*tracks[:64])).tracks) == 64
    with pytest.raises(LimitExceeded):
        parse_movie(moov(*tracks))
    defaults = [(number, 1, 1, 1, 1) for number in range(1, 66)]
    assert len(parse_movie(moov(mvex(*defaults[:64]))).defaults) == 64
    with pytest.raises(LimitExceeded):
        parse_movie(moov(mvex(*defaults)))


@pytest.mark.parametrize("name", ["avc.mp4", "ntsc.mp4", "vp9.mp4", "aac.mov", "sowt.mov"])
def test_read_as_ffmpeg_does(name: str) -> None:
    """Files with the moov box at the end: every sample by the tables, as FFmpeg sees it."""
    data = mp4_files.written(mp4_files.installed_ffmpeg(), name, *CLIPS[name])
    assert "random access" in str(demux([data])[1])
    movie = mp4_files.find_moov(data)
    read = mp4_files.by_random_access(data)
    theirs = mp4_files.ffmpeg_sees(data, name[-3:])
    assert len(theirs) == len(read) == len(movie.tracks)
    # The same with moov first, as the bytes come.
    streamed, _end = demux([mp4_files.ordinary(name)])
    for one in movie.tracks:
        track, packets = one.track, read[one.track.id]
        (seen,) = (found for kind, found in theirs if kind == str(track.kind))
        rate = track.clock_rate
        assert [(x.dts, x.pts, x.is_keyframe, x.payload) for x in packets] == [
            (round(x.dts * rate), round(x.pts * rate), x.is_keyframe, x.payload) for x in seen
        ]
        assert of_track(streamed, track) == packets
        assert 500 <= to_milliseconds(one.duration, rate) <= 1100
        # Any time has its sync sample.
        for index, packet in enumerate(packets):
            found = one.samples.seek(packet.pts)
            assert one.samples[found].is_sync
            assert one.samples[found].pts <= max(packet.pts, packets[0].pts)
            if packet.is_keyframe:
                assert found == index


SEEDS = [
    moov(trak(video_entry(), tables([5, 6, 7], chunks=[0], runs=[1, 3, 1], sync=[1]))),
    moov(
        trak(aac_entry(), EMPTY, edits=full(b"elst", words(1, 5, 6, 7))), mvex((1, 1, 1024, 4, 0))
    ),
    moov(
        trak(
            sound_entry(b"sowt"),
            b"".join(
                (
                    full(b"stts", words(1, 5000, 1)),
                    full(b"stsc", words(1, 1, 5000, 1)),
                    full(b"stsz", words(4, 5000)),
                    full(b"co64", words(1, 0, 99)),
                )
            ),
        )
    ),
]


@given(st.deferred(lambda: mutated(SEEDS)), st.integers(-(1 << 40), 1 << 40))
def test_changed_movies(data: bytes, time: int) -> None:
    """F-RE-09: whatever a moov box holds: samples that can be looked up, or `PeerError`."""
    try:
        movie = parse_movie(data)
    except PeerError:
        return
    for one in movie.tracks:
        count = len(one.samples)
        assert 0 <= one.samples.seek(time) <= max(0, count - 1)
        assert one.duration >= 0
        for index in {*range(min(count, 20)), *range(max(0, count - 20), count)}:
            sample = one.samples[index]
            assert sample.size >= 0
            one.packet(sample, b"\0\0\0\1\x65")
