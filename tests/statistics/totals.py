"""Adding up what would be written, for the tests of the statistics."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ntvmedia.statistics.pending import Pending
from ntvmedia.store import Batch, DayRow, PointRow


def at(text: str) -> float:
    """Return an ISO 8601 time in UTC as seconds since 1970."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def taken(pending: Pending) -> list[Batch]:
    """Take all that waits."""
    found = []
    while (batch := pending.take(0.0, 1000)) is not None:
        found.append(batch)
    return found


def days_of(batches: Iterable[Batch]) -> dict[Any, DayRow]:
    """Add up days as the database does, by their keys: day as text, application, stream, ..."""
    found: dict[Any, DayRow] = {}
    for row in (row for batch in batches for row in batch.days):
        key = (row.day.isoformat(), *row[1:4])
        old = found.get(key)
        found[key] = row if old is None else DayRow(
            *row[:4],
            old.viewers + row.viewers,
            max(old.peak, row.peak),
            old.seconds + row.seconds,
            old.bytes_in + row.bytes_in,
            old.bytes_out + row.bytes_out,
            old.publishes + row.publishes,
        )  # fmt: skip
    return found


def points_of(batches: Iterable[Batch], span: int, application: str) -> dict[float, PointRow]:
    """Add up the points of a chart, by their times."""
    found: dict[float, PointRow] = {}
    for row in (row for batch in batches for row in batch.points):
        if (row.span, row.application) == (span, application):
            old = found.get(row.time)
            found[row.time] = row if old is None else PointRow(
                *row[:3],
                max(old.viewers, row.viewers),
                max(old.publishers, row.publishers),
                old.seconds + row.seconds,
                old.bytes_in + row.bytes_in,
                old.bytes_out + row.bytes_out,
            )  # fmt: skip
    return found
