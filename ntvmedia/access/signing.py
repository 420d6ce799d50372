"""Signed addresses: who has one may play that stream until a moment that it names.

The address of a stream, on every protocol, is given two parameters: `expires=`, the second since
1970 from which it is worth nothing, and `sign=`. The signature is made of a text of three lines,
without a line end after the last:

    play
    /APP/STREAM
    EXPIRES

The names are as people read them (UTF-8, composed as NFC has it, without percent-encoding), without
the extension of an output; the number is decimal, without zeros in front. The signature is
HMAC-SHA256 of that text by the server's signing key, in base64url without padding (RFC 2104,
RFC 4648 section 5): 43 characters.

The first line keeps a right to play from being taken for one of another kind. There is no
tolerance at the end: whoever signs chooses the moment, and can choose a later one if its clock is
not the server's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from ntvmedia.media import StreamKey

KEY_BYTES: Final = 32
"""The length of a signing key: that of the hash (RFC 2104 section 3)."""

SIGNATURE_LENGTH: Final = 43

# Enough for the year 5138.
_MAX_DIGITS: Final = 11


def signature(key: bytes, stream: StreamKey, expires: int) -> str:
    """Sign the right to play a stream until a moment.

    Args:
        key: The server's signing key.
        stream: The one that may be played.
        expires: Seconds since 1970.
    """
    text = f"play\n/{stream}\n{expires}".encode("utf-8", "surrogatepass")
    digest = hmac.digest(key, text, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def signed_query(key: bytes, stream: StreamKey, expires: int) -> str:
    """Return what follows the question mark in an address that may be played until a moment."""
    return f"expires={expires}&sign={signature(key, stream, expires)}"


def problem_of(key: bytes, stream: StreamKey, query: Mapping[str, str], now: float) -> str:
    """Check the signature in an address.

    Args:
        key: The server's signing key.
        stream: What the address names.
        query: Its parameters. Of one that stands there twice the last counts, as everywhere.
        now: Seconds since 1970.

    Returns:
        Why it may not be played, as one clause; empty where it may.
    """
    expires, given = query.get("expires", ""), query.get("sign", "")
    if not expires or not given:
        return "the address is not signed"
    if (
        len(given) != SIGNATURE_LENGTH
        or len(expires) > _MAX_DIGITS
        or not (expires.isascii() and expires.isdecimal())
        or not hmac.compare_digest(
            signature(key, stream, int(expires)).encode("ascii"),
            given.encode("utf-8", "surrogatepass"),
        )
        or expires != str(int(expires))
    ):
        return "the signature of the address is wrong"
    if now >= int(expires):
        return "the signed address has expired"
    return ""
