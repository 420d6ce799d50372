"""B-AC-01: each rule on each protocol: the same verdict, and the right refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Request, Verdict
from ntvmedia.access.signing import signed_query
from ntvmedia.events import PlayEnded, PlayStarted
from ntvmedia.media import StreamKey
from ntvmedia.preferences import Values
from ntvmedia.wire.rtmp.events import ReconnectRequested
from tests.endpoints.http.rig import Client
from tests.endpoints.whole import KEY, PAGES, PLAYERS, Outcome, WholeServer

STREAM = StreamKey("liveshow", "test")

# What each protocol says to one who may not, and to one for whom there is no room.
REFUSED = {name: 403 for name in (*PLAYERS, *PAGES)} | {"rtmp": "NetStream.Play.Failed"}
FULL = {name: 503 for name in PLAYERS} | {"rtmp": "NetStream.Play.Failed"}


class Authorizer:
    """A plugin that has an opinion."""

    def __init__(self, verdict: Verdict | None) -> None:
        self.verdict = verdict
        self.asked: list[str] = []

    def decide(self, request: Request) -> Deferred[Verdict | None]:
        """Say it."""
        self.asked.append(request.protocol)
        return succeed(self.verdict)


class MatrixCase(SynchronousTestCase):
    """A stream, and players on all protocols."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.server = WholeServer(Path(folder.name))
        self.server.publish()

    def set(self, **fields: Any) -> None:
        """Change the application."""
        self.server.change(replace(self.server.applications["liveshow"], **fields))

    def done(self, change: Deferred[Any]) -> Any:
        """Return what a change of rules made, which must be done."""
        return self.successResultOf(change)

    def everywhere(self, expected: Any, players: Any = None, **how: Any) -> dict[str, Outcome]:
        """Have all play, and check what each is told."""
        found = {
            name: play(self.server, **how)
            for name, play in ({**PLAYERS, **PAGES} if players is None else players).items()
        }
        wanted = expected if isinstance(expected, dict) else dict.fromkeys(found, expected)
        self.assertEqual(
            {name: outcome.words for name, outcome in found.items()},
            {name: wanted[name] for name in found},
        )
        return found

    def reasons(self, found: dict[str, Outcome], reason: str) -> None:
        """Check that all that can say why do: never an empty body (B-AC-01)."""
        for name, outcome in found.items():
            if name != "rtsp":
                self.assertIn(reason, outcome.reason, name)


