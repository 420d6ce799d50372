"""Which web sites may show a player (P-305).

A site is a host name. It stands for itself and for every name that ends with a dot and it. What a
page says of itself is an address, and is read by `urllib.parse`: never compared as text, in which
`https://example.org.evil.net` and `https://example.org@evil.net` begin as they should (F-AC-07).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import idna

# Of the longest name of the DNS, as text: RFC 1035 section 2.3.4.
MAX_HOST_LENGTH: Final = 253

# Longer ones come from no browser: Chromium sends the origin alone instead.
MAX_PAGE_URL_LENGTH: Final = 4096

_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)

# `urlsplit` drops tabs and line ends, and takes for a name what is a path to browsers.
_NEVER_IN_A_URL: Final = re.compile(r"[\x00-\x20\x7f\\]")


def normal_host(text: str) -> str:
    """Return the one spelling of a host: lower case, IDNA A-labels, no dot at the end.

    Args:
        text: A name, or an IP address; one of version 6 may have its brackets.

    Raises:
        ValueError: It is neither.
    """
    # The zone of an IPv6 address may be any text, and means something on one machine only.
    if len(text) > MAX_HOST_LENGTH + 1 or "%" in text:
        raise ValueError
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ip_address(bare))
    except ValueError:
        pass
    try:
        # As browsers do: UTS 46, without what was once done for "ß".
        host = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except UnicodeError:
        raise ValueError from None
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(host) > MAX_HOST_LENGTH or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError
    if labels[-1].isdecimal():
        # Browsers take every name with a number at its end for an IP address of version 4.
        raise ValueError
    return host


def host_of_page(url: str) -> str:
    """Return the host in a page's address; empty where it has none that can be trusted.

    Args:
        url: As a peer sent it: the field `Referer` or `Origin`, or RTMP's `pageUrl`.
    """
    if len(url) > MAX_PAGE_URL_LENGTH or _NEVER_IN_A_URL.search(url):
        return ""
    try:
        parts = urlsplit(url)
        return normal_host(parts.hostname or "") if parts.scheme in ("http", "https") else ""
    except ValueError:
        return ""


def is_allowed(page_url: str, sites: Iterable[str]) -> bool:
    """Say whether a page is one of the sites'.

    Args:
        page_url: As for `host_of_page`. The text "null", which browsers send for pages that must
            not be known, is nobody's.
        sites: Hosts, as `normal_host` spells them.
    """
    host = host_of_page(page_url)
    if not host:
        return False
    # No IP address ends with a dot and another, or with a name.
    return any(host == site or host.endswith(f".{site}") for site in sites)
