"""E-ST-08: what would go round between servers is refused on every protocol, whoever says so."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.events import StreamWanted
from ntvmedia.media import StreamKey
from ntvmedia.media.hops import HOPS_FIELD, HOPS_PROPERTY
from ntvmedia.wire.rtmp.client import ClientSession
from ntvmedia.wire.rtmp.events import Accepted, Rejected
from tests.endpoints.http.rig import Client
from tests.endpoints.rtmp.server import Peer as RTMPPeer
from tests.endpoints.rtsp.server import HOST, RANDOM, Peer as RTSPPeer
from tests.endpoints.whole import SOCKET, WholeServer

OTHERS = tuple(f"{number:016x}" for number in range(1, 7))
OWN = WholeServer.server_id
LOOPS = (OWN, f"{OTHERS[0]},{OWN}", ",".join(OTHERS[:5]))
GOOD = ",".join(OTHERS[:4])
MALFORMED = ("x", OWN.upper(), ",".join(OTHERS), f"{OTHERS[0]},,{OTHERS[1]}")


class HopsCase(SynchronousTestCase):
    """A server with all protocols."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.server = WholeServer(Path(folder.name))
        self.wanted: list[StreamWanted] = []
        self.server.events.subscribe(StreamWanted, self.wanted.append)

    def rtmp(self, hops: str, *, publishing: bool, name: str = "test") -> RTMPPeer:
        """Have another server connect."""
        session = ClientSession(
            RANDOM,
            publishing=publishing,
            app="liveshow",
            name=name,
            tc_url="rtmp://host/liveshow",
            properties={HOPS_PROPERTY: hops},
        )
        protocol = self.server.rtmp.buildProtocol(IPv4Address("TCP", "192.0.2.1", 50000))
        return RTMPPeer(cast(Any, self.server), cast(Any, protocol), session)

    def rtmp_answer(self, peer: RTMPPeer) -> str:
        """Return what it was told: empty where it was accepted."""
        [answer] = [x for x in peer.events if isinstance(x, Accepted | Rejected)]
        return answer.description if isinstance(answer, Rejected) else ""

    def rtsp(self, method: str, hops: str, body: bytes = b"", **fields: str) -> int:
        """Have another server ask by RTSP; returns the status."""
        peer = RTSPPeer(self.server, "192.0.2.1", f"{HOST}/liveshow/test")
        return peer.ask(method, body=body, X_Ntv_Hops=hops, **fields).status

    def http(self, path: str, hops: str, *fields: bytes) -> tuple[int, str]:
        """Have another server ask over HTTP."""
        client = Client(self.server.front, "192.0.2.1")
        answer = client.get(path.encode(), b"X-Ntv-Hops: " + hops.encode(), *fields)
        head, _mark, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode("latin-1")


class PlayTests(HopsCase):
    """Another server pulls."""

    def setUp(self) -> None:
        super().setUp()
        self.server.publish()

    def test_rtmp(self) -> None:
        """It is told why."""
        self.assertEqual(self.rtmp_answer(self.rtmp(GOOD, publishing=False)), "")
        for hops in LOOPS:
            self.assertIn("a loop", self.rtmp_answer(self.rtmp(hops, publishing=False)))
        for hops in MALFORMED:
            self.assertIn("malformed", self.rtmp_answer(self.rtmp(hops, publishing=False)))

    def test_rtsp(self) -> None:
        """508, before anything is described."""
        self.assertEqual(self.rtsp("DESCRIBE", GOOD), 200)
        self.assertEqual([self.rtsp("DESCRIBE", hops) for hops in LOOPS], [508] * len(LOOPS))
        self.assertEqual({self.rtsp("DESCRIBE", hops) for hops in MALFORMED}, {400})

    def test_http(self) -> None:
        """508, for each format; a proxy may have joined the field's values."""
        for path in ("/liveshow/test.flv", "/liveshow/test.ts", "/liveshow/test.m3u8"):
            self.assertEqual(self.http(path, GOOD.replace(",", ", "))[0], 200)
            for hops in LOOPS:
                status, reason = self.http(path, hops)
                self.assertEqual(status, 508)
                self.assertIn("a loop", reason)
            for hops in MALFORMED:
                status, reason = self.http(path, hops)
                self.assertEqual(status, 404)
                self.assertIn("malformed", reason)

    def test_back_to_where_it_came_from(self) -> None:
        """A stream that came by another server does not go back there, nor beyond."""
        self.rtmp(f"{OTHERS[0]},{OTHERS[1]}", publishing=True, name="passed")
        stream = self.server.hub.streams[StreamKey("liveshow", "passed")]
        self.assertEqual(stream.hops, OTHERS[:2])
        self.server.hub.streams[StreamKey("liveshow", "test")].hops = OTHERS[:2]
        for hops in OTHERS[:2]:
            answer = self.rtmp_answer(self.rtmp(hops, publishing=False))
            self.assertIn("came from the server that asks", answer)
            self.assertEqual(self.rtsp("DESCRIBE", hops), 508)
            self.assertEqual(self.http("/liveshow/test.flv", hops)[0], 508)
            self.assertEqual(self.http("/liveshow/test.m3u8", hops)[0], 508)
        self.assertEqual(self.http("/liveshow/test.flv", OTHERS[2])[0], 200)


