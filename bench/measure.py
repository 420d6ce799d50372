"""One run of one server: start it, load it, read what it cost and what its clients saw."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Final, Self

from bench.address import stream_name
from bench.httpload import fetch_body, load_http
from bench.latency import measure_latency
from bench.players import RTMP, PlayerFigures, PlayersPlan, PlayersResult, run_players
from bench.proc import cpu_seconds, open_peers, run_seconds, waited_seconds
from bench.publisher import PublishersPlan, PublishersResult, run_publishers
from bench.report import Metrics, percentile
from bench.servers import NginxFiles, Server
from bench.source import Expectation, Source

# Before the first player: a GOP is cached, and what a server does once is done.
_WARM_SECONDS: Final = 3.0

# After the last player joined: the GOP cache is delivered, and a server that adapts has.
_SETTLE_SECONDS: Final = 4.0

# After the publisher stopped: what the slowest merging server still holds is delivered.
_DRAIN_SECONDS: Final = 1.5

_CHILD_SECONDS: Final = 60.0
CHUNK_BYTES: Final = 4096
"""Of publishers, where it is not what is looked at."""

_KIB: Final = 1024
_MIB: Final = 1 << 20

_FORK: Final = multiprocessing.get_context("fork")


class Child:
    """A process of the generator, and the pipe to it. Leaving the context ends it."""

    def __init__(self, target: Callable[..., None], *arguments: object) -> None:
        self.pipe, theirs = _FORK.Pipe()
        self._process: BaseProcess = _FORK.Process(target=target, args=(*arguments, theirs))
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    def answer(self, seconds: float = _CHILD_SECONDS) -> Any:
        """Wait for the next object that it sends.

        Raises:
            TimeoutError: Nothing came.
            EOFError: It died.
            Exception: What it sent instead.
        """
        if not self.pipe.poll(seconds):
            raise TimeoutError("a process of the generator does not answer")
        answer = self.pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self.pipe.send(None)
        self._process.join(1.0)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()
        self.pipe.close()


@dataclass(frozen=True, slots=True)
class FanOut:
    """Players of one stream: `stalled` of `players` stop reading when the window begins."""

    protocol: str
    players: int
    rate: float
    seconds: float
    stalled: int = 0


@dataclass(frozen=True, slots=True)
class Publishing:
    """Publishers and nobody watching; `tick_seconds` is `PublishersPlan`'s."""

    publishers: int
    chunk_bytes: int
    tick_seconds: float


def measure_fan_out(server: Server, source: Source, load: FanOut) -> Metrics:
    """Load a server that is not started yet with one publisher and many players."""
    with (
        server,
        Child(run_publishers, publishing_plan(server, 1, CHUNK_BYTES), source) as publisher,
    ):
        publisher.answer()
        time.sleep(_WARM_SECONDS)
        resident = server.resident_bytes()
        plan = _plan(server, load, streams=1)
        with Child(run_players, plan) as players:
            window = _watch(server, plan, [publisher.pid, players.pid])
            publisher.pipe.send(time.monotonic())
            sent: PublishersResult = publisher.answer()
            seen: PlayersResult = players.answer()
    metrics = window.metrics() | _seen_metrics(seen, sent, source)
    delivered = seen.window_bytes / seen.window_seconds * window.seconds / 1e9
    if delivered:
        metrics["cpu_per_gb"] = window.cpu / delivered
    if not load.stalled:
        metrics["kib_each"] = (window.resident[-1] - resident) / load.players / _KIB
    else:
        metrics |= _stall_metrics(window, seen.players)
    metrics["late_ms"] = sent.late_ms
    return metrics


