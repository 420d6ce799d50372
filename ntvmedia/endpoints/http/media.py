"""Requests on media addresses: which route gets them, or why none does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from ntvmedia.endpoints.http.exchange import Exchange
from ntvmedia.endpoints.http.heads import RequestHead
from ntvmedia.endpoints.http.routing import MediaTarget
from ntvmedia.errors import Refused

if TYPE_CHECKING:
    from ntvmedia.endpoints.http.connection import HTTPConnection

_log = Logger()


def serve_media(connection: HTTPConnection, head: RequestHead, media: MediaTarget) -> None:
    """Answer one request, or give the turn to an exchange of its route.

    Every answer, good or bad, says which pages of other sites may read it (B-HT-02).
    """
    origins = connection.front.origins
    origin = head.header(b"origin")
    if head.method == b"OPTIONS":
        connection.answer(204, origins.preflight(origin), b"")
        return
    cors = origins.fields(origin)
    front = connection.front
    route = front.folder if media.below else front.routes.get(media.extension)
    if route is None:
        what = "of this kind" if media.below else f'".{media.extension}"'
        connection.refuse(404, f"there is no output {what}", cors)
        return
    try:
        address = media.address()
    except Refused as error:
        connection.refuse(404, str(error), cors)
        return
    method = head.method.decode("ascii")
    if method not in route.methods:
        allowed = ", ".join((*route.methods, "OPTIONS"))
        connection.refuse(405, f"{method} is not for this", f"{cors}Allow: {allowed}\r\n")
        return
    exchange = Exchange(connection, head, address, media.extension, media.below)
    connection.give_turn(exchange)
    try:
        route.handler(exchange)
    except Exception:
        # The query may hold a password.
        _log.failure("{path} failed", path=ascii(head.target.partition(b"?")[0]))
        exchange.crashed()
