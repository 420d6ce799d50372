"""The bytes of answers: status line, header fields, and the answers that are always the same.

No `Server` field is sent: it helps nobody but who looks for a version with a known hole.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from ntvmedia.errors import UsageError

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Asks a client that waits with its body to send it (RFC 9110 section 10.1.1)."""

LAST_CHUNK: Final = b"0\r\n\r\n"
"""The end of an answer in chunks (RFC 9112 section 7.1)."""

PLAIN: Final = "text/plain; charset=utf-8"
"""The content type of what people read."""

REASON_FIELDS: Final = f"Content-Type: {PLAIN}\r\nCache-Control: no-store\r\n"
"""The header fields of an answer that is `reason_body`."""

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus
}

# RFC 9110 section 8.6: these have no content, so no length of it either.
_BODILESS: Final = frozenset({204, 304})


def date_field(wall_seconds: float) -> str:
    """Return the `Date` field, with its line end, for a time in seconds since 1970."""
    return f"Date: {formatdate(wall_seconds, usegmt=True)}\r\n"


def fields(headers: Mapping[str, str]) -> str:
    """Write header fields, each with its line end.

    Raises:
        UsageError: One holds a control character, which could end the head early.
    """
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if not all(map(str.isprintable, lines)):
        raise UsageError("a header field with a control character")
    return "".join([f"{line}\r\n" for line in lines])


def head(status: int, date: str, head_fields: str, *, connection: str) -> bytes:
    """Put a head together.

    Args:
        status: A code of `http.HTTPStatus`.
        date: From `date_field`.
        head_fields: From `fields`.
        connection: Value of the `Connection` field, or empty.
    """
    last = f"Connection: {connection}\r\n\r\n" if connection else "\r\n"
    return (_STATUS_LINES[status] + date + head_fields + last).encode("latin-1")


def complete(
    status: int,
    date: str,
    head_fields: str,
    body: bytes,
    *,
    connection: str = "",
    head_only: bool = False,
) -> bytes:
    """Put a whole answer together.

    Args:
        status: A code of `http.HTTPStatus`.
        date: From `date_field`.
        head_fields: From `fields`, without a length.
        body: Its content; its length is told even where only the head is sent.
        connection: Value of the `Connection` field, or empty.
        head_only: The request's method was HEAD.
    """
    if status not in _BODILESS:
        head_fields += f"Content-Length: {len(body)}\r\n"
    data = head(status, date, head_fields, connection=connection)
    return data if head_only or status in _BODILESS else data + body


def persistence(minor: int, *, keep: bool) -> str:
    """Return the value of `Connection`, empty where the version's default is meant.

    Args:
        minor: Of the request's version: HTTP/1.0 closes unless it is told otherwise.
        keep: Whether the connection goes on.
    """
    if not keep:
        return "close"
    return "" if minor else "keep-alive"


def reason_body(status: int, reason: str) -> bytes:
    """Return the content of an error answer: one line for people."""
    return f"{status} {HTTPStatus(status).phrase}: {reason}\n".encode()