def measure_publishers(server: Server, source: Source, load: Publishing, seconds: float) -> Metrics:
    """Load a server with many publishers and no player; then let a few players join."""
    count = load.publishers
    with server:
        idle = server.resident_bytes()
        plan = publishing_plan(server, count, load.chunk_bytes, load.tick_seconds)
        with Child(run_publishers, plan, source) as publisher:
            publisher.answer()
            time.sleep(_WARM_SECONDS)
            begin = time.monotonic()
            window = Window(server, [publisher.pid])
            time.sleep(seconds)
            window.end(time.monotonic() - begin)
            # They join at the rate of one every 97 ms, so at all phases of a GOP.
            joins = FanOut(RTMP, min(count, 40), 1 / 0.097, 1.0)
            with Child(run_players, _plan(server, joins, streams=count)) as players:
                seen: PlayersResult = players.answer()
            publisher.pipe.send(time.monotonic())
            sent: PublishersResult = publisher.answer()
    metrics = window.metrics() | _seen_metrics(seen, sent, source)
    for name in ("gap_p50", "gap_p99", "gap_max", "bytes_min", "bytes_median"):
        metrics.pop(name, None)
    metrics["cpu_per_minute"] = window.cpu / count / (window.seconds / 60)
    metrics["kib_each"] = (window.resident[-1] - idle) / count / _KIB
    metrics["late_ms"] = sent.late_ms
    return metrics


def measure_latencies(server: Server, source: Source, protocol: str, seconds: float) -> Metrics:
    """Measure the way of single frames through an otherwise idle server."""
    with server:
        result = measure_latency(server.address, protocol, source, CHUNK_BYTES, seconds)
    if not result.delays:
        return {"frames_percent": 0.0}
    return {
        "latency_p50": percentile(result.delays, 50) * 1000,
        "latency_p99": percentile(result.delays, 99) * 1000,
        "latency_max": max(result.delays) * 1000,
        "frames_percent": 100 * len(result.delays) / result.sent,
    }


def measure_http(server: Server, path: str, connections: int, seconds: float) -> Metrics:
    """Ask a server for a small answer as fast as it gives it."""
    with server:
        port = server.address.http_port
        load_http(port, path, connections, min(1.0, seconds / 4))
        before = server.cpu_seconds()
        generator = time.process_time()
        result = load_http(port, path, connections, seconds)
        cpu = server.cpu_seconds() - before
        generator = time.process_time() - generator
    return {
        "cpu_per_1000": cpu / result.answers * 1000,
        "answers_per_second": result.answers / result.seconds,
        "answer_bytes": result.answer_bytes,
        "cpu_percent": 100 * cpu / result.seconds,
        "generator_percent": 100 * generator / result.seconds,
    }


def nginx_file_like(server: Server, path: str, core: int) -> NginxFiles:
    """Make the nginx that serves a file with the same content as `server` at `path`."""
    with server:
        content = fetch_body(server.address.http_port, path)
    return NginxFiles(core, {"/file": content})


class Window:
    """The costs of a server, from construction to `end`.

    Attributes:
        seconds: Its length.
        resident: Memory, at its beginning, whenever it was sampled, and at its end.
        peers: The connections when it was sampled, with the time within the window.
        cpu: CPU seconds, children included, in steps of 10 ms.
        run: CPU seconds of the process alone, exactly, for small differences.
    """

    def __init__(self, server: Server, generators: Sequence[int]) -> None:
        self._server = server
        self._generators = generators
        self.seconds = 0.0
        self.resident = [server.resident_bytes()]
        self.peers: list[tuple[float, set[int]]] = []
        self.cpu = -server.cpu_seconds()
        self.run = -run_seconds(server.pid)
        self._waited = -waited_seconds(server.pid)
        self._generator_cpu = -sum(map(cpu_seconds, generators))

    def end(self, seconds: float) -> None:
        """Take the final figures."""
        self.cpu += self._server.cpu_seconds()
        self.run += run_seconds(self._server.pid)
        self._waited += waited_seconds(self._server.pid)
        self._generator_cpu += sum(map(cpu_seconds, self._generators))
        self.resident.append(self._server.resident_bytes())
        self.seconds = seconds

    def sample(self, seconds: float) -> None:
        """Take memory and connections at a time within the window."""
        self.resident.append(self._server.resident_bytes())
        self.peers.append((seconds, open_peers(self._server.address.rtmp_port)))

    def metrics(self) -> Metrics:
        """Say how busy both cores were, and whether the server had its own to itself."""
        return {
            "cpu_percent": 100 * self.cpu / self.seconds,
            "waited_percent": 100 * self._waited / self.seconds,
            "generator_percent": 100 * self._generator_cpu / self.seconds,
        }


