"""Tests of ntvmedia.formats.fmp4_muxer and fmp4_frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.codecs import aac, flac, h264, hevc
from ntvmedia.formats.fmp4_boxes import NOT_SYNC, SYNC
from ntvmedia.formats.fmp4_frames import measurer, trimmer
from ntvmedia.formats.fmp4_muxer import Muxer, can_carry
from ntvmedia.media import Codec, MediaKind, Packet, Track, from_milliseconds
from tests.codecs import vectors
from tests.formats import mp4_runs
from tests.formats.flv_bytes import nal_units
from tests.formats.mp4_runs import File, read
from tests.formats.ts_bytes import (
    AAC,
    AC3,
    AC3_FRAME,
    EAC3,
    EAC3_FRAME,
    H264,
    HEVC,
    HEVC_IDR,
    IDR,
    MP3,
    MP3_FRAME,
    OPUS,
    OPUS_FRAME,
    P_FRAME,
    SECOND,
    audio,
    interleaved,
    video,
)
from tests.hls.mp4 import read_fragments, read_init

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


@pytest.mark.parametrize(
    ("track", "frame", "ticks"),
    [
        (AAC, b"!sound", 1024),
        (replace(AAC, config=aac.build_audio_specific_config(
            aac.AudioSpecificConfig(sample_rate=24000, sbr=True, extension_rate=48000)
        )), b"!sound", 2048),
        (MP3, MP3_FRAME, 1152),
        (replace(MP3, clock_rate=22050), vectors.MP3_STEREO_22, 576),
        (AC3, AC3_FRAME, 1536),
        (EAC3, EAC3_FRAME, 1536),
        (EAC3, EAC3_FRAME * 2, 3072),
        (EAC3, EAC3_FRAME + b"\x0b\x77" + bytes((EAC3_FRAME[2] | 0x40,)) + EAC3_FRAME[3:], 1536),
        (EAC3, EAC3_FRAME + b"\x0b\x77" + bytes((EAC3_FRAME[2] | 0x08,)) + EAC3_FRAME[3:], 1536),
        (OPUS, OPUS_FRAME, 960),
        (FLAC, vectors.FLAC_FRAME, 4608),
    ],
)  # fmt: skip
def test_nominal_durations(track: Track, frame: bytes, ticks: int) -> None:
    """C-FM-08: at the end of a timeline a frame of sound is as long as its codec says."""
    file = mux([Packet(track, 0, 0, True, frame)], track)
    assert durations(file, 1) == [ticks]
    # A broken one has the length of the one before.
    broken = [Packet(track, time, time, True, b"\3") for time in (0, 700, 1300)]
    if track.codec is not Codec.AAC:
        assert durations(mux(broken, track), 1) == [700, 600, 600]


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


def test_parameter_sets_are_in_the_record_only() -> None:
    """C-FM-05, ISO/IEC 14496-15 section 4.2.3: "avc1" and "hvc1" have none in their samples.

    Sets that the record does not have stay: without them nothing could be decoded.
    """
    avc = h264.parse_configuration(vectors.AVCC_1080)
    (sps,), (pps,) = avc.sps, avc.pps
    sei, idr, delimiter = b"\x06\x05\x01x\x80", b"\x65\x88picture", b"\x09\xf0"
    trim = trimmer(H264)
    assert trim is not None
    assert trim(nal_units(delimiter, sps, pps, sei, idr)) == nal_units(delimiter, sei, idr)
    for kept in (
        nal_units(idr),
        nal_units(idr, sps),
        nal_units(sei, b"\x67other", idr),
        nal_units(sps),
        nal_units(sps, pps),
        nal_units(sps, idr)[:-1],
        nal_units(sei, idr),
        b"\0\0\0",
        b"\0\0\0\x01",
        b"\0\0\0\0" * 9,
    ):
        assert trim(kept) is kept
    assert trim(nal_units(sps, b"\x67other", idr)) == nal_units(b"\x67other", idr)
    record = hevc.parse_configuration(vectors.HVCC_720)
    irap = HEVC_IDR[4:]
    trim = trimmer(HEVC)
    assert trim is not None
    sets = (*record.vps, *record.sps, *record.pps)
    prefix = b"\x4e\x01\x05\x01x\x80"
    assert trim(nal_units(b"\x46\x01\x50", *sets, prefix, irap)) == nal_units(
        b"\x46\x01\x50", prefix, irap
    )
    for kept in (HEVC_IDR, nal_units(b"\x42\x01other", irap), nal_units(*sets), b"\0\0\0\x01"):
        assert trim(kept) is kept
    file = mux([Packet(H264, 0, 0, True, nal_units(sps, pps, idr))], H264)
    assert file.payloads(1) == [nal_units(idr)]


def test_what_needs_no_care() -> None:
    """Most codecs' packets are samples; pictures, and AAC of no known kind, have no length."""
    assert trimmer(AAC) is trimmer(VP9) is trimmer(Track(Codec.H264)) is None
    assert measurer(H264) is measurer(VP9) is measurer(Track(Codec.AAC, clock_rate=48000)) is None


