"""MPEG-TS of a real muxer, read by us; and ours, read and decoded by FFmpeg without a complaint."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import imageio_ffmpeg  # type: ignore[import-untyped]
import pytest

from ntvmedia.formats.mpegts_demuxer import Demuxer
from ntvmedia.formats.mpegts_muxer import Muxer
from ntvmedia.formats.mpegts_serialiser import MPEGTSSerialiser
from ntvmedia.media import Codec, MediaKind, Packet, Track
from ntvmedia.media.timebase import rescale
from tests.formats import ts_bytes

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=128x96:rate=25:duration=1", "-pix_fmt", "yuv420p"]
X264 = ["-c:v", "libx264", "-bf", "2", "-g", "10"]
X265 = ["-c:v", "libx265", "-x265-params", "log-level=none:bframes=2:keyint=10"]


def sound(rate: int) -> list[str]:
    """Options for a tone of one second."""
    return ["-f", "lavfi", "-i", f"sine=duration=1:sample_rate={rate}"]


CLIPS = {
    "avc": [*sound(44100), *PICTURE, *X264, "-c:a", "aac"],
    "hevc": [*sound(48000), *PICTURE, *X265, "-c:a", "aac", "-ac", "2"],
    "video-only": [*PICTURE, *X264],
    "audio-only": [*sound(22050), "-c:a", "aac"],
    "mp3": [*sound(44100), *PICTURE, *X264, "-c:a", "libmp3lame"],
    "mp3-low": [*sound(22050), "-c:a", "libmp3lame"],
    "mp2": [*sound(48000), "-c:a", "mp2"],
    "ac3": [*sound(48000), *PICTURE, *X264, "-c:a", "ac3"],
    "ac3-dvb": [*sound(48000), "-c:a", "ac3", "-mpegts_flags", "system_b"],
    "eac3": [*sound(48000), "-c:a", "eac3"],
    "opus": [*sound(48000), *PICTURE, *X264, "-c:a", "libopus"],
    "latm": [*sound(48000), "-c:a", "aac", "-mpegts_flags", "latm"],
    "m2ts": [*sound(48000), *PICTURE, *X264, "-c:a", "ac3", "-mpegts_m2ts_mode", "1"],
}

# FFmpeg keeps what we take out: delimiters, sets and ADTS headers; sound is the same elsewhere.
WRAPPED = {Codec.H264, Codec.HEVC, Codec.AAC}


class Seen(NamedTuple):
    """A packet as FFmpeg's demuxer or ours tells it; times are in ticks of 90 kHz."""

    kind: str
    dts: int
    pts: int
    is_keyframe: bool


class Clip:
    """An MPEG-TS file of FFmpeg's, and what we read of it."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        self.tracks: dict[int, Track] = {}
        self.packets: list[Packet] = []
        demuxer = Demuxer()
        demuxer.receive_data(data)
        for event in (*demuxer.events(), *demuxer.flush()):
            if isinstance(event, Track):
                assert event.id not in self.tracks
                self.tracks[event.id] = event
            elif isinstance(event, Packet):
                self.packets.append(event)
        assert demuxer.damaged == 0

    def seen(self) -> list[Seen]:
        """Return the packets in the form that FFmpeg's have here."""
        return [
            Seen(
                str(packet.track.kind),
                rescale(packet.dts, packet.track.clock_rate, 90000),
                rescale(packet.pts, packet.track.clock_rate, 90000),
                packet.is_keyframe,
            )
            for packet in self.packets
        ]

    def written(self) -> bytes:
        """Write the packets again, as a live stream."""
        serialiser = MPEGTSSerialiser()
        serialiser.tracks_changed(list(self.tracks.values()), {}, 0)
        parts: list[bytes] = []
        for packet in self.packets:
            serialiser.packet(packet, parts)
        return b"".join(parts)

    def segmented(self) -> bytes:
        """Write the packets again, as segments of HLS: sound is gathered."""
        muxer = Muxer(list(self.tracks.values()), audio_gather_seconds=0.15)
        parts: list[bytes] = [muxer.tables()]
        for packet in self.packets:
            if packet.is_keyframe and packet.track.kind is MediaKind.VIDEO:
                muxer.flush(parts)
                parts.append(muxer.tables())
            muxer.packet(packet, parts)
        muxer.flush(parts)
        return b"".join(parts)


@pytest.fixture(scope="module", params=CLIPS)
def clip(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clip]:
    """Make one clip with FFmpeg, and read it."""
    name: str = request.param
    path: Path = tmp_path_factory.mktemp("mpegts") / f"{name}.ts"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *CLIPS[name]]
    subprocess.run([*command, "-f", "mpegts", str(path)], check=True, timeout=60)
    yield Clip(name, path.read_bytes())


