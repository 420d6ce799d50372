"""Addresses of peers as text."""

from __future__ import annotations

from typing import Any

_MAPPED = "::ffff:"


def host_of(address: Any) -> str:
    """Return the IP address of a peer, without zone; empty for one that has none (unix sockets).

    An IPv4 peer of a dual-stack port looks like `::ffff:192.0.2.1`: it is `192.0.2.1` here.
    """
    host = str(getattr(address, "host", ""))
    if host.startswith(_MAPPED) and "." in host:
        return host[len(_MAPPED) :]
    return host.partition("%")[0]


def peer_of(address: Any) -> str:
    """Return address and port, as in `192.0.2.1:50000` and `[2001:db8::1]:50000`."""
    host = host_of(address)
    if not host:
        return "local"
    port = getattr(address, "port", 0)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
