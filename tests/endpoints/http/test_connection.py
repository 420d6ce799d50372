"""Tests of ntvmedia.endpoints.http.connection and front: heads, order, limits, deadlines."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.endpoints.http.connection import (
    BODY_BYTES_PER_SECOND,
    BODY_SECONDS,
    LINGER_SECONDS,
    MAX_AHEAD_BYTES,
)
from ntvmedia.endpoints.http.front import RESERVED_CONNECTIONS, TICK_SECONDS
from ntvmedia.endpoints.http.heads import MAX_HEAD_BYTES
from tests.endpoints.http.rig import DATE, HalfCloseable, Rig, request, status_of
from tests.endpoints.http.test_heads import HOST, SMUGGLING

HEALTHY = (
    b"HTTP/1.1 200 OK\r\n"
    + DATE
    + b"Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
    b"Content-Length: 3\r\n\r\nok\n"
)


class HealthTests(SynchronousTestCase):
    """What load balancers ask."""

    def test_healthz(self) -> None:
        """It answers while the process lives, whatever the request's form."""
        client = Rig().connect()
        self.assertEqual(client.get(b"/healthz"), HEALTHY)
        self.assertEqual(client.get(b"/healthz?a=b"), HEALTHY)
        head = client.send(request(b"HEAD", b"/healthz"))
        self.assertEqual(head, HEALTHY[:-3])
        self.assertEqual(status_of(client.send(request(b"DELETE", b"/healthz"))), 405)
        self.assertFalse(client.closed)

    def test_http_1_0(self) -> None:
        """HTTP/1.0 closes, unless the client asks to go on; then it is told."""
        rig = Rig()
        client = rig.connect()
        answer = client.send(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        self.assertIn(b"\r\nConnection: keep-alive\r\n", answer)
        self.assertFalse(client.closed)
        answer = client.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        self.assertTrue(client.closed)

    def test_close(self) -> None:
        """A client that wants to close is closed, and what it sends behind is not answered."""
        client = Rig().connect()
        both = request(b"GET", b"/healthz", b"Connection: close") + request(b"GET", b"/healthz")
        answer = client.send(both)
        self.assertEqual(answer.count(b"HTTP/1.1 200"), 1)
        self.assertIn(b"Connection: close", answer)
        self.assertTrue(client.closed)

    def test_readyz(self) -> None:
        """G-LC-01: not ready any more from the moment the server drains."""
        rig = Rig()
        client = rig.connect()
        self.assertEqual(status_of(client.get(b"/readyz")), 200)
        rig.draining = True
        self.assertEqual(status_of(client.get(b"/readyz")), 503)
        self.assertEqual(status_of(client.get(b"/healthz")), 200)

    def test_date(self) -> None:
        """The date is that of the second."""
        rig = Rig()
        client = rig.connect()
        wall = [784111777.0]
        rig.front._wall_seconds = lambda: wall[0]
        wall[0] += 5
        rig.reactor.advance(TICK_SECONDS)
        self.assertIn(b"Date: Sun, 06 Nov 1994 08:49:42 GMT\r\n", client.get(b"/healthz"))


class PipeliningTests(SynchronousTestCase):
    """Several requests on one connection."""

    def test_three(self) -> None:
        """F-RE-06: three pipelined requests are answered in their order, all three kinds."""
        client = Rig().connect()
        answer = client.send(
            request(b"GET", b"/page")
            + request(b"GET", b"/healthz")
            + request(b"GET", b"/live/x.ts")
            + request(b"POST", b"/last", b"Content-Length: 3", body=b"abc")
        )
        places = [answer.index(x) for x in (b"GET /page", b"ok\n", b"404 Not", b"POST /last abc")]
        self.assertEqual(places, sorted(places))
        self.assertEqual(answer.count(b"HTTP/1.1 "), 4)
        self.assertFalse(client.closed)

    def test_order_with_a_slow_answer(self) -> None:
        """CVE-2023-46137: what is behind a slow answer is answered behind it."""
        rig = Rig()
        client = rig.connect()
        self.assertEqual(
            client.send(request(b"GET", b"/later") + request(b"GET", b"/healthz")), b""
        )
        (waiting,) = rig.pages.waiting
        waiting.write(b"at last")
        waiting.finish()
        answer = client.received()
        self.assertLess(answer.index(b"at last"), answer.index(b"ok\n"))

    def test_ahead_is_bounded(self) -> None:
        """A client that sends much ahead of its answers is held back, and then read again."""
        rig = Rig()
        client = rig.connect()
        client.get(b"/later")
        more = request(b"GET", b"/healthz") * (MAX_AHEAD_BYTES // 40)
        client.send(more)
        self.assertEqual(client.transport.producerState, "paused")
        rig.pages.waiting[0].finish()
        self.assertEqual(client.transport.producerState, "producing")
        self.assertEqual(client.received().count(b"ok\n"), more.count(b"GET"))

    def test_answers_not_read(self) -> None:
        """While a client does not take its answers no further request is looked at."""
        rig = Rig()
        client = rig.connect()
        client.protocol.outlet.pauseProducing()
        self.assertEqual(client.get(b"/healthz"), b"")
        self.assertEqual(client.get(b"/healthz"), b"")
        self.assertEqual(client.protocol.outlet.queued_bytes, 0)
        client.protocol.outlet.resumeProducing()
        self.assertEqual(client.received().count(b"ok\n"), 2)

    def test_a_line_end_too_many(self) -> None:
        """RFC 9112 2.2: one empty line before a request is ignored, a second is not."""
        client = Rig().connect()
        self.assertEqual(client.send(b"\r\n" + request(b"GET", b"/healthz")), HEALTHY)
        self.assertEqual(client.send(b"\r", b"\n", request(b"GET", b"/healthz")), HEALTHY)
        answer = client.send(b"\r\n", b"\r\n", request(b"GET", b"/healthz"))
        self.assertEqual(status_of(answer), 400)


class BadRequestTests(SynchronousTestCase):
    """What is refused, and how the connection ends."""

    def test_smuggling(self) -> None:
        """F-RE-06: each kind gets 400, and nothing behind it is answered."""
        for name, data in SMUGGLING.items():
            if name == "line end before":
                continue  # one is allowed here: see `test_a_line_end_too_many`
            client = Rig().connect()
            answer = client.send(data.replace(b"%b", HOST) + request(b"GET", b"/healthz"))
            self.assertEqual(status_of(answer), 400, name)
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1, name)
            self.assertIn(b"\r\nConnection: close\r\n", answer, name)
            self.assertTrue(client.closed, name)
            self.assertEqual(client.get(b"/healthz"), b"", name)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_bare_line_feeds(self) -> None:
        """F-RE-06: a head that ends in bare LFs does not wait for the deadline."""
        client = Rig().connect()
        self.assertEqual(status_of(client.send(b"GET / HTTP/1.1\nHost: x\n\n")), 400)
        self.assertTrue(client.closed)

    def test_missing_host(self) -> None:
        """F-RE-06: HTTP/1.1 without Host."""
        self.assertEqual(status_of(Rig().connect().send(b"GET / HTTP/1.1\r\n\r\n")), 400)

    def test_http_2(self) -> None:
        """F-RE-07: the preface of HTTP/2 is refused like any bad request."""
        client = Rig().connect()
        answer = client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.assertEqual((status_of(answer), client.closed), (400, True))

    def test_tls(self) -> None:
        """A client that speaks TLS here is closed without an answer that it could not read."""
        hello = bytes.fromhex("16030100c8010000c40303")
        for pieces in ([hello], [hello[:1], hello[1:]], [hello + b"\r\n\r\n"]):
            client = Rig().connect()
            self.assertEqual(client.send(*pieces), b"")
            self.assertTrue(client.closed)

    def test_long_head(self) -> None:
        """A head may have `MAX_HEAD_BYTES`, and not one more."""
        start = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
        fields = b"".join(b"X-%d: " % number + b"y" * 1000 + b"\r\n" for number in range(15))
        fill = MAX_HEAD_BYTES - len(start + fields) - len(b"Z: \r\n\r\n")
        for extra, status in ((0, 200), (1, 431)):
            client = Rig().connect()
            data = start + fields + b"Z: " + b"z" * (fill + extra) + b"\r\n\r\n"
            self.assertEqual(status_of(client.send(data)), status)
        client = Rig().connect()
        self.assertEqual(client.send(b"G" * (MAX_HEAD_BYTES - 1)), b"")
        self.assertEqual(status_of(client.send(b"G")), 431)

    def test_lingers(self) -> None:
        """The client can read the answer, whatever it still sends, for a while."""
        rig = Rig()
        transport = HalfCloseable()
        client = rig.connect(transport=transport)
        self.assertEqual(status_of(client.send(b"\0\r\n\r\n")), 400)
        self.assertTrue(transport.half_closed)
        self.assertFalse(client.closed)
        self.assertEqual(client.get(b"/healthz"), b"")
        rig.reactor.advance(LINGER_SECONDS + TICK_SECONDS)
        self.assertTrue(transport.disconnected)

    def test_a_close_that_does_not_end(self) -> None:
        """A peer that does not confirm the end, as TLS wants it, is cut."""
        rig = Rig()
        client = rig.connect()
        client.get(b"/healthz", b"Connection: close")
        self.assertFalse(client.transport.disconnected)
        rig.reactor.advance(LINGER_SECONDS + TICK_SECONDS)
        self.assertTrue(client.transport.disconnected)


class LimitTests(SynchronousTestCase):
    """How many connections there may be."""

    def test_max_connections(self) -> None:
        """G-RS-03: one too many gets 503; there is room again when one leaves, however."""
        rig = Rig(max_connections=2)
        first, _second = rig.connect(), rig.connect()
        third = rig.connect()
        self.assertEqual(status_of(third.received()), 503)
        self.assertTrue(third.closed)
        self.assertEqual(rig.front.connections.refused, 1)
        third.leave()
        self.assertEqual(len(rig.front.connections), 2)
        first.send(b"\0\r\n\r\n")
        first.leave()
        self.assertEqual(rig.connect().get(b"/healthz"), HEALTHY)

    def test_operator_is_let_in(self) -> None:
        """G-RS-03: this machine has some connections more, and not without end."""
        rig = Rig(max_connections=1)
        rig.connect()
        for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1") * (RESERVED_CONNECTIONS // 3):
            self.assertEqual(rig.connect(host).get(b"/healthz"), HEALTHY)
        self.assertEqual(rig.connect("192.0.2.9").received()[9:12], b"503")
        while len(rig.front.connections) < 1 + RESERVED_CONNECTIONS:
            rig.connect("127.0.0.1")
        self.assertEqual(rig.connect("127.0.0.1").received()[9:12], b"503")

    def test_nothing_is_left(self) -> None:
        """When the last client has gone, no timer and no connection is left."""
        rig = Rig()
        clients = [rig.connect() for _number in range(3)]
        clients[0].get(b"/later")
        for client in clients:
            client.leave()
        self.assertEqual(rig.reactor.getDelayedCalls(), [])
        self.assertEqual(len(rig.front.connections), 0)
        self.assertEqual(rig.pages.lost, 1)


class DeadlineTests(SynchronousTestCase):
    """F-RE-04: who is slow on purpose, and who is idle."""

    def test_slow_head(self) -> None:
        """A head has a total time, and each further byte does not prolong it."""
        rig = Rig(head_timeout=15.0)
        client = rig.connect()
        data = request(b"GET", b"/healthz")
        for at in range(14):
            self.assertEqual(client.send(data[at : at + 1]), b"")
            rig.reactor.advance(1)
        self.assertFalse(client.closed)
        client.send(data[14:15])
        rig.reactor.advance(1 + TICK_SECONDS)
        self.assertEqual(status_of(client.received()), 408)
        self.assertTrue(client.closed)

    def test_slow_second_head(self) -> None:
        """A later head has its time from its first byte on."""
        rig = Rig(head_timeout=5.0, idle_timeout=60.0)
        client = rig.connect()
        client.get(b"/healthz")
        rig.reactor.advance(50)
        client.send(b"G")
        rig.reactor.advance(4)
        client.send(b"E")
        self.assertFalse(client.closed)
        rig.reactor.advance(1 + TICK_SECONDS)
        self.assertEqual(status_of(client.received()), 408)

    def test_silent(self) -> None:
        """Who never says anything is closed, without an answer."""
        rig = Rig(head_timeout=15.0)
        client = rig.connect()
        rig.reactor.advance(14)
        self.assertFalse(client.closed)
        rig.reactor.advance(1 + TICK_SECONDS)
        self.assertTrue(client.closed)
        self.assertEqual(client.received(), b"")

    def test_idle(self) -> None:
        """Between requests the idle time counts, from the last answer on."""
        rig = Rig(idle_timeout=60.0)
        client = rig.connect()
        for _turn in range(3):
            self.assertEqual(client.get(b"/healthz"), HEALTHY)
            rig.reactor.advance(59)
        self.assertFalse(client.closed)
        rig.reactor.advance(1 + TICK_SECONDS)
        self.assertTrue(client.closed)

    def test_answers_take_their_time(self) -> None:
        """No deadline ends an answer that is being worked on."""
        rig = Rig(idle_timeout=60.0)
        client = rig.connect()
        client.get(b"/later")
        for _minute in range(10):
            rig.reactor.advance(60)
        self.assertFalse(client.closed)
        rig.pages.waiting[0].finish()
        self.assertEqual(status_of(client.received()), 200)
        rig.reactor.advance(60 + TICK_SECONDS)
        self.assertTrue(client.closed)

    def test_slow_body(self) -> None:
        """A body that only trickles is cut; one that comes steadily has all the time it needs."""
        rig = Rig()
        size = 100 * BODY_BYTES_PER_SECOND
        head = request(b"POST", b"/page", b"Content-Length: %d" % size)
        slow, steady = rig.connect(), rig.connect()
        slow.send(head)
        steady.send(head)
        for _second in range(int(BODY_SECONDS + TICK_SECONDS)):
            self.assertEqual(slow.send(b"x"), b"")
            steady.send(b"x" * BODY_BYTES_PER_SECOND)
            rig.reactor.advance(1)
        self.assertEqual(status_of(slow.received()), 408)
        self.assertTrue(slow.closed)
        for _second in range(int(BODY_SECONDS + TICK_SECONDS), 100):
            rig.reactor.advance(1)
            answer = steady.send(b"x" * BODY_BYTES_PER_SECOND)
        self.assertEqual(status_of(answer), 200)

    def test_a_slow_reader_may_finish(self) -> None:
        """A connection is not closed as idle while its answer is still on the way."""
        rig = Rig(idle_timeout=5.0)
        client = rig.connect()
        client.get(b"/page")
        client.protocol.outlet.pauseProducing()
        rig.reactor.advance(30)
        self.assertFalse(client.closed)
        client.protocol.outlet.resumeProducing()
        rig.reactor.advance(6 + TICK_SECONDS)
        self.assertTrue(client.closed)


class StopTests(SynchronousTestCase):
    """G-LC-01: how connections end when the server does."""

    def test_idle_at_once(self) -> None:
        """An idle connection is closed, one that works finishes its answer first."""
        rig = Rig()
        idle, busy = rig.connect(), rig.connect()
        idle.get(b"/healthz")
        busy.get(b"/later")
        done = rig.front.connections.close("server is stopping")
        self.assertTrue(idle.closed)
        self.assertFalse(busy.closed)
        idle.leave()
        self.assertNoResult(done)
        rig.pages.waiting[0].finish()
        self.assertEqual(status_of(busy.received()), 200)
        self.assertTrue(busy.closed)
        busy.leave()
        self.successResultOf(done)

    def test_nobody_new(self) -> None:
        """A connection that was accepted too late is refused."""
        rig = Rig()
        rig.front.connections.close("server is stopping")
        self.assertEqual(status_of(rig.connect("127.0.0.1").received()), 503)


REQUESTS = [
    request(b"GET", b"/healthz"),
    request(b"HEAD", b"/healthz"),
    request(b"GET", b"/page?x"),
    request(b"POST", b"/page", b"Content-Length: 11", body=b"GET / HTTP/"),
    request(b"POST", b"/p", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
    request(b"GET", b"/live/x.ts"),
    request(b"OPTIONS", b"/live/x.flv"),
    request(b"DELETE", b"/live/x.flv", b"Content-Length: 2", body=b"ab"),
    request(b"GET", b"/healthz", b"Connection: close"),
    b"GET /healthz HTTP/1.0\r\n\r\n",
    b"\r\n" + request(b"GET", b"/healthz"),
    b"GET / HTTP/1.1\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    request(b"POST", b"/p", b"Transfer-Encoding: chunked", body=b"0x3\r\nabc\r\n0\r\n\r\n"),
    b"\x16\x03\x01\r\n\r\n",
    b"X" * 100,
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(REQUESTS), max_size=5), st.data())
def test_cuts_do_not_matter(requests: list[bytes], data: st.DataObject) -> None:
    """However a list of pipelined requests is cut, the same answers and the same end come out."""
    wire = b"".join(requests)
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=8))
    whole, cut = Rig().connect(), Rig().connect()
    answer = whole.send(wire)
    pieces = [wire[a:b] for a, b in pairwise([0, *sorted(cuts), len(wire)])]
    assert cut.send(*pieces) == answer
    assert cut.closed == whole.closed
