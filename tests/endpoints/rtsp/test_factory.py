"""The RTSP and RTSPS ports, as plugins."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ntvmedia.config import RTSPSettings, RTSPSSettings
from ntvmedia.endpoints.rtsp.factory import RTSPEndpoint, RTSPFactory, RTSPSEndpoint
from ntvmedia.errors import ConfigError
from ntvmedia.interfaces import IMediaEndpoint
from tests.endpoints.rtsp.server import Server


class EndpointTests(SynchronousTestCase):
    """The plugins and their sections."""

    def test_interfaces(self) -> None:
        """They keep their promises, under the names of their sections."""
        for endpoint, name in ((RTSPEndpoint(), "rtsp"), (RTSPSEndpoint(), "rtsps")):
            verifyObject(IMediaEndpoint, endpoint)
            self.assertEqual(endpoint.name, name)

    def test_defaults(self) -> None:
        """RTSP listens on 8554, RTSPS on no port."""
        self.assertEqual(RTSPEndpoint().parse_settings({}).listen, ("tcp:8554",))
        self.assertEqual(RTSPSEndpoint().parse_settings({}).listen, ())

    def test_settings(self) -> None:
        """They are checked before anything listens, and errors name their key."""
        settings = RTSPEndpoint().parse_settings({"listen": "tcp:1554", "session_timeout": 90})
        self.assertEqual((settings.listen, settings.session_timeout), (("tcp:1554",), 90.0))
        for key, value in (
            ("session_timeout", 0),
            ("idle_timeout", -1),
            ("max_connections", 0),
            ("port", 554),
        ):
            error = self.assertRaises(ConfigError, RTSPEndpoint().parse_settings, {key: value})
            self.assertEqual(error.path, ("rtsp", key))

    def test_needs_certificate(self) -> None:
        """RTSPS without a certificate is the operator's to mend."""
        endpoint = RTSPSEndpoint()
        settings = endpoint.parse_settings({"listen": "tcp:8322"})
        error = self.assertRaises(ConfigError, endpoint.make_service, Server(), settings)
        self.assertEqual(error.path, ("rtsps", "listen"))
        endpoint.make_service(Server(), RTSPSSettings(listen=()))


class ServiceTests(SynchronousTestCase):
    """The service of a section, on a reactor without a network."""

    def setUp(self) -> None:
        self.server = Server()
        self.server.reactor = MemoryReactorClock()
        settings = RTSPSettings(listen=("tcp:8554:interface=127.0.0.1",))
        self.service = RTSPEndpoint().make_service(self.server, settings)
        self.service.privilegedStartService()
        self.service.startService()

    def test_runs_and_stops(self) -> None:
        """It listens where it is told, looks after its connections, and leaves nothing."""
        reactor = self.server.reactor
        (port,) = reactor.tcpServers
        self.assertEqual((port[0], port[3]), (8554, "127.0.0.1"))
        factory = port[1]
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5))
        self.assertIsNotNone(protocol)
        self.assertEqual(len([x for x in reactor.getDelayedCalls() if x.active()]), 1)
        stopped = self.service.stopService()
        if stopped is not None:
            self.successResultOf(stopped)
        self.assertEqual(reactor.getDelayedCalls(), [])
        self.assertIsNone(factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 6)))


class FactoryTests(SynchronousTestCase):
    """What the connections of a section share."""

    def test_authority(self) -> None:
        """What stands before a path that came alone names this server and its scheme."""
        for name in ("rtsp", "rtsps"):
            factory = RTSPFactory(Server(), RTSPSettings(), name)
            self.assertTrue(factory.authority.startswith(f"{name}://"))
            self.assertEqual(factory.protocol_name, name)

    def test_secrets(self) -> None:
        """Nonces of one server mean nothing to another, and a peer's nothing to another peer."""
        one = RTSPFactory(Server(), RTSPSettings(), "rtsp")
        server = Server()
        server.random(7)
        other = RTSPFactory(server, RTSPSettings(), "rtsp")
        found = {
            factory.verifier(peer).challenges(0.0)[0]
            for factory in (one, other)
            for peer in ("192.0.2.1", "192.0.2.2")
        }
        self.assertEqual(len(found), 4)
        again = one.verifier("192.0.2.1").challenges(0.0)[0]
        self.assertIn(again, found)

    def test_all_are_looked_after(self) -> None:
        """A tick reaches every connection, those that leave meanwhile too."""
        server = Server()
        peers = [server.peer() for _ in range(3)]
        server.reactor.advance(31)
        server.factory.tick()
        self.assertEqual([x.transport.disconnecting for x in peers], [True] * 3)
