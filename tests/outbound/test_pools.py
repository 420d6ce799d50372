"""Tests of ntvmedia.outbound.pools: a body of the wrong length is never taken for a whole one."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError

from ntvmedia.outbound import OutboundError, exchange
from ntvmedia.outbound.exchange import Answer
from tests.outbound.rig import OutboundCase, Peer, ok

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSED = "the connection was closed before the answer was complete"
MORE = "the answer goes on after its end"
NO_HTTP = "the answer is no HTTP"


def reset(data: bytes) -> Callable[[Peer], None]:
    """Return what sends something, and resets the connection when that has gone."""

    def answer(peer: Peer) -> None:
        transport: Any = peer.transport
        # With no time to linger, closing is resetting (socket(7)), once all was sent.
        transport.getHandle().setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        peer.send(data)
        transport.reactor.callLater(0.05, transport.abortConnection)

    return answer


class LengthTests(OutboundCase):
    """Raw servers that say one thing and send another."""

    def check(self, answer: Any, problem: str) -> None:
        """Ask in vain, both ways; another try may be better, and the connection is not kept."""
        pieces: list[bytes] = []
        for receiver in (None, lambda _head: pieces.append):
            server = self.serve(answer)
            waiting = self.get(server.url, receiver=receiver)
            self._finish(waiting)
            error = self.failureResultOf(waiting, OutboundError).value
            self.assertEqual((str(error), error.is_permanent), (f"{server.url}: {problem}", False))
            self.until(lambda server=server: not server.peers)  # type: ignore[misc]

    def test_short(self) -> None:
        """E-SR-08: fewer bytes than Content-Length are a cut body, by end or by reset."""
        data = HEAD + b"Content-Length: 17\r\n\r\n0123456789abcdef"
        self.check(lambda peer: peer.send(data, close=True), CLOSED)
        self.check(reset(data), CLOSED)

    def test_long(self) -> None:
        """More bytes than Content-Length mean that one of the two is wrong."""
        self.check(HEAD + b"Content-Length: 15\r\n\r\n0123456789abcdef", MORE)
        self.check(HEAD + b"Content-Length: 0\r\n\r\n0", MORE)
        self.check(HEAD + b"Connection: close\r\nContent-Length: 1\r\n\r\n01", MORE)
        self.check(CHUNKED + b"1\r\nx\r\n0\r\n\r\nx", MORE)
        self.check(ok(b"1") + ok(b"2"), MORE)

    def test_chunks(self) -> None:
        """A body in chunks is whole with its last one, and each is as long as it says."""
        for data in (b"3\r\nabc\r\n", b"3\r\nabc\r\n0\r\n", b"3\r\nab", b"", b"3"):
            self.check(lambda peer, data=data: peer.send(CHUNKED + data, close=True), CLOSED)
        for data in (b"3\r\nabcd\r\n0\r\n\r\n", b"g\r\n", b"-1\r\n", b"\r\n", b"1" * 2000):
            self.check(CHUNKED + data, NO_HTTP)

    def test_reset(self) -> None:
        """A body without a length is whole when the server ends it, not when it is reset."""
        self.check(reset(HEAD + b"\r\n0123"), CLOSED)
        server = self.serve(lambda peer: peer.send(HEAD + b"\r\n0123", close=True))
        self.assertEqual(self.body(server.url), b"0123")

    def test_late(self) -> None:
        """What comes after a whole body spoils the connection, not the next answer."""
        server = self.serve(ok(b"1"))
        self.body(server.url)
        server.peers[0].send(ok(b"evil"))
        self.until(lambda: not server.peers)
        self.assertEqual(self.body(server.url), b"1")

    def test_redirect(self) -> None:
        """A redirect says where to whatever its body is like."""
        moved = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 5\r\n\r\n"
        for end in (
            lambda peer: peer.send(moved + b"123", close=True),
            moved + b"123456",
            moved + b"12345",
        ):
            server = self.serve(end, ok(b"1"))
            answer: Answer = self.wait(self.get(server.url))
            self.assertEqual((answer.body, answer.url), (b"1", f"{server.url}/b"))
        self.assertEqual(server.connections, 1)

    def test_redirect_waits(self) -> None:
        """A redirect whose body never comes is followed all the same, and soon."""
        self.patch(exchange, "PASS_OVER_SECONDS", 0.05)
        moved = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 5\r\n\r\n"
        server = self.serve(moved, ok(b"1"))
        self.assertEqual(self.body(server.url), b"1")
        self.until(lambda: len(server.peers) == 1)
        self.assertEqual(server.connections, 2)
        waiting = self.get(self.serve(moved).url)
        self.until(lambda: self._servers[-1].requests)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)


class KeptTests(OutboundCase):
    """Which connections are used again (RFC 9112 9.3)."""

    def test_closed(self) -> None:
        """One that the server says it closes is not, however it says it."""
        length = b"Content-Length: 1\r\n"
        for head, connections in (
            (HEAD + length, 1),
            (HEAD + length + b"Connection: Keep-Alive, X\r\n", 1),
            (b"HTTP/1.0 200 OK\r\n" + length + b"Connection: Keep-Alive\r\n", 1),
            (b"HTTP/1.0 200 OK\r\n" + length, 3),
            (HEAD + length + b"Connection: close\r\n", 3),
            (HEAD + length + b"Connection: X, Close\r\n", 3),
            (HEAD + length + b"Connection: X\r\nConnection: CLOSE\r\n", 3),
        ):
            server = self.serve(head + b"\r\n1")
            for _time in range(3):
                self.assertEqual(self.body(server.url), b"1")
            self.assertEqual((len(server.requests), server.connections), (3, connections))
