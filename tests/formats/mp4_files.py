"""MP4 for tests of what reads it, as FFmpeg writes it; and how FFmpeg reads it."""

from __future__ import annotations

import functools
import io
import shutil
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import imageio_ffmpeg  # type: ignore[import-untyped]

from ntvmedia.formats.fmp4_movie import Movie, parse_movie
from ntvmedia.formats.fmp4_reader import parse_header
from ntvmedia.media import Packet


def find_moov(data: bytes) -> Movie:
    """Find the moov box of a file, as who has random access does, and parse it."""
    place = 0
    while (header := parse_header(data, place)) is not None:
        if header.kind == b"moov":
            return parse_movie(data[place : place + header.size])
        place += header.size
    raise AssertionError("no moov box")


def by_random_access(data: bytes) -> dict[int, list[Packet]]:
    """Read every sample of an ordinary MP4 file by its tables: packets by id of their track."""
    found: dict[int, list[Packet]] = {}
    for track in find_moov(data).tracks:
        read: list[Packet] = []
        for sample in track.samples:
            packet = track.packet(sample, data[sample.offset : sample.offset + sample.size])
            assert packet is not None
            read.append(packet)
        found[track.track.id] = read
    return found


class Seen(NamedTuple):
    """A packet as FFmpeg's demuxer tells it; times in seconds."""

    dts: Fraction
    pts: Fraction
    is_keyframe: bool
    payload: bytes


def ffmpeg_sees(data: bytes, name: str = "mp4") -> list[tuple[str, list[Seen]]]:
    """Read a file with FFmpeg's demuxer, by PyAV: kind and packets of each track."""
    found: list[tuple[str, list[Seen]]] = []
    with av.open(io.BytesIO(data), "r", format=name) as container:
        found = [(stream.type, []) for stream in container.streams]
        for packet in container.demux():
            if packet.size:
                assert packet.dts is not None and packet.pts is not None
                base = packet.time_base
                seen = Seen(packet.dts * base, packet.pts * base, packet.is_keyframe, bytes(packet))
                found[packet.stream.index][1].append(seen)
    return found


def installed_ffmpeg() -> str:
    """Return the ffmpeg of the machine, which is old; where there is none the newer one."""
    return shutil.which("ffmpeg") or newer_ffmpeg()


def newer_ffmpeg() -> str:
    """Return the ffmpeg that comes with the tests' requirements."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


@functools.cache
def written(program: str, name: str, *options: str) -> bytes:
    """Let FFmpeg write a file; once for all tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        command = [program, "-v", "error", "-nostdin", *options, str(path)]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        return path.read_bytes()


def remuxed(data: bytes, name: str, *options: str) -> bytes:
    """Let FFmpeg write a file's packets into another one."""
    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder, "in.mp4"), Path(folder, name)
        source.write_bytes(data)
        copy = ["-i", str(source), "-map", "0", "-c", "copy", *options, str(path)]
        command = [installed_ffmpeg(), "-v", "error", "-nostdin", *copy]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        return path.read_bytes()


PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=128x96:rate=25:duration=0.6", "-pix_fmt", "yuv420p")
NTSC = (
    "-f",
    "lavfi",
    "-i",
    "testsrc2=size=64x48:rate=30000/1001:duration=1",
    "-pix_fmt",
    "yuv420p",
)
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "10")
X265 = ("-c:v", "libx265", "-preset", "veryfast", "-x265-params", "log-level=none:bframes=2")


def sound(rate: int) -> tuple[str, ...]:
    """Options for a tone."""
    return ("-f", "lavfi", "-i", f"sine=duration=0.6:sample_rate={rate}")


# What FFmpeg 5.1 writes into MP4, and into QuickTime's files where MP4 has no place for it.
CLIPS = {
    "avc.mp4": (*sound(44100), *PICTURE, *X264, "-c:a", "aac"),
    "ntsc.mp4": (*sound(48000), *NTSC, *X264, "-c:a", "aac"),
    "hvc1.mp4": (*PICTURE, *X265, "-tag:v", "hvc1"),
    "hev1.mp4": (*PICTURE, *X265, "-tag:v", "hev1"),
    "av1.mp4": (*sound(48000), *PICTURE, "-c:v", "libsvtav1", "-preset", "12", "-c:a", "libopus"),
    "vp9.mp4": (
        *(*sound(48000), *PICTURE, "-c:v", "libvpx-vp9", "-cpu-used", "8", "-g", "10"),
        *("-c:a", "flac", "-strict", "-2"),
    ),
    "mp3.mp4": (*sound(16000), "-c:a", "libmp3lame"),
    "ac3.mp4": (*sound(44100), "-c:a", "ac3"),
    "eac3.mp4": (*sound(48000), "-c:a", "eac3"),
    "mp3.mov": (*sound(44100), "-c:a", "libmp3lame"),
    "aac.mov": (*sound(48000), *PICTURE, *X264, "-c:a", "aac", "-ac", "2"),
    "alaw.mov": (*sound(8000), "-c:a", "pcm_alaw", "-ac", "2"),
    "sowt.mov": (*sound(44100), "-c:a", "pcm_s16le", "-ac", "2"),
    "twos.mov": (*sound(44100), "-c:a", "pcm_s16be"),
    "lpcm.mov": (*sound(96000), "-c:a", "pcm_s16le"),
    "raw.mov": (*sound(8000), "-c:a", "pcm_u8"),
}

# How FFmpeg writes the same packets into fragments, by `-movflags`.
FORMS = {
    "plain": "frag_keyframe+empty_moov+default_base_moof",
    "cmaf": "cmaf+frag_keyframe",
    "separate": "frag_keyframe+empty_moov+separate_moof",
    "samples-in-moov": "frag_keyframe",
    "samples-in-moov-separate": "frag_keyframe+separate_moof",
    "base-by-offset": "frag_keyframe+empty_moov",
    "base-omitted": "frag_keyframe+empty_moov+omit_tfhd_offset",
    "each-frame": "frag_every_frame+empty_moov+default_base_moof",
    "with-edits": "frag_keyframe+delay_moov+default_base_moof",
    "negative-shifts": "frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets",
    "dash": "dash+frag_keyframe+default_base_moof+global_sidx",
    "faststart": "faststart",
}


def ordinary(name: str) -> bytes:
    """Let FFmpeg write one of `CLIPS`, with moov first."""
    options = (*CLIPS[name], "-movflags", "faststart")
    return written(installed_ffmpeg(), name, *options)
