"""Connections that are kept, with a client that believes no answer more than it should.

Twisted's passes over what follows an answer's last byte, and takes a body without a length for
complete however its connection ended. Both mean that the length was wrong, or the body is cut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.web.client import (  # type: ignore[attr-defined]
    HTTP11ClientProtocol,
    HTTPConnectionPool,
    ResponseFailed,
)

from ntvmedia.outbound.failures import Unacceptable


class StrictClient(HTTP11ClientProtocol):
    """Notes as `flaw` of Twisted's response, a `Failure`, what is wrong with how it ended."""

    def _finishResponse(self, rest: bytes) -> None:
        parser: Any = self._parser
        if parser is not None:
            if rest:
                why = "the answer goes on after its end"
                parser.response.flaw = Failure(Unacceptable(why))
            # Whatever comes next on such a connection is no answer to what is asked next.
            if rest or _ends(parser):
                parser.request.persistent = False
        super()._finishResponse(rest)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        response: Any = getattr(self._parser, "response", None)
        if response is not None and not reason.check(ConnectionDone):
            response.flaw = Failure(ResponseFailed([reason], response))
        super().connectionLost(reason)


def _ends(parser: Any) -> bool:
    """Say whether the server closes the connection (RFC 9112 9.3).

    Twisted knows one spelling of it, and asks an HTTP/1.0 server again on what it has just closed.
    """
    values = parser.connHeaders.getRawHeaders(b"connection", ())
    options = {option.strip().lower() for value in values for option in value.split(b",")}
    is_old = parser.response.version[1:] < (1, 1)
    return b"close" in options or (is_old and b"keep-alive" not in options)


class _Factory(Factory):
    """Makes them, as a pool wants it.

    Args:
        quiescent: Called with one that may be used again.
        metadata: Names the endpoint.
    """

    noisy = False

    def __init__(self, quiescent: Callable[[Any], None], metadata: str) -> None:
        self._quiescent = quiescent

    def buildProtocol(self, addr: IAddress | None) -> StrictClient:
        return StrictClient(self._quiescent)


class StrictPool(HTTPConnectionPool):
    """A pool of them."""

    _factory = _Factory  # type: ignore[assignment]
