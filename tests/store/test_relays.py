"""Relay tasks are kept as they were given, on each kind of database."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Connection

from ntvmedia.store import (
    Duplicate,
    RelayRow,
    Store,
    StoreError,
    delete_relay,
    insert_relay,
    list_relays,
    update_relay,
)
from tests.store.places import Place

ROW = RelayRow(
    id="00ff",
    description="Tür 'x'; DROP TABLE relays",
    enabled=True,
    on_demand=True,
    source="rtsp://u:p'\\@cam.example/s?x=%25",
    fallbacks=("test:", "rtsp://b.example/ü"),
    recover_seconds=12.5,
    transport="udp",
    loop=False,
    stall_seconds=7.25,
    video={"codec": "h264", "bitrate_kbps": 800, "frame_rate": 12.5},
    audio={"codec": "none"},
    renditions=({"stream": "b", "video": {"codec": "copy"}},),
    target={"server": "", "application": "liveshow", "stream": "cam", "query": "a='"},
    created_at=1_700_000_000.125,
    updated_at=1_700_000_000.25,
)


def insert(row: RelayRow, connection: Connection) -> None:
    """Add one."""
    insert_relay(connection, row)


def test_every_field(place: Place) -> None:
    """Each field comes back as it was given, from another store too."""
    place.store().run_now(partial(insert, ROW))
    assert place.store().run_now(list_relays) == [ROW]


def test_changes(store: Store) -> None:
    """They are listed by age; one is changed and deleted by its id, and none besides."""
    older = replace(ROW, id="ffff", created_at=5.0)
    for row in (ROW, older):
        store.run_now(partial(insert, row))
    assert store.run_now(list_relays) == [older, ROW]
    other = replace(ROW, enabled=False, fallbacks=(), renditions=(), video={}, loop=True)
    assert store.run_now(lambda connection: update_relay(connection, other))
    assert store.run_now(list_relays) == [older, other]
    absent = replace(ROW, id="none")
    assert not store.run_now(lambda connection: update_relay(connection, absent))
    assert store.run_now(lambda connection: delete_relay(connection, "ffff"))
    assert not store.run_now(lambda connection: delete_relay(connection, "ffff"))
    assert store.run_now(list_relays) == [other]


def test_duplicate(store: Store) -> None:
    """A second one with the same id is refused, and the transaction goes on without it."""

    def work(connection: Connection) -> None:
        insert_relay(connection, ROW)
        with pytest.raises(Duplicate):
            insert_relay(connection, replace(ROW, description="other"))
        insert_relay(connection, replace(ROW, id="2"))

    store.run_now(work)
    assert [row.id for row in store.run_now(list_relays)] == ["00ff", "2"]


@pytest.mark.parametrize("column", ["fallbacks", "renditions", "video", "audio", "target"])
def test_what_others_wrote(place: Place, column: str) -> None:
    """A value that this program never writes is said to be so."""
    place.store().run_now(partial(insert, ROW))
    place.sql(f"UPDATE relays SET {column} = '7'")
    with pytest.raises(StoreError, match=f'"{column}" of relay "00ff" is no'):
        place.store().run_now(list_relays)


def test_no_stall(store: Store) -> None:
    """E-ST-06: the database takes no watchdog of no time either."""
    with pytest.raises(StoreError):
        store.run_now(partial(insert, replace(ROW, stall_seconds=0.0)))
