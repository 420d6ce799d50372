"""Tests of ntvmedia.wire.hls.follower: servers that do not do as the document says."""

from __future__ import annotations

import pytest

from ntvmedia.wire.hls.follower import STALE_LISTS, Follower, Start
from tests.wire.hls.lists import show, window


def follow(*numbers: int, name: str = "{}.ts", sequence: int | None = None) -> Follower:
    """Return a follower that has seen a list."""
    follower = Follower(Start.FIRST)
    show(follower, window(numbers, name=name, sequence=sequence))
    return follower


# Caches that have older lists


def test_stale() -> None:
    """An older list is passed over: nothing comes twice, and nothing is lost."""
    follower = follow(4, 5, 6)
    for _time in range(STALE_LISTS):
        assert show(follower, window([3, 4, 5])) == []
    assert show(follower, window([5, 6, 7])) == ["7.ts"]
    # Only those in a row count.
    for _time in range(STALE_LISTS):
        assert show(follower, window([3, 4, 5])) == []
    assert show(follower, window([6, 7, 8])) == ["8.ts"]
    assert (follower.missed, follower.restarts) == (0, 0)


def test_stale_end() -> None:
    """A list that has ended, and is older, is not the end of what is going on."""
    follower = follow(4, 5, 6)
    assert show(follower, window([0, 1, 2], ended=True)) == []
    assert not follower.ended
    assert show(follower, window([5, 6, 7], ended=True)) == ["7.ts"]
    assert follower.ended


def test_stale_is_asked_again_soon() -> None:
    """After a list with nothing new, half a target duration is waited."""
    follower = follow(4, 5, 6)
    show(follower, window([3, 4, 5]))
    assert follower.reload_seconds == 2.0


def test_stale_with_names_in_turn() -> None:
    """Where names come again after a while, an older list is no renumbered one."""
    follower = Follower(Start.FIRST)

    def turning(first: int) -> list[str]:
        turned = [(first + i) % 6 for i in range(5)]
        return show(follower, window(turned, name="s{}.ts", sequence=first))

    assert turning(5) == ["s5.ts", "s0.ts", "s1.ts", "s2.ts", "s3.ts"]
    assert turning(6) == ["s4.ts"]
    assert turning(3) == []
    assert turning(7) == ["s5.ts"]
    assert (follower.missed, follower.restarts) == (0, 0)


@pytest.mark.parametrize("ended", [False, True])
def test_stale_with_one_name(ended: bool) -> None:
    """Segments of one name in folders of their own: an older list of one is no renumbered one."""
    follower = follow(101, 102, name="{}/media.ts")
    assert show(follower, window([100], name="{}/media.ts")) == []
    found = show(follower, window([101, 102, 103], name="{}/media.ts", ended=ended))
    assert found == ["103/media.ts"]
    assert (follower.missed, follower.restarts, follower.ended) == (0, 0, ended)


def test_stale_and_shorter() -> None:
    """An older list that begins later, of a server whose names are others each time."""
    follower = follow(100, 101, 102, name="a{}.ts")
    assert show(follower, window([101], name="b{}.ts")) == []
    assert show(follower, window([100, 101, 102, 103], name="c{}.ts")) == ["c103.ts"]
    assert (follower.missed, follower.restarts) == (0, 0)


# Servers that begin anew


def test_restart_with_lower_numbers() -> None:
    """After some lists that end before what was seen, the server has begun anew."""
    follower = follow(104, 105, 106)
    for _time in range(STALE_LISTS):
        assert show(follower, window([0, 1], name="new{}.ts")) == []
    assert show(follower, window([0, 1, 2], name="new{}.ts")) == [
        "|new0.ts",
        "new1.ts",
        "new2.ts",
    ]
    assert (follower.missed, follower.restarts) == (0, 1)
    assert show(follower, window([1, 2, 3], name="new{}.ts")) == ["new3.ts"]


def test_restart_with_the_same_names() -> None:
    """The new run names its segments as the old one did."""
    follower = follow(4, 5, 6)
    for _time in range(STALE_LISTS):
        assert show(follower, window([0, 1])) == []
    assert show(follower, window([0, 1])) == ["|0.ts", "1.ts"]
    assert show(follower, window([0, 1, 2, 3, 4, 5, 6, 7])) == [f"{i}.ts" for i in range(2, 8)]
    assert (follower.missed, follower.restarts) == (0, 1)


def test_restart_twice() -> None:
    """Each new beginning has the same patience."""
    follower = follow(4, 5, 6)
    for run in "ab":
        name = run + "{}.ts"
        for _time in range(STALE_LISTS):
            assert show(follower, window([0], name=name)) == []
        assert show(follower, window([0], name=name)) == [f"|{run}0.ts"]
        assert show(follower, window([0, 1, 2, 3], name=name)) == [
            f"{run}{i}.ts" for i in (1, 2, 3)
        ]
    assert follower.restarts == 2


def test_restart_that_ended() -> None:
    """The new run is over already when it is known as one."""
    follower = follow(4, 5, 6)
    for _time in range(STALE_LISTS):
        show(follower, window([0, 1], name="new{}.ts", ended=True))
        assert not follower.ended
    assert len(show(follower, window([0, 1], name="new{}.ts", ended=True))) == 2
    assert follower.ended


