"""What is known of all accounts: in memory for each request, in the database for good."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ntvmedia.accounts.credentials import Keyring, Session, Token, session_of, token_of
from ntvmedia.accounts.refusals import NameTaken, NoUser, WrongField
from ntvmedia.accounts.roles import Role
from ntvmedia.accounts.users import MAX_TYPED_LENGTH, User, name_key, user_of
from ntvmedia.events import AccountsChanged, EventBus, SessionEnded
from ntvmedia.store import (
    Change,
    Changes,
    Database,
    Duplicate,
    SessionRow,
    TokenRow,
    UserRow,
    list_sessions,
    list_tokens,
    list_users,
)

_T = TypeVar("_T")


class Rows(NamedTuple):
    """All that the database has."""

    users: list[UserRow]
    sessions: list[SessionRow]
    tokens: list[TokenRow]


class Ledger:
    """Users, sessions and tokens. Empty before `load`: nobody is let in (F-AC-10).

    They change as `ntvmedia.store.Changes` says. Used from the reactor thread only.

    Args:
        store: The database.
        events: Told when the server is set up, and when sessions and tokens end.
        reactor: As for `Changes`.

    Attributes:
        users: By `name_key`.
    """

    _log = Logger()

    def __init__(self, store: Database, events: EventBus, reactor: Any = None) -> None:
        self.users: dict[str, User] = {}
        self.sessions: Keyring[Session] = Keyring()
        self.tokens: Keyring[Token] = Keyring()
        self._events = events
        self._was_set_up = False
        self._changes = Changes("accounts", store, _read_all, self._read_again, reactor)

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
        self._keep_all(self._changes.load())
        self._was_set_up = self.is_set_up

    def in_turn(self, work: Callable[[], Change[_T]]) -> Deferred[_T]:
        """Make a change when all earlier ones were made; see `Changes.in_turn`."""
        return self._changes.in_turn(work)

    async def commit(self, work: Callable[[Any], _T]) -> _T:
        """Write, within a change; see `Changes.commit`.

        Raises:
            NameTaken: There is such a row already. Nothing has changed.
            StoreError: It is not known what the database has: it will be read again.
        """
        try:
            return await self._changes.commit(work)
        except Duplicate as error:
            raise NameTaken(str(error)) from None

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

    def _read_again(self, rows: Rows) -> None:
        before = self.sessions.ids() | self.tokens.ids()
        self._keep_all(rows)
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
