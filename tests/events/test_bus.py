"""Tests of ntvmedia.events.bus."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.events import Event, EventBus, StreamIdle, StreamWanted
from ntvmedia.media import StreamKey

KEY = StreamKey("liveshow", "test")


class EventBusTests(SynchronousTestCase):
    """Who is told what."""

    def setUp(self) -> None:
        self.bus = EventBus()
        self.seen: list[object] = []

    def test_class(self) -> None:
        """Subscribers get the events of exactly their class, in the order of subscription."""
        self.bus.subscribe(StreamIdle, lambda event: self.seen.append(("first", event)))
        self.bus.subscribe(StreamIdle, lambda event: self.seen.append(("second", event)))
        self.bus.subscribe(Event, self.seen.append)
        self.bus.emit(StreamWanted(KEY))
        self.assertEqual(self.seen, [])
        self.bus.emit(StreamIdle(KEY))
        self.assertEqual(self.seen, [("first", StreamIdle(KEY)), ("second", StreamIdle(KEY))])

    def test_one_subscription_of_two(self) -> None:
        """Ending one subscription, even twice, leaves another of the same function."""
        end = self.bus.subscribe(StreamIdle, self.seen.append)
        self.bus.subscribe(StreamIdle, self.seen.append)
        end()
        end()
        self.bus.emit(StreamIdle(KEY))
        self.assertEqual(len(self.seen), 1)

    def test_ended_meanwhile(self) -> None:
        """One that another ends while an event is told is not called any more."""
        ends: list[Callable[[], None]] = []
        self.bus.subscribe(StreamIdle, lambda _event: ends[0]())
        ends.append(self.bus.subscribe(StreamIdle, self.seen.append))
        self.bus.emit(StreamIdle(KEY))
        self.assertEqual(self.seen, [])

    def test_subscribed_meanwhile(self) -> None:
        """One that begins while an event is told gets the next."""

        def again(_event: StreamIdle) -> None:
            self.bus.subscribe(StreamIdle, self.seen.append)

        self.bus.subscribe(StreamIdle, again)
        self.bus.emit(StreamIdle(KEY))
        self.assertEqual(self.seen, [])
        self.bus.emit(StreamIdle(KEY))
        self.assertEqual(len(self.seen), 1)

    def test_bug(self) -> None:
        """One that raises is logged, the others are told, and it is called again next time."""

        def broken(_event: StreamIdle) -> None:
            raise ZeroDivisionError

        self.bus.subscribe(StreamIdle, broken)
        self.bus.subscribe(StreamIdle, self.seen.append)
        self.bus.emit(StreamIdle(KEY))
        self.bus.emit(StreamIdle(KEY))
        self.assertEqual(len(self.seen), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
