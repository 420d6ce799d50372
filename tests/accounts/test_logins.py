"""Tests of ntvmedia.accounts: logging in and out, and what a cookie and a page prove."""

from __future__ import annotations

from argon2 import PasswordHasher
from twisted.internet.defer import Deferred

from ntvmedia.accounts import (
    IDLE_SECONDS,
    LIFETIME_SECONDS,
    Identity,
    NoSession,
    NoUser,
    Role,
    SessionSecret,
    SlowDown,
    User,
    WrongField,
    WrongPassword,
    describe_session,
    logins,
)
from ntvmedia.accounts.backoff import FREE_PER_ACCOUNT, FREE_PER_ADDRESS
from ntvmedia.errors import LimitExceeded
from ntvmedia.store import StoreError
from tests.accounts.cases import CHEAP, GOOD, HOST, OTHER, ROOT, AccountsCase, HeldPasswords

Opening = Deferred[tuple[Identity, SessionSecret]]


class LogInTests(AccountsCase):
    """P-103: who knows the password gets a session, slowly guessed."""

    def setUp(self) -> None:
        super().setUp()
        self.add("Root")

    def test_log_in(self) -> None:
        """The cookie and the page of a session prove who it is, and are kept nowhere."""
        identity, secret = self.log_in("rOOT", agent="Firefox\0\x1b[31m")
        self.assertEqual(
            identity, Identity("Root", Role.ADMINISTRATOR, "session", identity.session)
        )
        self.assertEqual(self.accounts.identify_session(secret.value), identity)
        self.assertEqual(secret.expires_at, self.now + LIFETIME_SECONDS)
        [session] = self.accounts.sessions("root")
        self.assertEqual(
            describe_session(session),
            {
                "id": identity.session,
                "owner": "Root",
                "peer_host": HOST,
                "agent": "Firefox??[31m",
                "created_at": self.now,
                "used_at": self.now,
            },
        )
        self.assertEqual(self.accounts.user("root").logged_in_at, self.now)
        files = b"".join(path.read_bytes() for path in self.data.iterdir())
        for text in (secret.value, secret.csrf, GOOD):
            self.assertNotIn(text.encode(), files)
            self.assertFalse(any(text in line for line in self.logged))

    def test_log(self) -> None:
        """Each log-in is in the audit log, with the address."""
        identity, _secret = self.log_in("root")
        [row] = self.audit()
        self.assertEqual(
            (row.who, row.kind, row.session, row.peer_host, row.action, row.subject),
            ("Root", "session", identity.session, HOST, "sessions.add", "Root"),
        )

    def test_wrong(self) -> None:
        """F-RE-15: a wrong password, a wrong name and a disabled user take the same way."""
        self.successResultOf(self.accounts.add_user("off", GOOD, Role.VIEWER, enabled=False))
        failures = [
            self.failureResultOf(self.accounts.log_in(name, password, HOST), WrongPassword)
            for name, password in (
                ("root", "wrong"),
                ("nobody", "wrong"),
                ("nobody", GOOD),
                ("off", GOOD),
                ("", ""),
                ("\ud800", "\ud800"),
                ("x" * 100_000, "x" * 100_000),
            )
        ]
        self.assertEqual({str(failure.value) for failure in failures}, {"wrong name or password"})
        # One comparison for each, before anything else is decided.
        self.assertEqual(len(self.passwords.verified), len(failures))
        self.assertEqual(self.passwords.verified[1:3], [None, None])
        self.assertEqual(self.accounts.sessions(), [])
        self.assertEqual(self.audit(), [])

    def test_names_are_not_logged(self) -> None:
        """F-AC-03: a password that was typed as the name does not come into the log."""
        self.failureResultOf(self.accounts.log_in("hunter2-hunter2", "", HOST), WrongPassword)
        self.assertTrue(any(HOST in line for line in self.logged))
        self.assertFalse(any("hunter2" in line for line in self.logged))

    def test_slowed_down(self) -> None:
        """F-AC-04: guesses wait longer and longer; what comes early is not looked at."""
        for _ in range(FREE_PER_ACCOUNT):
            self.failureResultOf(self.accounts.log_in("root", "wrong", HOST), WrongPassword)
        looked_at = len(self.passwords.verified)
        # Not even the right one: else it would be told from the wrong ones.
        failure = self.failureResultOf(self.accounts.log_in("root", GOOD, HOST), SlowDown)
        self.assertEqual(failure.value.retry_after, 1)
        self.assertEqual(len(self.passwords.verified), looked_at)
        self.clock.advance(1.0)
        self.failureResultOf(self.accounts.log_in("root", "wrong", HOST), WrongPassword)
        failure = self.failureResultOf(self.accounts.log_in("root", GOOD, HOST), SlowDown)
        self.assertEqual(failure.value.retry_after, 2)
        self.clock.advance(2.0)
        self.log_in("root")
        # A right one ends it, for the account.
        for _ in range(FREE_PER_ACCOUNT):
            failed = self.accounts.log_in("root", "wrong", "192.0.2.77")
            self.failureResultOf(failed, WrongPassword)

    def test_many_at_once(self) -> None:
        """F-AC-04: guesses that come together are no more than those that come apart."""
        self.passwords.at_once = False
        guesses = [self.accounts.log_in("root", f"wrong{x}", HOST) for x in range(50)]
        for _ in range(FREE_PER_ACCOUNT):
            self.passwords.step()
        self.assertEqual(len(self.passwords.verified), FREE_PER_ACCOUNT)
        kinds = [self.failureResultOf(guess).type for guess in guesses]
        self.assertEqual(kinds.count(WrongPassword), FREE_PER_ACCOUNT)
        self.assertEqual(kinds.count(SlowDown), 50 - FREE_PER_ACCOUNT)

    def test_unknown_names_are_slowed_down(self) -> None:
        """F-RE-15: being slowed down does not say either whether there is a user."""
        answers = {}
        for name in ("root", "nobody"):
            answers[name] = [
                self.failureResultOf(self.accounts.log_in(name, "wrong", f"192.0.2.{x}")).type
                for x in range(FREE_PER_ACCOUNT + 2)
            ]
        self.assertEqual(answers["root"], answers["nobody"])
        self.assertIs(answers["root"][-1], SlowDown)

    def test_owner_is_not_kept_out(self) -> None:
        """F-AC-04: who logged in from an address before still does while others guess."""
        self.log_in("root", peer_host="198.51.100.7")
        for number in range(FREE_PER_ACCOUNT):
            self.failureResultOf(
                self.accounts.log_in("root", "wrong", f"192.0.2.{number}"), WrongPassword
            )
        self.failureResultOf(self.accounts.log_in("root", GOOD, "192.0.2.99"), SlowDown)
        self.log_in("root", peer_host="198.51.100.7")

    def test_own_account_is_no_way_round(self) -> None:
        """F-AC-04: who has an account cannot guess at others by logging in between."""
        self.add("ann", Role.VIEWER)
        refused = 0
        for number in range(2 * FREE_PER_ADDRESS):
            guess = self.accounts.log_in(f"name{number}", "wrong", HOST)
            refused += self.failureResultOf(guess).type is SlowDown
            own = self.accounts.log_in("ann", GOOD, HOST)
            own.addErrback(lambda _failure: None)
        self.assertEqual(refused, FREE_PER_ADDRESS)

    def test_busy(self) -> None:
        """Where too many wait nobody is let in, and nobody is punished for it."""

        class Busy(HeldPasswords):
            def verify(self, hashed: str | None, password: str) -> Deferred[object]:  # type: ignore[override]
                raise LimitExceeded("too many", reference="P-103", limit=32)

        self.passwords = Busy()
        self.restart()
        for _ in range(50):
            self.failureResultOf(self.accounts.log_in("root", GOOD, HOST), LimitExceeded)

    def test_setup_code_is_slowed_down(self) -> None:
        """F-AC-04: the setup code too, by address; the right one is not counted."""
        code = self.accounts.setup_code
        for _ in range(FREE_PER_ADDRESS):
            self.assertFalse(self.accounts.check_setup_code("wrong", HOST))
        with self.assertRaises(SlowDown):
            self.accounts.check_setup_code(code, HOST)

    def test_database_fails(self) -> None:
        """A session that is not kept is none."""
        self.store.problem = StoreError("the disk of the database is full")
        self.failureResultOf(self.accounts.log_in("root", GOOD, HOST), StoreError)
        self.assertEqual(self.accounts.sessions(), [])
        self.store.problem = None
        self.log_in("root")

    def test_renewed_hash(self) -> None:
        """A password that was hashed otherwise is hashed as today when its user comes."""
        self.passwords = HeldPasswords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
        self.restart()
        # Two at once: the second finds another hash than it looked at, of the same password.
        self.passwords.at_once = False
        both = [self.accounts.log_in("root", GOOD, HOST) for _ in range(2)]
        self.passwords.step()
        self.passwords.step()
        for opened in both:
            self.successResultOf(opened)
        self.passwords.at_once = True
        self.assertIn("t=2", self.accounts.user("root").password_hash)
        self.log_in("root")
        self.restart()
        self.log_in("root")


