"""Tests of ntvmedia.accounts: tokens of programs."""

from __future__ import annotations

import math

from ntvmedia.accounts import (
    TOKEN_PREFIX,
    Identity,
    NoToken,
    NoUser,
    Role,
    TooMany,
    WrongField,
    describe_token,
    token_changes,
)
from ntvmedia.accounts.token_changes import KEEP_EXPIRED_SECONDS, MAX_LIFETIME_SECONDS
from ntvmedia.store import StoreError
from tests.accounts.cases import HOST, ROOT, AccountsCase


class TokenTests(AccountsCase):
    """Tokens have a role, an end, and an owner."""

    def setUp(self) -> None:
        super().setUp()
        self.add("root")
        self.add("ann", Role.OPERATOR)

    def make_token(
        self, owner: str = "ann", role: Role = Role.VIEWER, expires_at: float | None = None
    ) -> tuple[str, str]:
        """Make a token; returns its id and text."""
        token, text = self.successResultOf(self.accounts.add_token(owner, "ci", role, expires_at))
        return token.id, text

    def test_token(self) -> None:
        """It is shown once, kept as a hash, and opens what its role may."""
        id, text = self.make_token("ANN", Role.OPERATOR)
        self.assertTrue(text.startswith(TOKEN_PREFIX))
        for _restart in range(2):
            self.assertEqual(
                self.accounts.identify_token(text), Identity("ann", Role.OPERATOR, "token", id)
            )
            self.restart()
        files = b"".join(path.read_bytes() for path in self.data.iterdir())
        self.assertNotIn(text.encode(), files)
        self.assertFalse(any(text in line for line in self.logged))

    def test_weaker_than_its_owner(self) -> None:
        """A token may be given less than its owner has, and never more."""
        id, text = self.make_token("root", Role.VIEWER)
        self.assertEqual(
            self.accounts.identify_token(text), Identity("root", Role.VIEWER, "token", id)
        )
        failed = self.accounts.add_token("ann", "ci", Role.ADMINISTRATOR, None)
        self.assertEqual(self.failureResultOf(failed, WrongField).value.field, "role")

    def test_junk(self) -> None:
        """What is no token, or almost one, opens nothing."""
        id, text = self.make_token()
        bare = text.removeprefix(TOKEN_PREFIX)
        for junk in ("", TOKEN_PREFIX, bare, id, text[:-1], f"{text}=", text.swapcase(), "\ud800"):
            self.assertIsNone(self.accounts.identify_token(junk))
        self.assertIsNone(self.accounts.identify_session(text))

    def test_no_session_is_a_token(self) -> None:
        """Nor is a cookie a token."""
        _identity, secret = self.log_in("root")
        self.assertIsNone(self.accounts.identify_token(secret.value))

    def test_expiry(self) -> None:
        """From its end on it opens nothing; it is listed for a while."""
        id, text = self.make_token(expires_at=self.now + 10)
        self.now += 9.999
        identity = self.accounts.identify_token(text)
        assert identity is not None
        self.assertTrue(self.accounts.holds(identity))
        self.now += 0.001
        self.assertFalse(self.accounts.holds(identity))
        for _restart in range(2):
            self.assertIsNone(self.accounts.identify_token(text))
            self.assertEqual([token.id for token in self.accounts.tokens("ann")], [id])
            self.restart()

    def test_bad_values(self) -> None:
        """What is refused makes no token."""
        now = self.now
        for name, expires_at, field in (
            ("", None, "name"),
            ("x" * 129, None, "name"),
            ("a\nb", None, "name"),
            ("\ud800", None, "name"),
            ("ci", now, "expires_at"),
            ("ci", now - 1, "expires_at"),
            ("ci", math.nan, "expires_at"),
            ("ci", math.inf, "expires_at"),
            ("ci", now + MAX_LIFETIME_SECONDS + 1, "expires_at"),
        ):
            failed = self.accounts.add_token("ann", name, Role.VIEWER, expires_at)
            self.assertEqual(self.failureResultOf(failed, WrongField).value.field, field)
        self.failureResultOf(self.accounts.add_token("x", "ci", Role.VIEWER, None), NoUser)
        self.successResultOf(self.accounts.change_user("ann", enabled=False))
        failed = self.accounts.add_token("ann", "ci", Role.VIEWER, None)
        self.assertEqual(self.failureResultOf(failed, WrongField).value.field, "owner")
        self.assertEqual(self.accounts.tokens(), [])

    def test_revoke(self) -> None:
        """One's own, or by an administrator anybody's; it is dead at once, and after a restart."""
        id, text = self.make_token()
        self.failureResultOf(self.accounts.revoke_token(id, owner="root"), NoToken)
        self.assertIsNotNone(self.accounts.identify_token(text))
        self.store.problem = StoreError("the disk of the database is full")
        self.failureResultOf(self.accounts.revoke_token(id, owner="ann"), StoreError)
        self.store.problem = None
        self.successResultOf(self.accounts.revoke_token(id, owner="ann"))
        self.assertEqual(self.ended, [id])
        self.failureResultOf(self.accounts.revoke_token(id), NoToken)
        for _restart in range(2):
            self.assertIsNone(self.accounts.identify_token(text))
            self.assertFalse(self.accounts.holds(Identity("ann", Role.VIEWER, "token", id)))
            self.restart()

    def test_noted(self) -> None:
        """Making and revoking are in the log; the token is not (F-AC-03)."""
        note = self.accounts.note(ROOT, HOST, "tokens.add", "ci")
        token, text = self.successResultOf(
            self.accounts.add_token("ann", "ci", Role.VIEWER, None, note=note)
        )
        note = self.accounts.note(ROOT, HOST, "tokens.delete", "ci")
        self.successResultOf(self.accounts.revoke_token(token.id, note=note))
        added, revoked = self.audit(action="tokens")
        self.assertEqual((added.before, added.after), (None, describe_token(token)))
        self.assertEqual((revoked.before, revoked.after), (describe_token(token), None))
        self.assertNotIn(text, repr((added, revoked)))
        self.assertNotIn(token.secret_hash, repr((added, revoked)))

    def test_bounded(self) -> None:
        """A user has so many tokens at most."""
        self.patch(token_changes, "MAX_TOKENS", 2)
        for _ in range(2):
            self.make_token()
        failed = self.accounts.add_token("ann", "ci", Role.VIEWER, None)
        self.failureResultOf(failed, TooMany)
        self.make_token("root")

    def test_use_is_known(self) -> None:
        """When one was last used is shown at once."""
        _id, text = self.make_token()
        self.assertIsNone(self.accounts.tokens("ann")[0].used_at)
        self.now += 5
        self.accounts.identify_token(text)
        self.assertEqual(self.accounts.tokens("ann")[0].used_at, self.now)

    def test_long_expired(self) -> None:
        """Those that expired long ago are removed."""
        self.make_token(expires_at=self.now + 10)
        keep, _text = self.make_token()
        self.accounts.startService()
        self.now += KEEP_EXPIRED_SECONDS
        self.clock.advance(60)
        self.assertEqual(len(self.accounts.tokens()), 2)
        self.now += 11
        self.clock.advance(60)
        for _restart in range(2):
            self.assertEqual([token.id for token in self.accounts.tokens()], [keep])
            self.restart()
