"""The RTSP and RTSPS ports, as plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from twisted.application.service import IService, MultiService
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from ntvmedia.config import RTSPSettings, RTSPSSettings
from ntvmedia.config.reading import parse_section
from ntvmedia.endpoints.clockwork import ClockworkService
from ntvmedia.endpoints.draining import Connections, DrainingService
from ntvmedia.endpoints.hosts import ConnectionsOfHosts
from ntvmedia.endpoints.listening import listening_service
from ntvmedia.endpoints.peers import host_of
from ntvmedia.endpoints.proxied import proxied
from ntvmedia.endpoints.rtsp.connection import RTSPConnection
from ntvmedia.endpoints.rtsp.multicast import Groups
from ntvmedia.endpoints.rtsp.ports import UDPPorts
from ntvmedia.endpoints.rtsp.senders import Senders
from ntvmedia.errors import ConfigError
from ntvmedia.hub.outlet import Outlet
from ntvmedia.interfaces import IHost, IMediaEndpoint
from ntvmedia.wire.rtsp.authentication import Verifier

REALM = "NTV Media Server"


class RTSPFactory(Factory):
    """Builds the connections of one section.

    Attributes:
        host: The server.
        protocol_name: "rtsp" or "rtsps".
        settings: Of `rtsp`.
        senders: Of the streams that are played.
        carries_datagrams: Clients of this are reached by UDP, if the settings allow it.
        has_own_port: Clients are counted as connections of their address, and not elsewhere.
        ports: For UDP; None where that is not taken.
        groups: For multicast; None where UDP is not taken.
        ssrc: Ours, in reports to publishers.
        cname: Likewise.
        connections: Those that live.
    """

    noisy = False
    carries_datagrams: ClassVar[bool] = True
    has_own_port: ClassVar[bool] = True
    _log = Logger()

    def __init__(self, host: IHost, settings: RTSPSettings, protocol_name: str) -> None:
        self.host: Any = host
        self.protocol_name = protocol_name
        self.settings = settings
        self.senders: Senders = host.part(Senders)
        # D-TR-03: who wants all within TLS, or has nothing but HTTP, is not helped by datagrams.
        has_udp = settings.udp and protocol_name == "rtsp" and self.carries_datagrams
        self.ports: UDPPorts | None = host.part(UDPPorts) if has_udp else None
        self.groups: Groups | None = host.part(Groups) if has_udp else None
        self.ssrc = int.from_bytes(host.random(4), "big")
        self.cname = host.random(12).hex()
        self.connections = Connections(
            settings.max_connections,
            settings.max_connections_per_address,
            host.part(ConnectionsOfHosts) if self.has_own_port else None,
        )
        self._secret = host.random(32)

    def buildProtocol(self, addr: IAddress | None) -> RTSPConnection | None:  # type: ignore[override]
        if self.connections.has_room(host_of(addr)):
            return RTSPConnection(self, addr)
        if self.has_own_port and self.connections.may_tell:
            return RTSPConnection(self, addr, refusal="too many connections")
        return None

    @property
    def authority(self) -> str:
        """What stands before a path that a client sends without it."""
        address = (
            self.host.preferences.values.server_address
            or self.host.settings.server.address
            or "localhost"
        )
        host = f"[{address}]" if ":" in address and not address.startswith("[") else address
        return f"{self.protocol_name}://{host}"

    def outlet(self, transport: Any) -> Outlet:
        """Make the way out of a new connection."""
        outlet: Outlet = self.host.hub.outlet(transport)
        return outlet

    def verifier(self, peer: str) -> Verifier:
        """Return what asks a peer for a password, and looks at its answers."""
        return Verifier(REALM, self._secret, peer)

    def tick(self) -> None:
        """Look after the deadlines of all connections."""
        now = self.host.reactor.seconds()
        for connection in self.connections:
            try:
                connection.tick(now)  # type: ignore[attr-defined]
            except Exception:
                self._log.failure("looking after {peer} failed", peer=connection.host)
                connection.outlet.abort()  # type: ignore[attr-defined]


def make_rtsp_service(
    host: IHost, listen: tuple[str, ...], name: str, certificates: Any
) -> IService:
    """Build the service of one section; its connections end with it."""
    factory = RTSPFactory(host, host.settings.rtsp, name)
    listener = listening_service(host.reactor, listen, factory, certificates, proxied(host))
    service = MultiService()
    ClockworkService(host, factory.tick).setServiceParent(service)
    DrainingService(listener, factory.connections).setServiceParent(service)
    return service


@implementer(IPlugin, IMediaEndpoint)
class RTSPEndpoint:
    """RTSP, in the configuration's `rtsp` section."""

    name: ClassVar[str] = "rtsp"

    def parse_settings(self, raw: Mapping[str, object]) -> RTSPSettings:
        return parse_section(RTSPSettings, self.name, raw)

    def make_service(self, host: IHost, settings: object) -> IService:
        assert isinstance(settings, RTSPSettings)
        return make_rtsp_service(host, settings.listen, self.name, None)


@implementer(IPlugin, IMediaEndpoint)
class RTSPSEndpoint:
    """RTSP over TLS, in the configuration's `rtsps` section."""

    name: ClassVar[str] = "rtsps"

    def parse_settings(self, raw: Mapping[str, object]) -> RTSPSSettings:
        return parse_section(RTSPSSettings, self.name, raw)

    def make_service(self, host: IHost, settings: object) -> IService:
        assert isinstance(settings, RTSPSSettings)
        if settings.listen and host.certificates is None:
            raise ConfigError("needs tls.certificate and tls.key", (self.name, "listen"))
        return make_rtsp_service(host, settings.listen, self.name, host.certificates)
