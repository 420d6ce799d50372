"""A proxy on this machine, for tests of requests that go through one."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from tests.outbound.rig import Peer, Server


class _Inward(Protocol):
    """The proxy's connection to a target.

    Args:
        outward: The client's connection.
    """

    def __init__(self, outward: Tunnelling) -> None:
        self._outward = outward

    def dataReceived(self, data: bytes) -> None:
        self._outward.send(data)

    def connectionLost(self, reason: Any = None) -> None:
        self._outward.send(b"", close=True)


class Tunnelling(Peer):
    """A client's connection, which the answer `tunnel` connects to a target."""

    factory: Proxy
    inward: Any = None

    def dataReceived(self, data: bytes) -> None:
        if self.inward is None:
            super().dataReceived(data)
        else:
            self.inward.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        if self.inward is not None:
            self.inward.transport.loseConnection()


class Proxy(Server):
    """A proxy that answers as a test says.

    Its `answers` are for each request, as a `Server`'s, whether for CONNECT or not.

    Attributes:
        reactor: Connects to targets.
        ports: By "HOST:PORT" of CONNECT, the port of this machine that it means.
    """

    protocol = Tunnelling

    def __init__(self, reactor: Any, *answers: Any) -> None:
        super().__init__(*answers)
        self.reactor = reactor
        self.ports: dict[str, int] = {}


def tunnel(peer: Any, said: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
    """Connect a client to the target that it asks for, and say so."""
    where = peer.factory.requests[-1].split(" ")[1]
    endpoint = TCP4ClientEndpoint(peer.factory.reactor, "127.0.0.1", peer.factory.ports[where])
    factory = Factory.forProtocol(lambda: _Inward(peer))
    factory.noisy = False

    def connected(inward: Any) -> None:
        peer.inward = inward
        peer.send(said)

    endpoint.connect(factory).addCallback(connected)
