"""Who the client is behind load balancers and reverse proxies.

`X-Forwarded-For` is a list to which each proxy adds, at its right end, whom it was asked by. What
stands further left was sent by that peer, and may be anything: it counts only where the peer is a
proxy of ours too. So the client is the right-most address that is none of them (F-AC-05).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from ntvmedia.config.reading import Network

FORWARDED_FOR: Final = "x-forwarded-for"
"""The name of the field, in lower case. `Forwarded` and `X-Real-IP` are not read: one proxy sets
the one and passes the others on as the client sent them."""

# Longer ones are no chain of proxies.
_MOST_HOPS: Final = 32
_MOST_CHARACTERS: Final = 2048


def client_address(peer: str, headers: Mapping[str, str], proxies: Sequence[Network]) -> str:
    """Return the IP address of the client that a request came from.

    Args:
        peer: The IP address of the connection's other end, without port; empty for a unix socket,
            which is nobody's proxy.
        headers: Of the request: lower-case names; a field that came several times has its values
            joined by commas, in order.
        proxies: The networks of the proxies that are believed.

    Returns:
        `peer` where that is no proxy, or its header is missing. Of a header with rubbish in it,
        what stands to the right of the rubbish.
    """
    if not proxies or not is_within(peer, proxies):
        return peer
    text = headers.get(FORWARDED_FOR, "")
    if not text:
        return peer
    client = peer
    for hop in reversed(text[-_MOST_CHARACTERS:].split(",")[-_MOST_HOPS:]):
        found = _read(hop.strip(" \t"))
        if not found:
            break
        client = found
        if not is_within(client, proxies):
            break
    return client


def is_within(host: str, networks: Sequence[Network]) -> bool:
    """Say whether an IP address is in one of some networks; what is no address is in none."""
    address = address_of(host)
    return address is not None and any(address in network for network in networks)


def is_loopback(host: str) -> bool:
    """Say whether an IP address is this machine's own; a peer without one, at a unix socket, is."""
    address = address_of(host)
    return address.is_loopback if address is not None else not host


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return an IP address; that of version 4 where it is written as one of version 6."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _read(hop: str) -> str:
    """Return the address in one item: alone, in brackets, or with a port; empty for rubbish."""
    host = hop
    if hop.startswith("["):
        host, bracket, port = hop[1:].partition("]")
        if not bracket or (port and not _is_port(port)):
            return ""
    elif hop.count(":") == 1:
        host, _colon, port = hop.partition(":")
        if not _is_port(f":{port}"):
            return ""
    address = address_of(host)
    return "" if address is None or "%" in host else str(address)


def _is_port(text: str) -> bool:
    digits = text[1:]
    return text[0] == ":" and digits.isascii() and digits.isdecimal() and len(digits) <= 5
