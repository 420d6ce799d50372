"""The arithmetic of a report, and its tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# One run's figures by name; one that could not be measured is absent.
Metrics = dict[str, float]

# Name of a figure: its column's head and how many decimals it deserves.
COLUMNS: Final[dict[str, tuple[str, int]]] = {
    "cpu_per_gb": ("CPU s/GB", 3),
    "net_cpu_per_gb": ("CPU s/GB less publisher", 3),
    "cpu_per_minute": ("CPU s/publisher-minute", 4),
    "cpu_per_1000": ("CPU s/1000 answers", 4),
    "net_cpu_per_1000": ("CPU s/1000 less publisher", 4),
    "blocked_ms": ("waiting: all answered in ms", 1),
    "plain_ms": ("plain: all answered in ms", 1),
    "blocked_ratio": ("waiting by plain", 3),
    "blocked_per_1000": ("CPU s/1000 waiting", 4),
    "plain_per_1000": ("CPU s/1000 plain", 4),
    "parts": ("parts", 0),
    "parts_percent": ("parts that all waited for %", 0),
    "mux_percent": ("muxing core %", 2),
    "alone_percent": ("publisher alone core %", 2),
    "frames_per_cpu": ("pictures/CPU s", 0),
    "wall_seconds": ("seconds", 2),
    "mb_per_second": ("MB/s", 2),
    "pulled_mbps": ("pulled Mb/s", 1),
    "child_percent": ("each child core %", 1),
    "rss_mib": ("MiB/child", 1),
    "pss_mib": ("MiB/child, shared ones divided", 1),
    "cpu_percent": ("server core %", 0),
    "waited_percent": ("server kept waiting %", 1),
    "bytes_min": ("bytes min %", 2),
    "bytes_median": ("bytes median %", 2),
    "keyframe_p50": ("keyframe p50 ms", 1),
    "keyframe_p99": ("keyframe p99 ms", 1),
    "gap_p50": ("gap p50 ms", 0),
    "gap_p99": ("gap p99 ms", 0),
    "gap_max": ("gap max ms", 0),
    "latency_p50": ("latency p50 ms", 3),
    "latency_p99": ("latency p99 ms", 3),
    "latency_max": ("latency max ms", 2),
    "frames_percent": ("frames %", 2),
    "kib_each": ("KiB/connection", 1),
    "answers_per_second": ("answers/s", 0),
    "segments_percent": ("segments %", 1),
    "answer_bytes": ("answer bytes", 0),
    "answer_p50": ("answer p50 ms", 2),
    "answer_p99": ("answer p99 ms", 2),
    "cut_max": ("cut after max s", 1),
    "uncut": ("not cut", 0),
    "stalled_mib_each": ("MiB/stalled at most", 2),
    "kept_mib": ("MiB kept after", 2),
    "closed": ("lost", 0),
    "late_ms": ("sent late max ms", 1),
    "generator_percent": ("generator core %", 0),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that must be reached.

    Attributes:
        title: What it is.
        metric: A key of `COLUMNS`.
        cell: The label of the cell that it is read from.
        baseline: The cell that it is divided by; None: it stands for itself.
        must: The limit.
        aim: The better limit; None: the same.
        at_least: The limits are lower ones.
    """

    title: str
    metric: str
    cell: str
    baseline: str | None
    must: float
    aim: float | None = None
    at_least: bool = False


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` of all do not exceed (nearest rank).

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def medians(runs: Sequence[Metrics]) -> Metrics:
    """Return each figure's median over the runs that have it."""
    names = [name for name in COLUMNS if any(name in run for run in runs)]
    return {name: statistics.median(run[name] for run in runs if name in run) for name in names}


def cells_table(results: Mapping[str, Sequence[Metrics]]) -> str:
    """Write the medians of every cell as a Markdown table."""
    rows = {label: medians(runs) for label, runs in results.items()}
    names = [name for name in COLUMNS if any(name in row for row in rows.values())]
    lines = [
        _row(["", *(COLUMNS[name][0] for name in names)]),
        _row(["---", *("---:" for _name in names)]),
    ]
    for label, row in rows.items():
        lines.append(_row([label, *(_number(row.get(name), COLUMNS[name][1]) for name in names)]))
    return "\n".join(lines)


def figures_table(figures: Sequence[Figure], results: Mapping[str, Sequence[Metrics]]) -> str:
    """Write what was to be reached and what was, as a Markdown table."""
    lines = [
        _row(["figure", "measured", "must", "aim", ""]),
        _row(["---", "---:", "---:", "---:", "---"]),
    ]
    for figure in figures:
        value = figure_value(figure, results)
        sign = "≥" if figure.at_least else "≤"
        unit = " x" if figure.baseline else ""
        decimals = 3 if figure.baseline else COLUMNS[figure.metric][1]
        aim = figure.must if figure.aim is None else figure.aim
        lines.append(
            _row(
                [
                    figure.title,
                    _number(value, decimals) + unit,
                    f"{sign} {figure.must:g}{unit}",
                    f"{sign} {aim:g}{unit}",
                    verdict(figure, value),
                ]
            )
        )
    return "\n".join(lines)


def figure_value(figure: Figure, results: Mapping[str, Sequence[Metrics]]) -> float | None:
    """Return the median, or the ratio of medians; None: not measured."""
    value = medians(results.get(figure.cell, ())).get(figure.metric)
    if value is None or figure.baseline is None:
        return value
    base = medians(results.get(figure.baseline, ())).get(figure.metric)
    return value / base if base else None


def verdict(figure: Figure, value: float | None) -> str:
    """Say in a word what a value is worth: `aim`, `must`, `missed` or `not measured`."""
    if value is None:
        return "not measured"
    aim = figure.must if figure.aim is None else figure.aim
    for limit, word in ((aim, "aim"), (figure.must, "must")):
        if value >= limit if figure.at_least else value <= limit:
            return word
    return "**missed**"


def _row(fields: Sequence[str]) -> str:
    return "| " + " | ".join(fields) + " |"


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"