class SessionTests(AccountsCase):
    """F-IN-08: what a session lives through, and what it does not."""

    def setUp(self) -> None:
        super().setUp()
        self.add("root")

    def test_new_at_each_log_in(self) -> None:
        """F-IN-08: a log-in never goes on with a session that the browser had before."""
        _identity, planted = self.log_in("root")
        _identity, secret = self.log_in("root", previous=planted.value)
        self.assertNotEqual(secret.value, planted.value)
        self.assertNotEqual(secret.csrf, planted.csrf)
        for _restart in range(2):
            self.assertFalse(self.is_open(planted))
            self.assertTrue(self.is_open(secret))
            self.restart()

    def test_somebody_elses_before(self) -> None:
        """F-IN-08: a cookie that an attacker planted ends with the victim's log-in."""
        self.add("mallory", Role.VIEWER)
        _identity, planted = self.log_in("mallory")
        for previous in (planted.value, "junk", "", "\ud800", "x" * 10_000):
            identity, _secret = self.log_in("root", previous=previous)
            self.assertEqual(identity.name, "root")
        self.assertFalse(self.is_open(planted))

    def test_wrong_password_ends_nothing(self) -> None:
        """Who fails to log in loses nothing by it."""
        _identity, secret = self.log_in("root")
        failed = self.accounts.log_in("root", "wrong", HOST, previous=secret.value)
        self.failureResultOf(failed, WrongPassword)
        self.assertTrue(self.is_open(secret))

    def test_several(self) -> None:
        """F-IN-08: log-ins at the same moment get a session each, and end none of the others."""
        self.passwords.at_once = False
        self.store.at_once = False
        opening = [self.accounts.log_in("root", GOOD, HOST) for _ in range(3)]
        for _ in opening:
            self.passwords.step()
        while self.store.waiting:
            self.store.step()
        self.store.at_once = True
        secrets = [self.successResultOf(opened)[1] for opened in opening]
        self.assertEqual(len({secret.value for secret in secrets}), 3)
        self.assertEqual(len(self.accounts.sessions("root")), 3)
        for _restart in range(2):
            self.assertTrue(all(map(self.is_open, secrets)))
            self.restart()

    def test_survives_restart(self) -> None:
        """A server that starts again knows the sessions, their use, and what their pages show."""
        identity, secret = self.log_in("root")
        self.now += 100
        self.restart()
        self.assertEqual(self.accounts.identify_session(secret.value), identity)
        self.assertEqual(self.accounts.csrf_token(identity), secret.csrf)
        self.assertEqual(self.accounts.sessions()[0].used_at, self.now)

    def test_log_out(self) -> None:
        """F-IN-08: logging out ends the session at the server, and only that one."""
        identity, secret = self.log_in("root")
        _other, still = self.log_in("root")
        note = self.accounts.note(identity, HOST, "sessions.delete", "root")
        self.successResultOf(self.accounts.log_out(identity, note=note))
        self.assertEqual(self.ended, [identity.session])
        self.assertEqual(self.accounts.csrf_token(identity), "")
        self.assertFalse(self.accounts.check_csrf(identity, secret.csrf))
        self.assertFalse(self.accounts.holds(identity))
        self.failureResultOf(self.accounts.log_out(identity), NoSession)
        row = self.audit()[-1]
        self.assertEqual((row.action, row.after), ("sessions.delete", None))
        for _restart in range(2):
            self.assertFalse(self.is_open(secret))
            self.assertTrue(self.is_open(still))
            self.restart()

    def test_not_saved_log_out(self) -> None:
        """Who is told that logging out failed is told the truth."""
        identity, secret = self.log_in("root")
        self.store.problem = StoreError("the database is locked by another program")
        self.failureResultOf(self.accounts.log_out(identity), StoreError)
        self.assertTrue(self.is_open(secret))
        self.store.problem = None
        self.successResultOf(self.accounts.log_out(identity))
        self.assertFalse(self.is_open(secret))

    def test_idle(self) -> None:
        """A session ends when nobody uses it; each use renews it."""
        identity, secret = self.log_in("root")
        for _ in range(3):
            self.now += IDLE_SECONDS - 1
            self.assertTrue(self.is_open(secret))
        self.assertTrue(self.accounts.holds(identity))
        self.now += IDLE_SECONDS
        self.assertFalse(self.accounts.holds(identity))
        self.assertFalse(self.is_open(secret))
        self.assertEqual(self.accounts.sessions(), [])

    def test_lifetime(self) -> None:
        """However it is used, a session ends after thirty days."""
        _identity, secret = self.log_in("root")
        end = self.now + LIFETIME_SECONDS
        while self.now < end - IDLE_SECONDS / 2:
            self.assertTrue(self.is_open(secret))
            self.now += IDLE_SECONDS / 2
        self.now = end - 1
        self.assertTrue(self.is_open(secret))
        self.now = end
        self.assertFalse(self.is_open(secret))

    def test_clock_set_back(self) -> None:
        """A clock that is set back ends no session."""
        _identity, secret = self.log_in("root")
        self.now -= 10 * IDLE_SECONDS
        self.assertTrue(self.is_open(secret))

    def test_bounded(self) -> None:
        """A user has so many sessions; the one that was not used for longest makes room."""
        self.patch(logins, "MAX_SESSIONS", 5)
        secrets = []
        for _ in range(5):
            self.now += 1
            secrets.append(self.log_in("root")[1])
        self.now += 1
        self.assertTrue(self.is_open(secrets[0]))
        self.log_in("root")
        self.assertEqual(len(self.accounts.sessions("root")), 5)
        self.assertTrue(self.is_open(secrets[0]))
        self.assertFalse(self.is_open(secrets[1]))

    def test_page(self) -> None:
        """A page proves itself with what belongs to its own session, whatever else is sent."""
        identity, secret = self.log_in("root")
        other, other_secret = self.log_in("root")
        self.assertEqual(self.accounts.csrf_token(identity), secret.csrf)
        self.assertTrue(self.accounts.check_csrf(identity, secret.csrf))
        for given in ("", other_secret.csrf, secret.value, secret.csrf[:-1], "\ud800", "é"):
            self.assertFalse(self.accounts.check_csrf(identity, given))
        self.assertTrue(self.accounts.check_csrf(other, other_secret.csrf))

    def test_page_of_no_session(self) -> None:
        """What has no session has no page: nothing matches, not even nothing."""
        for identity in (ROOT, Identity("root", Role.VIEWER, "token", "x")):
            self.assertEqual(self.accounts.csrf_token(identity), "")
            self.assertFalse(self.accounts.check_csrf(identity, ""))

    def test_revoke(self) -> None:
        """Sessions are ended by their id: one's own, or by an administrator anybody's."""
        self.add("ann", Role.VIEWER)
        identity, secret = self.log_in("root")
        theirs, their_secret = self.log_in("ann")
        self.failureResultOf(self.accounts.revoke_session(identity.session, owner="ann"), NoSession)
        self.failureResultOf(self.accounts.revoke_session("junk"), NoSession)
        self.successResultOf(self.accounts.revoke_session(theirs.session))
        self.successResultOf(self.accounts.revoke_session(identity.session, owner="root"))
        self.assertEqual(self.ended, [theirs.session, identity.session])
        self.assertFalse(self.is_open(secret) or self.is_open(their_secret))

    def test_lists(self) -> None:
        """Everybody's sessions, or a user's."""
        self.add("ann", Role.VIEWER)
        for name in ("root", "ann", "root"):
            self.now += 1
            self.log_in(name)
        owners = [session.owner for session in self.accounts.sessions()]
        self.assertEqual(owners, ["root", "ann", "root"])
        self.assertEqual(len(self.accounts.sessions("ROOT")), 2)
        self.assertRaises(NoUser, self.accounts.sessions, "nobody")

    def test_id_opens_nothing(self) -> None:
        """What lists show, and what the database has, is no cookie."""
        identity, _secret = self.log_in("root")
        [session] = self.accounts.sessions()
        for text in (identity.session, session.secret_hash, "", "\0"):
            self.assertIsNone(self.accounts.identify_session(text))


