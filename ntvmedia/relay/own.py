"""Whether an address leads to this server itself, as far as its settings tell (E-ST-08).

What they do not tell, such as a name of the machine in somebody's DNS, is found out when it is
asked: its own id is told to it then (`ntvmedia.media.hops`).
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from ntvmedia.config import Settings
from ntvmedia.config.addresses import DEFAULT_PORTS, base_addresses

# No machine is called so: stands for all of its addresses.
_ANY: Final = "any.invalid"

_LOCALHOST: Final = "localhost"


def is_own(url: str, settings: Settings, machine: str, address: str = "") -> bool:
    """Say whether a port of this server listens at an address.

    Args:
        url: With scheme and host; its path does not matter.
        settings: Of this server.
        machine: The name of the machine.
        address: The public host name or IP address of the server, as in `base_addresses`.
    """
    place = _place(url)
    if place is None:
        return False
    scheme, host, port = place
    names = {_host(x) for x in (machine, address, settings.server.address) if x}
    unnamed = replace(settings, server=replace(settings.server, address=""))
    for base in base_addresses(unnamed, _ANY):
        found = _place(base.text)
        if found is None or (found[0], found[2]) != (scheme, port):
            continue
        listens = found[1]
        if listens == _ANY:
            if host in names or _is_loopback(host):
                return True
        elif listens == host or (host == _LOCALHOST and _is_loopback(listens)):
            return True
    return False


def _place(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.scheme, _host(parts.hostname or ""), port) if parts.hostname else None


def _host(text: str) -> str:
    """Return a host in one spelling: small letters, and IPv4 where it is written as IPv6."""
    bare = text.strip("[]").lower().removesuffix(".")
    try:
        address = ip_address(bare)
    except ValueError:
        return bare
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(address if mapped is None else mapped)


def _is_loopback(host: str) -> bool:
    """Say whether a host is the machine itself: also as the address of none, which means it too."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == _LOCALHOST or host.endswith(f".{_LOCALHOST}")
    return address.is_loopback or address.is_unspecified
