"""Tests of ntvmedia.endpoints.listening."""

from __future__ import annotations

import socket
from typing import Any
from unittest import mock

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.endpoints import listening
from ntvmedia.endpoints.listening import BACKLOG, listening_service


class Deaf(MemoryReactorClock):
    """A reactor on which every port is taken."""

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        raise CannotListenError(interface, port, OSError(98, "Address already in use"))


class ListeningTests(SynchronousTestCase):
    """Descriptions become ports."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.factory = Factory()

    def listen(self, *descriptions: str, certificates: Any = None) -> list[tuple[Any, ...]]:
        """Start the service; returns port, factory, backlog, interface of each."""
        service = listening_service(self.reactor, descriptions, self.factory, certificates)
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        return list(self.reactor.tcpServers)

    def test_both_kinds(self) -> None:
        """A bare port means IPv6 and IPv4, and room for a crowd in the backlog."""
        with mock.patch.object(listening, "_has_ipv6", return_value=True):
            self.assertEqual(self.listen("tcp:1935"), [(1935, self.factory, BACKLOG, "::")])

    def test_no_ipv6(self) -> None:
        """G-RS-14: where the kernel has no IPv6 it is IPv4 alone."""
        with mock.patch.object(listening, "_has_ipv6", return_value=False):
            self.assertEqual(self.listen("tcp:1935"), [(1935, self.factory, BACKLOG, "")])

    def test_no_ipv6_socket(self) -> None:
        """IPv6 that was compiled in and turned off is none."""
        with mock.patch.object(socket, "socket", side_effect=OSError(97, "not supported")):
            self.assertFalse(listening._has_ipv6())
        with mock.patch.object(socket, "has_ipv6", False):
            self.assertFalse(listening._has_ipv6())

    def test_as_given(self) -> None:
        """An interface and a backlog that are given stay."""
        self.assertEqual(
            self.listen(
                "tcp:1:interface=127.0.0.1", "tcp:2:backlog=7:interface=10.0.0.1", "tcp:port=3"
            )[:2],
            [(1, self.factory, BACKLOG, "127.0.0.1"), (2, self.factory, 7, "10.0.0.1")],
        )

    def test_behind_a_proxy(self) -> None:
        """Behind a load balancer that sends PROXY headers it is no different."""
        with mock.patch.object(listening, "_has_ipv6", return_value=True):
            found = self.listen("haproxy:tcp:1935", "haproxy:tcp:2:interface=127.0.0.1:backlog=7")
        self.assertEqual(
            [(port, backlog, interface) for port, _factory, backlog, interface in found],
            [(1935, BACKLOG, "::"), (2, 7, "127.0.0.1")],
        )
        for _port, wrapped, _backlog, _interface in found:
            self.assertIsInstance(wrapped, HAProxyWrappingFactory)
            self.assertIs(wrapped.wrappedFactory, self.factory)

    def test_tls_behind_a_proxy(self) -> None:
        """TLS comes after the PROXY header; a description that is itself one of TLS has it once."""
        certificates = CertificateOptions()
        ((_port, wrapped, _backlog, _interface),) = self.listen(
            "haproxy:tcp:1:interface=127.0.0.1", certificates=certificates
        )
        self.assertIsInstance(wrapped.wrappedFactory, TLSMemoryBIOFactory)
        with mock.patch("twisted.application.strports.service") as service:
            listening_service(self.reactor, ["haproxy:ssl:2"], self.factory, certificates)
        self.assertEqual(service.call_args.args, ("haproxy:ssl:2", self.factory))

    def test_tls(self) -> None:
        """With certificates there is TLS around whatever is not TLS itself."""
        certificates = CertificateOptions()
        ((_port, wrapped, _backlog, _interface),) = self.listen(
            "tcp:1:interface=127.0.0.1", certificates=certificates
        )
        self.assertIsInstance(wrapped, TLSMemoryBIOFactory)
        self.assertIs(wrapped.wrappedFactory, self.factory)

    def test_taken(self) -> None:
        """G-LC-07: a port in use fails the start itself, with its number."""
        service = listening_service(Deaf(), ["tcp:1:interface=127.0.0.1"], self.factory)
        error = self.assertRaises(CannotListenError, service.privilegedStartService)
        self.assertIn("1", str(error))
