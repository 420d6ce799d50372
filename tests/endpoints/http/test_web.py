"""Tests of ntvmedia.endpoints.http.web: requests handed to twisted.web."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from ntvmedia.admin.bodies import MAX_BODY_BYTES as BODY_OF_API
from ntvmedia.endpoints.http.web import MAX_BODY_BYTES
from tests.endpoints.http.rig import Rig, body_of_answer, request, status_of


@implementer(ISSLTransport)
class Secure(StringTransport):
    """A transport that claims to be TLS."""

    def loseWriteConnection(self) -> None:
        """Fail: TLS says goodbye in its own way."""
        raise AssertionError("half closed under TLS")

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Accept it."""

    def getTcpNoDelay(self) -> bool:
        """Say that it was accepted."""
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Accept it."""

    def getTcpKeepAlive(self) -> bool:
        """Say that it was not asked for."""
        return False

    def getPeerCertificate(self) -> str:
        """Return nothing that anybody uses."""
        return ""


class Streaming(Resource):
    """Answers with as much as it may.

    Attributes:
        paused: It was told to wait.
    """

    isLeaf = True
    paused = False
    request: Any = None

    def render(self, request: Any) -> Any:
        """Begin."""
        self.request = request
        request.registerProducer(self, True)
        return NOT_DONE_YET

    def pauseProducing(self) -> None:
        """Wait."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Go on."""
        self.paused = False

    def stopProducing(self) -> None:
        """The client has left."""


