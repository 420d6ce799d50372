"""The RTMP and RTMPS ports, as plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from twisted.application.service import IService, MultiService
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from ntvmedia.config import RTMPSettings, RTMPSSettings
from ntvmedia.config.reading import parse_section
from ntvmedia.endpoints.clockwork import ClockworkService
from ntvmedia.endpoints.draining import Connections, DrainingService
from ntvmedia.endpoints.hosts import ConnectionsOfHosts
from ntvmedia.endpoints.listening import listening_service
from ntvmedia.endpoints.peers import host_of
from ntvmedia.endpoints.proxied import proxied
from ntvmedia.endpoints.rtmp.authentication import Authentication
from ntvmedia.endpoints.rtmp.connection import RTMPConnection
from ntvmedia.endpoints.rtmp.playing import FORMAT
from ntvmedia.errors import ConfigError
from ntvmedia.hub.merged_reads import MergedReads
from ntvmedia.interfaces import IHost, IMediaEndpoint
from ntvmedia.wire.rtmp.events import Connected
from ntvmedia.wire.rtmp.serialiser import RTMPSerialiser
from ntvmedia.wire.rtmp.server import ServerSession

# For the handshakes of all connections: nothing in RTMP's keeps anything secret.
RANDOM_BYTES = 4096

# Of what passwords are asked for with, which does.
_SECRET_BYTES = 32


class RTMPFactory(Factory):
    """Builds the connections of one section.

    Attributes:
        host: The server.
        protocol_name: "rtmp" or "rtmps".
        connections: Those that live.
    """

    noisy = False
    _log = Logger()

    def __init__(self, host: IHost, settings: RTMPSettings, protocol_name: str) -> None:
        self.host: Any = host
        self.protocol_name = protocol_name
        self.connections = Connections(
            settings.max_connections,
            settings.max_connections_per_address,
            host.part(ConnectionsOfHosts),
        )
        self._settings = settings
        self._random = host.random(RANDOM_BYTES)
        self._secret = host.random(_SECRET_BYTES)
        self._merged_reads: dict[float, MergedReads] = {}

    def buildProtocol(self, addr: IAddress | None) -> RTMPConnection | None:  # type: ignore[override]
        if self.connections.has_room(host_of(addr)):
            return RTMPConnection(self, addr)
        if self.connections.may_tell:
            return RTMPConnection(self, addr, refusal="too many connections")
        return None

    def merged_reads(self, period: float) -> MergedReads:
        """Return what reads connections every `period` seconds."""
        reads = self._merged_reads.get(period)
        if reads is None:
            reads = self._merged_reads[period] = MergedReads(self.host.reactor, period)
        return reads

    def authentication(self, peer_host: str) -> Authentication:
        """Return what asks the peer of a new connection for a password."""
        return Authentication(self.host, self._secret, peer_host)

    def new_session(self, refuse_connect: Callable[[Connected], str]) -> ServerSession:
        """Make the session of a new connection; `refuse_connect` as in `ServerSession`."""
        settings = self._settings
        return ServerSession(
            self._random,
            self.host.reactor.seconds(),
            chunk_size=settings.chunk_size,
            max_message_size=settings.max_message_size,
            handshake_seconds=settings.handshake_timeout,
            idle_seconds=settings.idle_timeout,
            ping_seconds=settings.ping_interval,
            ping_timeout_seconds=settings.ping_timeout,
            refuse_connect=refuse_connect,
        )

    def tick(self) -> None:
        """Look after the deadlines of all connections."""
        now = self.host.reactor.seconds()
        for connection in self.connections:
            try:
                connection.tick(now)  # type: ignore[attr-defined]
            except Exception:
                self._log.failure("looking after {peer} failed", peer=connection.host)
                connection.outlet.abort()  # type: ignore[attr-defined]


def make_rtmp_service(
    host: IHost, listen: tuple[str, ...], name: str, certificates: Any
) -> IService:
    """Build the service of one section; its connections end with it."""
    settings: RTMPSettings = host.settings.rtmp
    host.hub.register_format(
        FORMAT,
        lambda options: RTMPSerialiser(
            chunk_size=settings.chunk_size,
            message_stream_id=int(options.get("stream_id", "1")),
            legacy_hevc=settings.legacy_hevc,
        ),
    )
    factory = RTMPFactory(host, settings, name)

    trusted = settings.trusted_proxies if settings.proxy_protocol == "on" else ()
    wrap = proxied(host, trusted)
    listener = listening_service(host.reactor, listen, factory, certificates, wrap)
    service = MultiService()
    ClockworkService(host, factory.tick).setServiceParent(service)
    DrainingService(listener, factory.connections).setServiceParent(service)
    return service


@implementer(IPlugin, IMediaEndpoint)
class RTMPEndpoint:
    """RTMP, in the configuration's `rtmp` section."""

    name: ClassVar[str] = "rtmp"

    def parse_settings(self, raw: Mapping[str, object]) -> RTMPSettings:
        return parse_section(RTMPSettings, self.name, raw)

    def make_service(self, host: IHost, settings: object) -> IService:
        assert isinstance(settings, RTMPSettings)
        return make_rtmp_service(host, settings.listen, self.name, None)


@implementer(IPlugin, IMediaEndpoint)
class RTMPSEndpoint:
    """RTMP over TLS, in the configuration's `rtmps` section."""

    name: ClassVar[str] = "rtmps"

    def parse_settings(self, raw: Mapping[str, object]) -> RTMPSSettings:
        return parse_section(RTMPSSettings, self.name, raw)

    def make_service(self, host: IHost, settings: object) -> IService:
        assert isinstance(settings, RTMPSSettings)
        if settings.listen and host.certificates is None:
            raise ConfigError("needs tls.certificate and tls.key", (self.name, "listen"))
        return make_rtmp_service(host, settings.listen, self.name, host.certificates)
