"""Addresses of peers, and sets of networks that are asked about each of them (F-AC-06).

An IPv4 address in IPv6 form (`::ffff:192.0.2.1`, RFC 4291 section 2.5.5.2) is the IPv4 address: a
listener on `::` sees all of IPv4 so. Such a network is one of IPv4 too; one that only has them
among others, as `::/0` has, is not.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, NamedTuple, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

EVERYBODY: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
"""What "all" stands for. Peers without an IP address are in it too."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_MAPPED_PREFIX: Final = int(_MAPPED.network_address) >> 32

# Of an address with a zone and a prefix; longer texts are none.
_MAX_LENGTH: Final = 64


class Host(NamedTuple):
    """An IP address as a number.

    Attributes:
        version: 4 or 6; 0 for a peer that has none, such as one of a local socket.
        number: The address.
    """

    version: int
    number: int


NO_HOST: Final = Host(0, 0)


def host_of(peer: str) -> str:
    """Return the host in a peer's address: "192.0.2.1:50000", "[2001:db8::1]:50000", or alone."""
    if peer[:1] == "[":
        return peer[1:].partition("]")[0]
    host, colon, _port = peer.rpartition(":")
    # More than one colon: IPv6, without a port.
    return host if colon and ":" not in host else peer


def parse_host(text: str) -> Host:
    """Read an IP address as sockets spell it.

    Returns:
        `NO_HOST` for what is none.
    """
    try:
        if ":" not in text:
            return Host(4, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big"))
        # Without its zone, which names an interface of this machine.
        packed = socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        return NO_HOST
    number = int.from_bytes(packed, "big")
    if number >> 32 == _MAPPED_PREFIX:
        return Host(4, number & 0xFFFFFFFF)
    return Host(6, number)


def parse_network(text: str) -> tuple[Network, ...]:
    """Read what an operator writes: an address, a network such as "10.0.0.0/8", or "all".

    Raises:
        ValueError: It is none of these; the message is a clause that says so.
    """
    text = text.strip()
    if text == "all":
        return EVERYBODY
    if len(text) > _MAX_LENGTH or "%" in text:
        raise ValueError('expected an IP address, a network such as "10.0.0.0/8", or "all"')
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            'expected an IP address, a network such as "10.0.0.0/8", or "all"'
        ) from None
    try:
        ip_network(text)
    except ValueError:
        # What is meant is not guessed: 10.1.2.3/8 may be the address or the network.
        raise ValueError(f"it has bits after its prefix: the network is {network}") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        number = int(network.network_address) & 0xFFFFFFFF
        return (IPv4Network((number, network.prefixlen - 96)),)
    return (network,)


def spelling(networks: tuple[Network, ...]) -> str:
    """Return the one text for what `parse_network` read."""
    return "all" if networks == EVERYBODY else str(networks[0])


def signed_spelling(text: str) -> str:
    """Return an address or network as signed addresses have it.

    Raises:
        ValueError: As for `parse_network`; or it stands for all.
    """
    network, *more = parse_network(text)
    if more:
        raise ValueError("all need no mention")
    is_one = network.prefixlen == network.max_prefixlen
    return str(network.network_address if is_one else network)


class Networks:
    """A set of networks.

    Looking an address up takes one step for each length of prefix that there is, however many
    networks there are.

    Args:
        networks: All of them, as `parse_network` reads them; in any order, some within others.
    """

    __slots__ = ("_everybody", "_of")

    def __init__(self, networks: Iterable[Network]) -> None:
        found: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        everybody = set()
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            prefixes = found[network.version].setdefault(shift, set())
            prefixes.add(int(network.network_address) >> shift)
            if not network.prefixlen:
                everybody.add(network.version)
        self._of: dict[int, tuple[tuple[int, frozenset[int]], ...]] = {
            version: tuple((shift, frozenset(found[version][shift])) for shift in found[version])
            for version in found
        }
        self._everybody = len(everybody) == 2

    def __bool__(self) -> bool:
        return any(self._of.values())

    def __contains__(self, host: Host) -> bool:
        version, number = host
        if not version:
            return self._everybody
        # Not `any`: its generator takes longer than the rest.
        for shift, prefixes in self._of[version]:  # noqa: SIM110
            if number >> shift in prefixes:
                return True
        return False


LOCAL: Final = Networks(
    network
    for text in (
        "127.0.0.0/8",
        "::1",
        # RFC 1918, RFC 4193.
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
        # RFC 3927, RFC 4291 section 2.5.6.
        "169.254.0.0/16",
        "fe80::/10",
    )
    for network in parse_network(text)
)
"""Loopback and private networks."""
