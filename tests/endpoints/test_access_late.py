"""Between a decision and what it is for: what changes meanwhile, and who goes around it."""

from __future__ import annotations

import re
from base64 import b64encode
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed

from ntvmedia.access import OUTPUTS, Action, Request, Verdict
from ntvmedia.access.page_sessions import PAGE_SECONDS, RENEWABLE_SECONDS
from ntvmedia.access.signing import signed_query
from ntvmedia.endpoints.http.hls.outputs import HLSOutputs
from ntvmedia.media import StreamKey
from tests.endpoints.http.rig import Client, request
from tests.endpoints.rtsp.server import HOST, TCP, URL, VIDEO, Peer, Source, Transport, media
from tests.endpoints.test_access_matrix import STREAM, MatrixCase
from tests.endpoints.whole import PLAYERS, WholeServer

PEER = "192.0.2.1"
OTHER = StreamKey("liveshow", "other")


def get(server: WholeServer, target: str, host: str = PEER) -> tuple[int, str]:
    """Ask by HTTP."""
    client = Client(server.front, host)
    answer = client.get(target.encode())
    for _second in range(10):
        if answer:
            break
        server.run(1)
        answer = client.received()
    head, _mark, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode("latin-1")


def playlist_of(server: WholeServer, host: str = PEER) -> str:
    """Ask for a stream, and return the address of its first variant."""
    status, body = get(server, "/liveshow/test.m3u8", host)
    assert status == 200, body
    return "/liveshow/" + next(x for x in body.splitlines() if x and not x.startswith("#"))


class Within:
    """The two connections of a tunnel, seen as the one that they are to RTSP.

    Args:
        server: Its HTTP is asked.
        address: Of the client.
        cookie: Tells this tunnel from others.
    """

    def __init__(self, server: WholeServer, address: str, cookie: bytes) -> None:
        self._server = server
        self._address = address
        self._fields = (b"x-sessioncookie: " + cookie, b"Connection: close")

    def makeConnection(self, transport: Transport) -> None:
        """Open both."""
        self._get = Client(self._server.front, self._address, transport)
        self._get.send(request(b"GET", b"/liveshow/test", *self._fields))
        transport.clear()
        self._post = Client(self._server.front, self._address)
        length = b"Content-Length: 32767"
        self._post.send(request(b"POST", b"/liveshow/test", *self._fields, length))

    def dataReceived(self, data: bytes) -> None:
        """Say something."""
        self._post.protocol.dataReceived(b64encode(data))


class Renaming:
    """An authorizer that has a name for everybody, and no opinion else."""

    def decide(self, _request: Request) -> Deferred[Verdict]:
        """Say it."""
        return succeed(Verdict(True, rename=OTHER))


class KickedTests(MatrixCase):
    """F-AC-09: a block counts when one begins, however long ago it was allowed."""

    def test_rtsp(self) -> None:
        """Who prepared another connection before he was sent away does not begin with it."""
        for host, status in ((PEER, 403), ("192.0.2.2", 200)):
            peer = Peer(self.server, host)
            peer.describe()
            peer.set_up({0: "0-1"})
            self.server.access.block(PEER, STREAM, 60)
            self.assertEqual(peer.ask("PLAY").status, status)
            self.server.access.block(PEER, STREAM, 0)

    def test_rtsp_publisher(self) -> None:
        """Nor does a publisher."""
        peer = self.server.peer(path="/liveshow/other")
        self.assertEqual(peer.announce().status, 200)
        peer.ok("SETUP", "/trackID=0", Transport=f"{TCP}0-1;mode=record")
        self.server.access.block(PEER, OTHER, 60, Action.PUBLISH)
        self.assertEqual(peer.ask("RECORD").status, 403)
        self.assertNotIn(OTHER, self.server.hub.streams)

    def test_hls(self) -> None:
        """Nor with a session that he got before."""
        mine, others = playlist_of(self.server), playlist_of(self.server, "192.0.2.2")
        self.server.access.block(PEER, STREAM, 60)
        self.assertEqual(get(self.server, mine)[0], 403)
        self.assertEqual(get(self.server, others, "192.0.2.2")[0], 200)


