"""Fragmented MP4 of ours, of each codec, read and decoded by FFmpeg as it reads the source."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
import imageio_ffmpeg  # type: ignore[import-untyped]
import pytest

from ntvmedia.codecs import flac
from ntvmedia.codecs.nal import split_length_prefixed
from ntvmedia.formats.fmp4_muxer import Muxer
from ntvmedia.media import Codec, MediaKind, Packet, Track
from tests.formats.flv_bytes import nal_units
from tests.hls.mp4 import read_fragments, read_init

FFMPEG = shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=0.8"]
SQUEEZED = ["-vf", "format=yuv420p,setsar=4/3", "-color_primaries", "bt709", "-colorspace", "bt709"]
PLAIN = ["-pix_fmt", "yuv420p", "-g", "8"]


def sound(rate: int) -> list[str]:
    """Options for a tone."""
    return ["-f", "lavfi", "-i", f"sine=duration=0.8:sample_rate={rate}"]


CLIPS = {
    "avc-aac": [
        *[*PICTURE, *sound(44100), *SQUEEZED, "-g", "8", "-bf", "3"],
        *["-c:v", "libx264", "-c:a", "aac", "-ac", "2"],
    ],
    "hevc-opus": [
        *[*PICTURE, *sound(48000), *PLAIN, "-tag:v", "hvc1", "-c:v", "libx265"],
        *["-x265-params", "log-level=none:bframes=3:keyint=8:repeat-headers=1", "-c:a", "libopus"],
    ],
    "av1-flac": [
        *[*PICTURE, *sound(96000), *PLAIN, "-c:v", "libsvtav1", "-preset", "10", "-c:a", "flac"],
    ],
    "aom-mp3": [
        *[*PICTURE, *sound(22050), *PLAIN, "-c:v", "libaom-av1", "-cpu-used", "8"],
        *["-usage", "realtime", "-c:a", "libmp3lame"],
    ],
    "vp9-ac3": [
        *[*PICTURE, *sound(48000), *PLAIN, "-c:v", "libvpx-vp9", "-deadline", "realtime"],
        *["-cpu-used", "8", "-c:a", "ac3", "-ac", "6"],
    ],
    "eac3": [*sound(44100), "-c:a", "eac3"],
    "mp3": [*sound(44100), "-c:a", "libmp3lame", "-ac", "2"],
}

CODECS = {
    "h264": Codec.H264,
    "hevc": Codec.HEVC,
    "av1": Codec.AV1,
    "libdav1d": Codec.AV1,
    "vp9": Codec.VP9,
    "aac": Codec.AAC,
    "opus": Codec.OPUS,
    "libopus": Codec.OPUS,
    "flac": Codec.FLAC,
    "mp3": Codec.MP3,
    "mp3float": Codec.MP3,
    "ac3": Codec.AC3,
    "eac3": Codec.EAC3,
}

# Times of the stream are not negative; FFmpeg's own begin before 0, and have an edit list for it.
SHIFT_SECONDS = 1
AS_THEY_ARE = {"ignore_editlist": "1"}


class Seen(NamedTuple):
    """A packet as FFmpeg's demuxer tells it, in ticks of its track."""

    dts: int
    pts: int
    duration: int
    is_keyframe: bool
    payload: bytes


def ffmpeg_sees(data: bytes) -> list[tuple[Track, list[Seen]]]:
    """Read MP4 with FFmpeg's demuxer, by PyAV: tracks, and the packets of each."""
    found: dict[int, tuple[Track, list[Seen]]] = {}
    with av.open(io.BytesIO(data), "r", format="mp4", options=AS_THEY_ARE) as container:
        for stream in container.streams:
            context = stream.codec_context
            codec = CODECS[context.name]
            config = bytes(context.extradata or b"")
            if isinstance(context, av.AudioCodecContext):
                if codec is Codec.FLAC:
                    config = flac.build_config(config)
                channels = context.layout.nb_channels
                track = Track(codec, 0, context.sample_rate, config, channels)
            else:
                track = Track(codec, config=config)
            found[stream.index] = track, []
        for packet in container.demux():
            if packet.size:
                track, packets = found[packet.stream.index]
                assert packet.dts is not None and packet.pts is not None
                scale = packet.time_base * track.clock_rate
                times = (packet.dts * scale, packet.pts * scale, (packet.duration or 0) * scale)
                assert all(time.denominator == 1 for time in times)
                dts, pts, duration = map(int, times)
                packets.append(Seen(dts, pts, duration, packet.is_keyframe, bytes(packet)))
    return list(found.values())


