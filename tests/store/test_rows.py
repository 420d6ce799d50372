"""Tests of ntvmedia.store.rows: keys that are taken, and lists, on both kinds of database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from ntvmedia.store import Duplicate, Store, StoreError
from ntvmedia.store.rows import all_rows, unless_taken, with_lists, with_tuples
from ntvmedia.store.schema import APPLICATIONS
from tests.store.places import BUILT_IN, Place, kept, row


@dataclass
class Shelf:
    """A row."""

    name: str
    books: tuple[str, ...]


def test_taken(store: Store) -> None:
    """A key that is taken is told in our words; the transaction goes on without the row."""

    def work(connection: Any) -> None:
        with (
            pytest.raises(Duplicate, match=r"^a clause of ours$"),
            unless_taken(connection, "a clause of ours"),
        ):
            connection.exec_driver_sql("UPDATE applications SET name = 'tv' WHERE name = 'audio'")
        with unless_taken(connection, "not this one"):
            connection.exec_driver_sql("UPDATE applications SET name = 'new' WHERE name = 'audio'")

    assert "audio" in kept(store)
    store.run_now(work)
    assert set(kept(store)) == {*BUILT_IN, "new"} - {"audio"}


def test_other_refusals(store: Store) -> None:
    """What the database refuses for another reason is no key that is taken."""

    def work(connection: Any) -> None:
        with unless_taken(connection, "not this one"):
            connection.exec_driver_sql("UPDATE applications SET max_players = -1")

    with pytest.raises(StoreError, match=r"^the database refuses a value$") as caught:
        store.run_now(work)
    assert not isinstance(caught.value, Duplicate)
    assert kept(store) == BUILT_IN


def test_all(store: Store) -> None:
    """All rows come, by column."""
    rows = store.run_now(lambda connection: all_rows(connection, APPLICATIONS, "it"))
    assert {one["name"] for one in rows} == set(BUILT_IN)
    assert {*rows[0]} == set(row("x").__dict__)


def test_no_json(sqlite_place: Place) -> None:
    """What is no JSON, which only SQLite lets in, is told by the name of its place."""
    store = sqlite_place.store()
    sqlite_place.sql("UPDATE applications SET outputs = '['")
    with pytest.raises(StoreError, match=r"^a list in the shelf is broken$"):
        store.run_now(lambda connection: all_rows(connection, APPLICATIONS, "the shelf"))


def test_lists() -> None:
    """Lists go as JSON has them and come as they were; the rest is left alone."""
    written = with_lists(Shelf("a", ("x", "")), ("books",))
    assert written == {"name": "a", "books": ["x", ""]}
    assert Shelf(**with_tuples(written, ("books",), "")) == Shelf("a", ("x", ""))
    assert with_tuples({"books": []}, ("books",), "") == {"books": ()}
    assert with_tuples({"name": 5}, (), "") == {"name": 5}


@pytest.mark.parametrize("bad", ["text", [1, "a"], {}, None, 5, ("a",)])
def test_no_list(bad: object) -> None:
    """What is no list of texts is told by column and place."""
    with pytest.raises(StoreError, match=r'^"books" of shelf "a" is no list of texts$'):
        with_tuples({"books": bad}, ("books",), 'of shelf "a"')
