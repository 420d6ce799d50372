"""Tests of ntvmedia.hub.lag and clockwork: G-RS-13, a reactor that comes late, or not at all."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.base import ReactorBase
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.hub import clockwork
from ntvmedia.hub.clockwork import TICK_SECONDS, HubService
from ntvmedia.hub.lag import BLOCKED_SECONDS, MAX_FRAMES, ReactorBlocked, Watchdog
from tests.hub.cases import HubCase


def observe(case: SynchronousTestCase, observer: Any) -> None:
    """Let an observer see the log during a test."""
    globalLogPublisher.addObserver(observer)
    case.addCleanup(globalLogPublisher.removeObserver, observer)


class StillReactor(ReactorBase):
    """A real reactor without a socket."""

    def installWaker(self) -> None:
        """There is nothing to wake."""


class LagTests(HubCase):
    """How late the clockwork comes."""

    def setUp(self) -> None:
        super().setUp()
        self.warnings: list[float] = []
        observe(self, self.logged)
        self.service = HubService(self.reactor, self.hub)
        self.service.startService()

    def logged(self, event: LogEvent) -> None:
        """Note the warnings of the lag."""
        if event["log_level"] is LogLevel.warn and event["log_namespace"] == "ntvmedia.hub.lag":
            self.warnings.append(round(event["seconds"], 3))

    def test_in_time(self) -> None:
        """A reactor that comes in time has no lag."""
        self.reactor.pump([TICK_SECONDS] * 10)
        self.assertEqual((self.hub.lag.seconds, self.hub.lag.largest), (0.0, 0.0))
        self.service.stopService()
        self.end()

    def test_late(self) -> None:
        """The last and the largest; the next second is counted from when it came."""
        self.reactor.advance(TICK_SECONDS + 0.4)
        self.reactor.advance(TICK_SECONDS + 0.125)
        self.assertAlmostEqual(self.hub.lag.seconds, 0.125)
        self.assertAlmostEqual(self.hub.lag.largest, 0.4)
        self.assertEqual(self.warnings, [])

    def test_warnings(self) -> None:
        """Above half a second there is a line in the log, one in ten seconds."""
        for late in (0.5, 0.75, 3.0, 3.0, 0.1, 0.625, 0.875):
            self.reactor.advance(TICK_SECONDS + late)
        self.assertEqual(self.warnings, [0.75, 0.625])

    def test_bug(self) -> None:
        """The clockwork goes on after a bug of the hub, and stops with the service."""

        def broken() -> None:
            raise ZeroDivisionError

        self.patch(self.hub, "tick", broken)
        self.reactor.pump([TICK_SECONDS] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.service.stopService()
        self.service.stopService()
        self.end()

    def test_stopped_by_its_own_tick(self) -> None:
        """A tick that stops the service is the last."""
        self.patch(self.hub, "tick", self.service.stopService)
        self.reactor.advance(TICK_SECONDS)
        self.end()

    def test_watched(self) -> None:
        """A real reactor is watched from the start to the end, and each second is a beat."""
        calls: list[str] = []
        self.now = 0.0

        class Noted:
            def __init__(self, clock: Any) -> None:
                assert clock is reactor.seconds

            def __getattr__(self, name: str) -> Any:
                return lambda: calls.append(name)

        reactor = StillReactor()
        reactor.seconds = lambda: self.now
        self.patch(clockwork, "Watchdog", Noted)
        service = HubService(reactor, self.hub)
        service.startService()
        self.now = 1.5
        reactor.runUntilCurrent()
        self.assertEqual(self.hub.lag.seconds, 0.5)
        service.stopService()
        self.assertEqual(calls, ["start", "beat", "stop"])


class WatchdogTests(SynchronousTestCase):
    """Where the reactor is when it does not come round."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.watchdog = Watchdog(self.clock.seconds)
        self.watchdog.watch()

    def stacks(self) -> list[str]:
        """What was logged."""
        return [x.getTraceback() for x in self.flushLoggedErrors(ReactorBlocked)]

    def test_beats(self) -> None:
        """With each beat it sleeps on until there could be something to say."""
        self.assertEqual(self.watchdog.look(), BLOCKED_SECONDS)
        self.clock.advance(4.0)
        self.assertEqual(self.watchdog.look(), BLOCKED_SECONDS - 4.0)
        self.watchdog.beat()
        self.clock.advance(3.0)
        self.assertEqual(self.watchdog.look(), BLOCKED_SECONDS - 3.0)
        self.assertEqual(self.stacks(), [])

    def test_blocked(self) -> None:
        """The stack is logged once, and once again the next time."""
        for _time in range(2):
            self.clock.advance(BLOCKED_SECONDS)
            for _look in range(3):
                self.assertEqual(self.watchdog.look(), BLOCKED_SECONDS)
            (stack,) = self.stacks()
            self.assertIn("in test_blocked", stack)
            self.assertIn("nothing for 5.0 s", stack)
            self.watchdog.beat()

    def test_deep(self) -> None:
        """Of an endless recursion the innermost frames are shown."""

        def deeper(left: int) -> None:
            if left:
                deeper(left - 1)
            else:
                self.watchdog.look()

        self.clock.advance(BLOCKED_SECONDS)
        deeper(200)
        (stack,) = self.stacks()
        self.assertLessEqual(stack.count("deeper(left - 1)"), MAX_FRAMES)
        self.assertIn("in look", stack)

    def test_thread_is_gone(self) -> None:
        """A thread that has ended has no stack; that it is silent is said all the same."""
        thread = threading.Thread(target=self.watchdog.watch)
        thread.start()
        thread.join()
        self.clock.advance(BLOCKED_SECONDS)
        self.watchdog.look()
        self.assertEqual(len(self.stacks()), 1)

    def test_thread(self) -> None:
        """It runs in a thread that keeps nothing alive, and ends when it is stopped."""
        logged = threading.Event()

        def see(event: LogEvent) -> None:
            if event["log_namespace"] == "ntvmedia.hub.lag":
                logged.set()

        observe(self, see)
        before = set(threading.enumerate())
        self.watchdog = Watchdog(self.clock.seconds, 0.01)
        self.watchdog.stop()
        self.watchdog.start()
        self.addCleanup(self.watchdog.stop)
        (thread,) = set(threading.enumerate()) - before
        self.assertTrue(thread.daemon)
        self.clock.advance(0.02)
        self.assertTrue(logged.wait(10.0))
        self.watchdog.stop()
        thread.join(10.0)
        self.assertFalse(thread.is_alive())
        (stack,) = self.stacks()
        self.assertIn("in test_thread", stack)
