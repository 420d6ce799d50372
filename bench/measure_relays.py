"""What relay tasks cost: many within the server, and few that have a process of their own each."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from bench.address import APPLICATION, HOST, stream_name
from bench.control import Control
from bench.measure import CHUNK_BYTES, Child, Window, publishing_plan
from bench.proc import cpu_seconds, proportional_bytes, resident_bytes, tree
from bench.publisher import run_publishers
from bench.report import Metrics
from bench.servers import NotStarted, Ours, Server, free_ports
from bench.source import FFMPEG, ONE_MEGABIT, Source, load_source, source_path

ALLOWED: Final = f"outbound.allow={HOST}"

_START_SECONDS: Final = 60.0

# After the last task runs: what is done once is done.
_WARM_SECONDS: Final = 4.0

_MIB: Final = 1 << 20


def folders() -> str:
    """Return the setting that allows the source as a file."""
    return f"relay.folders={source_path(ONE_MEGABIT).parent}"


def measure_relays(
    ours: Ours,
    other: Server,
    source: Source,
    count: int,
    seconds: float,
) -> Metrics:
    """Pull as many streams from another server as are published there; nobody watches them.

    Args:
        ours: On its core; it may ask `HOST`.
        other: On the generator's core. It is asked by HTTP-FLV where it has that, else by RTMP.
        source: Of each stream.
        count: Streams, and tasks.
        seconds: The window.
    """
    with (
        other,
        Child(run_publishers, publishing_plan(other, count, CHUNK_BYTES), source) as publisher,
        ours,
    ):
        publisher.answer()
        idle = ours.resident_bytes()
        control = Control(ours.data)
        names = [stream_name(number) for number in range(count)]
        _add(control, [_url(other, name) for name in names])
        window = Window(ours, [publisher.pid, other.pid])
        time.sleep(seconds)
        window.end(seconds)
        rates = [x["status"]["bitrate_kbps"] for x in _tasks(control)]
        running = _running(control)
        publisher.pipe.send(time.monotonic())
        sent = publisher.answer()
    metrics = window.metrics()
    metrics["kib_each"] = (window.resident[-1] - idle) / count / 1024
    metrics["pulled_mbps"] = sum(rates) / 1000
    metrics["closed"] = count - running
    metrics["late_ms"] = sent.late_ms
    return metrics


def measure_children(ours: Ours, count: int, kind: str, seconds: float) -> Metrics:
    """Copy the source in child processes, one for each task.

    Args:
        ours: With `ALLOWED` and `folders`.
        count: Tasks.
        kind: "file" or "udp".
        seconds: The window.
    """
    load_source()  # makes the file
    path = source_path(ONE_MEGABIT)
    with ExitStack() as ends:
        ports = free_ports(count)
        if kind == "udp":
            for port in ports:
                ends.callback(_stop, _sender(path, port))
        ends.enter_context(ours)
        control = Control(ours.data)
        of_file = [f"file:{path.name}"] * count
        _add(control, of_file if kind == "file" else [f"udp://{HOST}:{x}" for x in ports])
        children = tree(ours.pid)[1:]
        if len(children) != count:
            raise NotStarted(f"{len(children)} processes for {count} tasks")
        window = Window(ours, [])
        before = sum(map(cpu_seconds, children))
        time.sleep(seconds)
        used = sum(map(cpu_seconds, children)) - before
        window.end(seconds)
        return {
            "child_percent": 100 * used / seconds / count,
            "rss_mib": sum(map(resident_bytes, children)) / count / _MIB,
            "pss_mib": sum(map(proportional_bytes, children)) / count / _MIB,
            "cpu_percent": 100 * window.cpu / seconds,
            "waited_percent": window.metrics()["waited_percent"],
            "closed": count - _running(control),
        }


def _url(server: Server, name: str) -> str:
    address = server.address
    if address.http_port in server.ports():
        return f"http://{HOST}:{address.http_port}/{APPLICATION}/{name}.flv"
    return f"rtmp://{HOST}:{address.rtmp_port}/{APPLICATION}/{name}"


def _add(control: Control, sources: Sequence[str]) -> None:
    """Make a task for each source, and wait until all of them run."""
    for number, source in enumerate(sources):
        target = {"application": APPLICATION, "stream": f"relay{number}"}
        control.ask("POST", "/relays", {"source": source, "target": target})
    deadline = time.monotonic() + _START_SECONDS
    while _running(control) < len(sources):
        if time.monotonic() > deadline:
            raise NotStarted(f"of {len(sources)} tasks {_running(control)} run")
        time.sleep(0.5)
    time.sleep(_WARM_SECONDS)


def _tasks(control: Control) -> list[Any]:
    found: list[Any] = control.ask("GET", "/relays?page_size=500")["relays"]
    return found


def _running(control: Control) -> int:
    return sum(task["status"]["state"] == "running" for task in _tasks(control))


def _sender(path: Path, port: int) -> subprocess.Popen[bytes]:
    words = [FFMPEG, "-v", "error", "-re", "-stream_loop", "-1", "-i", str(path)]
    to = f"udp://{HOST}:{port}?pkt_size=1316"
    return subprocess.Popen(
        [*words, "-c", "copy", "-f", "mpegts", to],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
