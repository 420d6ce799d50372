"""Pushes are kept as they were given, on each kind of database."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Connection

from ntvmedia.store import (
    Duplicate,
    PushRow,
    Store,
    StoreError,
    delete_push,
    insert_push,
    list_pushes,
    update_push,
)
from tests.store.places import Place

ROW = PushRow(
    id="00ff",
    description="Tür 'x'; DROP TABLE pushes",
    enabled=True,
    application="liveshow",
    streams=("cam?", "ü*"),
    server="rtmps://u:p'\\@cdn.example:444",
    target_application="in/put",
    target_stream="$APP_$STREAM",
    query="key=a'%25",
    transport="tcp",
    stall_seconds=7.25,
    created_at=1_700_000_000.125,
    updated_at=1_700_000_000.25,
)


def insert(row: PushRow, connection: Connection) -> None:
    """Add one."""
    insert_push(connection, row)


def test_every_field(place: Place) -> None:
    """Each field comes back as it was given, from another store too."""
    place.store().run_now(partial(insert, ROW))
    assert place.store().run_now(list_pushes) == [ROW]


def test_changes(store: Store) -> None:
    """They are listed by age; one is changed and deleted by its id, and none besides."""
    older = replace(ROW, id="ffff", created_at=5.0)
    for row in (ROW, older):
        store.run_now(partial(insert, row))
    assert store.run_now(list_pushes) == [older, ROW]
    other = replace(ROW, enabled=False, streams=(), server="rtsp://x", query="")
    assert store.run_now(lambda connection: update_push(connection, other))
    assert store.run_now(list_pushes) == [older, other]
    absent = replace(ROW, id="none")
    assert not store.run_now(lambda connection: update_push(connection, absent))
    assert store.run_now(lambda connection: delete_push(connection, "ffff"))
    assert not store.run_now(lambda connection: delete_push(connection, "ffff"))
    assert store.run_now(list_pushes) == [other]


def test_duplicate(store: Store) -> None:
    """A second one with the same id is refused, and the transaction goes on without it."""

    def work(connection: Connection) -> None:
        insert_push(connection, ROW)
        with pytest.raises(Duplicate):
            insert_push(connection, replace(ROW, description="other"))
        insert_push(connection, replace(ROW, id="2"))

    store.run_now(work)
    assert [row.id for row in store.run_now(list_pushes)] == ["00ff", "2"]


def test_what_others_wrote(place: Place) -> None:
    """A value that this program never writes is said to be so."""
    place.store().run_now(partial(insert, ROW))
    place.sql("UPDATE pushes SET streams = '7'")
    with pytest.raises(StoreError, match='"streams" of push "00ff" is no list'):
        place.store().run_now(list_pushes)


def test_no_stall(store: Store) -> None:
    """E-ST-06: the database takes no time of nothing either."""
    with pytest.raises(StoreError):
        store.run_now(partial(insert, replace(ROW, stall_seconds=0.0)))
