"""Telling what waits: in order within a lane, several lanes at a time, one receiver by itself.

A lane is a stream, mostly. A notification that is not taken holds up its lane, and for a moment
its receiver, but no other receiver (G-HK-02).
"""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.callbacks.callback import Callback
from ntvmedia.callbacks.messages import NOTIFICATION, Notice
from ntvmedia.callbacks.queue import Queue, Waiting
from ntvmedia.callbacks.sending import Sender
from ntvmedia.outbound import OutboundError
from ntvmedia.store import StoreError

AT_A_TIME: Final = 4
"""Lanes of one receiver that are told at the same time. Some of the client's turns with one server
are left for questions."""

TOTAL_AT_A_TIME: Final = 64
"""The same for all receivers: those that hang are asked one at a time."""

TRY_SECONDS: Final = 10.0
"""An answer must be complete after this time."""

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 300.0
"""A failed try is repeated after a time that doubles, less up to a half by chance."""

KEEP_SECONDS: Final = 86400.0
"""What is older is given up after one more try."""

_DOUBLINGS: Final = 9


class _Lane:
    """What one receiver is told in order."""

    __slots__ = ("failures", "is_busy", "name", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: deque[Waiting] = deque()
        self.failures = 0
        # It is told, or in one of the receiver's lists.
        self.is_busy = False


class _Receiver:
    """One callback's side of it."""

    __slots__ = ("callback", "failures", "lanes", "later", "paused_until", "ready", "sent", "timer")

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.lanes: dict[str, _Lane] = {}
        self.ready: deque[_Lane] = deque()
        # When, which, lane; the number keeps equal times in order.
        self.later: list[tuple[float, int, _Lane]] = []
        self.sent: dict[_Lane, Deferred[Any]] = {}
        self.failures = 0
        self.paused_until = 0.0
        self.timer: IDelayedCall | None = None


class Courier:
    """Delivers what waits in the queue.

    Args:
        reactor: Its clock is monotonic.
        queue: Where it waits.
        sender: Sends it.
        wall_clock: Returns the seconds since 1970.
        chance: Returns a number from 0 to 1.

    Attributes:
        delivered: How many notifications were taken, since the start.
        failed: How many tries were not.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        queue: Queue,
        sender: Sender,
        wall_clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self.delivered = 0
        self.failed = 0
        self._reactor = reactor
        self._queue = queue
        self._sender = sender
        self._wall_clock = wall_clock
        self._chance = chance
        self._receivers: dict[str, _Receiver] = {}
        # Those that could go on but for the total; in turn.
        self._held: dict[str, None] = {}
        self._in_flight = 0
        self._number = 0
        self._is_running = False
        self._idle: Deferred[None] | None = None
        queue.saved = self._saved

    def start(self, callbacks: Mapping[str, Callback]) -> None:
        """Begin with what waits already."""
        self._is_running = True
        self.callbacks_changed(callbacks)

    def callbacks_changed(self, callbacks: Mapping[str, Callback]) -> None:
        """Take them as they are now. What waits for one that is gone is forgotten."""
        for id_ in [id_ for id_ in self._receivers if id_ not in callbacks]:
            receiver = self._receivers.pop(id_)
            self._held.pop(id_, None)
            _cancel(receiver)
            self._queue.forget(id_)
            self._sender.forget(id_)
        for id_, callback in callbacks.items():
            found = self._receivers.get(id_)
            if found is None:
                self._receivers[id_] = _Receiver(callback)
            elif found.callback != callback:
                found.callback = callback
                # Whoever mends an address does not wait for the next try.
                found.failures, found.paused_until = 0, 0.0
                self._all_ready(found)
        # Each once: to let go of one's is to look through all.
        for id_ in {x.callback for x in self._queue} - self._receivers.keys():
            self._queue.forget(id_)
        for waiting in self._queue:
            if waiting.is_saved and not waiting.is_busy:
                self._saved(waiting)
        for receiver in self._receivers.values():
            self._go_on(receiver)

    def waiting(self, callback: str) -> int:
        """Count what waits for a callback."""
        receiver = self._receivers.get(callback)
        if receiver is None:
            return 0
        return sum(not x.is_gone for lane in receiver.lanes.values() for x in lane.waiting)

    def idle(self) -> Deferred[None]:
        """Wait until all is told but for what has failed.

        Returns:
            Fires then. May be cancelled.
        """
        waiter: Deferred[None] = Deferred()
        self._idle = waiter
        self._tell_idle()
        return waiter

    def stop(self) -> None:
        """Tell nothing more; what is being told will be told again."""
        self._is_running = False
        for receiver in self._receivers.values():
            _cancel(receiver)

    def _saved(self, waiting: Waiting) -> None:
        receiver = self._receivers.get(waiting.callback)
        if receiver is None or waiting.is_gone:
            return
        lane = receiver.lanes.get(waiting.lane)
        if lane is None:
            lane = receiver.lanes[waiting.lane] = _Lane(waiting.lane)
        # In the order of their numbers: those of an earlier process come all at once.
        if lane.waiting and lane.waiting[-1].id >= waiting.id:
            return
        lane.waiting.append(waiting)
        if not lane.is_busy:
            lane.is_busy = True
            receiver.ready.append(lane)
            self._go_on(receiver)

    def _go_on(self, receiver: _Receiver) -> None:
        """Tell as much as may be told now."""
        if not self._is_running or not receiver.callback.enabled:
            return
        now = self._reactor.seconds()
        while receiver.later and receiver.later[0][0] <= now:
            receiver.ready.append(heapq.heappop(receiver.later)[2])
        if receiver.paused_until > now:
            self._wake_at(receiver, receiver.paused_until)
            return
        # After a failure one try shows whether it is over.
        limit = 1 if receiver.failures else AT_A_TIME
        while receiver.ready and len(receiver.sent) < limit:
            if self._in_flight >= TOTAL_AT_A_TIME:
                self._held[receiver.callback.id] = None
                return
            self._begin(receiver, receiver.ready.popleft())
            if receiver.paused_until > now:
                return
        if receiver.later:
            self._wake_at(receiver, receiver.later[0][0])

    def _wake_at(self, receiver: _Receiver, time: float) -> None:
        timer = receiver.timer
        if timer is not None and timer.active():
            if timer.getTime() <= time:
                return
            timer.cancel()
        delay = max(0.0, time - self._reactor.seconds())
        receiver.timer = self._reactor.callLater(delay, self._go_on, receiver)

    def _begin(self, receiver: _Receiver, lane: _Lane) -> None:
        while lane.waiting and lane.waiting[0].is_gone:
            lane.waiting.popleft()
        if not lane.waiting:
            self._lane_done(receiver, lane)
            return
        waiting = lane.waiting[0]
        waiting.is_busy = True
        self._in_flight += 1
        sending = Deferred.fromCoroutine(self._tell(receiver.callback, waiting))
        receiver.sent[lane] = sending
        sending.addCallbacks(
            self._told,
            self._not_told,
            (receiver, lane, waiting),
            errbackArgs=(receiver, lane, waiting),
        )

    async def _tell(self, callback: Callback, waiting: Waiting) -> str:
        """Try it once.

        Returns:
            What went wrong; empty if nothing did.
        """
        try:
            text = await self._queue.read(waiting)
        except StoreError as error:
            return str(error)
        if text is None:
            # Somebody else removed it from the database.
            return ""
        notice = Notice(
            NOTIFICATION, waiting.event, waiting.event_id, waiting.created_at, json.loads(text)
        )
        try:
            answer = await self._sender.submit(callback, notice, TRY_SECONDS)
        except OutboundError as error:
            return str(error)
        return "" if 200 <= answer.status < 300 else f"status {answer.status}"

    def _told(self, problem: str, receiver: _Receiver, lane: _Lane, waiting: Waiting) -> None:
        self._ended(receiver, lane, waiting)
        if not problem:
            self.delivered += 1
            receiver.failures = 0
            lane.failures = 0
            self._queue.done(waiting)
            self._next(receiver, lane)
            self._go_on(receiver)
        else:
            self._again(receiver, lane, waiting)
        self._go_on_with_held()
        self._tell_idle()

    def _not_told(
        self, failure: Failure, receiver: _Receiver, lane: _Lane, waiting: Waiting
    ) -> None:
        self._ended(receiver, lane, waiting)
        if not failure.check(CancelledError):
            # A bug does not stop the others.
            self._log.failure("a notification could not be sent", failure)
            self._again(receiver, lane, waiting)
        self._go_on_with_held()
        self._tell_idle()

    def _ended(self, receiver: _Receiver, lane: _Lane, waiting: Waiting) -> None:
        self._in_flight -= 1
        waiting.is_busy = False
        receiver.sent.pop(lane, None)

    def _again(self, receiver: _Receiver, lane: _Lane, waiting: Waiting) -> None:
        self.failed += 1
        now = self._reactor.seconds()
        if now >= receiver.paused_until:
            # Several that failed at once are one failure.
            receiver.failures += 1
            receiver.paused_until = now + self._pause(receiver.failures)
        if self._wall_clock() - waiting.created_at > KEEP_SECONDS:
            self._queue.drop(waiting, "age")
            self._next(receiver, lane)
        else:
            lane.failures += 1
            self._number += 1
            due = max(receiver.paused_until, now + self._pause(lane.failures))
            heapq.heappush(receiver.later, (due, self._number, lane))
        self._go_on(receiver)

    def _next(self, receiver: _Receiver, lane: _Lane) -> None:
        """Put a lane whose head is gone where it belongs."""
        while lane.waiting and lane.waiting[0].is_gone:
            lane.waiting.popleft()
        if lane.waiting:
            receiver.ready.append(lane)
        else:
            self._lane_done(receiver, lane)

    def _lane_done(self, receiver: _Receiver, lane: _Lane) -> None:
        lane.is_busy = False
        if receiver.lanes.get(lane.name) is lane:
            del receiver.lanes[lane.name]

    def _all_ready(self, receiver: _Receiver) -> None:
        receiver.ready.extend(entry[2] for entry in sorted(receiver.later, key=lambda x: x[:2]))
        receiver.later.clear()

    def _pause(self, failures: int) -> float:
        pause = FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, _DOUBLINGS)
        return min(pause, LONGEST_PAUSE_SECONDS) * (1.0 - self._chance() / 2)

    def _go_on_with_held(self) -> None:
        while self._held and self._in_flight < TOTAL_AT_A_TIME:
            id_ = next(iter(self._held))
            del self._held[id_]
            self._go_on(self._receivers[id_])

    def _tell_idle(self) -> None:
        waiter = self._idle
        if waiter is None or waiter.called:
            return
        now = self._reactor.seconds()
        if self._in_flight or any(
            receiver.ready and receiver.callback.enabled and receiver.paused_until <= now
            for receiver in self._receivers.values()
        ):
            return
        self._idle = None
        waiter.callback(None)


def _cancel(receiver: _Receiver) -> None:
    timer, receiver.timer = receiver.timer, None
    if timer is not None and timer.active():
        timer.cancel()
    for sending in tuple(receiver.sent.values()):
        sending.cancel()
