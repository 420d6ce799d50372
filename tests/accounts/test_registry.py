"""Tests of ntvmedia.accounts.registry: what is looked after while the server runs."""

from __future__ import annotations

from ntvmedia.accounts import IDLE_SECONDS, Role
from ntvmedia.accounts.backoff import FORGET_SECONDS
from ntvmedia.accounts.registry import HOUSEKEEPING_SECONDS, SAVE_SECONDS
from ntvmedia.store import StoreError, list_sessions, list_tokens
from tests.accounts.cases import HOST, AccountsCase


class HousekeepingTests(AccountsCase):
    """Once a minute."""

    def setUp(self) -> None:
        super().setUp()
        self.add("root")
        self.accounts.startService()

    def pass_time(self, seconds: float) -> None:
        """Let both clocks go on."""
        while seconds > 0:
            step = min(seconds, HOUSEKEEPING_SECONDS)
            self.now += step
            self.clock.advance(step)
            seconds -= step

    def saved(self) -> list[float | None]:
        """Return what the database says of the use of sessions and tokens."""
        return [
            one.used_at
            for rows in (self.store.run_now(list_sessions), self.store.run_now(list_tokens))
            for one in rows
        ]

    def test_over(self) -> None:
        """A session that is over leaves memory and database, and who listens is told."""
        identity, _secret = self.log_in("root")
        self.pass_time(IDLE_SECONDS - 60)
        other, _secret = self.log_in("root")
        self.pass_time(60)
        self.assertEqual(self.ended, [identity.session])
        self.assertEqual([row.id for row in self.store.run_now(list_sessions)], [other.session])

    def test_use_is_saved(self) -> None:
        """F-IN-08: when they were used is written now and then, and at the end."""
        start = self.now
        _identity, secret = self.log_in("root")
        _token, text = self.successResultOf(
            self.accounts.add_token("root", "ci", Role.VIEWER, None)
        )
        self.pass_time(60)
        self.accounts.identify_session(secret.value)
        self.accounts.identify_token(text)
        self.pass_time(60)
        # A token's first use is worth a write.
        self.assertEqual(self.saved(), [start, start + 60])
        self.pass_time(SAVE_SECONDS)
        self.accounts.identify_session(secret.value)
        self.pass_time(60)
        self.assertEqual(self.saved(), [start + 120 + SAVE_SECONDS, start + 60])
        self.accounts.identify_token(text)
        self.successResultOf(self.accounts.stopService())
        self.assertEqual(self.saved(), [start + 120 + SAVE_SECONDS, self.now])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_to_save(self) -> None:
        """Where nothing was used nothing is written."""
        self.pass_time(60)
        self.store.at_once = False
        self.pass_time(600)
        self.successResultOf(self.accounts.stopService())
        self.assertEqual(self.store.waiting, 0)

    def test_not_saved(self) -> None:
        """A database that fails does not keep the server from stopping, or from the next try."""
        self.log_in("root")
        self.pass_time(SAVE_SECONDS + 60)
        _identity, secret = self.log_in("root")
        self.now += 1
        self.accounts.identify_session(secret.value)
        self.store.problem = StoreError("the disk of the database is full")
        self.pass_time(IDLE_SECONDS)
        self.successResultOf(self.accounts.stopService())
        self.store.problem = None
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_bug_is_told(self) -> None:
        """What is not the database's fault is told, and the next look is had all the same."""
        _identity, secret = self.log_in("root")
        self.now += SAVE_SECONDS + 1
        self.accounts.identify_session(secret.value)
        self.store.problem = KeyError("bug")
        self.clock.advance(60)
        self.store.problem = None
        self.assertTrue(self.flushLoggedErrors(KeyError))
        self.clock.advance(60)
        self.assertEqual(self.saved(), [self.now])

    def test_attempts_are_forgotten(self) -> None:
        """F-AC-04: the table of attempts is emptied."""
        self.failureResultOf(self.accounts.log_in("root", "wrong", HOST))
        self.assertEqual(len(self.accounts._attempts), 2)
        self.pass_time(FORGET_SECONDS)
        self.assertEqual(len(self.accounts._attempts), 0)

    def test_quiet(self) -> None:
        """An hour of nothing is not worth a line in the log."""
        self.logged.clear()
        self.pass_time(3600)
        self.assertEqual(self.logged, [])
