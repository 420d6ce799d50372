"""Several sources for one stream: the first that works, and back to the best."""

from __future__ import annotations

import gc

from ntvmedia.events import RelayDown
from ntvmedia.hub.context import StreamState
from ntvmedia.relay.attempt import Attempt
from ntvmedia.relay.failover import Order
from tests.relay.rig import RelayCase
from tests.relay.test_runner import Sink


def test_order() -> None:
    """Each source has its turn once in a round, the best first."""
    order = Order(3)
    seen = [(order.next(), order.is_permanent)]
    for index, is_permanent in ((1, True), (0, True), (2, False)):
        order.failed(index, is_permanent=is_permanent)
        seen.append((order.next(), order.is_permanent))
    order.begin()
    seen.append((order.next(), order.is_permanent))
    assert seen == [(0, False), (0, True), (2, True), (None, False), (0, False)]
    # One that may pass is enough, whichever it was.
    order.failed(0, is_permanent=False)
    order.failed(1, is_permanent=True, is_absent=True)
    assert (order.is_permanent, order.is_absent) == (False, False)


class FailoverTests(RelayCase):
    """A task with fallbacks."""

    def urls(self) -> list[str]:
        """Return what was asked, in order."""
        return [pull.url.rpartition("/")[2] for pull in self.source.pulls]

    def test_first_that_works(self) -> None:
        """Sources are tried in order, at once; when all have failed there is a wait."""
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b", "fake://h/c"])
        self.source.last.fail("a is down")
        self.source.last.fail("b is down", is_permanent=True)
        self.assertEqual(self.urls(), ["a", "b", "c"])
        self.assertEqual(self.state(id_).source, 2)
        self.source.last.fail("c is down")
        self.assertEqual(self.state(id_)[:3], ("waiting", "c is down", False))
        self.advance(1.5)
        self.assertEqual(self.urls(), ["a", "b", "c", "a"])
        self.finish()

    def test_all_permanent(self) -> None:
        """E-ST-05: only where none will work, they are asked seldom."""
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b"])
        for _number in range(2):
            self.source.last.fail("refused: 401", is_permanent=True)
        self.assertTrue(self.state(id_).is_permanent)
        self.advance(59.0)
        self.assertEqual(self.urls(), ["a", "b"])
        self.finish()

    def test_all_absent(self) -> None:
        """What is only not there may come at any time: it is asked for every minute."""
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b"])
        for rounds in range(1, 5):
            self.source.last.fail("not found", 404, is_permanent=True)
            self.source.last.fail("gone", 410, is_permanent=True)
            self.assertEqual(self.urls(), ["a", "b"] * rounds)
            self.assertTrue(self.state(id_).is_permanent)
            self.advance(59.9)
            self.assertEqual(self.urls(), ["a", "b"] * rounds)
            self.advance(12.1)
        self.source.last.fail("not found", 404, is_permanent=True)
        self.source.last.fail("refused", 401, is_permanent=True)
        self.advance(73.0)
        self.assertEqual(self.urls(), ["a", "b"] * 5)
        self.finish()

    def test_viewers_stay(self) -> None:
        """A source that is lost is followed by the next within the grace, on one timeline."""
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b"])
        self.source.last.start()
        self.source.last.media(3.0)
        seen: list[int] = []
        self.stream().attach(Sink(seen))
        self.source.last.fail("a is down")
        self.assertIs(self.stream().state, StreamState.WAITING)
        self.assertEqual(self.urls(), ["a", "b"])
        self.source.last.start()
        self.source.last.media(3.0)
        self.assertGreater(len(seen), 8)
        self.assertEqual(seen, sorted(set(seen)))
        self.assertEqual(self.state(id_).source, 1)
        self.assertEqual(self.ups(), ["up fake://h/a", "down a is down", "up fake://h/b"])
        self.finish()

    def test_back_to_the_first(self) -> None:
        """The first is pulled beside the other until it has worked for long, then it takes over.

        At a keyframe, within one moment, and viewers see one timeline.
        """
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b"], recover_seconds=5.0)
        self.source.last.fail("a is down")
        other = self.source.last
        other.start()
        other.media(1.0)
        seen: list[int] = []
        self.stream().attach(Sink(seen))
        other.media(1.0)
        self.assertEqual(self.urls(), ["a", "b", "a"])
        first = self.source.last
        first.start()
        session = self.stream().publication.session
        for _number in range(16):
            first.media(is_keyframe=False)
            other.media()
            self.advance(0.5)
        # Long enough, and no keyframe yet.
        self.assertEqual(self.state(id_).source, 1)
        self.assertEqual(self.stream().publication.session, session)
        self.assertEqual(len(self.source.open), 2)
        first.media()
        self.assertEqual(self.state(id_).source, 0)
        self.assertEqual(self.state(id_).state, "running")
        self.assertEqual(self.source.open, [first])
        self.assertIsNotNone(self.stream().publication)
        before = len(seen)
        first.media(3.0)
        # Those who watch go on: it is the same stream.
        self.assertGreater(len(seen), before + 4)
        self.assertEqual(seen, sorted(set(seen)))
        self.assertEqual(
            self.ups(),
            ["up fake://h/b", "down the first source is back", "up fake://h/a"],
        )
        self.finish()

    def test_not_healthy_yet(self) -> None:
        """A first source that fails again is asked less and less often, and never taken."""
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b"], recover_seconds=5.0)
        self.source.last.fail("a is down")
        other = self.source.last
        other.start()
        for _number in range(4):
            while self.source.last is other or not self.source.last.is_open:
                other.media(0.5)
            self.source.last.start()
            for _half in range(4):
                other.media(0.5)
                self.source.last.media()
            self.source.last.fail("a is down")
        self.assertEqual(self.state(id_).source, 1)
        self.assertEqual(self.ups(), ["up fake://h/b"])
        before = len(self.source.pulls)
        other.media(10.0)
        self.assertEqual(len(self.source.pulls), before)
        self.finish()

    def test_taken_in_need(self) -> None:
        """The other fails while the first is looked at: what is there is better than nothing."""
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b"], recover_seconds=50.0)
        self.source.last.fail("a is down")
        other = self.source.last
        other.start()
        other.media(2.0)
        first = self.source.last
        self.assertIsNot(first, other)
        first.start()
        other.fail("b is down")
        first.media(1.0)
        self.assertEqual(self.state(id_)[:1], ("running",))
        self.assertEqual(self.state(id_).source, 0)
        self.assertEqual(self.source.open, [first])
        self.finish()

    def test_nothing_beside_nothing(self) -> None:
        """The other fails, and the first has sent nothing yet: both are given up, for a wait."""
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b"])
        self.source.last.fail("a is down")
        other = self.source.last
        other.start()
        other.media(2.0)
        self.assertEqual(len(self.source.open), 2)
        other.fail("b is down")
        self.assertEqual(self.source.open, [])
        self.assertEqual(self.state(id_)[:2], ("waiting", "b is down"))
        self.advance(1.5)
        self.assertEqual([pull.url for pull in self.source.open], ["fake://h/a"])
        self.finish()

    def test_flapping(self) -> None:
        """Two sources that work for a moment only are not asked in a circle without a wait."""
        self.add("fake://h/a", fallbacks=["fake://h/b"])
        for _number in range(40):
            if self.source.open:
                self.source.last.start()
                self.source.last.fail("gone")
            self.advance(0.5)
        # 20 s: rounds after 1, 2, 4, 8 s.
        self.assertLessEqual(len(self.source.pulls), 10)
        self.finish()

    def test_nothing_is_kept_of_failures(self) -> None:
        """While a fallback is in use, all that failed beside it is forgotten."""
        self.add("fake://h/a", fallbacks=["fake://h/b"])
        self.source.last.fail()
        fallback = self.source.last
        fallback.start()
        for _number in range(20):
            while self.source.last is fallback:
                fallback.media(5.0)
            self.source.pulls.pop().fail("a is down still")
        gc.collect()
        self.assertEqual(sum(isinstance(x, Attempt) for x in gc.get_objects()), 1)
        self.finish()

    def test_stopped_during_recovery(self) -> None:
        """A stop ends both pulls."""
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b"])
        self.source.last.fail("a is down")
        self.source.last.start()
        self.source.last.media(2.0)
        self.assertEqual(len(self.source.open), 2)
        self.successResultOf(self.relays.stop(id_))
        self.assertEqual(self.source.open, [])
        self.finish()

    def test_after_long(self) -> None:
        """A source that has worked for long and is lost begins a new round: the first is asked."""
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b"])
        self.source.last.fail("a refuses", is_permanent=True)
        other = self.source.last
        other.start()
        other.media(50.0)
        self.assertEqual(self.urls(), ["a", "b"])
        other.media(11.0)
        if self.source.last is not other:
            self.source.last.fail("a refuses", is_permanent=True)
        asked = len(self.source.pulls)
        other.fail("b is down")
        self.assertEqual(self.urls()[asked:], ["a"])
        self.assertEqual(self.state(id_).state, "connecting")
        self.finish()

    def test_refused_during_recovery(self) -> None:
        """Where nothing may be published any more, nothing is looked at either."""
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b"])
        self.source.last.fail("a is down")
        other = self.source.last
        other.start()
        other.media(2.0)
        self.assertEqual(len(self.source.open), 2)
        # Nobody is told, as of a limit that was reached meanwhile.
        self.host.applications["liveshow"].enabled = False
        other.fail("b is down")
        self.assertEqual(self.source.open, [])
        self.assertEqual(self.state(id_)[:2], ("waiting", 'application "liveshow" is disabled'))
        self.finish()

    def test_stopped_by_who_was_told(self) -> None:
        """Who hears that a source is gone may stop the task: nothing is taken or asked then."""
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b"], recover_seconds=50.0)

        def told(_event: RelayDown) -> None:
            self.relays.stop(id_)

        self.host.events.subscribe(RelayDown, told)
        self.source.last.fail("a is down")
        other = self.source.last
        other.start()
        other.media(2.0)
        first = self.source.last
        self.assertIsNot(first, other)
        first.start()
        other.fail("b is down")
        self.assertEqual(self.state(id_).state, "stopped")
        self.assertEqual(self.source.open, [])
        self.assertIsNone(self.stream())
        self.advance(100.0)
        self.assertEqual(len(self.source.pulls), 3)
        self.finish()

    def test_stopped_at_the_take_over(self) -> None:
        """Likewise where the first source is back and takes over."""
        id_ = self.add("fake://h/a", fallbacks=["fake://h/b"], recover_seconds=2.0)

        def told(_event: RelayDown) -> None:
            self.relays.stop(id_)

        self.host.events.subscribe(RelayDown, told)
        self.source.last.fail("a is down")
        other = self.source.last
        other.start()
        other.media(2.0)
        first = self.source.last
        first.start()
        for _number in range(10):
            if first.is_open:
                first.media()
            if other.is_open:
                other.media()
            self.advance(0.5)
        self.assertEqual(self.state(id_).state, "stopped")
        self.assertEqual(self.ups(), ["up fake://h/b", "down the first source is back"])
        self.assertEqual(self.source.open, [])
        self.assertIsNone(self.stream())
        self.finish()