class OwnPasswordTests(AccountsCase):
    """P-103: everybody changes the own password."""

    def setUp(self) -> None:
        super().setUp()
        self.add("root")
        self.identity, self.secret = self.log_in("root")

    def change(self, old: str = GOOD, new: str = OTHER) -> Deferred[User]:
        """Change it."""
        changing: Deferred[User] = self.accounts.change_own_password(
            self.identity, old, new, peer_host=HOST
        )
        return changing

    def test_change(self) -> None:
        """F-IN-08: all other sessions end, this one goes on; the old password is dead."""
        _other, other_secret = self.log_in("root")
        token, text = self.successResultOf(self.accounts.add_token("root", "x", Role.VIEWER, None))
        self.now += 1
        self.successResultOf(self.change())
        for _restart in range(2):
            self.assertTrue(self.is_open(self.secret))
            self.assertFalse(self.is_open(other_secret))
            self.assertIsNotNone(self.accounts.identify_token(text), token)
            self.restart()
        self.failureResultOf(self.accounts.log_in("root", GOOD, HOST), WrongPassword)
        self.log_in("root", OTHER)

    def test_old_is_wrong(self) -> None:
        """F-AC-04: who has the session only cannot change it, and is slowed down."""
        for _ in range(FREE_PER_ADDRESS):
            self.failureResultOf(self.change(old="wrong"), WrongPassword)
        self.failureResultOf(self.change(), SlowDown)

    def test_new_is_bad(self) -> None:
        """The new one is looked at first: the old one is not asked for then."""
        looked_at = len(self.passwords.verified)
        for new in ("short", "password", "root-root"):
            failure = self.failureResultOf(self.change(new=new), WrongField)
            self.assertEqual(failure.value.field, "password")
        self.assertEqual(len(self.passwords.verified), looked_at)

    def test_no_account(self) -> None:
        """The operator on the host has no password."""
        failed = self.accounts.change_own_password(ROOT, GOOD, OTHER)
        self.failureResultOf(failed, NoUser)

    def test_log_in_meanwhile(self) -> None:
        """F-IN-08: a log-in that began before the password was changed opens nothing after it."""
        self.passwords.at_once = False
        opening: Opening = self.accounts.log_in("root", GOOD, "192.0.2.2")
        changing = self.accounts.change_user("root", password=OTHER)
        self.store.at_once = False
        # It was right when it was looked at; but the change is committed before it.
        self.passwords._held.reverse()
        self.passwords.step()
        self.passwords.step()
        while self.store.waiting:
            self.store.step()
        self.store.at_once = True
        self.successResultOf(changing)
        self.failureResultOf(opening, WrongPassword)
        self.assertEqual(self.accounts.sessions("root"), [])

    def test_deleted_meanwhile(self) -> None:
        """A log-in that began before its user was deleted, and made again, does not end up in."""
        self.add("second")
        self.passwords.at_once = False
        opening = self.accounts.log_in("root", GOOD, "192.0.2.2")
        changing = self.change()
        self.passwords.at_once = True
        self.successResultOf(self.accounts.delete_user("root"))
        self.now += 1
        self.add("root", Role.VIEWER)
        self.passwords.step()
        self.passwords.step()
        self.failureResultOf(opening, WrongPassword)
        self.failureResultOf(changing, WrongPassword)

    def test_session_ended_meanwhile(self) -> None:
        """Who was logged out while the old password was looked at changes nothing any more."""
        self.passwords.at_once = False
        changing = self.change()
        self.passwords.at_once = True
        self.successResultOf(self.accounts.revoke_session(self.identity.session))
        self.passwords.step()
        self.failureResultOf(changing, WrongPassword)
        self.log_in("root", GOOD)

    def test_hashes(self) -> None:
        """The password is hashed by itself, with the cheap hasher of these tests."""
        self.successResultOf(self.change())
        hashed = self.accounts.user("root").password_hash
        self.assertTrue(CHEAP.verify(hashed, OTHER))
