"""What happens while `access.decide` takes its time: to the peer, to the stream, to the events."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Action, Request, Verdict
from ntvmedia.config import HubSettings
from ntvmedia.endpoints.rtmp.connection import GOODBYE_SECONDS, MAX_WAITING_BYTES
from ntvmedia.hub.context import StreamState
from ntvmedia.wire.rtmp.events import Accepted, Rejected
from ntvmedia.wire.rtmp.writer import message_bytes
from tests.endpoints.rtmp.server import AUDIO, KEY, VIDEO, Peer, Server, frame, sound

SECONDS = 5.0

GROUP = [frame(0, is_keyframe=True), sound(0), frame(40), sound(23)]


class SlowAccess:
    """Decides a while after it was asked.

    Attributes:
        seconds: How long it takes.
        verdict: What it decides; an exception is raised.
        asked: What it was asked, in order.
        dropped: How many of those were not wanted any more before it had decided.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.seconds = SECONDS
        self.verdict: Verdict | Exception = Verdict(True)
        self.asked: list[Request] = []
        self.dropped = 0

    def decide(self, request: Request, **_how: Any) -> Deferred[Verdict]:
        """Take the time."""
        self.asked.append(request)
        deciding: Deferred[Verdict] = deferLater(self._server.reactor, self.seconds, self._answer)
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
        self.server = Server(HubSettings(publisher_grace=0.0))
        self.server.access = self.access = SlowAccess(self.server)

    def wait(self, seconds: float) -> None:
        """Let time pass, a second at a time, as the server's clockwork sees it."""
        for _ in range(int(seconds)):
            self.server.reactor.advance(1)
            self.server.factory.tick()
            self.server.hub.tick()

    def pending(self) -> list[str]:
        """Name the timers that are left."""
        return [str(call) for call in self.server.reactor.getDelayedCalls()]

    def tell(self, peer: Peer) -> list[type]:
        """Exchange what there is, and return the kinds of what the peer was told."""
        peer.exchange()
        return [type(event) for event in peer.events]

    def test_publisher_waits(self) -> None:
        """What a publisher sends ahead is kept, and is the stream's when it may publish."""
        peer = self.server.connect(publishing=True)
        self.wait(SECONDS - 1)
        self.assertEqual(self.tell(peer), [])
        self.assertEqual(self.server.kinds(), [])
        self.assertEqual(self.server.hub.streams, {})
        (request,) = self.access.asked
        self.assertEqual((request.action, request.key), (Action.PUBLISH, KEY))
        self.wait(1)
        self.assertEqual(self.tell(peer), [Accepted])
        self.assertEqual(self.server.kinds(), ["PublishStarted"])
        peer.session.send_track(VIDEO)
        peer.session.send_track(AUDIO)
        peer.send(*GROUP)
        self.assertIs(self.server.hub.streams[KEY].state, StreamState.LIVE)

    def test_publisher_drops(self) -> None:
        """One who leaves before the answer never published: no stream, no event, no timer."""
        peer = self.server.connect(publishing=True)
        self.wait(2)
        peer.lose()
        self.assertEqual(self.access.dropped, 1)
        self.wait(10)
        self.assertEqual(self.server.kinds(), [])
        self.assertEqual(self.server.hub.streams, {})
        self.assertEqual(len(self.server.factory.connections), 0)
        self.assertEqual(self.pending(), [])

    def test_publisher_refused(self) -> None:
        """A refusal is told without `Publish.Start` before it, and the connection closes."""
        self.access.verdict = Verdict(False, "not today")
        peer = self.server.connect(publishing=True)
        self.wait(SECONDS)
        self.assertEqual(self.tell(peer), [Rejected])
        self.assertIn("not today", peer.events[0].description)
        self.assertTrue(peer.transport.disconnecting)
        self.assertEqual(self.server.kinds(), [])
        self.wait(GOODBYE_SECONDS)
        self.assertTrue(peer.transport.disconnected)
        peer.lose()
        self.assertEqual(self.pending(), [])

    def test_decision_breaks(self) -> None:
        """A bug in the decision is a refusal, and its traceback is logged once."""
        self.access.verdict = ZeroDivisionError("a bug")
        peer = self.server.connect(publishing=True)
        self.wait(SECONDS)
        self.assertEqual(self.tell(peer), [Rejected])
        self.assertNotIn("a bug", peer.events[0].description)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.server.kinds(), [])

    def test_player_waits_and_drops(self) -> None:
        """The same for players: none is counted, told or sent anything before the answer."""
        encoder = self.server.connect(publishing=True)
        self.wait(SECONDS)
        encoder.exchange()
        encoder.session.send_track(VIDEO)
        encoder.session.send_track(AUDIO)
        encoder.send(*GROUP)
        stays, leaves = self.server.player(), self.server.player()
        self.wait(2)
        encoder.send(frame(80))
        self.assertEqual(self.server.hub.viewers, 0)
        leaves.lose()
        self.wait(3)
        self.assertEqual(self.server.hub.viewers, 1)
        stays.exchange()
        self.assertEqual(len(stays.media()), 5)
        self.assertEqual(self.server.kinds(), ["PublishStarted", "PlayStarted"])
        stays.lose()
        encoder.lose()
        self.wait(10)
        self.assertEqual(
            self.server.kinds(), ["PublishStarted", "PlayStarted", "PlayEnded", "PublishEnded"]
        )
        self.assertEqual(self.pending(), [])

    def test_player_drops_while_it_waits_for_the_stream(self) -> None:
        """Allowed, but before there is a stream: nobody waits for it any more."""
        peer = self.server.player(name="later")
        self.wait(SECONDS)
        self.assertEqual(self.server.hub.waiting, 1)
        peer.lose()
        self.assertEqual(self.server.hub.waiting, 0)
        self.assertEqual(self.server.kinds(), [])
        self.assertEqual(self.pending(), [])

    def test_name_taken_meanwhile(self) -> None:
        """Two are asked about at once: the first that is allowed has the name."""
        first = self.server.connect(publishing=True)
        self.wait(1)
        second = self.server.connect(publishing=True)
        self.wait(SECONDS)
        self.assertEqual(self.tell(first), [Accepted])
        self.assertEqual(self.tell(second), [Rejected])
        self.assertEqual(self.server.kinds(), ["PublishStarted"])
        first.lose()
        self.assertEqual(self.server.kinds(), ["PublishStarted", "PublishEnded"])

    def test_drained_meanwhile(self) -> None:
        """G-LC-01: the server stops before the answer: the question is dropped with the peer."""
        self.access.seconds = 60.0
        peer = self.server.connect(publishing=True)
        done = self.server.factory.connections.close("server is stopping")
        self.wait(12)
        peer.lose()
        self.successResultOf(done)
        self.assertEqual(self.access.dropped, 1)
        self.assertEqual(self.server.kinds(), [])
        self.assertEqual(self.pending(), [])

    def test_broken_meanwhile(self) -> None:
        """What follows the request breaks the protocol: told when it is read, and nothing stays."""
        peer = self.server.connect(publishing=True)
        peer.protocol.dataReceived(b"\xff" * 64)
        self.wait(SECONDS)
        self.assertTrue(peer.transport.disconnected)
        peer.lose()
        kinds = self.server.kinds()
        self.assertEqual(kinds.count("PublishStarted"), kinds.count("PublishEnded"))
        self.assertEqual(self.server.hub.streams, {})
        self.assertEqual(self.pending(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_much_meanwhile(self) -> None:
        """F-RE-01: one who sends without end before the answer is held back, and goes on after."""
        peer = self.server.connect(publishing=True)
        piece = message_bytes(6, 0, 9, 1, b"\x27\x01\0\0\0" + bytes(60_000), chunk_size=60000)
        sent = 0
        while peer.transport.producerState == "producing":
            peer.protocol.dataReceived(piece)
            sent += len(piece)
            self.assertLess(sent, 2 * MAX_WAITING_BYTES)
        self.wait(SECONDS)
        self.assertEqual(peer.transport.producerState, "producing")
        self.assertEqual(self.server.kinds(), ["PublishStarted"])
        self.assertLess(peer.protocol._session.buffered, MAX_WAITING_BYTES)
