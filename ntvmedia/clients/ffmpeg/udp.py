"""`udp://` and `rtp://`: MPEG-TS that comes to a port of this machine, or to a group.

A port or group is no server that is asked, so the network policy has no say in it.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from ntvmedia.clients.ffmpeg.source import FFmpegSource, wrong
from ntvmedia.media.relaying import PullOptions

if TYPE_CHECKING:
    from ntvmedia.avtools.job import DatagramInput, Input

MAX_SOURCES: Final = 16
"""Of one group: Linux has 10 by default (net.ipv4.igmp_max_msf)."""

MAX_BUFFER: Final = 256 << 20

# Linux has 15 bytes for the name of an interface; an IPv6 address is longer.
_MAX_INTERFACE: Final = 64

# By FFmpeg's names too.
_NAMES: Final = {
    "interface": "interface",
    "localaddr": "interface",
    "source": "source",
    "sources": "source",
    "buffer_size": "buffer_size",
}

# What FFmpeg's addresses may have besides, which means nothing here.
_IGNORED: Final = frozenset(
    {"fifo_size", "overrun_nonfatal", "pkt_size", "reuse", "timeout", "ttl"}
)


class UDPSource(FFmpegSource):
    """Receives MPEG-TS: "udp://[SOURCE@]GROUP:PORT?interface=eth0&source=A,B", "udp://@:PORT".

    By `udp` RTP is found out, by `rtp` nothing else is taken.
    """

    schemes = ("udp", "rtp")

    def check(self, url: str) -> None:
        datagrams_of(url)

    def _input(self, host: Any, url: str, options: PullOptions) -> Input:
        return datagrams_of(url)


def datagrams_of(url: str) -> DatagramInput:
    """Return what an address wants to be received.

    Raises:
        RemoteError: That cannot be.
    """
    from ntvmedia.avtools.job import DatagramInput

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong("the address is malformed") from None
    if parts.scheme not in UDPSource.schemes:
        raise wrong("the address begins with neither udp:// nor rtp://")
    if not port or parts.path.strip("/") or parts.fragment:
        raise wrong("an address of UDP is udp://ADDRESS:PORT, or udp://@:PORT")
    address = parts.hostname or ""
    where = _address(address, "the address") if address else None
    source = parts.netloc.rpartition("@")[0]
    fields = _fields(parts.query)
    named = [x for x in (source, *fields.get("source", "").split(",")) if x]
    sources = [_address(x, "a source") for x in named]
    if len(sources) > MAX_SOURCES:
        raise wrong(f"there are at most {MAX_SOURCES} sources")
    if where is not None and any(x.version != where.version for x in sources):
        raise wrong("an address and its sources are of one IP version")
    interface = fields.get("interface", "")
    if len(interface) > _MAX_INTERFACE or any(x <= " " or x == "/" for x in interface):
        raise wrong("the interface is the name of one, or its address")
    found = DatagramInput(
        "" if where is None else str(where),
        port,
        interface,
        tuple(dict.fromkeys(map(str, sources))),
        parts.scheme == "rtp",
    )
    size = fields.get("buffer_size")
    if size is None:
        return found
    if not (size.isascii() and size.isdigit() and len(size) < 12 and 0 < int(size) <= MAX_BUFFER):
        raise wrong(f"the buffer has from 1 to {MAX_BUFFER} bytes")
    return found._replace(receive_buffer=int(size))


def _fields(query: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        name = _NAMES.get(key)
        if name is not None:
            fields[name] = value
        elif key not in _IGNORED:
            raise wrong("an address of UDP has interface, source and buffer_size only")
    return fields


def _address(text: str, what: str) -> IPv4Address | IPv6Address:
    try:
        found = ip_address(text)
    except ValueError:
        raise wrong(f"{what} is an IP address, without a name to be looked up") from None
    if isinstance(found, IPv6Address) and found.scope_id is not None:
        raise wrong("the interface of an IPv6 address is named by interface=")
    return found
