"""How fast `ntvmedia hls-download` is: the whole command, from its start to its end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.address import HOST
from bench.measure import Child
from bench.report import Metrics
from bench.servers import NotStarted
from bench.slowserver import Line, run_slow_server
from bench.source import FFMPEG, LOOP_MS, ONE_MEGABIT, source_path

COMMAND: Final = Path(sys.executable).with_name("ntvmedia")

SEGMENT_SECONDS: Final = 2

_LIST: Final = "index.m3u8"
_LIMIT_SECONDS: Final = 600.0

# MP4 needs less around the same media than a transport stream does, but for what is broken.
_LEAST_SHARE: Final = 0.9


def measure_download(core: int, laps: int, jobs: int, line: Line) -> Metrics:
    """Measure one run.

    Args:
        core: The command's CPU, and that of its processes.
        laps: How often the source is in the list, without a seam.
        jobs: `--jobs`.
        line: To the server.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        served = folder / "served"
        size = make_list(served, laps)
        with Child(run_slow_server, served, line) as server:
            port = server.answer()
            out = folder / "out.mp4"
            wall, cpu = _run(core, f"http://{HOST}:{port}/{_LIST}", out, jobs)
        made = out.stat().st_size
        if not _LEAST_SHARE * size < made < size:
            raise NotStarted(f"{made} bytes were made of {size}")
        return download_metrics(size, wall, cpu)


def download_metrics(size: int, wall: float, cpu: float) -> Metrics:
    """Sum up a run: bytes of all segments, seconds on the clock and of the CPU."""
    return {
        "wall_seconds": wall,
        "mb_per_second": size / 1e6 / wall,
        "cpu_per_gb": cpu / (size / 1e9),
        "cpu_percent": 100 * cpu / wall,
    }


def make_list(folder: Path, laps: int) -> int:
    """Write a playlist of MPEG-TS segments of the source; return the bytes of all of them."""
    folder.mkdir()
    command = [
        *(
            FFMPEG,
            "-v",
            "error",
            "-stream_loop",
            str(laps - 1),
            "-i",
            str(source_path(ONE_MEGABIT)),
        ),
        *("-t", str(laps * LOOP_MS / 1000), "-c", "copy", "-f", "hls"),
        *("-hls_time", str(SEGMENT_SECONDS), "-hls_list_size", "0", str(folder / _LIST)),
    ]
    subprocess.run(command, check=True)
    return sum(path.stat().st_size for path in folder.glob("*.ts"))


def _run(core: int, url: str, out: Path, jobs: int) -> tuple[float, float]:
    """Run the command; return how long it took, on the clock and of CPU time, in seconds."""
    command = ["taskset", "-c", str(core), str(COMMAND), "hls-download", url, "-o", str(out)]
    begin, before = time.monotonic(), os.times()
    done = subprocess.run(
        [*command, "--jobs", str(jobs)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=_LIMIT_SECONDS,
    )
    wall, after = time.monotonic() - begin, os.times()
    if done.returncode:
        raise NotStarted(f"hls-download: {done.stderr.decode(errors='replace')[-2000:]}")
    cpu = after.children_user + after.children_system
    return wall, cpu - before.children_user - before.children_system