class Step(NamedTuple):
    """What a test does: a packet `ticks` after the last of its track, or a cut.

    Attributes:
        act: "video", "audio", "cut", "follow" (a cut that knows the next packet), or "finish".
        ticks: From the last packet of the track: of video 1 tick or more; of audio, how far its
            time is from where it should be, or a hole.
        offset: Composition offset.
        size: Bytes of the payload.
    """

    act: str
    ticks: int = 0
    offset: int = 0
    size: int = 1


STEPS = st.one_of(
    st.builds(
        Step,
        st.just("video"),
        st.sampled_from([3000, 3003, 3600, 1, 900000]) | st.integers(1, 20000),
        st.sampled_from([0, 3600, 7200, -3600]),
        st.integers(1, 30),
    ),
    st.builds(
        Step,
        st.just("audio"),
        st.integers(-480, 480) | st.sampled_from([0, 0, 0, 1024, 5000, 480000, -900, -2000]),
        st.just(0),
        st.integers(1, 30),
    ),
    st.builds(Step, st.sampled_from(["cut", "follow"])),
    st.builds(Step, st.just("finish"), st.integers(-900000, 900000)),
)


@dataclass
class Script:
    """Steps turned into packets and cuts.

    Attributes:
        given: By track, each timeline's packets.
        cuts: Bytes that came out, each after its timeline's number.
    """

    given: dict[int, list[list[Packet]]] = field(default_factory=lambda: {1: [[]], 2: [[]]})
    files: list[File] = field(default_factory=lambda: [File()])
    numbers: list[int] = field(default_factory=list)

    def out(self, data: bytes) -> None:
        """Take what came out."""
        before = len(self.files[-1].numbers)
        read(data, self.files[-1])
        self.numbers += self.files[-1].numbers[before:]

    def finish(self, data: bytes) -> None:
        """Take the end of a timeline."""
        self.out(data)
        self.files.append(File())
        for timelines in self.given.values():
            timelines.append([])


def run(steps: Sequence[Step]) -> Script:
    """Drive a muxer of H.264 (track 1) and AAC (track 2)."""
    muxer = Muxer([H264, AAC])
    script = Script()
    start, times = 2_000_000, {1: 0, 2: 0}
    packets = 0
    follows = False
    for step in steps:
        if step.act == "cut":
            script.out(muxer.fragment())
        elif step.act == "follow":
            follows = True
        elif step.act == "finish":
            script.finish(muxer.finish())
            start = max(start + step.ticks, 0)
            times = {1: 0, 2: 0}
        else:
            packets += 1
            payload = packets.to_bytes(4, "big") + bytes(step.size)
            if step.act == "video":
                times[1] += step.ticks
                time = start + times[1]
                number = 1
                packet = Packet(H264, time, time + step.offset, packets % 7 == 0, payload)
            else:
                time = start * 48 // 90 + times[2] + step.ticks
                if abs(step.ticks) > 512:
                    times[2] = max(times[2] + step.ticks, 0)
                times[2] += 1024
                number = 2
                packet = Packet(AAC, max(time, 0), max(time, 0), True, payload)
            if follows:
                script.out(muxer.fragment(packet))
                follows = False
            muxer.packet(packet)
            script.given[number][-1].append(packet)
    script.finish(muxer.finish())
    return script


