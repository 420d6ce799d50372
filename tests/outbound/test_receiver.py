"""Tests of answers that are taken piece by piece, and of what else a download asks for."""

from __future__ import annotations

import errno
import math
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.exchange import Answer
from tests.outbound.rig import OutboundCase, Peer, ok, redirect
from tests.outbound.test_client import fields_of

BODY = bytes(range(256)) * 4096


class Receiver:
    """Takes an answer.

    Attributes:
        heads: What it was shown.
        pieces: What it was given.
    """

    def __init__(self) -> None:
        self.heads: list[Answer] = []
        self.pieces: list[bytes] = []

    def __call__(self, head: Answer) -> Any:
        self.heads.append(head)
        return self.pieces.append


class ReceiverTests(OutboundCase):
    """Bodies that are not gathered."""

    def raised(self, waiting: Deferred[Any], kind: type[Exception]) -> BaseException:
        """Run the reactor until something failed with that."""
        self._finish(waiting)
        error: BaseException = self.failureResultOf(waiting, kind).value
        return error

    def test_pieces(self) -> None:
        """The head comes first, then the body piece by piece; the answer itself has none."""
        for answer in (
            ok(BODY, b"X-A: 1"),
            b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
            lambda peer: peer.send(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n" + BODY, close=True),
        ):
            server, receiver = self.serve(answer), Receiver()
            done = self.wait(
                self.get(f"{server.url}/a?b", limit_bytes=len(BODY), receiver=receiver)
            )
            self.assertEqual(b"".join(receiver.pieces), BODY)
            self.assertGreater(len(receiver.pieces), 1)
            self.assertEqual(receiver.heads, [done])
            self.assertEqual((done.status, done.headers["x-a"], done.body), (200, "1", b""))
            self.assertEqual(done.url, f"{server.url}/a?b")

    def test_length(self) -> None:
        """A receiver knows how long the body will be, where the server says it."""
        receiver = Receiver()
        self.wait(self.get(self.serve(ok(b"0123")).url, receiver=receiver))
        chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        self.wait(self.get(self.serve(chunks).url, receiver=receiver))
        lengths = [head.headers.get("content-length") for head in receiver.heads]
        self.assertEqual(lengths, ["4", None])

    def test_kept(self) -> None:
        """The connection of a body that was received is used again."""
        server = self.serve(ok(BODY))
        for _time in range(3):
            self.wait(self.get(server.url, limit_bytes=len(BODY), receiver=Receiver()))
        self.assertEqual(server.connections, 1)

    def test_gathered(self) -> None:
        """A receiver may leave a body to be gathered, a status of failure for one."""
        server = self.serve(b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno")
        heads: list[Answer] = []
        answer = self.wait(self.get(server.url, receiver=heads.append))
        self.assertEqual((answer.status, answer.body), (404, b"no"))
        self.assertEqual(heads, [answer._replace(body=b"")])

    def test_empty(self) -> None:
        """An answer without a body has a head all the same, and no pieces."""
        for answer in (ok(b""), b"HTTP/1.1 204 No\r\n\r\n"):
            receiver = Receiver()
            self.wait(self.get(self.serve(answer).url, receiver=receiver))
            self.assertEqual((len(receiver.heads), receiver.pieces), (1, []))

    def test_redirect(self) -> None:
        """E-SR-08: a redirect is not shown, and the answer says where it came from."""
        other = self.serve(ok(b"1"))
        server = self.serve(redirect(f"{other.url}/there/x?y#z"))
        receiver = Receiver()
        url = server.url.replace("//", "//me:secret@")
        answer = self.wait(self.get(url, receiver=receiver))
        self.assertEqual([head.url for head in receiver.heads], [f"{other.url}/there/x?y"])
        self.assertEqual(answer.url, f"{other.url}/there/x?y")
        with_password = self.wait(self.get(f"{url.replace(str(server.port), str(other.port))}/a"))
        self.assertEqual(with_password.url, f"{other.url}/a")

    def test_limit(self) -> None:
        """F-SS-04: the limit counts for what is received too, announced or not."""
        head = b"HTTP/1.1 200 OK\r\n"
        for answer in (ok(b"x" * 17), head + b"\r\n" + b"x" * 17):
            server, receiver = self.serve(answer), Receiver()
            problem = self.problem(server.url, limit_bytes=16, receiver=receiver)
            self.assertEqual(problem, f"{server.url}: the answer is longer than 16 bytes")
            self.assertEqual((len(receiver.heads), receiver.pieces), (1, []))
            self.until(lambda server=server: not server.peers)  # type: ignore[misc]

    def test_compressed(self) -> None:
        """What is not taken is not shown."""
        receiver = Receiver()
        server = self.serve(ok(b"1", b"Content-Encoding: gzip"))
        self.problem(server.url, receiver=receiver)
        self.assertEqual(receiver.heads, [])

    def test_head_raises(self) -> None:
        """What a receiver raises is the caller's as it is, and the connection is closed."""
        disk_full = OSError(errno.ENOSPC, "disk full")

        def refuse(_head: Answer) -> None:
            raise disk_full

        server = self.serve(ok(BODY))
        error = self.raised(self.get(server.url, limit_bytes=len(BODY), receiver=refuse), OSError)
        self.assertIs(error, disk_full)
        self.until(lambda: not server.peers)

    def test_piece_raises(self) -> None:
        """So it is in the middle of a body, which is not read any further."""
        for problem in (OSError(errno.ENOSPC, "disk full"), ValueError(), OutboundError("mine")):
            given: list[int] = []

            def fail(piece: bytes, given: list[int] = given, problem: Any = problem) -> None:
                given.append(len(piece))
                raise problem

            server = self.serve(ok(BODY))
            error = self.raised(
                self.get(server.url, limit_bytes=len(BODY), receiver=lambda _head, f=fail: f),
                type(problem),
            )
            self.assertIs(error, problem)
            self.until(lambda server=server: not server.peers)  # type: ignore[misc]
            self.assertEqual(len(given), 1)

    def test_cancelled_within(self) -> None:
        """A receiver may cancel its request, and is given no more."""
        given: list[int] = []
        waiting: list[Deferred[Answer]] = []

        def stop(piece: bytes) -> None:
            given.append(len(piece))
            waiting[0].cancel()
            if len(given) == 2:
                raise ValueError

        for _time in range(2):
            server = self.serve(ok(BODY))
            waiting[:] = [self.get(server.url, limit_bytes=len(BODY), receiver=lambda _head: stop)]
            self.raised(waiting[0], CancelledError)
            self.until(lambda server=server: not server.peers)  # type: ignore[misc]
        self.assertEqual(len(given), 2)

    def test_nothing_after_the_end(self) -> None:
        """A receiver is not called once its request has failed."""
        peers: list[Peer] = []
        receiver = Receiver()

        def begin(peer: Peer) -> None:
            peers.append(peer)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")

        server = self.serve(begin)
        problem = self.problem(server.url, timeout_seconds=0.1, receiver=receiver)
        self.assertIn("no answer within 0.1 seconds", problem)
        peers[0].send(b"yyy")
        self.spin(0.05)
        self.assertEqual(receiver.pieces, [b"x"])


class DownloadTests(OutboundCase):
    """What else a download asks for."""

    def test_shared(self) -> None:
        """Some fields go wherever a redirect leads; a field of the first server wins over them."""
        other = self.serve(ok(b"1"))
        server = self.serve(redirect(other.url))
        shared = {"User-Agent": "them", "Referer": "http://r.example/", "X-A": "shared"}
        self.body(server.url, headers={"X-A": "first", "X-B": "b"}, shared_headers=shared)
        first, second = fields_of(server.requests[0]), fields_of(other.requests[0])
        self.assertEqual((first["user-agent"], second["user-agent"]), ("them", "them"))
        self.assertEqual((first["referer"], second["referer"]), ("http://r.example/",) * 2)
        self.assertEqual((first["x-a"], second["x-a"]), ("first", "shared"))
        self.assertEqual((first["x-b"], second.get("x-b")), ("b", None))

    def test_smuggled(self) -> None:
        """A field that would be two is refused before anybody is asked."""
        server = self.serve(ok(b"1"))
        for fields in ({"X-A": "1\r\nX-B: 2"}, {"X-A\r\nX-B": "1"}, {"X-A": "\0"}):
            for option in ("headers", "shared_headers"):
                options: dict[str, Any] = {option: fields}
                waiting = self.get(server.url, **options)
                self.assertTrue(self.failureResultOf(waiting, OutboundError).value.is_permanent)
        self.assertEqual(server.connections, 0)

    def test_no_timeout(self) -> None:
        """Where no time is set, silence is what ends a request; what keeps coming does not."""

        def drip(peer: Peer, left: int) -> None:
            peer.send(b"x")
            if left:
                self.reactor.callLater(0.05, drip, peer, left - 1)

        def begin(peer: Peer) -> None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
            drip(peer, 9)

        server = self.serve(begin)
        self.outbound = self.make_client(timeout=0.1)
        options = {"timeout_seconds": math.inf, "idle_seconds": 0.3}
        self.assertEqual(self.body(server.url, **options), b"x" * 10)

    def test_silence(self) -> None:
        """E-SR-08: silence ends a request while it connects, before its head and in its body."""
        self.names.known["silent.example"] = [None]
        options = {"timeout_seconds": math.inf, "idle_seconds": 0.1}
        problem = self.problem("http://silent.example/", **options)
        self.assertEqual(problem, "http://silent.example: nothing came for 0.1 seconds")
        cut = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n0123"
        for answer in (None, b"HTTP/1.1 200 OK\r\nX-A", cut):
            server = self.serve(answer)
            problem = self.problem(server.url, **options)
            self.assertEqual(problem, f"{server.url}: nothing came for 0.1 seconds")
            self.until(lambda server=server: not server.peers)  # type: ignore[misc]

    def test_jobs(self) -> None:
        """Eight jobs at one server use eight connections in all, and twenty use twenty."""
        # Longer than a read, and than any head: each job asks again while its last piece is read.
        answer = ok(BODY)
        for jobs in (8, 20):
            server = self.serve(lambda peer: self.reactor.callLater(0.001, peer.send, answer))
            left = [4 * jobs]

            def job(_answer: object, server: Any = server, left: list[int] = left) -> Any:
                if left[0] == 0:
                    return None
                left[0] -= 1
                waiting = self.get(server.url, limit_bytes=len(BODY), receiver=Receiver())
                return waiting.addCallback(job, server, left)

            for waiting in [job(None) for _number in range(jobs)]:
                self.wait(waiting)
            self.assertEqual(len(server.requests), 4 * jobs)
            self.assertEqual(server.connections, jobs)

    def test_led_to_again(self) -> None:
        """Where a redirect leads again, as to a network of caches, the connection is kept."""
        cache = self.serve(ok(b"x"))
        page = b"<html>Elsewhere</html>"
        moved = redirect(cache.url).replace(b"Length: 0", b"Length: %d" % len(page)) + page
        server = self.serve(moved)
        for _time in range(6):
            self.body(server.url)
        self.assertEqual((len(server.requests), server.connections), (6, 1))
        self.assertEqual((len(cache.requests), cache.connections), (6, 2))
