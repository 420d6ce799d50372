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

Three more parameters are allowed, each with a line of its own after those, in this order, as it
stands in the address:

    ip=192.0.2.7            who may play: an IP address, or a network such as 2001:db8:1:2::/64
    viewers=2               how many may play at the same time, 1 or more
    kid=k1f0                which key it is signed with, of those of the API

The first line keeps a right to play from being taken for one of another kind. There is no
tolerance at the end: whoever signs chooses the moment, and can choose a later one if its clock is
not the server's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

from ntvmedia.access.networks import Networks, host_of, parse_host, parse_network
from ntvmedia.media import StreamKey

KEY_BYTES: Final = 32
"""The length of a signing key: that of the hash (RFC 2104 section 3)."""

SIGNATURE_LENGTH: Final = 43

MAX_VIEWERS: Final = 999_999_999
"""That an address may be for; as many as nine digits say."""

KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""The name of a key: what needs no percent-encoding anywhere."""

# Enough for the year 5138.
_MAX_DIGITS: Final = 11

# The least of form that keeps one value from being taken for two lines.
_NETWORK: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")

_WRONG: Final = "the signature of the address is wrong"

# What is computed with where there is no key, so that it takes as long (F-RE-15). What comes out
# counts for nothing.
_NO_KEY: Final = bytes(KEY_BYTES)


class Signed(NamedTuple):
    """What a signature is worth.

    Attributes:
        problem: Why the address may not be played, as one clause; empty where it may.
        expires: Seconds since 1970.
        viewers: Most at the same time; 0 for any number.
        ticket: What those viewers are counted by.
    """

    problem: str
    expires: int = 0
    viewers: int = 0
    ticket: str = ""


def signature(
    key: bytes,
    stream: StreamKey,
    expires: int,
    *,
    ip: str = "",
    viewers: int = 0,
    key_id: str = "",
) -> str:
    """Sign the right to play a stream until a moment.

    Args:
        key: The server's signing key, or the one named by `key_id`.
        stream: The one that may be played.
        expires: Seconds since 1970.
        ip: Who may play: an IP address or network; empty for all.
        viewers: How many at the same time; 0 for any number.
        key_id: The name of the key; empty for the server's own.
    """
    return _sign(key, stream, str(expires), ip, str(viewers) if viewers else "", key_id)


def signed_query(
    key: bytes,
    stream: StreamKey,
    expires: int,
    *,
    ip: str = "",
    viewers: int = 0,
    key_id: str = "",
) -> str:
    """Return what follows the question mark in an address that may be played until a moment.

    The arguments are those of `signature`.
    """
    sign = signature(key, stream, expires, ip=ip, viewers=viewers, key_id=key_id)
    query = f"expires={expires}&sign={sign}"
    if ip:
        query += f"&ip={quote(ip, safe=':')}"
    if viewers:
        query += f"&viewers={viewers}"
    if key_id:
        query += f"&kid={key_id}"
    return query


def check(
    key_of: Callable[[str, str], bytes],
    stream: StreamKey,
    query: Mapping[str, str],
    peer: str,
    now: float | None,
) -> Signed:
    """Check the signature in an address.

    Args:
        key_of: Returns the key of an id (empty for the server's own) for an application; empty
            where there is none.
        stream: What the address names.
        query: Its parameters. Of one that stands there twice the last counts, as everywhere.
        peer: The address of who asks, with or without its port.
        now: Seconds since 1970; None where the moment does not count any more.
    """
    expires, given = query.get("expires", ""), query.get("sign", "")
    if not expires or not given:
        return Signed("the address is not signed")
    ip, viewers, key_id = query.get("ip", ""), query.get("viewers", ""), query.get("kid", "")
    if (
        len(given) != SIGNATURE_LENGTH
        or len(expires) > _MAX_DIGITS
        or not (expires.isascii() and expires.isdecimal())
        or (ip and not _NETWORK.fullmatch(ip))
        or (viewers and not _NUMBER.fullmatch(viewers))
        or (key_id and not KEY_ID.fullmatch(key_id))
    ):
        return Signed(_WRONG)
    key = key_of(key_id, stream.application)
    moment = int(expires)
    expected = _sign(key or _NO_KEY, stream, str(moment), ip, viewers, key_id)
    is_right = hmac.compare_digest(expected.encode("ascii"), given.encode("utf-8", "surrogatepass"))
    if not is_right or not key or expires != str(moment):
        return Signed(_WRONG)
    if ip and not is_from(peer, ip):
        return Signed("the signed address is for somebody else's IP address")
    if now is not None and now >= moment:
        return Signed("the signed address has expired")
    if not viewers:
        return Signed("", moment)
    return Signed("", moment, int(viewers), f"sign:{given}")


def message(key: bytes, text: str) -> str:
    """Return the HMAC-SHA256 of a text in base64url: 43 characters."""
    digest = hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _sign(key: bytes, stream: StreamKey, expires: str, ip: str, viewers: str, key_id: str) -> str:
    text = f"play\n/{stream}\n{expires}"
    if ip:
        text += f"\nip={ip}"
    if viewers:
        text += f"\nviewers={viewers}"
    if key_id:
        text += f"\nkid={key_id}"
    return message(key, text)


def is_from(peer: str, ip: str) -> bool:
    """Say whether a peer is whom an address is signed for.

    Args:
        peer: Its address, with or without its port.
        ip: What the signed address has.
    """
    try:
        return parse_host(host_of(peer)) in Networks(parse_network(ip))
    except ValueError:
        # Signed all the same: by somebody who took it for an address.
        return False