class SharedTests(MatrixCase):
    """HLS without sessions: the address is for all, and still not for everybody."""

    def setUp(self) -> None:
        super().setUp()
        self.set(hls_sessions=False)
        self.playlist = playlist_of(self.server)
        self.assertIn("/~/", self.playlist)
        self.assertEqual(self.status(), 200)
        self.assertIsNotNone(self.server.part(HLSOutputs).find_file(self.playlist.encode()))

    def status(self, host: str = PEER) -> int:
        """Ask for the playlist, twice: what was answered may be remembered."""
        found = get(self.server, self.playlist, host)[0]
        self.assertEqual(get(self.server, self.playlist, host)[0], found)
        return found

    def test_blocked(self) -> None:
        """P-307: whose address is blocked gets nothing, from memory or not; the others do."""
        rule = self.done(self.server.access.ip_rules.add("192.0.2.0/24", "block"))
        self.assertEqual(self.status(), 403)
        self.assertEqual(self.status("198.51.100.1"), 200)
        self.assertEqual(self.status(), 403)
        self.done(self.server.access.ip_rules.remove(rule.id))
        self.assertEqual(self.status(), 200)

    def test_trusted(self) -> None:
        """A rule that lets somebody in, or one about publishers, takes nothing from memory."""
        rules = self.server.access.ip_rules
        for action, scope in (("trust", "play"), ("block", "publish")):
            rule = self.done(rules.add("192.0.2.0/24", action, [scope]))
            self.assertEqual(self.status(), 200)
            self.assertIsNotNone(self.server.part(HLSOutputs).find_file(self.playlist.encode()))
            self.done(rules.remove(rule.id))

    def test_sent_away(self) -> None:
        """F-AC-09: who was sent away on any protocol is, here too, until it is over."""
        self.server.access.block(PEER, STREAM, 60)
        self.assertEqual(self.status(), 403)
        self.assertEqual(self.status("192.0.2.2"), 200)
        self.server.run(61)
        self.assertEqual(self.status(), 200)

    def test_forbidden(self) -> None:
        """P-404: what is kept of a forbidden stream is nobody's."""
        segment = self.playlist.rpartition("/")[0] + "/" + self.segments()[-1]
        self.assertEqual(get(self.server, segment)[0], 200)
        self.done(self.server.access.forbidden.forbid(STREAM))
        self.assertEqual(self.status(), 403)
        self.assertEqual(get(self.server, segment)[0], 403)

    def segments(self) -> list[str]:
        """Return the names of the segments that there are."""
        lines = get(self.server, self.playlist)[1].splitlines()
        return [x for x in lines if x and not x.startswith("#")]

    def test_asked_outside(self) -> None:
        """Where others have a say in who plays, each viewer has a session."""
        self.server.access.authorizers.append(Renaming())
        self.assertEqual(self.status(), 403)


class PresentationTests(MatrixCase):
    """What is played over RTSP is what the rules are asked about."""

    def setUp(self) -> None:
        super().setUp()
        pictures = [x for x in media(0, 2200) if x.track is VIDEO]
        Source(self.server, (VIDEO,), OTHER).send(*pictures)
        self.server.run(2)

    def test_looks_elsewhere(self) -> None:
        """Who has set up one stream plays that, whatever he looks at before he begins."""
        peer = Peer(self.server)
        peer.describe()
        peer.set_up({0: "0-1"})
        peer.ok("DESCRIBE", f"{HOST}/liveshow/other")
        peer.ok("PLAY", URL)
        [viewer] = self.server.hub.streams[STREAM].viewers
        self.assertEqual(viewer.info.request.key, STREAM)
        self.assertFalse(self.server.hub.streams[OTHER].viewers)

    def test_nothing_to_send(self) -> None:
        """Nor is he taken for one who plays what cannot be sent."""
        peer = Peer(self.server)
        peer.describe()
        self.assertEqual(peer.ask("DESCRIBE", f"{HOST}/liveshow/other?audio=1").status, 415)
        peer.set_up({0: "0-1"})
        peer.ok("PLAY")
        [viewer] = self.server.hub.streams[STREAM].viewers
        self.assertEqual(viewer.info.request.key, STREAM)
        self.done(self.server.access.forbidden.forbid(STREAM))
        self.assertTrue(peer.transport.disconnecting)