class ComingTests(MatrixCase):
    """Who comes."""

    def test_open(self) -> None:
        """Without a rule all may play, and each is a viewer, but for pages."""
        self.everywhere(200)
        self.assertEqual(self.server.limits.load_of().players, len(PLAYERS))

    def test_forbidden(self) -> None:
        """P-404: a forbidden stream is nobody's."""
        self.done(self.server.access.forbidden.forbid(STREAM))
        self.reasons(self.everywhere(REFUSED), "forbidden")

    def test_disabled(self) -> None:
        """P-204: nor is one of a disabled application."""
        self.set(enabled=False)
        self.reasons(self.everywhere(REFUSED), "is disabled")

    def test_blocked_address(self) -> None:
        """P-307: who is blocked by address, and nobody else."""
        self.done(self.server.access.ip_rules.add("192.0.2.0/24", "block"))
        self.everywhere(REFUSED)
        self.everywhere(200, host="198.51.100.1")

    def test_trusted_address(self) -> None:
        """P-307: a trusted network skips the rest: here a signature."""
        self.set(signed=True)
        self.done(self.server.access.ip_rules.add("198.51.100.0/24", "trust"))
        self.everywhere(REFUSED)
        self.everywhere(200, host="198.51.100.1")

    def test_signature(self) -> None:
        """F-AC-08: signed addresses play, others and those that are over do not."""
        self.set(signed=True)
        good = signed_query(KEY, STREAM, int(self.server.wall_clock) + 600)
        self.everywhere(200, query=good)
        self.reasons(self.everywhere(REFUSED, query=good[:-2]), "signature")
        self.reasons(self.everywhere(REFUSED), "not signed")
        self.server.wall_clock += 700
        self.reasons(self.everywhere(REFUSED, query=good), "expired")

    def test_share_link(self) -> None:
        """A share link is enough; one that was revoked is worth nothing."""
        self.set(signed=True)
        link = self.done(self.server.access.shares.add(STREAM, "for a friend"))
        query = f"share={self.server.access.share_token(link.id)}"
        self.everywhere(200, query=query)
        self.done(self.server.access.shares.remove(link.id))
        self.everywhere(REFUSED, query=query)

    def test_referer(self) -> None:
        """P-305: pages of others may not play, whatever the protocol tells them by."""
        self.set(referers=("example.org",))
        # RTSP has no way to tell a page: it names none.
        others = {name: x for name, x in {**PLAYERS, **PAGES}.items() if name != "rtsp"}
        evil = "https://example.org.evil.net/"
        self.reasons(self.everywhere(REFUSED, others, page=evil), "none of those allowed")
        self.everywhere(200, page="https://www.example.org/a")
        self.everywhere(200)
        self.set(allow_empty_referer=False)
        self.everywhere(REFUSED)

    def test_authorizer(self) -> None:
        """P-304: who is asked outside refuses on every protocol; pages ask nobody yet."""
        authorizer = Authorizer(Verdict(False, "not paid"))
        self.server.access.authorizers.append(authorizer)
        self.reasons(self.everywhere(REFUSED, PLAYERS), "not paid")
        self.assertEqual(authorizer.asked, list(PLAYERS))
        self.everywhere(200, PAGES)

    def test_no_output(self) -> None:
        """An output that is turned off is refused, the others are not."""
        self.set(outputs=("rtmp",))
        self.everywhere({**REFUSED, "rtmp": 200, "page": 200, "embed": 200})

    def test_full(self) -> None:
        """P-301, G-RS-03: a clear refusal where there is no room; pages take none."""
        self.set(max_players=1)
        first = PLAYERS["flv"](self.server)
        self.assertEqual(first.words, 200)
        self.reasons(self.everywhere(FULL, PLAYERS), "has as many players as it may have (1)")
        self.everywhere(200, PAGES)
        refused = {key: n for key, n in self.server.access.refused.items() if key[2] == "limit"}
        self.assertEqual(sum(refused.values()), len(PLAYERS))
        self.assertEqual({key[0] for key in refused}, {"liveshow"})

    def test_full_server(self) -> None:
        """The same for the whole server, and for one stream."""
        self.server.preferences.values = Values(max_players=1)
        self.assertEqual(PLAYERS["hls"](self.server).words, 200)
        self.everywhere(FULL, PLAYERS)
        self.server.preferences.values = Values()
        self.set(max_stream_players=1)
        self.everywhere(FULL, PLAYERS)

    def test_address_of_a_proxy(self) -> None:
        """F-AC-05: `X-Forwarded-For` counts from a configured proxy only."""
        self.done(self.server.access.ip_rules.add("203.0.113.9", "block"))

        def status(host: str, *fields: bytes) -> int:
            answer = Client(self.server.front, host).get(b"/liveshow/test.flv", *fields)
            return int(answer.split()[1])

        forwarded = b"X-Forwarded-For: 203.0.113.9"
        self.assertEqual(status("198.51.100.7", forwarded), 200)
        self.server.preferences.values = Values(trusted_proxies=(ip_network("198.51.100.0/24"),))
        self.assertEqual(status("198.51.100.7", forwarded), 403)
        self.assertEqual(status("192.0.2.1", forwarded), 200)
        self.assertEqual(status("198.51.100.7", b"X-Forwarded-For: 203.0.113.9, 192.0.2.5"), 200)
        peers = [viewer.info.peer for viewer in self.server.hub.streams[STREAM].viewers]
        self.assertIn("192.0.2.5:0", peers)


