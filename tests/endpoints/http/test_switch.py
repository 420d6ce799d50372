"""Tests of `Exchange.switch_protocols`: connections that stop to speak HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.endpoints.http.connection import LINGER_SECONDS, MAX_AHEAD_BYTES
from ntvmedia.endpoints.http.exchange import Exchange
from ntvmedia.errors import UsageError
from tests.endpoints.http.rig import DATE, HalfCloseable, Rig, body_of_answer, request, status_of

UPGRADE = request(b"GET", b"/live/x.flv", b"Connection: Upgrade", b"Upgrade: echo")
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\n" + DATE + b"Upgrade: echo\r\nConnection: Upgrade\r\n\r\n"
)


class Echo:
    """Sends back what it gets, and closes after a dot.

    Attributes:
        exchange: Whose connection it has.
        told: What happened, in order.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange: Any = exchange
        self.told: list[str] = []
        exchange.on_closed(lambda: self.told.append("closed"))

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.exchange.outlet.write(data)
        if data.endswith(b"."):
            self.exchange.finish()

    def stop(self) -> None:
        """Say goodbye."""
        self.told.append("stop")
        self.exchange.outlet.write(b"bye")


class SwitchTests(SynchronousTestCase):
    """A connection that is given away."""

    def setUp(self) -> None:
        self.exchanges: list[Exchange] = []
        self.echoes: list[Echo] = []
        self.action: Callable[[Any], None] = self.switch
        self.rig = Rig(lambda exchange: self.action(exchange))
        self.client = self.rig.connect()

    def switch(self, exchange: Exchange) -> None:
        """Give the connection to an echo."""
        self.echoes.append(Echo(exchange))
        exchange.switch_protocols({"Upgrade": "echo"}, self.echoes[-1])

    def test_switch(self) -> None:
        """After status 101 all bytes are the receiver's, be they HTTP or not."""
        self.assertEqual(self.client.send(UPGRADE), SWITCHED)
        self.assertEqual(self.client.send(b"\0\xff\n"), b"\0\xff\n")
        self.assertEqual(self.client.send(UPGRADE), UPGRADE)
        self.assertEqual(self.client.send(bytes(MAX_AHEAD_BYTES * 3)), bytes(MAX_AHEAD_BYTES * 3))
        self.assertEqual(self.echoes[0].told, [])

    def test_what_came_with_the_request(self) -> None:
        """Bytes behind the head in the same read are not lost, and come in order."""
        self.assertEqual(self.client.send(UPGRADE + b"one", b"two"), SWITCHED + b"onetwo")

    def test_later(self) -> None:
        """A switch may take its time; what the client sends meanwhile waits, here or with it."""
        self.action = self.exchanges.append
        much = b"m" * (MAX_AHEAD_BYTES + 1)
        self.assertEqual(self.client.send(UPGRADE, b"early ", much), b"")
        self.assertEqual(self.client.transport.producerState, "paused")
        self.switch(self.exchanges[0])
        self.assertEqual(self.client.transport.producerState, "producing")
        self.assertEqual(self.client.received(), SWITCHED + b"early " + much)

    def test_finish(self) -> None:
        """`finish` closes by halves, so that the client can read all: it is not reset."""
        client = self.rig.connect(transport=HalfCloseable())
        self.assertEqual(client.send(UPGRADE + b"over."), SWITCHED + b"over.")
        self.assertTrue(client.transport.half_closed)
        self.assertFalse(client.closed)
        self.assertEqual(client.send(b"more."), b"")
        self.assertEqual(self.echoes[0].told, [])
        self.rig.reactor.advance(LINGER_SECONDS)
        self.rig.reactor.advance(1.0)
        self.assertTrue(client.transport.disconnected)

    def test_no_deadline(self) -> None:
        """The connection's own deadlines do not count any more."""
        self.client.send(UPGRADE)
        for _number in range(500):
            self.rig.reactor.advance(1.0)
        self.assertFalse(self.client.closed)
        self.assertEqual(self.client.send(b"still"), b"still")

    def test_client_leaves(self) -> None:
        """The client's leaving is told once; then nothing is sent, and all can be let go."""
        self.client.send(UPGRADE)
        self.client.leave()
        self.assertEqual(self.echoes[0].told, ["closed"])
        self.echoes[0].exchange.finish()
        self.assertEqual(self.client.send(b"late"), b"")
        self.assertEqual(len(self.rig.front.connections), 0)

    def test_server_stops(self) -> None:
        """When the server stops the receiver says goodbye, and the connection closes."""
        self.client.send(UPGRADE)
        self.rig.front.connections.close("the server is stopping")
        self.assertEqual(self.echoes[0].told, ["closed", "stop"])
        self.assertEqual(self.client.received(), b"bye")
        self.assertTrue(self.client.closed)

    def test_headers(self) -> None:
        """G-LC-08: a field that would end the head early is our own mistake, and answered so."""
        self.action = lambda exchange: exchange.switch_protocols(
            {"Upgrade": "a\r\nb"}, Echo(exchange)
        )
        self.assertEqual(status_of(self.client.send(UPGRADE)), 500)
        self.assertEqual(len(self.flushLoggedErrors(UsageError)), 1)

    def test_not_possible(self) -> None:
        """A switch of HTTP/1.0, before a body, or after an answer is our own mistake."""
        self.action = self.exchanges.append
        self.rig.connect().send(b"GET /live/x.flv HTTP/1.0\r\nUpgrade: echo\r\n\r\n")
        self.rig.connect().send(request(b"GET", b"/live/x.flv", b"Content-Length: 3", body=b"abc"))
        client = self.rig.connect()
        client.send(UPGRADE)
        self.exchanges[-1].respond(200, {}, b"")
        for exchange in self.exchanges:
            self.assertRaises(UsageError, self.switch, exchange)
        self.assertEqual(status_of(client.received()), 200)

    def test_client_left_before(self) -> None:
        """A switch for a client that has left does nothing."""
        self.action = self.exchanges.append
        self.client.send(UPGRADE)
        self.client.leave()
        self.switch(self.exchanges[0])
        self.assertEqual(self.client.received(), b"")

    def test_declined(self) -> None:
        """An offer to switch that nobody takes gets the ordinary answer, also elsewhere."""
        self.action = lambda exchange: exchange.respond(200, {}, b"plain")
        self.assertEqual(body_of_answer(self.client.send(UPGRADE)), b"plain")
        for target, body in ((b"/healthz", b"ok\n"), (b"/page", b"GET /page ")):
            answer = self.client.get(target, b"Connection: Upgrade", b"Upgrade: websocket")
            self.assertEqual((status_of(answer), body_of_answer(answer)), (200, body))

    def test_other_transport(self) -> None:
        """Where a connection cannot be closed by halves, as with TLS, it is closed as a whole."""
        self.client.send(UPGRADE + b".")
        self.assertTrue(self.client.transport.disconnecting)
