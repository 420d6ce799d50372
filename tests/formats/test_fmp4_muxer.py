"""Tests of ntvmedia.formats.fmp4_muxer: what it does with examples; see also `*_laws`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ntvmedia.codecs import flac
from ntvmedia.formats.fmp4_boxes import NOT_SYNC, SYNC
from ntvmedia.formats.fmp4_muxer import Muxer, can_carry
from ntvmedia.media import Codec, Packet, Track, from_milliseconds
from tests.codecs import vectors
from tests.formats import mp4_runs
from tests.formats.mp4_runs import File, read
from tests.formats.ts_bytes import (
    AAC,
    AC3,
    AC3_FRAME,
    EAC3,
    EAC3_FRAME,
    H264,
    HEVC,
    IDR,
    MP3,
    MP3_FRAME,
    OPUS,
    P_FRAME,
    SECOND,
    audio,
    interleaved,
    video,
)
from tests.hls.mp4 import read_init

FLAC = Track(
    Codec.FLAC, clock_rate=48000, config=flac.build_config(vectors.FLAC_STREAMINFO), channels=2
)
VP9 = Track(Codec.VP9)


def mux(packets: Sequence[Packet], *tracks: Track) -> File:
    """Write one fragment of everything."""
    muxer = Muxer(tracks)
    for packet in packets:
        muxer.packet(packet)
    return read(muxer.finish())


def dts(file: File, number: int) -> list[int]:
    """Return the decode times of a track."""
    return [sample.dts for sample in file.tracks[number].samples]


def durations(file: File, number: int) -> list[int]:
    """Return the durations of a track's samples."""
    return [sample.duration for sample in file.tracks[number].samples]


def test_golden_fragment() -> None:
    """Two pictures and a frame of sound, byte by byte (ISO/IEC 14496-12 section 8.8)."""
    muxer = Muxer([AAC, H264])
    muxer.packet(Packet(H264, 0, 3600, True, IDR))
    muxer.packet(Packet(AAC, 0, 0, True, b"!sound"))
    muxer.packet(Packet(H264, 3600, 3600, False, P_FRAME))
    head = bytes.fromhex(
        "00000070 6d6f6f66 00000010 6d666864 00000000 00000001"
        "00000058 74726166"
        "0000001c 74666864 00020038 00000002 00000e10 0000000d 01010000"
        "00000014 74666474 01000000 00000000 00000000"
        "00000020 7472756e 01000805 00000002 00000078 02000000 00000e10 00000000"
        "00000022 6d646174"
    )
    assert muxer.fragment(Packet(H264, 7200, 7200, True, IDR)) == head + IDR + P_FRAME
    assert read(muxer.finish()).payloads(1) == [b"!sound"]


def test_init_segment() -> None:
    """Tracks are numbered in order; a reader written apart finds what they are."""
    muxer = Muxer([AAC, Track(Codec.VP8), HEVC, replace(OPUS, number=1)])
    init = read_init(muxer.init_segment())
    assert [(x.number, x.entry, x.timescale) for x in init.tracks.values()] == [
        (1, "mp4a", 48000),
        (2, "hvc1", 90000),
        (3, "Opus", 48000),
    ]
    assert "iso6" in init.brands
    assert muxer.tracks == (AAC, HEVC, replace(OPUS, number=1))
    av1 = Muxer([Track(Codec.AV1, config=vectors.AV1C_720)])
    assert "av01" in read_init(av1.init_segment()).brands


def test_content_type() -> None:
    """C-FM-06: only sound is audio/mp4."""
    assert Muxer([AAC]).content_type == "audio/mp4"
    assert Muxer([AAC, H264]).content_type == "video/mp4"
    assert Muxer([AAC, Track(Codec.VP8)]).content_type == "audio/mp4"


def test_several_tracks_of_a_kind() -> None:
    """ISO/IEC 14496-12 section 8.3.2: one of them is enabled; they are alternatives."""
    french = replace(AAC, number=1, language="fr-CA")
    muxer = Muxer([H264, replace(AAC, language="en"), french])
    moov = mp4_runs.inside(muxer.init_segment(), b"moov")
    traks = [body for kind, body in mp4_runs.boxes(moov) if kind == b"trak"]
    heads = [mp4_runs.inside(trak, b"tkhd") for trak in traks]
    assert [head[3] for head in heads] == [3, 3, 2]
    assert [head[35] for head in heads] == [0, 2, 2]
    languages = [mp4_runs.inside(trak, b"mdia", b"mdhd")[20:22].hex() for trak in traks]
    assert languages == ["55c4", "15c7", "1a41"]
    assert mp4_runs.inside(traks[2], b"mdia", b"elng") == bytes(4) + b"fr-CA\0"


