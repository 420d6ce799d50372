"""Statistics add up, count once, are found in pages and go when they are old, on each database."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest

from ntvmedia.store import (
    Batch,
    DayRow,
    DaySlice,
    PointRow,
    RefusalRow,
    RefusalSlice,
    Store,
    StoreError,
    ViewerRow,
    ViewerSlice,
    close_viewers,
    find_days,
    find_points,
    find_refusals,
    find_viewers,
    next_days,
    next_viewers,
    prune_days,
    prune_points,
    prune_viewers,
    write_batch,
)
from tests.store.places import Place

DAY = date(2026, 11, 22)


def day(number: int = 0, stream: str = "one", protocol: str = "flv", **values: Any) -> DayRow:
    """Make a row, so many days later."""
    row = DayRow(
        DAY + timedelta(days=number), "liveshow", stream, protocol, 2, 2, 1.5, 10, 1 << 40, 1
    )
    return row._replace(**values)


def viewer(number: int, **values: Any) -> ViewerRow:
    """Make a row of the log."""
    row = ViewerRow(
        f"r-{number:04}", "r", "liveshow", "one", "flv", f"192.0.2.{number % 9}", "VLC", "",
        1000.0 + number, 2000.0, 30.5, 1 << 40, "viewer left",
    )  # fmt: skip
    return row._replace(**values)


def write(store: Store, number: int = 1, run: str = "r", **rows: Any) -> bool:
    """Write a batch."""
    batch = Batch(run, number, 5000.0 + number, **rows)
    return store.run_now(partial(write_batch, batch=batch))


def days(store: Store, **wanted: Any) -> tuple[list[DayRow], int]:
    """Find days."""
    found = store.run_now(partial(find_days, wanted=DaySlice(**wanted)), read_only=True)
    return list(found.rows), found.total


def viewers(store: Store, **wanted: Any) -> tuple[list[ViewerRow], int]:
    """Find rows of the log."""
    found = store.run_now(partial(find_viewers, wanted=ViewerSlice(**wanted)), read_only=True)
    return list(found.rows), found.total


def test_added(store: Store) -> None:
    """P-308: sums are added, and of peaks the larger counts."""
    points = [PointRow(60, 120.0, "", 5, 1, 10.0, 100, 200)]
    refusals = [RefusalRow(DAY, "tv", "rtmp", "password", 2)]
    write(store, 1, days=[day(peak=5)], points=points, refusals=refusals)
    write(store, 2, days=[day(peak=3), day(1)], points=points, refusals=refusals)
    points[0] = points[0]._replace(viewers=7, publishers=0)
    write(store, 3, points=points)
    expected = day(viewers=4, peak=5, seconds=3.0, bytes_in=20, bytes_out=1 << 41, publishes=2)
    assert days(store) == ([day(1), expected], 2)
    assert store.run_now(lambda connection: find_points(connection, 60, "", 0.0, 200.0)) == [
        PointRow(60, 120.0, "", 7, 1, 30.0, 300, 600)
    ]
    found = store.run_now(lambda connection: find_refusals(connection, RefusalSlice()))
    assert found == ([RefusalRow(DAY, "tv", "rtmp", "password", 4)], 1)


def test_once(store: Store) -> None:
    """A batch that is written again changes nothing; that of another process is another one."""
    assert write(store, 1, days=[day()])
    assert not write(store, 1, days=[day()])
    assert write(store, 3, days=[day()])
    assert not write(store, 2, days=[day()])
    assert write(store, 1, "other", days=[day()])
    assert days(store)[0][0].viewers == 6


def test_whole_or_not(place: Place, store: Store) -> None:
    """A batch of which a part is refused is not written at all, nor taken for written."""
    with pytest.raises(StoreError):
        write(store, 1, days=[day()], viewers=[viewer(1, reason=None)])
    assert days(store) == ([], 0)
    assert write(store, 1, days=[day()])


def test_log(store: Store) -> None:
    """A row of the log is written anew as often as it changes."""
    write(store, 1, viewers=[viewer(1, ended_at=None, seconds=0.0, reason="")])
    write(store, 2, viewers=[viewer(1, ended_at=None, seconds=9.0, reason=""), viewer(2)])
    write(store, 3, viewers=[viewer(1)])
    assert viewers(store) == ([viewer(2), viewer(1)], 2)


def test_close(store: Store) -> None:
    """Who watched when another process was killed, left when that wrote for the last time."""
    here = viewer(3, run="new", ended_at=None)
    write(store, 1, "old", viewers=[viewer(1, run="old", ended_at=None), viewer(2, run="old")])
    write(store, 2, "old", viewers=[viewer(4, run="old", ended_at=None, started_at=9000.0)])
    write(store, 1, "new", viewers=[here])
    closing = partial(close_viewers, run="new", reason="killed")
    assert store.run_now(closing) == 2
    assert store.run_now(closing) == 0
    rows = {row.id: row for row in viewers(store)[0]}
    assert (rows["r-0001"].ended_at, rows["r-0001"].reason) == (5002.0, "killed")
    assert rows["r-0002"] == viewer(2, run="old")
    assert rows["r-0004"].ended_at == 9000.0, "nobody leaves before he came"
    assert rows["r-0003"] == here
    # A process that was taken for dead writes on.
    assert write(store, 3, "old", viewers=[viewer(1, run="old", ended_at=7000.0)])
    assert {row.id: row for row in viewers(store)[0]}["r-0001"].ended_at == 7000.0


def test_filters(store: Store) -> None:
    """Days are found by time and names; a text is looked for in either case, as it stands."""
    rows = [
        day(0), day(1), day(2),
        day(0, "Zwei_100%"), day(0, "one", "hls"), day(0, application="tv"),
    ]  # fmt: skip
    write(store, days=rows)
    assert days(store, since=DAY + timedelta(days=1))[1] == 2
    assert days(store, until=DAY)[1] == 4
    assert days(store, since=DAY, until=DAY, application="liveshow", stream="one")[1] == 2
    assert days(store, protocol="hls")[0] == [day(0, "one", "hls")]
    assert days(store, text="zwei_")[0] == [day(0, "Zwei_100%")]
    assert days(store, text="%%")[1] == 0
    assert days(store, text="TV")[1] == 1
    assert days(store, stream="")[1] == 0


def test_pages(store: Store) -> None:
    """Pages have all rows once each, in order, whatever they are sorted by."""
    rows = [day(number % 5, f"s{number:02}", seconds=number % 3 * 1.0) for number in range(23)]
    write(store, days=rows)
    for sort in ("", "day", "-seconds", "seconds", "stream", "-protocol"):
        found: list[DayRow] = []
        for offset in range(0, 25, 5):
            page, total = days(store, sort=sort, limit=5, offset=offset)
            assert total == 23
            found += page
        assert sorted(found) == sorted(rows), sort
        name = sort.removeprefix("-") or "day"
        values = [getattr(row, name) for row in found]
        assert values == sorted(values, reverse=sort in ("", "-seconds", "-protocol")), sort
    assert days(store, limit=5, offset=100) == ([], 23)


def test_sums(store: Store) -> None:
    """Rows are put together by what shall not be told apart."""
    write(store, days=[day(0), day(0, "two", peak=9), day(1), day(0, "one", "hls")])
    by_day, total = days(store, by=("day",))
    assert total == 2
    assert by_day[0] == day(1, "", "", application="")
    assert by_day[1] == DayRow(DAY, "", "", "", 6, 9, 4.5, 30, 3 << 40, 3)
    assert [type(value) for value in by_day[1][4:]] == [int, int, float, int, int, int]
    by_stream, _total = days(store, by=("application", "stream"), sort="-bytes_out", limit=1)
    assert [row[1:5] for row in by_stream] == [("liveshow", "one", "", 6)]
    assert str(by_stream[0].day) == "None"
    assert [row[4] for row in days(store, by=())[0]] == [8]
    assert days(store, by=(), stream="none") == ([], 0)


def test_pieces(store: Store) -> None:
    """Read in pieces, the whole table comes once, while rows are written."""
    rows = [day(number % 5, f"s{number:02}") for number in range(11)]
    write(store, days=rows, viewers=[viewer(number, started_at=7.0) for number in range(11)])
    found: list[DayRow] = []
    wanted = DaySlice(limit=4)
    while piece := store.run_now(
        partial(next_days, wanted=wanted, after=found[-1] if found else None)
    ):
        found += piece
        write(store, 2, days=[day(0, "a")])  # before what is read
    assert [row for row in found if row.stream != "a"] == sorted(rows)
    log: list[ViewerRow] = []
    while some := store.run_now(
        partial(next_viewers, wanted=ViewerSlice(limit=4), after=log[-1] if log else None)
    ):
        log += some
    assert log == [viewer(number, started_at=7.0) for number in range(11)]
    limited = replace(wanted, stream="s03")
    assert store.run_now(partial(next_days, wanted=limited, after=None)) == [day(3, "s03")]


def test_viewers(store: Store) -> None:
    """The log is found by time, stream and address."""
    write(store, viewers=[viewer(number) for number in range(20)])
    assert [row.id for row in viewers(store, limit=2)[0]] == ["r-0019", "r-0018"]
    assert viewers(store, since=1005.0, until=1010.0)[1] == 5
    assert viewers(store, peer="192.0.2.3")[1] == 2
    assert viewers(store, text=".2.3")[1] == 2
    assert viewers(store, application="liveshow", stream="two")[1] == 0


def test_prune(store: Store) -> None:
    """What is old goes in batches, the rest stays; a day that is the limit stays too."""
    write(
        store,
        days=[day(number) for number in range(-7, 3)],
        refusals=[RefusalRow(DAY - timedelta(days=1), "tv", "rtmp", "password", 1)],
        points=[
            PointRow(span, 60.0 * number, "", 1, 1, 1.0, 1, 1)
            for number in range(5)
            for span in (60, 600)
        ],
        viewers=[viewer(1), viewer(2), viewer(3, ended_at=None)],
    )
    prune = partial(prune_days, before=DAY, limit=5)
    assert [store.run_now(prune) for _round in range(3)] == [5, 2, 0]
    assert days(store)[1] == 3
    assert store.run_now(lambda connection: find_refusals(connection, RefusalSlice())).total == 0
    assert store.run_now(partial(prune_points, span=60, before=120.0, limit=9)) == 2
    assert len(store.run_now(lambda c: find_points(c, 60, "", 0.0, 999.0))) == 3
    assert len(store.run_now(lambda c: find_points(c, 600, "", 0.0, 999.0))) == 5
    assert store.run_now(partial(prune_viewers, before=1003.0, limit=9)) == 2
    assert store.run_now(partial(prune_viewers, before=9e9, limit=9)) == 1


def test_broken_day(sqlite_place: Place) -> None:
    """A day that somebody else wrote, and is none, is an error and no traceback."""
    store = sqlite_place.store()
    write(store, days=[day()])
    sqlite_place.sql("UPDATE statistics_days SET day = 'yesterday'")
    with pytest.raises(StoreError, match="a day in the statistics is broken"):
        days(store)
