"""Tests of ntvmedia.outbound.flow: endless bodies, and readers who have enough for now."""

from __future__ import annotations

import math
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.outbound.client import MAX_AT_A_TIME
from ntvmedia.outbound.connections import READ_BYTES
from ntvmedia.outbound.exchange import Answer
from ntvmedia.outbound.flow import Flow
from ntvmedia.outbound.requests import PendingRequest
from tests.outbound.rig import OutboundCase, Peer, ok

BODY = bytes(range(256)) * (16 << 10)


class FlowTests(OutboundCase):
    """Answers whose body is paused."""

    def start(self, url: str, flow: Flow, pieces: list[bytes]) -> Deferred[Answer]:
        """Ask, and pause with each piece."""

        def take(data: bytes) -> None:
            pieces.append(data)
            flow.pause()

        return self.get(
            url,
            limit_bytes=1 << 40,
            timeout_seconds=math.inf,
            idle_seconds=0.2,
            receiver=lambda _head: take,
            flow=flow,
        )

    def until_more(self, pieces: list[bytes], before: int, done: list[Any]) -> None:
        """Run the reactor until more came than that, or it is over."""
        self.until(lambda: done or sum(map(len, pieces)) > before)

    def test_paused(self) -> None:
        """E-SR-09: while paused nothing more comes, and that is not taken for silence."""
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
        for answer in (
            ok(BODY),
            chunked % (len(BODY), BODY),
            lambda peer: peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + BODY, close=True),
        ):
            flow, pieces = Flow(), list[bytes]()
            done: list[Any] = []
            self.start(self.serve(answer).url, flow, pieces).addBoth(done.append)
            self.until_more(pieces, 0, done)
            self.spin(0.5)
            self.assertEqual(done, [])
            self.assertLessEqual(sum(map(len, pieces)), 2 * READ_BYTES)
            while not done:
                before = sum(map(len, pieces))
                flow.resume()
                self.until_more(pieces, before, done)
                self.assertLessEqual(sum(map(len, pieces)) - before, READ_BYTES)
            self.assertIsInstance(done[0], Answer)
            self.assertEqual(b"".join(pieces), BODY)

    def test_server_waits(self) -> None:
        """A server that has more than the sockets hold is held up: no memory is filled."""
        sent: list[int] = []

        class Endless:
            """Counts what a connection takes."""

            def __init__(self, peer: Peer) -> None:
                self.transport: Any = peer.transport

            def resumeProducing(self) -> None:
                self.transport.write(bytes(1 << 16))
                sent.append(1 << 16)

            def stopProducing(self) -> None:
                sent.append(0)

        def begin(peer: Peer) -> None:
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
            transport: Any = peer.transport
            transport.registerProducer(Endless(peer), False)

        flow, pieces = Flow(), list[bytes]()
        waiting = self.start(self.serve(begin).url, flow, pieces)
        self.spin(0.3)
        total = sum(sent)
        self.spin(0.3)
        self.assertEqual(sum(sent), total)
        self.assertLessEqual(sum(map(len, pieces)), READ_BYTES * 2)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)

    def test_kept(self) -> None:
        """The connection of a body that was paused at its end is used again."""
        server = self.serve(ok(b"1234"))
        for _time in range(3):
            flow, pieces = Flow(), list[bytes]()
            self.wait(self.start(server.url, flow, pieces))
            self.assertEqual(b"".join(pieces), b"1234")
            flow.resume()
        self.assertEqual(server.connections, 1)

    def test_silence(self) -> None:
        """Who goes on is watched for silence from then on."""
        flow, pieces = Flow(), list[bytes]()
        server = self.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n0123")
        waiting = self.start(server.url, flow, pieces)
        self.until(lambda: pieces)
        self.spin(0.4)
        flow.resume()
        problem = self.wait_for_error(waiting)
        self.assertEqual(problem, f"{server.url}: nothing came for 0.2 seconds")

    def test_no_turns(self) -> None:
        """Streams that go on for ever take nobody's turn, neither each other's nor that of others.

        As many requests as there are turns are not answered, and all others are.
        """
        server = self.serve(b"HTTP/1.1 200 OK\r\n\r\n0123")
        given: list[list[bytes]] = [[] for _stream in range(MAX_AT_A_TIME + 5)]
        streams = [self.start(server.url, Flow(), pieces) for pieces in given]
        self.until(lambda: all(given))
        server.answers = [ok(b"short")]
        self.assertEqual(self.body(server.url), b"short")
        for stream in streams:
            stream.cancel()
            self.failureResultOf(stream, CancelledError)


class PausedRequestTests(SynchronousTestCase):
    """The clock of silence."""

    def test_resumed(self) -> None:
        """It begins anew with each pause that ends."""
        clock, flow = Clock(), Flow()
        work: Deferred[Answer] = Deferred()
        request = PendingRequest(clock, "x", math.inf, 10.0, lambda _request: None, flow)
        request.begin(work)
        request.asked()
        flow.pause()
        clock.pump([1.0] * 100)
        self.assertNoResult(request.answer)
        flow.resume()
        clock.advance(9.9)
        self.assertNoResult(request.answer)
        clock.advance(0.2)
        self.failureResultOf(request.answer)
        self.assertEqual(clock.getDelayedCalls(), [])
