"""Tests of ntvmedia.accounts as a whole: whatever is done, and whatever the database answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings, strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ntvmedia.accounts import Accounts, Identity, Role, SessionSecret
from ntvmedia.events import EventBus, SessionEnded
from ntvmedia.store import RETRY_SECONDS, StoreError
from tests.accounts.cases import GOOD, HOST, OTHER, HeldPasswords
from tests.store.slow import SlowStore

NAMES = ("root", "ann", "Ann")

STEPS = st.tuples(
    st.sampled_from(
        [
            "add",
            "role",
            "state",
            "password",
            "delete",
            "log_in",
            "log_out",
            "own",
            "token",
            "revoke",
        ]
    ),
    st.sampled_from(NAMES),
    st.integers(0, 5),
    # What the database does: all, nothing, or all without an answer.
    st.sampled_from(["good", "good", "good", "fails", "lost"]),
)


class Model:
    """A server, somebody who does things to it, and what is known of it besides.

    Args:
        data: An empty folder.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.store = SlowStore(data)
        self.clock = Clock()
        self.now = 1_700_000_000.0
        self.bus = EventBus()
        self.ended: Counter[str] = Counter()
        self.bus.subscribe(SessionEnded, lambda event: self.ended.update([event.session]))
        self.accounts = self.start(self.bus)
        self.opened: dict[str, tuple[Identity, SessionSecret]] = {}
        self.tokens: dict[str, str] = {}
        self.done: list[Any] = []
        self.wait(self.accounts.add_user("root", GOOD, Role.ADMINISTRATOR))
        self.wait(self.accounts.add_user("ann", GOOD, Role.OPERATOR))
        for what, name, number in (
            ("log_in", "root", 1),
            ("log_in", "ann", 1),
            ("token", "ann", 1),
        ):
            self.step(what, name, number, "good")

    def start(self, bus: EventBus) -> Accounts:
        """Return what a server that starts now has."""
        accounts = Accounts(
            self.store, bus, lambda: self.now, self.clock, self.data, passwords=HeldPasswords()
        )
        accounts.load()
        return accounts

    def wait(self, done: Deferred[Any]) -> Any:
        """Return what was done; None where it was refused."""
        found: list[Any] = []
        done.addCallbacks(found.append, lambda _failure: found.append(None))
        assert found, "it neither succeeded nor failed"
        return found[0]

    def step(self, what: str, name: str, number: int, database: str) -> None:
        """Do one thing."""
        self.now += 1
        self.clock.advance(3600)
        failure = StoreError("the connection to the database is lost")
        self.store.problem = failure if database == "fails" else None
        self.store.lost = failure if database == "lost" else None
        result = self.wait(self.begin(what, name, number))
        self.store.problem = self.store.lost = None
        self.clock.advance(RETRY_SECONDS)
        if result is not None and what == "log_in":
            self.opened[result[0].session] = result
        if result is not None and what == "token":
            self.tokens[result[0].id] = result[1]

    def begin(self, what: str, name: str, number: int) -> Deferred[Any]:
        """Begin to do it."""
        accounts = self.accounts
        role = list(Role)[number % 3]
        opened = list(self.opened.values())
        tokens = list(self.tokens)
        match what:
            case "add":
                return accounts.add_user(name, GOOD, role)
            case "role":
                return accounts.change_user(name, role=role)
            case "state":
                return accounts.change_user(name, enabled=number % 2 == 0)
            case "password":
                return accounts.change_user(name, password=OTHER if number % 2 else GOOD)
            case "delete":
                return accounts.delete_user(name)
            case "log_out" if opened:
                return accounts.log_out(opened[number % len(opened)][0])
            case "own" if opened:
                identity, _secret = opened[number % len(opened)]
                return accounts.change_own_password(identity, GOOD, OTHER)
            case "token":
                return accounts.add_token(name, "ci", role, None)
            case "revoke" if tokens:
                return accounts.revoke_token(tokens[number % len(tokens)])
        return accounts.log_in(name, GOOD if number % 3 else OTHER, HOST)

    def check(self) -> None:
        """Compare memory with the database, and both with what must always hold."""
        fresh = self.start(EventBus())
        assert self.accounts.users() == fresh.users()
        for ours, theirs in (
            (self.accounts.sessions(), fresh.sessions()),
            (self.accounts.tokens(), fresh.tokens()),
        ):
            assert {one.id: one.owner for one in ours} == {one.id: one.owner for one in theirs}
        users = {user.name: user for user in fresh.users()}
        # P-103: somebody can always administer.
        assert fresh.is_set_up
        assert self.accounts.is_set_up
        for id, (_identity, secret) in self.opened.items():
            found = self.accounts.identify_session(secret.value)
            assert found == fresh.identify_session(secret.value)
            # F-IN-08: what is over is over, and was said once.
            assert self.ended[id] == (found is None)
            if found is not None:
                assert users[found.name].enabled
                assert found.role is users[found.name].role
        for id, text in self.tokens.items():
            found = self.accounts.identify_token(text)
            assert found == fresh.identify_token(text)
            assert self.ended[id] == (found is None)
            if found is not None:
                assert users[found.name].enabled
                assert users[found.name].role.includes(found.role)


@settings(max_examples=10, deadline=None)
@given(st.lists(STEPS, min_size=3, max_size=8))
def test_whatever_happens(steps: list[tuple[str, str, int, str]]) -> None:
    """Memory and database agree after each step, nobody has too much, and ends are told once."""
    with TemporaryDirectory() as folder:
        model = Model(Path(folder))
        for step in steps:
            model.step(*step)
            model.check()
