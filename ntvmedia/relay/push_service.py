"""All pushes of a server: live streams are sent to other servers while they are there (P-701)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ntvmedia.events import StreamOver, StreamReady
from ntvmedia.media import StreamKey
from ntvmedia.media.relaying import PushOptions
from ntvmedia.relay.backoff import fractions
from ntvmedia.relay.own import is_own
from ntvmedia.relay.push import Pusher, PushState, Surroundings
from ntvmedia.relay.push_registry import Pushes
from ntvmedia.relay.push_task import PushTask, Sending
from ntvmedia.relay.pushes import Push, matches, place, target_url
from ntvmedia.relay.schemes import Targets
from ntvmedia.relay.states import LogLine
from ntvmedia.relay.tasks import all_of

MAX_SENDING: Final = 1000
"""Streams that are sent at a time, each to each of its servers: every one is a connection."""


class PushService(Service):
    """Sends each live stream wherever a push says.

    A stream that is refused never begins, and so it is sent nowhere (E-ST-09).

    Args:
        host: The server.
        wall_clock: Returns the seconds since 1970.
        targets: Plugins of `ITarget`; by default, those that are installed.
        machine: The name of this machine; by default, as it says.

    Attributes:
        registry: The pushes: to be listed, made, changed and deleted. What is sent follows at once.
        targets: Who can push, by scheme.
    """

    _log = Logger()

    def __init__(
        self,
        host: Any,
        wall_clock: Callable[[], float] = time.time,
        targets: Sequence[Any] | None = None,
        machine: str = "",
    ) -> None:
        self._host = host
        self._wall_clock = wall_clock
        self._machine = machine or socket.gethostname()
        self.targets = Targets((), targets)
        self.registry = Pushes(
            host.store,
            wall_clock,
            host.random,
            self._changed,
            self.targets,
            self._is_own,
            host.reactor,
        )
        self._surroundings = Surroundings(
            host, self.targets.find, wall_clock, fractions(host.random)
        )
        self._tasks: dict[str, PushTask] = {}
        # Who sends to a place, until the last connection there has ended.
        self._taken: dict[str, str] = {}
        self._closing: set[Deferred[None]] = set()
        self._subscriptions: list[Callable[[], None]] = []

    def load(self) -> None:
        """Read the pushes; blocking, at the start.

        Raises:
            ConfigError: The database cannot be read.
        """
        self.registry.load()
        self._tasks = {id_: PushTask(push, self._wall_clock) for id_, push in self.registry.items()}

    def startService(self) -> None:
        super().startService()
        events = self._host.events
        self._subscriptions = [
            events.subscribe(StreamReady, self._stream_ready),
            events.subscribe(StreamOver, self._stream_over),
        ]
        for task in self._tasks.values():
            if task.push.enabled:
                self._start(task)

    def stopService(self) -> Deferred[None]:
        """Say goodbye to all servers.

        Returns:
            Fires when they have taken it, or soon after they should have.
        """
        super().stopService()
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()
        for task in self._tasks.values():
            self._stop(task)
        return all_of(list(self._closing))

    # To be called

    @property
    def sending(self) -> int:
        """How many streams are sent now, or about to be, each to each of its servers."""
        return sum(len(task.sending) for task in self._tasks.values())

    def start(self, id_: str) -> None:
        """Start a push, whether it is enabled or not, until `stop` or the end of the server.

        Raises:
            NoPush: There is none.
        """
        self.registry.find(id_)
        self._start(self._tasks[id_])

    def stop(self, id_: str) -> Deferred[None]:
        """Stop a push, until it is started again or the server is.

        Returns:
            Fires when its servers have taken a goodbye, or soon after they should have.

        Raises:
            NoPush: There is none.
        """
        self.registry.find(id_)
        return all_of(self._stop(self._tasks[id_]))

    def state(self, id_: str) -> PushState:
        """Return how a push is doing as a whole: its worst state, and sums.

        Raises:
            NoPush: There is none.
        """
        self.registry.find(id_)
        return self._tasks[id_].state()

    def states(self, id_: str) -> Mapping[StreamKey, PushState]:
        """Return how each stream is doing that a push sends or would send, in their order.

        Raises:
            NoPush: There is none.
        """
        self.registry.find(id_)
        return self._tasks[id_].states()

    def log(self, id_: str) -> tuple[LogLine, ...]:
        """Return the last lines of a push's log, the oldest first.

        Raises:
            NoPush: There is none.
        """
        self.registry.find(id_)
        return self._tasks[id_].log.lines

    # Streams

    def _stream_ready(self, event: StreamReady) -> None:
        for task in tuple(self._tasks.values()):
            self._begin(task, event.key)

    def _stream_over(self, event: StreamOver) -> None:
        for task in tuple(self._tasks.values()):
            self._end(task, event.key)

    def _begin(self, task: PushTask, key: StreamKey) -> None:
        """Send a stream, if it is one that this push sends now."""
        push = task.push
        if not self.running or not task.is_active or key in task.sending or not matches(push, key):
            return
        stream = self._host.hub.streams.get(key)
        if stream is None or not stream.is_ready:
            return
        where = place(push, key)
        if where in self._taken:
            # A second stream under its name would throw out the first, and the other way round.
            other = self._taken[where]
            same = other == push.id
            reason = "the connection before it ends" if same else f"push {other} sends there"
            task.hold_back(key, f"waits while {reason}")
            return
        if self.sending >= MAX_SENDING:
            task.hold_back(key, f"waits while {MAX_SENDING:,} streams are sent already")
            return
        task.held_back.pop(key, None)
        pusher = Pusher(
            self._surroundings,
            self._host.hub,
            # Begun with the stream, and stopped with it: each event is for few of them.
            None,
            key,
            target_url(push, key),
            PushOptions(push.transport, push.stall_seconds, (self._host.server_id,)),
            noted=lambda line: task.log.add(f"{key}: {line}"),
        )
        self._taken[where] = push.id
        task.sending[key] = Sending(pusher, where)
        pusher.start()

    def _begin_all(self, task: PushTask) -> None:
        for key in tuple(self._host.hub.streams):
            self._begin(task, key)

    def _end(self, task: PushTask, key: StreamKey) -> Deferred[None] | None:
        """Send a stream no longer; returns what fires when its server knows."""
        sending = task.let_go(key)
        if sending is None:
            return None
        stopping = sending.pusher.stop()
        closing: Deferred[None] = Deferred()
        self._closing.add(closing)

        def ended(_result: object) -> None:
            self._taken.pop(sending.place, None)
            self._closing.discard(closing)
            closing.callback(None)
            self._begin_held_back()

        stopping.addBoth(ended)
        return closing

    def _begin_held_back(self) -> None:
        """See who may send, now that somebody else has ended."""
        for task in tuple(self._tasks.values()):
            for key in tuple(task.held_back):
                self._begin(task, key)

    # Pushes

    def _start(self, task: PushTask) -> None:
        if self.running:
            task.set_active(True)
            self._begin_all(task)

    def _stop(self, task: PushTask) -> list[Deferred[None]]:
        task.set_active(False)
        task.held_back.clear()
        found = [self._end(task, key) for key in tuple(task.sending)]
        return [closing for closing in found if closing is not None]

    def _changed(self, ids: set[str]) -> None:
        """Go on with what holds now."""
        for id_ in ids:
            push = self.registry.get(id_)
            task = self._tasks.get(id_)
            if push is None:
                if task is not None:
                    self._stop(task)
                    del self._tasks[id_]
            elif task is None:
                self._tasks[id_] = task = PushTask(push, self._wall_clock)
                if push.enabled:
                    self._start(task)
            else:
                self._change(task, push)

    def _change(self, task: PushTask, push: Push) -> None:
        before, task.push = task.push, push
        if before.enabled and not push.enabled:
            self._stop(task)
            return
        for key in tuple(task.sending):
            if not matches(push, key) or _way(before, key) != _way(push, key):
                self._end(task, key)
        for key in tuple(task.held_back):
            task.let_go(key)
        if task.is_active or (push.enabled and not before.enabled):
            self._start(task)

    def _is_own(self, server: str) -> bool:
        address = self._host.preferences.values.server_address
        return is_own(server, self._host.settings, self._machine, address)


def _way(push: Push, key: StreamKey) -> tuple[object, ...]:
    """Return what a stream has to be sent anew for when it changes."""
    return target_url(push, key), push.transport, push.stall_seconds
