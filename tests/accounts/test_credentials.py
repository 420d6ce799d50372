"""Tests of ntvmedia.accounts.credentials: sessions and tokens, and how they are found."""

from __future__ import annotations

import re
import secrets

from hypothesis import given, settings, strategies as st

from ntvmedia.accounts import Role, Session, SessionSecret, Token, describe_session, describe_token
from ntvmedia.accounts.credentials import (
    Keyring,
    csrf_of,
    hash_of,
    is_same,
    new_id,
    new_secret,
    session_of,
    session_row,
    token_of,
    token_row,
)


def session(id: str, owner: str = "root", secret: str = "", used_at: float = 5.0) -> Session:
    """Return a session."""
    return Session(id, hash_of(secret or f"secret of {id}"), owner, "192.0.2.1", "x", 1.0, used_at)


def test_golden() -> None:
    """What is kept is SHA-256 (FIPS 180-4: the example "abc"), and a page's secret another one."""
    assert hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert re.fullmatch("[0-9a-f]{64}", csrf_of("abc"))
    assert csrf_of("abc") not in (hash_of("abc"), csrf_of("abd"))


def test_new() -> None:
    """Secrets have 256 bits, and fit into a header as they are."""
    assert new_secret(bytes, "ntv_") == f"ntv_{'A' * 43}"
    assert re.fullmatch(r"ntv_[\w-]{43}", new_secret(secrets.token_bytes, "ntv_"))
    assert re.fullmatch(r"[\w-]{12}", new_id(secrets.token_bytes))
    assert len({new_secret(secrets.token_bytes) for _ in range(100)}) == 100


def test_not_shown() -> None:
    """F-AC-03: neither a text of them nor what the API shows has a secret or its hash."""
    one = session("a")
    token = Token("t", hash_of("x"), "root", "ci", Role.VIEWER, 1.0, None, None)
    given = SessionSecret("the cookie", "the page", 9.0)
    for text in map(repr, (one, token, given, describe_session(one), describe_token(token))):
        assert "secret" not in text.replace("SessionSecret", "")
        assert hash_of("x") not in text
        assert "the cookie" not in text
        assert "the page" not in text
    assert describe_token(token) == {
        "id": "t",
        "owner": "root",
        "name": "ci",
        "role": "viewer",
        "created_at": 1.0,
        "expires_at": None,
        "used_at": None,
    }


def test_rows() -> None:
    """They come back from their rows, and rows have primitive values."""
    one = session("a")
    token = Token("t", "h", "root", "ci", Role.OPERATOR, 1.0, 2.0, 3.0)
    assert session_of(session_row(one)) == one
    assert token_of(token_row(token)) == token
    assert type(token_row(token).role) is str


@settings(max_examples=50)
@given(st.text(max_size=220), st.text(max_size=220))
def test_same(one: str, other: str) -> None:
    """Any two texts can be compared."""
    assert is_same(one, other) is (one == other)
    assert is_same(one, one)
    assert not is_same(one, f"{one}\ud800")


@settings(max_examples=50)
@given(st.text(max_size=300))
def test_only_its_own_secret_opens(typed: str) -> None:
    """F-RE-15: whatever is typed opens nothing, and is no error."""
    keyring = Keyring([session("a", secret="right")])
    found = keyring.find(typed)
    assert (found is not None) is (typed == "right")
    assert keyring.find("right\ud800") is None
    assert keyring.find(hash_of("right")) is None


def test_keyring() -> None:
    """They are found by id, by owner and by secret, until they are dropped."""
    keyring = Keyring([session("a"), session("b", "guest")])
    assert keyring.ids() == {"a", "b"}
    assert [one.id for one in keyring.of()] == ["a", "b"]
    assert [one.id for one in keyring.of("guest")] == ["b"]
    keyring.drop("a")
    keyring.drop("a")
    assert keyring.find("secret of a") is None
    assert keyring.get("a") is None
    assert ("a" in keyring, len(keyring)) == (False, 1)


def test_use() -> None:
    """When one was used is shown at once, and written when it is worth it."""
    keyring = Keyring([session("a", used_at=5.0), session("b", used_at=5.0)])
    [first, second] = keyring.of()
    keyring.use(first, 100.0)
    keyring.use(second, 400.0)
    assert keyring.used_at(first) == 100.0
    shown = keyring.get("b")
    assert shown is not None
    assert shown.used_at == 400.0
    assert keyring.unsaved(300.0) == {"b": 400.0}
    assert keyring.unsaved() == {"a": 100.0, "b": 400.0}
    keyring.saved({"b": 400.0, "gone": 1.0})
    assert keyring.unsaved(300.0) == {}
    # The clock was set back: it is written too.
    keyring.use(second, 10.0)
    assert keyring.unsaved(300.0) == {"b": 10.0}
    keyring.drop("b")
    assert keyring.unsaved() == {"a": 100.0}


def test_renewed() -> None:
    """What the database has takes the place of what was here, but for the times known here."""
    keyring = Keyring([session("a"), session("b")])
    for one in keyring.of():
        keyring.use(one, 50.0)
    fresh = keyring.renewed([session("b"), session("c")])
    assert [(one.id, one.used_at) for one in fresh.of()] == [("b", 50.0), ("c", 5.0)]