@settings(max_examples=200)
@given(st.lists(STEPS, max_size=40))
def test_any_cuts(steps: list[Step]) -> None:
    """C-FM-02, C-FM-03: wherever fragments are cut and timelines end, all packets are there.

    Each `tfdt` is where the fragment before ended, pictures have their own times, sound is at
    most half a frame from its own unless frames overlap, and numbers count on.
    """
    script = run(steps)
    assert script.numbers == list(range(1, len(script.numbers) + 1))
    for number, timelines in script.given.items():
        for timeline, sent in enumerate(timelines):
            track = script.files[timeline].tracks.get(number)
            samples = [] if track is None else track.samples
            assert [sample.payload for sample in samples] == [packet.payload for packet in sent]
            if track is None:
                continue
            track.check_chain()
            for a, b in pairwise(samples):
                assert a.dts + a.duration == b.dts
            if number == 1:
                assert [(x.dts, x.pts) for x in samples] == [(x.dts, x.pts) for x in sent]
                assert [x.flags == SYNC for x in samples] == [x.is_keyframe for x in sent]
            else:
                for sample, packet in zip(samples, sent, strict=True):
                    assert sample.pts == sample.dts >= packet.dts - 512
                told = [packet.dts for packet in sent]
                if all(b - a > 512 for a, b in pairwise(told)):
                    for sample, packet in zip(samples, sent, strict=True):
                        assert abs(sample.dts - packet.dts) <= 512


@settings(max_examples=100)
@given(st.lists(STEPS, max_size=30))
def test_cuts_do_not_matter(steps: list[Step]) -> None:
    """C-FM-02: however many fragments they are cut into, the samples are the same."""
    plain = [step for step in steps if step.act not in ("cut", "follow")]
    one, many = run(plain), run(steps)
    assert one.given == many.given
    for a, b in zip(one.files, many.files, strict=True):
        assert {n: x.samples for n, x in a.tracks.items()} == {
            n: x.samples for n, x in b.tracks.items()
        }


HOSTILE_TIMES = st.integers(0, 200000) | st.integers(-(1 << 70), 1 << 70)
HOSTILE_TRACKS = [H264, HEVC, VP9, AAC, MP3, AC3, EAC3, OPUS, FLAC]


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            HOSTILE_TIMES,
            HOSTILE_TIMES,
            st.booleans(),
            st.binary(max_size=12) | st.sampled_from([MP3_FRAME, AC3_FRAME, IDR, OPUS_FRAME]),
            st.integers(0, 9),
        ),
        max_size=20,
    ),
    st.lists(st.sampled_from(HOSTILE_TRACKS), min_size=1, max_size=3, unique_by=lambda x: x.codec),
)
def test_any_publisher(
    sent: list[tuple[int, int, int, bool, bytes, int]], tracks: list[Track]
) -> None:
    """Whatever times and bytes come, nothing is raised, and all that comes out is well-formed."""
    tracks = [replace(track, number=index) for index, track in enumerate(tracks)]
    muxer = Muxer(tracks)
    file = File()
    given: dict[int, list[bytes]] = {}
    for index, time, shown, is_keyframe, payload, act in sent:
        packet = Packet(tracks[index % len(tracks)], time, shown, is_keyframe, payload)
        if act == 0:
            read(muxer.fragment(packet), file)
        elif act == 1:
            read(muxer.fragment(), file)
        elif act == 2:
            read(muxer.finish(), file)
        muxer.packet(packet)
        if payload:
            trim = trimmer(packet.track)
            number = index % len(tracks) + 1
            given.setdefault(number, []).append(payload if trim is None else trim(payload))
    read(muxer.finish(), file)
    assert {number: file.payloads(number) for number in file.tracks} == given
    assert file.numbers == list(range(1, len(file.numbers) + 1))
    assert muxer.init_segment()


def test_read_by_the_strict_reader() -> None:
    """C-FM-01 to C-FM-03, C-FM-06: segments, and parts of 200 ms, keep the rules of HLS."""
    for tracks in ([H264, AAC], [AAC]):
        pictures = [
            video(n)._replace(pts=n * 3600 + (7200, 0, 3600)[n % 3]) for n in range(100)
        ] if H264 in tracks else []  # fmt: skip
        sent = interleaved(pictures, [audio(n) for n in range(188)])
        muxer = Muxer(tracks)
        pieces = []
        part = 0
        for packet in sent:
            is_key = packet.is_keyframe and (packet.track is H264 or len(tracks) == 1)
            due = packet.dts / packet.track.clock_rate >= (part + 1) * 0.2
            if due and packet.track is tracks[0]:
                pieces.append(muxer.fragment(packet if is_key else None))
                part += 1
            muxer.packet(packet)
        pieces.append(muxer.finish())
        init = read_init(muxer.init_segment())
        assert init.content_type == muxer.content_type
        seen = [read_fragments(piece, init) for piece in pieces]
        for before, after in pairwise(seen):
            after.check_follows(before)
        kinds = [track.kind for track in tracks]
        if MediaKind.VIDEO in kinds:
            assert seen[5].begins_with_key and len(seen[5].video) == 5
            assert sum(len(piece.video) for piece in seen) == 100
        assert sum(len(piece.audio) for piece in seen) == 188
