"""RTSP within HTTP, on the ports of HTTP and HTTPS: for clients behind a proxy or a firewall.

Apple's "Tunneling RTSP and RTP Over HTTP" (1999), D-TR-14. A tunnel is a GET, whose answer has no
end and is what the server says, and a POST, whose body is in base64 and is what the client says.
The same cookie is in both. To a session that is one connection, as if it were TCP with TLS or
without: no UDP (D-TR-03).

The length that a POST claims means nothing (`ntvmedia.wire.rtsp.tunnel`), except that a client may
open another when it is used up. Whatever is not a tunnel as it should be is answered with status
400, and closed; where that is behind the answer to GET, it is only closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger

from ntvmedia.endpoints.clockwork import ClockworkService
from ntvmedia.endpoints.http.heads import CHUNKED, BadRequest
from ntvmedia.endpoints.http.takeover import Takeover
from ntvmedia.endpoints.rtsp.connection import RTSPConnection
from ntvmedia.endpoints.rtsp.factory import RTSPFactory
from ntvmedia.errors import PeerError, Refused
from ntvmedia.hub.outlet import Outlet
from ntvmedia.interfaces import IHost
from ntvmedia.wire.rtsp.tunnel import (
    COOKIE_HEADER,
    GET_HEADERS,
    TunnelDecoder,
    Tunnels,
    parse_cookie,
)

_REFERENCE: Final = "Apple's RTSP over HTTP"

# Line ends behind a head are no request.
_NOTHING: Final = b"\r\n"


class HTTPTunnels(ClockworkService):
    """The tunnels of a server; `host.part(HTTPTunnels)` are all of them."""

    def __init__(self, host: IHost) -> None:
        super().__init__(host, self._tick)
        self._host = host
        self._factories: list[TunnelFactory] = []

    def gate(self, protocol_name: str) -> Callable[[Takeover], None]:
        """Return what takes the requests of one section of HTTP.

        Args:
            protocol_name: "rtsp-http" or "rtsp-https".
        """
        factory = TunnelFactory(self._host, self._host.settings.rtsp, protocol_name)
        self._factories.append(factory)
        return Gate(factory).request_received

    def _tick(self) -> None:
        for factory in self._factories:
            factory.tick()


class TunnelFactory(RTSPFactory):
    """Builds the connections of the tunnels of one section."""

    carries_datagrams = False
    has_own_port = False

    def outlet(self, transport: Any) -> Outlet:
        """Return the way out of GET's connection, which has one already."""
        assert isinstance(transport, Tunnel)
        return transport.get.outlet


class Gate:
    """Where the requests of the tunnels of one section come in.

    Args:
        factory: Builds the connections.
    """

    def __init__(self, factory: TunnelFactory) -> None:
        self._factory = factory
        self._tunnels: Tunnels[Tunnel] = Tunnels()

    def request_received(self, request: Takeover) -> None:
        """Take the connection of a request with a cookie, or refuse it."""
        try:
            cookie = parse_cookie(request.header(COOKIE_HEADER))
            if request.method == "GET":
                self._open(cookie, request)
            elif request.method == "POST":
                self._attach(cookie, request)
            else:
                raise Refused(f"{request.method} is not for tunnels")
        except BadRequest as error:
            request.refuse(error)
        except (PeerError, Refused) as error:
            request.refuse(BadRequest(400, str(error.args[0]), reference=_REFERENCE))

    def _open(self, cookie: str, request: Takeover) -> None:
        if request.has_more or request.body_length:
            raise Refused("GET and POST of a tunnel are two connections")
        connection = self._factory.buildProtocol(request.address)
        if connection is None:
            raise BadRequest(503, "too many connections", reference="rtsp.max_connections")
        tunnel = Tunnel(self._tunnels, cookie, request, connection)
        self._tunnels.open(cookie, tunnel)
        request.begin(GET_HEADERS)
        transport: Any = tunnel
        connection.makeConnection(transport)
        request.take(tunnel)

    def _attach(self, cookie: str, request: Takeover) -> None:
        if request.body_length == CHUNKED:
            raise Refused("the POST of a tunnel is not in chunks")
        tunnel = self._tunnels.attach(cookie)
        if tunnel.get.host != request.host:
            # Who knows the cookie does not yet have what its owner may have.
            self._tunnels.detach(cookie)
            raise Refused("the POST of a tunnel comes from where its GET does")
        tunnel.attach(request)


