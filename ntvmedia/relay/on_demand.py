"""Pulling only while somebody watches: who wants what, and until when (E-SR-10, E-SR-11)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from twisted.logger import Logger

from ntvmedia.events import StreamIdle, StreamWanted
from ntvmedia.media import StreamKey
from ntvmedia.relay.backoff import Backoff
from ntvmedia.relay.rounds import maker_of
from ntvmedia.relay.runner import Runner
from ntvmedia.relay.tasks import Task

UNWANTED_SECONDS: Final = 2.0
"""After everybody who waited has gone, what never came is given up: a page is loaded anew in less.
What was there goes on for the setting `hub.idle_delay`."""

MOST_AT_ONCE: Final = 20
"""How many of those that had to wait are begun in one turn of the reactor, once a second: each asks
a server, or starts a process."""

MAX_FAILED_NAMES: Final = 1000
"""Names that came to nothing and are not asked for at once again, however often somebody tries."""


class _Failed(NamedTuple):
    """A name that came to nothing.

    Attributes:
        backoff: What it came to.
        not_before: When it may be tried again, in monotonic seconds.
    """

    backoff: Backoff
    not_before: float


class OnDemand:
    """Starts tasks that are on demand, and stops them.

    Args:
        host: The server.
        tasks: All tasks by id.
        most: How many streams there may be at a time that are pulled on demand.
    """

    _log = Logger()

    def __init__(self, host: Any, tasks: Mapping[str, Task], most: int) -> None:
        self._hub = host.hub
        self._seconds: Callable[[], float] = host.reactor.seconds
        self._idle_delay: float = host.settings.hub.idle_delay
        self._tasks = tasks
        self._most = most
        # When a stream was last wanted, by task and what `*` stands for; all that runs.
        self._wanted_at: dict[tuple[str, str], float] = {}
        self._held: Counter[StreamKey] = Counter()
        # Those for which there was no room, and who asked for them.
        self._postponed: dict[StreamKey, tuple[str, ...]] = {}
        self._is_full = False
        self._failed: dict[tuple[str, str], _Failed] = {}
        self._subscriptions = (
            host.events.subscribe(StreamWanted, self._stream_wanted),
            host.events.subscribe(StreamIdle, self._stream_idle),
        )

    @property
    def count(self) -> int:
        """How many streams are pulled on demand now."""
        return len(self._wanted_at)

    def hold(self, key: StreamKey) -> Callable[[], None]:
        """Want a stream, without watching it: another task takes it.

        Returns:
            Call it, once, when it is not wanted any more.
        """
        self._held[key] += 1
        self._want(key, ())

        def release() -> None:
            self._held[key] -= 1
            if self._held[key] <= 0:
                del self._held[key]

        return release

    def look_for(self, task: Task) -> None:
        """Start what is wanted of a task that has just become active."""
        for key in [*self._hub.waiting_keys, *self._held]:
            found = maker_of(key, [task.relay])
            if found is not None:
                self._want(key, ())

    def forget(self, id_: str) -> None:
        """Forget what came to nothing of a task that is another now."""
        for known in (self._failed, self._wanted_at):
            for name in [x for x in known if x[0] == id_]:
                del known[name]

    def tick(self, now: float) -> None:
        """Stop what nobody wants; about once a second."""
        for (id_, text), wanted_at in tuple(self._wanted_at.items()):
            task = self._tasks.get(id_)
            runner = None if task is None else task.runners.get(text)
            if task is None or runner is None:
                del self._wanted_at[id_, text]
            elif runner.is_stopped:
                self._end(task, text, runner, "the source has ended")
            elif self._is_wanted(runner):
                self._wanted_at[id_, text] = now
            else:
                patience = self._idle_delay if runner.has_been_up else UNWANTED_SECONDS
                if now - wanted_at >= patience:
                    self._end(task, text, runner, "nobody watches")
        self._is_full = len(self._wanted_at) >= self._most
        room = min(self._most - len(self._wanted_at), MOST_AT_ONCE)
        for key, hops in tuple(self._postponed.items()):
            if not self._hub.waiters(key) and key not in self._held:
                del self._postponed[key]
            elif room > 0:
                room -= 1
                del self._postponed[key]
                self._want(key, hops)

    def stop(self) -> None:
        """Hear no more. What runs is stopped with its task."""
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._postponed.clear()

    def _stream_wanted(self, event: StreamWanted) -> None:
        self._want(event.key, getattr(event, "hops", ()))

    def _stream_idle(self, event: StreamIdle) -> None:
        for id_, text in tuple(self._wanted_at):
            task = self._tasks.get(id_)
            runner = None if task is None else task.runners.get(text)
            if task is None or runner is None or event.key not in runner.keys:
                continue
            if not self._is_wanted(runner):
                self._end(task, text, runner, "nobody watches")

    def _want(self, key: StreamKey, hops: tuple[str, ...]) -> None:
        found = maker_of(key, [task.relay for task in self._tasks.values() if task.is_active])
        if found is None or not found[0].on_demand:
            return
        relay, text = found
        task, name = self._tasks[relay.id], (relay.id, text)
        now = self._seconds()
        runner = task.runners.get(text)
        if runner is not None and not runner.is_stopped:
            self._wanted_at[name] = now
            return
        if name not in self._wanted_at and len(self._wanted_at) >= self._most:
            if not self._is_full:
                self._is_full = True
                self._log.warn(
                    "{key} has to wait: {most} streams are pulled on demand already, as "
                    "relay.max_on_demand allows",
                    key=key,
                    most=self._most,
                )
            self._postponed[key] = hops
            return
        failed = self._failed.get(name)
        self._wanted_at[name] = now
        task.run(
            text,
            hops,
            delay=0.0 if failed is None else max(0.0, failed.not_before - now),
            backoff=None if failed is None else failed.backoff,
        )

    def _is_wanted(self, runner: Runner) -> bool:
        hub = self._hub
        for key in runner.keys:
            stream = hub.streams.get(key)
            if key in self._held or hub.waiters(key) or (stream is not None and stream.viewers):
                return True
        return False

    def _end(self, task: Task, text: str, runner: Runner, reason: str) -> None:
        name = (task.relay.id, text)
        del self._wanted_at[name]
        self._failed.pop(name, None)
        if runner.backoff.failures and not runner.has_been_up:
            while len(self._failed) >= MAX_FAILED_NAMES:
                del self._failed[next(iter(self._failed))]
            self._failed[name] = _Failed(runner.backoff, self._seconds() + runner.retry_in)
        task.end(text, reason)
