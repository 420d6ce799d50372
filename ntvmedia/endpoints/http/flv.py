"""HTTP-FLV: `GET /APP/STREAM.flv`, the stream as one FLV file that does not end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.plugin import IPlugin
from twisted.python.failure import Failure
from zope.interface import implementer

from ntvmedia.access import Action, Request
from ntvmedia.endpoints.http import answers
from ntvmedia.endpoints.selection import track_options
from ntvmedia.errors import Refused, UsageError
from ntvmedia.formats.flv_serialiser import FLVSerialiser, Framing
from ntvmedia.hub.refusals import HubFull
from ntvmedia.hub.rendition import RenditionKey
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.interfaces import IExchange, IHost, IMediaRoute

FORMAT: Final = "flv"

# No cache may keep or wait for a body without end; nginx is told not to gather it either.
_LIVE: Final = {
    "Content-Type": "video/x-flv",
    "Cache-Control": "no-cache, no-store",
    "X-Accel-Buffering": "no",
}
_REFUSED: Final = {"Content-Type": answers.PLAIN, "Cache-Control": "no-store"}


class LiveFLVSerialiser(FLVSerialiser):
    """FLV for answers over HTTP.

    The last chunk belongs to the exchange: a viewer who is sent away while the stream goes on
    has one too.
    """

    def trailer(self) -> bytes:
        return b""


class FLVHandler:
    """Answers requests for FLV.

    Args:
        host: Asked for access, and for streams.
    """

    _log = Logger()

    def __init__(self, host: Any) -> None:
        self._host = host

    def __call__(self, exchange: IExchange) -> None:
        """Answer one request, now or when the stream is there."""
        answering = Deferred.fromCoroutine(self._answer(exchange))
        # The exchange owns it: without the client nobody waits.
        exchange.on_closed(answering.cancel)
        answering.addErrback(self._failed, exchange)

    async def _answer(self, exchange: Any) -> None:
        request = Request(
            action=Action.PLAY,
            key=exchange.address.key,
            protocol=FORMAT,
            peer=exchange.peer,
            query=exchange.address.query,
            page_url=exchange.headers.get("referer", ""),
            user_agent=exchange.headers.get("user-agent", ""),
        )
        verdict = await self._host.access.decide(request)
        if not verdict.allowed:
            self._refuse(exchange, 403, verdict.reason)
            return
        key = verdict.rename or request.key
        chunked = exchange.http_version != "1.0"
        if exchange.method == "HEAD":
            # Nobody watches, so nobody waits and no event tells of it (B-HT-04).
            if key in self._host.hub.streams:
                exchange.begin(200, _LIVE, chunked=chunked)
            else:
                self._refuse(exchange, 404, f"{key} is not published")
            return
        stream = await self._host.hub.wait_for(key)
        exchange.begin(200, _LIVE, chunked=chunked)
        _Playing(exchange, stream, _rendition(request.query, chunked=chunked), request)
        self._log.info("{peer}: plays {key}", peer=exchange.peer, key=key)

    def _refuse(self, exchange: IExchange, status: int, reason: str) -> None:
        self._log.info(
            "{peer}: {key} refused: {reason}",
            peer=exchange.peer,
            key=exchange.address.key,
            reason=reason,
        )
        exchange.respond(status, _REFUSED, answers.reason_body(status, reason))

    def _failed(self, failure: Failure, exchange: Any) -> None:
        error = failure.value
        if failure.check(CancelledError):
            return
        if isinstance(error, Refused):
            self._refuse(exchange, 503 if isinstance(error, HubFull) else 404, str(error))
            return
        self._log.failure("answering {key} failed", failure, key=exchange.address.key)
        try:
            exchange.respond(500, _REFUSED, answers.reason_body(500, "an error in the server"))
        except UsageError:  # too late for that
            exchange.outlet.abort()


class _Playing:
    """A viewer over HTTP-FLV, from the beginning of its answer to the end."""

    def __init__(self, exchange: Any, stream: Any, key: RenditionKey, request: Request) -> None:
        self._exchange = exchange
        info = ViewerInfo(FORMAT, request.peer, request.user_agent, request.page_url)
        viewer = stream.play(key, exchange.outlet, info, self._ended)
        exchange.on_closed(viewer.leave)

    def _ended(self, _reason: str) -> None:
        self._exchange.finish()


@implementer(IPlugin, IMediaRoute)
class FLVRoute:
    """The output `.flv`."""

    extensions: ClassVar[tuple[str, ...]] = ("flv",)
    methods: ClassVar[tuple[str, ...]] = ()

    def make_handler(self, host: IHost) -> Callable[[IExchange], None]:
        legacy_hevc = host.settings.http.legacy_hevc
        host.hub.register_format(
            FORMAT,
            lambda options: LiveFLVSerialiser(
                framing=options.get("framing", Framing.NONE), legacy_hevc=legacy_hevc
            ),
        )
        return FLVHandler(host)


def _rendition(query: Mapping[str, str], *, chunked: bool) -> RenditionKey:
    options = track_options(query)
    if chunked:
        options["framing"] = Framing.CHUNKED.value
    return RenditionKey(FORMAT, tuple(sorted(options.items())))
