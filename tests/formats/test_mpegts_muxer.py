"""Tests of ntvmedia.formats.mpegts_muxer, mpegts_clock and mpegts_frames."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.codecs import aac
from ntvmedia.formats.mpegts_muxer import Muxer
from ntvmedia.media import Codec, Packet, Track, from_milliseconds
from tests.codecs import vectors
from tests.formats import ts_bytes
from tests.formats.flv_bytes import nal_units
from tests.formats.ts_bytes import (
    AAC,
    AC3,
    AC3_FRAME,
    AUDIO_PID,
    EAC3,
    H264,
    HEVC,
    MP3,
    MP3_FRAME,
    OPUS,
    OPUS_FRAME,
    SECOND,
    SPS,
    START,
    VIDEO_PID,
    audio,
    interleaved,
    mux,
    read,
    units,
    video,
)


def test_golden_start() -> None:
    """C-TS-01, C-TS-02: the first packets of a stream, byte by byte."""
    data = mux([video(0)], H264)
    assert data[:21] == bytes.fromhex("47400010 00 00b00d0001c100000001f000 2ab104b2")[:21]
    pmt = bytes.fromhex("475000 10 00 02b0120001c10000e100f000 1be100f000")
    assert data[188 : 188 + len(pmt)] == pmt
    # Unit start, PID 0x100; random access and PCR: 10 s less 0.4 s, as a base of 33 bits.
    es = bytes.fromhex("0000000109f0 00000001") + SPS
    head = bytes.fromhex("000001e0 0042 84 80 05 21 00 37 77 41")
    start = data[376:]
    assert start[:4] == bytes.fromhex("47410030")
    pcr = (START - 36000) << 15 | 0x7E00
    stuffed = start[4]
    assert start[5] == 0x50 and start[6:12] == pcr.to_bytes(6, "big")
    assert set(start[12 : 5 + stuffed]) == {0xFF}
    assert start[5 + stuffed :].startswith(head + es)
    assert len(data) == 3 * 188


@pytest.mark.parametrize(
    ("tracks", "types", "pcr_pid"),
    [
        ([H264, AAC], {VIDEO_PID: 0x1B, AUDIO_PID: 0x0F}, VIDEO_PID),
        ([AAC, H264], {AUDIO_PID: 0x0F, VIDEO_PID: 0x1B}, VIDEO_PID),
        ([H264], {VIDEO_PID: 0x1B}, VIDEO_PID),
        ([AAC], {AUDIO_PID: 0x0F}, AUDIO_PID),
        ([HEVC, OPUS], {VIDEO_PID: 0x24, AUDIO_PID: 0x06}, VIDEO_PID),
        ([MP3], {AUDIO_PID: 0x03}, AUDIO_PID),
        ([replace(MP3, clock_rate=22050)], {AUDIO_PID: 0x04}, AUDIO_PID),
        ([AC3, replace(EAC3, number=1)], {AUDIO_PID: 0x81, AUDIO_PID + 4: 0x87}, AUDIO_PID),
        ([Track(Codec.VP9), AAC], {AUDIO_PID: 0x0F}, AUDIO_PID),
        ([], {}, 0x1FFF),
    ],
)
def test_table_lists_what_is_there(
    tracks: list[Track], types: dict[int, int], pcr_pid: int
) -> None:
    """C-TS-04, C-TS-07: the PMT has exactly the tracks that are sent, and PCRs where one is."""
    seen = read(mux([], *tracks))
    assert [programs for _index, programs in seen.pats] == [{1: 0x1000}]
    ((_index, version, found, streams),) = seen.pmts
    assert (version, found) == (0, pcr_pid)
    assert {pid: kind for pid, (kind, _descriptors) in streams.items()} == types


def test_descriptors() -> None:
    """C-TS-07: what players know the newer codecs by."""
    ((_index, _version, _pcr, streams),) = read(
        mux([], HEVC, OPUS, replace(AC3, number=1), replace(EAC3, number=2))
    ).pmts
    assert [descriptors for _kind, descriptors in streams.values()] == [
        bytes.fromhex("0504") + b"HEVC",
        bytes.fromhex("0504") + b"Opus" + bytes.fromhex("7f028002"),
        bytes.fromhex("0504") + b"AC-3",
        bytes.fromhex("0504") + b"EAC3",
    ]


def test_large_picture() -> None:
    """C-TS-01: 1 MB in one PES packet, which cannot tell its length."""
    payload = nal_units(b"\x65" + bytes(1_000_000))
    seen = read(mux([Packet(H264, 0, 0, True, payload)], H264))
    assert seen.pes[0].length == 0
    assert len(seen.pes[0].data) > 1_000_000


def test_clock_with_sound_and_pictures() -> None:
    """C-TS-02: 10 s at each of several frame rates; keyframes can be begun with."""
    for fps in (5, 24, 25, 30, 60):
        sound = [audio(n) for n in range(470)]
        pictures = [video(n, fps=fps) for n in range(10 * fps)]
        seen = read(mux(interleaved(pictures, sound), H264, AAC))
        ts_bytes.check_clock(seen)
        assert {pid for _index, pid, _pcr in seen.pcrs} == {VIDEO_PID}
        assert [pes.random_access for pes in seen.of(VIDEO_PID)] == [
            p.is_keyframe for p in pictures
        ]
        assert all(pes.pcr for pes in seen.of(VIDEO_PID) if pes.random_access)
        assert seen.pes[0].pts == START


@pytest.mark.parametrize("tracks", [[AAC], [H264]])
def test_clock_of_one_track(tracks: list[Track]) -> None:
    """C-TS-02, C-TS-10: audio-only has its PCRs on the audio PID, video-only on its own."""
    sent = [audio(n) for n in range(100)] if tracks == [AAC] else [video(n) for n in range(50)]
    seen = read(mux(sent, *tracks))
    ts_bytes.check_clock(seen)
    assert {pid for _index, pid, _pcr in seen.pcrs} == {seen.pes[0].pid}
    assert seen.fills == 0


def test_rare_pictures() -> None:
    """C-TS-02: one picture in 3 s: PCRs come alone between; after a minute's silence none are."""
    seen = read(mux([video(n * 75) for n in range(5)], H264))
    ts_bytes.check_clock(seen)
    assert seen.fills == 4 * 29
    quiet = read(mux([video(0), video(25 * 60)], H264))
    assert quiet.fills == 0
    assert [pcr for _index, _pid, pcr in quiet.pcrs] == [
        (START - 36000) * 300,
        (START + 60 * SECOND - 36000) * 300,
    ]


