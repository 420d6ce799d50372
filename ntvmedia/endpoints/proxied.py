"""Connections through a load balancer: the PROXY protocol in front of the real one.

The header is read, and then the transport is handed to the real protocol itself: it sends
straight to its socket like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.config.reading import Network
from ntvmedia.endpoints.peers import host_of, peer_of
from ntvmedia.errors import PeerError
from ntvmedia.preferences import is_within
from ntvmedia.wire.proxy_protocol import SIGNATURE, ProxyHeader, parse_proxy_header

# A load balancer sends its header at once.
HEADER_SECONDS = 5.0

# How a header begins, of version 1 and 2; nothing else that is served here does.
_BEGINNINGS = (b"PROXY ", SIGNATURE)


# What one says who sends none.
_NO_HEADER = ProxyHeader("", 0, 0)


class ProxiedProtocol(Protocol):
    """Reads the header, then gives its place to the protocol behind it.

    Args:
        reactor: Clock for the header's deadline.
        inner: Builds that protocol.
        address: Of the peer.
        optional: One that sends something else is served without it.
    """

    _log = Logger()
    transport: Any

    def __init__(
        self, reactor: Any, inner: Factory, address: IAddress | None, *, optional: bool
    ) -> None:
        self._reactor = reactor
        self._inner = inner
        self._address = address
        self._optional = optional
        self._received = b""
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._deadline = self._reactor.callLater(HEADER_SECONDS, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if self._optional and not self._may_be_header():
            self._hand_over(_NO_HEADER)
            return
        try:
            header = parse_proxy_header(self._received)
        except PeerError as error:
            self._log.info("{peer}: {error}", peer=peer_of(self._address), error=error)
            self.transport.abortConnection()
            return
        if header is not None:
            self._hand_over(header)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_waiting()

    def _may_be_header(self) -> bool:
        received = self._received
        return any(received[: len(x)] == x[: len(received)] for x in _BEGINNINGS)

    def _hand_over(self, header: ProxyHeader) -> None:
        self._stop_waiting()
        protocol = self._inner.buildProtocol(_address(header, self._address))
        if protocol is None:
            self.transport.abortConnection()
            return
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        rest = self._received[header.length :]
        if rest:
            protocol.dataReceived(rest)

    def _too_late(self) -> None:
        if self._optional:
            # One that waits to be spoken to, or that says very little.
            self._hand_over(_NO_HEADER)
            return
        self._log.info("{peer}: no PROXY protocol header", peer=peer_of(self._address))
        self.transport.abortConnection()

    def _stop_waiting(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()


class ProxiedFactory(Factory):
    """Takes the header from trusted load balancers, and from nobody else.

    Args:
        reactor: Clock for the header's deadline.
        inner: Builds the real protocols; for the address in the header.
        trusted: The networks of load balancers that always send it. Any other peer is served
            without a header, and one that sends it breaks the real protocol.
        believed: Returns the networks of those that may send it, and need not.

    Attributes:
        wrappedFactory: What builds the real protocols, by the name that Twisted has for it.
    """

    noisy = False

    def __init__(
        self,
        reactor: Any,
        inner: Factory,
        trusted: Sequence[Network] = (),
        believed: Callable[[], Sequence[Network]] = lambda: (),
    ) -> None:
        self._reactor = reactor
        self.wrappedFactory = inner
        self._trusted = tuple(trusted)
        self._believed = believed

    def buildProtocol(self, addr: IAddress | None) -> Any:
        believed = self._believed()
        if self._trusted or believed:
            host = host_of(addr)
            if is_within(host, self._trusted):
                return ProxiedProtocol(self._reactor, self.wrappedFactory, addr, optional=False)
            if is_within(host, believed):
                return ProxiedProtocol(self._reactor, self.wrappedFactory, addr, optional=True)
        return self.wrappedFactory.buildProtocol(addr)


def proxied(host: Any, trusted: Sequence[Network] = ()) -> Callable[[Factory], ProxiedFactory]:
    """Return what puts the PROXY protocol in front of a factory.

    Args:
        host: An `ntvmedia.interfaces.IHost`: the preference `trusted_proxies` says who may send a
            header.
        trusted: Who has to.
    """

    def wrap(inner: Factory) -> ProxiedFactory:
        return ProxiedFactory(
            host.reactor, inner, trusted, lambda: host.preferences.values.trusted_proxies
        )

    return wrap


def _address(header: ProxyHeader, own: IAddress | None) -> IAddress | None:
    if not header.host:
        return own
    kind = IPv6Address if ":" in header.host else IPv4Address
    return kind("TCP", header.host, header.port)
