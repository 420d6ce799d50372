"""Tests of the registries of rules: IP rules, forbidden streams, share links, signing keys."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import (
    Applications,
    KeptKey,
    NameInUse,
    NoRule,
    StoreError,
    TooMany,
    WrongField,
)
from ntvmedia.access.forbidden import ForbiddenStreams
from ntvmedia.access.ip_rules import IPRules
from ntvmedia.access.networks import NO_HOST, parse_host
from ntvmedia.access.shares import ShareLinks
from ntvmedia.access.signing_keys import SigningKeys
from ntvmedia.errors import ConfigError
from ntvmedia.events import AccessChanged, EventBus
from ntvmedia.media import StreamKey
from ntvmedia.store import RETRY_SECONDS
from tests.store.slow import SlowStore

KEY = StreamKey("liveshow", "a")
OWN = bytes(range(32))
HOST = parse_host("192.0.2.1")


class KeptTests(SynchronousTestCase):
    """In memory what the database has, whatever fails."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.store = SlowStore(Path(folder.name))
        self.clock = Clock()
        self.bus = EventBus()
        self.now = 1000.0
        self.count = 0
        self.heard: list[tuple[str, str]] = []
        self.notes: list[Any] = []
        self.make()
        self.bus.subscribe(AccessChanged, lambda event: self.heard.append((event.what, event.id)))

    def make(self) -> None:
        """Make what a server that starts now has."""
        kept = (self.store, self.bus, lambda: self.now, self.clock)
        self.rules = IPRules(*kept, random=self.random)
        self.forbidden = ForbiddenStreams(*kept)
        self.shares = ShareLinks(*kept, random=self.random)
        self.keys = SigningKeys(*kept, random=self.random)
        for registry in (self.rules, self.forbidden, self.shares, self.keys):
            registry.load()
        self.keys.own = OWN

    def random(self, count: int) -> bytes:
        """Return bytes that are others each time."""
        self.count += 1
        return self.count.to_bytes(count, "big")

    def note(self, connection: Any, before: Any, after: Any) -> None:
        """Take a note."""
        self.notes.append((before, after))

    def block(self, network: str, **fields: Any) -> Any:
        """Block a network for all, which must succeed."""
        return self.successResultOf(self.rules.add(network, "block", **fields))

    def is_blocked(self, text: str, scope: str = "play") -> bool:
        """Say whether an address is blocked."""
        return self.rules.is_blocked(scope, parse_host(text))

    def test_blocked_and_trusted(self) -> None:
        """F-AC-06: a block comes before a trust, in whatever order, and however exact they are."""
        self.successResultOf(self.rules.add("192.0.2.1", "trust"))
        self.assertTrue(self.rules.is_trusted("play", HOST))
        self.block("192.0.0.0/16", scopes=["play"])
        self.assertTrue(self.is_blocked("192.0.2.1"))
        self.assertFalse(self.rules.is_trusted("play", HOST))
        self.assertTrue(self.rules.is_trusted("publish", HOST))
        self.assertFalse(self.is_blocked("192.0.2.1", "publish"))
        self.assertFalse(self.is_blocked("192.1.0.1"))
        self.assertTrue(self.is_blocked("::ffff:192.0.9.9"))

    def test_all_and_none(self) -> None:
        """F-AC-06: without rules nobody is looked at; `all` has those without an address too."""
        self.assertFalse(self.rules.are_there)
        rule = self.block("all", enabled=False)
        self.assertFalse(self.rules.are_there)
        self.successResultOf(self.rules.change(rule.id, {"enabled": True}))
        self.assertTrue(self.rules.are_there)
        self.assertTrue(self.is_blocked("2001:db8::1"))
        self.assertTrue(self.rules.is_blocked("play", NO_HOST))
        self.successResultOf(self.rules.remove(rule.id))
        self.assertFalse(self.rules.are_there)

    def test_kept(self) -> None:
        """All come back after a restart as they were given; notes and events told of each."""
        rule = self.block("2001:DB8::/32", comment="é", note=self.note)
        self.successResultOf(self.forbidden.forbid(KEY, "why", note=self.note))
        link = self.successResultOf(
            self.shares.add(KEY, "Ann", expires_at=2000.5, max_viewers=3, note=self.note)
        )
        key = self.successResultOf(self.keys.add(comment="shop", note=self.note))
        self.assertEqual([what for what, _id in self.heard], [
            "ip_rules", "forbidden", "share_links", "signing_keys",
        ])  # fmt: skip
        self.assertEqual([before for before, _after in self.notes], [None] * 4)
        self.assertNotIn(key.secret, repr(self.notes) + repr(key))
        self.make()
        self.assertEqual(list(self.rules), [rule])
        self.assertEqual(rule.network, "2001:db8::/32")
        self.assertTrue(self.is_blocked("2001:db8::1"))
        self.assertIn(KEY, self.forbidden)
        self.assertEqual(list(self.shares), [link])
        self.assertEqual([found.id for found in self.keys], ["default", key.id])
        self.assertEqual(self.keys.key_of(key.id, "tv").hex(), key.secret)

    def test_change_and_remove(self) -> None:
        """What is given changes, with a note of before and after; what is the same is no change."""
        rule = self.block("10.0.0.0/8")
        self.heard.clear()
        self.now = 2000.0
        changed = self.successResultOf(self.rules.change(rule.id, {"comment": "x"}, note=self.note))
        self.assertEqual((changed.created_at, changed.updated_at), (1000.0, 2000.0))
        [(before, after)] = self.notes
        self.assertEqual((before["comment"], after["comment"]), ("", "x"))
        self.successResultOf(self.rules.change(rule.id, {"comment": "x"}, note=self.note))
        self.assertEqual((len(self.notes), len(self.heard)), (1, 1))
        self.successResultOf(self.rules.remove(rule.id, note=self.note))
        self.assertEqual(self.notes[1], (after, None))
        self.failureResultOf(self.rules.remove(rule.id), NoRule)
        self.failureResultOf(self.rules.change(rule.id, {}), NoRule)
        self.make()
        self.assertEqual(len(self.rules), 0)

    def test_wrong(self) -> None:
        """What is wrong names its field, and nothing is kept of it."""
        rule = self.block("10.0.0.0/8")
        for asked, field in (
            (self.rules.add("10.0.0.1/8", "block"), "network"),
            (self.rules.add("10.0.0.0/8", "allow"), "action"),
            (self.rules.add("10.0.0.0/8", "block", ["record"]), "scopes"),
            (self.rules.add("10.0.0.0/8", "block", []), "scopes"),
            (self.rules.add("10.0.0.0/8", "block", comment="x" * 501), "comment"),
            (self.rules.change(rule.id, {"id": "x"}), "id"),
            (self.forbidden.forbid(KEY, "\0"), "comment"),
            (self.shares.add(KEY, ""), "name"),
            (self.shares.add(KEY, "x", expires_at=float("nan")), "expires_at"),
            (self.shares.add(KEY, "x", expires_at=-1), "expires_at"),
            (self.shares.add(KEY, "x", max_viewers=-1), "max_viewers"),
            (self.keys.add(secret="0 " * 32), "secret"),
            (self.keys.add(secret="00"), "secret"),
        ):
            self.assertEqual(self.failureResultOf(asked, WrongField).value.field, field)
        self.assertEqual((len(self.rules), len(self.shares), len(self.keys)), (1, 0, 1))

    def test_too_many(self) -> None:
        """There is an end of rules."""
        self.patch(IPRules, "MAXIMUM", 1)
        self.block("10.0.0.0/8")
        self.failureResultOf(self.rules.add("11.0.0.0/8", "block"), TooMany)

    def test_forbidden_twice(self) -> None:
        """A stream is forbidden once, and allowed once."""
        first = self.successResultOf(self.forbidden.forbid(KEY, "a"))
        self.assertEqual(self.successResultOf(self.forbidden.forbid(KEY, "b")), first)
        self.successResultOf(self.forbidden.allow(KEY))
        self.assertNotIn(KEY, self.forbidden)
        self.failureResultOf(self.forbidden.allow(KEY), NoRule)

    def test_applications(self) -> None:
        """Rules follow an application to another name, and go with it: here and for good."""
        applications = Applications(self.store, self.bus, lambda: self.now)
        applications.load()
        self.successResultOf(applications.add("a", {}))
        of_a = StreamKey("a", "x")
        self.successResultOf(self.forbidden.forbid(of_a))
        link = self.successResultOf(self.shares.add(of_a, "Ann"))
        key = self.successResultOf(self.keys.add(application="a"))
        self.assertTrue(self.keys.key_of(key.id, "a"))
        self.assertFalse(self.keys.key_of(key.id, "tv"))
        self.successResultOf(applications.change("a", {"name": "b"}))
        for _restart in range(2):
            self.assertIn(StreamKey("b", "x"), self.forbidden)
            self.assertNotIn(of_a, self.forbidden)
            self.assertEqual(self.shares.find(link.id).application, "b")
            self.assertTrue(self.keys.key_of(key.id, "b"))
            self.make()
        self.heard.clear()
        self.successResultOf(applications.remove("b"))
        self.assertLessEqual({"forbidden", "share_links"}, {what for what, _id in self.heard})
        for _restart in range(2):
            self.assertEqual((len(self.forbidden), len(self.shares), len(self.keys)), (0, 0, 1))
            self.make()

    def test_own_key(self) -> None:
        """The server's own key can be disabled, and is neither removed nor made again."""
        self.assertEqual(self.keys.key_of("", "tv"), OWN)
        self.assertEqual(self.keys.key_of("default", "tv"), OWN)
        self.failureResultOf(self.keys.remove("default"), KeptKey)
        self.successResultOf(self.keys.change("default", {"enabled": False}))
        self.assertEqual(self.keys.key_of("", "tv"), b"")
        self.make()
        self.assertEqual(self.keys.key_of("default", "tv"), b"")

    def test_given_secret(self) -> None:
        """A key that another system has already can be taken over."""
        key = self.successResultOf(self.keys.add(secret="AB" * 32))
        self.assertEqual(self.keys.key_of(key.id, ""), b"\xab" * 32)

    def test_share_tokens(self) -> None:
        """F-AC-08: a token is one link's; truncated, longer, of another id or key it is none."""
        link = self.successResultOf(self.shares.add(KEY, "Ann"))
        other = self.successResultOf(self.shares.add(KEY, "Bob"))
        token = self.shares.token(OWN, link.id)
        self.assertEqual(len(token), 38)
        self.assertEqual(self.shares.of_token(OWN, token), link)
        for wrong in (
            "",
            token[:-1],
            f"{token}A",
            token.upper(),
            other.id + token[16:],
            self.shares.token(bytes(32), link.id),
            self.shares.token(OWN, "0" * 16),
            "\ud800" * 38,
            "x" * 4000,
        ):
            self.assertIsNone(self.shares.of_token(OWN, wrong), wrong)
        self.successResultOf(self.shares.remove(link.id))
        self.assertIsNone(self.shares.of_token(OWN, token))

    def test_failed_write(self) -> None:
        """A write that fails changes nothing here; the note is undone with it."""
        self.store.problem = StoreError("the disk of the database is full")
        self.failureResultOf(self.forbidden.forbid(KEY), StoreError)
        self.assertNotIn(KEY, self.forbidden)
        self.failureResultOf(self.rules.add("10.0.0.0/8", "block"), StoreError)
        self.store.problem = None
        self.successResultOf(self.forbidden.forbid(KEY))
        self.assertIn(KEY, self.forbidden)

    def test_lost_answer(self) -> None:
        """What was committed and not answered is found again, and told."""
        self.store.lost = StoreError("the connection to the database is lost")
        self.failureResultOf(self.forbidden.forbid(KEY), StoreError)
        self.assertIn(KEY, self.forbidden)
        self.assertEqual(self.heard, [("forbidden", "")])
        # While it cannot be read, what was known holds, and it is tried again.
        self.store.lost = StoreError("the connection to the database is lost")
        waiting = self.forbidden.allow(KEY)
        self.failureResultOf(waiting, StoreError)
        self.store.problem = None
        self.clock.advance(RETRY_SECONDS)
        self.assertNotIn(KEY, self.forbidden)

    def test_in_turn(self) -> None:
        """Changes follow one another; nothing is here before it is in the database."""
        self.store.at_once = False
        first = self.forbidden.forbid(KEY)
        second = self.forbidden.allow(KEY)
        self.assertNotIn(KEY, self.forbidden)
        self.store.step()
        self.successResultOf(first)
        self.assertIn(KEY, self.forbidden)
        self.store.step()
        self.successResultOf(second)
        self.assertNotIn(KEY, self.forbidden)

    def test_gone_from_the_database(self) -> None:
        """What another program removed is not found, and then not here any more."""
        rule = self.block("10.0.0.0/8")
        other = IPRules(self.store, EventBus(), lambda: self.now, random=self.random)
        other.load()
        self.successResultOf(other.remove(rule.id))
        self.failureResultOf(self.rules.change(rule.id, {"comment": "x"}), StoreError)
        self.assertFalse(self.rules.are_there)

    def test_same_id(self) -> None:
        """Two of one id are refused by here and by the database."""
        rule = self.block("10.0.0.0/8")
        self.count -= 1
        self.failureResultOf(self.rules.add("11.0.0.0/8", "block"), NameInUse)
        del self.rules._rules[rule.id]
        self.count -= 1
        self.failureResultOf(self.rules.add("11.0.0.0/8", "block"), NameInUse)

    def test_not_understood(self) -> None:
        """A rule that this program does not understand is no reason to start without it."""
        rule, rules = self.block("10.0.0.0/8"), self.rules
        self.store.run_now(
            lambda connection: connection.exec_driver_sql("UPDATE ip_rules SET action = 'maybe'")
        )
        with self.assertRaisesRegex(ConfigError, "ip_rules: action"):
            self.make()
        # Nor is it taken while the server runs.
        self.store.lost = StoreError("x")
        self.failureResultOf(rules.add("11.0.0.0/8", "block"), StoreError)
        self.assertEqual(rules.find(rule.id).action, "block")
        self.assertIn(parse_host("10.0.0.1"), rules._sets["block", "play"])
