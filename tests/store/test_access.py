"""Rules of access are kept as they were given, on each kind of database."""

from __future__ import annotations

from typing import Any

import pytest

from ntvmedia.store import (
    FORBIDDEN_STREAM_ROWS,
    IP_RULE_ROWS,
    SHARE_LINK_ROWS,
    SIGNING_KEY_ROWS,
    Duplicate,
    ForbiddenStreamRow,
    IPRuleRow,
    Rows,
    ShareLinkRow,
    SigningKeyRow,
    Store,
    StoreError,
    move_access,
)
from tests.store.places import Place

ODD = "é'\"; DROP TABLE \\ % %s \N{SNOWMAN}"
RULE = IPRuleRow("ab12", "2001:db8::/32", "block", ("publish", "console"), False, ODD, 0.1, 2.5)
STREAM = ForbiddenStreamRow("tv", "été", ODD, 1_795_315_916.118_165_7)
LINK = ShareLinkRow("0" * 16, ODD, "tv", "été", 99.5, 999_999_999, 1.0, 2.0)
SIGNER = SigningKeyRow("k_-1", "tv", "ab" * 32, False, ODD, 1.0, 2.0)
ALL: list[tuple[Rows[Any], Any]] = [
    (IP_RULE_ROWS, RULE),
    (FORBIDDEN_STREAM_ROWS, STREAM),
    (SHARE_LINK_ROWS, LINK),
    (SIGNING_KEY_ROWS, SIGNER),
]


@pytest.mark.parametrize(("rows", "row"), ALL, ids=["ip", "forbidden", "share", "key"])
def test_rows(store: Store, rows: Rows[Any], row: Any) -> None:
    """Each comes back as it was given, is taken once, changes, and goes."""

    def found() -> list[Any]:
        return [one for one in store.run_now(rows.all) if getattr(one, "id", "") != "default"]

    store.run_now(lambda connection: rows.insert(connection, row))
    assert found() == [row]
    with pytest.raises(Duplicate):
        store.run_now(lambda connection: rows.insert(connection, row))
    changed = type(row)(**{**_fields(row), "created_at": 7.0})
    assert store.run_now(lambda connection: rows.update(connection, changed)) is True
    assert found() == [changed]
    assert store.run_now(lambda connection: rows.delete(connection, row)) is True
    assert store.run_now(lambda connection: rows.delete(connection, row)) is False
    assert store.run_now(lambda connection: rows.update(connection, changed)) is False
    assert found() == []


def test_own_key(store: Store) -> None:
    """A new database knows the key that every server has, without its secret."""
    assert store.run_now(SIGNING_KEY_ROWS.all) == [
        SigningKeyRow("default", "", "", True, "", 0.0, 0.0)
    ]


def test_move(store: Store) -> None:
    """Rules follow an application, over what is left of another of that name; or go with it."""
    left = ForbiddenStreamRow("films", "été", "", 1.0)

    def add(connection: Any) -> None:
        for rows, row in ALL:
            rows.insert(connection, row)
        FORBIDDEN_STREAM_ROWS.insert(connection, left)
        move_access(connection, "tv", "films")

    def named() -> list[str]:
        return [
            one.application
            for rows, _row in ALL[1:]
            for one in store.run_now(rows.all)
            if one.application
        ]

    store.run_now(add)
    assert named() == ["films"] * 3
    [forbidden] = store.run_now(FORBIDDEN_STREAM_ROWS.all)
    assert forbidden.comment == ODD
    store.run_now(lambda connection: move_access(connection, "films", None))
    assert named() == []
    assert store.run_now(IP_RULE_ROWS.all) == [RULE]


@pytest.mark.parametrize("bad", ['"text"', '[1, "a"]', "{}", "null"])
def test_wrong_list(place: Place, store: Store, bad: str) -> None:
    """Scopes that somebody else wrote, and are none, are an error."""
    store.run_now(lambda connection: IP_RULE_ROWS.insert(connection, RULE))
    place.sql(f"UPDATE ip_rules SET scopes = '{bad}'")
    with pytest.raises(StoreError, match='"scopes" in the table "ip_rules" is no list of texts'):
        store.run_now(IP_RULE_ROWS.all)


def test_broken_list(sqlite_place: Place) -> None:
    """So are those that are no JSON, which only SQLite lets in."""
    store = sqlite_place.store()
    store.run_now(lambda connection: IP_RULE_ROWS.insert(connection, RULE))
    sqlite_place.sql("UPDATE ip_rules SET scopes = '['")
    with pytest.raises(StoreError, match='a list in the table "ip_rules" is broken'):
        store.run_now(IP_RULE_ROWS.all)


def test_limit(store: Store) -> None:
    """A number of viewers below 0 is refused by the database itself."""
    wrong = ShareLinkRow("1", "x", "a", "b", 0.0, -1, 1.0, 1.0)
    with pytest.raises(StoreError, match=r"^the database refuses a value$"):
        store.run_now(lambda connection: SHARE_LINK_ROWS.insert(connection, wrong))


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}
