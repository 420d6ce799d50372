"""Tests of ntvmedia.store.streams: labels as rows, on both databases."""

from __future__ import annotations

from functools import partial

import pytest

from ntvmedia.store import (
    LabelRow,
    Store,
    StoreError,
    delete_stream_label,
    list_stream_labels,
    set_stream_label,
)
from ntvmedia.store.access import move_access

ROWS = [
    LabelRow("a", "B", "x"),
    LabelRow("a", "b", "\u4f8b \U0001f600 '\"\\"),
    LabelRow("z" * 128, "\u00e9" * 128, "y" * 200),
]


def put(store: Store, *rows: LabelRow) -> None:
    """Set labels."""
    for row in rows:
        store.run_now(partial(set_stream_label, row=row))


def test_rows(store: Store) -> None:
    """Set twice, the second counts; names differ by case; what was there is told when it goes."""
    put(store, *ROWS, ROWS[0]._replace(label="first"), ROWS[0])
    assert store.run_now(list_stream_labels) == ROWS
    assert store.run_now(lambda connection: delete_stream_label(connection, "a", "B"))
    assert not store.run_now(lambda connection: delete_stream_label(connection, "a", "B"))
    assert store.run_now(list_stream_labels) == ROWS[1:]


def test_applications(store: Store) -> None:
    """Labels follow an application, in the transaction of its other rows."""
    put(store, LabelRow("a", "s", "old"), LabelRow("b", "t", "left behind"))
    store.run_now(lambda connection: move_access(connection, "a", "b"))
    assert store.run_now(list_stream_labels) == [LabelRow("b", "s", "old")]
    store.run_now(lambda connection: move_access(connection, "b", None))
    assert store.run_now(list_stream_labels) == []


def test_no_empty_label(store: Store) -> None:
    """A stream without a label has no row."""
    with pytest.raises(StoreError):
        put(store, LabelRow("a", "b", ""))
