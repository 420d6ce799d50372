"""The arithmetic of reports."""

from __future__ import annotations

import pytest

from bench.report import (
    Figure,
    cells_table,
    figure_value,
    figures_table,
    medians,
    percentile,
    verdict,
)

RATIO = Figure("CPU", "cpu_per_gb", "ours", "theirs", 0.2, 0.13)
BYTES = Figure("bytes", "bytes_min", "ours", None, 98, at_least=True)


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (100, 100)]
)
def test_percentile(percent: float, expected: float) -> None:
    """Nearest rank: always one of the values, whatever their order."""
    assert percentile(range(100, 0, -1), percent) == expected


def test_percentile_of_few() -> None:
    """One value is every percentile of itself; none has none."""
    assert percentile([7.0], 1) == percentile([7.0], 99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_medians() -> None:
    """Each figure's median is over the runs that have it."""
    runs = [{"cpu_per_gb": 3.0, "closed": 1.0}, {"cpu_per_gb": 1.0}, {"cpu_per_gb": 2.0}]
    assert medians(runs) == {"cpu_per_gb": 2.0, "closed": 1.0}
    assert medians([]) == {}


def test_ratio_of_medians() -> None:
    """A ratio is of medians, not the median of ratios."""
    results = {
        "ours": [{"cpu_per_gb": value} for value in (1.0, 2.0, 9.0)],
        "theirs": [{"cpu_per_gb": value} for value in (10.0, 20.0, 16.0)],
    }
    assert figure_value(RATIO, results) == 2.0 / 16.0
    assert figure_value(RATIO, {"ours": results["ours"]}) is None
    assert figure_value(RATIO, results | {"theirs": [{"cpu_per_gb": 0.0}]}) is None


@pytest.mark.parametrize(
    ("figure", "value", "expected"),
    [
        (RATIO, 0.13, "aim"),
        (RATIO, 0.14, "must"),
        (RATIO, 0.21, "**missed**"),
        (BYTES, 98.0, "aim"),
        (BYTES, 97.9, "**missed**"),
        (BYTES, None, "not measured"),
    ],
)
def test_verdict(figure: Figure, value: float | None, expected: str) -> None:
    """Limits count as reached, upper and lower ones."""
    assert verdict(figure, value) == expected


def test_tables() -> None:
    """The tables are Markdown: figures in the order of the columns, gaps where nothing is."""
    results = {"ours": [{"closed": 0.0, "cpu_per_gb": 0.25}], "theirs": [{"cpu_per_gb": 2.0}]}
    assert cells_table(results).splitlines() == [
        "|  | CPU s/GB | lost |",
        "| --- | ---: | ---: |",
        "| ours | 0.250 | 0 |",
        "| theirs | 2.000 | - |",
    ]
    assert figures_table([RATIO, BYTES], results).splitlines()[2:] == [
        "| CPU | 0.125 x | ≤ 0.2 x | ≤ 0.13 x | aim |",
        "| bytes | - | ≥ 98 | ≥ 98 | not measured |",
    ]
