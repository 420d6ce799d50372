"""How many connections one address may have, on all ports together (P-301, F-RE-04)."""

from __future__ import annotations

from collections import Counter
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final

from ntvmedia.preferences import is_loopback, is_within

# Of the rules about addresses: it is not known yet what a connection is for.
_SCOPES: Final = ("publish", "play")

# As of those who were sent away: RFC 6177.
_IPV6_SHIFT: Final = 64


class ConnectionsOfHosts:
    """Counts the connections of each address; `host.part(ConnectionsOfHosts)`.

    All addresses of an IPv6 network of 64 bits are one.

    This machine, trusted networks and trusted proxies may have any number: behind a proxy are many.

    Args:
        host: An `ntvmedia.interfaces.IHost`; its preferences are looked at each time.

    Attributes:
        refused: How many were one too many.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self._counts: Counter[str] = Counter()
        self.refused = 0

    def __getitem__(self, host: str) -> int:
        return self._counts[_key(host)]

    def has_room(self, host: str) -> bool:
        """Whether one more from that address is allowed; counted as refused if not."""
        values = self._host.preferences.values
        most = values.max_connections_per_address
        if (
            not most
            or self._counts[_key(host)] < most
            or is_loopback(host)
            or is_within(host, values.trusted_proxies)
            or any(self._host.access.trusts(host, scope) for scope in _SCOPES)
        ):
            return True
        self.refused += 1
        return False

    def add(self, host: str) -> None:
        """Count one more."""
        self._counts[_key(host)] += 1

    def remove(self, host: str) -> None:
        """Count one less."""
        key = _key(host)
        self._counts[key] -= 1
        if self._counts[key] <= 0:
            del self._counts[key]


def _key(host: str) -> str:
    """Return what is the same for all addresses that one customer has at no cost."""
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host.partition("%")[0])
    except AddressValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> _IPV6_SHIFT:x}/64"
