"""What is told of an event: the same facts, whatever protocol it came by (G-HK-04)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from ntvmedia.media import StreamKey

Facts = Mapping[str, object]
"""Names to texts, numbers and flags."""

# Of what a client sends: a notification may wait, and so may a hundred thousand.
MAX_PARAM_CHARACTERS: Final = 2048
MAX_PAGE_CHARACTERS: Final = 1024
MAX_AGENT_CHARACTERS: Final = 512

DEFAULT_VHOST: Final = "__defaultVhost__"
"""What SRS calls the host of who names none, or an address."""


def stream_facts(key: StreamKey) -> dict[str, object]:
    """Tell which stream it is.

    `stream_id` is the same for the same name at all times.
    """
    return {
        "application": key.application,
        "stream": key.stream,
        "stream_id": "vid-" + hashlib.sha256(str(key).encode()).hexdigest()[:12],
    }


def client_facts(
    key: StreamKey, client_id: str, request: Any, protocol: str = "", peer: str = ""
) -> dict[str, object]:
    """Tell who does something with which stream.

    Args:
        key: The stream, which may have another name than the one that was asked for.
        client_id: The same from the first question to the end.
        request: An `ntvmedia.access.Request`; None for one who did not ask, such as a relay.
        protocol: Its, where there is no request.
        peer: The same.
    """
    protocol = protocol if request is None else request.protocol
    host, port = split_peer(peer if request is None else request.peer)
    address = "" if request is None else request.address
    vhost, tc_url = _place(address, key.application)
    return {
        **stream_facts(key),
        "client_id": client_id,
        "protocol": protocol,
        "ip": host,
        "port": port,
        "vhost": vhost,
        "tc_url": tc_url,
        "param": "" if request is None else _param(request.query),
        "page_url": "" if request is None else request.page_url[:MAX_PAGE_CHARACTERS],
        "user_agent": "" if request is None else request.user_agent[:MAX_AGENT_CHARACTERS],
    }


def relay_facts(
    key: StreamKey, relay: str, source: str, server: str, reason: str | None = None
) -> dict[str, object]:
    """Tell which relay task has its source, or has it no more.

    Args:
        key: The stream that it makes.
        relay: The task's id.
        source: The address, without user, password and query.
        server: The other server that the stream goes to, likewise; empty for this one. The name of
            the stream may be a key there, and is not told.
        reason: Of an end.
    """
    facts: dict[str, object] = (
        {"application": key.application} if server else dict(stream_facts(key))
    )
    facts |= {"relay": relay, "source": source, "server": server}
    return facts if reason is None else {**facts, "reason": reason}


def split_peer(peer: str) -> tuple[str, int]:
    """Return the host and the port of "192.0.2.1:50000" or "[2001:db8::1]:50000".

    The port is 0 where there is none.
    """
    host, colon, port = peer.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()):
        return peer.strip("[]"), 0
    return host.strip("[]"), int(port)


def srs_vhost(vhost: str) -> str:
    """Return a host as SRS names it: those without a name are its default."""
    if not vhost:
        return DEFAULT_VHOST
    try:
        ip_address(vhost)
    except ValueError:
        return vhost
    return DEFAULT_VHOST


def _param(query: Mapping[str, str]) -> str:
    """Return the query as it would be sent, with its question mark, as SRS has it."""
    if not query:
        return ""
    # What is half of a character was sent as bytes that are none.
    return f"?{urlencode(query, errors='surrogatepass')}"[:MAX_PARAM_CHARACTERS]


def _place(address: str, application: str) -> tuple[str, str]:
    """Return the host that was asked, and the address of the application there.

    Args:
        address: Scheme and host with its port: "rtmp://live.example.org:1936".
        application: Its name.
    """
    if not address:
        return "", ""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return "", ""
    return host, f"{address}/{application}"
