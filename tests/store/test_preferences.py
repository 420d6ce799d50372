"""Preferences are kept as they were given, on each kind of database."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from ntvmedia.store import Store, StoreError, list_preferences, write_preferences
from tests.store.places import Place


def test_round_trip(place: Place) -> None:
    """Whatever JSON can have, from another store too; names not given stay."""
    first = {"a": 1, "b": ["10.0.0.0/8", "\N{SNOWMAN}'"], "c": True, "d": "", "e": 1.5}
    place.store().run_now(lambda connection: write_preferences(connection, first))
    place.store().run_now(lambda connection: write_preferences(connection, {"a": 2, "f": {}}))
    assert place.store().run_now(list_preferences) == {**first, "a": 2, "f": {}}


def test_nothing(store: Store) -> None:
    """A new database has none, and writing none is no mistake."""
    store.run_now(lambda connection: write_preferences(connection, {}))
    assert store.run_now(list_preferences) == {}


def test_broken(sqlite_place: Place) -> None:
    """What is no JSON is an error in one clause."""
    store = sqlite_place.store()
    insert = text("INSERT INTO preferences (key, value) VALUES ('a', '{')")
    store.run_now(lambda connection: connection.execute(insert))
    with pytest.raises(StoreError, match="preferences is broken"):
        store.run_now(list_preferences)
