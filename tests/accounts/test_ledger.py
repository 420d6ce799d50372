"""Tests of ntvmedia.accounts.ledger: memory and database are the same, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from ntvmedia.accounts import Role, User
from ntvmedia.errors import ConfigError
from ntvmedia.store import RETRY_SECONDS, StoreError, insert_user, update_user
from ntvmedia.store.accounts import UserRow
from tests.accounts.cases import GOOD, HOST, OTHER, AccountsCase

LOST = StoreError("the connection to the database is lost")


class LosingCase(AccountsCase):
    """Has a database whose answers are lost."""

    def state(self, accounts: Any = None) -> tuple[list[User], set[str], set[str]]:
        """Return what is known: users, sessions, tokens."""
        accounts = accounts or self.accounts
        return (
            accounts.users(),
            {one.id for one in accounts.sessions()},
            {one.id for one in accounts.tokens()},
        )

    def lose(self, changing: Callable[[], Deferred[Any]]) -> None:
        """Have a change committed whose answer is lost, with nothing read after it."""
        self.store.at_once = False
        self.store.lost = LOST
        before = self.state()
        changed = changing()
        self.store.step()
        self.failureResultOf(changed, StoreError)
        self.assertEqual(self.state(), before)


class SetUpTests(LosingCase):
    """The first change of all."""

    def test_lost_answer(self) -> None:
        """A server that was set up without knowing it learns it, and the code is worthless."""
        self.lose(lambda: self.accounts.set_up("root", GOOD, peer=HOST))
        self.assertFalse(self.accounts.is_set_up)
        self.store.step()
        self.assertTrue(self.accounts.is_set_up)
        self.assertEqual(self.set_up, [True])
        self.assertEqual(self.accounts.setup_code, "")
        self.assertFalse((self.data / "setup-code").exists())


class DoubtTests(LosingCase):
    """A write that fails may have been committed all the same."""

    def setUp(self) -> None:
        super().setUp()
        self.add("root")

    def test_lost_answers(self) -> None:
        """What was committed and not answered is found at once, and everybody told."""
        changes: list[Callable[[], Deferred[Any]]] = [
            lambda: self.accounts.add_user("ann", GOOD, Role.OPERATOR),
            lambda: self.accounts.log_in("ann", GOOD, HOST),
            lambda: self.accounts.add_token("ann", "ci", Role.VIEWER, None),
            lambda: self.accounts.change_user("ann", role=Role.VIEWER),
            lambda: self.accounts.log_in("ann", GOOD, HOST),
            lambda: self.accounts.revoke_session(self.accounts.sessions("ann")[0].id),
            lambda: self.accounts.change_user("ann", password=OTHER),
            lambda: self.accounts.delete_user("ann"),
        ]
        for number, change in enumerate(changes):
            self.now += 1
            _users, sessions, tokens = self.state()
            self.ended.clear()
            self.lose(change)
            self.assertNotEqual(self.state(), self.state(self.make()), number)
            self.assertEqual(self.store.waiting, 1)
            self.store.step()
            self.assertEqual(self.state(), self.state(self.make()), number)
            gone = (sessions | tokens) - self.state()[1] - self.state()[2]
            self.assertEqual(set(self.ended), gone)
            self.assertEqual((self.store.waiting, self.clock.getDelayedCalls()), (0, []))

    def test_changes_wait(self) -> None:
        """Changes that wait already are made, in order, on what the database has."""
        self.store.at_once = False
        self.store.lost = LOST
        adding = self.accounts.add_user("ann", GOOD, Role.VIEWER)
        changing = self.accounts.change_user("root", enabled=True, role=Role.ADMINISTRATOR)
        deleting = self.accounts.delete_user("root")
        while self.store.waiting:
            self.assertEqual(self.store.waiting, 1)
            self.store.step()
        self.failureResultOf(adding, StoreError)
        self.successResultOf(changing)
        self.failureResultOf(deleting)
        self.assertEqual([user.name for user in self.accounts.users()], ["ann", "root"])

    def test_database_gone(self) -> None:
        """While the database is gone sessions go on, nothing is changed, and it is tried again."""
        _identity, secret = self.log_in("root")
        self.store.problem = LOST
        self.failureResultOf(self.accounts.add_user("ann", GOOD, Role.VIEWER), StoreError)
        self.failureResultOf(self.accounts.add_user("ann", GOOD, Role.VIEWER), StoreError)
        self.assertTrue(self.is_open(secret))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.store.problem = None
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.add("ann")

    def test_written_behind_the_back(self) -> None:
        """A user that somebody else deleted is not brought back by a change."""
        _identity, secret = self.log_in("root")
        self.add("ann")
        self.store.run_now(
            lambda connection: connection.exec_driver_sql("DELETE FROM users WHERE name = 'ann'")
        )
        self.failureResultOf(self.accounts.change_user("ann", enabled=False), StoreError)
        self.assertEqual([user.name for user in self.accounts.users()], ["root"])
        self.assertTrue(self.is_open(secret))

    def test_rows_that_are_not_understood(self) -> None:
        """F-AC-10: a user whose role this program does not know is nobody, with all sessions."""
        self.add("ann")
        _identity, secret = self.log_in("ann")
        _token, text = self.successResultOf(self.accounts.add_token("ann", "x", Role.VIEWER, None))

        def spoil(connection: Any) -> None:
            row = UserRow("ann", "superuser", True, "x", 1.0, 1.0, 1.0, None)
            assert update_user(connection, row)
            insert_user(connection, UserRow("a b", "viewer", True, "x", 1.0, 1.0, 1.0, None))

        self.store.run_now(spoil)
        self.restart()
        self.assertEqual([user.name for user in self.accounts.users()], ["root"])
        self.assertFalse(self.is_open(secret))
        self.assertIsNone(self.accounts.identify_token(text))
        self.assertEqual(len([line for line in self.logged if "is left out" in line]), 2)

    def test_broken_hash(self) -> None:
        """A hash that somebody else wrote opens nothing, and is no error."""
        self.store.run_now(
            lambda connection: connection.exec_driver_sql("UPDATE users SET password_hash = 'x'")
        )
        self.restart()
        self.failureResultOf(self.accounts.log_in("root", "x", HOST))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_load_fails(self) -> None:
        """A database that cannot be read ends the start."""
        self.store.problem = StoreError("the database file is broken")
        self.assertRaises(ConfigError, self.accounts.load)
        self.assertEqual(len(self.accounts.users()), 1)
