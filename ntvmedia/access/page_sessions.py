"""Short-lived sessions of pages: what a page that was allowed gives its player (P-305).

The Referer that counts is that of the page: a browser names the site there that embeds it. The
player on the page then asks for media, and for those requests the page is one of this server. So
whoever serves the page asks for its Referer, and hands the player a text that stands for the
answer: `EXPIRES.SIGNATURE`, signed like an address, with "page" as its first line.
"""

from __future__ import annotations

import hmac
from typing import Final

from ntvmedia.access.signing import SIGNATURE_LENGTH, message
from ntvmedia.media import StreamKey

PAGE_SECONDS: Final = 600
"""How long a player may begin again with it, after a network that was lost, say. The page can be
loaded again at any time; what plays is not cut off."""

RENEWABLE_SECONDS: Final = 86_400
"""How long after its end the page itself may have another for it: a page that stays open renews it
every few minutes, but not while its machine sleeps."""

PAGE: Final = "page"
"""The protocol of who loads a page with a player on it: no limit counts him."""

# Enough for the year 5138.
_MAX_DIGITS: Final = 11


def make_page_session(key: bytes, stream: StreamKey, expires: int) -> str:
    """Return the session of a page.

    Args:
        key: The server's signing key.
        stream: The one on the page.
        expires: Seconds since 1970.
    """
    return f"{expires}.{_sign(key, stream, expires)}"


def is_page_session(key: bytes, stream: StreamKey, text: str, now: float) -> bool:
    """Say whether a text is the session of a page with this stream, and holds."""
    expires, _dot, given = text.partition(".")
    if (
        not key
        or not 0 < len(expires) <= _MAX_DIGITS
        or not (expires.isascii() and expires.isdecimal())
        or len(given) != SIGNATURE_LENGTH
        or not given.isascii()
    ):
        return False
    moment = int(expires)
    return (
        hmac.compare_digest(_sign(key, stream, moment), given)
        and expires == str(moment)
        and now < moment
    )


def _sign(key: bytes, stream: StreamKey, expires: int) -> str:
    return message(key, f"page\n/{stream}\n{expires}")
