"""A server with nothing but streams and applications, and requests to its web resource."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.web.server import Site

from ntvmedia.access import Applications
from ntvmedia.config import Settings
from ntvmedia.events import EventBus
from ntvmedia.hub.streams import Hub
from tests.access.stores import SlowStore

LOOPBACK = IPv4Address("TCP", "127.0.0.1", 50000)
SOCKET = UNIXAddress(b"")
JSON = b"Content-Type: application/json"
NOW = 784111777.0


class Host:
    """What the API asks of a server.

    Args:
        data: Its data folder.
    """

    def __init__(self, data: Path) -> None:
        self.reactor = MemoryReactorClock()
        self.settings = Settings(data=data)
        self.events = EventBus()
        self.hub = Hub(self.reactor, self.settings.hub, self.events, lambda: NOW)
        self.store = SlowStore(data)
        self.applications = Applications(self.store, self.events, lambda: NOW)
        self.applications.load()
        self.draining = False


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: Of HTTP; 0 for no answer yet.
        fields: Of the head, names and values in lower case.
        body: Without the framing.
    """

    status: int
    fields: dict[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        """Return what the body says."""
        assert self.fields[b"content-type"] == b"application/json"
        return json.loads(self.body)


class Client:
    """One connection to a resource.

    Args:
        resource: Of `twisted.web`.
        reactor: Of the server.
        peer: The client's address.
    """

    def __init__(self, resource: Any, reactor: Any, peer: Any) -> None:
        protocol: Any = Site(resource, reactor=reactor).buildProtocol(peer)
        self.protocol = protocol
        self.transport = StringTransport(peerAddress=peer)
        protocol.makeConnection(self.transport)

    def send(self, method: bytes, path: bytes, body: bytes | None = None, *fields: bytes) -> None:
        """Send a request."""
        length = [b"Content-Length: %d" % len(body)] if body is not None else []
        head = (method + b" " + path + b" HTTP/1.1", b"Host: localhost", *length, *fields, b"", b"")
        self.protocol.dataReceived(b"\r\n".join(head) + (body or b""))

    def answer(self) -> Answer:
        """Return the answer so far."""
        value = self.transport.value()
        if not value:
            return Answer(0, {}, b"")
        head, _mark, body = value.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        found = dict(line.lower().split(b": ", 1) for line in lines)
        if found.get(b"transfer-encoding") == b"chunked":
            size, _end, body = body.partition(b"\r\n")
            body = body[: int(size, 16)]
        return Answer(int(first.split()[1]), found, body)


def ask(
    resource: Any,
    reactor: Any,
    method: bytes,
    path: bytes,
    body: bytes | None = None,
    *fields: bytes,
    peer: Any = SOCKET,
) -> Answer:
    """Send one request on a connection of its own, and return the answer."""
    client = Client(resource, reactor, peer)
    client.send(method, path, body, *fields)
    return client.answer()
