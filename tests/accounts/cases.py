"""For tests of the accounts: a database, a clock, passwords that take no time, and a listener."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from argon2 import PasswordHasher
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.accounts import (
    Accounts,
    AuditQuery,
    AuditRow,
    Identity,
    Passwords,
    Role,
    SessionSecret,
    User,
)
from ntvmedia.accounts.passwords import Verdict
from ntvmedia.events import AccountsChanged, EventBus, SessionEnded
from tests.store.slow import SlowStore

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

GOOD = "correct horse"
OTHER = "battery staple"

HOST = "192.0.2.1"

ROOT = Identity("operator on the host", Role.ADMINISTRATOR, "control")


class HeldPasswords(Passwords):
    """Passwords that are looked at when the test says so.

    Attributes:
        verified: The hashes that were compared with, so far; None for nobody's.
    """

    def __init__(self, hasher: PasswordHasher = CHEAP) -> None:
        super().__init__(None, hasher)
        self.at_once = True
        self.verified: list[str | None] = []
        self._held: list[Callable[[], object]] = []

    def hash(self, password: str) -> Deferred[str]:
        """Hash a password, later."""
        return self._later(super().hash(password))

    def verify(self, hashed: str | None, password: str) -> Deferred[Verdict]:
        """Compare a password, later."""
        self.verified.append(hashed)
        return self._later(super().verify(hashed, password))

    def step(self) -> None:
        """Look at the oldest."""
        self._held.pop(0)()

    def _later(self, done: Deferred[Any]) -> Deferred[Any]:
        if self.at_once:
            return done
        answer: Deferred[Any] = Deferred()
        self._held.append(lambda: done.chainDeferred(answer))
        return answer


class AccountsCase(SynchronousTestCase):
    """Has a fresh database, and the accounts in it, which are none.

    Attributes:
        now: Of the wall clock.
        clock: Of the reactor.
        ended: The sessions and tokens that were said to end.
        set_up: What was said about whether the server is set up.
        logged: Texts.
    """

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name)
        self.store = SlowStore(self.data)
        self.bus = EventBus()
        self.now = 1_700_000_000.0
        self.clock = Clock()
        self.ended: list[str] = []
        self.set_up: list[bool] = []
        self.bus.subscribe(SessionEnded, lambda event: self.ended.append(event.session))
        self.bus.subscribe(AccountsChanged, lambda event: self.set_up.append(event.is_set_up))
        self.logged: list[str] = []
        observer: Any = self.log
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.passwords = HeldPasswords()
        self.accounts = self.make()

    def log(self, event: LogEvent) -> None:
        """Keep what is logged."""
        self.logged.append(formatEvent(event))

    def make(self) -> Accounts:
        """Return what a server that starts now has."""
        accounts = Accounts(
            self.store, self.bus, lambda: self.now, self.clock, self.data, passwords=self.passwords
        )
        accounts.load()
        return accounts

    def restart(self) -> None:
        """Have a new server, with nothing but what the database has."""
        self.accounts = self.make()

    def add(self, name: str, role: Role = Role.ADMINISTRATOR, password: str = GOOD) -> User:
        """Add a user, which must succeed."""
        return self.successResultOf(self.accounts.add_user(name, password, role))

    def log_in(
        self, name: str, password: str = GOOD, **more: Any
    ) -> tuple[Identity, SessionSecret]:
        """Log in, which must succeed."""
        more.setdefault("peer_host", HOST)
        return self.successResultOf(self.accounts.log_in(name, password, **more))

    def is_open(self, secret: SessionSecret) -> bool:
        """Whether a cookie opens anything, now."""
        return self.accounts.identify_session(secret.value) is not None

    def audit(self, **query: Any) -> list[AuditRow]:
        """Return what the log has, the oldest first."""
        page = self.successResultOf(self.accounts.audit(AuditQuery(oldest_first=True, **query)))
        return page.rows
