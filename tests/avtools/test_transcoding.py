"""One source, several outputs: what is copied, what is encoded, and when."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.avtools.clock import TICKS, SourceClock
from ntvmedia.avtools.encoders import suitable_kbps
from ntvmedia.avtools.filters import size_for
from ntvmedia.avtools.tracks import av_packet, stream_of_track
from ntvmedia.avtools.transcoding import MAX_UNDECODABLE, Pipeline
from ntvmedia.codecs import aac
from ntvmedia.codecs.description import describe
from ntvmedia.errors import RemoteError
from ntvmedia.media.packets import Packet
from ntvmedia.media.relaying import AudioOptions, OutputOptions, VideoOptions
from tests.avtools.media import RATE, SAMPLE_RATE, Made, movie, picture, run, silence

COPY = OutputOptions()
STEPS = (1800, 3600, 3600, 3600, -(10**9), 10**9, 900_001)
BOTH = OutputOptions(VideoOptions("h264"), AudioOptions("aac"))


def assert_rises(packets: list[Packet]) -> None:
    """Check that decode times rise, and nothing is shown before it is decoded."""
    assert all(a.dts < b.dts for a, b in pairwise(packets))
    assert all(x.pts >= x.dts for x in packets)


def seconds(packets: list[Packet]) -> list[float]:
    """Return when they are shown."""
    return [x.pts / x.track.clock_rate for x in packets]


def decoded(packets: list[Packet]) -> list[Any]:
    """Decode the packets of one track."""
    context = stream_of_track(packets[0].track).open_decoder()
    frames = [frame for x in packets for frame in context.decode(av_packet(x))]
    return [*frames, *context.decode(None)]


@pytest.mark.parametrize(
    ("form", "video", "audio", "codecs"),
    [
        ("mpegts", "libx264", "aac", ["h264", "aac"]),
        ("mpegts", "libx265", "aac", ["hevc", "aac"]),
        ("mp4", "libx264", "aac", ["h264", "aac"]),
        ("mp4", "libx265", "libmp3lame", ["hevc", "mp3"]),
        ("matroska", "libvpx-vp9", "libopus", ["vp9", "opus"]),
        ("matroska", "libvpx", "flac", ["vp8", "flac"]),
        ("matroska", "libx264", "ac3", ["h264", "ac3"]),
        ("matroska", "", "eac3", ["eac3"]),
        ("matroska", "libsvtav1", "", ["av1"]),
        ("mov", "libx264", "pcm_alaw", ["h264", "pcm_alaw"]),
        ("flv", "flv", "", ["flv1"]),
    ],
)
def test_copies(form: str, video: str, audio: str, codecs: list[str]) -> None:
    """P-601: whatever the container, the packets are ours, and decode to the same pictures."""
    data = movie(form, video=video, audio=audio, seconds=1.0)
    made = run(data, COPY)
    assert sorted(made.codecs(0)) == sorted(codecs)
    for packets in (made.of(0, "video"), made.of(0, "audio")):
        if packets:
            assert_rises(packets)
            assert packets[0].is_keyframe
            frames = decoded(packets)
            wanted = RATE if packets[0].track.kind == "video" else 10  # FLAC has 4608 samples
            assert len(frames) >= wanted
    if made.of(0, "video"):
        description = describe(made.tracks[0][codecs.index(codecs[0])])
        assert (description.width, description.height) in ((160, 120), (0, 0))


def test_copied_pictures_are_the_same() -> None:
    """Nothing is lost or changed on the way from a transport stream to length-prefixed units."""
    data = movie("mpegts", audio="", seconds=1.0)
    opened: Any = av.open(io.BytesIO(data))
    with opened as container:
        wanted = [bytes(frame.planes[0]) for frame in container.decode(video=0)]
    found = [bytes(frame.planes[0]) for frame in decoded(run(data, COPY).of(0, "video"))]
    assert found == wanted


def test_codec_that_nothing_carries() -> None:
    """E-ST-05: the operator is told what to set, and that another try is of no use."""
    data = movie("asf", video="wmv2", audio="wmav2", seconds=0.5)
    with pytest.raises(RemoteError, match=r"wmv2.*video\.codec") as told:
        run(data, COPY)
    assert told.value.is_permanent


def test_old_codecs_are_encoded_anew() -> None:
    """P-601: Windows Media in, H.264 and AAC out, in step."""
    made = run(movie("asf", video="wmv2", audio="wmav2"), BOTH)
    video, audio = made.of(0, "video"), made.of(0, "audio")
    assert_rises(video)
    assert_rises(audio)
    assert len(video) == pytest.approx(2 * RATE, abs=1)
    assert abs(seconds(video)[0] - seconds(audio)[0]) < 0.15
    assert abs(seconds(video)[-1] - seconds(audio)[-1]) < 0.15


def test_renditions_have_keyframes_at_the_same_times() -> None:
    """P-602: several renditions of one input, so that a player may change at each keyframe."""
    small = OutputOptions(
        VideoOptions("h264", width=80, keyframe_seconds=1.0), AudioOptions("none")
    )
    other = OutputOptions(VideoOptions("hevc", keyframe_seconds=1.0), AudioOptions("none"))
    large = OutputOptions(VideoOptions("h264", keyframe_seconds=1.0, preset="ultrafast"))
    made = run(movie("mpegts", seconds=4.0, options={"g": "33"}), small, other, large)
    times = [
        [
            round(t, 3)
            for t, x in zip(seconds(made.of(n, "video")), made.of(n, "video"), strict=True)
            if x.is_keyframe
        ]
        for n in range(3)
    ]
    assert times[0] == times[1] == times[2]
    assert len(times[0]) in (4, 5)
    assert all(0.9 <= b - a <= 1.1 for a, b in list(pairwise(times[0]))[1:])
    assert [describe(made.tracks[n][0]).height for n in (0, 1)] == [60, 120]
    assert made.codecs(0) == ["h264"]
    # The third one copies the sound.
    assert sorted(made.codecs(2)) == ["aac", "h264"]


def test_no_b_frames_and_no_scene_cuts() -> None:
    """Low latency: nothing is decoded before another that is shown earlier."""
    made = run(
        movie("mpegts", seconds=3.0), OutputOptions(VideoOptions("h264"), AudioOptions("none"))
    )
    assert all(x.pts == x.dts for x in made.of(0, "video"))
    assert sum(x.is_keyframe for x in made.of(0, "video")) in (2, 3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (VideoOptions("h264"), (160, 120)),
        (VideoOptions("h264", width=80), (80, 60)),
        (VideoOptions("h264", height=90), (120, 90)),
        (VideoOptions("h264", width=100, height=100), (100, 100)),
    ],
)
def test_size(options: VideoOptions, expected: tuple[int, int]) -> None:
    """A side that is not told keeps the shape."""
    made = run(movie("mpegts", audio="", seconds=0.5), OutputOptions(options))
    known = describe(made.tracks[0][0])
    assert (known.width, known.height) == expected


def test_frame_rate() -> None:
    """Half of the pictures, at even times."""
    options = VideoOptions("h264", frame_rate=12.5)
    packets = run(movie("mpegts", audio="", seconds=2.0), OutputOptions(options)).of(0, "video")
    assert len(packets) == pytest.approx(25, abs=1)
    assert {b.pts - a.pts for a, b in pairwise(packets)} == {7200}


@pytest.mark.parametrize(
    ("source", "layout", "options", "expected"),
    [
        ("ac3", "5.1", AudioOptions("aac"), ("aac", 48000, 2)),
        ("pcm_alaw", "mono", AudioOptions("aac", sample_rate=44100), ("aac", 44100, 1)),
        ("libopus", "stereo", AudioOptions("aac", channels=1), ("aac", 48000, 1)),
        ("aac", "stereo", AudioOptions("opus"), ("opus", 48000, 2)),
    ],
)
def test_sound(
    source: str, layout: str, options: AudioOptions, expected: tuple[str, int, int]
) -> None:
    """G.711, Opus and AC-3 to what players have; no sample is lost."""
    form = "mov" if source == "pcm_alaw" else "matroska"
    data = movie(form, video="", audio=source, layout=layout)
    made = run(data, OutputOptions(VideoOptions(), options))
    track = made.tracks[0][0]
    assert (track.codec.value, track.clock_rate, track.channels) == expected
    packets = made.of(0, "audio")
    assert_rises(packets)
    assert sum(x.samples for x in decoded(packets)) / expected[1] == pytest.approx(2.0, abs=0.06)
    if expected[0] == "aac":
        assert aac.parse_audio_specific_config(track.config).sample_rate == expected[1]


def test_languages() -> None:
    """All tracks of sound are encoded, with their languages."""
    data = movie("matroska", languages=("deu", "fra"), seconds=1.0)
    made = run(data, BOTH)
    sounds = [x for x in made.tracks[0] if x.kind == "audio"]
    assert sorted((x.number, x.language) for x in sounds) == [(0, "deu"), (1, "fra")]


def test_clock_that_jumps() -> None:
    """E-SR-05: an encoder never sees time go back; sound and picture jump together."""

    def jump(packet: Any) -> Any:
        by = packet.time_base
        if packet.dts * by > 2.0:
            ticks = round(100_000 / by)
            packet.pts -= ticks
            packet.dts -= ticks
        return packet

    made = run(movie("mpegts", seconds=3.0), BOTH, change=jump)
    for kind in ("video", "audio"):
        packets = made.of(0, kind)
        assert_rises(packets)
        assert max(b - a for a, b in pairwise(seconds(packets))) < 0.3
    assert abs(seconds(made.of(0, "video"))[-1] - seconds(made.of(0, "audio"))[-1]) < 0.3


def test_lost_sound() -> None:
    """A hole is filled with silence, so that the picture does not run away from the sound."""

    def lose(packet: Any) -> Any:
        at = packet.dts * packet.time_base
        return None if packet.stream.type == "audio" and 2.0 < at < 2.6 else packet

    audio = run(movie("mpegts", seconds=3.0), BOTH, change=lose).of(0, "audio")
    assert max(b - a for a, b in pairwise(seconds(audio))) < 0.03


def test_broken_packets() -> None:
    """A source of which nothing can be decoded is given up; a few broken packets are not."""
    data = movie("mpegts", seconds=2.0)
    count = 0

    def spoil(packet: Any) -> Any:
        nonlocal count
        count += 1
        if count % 10 == 0 and not packet.is_keyframe:
            packet.update(bytes(x ^ 0x5A for x in bytes(packet)))
        return packet

    assert len(run(data, BOTH, change=spoil).of(0, "video")) > RATE
    made = Made()
    pipeline = Pipeline([BOTH], made.emit, made.notes.append)
    track = run(data, COPY).tracks[0][0]
    pipeline.track_received(track)
    with pytest.raises(RemoteError, match="decoded"):
        for number in range(MAX_UNDECODABLE + 100):
            pipeline.packet_received(
                Packet(track, number * 3600, number * 3600, True, b"\0\0\0\1x")
            )


def test_our_own_packets() -> None:
    """A stream of this server: the copy is the very packets, the other one is encoded."""
    source = run(movie("mpegts", seconds=1.0), COPY)
    made = Made()
    pipeline = Pipeline([COPY, BOTH], made.emit, made.notes.append)
    for track in source.tracks[0]:
        pipeline.track_received(track)
    for packet in source.packets[0]:
        pipeline.packet_received(packet)
    pipeline.flush()
    assert made.packets[0] == source.packets[0]
    assert len(made.of(1, "video")) == RATE
    # A new configuration, as when an encoder was told another size.
    large = run(movie("mpegts", seconds=1.0, size=(320, 240), audio=""), COPY)
    pipeline = Pipeline([BOTH], made.emit, made.notes.append)
    made.tracks.clear()
    for part in (source, large):
        for track in part.tracks[0]:
            pipeline.track_received(track)
        for packet in part.of(0, "video"):
            moved = packet.dts + (90_000 * 2 if part is large else 0)
            pipeline.packet_received(packet._replace(dts=moved, pts=moved))
    pipeline.flush()
    videos = [x for x in made.tracks[0] if x.kind == "video"]
    assert [describe(x).width for x in videos] == [160, 320]


def test_interlaced() -> None:
    """Fields are made into pictures once the source says that it has them, and it is noted."""
    made = Made()
    pipeline = Pipeline([OutputOptions(VideoOptions("h264"))], made.emit, made.notes.append)
    pipeline.add_pictures(0, RATE)
    for number in range(RATE):
        frame = picture(number, (160, 120), interlaced=True)
        pipeline.feed_frame(0, frame, number * TICKS // RATE)
    pipeline.flush()
    assert not made.notes  # nothing said so
    always = OutputOptions(VideoOptions("h264", deinterlace="always"))
    combed = made.of(0, "video")
    made = Made()
    pipeline = Pipeline([always], made.emit, made.notes.append)
    pipeline.add_pictures(0, RATE)
    for number in range(RATE):
        frame = picture(number, (160, 120), interlaced=True)
        pipeline.feed_frame(0, frame, number * TICKS // RATE)
    pipeline.flush()
    smooth = made.of(0, "video")
    assert len(smooth) == len(combed) == RATE

    def combing(packets: list[Packet]) -> int:
        frame = decoded(packets)[10]
        rows = bytes(frame.planes[0])
        line = frame.planes[0].line_size
        return sum(
            abs(rows[y * line + x] - rows[(y + 1) * line + x]) > 60
            for y in range(20, 100)
            for x in range(160)
        )

    assert combing(smooth) < combing(combed) / 2


def test_interlaced_source() -> None:
    """Each output has done about fields what it asks for, whatever the others want."""
    fields = {"x264-params": "tff=1:keyint=25"}
    data = movie("mpegts", audio="", seconds=1.0, options=fields, interlaced=True)
    auto = OutputOptions(VideoOptions("h264", preset="ultrafast"))
    never = OutputOptions(VideoOptions("h264", preset="ultrafast", deinterlace="never"))
    made = run(data, auto, never)
    assert made.notes == ["the source is interlaced, and is deinterlaced"]
    pictures = [
        [bytes(frame.planes[0]) for frame in decoded(made.of(output, "video"))] for output in (0, 1)
    ]
    assert len(pictures[0]) == len(pictures[1]) == RATE
    assert pictures[0] != pictures[1]
    assert run(data, never).of(0, "video") == made.of(1, "video")
    assert run(data, never).notes == []


def test_hardware_that_is_not_there() -> None:
    """With "auto" the processor does it; who insists is told."""
    sound = AudioOptions("none")
    data = movie("mpegts", audio="", seconds=0.5)
    auto = OutputOptions(VideoOptions("h264", encoder="auto"), sound)
    assert run(data, auto).of(0, "video")
    with pytest.raises(RemoteError) as told:
        run(data, OutputOptions(VideoOptions("h264", encoder="hardware"), sound))
    assert told.value.is_permanent


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1), st.sampled_from([1800, 3600, 3600, 3600, -(10**9), 10**9, 900_001])
        ),
        max_size=60,
    )
)
@settings(max_examples=60, deadline=None)
def test_the_clock_goes_on(steps: list[tuple[int, int]]) -> None:
    """Whatever a source's clock does, each stream's times rise by little, and never fall far."""
    clock = SourceClock()
    now = 0
    last: dict[int, int] = {}
    for key, step in steps:
        now += step
        time = now + clock.shift(key, now, Fraction(1, TICKS))
        latest = max(last.values(), default=0)
        assert last.get(key, 0) - TICKS <= time <= latest + 10 * TICKS
        last[key] = time


@given(st.integers(0, 400), st.integers(0, 400), st.integers(16, 4000), st.integers(16, 4000))
def test_sizes_are_even(width: int, height: int, wide: int, high: int) -> None:
    """Encoders take no other."""
    options = VideoOptions("h264", width=width * 2, height=height * 2)
    found = size_for(options, wide, high, Fraction(1))
    assert all(x >= 2 and x % 2 == 0 for x in found)


def test_bit_rates_that_suit() -> None:
    """P-804: what the manual recommends, and more for more."""
    assert 2000 <= suitable_kbps("h264", 1920, 1080, 25) <= 4000
    assert 1000 <= suitable_kbps("h264", 1280, 720, 25) <= 2000
    assert 800 <= suitable_kbps("h264", 1024, 576, 25) <= 1500
    assert 600 <= suitable_kbps("h264", 720, 404, 25) <= 1000
    steps = [suitable_kbps("h264", w, w * 9 // 16, 0) for w in (64, 320, 640, 1280, 1920, 3840)]
    assert steps == sorted(set(steps))
    assert suitable_kbps("hevc", 1280, 720, 25) < suitable_kbps("h264", 1280, 720, 25)
    assert suitable_kbps("h264", 1280, 720, 50) > suitable_kbps("h264", 1280, 720, 25)


def test_sound_alone_is_taken() -> None:
    """What has no picture is no less a source."""
    made = Made()
    pipeline = Pipeline([BOTH], made.emit, made.notes.append)
    pipeline.add_sound(0, SAMPLE_RATE, 2)
    for first in range(0, SAMPLE_RATE, 1024):
        pipeline.feed_frame(0, silence(first), first * TICKS // SAMPLE_RATE)
    pipeline.flush()
    assert made.codecs(0) == ["aac"]
    assert not pipeline.is_empty