def ffmpeg_sees(data: bytes) -> tuple[list[Seen], dict[str, list[bytes]]]:
    """Read MPEG-TS with FFmpeg's demuxer, by PyAV: packets in their order, payloads by kind."""
    found: list[Seen] = []
    payloads: dict[str, list[bytes]] = {}
    with av.open(io.BytesIO(data), "r", format="mpegts") as container:
        for packet in container.demux():
            if packet.size:
                assert packet.dts is not None
                assert packet.pts is not None
                kind = packet.stream.type
                found.append(Seen(kind, packet.dts, packet.pts, packet.is_keyframe))
                payloads.setdefault(kind, []).append(bytes(packet))
    return found, payloads


def of_kind(seen: list[Seen], kind: str) -> list[Seen]:
    """Keep one kind: FFmpeg and we give out tracks in another order."""
    return [packet for packet in seen if packet.kind == kind]


def decoded(data: bytes) -> dict[str, int]:
    """Count what FFmpeg's decoders make of MPEG-TS."""
    counts: dict[str, int] = {}
    with av.open(io.BytesIO(data), "r", format="mpegts") as container:
        for packet in container.demux():
            for frame in packet.decode():
                kind = type(frame).__name__
                counts[kind] = counts.get(kind, 0) + 1
    return counts


def test_read_as_ffmpeg_does(clip: Clip) -> None:
    """E-SR-02, C-TS-05: FFmpeg's own files give the same frames at the same times."""
    theirs, payloads = ffmpeg_sees(clip.data)
    ours = clip.seen()
    for kind in ("video", "audio"):
        want, got = of_kind(theirs, kind), of_kind(ours, kind)
        assert len(got) == len(want)
        for a, b in zip(got, want, strict=True):
            # Sound is counted in samples, and FFmpeg's parsers count in ticks.
            assert abs(a.dts - b.dts) <= 1 and abs(a.pts - b.pts) <= 1
            assert a.is_keyframe == b.is_keyframe
    for track in clip.tracks.values():
        if track.codec not in WRAPPED:
            mine = [packet.payload for packet in clip.packets if packet.track is track]
            assert mine == payloads[str(track.kind)]


@pytest.mark.parametrize("form", ["live", "segments"])
def test_written_for_ffmpeg(clip: Clip, form: str) -> None:
    """C-TS-01 to C-TS-07, C-TS-10: written again, each frame is there, at its time, and decodes."""
    data = clip.written() if form == "live" else clip.segmented()
    ts_bytes.check_clock(ts_bytes.read(data))
    theirs, _payloads = ffmpeg_sees(data)
    for kind in ("video", "audio"):
        want, got = of_kind(clip.seen(), kind), of_kind(theirs, kind)
        assert len(got) == len(want)
        for a, b in zip(got, want, strict=True):
            shift = 10 * 90000
            assert abs(a.dts - b.dts - shift) <= 1 and abs(a.pts - b.pts - shift) <= 1
            assert a.is_keyframe == b.is_keyframe
    assert decoded(data) == decoded(clip.data) != {}


@pytest.mark.parametrize("form", ["live", "segments"])
def test_ffmpeg_has_no_complaint(clip: Clip, form: str, tmp_path: Path) -> None:
    """C-TS-03, C-TS-05: `ffmpeg -v error` prints nothing; `ffprobe` finds the tracks."""
    path = tmp_path / "x.ts"
    path.write_bytes(clip.written() if form == "live" else clip.segmented())
    installed = shutil.which("ffmpeg")
    for program in {imageio_ffmpeg.get_ffmpeg_exe(), installed or ""} - {""}:
        done = subprocess.run(
            [program, "-v", "warning", "-nostdin", "-i", path, "-f", "null", "-"],
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert done.stderr == b""
    with av.open(str(path), "r", format="mpegts") as container:
        names = {stream.codec_context.name for stream in container.streams}
        wanted = {str(track.codec) for track in clip.tracks.values()}
        assert len(container.streams) == len(clip.tracks)
        # FFmpeg names MPEG audio by the layer in its frames, and its decoder of MP3 for floats.
        assert names == wanted or clip.name.startswith(("mp3", "mp2"))
        for stream in container.streams.audio:
            (track,) = (t for t in clip.tracks.values() if t.kind is MediaKind.AUDIO)
            assert stream.codec_context.sample_rate == track.clock_rate
            assert stream.codec_context.layout.nb_channels == track.channels
