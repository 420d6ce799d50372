"""What is known of all accounts: in memory for each request, in the database for good."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.accounts.credentials import Keyring, Session, Token, session_of, token_of
from ntvmedia.accounts.refusals import NameTaken, NoUser, WrongField
from ntvmedia.accounts.roles import Role
from ntvmedia.accounts.users import MAX_TYPED_LENGTH, User, name_key, user_of
from ntvmedia.errors import ConfigError
from ntvmedia.events import AccountsChanged, EventBus, SessionEnded
from ntvmedia.store import (
    Duplicate,
    SessionRow,
    StoreError,
    TokenRow,
    UserRow,
    list_sessions,
    list_tokens,
    list_users,
)

_T = TypeVar("_T")

Change = Coroutine[Deferred[Any], Any, _T]
"""What a change is written as."""

RETRY_SECONDS: Final = 5.0
"""From a read that failed to the next; about what a database server takes to start again."""


class Database(Protocol):
    """What is needed of an `ntvmedia.store.Store`."""

    def run(self, work: Callable[[Any], _T], *, read_only: bool = False) -> Deferred[_T]:
        """Do some work in one transaction."""

    def run_now(self, work: Callable[[Any], _T]) -> _T:
        """Do the same, and wait for it."""


class Rows(NamedTuple):
    """All that the database has."""

    users: list[UserRow]
    sessions: list[SessionRow]
    tokens: list[TokenRow]


class Ledger:
    """Users, sessions and tokens. Empty before `load`: nobody is let in (F-AC-10).

    As `ntvmedia.access.Applications`: memory changes after the database has committed, and only
    then; changes follow one another, in the order in which they were asked for. A write that fails
    may have been committed all the same: what is here is then in doubt, and is read again before
    the next change, and in the background. Used from the reactor thread only.

    Args:
        store: The database.
        events: Told when the server is set up, and when sessions and tokens end.
        reactor: Has what is in doubt read again every `RETRY_SECONDS` while the database fails.
            Without, it is read once, and then not before the next change.

    Attributes:
        users: By `name_key`.
    """

    _log = Logger()

    def __init__(self, store: Database, events: EventBus, reactor: Any = None) -> None:
        self.users: dict[str, User] = {}
        self.sessions: Keyring[Session] = Keyring()
        self.tokens: Keyring[Token] = Keyring()
        self._store = store
        self._events = events
        self._reactor = reactor
        self._was_set_up = False
        self._turns = DeferredLock()
        self._is_in_doubt = False
        # Whether a read in the background waits, for its turn or for the clock.
        self._is_checking = False

    @property
    def is_set_up(self) -> bool:
        """Whether there is an administrator, who may log in."""
        return any(user.enabled and user.role is Role.ADMINISTRATOR for user in self.users.values())

    def user(self, name: str) -> User:
        """Return the user of a name that somebody typed.

        Raises:
            NoUser: There is none.
        """
        user = self.users.get(name_key(name[:MAX_TYPED_LENGTH]))
        if user is None:
            shown = name[:60]
            quoted = f'"{shown}"' if shown.isprintable() else ascii(shown)
            raise NoUser(f"there is no user {quoted}")
        return user

    def load(self) -> None:
        """Read all from the database, instead of what is here; blocking, at the start.

        Raises:
            ConfigError: The database cannot be read. What is here stays.
        """
        try:
            rows = self._store.run_now(_read_all)
        except StoreError as error:
            raise ConfigError(str(error), ("database",)) from None
        self._keep_all(rows)
        self._was_set_up = self.is_set_up

    def in_turn(self, work: Callable[[], Change[_T]]) -> Deferred[_T]:
        """Make a change when all earlier ones are made.

        Returns:
            Fires with what the work returns. Fails with what it raises; or with `StoreError` when
            it is not known what the database has: it was not begun then. Cancelling it leaves the
            change alone: a client that hangs up must not leave it half done.
        """
        answer: Deferred[_T] = Deferred()
        self._turns.run(self._on_firm_ground, work).chainDeferred(answer)
        return answer

    async def commit(self, work: Callable[[Any], _T]) -> _T:
        """Write, within a change.

        Args:
            work: Called with a connection, in the store's thread.

        Raises:
            NameTaken: There is such a row already. Nothing has changed.
            StoreError: It is not known what the database has: it will be read again.
        """
        try:
            return await self._store.run(work)
        except Duplicate as error:
            raise NameTaken(str(error)) from None
        except StoreError as error:
            self._doubt()
            self._log.error("a change of the accounts is not saved: {error}", error=error)
            raise
        except Exception:
            # A bug says as little about the commit; it is told once, and not met again unasked.
            self._is_in_doubt = True
            raise

    def ended(self, sessions: Iterable[str], tokens: Iterable[str] = ()) -> None:
        """Forget sessions and tokens that the database has no more, and say so."""
        gone = [id for id in sessions if id in self.sessions]
        for id in gone:
            self.sessions.drop(id)
        gone_tokens = [id for id in tokens if id in self.tokens]
        for id in gone_tokens:
            self.tokens.drop(id)
        for id in gone + gone_tokens:
            self._events.emit(SessionEnded(id))

    def users_changed(self) -> None:
        """Say whether the server is set up, where that has changed."""
        is_set_up = self.is_set_up
        if is_set_up is not self._was_set_up:
            self._was_set_up = is_set_up
            self._events.emit(AccountsChanged(is_set_up))

    async def _on_firm_ground(self, work: Callable[[], Change[_T]]) -> _T:
        try:
            await self._settle()
        except StoreError as error:
            self._log.error("a change is not made, for want of a read: {error}", error=error)
            raise
        return await work()

    def _doubt(self) -> None:
        self._is_in_doubt = True
        if not self._is_checking:
            self._is_checking = True
            self._check(is_first=True)

    def _check(self, *, is_first: bool = False) -> None:
        """Settle a doubt in the background, after the changes that wait already."""
        checking = self._turns.run(self._settle)
        checking.addCallbacks(self._checked, self._not_checked, errbackArgs=(is_first,))

    def _checked(self, result: None) -> None:
        self._is_checking = False

    def _not_checked(self, failure: Failure, is_first: bool) -> None:
        # Once is enough: it may go on for as long as the database is gone.
        if is_first and failure.check(StoreError):
            self._log.error("the accounts cannot be read: {error}", error=failure.value)
        elif is_first:
            self._log.failure("the accounts cannot be read", failure)
        if self._reactor is None:
            self._is_checking = False
        else:
            self._reactor.callLater(RETRY_SECONDS, self._check)

    async def _settle(self) -> None:
        """Have here what the database has, where that is in doubt.

        Raises:
            StoreError: It cannot be read. What is here stays, and stays in doubt.
        """
        if not self._is_in_doubt:
            return
        rows = await self._store.run(_read_all)
        before = self.sessions.ids() | self.tokens.ids()
        self._keep_all(rows)
        self._is_in_doubt = False
        # Who is told finds all as it is now.
        for id in sorted(before - self.sessions.ids() - self.tokens.ids()):
            self._events.emit(SessionEnded(id))
        self.users_changed()

    def _keep_all(self, rows: Rows) -> None:
        users = {}
        for row in rows.users:
            user = self._understood(partial(user_of, row), f"user {row.name!a}")
            if user is not None:
                users[name_key(user.name)] = user
        # A row of a user that is not understood would let in somebody whose rights are not known.
        names = {user.name for user in users.values() if user.enabled}
        tokens = [
            self._understood(partial(token_of, row), f"token {row.id!a}")
            for row in rows.tokens
            if row.owner in names
        ]
        self.users = users
        self.sessions = self.sessions.renewed(
            session_of(row) for row in rows.sessions if row.owner in names
        )
        self.tokens = self.tokens.renewed(token for token in tokens if token is not None)

    def _understood(self, read: Callable[[], _T], what: str) -> _T | None:
        try:
            return read()
        except WrongField as error:
            self._log.error("{what} is left out: {error}", what=what, error=error)
            return None


def _read_all(connection: Any) -> Rows:
    return Rows(list_users(connection), list_sessions(connection), list_tokens(connection))
