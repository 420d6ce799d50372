"""Counting: over days, month ends and clocks that are set, nothing is lost or counted twice."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.statistics.counting import MAX_CHARTED, SPANS, Counting, Line, day_of
from ntvmedia.store import Batch, DayRow
from tests.statistics.totals import at, days_of, points_of, taken

FLV = Line("liveshow", "one", "flv")
RTMP = Line("liveshow", "one", "rtmp")


class Source:
    """One who watches, or publishes."""

    def __init__(self) -> None:
        self.bytes_out = 0
        self.bytes_in = 0


class Clocks:
    """A counting whose clocks the test moves.

    Args:
        wall: As ISO 8601.
    """

    def __init__(self, wall: str) -> None:
        self.now = 5000.0
        self.wall = at(wall)
        self.counting = Counting("run", self.now, self.wall)
        self.batches: list[Batch] = []
        self.refused: dict[tuple[str, str, str], int] = {}

    def sample(self) -> None:
        """Count now, and write."""
        self.counting.sample(self.now, self.wall, self.refused)
        self.batches += taken(self.counting.pending)

    def run(self, seconds: float, *sources: Source, rate: int = 1000) -> None:
        """Let time pass, with a sample at each mark of ten seconds; sources have so many bytes."""
        end = self.now + seconds
        while self.now < end:
            step = min(10.0 - self.wall % 10.0, end - self.now)
            self.now += step
            self.wall += step
            for source in sources:
                source.bytes_out += round(step * rate)
            if self.wall % 10.0 == 0:
                self.sample()

    def come(self, session: int, line: Line = FLV) -> Source:
        """Let one come."""
        source = Source()
        self.counting.viewer_came(line, session, source, self.now)
        return source

    def leave(self, session: int, source: Source) -> None:
        """Let him leave."""
        self.counting.viewer_left(session, source.bytes_out, self.now)

    @property
    def days(self) -> dict[Any, DayRow]:
        """What was written."""
        return days_of(self.batches)


def test_one_viewer() -> None:
    """One who comes, watches over several batches and leaves is one, with all that he was sent."""
    clocks = Clocks("2026-11-22T12:00:00")
    source = clocks.come(1)
    clocks.run(34.0, source)
    clocks.leave(1, source)
    clocks.run(26.0)
    key = ("2026-11-22", *FLV)
    assert clocks.days == {key: DayRow(date(2026, 11, 22), *FLV, 1, 1, 34.0, 0, 34_000, 0)}
    before = len(clocks.batches)
    clocks.run(600.0)
    assert len(clocks.batches) == before, "a quiet server writes nothing"


def test_lines_and_peak() -> None:
    """Protocols are told apart; the peak is the most at the same time, between samples too."""
    clocks = Clocks("2026-11-22T12:00:00")
    clocks.run(10.0)
    first, second, other = clocks.come(1), clocks.come(2), clocks.come(3, RTMP)
    clocks.leave(1, first)
    third = clocks.come(4)
    clocks.run(10.0, second, third, other)
    day = "2026-11-22"
    assert clocks.days[day, *FLV][4:7] == (3, 2, 20.0)
    assert clocks.days[day, *RTMP][4:7] == (1, 1, 10.0)
    # The peak of a new batch begins with who is there.
    clocks.leave(2, second)
    clocks.batches.clear()
    clocks.run(10.0, third)
    assert clocks.days[day, *FLV][4:7] == (0, 2, 10.0)
    clocks.batches.clear()
    clocks.run(10.0, third)
    assert clocks.days[day, *FLV][4:7] == (0, 1, 10.0)


def test_publisher() -> None:
    """A publisher's bytes and beginnings are counted under its own protocol."""
    clocks = Clocks("2026-11-22T12:00:00")
    source = Source()
    clocks.counting.publisher_came(RTMP, 9, source, clocks.now)
    source.bytes_in = 700
    clocks.run(10.0)
    source.bytes_in = 1000
    clocks.counting.publisher_left(9, 1000)
    clocks.counting.publisher_left(9, 5000)  # unknown by now
    clocks.run(20.0)
    row = clocks.days["2026-11-22", *RTMP]
    assert (row.bytes_in, row.publishes, row.viewers) == (1000, 1, 0)


