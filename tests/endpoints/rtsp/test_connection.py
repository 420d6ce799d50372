"""RTSP connections: requests in the wrong state, what is refused and how, deadlines, the end."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Request, Verdict
from ntvmedia.config import HubSettings, RTSPSettings
from ntvmedia.endpoints.rtsp.connection import GOODBYE_SECONDS, RTSPConnection
from ntvmedia.media import Codec, Track
from ntvmedia.wire.rtsp.messages import Response
from tests.endpoints.rtsp.server import AUDIO, KEY, TCP, URL, VIDEO, Peer, Server, Source, media

# Answers that wait for a client that takes none of them, at most.
MOST_ANSWERS = 1 << 20

SECONDS = 5.0


class RefusalTests(SynchronousTestCase):
    """D1: what cannot be is refused with the right status, and the connection goes on."""

    def setUp(self) -> None:
        self.server = Server()
        self.source = self.server.source()

    def refused(
        self,
        peer: Peer,
        status: int,
        method: str,
        url: str = "",
        body: bytes = b"",
        **fields: str,
    ) -> Response:
        """Ask, and check that the answer is this one and the connection stays."""
        answer = peer.ask(method, url, body, **fields)
        self.assertEqual(answer.status, status, (method, url, fields))
        self.assertFalse(peer.transport.disconnecting)
        self.assertEqual(peer.ask("OPTIONS").status, 200)
        return answer

    def test_options(self) -> None:
        """D-RQ-01: of a stream, of none, and of everything; all methods are listed."""
        peer = self.server.peer()
        for url in ("", "/trackID=0", "*", "rtsp://192.0.2.9:8554/nowhere/at/all"):
            public = peer.ok("OPTIONS", url).headers.get("public").split(", ")
            self.assertLessEqual(
                {"DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "ANNOUNCE", "RECORD"},
                set(public),
            )

    def test_states(self) -> None:
        """D-RQ-10: what a session has not come to is refused, and the methods it has are told."""
        peer = self.server.peer()
        for method in ("PLAY", "PAUSE", "RECORD"):
            answer = self.refused(peer, 455, method)
            self.assertNotIn(method, answer.headers.get("allow"))
            self.assertIn("DESCRIBE", answer.headers.get("allow"))
        peer.describe()
        self.refused(peer, 455, "PLAY")
        peer.set_up({0: "0-1"})
        self.refused(peer, 455, "SETUP", "/trackID=0", Transport=TCP + "4-5")
        self.refused(peer, 455, "RECORD")
        self.refused(peer, 455, "ANNOUNCE", "", b"v=0\r\n", Content_Type="application/sdp")
        peer.ok("PLAY")
        self.refused(peer, 455, "SETUP", "/trackID=1", Transport=TCP + "2-3")
        peer.ok("TEARDOWN")
        peer.session = ""
        self.refused(peer, 455, "PLAY")
        self.assertEqual(self.server.hub.viewers, 0)

    def test_tracks(self) -> None:
        """D-RQ-10: tracks that are not there, and two at once."""
        peer = self.server.peer()
        for known in (False, True):
            if known:
                peer.describe()
            self.refused(peer, 404, "SETUP", "/trackID=7", Transport=TCP + "0-1")
            self.refused(peer, 459, "SETUP", Transport=TCP + "0-1")

    def test_one_track_needs_no_name(self) -> None:
        """A stream of one track may be set up by its own address."""
        self.server.source(tracks=[AUDIO], key=KEY._replace(stream="sound"))
        self.server.reactor.advance(2)
        peer = self.server.peer(path="/liveshow/sound")
        peer.ok("SETUP", Transport=TCP + "0-1")
        peer.ok("PLAY")
        self.assertEqual(self.server.hub.viewers, 1)

    def test_two_streams(self) -> None:
        """A session is of one stream."""
        self.server.source(key=KEY._replace(stream="other"))
        peer = self.server.peer()
        peer.set_up({0: "0-1"})
        self.refused(peer, 459, "SETUP", f"{URL[:-4]}other/trackID=1", Transport=TCP + "2-3")

    def test_sessions(self) -> None:
        """D-RQ-11: ids of nobody, and of somebody else; parameters behind one mean nothing."""
        peer, other = self.server.player(), self.server.player()
        self.assertNotEqual(peer.session, other.session)
        self.assertGreaterEqual(len(peer.session), 16)
        for wrong in ("12345678", other.session):
            self.refused(peer, 454, "PAUSE", Session=wrong)
        peer.ok("PAUSE", Session=f"{peer.session};timeout=60")
        self.refused(self.server.peer(), 454, "PLAY", Session=peer.session)

    def test_transports(self) -> None:
        """D-TR-03: what is not carried here is refused, so that the client tries another way."""
        peer = self.server.peer()
        for offer in (
            "RTP/SAVP/TCP;unicast;interleaved=0-1",
            "RAW/RAW/UDP;unicast",
            "RTP/AVP;unicast;client_port=0-0",
            "RTP/AVP;unicast;client_port=65536-65537",
        ):
            self.refused(peer, 461, "SETUP", "/trackID=0", Transport=offer)
        self.refused(peer, 400, "SETUP", "/trackID=0")
        self.assertEqual(peer.session, "")

    def test_headers(self) -> None:
        """What is asked for and not known is told."""
        peer = self.server.peer()
        answer = self.refused(peer, 551, "DESCRIBE", Require="www.onvif.org/ver20/backchannel")
        self.assertEqual(answer.headers.get("unsupported"), "www.onvif.org/ver20/backchannel")
        self.refused(peer, 501, "CONQUER")
        self.refused(peer, 406, "DESCRIBE", Accept="text/plain")
        self.refused(peer, 451, "SET_PARAMETER", "", b"volume: 11", Content_Type="text/plain")
        peer.set_up({0: "0-1"})
        self.refused(peer, 457, "PLAY", Range="npt=yesterday-")
        self.refused(peer, 457, "PLAY", Range="smpte=")
        answer = peer.ok("PLAY", Range="npt=0.000-", Scale="2")
        self.assertEqual(answer.headers.get("scale"), "1")
        self.assertEqual(answer.headers.get("range"), "npt=now-")

    def test_names(self) -> None:
        """A-UR-12: what is no name of a stream, or of no application, is refused at once."""
        for path, status in (
            ("/liveshow/../etc", 404),
            ("/liveshow", 404),
            ("/liveshow/a/b/c", 404),
            ("/liveshow/" + "x" * 1000, 404),
            ("/mserver/test", 404),
            ("/nowhere/test", 403),
        ):
            peer = self.server.peer(path=path)
            self.refused(peer, status, "DESCRIBE")
            self.refused(peer, status, "SETUP", Transport=TCP + "0-1")
            self.assertEqual(peer.announce().status, status, path)
        self.assertEqual(self.server.kinds(), ["PublishStarted"])

    def test_nothing_to_send(self) -> None:
        """A stream of which RTP carries nothing is there, but not for RTSP."""
        flac = Track(Codec.FLAC, clock_rate=48000, channels=2, config=b"fLaC" + bytes(34))
        source = self.server.source(tracks=[flac], key=KEY._replace(stream="flac"))
        packets = [
            packet._replace(track=flac) for packet in media(0, 2000) if packet.track is AUDIO
        ]
        source.send(*packets)
        self.server.reactor.advance(2)
        self.refused(self.server.peer(path="/liveshow/flac"), 415, "DESCRIBE")

    def test_never_there(self) -> None:
        """D-RQ-16: a stream that nobody publishes is waited for, and then it is 404."""
        peer = self.server.peer(path="/liveshow/later")
        peer.send("DESCRIBE")
        self.server.wait(14)
        self.assertEqual(peer.answers(), [])
        self.assertEqual(self.server.hub.waiting, 1)
        self.server.wait(1)
        (answer,) = peer.answers()
        self.assertEqual(answer.status, 404)
        self.assertEqual(self.server.hub.waiting, 0)
        self.refused(peer, 455, "PLAY")

    def test_there_in_time(self) -> None:
        """A-SE-07: who is too early gets it when it comes; what else he asks is answered after."""
        peer = self.server.peer(path="/liveshow/later")
        peer.send("DESCRIBE")
        self.assertEqual(peer.transport.producerState, "paused")
        peer.send("OPTIONS")
        self.server.reactor.advance(3)
        self.server.source(key=KEY._replace(stream="later"))
        found = peer.answers()
        self.assertEqual([answer.status for answer in found], [200, 200])
        self.assertEqual([answer.headers.get("cseq") for answer in found], ["1", "2"])
        self.assertIn(b"m=video", found[0].body)
        self.assertEqual(peer.transport.producerState, "producing")

    def test_too_many_wait(self) -> None:
        """F-RE-05: more than may wait for streams are refused, and may come back."""
        self.server = Server(HubSettings(max_waiting=1))
        self.server.peer(path="/liveshow/later").send("DESCRIBE")
        self.refused(self.server.peer(path="/liveshow/never"), 503, "DESCRIBE")


class WrongBytesTests(SynchronousTestCase):
    """What is no RTSP ends its connection, with an answer and without an error."""

    def setUp(self) -> None:
        self.server = Server()

    def test_wrong_bytes(self) -> None:
        """D-RQ-09, F-RE-09: nothing that comes leaves anything behind."""
        for data, status in (
            (b"GET / HTTP/1.1\r\n\r\n", b"RTSP/1.0 400"),
            (b"\x16\x03\x01\x02\x00" * 5000, b"RTSP/1.0 4"),
            (b"\r\n\r\n" + b"A" * 100_000, b"RTSP/1.0 4"),
            (b"DESCRIBE rtsp://x/ RTSP/1.0\r\nContent-Length: -1\r\n\r\n", b"RTSP/1.0 400"),
            (b"DESCRIBE rtsp://x/ RTSP/1.0\r\n" + b"A: b\r\n" * 10_000, b"RTSP/1.0 413"),
        ):
            peer = self.server.peer()
            peer.protocol.dataReceived(data)
            said = peer.transport.value()
            self.assertTrue(said.startswith(status), (data[:20], said[:50]))
            peer.protocol.dataReceived(data)
            peer.lose()
        self.assertEqual(len(self.server.factory.connections), 0)
        self.assertEqual(self.server.pending(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_empty_announcement(self) -> None:
        """D-RQ-09: a description of nothing, of another type, or that is none."""
        for body, kind, status in (
            (b"", "application/sdp", 400),
            (b"v=0\r\n", "application/sdp", 400),
            (b"\xff\0\xfe", "application/sdp", 400),
            (b"<sdp/>", "text/xml", 415),
        ):
            peer = self.server.peer()
            answer = peer.ask("ANNOUNCE", "", body, Content_Type=kind)
            self.assertEqual(answer.status, status, body)
            self.assertEqual(peer.ask("OPTIONS").status, 200)

    def test_without_a_number(self) -> None:
        """A request without `CSeq` is refused, and nothing else."""
        peer = self.server.peer()
        peer.protocol.dataReceived(b"OPTIONS * RTSP/1.0\r\n\r\n")
        (answer,) = peer.answers()
        self.assertEqual(answer.status, 400)
        self.assertEqual(peer.ask("OPTIONS").status, 200)

    def test_while_it_plays(self) -> None:
        """A viewer that breaks the protocol is gone at once."""
        self.server.source()
        peer = self.server.player()
        peer.protocol.dataReceived(b"\0" * 100_000)
        self.assertTrue(peer.transport.disconnecting)
        self.assertEqual(self.server.hub.viewers, 0)

    def test_frames_of_no_channel(self) -> None:
        """D-TR-02: frames for nobody are dropped, at any time, and requests between them work."""
        peer = self.server.peer()
        junk = b"$\x09\0\x04abcd" + b"$\0\0\0" + b"$\xff\xff\xff" + bytes(65535)
        peer.protocol.dataReceived(junk)
        self.assertEqual(peer.ask("OPTIONS").status, 200)
        self.server.source()
        peer.play()
        peer.frames.clear()
        peer.protocol.dataReceived(junk)
        self.assertEqual(peer.ask("GET_PARAMETER").status, 200)
        self.assertEqual(self.server.hub.viewers, 1)

    def test_in_pieces(self) -> None:
        """D-TR-02: a byte at a time, with frames between."""
        self.server.source()
        peer = self.server.player()
        data = b"$\x01\0\x08" + bytes(8) + b"PAUSE %s RTSP/1.0\r\nCSeq: 99\r\n\r\n" % URL.encode()
        for place in range(len(data)):
            peer.protocol.dataReceived(data[place : place + 1])
        (answer,) = peer.answers()
        self.assertEqual((answer.status, answer.headers.get("cseq")), (200, "99"))

    def test_answers_that_nobody_takes(self) -> None:
        """F-RE-01: one who asks without end and takes no answer costs little memory."""
        self.server.source()
        for player in (False, True):
            peer = self.server.player() if player else self.server.peer()
            outlet = peer.protocol.outlet
            outlet.pauseProducing()  # as its transport does when it is full
            for _ in range(20_000):
                if peer.transport.producerState != "producing" or peer.transport.disconnected:
                    break
                peer.send("GET_PARAMETER")
                self.assertLess(outlet.queued_bytes, MOST_ANSWERS)
            else:
                self.fail("all of it was read")


class DeadlineTests(SynchronousTestCase):
    """How long a connection may do nothing."""

    def setUp(self) -> None:
        self.server = Server()

    def test_nothing_is_said(self) -> None:
        """D-TR-15: one that says nothing is closed in time, and not before."""
        peer = self.server.peer()
        self.server.wait(30)
        self.assertFalse(peer.transport.disconnecting)
        self.server.wait(2)
        self.assertTrue(peer.transport.disconnecting)
        self.server.wait(GOODBYE_SECONDS)
        self.assertTrue(peer.transport.disconnected)

    def test_half_a_request(self) -> None:
        """D-TR-15, F-RE-04: one that trickles is closed as soon as one that is silent."""
        peer = self.server.peer()
        for _ in range(4):
            peer.protocol.dataReceived(b"O")
            self.server.wait(8)
        self.assertTrue(peer.transport.disconnecting)

    def test_session(self) -> None:
        """D-TR-11: a session is told 55 s, and has 60."""
        self.server.source()
        peer = self.server.peer()
        answer = peer.ok("SETUP", "/trackID=0", Transport=TCP + "0-1")
        self.assertEqual(answer.headers.get("session"), f"{peer.session};timeout=55")
        self.server.wait(60)
        self.assertFalse(peer.transport.disconnecting)
        self.server.wait(2)
        self.assertTrue(peer.transport.disconnecting)

    def test_signs_of_life(self) -> None:
        """D-TR-09: any of them keeps a session, also one that pauses."""
        source = self.server.source()
        peer = self.server.player()
        peer.ok("PAUSE")
        for number, method in enumerate(("OPTIONS", "GET_PARAMETER", "SET_PARAMETER") * 2):
            self.stream(source, 3 + 50 * number, 50)
            peer.ok(method)
            self.assertFalse(peer.transport.disconnecting, method)
        self.stream(source, 400, 62)
        self.assertTrue(peer.transport.disconnecting)
        self.assertEqual(self.server.hub.viewers, 0)

    def stream(self, source: Source, start: int, seconds: int) -> None:
        """Let a stream go on for some time."""
        for second in range(start, start + seconds):
            source.send(*media(second * 1000, second * 1000 + 80))
            self.server.wait(1)

    def test_player_says_nothing(self) -> None:
        """D-TR-09: one that takes what it is sent lives, without a word."""
        source = self.server.source()
        peer = self.server.player()
        self.stream(source, 3, 200)
        self.assertFalse(peer.transport.disconnecting)
        self.assertEqual(self.server.hub.viewers, 1)

    def test_gone_before(self) -> None:
        """One that hangs up when it was told to go leaves no timer."""
        peer = self.server.peer()
        self.server.wait(32)
        self.assertTrue(peer.transport.disconnecting)
        peer.lose()
        self.assertEqual(self.server.pending(), [])


class EndTests(SynchronousTestCase):
    """G-LC-01: how connections end, and that nothing stays."""

    def setUp(self) -> None:
        self.server = Server(rtsp=RTSPSettings(max_connections=3, max_connections_per_address=2))

    def test_limits(self) -> None:
        """G-RS-03: one more than allowed is refused; each that goes makes room."""
        first = self.server.peer()
        self.server.peer()
        self.server.source()
        told = self.server.peer()
        self.assertEqual(told.ask("OPTIONS").status, 200)
        self.assertEqual(told.ask("DESCRIBE").status, 503)
        self.assertTrue(told.transport.disconnecting)
        self.assertEqual(self.server.factory.connections.refused, 1)
        told.lose()
        self.assertFalse(self.server.peer("192.0.2.2").protocol._refusal)
        first.lose()
        self.assertFalse(self.server.peer().protocol._refusal)

    def test_drain(self) -> None:
        """The server stops: publishers and players are cut off, and told by the end of it."""
        publisher = self.server.publisher()
        publisher.publish(*media(0, 2200))
        player = self.server.peer("192.0.2.2")
        player.play()
        idle = self.server.peer("192.0.2.3")
        done = self.server.factory.connections.close("server is stopping")
        for peer in (publisher, player, idle):
            self.assertTrue(peer.transport.disconnecting)
        self.assertIsNone(self.server.build("192.0.2.4"))
        self.assertNoResult(done)
        self.server.reactor.advance(GOODBYE_SECONDS)
        for peer in (publisher, player, idle):
            self.assertTrue(peer.transport.disconnected)
            peer.lose()
        self.successResultOf(done)
        self.assertEqual(
            sorted(self.server.kinds()),
            ["PlayEnded", "PlayStarted", "PublishEnded", "PublishStarted"],
        )
        self.assertEqual(self.server.hub.streams, {})
        self.assertEqual(self.server.pending(), [])

    def test_bug_in_one(self) -> None:
        """G-LC-08: a bug that one connection meets ends that one only."""
        self.server.source()
        player, other = self.server.player(), self.server.player()

        def broken(_now: float) -> None:
            raise ZeroDivisionError

        self.patch(player.protocol, "tick", broken)
        self.server.factory.tick()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(player.transport.disconnected)
        self.assertFalse(other.transport.disconnected)
        player.lose()
        self.assertEqual(self.server.hub.viewers, 1)

    def test_nothing_stays(self) -> None:
        """G-RS-07: a connection that is gone is garbage, whatever it did."""
        # Twisted keeps what is logged before logging begins, and whose event it is.
        forget: Any = repr
        self.patch(RTSPConnection, "_log", Logger(observer=forget))
        self.server.source()
        player, idle = self.server.player(), self.server.peer("192.0.2.2")
        idle.describe()
        found = [weakref.ref(player.protocol), weakref.ref(idle.protocol)]
        player.lose()
        idle.lose()
        del player, idle
        gc.collect()
        self.assertEqual([reference() for reference in found], [None, None])
        self.assertEqual(self.server.hub.viewers, 0)
        self.assertEqual(self.server.hub.streams[KEY].renditions, {})

    def test_no_delay(self) -> None:
        """Answers are not held back by the kernel."""
        self.assertTrue(self.server.peer().transport.no_delay)


class SlowAccess:
    """Decides a while after it was asked.

    Attributes:
        verdict: What it decides; an exception is raised.
        asked: What it was asked, in order.
        dropped: How many of those were not wanted any more before it had decided.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.verdict: Verdict | Exception = Verdict(True)
        self.asked: list[Request] = []
        self.dropped = 0

    def decide(self, request: Request, **_how: Any) -> Deferred[Verdict]:
        """Take the time."""
        self.asked.append(request)
        deciding: Deferred[Verdict] = deferLater(self._server.reactor, SECONDS, self._answer)
        return deciding.addErrback(self._failed)

    def _answer(self) -> Verdict:
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict

    def _failed(self, failure: Any) -> Any:
        self.dropped += not isinstance(failure.value, ZeroDivisionError)
        return failure


