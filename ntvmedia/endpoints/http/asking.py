"""What a request over HTTP means to whoever decides who may play."""

from __future__ import annotations

from typing import Any, Final

from ntvmedia.access import Action, Request

# Of what a client says of itself: it is kept while it watches.
_MOST_CHARACTERS: Final = 512


def play_request(exchange: Any, protocol: str) -> Request:
    """Describe a request to play.

    The page that plays is told by its address, or where browsers do not tell that, as for a
    WebSocket, by its origin. "null", the origin of a page without an address, is a page too: not
    that no page is named (F-AC-07).

    Args:
        exchange: An `ntvmedia.interfaces.IExchange`.
        protocol: As in the list of viewers: "hls".
    """
    headers = exchange.headers
    return Request(
        action=Action.PLAY,
        key=exchange.address.key,
        protocol=protocol,
        peer=exchange.peer,
        query=exchange.address.query,
        page_url=(headers.get("referer", "") or headers.get("origin", ""))[:_MOST_CHARACTERS],
        user_agent=headers.get("user-agent", "")[:_MOST_CHARACTERS],
    )