class Tunnel:
    """One tunnel: the owner of its GET, and the transport of its RTSP connection.

    Args:
        tunnels: Those that it is one of.
        cookie: Its own.
        get: Its GET.
        connection: What speaks RTSP.

    Attributes:
        get: As given.
        connection: As given.
    """

    _log = Logger()

    def __init__(
        self, tunnels: Tunnels[Tunnel], cookie: str, get: Takeover, connection: RTSPConnection
    ) -> None:
        self.get = get
        self.connection = connection
        self._tunnels = tunnels
        self._cookie = cookie
        self._post: _Post | None = None
        self._is_paused = False

    def attach(self, request: Takeover) -> None:
        """Read from a POST, and no longer from the one before, which is used up."""
        used_up, self._post = self._post, None
        if used_up is not None:
            used_up.request.finish()
        self._post = post = _Post(self, request)
        if self._is_paused:
            request.pause()
        request.take(post)

    def used_up(self) -> None:
        """Let the client open another POST."""
        self._tunnels.detach(self._cookie)

    def post_lost(self, post: _Post) -> None:
        """Note that a POST is over. The tunnel is not: another may follow."""
        if post is self._post:
            self._post = None
            self._tunnels.detach(self._cookie)

    # The owner of GET

    def data_received(self, data: bytes) -> None:
        """Hang up on a client that says something where it has nothing to say."""
        if data.strip(_NOTHING):
            self._log.info("{peer}: sends within a tunnel's GET", peer=self.connection.peer)
            self.connection.close("it sends within a tunnel's GET")

    def stop(self) -> None:
        """The server stops."""
        self.connection.close("server is stopping")

    def lost(self) -> None:
        """The client is gone."""
        self._tunnels.close(self._cookie)
        post, self._post = self._post, None
        if post is not None:
            post.request.finish()
        self.connection.connectionLost()

    # The transport, as far as the connection needs it: all that it writes goes to GET's outlet.

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing: HTTP has done it."""

    def pauseProducing(self) -> None:
        """Hold the client back. Idempotent."""
        self._is_paused = True
        if self._post is not None:
            self._post.request.pause()

    def resumeProducing(self) -> None:
        """End that. Idempotent."""
        self._is_paused = False
        if self._post is not None:
            self._post.request.resume()


class _Post:
    """The owner of a POST.

    Args:
        tunnel: Where what it says goes.
        request: The POST.
    """

    def __init__(self, tunnel: Tunnel, request: Takeover) -> None:
        self.request = request
        self._tunnel = tunnel
        self._decoder = TunnelDecoder()
        self._left = request.body_length

    def data_received(self, data: bytes) -> None:
        """Take more of its body."""
        if self._left > 0:
            self._left -= len(data)
            if self._left <= 0:
                self._tunnel.used_up()
        decoder = self._decoder
        said = decoder.decode(data)
        if said:
            self._tunnel.connection.dataReceived(said)
        if decoder.error is not None:
            error = decoder.error
            self.request.refuse(BadRequest(400, str(error.args[0]), reference=_REFERENCE))
            self._tunnel.connection.close("its tunnel is broken")

    def stop(self) -> None:
        """The server stops: GET's end is the end of both."""
        self._tunnel.stop()

    def lost(self) -> None:
        """Tell the tunnel."""
        self._tunnel.post_lost(self)
