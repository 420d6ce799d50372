"""Figures of a download."""

from __future__ import annotations

from bench.measure_download import download_metrics
from bench.report import COLUMNS


def test_metrics() -> None:
    """50 MB in 4 s with 2 s of CPU."""
    metrics = download_metrics(50_000_000, 4.0, 2.0)
    assert metrics == {
        "wall_seconds": 4.0,
        "mb_per_second": 12.5,
        "cpu_per_gb": 40.0,
        "cpu_percent": 50.0,
    }
    assert set(metrics) <= set(COLUMNS)