def test_b_frames() -> None:
    """C-TS-02: presentation after decoding; a publisher's negative composition time is not kept."""
    times = [(0, 7200), (3600, 18000), (7200, 10800), (10800, 9000)]
    packets = [Packet(H264, dts, pts, n == 0, ts_bytes.IDR) for n, (dts, pts) in enumerate(times)]
    seen = read(mux(packets, H264))
    ts_bytes.check_clock(seen)
    assert [(pes.dts - START, pes.pts - START) for pes in seen.pes] == [
        *times[:3],
        (10800, 10800),
    ]


@pytest.mark.parametrize("lag_seconds", [0.25, 0.5, 1.0, 4.0])
def test_lagging_sound(lag_seconds: float) -> None:
    """C-TS-02: sound that comes late: the PCR waits for it once, and holds from then on."""
    pictures = [(n / 25, video(n)) for n in range(500)]
    sound = [(n * 1024 / 48000 + lag_seconds, audio(n)) for n in range(960)]
    order = [packet for _time, packet in sorted(pictures + sound, key=lambda pair: pair[0])]
    first = next(n for n, packet in enumerate(order) if packet.track is AAC)
    muxer = Muxer([H264, AAC])
    parts = [muxer.tables()]
    counters: dict[int, int] = {}
    for packet in order[:first]:
        muxer.packet(packet, parts)
    seen = read(b"".join(parts), counters)
    last_pcr = seen.pcrs[-1][2] // 300
    parts = [muxer.tables()]
    for packet in order[first:]:
        muxer.packet(packet, parts)
    after = read(b"".join(parts), counters)
    assert all(b > a for (_i, _p, a), (_j, _q, b) in pairwise(seen.pcrs + after.pcrs))
    # The sound that was there already when the PCR had gone by is late; none is later on.
    late = [pes for pes in after.of(AUDIO_PID) if pes.dts < last_pcr]
    assert len(late) <= max(0, lag_seconds - 0.4) * 48000 / 1024 + 1
    for pes in after.pes:
        if pes not in late:
            pcrs = [pcr for index, _pid, pcr in after.pcrs if index <= pes.last]
            assert not pcrs or pcrs[-1] // 300 <= pes.dts
    # And the PCR went on at the distance of that lag and 0.1 s.
    assert after.pcrs[-1][2] // 300 <= after.of(AUDIO_PID)[-1].dts
    steps = [b - a for (_i, _p, a), (_j, _q, b) in pairwise(after.pcrs[40:])]
    assert max(steps) <= 27_000_000 // 10


