"""What a receiver's answer to a question means (F-IN-09).

Whatever is not described here is a refusal: a page of HTML is no consent.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

from ntvmedia.errors import Refused
from ntvmedia.media import StreamKey
from ntvmedia.media.names import stream_key

MAX_ANSWER_BYTES: Final = 64 << 10
"""Of a receiver's answer; more ends the request."""

MAX_REASON_CHARACTERS: Final = 200
MAX_LIFETIME_SECONDS: Final = 10 * 366 * 86400
MAX_REDIRECT_CHARACTERS: Final = 1000

# Statuses by which a server says that it cannot answer now (RFC 9110 15.5.9, RFC 6585 4).
_LATER: Final = frozenset({408, 425, 429})
_REFUSING: Final = frozenset({401, 403})
_SRS_OK: Final = 200

# Where players and publishers can be sent: an address of printable ASCII, without a fragment.
_REDIRECT: Final = re.compile(r"(?:https?|rtmps?|rtsps?)://[!$-;=?-\[\]_a-z~%&']+", re.IGNORECASE)

_NOT_UNDERSTOOD: Final = "the answer of the authorization server is not understood"
_REFUSED: Final = "the authorization server refused"


class Opinion(NamedTuple):
    """What a receiver thinks of a request.

    Attributes:
        allowed: Whether it has nothing against it.
        reason: For a refusal: one clause.
        lifetime: Seconds for which it thinks so; 0 for as long as it takes.
        rename: The stream that is meant instead, or None.
        redirect: With a refusal: where to go instead; else empty.
        is_answer: It was answered; False for what holds without an answer.
    """

    allowed: bool
    reason: str = ""
    lifetime: float = 0.0
    rename: StreamKey | None = None
    redirect: str = ""
    is_answer: bool = True


def read_answer(dialect: str, status: int, body: bytes, key: StreamKey) -> Opinion | None:
    """Read an answer.

    Args:
        dialect: Of the callback.
        status: Of HTTP.
        body: At most `MAX_ANSWER_BYTES`.
        key: The stream that was asked about.

    Returns:
        None where the server says by its status that it cannot answer now.
    """
    if status >= 500 or status in _LATER:
        return None
    if dialect == "srs":
        return _srs(status, body)
    value = _parsed(body)
    fields = value if isinstance(value, dict) else {}
    if status in _REFUSING:
        return Opinion(False, _reason(fields))
    if not 200 <= status < 300:
        return Opinion(False, f"the authorization server answered with status {status}")
    if not body.strip():
        return Opinion(True)
    return _own(fields, key)


def _srs(status: int, body: bytes) -> Opinion:
    if status == _SRS_OK:
        value = _parsed(body)
        code = value.get("code") if isinstance(value, dict) else value
        if (type(code) is int and code == 0) or (isinstance(value, dict) and code == "0"):
            return Opinion(True)
    return Opinion(False, _REFUSED)


def _own(fields: dict[str, Any], key: StreamKey) -> Opinion:
    allow = fields.get("allow")
    redirect = fields.get("redirect", "")
    lifetime = fields.get("lifetime", 0)
    if not isinstance(allow, bool | None) or (allow is None and not redirect):
        return Opinion(False, _NOT_UNDERSTOOD)
    if allow is False:
        return Opinion(False, _reason(fields))
    if redirect:
        if (
            not isinstance(redirect, str)
            or len(redirect) > MAX_REDIRECT_CHARACTERS
            or not _REDIRECT.fullmatch(redirect)
        ):
            return Opinion(False, _NOT_UNDERSTOOD)
        return Opinion(False, "it is served elsewhere", redirect=redirect)
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float):
        return Opinion(False, _NOT_UNDERSTOOD)
    # A comparison that is false for NaN too, which Python's parser takes.
    if not 0 <= lifetime <= MAX_LIFETIME_SECONDS:
        return Opinion(False, _NOT_UNDERSTOOD)
    try:
        rename = _renamed(fields.get("stream"), key)
    except Refused:
        return Opinion(False, _NOT_UNDERSTOOD)
    return Opinion(True, lifetime=float(lifetime), rename=rename)


def _renamed(name: object, key: StreamKey) -> StreamKey | None:
    """Read the name of a stream of the same application, whose rules were asked already.

    Raises:
        Refused: It is none.
    """
    if name is None:
        return None
    if not isinstance(name, str):
        raise Refused("it is no text")
    renamed = stream_key(key.application, name)
    return None if renamed == key else renamed


def _reason(fields: dict[str, Any]) -> str:
    """Return why it refuses: for the peer and the log, so on one line (F-IN-06)."""
    reason = fields.get("reason")
    if not isinstance(reason, str):
        return _REFUSED
    cut = reason[:MAX_REASON_CHARACTERS]
    cleaned = "".join(x if x.isprintable() else " " for x in cut)
    return " ".join(cleaned.split()) or _REFUSED


def _parsed(body: bytes) -> Any:
    """Return what a body of JSON says; None where it is none."""
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
