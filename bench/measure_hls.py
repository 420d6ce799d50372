"""One run of HLS: against a stream of our server, or against files that nginx serves."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

from bench.hls import check_segment, playlist_names
from bench.hlsload import HLSPlan, HLSResult, multivariant_path, run_hls
from bench.httpload import fetch_body
from bench.measure import CHUNK_BYTES, Child, Window, publishing_plan, sleep_until
from bench.publisher import run_publishers
from bench.report import Metrics
from bench.servers import CHECKOUT, NotStarted, Ours, Server
from bench.source import TWO_MEGABITS, Source, source_path

SEGMENTS: Final = 7
"""So many the application lists by default."""

# Till so many segments are there, of 2 s, the first earlier.
_SEGMENTS_SECONDS: Final = 40.0
_LOOK_SECONDS: Final = 0.25

# Before the window: the connections have grown as fast as they get.
_WARM_SECONDS: Final = 2.0

# After `hls_always` was set: the first segment is under way.
_MUXING_SECONDS: Final = 3.0
_SEGMENT_SECONDS: Final = 2.0

_ALWAYS: Final = "hls_always=true"
_MUX_LOOP_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class HLSLoad:
    """Viewers of one stream; attributes as of `HLSPlan`, and the window's length."""

    viewers: int
    rate: float
    refresh_seconds: float
    seconds: float


def measure_hls(server: Server, source: Source | None, load: HLSLoad) -> Metrics:
    """Load a server that is not started yet with HLS viewers.

    Args:
        server: Ours, or one that has the files.
        source: What is published, to ours; None: nothing, since there are files.
        load: The viewers.
    """
    with ExitStack() as stack:
        stack.enter_context(server)
        generators: list[int] = []
        alone = 0.0
        if source is not None:
            publisher = stack.enter_context(_publisher(server, source))
            # What it costs without any request, segments included.
            window = Window(server, [])
            time.sleep(load.seconds)
            window.end(load.seconds)
            alone = window.cpu / load.seconds
            generators.append(publisher.pid)
        plan = HLSPlan(server.address.http_port, load.viewers, load.rate, load.refresh_seconds)
        with Child(run_hls, plan) as viewers:
            viewers.answer()
            begin = time.monotonic() + _WARM_SECONDS
            viewers.pipe.send((begin, begin + load.seconds))
            sleep_until(begin)
            window = Window(server, [*generators, viewers.pid])
            sleep_until(begin + load.seconds)
            window.end(time.monotonic() - begin)
            result: HLSResult = viewers.answer()
    return hls_metrics(window, alone, result, segments=bool(load.refresh_seconds))


def hls_metrics(window: Window, alone: float, result: HLSResult, *, segments: bool) -> Metrics:
    """Sum up a run.

    Args:
        window: The server's costs.
        alone: CPU seconds a second that the publisher cost without any request.
        result: What the viewers saw.
        segments: Costs are told by bytes; else by answers.
    """
    # Theirs may begin and end a little later than ours.
    part = window.seconds / result.seconds
    costs = window.cpu, window.cpu - alone * window.seconds
    if segments:
        names, amount = ("cpu_per_gb", "net_cpu_per_gb"), result.received * part / 1e9
    else:
        names, amount = ("cpu_per_1000", "net_cpu_per_1000"), result.answers * part / 1000
    return (
        window.metrics()
        | {name: cost / amount for name, cost in zip(names, costs, strict=True)}
        | {
            "alone_percent": 100 * alone,
            "answers_per_second": result.answers / result.seconds,
            "answer_bytes": result.received / result.answers,
            "answer_p50": result.delay_p50 * 1000,
            "answer_p99": result.delay_p99 * 1000,
            "late_ms": result.late_ms,
        }
    )


def capture_hls(server: Ours, source: Source) -> dict[str, bytes]:
    """Return all that a viewer of a stream of our server is given, by path."""
    port = server.address.http_port
    with server, _publisher(server, source):
        path = multivariant_path()
        files = {path: fetch_body(port, path)}
        path = urljoin(path, playlist_names(files[path])[0])
        files[path] = fetch_body(port, path)
        for name in playlist_names(files[path]):
            segment = urljoin(path, name)
            files[segment] = fetch_body(port, segment)
            check_segment(files[segment])
    return files


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
        made = len(_segments(server))
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


def _publisher(server: Server, source: Source) -> Child:
    """Publish one stream to our server until all segments are listed that ever are."""
    assert isinstance(server, Ours)
    server.set_application(_ALWAYS)
    child = Child(run_publishers, publishing_plan(server, 1, CHUNK_BYTES), source)
    try:
        child.answer()
        deadline = time.monotonic() + _SEGMENTS_SECONDS
        # One is asked for at the end only: until then nobody watches.
        time.sleep(SEGMENTS * _SEGMENT_SECONDS)
        while len(_segments(server)) < SEGMENTS:
            if time.monotonic() > deadline:
                raise NotStarted(f"no {SEGMENTS} segments after {_SEGMENTS_SECONDS:g} s")
            time.sleep(_LOOK_SECONDS)
    except BaseException:
        child.__exit__(None, None, None)
        raise
    return child


def _segments(server: Server) -> list[str]:
    """List the segments that there are now."""
    port, path = server.address.http_port, multivariant_path()
    path = urljoin(path, playlist_names(fetch_body(port, path))[0])
    return playlist_names(fetch_body(port, path))
