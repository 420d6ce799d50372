"""The PROXY protocol's header, by which a load balancer says who its client is.

HAProxy's "The PROXY protocol, versions 1 & 2" (2020/03/05), cited as "PROXY n".
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from ntvmedia.errors import LimitExceeded, PeerError

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
"""How version 2 begins (PROXY 2.2)."""

MAX_LINE: Final = 107
"""Of version 1, with its CR LF (PROXY 2.1)."""

# The addresses take 36 bytes at most (IP) or 216 (unix); the rest is TLVs, of which a certificate
# name is the longest that load balancers send.
MAX_BODY: Final = 2048

_FIXED: Final = 16
_LOCAL: Final = 0
_PROXY: Final = 1
_INET: Final = 0x11
_INET6: Final = 0x21


class ProxyHeader(NamedTuple):
    """A complete header.

    Attributes:
        host: The client's address, or empty where the load balancer speaks for itself.
        port: The client's port, or 0.
        length: Bytes that the header takes; the client's own follow.
    """

    host: str
    port: int
    length: int


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Read the header at the beginning of a connection.

    Args:
        data: All that came so far.

    Returns:
        None if more bytes are needed.

    Raises:
        PeerError: It is not a header of version 1 or 2.
        LimitExceeded: It is longer than any that makes sense.
    """
    if data.startswith(SIGNATURE[: len(data)]):
        return _version_2(data)
    if data.startswith(b"PROXY "[: len(data)]):
        return _version_1(data)
    raise PeerError("no PROXY protocol header", reference="PROXY 2", offset=0)


def _version_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, MAX_LINE)
    if end < 0:
        if len(data) >= MAX_LINE:
            raise LimitExceeded("header line too long", reference="PROXY 2.1", limit=MAX_LINE)
        return None
    words = data[:end].split(b" ")
    if len(words) >= 2 and words[1] == b"UNKNOWN":
        return ProxyHeader("", 0, end + 2)
    kinds = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}
    if len(words) != 6 or words[1] not in kinds:
        raise PeerError("malformed header line", reference="PROXY 2.1", offset=0)
    try:
        host = kinds[words[1]](words[2].decode("ascii"))
        port = int(words[4]) if words[4].isdigit() else -1
    except ValueError:
        raise PeerError("malformed address", reference="PROXY 2.1", offset=0) from None
    if not 0 <= port <= 65535:
        raise PeerError("malformed port", reference="PROXY 2.1", offset=0)
    return ProxyHeader(str(host), port, end + 2)


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED:
        return None
    version, command, family = data[12] >> 4, data[12] & 0x0F, data[13]
    size = int.from_bytes(data[14:16], "big")
    if version != 2 or command not in (_LOCAL, _PROXY):
        raise PeerError("unknown version or command", reference="PROXY 2.2", offset=12)
    if size > MAX_BODY:
        raise LimitExceeded(f"header of {size} bytes", reference="PROXY 2.2", limit=MAX_BODY)
    end = _FIXED + size
    if len(data) < end:
        return None
    if command == _LOCAL or family not in (_INET, _INET6):
        return ProxyHeader("", 0, end)
    width = 4 if family == _INET else 16
    if size < 2 * width + 4:
        raise PeerError("addresses cut off", reference="PROXY 2.2", offset=14)
    host = ip_address(data[_FIXED : _FIXED + width])
    at = _FIXED + 2 * width
    return ProxyHeader(str(host), int.from_bytes(data[at : at + 2], "big"), end)
