"""Tests of ntvmedia.outbound.client: requests to real servers on this machine."""

from __future__ import annotations

import base64
import gzip
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.logger import globalLogPublisher

from ntvmedia import __version__
from ntvmedia.outbound import client
from ntvmedia.outbound.client import MAX_AT_A_TIME
from ntvmedia.outbound.limits import MAX_HEAD_BYTES
from tests.outbound.rig import OutboundCase, Peer, Server, ok


def fields_of(head: str) -> dict[str, str]:
    """Return the header fields of a request, by lower-case name."""
    pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:])
    return {name.lower(): value for name, value in pairs}


class AnswerTests(OutboundCase):
    """Good answers."""

    def test_answer(self) -> None:
        """Status, header fields and body are there; the request says who asks."""
        server = self.serve(ok(b"0123456789abcdef", b"X-A: 1", b"x-a: 2", b"Content-Type: a/b"))
        answer = self.wait(self.get(f"{server.url}/a%20b?c={{d}}", headers={"X-Me": "yes"}))
        self.assertEqual((answer.status, answer.body), (200, b"0123456789abcdef"))
        self.assertEqual(answer.headers["x-a"], "1, 2")
        self.assertEqual(answer.headers["content-type"], "a/b")
        [head] = server.requests
        self.assertEqual(head.split("\r\n")[0], "GET /a%20b?c=%7Bd%7D HTTP/1.1")
        fields = fields_of(head)
        self.assertEqual(fields["host"], f"127.0.0.1:{server.port}")
        self.assertEqual(fields["user-agent"], f"ntvmedia/{__version__}")
        self.assertEqual(fields["accept-encoding"], "identity")
        self.assertEqual(fields["x-me"], "yes")

    def test_status(self) -> None:
        """An answer is an answer, whatever its status."""
        server = self.serve(b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno")
        self.assertEqual(self.wait(self.get(server.url))[::2], (404, b"no"))

    def test_kept(self) -> None:
        """A connection is used again; one that the server closed meanwhile is made again."""
        server = self.serve(ok(b"1", b"Set-Cookie: a=b; Path=/"))
        for _time in range(3):
            self.body(server.url)
        self.assertEqual(server.connections, 1)
        self.assertNotIn("cookie", "".join(server.requests).lower())
        server.peers[0].send(b"", close=True)
        self.assertEqual(self.body(server.url), b"1")
        self.assertEqual(server.connections, 2)

    def test_bodies(self) -> None:
        """A body ends where its length says, its chunks end, or the connection does."""
        for answer in (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
            lambda peer: peer.send(b"HTTP/1.0 200 OK\r\n\r\nabcd", close=True),
            b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"abcd"),
            b"HTTP/1.1 200\nContent-Length: 4\n\nabcd",
        ):
            self.assertEqual(self.body(self.serve(answer).url), b"abcd")
        self.assertEqual(self.body(self.serve(ok(b"")).url), b"")

    def test_limit(self) -> None:
        """A body may be as long as the limit says."""
        server = self.serve(ok(b"x" * 16))
        self.assertEqual(self.body(server.url, limit_bytes=16), b"x" * 16)
        self.assertIn("longer than 15 bytes", self.problem(server.url, limit_bytes=15))

    def test_user_and_password(self) -> None:
        """They are sent as of RFC 7617, and stand in no error."""
        server = self.serve(ok(b"1"), lambda peer: peer.send(b"nonsense\r\n", close=True))
        url = f"http://me:s%C3%A9same@127.0.0.1:{server.port}/secret?key=secret"
        self.body(url)
        expected = base64.b64encode("me:sésame".encode()).decode("ascii")
        self.assertEqual(fields_of(server.requests[0])["authorization"], f"Basic {expected}")
        problem = self.problem(url)
        self.assertEqual(problem, f"{server.url}: the answer is no HTTP")

    def test_quiet(self) -> None:
        """Requests are no news: nothing is logged, whether they succeed or not."""
        server = self.serve(ok(b"1"), None)
        lines: list[Any] = []
        note: Any = lines.append
        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)
        self.body(server.url)
        self.problem(server.url, timeout_seconds=0.2)
        self.problem("http://127.0.0.2/")
        self.assertEqual(lines, [])

    def test_ipv6(self) -> None:
        """An IPv6 address is asked as it stands in brackets."""
        self.outbound = self.make_client(allow="::1")
        server = self.serve(ok(b"1"))
        server = self.listen(type(server)(ok(b"6")), "::1", host="[::1]")
        self.assertEqual(self.body(server.url), b"6")
        self.assertEqual(fields_of(server.requests[0])["host"], f"[::1]:{server.port}")


