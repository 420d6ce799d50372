"""Bodies: of an answer, on its way from the connection to whom it is for; and of a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from ntvmedia.outbound.failures import Unacceptable
from ntvmedia.outbound.flow import Flow


class ReceiverFailed(Exception):
    """Whoever was given an answer raised something, which is none of the network's failures.

    Attributes:
        error: What.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Body(Protocol):
    """Takes the body of an answer, up to a limit.

    Args:
        response: Twisted's.
        limit_bytes: More end the connection.
        receiver: Is given each piece, from the reactor thread; None to have them gathered.
        touched: Called with each piece.
        flow: Pauses it; None for nobody.

    Attributes:
        done: Fires with what was gathered. May be cancelled. Fails with `ReceiverFailed` where
            the receiver does.
    """

    def __init__(
        self,
        response: Any,
        limit_bytes: int,
        receiver: Callable[[bytes], object] | None,
        touched: Callable[[], None],
        flow: Flow | None = None,
    ) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _done: self._stop())
        self._response = response
        self._limit_bytes = limit_bytes
        self._data = bytearray()
        self._receiver = self._data.extend if receiver is None else receiver
        self._touched = touched
        self._flow = flow
        self._count = 0

    def connectionMade(self) -> None:
        transport: Any = self.transport
        if self._flow is not None:
            self._flow.attach(transport)
        announced = self._response.length
        self._limit(announced if isinstance(announced, int) else 0)

    def dataReceived(self, data: bytes) -> None:
        if self.done.called:
            return
        self._count += len(data)
        if self._count > self._limit_bytes:
            self._limit(self._count)
            return
        self._touched()
        try:
            self._receiver(data)
        except Exception as error:
            self._fail(ReceiverFailed(error))
        if self._flow is not None:
            # Twisted resumes the connection once, after the first piece.
            self._flow.hold()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if self._flow is not None:
            self._flow.attach(None)
        if self.done.called:
            return
        flaw = getattr(self._response, "flaw", None)
        # Without a length, the end of the connection is that of the body (RFC 9112 6.3).
        if not reason.check(ResponseDone, PotentialDataLoss):
            self.done.errback(reason)
        elif flaw is not None:
            self.done.errback(flaw)
        else:
            self.done.callback(bytes(self._data))

    def _limit(self, count: int) -> None:
        if count > self._limit_bytes:
            why = f"the answer is longer than {self._limit_bytes:,} bytes"
            self._fail(Unacceptable(why, is_permanent=True))

    def _fail(self, error: Exception) -> None:
        # A receiver may have cancelled the request before it raised.
        if not self.done.called:
            self.done.errback(error)
        self._stop()

    def _stop(self) -> None:
        if self._flow is not None:
            self._flow.attach(None)
        transport: Any = self.transport
        transport.stopProducing()


class Unread(Protocol):
    """Ends a connection whose answer goes on to where nobody reads."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.stopProducing()


@implementer(IBodyProducer)
class PostedBody:
    """The body of a request, all of which is there: it is some kilobytes.

    Args:
        data: What is sent.
    """

    def __init__(self, data: bytes) -> None:
        self.length = len(data)
        self._data = data

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: all was written."""

    def resumeProducing(self) -> None:
        """Do nothing: all was written."""

    def stopProducing(self) -> None:
        """Do nothing: all was written."""
