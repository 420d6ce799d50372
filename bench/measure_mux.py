"""What muxing costs: within our server, and the muxer alone in a loop."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Final

from bench.measure import CHUNK_BYTES, Child, Window, publishing_plan
from bench.measure_hls import SEGMENTS, listed_segments
from bench.publisher import run_publishers
from bench.report import Metrics
from bench.servers import CHECKOUT, NotStarted, Ours
from bench.source import TWO_MEGABITS, Source, source_path

# After `hls_always` was set: the first segment is under way.
_MUXING_SECONDS: Final = 3.0
_SEGMENT_SECONDS: Final = 2.0

_ALWAYS: Final = "hls_always=true"
_MUX_LOOP_SECONDS: Final = 120.0


def measure_muxing(server: Ours, source: Source, seconds: float) -> Metrics:
    """Measure a server with one publisher, first without HLS, then with segments always made."""
    with server, Child(run_publishers, publishing_plan(server, 1, CHUNK_BYTES), source) as child:
        child.answer()
        time.sleep(_MUXING_SECONDS)
        windows = []
        for fields in ((), (_ALWAYS,)):
            if fields:
                server.set_application(*fields)
                time.sleep(_MUXING_SECONDS)
            begin = time.monotonic()
            windows.append(Window(server, [child.pid]))
            time.sleep(seconds)
            windows[-1].end(time.monotonic() - begin)
        made = len(listed_segments(server))
        if made < min(SEGMENTS, int(seconds / _SEGMENT_SECONDS)):
            raise NotStarted(f"only {made} segments were made")
    without, muxing = (window.cpu / window.seconds for window in windows)
    return windows[1].metrics() | {
        "alone_percent": 100 * without,
        "mux_percent": 100 * (muxing - without),
    }


def measure_muxer_alone(core: int, seconds: float) -> Metrics:
    """Measure the muxer in a loop, without a server, for about so many CPU seconds."""
    command = [
        *("taskset", "-c", str(core), sys.executable, "-m", "bench.muxloop"),
        *(str(source_path(TWO_MEGABITS)), str(seconds)),
    ]
    done = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, check=False, timeout=_MUX_LOOP_SECONDS
    )
    if done.returncode:
        raise NotStarted(f"the muxer's loop: {done.stderr.decode(errors='replace')[-2000:]}")
    return muxer_metrics(json.loads(done.stdout))


def muxer_metrics(loop: Mapping[str, float]) -> Metrics:
    """Sum up what `bench.muxloop` printed."""
    return {"mux_percent": 100 * loop["cpu_seconds"] / loop["media_seconds"]}
