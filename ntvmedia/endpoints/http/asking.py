"""What a request over HTTP means to whoever decides who may play."""

from __future__ import annotations

from typing import Any, Final

from ntvmedia.access import Action, Request
from ntvmedia.endpoints.asking import asked_at, told_hops
from ntvmedia.media.hops import HOPS_FIELD, read_hops

MOST_CHARACTERS: Final = 512
"""Of what a client says of itself: it is kept while it watches."""

PAGE_SESSION: Final = "page"
"""The name in a query of what a page of this server was given for its player."""

REDIRECTED: Final = ("http", "https")
"""The schemes of addresses that a request can be sent on to."""

# A token is longer than what a client says of itself, and shorter than a whole head.
_MOST_TOKEN_CHARACTERS: Final = 8192
_BEARER: Final = "bearer "

_HOPS_FIELD: Final = HOPS_FIELD.lower()


def play_request(exchange: Any, protocol: str) -> Request:
    """Describe a request to play.

    The page that plays is told by its address, or where browsers do not tell that, as for a
    WebSocket, by its origin. "null", the origin of a page without an address, is a page too: not
    that no page is named (F-AC-07).

    Args:
        exchange: An `ntvmedia.interfaces.IExchange`.
        protocol: As in the list of viewers: "hls".

    Raises:
        Refused: Its list of servers is malformed.
    """
    headers = exchange.headers
    return Request(
        action=Action.PLAY,
        key=exchange.address.key,
        protocol=protocol,
        peer=exchange.peer,
        query=exchange.address.query,
        page_url=(headers.get("referer", "") or headers.get("origin", ""))[:MOST_CHARACTERS],
        user_agent=headers.get("user-agent", "")[:MOST_CHARACTERS],
        page_session=exchange.address.query.get(PAGE_SESSION, ""),
        bearer=_bearer(headers.get("authorization", "")),
        address=asked_at(f"{exchange.scheme}://{headers.get('host', '')}"),
        hops=read_hops(headers.get(_HOPS_FIELD, "")),
    )


def hops_fields(host: Any, request: Request, stream: Any) -> dict[str, str]:
    """Return the field that tells a server which asks for a stream what that has passed."""
    hops = told_hops(host, request, stream)
    return {HOPS_FIELD: hops} if hops else {}


def _bearer(field: str) -> str:
    """Return the token in a field `Authorization` (RFC 6750 section 2.1); empty for another."""
    if field[: len(_BEARER)].lower() != _BEARER or len(field) > _MOST_TOKEN_CHARACTERS:
        return ""
    return field[len(_BEARER) :].strip(" ")
