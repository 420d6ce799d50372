"""Users, sessions and tokens are kept as they were given, on each kind of database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ntvmedia.store import (
    Duplicate,
    SessionRow,
    Store,
    StoreError,
    TokenRow,
    UserRow,
    delete_sessions,
    delete_tokens,
    delete_user,
    insert_session,
    insert_token,
    insert_user,
    list_sessions,
    list_tokens,
    list_users,
    touch_sessions,
    touch_tokens,
    update_user,
)
from tests.store.places import Place

USER = UserRow("Zoë", "viewer", True, "$argon2id$'; DROP TABLE users", 1.5, 0.1, 2.25, None)
SESSION = SessionRow("s1", "a" * 64, "Zoë", "2001:db8::1", "Firefox \N{SNOWMAN}", 3.5, 4.5)
TOKEN = TokenRow("t1", "b" * 64, "Zoë", "it's %s", "viewer", 5.5, None, None)


def do(store: Store, *steps: Any) -> list[Any]:
    """Do steps in one transaction: each is a function and its arguments after the connection."""
    return store.run_now(
        lambda connection: [function(connection, *more) for function, *more in steps]
    )


@pytest.fixture
def filled(store: Store) -> Store:
    """Return a store with a user who has a session and a token."""
    do(store, (insert_user, USER), (insert_session, SESSION), (insert_token, TOKEN))
    return store


def everything(store: Store) -> tuple[list[Any], ...]:
    """Return all rows."""
    users, sessions, tokens = do(store, (list_users,), (list_sessions,), (list_tokens,))
    return users, sessions, tokens


def test_new_database(store: Store) -> None:
    """A new database has nobody in it: there is no default account (F-AC-01)."""
    assert everything(store) == ([], [], [])


def test_every_field(filled: Store, place: Place) -> None:
    """Each field comes back as it was given, from another store too."""
    full = replace(TOKEN, id="t2", secret_hash="c" * 64, expires_at=7.25, used_at=8.125)
    do(filled, (insert_token, full))
    user = replace(USER, name="ann", enabled=False, logged_in_at=9.5)
    do(filled, (insert_user, user))
    users, sessions, tokens = everything(place.store())
    assert (users, sessions, tokens) == ([USER, user], [SESSION], [TOKEN, full])
    for rows, given in ((users, [USER, user]), (sessions, [SESSION]), (tokens, [TOKEN, full])):
        assert [[type(x) for x in vars(row).values()] for row in rows] == [
            [type(x) for x in vars(row).values()] for row in given
        ]


def test_update(filled: Store) -> None:
    """A user's values are exchanged, and nobody else's."""
    other = replace(USER, name="zoë")
    changed = replace(USER, role="operator", enabled=False, password_hash="x", logged_in_at=3.0)
    do(filled, (insert_user, other))
    assert do(filled, (update_user, changed)) == [True]
    assert do(filled, (update_user, replace(USER, name="nobody"))) == [False]
    assert everything(filled)[0] == [changed, other]


def test_delete_user(filled: Store) -> None:
    """With a user the sessions and tokens go, and nobody else's."""
    do(
        filled,
        (insert_user, replace(USER, name="ann")),
        (insert_session, replace(SESSION, id="s2", secret_hash="d" * 64, owner="ann")),
    )
    assert do(filled, (delete_user, "Zoë")) == [True]
    assert do(filled, (delete_user, "Zoë")) == [False]
    users, sessions, tokens = everything(filled)
    assert [row.name for row in users] == ["ann"]
    assert [row.id for row in sessions] == ["s2"]
    assert tokens == []


def test_no_owner(filled: Store) -> None:
    """A session or token of nobody is not kept."""
    for step in (
        (insert_session, replace(SESSION, id="x", secret_hash="e" * 64, owner="nobody")),
        (insert_token, replace(TOKEN, id="x", secret_hash="e" * 64, owner="nobody")),
    ):
        with pytest.raises(StoreError, match="refuses a value"):
            do(filled, step)


def test_duplicates(filled: Store) -> None:
    """Names, ids and secrets are there once; the transaction may go on."""

    def work(connection: Any) -> None:
        rows: list[tuple[Any, Any]] = [
            (insert_user, USER),
            (insert_session, replace(SESSION, secret_hash="f" * 64)),
            (insert_session, replace(SESSION, id="other")),
            (insert_token, replace(TOKEN, secret_hash="f" * 64)),
            (insert_token, replace(TOKEN, id="other")),
        ]
        for insert, row in rows:
            with pytest.raises(Duplicate):
                insert(connection, row)
        insert_user(connection, replace(USER, name="after"))

    filled.run_now(work)
    users, sessions, tokens = everything(filled)
    assert ([row.name for row in users], sessions, tokens) == (["Zoë", "after"], [SESSION], [TOKEN])


def test_empty_name(store: Store) -> None:
    """A user has a name."""
    with pytest.raises(StoreError, match="refuses a value"):
        do(store, (insert_user, replace(USER, name="")))


def test_use(filled: Store) -> None:
    """When they were used is written for those that there are."""
    do(
        filled,
        (touch_sessions, {"s1": 99.5, "gone": 1.0}),
        (touch_tokens, {"t1": 77.5, "gone": 1.0}),
        (touch_sessions, {}),
        (touch_tokens, {}),
    )
    _users, sessions, tokens = everything(filled)
    assert sessions == [replace(SESSION, used_at=99.5)]
    assert tokens == [replace(TOKEN, used_at=77.5)]


def test_delete_many(filled: Store) -> None:
    """As many as there are go in one transaction; none is no statement."""
    rows = [
        replace(SESSION, id=f"n{x}", secret_hash=f"{x:064}", created_at=100.0 - x)
        for x in range(600)
    ]
    do(filled, *((insert_session, row) for row in rows))
    _users, sessions, _tokens = everything(filled)
    assert [row.created_at for row in sessions] == sorted(row.created_at for row in sessions)
    do(
        filled,
        (delete_sessions, [row.id for row in rows]),
        (delete_sessions, []),
        (delete_tokens, ["gone"]),
        (delete_tokens, []),
    )
    assert everything(filled)[1:] == ([SESSION], [TOKEN])
    do(filled, (delete_tokens, ["t1"]))
    assert everything(filled)[2] == []


def test_names_in_order(store: Store) -> None:
    """Users come in the order of code points, whatever the database thinks of letters."""
    for name in ("b", "a", "B", "ä", "_"):
        do(store, (insert_user, replace(USER, name=name)))
    assert [row.name for row in everything(store)[0]] == ["B", "_", "a", "b", "ä"]