def test_track_that_stops() -> None:
    """C-TS-02: PCRs go on with the pictures when the sound ends."""
    sent = interleaved([video(n) for n in range(250)], [audio(n) for n in range(100)])
    ts_bytes.check_clock(read(mux(sent, H264, AAC)))


MILLISECONDS_44 = [round(n * 1024 * 1000 / 44100) for n in range(2000)]


def test_rounded_times_make_no_gaps() -> None:
    """C-TS-05: times in milliseconds, counted on by samples: each frame where the last one ends."""
    track = Track(Codec.AAC, clock_rate=44100, config=bytes.fromhex("1210"), channels=2)
    sent = [
        Packet(track, at, at, True, b"!sound")
        for at in (from_milliseconds(ms, 44100) for ms in MILLISECONDS_44)
    ]
    seen = read(mux(sent, track))
    assert [pes.pts for pes in seen.pes] == [
        START + (n * 1024 * 90000 + 22050) // 44100 for n in range(2000)
    ]
    ts_bytes.check_clock(seen)


@pytest.mark.parametrize(
    ("shift", "kept"), [(511, True), (-511, True), (513, False), (-513, False), (48000, False)]
)
def test_resynchronised(shift: int, kept: bool) -> None:
    """C-TS-05: what differs by more than half a frame is no rounding."""
    sent = [audio(n) for n in range(10)] + [audio(n, start=shift) for n in range(10, 20)]
    seen = read(mux(sent, AAC))
    expected = 10 * 1024 if kept else 10 * 1024 + shift
    assert seen.pes[10].pts == START + (expected * 90000 + 24000) // 48000


