"""Requests that are not media: given to `twisted.web`, one by one, on the same connection.

A connection makes a channel of `twisted.web` when it first needs one, feeds it the bytes of each
such request as they came, and has the connection back when the channel says that the request is
done. The channel's transport is a `WebTransport`: it writes through the connection's outlet, so
that the bytes of both worlds stay in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IPushProducer,
    ISSLTransport,
    ITransport,
)
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from twisted.web.server import Site
from zope.interface import implementer

from ntvmedia.endpoints.http.heads import CHUNKED, BadRequest, RequestHead

if TYPE_CHECKING:
    from ntvmedia.endpoints.http.connection import HTTPConnection

MAX_BODY_BYTES: Final = 1 << 20
"""The longest body: `twisted.web` keeps it all until it is complete, before anybody is asked who he
is (F-RE-04). The API takes an eighth of it; uploads are media's."""

# The channel is told to wait when this much is not yet sent: as much as Twisted's own transports.
_BUFFER_BYTES: Final = 65536


@implementer(ITransport, IConsumer, IPushProducer)
class WebTransport:
    """What a channel of `twisted.web` takes for its connection.

    Args:
        connection: The real one.
        transport: That of the real one.
    """

    def __init__(self, connection: HTTPConnection, transport: Any) -> None:
        self._connection = connection
        self._transport = transport
        self._producer: Any = None
        self._waiting = False
        self.disconnecting = False

    def write(self, data: bytes) -> None:
        outlet = self._connection.outlet
        outlet.write(data)
        if self._producer is not None and not self._waiting and outlet.blocked:
            if outlet.queued_bytes < _BUFFER_BYTES:
                return
            self._waiting = True
            self._connection.call_when_drained(self._drained)
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self._connection.turn_done(keep=False)

    def abortConnection(self) -> None:
        self.disconnecting = True
        self._connection.abort()

    def getPeer(self) -> IAddress:
        # What a load balancer told of it counts here too.
        address: IAddress = self._connection.address
        return address

    def getHost(self) -> IAddress:
        return self._transport.getHost()  # type: ignore[no-any-return]

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def pauseProducing(self) -> None:
        self._connection.pause_reading()

    def resumeProducing(self) -> None:
        self._connection.resume_reading()

    def stopProducing(self) -> None:
        self.loseConnection()

    def _drained(self) -> None:
        self._waiting = False
        if self._producer is not None:
            self._producer.resumeProducing()


class _Channel(HTTPChannel):
    """A channel that says when a request is done."""

    # The connection has deadlines of its own.
    timeOut = None

    def __init__(self, turns: WebTurns, site: Site) -> None:
        super().__init__()
        self._turns = turns
        # What `Site.buildProtocol` would set.
        self.site = site
        self.factory = site
        self.requestFactory = site.requestFactory

    def callLater(self, period: float, func: Any) -> Any:
        """Use the site's reactor; `TimeoutMixin` would import the global one."""
        return self.site.reactor.callLater(period, func)

    def isSecure(self) -> bool:
        # Its own transport is not asked: what is TLS would have to be all of a TCP transport too.
        return bool(ISSLTransport.providedBy(self._turns.transport))

    def requestDone(self, request: Request) -> None:
        super().requestDone(request)
        self._turns.request_done()


class WebTurns:
    """The turns that `twisted.web` takes on one connection.

    Attributes:
        transport: The connection's own.
        begun: The channel may have answered: it has the whole request.
        streaming: Never.
        wants_body: Always.
    """

    streaming = False
    wants_body = True

    def __init__(self, connection: HTTPConnection, site: Site, transport: Any) -> None:
        self._connection = connection
        self.begun = False
        self._keep = True
        self._body_left = 0
        self._busy = False
        self.transport = transport
        self._transport = WebTransport(connection, transport)
        self._channel = _Channel(self, site)
        self._channel.makeConnection(self._transport)

    def begin(self, head: RequestHead, raw: bytes) -> None:
        """Hand one request over.

        Args:
            head: Its head.
            raw: The same, as it came.

        Raises:
            BadRequest: Its body would be too long.
        """
        if head.body_length != CHUNKED and head.body_length > MAX_BODY_BYTES:
            raise _too_long()
        self._keep = head.keep_alive
        self._body_left = MAX_BODY_BYTES
        self._busy = True
        self.begun = not head.body_length
        self._channel.dataReceived(raw)

    def body_received(self, raw: bytes, pieces: list[bytes], *, complete: bool) -> None:
        """Pass on more of the request, as it came."""
        self._body_left -= sum(map(len, pieces))
        if self._body_left < 0:
            raise _too_long()
        self.begun = complete
        self._channel.dataReceived(raw)

    def body_failed(self, error: BadRequest) -> None:
        """Answer a body that is broken or too long: the channel waits for its end."""
        self._connection.fail(error)

    def request_done(self) -> None:
        """Give the connection back."""
        self._busy = False
        if not self._transport.disconnecting:
            self._connection.turn_done(keep=self._keep)

    def lost(self) -> None:
        """Tell the request, if there is one, that its client is gone. Idempotent."""
        if self._busy:
            self._busy = False
            self._transport.disconnecting = True
            self._channel.connectionLost(Failure(ConnectionDone()))

    def stop(self) -> None:
        """The server stops: the answer is waited for."""


def _too_long() -> BadRequest:
    return BadRequest(413, "the body is too long", reference="RFC 9110 15.5.14")
