"""Tests of ntvmedia.accounts: users, and the first of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st
from twisted.internet.defer import Deferred

from ntvmedia.accounts import (
    AlreadySetUp,
    LastAdministrator,
    NameTaken,
    NoUser,
    Role,
    TooMany,
    User,
    WrongField,
    describe_user,
    user_changes,
)
from ntvmedia.accounts.users import MAX_NAME_LENGTH, name_key, read_name, read_role
from ntvmedia.store import StoreError
from tests.accounts.cases import GOOD, HOST, OTHER, ROOT, AccountsCase


@pytest.mark.parametrize(
    "name", ["a", "root", "Ann-Marie_2", "me@example.org", "me+tag@example.org", "Zoë", "例子", "0"]
)
def test_good_names(name: str) -> None:
    """Names of people, of programs, and addresses of mail are taken."""
    assert read_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "-rf", "@", "a b", "a/b", "a\\b", "a%2f", "a\0", "a\n", "a?b", "a#b"),
        *("operator on the host", "\ud800", "a\N{RIGHT-TO-LEFT OVERRIDE}b", "x" * 65, "a'b"),
        "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}" * 64,
    ],
)
def test_bad_names(name: str) -> None:
    """What would mean something in a path, a shell or a log is not."""
    with pytest.raises(WrongField) as caught:
        read_name(name)
    assert caught.value.field == "name"


@settings(max_examples=80)
@given(st.text(max_size=80))
def test_any_name(text: str) -> None:
    """A name is refused, or is composed, fits its column, and is the same when it is read again."""
    try:
        name = read_name(text)
    except WrongField:
        return
    assert read_name(name) == name
    assert 0 < len(name) <= MAX_NAME_LENGTH
    assert name.isprintable()
    assert "/" not in name
    assert name_key(name) == name_key(name.upper()) or name.upper().casefold() != name.casefold()
    assert name_key(name_key(name)) == name_key(name)


def test_composed_names() -> None:
    """A name is composed, and whole: one that is too long is not cut to another one."""
    typed = "e\N{COMBINING ACUTE ACCENT}" * 64
    assert read_name(typed) == "\N{LATIN SMALL LETTER E WITH ACUTE}" * 64
    for text in (typed + "e", "e\N{COMBINING ACUTE ACCENT}" * 65, "\u1f82" * 65, "a" * 100_000):
        with pytest.raises(WrongField, match="longer than 64"):
            read_name(text)


def test_roles() -> None:
    """P-103: there are three."""
    assert [read_role(text).value for text in Role] == ["administrator", "operator", "viewer"]
    with pytest.raises(WrongField, match="administrator, operator, viewer"):
        read_role("root")


class SetUpTests(AccountsCase):
    """P-102: the first administrator."""

    def set_up_as(self, name: str) -> Deferred[User]:
        """Try to be the first."""
        return self.accounts.set_up(name, GOOD, peer=HOST)

    def test_set_up(self) -> None:
        """F-AC-01: the code is worthless afterwards, its file is gone, and who listens is told."""
        self.assertFalse(self.accounts.is_set_up)
        code = self.accounts.setup_code
        self.assertTrue(self.accounts.check_setup_code(code, HOST))
        self.assertTrue((self.data / "setup-code").exists())
        user = self.successResultOf(self.set_up_as("Root"))
        self.assertEqual((user.name, user.role, user.enabled), ("Root", Role.ADMINISTRATOR, True))
        self.assertTrue(self.accounts.is_set_up)
        self.assertEqual(self.set_up, [True])
        self.assertEqual(self.accounts.setup_code, "")
        self.assertFalse(self.accounts.check_setup_code(code, HOST))
        self.assertFalse(self.accounts.check_setup_code("", HOST))
        self.assertFalse((self.data / "setup-code").exists())
        [row] = self.audit()
        self.assertEqual(
            (row.who, row.kind, row.peer_host, row.action, row.subject, row.before),
            ("Root", "setup", HOST, "users.set_up", "Root", None),
        )
        self.assertEqual(row.after, describe_user(user))

    def test_once_only(self) -> None:
        """P-102: nobody becomes an administrator so afterwards, not even at the same moment."""
        self.passwords.at_once = False
        first, second = self.set_up_as("first"), self.set_up_as("second")
        for _ in range(2):
            self.passwords.step()
        self.successResultOf(first)
        self.failureResultOf(second, AlreadySetUp)
        self.failureResultOf(self.set_up_as("third"), AlreadySetUp)
        self.assertEqual([user.name for user in self.accounts.users()], ["first"])

    def test_restart(self) -> None:
        """A server that starts again asks as before, until it is set up."""
        code = self.accounts.setup_code
        self.restart()
        self.assertEqual(self.accounts.setup_code, code)
        self.successResultOf(self.set_up_as("root"))
        self.restart()
        self.assertTrue(self.accounts.is_set_up)
        self.assertEqual(self.accounts.setup_code, "")
        self.assertFalse((self.data / "setup-code").exists())

    def test_set_up_elsewhere(self) -> None:
        """The command line made the administrator while the server was stopped: no code is left."""
        other = self.make()
        self.successResultOf(other.add_user("root", GOOD, Role.ADMINISTRATOR))
        (self.data / "setup-code").write_text("left", "ascii")
        self.restart()
        self.assertFalse((self.data / "setup-code").exists())

    def test_by_the_command_line(self) -> None:
        """A user who is no administrator does not set a server up; one that is disabled neither."""
        self.add("guest", Role.VIEWER)
        self.successResultOf(
            self.accounts.add_user("root", GOOD, Role.ADMINISTRATOR, enabled=False)
        )
        self.assertFalse(self.accounts.is_set_up)
        self.assertNotEqual(self.accounts.setup_code, "")
        self.successResultOf(self.accounts.change_user("root", enabled=True))
        self.assertTrue(self.accounts.is_set_up)
        self.assertEqual(self.accounts.setup_code, "")

    def test_bad_values(self) -> None:
        """What is refused leaves the server as it was, and its code."""
        for name, password in (("", GOOD), ("a b", GOOD), ("root", "short"), ("root", "rootroot")):
            failed = self.accounts.set_up(name, password, peer=HOST)
            self.failureResultOf(failed, WrongField)
        self.store.problem = StoreError("the disk of the database is full")
        self.failureResultOf(self.set_up_as("root"), StoreError)
        self.store.problem = None
        self.assertFalse(self.accounts.is_set_up)
        self.assertNotEqual(self.accounts.setup_code, "")
        self.successResultOf(self.set_up_as("root"))

    def test_default_deny(self) -> None:
        """F-AC-10: before the accounts are loaded nobody is let in."""
        self.add("root")
        _identity, secret = self.log_in("root")
        self.passwords.verified.clear()
        fresh = type(self.accounts)(
            self.store, self.bus, lambda: self.now, self.clock, self.data, passwords=self.passwords
        )
        self.assertFalse(fresh.is_set_up)
        self.assertIsNone(fresh.identify_session(secret.value))
        self.assertFalse(fresh.check_setup_code("", HOST))


class UserTests(AccountsCase):
    """P-103: users are added, changed and deleted."""

    def setUp(self) -> None:
        super().setUp()
        self.add("root")

    def test_add(self) -> None:
        """A user is there after a restart as before, and its password is nowhere."""
        self.now += 1
        user = self.add("Zoë", Role.OPERATOR)
        self.restart()
        self.assertEqual(self.accounts.user("zoË"), user)
        self.assertEqual([x.name for x in self.accounts.users()], ["root", "Zoë"])
        self.assertEqual(
            describe_user(user),
            {
                "name": "Zoë",
                "role": "operator",
                "enabled": True,
                "password_changed_at": self.now,
                "created_at": self.now,
                "updated_at": self.now,
                "logged_in_at": None,
            },
        )
        self.assertNotIn("argon2", repr(user))
        files = b"".join(path.read_bytes() for path in self.data.iterdir())
        self.assertNotIn(GOOD.encode(), files)
        self.assertFalse(any(GOOD in text for text in self.logged))

    def test_same_name(self) -> None:
        """Two names that differ in case only are one, also when both come at once."""
        self.failureResultOf(self.accounts.add_user("ROOT", GOOD, Role.VIEWER), NameTaken)
        self.passwords.at_once = False
        adding = [self.accounts.add_user(name, GOOD, Role.VIEWER) for name in ("Ann", "ANN")]
        self.passwords.step()
        self.passwords.step()
        self.assertEqual(self.successResultOf(adding[0]).name, "Ann")
        self.failureResultOf(adding[1], NameTaken)

    def test_unknown(self) -> None:
        """What is done to a user that there is not fails, whatever the name."""
        for name in ("nobody", "", "\0", "\ud800", "x" * 100_000, "ro ot"):
            self.failureResultOf(self.accounts.change_user(name, enabled=False), NoUser)
            self.failureResultOf(self.accounts.delete_user(name), NoUser)
            self.failureResultOf(self.accounts.change_user(name, password=GOOD), NoUser)
            failure = self.assertRaises(NoUser, self.accounts.user, name)
            self.assertLess(len(str(failure)), 400)

    def test_too_many(self) -> None:
        """All users are in memory: there is a most of them."""
        self.patch(user_changes, "MAX_USERS", 2)
        self.add("second")
        self.failureResultOf(self.accounts.add_user("third", GOOD, Role.VIEWER), TooMany)

    def test_last_administrator(self) -> None:
        """P-103: the last enabled administrator stays one."""
        self.add("guest", Role.VIEWER)
        self.successResultOf(self.accounts.add_user("off", GOOD, Role.ADMINISTRATOR, enabled=False))
        for failed in (
            self.accounts.delete_user("root"),
            self.accounts.change_user("root", enabled=False),
            self.accounts.change_user("ROOT", role=Role.OPERATOR),
            self.accounts.change_user("root", role=Role.VIEWER, enabled=False, password=OTHER),
        ):
            self.failureResultOf(failed, LastAdministrator)
        self.log_in("root")
        self.add("second")
        self.successResultOf(self.accounts.delete_user("root"))
        self.failureResultOf(self.accounts.delete_user("second"), LastAdministrator)
        self.successResultOf(self.accounts.delete_user("off"))

    def test_two_leave_at_once(self) -> None:
        """Of two administrators that are deleted at the same moment, one stays."""
        self.add("second")
        self.store.at_once = False
        leaving = [self.accounts.delete_user("root"), self.accounts.delete_user("second")]
        while self.store.waiting:
            self.store.step()
        self.successResultOf(leaving[0])
        self.failureResultOf(leaving[1], LastAdministrator)
        self.assertTrue(self.accounts.is_set_up)

    def test_change_ends_sessions(self) -> None:
        """F-IN-08: a change of password, role or state ends the sessions, and what may too much."""
        changes = [
            ({"password": OTHER}, []),
            ({"role": Role.VIEWER}, ["viewer"]),
            ({"enabled": False}, []),
        ]
        for number, (change, left) in enumerate(changes):
            name = f"user{number}"
            self.add(name, Role.OPERATOR)
            _identity, secret = self.log_in(name)
            _other, still = self.log_in("root")
            tokens = {
                role.value: self.successResultOf(self.accounts.add_token(name, "x", role, None))
                for role in (Role.OPERATOR, Role.VIEWER)
            }
            self.ended.clear()
            self.successResultOf(self.accounts.change_user(name, **change))  # type: ignore[arg-type]
            self.assertEqual(len(self.ended), 3 - len(left))
            for _restart in range(2):
                self.assertFalse(self.is_open(secret), change)
                self.assertTrue(self.is_open(still))
                opened = [
                    role
                    for role, (_token, text) in tokens.items()
                    if self.accounts.identify_token(text)
                ]
                self.assertEqual(opened, left)
                self.restart()

    def test_disabled_for_good(self) -> None:
        """What a disabled user had is dead also when the user is enabled again."""
        self.add("ann", Role.OPERATOR)
        _identity, secret = self.log_in("ann")
        _token, text = self.successResultOf(self.accounts.add_token("ann", "x", Role.VIEWER, None))
        self.successResultOf(self.accounts.change_user("ann", enabled=False))
        self.successResultOf(self.accounts.change_user("ann", enabled=True))
        self.assertFalse(self.is_open(secret))
        self.assertIsNone(self.accounts.identify_token(text))
        self.log_in("ann")

    def test_deleted(self) -> None:
        """With a user all goes; one of the same name who comes later has nothing of it."""
        self.add("ann", Role.OPERATOR)
        _identity, secret = self.log_in("ann")
        _token, text = self.successResultOf(self.accounts.add_token("ann", "x", Role.VIEWER, None))
        self.ended.clear()
        self.successResultOf(self.accounts.delete_user("ANN"))
        self.assertEqual(len(self.ended), 2)
        self.add("ann")
        for _restart in range(2):
            self.assertFalse(self.is_open(secret))
            self.assertIsNone(self.accounts.identify_token(text))
            self.assertEqual(self.accounts.sessions("ann"), [])
            self.assertEqual(self.accounts.tokens("ann"), [])
            self.restart()

    def test_nothing_changes(self) -> None:
        """What is as it was is no change: no session ends, nothing is noted."""
        _identity, secret = self.log_in("root")
        rows = len(self.audit())
        note = self.accounts.note(ROOT, "", "users.change", "root")
        self.successResultOf(
            self.accounts.change_user("root", role=Role.ADMINISTRATOR, enabled=True, note=note)
        )
        self.assertTrue(self.is_open(secret))
        self.assertEqual(len(self.audit()), rows)

    def test_noted(self) -> None:
        """Each change is in the log with what it was, and no password or hash is (F-AC-03)."""
        note = self.accounts.note
        self.successResultOf(
            self.accounts.add_user(
                "ann", GOOD, Role.VIEWER, note=note(ROOT, "", "users.add", "ann")
            )
        )
        self.now += 1
        self.successResultOf(
            self.accounts.change_user(
                "ann",
                role=Role.OPERATOR,
                password=OTHER,
                note=note(ROOT, HOST, "users.change", "ann"),
            )
        )
        self.successResultOf(
            self.accounts.delete_user("ann", note=note(ROOT, "", "users.delete", "ann"))
        )
        added, changed, deleted = self.audit(action="users")
        self.assertEqual((added.before, added.after and added.after["name"]), (None, "ann"))
        self.assertEqual(
            changed.before,
            {"role": "viewer", "password_changed_at": self.now - 1, "updated_at": self.now - 1},
        )
        self.assertEqual(
            changed.after,
            {"role": "operator", "password_changed_at": self.now, "updated_at": self.now},
        )
        self.assertIsNone(deleted.after)
        self.assertEqual(deleted.before and deleted.before["role"], "operator")
        for row in self.audit():
            for secret in (GOOD, OTHER, "argon2"):
                self.assertNotIn(secret, repr(row))

    def test_clock_set_back(self) -> None:
        """However the clock goes, a change is later than the one before it."""
        before = self.accounts.user("root")
        self.now -= 1000
        after = self.successResultOf(self.accounts.change_user("root", password=OTHER))
        self.assertGreater(after.password_changed_at, before.password_changed_at)
        self.assertGreater(after.updated_at, before.updated_at)

    def test_client_that_hangs_up(self) -> None:
        """A change whose client leaves is made whole, in the database and here."""
        self.store.at_once = False
        self.passwords.at_once = False
        adding = self.accounts.add_user("ann", GOOD, Role.VIEWER)
        adding.addErrback(lambda _failure: None)
        adding.cancel()
        self.passwords.step()
        while self.store.waiting:
            self.store.step()
        self.assertEqual(self.accounts.user("ann").role, Role.VIEWER)
        self.store.at_once = True
        self.restart()
        self.assertEqual(self.accounts.user("ann").role, Role.VIEWER)
