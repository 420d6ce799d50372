"""Who owns the server before it has an administrator: somebody on this machine (P-102).

A request counts as local when its peer is a loopback address, it names a loopback host (a page of
another site, whose name was made to point here, does not: F-AC-11), and it came without the traces
of a proxy, which would make everybody's requests local.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

from twisted.web.http_headers import Headers

# Those that proxies add: RFC 7239, RFC 9110 section 7.6.3, and custom. Names in lower case.
_PROXY_HEADERS: Final = frozenset({b"forwarded", b"via", b"x-real-ip", b"x-client-ip"})
_PROXY_PREFIX: Final = b"x-forwarded"

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def is_local(peer_host: str, headers: Headers, version: bytes = b"HTTP/1.1") -> bool:
    """Say whether a request was made on this machine, as described above.

    Args:
        peer_host: The address of the connection's other end; empty where it has none.
        headers: Of the request.
        version: Of the request. nginx before 1.29.7, where it is told nothing else, passes requests
            on as HTTP/1.0 with a Host of its own, and no other trace.

    Returns:
        Also true for what a proxy on this machine passes on as HTTP/1.1, with a loopback host and
        without any header of its own, as nginx does since 1.29.7 where it is told nothing else:
        that cannot be told from a local client. Operators must have such a proxy set
        `X-Forwarded-For`, or not pass `/mserver` on.
    """
    if version == b"HTTP/1.0":
        return False
    for name, _values in headers.getAllRawHeaders():
        lower = name.lower()
        if lower in _PROXY_HEADERS or lower.startswith(_PROXY_PREFIX):
            return False
    hosts = headers.getRawHeaders("host", [])
    return len(hosts) == 1 and _is_loopback_name(hosts[0]) and _is_loopback(peer_host)


def _is_loopback_name(host: str) -> bool:
    name, _colon, port = host.strip().lower().rpartition(":")
    if not name or not (port.isascii() and port.isdecimal()):
        name = host.strip().lower()
    return name in _LOOPBACK_NAMES


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
