"""FLV of real muxers, read by us; and ours, read by FFmpeg: the same packets, bit for bit."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import imageio_ffmpeg  # type: ignore[import-untyped]
import pytest

from ntvmedia.formats.flv import Demuxer, Header, Tag, TagType
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.formats.flv_serialiser import FLVSerialiser
from ntvmedia.media import Codec, Packet, Track, to_milliseconds

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=128x96:rate=25:duration=0.6", "-pix_fmt", "yuv420p"]
X265 = ["-c:v", "libx265", "-x265-params", "log-level=none:bframes=2"]


def sound(rate: int) -> list[str]:
    """Options for a tone of 0.6 seconds."""
    return ["-f", "lavfi", "-i", f"sine=duration=0.6:sample_rate={rate}"]


CLIPS = {
    "avc": [*sound(44100), *PICTURE, "-c:v", "libx264", "-bf", "0", "-g", "5", "-c:a", "aac"],
    "b-frames": [*PICTURE, "-c:v", "libx264", "-bf", "3", "-g", "10"],
    "hevc": [*sound(48000), *PICTURE, *X265, "-c:a", "aac", "-ac", "2"],
    "av1": [*PICTURE, "-c:v", "libaom-av1", "-cpu-used", "8"],
    "vp9": [*sound(48000), *PICTURE, "-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus"],
    "flv1": [*PICTURE, "-c:v", "flv"],
    "mp3": [*sound(44100), "-c:a", "libmp3lame"],
    "alaw": [*sound(8000), "-c:a", "pcm_alaw"],
    "mulaw": [*sound(8000), "-c:a", "pcm_mulaw"],
    "pcm": [*sound(44100), "-c:a", "pcm_s16le"],
    "nellymoser": [*sound(8000), "-c:a", "nellymoser"],
    "ac3": [*sound(48000), "-c:a", "ac3"],
    "eac3": [*sound(48000), "-c:a", "eac3"],
    "flac": [*sound(48000), "-c:a", "flac"],
    "opus": [*sound(48000), "-c:a", "libopus"],
}

TRACKS = {
    "avc": {Codec.H264: 90000, Codec.AAC: 44100},
    "b-frames": {Codec.H264: 90000},
    "hevc": {Codec.HEVC: 90000, Codec.AAC: 48000},
    "av1": {Codec.AV1: 90000},
    "vp9": {Codec.VP9: 90000, Codec.OPUS: 48000},
    "flv1": {Codec.FLV1: 90000},
    "mp3": {Codec.MP3: 44100},
    "alaw": {Codec.PCM_ALAW: 8000},
    "mulaw": {Codec.PCM_MULAW: 8000},
    "pcm": {Codec.PCM_S16LE: 44100},
    "nellymoser": {Codec.NELLYMOSER: 8000},
    "ac3": {Codec.AC3: 48000},
    "eac3": {Codec.EAC3: 48000},
    "flac": {Codec.FLAC: 48000},
    "opus": {Codec.OPUS: 48000},
}


class Seen(NamedTuple):
    """A packet as FFmpeg's demuxer or ours tells it; times are in milliseconds."""

    kind: str
    dts: int
    pts: int
    is_keyframe: bool
    payload: bytes


@pytest.fixture(scope="module", params=CLIPS)
def clip(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clip]:
    """Make one clip with FFmpeg, and read it with our demuxer and reader."""
    name: str = request.param
    path: Path = tmp_path_factory.mktemp("flv") / f"{name}.flv"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *CLIPS[name], str(path)]
    subprocess.run(command, check=True, timeout=60)
    yield Clip(name, path.read_bytes())


