"""Tasks that pull only while somebody watches."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.media import StreamKey
from ntvmedia.relay import on_demand
from tests.relay.rig import KEY, RelayCase

INFO = ViewerInfo("flv", "192.0.2.9:9")


class OnDemandCase(RelayCase):
    """Tasks on demand, and viewers."""

    def wait_for(self, key: StreamKey = KEY) -> Deferred[Any]:
        """Ask for a stream as a player does."""
        waiter = self.host.hub.wait_for(key)
        waiter.addErrback(lambda failure: failure.trap(NotFound, CancelledError))
        return waiter

    def watch(self, key: StreamKey = KEY) -> Any:
        """Watch a stream that is there."""
        return self.stream(key).visit(INFO, lambda _reason: None)


class OneStreamTests(OnDemandCase):
    """A task with one stream."""

    def test_pulled_while_watched(self) -> None:
        """E-SR-10: the first viewer starts one pull, 500 more none; it ends after the last."""
        id_ = self.add(on_demand=True)
        self.assertEqual(self.state(id_).state, "idle")
        self.assertEqual(self.source.pulls, [])
        waiters = [self.wait_for() for _number in range(500)]
        self.assertEqual(len(self.source.pulls), 1)
        self.advance(9.0)
        self.assertNoResult(waiters[0])
        self.source.last.start()
        for waiter in waiters:
            self.assertIs(self.successResultOf(waiter), self.stream())
        viewer = self.watch()
        self.source.last.media(30.0)
        viewer.leave("gone")
        self.source.last.media(10.0)
        self.assertEqual(len(self.source.open), 1)
        self.source.last.media(12.0)
        self.assertEqual(self.source.open, [])
        self.assertEqual(self.state(id_).state, "idle")
        self.assertEqual(self.ups()[-1], "down nobody watches")
        self.assertIsNone(self.stream())
        self.finish()

    def test_too_late(self) -> None:
        """E-SR-10: a source that takes too long has its viewers told so, and is left alone."""
        id_ = self.add(on_demand=True)
        waiter = self.wait_for()
        self.advance(15.5)
        self.assertIs(self.successResultOf(waiter), NotFound)
        self.advance(3.0)
        self.assertEqual(self.source.open, [])
        self.assertEqual(self.state(id_).state, "idle")
        self.finish()

    def test_leaves_while_opening(self) -> None:
        """E-SR-10: no pull is left behind by a viewer who has gone before there was a stream."""
        self.add(on_demand=True)
        waiter = self.host.hub.wait_for(KEY)
        waiter.addErrback(lambda _failure: None)
        waiter.cancel()
        self.advance(1.0)
        self.assertEqual(len(self.source.open), 1)
        self.advance(2.5)
        self.assertEqual(self.source.open, [])
        self.finish()

    def test_flaps_while_viewers_wait(self) -> None:
        """E-SR-11: the source is tried again for as long as somebody waits."""
        self.add(on_demand=True)
        waiter = self.wait_for()
        for _number in range(3):
            self.source.last.fail("down")
            self.advance(4.5)
        self.assertNoResult(waiter)
        self.assertEqual(len(self.source.pulls), 4)
        # Who comes later waits for his own time.
        late = self.wait_for()
        self.advance(8.0)
        self.source.last.start()
        self.successResultOf(late)
        self.assertEqual(self.host.hub.waiting, 0)
        self.finish()

    def test_hops(self) -> None:
        """E-ST-08: who wants it by way of this server is told to the source."""
        self.add(on_demand=True)
        waiter = self.host.hub.wait_for(KEY, ("far", "near"))
        waiter.addErrback(lambda failure: failure.trap(NotFound))
        self.assertEqual(self.source.last.options.hops, ("far", "near", "own"))
        self.finish()

    def test_wanted_before_it_was_made(self) -> None:
        """A task that is made or started while somebody waits begins at once."""
        waiter = self.wait_for()
        id_ = self.add(on_demand=True, enabled=False)
        self.assertEqual(self.source.pulls, [])
        self.relays.start(id_)
        self.source.last.start()
        self.successResultOf(waiter)
        self.successResultOf(self.relays.stop(id_))
        self.wait_for()
        self.assertEqual(self.source.open, [])
        self.finish()

    def test_any_of_its_streams(self) -> None:
        """A task with several streams is wanted for each of them."""
        self.add(on_demand=True, renditions=[{"stream": "small"}])
        small = StreamKey("liveshow", "small")
        waiter = self.wait_for(small)
        self.source.last.start()
        self.successResultOf(waiter)
        viewer = self.watch(small)
        self.source.last.media(45.0)
        self.assertEqual(len(self.source.open), 1)
        viewer.leave("gone")
        self.source.last.media(25.0)
        self.assertEqual(self.source.open, [])
        self.finish()

    def test_end_of_a_file(self) -> None:
        """What has ended for good begins anew for the next viewer."""
        id_ = self.add(on_demand=True, loop=False)
        self.wait_for()
        self.source.last.start()
        self.source.last.end()
        self.advance(1.5)
        self.assertEqual(self.state(id_).state, "idle")
        self.wait_for()
        self.assertEqual(len(self.source.open), 1)
        self.finish()


class PatternTests(OnDemandCase):
    """A task for many names."""

    def add_pattern(self, **fields: Any) -> str:
        """Make one."""
        return self.add("fake://nvr/$1?x", on_demand=True, target={"stream": "cams-*"}, **fields)

    def key(self, name: str) -> StreamKey:
        """Return the name of a stream."""
        return StreamKey("liveshow", f"cams-{name}")

    def test_names(self) -> None:
        """Each name has a pull of its own, with what stands for the star put in, encoded."""
        id_ = self.add_pattern()
        for name in ("one", "zwölf"):
            self.wait_for(self.key(name))
        self.wait_for(StreamKey("liveshow", "other"))
        self.assertEqual(
            [pull.url for pull in self.source.pulls],
            ["fake://nvr/one?x", "fake://nvr/zw%C3%B6lf?x"],
        )
        for pull in self.source.pulls:
            pull.start()
        state = self.state(id_)
        self.assertEqual(state.state, "running")
        self.assertEqual(sorted(state.instances), ["cams-one", "cams-zwölf"])
        self.assertEqual(state.bytes_in, 4000)
        self.source.pulls[0].media(22.0)
        self.assertEqual(self.source.open, [])
        self.assertEqual(self.state(id_).state, "idle")
        self.finish()

    def test_who_is_meant(self) -> None:
        """Of several streams the log says which, and so does the reason of the task."""
        id_ = self.add_pattern()
        for name in ("one", "two"):
            self.wait_for(self.key(name))
            self.source.last.fail("gone")
        lines = [line.text for line in self.relays.log(id_)]
        self.assertEqual(lines[0], "started")
        self.assertTrue(lines[1].startswith("cams-one: gone; retrying in"), lines)
        self.assertTrue(lines[2].startswith("cams-two: gone; retrying in"), lines)
        self.assertEqual(self.state(id_).reason, "cams-one: gone")
        self.assertEqual(self.state(id_).instances["cams-two"].reason, "gone")
        self.finish()

    def test_no_dots(self) -> None:
        """F-PA-01: what stands for the star begins with no dot, whatever the source makes of it."""
        self.add_pattern()
        for name in ("..", ".x"):
            self.wait_for(self.key(name))
        self.wait_for(StreamKey("liveshow", "cams-"))
        self.assertEqual(self.source.pulls, [])
        self.finish()

    def test_the_nearest_pattern(self) -> None:
        """A task that names a stream has it; else the longest pattern."""
        self.add_pattern()
        self.add("fake://nvr/special/$1", on_demand=True, target={"stream": "cams-door*"})
        self.add("fake://nvr/exact", on_demand=True, target={"stream": "cams-door1"})
        for name in ("door1", "door2", "yard"):
            self.wait_for(self.key(name))
        self.assertEqual(
            [pull.url for pull in self.source.pulls],
            ["fake://nvr/exact", "fake://nvr/special/2", "fake://nvr/yard?x"],
        )
        self.finish()

    def test_most_at_a_time(self) -> None:
        """More streams than may be pulled have to wait for room, and are not forgotten."""
        self.make(max_on_demand=2)
        self.add_pattern()
        for name in ("one", "two", "three"):
            self.wait_for(self.key(name))
        self.assertEqual(len(self.source.open), 2)
        one = self.source.pulls[0]
        self.assertEqual(self.relays.demand.count, 2)
        for pull in self.source.pulls:
            pull.start()
        three = self.wait_for(self.key("three"))
        one.media(14.0)
        self.wait_for(self.key("three"))
        for _number in range(16):
            self.source.pulls[1].media()
            self.advance(0.5)
        self.assertEqual([pull.url for pull in self.source.open], ["fake://nvr/three?x"])
        self.assertIs(self.successResultOf(three), NotFound)
        self.finish()

    def test_few_at_once(self) -> None:
        """When there is room for many that had to wait, they do not all begin in one turn."""
        self.make(max_on_demand=50)
        self.add_pattern()
        for number in range(50):
            self.wait_for(self.key(f"first{number}"))
        for number in range(50):
            self.relays.demand.hold(self.key(f"then{number}"))
        counts = []
        while len(self.source.pulls) < 100:
            counts.append(len(self.source.pulls))
            self.advance(1.0)
        self.assertEqual(sorted(set(counts)), [50, 70, 90])
        self.assertEqual(len(self.source.open), 50)
        self.finish()

    def test_failed_names(self) -> None:
        """A name that does not exist is not asked for at once, however often somebody tries."""
        self.add_pattern()
        self.wait_for(self.key("none"))
        self.source.last.fail("404", is_permanent=True)
        for _number in range(30):
            self.wait_for(self.key("none"))
            self.advance(1.5)
        self.assertEqual(len(self.source.pulls), 1)
        self.finish()

    def try_in_vain(self, name: str) -> None:
        """Have a viewer ask for a name that is not there, and leave."""
        waiter = self.wait_for(self.key(name))
        self.source.last.fail("401", 401, is_permanent=True)
        waiter.cancel()
        self.advance(3.0)
        self.assertEqual(self.relays.demand.count, 0)

    def test_failed_names_are_kept(self) -> None:
        """Nor when everybody has left meanwhile: waits go on to grow, until the task is changed."""
        id_ = self.add_pattern()
        self.try_in_vain("none")
        waiter = self.wait_for(self.key("none"))
        self.advance(1.0)
        self.assertEqual(len(self.source.pulls), 1)
        waiter.cancel()
        self.advance(75.0)
        self.try_in_vain("none")
        self.assertEqual(len(self.source.pulls), 2)
        self.advance(75.0)
        # It was the second failure in a row: two minutes.
        self.wait_for(self.key("none")).addErrback(lambda _failure: None)
        self.advance(10.0)
        self.assertEqual(len(self.source.pulls), 2)
        # Who has mended the task need not wait.
        self.successResultOf(self.relays.registry.change(id_, {"stall_seconds": 11.0}))
        self.wait_for(self.key("none"))
        self.assertEqual(len(self.source.pulls), 3)
        self.finish()

    def test_most_failed_names(self) -> None:
        """Names that somebody makes up fill no memory: the oldest are forgotten."""
        self.patch(on_demand, "MAX_FAILED_NAMES", 3)
        self.add_pattern()
        for number in range(6):
            self.try_in_vain(f"x{number}")
        self.assertEqual(len(self.source.pulls), 6)
        for number in range(6):
            self.wait_for(self.key(f"x{number}"))
        asked = [pull.url for pull in self.source.pulls[6:]]
        self.assertEqual(asked, [f"fake://nvr/x{number}?x" for number in range(3)])
        self.finish()

    def test_hops_of_who_has_to_wait(self) -> None:
        """E-ST-08: who wants it is told to the source also where there was no room at first."""
        self.make(max_on_demand=1)
        self.add_pattern()
        one = self.wait_for(self.key("one"))
        two = self.host.hub.wait_for(self.key("two"), ("far", "near"))
        two.addErrback(lambda failure: failure.trap(NotFound))
        self.assertEqual(len(self.source.pulls), 1)
        one.cancel()
        self.advance(4.0)
        self.assertEqual(self.source.last.url, "fake://nvr/two?x")
        self.assertEqual(self.source.last.options.hops, ("far", "near", "own"))
        self.finish()
