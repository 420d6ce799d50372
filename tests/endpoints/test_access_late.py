"""Between a decision and what it is for: what changes meanwhile, and who goes around it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed

from ntvmedia.access import Action, Request, Verdict
from ntvmedia.endpoints.http.hls.outputs import HLSOutputs
from ntvmedia.media import StreamKey
from tests.endpoints.http.rig import Client
from tests.endpoints.rtsp.server import HOST, TCP, URL, VIDEO, Peer, Source, media
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