@pytest.mark.parametrize(
    ("track", "frame", "described", "other"),
    [
        (AC3, vectors.AC3_51, b"dac3" + vectors.DAC3_51, AC3_FRAME),
        (EAC3, EAC3_FRAME, b"dec3" + vectors.DEC3_51, EAC3_FRAME * 2),
        (
            MP3,
            MP3_FRAME,
            b"mp4a" + bytes(6) + b"\0\1" + bytes(8) + b"\0\1\0\x10",
            vectors.MP3_STEREO_22,
        ),
        (
            VP9,
            vectors.VP9_422,
            b"vpcC" + bytes.fromhex("01000000 03 15 a4 020202 0000"),
            vectors.VP9_360,
        ),
        (
            Track(Codec.AV1, config=vectors.AV1C_362[:4]),
            vectors.AV1C_362[4:],
            b"av1C" + vectors.AV1C_362,
            vectors.AV1C_720[4:],
        ),
    ],
)
def test_described_by_the_first_frame(
    track: Track, frame: bytes, described: bytes, other: bytes
) -> None:
    """C-FM-08: what the configuration does not tell is in the first frame that can be read."""
    track = replace(track, config=track.config if track.codec is Codec.AV1 else b"", channels=0)
    muxer = Muxer([track])
    before = muxer.init_segment()
    muxer.packet(Packet(track, 0, 0, True, b"\0nonsense"))
    assert muxer.init_segment() == before
    assert described not in before
    muxer.packet(Packet(track, 9000, 9000, True, frame))
    after = muxer.init_segment()
    assert described in after
    assert read_init(after).tracks.keys() == {1}
    # Another one later changes nothing: an init segment has been given out.
    muxer.packet(Packet(track, 18000, 18000, True, other))
    assert muxer.init_segment() == after


def test_inter_frames_describe_nothing() -> None:
    """A picture that is no keyframe is not looked at for the size."""
    muxer = Muxer([VP9])
    before = muxer.init_segment()
    muxer.packet(Packet(VP9, 0, 0, False, vectors.VP9_360))
    assert muxer.init_segment() == before


@pytest.mark.parametrize(
    ("track", "carried"),
    [
        (H264, True),
        (HEVC, True),
        (Track(Codec.AV1, config=vectors.AV1C_720), True),
        (VP9, True),
        (AAC, True),
        (MP3, True),
        (OPUS, True),
        (FLAC, True),
        (AC3, True),
        (EAC3, True),
        (Track(Codec.H264), False),
        (Track(Codec.HEVC, config=b"\x01"), False),
        (Track(Codec.AAC, clock_rate=44100), False),
        (Track(Codec.VP8), False),
        (Track(Codec.PCM_MULAW, clock_rate=8000, channels=1), False),
        (Track(Codec.AMF0, clock_rate=1000), False),
    ],
)
def test_can_carry(track: Track, carried: bool) -> None:
    """What needs a configuration has a usable one; a muxer leaves the rest out."""
    assert can_carry(track) is carried
    assert Muxer([track]).tracks == ((track,) if carried else ())


def test_no_tracks() -> None:
    """Nothing to send is no error."""
    muxer = Muxer([])
    muxer.packet(audio(0))
    assert muxer.fragment(audio(1)) == muxer.finish() == b""
    assert muxer.tracks == ()


def test_packets_of_others() -> None:
    """Other tracks, another configuration and packets without data are ignored.

    The same track under another name is not: its packets are for the same decoder.
    """
    renamed = replace(H264, language="de")
    other = replace(H264, config=vectors.AVCC_576I)
    muxer = Muxer([H264, H264])
    for packet in (
        video(0),
        audio(0),
        video(1, track=other),
        Packet(H264, 3600, 3600, False, b""),
        video(1, track=renamed),
        video(2, track=renamed),
        video(3, track=replace(H264, number=1)),
    ):
        muxer.packet(packet)
    assert muxer.fragment(audio(1)) != b""
    assert muxer.fragment(video(3, track=other)) == b""
    assert muxer.fragment(Packet(H264, 10800, 10800, True, b"")) == b""
    file = read(muxer.fragment(video(3, track=renamed)))
    assert dts(file, 1) == [7200]


