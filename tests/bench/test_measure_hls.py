"""What is made of the figures of HLS viewers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import fields

import pytest

from bench.hlsload import HLSResult
from bench.hlspoll import PollResult
from bench.measure import Window
from bench.measure_hls import hls_metrics, poll_metrics
from bench.report import COLUMNS
from bench.servers import NginxFiles, Server

RESULT = HLSResult(
    answers=4000,
    received=1_000_000_000,
    seconds=5.0,
    delay_p50=0.001,
    delay_p99=0.020,
    late_ms=3.0,
    looked_at=63,
)


class ThisProcess(Server):
    """A server that needs not be started."""

    @property
    def pid(self) -> int:
        return os.getpid()


@pytest.fixture
def window() -> Iterator[Window]:
    """Ten seconds, of which the server worked two."""
    server = ThisProcess(0)
    window = Window(server, [])
    window.end(10.0)
    window.cpu = 2.0
    yield window
    shutil.rmtree(server.folder)


def test_segments(window: Window) -> None:
    """The server's window counts, twice the viewers' here: 2 GB in 2 s of CPU, 1 s its own."""
    metrics = hls_metrics(window, 0.1, RESULT, segments=True)
    assert metrics["cpu_per_gb"] == pytest.approx(1.0)
    assert metrics["net_cpu_per_gb"] == pytest.approx(0.5)
    assert metrics["alone_percent"] == pytest.approx(10.0)
    assert metrics["cpu_percent"] == pytest.approx(20.0)
    assert metrics["answers_per_second"] == 800
    assert metrics["answer_bytes"] == 250_000
    assert (metrics["answer_p50"], metrics["answer_p99"]) == (1.0, 20.0)
    assert "cpu_per_1000" not in metrics
    assert set(metrics) <= set(COLUMNS)


def test_playlists(window: Window) -> None:
    """8000 answers in 2 s of CPU, of which the publisher cost a half."""
    metrics = hls_metrics(window, 0.1, RESULT, segments=False)
    assert metrics["cpu_per_1000"] == pytest.approx(0.25)
    assert metrics["net_cpu_per_1000"] == pytest.approx(0.125)
    assert "cpu_per_gb" not in metrics


def test_polling() -> None:
    """Of 200 viewers each wants a segment of 2 s every 2 s: 500 in 5 s, of which 490 came."""
    result = PollResult(
        **{field.name: getattr(RESULT, field.name) for field in fields(RESULT)},
        segments=490,
        target_seconds=2.0,
    )
    metrics = poll_metrics(result, 200)
    assert metrics == {"segments_percent": pytest.approx(98.0)}
    assert set(metrics) <= set(COLUMNS)


def test_files() -> None:
    """Files lie at their paths, and nginx may read them."""
    server = NginxFiles(0, {"/live/s.m3u8": b"one", "/live/s/~x/av/1.ts": b"two"})
    www = server.folder / "www"
    assert (www / "live" / "s.m3u8").read_bytes() == b"one"
    assert (www / "live" / "s" / "~x" / "av" / "1.ts").read_bytes() == b"two"
    assert server.root == www
    assert server.folder.stat().st_mode & 0o555 == 0o555
    shutil.rmtree(server.folder)
