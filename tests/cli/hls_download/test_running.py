"""Tests of ntvmedia.cli.hls_download.running: signals, and the end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.hls_download.running import Interrupted, run

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class FakeReactor:
    """A reactor that does what it is told to, until it is stopped.

    Attributes:
        is_running: It was not stopped.
    """

    def __init__(self) -> None:
        self.is_running = False
        self.calls: list[Callable[[], object]] = []

    def callWhenRunning(self, call: Callable[[], object]) -> None:
        """Do it first."""
        self.calls.append(call)

    def callFromThread(self, call: Callable[[], object]) -> None:
        """Do it next."""
        self.calls.append(call)

    def run(self) -> None:
        """Do all there is to do."""
        # As reactors do.
        for number in SIGNALS[:2]:
            signal.signal(number, lambda *_arguments: self.stop())
        self.is_running = True
        while self.calls and self.is_running:
            self.calls.pop(0)()
        self.is_running = False

    def stop(self) -> None:
        """End it."""
        assert self.is_running
        self.is_running = False


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Have the handlers of signals be those of before."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def outcome(work: Any, reactor: Any = None) -> BaseException | None:
    """Run some work, and return what it ended with."""
    try:
        run(reactor or FakeReactor(), work)
    except BaseException as error:
        return error
    return None


def test_done() -> None:
    """The reactor runs until the work is done, even where that is at once."""

    async def work() -> None:
        reactor.callFromThread(lambda: waiting.callback(None))
        await waiting

    waiting: Deferred[None] = Deferred()
    reactor = FakeReactor()
    assert outcome(work, reactor) is None

    async def at_once() -> None:
        pass

    assert outcome(at_once) is None


def test_failed() -> None:
    """What it failed with, as it is."""

    async def work() -> None:
        raise Failed("no")

    error = outcome(work)
    assert isinstance(error, Failed)
    assert str(error) == "no"


@pytest.mark.parametrize("number", SIGNALS)
def test_signal(number: signal.Signals, request: pytest.FixtureRequest) -> None:
    """A signal cancels what is waited for, and is what it ended with, whatever came of that."""
    # Whoever runs the tests may have had it ignored, as nohup does.
    before = signal.signal(number, signal.SIG_DFL)
    request.addfinalizer(partial(signal.signal, number, before))
    cancelled: list[bool] = []

    async def work() -> None:
        reactor.callFromThread(lambda: signal.raise_signal(number))
        try:
            await Deferred()
        except CancelledError:
            cancelled.append(True)
            raise Failed("something else") from None

    reactor = FakeReactor()
    error = outcome(work, reactor)
    assert isinstance(error, Interrupted)
    assert error.number == number
    assert cancelled == [True]


def test_signal_at_the_beginning() -> None:
    """One that comes before the work waits for anything is not lost, and breaks nothing."""

    async def work() -> None:
        signal.raise_signal(signal.SIGINT)
        await Deferred()

    error = outcome(work)
    assert isinstance(error, Interrupted)


def test_signal_at_the_end() -> None:
    """What was done when it came is done."""

    async def work() -> None:
        signal.raise_signal(signal.SIGINT)

    assert outcome(work) is None


def test_second_signal() -> None:
    """The second one ends the process, whatever hangs."""
    found: list[Any] = []

    async def work() -> None:
        signal.raise_signal(signal.SIGTERM)
        found.append(signal.getsignal(signal.SIGTERM))
        await Deferred()

    outcome(work)
    assert found == [signal.SIG_DFL]


@pytest.mark.parametrize("number", SIGNALS)
def test_ignored(number: signal.Signals) -> None:
    """`nohup`, and a script's `&`, have some ignored: they stay so, whatever the reactor does."""
    signal.signal(number, signal.SIG_IGN)

    async def work() -> None:
        signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN

    assert outcome(work) is None


def test_stopped() -> None:
    """A reactor that ends by itself, before the work does, is an interruption too."""

    async def work() -> None:
        await Deferred()

    assert isinstance(outcome(work), Interrupted)