class StayingTests(MatrixCase):
    """Who is there, and may no longer be."""

    def setUp(self) -> None:
        super().setUp()
        self.query = ""
        self.found: dict[str, Outcome] = {}

    def watch(self, seconds: int) -> None:
        """Let time pass; who plays by HLS asks on, or would be one who comes back."""
        for _second in range(seconds):
            self.server.run(1)
            self.found["hls"].end()

    def sent_away(self, change: Callable[[], Any], reason: str) -> None:
        """Have all play, make a change, and check how each is told."""
        self.found = found = self.everywhere(200, PLAYERS, query=self.query)
        self.server.run(2)
        self.assertEqual({n: x.end() for n, x in found.items()}, dict.fromkeys(found))
        change()
        ends = {name: outcome.end() for name, outcome in found.items()}
        code, words = ends["rtmp"]
        self.assertEqual(code, "NetStream.Play.Failed")
        self.assertIn(reason, words)
        self.assertTrue(ends["rtsp"])
        for name in ("flv", "ts"):
            self.assertEqual(ends[name], b"0\r\n\r\n", name)
        for name in ("ws-flv", "ws-ts"):
            # RFC 6455 section 7.4.1: 1008, a policy was violated.
            self.assertEqual(ends[name][2:4], (1008).to_bytes(2, "big"), name)
            self.assertIn(reason[:40].encode(), ends[name])
        self.assertEqual(ends["hls"][0], 403)
        self.assertIn(reason, ends["hls"][1])
        self.assertEqual(len(self.server.hub.streams[STREAM].viewers), 0)
        self.assertEqual(self.server.limits.load_of().players, 0)
        # G-HK-03: one end for each start, and no other.
        told = self.server.told
        started = [x.session for x in told if isinstance(x, PlayStarted)]
        ended = [x.session for x in told if isinstance(x, PlayEnded)]
        self.assertEqual(sorted(started), sorted(ended))

    def test_forbidden(self) -> None:
        """P-404: forbidding a stream sends all away."""
        self.sent_away(lambda: self.done(self.server.access.forbidden.forbid(STREAM)), "forbidden")

    def test_blocked(self) -> None:
        """P-307, F-AC-09: an address that is blocked leaves."""
        self.sent_away(
            lambda: self.done(self.server.access.ip_rules.add("192.0.2.0/24", "block")),
            "address",
        )

    def test_revoked(self) -> None:
        """Revoking a share link ends what runs, on every protocol."""
        self.set(signed=True)
        link = self.done(self.server.access.shares.add(STREAM, "for a friend"))
        self.query = f"share={self.server.access.share_token(link.id)}"
        self.sent_away(lambda: self.done(self.server.access.shares.remove(link.id)), "revoked")

    def test_referers_changed(self) -> None:
        """P-305: who named no page leaves when that is no longer enough."""
        self.sent_away(
            lambda: self.set(referers=("example.org",), allow_empty_referer=False), "not named"
        )

    def test_signed_stays(self) -> None:
        """F-AC-09: an address that expires is no reason to go, unless the application says so."""
        self.set(signed=True)
        self.query = signed_query(KEY, STREAM, int(self.server.wall_clock) + 20)
        self.found = found = self.everywhere(200, PLAYERS, query=self.query)
        self.watch(25)
        self.set(hls_segment_count=8)
        self.assertEqual({n: x.end() for n, x in found.items()}, dict.fromkeys(found))

    def test_signed_is_cut(self) -> None:
        """F-AC-09: with `cut_at_expiry` it is, on every protocol, at that moment."""
        self.set(signed=True, cut_at_expiry=True)
        self.query = signed_query(KEY, STREAM, int(self.server.wall_clock) + 30)
        self.sent_away(lambda: self.watch(31), "expired")

    def test_lifetime(self) -> None:
        """F-AC-09: who is asked outside gives a lifetime, and is asked again when it is over."""
        authorizer = Authorizer(Verdict(True, lifetime=40.0))
        self.server.access.authorizers.append(authorizer)

        def refuse() -> None:
            authorizer.verdict = Verdict(False, "the time is over")
            self.watch(45)

        self.sent_away(refuse, "the time is over")
        self.assertEqual(sorted(authorizer.asked), sorted(2 * list(PLAYERS)))

    def test_lifetime_renewed(self) -> None:
        """One who may stay does, and is asked each time; changes in between ask nobody outside."""
        authorizer = Authorizer(Verdict(True, lifetime=10.0))
        self.server.access.authorizers.append(authorizer)
        found = self.everywhere(200, {"rtmp": PLAYERS["rtmp"], "ts": PLAYERS["ts"]})
        self.set(hls_segment_count=8)
        self.assertEqual(len(authorizer.asked), 2)
        self.server.run(25)
        self.assertEqual(len(authorizer.asked), 6)
        self.assertEqual({n: x.end() for n, x in found.items()}, dict.fromkeys(found))


class RedirectTests(MatrixCase):
    """A refusal that says where to go instead."""

    def refuse_to(self, address: str) -> None:
        """Have all refused so."""
        verdict = Verdict(False, "served elsewhere", redirect=address)
        self.server.access.authorizers[:] = [Authorizer(verdict)]

    def test_http(self) -> None:
        """FLV, TS and HLS are sent there with 302, and no peer to another protocol."""
        self.refuse_to("http://other.example/liveshow/test.flv")
        for target in (b"/liveshow/test.flv", b"/liveshow/test.ts", b"/liveshow/test.m3u8"):
            answer = Client(self.server.front, "192.0.2.1").get(target)
            self.assertEqual(answer.split()[1], b"302")
            self.assertIn(b"\r\nLocation: http://other.example/liveshow/test.flv\r\n", answer)
        self.refuse_to("rtmp://other.example/liveshow/test")
        self.everywhere(REFUSED, PLAYERS)

    def test_rtsp(self) -> None:
        """RFC 2326 section 10.10: likewise."""
        self.refuse_to("rtsp://other.example/liveshow/test")
        answer = self.server.peer().ask("DESCRIBE")
        self.assertEqual(answer.status, 302)
        self.assertEqual(answer.headers.get("location"), "rtsp://other.example/liveshow/test")

    def test_rtmp(self) -> None:
        """E-RTMP v2: one who knows how to move is told where to; he is refused here."""
        self.refuse_to("rtmp://other.example/liveshow")
        player = self.server.rtmp_player()
        kinds = [type(event).__name__ for event in player.events]
        self.assertIn("ReconnectRequested", kinds)
        self.assertIn("Rejected", kinds)
        [moved] = [x for x in player.events if isinstance(x, ReconnectRequested)]
        self.assertEqual(moved.tc_url, "rtmp://other.example/liveshow")

    def test_where_it_was_asked(self) -> None:
        """Who decides is told under which address he was asked, without user and password."""
        asked: list[str] = []

        class Listener:
            def decide(self, request: Request) -> Deferred[Verdict | None]:
                asked.append(request.address)
                return succeed(None)

        self.server.access.authorizers.append(Listener())
        for name in ("rtmp", "rtsp", "flv"):
            PLAYERS[name](self.server)
        self.assertEqual(asked, ["rtmp://host", "rtsp://192.0.2.9:8554", "http://example.org"])
