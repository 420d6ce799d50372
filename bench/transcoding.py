"""What transcoding costs, ours against FFmpeg's own program: pictures for a second of CPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import Final

import imageio_ffmpeg  # type: ignore[import-untyped]

from bench.report import Metrics
from bench.servers import CHECKOUT, NotStarted
from bench.source import TWO_MEGABITS, load_source, source_path

PRESET: Final = "veryfast"
KBPS: Final = 1000
HEIGHT: Final = 480

_SECONDS: Final = 240.0


def measure_ours(core: int) -> Metrics:
    """Transcode the source with our pipeline, pinned to a CPU."""
    path = str(source_path(TWO_MEGABITS))
    return _measure(core, [sys.executable, "-m", "bench.transcodeloop", path], r"(\d+)")


def measure_ffmpeg(core: int) -> Metrics:
    """Transcode it with FFmpeg's program, told the same."""
    path = str(source_path(TWO_MEGABITS))
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "info", "-i", path),
        *("-vf", f"scale=-2:{HEIGHT}:flags=bicubic", "-pix_fmt", "yuv420p"),
        *("-c:v", "libx264", "-preset", PRESET, "-b:v", f"{KBPS}k", "-bf", "0"),
        *("-maxrate", f"{KBPS * 12 // 10}k", "-bufsize", f"{KBPS * 2}k"),
        *("-force_key_frames", "expr:gte(t,n_forced*2)", "-sc_threshold", "0"),
        *("-c:a", "aac", "-b:a", "128k", "-f", "flv", "-y", os.devnull),
    ]
    return _measure(core, command, r"frame=\s*(\d+)")


def _measure(core: int, command: list[str], pattern: str) -> Metrics:
    load_source(TWO_MEGABITS)  # made where it is not there yet
    began = time.monotonic()
    before = os.times()
    done = subprocess.run(
        ["/usr/bin/taskset", "-c", str(core), *command],
        cwd=CHECKOUT,
        capture_output=True,
        check=False,
        timeout=_SECONDS,
    )
    after = os.times()
    text = (done.stdout + done.stderr).decode(errors="replace")
    found = re.findall(pattern, text)
    if done.returncode or not found:
        raise NotStarted(f"transcoding: {text[-2000:]}")
    used = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    return {"frames_per_cpu": int(found[-1]) / used, "wall_seconds": time.monotonic() - began}
