"""Ordinary MP4 of ours, of each codec, as FFmpeg reads and decodes it."""

from __future__ import annotations

import hashlib
import io
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import pytest

from ntvmedia.formats.mp4_muxer import Muxer
from ntvmedia.formats.mpegts_demuxer import Demuxer as TSDemuxer
from ntvmedia.media import MediaKind, Packet
from tests.formats import mp4_runs
from tests.formats.mp4_files import (
    CLIPS,
    X264,
    by_random_access,
    ffmpeg_sees,
    installed_ffmpeg,
    newer_ffmpeg,
    ordinary,
    written,
)

CARRIED = [name for name in CLIPS if name.endswith(".mp4")]


def mux(packets: Sequence[Packet]) -> tuple[bytes, Muxer]:
    """Write a file."""
    muxer = Muxer()
    data = [chunk for packet in packets for chunk in muxer.packet(packet)]
    data += muxer.finish()
    return muxer.header() + b"".join(data), muxer


def clip_packets(name: str) -> list[Packet]:
    """Read one of FFmpeg's files with our reader: its packets by time."""
    found = by_random_access(ordinary(name))
    return sorted(
        (packet for packets in found.values() for packet in packets),
        key=lambda packet: packet.dts / packet.track.clock_rate,
    )


def hashes(path: Path, program: str) -> dict[str, list[tuple[str, str]]]:
    """Decode with FFmpeg, which must not complain: by stream, size and hash of each frame."""
    done = subprocess.run(
        [
            *(program, "-v", "warning", "-nostdin", "-ignore_editlist", "1", "-i", path),
            *("-map", "0", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5", "-"),
        ],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == b""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in done.stdout.decode().splitlines():
        if not line.startswith("#"):
            stream, _dts, _pts, _duration, size, frame = line.split(",")
            found.setdefault(stream, []).append((size, frame))
    return found


@pytest.mark.parametrize("name", CARRIED)
def test_same_packets(name: str) -> None:
    """C-FM-01, C-FM-02, C-FM-08: data, flags and times are those that were given, for FFmpeg too.

    Its demuxer is newer than its program here.
    """
    packets = clip_packets(name)
    data, muxer = mux(packets)
    assert muxer.left_out == 0
    # Those of an edit that begins inside a track: 0 is what is presented first.
    start = min(packet.pts / packet.track.clock_rate for packet in packets)
    kinds = {"video": MediaKind.VIDEO, "audio": MediaKind.AUDIO}
    seen = ffmpeg_sees(data)
    assert len(seen) == len({packet.track.id for packet in packets})
    for kind, got in seen:
        given = [packet for packet in packets if packet.track.kind is kinds[kind]]
        assert len(got) == len(given)
        early = max(0, *(packet.dts - packet.pts for packet in given))
        for one, packet in zip(got, given, strict=True):
            rate = packet.track.clock_rate
            half = 0.5 / rate + 1e-9
            assert abs(float(one.pts) - (packet.pts / rate - start)) <= half
            assert abs(float(one.dts) - ((packet.dts - early) / rate - start)) <= half
            assert one.is_keyframe == packet.is_keyframe
            assert one.payload == packet.payload


@pytest.mark.parametrize("name", CARRIED)
def test_same_frames(name: str, tmp_path: Path) -> None:
    """Both of FFmpeg's programs decode what they decode of the source, frame by frame."""
    source, ours = tmp_path / "source.mp4", tmp_path / "ours.mp4"
    packets = clip_packets(name)
    source.write_bytes(ordinary(name))
    data, muxer = mux(packets)
    ours.write_bytes(data)
    kinds = [kind for kind, _packets in ffmpeg_sees(data)]
    for program in (installed_ffmpeg(), newer_ffmpeg()):
        expected, found = hashes(source, program), hashes(ours, program)
        assert len(found) == len(expected) == len(kinds)
        for index, kind in enumerate(kinds):
            frames = found[str(index)]
            # The source says that its last frame of sound is shorter, which no packet tells.
            whole = len(frames) if kind == "video" else -1
            assert frames[:whole] == expected[str(index)][:whole]
            assert len(frames) == len(expected[str(index)])
    assert probe(ours, "format=duration") == [pytest.approx(muxer.duration_seconds, abs=1e-3)]


def probe(path: Path, entries: str) -> list[float]:
    """Ask ffprobe for numbers."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", entries, "-of", "csv=p=0", path],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == b""
    return [float(line) for line in done.stdout.split()]


def test_moov_comes_first(tmp_path: Path) -> None:
    """The file plays as soon as it begins: FFmpeg finds moov before the media data."""
    data, _muxer = mux(clip_packets("avc.mp4"))
    assert [kind for kind, _body in mp4_runs.boxes(data)] == [b"ftyp", b"moov", b"mdat"]
    path = tmp_path / "ours.mp4"
    path.write_bytes(data)
    done = subprocess.run(
        ["ffprobe", "-v", "trace", path], capture_output=True, check=True, timeout=60
    )
    trace = done.stderr.decode(errors="replace")
    assert 0 < trace.index("type:'moov' parent:'root'") < trace.index("type:'mdat' parent:'root'")


def transport_stream(size: str, rate: int) -> list[Packet]:
    """Let FFmpeg write MPEG-TS with B-frames, and read it."""
    data = written(
        installed_ffmpeg(),
        f"{size}.ts",
        *("-f", "lavfi", "-i", f"sine=duration=0.6:sample_rate={rate}"),
        *("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration=0.6"),
        *("-pix_fmt", "yuv420p", *X264, "-c:a", "aac", "-ac", "2"),
    )
    demuxer = TSDemuxer()
    demuxer.receive_data(data)
    events = [*demuxer.events(), *demuxer.flush()]
    return [event for event in events if isinstance(event, Packet)]


class Decoded(NamedTuple):
    """Frames that FFmpeg decoded, each in its own size and rate.

    Attributes:
        pictures: Width, and hash.
        sound: Sample rate.
    """

    pictures: list[tuple[int, str]]
    sound: list[int]


def decoded(data: bytes) -> Decoded:
    """Decode with PyAV."""
    found = Decoded([], [])
    with av.open(io.BytesIO(data), "r", format="mp4") as container:
        frames: Iterator[object] = container.decode()
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                pixels = b"".join(bytes(plane) for plane in frame.planes)
                found.pictures.append((frame.width, hashlib.sha256(pixels).hexdigest()))
            elif isinstance(frame, av.AudioFrame):
                found.sound.append(frame.sample_rate)
    return found


@pytest.mark.parametrize("rates", [(48000, 48000), (48000, 44100), (44100, 48000)])
def test_another_size_in_the_middle(rates: tuple[int, int]) -> None:
    """A-MD-04: pictures of another size, and sound of another rate, decode in the same file.

    As before and after an advertisement: FFmpeg decodes each picture as from a file of its own.
    """
    parts = [
        *(transport_stream("128x96", rates[0]), transport_stream("192x128", rates[1])),
        transport_stream("128x96", rates[0]),
    ]
    packets: list[Packet] = []
    alone = [decoded(mux(part)[0]) for part in parts]
    for second, part in enumerate(parts):
        base = min(packet.dts / packet.track.clock_rate for packet in part)
        for packet in part:
            shift = round((second - base) * packet.track.clock_rate)
            packets.append(packet._replace(dts=packet.dts + shift, pts=packet.pts + shift))
    data, muxer = mux(packets)
    assert muxer.left_out == 0
    moov = mp4_runs.inside(data, b"moov")
    assert [kind for kind, _body in mp4_runs.boxes(moov)] == [b"mvhd", b"trak", b"trak"]
    together = decoded(data)
    assert together.pictures == [frame for part in alone for frame in part.pictures]
    assert [width for width, _hash in together.pictures] == [128] * 15 + [192] * 15 + [128] * 15
    assert together.sound == [rate for part in alone for rate in part.sound]
    assert set(together.sound) == set(rates)
    starts = [min(one.pts for one in packets) for _kind, packets in ffmpeg_sees(data)]
    assert min(starts) == 0