def hashes(path: Path) -> list[tuple[str, ...]]:
    """Decode with FFmpeg, which must not complain: track, size and hash of each frame."""
    done = subprocess.run(
        [
            *[FFMPEG, "-v", "warning", "-nostdin", "-ignore_editlist", "1", "-i", path],
            *["-map", "0", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5", "-"],
        ],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == b""
    lines = [x.split(",") for x in done.stdout.decode().splitlines() if not x.startswith("#")]
    return sorted((line[0], *line[4:]) for line in lines)


class Clip:
    """A file of FFmpeg's, and the packets that a publisher would make of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen = ffmpeg_sees(path.read_bytes())
        self.hashes = hashes(path)
        self.tracks = [track for track, _packets in self.seen]
        self.packets = sorted(
            (
                Packet(
                    track,
                    packet.dts + SHIFT_SECONDS * track.clock_rate,
                    packet.pts + SHIFT_SECONDS * track.clock_rate,
                    packet.is_keyframe,
                    packet.payload,
                )
                for track, packets in self.seen
                for packet in packets
            ),
            key=lambda packet: packet.dts / packet.track.clock_rate,
        )

    def written(self, seconds: float) -> tuple[bytes, list[bytes]]:
        """Write it again: the init segment, and pieces that are `seconds` long or more.

        Pieces of 0.3 s and more begin with keyframes.
        """
        muxer = Muxer(self.tracks)
        has_video = muxer.content_type == "video/mp4"
        pieces: list[bytes] = []
        due = SHIFT_SECONDS + seconds
        for packet in self.packets:
            is_picture = packet.track.kind is MediaKind.VIDEO
            can_begin = (is_picture and packet.is_keyframe) or seconds < 0.3 or not has_video
            if packet.dts / packet.track.clock_rate >= due and can_begin:
                pieces.append(muxer.fragment(packet if packet.is_keyframe else None))
                due += seconds
            muxer.packet(packet)
        pieces.append(muxer.finish())
        return muxer.init_segment(), pieces


@pytest.fixture(scope="module", params=CLIPS)
def clip(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clip]:
    """Make one clip with FFmpeg, and read it."""
    name: str = request.param
    path: Path = tmp_path_factory.mktemp("fmp4") / f"{name}.mp4"
    command = [FFMPEG, "-v", "quiet", "-nostdin", *CLIPS[name], "-strict", "-2", str(path)]
    subprocess.run(command, check=True, timeout=60)
    yield Clip(path)


def test_segments(clip: Clip) -> None:
    """C-FM-01, C-FM-02, C-FM-05, C-FM-08: FFmpeg sees the same packets at the same times.

    It decodes them to the same frames, and says no word; each segment can be begun with.
    """
    init, pieces = clip.written(0.3)
    assert len(pieces) > 1
    path = clip.path.with_suffix(".segments.mp4")
    path.write_bytes(init + b"".join(pieces))
    _compare(clip, path.read_bytes())
    assert hashes(path) == clip.hashes
    for piece in pieces:
        with av.open(io.BytesIO(init + piece), "r", format="mp4") as container:
            for packet in container.demux():
                packet.decode()


def test_parts(clip: Clip) -> None:
    """C-FM-02, C-FM-03: the same in parts of 80 ms; and an independent reader has no complaint."""
    init, pieces = clip.written(0.08)
    assert len(pieces) >= 9
    _compare(clip, init + b"".join(pieces))
    known = read_init(init)
    seen = [read_fragments(piece, known) for piece in pieces if piece]
    for before, after in pairwise(seen):
        after.check_follows(before)


def test_described(clip: Clip) -> None:
    """C-FM-05, C-FM-08: FFmpeg finds the codecs, sizes, colours and rates of the source."""
    init, pieces = clip.written(0.3)
    described = []
    for data in (clip.path.read_bytes(), init + b"".join(pieces)):
        found: list[tuple[object, ...]] = []
        with av.open(io.BytesIO(data), "r", format="mp4") as container:
            for stream in container.streams:
                context = stream.codec_context
                if isinstance(context, av.VideoCodecContext):
                    sizes = (context.width, context.height, context.pix_fmt)
                    colours = (context.color_primaries, context.colorspace, context.color_range)
                    ratio = context.sample_aspect_ratio or 1
                    found.append((context.codec_tag, *sizes, *colours, ratio))
                elif isinstance(context, av.AudioCodecContext):
                    form = (context.sample_rate, context.layout.name, context.format.name)
                    found.append((context.codec_tag, *form, context.profile))
        described.append(found)
    assert described[0] == described[1]


def _compare(clip: Clip, data: bytes) -> None:
    theirs = ffmpeg_sees(data)
    assert [track.codec for track, _packets in theirs] == [track.codec for track in clip.tracks]
    for (track, sent), (_track, got) in zip(clip.seen, theirs, strict=True):
        shift = SHIFT_SECONDS * track.clock_rate
        assert [(x.dts - shift, x.pts - shift, x.is_keyframe, x.payload) for x in got] == [
            (x.dts, x.pts, x.is_keyframe, _without_sets(track, x.payload)) for x in sent
        ]
        # Of the last one it is not known; FFmpeg cuts it where the source ended. Of VP9 in
        # fragments it tells none, not even of those that it wrote.
        if track.codec is not Codec.VP9:
            assert [x.duration for x in got[:-1]] == [x.duration for x in sent[:-1]]
            usual = max(x.duration for x in sent)
            assert sent[-1].duration <= got[-1].duration <= usual


def _without_sets(track: Track, payload: bytes) -> bytes:
    """Take out VPS, SPS and PPS, of which x265 was asked to repeat those of hvcC."""
    if track.codec is not Codec.HEVC:
        return payload
    return nal_units(*(x for x in split_length_prefixed(payload) if not 32 <= x[0] >> 1 <= 34))
