"""The reactor, run until some work is done or somebody ends it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """Somebody ended the command.

    Attributes:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(reactor: Any, work: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
    """Run the reactor until some work is done.

    A signal cancels what it waits for; a second one ends the process.

    Raises:
        Interrupted: A signal came before it was done.
        Exception: What the work failed with.
    """
    working: list[Deferred[None]] = []
    outcomes: list[Failure | None] = []
    signals: list[int] = []
    # `nohup` has one of them ignored, and a script's `&` another.
    wanted = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def interrupted(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        signals.append(number)
        reactor.callFromThread(lambda: working[0].cancel())

    def done(outcome: Failure | None) -> None:
        outcomes.append(outcome)
        reactor.stop()

    def begin() -> None:
        # In place of the reactor's own, which would stop it with the work half done.
        for number in _SIGNALS:
            signal.signal(number, interrupted if number in wanted else signal.SIG_IGN)
        working.append(Deferred.fromCoroutine(work()))
        working[0].addBoth(done)

    reactor.callWhenRunning(begin)
    reactor.run()
    if outcomes and outcomes[0] is None:
        return
    if signals or not outcomes:
        raise Interrupted(signals[0] if signals else signal.SIGINT)
    assert outcomes[0] is not None
    outcomes[0].raiseException()