def _watch(server: Server, plan: PlayersPlan, generators: Sequence[int]) -> Window:
    """Measure over the plan's window; while players stall, look once a second."""
    begin, end = plan.window
    sleep_until(begin)
    window = Window(server, generators)
    if plan.stalled:
        at = begin
        while (at := at + 1.0) < end - 0.1:
            sleep_until(at)
            window.sample(at - begin)
    sleep_until(end)
    window.end(time.monotonic() - begin)
    return window


def sleep_until(moment: float) -> None:
    """Sleep until a time by the monotonic clock, if that is still to come."""
    time.sleep(max(0.0, moment - time.monotonic()))


def publishing_plan(
    server: Server, count: int, chunk_bytes: int, tick_seconds: float = 0.0
) -> PublishersPlan:
    """Plan so many publishers, of one stream each; arguments as of `PublishersPlan`."""
    names = tuple(stream_name(number) for number in range(count))
    return PublishersPlan(server.address.rtmp_port, names, chunk_bytes, tick_seconds)


def _plan(server: Server, load: FanOut, streams: int) -> PlayersPlan:
    join_at = time.monotonic() + 0.5
    begin = join_at + load.players / load.rate + _SETTLE_SECONDS
    end = begin + load.seconds
    return PlayersPlan(
        protocol=load.protocol,
        address=server.address,
        count=load.players,
        streams=streams,
        rate=load.rate,
        join_at=join_at,
        window=(begin, end),
        finish_at=end + _DRAIN_SECONDS,
        stalled=load.stalled,
        stall_at=begin,
    )


def _seen_metrics(seen: PlayersResult, sent: PublishersResult, source: Source) -> Metrics:
    """Sum up what the players who kept reading saw."""
    players = [player for player in seen.players if not player.stalled]
    waits = [
        (player.keyframe[1] - player.connected) * 1000 for player in players if player.keyframe
    ]
    metrics: Metrics = {"closed": sum(bool(p.closed or not p.keyframe) for p in players)}
    if not waits:
        return metrics
    gaps = [player.gap * 1000 for player in players if player.keyframe]
    metrics |= {
        "keyframe_p50": percentile(waits, 50),
        "keyframe_p99": percentile(waits, 99),
        "gap_p50": percentile(gaps, 50),
        "gap_p99": percentile(gaps, 99),
        "gap_max": max(gaps),
    }
    parts = completeness(players, sent, source)
    if parts:
        metrics |= {"bytes_min": min(parts) * 100, "bytes_median": percentile(parts, 50) * 100}
    return metrics


def completeness(
    players: Sequence[PlayerFigures], sent: PublishersResult, source: Source
) -> list[float]:
    """Return for each player what it received of what it should have, from its keyframe on.

    The publisher has stopped before the players left, so nothing is under way any more. A player
    whose first keyframe is not one of the source's (a server that rewrites frames) is left out;
    one that never got any has received nothing.
    """
    index = source.index()
    expectations: dict[int, Expectation] = {}
    parts = []
    for player in players:
        if player.keyframe is None:
            parts.append(0.0)
            continue
        key, seen_at = player.keyframe
        place = index.get(key)
        if place is None:
            continue
        expected = expectations.setdefault(
            player.chunk_bytes, Expectation(source, player.chunk_bytes)
        )
        first = frame_number(source, place, seen_at - sent.started[player.stream])
        parts.append(player.received / expected.between(first, sent.last[player.stream]))
    return parts


def frame_number(source: Source, place: int, seconds: float) -> int:
    """Return the last number of the frame at `place` of the loop that was due by `seconds`."""
    loops = int(seconds * 1000 // source.loop_ms)
    number = loops * len(source.frames) + place
    return number if source.due(number) <= seconds else number - len(source.frames)


def _stall_metrics(window: Window, players: Sequence[PlayerFigures]) -> Metrics:
    """Say when the players who stopped reading were cut, and what they cost meanwhile."""
    ports = {player.local_port for player in players if player.stalled}
    cuts = []
    for port in ports:
        gone = (at for at, peers in window.peers if port not in peers)
        cuts.append(next(gone, None))
    done = [at for at in cuts if at is not None]
    first, peak, last = window.resident[0], max(window.resident), window.resident[-1]
    metrics: Metrics = {
        "uncut": len(cuts) - len(done),
        "stalled_mib_each": (peak - first) / len(ports) / _MIB,
        "kept_mib": (last - first) / _MIB,
    }
    if done:
        metrics["cut_max"] = max(done)
    return metrics