@pytest.mark.parametrize(
    ("evening", "first", "second"),
    [
        ("2026-11-22T23:59:30", "2026-11-22", "2026-11-23"),
        ("2026-11-30T23:59:30", "2026-11-30", "2026-12-01"),
        ("2026-12-31T23:59:30", "2026-12-31", "2027-01-01"),
        ("2027-02-28T23:59:30", "2027-02-28", "2027-03-01"),
        ("2028-02-28T23:59:30", "2028-02-28", "2028-02-29"),
        ("2028-02-29T23:59:30", "2028-02-29", "2028-03-01"),
    ],
)
def test_midnight(evening: str, first: str, second: str) -> None:
    """Who watches over midnight in UTC is a viewer of both days; time and bytes are split there."""
    clocks = Clocks(evening)
    source = clocks.come(1)
    clocks.run(75.0, source)
    clocks.leave(1, source)
    clocks.run(15.0)
    assert clocks.days[first, *FLV][4:] == (1, 1, 30.0, 0, 30_000, 0)
    assert clocks.days[second, *FLV][4:] == (1, 1, 45.0, 0, 45_000, 0)


def test_many_days() -> None:
    """One who watches for 40 days is one viewer with 24 hours on each whole one."""
    clocks = Clocks("2026-01-15T12:00:00")
    source = clocks.come(1)
    # A sample an hour is enough here: days begin with one.
    for _hour in range(40 * 24):
        clocks.now += 3600.0
        clocks.wall += 3600.0
        source.bytes_out += 1
        clocks.sample()
    days = clocks.days
    assert len(days) == 41
    assert sum(row.seconds for row in days.values()) == 40 * 86_400
    assert {row.viewers for row in days.values()} == {1}
    assert days["2026-02-01", *FLV][4:9] == (1, 1, 86_400.0, 0, 24)


def test_clock_set_back() -> None:
    """G-RS-05, G-RS-06: a clock that goes back an hour over midnight counts nobody twice.

    No second is lost, and none is watched twice.
    """
    clocks = Clocks("2026-11-23T00:00:00")
    source = clocks.come(1)
    clocks.run(600.0, source)
    clocks.wall -= 3600.0
    clocks.run(3600.0, source)
    clocks.run(600.0, source)
    first, second = clocks.days["2026-11-22", *FLV], clocks.days["2026-11-23", *FLV]
    assert first.viewers + second.viewers == 1
    assert first.seconds + second.seconds == 4800.0
    # What passed before it was noticed belongs to the day that was counted on.
    assert 2990.0 <= first.seconds <= 3010.0


def test_clock_set_forward() -> None:
    """G-RS-05: an hour that the clock leaps over was not watched."""
    clocks = Clocks("2026-11-22T23:30:00")
    source = clocks.come(1)
    clocks.run(600.0, source)
    clocks.wall += 3600.0
    clocks.run(600.0, source)
    rows = clocks.days.values()
    assert sum(row.seconds for row in rows) == 1200.0
    assert sum(row.bytes_out for row in rows) == 1_200_000
    assert [row.viewers for row in rows] == [1, 1]


@pytest.mark.parametrize("wall", [-1e30, -1.0, 0.0, 253_402_300_800.0, 1e300])
def test_no_such_day(wall: float) -> None:
    """G-RS-06: a clock may say anything; it is a day all the same."""
    assert date.min <= day_of(wall) <= date.max


def test_early_timer() -> None:
    """A sample that comes some milliseconds before midnight begins the new day and minute."""
    clocks = Clocks("2026-11-22T23:59:50")
    source = clocks.come(1)
    clocks.now += 9.99
    clocks.wall += 9.99
    clocks.sample()
    clocks.now += 10.0
    clocks.wall += 10.0
    source.bytes_out = 80
    clocks.sample()
    assert clocks.days["2026-11-23", *FLV][6:9] == (10.0, 0, 80)
    assert list(points_of(clocks.batches, 60, "")) == [
        at("2026-11-22T23:59:00"),
        at("2026-11-23T00:00:00"),
    ]


def test_points() -> None:
    """Points of all spans add up to the same, for the server and for each application."""
    clocks = Clocks("2026-11-22T11:55:00")
    source = clocks.come(1)
    other = clocks.come(2, Line("tv", "two", "hls"))
    clocks.run(360.0, source)
    clocks.leave(2, other)
    clocks.run(240.0, source)
    for span, count in zip(SPANS, (10, 2, 2), strict=True):
        points = points_of(clocks.batches, span, "")
        assert len(points) == count
        assert sum(row.bytes_out for row in points.values()) == 600_000
        assert sum(row.seconds for row in points.values()) == 600.0
        assert max(row.viewers for row in points.values()) == 2
        assert [row.viewers for row in points_of(clocks.batches, span, "liveshow").values()] == [
            1
        ] * count
    minutes = points_of(clocks.batches, 60, "")
    assert [row.viewers for row in minutes.values()] == [2] * 6 + [2, 1, 1, 1]
    assert len(points_of(clocks.batches, 60, "tv")) == 7
    assert minutes[at("2026-11-22T12:00:00")].bytes_out == 60_000


