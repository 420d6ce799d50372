"""Callbacks and their notifications are kept as they were given, on each kind of database."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Connection

from ntvmedia.store import (
    CallbackRow,
    Duplicate,
    NotificationRow,
    Store,
    StoreError,
    WaitingRow,
    change_notifications,
    delete_callback,
    insert_callback,
    list_callbacks,
    list_notifications,
    read_notifications,
    update_callback,
)
from tests.store.places import Place

ROW = CallbackRow(
    id="00ff",
    name="Büro 'x'; DROP TABLE callbacks",
    url="https://u:p@r.example/h?a=%25&b='",
    events=("play", "stop"),
    method="POST",
    dialect="srs",
    secret="\N{SNOWMAN}'\\",
    decides=True,
    on_failure="allow",
    enabled=False,
    created_at=1_700_000_000.125,
    updated_at=1_700_000_000.25,
)


def notification(number: int, callback: str = "00ff", **fields: object) -> NotificationRow:
    """Make one."""
    made = NotificationRow(number, callback, f"e-{number}", "play", "a/b", '{"x":"\\u0000"}', 5.5)
    return made._replace(**fields)  # type: ignore[arg-type]


def _insert(row: CallbackRow, connection: Connection) -> None:
    insert_callback(connection, row)


def test_every_field(place: Place) -> None:
    """Each field comes back as it was given, from another store too."""
    place.store().run_now(lambda connection: insert_callback(connection, ROW))
    assert place.store().run_now(list_callbacks) == [ROW]


def test_changes(store: Store) -> None:
    """A callback is added once, changed, and deleted with what it was still to be told."""
    older = replace(ROW, id="1", created_at=1.0)
    for row in (ROW, older):
        store.run_now(partial(_insert, row))
    assert store.run_now(list_callbacks) == [older, ROW]
    with pytest.raises(Duplicate, match="00ff"):
        store.run_now(lambda connection: insert_callback(connection, ROW))
    changed = replace(ROW, name="other", events=(), enabled=True)
    assert store.run_now(lambda connection: update_callback(connection, changed))
    assert store.run_now(list_callbacks) == [older, changed]
    lost = replace(ROW, id="none")
    assert not store.run_now(lambda connection: update_callback(connection, lost))
    rows = [notification(1), notification(2, "1"), notification(3)]
    store.run_now(lambda connection: change_notifications(connection, rows, []))
    assert store.run_now(lambda connection: delete_callback(connection, "00ff"))
    assert not store.run_now(lambda connection: delete_callback(connection, "00ff"))
    assert [row.id for row in store.run_now(list_notifications)] == [2]


def test_notifications(store: Store) -> None:
    """They come in order, without what they tell; that is read by number."""
    rows = [notification(2**40), notification(1), notification(7, lane="")]
    store.run_now(lambda connection: change_notifications(connection, rows, [99]))
    found = store.run_now(list_notifications)
    assert [row.id for row in found] == [1, 7, 2**40]
    assert found[0] == WaitingRow(1, "00ff", "e-1", "play", "a/b", 5.5)
    facts = store.run_now(lambda connection: read_notifications(connection, [7, 8, 2**40]))
    assert facts == {7: rows[2].facts, 2**40: rows[0].facts}
    with pytest.raises(Duplicate):
        store.run_now(lambda connection: change_notifications(connection, [rows[1]], []))
    store.run_now(lambda connection: change_notifications(connection, [], [1, 7]))
    assert [row.id for row in store.run_now(list_notifications)] == [2**40]


def test_many(store: Store) -> None:
    """More than one statement takes are written, read and crossed out."""
    rows = [notification(number) for number in range(1, 1202)]
    store.run_now(lambda connection: change_notifications(connection, rows, []))
    ids = [row.id for row in rows]
    assert len(store.run_now(lambda connection: read_notifications(connection, ids))) == 1201
    store.run_now(lambda connection: change_notifications(connection, [], ids[:-1]))
    assert [row.id for row in store.run_now(list_notifications)] == [1201]


@pytest.mark.parametrize("events", ['"play"', "[1]", "{}", "broken"])
def test_broken_list(sqlite_place: Place, events: str) -> None:
    """What somebody else wrote is no list of texts: it is an error, not a crash later."""
    store = sqlite_place.store()
    store.run_now(lambda connection: insert_callback(connection, ROW))
    sqlite_place.sql(f"UPDATE callbacks SET events = '{events}'")
    with pytest.raises(StoreError, match=r"list"):
        store.run_now(list_callbacks)
