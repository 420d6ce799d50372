"""Tests of connections that are not HTTP: to whom, with TLS, and how those fail that do."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet import ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.config import OutboundSettings, TLSSettings
from ntvmedia.config.certificates import Certificates
from ntvmedia.config.reading import parse_section
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.reasons import reason_of
from ntvmedia.outbound.streams import StreamConnector
from tests.config.pem import make_pair
from tests.outbound.rig import Names, OutboundCase, Server

HOST = "camera.example"


class Caller(Protocol):
    """A connection of ours: what came, and why it was lost."""

    def __init__(self) -> None:
        self.got = b""
        self.lost: Failure | None = None

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello\r\n\r\n")

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason


class Callers(Factory):
    """Makes them.

    Attributes:
        made: In order.
    """

    noisy = False

    def __init__(self) -> None:
        self.made: list[Caller] = []

    def buildProtocol(self, addr: object) -> Caller:
        self.made.append(Caller())
        return self.made[-1]


class ConnectionTests(SynchronousTestCase):
    """Connections that come to nothing, in memory."""

    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.names = Names()
        self.reactor.nameResolver = self.names
        settings = parse_section(OutboundSettings, "outbound", {"allow": ["192.0.2.0/24"]})
        self.connector = StreamConnector(self.reactor, settings)
        self.callers = Callers()

    def connect(self, host: str, *, tls: bool = False) -> Deferred[IProtocol]:
        """Begin to connect."""
        return self.connector.connect(host, 554, self.callers, tls=tls, timeout_seconds=10.0)

    def problem(self, host: str, *, tls: bool = False) -> OutboundError:
        """Return why a host is not connected to."""
        connecting = self.connect(host, tls=tls)
        for _step in range(4):
            self.reactor.advance(0.25)
        error = self.failureResultOf(connecting, OutboundError).value
        assert isinstance(error, OutboundError)
        return error

    def test_forbidden(self) -> None:
        """F-SS-03: what is not public, and not allowed, is not connected to, by whatever name."""
        self.names.known[HOST] = [["10.0.0.1"]]
        self.names.known["0x7f000001"] = [["127.0.0.1"]]
        for host in ("127.0.0.1", "::1", "169.254.169.254", "::ffff:10.0.0.1", HOST, "0x7f000001"):
            for tls in (False, True):
                error = self.problem(host, tls=tls)
                self.assertIn("which outbound.allow does not name", str(error))
                self.assertTrue(error.is_permanent)
        self.assertEqual(self.reactor.tcpClients, [])

    def test_spellings(self) -> None:
        """F-SS-03: whatever a resolver makes of a number, the address it means is looked at."""
        for host in ("2130706433", "017700000001", "0177.0.0.1", "0x7f.1", "127.1", "127.0.1"):
            self.names.known[host] = [["127.0.0.1"]]
            for tls in (False, True):
                error = self.problem(host, tls=tls)
                # Some are no names, and are not even looked up.
                self.assertRegex(str(error), "127.0.0.1 is a loopback|its name is none")
                self.assertTrue(error.is_permanent)
        for host in ("64:ff9b::a00:1", "2002:7f00:1::", "::ffff:169.254.169.254", "0.0.0.0", "::"):
            self.assertIn("the preference outbound_networks", str(self.problem(host)))
        self.assertEqual(self.reactor.tcpClients, [])

    def test_rebinding(self) -> None:
        """F-SS-03: a name that means something else the next time is looked at again."""
        self.names.known[HOST] = [["93.184.216.34"], ["10.0.0.1"]]
        self.connect(HOST)
        self.assertEqual([x[0] for x in self.reactor.tcpClients], ["93.184.216.34"])
        self.assertIn("10.0.0.1 is a private address", str(self.problem(HOST)))
        self.assertEqual(len(self.reactor.tcpClients), 1)

    def test_names(self) -> None:
        """What is no name, or means nothing, is told as that."""
        for host in ("a..b", "x" * 64 + ".example"):
            for tls in (False, True):
                self.assertIn("name", str(self.problem(host, tls=tls)))
        self.assertEqual(str(self.problem("unknown.example")), "its name cannot be looked up")

    def test_late(self) -> None:
        """E-SR-13: a look-up and a connection together have their time, and no more."""
        self.names.known[HOST] = [None]
        for host in (HOST, "192.0.2.7"):
            connecting = self.connect(host)
            self.reactor.advance(9.99)
            self.assertNoResult(connecting)
            self.reactor.advance(0.02)
            error = self.failureResultOf(connecting, OutboundError).value
            self.assertEqual(str(error), "no connection within 10 seconds")

    def test_cancel(self) -> None:
        """E-SR-13: who cancels is told that, whatever it was waiting for; no timer is left."""
        self.names.known[HOST] = [None]
        for host in (HOST, "192.0.2.7"):
            connecting = self.connect(host)
            connecting.cancel()
            self.failureResultOf(connecting, CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class TLSTests(OutboundCase):
    """Connections to servers with certificates, over sockets."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.pair = make_pair(Path(folder.name), HOST)
        super().setUp()
        self.names.known = {HOST: [["127.0.0.1"]]}
        settings = parse_section(OutboundSettings, "outbound", {"allow": ["127.0.0.1"]})
        certificate: Any = ssl.Certificate.loadPEM(Path(self.pair[0]).read_bytes())
        trust = ssl.trustRootFromCertificates([certificate])
        self.connector = StreamConnector(self.reactor, settings, trust)
        self.callers = Callers()

    def call(self, host: str, *, tls: bool) -> Caller:
        """Connect to a server, with TLS on its side, and wait for an answer or an end."""
        certificate, key = self.pair
        made = Certificates(TLSSettings(certificate=(certificate,), key=(key,)))
        server = self.listen(Server(b"welcome"), tls=made)
        connecting = self.connector.connect(
            host, server.port, self.callers, tls=tls, timeout_seconds=10.0
        )
        answered: list[Any] = []
        connecting.addBoth(answered.append)
        for _turn in range(400):
            self.reactor.iterate(0.01)
            if answered and (self.callers.made[-1].got or self.callers.made[-1].lost):
                break
        caller = self.callers.made[-1]
        self.assertEqual(answered, [caller])
        if caller.lost is None:
            transport: Any = caller.transport
            transport.abortConnection()
        return caller

    def test_good(self) -> None:
        """A server that is who it says is spoken with; the Deferred has our own protocol."""
        self.assertEqual(self.call(HOST, tls=True).got, b"welcome")

    def test_wrong_name(self) -> None:
        """A certificate for another name is none."""
        lost = self.call("127.0.0.1", tls=True).lost
        assert lost is not None
        assert lost.value is not None
        self.assertEqual(reason_of(lost.value), "its certificate is not for this name")
