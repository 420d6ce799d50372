"""One run of HLS: against a stream of our server, or against files that nginx serves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin

from bench.hls import check_segment, playlist_names
from bench.hlsload import HLSPlan, HLSResult, run_hls
from bench.hlsloop import multivariant_path
from bench.hlspoll import PollPlan, PollResult, run_polling
from bench.hlswriter import run_writer
from bench.httpload import fetch_body
from bench.measure import CHUNK_BYTES, Child, Window, publishing_plan, sleep_until
from bench.publisher import run_publishers
from bench.report import Metrics
from bench.servers import NginxFiles, NotStarted, Ours, Server
from bench.source import Source

SEGMENTS: Final = 7
"""So many the application lists by default."""

# Till so many segments are there, of 2 s, the first earlier.
_SEGMENTS_SECONDS: Final = 40.0
_LOOK_SECONDS: Final = 0.25

# Before the window: the connections have grown as fast as they get.
_WARM_SECONDS: Final = 2.0

_SEGMENT_SECONDS: Final = 2.0

# Likewise, of those who poll: each has asked so often.
_WARM_ROUNDS: Final = 2

ALWAYS: Final = "hls_always=true"
"""So that segments are there before the first viewer."""


@dataclass(frozen=True, slots=True)
class HLSLoad:
    """Viewers of one stream; attributes as of `HLSPlan`, and the window's length."""

    viewers: int
    rate: float
    refresh_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Polling:
    """Viewers of one stream who do as players do, and the window's length."""

    viewers: int
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
        alone, generators = 0.0, list[int]()
        if source is not None:
            alone, generators = publisher_alone(stack, server, source, load.seconds)
        plan = HLSPlan(server.address.http_port, load.viewers, load.rate, load.refresh_seconds)
        with Child(run_hls, plan) as viewers:
            window, result = watch(server, viewers, generators, _WARM_SECONDS, load.seconds)
    return hls_metrics(window, alone, result, segments=bool(load.refresh_seconds))


def measure_polling(
    server: Server, source: Source | None, files: Mapping[str, bytes], load: Polling
) -> Metrics:
    """Load a server that is not started yet with HLS viewers who poll.

    Args:
        server: Ours, or one that has the files.
        source: What is published, to ours; None: nothing.
        files: What is written to the other's folder, step by step, as if it were live.
        load: The viewers.
    """
    with ExitStack() as stack:
        stack.enter_context(server)
        alone, generators = 0.0, list[int]()
        if source is not None:
            alone, generators = publisher_alone(stack, server, source, load.seconds)
        else:
            assert isinstance(server, NginxFiles)
            writer = stack.enter_context(Child(run_writer, server.root, files))
            writer.answer()
            generators.append(writer.pid)
        plan = PollPlan(server.address.http_port, load.viewers, sessions=source is not None)
        with Child(run_polling, plan) as viewers:
            warm = _WARM_ROUNDS * _SEGMENT_SECONDS
            window, result = watch(server, viewers, generators, warm, load.seconds)
    return hls_metrics(window, alone, result, segments=True) | poll_metrics(result, load.viewers)


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


def poll_metrics(result: PollResult, viewers: int) -> Metrics:
    """Say whether the viewers got what they wanted: each segment once."""
    wanted = viewers * result.seconds / result.target_seconds
    return {"segments_percent": 100 * result.segments / wanted}


def capture_hls(server: Ours, source: Source) -> dict[str, bytes]:
    """Return all that a viewer of a stream of our server is given, by path."""
    port = server.address.http_port
    with server, publisher_of(server, source):
        path = multivariant_path()
        files = {path: fetch_body(port, path)}
        path = urljoin(path, playlist_names(files[path])[0])
        files[path] = fetch_body(port, path)
        for name in playlist_names(files[path]):
            segment = urljoin(path, name)
            files[segment] = fetch_body(port, segment)
            check_segment(files[segment])
    return files


def publisher_alone(
    stack: ExitStack, server: Server, source: Source, seconds: float, *fields: str
) -> tuple[float, list[int]]:
    """Publish, and measure what that costs without any request, segments included.

    Args:
        stack: Ends the publisher.
        server: Ours, which runs.
        source: What is published.
        seconds: How long is measured.
        fields: Of the application.

    Returns:
        CPU seconds a second, and the processes of the generator.
    """
    publisher = stack.enter_context(publisher_of(server, source, *fields))
    window = Window(server, [])
    time.sleep(seconds)
    window.end(seconds)
    return window.cpu / seconds, [publisher.pid]


def watch(
    server: Server, viewers: Child, generators: Sequence[int], warm: float, seconds: float
) -> tuple[Window, Any]:
    """Have viewers watch for a window that begins `warm` seconds after all are there.

    Returns:
        What it cost, and what the viewers say.
    """
    viewers.answer()
    begin = time.monotonic() + warm
    viewers.pipe.send((begin, begin + seconds))
    sleep_until(begin)
    window = Window(server, [*generators, viewers.pid])
    sleep_until(begin + seconds)
    window.end(time.monotonic() - begin)
    return window, viewers.answer()


def publisher_of(server: Server, source: Source, *fields: str) -> Child:
    """Publish one stream to our server until all segments are listed that ever are.

    Args:
        server: Ours, which runs.
        source: What is published.
        fields: Of the application, as of `Ours.set_application`.
    """
    assert isinstance(server, Ours)
    server.set_application(ALWAYS, *fields)
    child = Child(run_publishers, publishing_plan(server, 1, CHUNK_BYTES), source)
    try:
        child.answer()
        deadline = time.monotonic() + _SEGMENTS_SECONDS
        # One is asked for at the end only: until then nobody watches.
        time.sleep(SEGMENTS * _SEGMENT_SECONDS)
        while len(listed_segments(server)) < SEGMENTS:
            if time.monotonic() > deadline:
                raise NotStarted(f"no {SEGMENTS} segments after {_SEGMENTS_SECONDS:g} s")
            time.sleep(_LOOK_SECONDS)
    except BaseException:
        child.__exit__(None, None, None)
        raise
    return child


def listed_segments(server: Server) -> list[str]:
    """List the segments that there are now."""
    port, path = server.address.http_port, multivariant_path()
    path = urljoin(path, playlist_names(fetch_body(port, path))[0])
    return playlist_names(fetch_body(port, path))
