"""Applications are kept as they were given, on each kind of database."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from ntvmedia.store import (
    ApplicationRow,
    Duplicate,
    Store,
    StoreError,
    delete_application,
    insert_application,
    list_applications,
    update_application,
)
from tests.store.places import BUILT_IN, Place, add, kept, row


def test_built_in(store: Store) -> None:
    """P-202: a new database has the four applications that every server has, with defaults."""
    rows = {row.name: row for row in store.run_now(list_applications)}
    assert {name: row.type for name, row in rows.items()} == {
        "audio": "audio",
        "liveshow": "live",
        "tv": "time-shift",
        "vod": "vod",
    }
    made = rows["tv"].created_at
    assert rows["tv"] == row(
        "tv",
        type="time-shift",
        outputs=("rtmp", "flv", "ts", "hls", "rtsp"),
        created_at=made,
        updated_at=made,
    )
    assert made > 1_700_000_000


def test_every_field(place: Place) -> None:
    """Each field comes back as it was given, from another store too."""
    given = row(
        "every-field",
        type="vod",
        enabled=False,
        outputs=("hls", "rtsp"),
        recording="automatic",
        publish_password="pass'word; DROP TABLE \\ % %s \N{SNOWMAN}",
        referers=("example.org", "bücher.example", '"'),
        allow_empty_referer=False,
        signed=True,
        encrypted=True,
        hls_key_segments=10_000,
        hls_key_url="https://u:p@keys.example:8443/{key}?a=%25 \\ '",
        hls_format="fmp4",
        hls_segment_seconds=2.1,
        hls_segment_count=30,
        hls_part_seconds=0.1,
        hls_blocking=False,
        hls_variants=("_1", "-ü", '"'),
        hls_audio_variant=False,
        hls_always=True,
        hls_sessions=False,
        hls_end_list=True,
        rtsp_multicast=True,
        max_players=1,
        max_publishers=2,
        max_stream_players=3,
        max_bandwidth_kbps=2_000_000_000,
        authorize_url="https://u:p@crm.example/may?a=%25 \\ '",
        authorize_failure="allow",
        jwks_url="https://id.example/keys",
        jwt_issuer="https://id.example/",
        jwt_audience="tv \N{SNOWMAN}",
        cut_at_expiry=True,
        rtmp_authentication=True,
        created_at=1_795_315_916.118_165_7,
        updated_at=0.1,
    )
    place.store().run_now(lambda connection: insert_application(connection, given))
    found = [row for row in place.store().run_now(list_applications) if row.name == given.name]
    assert found == [given]
    assert [type(value) for value in vars(found[0]).values()] == [
        type(value) for value in vars(given).values()
    ]


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=texts.filter(bool),
    password=texts,
    referers=st.lists(texts, max_size=3),
    seconds=st.floats(min_value=1e-3, max_value=1e9),
)
def test_any_text(
    store: Store, name: str, password: str, referers: list[str], seconds: float
) -> None:
    """Whatever the texts are, they come back."""
    added = row(
        f"any {name}",
        publish_password=password,
        referers=tuple(referers),
        hls_segment_seconds=seconds,
    )
    store.run_now(lambda connection: insert_application(connection, added))
    try:
        assert added in store.run_now(list_applications)
    finally:
        assert store.run_now(lambda connection: delete_application(connection, added.name))


def test_order_and_case(store: Store) -> None:
    """Names differ by case, and are sorted by code points whatever the database's locale."""
    for name in ("Zoo", "zoo", "über", "Über", "a-b", "ab", "AUDIO"):
        add(store, name)
    expected = sorted([*BUILT_IN, "Zoo", "zoo", "über", "Über", "a-b", "ab", "AUDIO"])
    assert kept(store) == expected
    assert store.run_now(lambda connection: delete_application(connection, "ZOO")) is False
    assert store.run_now(lambda connection: delete_application(connection, "Zoo")) is True
    assert "zoo" in kept(store)


def test_duplicate(store: Store) -> None:
    """A name is taken once; the refusal names it, and nothing changes."""
    before = store.run_now(list_applications)
    with pytest.raises(Duplicate, match=r'^there is an application "tv" already$'):
        store.run_now(lambda connection: insert_application(connection, row("tv")))
    with pytest.raises(Duplicate, match=r'^there is an application "tv" already$'):
        store.run_now(lambda connection: update_application(connection, "vod", row("tv")))
    assert store.run_now(list_applications) == before


def test_update(store: Store) -> None:
    """An application gets all new values, and another name; one that is missing is told."""

    def update(name: str, values: ApplicationRow) -> bool:
        return store.run_now(lambda connection: update_application(connection, name, values))

    renamed = row("films", type="vod", publish_password="x", referers=("a", "b"))
    assert update("vod", renamed) is True
    rows = store.run_now(list_applications)
    assert renamed in rows
    assert [row.name for row in rows] == ["audio", "films", "liveshow", "tv"]
    same_name = replace(renamed, enabled=False)
    assert update("films", same_name) is True
    assert same_name in store.run_now(list_applications)
    assert update("vod", renamed) is False
    assert same_name in store.run_now(list_applications)


def test_delete(store: Store) -> None:
    """A deleted one is gone, and then not there to delete."""
    assert store.run_now(lambda connection: delete_application(connection, "tv")) is True
    assert store.run_now(lambda connection: delete_application(connection, "tv")) is False
    assert kept(store) == ["audio", "liveshow", "vod"]


@pytest.mark.parametrize(
    "wrong",
    [
        row(""),
        row("bad", hls_segment_seconds=0.0),
        row("bad", hls_segment_count=0),
        row("bad", hls_part_seconds=0.0),
        row("bad", hls_key_segments=0),
        row("bad", max_players=-1),
        row("bad", max_publishers=-1),
        row("bad", max_stream_players=-1),
        row("bad", max_bandwidth_kbps=-1),
    ],
    ids=[
        "name",
        "seconds",
        "count",
        "part",
        "key",
        "players",
        "publishers",
        "stream-players",
        "bandwidth",
    ],
)
def test_constraints(store: Store, wrong: ApplicationRow) -> None:
    """What no program should write is refused by the database itself."""
    with pytest.raises(StoreError, match=r"^the database refuses a value$") as caught:
        store.run_now(lambda connection: insert_application(connection, wrong))
    assert not isinstance(caught.value, Duplicate)
    assert kept(store) == BUILT_IN


@pytest.mark.parametrize("bad", ['"text"', '[1, "a"]', "{}", "null"])
@pytest.mark.parametrize("column", ["outputs", "referers", "hls_variants"])
def test_wrong_list(place: Place, store: Store, column: str, bad: str) -> None:
    """A list that somebody else wrote, and is none, is an error that names row and column."""
    place.sql(f"UPDATE applications SET {column} = '{bad}' WHERE name = 'tv'")
    with pytest.raises(StoreError, match=rf'^"{column}" of application "tv" is no list of texts$'):
        store.run_now(list_applications)


def test_broken_list(sqlite_place: Place) -> None:
    """So is one that is no JSON, which only SQLite lets in."""
    store = sqlite_place.store()
    sqlite_place.sql("UPDATE applications SET referers = '[' WHERE name = 'tv'")
    with pytest.raises(StoreError, match=r"^a list in the table of applications is broken$"):
        store.run_now(list_applications)
