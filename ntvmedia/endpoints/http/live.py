"""A live stream as an answer that does not end, over HTTP or over WebSocket, in any format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from weakref import WeakSet

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.access import Request, Verdict
from ntvmedia.endpoints.asking import Denied, allowed, allowed_stream
from ntvmedia.endpoints.http import answers
from ntvmedia.endpoints.http.asking import REDIRECTED, hops_fields, play_request
from ntvmedia.endpoints.http.cors import OriginPolicy
from ntvmedia.endpoints.http.framing import OPTION, Framed, Framing
from ntvmedia.endpoints.http.websocket import (
    BadHandshake,
    WebSocket,
    handshake,
    wants_websocket,
)
from ntvmedia.endpoints.selection import track_options
from ntvmedia.errors import Refused, UsageError
from ntvmedia.hub.refusals import HubFull
from ntvmedia.hub.rendition import RenditionKey, Serialiser, select_tracks
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.interfaces import IExchange
from ntvmedia.media import MediaKind, Track
from ntvmedia.wire.websocket import CloseCode

WEBSOCKET_PREFIX: Final = "ws-"
"""What a protocol's name begins with over WebSocket: "ws-flv"."""

_REFUSED: Final = {"Content-Type": answers.PLAIN, "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class LiveFormat:
    """A format that a stream can be sent in while it is live.

    Attributes:
        name: Of the format in the hub, of the protocol over HTTP, and in the log.
        content_type: Of the answers over HTTP.
        new_serialiser: Makes the serialiser of a rendition.
        can_carry: Whether the format has a way to write a track.
    """

    name: str
    content_type: str
    new_serialiser: Callable[[], Serialiser]
    can_carry: Callable[[Track], bool]


class LiveHandler:
    """Answers requests for one format. Makes it known to the hub.

    Args:
        host: Asked for access, and for streams.
        live: The format.
    """

    _log = Logger()

    def __init__(self, host: Any, live: LiveFormat) -> None:
        self._host = host
        self._format = live
        # No cache may keep or wait for a body without end; nginx is told not to gather it either.
        self._headers = {
            "Content-Type": live.content_type,
            "Cache-Control": "no-cache, no-store",
            "X-Accel-Buffering": "no",
        }
        self._origins = OriginPolicy(host.settings.http.allowed_origins)
        self._told: WeakSet[Any] = WeakSet()
        host.hub.register_format(
            live.name,
            lambda options: Framed(live.new_serialiser(), options.get(OPTION, Framing.NONE)),
        )

    def __call__(self, exchange: IExchange) -> None:
        """Answer one request, now or when the stream is there."""
        answering = Deferred.fromCoroutine(self._answer(exchange))
        # The exchange owns it: without the client nobody waits.
        exchange.on_closed(answering.cancel)
        answering.addErrback(self._failed, exchange)

    async def _answer(self, exchange: Any) -> None:
        opening = self._check_websocket(exchange) if wants_websocket(exchange) else None
        protocol = self._format.name if opening is None else WEBSOCKET_PREFIX + self._format.name
        request = play_request(exchange, protocol)
        chunked = exchange.http_version != "1.0"
        if exchange.method == "HEAD":
            # Nobody watches, so nobody waits and no event tells of it (B-HT-04).
            key = (await allowed(self._host, request)).rename or request.key
            stream = self._host.hub.streams.get(key)
            if stream is None:
                raise Refused(f"{key} is not published")
            self._check_tracks(stream, track_options(request.query))
            exchange.begin(200, self._headers, chunked=chunked)
            return
        verdict, stream = await allowed_stream(self._host, request)
        options = track_options(request.query)
        self._check_tracks(stream, options)
        hops = hops_fields(self._host, request, stream)
        socket: WebSocket | None = None
        if opening is not None:
            options[OPTION] = Framing.WEBSOCKET.value
            socket = WebSocket(self._host.reactor, exchange)
            socket.open({**opening, **hops})
            if socket.closed:
                return
        else:
            if chunked:
                options[OPTION] = Framing.CHUNKED.value
            headers = {**self._headers, **hops} if hops else self._headers
            exchange.begin(200, headers, chunked=chunked)
        rendition = RenditionKey(self._format.name, tuple(sorted(options.items())))
        _Playing(exchange, socket).play(stream, rendition, request, verdict)
        self._log.info(
            "{peer}: plays {key} by {protocol}",
            peer=exchange.peer,
            key=stream.key,
            protocol=request.protocol,
        )

    def _check_websocket(self, exchange: Any) -> dict[str, str]:
        """Return the header fields that open a WebSocket.

        Raises:
            Refused: It cannot be one, or must not for the page that wants it.
        """
        opening = handshake(exchange)
        headers = exchange.headers
        # Browsers let every page open a WebSocket anywhere: what CORS is for other answers has to
        # be done here (RFC 6455 section 10.2).
        if not self._origins.admits(headers.get("origin"), headers.get("host", "")):
            raise Denied("this page may not play here")
        return opening

    def _check_tracks(self, stream: Any, options: Mapping[str, str]) -> None:
        """Note what of a stream the format leaves out.

        Raises:
            Refused: That is all that was asked for.
        """
        chosen = [x for x in select_tracks(stream.tracks, options) if x.kind is not MediaKind.DATA]
        if not chosen:
            raise Refused(f"{stream.key} has no such track")
        missing = [track for track in chosen if not self._format.can_carry(track)]
        if len(missing) == len(chosen):
            codecs = " and ".join(track.codec.value for track in missing)
            raise Refused(f"{self._format.name} cannot carry {codecs}")
        if missing and stream not in self._told:
            self._told.add(stream)
            for track in missing:
                self._log.warn(
                    "{key}: its {codec} is left out of {output}",
                    key=stream.key,
                    codec=track.codec.value,
                    output=self._format.name,
                )

    def _refuse(
        self,
        exchange: IExchange,
        status: int,
        reason: str,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._log.info(
            "{peer}: {key} refused: {reason}",
            peer=exchange.peer,
            key=exchange.address.key,
            reason=reason,
        )
        exchange.respond(status, {**_REFUSED, **headers}, answers.reason_body(status, reason))

    def _failed(self, failure: Failure, exchange: Any) -> None:
        error = failure.value
        if failure.check(CancelledError):
            return
        try:
            if isinstance(error, BadHandshake):
                self._refuse(exchange, error.status, str(error), error.headers)
            elif isinstance(error, Denied) and error.location(*REDIRECTED):
                location = {"Location": error.location(*REDIRECTED)}
                self._refuse(exchange, 302, str(error), location)
            elif isinstance(error, Refused):
                self._refuse(exchange, _status(error), str(error))
            else:
                self._log.failure("answering {key} failed", failure, key=exchange.address.key)
                exchange.respond(500, _REFUSED, answers.reason_body(500, "an error in the server"))
        except UsageError:  # too late for an answer
            exchange.outlet.abort()


def _status(error: Refused) -> int:
    if isinstance(error, HubFull):
        return 503
    return error.status if isinstance(error, Denied) else 404


class _Playing:
    """A viewer, from the beginning of the stream to the end.

    Args:
        exchange: Begun.
        socket: Open, or None for an answer over HTTP.
    """

    def __init__(self, exchange: Any, socket: WebSocket | None) -> None:
        self._exchange = exchange
        self._socket = socket
        self._viewer: Any = None

    def play(self, stream: Any, key: RenditionKey, request: Request, verdict: Verdict) -> None:
        """Have the stream sent."""
        info = ViewerInfo(
            request.protocol,
            request.peer,
            request.user_agent,
            request.page_url,
            request,
            verdict,
        )
        self._viewer = viewer = stream.play(key, self._exchange.outlet, info, self._ended)
        self._exchange.on_closed(viewer.leave)
        if self._socket is not None:
            self._socket.on_gone = viewer.leave

    def _ended(self, reason: str) -> None:
        if self._socket is None:
            self._exchange.finish()
        elif self._viewer is None or self._viewer.kicked:  # without one: sent away as it came
            self._socket.close(CloseCode.POLICY, reason)
        else:
            self._socket.close(CloseCode.NORMAL, reason)