class BadAnswerTests(OutboundCase):
    """Answers that are none: one clause, and the connection is closed at once."""

    def check(self, answer: Any, problem: str, **options: Any) -> None:
        """Ask in vain: the error is that, and the server sees the connection's end."""
        server = self.serve(answer)
        self.assertEqual(self.problem(server.url, **options), f"{server.url}: {problem}")
        self.until(lambda: not server.peers)

    def test_cut(self) -> None:
        """A body that is shorter than its length says is none."""
        problem = "the connection was closed before the answer was complete"
        for data in (
            b"",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n0123456789abcdef",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef",
        ):
            self.check(lambda peer, data=data: peer.send(data, close=True), problem)

    def test_nonsense(self) -> None:
        """What is no HTTP is said to be none."""
        for data in (
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"\0" * 100 + b"\n",
            b"HTTP/1.1 abc OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ):
            self.check(data, "the answer is no HTTP")

    def test_too_long(self) -> None:
        """F-SS-04: a body that is too long ends where it is, announced or not."""
        problem = "the answer is longer than 16 bytes"
        head = b"HTTP/1.1 200 OK\r\n"
        self.check(head + b"Content-Length: 99999999999\r\n\r\n", problem, limit_bytes=16)
        self.check(head + b"\r\n" + b"x" * 17, problem, limit_bytes=16)
        chunk = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b" % (1 << 20, b"x" * 99)
        self.check(head + chunk, problem, limit_bytes=16)

    def test_endless_head(self) -> None:
        """A head has an end: few header fields, short lines, and not a hundred of interim heads."""
        problem = f"the head of the answer is larger than {MAX_HEAD_BYTES:,} bytes"
        head = b"HTTP/1.1 200 OK\r\n"
        self.check(head + b"X-A: 1234567890\r\n" * 20_000, problem)
        self.check((b"HTTP/1.1 103 Hint\r\nX-A: %b\r\n\r\n" % (b"a" * 9000)) * 100, problem)
        self.check(
            head + b"X-A: " + b"a" * 100_000,
            "the connection was closed before the answer was complete",
        )

    def test_head_limit_is_of_each(self) -> None:
        """A connection may have any number of heads and bodies."""
        body = b"b" * 50_000
        server = self.serve(ok(body, b"X-A: " + b"a" * 10_000))
        for _time in range(20):
            self.assertEqual(self.body(server.url, limit_bytes=50_000), body)
        self.assertEqual(server.connections, 1)

    def test_compressed(self) -> None:
        """What nobody asked to be compressed is not unpacked: it may be endless."""
        packed = gzip.compress(b"x" * 1000)
        problem = "the answer is compressed, which was not asked for"
        self.check(ok(packed, b"Content-Encoding: GZIP"), problem)
        self.assertEqual(self.body(self.serve(ok(b"1", b"Content-Encoding: identity")).url), b"1")

    def test_unasked(self) -> None:
        """What comes without a request ends a connection that is kept."""
        server = self.serve(ok(b"1"), ok(b"2"))
        self.body(server.url)
        server.peers[0].send(ok(b"evil"))
        self.until(lambda: not server.peers)
        self.assertEqual(self.body(server.url), b"2")


class TimeTests(OutboundCase):
    """Nothing takes longer than it may."""

    def check(self, answer: Any) -> None:
        """Ask a server that does not finish."""
        server = self.serve(answer)
        problem = self.problem(server.url, timeout_seconds=0.2)
        self.assertEqual(problem, f"{server.url}: no answer within 0.2 seconds")
        self.until(lambda: not server.peers)

    def test_silent(self) -> None:
        """C-AE-05: a server that hangs, before, within or after its head, is left."""
        self.check(None)
        self.check(b"HTTP/1.1 200 OK\r\nX-A")
        self.check(b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n0123")

    def test_slow(self) -> None:
        """A byte now and then is no reason to wait longer."""

        def drip(peer: Peer) -> None:
            if peer in peer.factory.peers:
                peer.send(b"x")
                self.reactor.callLater(0.02, drip, peer)

        def begin(peer: Peer) -> None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")
            drip(peer)

        self.check(begin)
        self.until(lambda: not self.reactor.getDelayedCalls())

    def test_setting(self) -> None:
        """The setting counts where the caller says nothing."""
        self.outbound = self.make_client(timeout=0.1)
        server = self.serve(None)
        self.assertIn("no answer within 0.1 seconds", self.problem(server.url))

    def test_silent_names(self) -> None:
        """G-RS-04: a name server that is silent takes no longer either, and is asked once."""
        self.names.known["keys.example"] = [None]
        for _time in range(3):
            problem = self.problem("http://keys.example/", timeout_seconds=0.05)
            self.assertEqual(problem, "http://keys.example: no answer within 0.05 seconds")
        self.assertEqual(self.names.asked, ["keys.example"])

    def test_cancelled(self) -> None:
        """A request that is cancelled ends at once, and its connection with it."""
        self.names.known["keys.example"] = [None]
        waiting = self.get("http://keys.example/")
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        server = self.serve(None, b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n0123")
        for count in (1, 2):
            waiting = self.get(server.url)
            self.until(lambda count=count: len(server.requests) == count)  # type: ignore[misc]
            self.spin(0.05)
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            self.until(lambda: not server.peers)

    def test_closed(self) -> None:
        """When the server stops, what goes on fails, and nothing more is begun."""
        server, idle = self.serve(None), self.serve(ok(b"1"))
        self.body(idle.url)
        waiting = self.get(server.url)
        self.until(lambda: server.requests)
        closing = self.outbound.close()
        problem = f"{server.url}: the server stops"
        self.assertEqual(self.wait_for_error(waiting), problem)
        self.assertEqual(self.problem(server.url), problem)
        self.wait(closing)
        self.until(lambda: not server.peers and not idle.peers)
        self.wait(self.outbound.close())

    def test_service(self) -> None:
        """As a service, it is closed when it is stopped."""
        outbound = self.make_client()
        outbound.startService()
        server = self.serve(ok(b"1"))
        self.wait(outbound.get(server.url, limit_bytes=1))
        self.wait(outbound.stopService())
        self.until(lambda: not server.peers)


class ManyTests(OutboundCase):
    """Many requests at the same time."""

    def test_turns(self) -> None:
        """G-HK-01: of one server little is asked at a time, and another one is not kept waiting."""
        held: list[Peer] = []
        slow, quick = self.serve(held.append), self.serve(ok(b"1"))
        waiting = [self.get(slow.url) for _number in range(MAX_AT_A_TIME + 5)]
        self.until(lambda: len(held) == MAX_AT_A_TIME)
        self.assertEqual(self.body(quick.url), b"1")
        waiting[-1].cancel()
        self.failureResultOf(waiting.pop(), CancelledError)
        self.assertEqual(len(held), MAX_AT_A_TIME)
        while any(not request.called for request in waiting):
            for peer in held:
                peer.send(ok(b"2"))
            held.clear()
            self.spin(0.02)
        self.assertEqual({self.successResultOf(x).body for x in waiting}, {b"2"})
        self.assertEqual(slow.connections, MAX_AT_A_TIME)

    def test_waiting_counts(self) -> None:
        """Who waits for a turn does not wait longer than for an answer."""
        server = self.serve(None)
        waiting = [
            self.get(server.url, timeout_seconds=0.3) for _number in range(3 * MAX_AT_A_TIME)
        ]
        self.until(lambda: len(server.requests) == MAX_AT_A_TIME)
        for request in waiting:
            self.assertIn("no answer within 0.3 seconds", self.wait_for_error(request))

    def rush(self) -> Server:
        """Have a server asked as often as it may be at a time, and answer."""
        held: list[Peer] = []
        server = self.serve(held.append)
        waiting = [self.get(server.url) for _number in range(MAX_AT_A_TIME)]
        self.until(lambda: len(held) == MAX_AT_A_TIME)
        for peer in held:
            peer.send(ok(b"1"))
        for request in waiting:
            self.wait(request)
        return server

    def test_all_are_kept(self) -> None:
        """The connections of a rush are there for the next, but not for long."""
        self.patch(client, "IDLE_SECONDS", 0.3)
        self.outbound = self.make_client()
        server = self.rush()
        self.spin(0.1)
        self.assertEqual(len(server.peers), MAX_AT_A_TIME)
        self.until(lambda: not server.peers)

    def test_few_are_kept(self) -> None:
        """There is an end to those that are kept."""
        self.patch(client, "MAX_IDLE", 8)
        self.outbound = self.make_client()
        server = self.rush()
        self.until(lambda: len(server.peers) == 8)

    def test_most(self) -> None:
        """There is an end to those that wait."""
        self.patch(client, "MAX_REQUESTS", 30)
        server = self.serve(None)
        waiting = [self.get(server.url) for _number in range(30)]
        problem = self.problem(server.url)
        self.assertEqual(problem, f"{server.url}: too many requests wait")
        cancelled = waiting.pop()
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        waiting.append(self.get(server.url))
        self.wait(self.outbound.close())
        for request in waiting:
            self.assertIn("the server stops", self.wait_for_error(request))
