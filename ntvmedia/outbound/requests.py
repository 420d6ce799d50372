"""One request of a caller's, from its beginning to its end, whichever comes first of all ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ntvmedia.outbound.exchange import Answer
from ntvmedia.outbound.failures import OutboundError
from ntvmedia.outbound.flow import Flow


class PendingRequest:
    """A request that somebody waits for.

    Args:
        reactor: Its time.
        who: Names the server in errors.
        timeout_seconds: As in `Outbound.get`, but for None.
        idle_seconds: As in `Outbound.get`; infinity for no limit.
        forget: Called when it has ended.
        flow: Of its body: while that is paused, silence is our own.

    Attributes:
        answer: What the caller waits for.
    """

    def __init__(
        self,
        reactor: Any,
        who: str,
        timeout_seconds: float,
        idle_seconds: float,
        forget: Callable[[PendingRequest], None],
        flow: Flow | None = None,
    ) -> None:
        self.answer: Deferred[Answer] = Deferred(lambda _answer: self._stop())
        self._reactor = reactor
        self._who = who
        self._forget = forget
        self._work: Deferred[Answer] | None = None
        self._ended = False
        self._timer: IDelayedCall | None = None
        self._idle_timer: IDelayedCall | None = None
        self._idle_seconds = idle_seconds
        self._touched_at = 0.0
        self._flow = flow
        if flow is not None:
            flow.watched(self.touched)
        if timeout_seconds < math.inf:
            self._timer = reactor.callLater(
                timeout_seconds, self.fail, f"no answer within {timeout_seconds:g} seconds"
            )

    def begin(self, work: Deferred[Answer]) -> None:
        """Wait for the work, which may be done already."""
        self._work = work
        work.addBoth(self._worked)

    def asked(self) -> None:
        """Begin to watch for silence: a server is asked now."""
        self.touched()
        if self._idle_seconds < math.inf and not self._ended:
            self._idle_timer = self._reactor.callLater(self._idle_seconds, self._looked)

    def touched(self) -> None:
        """Note that something came. Called for each piece of a body, so it moves no timer."""
        self._touched_at = self._reactor.seconds()

    def fail(self, why: str) -> None:
        """End it, unless it has; the error is the caller's before the work is told."""
        if self._ended:
            # Where several are ended in turn, the end of one may have another one cancelled.
            return
        error = OutboundError(f"{self._who}: {why}")
        self._stop()
        self.answer.errback(error)

    def _looked(self) -> None:
        if self._flow is not None and self._flow.is_paused:
            self.touched()
        left = self._touched_at + self._idle_seconds - self._reactor.seconds()
        if left > 0:
            self._idle_timer = self._reactor.callLater(left, self._looked)
        else:
            self.fail(f"nothing came for {self._idle_seconds:g} seconds")

    def _worked(self, result: Answer | Failure) -> None:
        if self._ended:
            # What the work says of being cancelled.
            return
        self._end()
        self.answer.callback(result)

    def _stop(self) -> None:
        self._end()
        if self._work is not None:
            self._work.cancel()

    def _end(self) -> None:
        self._ended = True
        self._forget(self)
        for timer in (self._timer, self._idle_timer):
            if timer is not None and timer.active():
                timer.cancel()
