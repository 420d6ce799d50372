"""Connections to other servers, which go to checked addresses only.

All of them pass the `Gate`, which has the address that the socket will have: whatever a name meant
a moment ago or will mean in the next, and wherever a server sends us on to, nothing else is ever
connected to.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IDelayedCall,
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import ClientFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.client import URI, BrowserLikePolicyForHTTPS, HostnameCachingHTTPSPolicy
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import directlyProvides, implementer

from ntvmedia.outbound.addresses import Target
from ntvmedia.outbound.failures import Forbidden, OutboundError
from ntvmedia.outbound.limits import LimitedFactory, OpenConnections
from ntvmedia.outbound.lookups import Lookups
from ntvmedia.outbound.policy import Policy
from ntvmedia.outbound.proxies import TunnelEndpoint

READ_BYTES: Final = 256 << 10
"""How much is read at a time, four times what Twisted reads: a download costs a quarter less
processor time, and a tenth or so over TLS (bodies of 400 MB on one machine, both in turns)."""

ALLOWED_BY: Final = "outbound.allow does not name, nor the preference outbound_networks"
"""The end of what is said of an address that is forbidden: where to allow it."""

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
        self._check(host)
        connector: Any = self._reactor.connectTCP(
            host, port, factory, timeout=timeout, bindAddress=bindAddress
        )
        transport = getattr(connector, "transport", None)
        if transport is not None:
            transport.bufferSize = READ_BYTES
        connected: IConnector = connector
        return connected

    def check_host(self, host: str) -> None:
        """See that a host that a proxy is told to connect to is no forbidden address.

        What a name means is the proxy's to say.

        Raises:
            Forbidden: It is.
        """
        try:
            ip_address(host)
        except ValueError:
            return
        self._check(host)

    def resolve(self, host: str) -> Deferred[str]:
        """Look a host up, and return the first of its addresses that may be connected to.

        Returns:
            Fails with `OutboundError`.
        """
        receiver = _Addresses(self._check)
        self.nameResolver.resolveHostName(receiver, host)
        return receiver.found

    def _check(self, address: str) -> None:
        problem = self._policy.problem_of(address)
        if problem:
            raise Forbidden(f"{address} is {problem}, which {ALLOWED_BY}")


@implementer(IResolutionReceiver)
class _Addresses:
    """Takes the addresses of a host.

    Args:
        check: Raises `Forbidden` for one that may not be connected to.

    Attributes:
        found: As `Gate.resolve` returns it.
    """

    def __init__(self, check: Callable[[str], None]) -> None:
        self._check = check
        self._good: list[str] = []
        self._forbidden: list[Forbidden] = []
        self.found: Deferred[str] = Deferred()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        pass

    def addressResolved(self, address: IAddress) -> None:
        host: str = getattr(address, "host", "")
        try:
            self._check(host)
        except Forbidden as error:
            self._forbidden.append(error)
        else:
            self._good.append(host)

    def resolutionComplete(self) -> None:
        if self._good:
            self.found.callback(self._good[0])
        elif self._forbidden:
            self.found.errback(OutboundError(str(self._forbidden[0]), is_permanent=True))
        else:
            self.found.errback(OutboundError("its name is unknown"))


@implementer(IAgentEndpointFactory)
class Endpoints:
    """Makes what an `Agent` connects with.

    Args:
        gate: What the connections pass.
        timeout_seconds: How long one address is tried.
        trust: Whose certificates are believed, for `twisted.internet.ssl.optionsForClientTLS`;
            None for those that the system trusts.
        proxy: Through which all of them go, or None for none.
    """

    def __init__(
        self, gate: Gate, timeout_seconds: float, trust: Any = None, proxy: Target | None = None
    ) -> None:
        self._gate = gate
        self._timeout_seconds = timeout_seconds
        self._proxy = proxy
        self._open = OpenConnections()
        self._tls = HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS(trust), _TLS_HOSTS)

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        endpoint: IStreamClientEndpoint
        if self._proxy is None:
            endpoint = self._to(host, uri.port)
        else:
            self._gate.check_host(host)
            by = self._to(self._proxy.host, self._proxy.port)
            endpoint = TunnelEndpoint(by, self._proxy, host, uri.port, self._open)
        # The certificate is checked against the name, never against the address.
        is_secure = uri.scheme == b"https"
        tls = self._tls.creatorForNetloc(uri.host, uri.port) if is_secure else None
        return _Endpoint(endpoint, self._gate, tls, self._open)

    def endpoint_of_proxy(self, proxy: Target) -> IStreamClientEndpoint:
        """Return what connects to a proxy that is sent whole requests."""
        return _Endpoint(self._to(proxy.host, proxy.port), self._gate, None, self._open)

    def close(self) -> Deferred[None]:
        """Close all connections. None may be begun any more.

        Returns:
            Fires when there are none.
        """
        return self._open.close()

    def _to(self, host: str, port: int) -> IStreamClientEndpoint:
        return HostnameEndpoint(self._gate, host, port, self._timeout_seconds)


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
        self, endpoint: IStreamClientEndpoint, gate: Gate, tls: Any, connections: OpenConnections
    ) -> None:
        self._endpoint = endpoint
        self._gate = gate
        self._tls = tls
        self._open = connections

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        factory: Any = LimitedFactory(protocolFactory, self._open)
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