def test_busiest_applications() -> None:
    """Only the busiest applications have charts; all are in that of the server."""
    clocks = Clocks("2026-11-22T12:00:00")
    sources = [
        clocks.come(number, Line(f"app{number}", "s", "flv")) for number in range(MAX_CHARTED + 5)
    ]
    for number, source in enumerate(sources):
        source.bytes_out = number
    clocks.run(10.0)
    minute = [row for batch in clocks.batches for row in batch.points if row.span == 60]
    names = {row.application for row in minute}
    assert len(names) == MAX_CHARTED + 1
    assert {"app0", "app4"} & names == set()
    assert "" in names
    total = next(row for row in minute if not row.application)
    assert (total.viewers, total.bytes_out) == (len(sources), sum(range(len(sources))))


def test_refusals() -> None:
    """What is refused is counted by day and rule, once each."""
    clocks = Clocks("2026-11-22T23:59:40")
    clocks.refused["tv", "rtmp", "password"] = 3
    clocks.run(10.0)
    clocks.refused["tv", "rtmp", "password"] = 5
    clocks.run(20.0)
    clocks.refused["tv", "rtmp", "password"] = 6
    clocks.refused["", "flv", "application"] = 1
    clocks.run(20.0)
    rows = [(str(row.day), *row[1:]) for batch in clocks.batches for row in batch.refusals]
    assert rows == [
        ("2026-11-22", "tv", "rtmp", "password", 3),
        ("2026-11-22", "tv", "rtmp", "password", 2),
        ("2026-11-23", "tv", "rtmp", "password", 1),
        ("2026-11-23", "", "flv", "application", 1),
    ]


def test_end() -> None:
    """At the end all have left, and what they had is counted."""
    clocks = Clocks("2026-11-22T12:00:00")
    source, publisher = clocks.come(1), Source()
    unknown = Line("liveshow", "two", "hls")
    clocks.counting.viewer_came(unknown, 2, None, clocks.now)
    clocks.counting.publisher_came(RTMP, 3, publisher, clocks.now)
    clocks.now += 4.0
    source.bytes_out, publisher.bytes_in = 40, 50
    assert clocks.counting.end(clocks.now) == [1, 2]
    clocks.sample()
    assert clocks.days["2026-11-22", *FLV][4:9] == (1, 1, 4.0, 0, 40)
    assert clocks.days["2026-11-22", *unknown][4:9] == (1, 1, 4.0, 0, 0)
    assert clocks.days["2026-11-22", *RTMP].bytes_in == 50


steps = st.one_of(
    st.tuples(st.just("come"), st.integers(0, 5)),
    st.tuples(st.just("leave"), st.integers(0, 5)),
    st.tuples(st.just("pass"), st.integers(0, 40_000)),
    st.tuples(st.just("set"), st.integers(-100_000, 100_000)),
    st.tuples(st.just("sample"), st.just(0)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=40))
def test_nothing_is_lost(script: list[tuple[str, int]]) -> None:
    """G-RS-06: whatever happens, and however the clock is set, all sums are right."""
    clocks = Clocks("2026-11-22T12:00:00")
    present: dict[int, Source] = {}
    came, watched, sent = 0, 0.0, 0
    for what, value in script:
        if what == "come" and value not in present:
            present[value] = clocks.come(value)
            came += 1
        elif what == "leave" and value in present:
            clocks.leave(value, present.pop(value))
        elif what == "pass":
            clocks.now += value
            clocks.wall += value
            watched += value * len(present)
            for source in present.values():
                source.bytes_out += value
                sent += value
        elif what == "set":
            clocks.wall += value
        else:
            clocks.sample()
    clocks.counting.end(clocks.now)
    clocks.sample()
    rows = clocks.days.values()
    assert sum(row.seconds for row in rows) == watched
    assert sum(row.bytes_out for row in rows) == sent
    assert sum(row.viewers for row in rows) >= came
    for span in SPANS:
        points = points_of(clocks.batches, span, "").values()
        assert sum(row.bytes_out for row in points) == sent
    assert not clocks.counting.pending
