"""Connections through a load balancer: the PROXY protocol in front of the real one.

The header is read, and then the transport is handed to the real protocol itself: it sends
straight to its socket like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.endpoints.peers import host_of, peer_of
from ntvmedia.errors import PeerError
from ntvmedia.wire.proxy_protocol import ProxyHeader, parse_proxy_header

# A load balancer sends its header at once.
HEADER_SECONDS = 5.0


class ProxiedProtocol(Protocol):
    """Reads the header, then gives its place to the protocol behind it."""

    _log = Logger()
    transport: Any

    def __init__(self, reactor: Any, inner: Factory, address: IAddress | None) -> None:
        self._reactor = reactor
        self._inner = inner
        self._address = address
        self._received = b""
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._deadline = self._reactor.callLater(HEADER_SECONDS, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        self._received += data
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
        self._log.info("{peer}: no PROXY protocol header", peer=peer_of(self._address))
        self.transport.abortConnection()

    def _stop_waiting(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()


class ProxiedFactory(Factory):
    """Expects the header from trusted load balancers, and from nobody else.

    Args:
        reactor: Clock for the header's deadline.
        inner: Builds the real protocols; for the address in the header.
        trusted: The networks of the load balancers. Any other peer is served without a header,
            and one that sends it breaks the real protocol.
    """

    noisy = False

    def __init__(
        self, reactor: Any, inner: Factory, trusted: Sequence[IPv4Network | IPv6Network]
    ) -> None:
        self._reactor = reactor
        self._inner = inner
        self._trusted = tuple(trusted)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        host = host_of(addr)
        if host and any(ip_address(host) in network for network in self._trusted):
            return ProxiedProtocol(self._reactor, self._inner, addr)
        return self._inner.buildProtocol(addr)


def _address(header: ProxyHeader, own: IAddress | None) -> IAddress | None:
    if not header.host:
        return own
    kind = IPv6Address if ":" in header.host else IPv4Address
    return kind("TCP", header.host, header.port)
