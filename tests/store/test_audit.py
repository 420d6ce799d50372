"""The audit log is kept, found and pruned, on each kind of database."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ntvmedia.store import AuditQuery, AuditRow, Store, StoreError
from ntvmedia.store.audit import insert_audit, prune_audit, query_audit
from ntvmedia.store.notes import take_note
from tests.store.places import Place

ROW = AuditRow(
    time=1_795_315_916.118_165_7,
    who="Zoë",
    kind="session",
    session="abc",
    peer_host="2001:db8::1",
    action="users.change",
    subject="it's %s \N{SNOWMAN}",
    before={"a": None, "b": [1, 2.5, "\0\ud800\N{GRINNING FACE}"], "c": {"d": True}},
    after=None,
)


def add(store: Store, *rows: AuditRow) -> None:
    """Add rows, in one transaction."""

    def work(connection: Any) -> None:
        for row in rows:
            insert_audit(connection, row)

    store.run_now(work)


def find(store: Store, **query: Any) -> list[AuditRow]:
    """Return what a query finds, the oldest first, without the ids."""
    found = store.run_now(
        lambda connection: query_audit(connection, AuditQuery(oldest_first=True, **query))
    )
    return [replace(row, id=0) for row in found.rows]


def test_every_field(store: Store, place: Place) -> None:
    """Each field comes back as it was given, from another store too; what is nothing is NULL."""
    other = replace(ROW, before=None, after={})
    add(store, ROW, other)
    assert find(place.store()) == [ROW, other]
    [[nulls]] = place.sql("SELECT count(*) FROM audit WHERE before IS NULL OR after IS NULL")
    assert int(nulls) == 2


def test_ids_grow(store: Store) -> None:
    """Ids are in the order of the rows, whatever the clock did."""
    add(store, *(replace(ROW, time=100.0 - x, subject=str(x)) for x in range(5)))
    found = store.run_now(lambda connection: query_audit(connection, AuditQuery()))
    assert [row.subject for row in found.rows] == ["4", "3", "2", "1", "0"]
    assert [row.id for row in found.rows] == sorted((row.id for row in found.rows), reverse=True)
    assert len({row.id for row in found.rows}) == 5


def test_filters(store: Store) -> None:
    """All that is given has to hold; what means something in a pattern is itself."""
    rows = [
        replace(ROW, time=1.0, who="ann", action="users", subject="A_b"),
        replace(ROW, time=2.0, who="bob", action="users.add", subject="AXb"),
        replace(ROW, time=3.0, who="ann", action="usersx", subject="50%"),
    ]
    add(store, *rows)
    one, two, three = rows
    assert find(store, who="ann") == [one, three]
    assert find(store, action="users") == [one, two]
    assert find(store, action="users", who="ann") == [one]
    assert find(store, action="u%") == []
    assert find(store, subject="AXb") == [two]
    assert find(store, text="a_B") == [one]
    assert find(store, text="0%") == [three]
    assert find(store, text="BOB") == [two]
    assert find(store, since=2.0) == [two, three]
    assert find(store, until=2.0) == [one]
    assert find(store, text="nothing") == []


@pytest.mark.parametrize("text", ["\0", "users\0", "\ud800", "a\udfff"])
def test_texts_that_no_row_has(store: Store, text: str) -> None:
    """What no database takes is found nowhere, and is no error."""
    add(store, ROW)
    for field in ("who", "action", "subject", "text"):
        assert find(store, **{field: text}) == []


def test_pages(store: Store) -> None:
    """A page has so many rows, and the number of all."""
    add(store, *(replace(ROW, subject=str(x)) for x in range(7)))
    for page, subjects in ((1, ["6", "5", "4"]), (3, ["0"]), (4, []), (10**12, [])):
        found = store.run_now(partial(query_audit, query=AuditQuery(page=page, page_size=3)))
        assert ([row.subject for row in found.rows], found.total) == (subjects, 7)


def test_prune(store: Store) -> None:
    """The oldest go, so many at a time, and what is not older stays."""
    add(store, *(replace(ROW, time=float(x), subject=str(x)) for x in range(7)))
    removed = [store.run_now(lambda connection: prune_audit(connection, 5.0, 2)) for _ in range(4)]
    assert removed == [2, 2, 1, 0]
    assert [row.subject for row in find(store)] == ["5", "6"]


def test_broken_json(sqlite_place: Place) -> None:
    """What somebody else wrote there is told, not raised."""
    store = sqlite_place.store()
    add(store, ROW)
    sqlite_place.sql("UPDATE audit SET before = '{'")
    with pytest.raises(StoreError, match="audit log is broken"):
        find(store)


def test_undone_with_its_change(store: Store) -> None:
    """A row that is written with a change is undone with it."""

    def note(connection: Any, before: object, after: object) -> None:
        insert_audit(connection, replace(ROW, before={"was": before}, after={"is": after}))

    def work(connection: Any) -> None:
        take_note(note, connection, None, {"a": 1})
        raise StoreError("no")

    with pytest.raises(StoreError, match="no"):
        store.run_now(work)
    assert find(store) == []
    store.run_now(lambda connection: take_note(note, connection, None, {"a": 1}))
    assert [row.after for row in find(store)] == [{"is": {"a": 1}}]
    store.run_now(lambda connection: take_note(None, connection, None, {"a": 1}))
    assert len(find(store)) == 1
