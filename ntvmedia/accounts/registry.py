"""All accounts: in memory for each request, in the database for good."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ntvmedia.accounts.audit import Audit
from ntvmedia.accounts.backoff import Attempts
from ntvmedia.accounts.credentials import Session, SessionSecret, Token
from ntvmedia.accounts.ledger import Ledger
from ntvmedia.accounts.logins import Logins, check_csrf
from ntvmedia.accounts.passwords import Passwords
from ntvmedia.accounts.roles import Identity, Role
from ntvmedia.accounts.setup import SetupCode
from ntvmedia.accounts.token_changes import TokenChanges
from ntvmedia.accounts.user_changes import UserChanges
from ntvmedia.accounts.users import User
from ntvmedia.events import AccountsChanged, EventBus
from ntvmedia.store import (
    AuditPage,
    AuditQuery,
    Database,
    Note,
    StoreError,
    delete_sessions,
    delete_tokens,
    touch_sessions,
    touch_tokens,
)

HOUSEKEEPING_SECONDS: Final = 60.0
"""Between two looks at what is over."""

SAVE_SECONDS: Final = 300.0
"""A server that is killed forgets at most so much of when a session was used."""

PRUNE_SECONDS: Final = 3600.0
"""Between two looks at the age of the audit log."""


class Accounts(Service):
    """Users, sessions, tokens and the log of what they changed.

    All Deferreds fire in the reactor thread. They fail with `StoreError` when the database does not
    do it, and then nothing has changed here, until it is known what the database has. Cancelling
    one leaves the change alone. What `note` gets is in the same transaction as the change.

    Args:
        store: The database.
        events: Told of each change.
        wall_clock: Returns the seconds since 1970.
        reactor: For timers and threads. Without, as on the command line, passwords are hashed at
            once, where it is asked for.
        data: The data folder, with the setup code.
        random: Returns that many unpredictable bytes.
        passwords: How passwords are hashed, where not as `Passwords` does it by itself.
    """

    _log = Logger()

    def __init__(
        self,
        store: Database,
        events: EventBus,
        wall_clock: Callable[[], float],
        reactor: Any,
        data: Path,
        random: Callable[[int], bytes] = secrets.token_bytes,
        passwords: Passwords | None = None,
    ) -> None:
        self._store = store
        self._reactor = reactor
        self._passwords = passwords or Passwords(reactor)
        self._setup = SetupCode(data, random)
        self._ledger = ledger = Ledger(store, events, reactor)
        self._audit = Audit(store, wall_clock)
        self._attempts = Attempts(reactor.seconds if reactor else time.monotonic)
        self._users = UserChanges(ledger, self._passwords, wall_clock)
        self._tokens = TokenChanges(ledger, wall_clock, random)
        self._logins = Logins(
            ledger, self._passwords, self._users, self._attempts, self._audit, wall_clock, random
        )
        self._timer: Any = None
        self._until_pruning = 0.0
        events.subscribe(AccountsChanged, self._set_up_changed)

    @property
    def is_set_up(self) -> bool:
        """Whether there is an administrator, who may log in. False before `load`."""
        return self._ledger.is_set_up

    @property
    def setup_code(self) -> str:
        """What the owner proves with to be the owner; empty once the server is set up."""
        return self._setup.code

    def load(self, *, with_setup_code: bool = True) -> None:
        """Read all from the database; blocking, at the start.

        Args:
            with_setup_code: This is the server: it needs a code while it is not set up.

        Raises:
            ConfigError: The database cannot be read, or the setup code not be written.
        """
        self._ledger.load()
        if self.is_set_up:
            self._setup.remove()
        elif with_setup_code:
            self._setup.keep()

    # Setup

    def set_up(
        self, name: str, password: str, *, peer: str, note: Note | None = None
    ) -> Deferred[User]:
        """Make the first administrator. That it is the owner who asks was proved before.

        Args:
            name: As for `add_user`.
            password: As for `add_user`.
            peer: The address that asks.
            note: Instead of one that says that the user set the server up.

        Returns:
            Fails with `AlreadySetUp`, `WrongField` or `NameTaken`; or with `LimitExceeded` when
            too many passwords wait.
        """
        if note is None:
            identity = Identity(name, Role.ADMINISTRATOR, "setup")
            note = self._audit.note(identity, peer, "users.set_up", name)
        return self._users.set_up(name, password, note)

    def check_setup_code(self, typed: str, peer_host: str) -> bool:
        """Whether somebody has the setup code.

        Raises:
            SlowDown: There were too many wrong ones from this address.
        """
        attempt = self._attempts.begin(peer_host)
        is_right = self._setup.matches(typed)
        if is_right:
            attempt.good()
        return is_right

    # Sessions

    def log_in(
        self,
        name: str,
        password: str,
        peer_host: str,
        *,
        previous: str = "",
        agent: str = "",
    ) -> Deferred[tuple[Identity, SessionSecret]]:
        """Open a session. It is noted in the log.

        Args:
            name: In upper or lower case.
            password: As typed.
            peer_host: The address of the client.
            previous: The value of the cookie that the browser has so far: that session ends.
            agent: What the browser calls itself, for the list of sessions.

        Returns:
            Who it is, and what the browser is given. Fails with `WrongPassword`, in the same time
            whether there is such a user or not; with `SlowDown`; or with `LimitExceeded` when too
            many passwords wait.
        """
        return self._logins.log_in(name, password, peer_host, previous, agent)

    def identify_session(self, cookie_value: str) -> Identity | None:
        """Return who has a cookie, or None; the session is renewed. At once, from memory."""
        return self._logins.identify(cookie_value)

    def csrf_token(self, identity: Identity) -> str:
        """Return what the page of a session has to send with each change.

        Args:
            identity: From `identify_session` or `log_in`. For a token or the control socket, which
                no page of another site can use, it is empty.
        """
        return self._logins.csrf(identity)

    def check_csrf(self, identity: Identity, given: str) -> bool:
        """Whether a page sent what `csrf_token` returns. False for what is no session."""
        return check_csrf(self.csrf_token(identity), given)

    def holds(self, identity: Identity) -> bool:
        """Whether what somebody was identified by has not ended since, for what takes long."""
        if identity.kind == "session":
            return any(one.id == identity.session for one in self._logins.live(identity.name))
        if identity.kind == "token":
            return self._tokens.is_open(identity.session)
        return True

    def log_out(self, identity: Identity, *, note: Note | None = None) -> Deferred[None]:
        """End the session of who asks.

        Returns:
            Fails with `NoSession` where there is none any more.
        """
        return self._logins.revoke(identity.session, identity.name, note)

    def sessions(self, owner: str | None = None) -> list[Session]:
        """Return the live sessions of a user, or of all, the oldest first."""
        return self._logins.live(None if owner is None else self.user(owner).name)

    def revoke_session(
        self, id: str, *, owner: str | None = None, note: Note | None = None
    ) -> Deferred[None]:
        """End a session.

        Args:
            id: As `sessions` says it.
            owner: Only where it is this user's; None for anybody's.
            note: For the log.

        Returns:
            Fails with `NoSession`.
        """
        return self._logins.revoke(id, owner, note)

    def change_own_password(
        self,
        identity: Identity,
        old: str,
        new: str,
        *,
        peer_host: str = "",
        note: Note | None = None,
    ) -> Deferred[User]:
        """Change the password of who asks. All other sessions of the user end; tokens go on.

        Returns:
            Fails with `WrongPassword` (of `old`), `SlowDown`, `WrongField`, `NoUser` or
            `LimitExceeded`.
        """
        return self._logins.change_own_password(identity, old, new, peer_host, note)

    # Tokens

    def identify_token(self, text: str) -> Identity | None:
        """Return who has a token, or None. At once, from memory."""
        return self._tokens.identify(text)

    def add_token(
        self,
        owner: str,
        name: str,
        role: Role,
        expires_at: float | None,
        *,
        note: Note | None = None,
    ) -> Deferred[tuple[Token, str]]:
        """Make a token.

        Args:
            owner: The user whose rights it has, at most.
            name: What people call it: 1 to 128 printable characters.
            role: Not above the user's.
            expires_at: Seconds since 1970, within ten years; None for never.
            note: For the log.

        Returns:
            The token, and its text, which is known to nobody afterwards. Fails with `NoUser`,
            `WrongField` or `TooMany`.
        """
        return self._tokens.add(owner, name, role, expires_at, note)

    def tokens(self, owner: str | None = None) -> list[Token]:
        """Return the tokens of a user, or of all, the oldest first; expired ones for 30 days."""
        return self._ledger.tokens.of(None if owner is None else self.user(owner).name)

    def revoke_token(
        self, id: str, *, owner: str | None = None, note: Note | None = None
    ) -> Deferred[None]:
        """Make a token worthless; as `revoke_session`.

        Returns:
            Fails with `NoToken`.
        """
        return self._tokens.revoke(id, owner, note)

    # Users

    def users(self) -> list[User]:
        """Return all users, by name."""
        return [user for _key, user in sorted(self._ledger.users.items())]

    def user(self, name: str) -> User:
        """Return one, whose name may be in upper or lower case.

        Raises:
            NoUser: There is none.
        """
        return self._ledger.user(name)

    def add_user(
        self,
        name: str,
        password: str,
        role: Role,
        *,
        enabled: bool = True,
        note: Note | None = None,
    ) -> Deferred[User]:
        """Add a user.

        Args:
            name: 1 to 64 letters, digits, ".", "_", "-", "@" and "+"; a letter or digit first.
            password: 8 to 256 characters, and none of those that are tried first.
            role: What the user may do.
            enabled: Whether the user may log in.
            note: For the log.

        Returns:
            Fails with `WrongField`, `NameTaken`, `TooMany` or `LimitExceeded`.
        """
        return self._users.add(name, password, role, enabled, note)

    def change_user(
        self,
        name: str,
        *,
        role: Role | None = None,
        enabled: bool | None = None,
        password: str | None = None,
        note: Note | None = None,
    ) -> Deferred[User]:
        """Change a user; what is None stays.

        All sessions of the user end. With a new password, or when the user is disabled, all tokens
        do, for good; with another role, those that may do more than it.

        Returns:
            Fails with `NoUser`, `WrongField`, `LastAdministrator` or `LimitExceeded`.
        """
        return self._users.change(name, role, enabled, password, note)

    def delete_user(self, name: str, *, note: Note | None = None) -> Deferred[None]:
        """Delete a user, with all sessions and tokens.

        Returns:
            Fails with `NoUser` or `LastAdministrator`.
        """
        return self._users.delete(name, note)

    # The log

    def note(self, identity: Identity, peer_host: str, action: str, subject: str) -> Note:
        """Return what writes one row of the log with a change, for a method's `note`.

        Args:
            identity: Who asks.
            peer_host: The address that asks; empty for the command line.
            action: Such as "users.change"; at most 64 characters. What is before the dot finds all
                that begin so.
            subject: The name of what is changed.
        """
        return self._audit.note(identity, peer_host, action, subject)

    def audit(self, query: AuditQuery) -> Deferred[AuditPage]:
        """Read a page of the log, which goes back for 400 days."""
        return self._audit.query(query)

    # Service

    def startService(self) -> None:
        """Begin to look after what is over."""
        super().startService()
        self._timer = self._reactor.callLater(HOUSEKEEPING_SECONDS, self._keep_house)

    def stopService(self) -> Deferred[None]:
        """Write when sessions and tokens were last used, and end the threads."""
        super().stopService()
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        self._passwords.stop()
        return self._save(0.0)

    def _set_up_changed(self, event: AccountsChanged) -> None:
        if event.is_set_up:
            self._setup.remove()

    def _keep_house(self) -> None:
        self._timer = self._reactor.callLater(HOUSEKEEPING_SECONDS, self._keep_house)
        self._attempts.prune(self._ledger.users)
        sessions, tokens = self._logins.over(), self._tokens.over()
        if sessions or tokens:
            removing = self._ledger.in_turn(partial(self._remove, sessions, tokens))
            removing.addErrback(lambda failure: failure.trap(StoreError))
            removing.addErrback(self._failed)
        self._save(SAVE_SECONDS)
        self._until_pruning -= HOUSEKEEPING_SECONDS
        if self._until_pruning <= 0:
            self._until_pruning = PRUNE_SECONDS
            self._audit.prune().addErrback(self._failed)

    async def _remove(self, sessions: list[str], tokens: list[str]) -> None:
        def work(connection: Any) -> None:
            delete_sessions(connection, sessions)
            delete_tokens(connection, tokens)

        await self._ledger.commit(work)
        self._ledger.ended(sessions, tokens)

    def _save(self, slack_seconds: float) -> Deferred[None]:
        """Write when sessions and tokens were last used.

        Returns:
            Fires when it was tried: it is written again the next time.
        """
        sessions = self._ledger.sessions.unsaved(slack_seconds)
        tokens = self._ledger.tokens.unsaved(slack_seconds)

        def work(connection: Any) -> None:
            touch_sessions(connection, sessions)
            touch_tokens(connection, tokens)

        def saved(_none: None) -> None:
            self._ledger.sessions.saved(sessions)
            self._ledger.tokens.saved(tokens)

        saving: Deferred[None] = Deferred()
        if not sessions and not tokens:
            saving.callback(None)
            return saving
        saving = self._store.run(work)
        saving.addCallback(saved)
        saving.addErrback(lambda failure: failure.trap(StoreError) and None)
        saving.addErrback(self._failed)
        return saving

    def _failed(self, failure: Any) -> None:
        self._log.failure("the accounts are not looked after", failure)