def test_last_sample_is_held() -> None:
    """C-FM-02: a sample without duration is in no fragment; `following` gives it one."""
    muxer = Muxer([H264, AAC])
    assert muxer.fragment() == b""
    muxer.packet(video(0))
    muxer.packet(audio(0))
    assert muxer.fragment() == b""
    muxer.packet(video(1))
    file = read(muxer.fragment())
    assert dts(file, 1) == [0] and list(file.tracks) == [1]
    read(muxer.fragment(video(2)), file)
    assert durations(file, 1) == [3600, 3600]
    assert muxer.fragment(video(2)) == b""
    muxer.packet(video(2))
    read(muxer.fragment(audio(1)), file)
    assert dts(file, 2) == [0] and len(file.tracks[1].samples) == 2
    read(muxer.finish(), file)
    assert dts(file, 1) == [0, 3600, 7200]
    assert file.numbers == [1, 2, 3, 4]
    file.tracks[1].check_chain()


def test_pictures_come_first() -> None:
    """The data of a track stands together, pictures before sound, whatever the tracks' order."""
    data = b"".join(
        [IDR, *[P_FRAME] * 4, *[b"!sound"] * 9]
    )  # fmt: skip
    muxer = Muxer([AAC, H264])
    for packet in interleaved([video(n) for n in range(5)], [audio(n) for n in range(9)]):
        muxer.packet(packet)
    written = muxer.finish()
    assert written.endswith(b"mdat" + data)
    assert list(read(written).tracks) == [2, 1]


def test_composition_offsets() -> None:
    """C-FM-01: B-frames, 2 deep, and a picture before its decode time: version 1 is signed."""
    shown = [2, 5, 3, 4, 8, 6, 7]
    sent = [
        Packet(H264, n * 3600, (pts - 1) * 3600 - 1800, n == 0, P_FRAME if n else IDR)
        for n, pts in enumerate(shown)
    ]
    samples = mux(sent, H264).tracks[1].samples
    assert [sample.pts for sample in samples] == [packet.pts for packet in sent]
    assert min(sample.pts - sample.dts for sample in samples) == -1800
    # The sound of the same time is at the same time: there is no edit list to shift anything.
    assert b"edts" not in Muxer([H264, AAC]).init_segment()


def test_sample_flags() -> None:
    """ISO/IEC 14496-12 section 8.8.3: keyframes anywhere, and each frame of sound, begin anew."""
    for keys in ([1, 0, 0], [0, 0, 0], [1, 1], [0, 1, 0], [1, 0, 1], [1]):
        sent = [video(n, key=bool(key)) for n, key in enumerate(keys)]
        samples = mux(sent, H264).tracks[1].samples
        assert [sample.flags for sample in samples] == [SYNC if x else NOT_SYNC for x in keys]
    samples = mux([audio(0)._replace(is_keyframe=False), audio(1)], AAC).tracks[1].samples
    assert [sample.flags for sample in samples] == [SYNC, SYNC]


def test_rounded_times_of_sound() -> None:
    """C-FM-02, C-FM-06: a publisher's milliseconds make no gaps: each frame has 1024 samples."""
    sent = [
        audio(0)._replace(dts=(x := from_milliseconds(round(n * 1024 / 44.1), 44100)), pts=x)
        for n in range(430)
    ]
    track = replace(AAC, clock_rate=44100, config=bytes.fromhex("1210"))
    file = mux([packet._replace(track=track) for packet in sent], track)
    assert set(durations(file, 1)) == {1024}
    assert dts(file, 1)[0] == 0


def test_hole_in_sound() -> None:
    """C-FM-02: where a frame is missing the one before is longer, and sound stays in time."""
    sent = [audio(n) for n in (0, 1, 2, 4, 5, 100)]
    file = mux(sent, AAC)
    assert dts(file, 1) == [packet.dts for packet in sent]
    assert durations(file, 1) == [1024, 1024, 2048, 1024, 95 * 1024, 1024]


def test_sound_after_a_broken_frame() -> None:
    """Nobody knows how long it was: the next one begins when it says."""
    told = [0, 300, 1452]
    frames = [b"\3", MP3_FRAME, MP3_FRAME]
    sent = [Packet(MP3, time, time, True, x) for time, x in zip(told, frames, strict=True)]
    assert dts(mux(sent, MP3), 1) == told


def test_sound_that_overlaps() -> None:
    """Frames that come too close are shorter, at least one tick, and none is lost."""
    told = [0, 1024, 1324, 1300, 3072]
    file = mux([audio(0)._replace(dts=time, pts=time) for time in told], AAC)
    assert dts(file, 1) == [0, 1024, 1324, 1325, 3072]


