"""Segments as FFmpeg makes them, once for all tests, and folders full of them."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av

from ntvmedia.cli.hls_download.folder import Entry, WorkFolder
from tests.formats.mp4_files import installed_ffmpeg

SECONDS = 4
"""Of a clip, in segments of a second."""

FRAME_RATE = 25

_PICTURES = f"-f lavfi -i testsrc2=size=128x96:rate={FRAME_RATE}:duration={SECONDS}"
_SOUND = f"-f lavfi -i sine=frequency=440:sample_rate=48000:duration={SECONDS}"
_H264 = (
    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -keyint_min 25 -sc_threshold 0 "
    "-bf 2 -b_strategy 0"
)
_AAC = "-c:a aac -b:a 48k -ac 1"

_KINDS = {
    "ts": f"{_PICTURES} {_SOUND} {_H264} {_AAC}",
    "fmp4": f"{_PICTURES} {_SOUND} {_H264} {_AAC} -hls_segment_type fmp4",
    "video": f"{_PICTURES} {_H264}",
    "audio": f"{_SOUND} {_AAC}",
    "mpeg2": f"{_PICTURES} -c:v mpeg2video",
}


class Clip:
    """A clip in segments.

    Attributes:
        segments: Their bytes.
        init: What they need before, or nothing.
        durations: As the playlist has them.
    """

    def __init__(self, folder: Path) -> None:
        lines = (folder / "index.m3u8").read_text("utf-8").splitlines()
        names = [line for line in lines if line and not line.startswith("#")]
        self.segments = [(folder / name).read_bytes() for name in names]
        self.durations = [float(x[8:].rstrip(",")) for x in lines if x.startswith("#EXTINF:")]
        init = folder / "init.mp4"
        self.init = init.read_bytes() if init.exists() else b""


@functools.cache
def clip(kind: str) -> Clip:
    """Return a clip of a kind: pictures and sound, or one of them; "mpeg2" does not go into MP4."""
    with tempfile.TemporaryDirectory() as folder:
        command = [installed_ffmpeg(), "-v", "error", "-nostdin", *_KINDS[kind].split()]
        command += ["-f", "hls", "-hls_time", "1", "-hls_list_size", "0", "-hls_segment_filename"]
        command += [f"{folder}/s%d", f"{folder}/index.m3u8"]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        return Clip(Path(folder))


def fill(
    path: Path,
    clips: Sequence[Clip],
    *,
    missing: Sequence[int] = (),
    left_out: Sequence[int] = (),
    cuts: Sequence[int] = (),
) -> Path:
    """Make a folder of downloaded segments.

    Args:
        path: Of it.
        clips: Of each source, in order.
        missing: Places of the first source that could not be had.
        left_out: Those of which the journal says nothing.
        cuts: Those that begin behind a discontinuity.
    """
    folder = WorkFolder(path, {}, force=False, resume=False)
    for source, found in enumerate(clips):
        init = folder.write_init(source, 0, found.init) if found.init else ""
        for place, data in enumerate(found.segments):
            if not source and place in left_out:
                continue
            size = -1 if not source and place in missing else len(data)
            if size >= 0:
                folder.segment_path(source, place).write_bytes(data)
            seconds = found.durations[place]
            is_cut = place in cuts
            folder.complete(
                Entry(source, place, 100 + place, "x", None, seconds, is_cut, init, size)
            )
    folder.close()
    return path


def source_of(first: int, last: int, language: str = "", only: str | None = None) -> dict[str, Any]:
    """Describe a source of a job."""
    return {"first": first, "last": last, "language": language, "only": only}


def packets_of(path: Path) -> dict[str, list[tuple[float, bytes]]]:
    """Return the packets of a file as FFmpeg reads them: times of presentation, and bytes."""
    found: dict[str, list[tuple[float, bytes]]] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                assert packet.pts is not None
                time = float(packet.pts * packet.time_base)
                found.setdefault(packet.stream.type, []).append((time, bytes(packet)))
    return found


def boxes_of(data: bytes) -> list[str]:
    """Return the names of a file's boxes, in order."""
    names = []
    place = 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        names.append(data[place + 4 : place + 8].decode("latin-1"))
        place += int.from_bytes(data[place + 8 : place + 16], "big") if size == 1 else size
    assert place == len(data)
    return names
