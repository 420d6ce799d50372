"""The addresses that the RTSP client takes."""

from __future__ import annotations

from typing import Final

from ntvmedia.errors import PeerError, RemoteError
from ntvmedia.wire.rtsp.urls import RTSPURL, parse_url

_SCHEMES: Final = frozenset({"rtsp", "rtsps"})


def check(url: str) -> RTSPURL:
    """Read the address that somebody wants.

    Raises:
        RemoteError: It is none; permanent. It does not show it, since there may be a password in
            it.
    """
    try:
        place = parse_url(url)
    except PeerError:
        raise RemoteError("not an address of RTSP", is_permanent=True) from None
    if place.scheme not in _SCHEMES:
        raise RemoteError("an address begins with rtsp:// or rtsps://", is_permanent=True)
    return place