class TunnelTests(MatrixCase):
    """RTSP within HTTP is asked about, and sent away, as RTSP is."""

    def tunnel(self, query: str = "", *, cookie: bytes = b"a", host: str = PEER) -> Peer:
        """Open one."""
        server = SimpleNamespace(build=lambda address: Within(self.server, address, cookie))
        return Peer(cast(Any, server), host, f"{URL}?{query}" if query else URL)

    def test_coming(self) -> None:
        """Each rule refuses, and lets in whom it does not mean."""
        access = self.server.access
        signed: dict[str, Any] = {"signed": True}
        expires = int(self.server.wall_clock) + 60
        cases: tuple[tuple[dict[str, Any], Any, str, int], ...] = (
            ({}, None, "", 200),
            (signed, None, "", 403),
            (signed, None, signed_query(b"k" * 32, STREAM, expires), 200),
            (signed, None, signed_query(b"k" * 32, STREAM, expires, ip=PEER), 200),
            (signed, None, signed_query(b"k" * 32, STREAM, expires, ip="192.0.2.2"), 403),
            ({"outputs": ("flv",)}, None, "", 403),
            ({"enabled": False}, None, "", 403),
            ({}, lambda: access.block(PEER, STREAM, 60), "", 403),
            ({}, lambda: access.block(PEER, STREAM, 0), "", 200),
            ({}, lambda: access.ip_rules.add("192.0.2.0/24", "block"), "", 403),
        )
        for number, (fields, change, query, status) in enumerate(cases):
            if not fields.get("enabled", True):
                self.server.publishing.publication.close("over", lost=False)
            self.set(**{"signed": False, "outputs": OUTPUTS, "enabled": True, **fields})
            if change is not None:
                change()
            peer = self.tunnel(query, cookie=b"c%d" % number)
            self.assertEqual(peer.ask("DESCRIBE").status, status, (fields, query, number))
            if not fields.get("enabled", True):
                self.set(enabled=True)
                self.server.publish()

    def test_staying(self) -> None:
        """Who plays is sent away by a rule, by hand, and at the end of what was signed."""
        access = self.server.access
        self.set(signed=True, cut_at_expiry=True)
        for number, change in enumerate(
            (
                lambda: self.server.run(31),
                lambda: [x.kick("an operator") for x in self.viewers()],
                lambda: self.done(access.forbidden.forbid(STREAM)),
                lambda: self.done(access.forbidden.allow(STREAM)),
                lambda: self.done(access.ip_rules.add("192.0.2.0/24", "block")),
            )
        ):
            if number == 3:
                change()
                continue
            expires = int(self.server.wall_clock) + 30
            peer = self.tunnel(signed_query(b"k" * 32, STREAM, expires), cookie=b"s%d" % number)
            peer.play()
            self.server.run(1)
            self.assertEqual(len(self.viewers()), 1)
            self.assertEqual(self.viewers()[0].info.protocol, "rtsp-http")
            change()
            self.assertEqual(self.viewers(), [], number)
            self.assertTrue(peer.transport.disconnecting, number)

    def test_publisher(self) -> None:
        """A publisher has to know the password, and leaves when its stream is forbidden."""
        self.set(publish_password="geheim")
        peer = self.tunnel(cookie=b"p")
        peer.url = f"{HOST}/liveshow/other"
        self.assertEqual(peer.announce().status, 401)
        basic = "Basic " + b64encode(b"ann:geheim").decode()
        self.assertEqual(peer.announce(Authorization=basic).status, 200)
        peer.ok("SETUP", "/trackID=0", Transport=f"{TCP}0-1;mode=record")
        peer.ok("RECORD")
        self.assertIn(OTHER, self.server.hub.streams)
        self.done(self.server.access.forbidden.forbid(OTHER))
        self.assertTrue(peer.transport.disconnecting)

    def viewers(self) -> list[Any]:
        """Return who plays."""
        return list(self.server.hub.streams[STREAM].viewers)


class PageTests(MatrixCase):
    """P-305: a page that stays open goes on, also when its machine slept."""

    def session_of(self, session: str = "", *, page: bytes) -> str:
        """Load the page, and return the session that it has; empty where it is refused."""
        query = b"?page=" + session.encode() if session else b""
        client = Client(self.server.front, PEER)
        answer = client.get(b"/liveshow/test" + query, b"Referer: " + page)
        found = re.search(rb'name="page-session" content="([^"]+)"', answer)
        return "" if found is None else found[1].decode()

    def test_left_open(self) -> None:
        """Its own session, over or not, gets it another; nobody plays by one that is over."""
        self.set(referers=("a.example",), allow_empty_referer=False)
        own = b"http://here.example/liveshow/test"
        self.assertEqual(self.session_of(page=own), "")
        session = self.session_of(page=b"https://a.example/")
        for seconds in (240, PAGE_SECONDS + 1, 40_000):
            before, self.server.wall_clock = session, self.server.wall_clock + seconds
            status = 200 if seconds < PAGE_SECONDS else 403
            self.assertEqual(get(self.server, f"/liveshow/test.m3u8?page={before}")[0], status)
            session = self.session_of(before, page=own)
            self.assertNotIn(session, ("", before))
            self.assertEqual(get(self.server, f"/liveshow/test.m3u8?page={session}")[0], 200)
        self.assertEqual(self.session_of(session[:-1] + "!", page=own), "")
        self.server.wall_clock += PAGE_SECONDS + RENEWABLE_SECONDS
        self.assertEqual(self.session_of(session, page=own), "")


class RenamedTests(MatrixCase):
    """What others name instead is looked at as long as it is there."""

    def setUp(self) -> None:
        super().setUp()
        self.server.access.authorizers.append(Renaming())

    def test_publisher(self) -> None:
        """P-404: one that was announced before its other name was forbidden is not let in."""
        peer = self.server.peer(path="/liveshow/third")
        self.assertEqual(peer.announce().status, 200)
        peer.ok("SETUP", "/trackID=0", Transport=f"{TCP}0-1;mode=record")
        self.done(self.server.access.forbidden.forbid(OTHER))
        self.assertEqual(peer.ask("RECORD").status, 403)

    def test_there(self) -> None:
        """And all who are there leave: the publisher, and the players."""
        source = Source(self.server, key=OTHER)
        source.send(*media(0, 2200))
        self.server.run(2)
        found: dict[str, Any] = {n: p(self.server) for n, p in PLAYERS.items() if n != "hls"}
        self.assertEqual({x.words for x in found.values()}, {200})
        publisher = self.server.peer(path="/liveshow/third")
        publisher.announce()
        publisher.ok("SETUP", "/trackID=0", Transport=f"{TCP}0-1;mode=record")
        self.done(self.server.access.forbidden.forbid(OTHER))
        for name, outcome in found.items():
            self.assertTrue(outcome.end(), name)
