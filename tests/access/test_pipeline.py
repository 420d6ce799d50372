"""Tests of ntvmedia.access.decision: the rules of issue 7 in their order, on every protocol."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ntvmedia.access import (
    BUILT_IN,
    PAGE,
    Access,
    Action,
    Application,
    NoRule,
    Request,
    Verdict,
    decision,
)
from ntvmedia.access.decision import AUTHORIZER_SECONDS
from ntvmedia.access.page_sessions import RENEWABLE_SECONDS
from ntvmedia.events import EventBus
from ntvmedia.interfaces import IAccess, IAuthorizer
from ntvmedia.media import StreamKey
from ntvmedia.media.names import parse_path
from tests.store.slow import SlowStore

KEY = StreamKey("liveshow", "a")
OTHER = StreamKey("liveshow", "b")
NOW = 1_767_225_600.0
PROTOCOLS = (
    "rtmp", "rtmps", "flv", "ws-flv", "ts", "ws-ts", "hls", "rtsp", "rtsps", "rtsp-http",
    "rtsp-https", PAGE, "plugin",
)  # fmt: skip


@implementer(IAuthorizer)
class Authorizer:
    """Gives an opinion, and remembers who was asked about."""

    def __init__(self, opinion: Any = None) -> None:
        self.opinion = opinion
        self.asked: list[Request] = []

    def decide(self, request: Request) -> Deferred[Verdict | None]:
        """Say it."""
        self.asked.append(request)
        if isinstance(self.opinion, Deferred):
            return self.opinion
        if isinstance(self.opinion, Exception):
            return fail(self.opinion)
        return succeed(self.opinion)


class PipelineCase(SynchronousTestCase):
    """A server with a database."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name)
        self.store = SlowStore(self.data)
        self.events = EventBus()
        self.clock = Clock()
        self.now = NOW
        self.is_set_up = True
        self.applications = dict(BUILT_IN)
        self.access = self.make()
        self.access.load()

    def make(self) -> Access:
        """Return what a server that starts has, before it has read anything."""
        return Access(
            self.applications,
            self.data,
            lambda: self.now,
            store=self.store,
            events=self.events,
            reactor=self.clock,
            is_set_up=lambda: self.is_set_up,
        )

    def set(self, **fields: Any) -> None:
        """Change liveshow."""
        self.applications["liveshow"] = replace(self.applications["liveshow"], **fields)

    def asking(
        self,
        query: str = "",
        *,
        action: Action = Action.PLAY,
        protocol: str = "flv",
        peer: str = "192.0.2.1:5",
        key: StreamKey = KEY,
        page: str = "",
        session: str = "",
        **how: Any,
    ) -> Deferred[Verdict]:
        """Ask."""
        wanted = parse_path(f"/a/b?{query}").query
        request = Request(action, key, protocol, peer, wanted, page, page_session=session)
        return self.access.decide(request, **how)

    def ask(self, query: str = "", **how: Any) -> Verdict:
        """Ask, and have the answer at once."""
        verdict: Verdict = self.successResultOf(self.asking(query, **how))
        self.assertEqual(bool(verdict.reason), not verdict.allowed)
        return verdict

    def rules(self, query: str = "", **how: Any) -> Set[str]:
        """Return by which rules it is refused on all protocols; B-AC-01: there is one."""
        return {self.ask(query, protocol=protocol, **how).rule for protocol in PROTOCOLS}

    def done(self, change: Deferred[Any]) -> Any:
        """Return what a change made."""
        return self.successResultOf(change)