class DecidingTests(SynchronousTestCase):
    """A-SE-05, G-HK-03: nothing begins before the answer, and nothing ends that did not begin."""

    def setUp(self) -> None:
        self.server = Server()
        self.server.access = self.access = SlowAccess(self.server)

    def test_waits(self) -> None:
        """Requests are answered in order, and nothing is read before."""
        peer = self.server.peer()
        self.assertEqual(self.begin(peer), [])
        peer.send("OPTIONS")
        self.assertEqual(peer.transport.producerState, "paused")
        self.assertEqual(peer.answers(), [])
        self.assertEqual(self.access.asked[0].key, KEY)
        self.assertEqual(self.access.asked[0].user_agent, "camera/1.0")
        self.server.wait(SECONDS)
        self.assertEqual([answer.status for answer in peer.answers()], [200, 200])
        self.assertEqual(peer.transport.producerState, "producing")

    def begin(self, peer: Peer) -> list[Response]:
        """Announce, and return what is answered at once."""
        body = (
            b"v=0\r\no=- 0 0 IN IP4 0\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 8\r\na=control:trackID=0"
            b"\r\n"
        )
        peer.send("ANNOUNCE", "", body, Content_Type="application/sdp", User_Agent="camera/1.0")
        return peer.answers()

    def test_drops(self) -> None:
        """One who leaves before the answer is forgotten with his question."""
        for leaves in (True, False):
            peer = self.server.peer()
            self.begin(peer)
            self.server.wait(2)
            if leaves:
                peer.lose()
            else:
                self.server.factory.connections.close("server is stopping")
                self.assertTrue(peer.transport.disconnecting)
                peer.lose()
        self.assertEqual(self.access.dropped, 2)
        self.server.wait(10)
        self.assertEqual(self.server.kinds(), [])
        self.assertEqual(len(self.server.factory.connections), 0)
        self.assertEqual(self.server.pending(), [])

    def test_breaks(self) -> None:
        """A bug in the decision is a refusal (500) and its traceback is logged, once."""
        self.access.verdict = ZeroDivisionError("a bug")
        peer = self.server.peer()
        self.begin(peer)
        self.server.wait(SECONDS)
        (answer,) = peer.answers()
        self.assertEqual(answer.status, 500)
        self.assertNotIn("bug", f"{answer.reason} {answer.body!r}")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(peer.ask("OPTIONS").status, 200)

    def test_is_slow(self) -> None:
        """The time that the decision takes is not the client's."""
        peer = self.server.peer()
        self.server.wait(28)
        self.begin(peer)
        self.server.wait(SECONDS)
        self.assertEqual([answer.status for answer in peer.answers()], [200])
        self.assertFalse(peer.transport.disconnecting)

    def test_much_meanwhile(self) -> None:
        """F-RE-01: one who sends without end before the answer is held back."""
        peer = self.server.peer()
        self.begin(peer)
        sent = 0
        while peer.transport.producerState == "producing":
            peer.protocol.dataReceived(bytes(60_000))
            sent += 1
            self.assertLess(sent, 200)

    def test_broken_meanwhile(self) -> None:
        """What follows the request breaks the protocol: told when it is read."""
        peer = self.server.peer()
        self.begin(peer)
        peer.protocol.dataReceived(b"\xff" * 100_000)
        self.server.wait(SECONDS)
        self.assertTrue(peer.transport.disconnecting)
        peer.lose()
        self.assertEqual(self.server.kinds(), [])
        self.assertEqual(self.server.pending(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_publisher_does_not_play(self) -> None:
        """`VIDEO` is there for nobody: the stream began with RECORD, and no earlier."""
        peer = self.server.peer()
        self.begin(peer)
        self.server.wait(SECONDS)
        peer.answers()
        self.assertEqual(self.server.hub.streams, {})
        self.assertEqual(VIDEO.number, 0)
