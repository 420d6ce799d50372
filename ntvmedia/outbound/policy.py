"""Which IP addresses the server may ask.

An address that users or other servers name may lead into the network that the server stands in: to
its own ports, to a router, to the cloud's service of credentials at 169.254.169.254 (F-SS-03). So
only what is public is asked, and what the operator names. What is public is in IANA's registries of
special-purpose addresses (RFC 6890, as of 2025); Python's `ipaddress` knows most of them, and
changed its mind between its releases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Final

from ntvmedia.config import Network

_IPV4: Final = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "the machine itself"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "an address shared by a provider's customers"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "an address for documentation"),
        ("192.88.99.0/24", "a reserved address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address for benchmarks"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
)

# The first that matches counts. All of IPv6 that was ever given out is in 2000::/3.
_IPV6: Final = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("::/128", "the machine itself"),
        ("::1/128", "a loopback address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "an address for documentation"),
        ("3fff::/20", "an address for documentation"),
        ("2000::/3", ""),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("ff00::/8", "a multicast address"),
        ("::/0", "a reserved address"),
    )
)

# Networks whose addresses have an IPv4 address in them, which is where packets end up: IPv4-mapped
# (RFC 4291 2.5.5.2), NAT64 (RFC 6052 2.1), 6to4 (RFC 3056 2); and how far right it stands, in bits.
_WITH_IPV4: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)


class Policy:
    """Says of each address whether it may be asked.

    Args:
        allow: What may be asked though it is not public.
        more: Returns what may be asked besides; called for each address, so that a change holds
            at once. It has no say in connections that there are already.
    """

    def __init__(
        self, allow: Iterable[Network] = (), more: Callable[[], Iterable[Network]] = tuple
    ) -> None:
        self._allow = tuple(allow)
        self._more = more

    def problem_of(self, address: str | IPv4Address | IPv6Address) -> str:
        """Say why an address may not be asked.

        Args:
            address: As the socket is given it. Text may have the zone of an IPv6 address.

        Returns:
            What the address is, such as "a loopback address"; empty where it may be asked.

        Raises:
            ValueError: The text is no IP address in its usual spelling.
        """
        if isinstance(address, str):
            address = ip_address(address)
        if isinstance(address, IPv6Address):
            # Without its zone, which names an interface of this machine.
            address = IPv6Address(int(address))
        forms = list(_forms(address))
        if any(form in network for network in (*self._allow, *self._more()) for form in forms):
            return ""
        return _kind(forms[-1])


def _forms(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Yield an address, and the IPv4 address that it stands for."""
    yield address
    if isinstance(address, IPv6Address):
        for network, shift in _WITH_IPV4:
            if address in network:
                yield IPv4Address(int(address) >> shift & 0xFFFFFFFF)


def _kind(address: IPv4Address | IPv6Address) -> str:
    kinds = _IPV4 if isinstance(address, IPv4Address) else _IPV6
    return next((what for network, what in kinds if address in network), "")