def test_last_picture() -> None:
    """Without a next one, a picture is as long as the last, up to 1 s, or as the stream tells."""
    assert durations(mux([video(0, fps=50), video(1, fps=50)], H264), 1) == [1800, 1800]
    assert durations(mux([video(0), video(75)], H264), 1) == [3 * SECOND, SECOND]
    # 29.97 frames a second, in the parameter sets; nothing is told in VP9.
    assert durations(mux([video(0)], H264), 1) == [3003]
    assert durations(mux([video(0, track=VP9)], VP9), 1) == [3600]
    # The one before may be in a fragment already.
    muxer = Muxer([H264])
    muxer.packet(video(0, fps=50))
    assert durations(read(muxer.fragment(video(1, fps=50))), 1) == [1800]
    muxer.packet(video(1, fps=50))
    assert durations(read(muxer.finish()), 1) == [1800]


def test_finish_in_the_middle() -> None:
    """C-FM-02, C-FM-03: after `finish` times may go back; the numbers of fragments go on."""
    muxer = Muxer([H264, AAC])
    file = File()
    for begin in (10, 0, 0, 5):
        for packet in interleaved(
            [video(n, start=begin * SECOND) for n in range(3)],
            [audio(n, start=begin * 48000) for n in range(5)],
        ):
            muxer.packet(packet)
        read(muxer.finish(), file)
        assert muxer.finish() == b""
    assert file.numbers == [1, 2, 3, 4]
    assert dts(file, 1)[::3] == [begin * SECOND for begin in (10, 0, 0, 5)]
    assert dts(file, 2)[::5] == [begin * 48000 for begin in (10, 0, 0, 5)]
    assert durations(file, 1) == [3600] * 12
    assert durations(file, 2) == [1024] * 20


def test_time_falls_back() -> None:
    """A fall of more than a second ends the timeline by itself; a smaller one is disorder."""
    muxer = Muxer([H264, AAC])
    for packet in (video(100), audio(188), video(101), video(0), video(1)):
        muxer.packet(packet)
    file = read(muxer.fragment())
    assert file.numbers == [1, 2]
    assert dts(file, 1) == [360000, 363600, 0]
    assert dts(file, 2) == [188 * 1024]
    told = [SECOND, 2 * SECOND, SECOND, SECOND + 1, 2 * SECOND + 3]
    disorder = mux([video(0)._replace(dts=time, pts=time) for time in told], H264)
    assert dts(disorder, 1) == [SECOND, 2 * SECOND, 2 * SECOND + 1, 2 * SECOND + 2, told[-1]]
    assert [sample.pts for sample in disorder.tracks[1].samples] == told


def test_very_long_hole() -> None:
    """C-FM-02: what does not fit 32 bits begins another timeline, hours later."""
    muxer = Muxer([H264])
    far = (1 << 40) + 7
    for packet in (video(0), video(1), video(0, start=far), video(1, start=far)):
        muxer.packet(packet)
    file = read(muxer.finish())
    assert dts(file, 1) == [0, 3600, far, far + 3600]
    assert durations(file, 1) == [3600] * 4
    assert file.numbers == [1, 2]


def test_following_on_another_timeline() -> None:
    """`following` that fell back ends the sample with its usual length."""
    muxer = Muxer([H264])
    for packet in (video(100), video(101)):
        muxer.packet(packet)
    file = read(muxer.fragment(video(0)))
    assert durations(file, 1) == [3600, 3600]
    muxer.packet(video(0))
    read(muxer.finish(), file)
    assert dts(file, 1) == [360000, 363600, 0]


def test_following_that_does_not_come() -> None:
    """C-FM-02: when another packet comes than was announced the chain still holds."""
    muxer = Muxer([H264])
    muxer.packet(video(0))
    file = read(muxer.fragment(video(1)))
    late = Packet(H264, 9000, 12600, False, P_FRAME)
    muxer.packet(late)
    muxer.packet(video(3))
    read(muxer.finish(), file)
    file.tracks[1].check_chain()
    assert dts(file, 1) == [0, 3600, 10800]
    assert [sample.pts for sample in file.tracks[1].samples] == [0, 12600, 10800]


def test_times_out_of_range() -> None:
    """Times that no box has room for are brought into range; nothing is raised."""
    far = 1 << 80
    sent = [
        Packet(H264, -5, 5, True, IDR),
        Packet(H264, 3600, far, False, P_FRAME),
        Packet(H264, 7200, -far, False, P_FRAME),
        Packet(H264, far, far, False, P_FRAME),
    ]
    file = mux(sent, H264)
    assert [(x.dts, x.pts) for x in file.tracks[1].samples] == [
        (0, 5),
        (3600, 3600),
        (7200, 7200),
        (1 << 62, 1 << 62),
    ]
