"""A front in memory, and clients that talk to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import implementer

from ntvmedia.config import HTTPSettings
from ntvmedia.endpoints.http.connection import HTTPConnection
from ntvmedia.endpoints.http.front import HTTPFront, Route
from ntvmedia.hub.policy import OutletPolicy
from ntvmedia.interfaces import IExchange

# The example of RFC 9110 section 5.6.7.
WALL_SECONDS = 784111777.0
DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


@implementer(IHalfCloseableDescriptor)
class HalfCloseable(StringTransport):
    """A transport that can stop sending and still receive, as TCP can."""

    half_closed = False

    def loseWriteConnection(self) -> None:
        """Note it."""
        self.half_closed = True

    def writeConnectionLost(self, reason: Any) -> None:
        """Never called here."""

    def readConnectionLost(self, reason: Any) -> None:
        """Never called here."""


class Pages(Resource):
    """What is not media: says what it was asked, at once or when told to.

    Attributes:
        waiting: Requests to `/later`, not yet answered.
        lost: How many of them went away before.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Any] = []
        self.lost = 0

    def render(self, request: Any) -> Any:
        """Answer with method, path and body."""
        if request.path == b"/later":
            self.waiting.append(request)
            request.notifyFinish().addErrback(self._gone)
            return NOT_DONE_YET
        request.setHeader("content-type", "text/plain")
        text: bytes = b"%b %b %b" % (request.method, request.path, request.content.read())
        return text

    def _gone(self, _failure: Failure) -> None:
        self.lost += 1


class Rig:
    """A front with a web resource and routes.

    Args:
        handler: Of the extensions `flv` (to read) and `mp4` (also PUT).
        settings: Those that differ from the defaults.
    """

    def __init__(
        self, handler: Callable[[IExchange], None] = lambda exchange: None, **settings: Any
    ) -> None:
        self.reactor = MemoryReactorClock()
        self.pages = Pages()
        self.draining = False
        self.policy = OutletPolicy(
            self.reactor.seconds, queue_bytes=1 << 20, queue_seconds=10.0, stall_timeout=20.0
        )
        read = ("GET", "HEAD")
        self.front = HTTPFront(
            self.reactor,
            HTTPSettings(**settings),
            self.policy,
            {"flv": Route(read, handler), "mp4": Route((*read, "PUT"), handler)},
            lambda: Site(self.pages, reactor=self.reactor),
            lambda: WALL_SECONDS,
            lambda: self.draining,
        )

    def connect(self, host: str = "192.0.2.1", transport: Any = None) -> Client:
        """Connect a client."""
        return Client(self.front, host, transport)


class Client:
    """The client's side of one connection.

    Attributes:
        transport: The server's.
        protocol: The server's.
    """

    def __init__(self, front: HTTPFront, host: str, transport: Any = None) -> None:
        address = IPv4Address("TCP", host, 50000)
        self.transport: Any = transport or StringTransport(peerAddress=address)
        self.protocol: HTTPConnection = front.buildProtocol(address)
        self.protocol.makeConnection(self.transport)

    def send(self, *pieces: bytes) -> bytes:
        """Send some pieces, and return what the server says that was not yet returned."""
        for piece in pieces:
            self.protocol.dataReceived(piece)
        return self.received()

    def get(self, target: bytes, *fields: bytes) -> bytes:
        """Send a GET."""
        return self.send(request(b"GET", target, *fields))

    def received(self) -> bytes:
        """Return what the server said that was not yet returned."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def leave(self) -> None:
        """Close the connection from the client's side."""
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def closed(self) -> bool:
        """Whether the server has closed the connection, or broken it off."""
        return bool(self.transport.disconnecting or self.transport.disconnected)


def request(method: bytes, target: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    """Write a request of HTTP/1.1."""
    lines = (b"%b %b HTTP/1.1" % (method, target), b"Host: example.org", *fields, b"", b"")
    return b"\r\n".join(lines) + body


def status_of(answer: bytes) -> int:
    """Return the status of the first answer."""
    return int(answer.split(b" ", 2)[1])


def body_of_answer(answer: bytes) -> bytes:
    """Return what stands behind the first head."""
    return answer.partition(b"\r\n\r\n")[2]