@pytest.mark.parametrize(
    ("track", "frame", "ticks"),
    [(MP3, MP3_FRAME, 1152), (AC3, AC3_FRAME, 1536), (OPUS, OPUS_FRAME, 960)],
)
def test_other_codecs_are_counted_too(track: Track, frame: bytes, ticks: int) -> None:
    """C-TS-05: the frame itself tells how long it is."""
    rate = track.clock_rate
    sent = [
        Packet(track, at, at, True, frame)
        for at in (from_milliseconds(n * ticks * 1000 // rate, rate) for n in range(50))
    ]
    seen = read(mux(sent, track))
    assert [pes.pts for pes in seen.pes] == [
        START + (n * ticks * 90000 + rate // 2) // rate for n in range(50)
    ]


def test_times_that_fall_back() -> None:
    """C-TS-02: decode times grow, even where a caller's do not."""
    seen = read(mux([audio(5), audio(2), audio(3), video(9), video(4)], H264, AAC))
    for pid in (VIDEO_PID, AUDIO_PID):
        assert all(a.dts < b.dts for a, b in pairwise(seen.of(pid)))
    assert seen.jumps == []


@pytest.mark.parametrize(
    "hours",
    [
        4 + 39 / 60,
        13 + 15 / 60,
        24.86 * 24,
        (1 << 33) / 90000 / 3600,
        28 + 28 / 60,
        49.7 * 24,
    ],
)
def test_long_runs(hours: float) -> None:
    """C-TS-08, G-RS-10: over 26 h 30 m, where 33 bits wrap, 28 h 28 m and others: all goes on."""
    seconds = round(hours * 3600) - 2
    for start in (seconds, seconds - 10):  # times begin at 10 s: the wrap is earlier by as much
        pictures = [video(n, start=start * SECOND) for n in range(100)]
        sound = [audio(n, start=start * 48000) for n in range(180)]
        seen = read(mux(interleaved(pictures, sound), H264, AAC))
        ts_bytes.check_clock(seen)
        expected = [(packet.pts + START) % (1 << 33) for packet in pictures]
        assert [pes.pts for pes in seen.of(VIDEO_PID)] == expected


@pytest.mark.parametrize("gather", [0.0, 0.15])
def test_new_timeline(gather: float) -> None:
    """C-PL-15: a stream that is published anew begins at 0: times do, and counters go on."""
    counters: dict[int, int] = {}
    muxer = Muxer([H264, AAC], audio_gather_seconds=gather)
    for begin in (500, 0, 200, 0):  # seconds: later, earlier, later, earlier
        parts = [muxer.tables()]
        for packet in interleaved(
            [video(n, start=begin * SECOND) for n in range(50)],
            [audio(n, start=begin * 48000) for n in range(90)],
        ):
            muxer.packet(packet, parts)
        muxer.flush(parts)
        seen = read(b"".join(parts), counters)
        ts_bytes.check_clock(seen)
        assert [pes.dts for pes in seen.of(VIDEO_PID)] == [
            START + begin * SECOND + n * 3600 for n in range(50)
        ]
        assert seen.of(AUDIO_PID)[0].dts == START + begin * SECOND
        # Where the clock falls back, and there alone, it says so.
        assert seen.jumps == ([seen.pcrs[0][0]] if begin == 0 else [])


def test_new_timeline_begins_with_sound() -> None:
    """H.222.0 2.4.3.5: the indicator is with the first PCR, whatever comes first; sound is kept."""
    sent = [video(0, start=90 * SECOND), audio(0, start=90 * 48000), audio(0), video(0), video(1)]
    muxer = Muxer([H264, AAC], audio_gather_seconds=0.1)
    parts = [muxer.tables()]
    for packet in sent:
        muxer.packet(packet, parts)
    muxer.flush(parts)
    seen = read(b"".join(parts))
    assert [pes.dts // SECOND for pes in seen.of(AUDIO_PID)] == [100, 10]
    assert [pes.dts // SECOND for pes in seen.of(VIDEO_PID)] == [100, 10, 10]
    assert len(seen.jumps) == 1
    assert [pcr // 300 // SECOND for _index, _pid, pcr in seen.pcrs] == [99, 9, 9]


def test_counters_over_segments() -> None:
    """C-TS-01: counters go on over tables, flushes and changes of tracks, also of those away."""
    counters: dict[int, int] = {}
    muxer = Muxer([H264, AAC], audio_gather_seconds=0.15)
    versions = []
    for segment in range(6):
        if segment in (2, 3, 4):
            muxer.tracks_changed([H264] if segment == 2 else [H264, AAC])
        parts = [muxer.tables()]
        start = segment * SECOND
        for packet in interleaved(
            [video(n, start=start) for n in range(25)],
            [audio(n, start=segment * 48000) for n in range(46)],
        ):
            muxer.packet(packet, parts)
        muxer.flush(parts)
        seen = read(b"".join(parts), counters)
        assert seen.pats[0][0] == 0 and seen.pmts[0][0] == 1
        assert seen.pes[0].random_access
        versions.append(seen.pmts[0][1])
        assert len(seen.of(AUDIO_PID)) == (0 if segment == 2 else 7)
    # A new version for each change, and none where nothing changed.
    assert versions == [0, 0, 1, 2, 2, 2]


def test_new_configuration() -> None:
    """A change of configuration is no change of the tables; the new sets come with the keyframe."""
    muxer = Muxer([H264])
    muxer.tracks_changed([replace(H264, config=vectors.AVCC_BASELINE)])
    parts = [muxer.tables()]
    muxer.packet(video(0), parts)
    seen = read(b"".join(parts))
    assert seen.pmts[0][1] == 0
    assert units(seen.pes[0].data)[1][:4] == bytes.fromhex("6742c00c")


def test_versions_wrap() -> None:
    """H.222.0 2.4.4.9: version_number has 5 bits."""
    muxer = Muxer([H264])
    for n in range(35):
        muxer.tracks_changed([H264] if n % 2 else [H264, AAC])
    assert read(muxer.tables()).pmts[0][1] == 35 % 32


def test_many_tracks() -> None:
    """More tracks than a PMT has room for: the first count."""
    tracks = [replace(OPUS, number=n) for n in range(200)]
    data = mux([], *tracks)
    assert len(data) > 376
    sections = b"".join(data[at + 4 : at + 188] for at in range(188, len(data), 188))[1:]
    assert sections.count(b"Opus") == 48
    size = 3 + (sections[1] << 8 & 0xF00 | sections[2])
    assert size <= 1024
    assert ts_bytes.crc(sections[:size]) == 0


@pytest.mark.parametrize("gather", [0.1, 0.2])
def test_gathered_sound(gather: float) -> None:
    """C-TS-05: several frames to a PES packet, for at most as long as was asked for."""
    sound = [audio(n, frame=b"!%03d" % n) for n in range(200)]
    sent = interleaved([video(n) for n in range(100)], sound)
    seen = read(mux(sent, H264, AAC, audio_gather_seconds=gather))
    ts_bytes.check_clock(seen)
    pes = seen.of(AUDIO_PID)
    frames = [aac.split_adts(one.data) for one in pes]
    assert [frame for some in frames for frame in some] == [packet.payload for packet in sound]
    assert max(map(len, frames)) == int(gather * 48000 / 1024)
    # Each has the time of its first frame.
    count = 0
    for one, some in zip(pes, frames, strict=True):
        assert one.pts == START + count * 1920
        count += len(some)


def test_gathered_sound_alone() -> None:
    """C-TS-02, C-TS-05: sound that has the PCRs is gathered for at most 100 ms."""
    seen = read(mux([audio(n) for n in range(100)], AAC, audio_gather_seconds=0.2))
    ts_bytes.check_clock(seen)
    assert len(seen.pes) == 25
    assert seen.fills == 0


def test_gathering_ends_at_a_gap() -> None:
    """C-TS-05: frames that do not follow one another go into two PES packets."""
    sent = [video(0), audio(0), audio(1), audio(2, start=9000), audio(3, start=9000)]
    seen = read(mux(sent, H264, AAC, audio_gather_seconds=0.2))
    assert [len(aac.split_adts(pes.data)) for pes in seen.of(AUDIO_PID)] == [2, 2]


def test_gathered_sound_does_not_wait_for_ever() -> None:
    """What waits is sent when the pictures are as much ahead."""
    sent = [video(0), audio(0), *(video(n) for n in range(1, 6))]
    muxer = Muxer([H264, AAC], audio_gather_seconds=0.1)
    parts: list[bytes] = [muxer.tables()]
    for packet in sent:
        muxer.packet(packet, parts)
    assert [pes.pid for pes in read(b"".join(parts)).pes[:5]] == [
        VIDEO_PID,
        VIDEO_PID,
        VIDEO_PID,
        AUDIO_PID,
        VIDEO_PID,
    ]


packets = st.builds(
    lambda track, at, offset, key, payload: Packet(track, at, at + offset, key, payload),
    st.sampled_from([H264, HEVC, AAC, MP3, OPUS, replace(AAC, number=1)]),
    st.integers(-(1 << 16), 1 << 24),
    st.integers(-5000, 50000),
    st.booleans(),
    st.one_of(st.binary(max_size=500), st.binary(min_size=1, max_size=400).map(nal_units)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(packets, max_size=30), st.sampled_from([0.0, 0.1, 0.2]))
def test_any_packets(sent: list[Packet], gather: float) -> None:
    """C-TS-01, F-RE-09: whatever comes, in whatever order: whole packets, counters, times."""
    tracks = [H264, replace(HEVC, number=1), AAC, replace(OPUS, number=2)]
    renumbered = {HEVC: tracks[1], OPUS: tracks[3]}
    sent = [packet._replace(track=renumbered.get(packet.track, packet.track)) for packet in sent]
    seen = read(mux(sent, *tracks, audio_gather_seconds=gather))
    for pes in seen.pes:
        assert (pes.pts - pes.dts) % (1 << 33) < 1 << 32
    # The clock grows but where it says that it does not.
    assert all(b > a or j in seen.jumps for (_i, _p, a), (j, _q, b) in pairwise(seen.pcrs))
