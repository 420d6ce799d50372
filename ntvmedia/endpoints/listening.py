"""Ports by their descriptions: IPv4 and IPv6 at once, TLS around whatever there is."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any

from twisted.application import strports
from twisted.application.service import MultiService
from twisted.internet.interfaces import IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

# A flash crowd: more connections than this between two turns of the reactor are refused.
BACKLOG = 1024

# Twisted's own endpoint for the PROXY protocol: it wraps any other.
_PROXIED = "haproxy:"


def listening_service(
    reactor: Any,
    descriptions: Iterable[str],
    factory: IProtocolFactory,
    certificates: Any = None,
    wrap: Callable[[Any], Any] = lambda factory: factory,
) -> MultiService:
    """Build the service that listens on all descriptions.

    Args:
        reactor: Where the ports are.
        descriptions: As `twisted.internet.endpoints.serverFromString` takes them. `tcp:PORT`
            without an interface means IPv6 and IPv4, behind `haproxy:` too.
        factory: Gets the connections.
        certificates: A context factory, to have TLS on every description that is not itself one
            of TLS; or None.
        wrap: Puts something in front of it all, outside of TLS: the PROXY protocol.

    Returns:
        A service whose start raises what the first failing bind raises.
    """
    service = MultiService()
    for description in descriptions:
        inner: Any = factory
        is_tls = description.removeprefix(_PROXIED).startswith(("ssl:", "tls:"))
        if certificates is not None and not is_tls:
            inner = TLSMemoryBIOFactory(certificates, False, factory)
            inner.noisy = False
        port = strports.service(_complete(description), wrap(inner), reactor=reactor)
        port.setServiceParent(service)
    return service


def _complete(description: str) -> str:
    """Add what a plain `tcp:PORT` leaves out, whatever it is wrapped in."""
    if description.startswith(_PROXIED):
        return _PROXIED + _complete(description.removeprefix(_PROXIED))
    kind, _colon, rest = description.partition(":")
    if kind != "tcp":
        return description
    if "interface=" not in rest and _has_ipv6():
        description += r":interface=\:\:"
    return description if "backlog=" in rest else f"{description}:backlog={BACKLOG}"


def _has_ipv6() -> bool:
    """Whether the kernel lets a port be opened for both kinds of address."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
