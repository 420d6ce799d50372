"""Viewers who wait for the same part, against a server of a few lines."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
import time
from collections.abc import Callable

import pytest

from bench.flv import BadStream
from bench.hlsblocked import Batch, BlockedPlan, BlockedResult, run_blocked
from bench.hlsloop import multivariant_path
from bench.measure_ll import ll_metrics
from bench.report import COLUMNS
from tests.bench.answering import LowLatency, answer_with, server


def watch(answer: Callable[[str], bytes], viewers: int = 6) -> BlockedResult | Exception:
    """Run viewers in this process, which is the server too."""
    ours, theirs = multiprocessing.Pipe()
    with server(answer) as port:
        plan = BlockedPlan(port, viewers, os.getpid())
        thread = threading.Thread(target=run_blocked, args=(plan, theirs))
        thread.start()
        try:
            told = ours.recv()
            if told == "ready":
                begin = time.monotonic() + 0.2
                ours.send((begin, begin + 0.5))
                told = ours.recv()
        finally:
            thread.join()
            gc.enable()  # as it is in all processes but theirs
    assert isinstance(told, BlockedResult | Exception)
    return told


def test_batch() -> None:
    """The first byte of answers to the last; all waited if none came before all had asked."""
    batch = Batch(sending=0.004, first=0.15, last=0.16, cpu=0.01)
    assert batch.spread == pytest.approx(0.01)
    assert batch.waited
    assert not batch._replace(first=0.003).waited


def test_watching() -> None:
    """Part after part all wait; each batch of theirs is followed by a plain one."""
    live = LowLatency()
    result = watch(live)
    assert isinstance(result, BlockedResult)
    assert 1 <= len(result.blocked) == len(result.plain) <= result.tried
    for batch in result.blocked:
        assert batch.waited
        assert batch.first < 2 * live.part_seconds + 1.0
        assert batch.cpu > 0.0
    assert 0.0 < result.blocked_seconds < 1.0
    assert 0.0 < result.plain_seconds < 1.0
    waited = {path for path in live.paths if "_HLS_msn" in path}
    assert len({path.split("/")[3] for path in waited}) == 6


def test_metrics() -> None:
    """Medians of times; costs by requests, less what the publisher cost meanwhile."""
    blocked = tuple(Batch(0.004, 0.100, 0.100 + spread, 0.011) for spread in (0.01, 0.03, 0.02))
    plain = tuple(Batch(0.004, 0.001, last, 0.01) for last in (0.02, 0.05, 0.04))
    metrics = ll_metrics(BlockedResult(blocked, plain, 4), 0.01, 500)
    assert metrics["blocked_ms"] == pytest.approx(20.0)
    assert metrics["plain_ms"] == pytest.approx(40.0)
    assert metrics["blocked_ratio"] == pytest.approx(0.5)
    # 3 x 500 requests in 33 ms of CPU less a hundredth of 360 ms.
    assert metrics["blocked_per_1000"] == pytest.approx((0.033 - 0.0036) / 1.5)
    assert metrics["plain_per_1000"] == pytest.approx((0.030 - 0.0011) / 1.5)
    assert (metrics["parts"], metrics["parts_percent"]) == (3, 75.0)
    assert set(metrics) <= set(COLUMNS)


def spoiled(change: Callable[[str, bytes], bytes]) -> Callable[[str], bytes]:
    """Change the answers to those who wait."""
    live = LowLatency()
    return lambda path: change(path, live(path)) if "_HLS_msn" in path else live(path)


def test_not_waited() -> None:
    """A server that answers at once has not made anybody wait."""
    live = LowLatency()
    result = watch(lambda path: live(path.partition("?_HLS_msn")[0]))
    assert isinstance(result, BadStream)
    assert "without part" in str(result)


def test_refused() -> None:
    """Nor one that refuses."""
    result = watch(spoiled(lambda _path, _good: b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert isinstance(result, BadStream)
    assert "400" in str(result)


def test_sessions() -> None:
    """Each viewer has a session of its own."""
    live = LowLatency()

    def shared(path: str) -> bytes:
        if path == multivariant_path("ll"):
            return answer_with(b"#EXTM3U\nbench0/~0/ll-av/index.m3u8\n")
        return live(path)

    result = watch(shared)
    assert isinstance(result, BadStream)
    assert "6 viewers have 1 sessions" in str(result)
