"""Real servers on this machine, names that mean what a test says, and a reactor of its own.

Nothing here, and nothing in the client, uses the global reactor: each test has another, whose
readers and timers are counted when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ntvmedia.config import OutboundSettings
from ntvmedia.config.reading import parse_section
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.client import Outbound
from ntvmedia.outbound.exchange import Answer

_Result = TypeVar("_Result")

# More than any of these tests needs on a busy machine.
PATIENCE_SECONDS = 20.0


def ok(body: bytes, *fields: bytes) -> bytes:
    """Return a good answer."""
    lines = (b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *fields, b"", body)
    return b"\r\n".join(lines)


def redirect(location: str, status: int = 302) -> bytes:
    """Return an answer that sends the client on."""
    lines = (f"HTTP/1.1 {status} Elsewhere", f"Location: {location}", "Content-Length: 0", "", "")
    return "\r\n".join(lines).encode("latin-1")


class Peer(Protocol):
    """A connection to one of our servers."""

    factory: Server

    def connectionMade(self) -> None:
        self._got = b""
        self.factory.peers.append(self)
        self.factory.connections += 1

    def dataReceived(self, data: bytes) -> None:
        self._got += data
        while b"\r\n\r\n" in self._got:
            head, _mark, self._got = self._got.partition(b"\r\n\r\n")
            self.factory.requests.append(head.decode("ascii"))
            self.factory.answer(self)

    def send(self, data: bytes, *, close: bool = False) -> None:
        """Send some of an answer."""
        assert self.transport is not None
        self.transport.write(data)
        if close:
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.peers.remove(self)


class Server(Factory):
    """A server that answers as a test says.

    Attributes:
        answers: What it sends to each request, in order; the last one to all that follow. None
            sends nothing. A function is called with the connection.
        requests: The heads that it got.
        connections: How many there were.
        peers: Those that are open.
    """

    protocol = Peer  # type: ignore[assignment]
    noisy = False

    def __init__(self, *answers: bytes | Callable[[Peer], None] | None) -> None:
        self.answers = list(answers)
        self.requests: list[str] = []
        self.connections = 0
        self.peers: list[Peer] = []
        self.port = 0
        self.url = ""

    def answer(self, peer: Peer) -> None:
        """Send what comes next."""
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer(peer)
        elif answer is not None:
            peer.send(answer)


@implementer(IHostnameResolver)
class Names:
    """Says what names mean.

    Attributes:
        known: By name, the answers to each question in order; the last one to all that follow.
            None: there is never an answer.
        asked: The questions.
    """

    def __init__(self) -> None:
        self.known: dict[str, list[Sequence[str] | None]] = {}
        self.asked: list[str] = []

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        self.asked.append(hostName)
        answers = self.known.get(hostName, [[]])
        if hostName.replace(".", "").isdecimal() or ":" in hostName:
            answers = [[hostName]]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        resolution: Any = None
        resolutionReceiver.resolutionBegan(resolution)
        if answer is not None:
            for address in answer:
                kind = IPv6Address if ":" in address else IPv4Address
                resolutionReceiver.addressResolved(kind("TCP", address, portNumber))
            resolutionReceiver.resolutionComplete()
        done: IHostResolution = resolution
        return done


class OutboundCase(SynchronousTestCase):
    """A reactor, names, and a client that may ask 127.0.0.1 but no other address of ours.

    Attributes:
        names: What names mean.
        system_names: The reactor's own resolver, which asks the system.
    """

    settings: dict[str, object] = {"allow": "127.0.0.1", "timeout": 10.0}  # noqa: RUF012
    trust: Any = None

    def setUp(self) -> None:
        self.reactor: Any = EPollReactor()
        self.reactor.startRunning(installSignalHandlers=False)
        self.names = Names()
        self.system_names = self.reactor.installNameResolver(self.names)
        self._ports: list[Any] = []
        self._servers: list[Server] = []
        self._clients: list[Outbound] = []
        self.outbound = self.make_client()
        self.addCleanup(self._end)

    def make_client(self, **settings: object) -> Outbound:
        """Return a client with some settings."""
        section = parse_section(OutboundSettings, "outbound", {**self.settings, **settings})
        outbound = Outbound(self.reactor, section, self.trust)
        self._clients.append(outbound)
        return outbound

    def listen(
        self, server: Server, interface: str = "127.0.0.1", tls: Any = None, host: str = ""
    ) -> Server:
        """Have a server listen.

        Args:
            server: Is given its port and address.
            interface: Where.
            tls: What makes its side of TLS, or None for none.
            host: What its address names.
        """
        factory: Any = server
        if tls is not None:
            factory = TLSMemoryBIOFactory(tls, False, server, self.reactor)
            factory.noisy = False
        port = self.reactor.listenTCP(0, factory, interface=interface)
        self._ports.append(port)
        self._servers.append(server)
        server.port = port.getHost().port
        server.url = f"http{'s' * (tls is not None)}://{host or interface}:{server.port}"
        return server

    def serve(self, *answers: bytes | Callable[[Peer], None] | None) -> Server:
        """Have a server listen on 127.0.0.1."""
        return self.listen(Server(*answers))

    def until(self, condition: Callable[[], object]) -> None:
        """Run the reactor until something is so."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), end, "it never became so")
            self.reactor.iterate(0.02)

    def spin(self, seconds: float) -> None:
        """Run the reactor for a while, for what must not happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.reactor.iterate(0.01)

    def wait(self, waiting: Deferred[_Result]) -> _Result:
        """Run the reactor until a result is there."""
        self._finish(waiting)
        return self.successResultOf(waiting)

    def wait_for_error(self, waiting: Deferred[Any]) -> str:
        """Run the reactor until something failed with an `OutboundError`."""
        self._finish(waiting)
        return str(self.failureResultOf(waiting, OutboundError).value)

    def _finish(self, waiting: Deferred[Any]) -> None:
        done: list[object] = []

        def note(result: _Result) -> _Result:
            done.append(result)
            return result

        waiting.addBoth(note)
        self.until(lambda: done)

    def get(self, url: str, limit_bytes: int = 1000, **options: Any) -> Deferred[Answer]:
        """Ask."""
        return self.outbound.get(url, limit_bytes=limit_bytes, **options)

    def body(self, url: str, **options: Any) -> bytes:
        """Ask, and return what is answered with status 200."""
        answer = self.wait(self.get(url, **options))
        self.assertEqual(answer.status, 200)
        return answer.body

    def problem(self, url: str, **options: Any) -> str:
        """Ask in vain, and return why."""
        return self.wait_for_error(self.get(url, **options))

    def _end(self) -> None:
        """Stop, and see that nothing of the client is left."""
        for client in self._clients:
            self.wait(client.close())
        for port in self._ports:
            port.stopListening()
        self.until(lambda: not any(server.peers for server in self._servers))
        self.reactor.fireSystemEvent("shutdown")
        self.spin(0.02)
        self.assertEqual([x for x in self.reactor.getDelayedCalls() if x.active()], [])
        self.reactor.removeAll()
        self.reactor.disconnectAll()
        for reader in tuple(self.reactor._internalReaders):
            self.reactor._internalReaders.discard(reader)
            reader.connectionLost(None)
        self.reactor._poller.close()
