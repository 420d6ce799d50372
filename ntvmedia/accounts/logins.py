"""How people log in and out, and what a browser's cookie and page prove."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ntvmedia.accounts.audit import Audit
from ntvmedia.accounts.backoff import Attempt, Attempts
from ntvmedia.accounts.credentials import (
    Keyring,
    Session,
    SessionSecret,
    csrf_of,
    describe_session,
    hash_of,
    is_same,
    new_id,
    new_secret,
    session_row,
)
from ntvmedia.accounts.ledger import Ledger
from ntvmedia.accounts.passwords import Passwords, check_password
from ntvmedia.accounts.refusals import NoSession, WrongPassword
from ntvmedia.accounts.roles import Identity
from ntvmedia.accounts.user_changes import UserChanges
from ntvmedia.accounts.users import MAX_TYPED_LENGTH, User, name_key, user_row
from ntvmedia.store import (
    Note,
    StoreError,
    delete_sessions,
    insert_session,
    shielded,
    take_note,
    update_user,
)

IDLE_SECONDS: Final = 12 * 3600.0
"""A session that nobody uses for so long ends: a working day later everybody logs in again."""

LIFETIME_SECONDS: Final = 30 * 24 * 3600.0
"""A session ends after so long, however it is used."""

MAX_SESSIONS: Final = 50
"""Of one user: the one that was not used for longest makes room."""

_MAX_AGENT_LENGTH: Final = 200
_MAX_HOST_LENGTH: Final = 64


class Logins:
    """Sessions; see `ntvmedia.accounts.Accounts`, which has these methods.

    Args:
        ledger: All accounts.
        passwords: Compares passwords.
        changes: Changes users.
        attempts: Slows down who guesses.
        audit: The log.
        wall_clock: Returns the seconds since 1970.
        random: Returns that many unpredictable bytes.
    """

    _log = Logger()

    def __init__(
        self,
        ledger: Ledger,
        passwords: Passwords,
        changes: UserChanges,
        attempts: Attempts,
        audit: Audit,
        wall_clock: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._ledger = ledger
        self._passwords = passwords
        self._changes = changes
        self._attempts = attempts
        self._audit = audit
        self._wall_clock = wall_clock
        self._random = random
        # What pages show, by the id of the session; computed when its cookie is first seen.
        self._csrf: dict[str, str] = {}

    def log_in(
        self, name: str, password: str, peer_host: str, previous: str, agent: str
    ) -> Deferred[tuple[Identity, SessionSecret]]:
        """Open a session for who knows a password."""
        opening = self._log_in(name, password, peer_host, previous, agent)
        return shielded(Deferred.fromCoroutine(opening))

    def change_own_password(
        self, identity: Identity, old: str, new: str, peer_host: str, note: Note | None
    ) -> Deferred[User]:
        """Give a user another password, for who knows the one so far."""
        changing = self._change_own_password(identity, old, new, peer_host, note)
        return shielded(Deferred.fromCoroutine(changing))

    def revoke(self, id: str, owner: str | None, note: Note | None) -> Deferred[None]:
        """End a session."""
        return self._ledger.in_turn(partial(self._revoke_now, id, owner, note))

    def identify(self, cookie_value: str) -> Identity | None:
        """Return who has a cookie, and renew the session."""
        ledger = self._ledger
        session = ledger.sessions.find(cookie_value)
        if session is None:
            return None
        user = ledger.users.get(name_key(session.owner))
        now = self._wall_clock()
        if user is None or not user.enabled or _is_over(ledger.sessions, session, now):
            return None
        ledger.sessions.use(session, now)
        if session.id not in self._csrf:
            self._csrf[session.id] = csrf_of(cookie_value)
        return Identity(user.name, user.role, "session", session.id)

    def csrf(self, identity: Identity) -> str:
        """Return what the page of a session shows; empty for what is no session."""
        is_there = identity.kind == "session" and identity.session in self._ledger.sessions
        return self._csrf.get(identity.session, "") if is_there else ""

    def live(self, owner: str | None) -> list[Session]:
        """Return the sessions of a user, or all, that are not over."""
        now = self._wall_clock()
        keyring = self._ledger.sessions
        return [one for one in keyring.of(owner) if not _is_over(keyring, one, now)]

    def over(self) -> list[str]:
        """Return the ids of those that are over, and forget what is not needed any more."""
        now = self._wall_clock()
        keyring = self._ledger.sessions
        self._csrf = {id: csrf for id, csrf in self._csrf.items() if id in keyring}
        return [one.id for one in keyring.of() if _is_over(keyring, one, now)]

    async def _log_in(
        self, name: str, password: str, peer_host: str, previous: str, agent: str
    ) -> tuple[Identity, SessionSecret]:
        key = name_key(name[:MAX_TYPED_LENGTH])
        user = self._ledger.users.get(key)
        attempt = self._attempts.begin(peer_host, key, exists=user is not None)
        # A name that nobody has, and a user who is disabled: all take the same way (F-RE-15).
        new_hash = await self._look_at(user, password, attempt)
        if new_hash is None or user is None or not user.enabled:
            # The name is not logged: passwords are typed there by mistake.
            self._log.info("log-in refused: {peer}: wrong name or password", peer=peer_host)
            raise WrongPassword("wrong name or password")
        attempt.good()
        return await self._ledger.in_turn(
            partial(self._open, user, new_hash, peer_host, previous, agent)
        )

    async def _look_at(self, user: User | None, password: str, attempt: Attempt) -> str | None:
        """Return None for a wrong password; else what it is hashed to today, or ""."""
        try:
            hashed = None if user is None else user.password_hash
            verdict = await self._passwords.verify(hashed, password)
        except BaseException:
            attempt.not_made()
            raise
        return verdict.new_hash if verdict.is_right else None

    async def _open(
        self, user: User, new_hash: str, peer_host: str, previous: str, agent: str
    ) -> tuple[Identity, SessionSecret]:
        ledger = self._ledger
        found = self._same(user)
        now = self._wall_clock()
        after = replace(found, password_hash=new_hash or found.password_hash, logged_in_at=now)
        secret = new_secret(self._random)
        session = Session(
            id=new_id(self._random),
            secret_hash=hash_of(secret),
            owner=found.name,
            peer_host=_cleaned(peer_host, _MAX_HOST_LENGTH),
            agent=_cleaned(agent, _MAX_AGENT_LENGTH),
            created_at=now,
            used_at=now,
        )
        ended = self._making_room(found.name)
        # What the browser had so far, whoever gave it that: see session fixation (F-IN-08).
        replaced = ledger.sessions.find(previous)
        if replaced is not None and replaced.id not in ended:
            ended.append(replaced.id)
        identity = Identity(found.name, found.role, "session", session.id)
        note = self._audit.note(identity, peer_host, "sessions.add", found.name)

        def work(connection: Any) -> None:
            if not update_user(connection, user_row(after)):
                raise StoreError(f'the database has no user "{after.name}" any more')
            delete_sessions(connection, ended)
            insert_session(connection, session_row(session))
            note(connection, None, describe_session(session))

        await ledger.commit(work)
        ledger.users[name_key(after.name)] = after
        ledger.sessions.put(session)
        self._csrf[session.id] = csrf_of(secret)
        self._attempts.remember(peer_host, name_key(found.name))
        ledger.ended(ended)
        self._log.info("{name} logged in from {peer}", name=found.name, peer=session.peer_host)
        return identity, SessionSecret(secret, csrf_of(secret), now + LIFETIME_SECONDS)

    def _same(self, user: User) -> User:
        """Return a user as of now, who was looked at before it was this change's turn.

        Raises:
            WrongPassword: The password has been changed since, or the user is not there any more.
        """
        found = self._ledger.users.get(name_key(user.name))
        if (
            found is None
            or not found.enabled
            or found.created_at != user.created_at
            or found.password_changed_at != user.password_changed_at
        ):
            raise WrongPassword("wrong name or password")
        return found

    def _making_room(self, owner: str) -> list[str]:
        """Return the ids of the sessions of a user that end when there is one more."""
        sessions = sorted(self._ledger.sessions.of(owner), key=lambda one: one.used_at)
        return [one.id for one in sessions[: max(0, len(sessions) - MAX_SESSIONS + 1)]]

    async def _change_own_password(
        self, identity: Identity, old: str, new: str, peer_host: str, note: Note | None
    ) -> User:
        user = self._ledger.user(identity.name)
        check_password(new, user.name)
        attempt = self._attempts.begin(peer_host, name_key(user.name), exists=True)
        if await self._look_at(user, old, attempt) is None:
            raise WrongPassword("the password so far is another one")
        attempt.good()
        hashed = await self._passwords.hash(new)
        return await self._ledger.in_turn(
            partial(self._change_password_now, identity, user, hashed, note)
        )

    async def _change_password_now(
        self, identity: Identity, user: User, hashed: str, note: Note | None
    ) -> User:
        self._same(user)
        if identity.kind == "session" and identity.session not in self._ledger.sessions:
            # It was ended while the password was looked at.
            raise WrongPassword("the session has ended")
        return await self._changes.change_now(
            user.name, None, None, hashed, note, keep_session=identity.session
        )

    async def _revoke_now(self, id: str, owner: str | None, note: Note | None) -> None:
        session = self._ledger.sessions.get(id)
        if session is None or owner not in (None, session.owner):
            raise NoSession("there is no such session")
        before = describe_session(session)

        def work(connection: Any) -> None:
            delete_sessions(connection, [id])
            take_note(note, connection, before, None)

        await self._ledger.commit(work)
        self._ledger.ended([id])


def check_csrf(expected: str, given: str) -> bool:
    """Whether a page sent what the session's page shows."""
    return bool(expected) and is_same(expected, given)


def _is_over(keyring: Keyring[Session], session: Session, now: float) -> bool:
    used_at = keyring.used_at(session)
    assert used_at is not None
    return now - used_at >= IDLE_SECONDS or now - session.created_at >= LIFETIME_SECONDS


def _cleaned(text: str, length: int) -> str:
    """Return text that every database keeps, and every terminal only shows."""
    return "".join(x if x.isprintable() else "?" for x in text[:length])