class Clip:
    """An FLV file, and what we read of it."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        self.tracks: dict[int, Track] = {}
        self.packets: list[Packet] = []
        self.reader = TagReader()
        demuxer = Demuxer()
        demuxer.receive_data(data)
        for tag in demuxer.events():
            if isinstance(tag, Header) or tag.kind is TagType.SCRIPT:
                continue
            self._read(tag)

    def _read(self, tag: Tag) -> None:
        read = self.reader.video if tag.kind is TagType.VIDEO else self.reader.audio
        for event in read(tag.timestamp, tag.body):
            if isinstance(event, Track):
                self.tracks[event.id] = event
            else:
                self.packets.append(event)

    def seen(self) -> list[Seen]:
        """Return the packets in the form that FFmpeg's have here."""
        return [
            Seen(
                str(packet.track.kind),
                to_milliseconds(packet.dts, packet.track.clock_rate),
                to_milliseconds(packet.pts, packet.track.clock_rate),
                packet.is_keyframe,
                packet.payload,
            )
            for packet in self.packets
        ]

    def written(self, *, legacy_hevc: bool) -> bytes:
        """Write the packets again."""
        serialiser = FLVSerialiser(legacy_hevc=legacy_hevc)
        serialiser.tracks_changed(list(self.tracks.values()), {}, 0)
        parts = [serialiser.header(0)]
        for packet in self.packets:
            serialiser.packet(packet, parts)
        return b"".join(parts) + serialiser.trailer()


def ffmpeg_sees(data: bytes) -> list[Seen]:
    """Read FLV with FFmpeg's demuxer, by PyAV."""
    found = []
    with av.open(io.BytesIO(data), "r") as container:
        for packet in container.demux():
            if packet.size:
                assert packet.dts is not None
                assert packet.pts is not None
                payload = bytes(packet)
                if container.streams.video and packet.stream.codec_context.codec.id == AV1:
                    # We keep AV1 without temporal delimiters, as MP4 does.
                    payload = payload.removeprefix(b"\x12\x00")
                found.append(
                    Seen(packet.stream.type, packet.dts, packet.pts, packet.is_keyframe, payload)
                )
    return found


AV1 = av.codec.Codec("libdav1d", "r").id


def decoded_frames(data: bytes) -> dict[str, int]:
    """Count what FFmpeg's decoders make of FLV."""
    counts: dict[str, int] = {}
    with av.open(io.BytesIO(data), "r") as container:
        for packet in container.demux():
            # FFmpeg 9 ends its own files with headers that come out as packets without data.
            for frame in packet.decode() if packet.size else ():
                kind = type(frame).__name__
                counts[kind] = counts.get(kind, 0) + 1
    return counts


def test_read_as_ffmpeg_does(clip: Clip) -> None:
    """A-MD-10, A-ER-01, A-ER-02, A-ER-07: FFmpeg's own files give the same packets as to FFmpeg."""
    assert {track.codec: track.clock_rate for track in clip.tracks.values()} == TRACKS[clip.name]
    assert clip.seen() == ffmpeg_sees(clip.data)
    assert len(clip.packets) >= 5
    assert clip.reader.dropped == 0


@pytest.mark.parametrize("legacy_hevc", [False, True])
def test_written_for_ffmpeg(clip: Clip, legacy_hevc: bool) -> None:
    """B-FL-01, B-FL-08: what we write of it, FFmpeg reads as the original, and decodes."""
    if legacy_hevc and clip.name != "hevc":
        return
    data = clip.written(legacy_hevc=legacy_hevc)
    assert ffmpeg_sees(data) == ffmpeg_sees(clip.data)
    assert decoded_frames(data) == decoded_frames(clip.data) != {}


def test_speex_for_ffmpeg() -> None:
    """A-MD-10: FFmpeg, which has no encoder for Speex here, knows what we write as Speex."""
    track = Track(Codec.SPEEX, clock_rate=16000, channels=1)
    sent = [Packet(track, n * 320, n * 320, True, b"frame %d" % n) for n in range(9)]
    serialiser = FLVSerialiser()
    serialiser.tracks_changed([track], {}, 0)
    parts = [serialiser.header(0)]
    for packet in sent:
        serialiser.packet(packet, parts)
    data = b"".join(parts)
    with av.open(io.BytesIO(data), "r") as container:
        context = container.streams.audio[0].codec_context
        assert (context.name, context.sample_rate) == ("speex", 16000)
    assert ffmpeg_sees(data) == [
        Seen("audio", n * 20, n * 20, True, b"frame %d" % n) for n in range(9)
    ]