class PipelineTests(PipelineCase):
    """The rules, one after the other."""

    def test_interfaces(self) -> None:
        """It provides what endpoints ask; so do authorizers."""
        verifyObject(IAccess, self.access)
        verifyObject(IAuthorizer, Authorizer())

    def test_default_deny(self) -> None:
        """F-AC-10: before the rules are read nobody may do anything, whatever they say."""
        self.access = self.make()
        for action in Action:
            self.assertEqual(self.rules(action=action), {"loading"})
            self.assertFalse(self.ask(action=action, again=True).allowed)
        self.access.load()
        self.assertEqual(self.rules(), {""})

    def test_not_set_up(self) -> None:
        """Before there is an administrator only private networks are served."""
        self.is_set_up = False
        for peer, rule in (
            ("127.0.0.1:1", ""),
            ("[::1]:1", ""),
            ("10.1.2.3:1", ""),
            ("[::ffff:192.168.0.1]:1", ""),
            ("203.0.113.1:1", "not_set_up"),
            ("[2001:db8::1]:1", "not_set_up"),
            ("", "not_set_up"),
        ):
            for action in Action:
                self.assertEqual(self.rules(peer=peer, action=action), {rule}, peer)
        self.is_set_up = True
        self.assertEqual(self.rules(peer="203.0.113.1:1"), {""})

    def test_forbidden(self) -> None:
        """P-404: a forbidden stream is refused to all, trusted ones too; others are not."""
        self.done(self.access.ip_rules.add("all", "trust"))
        self.done(self.access.forbidden.forbid(KEY))
        for action in Action:
            self.assertEqual(self.rules(action=action), {"forbidden"})
            self.assertEqual(self.rules(action=action, key=OTHER), {"ip"})
        self.assertFalse(self.ask(again=True).allowed)

    def test_ip_rules(self) -> None:
        """P-307, F-AC-06: blocked ones are refused, trusted ones asked nothing more."""
        self.set(publish_password="x", signed=True)
        authorizer = Authorizer(Verdict(False, "no"))
        self.access.authorizers.append(authorizer)
        self.access.limits = lambda _request: Verdict(False, "full")
        self.done(self.access.ip_rules.add("192.0.2.0/24", "trust"))
        self.done(self.access.ip_rules.add("192.0.2.9", "block", ["play"]))
        for action in Action:
            for protocol in PROTOCOLS:
                verdict = self.ask(action=action, protocol=protocol)
                self.assertEqual((verdict.allowed, verdict.trusted), (True, True))
        self.assertEqual(authorizer.asked, [])
        self.assertEqual(self.rules(peer="192.0.2.9:1"), {"ip"})
        self.assertFalse(self.ask(peer="[::ffff:192.0.2.9]:1").allowed)
        self.assertTrue(self.ask(peer="192.0.2.9:1", action=Action.PUBLISH).allowed)
        self.assertEqual(self.rules(peer="198.51.100.1:1"), {"signature"})
        # What holds for all holds for them too.
        self.set(enabled=False)
        self.assertEqual(self.rules(), {"application"})
        self.assertTrue(self.access.trusts("192.0.2.1", "publish"))
        self.assertFalse(self.access.trusts("192.0.2.9:5", "play"))

    def test_kicked(self) -> None:
        """F-AC-09: who was sent away with a block is refused for so long, and no other stream."""
        self.access.block("192.0.2.1:777", KEY, 30)
        self.assertEqual(self.rules(), {"kicked"})
        self.assertEqual(self.ask().reason, "sent away, and refused for 30 seconds more")
        self.assertEqual(self.rules(key=OTHER), {""})
        self.assertEqual(self.rules(peer="192.0.2.2:1"), {""})
        self.assertEqual(self.rules(action=Action.PUBLISH), {""})
        # Others of that address who are there are not sent away with him.
        self.assertTrue(self.ask(again=True).allowed)
        self.clock.advance(30)
        self.assertEqual(self.rules(), {""})

    def test_signed_with_options(self) -> None:
        """An address for one IP address and some viewers, counted by what watches now."""
        self.set(signed=True)
        watching = 1
        self.access.watching = lambda ticket: watching
        query = self.access.signed_query(KEY, int(NOW) + 9, ip="192.0.2.1", viewers=2)
        verdict = self.ask(query)
        self.assertEqual((verdict.limit, verdict.ticket[:5], verdict.lifetime), (2, "sign:", 0.0))
        self.assertEqual(self.rules(query, peer="192.0.2.2:1"), {"signature"})
        watching = 2
        self.assertEqual(self.ask(query).rule, "limit")
        self.assertTrue(self.ask(query, protocol=PAGE).allowed)
        self.assertTrue(self.ask(query, again=True).allowed)

    def test_cut_at_expiry(self) -> None:
        """F-AC-09: who plays is cut off at expiry where the application says so, and else stays."""
        self.set(signed=True)
        query = self.access.signed_query(KEY, int(NOW) + 9)
        self.assertEqual(self.ask(query).lifetime, 0.0)
        self.now = NOW + 9
        self.assertEqual(self.ask(query).reason, "the signed address has expired")
        self.assertTrue(self.ask(query, again=True).allowed)
        self.set(cut_at_expiry=True)
        self.assertFalse(self.ask(query, again=True).allowed)
        self.now = NOW + 8.5
        self.assertEqual(self.ask(query).lifetime, 0.5)
        self.assertEqual(self.ask(query, again=True).lifetime, 0.5)

    def test_key_rotation(self) -> None:
        """F-AC-08: an address carries the id of its key, and ends with the key."""
        self.set(signed=True)
        key = self.done(self.access.keys.add(application="liveshow"))
        query = self.access.signed_query(KEY, int(NOW) + 9, key_id=key.id)
        self.assertEqual(self.rules(query), {""})
        self.done(self.access.keys.remove(key.id))
        self.assertEqual(self.rules(query), {"signature"})
        self.assertFalse(self.ask(query, again=True).allowed)
        with self.assertRaises(NoRule):
            self.access.signed_query(KEY, int(NOW) + 9, key_id=key.id)

    def test_share(self) -> None:
        """A share link stands for a signature, a page and a token, and ends when it is revoked."""
        self.set(signed=True, referers=("example.org",), jwks_url="https://id.example/")
        link = self.done(self.access.shares.add(KEY, "Ann", expires_at=NOW + 9, max_viewers=5))
        query = f"share={self.access.share_token(link.id)}"
        for protocol in PROTOCOLS:
            verdict = self.ask(query, protocol=protocol, page="https://mail.example/")
            self.assertEqual((verdict.share, verdict.limit), (link.id, 5))
            self.assertEqual(verdict.ticket, f"share:{link.id}")
        self.assertEqual(self.rules(query, key=OTHER), {"share"})
        self.assertEqual(self.rules(f"{query}x"), {"share"})
        self.access.watching = {f"share:{link.id}": 5}.__getitem__
        full = self.ask(query)
        self.assertEqual((full.rule, full.share), ("limit", link.id))
        self.now = NOW + 9
        self.assertEqual(self.rules(query), {"share"})
        self.assertTrue(self.ask(query, again=True).allowed)
        self.done(self.access.shares.remove(link.id))
        self.assertFalse(self.ask(query, again=True).allowed)
        # On an application that is open too: whoever has the link has it no more.
        self.set(signed=False, referers=(), jwks_url="")
        self.assertEqual(self.rules(query), {"share"})

    def test_share_is_no_right_to_publish(self) -> None:
        """F-AC-08: a link to play is none to publish."""
        self.set(publish_password="x")
        link = self.done(self.access.shares.add(KEY, "Ann"))
        query = f"share={self.access.share_token(link.id)}"
        self.assertEqual(self.rules(query, action=Action.PUBLISH), {"password"})

    def test_share_before_the_key(self) -> None:
        """F-AC-10: without the server's key no token is right, not one made with no key either."""
        link = self.done(self.access.shares.add(KEY, "Ann"))
        self.access.keys.own = b""
        self.assertEqual(self.rules(f"share={self.access.share_token(link.id)}"), {"share"})

    def test_page_session(self) -> None:
        """P-305: a page that was allowed gives its player a session that stands for the page."""
        self.set(referers=("example.org",), allow_empty_referer=False)
        session = self.access.page_session(KEY, 60)
        self.assertEqual(self.rules(), {"referer"})
        self.assertEqual(self.rules(page="http://this.server/", session=session), {""})
        self.assertEqual(self.rules(session=session, key=OTHER), {"referer"})
        # A bad one is none; the page itself may be good.
        self.assertEqual(self.rules(session="x"), {"referer"})
        self.assertEqual(self.rules(session="x", page="https://example.org/"), {""})
        self.now += 60
        for protocol in PROTOCOLS:
            # The page itself is given another for it.
            wanted = "" if protocol == PAGE else "referer"
            self.assertEqual(self.ask(session=session, protocol=protocol).rule, wanted)
        self.now += RENEWABLE_SECONDS
        self.assertEqual(self.rules(session=session), {"referer"})
        self.assertTrue(self.ask(session=session, again=True).allowed)

    def test_order(self) -> None:
        """The order of the issue: each rule is asked where those before it let pass."""
        self.applications["liveshow"] = Application(
            "liveshow",
            enabled=False,
            outputs=(),
            signed=True,
            referers=("example.org",),
            allow_empty_referer=False,
            jwks_url="https://id.example/",
        )
        self.access.authorizers.append(Authorizer(Verdict(False, "no", rule="third_party")))
        self.done(self.access.forbidden.forbid(KEY))
        rule = self.done(self.access.ip_rules.add("all", "block"))
        self.access.block("192.0.2.1", KEY, 99)
        for change, expected in (
            (lambda: None, "forbidden"),
            (lambda: self.done(self.access.forbidden.allow(KEY)), "application"),
            (lambda: self.set(enabled=True), "output"),
            (lambda: self.set(outputs=("flv",)), "kicked"),
            (lambda: self.access.block("192.0.2.1", KEY, 0), "ip"),
            (lambda: self.done(self.access.ip_rules.remove(rule.id)), "signature"),
            (lambda: self.set(signed=False), "referer"),
            (lambda: self.set(referers=()), "jwt"),
            (lambda: self.set(jwks_url=""), "third_party"),
            (self.access.authorizers.clear, ""),
        ):
            change()
            self.assertEqual(self.ask().rule, expected)

    def test_authorizers(self) -> None:
        """They are asked in order; the first that refuses has the word; a yes is put together."""
        first, second = Authorizer(), Authorizer()
        self.access.authorizers += [first, second]
        self.assertEqual(self.ask(), Verdict(True))
        first.opinion = Verdict(True, lifetime=60.0, rename=OTHER)
        second.opinion = Verdict(True, lifetime=30.0, rename=KEY, audio_only=True)
        verdict = self.ask()
        self.assertEqual((verdict.lifetime, verdict.rename), (30.0, OTHER))
        self.assertTrue(verdict.audio_only)
        first.opinion = Verdict(False, "not you", redirect="rtmp://x/y")
        asked = len(second.asked)
        verdict = self.ask()
        self.assertEqual((verdict.rule, verdict.reason), ("plugin", "not you"))
        self.assertEqual((verdict.redirect, len(second.asked)), ("rtmp://x/y", asked))

    def test_authorizers_again(self) -> None:
        """F-AC-09: who is there is asked about again only at the end of a lifetime."""
        authorizer = Authorizer(Verdict(False, "no"))
        self.access.authorizers.append(authorizer)
        self.assertTrue(self.ask(again=True).allowed)
        self.assertEqual(authorizer.asked, [])
        self.assertFalse(self.ask(again=True, ask=True).allowed)
        self.assertTrue(self.ask(ask=False).allowed)

    def test_authorizers_that_fail(self) -> None:
        """One that fails or takes too long refuses; one that raises at once too."""
        authorizer = Authorizer(RuntimeError("a bug"))
        self.access.authorizers.append(authorizer)
        self.assertEqual(self.ask().reason, "the decision failed")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        authorizer.opinion = Deferred()
        asking = self.asking()
        self.assertNoResult(asking)
        self.clock.advance(AUTHORIZER_SECONDS)
        self.assertEqual(self.successResultOf(asking).rule, "plugin")
        self.access.authorizers[0] = object()
        self.assertEqual(self.ask().rule, "plugin")
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_cancelled(self) -> None:
        """When the peer leaves, whoever is asked is told."""
        cancelled: list[Any] = []
        self.access.authorizers.append(Authorizer(Deferred(cancelled.append)))
        asking = self.asking()
        asking.cancel()
        self.failureResultOf(asking)
        self.assertEqual(len(cancelled), 1)

    def test_plugins(self) -> None:
        """Authorizers of plugins are found, after those that are there, and once."""
        mine, plugin = Authorizer(), Authorizer()
        self.patch(decision, "getPlugins", lambda _interface: [plugin])
        self.access.authorizers.append(mine)
        self.access.load()
        self.access.load()
        self.assertEqual(self.access.authorizers, [mine, plugin])

    def test_rename(self) -> None:
        """What others name is refused where the peer could not have had it either."""
        self.access.authorizers.append(Authorizer(Verdict(True, rename=StreamKey("audio", "x"))))
        self.assertTrue(self.ask(action=Action.PUBLISH).audio_only)
        self.done(self.access.forbidden.forbid(StreamKey("audio", "x")))
        self.assertEqual(self.rules(), {"forbidden"})
        self.done(self.access.forbidden.allow(StreamKey("audio", "x")))
        del self.applications["audio"]
        self.assertEqual(self.rules(), {"application"})

    def test_limits(self) -> None:
        """P-301: they are asked last, of the name that is meant, and not of who is there."""
        asked: list[StreamKey] = []

        def limits(request: Request) -> Verdict | None:
            asked.append(request.key)
            return Verdict(False, "the server is full") if request.key == OTHER else None

        self.access.limits = limits
        self.assertTrue(self.ask().allowed)
        self.assertEqual(self.ask(key=OTHER).rule, "limit")
        self.assertTrue(self.ask(key=OTHER, again=True).allowed)
        self.assertTrue(self.ask(key=OTHER, protocol=PAGE).allowed)
        authorizer = Authorizer(Verdict(True, rename=OTHER))
        self.access.authorizers.append(authorizer)
        self.assertEqual(self.ask().rule, "limit")
        # Nobody outside is asked about somebody whom there is no room for.
        count = len(authorizer.asked)
        self.assertEqual(self.ask(key=OTHER).rule, "limit")
        self.assertEqual(len(authorizer.asked), count)
        self.set(signed=True)
        asked.clear()
        self.assertEqual(self.ask().rule, "signature")
        self.assertEqual(asked, [])

    def test_refusals_are_counted(self) -> None:
        """By application, protocol and rule; names that are made up count as one."""
        self.set(publish_password="x")
        self.ask(action=Action.PUBLISH, protocol="rtmp")
        self.ask(action=Action.PUBLISH, protocol="rtmp", again=True)
        for number in range(50):
            self.ask(key=StreamKey(f"x{number}", "a"))
        self.ask()
        self.assertEqual(
            dict(self.access.refused),
            {("liveshow", "rtmp", "password"): 1, ("", "flv", "application"): 50},
        )