class WantedTests(HopsCase):
    """Another server wants what is not there."""

    def test_told(self) -> None:
        """Whoever could bring it knows who wants it, on each protocol."""
        self.rtmp(GOOD, publishing=False, name="a")
        self.rtsp_wants()
        clients = []  # who hangs up waits no longer
        for name, extension in (("c", "flv"), ("d", "ts"), ("e", "m3u8")):
            client = Client(self.server.front, "192.0.2.1")
            field = b"X-Ntv-Hops: " + GOOD.encode()
            client.get(f"/liveshow/{name}.{extension}".encode(), field)
            clients.append(client)
        self.assertEqual([x.key.stream for x in self.wanted], ["a", "test", "c", "d", "e"])
        self.assertEqual({x.hops for x in self.wanted}, {OTHERS[:4]})
        self.server.hub.stop("end")

    def rtsp_wants(self) -> None:
        """Ask by RTSP, without an answer for now."""
        peer = RTSPPeer(self.server, "192.0.2.1", f"{HOST}/liveshow/test")
        peer.send("DESCRIBE", X_Ntv_Hops=GOOD)

    def test_loop(self) -> None:
        """E-ST-08: for a loop nobody is asked to bring anything, and nobody waits."""
        for hops in LOOPS:
            self.rtmp(hops, publishing=False)
            self.rtsp("DESCRIBE", hops)
            self.http("/liveshow/test.flv", hops)
            self.http("/liveshow/test.m3u8", hops)
        self.assertEqual(self.wanted, [])
        self.assertEqual(self.server.hub.waiting, 0)


class PublishTests(HopsCase):
    """Another server pushes."""

    def test_rtmp(self) -> None:
        """It is told why; what it may push remembers the way."""
        for hops in (*LOOPS, *MALFORMED):
            answer = self.rtmp_answer(self.rtmp(hops, publishing=True))
            self.assertIn("malformed" if hops in MALFORMED else "a loop", answer)
        self.assertEqual(dict(self.server.hub.streams), {})
        self.assertEqual(self.rtmp_answer(self.rtmp(GOOD, publishing=True)), "")
        [stream] = self.server.hub.streams.values()
        self.assertEqual(stream.hops, OTHERS[:4])

    def test_rtsp(self) -> None:
        """508 as the answer to ANNOUNCE."""
        body = (
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
            b"m=audio 0 RTP/AVP 0\r\na=control:0\r\n"
        )
        kind = {"Content_Type": "application/sdp"}
        for hops in LOOPS:
            self.assertEqual(self.rtsp("ANNOUNCE", hops, body, **kind), 508)
        for hops in MALFORMED:
            self.assertEqual(self.rtsp("ANNOUNCE", hops, body, **kind), 400)
        self.assertNotIn(self.rtsp("ANNOUNCE", GOOD, body, **kind), (400, 508))


class AnswerTests(HopsCase):
    """E-ST-08: who says which servers want a stream, hears which it has passed; players do not."""

    FIELD = b"x-ntv-hops: "

    def setUp(self) -> None:
        super().setUp()
        self.server.publish()
        self.server.hub.streams[StreamKey("liveshow", "test")].hops = OTHERS[4:]
        self.expected = ",".join((*OTHERS[4:], OWN))

    def test_rtmp(self) -> None:
        """In the status that a play begins with."""
        for hops, expected in ((GOOD, self.expected), ("", "")):
            peer = self.rtmp(hops, publishing=False)
            [accepted] = [x for x in peer.events if isinstance(x, Accepted)]
            self.assertEqual(accepted.hops, expected)

    def test_rtsp(self) -> None:
        """In the answer to DESCRIBE."""
        for hops, expected in ((GOOD, self.expected), ("", None)):
            peer = RTSPPeer(self.server, "192.0.2.1", f"{HOST}/liveshow/test")
            fields: dict[str, Any] = {"X_Ntv_Hops": hops} if hops else {}
            answer = peer.ask("DESCRIBE", **fields)
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.headers.get(HOPS_FIELD, "none"), expected or "none")

    def test_http(self) -> None:
        """In the head, of WebSockets too."""
        upgrade = SOCKET
        for path, more in (
            ("/liveshow/test.flv", ()),
            ("/liveshow/test.ts", ()),
            ("/liveshow/test.m3u8", ()),
            ("/liveshow/test.flv", upgrade),
        ):
            for hops in (GOOD, ""):
                client = Client(self.server.front, "192.0.2.1")
                told = (f"X-Ntv-Hops: {hops}".encode(),) if hops else ()
                head = client.get(path.encode(), *told, *more).partition(b"\r\n\r\n")[0]
                self.assertIn(head.split()[1], (b"200", b"101"))
                found = [
                    line[len(self.FIELD) :].decode()
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(self.FIELD)
                ]
                self.assertEqual(found, [self.expected] if hops else [])
