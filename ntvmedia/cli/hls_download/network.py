"""Whom the command asks, and how: the one HTTP client with what the options say."""

from __future__ import annotations

import argparse
import socket
from http.cookiejar import CookieJar, LoadError as CookieError, MozillaCookieJar
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.hls_download.options import read_key
from ntvmedia.clients.hls.loader import Manner
from ntvmedia.clients.hls.retries import Retries
from ntvmedia.config import Network, OutboundSettings
from ntvmedia.outbound import OutboundError, Target, parse_target
from ntvmedia.outbound.client import Outbound
from ntvmedia.outbound.policy import Policy

# Fields that say who somebody is: they are for the server that was named, and for no other that a
# playlist leads to.
_PRIVATE: Final = frozenset({"authorization", "cookie", "proxy-authorization"})


def new_outbound(reactor: Any, options: argparse.Namespace) -> Outbound:
    """Return the HTTP client.

    What the typed addresses lead to may be asked, wherever it is: whoever typed them means it.
    What playlists lead to may be asked if it is public, or the same.

    Raises:
        Failed: An address is none, or its host is not known.
    """
    # Behind a proxy it is the proxy that looks names up.
    typed = options.proxy or options.url
    allow = set(options.allow) | _private_networks(typed)
    if _literal(options.url):
        allow |= _private_networks(options.url)
    settings = OutboundSettings(allow=tuple(sorted(allow, key=str)), timeout=options.timeout)
    try:
        return Outbound(reactor, settings, proxy=options.proxy or "")
    except OutboundError as error:
        raise Failed(f"--proxy: {error}") from None


def manner(options: argparse.Namespace) -> Manner:
    """Return how servers are asked.

    Raises:
        Failed: A file cannot be read, or is none of those that are meant.
    """
    fields = dict(options.header)
    if options.referer:
        fields["Referer"] = options.referer
    if options.user_agent:
        fields["User-Agent"] = options.user_agent
    private = {x: fields.pop(x) for x in tuple(fields) if x.lower() in _PRIVATE}
    jar: CookieJar = CookieJar()
    if options.cookies and "=" in options.cookies:
        # As curl's `-b` tells them apart.
        private["Cookie"] = options.cookies
    elif options.cookies:
        jar = _cookie_file(Path(options.cookies))
    return Manner(
        fields,
        {_target(options.url).origin: private},
        jar,
        options.timeout,
        Retries(options.retries),
        read_key(options.key) if options.key else b"",
    )


def _literal(url: str) -> bool:
    """Whether an address has an IP address for its host."""
    try:
        ip_address(_target(url).host)
    except ValueError:
        return False
    return True


def _target(url: str) -> Target:
    try:
        return parse_target(url)
    except OutboundError as error:
        raise Failed(str(error)) from None


def _private_networks(url: str) -> set[Network]:
    """Return the addresses of a typed host that are not public, as networks of one."""
    target = _target(url)
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no name"
        raise Failed(f"{target.host}: its name cannot be looked up: {reason}") from None
    addresses = {ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}
    policy = Policy()
    return {ip_network(address) for address in addresses if policy.problem_of(address)}


def _cookie_file(path: Path) -> CookieJar:
    jar = MozillaCookieJar(path)
    try:
        jar.load(ignore_discard=True, ignore_expires=True)
    except CookieError as error:
        raise Failed(f"--cookies {path}: {error}") from None
    except OSError as error:
        raise Failed(f"--cookies {path}: {error.strerror}") from None
    except ValueError:
        raise Failed(f"--cookies {path}: it is no text") from None
    for cookie in jar:
        if cookie.expires == 0:
            # As curl and browsers' extensions write what lasts as long as a session.
            cookie.expires, cookie.discard = None, True
    jar.clear_expired_cookies()
    return jar
