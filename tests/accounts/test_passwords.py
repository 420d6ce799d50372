"""Tests of ntvmedia.accounts.passwords: what one may be, and the threads that hash."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import given, settings, strategies as st

from ntvmedia.accounts import WrongField
from ntvmedia.accounts.passwords import (
    HASHER,
    MAX_LENGTH,
    MAX_WAITING,
    Passwords,
    Verdict,
    check_password,
)
from ntvmedia.errors import LimitExceeded
from tests.accounts.cases import CHEAP
from tests.store.places import Pump


@pytest.fixture
def pump() -> Pump:
    """Return the reactor of `passwords`."""
    return Pump()


@pytest.fixture
def passwords(pump: Pump) -> Iterator[Passwords]:
    """Return what hashes in threads; none is left."""
    made = Passwords(pump, CHEAP)
    yield made
    made.stop()
    assert not [thread for thread in threading.enumerate() if "passwords" in thread.name]


def test_round_trip(passwords: Passwords, pump: Pump) -> None:
    """A password is right for its own hash and for no other; each hash has its own salt."""
    one, other = (pump.wait(passwords.hash("correct horse")) for _ in range(2))
    assert one != other
    assert "correct" not in one
    assert pump.wait(passwords.verify(one, "correct horse")) == Verdict(True)
    assert pump.wait(passwords.verify(one, "correct horsf")) == Verdict(False)
    assert pump.wait(passwords.verify(one, "")) == Verdict(False)


def test_defaults() -> None:
    """Hashes are argon2id with the parameters that are documented."""
    assert HASHER.hash("x").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_typed_otherwise(passwords: Passwords, pump: Pump) -> None:
    """NIST SP 800-63B 5.1.1.2: a password is the same on every keyboard (NFKC)."""
    hashed = pump.wait(passwords.hash("p\N{LATIN SMALL LETTER A WITH DIAERESIS}ssword \ufb01sh"))
    assert pump.wait(passwords.verify(hashed, "pa\N{COMBINING DIAERESIS}ssword fish")).is_right


def test_nobody(passwords: Passwords, pump: Pump, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-RE-15: for a user that there is not, the same work is done, with the same parameters."""
    seen: list[tuple[str, bytes]] = []
    verify = PasswordHasher.verify

    def spy(self: PasswordHasher, hashed: Any, password: Any) -> Any:
        seen.append((hashed, password))
        return verify(self, hashed, password)

    monkeypatch.setattr(PasswordHasher, "verify", spy)
    hashed = pump.wait(passwords.hash("correct horse"))
    assert not pump.wait(passwords.verify(hashed, "wrong")).is_right
    assert not pump.wait(passwords.verify(None, "wrong")).is_right
    [(known, _), (unknown, given)] = seen
    assert given == b"wrong"
    assert (
        unknown.rpartition("$")[0].rpartition("$")[0] == known.rpartition("$")[0].rpartition("$")[0]
    )
    assert len(unknown) == len(known)


@settings(max_examples=40)
@given(st.one_of(st.text(max_size=300), st.just("\ud800"), st.just("a" * 100_000), st.just("\0")))
def test_whatever_is_typed(typed: str) -> None:
    """F-RE-15: what is no password at all is wrong, and never an error."""
    at_once = Passwords(None, CHEAP)
    hashed = CHEAP.hash(b"right")
    found: list[Verdict] = []
    for hash_ in (hashed, None, "not a hash"):
        at_once.verify(hash_, typed).addCallback(found.append)
    assert [verdict.is_right for verdict in found] == [typed == "right", False, False]


