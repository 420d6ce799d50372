"""How tokens are made and revoked, and what one proves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ntvmedia.accounts.credentials import (
    TOKEN_PREFIX,
    Token,
    describe_token,
    hash_of,
    new_id,
    new_secret,
    token_row,
)
from ntvmedia.accounts.ledger import Ledger
from ntvmedia.accounts.refusals import NoToken, TooMany, WrongField
from ntvmedia.accounts.roles import Identity, Role
from ntvmedia.accounts.users import User, name_key
from ntvmedia.store import Note, delete_tokens, insert_token, take_note

MAX_TOKENS: Final = 100
"""Of one user."""

MAX_NAME_LENGTH: Final = 128
"""Characters of what people call a token; as the table has it."""

MAX_LIFETIME_SECONDS: Final = 10 * 366 * 24 * 3600.0
"""What expires later than this may as well never do."""

KEEP_EXPIRED_SECONDS: Final = 30 * 24 * 3600.0
"""An expired token stays in lists for so long, so that people see why a program fails."""


class TokenChanges:
    """Tokens; see `ntvmedia.accounts.Accounts`, which has these methods.

    Args:
        ledger: All accounts.
        wall_clock: Returns the seconds since 1970.
        random: Returns that many unpredictable bytes.
    """

    _log = Logger()

    def __init__(
        self,
        ledger: Ledger,
        wall_clock: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._ledger = ledger
        self._wall_clock = wall_clock
        self._random = random

    def add(
        self, owner: str, name: str, role: Role, expires_at: float | None, note: Note | None
    ) -> Deferred[tuple[Token, str]]:
        """Make a token."""
        return self._ledger.in_turn(partial(self._add_now, owner, name, role, expires_at, note))

    def revoke(self, id: str, owner: str | None, note: Note | None) -> Deferred[None]:
        """Make a token worthless."""
        return self._ledger.in_turn(partial(self._revoke_now, id, owner, note))

    def identify(self, text: str) -> Identity | None:
        """Return who has a token."""
        token = self._ledger.tokens.find(text) if text.startswith(TOKEN_PREFIX) else None
        if token is None:
            return None
        now = self._wall_clock()
        user = self._user_of(token, now)
        if user is None:
            return None
        self._ledger.tokens.use(token, now)
        return Identity(user.name, token.role, "token", token.id)

    def is_open(self, id: str) -> bool:
        """Whether a token opens what it did, by its id."""
        token = self._ledger.tokens.get(id)
        return token is not None and self._user_of(token, self._wall_clock()) is not None

    def over(self) -> list[str]:
        """Return the ids of those that expired long ago."""
        before = self._wall_clock() - KEEP_EXPIRED_SECONDS
        return [
            one.id
            for one in self._ledger.tokens.of()
            if one.expires_at is not None and one.expires_at < before
        ]

    def _user_of(self, token: Token, now: float) -> User | None:
        """Return whose rights a token has; None where it has none."""
        user = self._ledger.users.get(name_key(token.owner))
        if user is None or not user.enabled or not user.role.includes(token.role):
            return None
        is_over = token.expires_at is not None and now >= token.expires_at
        return None if is_over else user

    async def _add_now(
        self, owner: str, name: str, role: Role, expires_at: float | None, note: Note | None
    ) -> tuple[Token, str]:
        user = self._ledger.user(owner)
        now = self._wall_clock()
        if not 0 < len(name) <= MAX_NAME_LENGTH or not name.isprintable():
            clause = f"expected 1 to {MAX_NAME_LENGTH} printable characters"
            raise WrongField(clause, "name")
        if not user.enabled:
            raise WrongField("the user is disabled", "owner")
        if not user.role.includes(role):
            raise WrongField(f"the user is only {user.role.value}", "role")
        # Comparisons that are false for NaN too.
        if expires_at is not None and not now < expires_at <= now + MAX_LIFETIME_SECONDS:
            raise WrongField("expected a time within the next ten years", "expires_at")
        if len(self._ledger.tokens.of(user.name)) >= MAX_TOKENS:
            raise TooMany(f'user "{user.name}" has {MAX_TOKENS} tokens already')
        secret = new_secret(self._random, TOKEN_PREFIX)
        token = Token(
            id=new_id(self._random),
            secret_hash=hash_of(secret),
            owner=user.name,
            name=name,
            role=role,
            created_at=now,
            expires_at=expires_at,
            used_at=None,
        )

        def work(connection: Any) -> None:
            insert_token(connection, token_row(token))
            take_note(note, connection, None, describe_token(token))

        await self._ledger.commit(work)
        self._ledger.tokens.put(token)
        self._log.info("{owner} has a new token {name!r}", owner=user.name, name=name)
        return token, secret

    async def _revoke_now(self, id: str, owner: str | None, note: Note | None) -> None:
        token = self._ledger.tokens.get(id)
        if token is None or owner not in (None, token.owner):
            raise NoToken("there is no such token")
        before = describe_token(token)

        def work(connection: Any) -> None:
            delete_tokens(connection, [id])
            take_note(note, connection, before, None)

        await self._ledger.commit(work)
        self._ledger.ended((), [id])