class HandOverTests(SynchronousTestCase):
    """A connection that mixes media and pages."""

    def test_mixed(self) -> None:
        """Pages and media alternate on one connection, as a browser has it."""
        client = Rig().connect()
        for _turn in range(3):
            self.assertTrue(client.get(b"/page").endswith(b"\r\n\r\nGET /page "))
            self.assertEqual(status_of(client.get(b"/live/x.ts")), 404)
            self.assertEqual(body_of_answer(client.get(b"/healthz")), b"ok\n")
        self.assertFalse(client.closed)

    def test_bodies(self) -> None:
        """A body of known length, in pieces, and one in chunks; the next request follows."""
        client = Rig().connect()
        head = request(b"POST", b"/page", b"Content-Length: 6")
        self.assertEqual(client.send(head, b"ab", b"cd"), b"")
        self.assertEqual(body_of_answer(client.send(b"ef")), b"POST /page abcdef")
        chunked = request(b"POST", b"/page", b"Transfer-Encoding: chunked")
        answer = client.send(chunked + b"3\r\nabc\r", b"\n2;x\r\nde\r\n0\r\n", b"T: u\r\n\r\n")
        self.assertEqual(body_of_answer(answer), b"POST /page abcde")
        self.assertEqual(body_of_answer(client.get(b"/page")), b"GET /page ")

    def test_expect(self) -> None:
        """A client that waits for 100 gets it."""
        client = Rig().connect()
        head = request(b"POST", b"/page", b"Content-Length: 2", b"Expect: 100-continue")
        self.assertEqual(client.send(head), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(body_of_answer(client.send(b"ab")), b"POST /page ab")

    def test_head(self) -> None:
        """HEAD gets no body, and the next answer stands right behind."""
        client = Rig().connect()
        answer = client.send(request(b"HEAD", b"/page") + request(b"GET", b"/healthz"))
        self.assertIn(b"\r\n\r\nHTTP/1.1 200 OK\r\n", answer)

    def test_closing(self) -> None:
        """HTTP/1.0, and who asks for it, are closed behind the answer."""
        for data in (
            b"GET /page HTTP/1.0\r\n\r\n",
            request(b"GET", b"/page", b"Connection: close"),
            request(b"GET", b"/page", b"Connection: close, TE"),
        ):
            client = Rig().connect()
            self.assertEqual(body_of_answer(client.send(data)), b"GET /page ")
            self.assertTrue(client.closed)

    def test_client_leaves(self) -> None:
        """A request whose client goes away is told, once."""
        rig = Rig()
        client = rig.connect()
        client.get(b"/page")
        client.get(b"/later")
        client.leave()
        self.assertEqual(rig.pages.lost, 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_client_leaves_in_its_body(self) -> None:
        """A request that never became complete is not served, and nothing is left."""
        rig = Rig()
        client = rig.connect()
        client.send(request(b"POST", b"/page", b"Content-Length: 6"), b"ab")
        client.leave()
        self.assertEqual(rig.reactor.getDelayedCalls(), [])

    def test_bodies_of_strangers(self) -> None:
        """F-RE-04: nobody is asked who he is before the whole body is there: it is no large one."""
        assert BODY_OF_API <= MAX_BODY_BYTES <= 1 << 20

    def test_body_too_long(self) -> None:
        """A body over the limit gets 413, as soon as that is known."""
        client = Rig().connect()
        length = b"Content-Length: %d" % (MAX_BODY_BYTES + 1)
        self.assertEqual(status_of(client.send(request(b"POST", b"/page", length))), 413)
        self.assertTrue(client.closed)
        client = Rig().connect()
        client.send(request(b"POST", b"/page", b"Transfer-Encoding: chunked"))
        size = MAX_BODY_BYTES // 4
        chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
        self.assertEqual(client.send(chunk, chunk, chunk, chunk), b"")
        self.assertEqual(status_of(client.send(b"1\r\nx\r\n")), 413)
        self.assertTrue(client.closed)

    def test_broken_body(self) -> None:
        """F-RE-06: bad chunk framing gets 400, from us."""
        for chunk in (b"0x2", b"+2", b"1_0", b"2 "):
            client = Rig().connect()
            head = request(b"POST", b"/page", b"Transfer-Encoding: chunked")
            answer = client.send(head + chunk + b"\r\nab\r\n0\r\n\r\n" + request(b"GET", b"/page"))
            self.assertEqual((status_of(answer), answer.count(b"HTTP/1.1")), (400, 1))
            self.assertTrue(client.closed)

    def test_back_pressure(self) -> None:
        """A page that sends much is told to wait for a slow client, and then to go on."""
        rig = Rig()
        pages = Streaming()
        rig.pages = pages  # type: ignore[assignment]
        client = rig.connect()
        client.get(b"/page")
        client.protocol.outlet.pauseProducing()
        pages.request.write(b"x" * 70000)
        self.assertTrue(pages.paused)
        client.protocol.outlet.resumeProducing()
        self.assertFalse(pages.paused)
        pages.request.unregisterProducer()
        pages.request.finish()
        self.assertIn(b"x" * 70000, client.received().replace(b"\r\n", b""))

    def test_back_pressure_over_several_requests(self) -> None:
        """An answer still on its way does not stop the next request from being served."""
        rig = Rig()
        client = rig.connect()
        client.get(b"/later")
        client.protocol.outlet.pauseProducing()
        rig.pages.waiting[0].write(b"x" * 70000)
        rig.pages.waiting[0].finish()
        client.get(b"/page")
        client.protocol.outlet.resumeProducing()
        self.assertIn(b"GET /page ", client.received())
        self.assertEqual(body_of_answer(client.get(b"/page")), b"GET /page ")

    def test_secure(self) -> None:
        """A page knows that its connection is TLS."""
        rig = Rig()
        client = rig.connect(transport=Secure())
        client.get(b"/later")
        (waiting,) = rig.pages.waiting
        self.assertTrue(waiting.isSecure())
        waiting.finish()
        client.received()
        self.assertEqual(status_of(client.send(b"\0\r\n\r\n")), 400)
        self.assertTrue(client.closed)

    def test_addresses(self) -> None:
        """A page knows its client, and where it was reached."""
        rig = Rig()
        client = rig.connect("198.51.100.7")
        client.get(b"/later")
        (waiting,) = rig.pages.waiting
        self.assertEqual(waiting.getClientAddress().host, "198.51.100.7")
        self.assertEqual(waiting.getHost().type, "TCP")

    def test_bug(self) -> None:
        """A page that raises gets 500, and the connection goes on."""
        rig = Rig()
        client = rig.connect()
        rig.pages.render = lambda request: 1 / 0  # type: ignore[method-assign]
        self.assertEqual(status_of(client.get(b"/page")), 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(body_of_answer(client.get(b"/healthz")), b"ok\n")