def test_too_long_is_wrong() -> None:
    """A right password with a tail over the limit is wrong: it is not cut and then compared."""
    text = "a1" * (MAX_LENGTH // 2)
    found: list[Verdict] = []
    at_once = Passwords(None, CHEAP)
    hashed = CHEAP.hash(f"{text}b")
    for typed in (f"{text}b", f"{text}bc"):
        at_once.verify(hashed, typed).addCallback(found.append)
    assert found == [Verdict(False)] * 2


def test_renewed(passwords: Passwords, pump: Pump) -> None:
    """A hash with yesterday's parameters is right, and is hashed again as today."""
    old = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash("correct horse")
    verdict = pump.wait(passwords.verify(old, "correct horse"))
    assert verdict.is_right
    assert pump.wait(passwords.verify(verdict.new_hash, "correct horse")) == Verdict(True)
    assert pump.wait(passwords.verify(old, "wrong")) == Verdict(False)


def test_bounded(pump: Pump) -> None:
    """More than so many at once are refused, and the others are answered."""
    passwords = Passwords(pump, CHEAP)
    waiting = [passwords.verify(None, "x") for _ in range(MAX_WAITING)]
    refused: list[Any] = []
    passwords.verify(None, "x").addErrback(lambda failure: refused.append(failure.value))
    assert isinstance(refused[0], LimitExceeded)
    assert refused[0].limit == MAX_WAITING
    assert [pump.wait(answer) for answer in waiting] == [Verdict(False)] * MAX_WAITING
    assert pump.wait(passwords.verify(None, "x")) == Verdict(False)
    passwords.stop()


def test_given_up(passwords: Passwords, pump: Pump) -> None:
    """A client that leaves is not answered, and leaves its place to others."""
    left = passwords.verify(None, "x")
    left.addErrback(lambda _failure: None)
    left.cancel()
    for _ in range(MAX_WAITING - 1):
        answer = passwords.verify(None, "x")
    assert pump.wait(answer) == Verdict(False)
    pump.turn_until(lambda: not passwords._waiting)


def test_stopped(pump: Pump) -> None:
    """What waits when the server stops fails, as does what comes then; the threads end."""
    passwords = Passwords(pump, HASHER)
    failures: list[Any] = []
    for _ in range(MAX_WAITING):
        passwords.hash("x").addErrback(lambda failure: failures.append(failure.type))
    passwords.stop()
    pump.turn_until(lambda: len(failures) == MAX_WAITING)
    passwords.hash("x").addErrback(lambda failure: failures.append(failure.type))
    assert set(failures) == {LimitExceeded}
    assert not [thread for thread in threading.enumerate() if "passwords" in thread.name]


def test_in_a_thread_below_the_streams(
    passwords: Passwords, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reactor's thread does not hash, and those that do are nicer than it."""
    seen: list[tuple[int, int]] = []

    def spy(self: PasswordHasher, password: Any) -> str:
        thread = threading.get_native_id()
        seen.append((thread, os.getpriority(os.PRIO_PROCESS, thread)))
        return "hash"

    monkeypatch.setattr(PasswordHasher, "hash", spy)
    assert pump.wait(passwords.hash("x")) == "hash"
    [(thread, niceness)] = seen
    own = threading.get_native_id()
    assert thread != own
    assert niceness > os.getpriority(os.PRIO_PROCESS, own) or niceness == 19


@pytest.mark.parametrize(
    ("password", "clause"),
    [
        ("", "shorter than 8"),
        ("short12", "shorter than 8"),
        ("x1" * 129, "longer than 256"),
        ("password", "first that are tried"),
        ("PassWord1", "first that are tried"),
        ("zzzzzzzzzzzz", "first that are tried"),
        ("gabriele1", "little more than the name"),
        ("Gabriele", "little more than the name"),
        ("GabrieleGabriele", "little more than the name"),
        ("half \ud800 of one", "half of a character"),
    ],
)
def test_refused(password: str, clause: str) -> None:
    """What is guessed first is no password; F-AC-03: it is not quoted."""
    with pytest.raises(WrongField, match=clause) as caught:
        check_password(password, "Gabriele")
    assert caught.value.field == "password"
    assert not password or password not in caught.value.clause


@pytest.mark.parametrize(
    "password",
    ["correct horse", "例えばパスワード", "x1" * 128, "gabriele likes tea", "\0 and more"],
)
def test_allowed(password: str) -> None:
    """Long ones of every kind are."""
    check_password(password, "Gabriele")
