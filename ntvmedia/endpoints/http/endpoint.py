"""The HTTP and HTTPS ports, as plugins."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.plugin import IPlugin
from twisted.web.server import Site
from zope.interface import implementer

from ntvmedia.config import HTTPSettings, HTTPSSettings
from ntvmedia.config.reading import parse_section
from ntvmedia.endpoints.draining import DrainingService
from ntvmedia.endpoints.hosts import ConnectionsOfHosts
from ntvmedia.endpoints.http.front import HTTPFront, Route
from ntvmedia.endpoints.http.pages import Pages
from ntvmedia.endpoints.listening import listening_service
from ntvmedia.endpoints.proxied import proxied
from ntvmedia.endpoints.rtsp.tunnel import HTTPTunnels
from ntvmedia.errors import ConfigError
from ntvmedia.interfaces import IFolderRoute, IHost, IMediaEndpoint


class HTTPService(DrainingService):
    """Listens, and ends its connections when it stops.

    Args:
        host: Its web resource is made as soon as the reactor runs, not at the first request:
            importing Klein takes a quarter of a second.
        listener: The ports.
        front: Builds the connections.
    """

    def __init__(self, host: IHost, listener: IService, front: HTTPFront) -> None:
        super().__init__(listener, front.connections)
        self._host = host
        self.front = front

    def startService(self) -> None:
        super().startService()
        self._host.reactor.callWhenRunning(self.front.open_site)


def make_http_service(
    host: IHost, listen: tuple[str, ...], settings: HTTPSettings, certificates: Any
) -> HTTPService:
    """Build the service of one section.

    Args:
        host: The server.
        listen: Descriptions of the ports.
        settings: Limits and timers.
        certificates: As in `listening_service`.
    """
    routes = {}
    folder = ready_files = None
    for route in host.media_routes():
        methods = ("GET", "HEAD", *route.methods)
        handler = route.make_handler(host)
        if IFolderRoute.providedBy(route):
            if folder is not None:
                raise ConfigError("two plugins have files below a stream", ("http",))
            folder = Route(methods, handler)
            ready_files = route.make_ready(host)
        for extension in route.extensions:
            if extension in routes:
                raise ConfigError(f"two plugins serve .{extension}", ("http",))
            routes[extension] = Route(methods, handler)
    tunnel = None
    if host.settings.rtsp.http_tunnel:
        name = "rtsp-http" if certificates is None else "rtsp-https"
        tunnel = host.part(HTTPTunnels).gate(name)
    front = HTTPFront(
        host.reactor,
        settings,
        host.hub.outlet_policy,
        routes,
        lambda: Site(host.web_resource(), reactor=host.reactor),
        time.time,
        lambda: bool(host.draining),
        folder=folder,
        ready_files=ready_files,
        pages=Pages(host.applications, host.access),
        tunnel=tunnel,
        proxies=lambda: host.preferences.values.trusted_proxies,
        hosts=host.part(ConnectionsOfHosts),
    )
    wrap = proxied(host)
    listener = listening_service(host.reactor, listen, front, certificates, wrap)
    return HTTPService(host, listener, front)


@implementer(IPlugin, IMediaEndpoint)
class HTTPEndpoint:
    """HTTP, in the configuration's `http` section."""

    name: ClassVar[str] = "http"

    def parse_settings(self, raw: Mapping[str, object]) -> HTTPSettings:
        return parse_section(HTTPSettings, self.name, raw)

    def make_service(self, host: IHost, settings: object) -> IService:
        assert isinstance(settings, HTTPSettings)
        return make_http_service(host, settings.listen, settings, None)


@implementer(IPlugin, IMediaEndpoint)
class HTTPSEndpoint:
    """HTTP over TLS, in the configuration's `https` section; limits are those of `http`."""

    name: ClassVar[str] = "https"

    def parse_settings(self, raw: Mapping[str, object]) -> HTTPSSettings:
        return parse_section(HTTPSSettings, self.name, raw)

    def make_service(self, host: IHost, settings: object) -> IService:
        assert isinstance(settings, HTTPSSettings)
        if settings.listen and host.certificates is None:
            raise ConfigError("needs tls.certificate and tls.key", (self.name, "listen"))
        return make_http_service(host, settings.listen, host.settings.http, host.certificates)
