"""A server with nothing but streams, applications and accounts, and requests to its resources."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from unittest import mock

from argon2 import PasswordHasher
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.web.server import Site

from ntvmedia import tap
from ntvmedia.access import Access, Applications
from ntvmedia.accounts import Accounts, Passwords
from ntvmedia.callbacks.service import Counts
from ntvmedia.config import Settings
from ntvmedia.events import EventBus
from ntvmedia.hub.streams import Hub
from ntvmedia.preferences import Preferences
from tests.store.slow import SlowStore

LOOPBACK = IPv4Address("TCP", "127.0.0.1", 50000)
ELSEWHERE = IPv4Address("TCP", "192.0.2.1", 50000)
SOCKET = UNIXAddress(b"")
JSON = b"Content-Type: application/json"
NOW = 784111777.0
ROOT = b"/mserver/api/v1"

PASSWORD = "correct horse"

# As cheap as argon2 can be.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Host:
    """What the core of the API asks of a server.

    Args:
        data: Its data folder.

    Attributes:
        now: The time of day.
    """

    def __init__(self, data: Path) -> None:
        self.now = NOW
        self.reactor = MemoryReactorClock()
        self.settings = Settings(data=data)
        self.events = EventBus()
        self.hub = Hub(self.reactor, self.settings.hub, self.events, lambda: self.now)
        self.store = SlowStore(data)
        self.preferences = Preferences(self.store, self.events, lambda: self.now)
        self.accounts = Accounts(
            self.store,
            self.events,
            lambda: self.now,
            None,
            data,
            passwords=Passwords(None, CHEAP),
        )
        self.applications = Applications(self.store, self.events, lambda: self.now)
        self.access = Access(
            self.applications, data, lambda: self.now, store=self.store, events=self.events
        )
        for part in (self.preferences, self.accounts, self.applications, self.access):
            part.load()
        self.draining = False
        self.random = bytes
        self.callbacks: Any = SimpleNamespace(counts=Counts(0, 0, 0, {}, {}))
        self.relays: Any = SimpleNamespace(registry={})
        self.pushes: Any = SimpleNamespace(registry={})
        self._parts: dict[Any, Any] = {}

    def part(self, kind: Any) -> Any:
        """Return the one instance of a class."""
        if kind not in self._parts:
            self._parts[kind] = kind(self)
        return self._parts[kind]


def whole_host(data: Path) -> Any:
    """Return the host of a whole server, put together as `twistd ntvmedia` does, not started."""
    options = tap.Options()
    options.parent = cast(Any, {})
    options.parseOptions([f"--data={data}"])
    with mock.patch.object(tap, "Store", lambda reactor, url, folder: SlowStore(folder)):
        root: Any = tap.makeService(options, MemoryReactorClock())
    host = root._host
    for part in ("preferences", "accounts", "applications", "access", "callbacks", "statistics"):
        getattr(host, part).load()
    host.relays.load()
    host.pushes.load()
    return host


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: Of HTTP; 0 for no answer yet.
        fields: Of the head, names in lower case.
        body: Without the framing.
    """

    status: int
    fields: dict[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        """Return what the body says."""
        assert self.fields[b"content-type"] == b"application/json", self
        return json.loads(self.body)

    def problem(self) -> Any:
        """Return the problem details (RFC 9457)."""
        assert self.fields[b"content-type"] == b"application/problem+json", self
        found = json.loads(self.body)
        assert set(found) == {"type", "title", "status", "detail", "errors"}
        assert found["status"] == self.status
        return found


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

    def send(
        self,
        method: bytes,
        path: bytes,
        body: bytes | None = None,
        *fields: bytes,
        host: bytes = b"localhost",
    ) -> None:
        """Send a request; one that names its Host itself has no other."""
        length = [b"Content-Length: %d" % len(body)] if body is not None else []
        named = any(field.lower().startswith(b"host:") for field in fields)
        hosts = [] if named else [b"Host: " + host]
        head = (method + b" " + path + b" HTTP/1.1", *hosts, *length, *fields, b"", b"")
        self.protocol.dataReceived(b"\r\n".join(head) + (body or b""))

    def answer(self) -> Answer:
        """Return the answer so far."""
        value = self.transport.value()
        if not value:
            return Answer(0, {}, b"")
        head, _mark, body = value.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        pairs = [line.split(b": ", 1) for line in lines]
        found = {name.lower(): value for name, value in pairs}
        if found.get(b"transfer-encoding") == b"chunked":
            body = b"".join(_chunks(body))
        return Answer(int(first.split()[1]), found, body)


def _chunks(body: bytes) -> list[bytes]:
    found = []
    while body:
        size, _end, body = body.partition(b"\r\n")
        found.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]
    return found


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


class Browser:
    """Somebody with a cookie.

    Args:
        resource: Of the HTTP ports.
        reactor: Of the server.
        peer: The address.

    Attributes:
        cookie: The value of the session's; empty for none.
        csrf: What its page shows.
    """

    def __init__(self, resource: Any, reactor: Any, peer: Any = ELSEWHERE) -> None:
        self._resource = resource
        self._reactor = reactor
        self._peer = peer
        self.cookie = ""
        self.csrf = ""

    def ask(self, method: str, path: str, body: Any = None, *fields: bytes) -> Answer:
        """Send a request as a page of the server does."""
        sent: list[bytes] = [*fields]
        if self.cookie:
            sent.append(b"Cookie: other=1; ntvmedia_session=" + self.cookie.encode())
        if self.csrf and method != "GET":
            sent.append(b"X-CSRF-Token: " + self.csrf.encode())
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent.append(JSON)
        found = ask(
            self._resource,
            self._reactor,
            method.encode(),
            ROOT + path.encode(),
            data,
            *sent,
            peer=self._peer,
        )
        if b"set-cookie" in found.fields:
            self.cookie = found.fields[b"set-cookie"].partition(b";")[0].partition(b"=")[2].decode()
        return found

    def log_in(self, name: str, password: str = PASSWORD) -> Answer:
        """Log in; the page then shows the token against CSRF."""
        self.csrf = ""
        found = self.ask("POST", "/session", {"name": name, "password": password})
        if found.status == 201:
            self.csrf = found.json()["csrf_token"]
        return found


def result_of(done: Deferred[Any]) -> Any:
    """Return what a Deferred has already."""
    found: list[Any] = []
    done.addCallback(found.append)
    return cast(Any, found[0])
