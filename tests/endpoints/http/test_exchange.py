"""Tests of ntvmedia.endpoints.http.exchange: requests on media addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ntvmedia.endpoints.http.connection import MAX_AHEAD_BYTES
from ntvmedia.endpoints.http.exchange import Exchange
from ntvmedia.endpoints.http.heads import BadRequest
from ntvmedia.endpoints.http.hls.files import COPIED_BYTES, COPIED_REQUESTS, Copies, File
from ntvmedia.errors import UsageError
from ntvmedia.interfaces import IExchange
from ntvmedia.media import StreamKey
from tests.endpoints.http.rig import DATE, Client, Rig, body_of_answer, request, status_of


class Receiver:
    """Takes a body.

    Attributes:
        data: So far.
        ended: What it was told at the end.
    """

    def __init__(self) -> None:
        self.data = b""
        self.ended: list[BadRequest | None] = []

    def body_received(self, data: bytes) -> None:
        """Keep it."""
        self.data += data

    def body_ended(self, problem: BadRequest | None) -> None:
        """Note it."""
        self.ended.append(problem)


class Case(SynchronousTestCase):
    """A front whose route keeps its exchanges, or does what it is told."""

    def setUp(self) -> None:
        self.exchanges: list[Exchange] = []
        self.action: Callable[[Any], None] = self.exchanges.append
        self.rig = Rig(lambda exchange: self.action(exchange))
        self.client = self.rig.connect()

    def ask(self, data: bytes) -> Exchange:
        """Send one request that is not answered at once."""
        self.assertEqual(self.client.send(data), b"")
        return self.exchanges[-1]


class AnswerTests(Case):
    """Answers that are complete, and those that go on."""

    def test_what_a_route_sees(self) -> None:
        """The address is decoded and checked, the fields are text."""
        data = request(b"GET", b"/live/caf%C3%A9.FLV?a=1&b=%2F&a=2", b"X-A: 1", b"x-a: 2 ")
        exchange = self.ask(data)
        verifyObject(IExchange, exchange)
        self.assertEqual(exchange.address.key, StreamKey("live", "café"))
        self.assertEqual(exchange.address.query, {"a": "2", "b": "/"})
        self.assertEqual(exchange.headers, {"host": "example.org", "x-a": "1, 2"})
        self.assertEqual((exchange.method, exchange.extension), ("GET", "flv"))
        self.assertEqual((exchange.http_version, exchange.peer), ("1.1", "192.0.2.1:50000"))
        self.assertIs(exchange.outlet, self.client.protocol.outlet)

    def test_ranges(self) -> None:
        """B-HT-05: a route that allows ranges has its answer cut; HEAD and If-Range have not."""
        whole = {"Content-Type": "video/mp4", "Accept-Ranges": "bytes"}
        for fields, status, shown, body in [
            ((b"Range: bytes=2-4",), 206, b"bytes 2-4/10", b"cde"),
            ((b"Range: bytes=-3",), 206, b"bytes 7-9/10", b"hij"),
            ((b"Range: bytes=10-",), 416, b"bytes */10", b""),
            ((b"Range: bytes=0-1,3-4",), 200, b"", b"abcdefghij"),
            ((b"Range: bytes=2-4", b'If-Range: "x"'), 200, b"", b"abcdefghij"),
            ((), 200, b"", b"abcdefghij"),
        ]:
            exchange = self.ask(request(b"GET", b"/live/x.flv", *fields))
            exchange.respond(200, whole, b"abcdefghij")
            answer = self.client.received()
            self.assertEqual(status_of(answer), status)
            self.assertEqual(body_of_answer(answer), body)
            self.assertIn(b"Content-Range: %b\r\n" % shown if shown else b"", answer)
            self.assertEqual(b"Content-Range" in answer, bool(shown))
        exchange = self.ask(request(b"GET", b"/live/x.flv", b"Range: bytes=2-4"))
        exchange.respond(200, {}, b"abcdefghij")
        self.assertEqual(status_of(self.client.received()), 200)
        exchange = self.ask(request(b"HEAD", b"/live/x.flv", b"Range: bytes=2-4"))
        exchange.respond(200, whole, b"abcdefghij")
        self.assertIn(b"200 OK", self.client.received())

    def test_respond(self) -> None:
        """A whole answer, and the connection goes on."""
        exchange = self.ask(request(b"GET", b"/live/x.flv"))
        exchange.respond(200, {"Content-Type": "video/mp4"}, b"abc")
        self.assertEqual(
            self.client.received(),
            b"HTTP/1.1 200 OK\r\n" + DATE + b"Access-Control-Allow-Origin: *\r\n"
            b"Content-Type: video/mp4\r\nContent-Length: 3\r\n\r\nabc",
        )
        self.assertEqual(body_of_answer(self.client.get(b"/healthz")), b"ok\n")

    def test_respond_to_head(self) -> None:
        """HEAD: the length of the body, and not the body."""
        self.ask(request(b"HEAD", b"/live/x.flv")).respond(200, {}, b"abc")
        answer = self.client.received()
        self.assertTrue(answer.endswith(b"Content-Length: 3\r\n\r\n"))

    def test_respond_at_once(self) -> None:
        """A route may answer before it returns, any number of pipelined requests."""
        self.action = lambda exchange: exchange.respond(
            200, {}, exchange.address.key.stream.encode()
        )
        data = b"".join(request(b"GET", b"/live/s%d.flv" % number) for number in range(500))
        answer = self.client.send(data)
        self.assertEqual(answer.count(b"\r\n\r\ns"), 500)
        self.assertLess(answer.index(b"\r\n\r\ns1H"), answer.index(b"\r\n\r\ns2H"))

    def test_chunked(self) -> None:
        """A streaming answer over HTTP/1.1 ends with the last chunk; the next one follows."""
        exchange = self.ask(request(b"GET", b"/live/x.flv"))
        exchange.begin(200, {}, chunked=True)
        self.assertIn(b"\r\nTransfer-Encoding: chunked\r\n\r\n", self.client.received())
        self.assertEqual(self.client.get(b"/healthz"), b"")
        self.client.protocol.outlet.write(b"3\r\nabc\r\n")
        exchange.finish()
        answer = self.client.received()
        self.assertTrue(answer.startswith(b"3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200"))
        exchange.finish()
        self.assertEqual(self.client.received(), b"")

    def test_close_delimited(self) -> None:
        """Without chunks the connection ends with the answer."""
        exchange = self.ask(b"GET /live/x.flv HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        self.assertRaises(UsageError, exchange.begin, 200, {}, chunked=True)
        exchange.begin(200, {}, chunked=False)
        answer = self.client.received()
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        self.assertNotIn(b"Transfer-Encoding", answer)
        self.assertFalse(self.client.closed)
        exchange.finish()
        self.assertEqual((self.client.received(), self.client.closed), (b"", True))

    def test_begin_to_head(self) -> None:
        """HEAD of a streaming answer is complete with its head."""
        exchange = self.ask(request(b"HEAD", b"/live/x.flv"))
        exchange.begin(200, {}, chunked=True)
        self.assertTrue(exchange.ended)
        exchange.finish()
        self.assertTrue(self.client.received().endswith(b"chunked\r\n\r\n"))
        self.assertEqual(body_of_answer(self.client.get(b"/healthz")), b"ok\n")

    def test_misuse(self) -> None:
        """Two answers, an end without a beginning, and a field that would end the head."""
        exchange = self.ask(request(b"GET", b"/live/x.flv"))
        self.assertRaises(UsageError, exchange.finish)
        for value in ("a\r\nB: c", "a\nb", "a\0b", "a\x7fb"):
            self.assertRaises(UsageError, exchange.respond, 200, {"A": value}, b"")
        exchange.respond(200, {}, b"")
        self.assertRaises(UsageError, exchange.respond, 200, {}, b"")
        self.assertRaises(UsageError, exchange.begin, 200, {}, chunked=True)

    def test_client_leaves(self) -> None:
        """Who works on an answer is told once; what it answers then goes nowhere."""
        told: list[int] = []
        exchange = self.ask(request(b"GET", b"/live/x.flv"))
        exchange.on_closed(lambda: told.append(1))
        self.client.leave()
        self.assertEqual(told, [1])
        exchange.respond(200, {}, b"abc")
        self.assertEqual(self.client.received(), b"")
        exchange.on_closed(lambda: told.append(2))
        self.assertEqual(told, [1])

    def test_not_told_after_the_answer(self) -> None:
        """A complete answer has nobody to tell."""
        told: list[int] = []
        exchange = self.ask(request(b"GET", b"/live/x.flv"))
        exchange.on_closed(lambda: told.append(1))
        exchange.respond(200, {}, b"")
        self.client.leave()
        self.assertEqual(told, [])

    def test_bugs(self) -> None:
        """G-LC-08: a route that raises gets 500, or ends the connection where it has begun."""

        def late(exchange: Any) -> None:
            exchange.begin(200, {}, chunked=True)
            raise ZeroDivisionError

        def early(_exchange: Any) -> None:
            raise ZeroDivisionError

        self.action = early
        self.assertEqual(status_of(self.client.get(b"/live/x.flv")), 500)
        self.assertEqual(body_of_answer(self.client.get(b"/healthz")), b"ok\n")
        self.action = late
        self.client.get(b"/live/x.flv")
        self.assertTrue(self.client.transport.disconnected)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_much_sent_during_a_stream(self) -> None:
        """B-HT-12: a client may send a little while it is sent a stream, not without end."""
        told: list[int] = []
        exchange = self.ask(request(b"GET", b"/live/x.flv"))
        exchange.on_closed(lambda: told.append(1))
        exchange.begin(200, {}, chunked=True)
        self.client.received()
        self.assertEqual(self.client.send(b"x" * MAX_AHEAD_BYTES), b"")
        self.assertFalse(self.client.closed)
        self.assertEqual(self.client.send(b"x"), b"")
        self.assertTrue(self.client.transport.disconnected)
        self.client.leave()
        self.assertEqual(told, [1])

    def test_server_stops(self) -> None:
        """G-LC-01: a stream ends in good form, and who still waits is refused."""
        told: list[str] = []
        exchange = self.ask(request(b"GET", b"/live/x.flv"))
        exchange.on_closed(lambda: told.append("streaming"))
        exchange.begin(200, {}, chunked=True)
        self.client.received()
        waiting = self.rig.connect()
        waiting.get(b"/live/y.flv")
        self.exchanges[-1].on_closed(lambda: told.append("waiting"))
        self.rig.front.connections.close("server is stopping")
        self.assertCountEqual(told, ["streaming", "waiting"])
        self.assertEqual((self.client.received(), self.client.closed), (b"0\r\n\r\n", True))
        self.assertEqual((status_of(waiting.received()), waiting.closed), (503, True))


class ReadyTests(Case):
    """Answers that were ready before they were asked for, and refusals."""

    def setUp(self) -> None:
        super().setUp()
        self.copies = Copies()
        self.file = File("Content-Type: video/mp4\r\n", b"abc", self.copies)

    def test_ready(self) -> None:
        """The short way and the long way say the same, and the connection goes on."""
        wanted = (
            b"HTTP/1.1 200 OK\r\n" + DATE + b"Access-Control-Allow-Origin: *\r\n"
            b"Content-Type: video/mp4\r\nContent-Length: 3\r\n\r\nabc"
        )
        for fields in ((), (b"X-A: 1",), (b"Range: bytes=1-",), (b"Origin: https://a.example",)):
            exchange = self.ask(request(b"GET", b"/live/x.flv", *fields))
            self.assertFalse(exchange.begun)
            exchange.respond_ready(self.file)
            self.assertTrue(exchange.begun and exchange.ended)
            self.assertEqual(self.client.received(), wanted)
        self.assertEqual(body_of_answer(self.client.get(b"/healthz")), b"ok\n")

    def test_last_answer(self) -> None:
        """Who does not want to go on is told that this was all, and cut off."""
        for data in (
            request(b"GET", b"/live/x.flv", b"Connection: close"),
            b"GET /live/x.flv HTTP/1.0\r\nHost: x\r\n\r\n",
        ):
            self.client = self.rig.connect()
            self.ask(data).respond_ready(self.file)
            answer = self.client.received()
            self.assertEqual((status_of(answer), body_of_answer(answer)), (200, b"abc"))
            self.assertIn(b"\r\nConnection: close\r\n", answer)
            self.assertTrue(self.client.closed)

    def test_ready_for_head(self) -> None:
        """B-HT-04: the length, and no body."""
        self.ask(request(b"HEAD", b"/live/x.flv")).respond_ready(self.file)
        answer = self.client.received()
        self.assertTrue(answer.endswith(b"\r\nContent-Length: 3\r\n\r\n"))

    def test_ready_for_some_sites(self) -> None:
        """B-HT-03: where not all pages may read, the answer says which may, each time."""
        self.rig = Rig(
            lambda exchange: self.action(exchange), allowed_origins=("https://example.com",)
        )
        self.client = self.rig.connect()
        for origin, allowed in ((b"https://example.com", True), (b"https://evil.example", False)):
            self.ask(request(b"GET", b"/live/x.flv", b"Origin: " + origin)).respond_ready(self.file)
            answer = self.client.received()
            self.assertEqual(b"Access-Control-Allow-Origin: " in answer, allowed)
            self.assertIn(b"\r\nVary: Origin\r\n", answer)
            self.assertEqual(body_of_answer(answer), b"abc")

    def test_large(self) -> None:
        """A file with a copy in the kernel arrives whole, and the copy is not closed by it."""
        body = bytes(range(256)) * (COPIED_BYTES // 256 + 1)
        file = File("", body, self.copies)
        for _request in range(COPIED_REQUESTS):
            file.asked_for()
        self.assertGreaterEqual(file.descriptor, 0)
        self.addCleanup(file.close)
        for fields in ((), (b"Connection: close",)):
            self.ask(request(b"GET", b"/live/x.flv", *fields)).respond_ready(file)
            self.assertEqual(body_of_answer(self.client.received()), body)
        self.assertGreaterEqual(file.descriptor, 0)

    def test_in_their_order(self) -> None:
        """C-LL-09: requests that wait on one connection are answered in the order they came."""
        self.client.send(request(b"GET", b"/live/a.flv"), request(b"GET", b"/live/b.flv"))
        (first,) = self.exchanges
        first.respond_ready(self.file)
        self.assertEqual(len(self.exchanges), 2)
        self.exchanges[1].respond_ready(File("", b"def", self.copies))
        answer = self.client.received()
        self.assertEqual(answer.count(b"HTTP/1.1 200"), 2)
        self.assertLess(answer.index(b"abc"), answer.index(b"def"))

    def test_gone_away(self) -> None:
        """C-LL-05: nothing is written to who has left, and whoever waited for it is told once."""
        told: list[int] = []
        exchange = self.ask(request(b"GET", b"/live/x.flv"))
        exchange.on_closed(lambda: told.append(1))
        self.client.leave()
        exchange.respond_ready(self.file)
        exchange.refuse(503, "too late")
        self.assertEqual((self.client.received(), told), (b"", [1]))
        other = self.rig.connect()
        other.get(b"/live/x.flv")
        self.exchanges[-1].on_closed(lambda: told.append(2))
        self.exchanges[-1].respond_ready(self.file)
        other.leave()
        self.assertEqual(told, [1])

    def test_answered_twice(self) -> None:
        """A second answer is a mistake; a refusal of what was answered is nothing."""
        exchange = self.ask(request(b"GET", b"/live/x.flv"))
        exchange.respond_ready(self.file)
        self.client.received()
        self.assertRaises(UsageError, exchange.respond_ready, self.file)
        self.assertRaises(UsageError, exchange.respond, 200, {}, b"")
        exchange.refuse(503, "too late")
        self.assertEqual(self.client.received(), b"")
        self.assertEqual(body_of_answer(self.client.get(b"/healthz")), b"ok\n")

    def test_refused(self) -> None:
        """C-PL-12: a reason for people that no cache keeps, and the connection goes on."""
        told: list[int] = []
        for status, line in ((503, b"503 Service Unavailable"), (404, b"404 Not Found")):
            exchange = self.ask(request(b"GET", b"/live/x.flv"))
            exchange.on_closed(lambda: told.append(1))
            exchange.refuse(status, "it did not come")
            answer = self.client.received()
            self.assertEqual(body_of_answer(answer), line + b": it did not come\n")
            self.assertIn(b"\r\nCache-Control: no-store\r\n", answer)
            self.assertIn(b"\r\nAccess-Control-Allow-Origin: *\r\n", answer)
            self.assertTrue(exchange.begun and exchange.ended)
            self.assertRaises(UsageError, exchange.respond_ready, self.file)
        self.assertFalse(self.client.closed)
        self.client.leave()
        self.assertEqual(told, [])

    def test_refused_in_a_stream(self) -> None:
        """What streams cannot be refused any more: it goes on."""
        exchange = self.ask(request(b"GET", b"/live/x.flv"))
        exchange.begin(200, {}, chunked=True)
        self.client.received()
        exchange.refuse(503, "too late")
        self.assertEqual(self.client.received(), b"")
        exchange.finish()
        self.assertEqual(self.client.received(), b"0\r\n\r\n")


class AddressTests(Case):
    """What is not served, and why."""

    def refused(self, target: bytes, method: bytes = b"GET") -> tuple[int, bytes]:
        """Return status and reason of a refusal; it has a CORS field, and nothing was asked."""
        answer = self.client.send(request(method, target))
        self.assertIn(b"\r\nAccess-Control-Allow-Origin: *\r\n", answer)
        self.assertEqual(self.exchanges, [])
        self.assertFalse(self.client.closed)
        return status_of(answer), body_of_answer(answer)

    def test_refusals(self) -> None:
        """B-HT-02: errors have CORS fields too; F-PA-01: bad names are told apart."""
        self.assertIn(b'".ts"', self.refused(b"/live/x.ts")[1])
        for target in (b"/live/a/x.flv", b"/live/..%2fx.flv", b"/live/%00.flv", b"/live/.x.flv"):
            self.assertEqual(self.refused(target)[0], 404, target)
        self.assertEqual(self.refused(b"/%6dserver/x.flv")[0], 404)
        self.assertEqual(self.refused(b"/live/x.m3u8.flv")[0], 404)
        status, reason = self.refused(b"/live/x.flv", b"PUT")
        self.assertEqual((status, reason), (405, b"405 Method Not Allowed: PUT is not for this\n"))

    def test_preflight(self) -> None:
        """B-HT-02: OPTIONS gets 204 with what is allowed, not 405."""
        answer = self.client.send(
            request(
                b"OPTIONS",
                b"/live/x.flv",
                b"Origin: https://example.com",
                b"Access-Control-Request-Method: GET",
            )
        )
        self.assertEqual(status_of(answer), 204)
        self.assertIn(b"\r\nAccess-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n", answer)
        self.assertNotIn(b"Content-Length", answer)
        self.assertEqual(body_of_answer(self.client.get(b"/healthz")), b"ok\n")

    def test_allowed_origins(self) -> None:
        """B-HT-03: with a list only its origins are named, and credentials are never allowed."""
        rig = Rig(allowed_origins=("https://example.com",))
        client = rig.connect()
        answer = client.get(b"/live/x.ts", b"Origin: https://example.com")
        self.assertIn(b"\r\nAccess-Control-Allow-Origin: https://example.com\r\n", answer)
        for origin in (b"null", b"https://example.com.evil.net", b"http://example.com", b"*"):
            answer = client.get(b"/live/x.ts", b"Origin: " + origin)
            self.assertNotIn(b"Access-Control", answer)
            self.assertIn(b"\r\nVary: Origin\r\n", answer)


class BodyTests(Case):
    """Requests with a body, for a route that takes them."""

    def put(self, client: Client, *fields: bytes) -> Exchange:
        """Begin a PUT."""
        self.assertEqual(client.send(request(b"PUT", b"/live/x.mp4", *fields)), b"")
        return self.exchanges[-1]

    def test_streamed(self) -> None:
        """A body is given on as it comes, and the answer may follow it."""
        exchange = self.put(self.client, b"Content-Length: 6")
        receiver = Receiver()
        exchange.receive_body(receiver, 6)
        self.client.send(b"abc")
        self.assertEqual((receiver.data, receiver.ended), (b"abc", []))
        self.client.send(b"def" + request(b"GET", b"/healthz"))
        self.assertEqual((receiver.data, receiver.ended), (b"abcdef", [None]))
        exchange.respond(201, {}, b"")
        self.assertEqual(self.client.received().count(b"HTTP/1.1 20"), 2)

    def test_chunked(self) -> None:
        """Chunks are taken apart."""
        exchange = self.put(self.client, b"Transfer-Encoding: chunked")
        receiver = Receiver()
        exchange.receive_body(receiver, 100)
        self.client.send(b"3\r\nab", b"c\r\n2\r\nde\r\n0\r\n\r\n")
        self.assertEqual((receiver.data, receiver.ended), (b"abcde", [None]))

    def test_none(self) -> None:
        """A request without a body has an empty one."""
        receiver = Receiver()
        self.put(self.client).receive_body(receiver, 0)
        self.assertEqual((receiver.data, receiver.ended), (b"", [None]))

    def test_waits_for_its_receiver(self) -> None:
        """Until somebody takes it a body waits, mostly with the client."""
        exchange = self.put(self.client, b"Content-Length: 100000")
        self.client.send(b"x" * 65536)
        self.assertEqual(self.client.transport.producerState, "paused")
        receiver = Receiver()
        exchange.receive_body(receiver, 100000)
        self.assertEqual(self.client.transport.producerState, "producing")
        self.assertEqual(len(receiver.data), 65536)

    def test_back_pressure(self) -> None:
        """A receiver that cannot keep up holds the client back; no deadline runs meanwhile."""
        exchange = self.put(self.client, b"Content-Length: 200000")
        receiver = Receiver()
        exchange.receive_body(receiver, 200000)
        self.client.send(b"x" * 10)
        exchange.pause_body()
        self.client.send(b"x" * 65536)
        self.assertEqual((len(receiver.data), self.client.transport.producerState), (10, "paused"))
        for _minute in range(5):
            self.rig.reactor.advance(60)
        self.assertFalse(self.client.closed)
        exchange.resume_body()
        self.assertEqual(len(receiver.data), 65546)
        self.assertEqual(self.client.transport.producerState, "producing")

    def test_expect(self) -> None:
        """100 is sent when somebody takes the body, and never when it is refused."""
        exchange = self.put(self.client, b"Content-Length: 2", b"Expect: 100-continue")
        receiver = Receiver()
        exchange.receive_body(receiver, 2)
        self.assertEqual(self.client.received(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.client.send(b"ab")
        exchange.respond(200, {}, b"")
        self.assertEqual(status_of(self.client.received()), 200)
        exchange = self.put(self.client, b"Content-Length: 2", b"Expect: 100-continue")
        exchange.respond(403, {}, b"")
        answer = self.client.received()
        self.assertEqual((status_of(answer), self.client.closed), (403, True))
        self.assertIn(b"Connection: close", answer)

    def test_too_long(self) -> None:
        """Over the limit: 413, by what is announced or by what comes."""
        for fields, body in (
            ((b"Content-Length: 4",), b""),
            ((b"Transfer-Encoding: chunked",), b"4\r\nabcd\r\n"),
        ):
            client = self.rig.connect()
            exchange = self.put(client, *fields)
            receiver = Receiver()
            exchange.receive_body(receiver, 3)
            answer = client.send(body)
            self.assertEqual((status_of(answer), client.closed), (413, True))
            (problem,) = receiver.ended
            self.assertIsInstance(problem, BadRequest)

    def test_broken(self) -> None:
        """F-RE-06: bad framing gets 400; what was good before is given on."""
        exchange = self.put(self.client, b"Transfer-Encoding: chunked")
        receiver = Receiver()
        exchange.receive_body(receiver, 100)
        answer = self.client.send(b"2\r\nab\r\n0x2\r\ncd\r\n")
        self.assertEqual((status_of(answer), self.client.closed), (400, True))
        self.assertEqual((receiver.data, len(receiver.ended)), (b"ab", 1))

    def test_answered_before_its_end(self) -> None:
        """An answer in the middle of a body ends the connection; no more is delivered."""
        exchange = self.put(self.client, b"Transfer-Encoding: chunked")
        receiver = Receiver()
        exchange.receive_body(receiver, 100)
        self.client.send(b"2\r\nab\r\n")
        exchange.respond(200, {}, b"enough")
        answer = self.client.send(b"2\r\ncd\r\n0\r\n\r\n" + request(b"GET", b"/healthz"))
        self.assertEqual(answer.count(b"HTTP/1.1"), 1)
        self.assertEqual((receiver.data, receiver.ended), (b"ab", []))
        self.assertTrue(self.client.closed)
