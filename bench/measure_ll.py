"""One run of low-latency HLS: how soon all have what they wait for."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from bench.hlsblocked import Batch, BlockedPlan, BlockedResult, run_blocked
from bench.measure import Child
from bench.measure_hls import publisher_alone, watch
from bench.report import Metrics
from bench.servers import Ours
from bench.source import Source

_LOW_LATENCY: Final = "hls_format=ll"

# Before the window: each has waited a few times.
_WARM_SECONDS: Final = 3.0


def measure_blocked(server: Ours, source: Source, viewers: int, seconds: float) -> Metrics:
    """Load a server that is not started yet with viewers who wait for the same parts."""
    with ExitStack() as stack:
        stack.enter_context(server)
        alone, generators = publisher_alone(stack, server, source, seconds, _LOW_LATENCY)
        plan = BlockedPlan(server.address.http_port, viewers, server.pid)
        with Child(run_blocked, plan) as waiting:
            window, result = watch(server, waiting, generators, _WARM_SECONDS, seconds)
    return window.metrics() | {"alone_percent": 100 * alone} | ll_metrics(result, alone, viewers)


def ll_metrics(result: BlockedResult, alone: float, viewers: int) -> Metrics:
    """Sum up a run.

    Args:
        result: Batch by batch.
        alone: CPU seconds a second that the publisher cost without any request.
        viewers: So many are in each batch.
    """
    return {
        "blocked_ms": result.blocked_seconds * 1000,
        "plain_ms": result.plain_seconds * 1000,
        "blocked_ratio": result.blocked_seconds / result.plain_seconds,
        "blocked_per_1000": _cpu_per_1000(result.blocked, alone, viewers),
        "plain_per_1000": _cpu_per_1000(result.plain, alone, viewers),
        "parts": len(result.blocked),
        "parts_percent": 100 * len(result.blocked) / result.tried,
    }


def _cpu_per_1000(batches: tuple[Batch, ...], alone: float, viewers: int) -> float:
    """Return the CPU seconds of 1000 requests, less those of the publisher."""
    cpu = sum(batch.cpu - alone * batch.last for batch in batches)
    return cpu / (len(batches) * viewers) * 1000