def test_restart_with_higher_numbers() -> None:
    """Numbers taken from the clock jump ahead: all of the new list is taken."""
    follower = follow(4, 5, 6)
    found = show(follower, window([1700000000, 1700000001], name="new{}.ts", cuts=[1000]))
    assert found == ["|new1700000000.ts", "new1700000001.ts"]
    assert show(follower, window([1700000001, 1700000002], name="new{}.ts")) == ["new1700000002.ts"]


def test_restart_below_the_first_number() -> None:
    """A list that reaches as far, and yet begins before, with names that nobody has seen."""
    follower = follow(4, 5, 6)
    assert show(follower, window(range(3, 8), name="new{}.ts")) == [
        "|new3.ts",
        *[f"new{i}.ts" for i in range(4, 8)],
    ]
    assert (follower.missed, follower.restarts) == (0, 1)


# Numbers that say nothing


@pytest.mark.parametrize("step", [1, 2])
def test_numbers_always_zero(step: int) -> None:
    """E-SR-08: MEDIA-SEQUENCE is missing, or no number, in all lists of a window: names tell."""
    follower = follow(0, 1, 2, sequence=0)
    for first in range(step, 30, step):
        new = range(first + 3 - step, first + 3)
        playlist = window(range(first, first + 3), sequence=0)
        assert show(follower, playlist) == [f"{i}.ts" for i in new]
        assert show(follower, playlist) == []
    assert (follower.missed, follower.restarts) == (0, 0)


def test_numbers_always_zero_and_shrinking() -> None:
    """The same where the window is not always as long."""
    follower = follow(0, 1, 2, sequence=0)
    assert show(follower, window([1, 2], sequence=0)) == []
    assert show(follower, window([2, 3], sequence=0)) == ["3.ts"]
    assert show(follower, window([2, 3, 4, 5], sequence=0)) == ["4.ts", "5.ts"]
    assert show(follower, window([5, 6], sequence=0)) == ["6.ts"]
    assert follower.restarts == 0


def test_numbers_always_zero_and_all_missed() -> None:
    """Where the numbers have been found to say nothing, new names alone are new segments."""
    follower = follow(0, 1, 2, sequence=0)
    show(follower, window([1, 2, 3], sequence=0))
    found = []
    for first in (10, 11, 12):
        found += show(follower, window(range(first, first + 3), sequence=0))
    assert [name.strip("|") for name in found] == [f"{i}.ts" for i in (10, 11, 12, 13, 14)]
    assert found[0].startswith("|")


def test_numbers_of_one_list_are_wrong() -> None:
    """One list among good ones has no number."""
    follower = follow(4, 5, 6)
    assert show(follower, window([5, 6, 7], sequence=0)) == ["7.ts"]
    found = show(follower, window([6, 7, 8]))
    assert "8.ts" in found
    assert "6.ts" not in found
    assert follower.restarts == 0


# Addresses that are others each time


@pytest.mark.parametrize(
    "name", ["{{}}.ts?token={}", "{}/{{}}.ts", "https://{}.example.org/live/{{}}.ts"]
)
def test_tokens(name: str) -> None:
    """Tokens in the query, in a folder, in the host: the name and the number stay."""
    follower = Follower(Start.FIRST)
    given = []
    for time in range(6):
        playlist = window(range(time, time + 3), name=name.format(f"t{time}"))
        given += [x.number for x in follower.playlist_received(playlist, "https://h/")]
    assert given == list(range(8))
    assert (follower.missed, follower.restarts) == (0, 0)


def test_names_of_each_load() -> None:
    """The very name has a token: only the numbers tell, and they are believed."""
    follower = Follower(Start.FIRST)
    assert show(follower, window([0, 1, 2], name="{}-a.ts")) == ["0-a.ts", "1-a.ts", "2-a.ts"]
    assert show(follower, window([0, 1, 2], name="{}-b.ts")) == []
    assert show(follower, window([1, 2, 3], name="{}-c.ts")) == ["3-c.ts"]
    assert show(follower, window([6, 7], name="{}-d.ts")) == ["6-d.ts", "7-d.ts"]
    assert (follower.missed, follower.restarts) == (2, 0)


def test_names_of_each_load_and_stale() -> None:
    """Caches and tokens together: stale lists that are not in a row never add up, and it ends."""
    follower = Follower(Start.FIRST)
    show(follower, window(range(5), name="{}-a.ts"))
    for number in range(5, 15):
        stale = window(range(number - 1), name=f"{{}}-x{number}.ts")
        assert show(follower, stale) == []
        fresh = window(range(number + 1), name=f"{{}}-y{number}.ts")
        assert show(follower, fresh) == [f"{number}-y{number}.ts"]
    assert show(follower, window(range(14), name="{}-z.ts")) == []
    assert show(follower, window(range(16), name="{}-end.ts", ended=True)) == ["15-end.ts"]
    assert follower.ended
    assert (follower.missed, follower.restarts) == (0, 0)


def test_empty_between() -> None:
    """A list without anything in it, once, changes nothing."""
    follower = follow(4, 5, 6)
    assert show(follower, window([])) == []
    assert show(follower, window([5, 6, 7])) == ["7.ts"]
    assert show(follower, window([], sequence=8)) == []
    assert show(follower, window([8, 9])) == ["8.ts", "9.ts"]
    assert (follower.missed, follower.restarts) == (0, 0)
