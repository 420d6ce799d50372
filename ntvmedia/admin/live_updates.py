"""What happens, told as it happens: Server-Sent Events (HTML, "Server-sent events").

A client that takes what it is sent too slowly loses the oldest, and is told how many: it then reads
the lists again. Its stream ends with its session.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ntvmedia.accounts import Identity, Role
from ntvmedia.admin.operations import Call, Operations, Streaming, operation
from ntvmedia.admin.problems import Problem
from ntvmedia.admin.totals import totals
from ntvmedia.events import (
    ApplicationChanged,
    PlayEnded,
    PlayStarted,
    PublishEnded,
    PublishStarted,
    SessionEnded,
    StreamEvent,
    StreamIdle,
    StreamOver,
    StreamReady,
    StreamWanted,
)

MAX_CLIENTS: Final = 100
"""Consoles that are open: each costs a connection, and a copy of each event."""

MAX_CLIENTS_OF_ONE: Final = 25
"""Of these one user may have so many: a program that forgets to close its own locks nobody out."""

MAX_WAITING: Final = 512
"""Events that wait for one client: some 100 kB."""

TICK_SECONDS: Final = 1.0
"""How soon a stopping server lets the clients go."""

TICKS_PER_STATE: Final = 5
"""How often the state of the server is told. Proxies close what is silent for a minute or so."""

_STREAM_EVENTS: Final[dict[type[StreamEvent], str]] = {
    PublishStarted: "published",
    StreamReady: "ready",
    PublishEnded: "unpublished",
    StreamOver: "over",
    StreamIdle: "idle",
    StreamWanted: "wanted",
}

_VIEWER_EVENTS: Final[dict[type[StreamEvent], str]] = {PlayStarted: "started", PlayEnded: "ended"}


class LiveUpdates(Operations):
    """What happens, as it happens.

    Args:
        host: The server.
    """

    tag = "events"

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self._clients: set[_Client] = set()
        self._number = 0
        self._ticks = 0
        self._timer: Any = None
        subscribe = host.events.subscribe
        for kind in (*_STREAM_EVENTS, *_VIEWER_EVENTS):
            subscribe(kind, self._happened)
        subscribe(ApplicationChanged, self._application_changed)
        subscribe(SessionEnded, self._session_ended)

    @operation("GET", "/events", role=Role.VIEWER, media_type="text/event-stream", errors=(503,))
    def events(self, call: Call) -> Streaming:
        """Tell what happens, as Server-Sent Events.

        The types of the events are `stream`, `viewer`, `application` and `server`; their data are
        JSON objects. `stream` and `viewer` have `what` ("published", "ready", "unpublished",
        "over", "idle", "wanted"; "started", "ended"), `application`, `stream`, and what else is
        known. `application` has `name` and `after`, the name it has now, null where it is gone.
        `server` has the numbers of `/status`, every 5 seconds. An event `lost` has a `count`: so
        many events were not sent, for the client was slow.
        """
        name = call.identity.name
        if (
            self.host.draining
            or len(self._clients) >= MAX_CLIENTS
            or sum(x.identity.name == name for x in self._clients) >= MAX_CLIENTS_OF_ONE
        ):
            raise Problem(503, "there are too many listeners", headers={"Retry-After": "10"})
        return Streaming(lambda request: self._begin(request, call.identity, call.peer_host))

    def _begin(self, request: Any, identity: Identity, peer_host: str) -> Deferred[None]:
        client = _Client(request, identity, peer_host, self._left)
        self._clients.add(client)
        client.begin(self._server_event())
        if self._timer is None:
            self._timer = self.host.reactor.callLater(TICK_SECONDS, self._tick)
        return client.done

    def _left(self, client: _Client) -> None:
        self._clients.discard(client)
        if not self._clients and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = self.host.reactor.callLater(TICK_SECONDS, self._tick)
        self._ticks += 1
        if self.host.draining:
            for client in tuple(self._clients):
                client.end()
        elif self._ticks % TICKS_PER_STATE == 0:
            for client in tuple(self._clients):
                # Sessions and tokens also end by themselves, in time.
                if not self.host.accounts.holds(client.identity) or self._is_kept_out(client):
                    client.end()
            self._send(self._server_event())

    def _is_kept_out(self, client: _Client) -> bool:
        """Say whether a rule keeps a client's address out by now; the control socket has none."""
        host = client.peer_host
        return bool(host) and bool(self.host.access.is_console_blocked(host))

    def _server_event(self) -> bytes:
        numbers = totals(self.host.hub)._asdict()
        return self._event("server", {"draining": bool(self.host.draining), **numbers})

    def _happened(self, event: StreamEvent) -> None:
        if not self._clients:
            return
        kind = type(event)
        name = "stream" if kind in _STREAM_EVENTS else "viewer"
        what = _STREAM_EVENTS.get(kind) or _VIEWER_EVENTS[kind]
        more = {
            field: getattr(event, field)
            for field in ("protocol", "peer", "session", "reason", "bytes_in", "bytes_out")
            if hasattr(event, field)
        }
        application, stream = event.key.application, event.key.stream
        data = {"what": what, "application": application, "stream": stream, **more}
        self._send(self._event(name, data))

    def _application_changed(self, event: ApplicationChanged) -> None:
        if self._clients:
            self._send(self._event("application", {"name": event.name, "after": event.after}))

    def _session_ended(self, event: SessionEnded) -> None:
        for client in tuple(self._clients):
            if client.identity.session and client.identity.session == event.session:
                client.end()

    def _event(self, name: str, data: dict[str, Any]) -> bytes:
        # JSON has no line ends, which would end the field.
        self._number += 1
        text = msgspec.json.encode(data)
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self._number, name.encode("ascii"), text)

    def _send(self, event: bytes) -> None:
        for client in tuple(self._clients):
            client.tell(event)


@implementer(IPushProducer)
class _Client:
    """One connection."""

    def __init__(
        self,
        request: Any,
        identity: Identity,
        peer_host: str,
        left: Callable[[_Client], None],
    ) -> None:
        self.identity = identity
        self.peer_host = peer_host
        self.done: Deferred[None] = Deferred(lambda _done: self._leave())
        self._request = request
        self._left = left
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._is_paused = False
        self._is_over = False

    def begin(self, event: bytes) -> None:
        """Send the first."""
        # nginx would keep what is written until it has a page full of it.
        self._request.setHeader("x-accel-buffering", "no")
        self._request.registerProducer(self, True)
        self._request.write(b"retry: 3000\n\n" + event)

    def tell(self, event: bytes) -> None:
        """Send an event, or have it wait."""
        if not self._is_paused:
            self._request.write(event)
            return
        self._waiting.append(event)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self._lost += 1

    def end(self) -> None:
        """Send no more."""
        if not self._is_over:
            self._leave()
            self._request.unregisterProducer()
            self.done.callback(None)

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        if self._lost:
            lost, self._lost = self._lost, 0
            self._request.write(b'event: lost\ndata: {"count":%d}\n\n' % lost)
        while self._waiting and not self._is_paused:
            self._request.write(self._waiting.popleft())

    def stopProducing(self) -> None:
        self._is_paused = True
        self._leave()

    def _leave(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._waiting.clear()
            self._left(self)
