"""What is still to be told: in the database, so that it outlives the process (G-HK-02).

A notification is told only after it is written down, and crossed out after it was told. A process
that is killed between the two tells it once more: at least once, never not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.errors import ConfigError
from ntvmedia.store import (
    Database,
    NotificationRow,
    StoreError,
    change_notifications,
    list_notifications,
    read_notifications,
)

MAX_WAITING: Final = 100_000
"""Notifications that wait for all callbacks together; then the oldest is dropped. Some 80 MB of
database, and 40 MB of memory."""

MAX_UNSAVED: Final = 10_000
"""Those that the database has not yet taken, since it fails; more are dropped as they come."""

MAX_FLOOD: Final = 1_000
"""Notifications that wait of an event that anybody causes by asking for any name: they do not
drive out those that happened."""

FLOOD_EVENTS: Final = frozenset({"stream_not_found"})

MAX_KEPT: Final = 2_000
"""Notifications whose text is in memory too: with a receiver that answers, all that wait."""

BATCH: Final = 1_000
"""Rows in one transaction, which takes some tens of milliseconds."""

RETRY_SECONDS: Final = 5.0
"""From a transaction that failed to the next."""


class Waiting:
    """One notification that waits.

    Attributes:
        id: Those told later have higher ones.
        callback: The id of the callback.
        event_id: As in `Notice`, as is `event`.
        lane: What is told in order has the same.
        created_at: When it happened, in seconds since 1970.
        facts: What is told, as JSON; None where it is only in the database.
        is_saved: It is in the database.
        is_busy: It is being told: it is not dropped now.
        is_gone: It was told or dropped.
    """

    __slots__ = (
        "callback",
        "created_at",
        "event",
        "event_id",
        "facts",
        "id",
        "is_busy",
        "is_gone",
        "is_saved",
        "lane",
    )

    def __init__(
        self,
        id_: int,
        callback: str,
        event_id: str,
        event: str,
        lane: str,
        created_at: float,
        facts: str | None = None,
    ) -> None:
        self.id = id_
        self.callback = callback
        self.event_id = event_id
        self.event = event
        self.lane = lane
        self.created_at = created_at
        self.facts = facts
        self.is_saved = facts is None
        self.is_busy = False
        self.is_gone = False


class Queue:
    """All notifications that wait, in the order in which they happened.

    Args:
        store: The database.
        reactor: For the time between tries.

    Attributes:
        saved: Called with each notification once the database has it: it may be told now.
        dropped: How many were never told, by reason: "full", "unsaved", "flood", "age".
    """

    _log = Logger()

    def __init__(self, store: Database, reactor: Any) -> None:
        self.saved: Callable[[Waiting], None] = lambda _waiting: None
        self.dropped: Counter[str] = Counter()
        self._store = store
        self._reactor = reactor
        self._waiting: dict[int, Waiting] = {}
        self._next_id = 1
        self._added: dict[int, Waiting] = {}
        self._done: list[int] = []
        self._kept = 0
        self._floods = 0
        self._is_writing = False
        self._has_failed = False
        self._timer: IDelayedCall | None = None
        self._idle: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(tuple(self._waiting.values()))

    def load(self) -> None:
        """Read what an earlier process left; blocking, at the start.

        Raises:
            ConfigError: The database cannot be read.
        """
        try:
            rows = self._store.run_now(list_notifications)
        except StoreError as error:
            raise ConfigError(str(error), ("database",)) from None
        for row in rows:
            self._keep(Waiting(*row))
            self._next_id = row.id + 1
        if rows:
            self._log.info("{count} notifications still wait", count=len(rows))

    def add(
        self, callback: str, event_id: str, event: str, lane: str, created_at: float, facts: str
    ) -> None:
        """Write down what a callback is to be told; arguments as in `Waiting`.

        Over a bound something is dropped and counted: the oldest, or this.
        """
        if len(self._added) >= MAX_UNSAVED:
            self._drop_new("unsaved")
            return
        if event in FLOOD_EVENTS and self._floods >= MAX_FLOOD:
            self._drop_new("flood")
            return
        if len(self._waiting) >= MAX_WAITING:
            self._drop_oldest()
        waiting = Waiting(self._next_id, callback, event_id, event, lane, created_at, facts)
        self._next_id += 1
        self._keep(waiting)
        self._added[waiting.id] = waiting
        self._write()

    def read(self, waiting: Waiting) -> Deferred[str | None]:
        """Return what it tells.

        Returns:
            Fires with JSON, or with None where it is in no database any more. Fails with
            `StoreError`.
        """
        if waiting.facts is not None:
            return succeed(waiting.facts)
        id_ = waiting.id
        reading: Deferred[dict[int, str]] = self._store.run(
            lambda connection: read_notifications(connection, [id_])
        )
        return reading.addCallback(lambda found: found.get(id_))

    def done(self, waiting: Waiting) -> None:
        """Cross it out: it was told."""
        self._forget(waiting)
        self._write()

    def drop(self, waiting: Waiting, reason: str) -> None:
        """Give it up; it is counted under this reason."""
        self.dropped[reason] += 1
        self.done(waiting)

    def forget(self, callback: str) -> None:
        """Let go of all that waits for a callback that is no more."""
        for waiting in self:
            if waiting.callback == callback:
                self._forget(waiting)
        self._write()

    def settled(self) -> Deferred[None]:
        """Wait until the database has what is here.

        Returns:
            Fires then, or when a transaction fails.
        """
        if not self._is_writing:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._idle.append(waiter)
        return waiter

    def stop(self) -> None:
        """Try no more what failed."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _keep(self, waiting: Waiting) -> None:
        self._waiting[waiting.id] = waiting
        if waiting.event in FLOOD_EVENTS:
            self._floods += 1
        if waiting.facts is not None:
            self._kept += 1

    def _forget(self, waiting: Waiting) -> None:
        if waiting.is_gone:
            return
        waiting.is_gone = True
        del self._waiting[waiting.id]
        if waiting.event in FLOOD_EVENTS:
            self._floods -= 1
        if waiting.facts is not None:
            self._kept -= 1
        if self._added.pop(waiting.id, None) is None:
            # Also one that is being written at this moment: this is done after it.
            self._done.append(waiting.id)

    def _drop_oldest(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.is_busy:
                self._say_dropped("full")
                self.dropped["full"] += 1
                self._forget(waiting)
                return

    def _drop_new(self, reason: str) -> None:
        self._say_dropped(reason)
        self.dropped[reason] += 1

    def _say_dropped(self, reason: str) -> None:
        # The counter says how many; the log, that it has come to this.
        if not self.dropped[reason]:
            self._log.warn("notifications are dropped: {reason}", reason=reason)

    def _write(self, *, again: bool = False) -> None:
        """Bring the database up to date, unless that is going on."""
        if self._is_writing or (self._timer is not None and self._timer.active()):
            return
        batch = [self._added[id_] for id_ in list(self._added)[:BATCH]]
        done = self._done[:BATCH]
        if not batch and not done:
            return
        for waiting in batch:
            del self._added[waiting.id]
        del self._done[: len(done)]
        rows = [_row_of(waiting) for waiting in batch]
        # What failed may have been committed all the same: its answer can be lost on the way.
        before = [row.id for row in rows] if again else []

        def work(connection: Any) -> None:
            if before:
                change_notifications(connection, [], before)
            change_notifications(connection, rows, done)

        self._is_writing = True
        self._store.run(work).addCallbacks(
            self._written, self._not_written, (batch,), errbackArgs=(batch, done)
        )

    def _written(self, _result: None, batch: list[Waiting]) -> None:
        self._is_writing = False
        if self._has_failed:
            self._has_failed = False
            self._log.info("the database takes notifications again")
        self._write()
        for waiting in batch:
            waiting.is_saved = True
            if self._kept > MAX_KEPT:
                waiting.facts = None
                self._kept -= not waiting.is_gone
            if not waiting.is_gone:
                self.saved(waiting)
        self._tell_idle()

    def _not_written(self, failure: Failure, batch: list[Waiting], done: list[int]) -> None:
        self._is_writing = False
        if not failure.check(StoreError):
            self._log.failure("notifications are not saved", failure)
        elif not self._has_failed:
            self._log.error("notifications are not saved: {error}", error=failure.value)
        self._has_failed = True
        # Those that were dropped meanwhile are in `_done` already; they may be in the database.
        unsaved = {waiting.id: waiting for waiting in batch if not waiting.is_gone}
        self._added = {**unsaved, **self._added}
        self._done = [*done, *self._done]
        self._timer = self._reactor.callLater(RETRY_SECONDS, self._write, again=True)
        self._tell_idle(at_once=True)

    def _tell_idle(self, *, at_once: bool = False) -> None:
        if at_once or not self._is_writing:
            idle, self._idle = self._idle, []
            for waiter in idle:
                waiter.callback(None)


def _row_of(waiting: Waiting) -> NotificationRow:
    return NotificationRow(
        waiting.id,
        waiting.callback,
        waiting.event_id,
        waiting.event,
        waiting.lane,
        waiting.facts or "{}",
        waiting.created_at,
    )
