"""What waits for the database is bounded, whatever names there are."""

from __future__ import annotations

from datetime import date, timedelta
from unittest import mock

import pytest

from ntvmedia.statistics import pending as pending_module
from ntvmedia.statistics.pending import Pending
from ntvmedia.store import PointRow, RefusalRow, ViewerRow
from tests.statistics.totals import days_of, taken

DAY = date(2026, 11, 22)


@pytest.fixture
def small() -> object:
    """Bounds that a test reaches."""
    with mock.patch.multiple(pending_module, MAX_DAYS=10, MAX_POINTS=5, MAX_VIEWERS=4):
        yield


class Watched:
    """One whose row is always the same."""

    def __init__(self, row: ViewerRow) -> None:
        self._row = row

    def row(self) -> ViewerRow:
        return self._row


def viewer(number: int, seconds: float = 1.0) -> ViewerRow:
    """Make a row of the log."""
    return ViewerRow(
        f"run-{number}", "run", "a", "s", "flv", "192.0.2.1", "", "", 1.0, None, seconds, 0, ""
    )


@pytest.mark.usefixtures("small")
def test_streams_without_number() -> None:
    """A publisher that invents names gets rows for so many; the others are counted together."""
    pending = Pending("run")
    for number in range(1000):
        pending.day(DAY, "a", f"s{number}", "rtmp").bytes_in += 1
    assert len(pending) == 11
    assert pending.day(DAY, "a", "", "rtmp").bytes_in == 990
    # They stay so after a batch: the database is kept from them too.
    taken(pending)
    pending.day(DAY, "a", "s999", "rtmp").bytes_in += 1
    pending.day(DAY, "a", "s5", "rtmp").bytes_in += 1
    rows = days_of(taken(pending))
    assert [key[2] for key in rows] == ["", "s5"]
    # The next day begins anew.
    pending.day(DAY + timedelta(days=1), "a", "s999", "rtmp").bytes_in += 1
    assert [key[2] for key in days_of(taken(pending))] == ["s999"]


@pytest.mark.usefixtures("small")
def test_many_days_of_failure() -> None:
    """While the database fails for weeks, days are counted together, and nothing is lost."""
    pending = Pending("run")
    for day in range(100):
        for stream in range(3):
            pending.day(DAY + timedelta(days=day), f"app{day}", f"s{stream}", "hls").viewers += 1
    assert len(pending) <= 2 * 10 + 100
    assert sum(row.viewers for row in days_of(taken(pending)).values()) == 300


@pytest.mark.usefixtures("small")
def test_points_and_viewers() -> None:
    """Of points and of the log, the oldest go, and are counted."""
    pending = Pending("run")
    for minute in range(8):
        pending.point(PointRow(60, minute * 60.0, "", 1, 1, 10.0, 5, 5))
    for number in range(6):
        pending.viewer(number, Watched(viewer(number)))
    [batch] = taken(pending)
    assert [row.time for row in batch.points] == [180.0, 240.0, 300.0, 360.0, 420.0]
    assert [row.id for row in batch.viewers] == ["run-2", "run-3", "run-4", "run-5"]
    assert (pending.dropped_points, pending.dropped_viewers) == (3, 2)


def test_put_together() -> None:
    """What has the same key is one row."""
    pending = Pending("run")
    pending.refused(RefusalRow(DAY, "a", "rtmp", "password", 2))
    pending.refused(RefusalRow(DAY, "a", "rtmp", "password", 3))
    pending.point(PointRow(60, 0.0, "", 5, 1, 10.0, 5, 7))
    pending.point(PointRow(60, 0.0, "", 3, 2, 10.0, 5, 7))
    pending.viewer(1, Watched(viewer(1)))
    pending.viewer(1, Watched(viewer(1, 9.0)))
    pending.day(DAY, "a", "s", "flv")  # nothing was counted: no row
    [batch] = taken(pending)
    assert batch.refusals == [RefusalRow(DAY, "a", "rtmp", "password", 5)]
    assert batch.points == [PointRow(60, 0.0, "", 5, 2, 20.0, 10, 14)]
    assert batch.viewers == [viewer(1, 9.0)]
    assert batch.days == []


def test_batches() -> None:
    """A batch has at most so many rows, of whatever kind; each has the next number."""
    pending = Pending("run")
    for number in range(7):
        pending.day(DAY, "a", f"s{number}", "flv").viewers += 1
        pending.viewer(number, Watched(viewer(number)))
    batches = []
    while (batch := pending.take(12.5, 4)) is not None:
        batches.append(batch)
    assert [(len(x.days), len(x.viewers)) for x in batches] == [(4, 0), (3, 1), (0, 4), (0, 2)]
    assert [(x.run, x.number, x.written_at) for x in batches] == [
        ("run", number, 12.5) for number in (1, 2, 3, 4)
    ]


def test_enormous() -> None:
    """A number that no database takes is the largest that it does."""
    pending = Pending("run")
    pending.day(DAY, "a", "s", "flv").bytes_out = 1 << 80
    [batch] = taken(pending)
    assert batch.days[0].bytes_out == (1 << 63) - 1
