"""One request to one server, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from ntvmedia import __version__
from ntvmedia.outbound.addresses import Target
from ntvmedia.outbound.failures import OutboundError, Unacceptable
from ntvmedia.outbound.reasons import NETWORK_ERRORS, reason_of

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""The answers that send us on (RFC 9110 15.4); of GET, all in the same way."""


class Answer(NamedTuple):
    """What a server answered, whatever its status.

    Attributes:
        status: Of three digits.
        headers: By lower-case name; several of one name are joined with commas.
        body: All of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


async def exchange(
    agent: Agent, target: Target, headers: Mapping[str, str], limit_bytes: int
) -> Answer:
    """Ask one server once.

    Args:
        agent: What it asks through.
        target: Whom, and for what.
        headers: Further fields of the request.
        limit_bytes: The longest body that is taken.

    Returns:
        The answer. A redirect comes without its body, which is not read.

    Raises:
        OutboundError: There is none, or none that is taken.
    """
    fields = Headers({"User-Agent": [f"ntvmedia/{__version__}"]})
    for name, value in headers.items():
        fields.setRawHeaders(name, [value])
    # What is small when compressed may be endless here.
    fields.setRawHeaders("Accept-Encoding", ["identity"])
    if target.authorization:
        fields.setRawHeaders("Authorization", [target.authorization])
    try:
        response: Any = await agent.request(b"GET", target.url.encode("ascii"), fields)
        is_redirect = response.code in REDIRECTS
        if is_redirect or _is_compressed(response.headers):
            response.deliverBody(_Unread())
            if not is_redirect:
                raise Unacceptable("the answer is compressed, which was not asked for")
            return Answer(response.code, _fields(response.headers), b"")
        body = _Body(limit_bytes, response.length)
        response.deliverBody(body)
        return Answer(response.code, _fields(response.headers), await body.done)
    except NETWORK_ERRORS as error:
        raise OutboundError(f"{target.origin}: {reason_of(error)}") from None


class _Body(Protocol):
    """Takes the body of an answer, up to a limit.

    Args:
        limit_bytes: More end the connection.
        announced: The length that the server told; no number where it told none.

    Attributes:
        done: Fires with the body. May be cancelled.
    """

    def __init__(self, limit_bytes: int, announced: object) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _done: self._stop())
        self._limit_bytes = limit_bytes
        self._announced = announced if isinstance(announced, int) else 0
        self._data = bytearray()

    def connectionMade(self) -> None:
        self._limit(self._announced)

    def dataReceived(self, data: bytes) -> None:
        if not self.done.called:
            self._data += data
            self._limit(len(self._data))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if self.done.called:
            return
        # Without a length, the end of the connection is that of the body (RFC 9112 6.3).
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(bytes(self._data))
        else:
            self.done.errback(reason)

    def _limit(self, count: int) -> None:
        if count > self._limit_bytes:
            self.done.errback(
                Unacceptable(f"the answer is longer than {self._limit_bytes:,} bytes")
            )
            self._stop()

    def _stop(self) -> None:
        transport: Any = self.transport
        transport.stopProducing()


class _Unread(Protocol):
    """Ends a connection whose answer goes on to where nobody reads."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.stopProducing()


def _is_compressed(headers: Headers) -> bool:
    encodings = headers.getRawHeaders(b"content-encoding", [])
    return any(encoding.strip().lower() not in (b"", b"identity") for encoding in encodings)


def _fields(headers: Headers) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
        for name, values in headers.getAllRawHeaders()
    }
