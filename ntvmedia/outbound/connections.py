"""Connections to other servers, which go to checked addresses only.

All of them pass the `Gate`, which has the address that the socket will have: whatever a name meant
a moment ago or will mean in the next, and wherever a server sends us on to, nothing else is ever
connected to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IHostnameResolver,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import ClientFactory
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, BrowserLikePolicyForHTTPS, HostnameCachingHTTPSPolicy
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import directlyProvides, implementer

from ntvmedia.outbound.failures import Forbidden, Unacceptable
from ntvmedia.outbound.lookups import Lookups
from ntvmedia.outbound.policy import Policy

MAX_HEAD_BYTES: Final = 128 << 10
"""Of an answer, with all that comes before it and one read of its body. Twisted limits each line
to 16 kB, and has no limit of their number; other servers stop at 8 to 64 kB."""

# Hosts whose side of TLS is kept: to prepare one reads the system's certificates, which takes 12 ms
# and 1 MB, and an agent wants one at every request.
_TLS_HOSTS: Final = 20


class Gate:
    """The reactor, as an endpoint may use it.

    Args:
        reactor: The real one.
        policy: What may be connected to.
    """

    def __init__(self, reactor: Any, policy: Policy) -> None:
        directlyProvides(self, IReactorPluggableNameResolver)
        self._reactor = reactor
        self._policy = policy
        self.nameResolver: IHostnameResolver = Lookups(reactor)

    def seconds(self) -> float:
        """Return the reactor's time."""
        now: float = self._reactor.seconds()
        return now

    def callLater(self, delay: float, call: Any, *args: Any, **named: Any) -> IDelayedCall:
        """Pass it on."""
        later: IDelayedCall = self._reactor.callLater(delay, call, *args, **named)
        return later

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: ClientFactory,
        timeout: float = 30,
        bindAddress: Any = None,
    ) -> IConnector:
        """Connect to an IP address that the policy has nothing against.

        Raises:
            Forbidden: It has.
            ValueError: It is no IP address.
        """
        problem = self._policy.problem_of(host)
        if problem:
            raise Forbidden(f"{host} is {problem}, which outbound.allow does not name")
        connector: IConnector = self._reactor.connectTCP(
            host, port, factory, timeout=timeout, bindAddress=bindAddress
        )
        return connector


@implementer(IAgentEndpointFactory)
class Endpoints:
    """Makes what an `Agent` connects with.

    Args:
        gate: What the connections pass.
        timeout_seconds: How long one address is tried.
        trust: Whose certificates are believed, for `twisted.internet.ssl.optionsForClientTLS`;
            None for those that the system trusts.
    """

    def __init__(self, gate: Gate, timeout_seconds: float, trust: Any = None) -> None:
        self._gate = gate
        self._timeout_seconds = timeout_seconds
        self._open = _Open()
        self._tls = HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS(trust), _TLS_HOSTS)

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        endpoint = HostnameEndpoint(self._gate, host, uri.port, self._timeout_seconds)
        # The certificate is checked against the name, never against the address.
        is_secure = uri.scheme == b"https"
        tls = self._tls.creatorForNetloc(uri.host, uri.port) if is_secure else None
        return _Endpoint(endpoint, self._gate, tls, self._open)

    def close(self) -> Deferred[None]:
        """Close all connections. None may be begun any more.

        Returns:
            Fires when there are none.
        """
        return self._open.close()


class _Open:
    """The connections that there are."""

    def __init__(self) -> None:
        self.connections: set[_Connection] = set()
        self._closing: list[Deferred[None]] = []

    def close(self) -> Deferred[None]:
        """As in `Endpoints`."""
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


@implementer(IStreamClientEndpoint)
class _Endpoint:
    """Connects by name, with TLS where it is wanted, and our limits below the protocol.

    Args:
        endpoint: Connects.
        gate: Its time.
        tls: Makes our side of TLS, or None for none.
        connections: Where they are entered.
    """

    def __init__(
        self, endpoint: HostnameEndpoint, gate: Gate, tls: Any, connections: _Open
    ) -> None:
        self._endpoint = endpoint
        self._gate = gate
        self._tls = tls
        self._open = connections

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        factory: Any = _Wrapping(protocolFactory, self._open)
        if self._tls is not None:
            # As `wrapClientTLS` does, which leaves it to the global reactor to send.
            clock: Any = self._gate
            factory = TLSMemoryBIOFactory(self._tls, True, factory, clock)
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting.addCallback(self._unwrapped)

    def _unwrapped(self, protocol: Any) -> IProtocol:
        """Return what the pool's factory made, below TLS and our own."""
        connection = protocol.wrappedProtocol if self._tls is not None else protocol
        made: IProtocol = connection.wrappedProtocol
        return made


class _Connection(ProtocolWrapper):
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
            if self._head_bytes > MAX_HEAD_BYTES:
                message = f"the head of the answer is larger than {MAX_HEAD_BYTES:,} bytes"
                self._problem = Failure(Unacceptable(message))
                self.loseConnection()
                return
        super().dataReceived(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        super().connectionLost(self._problem or reason)


class _Wrapping(WrappingFactory[_Connection]):
    """Makes them, quietly: Twisted's factories log a line for each connection."""

    protocol = _Connection
    noisy = False

    def __init__(self, wrapped: Any, connections: _Open) -> None:
        super().__init__(wrapped)
        wrapped.noisy = False
        self._open = connections

    def registerProtocol(self, p: _Connection) -> None:
        super().registerProtocol(p)
        self._open.connections.add(p)

    def unregisterProtocol(self, p: _Connection) -> None:
        super().unregisterProtocol(p)
        self._open.connections.discard(p)
        self._open.tell()
