"""Whose a request is, where proxies pass requests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address

from ntvmedia.config.reading import Network
from ntvmedia.endpoints.http.heads import RequestHead
from ntvmedia.endpoints.peers import host_of
from ntvmedia.preferences import FORWARDED_FOR, client_address

_FIELD = FORWARDED_FOR.encode("ascii")


def client_of(address: Any, head: RequestHead, proxies: Sequence[Network]) -> Any:
    """Return the address of a request's client, as Twisted has addresses.

    Args:
        address: Of the connection's other end.
        head: Of the request.
        proxies: Those that are believed who the client is; mostly none.

    Returns:
        `address` where that is no proxy; else one with port 0, which proxies do not tell.
    """
    if not proxies:
        return address
    values = [value.decode("latin-1") for name, value in head.headers if name == _FIELD]
    peer = host_of(address)
    found = client_address(peer, {FORWARDED_FOR: ",".join(values)}, proxies)
    if found == peer:
        return address
    return (IPv6Address if ":" in found else IPv4Address)("TCP", found, 0)
