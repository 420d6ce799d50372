"""What every connection has beside its protocol: a limit to the head of each answer, and an end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from ntvmedia.outbound.failures import Unacceptable

MAX_HEAD_BYTES: Final = 128 << 10
"""Of an answer, with all that comes before it. Twisted limits each line to 16 kB, and has no limit
of their number; other servers stop at 8 to 64 kB."""


class OpenConnections:
    """The connections that there are.

    Attributes:
        connections: Each has `loseConnection`, which ends it at once.
    """

    def __init__(self) -> None:
        self.connections: set[Any] = set()
        self._closing: list[Deferred[None]] = []

    def close(self) -> Deferred[None]:
        """As in `connections.Endpoints`."""
        done: Deferred[None] = Deferred()
        self._closing.append(done)
        for connection in tuple(self.connections):
            connection.loseConnection()
        self.tell()
        return done

    def tell(self) -> None:
        """Tell whoever closes that there are none, once that is so."""
        while self._closing and not self.connections:
            self._closing.pop().callback(None)


class LimitedConnection(ProtocolWrapper):
    """A connection with a limit to the head of each answer, and one that ends when it is told to.

    Twisted asks a peer politely to end TLS, and waits for its consent for ever. Here nothing is
    left to send when a connection ends.
    """

    def __init__(self, factory: Any, wrapped: Any) -> None:
        super().__init__(factory, wrapped)
        self._head_bytes = 0
        self._in_body = False
        self._problem: Failure | None = None

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send a request: the next answer begins."""
        self._head_bytes = 0
        self._in_body = False
        super().writeSequence(data)

    def pauseProducing(self) -> None:
        """Stop reading, as the parser does when a head is complete and a body follows."""
        self._in_body = True
        self.transport.pauseProducing()  # type: ignore[union-attr]

    def stopProducing(self) -> None:
        """End the connection at once."""
        self.loseConnection()

    def loseConnection(self) -> None:
        self.disconnecting = True
        self.transport.abortConnection()  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        if not self._in_body:
            self._head_bytes += len(data)
        # Directly, here and for each piece of a body: a call less is a percent of a download. When
        # this ends an answer, the next request may have been sent before it returns.
        self.wrappedProtocol.dataReceived(data)
        if not self._in_body and self._head_bytes > MAX_HEAD_BYTES:
            message = f"the head of the answer is larger than {MAX_HEAD_BYTES:,} bytes"
            self._problem = Failure(Unacceptable(message))
            self.loseConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        super().connectionLost(self._problem or reason)


class LimitedFactory(WrappingFactory[LimitedConnection]):
    """Makes them, quietly: Twisted's factories log a line for each connection."""

    protocol = LimitedConnection
    noisy = False

    def __init__(self, wrapped: Any, connections: OpenConnections) -> None:
        super().__init__(wrapped)
        wrapped.noisy = False
        self._open = connections

    def registerProtocol(self, p: LimitedConnection) -> None:
        super().registerProtocol(p)
        self._open.connections.add(p)

    def unregisterProtocol(self, p: LimitedConnection) -> None:
        super().unregisterProtocol(p)
        self._open.connections.discard(p)
        self._open.tell()
