"""The API: status, streams and metrics here, other subjects in modules of their own.

Routes are thin: look up, describe, encode.
"""

from __future__ import annotations

from typing import Any, ClassVar

from klein import Klein
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException

from ntvmedia import __version__
from ntvmedia.admin.applications import ApplicationRoutes
from ntvmedia.admin.metrics import Metrics
from ntvmedia.admin.replies import reply
from ntvmedia.admin.routes import ROUTES
from ntvmedia.admin.totals import totals
from ntvmedia.errors import Refused
from ntvmedia.hub.statistics import describe_stream, describe_viewer
from ntvmedia.media.names import stream_key


class API(ApplicationRoutes):
    """All routes: `/mserver/api/v1` and `/metrics`.

    Args:
        host: The server.
        metrics: What `/metrics` shows.
        started_at: When the server started, by the host's clock.
    """

    app: ClassVar[Klein] = ROUTES

    def __init__(self, host: Any, metrics: Metrics, started_at: float) -> None:
        self._host = host
        self._metrics = metrics
        self._started_at = started_at

    @ROUTES.route("/mserver/api/v1/status", methods=["GET"])
    def status(self, request: IRequest) -> bytes:
        """Answer `GET /mserver/api/v1/status`: the server as a whole.

        200 with `version`, `uptime_seconds`, `draining`, and the fields of `totals.Totals`.
        """
        return reply(
            request,
            {
                "version": __version__,
                "uptime_seconds": round(self._host.reactor.seconds() - self._started_at, 3),
                "draining": bool(self._host.draining),
                **totals(self._host.hub)._asdict(),
            },
        )

    @ROUTES.route("/mserver/api/v1/streams", methods=["GET"])
    def streams(self, request: IRequest) -> bytes:
        """Answer `GET /mserver/api/v1/streams`: all streams, by name.

        200 with `{"streams": [...]}`, each as `ntvmedia.hub.statistics.describe_stream` has it.
        """
        found = sorted(self._host.hub.streams.items())
        return reply(request, {"streams": [describe_stream(stream) for _key, stream in found]})

    @ROUTES.route("/mserver/api/v1/streams/<application>/<name>", methods=["GET"])
    def stream(self, request: IRequest, application: str, name: str) -> bytes:
        """Answer `GET /mserver/api/v1/streams/APP/STREAM`: one stream with its viewers.

        200 with the stream's fields and `viewer_list`; 404 with `error` where there is none.
        """
        try:
            stream = self._host.hub.streams.get(stream_key(application, name))
        except Refused as error:
            return reply(request, {"error": str(error)}, 404)
        if stream is None:
            return reply(request, {"error": f"{application}/{name} is not published"}, 404)
        return reply(
            request,
            {
                **describe_stream(stream),
                "viewer_list": [describe_viewer(viewer) for viewer in stream.viewers],
            },
        )

    @ROUTES.route("/mserver/api/v1/viewers", methods=["GET"])
    def viewers(self, request: IRequest) -> bytes:
        """Answer `GET /mserver/api/v1/viewers`: who watches, by whatever protocol.

        200 with `{"viewers": [...]}`, the longest there first: the fields of
        `ntvmedia.hub.statistics.describe_viewer`, and `application` and `stream`.
        """
        found = [
            {
                **describe_viewer(viewer),
                "application": stream.key.application,
                "stream": stream.key.stream,
            }
            for stream in self._host.hub.streams.values()
            for viewer in stream.viewers
        ]
        found.sort(key=lambda viewer: viewer["session"])
        return reply(request, {"viewers": found})

    @ROUTES.route("/metrics", methods=["GET"])
    def metrics(self, request: IRequest) -> bytes:
        """Answer `GET /metrics`, in the text format of Prometheus, version 0.0.4."""
        request.setHeader("content-type", self._metrics.content_type)
        request.setHeader("cache-control", "no-store")
        return self._metrics.text()

    @ROUTES.handle_errors(HTTPException)
    def refused(self, request: IRequest, failure: Any) -> bytes:
        """Answer what has no route: 404, 405, or a redirection to the proper spelling."""
        error = failure.value
        response = error.get_response({})
        for name, value in response.headers.items():
            if name.lower() in ("allow", "location"):
                request.setHeader(name.lower(), value)
        return reply(request, {"error": error.name}, response.status_code)
