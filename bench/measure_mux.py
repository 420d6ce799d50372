"""What muxing costs: within our server, and the muxer alone in a loop."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Final

from bench.hlsplayer import run_player
from bench.hlspoll import PollPlan, run_polling
from bench.measure import CHUNK_BYTES, Child, Window, publishing_plan
from bench.measure_hls import ALWAYS, SEGMENTS, listed_segments, watch
from bench.publisher import run_publishers
from bench.report import Metrics
from bench.servers import CHECKOUT, NotStarted, Ours
from bench.source import TWO_MEGABITS, Source, source_path

# After `hls_always` was set: the first segment is under way.
_MUXING_SECONDS: Final = 3.0
_SEGMENT_SECONDS: Final = 2.0

_MUX_LOOP_SECONDS: Final = 120.0


def measure_muxing(server: Ours, source: Source, seconds: float) -> Metrics:
    """Measure a server with one publisher, first without HLS, then with segments always made."""
    with server, Child(run_publishers, publishing_plan(server, 1, CHUNK_BYTES), source) as child:
        child.answer()
        time.sleep(_MUXING_SECONDS)
        windows = []
        for fields in ((), (ALWAYS,)):
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
    without, muxing = (window.run / window.seconds for window in windows)
    return windows[1].metrics() | {
        "alone_percent": 100 * without,
        "mux_percent": 100 * (muxing - without),
    }


def measure_watched(server: Ours, source: Source, form: str, seconds: float) -> Metrics:
    """Measure a server with one publisher, first idle, then with one player.

    Args:
        server: Not started yet.
        source: What is published.
        form: What the player asks for: "fmp4" or "ll".
        seconds: The length of each of the two windows.
    """
    port = server.address.http_port
    with server, Child(run_publishers, publishing_plan(server, 1, CHUNK_BYTES), source) as child:
        child.answer()
        time.sleep(_MUXING_SECONDS)
        begin = time.monotonic()
        idle = Window(server, [child.pid])
        time.sleep(seconds)
        idle.end(time.monotonic() - begin)
        if form == "ll":
            player = Child(run_player, port)
        else:
            player = Child(run_polling, PollPlan(port, 1, form))
        with player:
            watched, result = watch(server, player, [child.pid], _MUXING_SECONDS, seconds)
    given = result if form == "ll" else result.segments
    if not given:
        raise NotStarted("the player was given nothing")
    without = idle.run / idle.seconds
    return watched.metrics() | {
        "alone_percent": 100 * without,
        "mux_percent": 100 * (watched.run / watched.seconds - without),
        "answers_per_second": given / watched.seconds,
    }


def measure_muxer_alone(core: int, form: str, seconds: float) -> Metrics:
    """Measure a muxer in a loop, without a server, for about so many CPU seconds.

    Args:
        core: Its CPU.
        form: One of `bench.muxloop.FORMATS`.
        seconds: How long.
    """
    command = [
        *("taskset", "-c", str(core), sys.executable, "-m", "bench.muxloop"),
        *(str(source_path(TWO_MEGABITS)), form, str(seconds)),
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
