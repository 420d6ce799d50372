"""What a client asks to have changed: one JSON object."""

from __future__ import annotations

import json
from typing import Any, Final

from ntvmedia.errors import NtvMediaError

# An application with all its sites is some 50 kB.
MAX_BODY_BYTES: Final = 128 << 10


class BadBody(NtvMediaError):
    """A request's body is not what it has to be.

    Attributes:
        status: A code of `http.HTTPStatus`.
        field: The one that is wrong, fit to be shown; empty where it is none or all.
    """

    def __init__(self, message: str, status: int, field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.field = field


def json_body(request: Any) -> dict[str, object]:
    """Read the body: an object in JSON (RFC 8259), each name once.

    A form or a text, which a page of another site may have a browser send, is refused by its type.

    Args:
        request: An `IRequest` of `twisted.web`.

    Raises:
        BadBody: It is something else.
    """
    kinds = request.requestHeaders.getRawHeaders("content-type", [])
    if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != "application/json":
        raise BadBody("the body has to be application/json", 415)
    data = request.content.read(MAX_BODY_BYTES + 1)
    if len(data) > MAX_BODY_BYTES:
        raise BadBody(f"the body is longer than {MAX_BODY_BYTES:,} bytes", 413)
    try:
        body = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise BadBody("the body is not JSON", 400) from None
    if not isinstance(body, dict):
        raise BadBody("the body has to be a JSON object", 400)
    return body


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            shown = ascii(name[:60])[1:-1]
            raise BadBody(f"{shown}: given twice", 400, shown)
        found[name] = value
    return found


def _no_constant(name: str) -> object:
    # Python's parser takes NaN and Infinity, which are not JSON.
    raise ValueError(name)
