"""What happens, as events for whoever listens, and what happened lately for whoever comes back.

One for the whole server, whatever way its listeners came: `host.part(Feed)`.
"""

from __future__ import annotations

import json
from collections import deque
from itertools import islice
from typing import Any, Final

from ntvmedia.admin.listener import Listener
from ntvmedia.admin.task_updates import TaskUpdates
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

MAX_LISTENERS: Final = 100
"""Consoles that are open: each costs a connection, and a copy of each event."""

MAX_LISTENERS_OF_ONE: Final = 25
"""Of these one user may have so many: a program that forgets to close its own locks nobody out."""

MAX_KEPT: Final = 512
"""Events for those who come back: as many as may wait for one listener, some 100 kB."""

TICK_SECONDS: Final = 1.0
"""How soon a stopping server lets the listeners go, and how often it is looked at tasks."""

TICKS_PER_STATE: Final = 5
"""How often the state of the server is told. Proxies close what is silent for a minute or so."""

# It only has to be another one after each start.
_RUN_BYTES: Final = 4

# Of the number in an id; more are no number of ours.
_MAX_DIGITS: Final = 18

_STREAM_EVENTS: Final[dict[type[StreamEvent], str]] = {
    PublishStarted: "published",
    StreamReady: "ready",
    PublishEnded: "unpublished",
    StreamOver: "over",
    StreamIdle: "idle",
    StreamWanted: "wanted",
}

_VIEWER_EVENTS: Final[dict[type[StreamEvent], str]] = {PlayStarted: "started", PlayEnded: "ended"}

# Whoever asks for made-up names makes so many of these that nothing else would be kept.
_NOT_KEPT: Final = frozenset({StreamWanted})

_Told = tuple[int, str, dict[str, Any]]
"""The number of an event, its type, and its data."""

# In ASCII: without line ends, which would end the field, and with whatever a peer sent.
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode

_FIELDS: Final = ("protocol", "peer", "session", "reason", "bytes_in", "bytes_out")


class Feed:
    """Tells listeners.

    Args:
        host: The server.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self._listeners: set[Listener] = set()
        # The numbers begin anew with each start: an id says of which it is.
        self._run: str = host.random(_RUN_BYTES).hex()
        self._number = 0
        # Written down when somebody wants them: most often nobody listens.
        self._kept: deque[_Told] = deque(maxlen=MAX_KEPT)
        self._ticks = 0
        self._timer: Any = None
        self._tasks = TaskUpdates(host)
        subscribe = host.events.subscribe
        for kind in (*_STREAM_EVENTS, *_VIEWER_EVENTS):
            subscribe(kind, self._happened)
        subscribe(ApplicationChanged, self._application_changed)
        subscribe(SessionEnded, self._session_ended)

    def has_room(self, name: str) -> bool:
        """Say whether a user may listen once more."""
        return (
            not self._host.draining
            and len(self._listeners) < MAX_LISTENERS
            and sum(x.identity.name == name for x in self._listeners) < MAX_LISTENERS_OF_ONE
        )

    def join(self, listener: Listener, last_id: str | None) -> None:
        """Tell somebody what he missed, how the server is now, and what happens from now on.

        Args:
            listener: Somebody who begins to listen.
            last_id: Of the last event that he had; None for one who had none.
        """
        # While nobody listens nobody looks at tasks; who comes back hears of it all the same.
        self._look_at_tasks()
        self._listeners.add(listener)
        listener.begin(b"".join([*self._missed(last_id), self._server_event()]))
        if self._timer is None:
            self._timer = self._host.reactor.callLater(TICK_SECONDS, self._tick)

    def leave(self, listener: Listener) -> None:
        """Tell somebody nothing more."""
        self._listeners.discard(listener)
        if not self._listeners and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _missed(self, last_id: str | None) -> list[bytes]:
        """Return the events after one; or, if they are not kept, the one that says so."""
        if last_id is None:
            return []
        run, _dash, text = last_id.partition("-")
        is_number = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
        if run != self._run or not is_number or int(text) > self._number:
            return [lost(None)]
        missed = self._number - int(text)
        if missed > len(self._kept):
            return [lost(missed)]
        return [self._event(*told) for told in islice(self._kept, len(self._kept) - missed, None)]

    def _tick(self) -> None:
        self._timer = self._host.reactor.callLater(TICK_SECONDS, self._tick)
        self._ticks += 1
        if self._host.draining:
            for listener in tuple(self._listeners):
                listener.end()
        elif self._ticks % TICKS_PER_STATE == 0:
            for listener in tuple(self._listeners):
                # Sessions and tokens also end by themselves, in time.
                if not self._host.accounts.holds(listener.identity) or self._is_kept_out(listener):
                    listener.end()
            self._send(self._server_event())
        self._look_at_tasks()

    def _look_at_tasks(self) -> None:
        for name, data in self._tasks.changes():
            self._keep(name, data)

    def _is_kept_out(self, listener: Listener) -> bool:
        """Say whether a rule keeps an address out by now; the control socket has none."""
        host = listener.peer_host
        return bool(host) and bool(self._host.access.is_console_blocked(host))

    def _server_event(self) -> bytes:
        """Tell how the server is. It has the id of what happened last: it is not kept itself."""
        numbers = totals(self._host.hub)._asdict()
        return self._event(
            self._number, "server", {"draining": bool(self._host.draining), **numbers}
        )

    def _happened(self, event: StreamEvent) -> None:
        kind = type(event)
        name = "stream" if kind in _STREAM_EVENTS else "viewer"
        what = _STREAM_EVENTS.get(kind) or _VIEWER_EVENTS[kind]
        more = {field: getattr(event, field) for field in _FIELDS if hasattr(event, field)}
        application, stream = event.key.application, event.key.stream
        data = {"what": what, "application": application, "stream": stream, **more}
        if kind not in _NOT_KEPT:
            self._keep(name, data)
        elif self._listeners:
            self._send(self._event(self._number, name, data))

    def _application_changed(self, event: ApplicationChanged) -> None:
        self._keep("application", {"name": event.name, "after": event.after})

    def _session_ended(self, event: SessionEnded) -> None:
        for listener in tuple(self._listeners):
            if listener.identity.session and listener.identity.session == event.session:
                listener.end()

    def _keep(self, name: str, data: dict[str, Any]) -> None:
        self._number += 1
        self._kept.append((self._number, name, data))
        if self._listeners:
            self._send(self._event(self._number, name, data))

    def _event(self, number: int, name: str, data: dict[str, Any]) -> bytes:
        text = _encode(data)
        return f"id: {self._run}-{number}\nevent: {name}\ndata: {text}\n\n".encode("ascii")

    def _send(self, event: bytes) -> None:
        for listener in tuple(self._listeners):
            listener.tell(event)


def lost(count: int | None) -> bytes:
    """Return the event that says how many were not sent; None where nobody knows."""
    return b'event: lost\ndata: {"count":%s}\n\n' % json.dumps(count).encode("ascii")
