"""Counting what happens, and having it written."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ntvmedia.errors import ConfigError
from ntvmedia.events import PlayEnded, PlayStarted, PublishEnded, PublishStarted
from ntvmedia.hub.health import HealthWatch
from ntvmedia.statistics.counting import Counting, Line
from ntvmedia.statistics.pruning import Pruner
from ntvmedia.statistics.reports import Reports
from ntvmedia.statistics.viewers import ViewerLog
from ntvmedia.statistics.writing import Writer
from ntvmedia.store import StoreError, close_viewers

BATCH_SECONDS: Final = 10.0
"""From one batch to the next, by the marks of the wall clock: minutes and days begin with one."""

LOOK_SECONDS: Final = 1.0
"""From one look at the streams' health to the next."""

_RUN_BYTES: Final = 8

_KILLED: Final = "the server was stopped without a word"


class Statistics(Service):
    """Counts what happens in memory, and stores it in batches.

    A process that is killed loses what was counted since the last batch. While the database fails,
    what was counted waits in memory, as far as there is room (`ntvmedia.statistics.pending`).

    Args:
        host: An `ntvmedia.interfaces.IHost`.
        wall_clock: Returns the seconds since 1970. It may be set while the server runs.

    Attributes:
        health: What the streams were like in the last minute.
        reports: What was written.
        wall_clock: As given.
    """

    _log = Logger()

    def __init__(self, host: Any, wall_clock: Callable[[], float] = time.time) -> None:
        self._host = host
        self._reactor = host.reactor
        self.wall_clock = wall_clock
        self._run: str = host.random(_RUN_BYTES).hex()
        wall = wall_clock()
        self._counting = Counting(self._run, self._reactor.seconds(), wall)
        self._viewers = ViewerLog(self._counting.pending, self._run)
        self._writer = Writer(host.store, self._counting.pending, wall_clock)
        self._pruner = Pruner(self._reactor, host.store, host.preferences, wall)
        self._subscriptions: list[Callable[[], None]] = []
        self._look_call: IDelayedCall | None = None
        self._tick_call: IDelayedCall | None = None
        self.health = HealthWatch(host.hub, self._reactor.seconds)
        self.reports = Reports(host.store)

    def load(self) -> None:
        """End in the log who watched when the server was killed; blocking, at the start.

        Raises:
            ConfigError: The database cannot be written.
        """
        try:
            count = self._host.store.run_now(
                lambda connection: close_viewers(connection, self._run, _KILLED)
            )
        except StoreError as error:
            raise ConfigError(str(error), ("database",)) from None
        if count:
            self._log.info("{count} viewers watched when the server was killed", count=count)

    def startService(self) -> None:
        """Count from here on."""
        super().startService()
        subscribe = self._host.events.subscribe
        self._subscriptions = [
            subscribe(PlayStarted, self._play_started),
            subscribe(PlayEnded, self._play_ended),
            subscribe(PublishStarted, self._publish_started),
            subscribe(PublishEnded, self._publish_ended),
        ]
        self._look_call = self._reactor.callLater(LOOK_SECONDS, self._look)
        self._tick_call = self._reactor.callLater(self._until_mark(), self._tick)

    def stopService(self) -> Deferred[None]:
        """Write what is left.

        Returns:
            Fires when that is done, or the database does not do it. Cancelling it gives up.
        """
        super().stopService()
        for unsubscribe in self._subscriptions:
            unsubscribe()
        for call in (self._look_call, self._tick_call):
            if call is not None:
                call.cancel()
        self._look_call = self._tick_call = None
        self._pruner.stop()
        now = self._reactor.seconds()
        for session in self._counting.end(now):
            self._viewers.left(session, "the server was stopped", now)
        self._sample()
        return self._writer.drain()

    def _play_started(self, event: PlayStarted) -> None:
        viewer = self._newest_viewer(event)
        line = Line(event.key.application, event.key.stream, event.protocol)
        now = self._reactor.seconds()
        presence = self._counting.viewer_came(line, event.session, viewer, now)
        if self._host.preferences.values.viewer_log_days:
            info = viewer.info if viewer is not None else None
            wall = self.wall_clock()
            self._viewers.came(event.session, presence, wall, info, event.peer)

    def _newest_viewer(self, event: PlayStarted) -> Any:
        """Return the viewer that an event tells of: the last of its stream."""
        stream = self._host.hub.streams.get(event.key)
        viewer = next(reversed(stream.viewers), None) if stream is not None else None
        return viewer if viewer is not None and viewer.session == event.session else None

    def _play_ended(self, event: PlayEnded) -> None:
        now = self._reactor.seconds()
        self._counting.viewer_left(event.session, event.bytes_out, now)
        self._viewers.left(event.session, event.reason, now)

    def _publish_started(self, event: PublishStarted) -> None:
        stream = self._host.hub.streams.get(event.key)
        publication = stream.publication if stream is not None else None
        line = Line(event.key.application, event.key.stream, event.protocol)
        self._counting.publisher_came(line, event.session, publication, self._reactor.seconds())

    def _publish_ended(self, event: PublishEnded) -> None:
        self._counting.publisher_left(event.session, event.bytes_in)

    def _look(self) -> None:
        self._look_call = self._reactor.callLater(LOOK_SECONDS, self._look)
        try:
            self.health.look()
        except Exception:
            self._log.failure("looking at the health of the streams failed")

    def _tick(self) -> None:
        self._tick_call = self._reactor.callLater(self._until_mark(), self._tick)
        try:
            self._sample()
        except Exception:  # a bug in counting must not end it
            self._log.failure("counting failed")
        self._writer.write()
        self._pruner.look(self.wall_clock())

    def _sample(self) -> None:
        now = self._reactor.seconds()
        self._counting.sample(now, self.wall_clock(), self._host.access.refused)
        if self._host.preferences.values.viewer_log_days:
            self._viewers.refresh()
        else:
            self._viewers.forget()

    def _until_mark(self) -> float:
        left = BATCH_SECONDS - self.wall_clock() % BATCH_SECONDS
        # Not twice for the same mark, where a timer came a little before its time.
        return left if left >= 1.0 else left + BATCH_SECONDS
