"""Tests of ntvmedia.admin.paging: lists that are in memory, cut."""

from __future__ import annotations

import time
from operator import attrgetter
from typing import NamedTuple

import pytest
from hypothesis import given, strategies as st

from ntvmedia.admin.paging import Page, Paging, numbers, paged, sort_key
from ntvmedia.admin.problems import Problem


class Item(NamedTuple):
    """Something in a list."""

    name: str
    size: int


KEYS = {"name": attrgetter("name"), "size": attrgetter("size")}
ITEMS = [Item("b", 1), Item("a", 2), Item("C", 2)]


def names(query: Paging) -> list[str]:
    """Return what is on a page."""
    return [item.name for item in paged(ITEMS, query, KEYS).items]


def test_order() -> None:
    """By the first key where nothing is asked for; equal ones stay as they were."""
    assert names(Paging()) == ["C", "a", "b"]
    assert names(Paging(sort="size")) == ["b", "a", "C"]
    assert names(Paging(sort="-size")) == ["a", "C", "b"]
    assert names(Paging(sort="-name")) == ["b", "a", "C"]


def test_search() -> None:
    """In either case, in what is text or where it is said."""
    assert names(Paging(q="c")) == ["C"]
    assert names(Paging(q="A")) == ["a"]
    found = paged(ITEMS, Paging(q="2"), KEYS, search=lambda item: str(item.size))
    assert [item.name for item in found.items] == ["C", "a"]
    assert found.numbers == {"total": 2, "page": 1, "page_size": 50}


def test_numbers() -> None:
    """They say how many there are, not how many are shown; a page beyond the last is empty."""
    assert paged(ITEMS, Paging(page=2, page_size=2), KEYS) == (
        [Item("b", 1)],
        {"total": 3, "page": 2, "page_size": 2},
    )
    assert paged(ITEMS, Paging(page=9), KEYS).items == []
    assert Page(**numbers(Paging(page=2), 7)) == Page(total=7, page=2, page_size=50)


def test_wrong_sort() -> None:
    """A list is not sorted by what it has not."""
    for asked in ("none", "--name", "-", "name "):
        with pytest.raises(Problem, match="sort: expected one of name, size") as caught:
            paged(ITEMS, Paging(sort=asked), KEYS)
        assert (caught.value.status, caught.value.field) == (400, "sort")
    assert sort_key(Paging(), ["time"], "-time") == ("time", True)
    assert sort_key(Paging(sort="time"), ["time"], "-time") == ("time", False)


def test_in_order() -> None:
    """What is in order already is not sorted again, unless it is asked otherwise."""
    assert paged(ITEMS, Paging(), KEYS, in_order=True).items == ITEMS
    assert paged(ITEMS, Paging(sort="name"), KEYS, in_order=True).items == ITEMS
    assert names(Paging(sort="-name")) == [
        item.name for item in paged(ITEMS, Paging(sort="-name"), KEYS, in_order=True).items
    ]


@given(
    st.lists(st.tuples(st.text(max_size=3), st.integers(0, 9)).map(lambda pair: Item(*pair))),
    st.integers(1, 7),
)
def test_pages_make_the_list(items: list[Item], size: int) -> None:
    """All pages after one another are the list, each item once."""
    found: list[Item] = []
    for page in range(1, len(items) // size + 2):
        found += paged(items, Paging(page=page, page_size=size), KEYS).items
    assert found == sorted(items, key=attrgetter("name"))


def test_time() -> None:
    """F-RE-14: a search is no pattern: `aaa...!` is looked for in linear time."""
    items = [Item("a" * 500, number) for number in range(10_000)]
    began = time.perf_counter()
    assert paged(items, Paging(q="a" * 250 + "!"), KEYS, search=attrgetter("name")).items == []
    assert time.perf_counter() - began < 1.0
