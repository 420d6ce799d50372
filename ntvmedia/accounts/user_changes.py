"""How users are added, changed and deleted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ntvmedia.accounts.ledger import Ledger
from ntvmedia.accounts.passwords import Passwords, check_password
from ntvmedia.accounts.refusals import AlreadySetUp, LastAdministrator, NameTaken, TooMany
from ntvmedia.accounts.roles import Role
from ntvmedia.accounts.users import MAX_USERS, User, describe_user, name_key, read_name, user_row
from ntvmedia.store import (
    Note,
    StoreError,
    delete_sessions,
    delete_tokens,
    delete_user,
    insert_user,
    shielded,
    take_note,
    update_user,
)


class UserChanges:
    """Changes users; see `ntvmedia.accounts.Accounts`, which has these methods.

    Args:
        ledger: All accounts.
        passwords: Hashes passwords.
        wall_clock: Returns the seconds since 1970.
    """

    _log = Logger()

    def __init__(
        self, ledger: Ledger, passwords: Passwords, wall_clock: Callable[[], float]
    ) -> None:
        self._ledger = ledger
        self._passwords = passwords
        self._wall_clock = wall_clock

    def set_up(self, name: str, password: str, note: Note) -> Deferred[User]:
        """Add the first administrator."""
        adding = self._add(name, password, Role.ADMINISTRATOR, True, note, is_first=True)
        return shielded(Deferred.fromCoroutine(adding))

    def add(
        self, name: str, password: str, role: Role, enabled: bool, note: Note | None
    ) -> Deferred[User]:
        """Add a user."""
        adding = self._add(name, password, role, enabled, note)
        return shielded(Deferred.fromCoroutine(adding))

    def change(
        self,
        name: str,
        role: Role | None,
        enabled: bool | None,
        password: str | None,
        note: Note | None,
    ) -> Deferred[User]:
        """Give a user another role, state or password, or several of them."""
        changing = self._change(name, role, enabled, password, note)
        return shielded(Deferred.fromCoroutine(changing))

    def delete(self, name: str, note: Note | None) -> Deferred[None]:
        """Delete a user."""
        return self._ledger.in_turn(partial(self._delete_now, name, note))

    async def _add(
        self,
        name: str,
        password: str,
        role: Role,
        enabled: bool,
        note: Note | None,
        *,
        is_first: bool = False,
    ) -> User:
        name = read_name(name)
        check_password(password, name)
        # Before the hash, which is dear; and again when it is the change's turn.
        self._check_new(name, is_first)
        hashed = await self._passwords.hash(password)
        return await self._ledger.in_turn(
            partial(self._add_now, name, hashed, role, enabled, note, is_first)
        )

    def _check_new(self, name: str, is_first: bool) -> None:
        ledger = self._ledger
        if is_first and ledger.is_set_up:
            raise AlreadySetUp("the server is set up already")
        if name_key(name) in ledger.users:
            raise NameTaken(f'there is a user "{ledger.users[name_key(name)].name}" already')
        if len(ledger.users) >= MAX_USERS:
            raise TooMany(f"there are {MAX_USERS:,} users already")

    async def _add_now(
        self, name: str, hashed: str, role: Role, enabled: bool, note: Note | None, is_first: bool
    ) -> User:
        self._check_new(name, is_first)
        now = self._wall_clock()
        user = User(name, role, enabled, hashed, now, now, now)

        def work(connection: Any) -> None:
            insert_user(connection, user_row(user))
            take_note(note, connection, None, describe_user(user))

        await self._ledger.commit(work)
        self._ledger.users[name_key(name)] = user
        self._log.info("user {name} was added: {role}", name=name, role=role.value)
        self._ledger.users_changed()
        return user

    async def _change(
        self,
        name: str,
        role: Role | None,
        enabled: bool | None,
        password: str | None,
        note: Note | None,
    ) -> User:
        hashed = None
        if password is not None:
            check_password(password, self._ledger.user(name).name)
            hashed = await self._passwords.hash(password)
        return await self._ledger.in_turn(
            partial(self.change_now, name, role, enabled, hashed, note)
        )

    async def change_now(
        self,
        name: str,
        role: Role | None,
        enabled: bool | None,
        hashed: str | None,
        note: Note | None,
        keep_session: str | None = None,
    ) -> User:
        """Change a user, within a turn of the ledger.

        Args:
            name: Of the user.
            role: A new one.
            enabled: A new state.
            hashed: A new password.
            note: For the log.
            keep_session: With a new password: the id of the session in which the user chose it.
                That one goes on, and the tokens do. Without, all are ended.
        """
        ledger = self._ledger
        before = ledger.user(name)
        # The clock may have been set back, and what began before a new password has to be told
        # from what began after it.
        now = max(self._wall_clock(), math.nextafter(before.updated_at, math.inf))
        after = replace(
            before,
            role=before.role if role is None else role,
            enabled=before.enabled if enabled is None else enabled,
            password_hash=before.password_hash if hashed is None else hashed,
            password_changed_at=before.password_changed_at if hashed is None else now,
        )
        if after == before:
            return before
        after = replace(after, updated_at=now)
        self._check_administrators(before, after)
        is_reset = hashed is not None and keep_session is None
        sessions = [one.id for one in ledger.sessions.of(before.name) if one.id != keep_session]
        tokens = [
            one.id
            for one in ledger.tokens.of(before.name)
            if is_reset or not after.enabled or not after.role.includes(one.role)
        ]

        def work(connection: Any) -> None:
            if not update_user(connection, user_row(after)):
                raise StoreError(f'the database has no user "{after.name}" any more')
            delete_sessions(connection, sessions)
            delete_tokens(connection, tokens)
            take_note(note, connection, describe_user(before), describe_user(after))

        await ledger.commit(work)
        ledger.users[name_key(after.name)] = after
        changed = [
            what
            for what in ("role", "enabled", "password_hash")
            if getattr(before, what) != getattr(after, what)
        ]
        self._log.info("user {name} was changed: {changed}", name=after.name, changed=changed)
        ledger.ended(sessions, tokens)
        ledger.users_changed()
        return after

    async def _delete_now(self, name: str, note: Note | None) -> None:
        ledger = self._ledger
        user = ledger.user(name)
        self._check_administrators(user, None)

        def work(connection: Any) -> None:
            # With the sessions and tokens that there are.
            if not delete_user(connection, user.name):
                raise StoreError(f'the database has no user "{user.name}" any more')
            take_note(note, connection, describe_user(user), None)

        await ledger.commit(work)
        del ledger.users[name_key(user.name)]
        self._log.info("user {name} was deleted", name=user.name)
        ledger.ended(
            [one.id for one in ledger.sessions.of(user.name)],
            [one.id for one in ledger.tokens.of(user.name)],
        )
        ledger.users_changed()

    def _check_administrators(self, before: User, after: User | None) -> None:
        """Refuse what would leave nobody who can administer the server."""
        if not _administers(before) or (after is not None and _administers(after)):
            return
        users = self._ledger.users.values()
        if sum(map(_administers, users)) == 1:
            raise LastAdministrator(
                f'"{before.name}" is the last administrator: make another one first'
            )


def _administers(user: User) -> bool:
    return user.enabled and user.role is Role.ADMINISTRATOR
