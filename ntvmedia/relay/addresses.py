"""The addresses of sources and targets: their form, and what may be shown of them.

Whether a source can do anything with its address is its own business (`ISource.check`). Here it is
only made sure that what is taken for user, password and host is the same everywhere (F-SS-03), so
that what is hidden is hidden whole (F-AC-03).
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from ntvmedia.config.reading import WrongValue
from ntvmedia.errors import Refused, RemoteError
from ntvmedia.media import StreamKey
from ntvmedia.media.names import parse_path

LOCAL_SCHEME: Final = "stream"
"""Of a live stream of this server: `stream:APP/STREAM`."""

TARGET_SCHEMES: Final = ("rtmp", "rtmps", "rtsp", "rtsps")
"""Of the addresses of other servers that streams are sent to."""

MAX_ADDRESS_LENGTH: Final = 4096
"""Characters; signed addresses have had more than 1,000."""

STAND_IN: Final = "$1"
"""In a source: where that is put in which `*` stands for."""

HIDDEN: Final = "<hidden>"
"""Stands for what is not shown. No address has these characters: one that was shown and is sent
back is refused, and does not replace the secret by this."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,30}(?=:)")
_FORBIDDEN: Final = re.compile(r'[\s<>"\\\x00-\x20\x7f\ud800-\udfff]')
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:@]*)(?::[0-9]{1,5})?")
_AUTHORITY_ENDS: Final = re.compile(r"[/?#]")

# Their queries say how, and have no secrets.
_OPEN_QUERIES: Final = frozenset({"file", "rtp", "test", "udp", LOCAL_SCHEME})


def scheme_of(url: str) -> str:
    """Return what an address begins with, in lower case and without the colon; empty for none."""
    match = _SCHEME.match(url)
    return match[0].lower() if match else ""


def shown_address(url: str) -> str:
    """Return an address as it may be shown: without user, password and query."""
    scheme = scheme_of(url)
    head, slashes, rest = url.partition("://")
    if not slashes:
        head, slashes, rest = "", "", url
    cut = _AUTHORITY_ENDS.search(rest) if slashes else None
    authority, path = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    if not slashes:
        authority, path = "", rest
    user, at, host = authority.rpartition("@")
    if scheme not in _OPEN_QUERIES:
        # RFC 3986 3.5: a fragment is no part of what is asked for; nobody says what is in it.
        cut = re.search(r"[?#]", path)
        if cut:
            path = f"{path[: cut.start()]}?{HIDDEN}"
    return "".join((head, slashes, HIDDEN if user else "", at, host, path))


def read_source(value: object) -> str:
    """Check the form of a source's address; for a `Kind`. No message quotes it.

    Raises:
        WrongValue: It has none.
    """
    url = _checked(value)
    if not scheme_of(url):
        raise WrongValue("it does not begin with a scheme, as rtsp:// is one")
    cut = url.partition("://")
    if cut[1]:
        authority = _AUTHORITY_ENDS.split(cut[2])[0]
        if not _HOST.fullmatch(authority.rpartition("@")[2]):
            raise WrongValue(
                "its host or port is malformed; a user's or password's @ : / ? # are written as "
                "%40 %3A %2F %3F %23"
            )
        if STAND_IN in authority:
            # Viewers choose the names of streams, but not whom this server asks.
            raise WrongValue(f"it has {STAND_IN} before its path")
    if STAND_IN in scheme_of(url):
        raise WrongValue(f"it has {STAND_IN} before its path")
    if scheme_of(url) == LOCAL_SCHEME:
        try:
            local_key(url.replace(STAND_IN, "x"))
        except RemoteError as error:
            raise WrongValue(str(error)) from None
    return url


def read_server(value: object) -> str:
    """Check the address of another server that streams are sent to; empty for this one.

    Raises:
        WrongValue: It is none. The message does not quote it.
    """
    if value == "":
        return ""
    url = _checked(value)
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.lower() not in TARGET_SCHEMES:
        raise WrongValue("it begins with none of rtmp://, rtmps://, rtsp:// and rtsps://")
    authority = rest.removesuffix("/")
    host = authority.rpartition("@")[2]
    if _AUTHORITY_ENDS.search(authority) or not _HOST.fullmatch(host) or host.startswith(":"):
        raise WrongValue("after the host and its port there is nothing; the application is a field")
    if not host:
        raise WrongValue("it has no host")
    return f"{scheme.lower()}://{authority}"


def local_key(url: str) -> StreamKey:
    """Return the stream of a `stream:APP/STREAM` address.

    Raises:
        RemoteError: It is none; a further try is no better.
    """
    path = url.partition(":")[2]
    try:
        return parse_path(f"/{path.lstrip('/')}").key
    except Refused as error:
        raise RemoteError(str(error), is_permanent=True) from None


def fill_in(url: str, text: str) -> str:
    """Put what a name's `*` stands for into an address, percent-encoded."""
    return url.replace(STAND_IN, quote(text, safe=""))


def _checked(value: object) -> str:
    # It may have a password in it: what was wrong is not told by quoting it.
    if not isinstance(value, str):
        raise WrongValue("it is no text")
    if not value:
        raise WrongValue("it is empty")
    if len(value) > MAX_ADDRESS_LENGTH:
        raise WrongValue(f"it is longer than {MAX_ADDRESS_LENGTH:,} characters")
    if _FORBIDDEN.search(value):
        raise WrongValue("it has a character that an address has not; write it as %20 for a space")
    return str(value)
