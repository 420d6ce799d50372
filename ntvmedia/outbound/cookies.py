"""Cookies: which server is sent what an answer has set (RFC 6265), by `http.cookiejar`.

Twisted's `CookieAgent` does nearly this; it fails on a cookie that is not ASCII, which browsers
take and give back as it is (RFC 6265 5.2 is about octets).
"""

from __future__ import annotations

import re
from email.message import Message
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any, Final
from urllib.request import Request

from twisted.web.http_headers import Headers

from ntvmedia.outbound.addresses import Target, parse_target
from ntvmedia.outbound.failures import OutboundError

MAX_COOKIES: Final = 3000
MAX_COOKIE_BYTES: Final = 4096
"""What a browser has room for (RFC 6265 6.1): cookies in a jar, and bytes of one with its
attributes. More than that are not kept."""

# As in `fields`: what a jar was filled with from a file may have anything in it.
_FORBIDDEN: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class BrowserPolicy(DefaultCookiePolicy):
    """The rules of browsers, where those of `http.cookiejar` are older.

    A cookie without a domain goes to the host that set it, not to those below it (RFC 6265 5.3,
    step 6). Nobody sets one for all of co.uk, as far as such names are known; nor one for the end
    of an IP address (RFC 6265 5.1.3).
    """

    def __init__(self) -> None:
        super().__init__(strict_domain=True, strict_ns_domain=self.DomainStrictNonDomain)

    def set_ok_domain(self, cookie: Cookie, request: Request) -> bool:
        """Say whether a host may set a cookie for its domain."""
        if cookie.domain_specified:
            host = parse_target(request.get_full_url()).host
            try:
                ip_address(host)
            except ValueError:
                pass
            else:
                return cookie.domain.strip(".[]") == host
        is_ok: bool = super().set_ok_domain(cookie, request)
        return is_ok


def cookie_field(jar: CookieJar, target: Target, own: bytes = b"") -> bytes:
    """Return the value of the field Cookie for a request; empty where there are none for it.

    Args:
        jar: What its servers have set.
        target: Who is asked.
        own: The value that the caller of the request has written. A cookie of the jar replaces
            one of the same name in it: the server has set it anew.

    Raises:
        OutboundError: One of them cannot be sent. The message does not show it.
    """
    request = _request(target)
    jar.add_cookie_header(request)
    text: str = request.get_header("Cookie", "")
    try:
        # What an answer has set goes back as the bytes that it was.
        value = text.encode("latin-1")
    except UnicodeEncodeError:
        value = text.encode("utf-8", "replace")
    if _FORBIDDEN.search(value):
        raise OutboundError(
            f"{target.origin}: a cookie has a character that is not allowed", is_permanent=True
        )
    if not own or not value:
        return own or value
    names = {_name(pair) for pair in value.split(b";")}
    kept = [pair.strip() for pair in own.split(b";") if _name(pair) not in names]
    return b"; ".join([*filter(None, kept), value])


def keep_cookies(jar: CookieJar, target: Target, headers: Headers) -> None:
    """Put into a jar what an answer sets, as far as its server may set it.

    Args:
        jar: May have cookies of many servers.
        target: Who answered.
        headers: Of the answer.
    """
    message = Message()
    for value in headers.getRawHeaders(b"set-cookie", []):
        if len(value) <= MAX_COOKIE_BYTES:
            message["Set-Cookie"] = value.decode("latin-1")
    if message and len(jar) < MAX_COOKIES:
        answered: Any = _Answered(message)
        jar.extract_cookies(answered, _request(target))


def _name(pair: bytes) -> bytes:
    return pair.partition(b"=")[0].strip()


class _Answered:
    """An answer, as far as a jar looks at it.

    Args:
        message: Its header fields.
    """

    def __init__(self, message: Message) -> None:
        self._message = message

    def info(self) -> Message:
        """Return the header fields."""
        return self._message


def _request(target: Target) -> Any:
    """Return a request, as far as a jar looks at it: nobody ever opens it."""
    return Request(target.url)  # noqa: S310
