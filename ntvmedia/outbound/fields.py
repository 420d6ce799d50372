"""The header fields of a request, and of an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from twisted.web.http_headers import Headers

from ntvmedia import __version__
from ntvmedia.outbound.failures import OutboundError

Fields: TypeAlias = Mapping[str, str | tuple[str, ...]]
"""Header fields by name; several lines of one name are a tuple, for servers that do not take a
list in one."""

# RFC 9110 5.6.2.
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# RFC 9110 5.5: nothing that ends a line, or that some servers take for its end; and Latin-1, which
# is all that Twisted sends.
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

# What says where the request ends, which nobody but the client itself knows.
_OURS: Final = frozenset({"content-length", "transfer-encoding"})


def check_fields(fields: Fields) -> None:
    """See that the fields of a request can be sent as they are, and are nothing more than that.

    Raises:
        OutboundError: They are not. The message shows no value.
    """
    for name, value in fields.items():
        if not _NAME.fullmatch(name) or name.lower() in _OURS:
            raise OutboundError("a header field has a name that is not sent", is_permanent=True)
        if not all(map(_VALUE.fullmatch, _lines(value))):
            raise OutboundError(
                f"the header field {name} has a character that is not allowed", is_permanent=True
            )


def request_fields(*groups: Fields) -> Headers:
    """Return the fields of a request: our own, and those of each group over those before it."""
    fields = Headers({"User-Agent": [f"ntvmedia/{__version__}"]})
    for group in groups:
        for name, value in group.items():
            lines = [line.encode("latin-1") for line in _lines(value)]
            fields.setRawHeaders(name.encode("ascii"), lines)
    # What is small when compressed may be endless here.
    fields.setRawHeaders("Accept-Encoding", ["identity"])
    return fields


def _lines(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def answer_fields(headers: Headers, length: object = None) -> dict[str, str]:
    """Return the fields of an answer, as in `Answer`.

    Args:
        headers: Twisted keeps those of the connection apart, and Content-Length with them.
        length: Of the body, where it is known.
    """
    fields = {
        name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
        for name, values in headers.getAllRawHeaders()
    }
    if isinstance(length, int):
        fields["content-length"] = str(length)
    return fields


def is_compressed(headers: Headers) -> bool:
    """Say whether a body must be unpacked to be what was asked for."""
    encodings = headers.getRawHeaders(b"content-encoding", [])
    return any(encoding.strip().lower() not in (b"", b"identity") for encoding in encodings)
