"""Sending one message, and what is remembered of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.callbacks.answers import MAX_ANSWER_BYTES
from ntvmedia.callbacks.callback import Callback
from ntvmedia.callbacks.messages import Notice, message_of
from ntvmedia.outbound import OutboundError

MAX_DELIVERIES: Final = 50
"""Of each callback are remembered, since the server's start."""


class Delivery(NamedTuple):
    """One try to tell or ask.

    Attributes:
        time: When it ended, in seconds since 1970.
        kind: As in `Notice`, as are `event` and `event_id`.
        stream: "APPLICATION/STREAM"; empty where it is about none.
        status: Of the answer; 0 where there was none.
        problem: Why it failed; empty where it did not.
        seconds: How long it took.
    """

    time: float
    kind: str
    event: str
    event_id: str
    stream: str
    status: int
    problem: str
    seconds: float


class Sender:
    """Sends messages, and remembers the last ones of each callback.

    Args:
        outbound: The HTTP client.
        seconds: The reactor's clock.
        wall_clock: Returns the seconds since 1970.
        known: The ids of the callbacks that there are: of others nothing is remembered.

    Attributes:
        last: The last tries by the callback's id, the newest first.
    """

    _log = Logger()

    def __init__(
        self,
        outbound: Any,
        seconds: Callable[[], float],
        wall_clock: Callable[[], float],
        known: Container[str],
    ) -> None:
        self.last: dict[str, deque[Delivery]] = {}
        self._outbound = outbound
        self._seconds = seconds
        self._wall_clock = wall_clock
        self._known = known
        self._failing: set[str] = set()

    def submit(self, callback: Callback, notice: Notice, timeout_seconds: float) -> Deferred[Any]:
        """Send one message once.

        Args:
            callback: To whom.
            notice: What.
            timeout_seconds: For all of it.

        Returns:
            Fires with an `ntvmedia.outbound.exchange.Answer` of any status. Fails with
            `OutboundError`; when cancelled with `CancelledError`, and nothing is remembered.
        """
        began = self._seconds()
        try:
            message = message_of(callback, notice, self._wall_clock())
        except OutboundError as error:
            sending: Deferred[Any] = fail(error)
        else:
            if message.body is None:
                sending = self._outbound.get(
                    message.url,
                    headers=message.headers,
                    limit_bytes=MAX_ANSWER_BYTES,
                    timeout_seconds=timeout_seconds,
                    same_server=True,
                )
            else:
                sending = self._outbound.post(
                    message.url,
                    message.body,
                    headers=message.headers,
                    limit_bytes=MAX_ANSWER_BYTES,
                    timeout_seconds=timeout_seconds,
                )
        return sending.addCallbacks(
            self._answered,
            self._failed,
            (callback, notice, began),
            errbackArgs=(callback, notice, began),
        )

    def forget(self, callback: str) -> None:
        """Let go of what is remembered of a callback that is no more."""
        self.last.pop(callback, None)
        self._failing.discard(callback)

    def _answered(self, answer: Any, callback: Callback, notice: Notice, began: float) -> Any:
        good = 200 <= answer.status < 300
        # A refusal is an answer: only who is told has to say yes.
        if notice.kind == "decision" and answer.status in (401, 403):
            good = True
        problem = "" if good else f"status {answer.status}"
        self._remember(callback, notice, began, answer.status, problem)
        return answer

    def _failed(
        self, failure: Failure, callback: Callback, notice: Notice, began: float
    ) -> Failure:
        if failure.check(OutboundError):
            self._remember(callback, notice, began, 0, str(failure.value))
        return failure

    def _remember(
        self, callback: Callback, notice: Notice, began: float, status: int, problem: str
    ) -> None:
        facts = notice.facts
        stream = f"{facts['application']}/{facts['stream']}" if "stream" in facts else ""
        if callback.id in self._known:
            deliveries = self.last.setdefault(callback.id, deque(maxlen=MAX_DELIVERIES))
            deliveries.appendleft(
                Delivery(
                    self._wall_clock(),
                    notice.kind,
                    notice.event,
                    notice.event_id,
                    stream,
                    status,
                    problem,
                    round(self._seconds() - began, 6),
                )
            )
        # Two lines for an hour without a receiver.
        if problem and callback.id not in self._failing:
            self._failing.add(callback.id)
            self._log.warn("callback {name} fails: {problem}", name=callback.name, problem=problem)
        elif not problem and callback.id in self._failing:
            self._failing.discard(callback.id)
            self._log.info("callback {name} answers again", name=callback.name)
