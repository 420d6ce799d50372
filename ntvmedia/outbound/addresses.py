"""The addresses that are asked, read strictly, so that what is checked is what is used.

Other programs understand far more: backslashes, white space, IPv4 addresses in octal or as one
number. Each such spelling has been a way around somebody's check (F-SS-03), and none has a use.
"""

from __future__ import annotations

import base64
import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NamedTuple
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

import idna

from ntvmedia.outbound.failures import OutboundError

MAX_LENGTH: Final = 8000
"""Characters of an address: what every server should take (RFC 9110 4.1). Signed addresses of
segments have had more than 4,000."""

PORTS: Final = {"http": 80, "https": 443}
"""What may be asked, and the ports that an address need not name."""

# RFC 1035 2.3.4.
_MAX_HOST: Final = 253

# RFC 1123 2.1.
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

# What a resolver may take for (part of) an IPv4 address: decimal, octal or hexadecimal.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Control characters, the space, backslashes, and halves of characters, as JSON may have them.
_FORBIDDEN: Final = re.compile("[\0-\x20\x7f\\\\\ud800-\udfff]")

# What may stand in a path and a query as it is (RFC 3986 3.3, 3.4), and the percent sign.
_SAFE: Final = "!$&'()*+,;=:@/?%-._~"


class Target(NamedTuple):
    """Where a request goes.

    Attributes:
        scheme: "http" or "https".
        host: A name in lower case and ASCII, or an IP address; IPv6 without brackets.
        port: 1 to 65535.
        path: With the query, as sent.
        authorization: The value of the header field for user and password; else empty.
    """

    scheme: str
    host: str
    port: int
    path: str
    authorization: str = ""

    @property
    def origin(self) -> str:
        """Scheme, host and port, as shown in logs."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def url(self) -> str:
        """The address without user and password."""
        return f"{self.origin}{self.path}"


def parse_target(url: str) -> Target:
    """Read an address.

    Raises:
        OutboundError: It is none that may be asked. The message does not show it.
    """
    if len(url) > MAX_LENGTH:
        raise _malformed(f"the address is longer than {MAX_LENGTH} characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _malformed("the address is malformed") from None
    # Before anything of `urlsplit`, which drops some control characters, is believed.
    if _FORBIDDEN.search(url):
        raise _malformed("the address has a character that is not allowed")
    if parts.scheme not in PORTS:
        raise _malformed("the address begins with neither http:// nor https://")
    if port == 0 or not parts.hostname:
        raise _malformed("the address has no host" if port != 0 else "the address has port 0")
    host = _host(parts.hostname, is_ipv6="[" in parts.netloc)
    path = quote(parts.path or "/", safe=_SAFE)
    if parts.query:
        path += "?" + quote(parts.query, safe=_SAFE)
    return Target(parts.scheme, host, port or PORTS[parts.scheme], path, _authorization(parts))


def origin_of(url: str) -> str:
    """Return what logs may show of an address, whatever it is."""
    try:
        return parse_target(url).origin
    except OutboundError:
        return "an address that is none"


def _host(name: str, *, is_ipv6: bool) -> str:
    if is_ipv6:
        try:
            address = IPv6Address(name)
        except AddressValueError:
            address = None
        # The name of a network interface means nothing to a server elsewhere.
        if address is None or address.scope_id is not None:
            raise _malformed("the host is no IPv6 address")
        return str(address)
    try:
        # Names of ASCII too: Twisted asks for none that this refuses.
        name = idna.encode(name.lower(), uts46=True).decode("ascii").removesuffix(".")
    except (idna.IDNAError, UnicodeError):
        raise _malformed("the host is no name") from None
    labels = name.split(".")
    if len(name) > _MAX_HOST or not all(map(_LABEL.fullmatch, labels)):
        raise _malformed("the host is no name")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise _malformed("the host is an IPv4 address in an unusual spelling") from None
    return name


def _malformed(why: str) -> OutboundError:
    return OutboundError(why, is_permanent=True)


def _authorization(parts: SplitResult) -> str:
    """Make Basic credentials (RFC 7617) of user and password."""
    if "@" not in parts.netloc:
        return ""
    pair = b":".join(unquote_to_bytes(x or "") for x in (parts.username, parts.password))
    return f"Basic {base64.b64encode(pair).decode('ascii')}"
