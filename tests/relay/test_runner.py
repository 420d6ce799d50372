"""A task keeps its stream coming, whatever its source does."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError

from ntvmedia.access import ApplicationType
from ntvmedia.events import (
    AccessChanged,
    ApplicationChanged,
    RelayDown,
)
from ntvmedia.hub.context import StreamState
from ntvmedia.media import StreamKey
from ntvmedia.relay.attempt import CLOSING_SECONDS, FIRST_MEDIA_SECONDS
from tests.relay.rig import AUDIO, KEY, VIDEO, RelayCase, application

SHOWN = "fake://<hidden>@h/s?<hidden>"


class RunnerTests(RelayCase):
    """One source, one stream."""

    def test_up_and_down(self) -> None:
        """Media make the stream; a stop ends it, and each is told once."""
        id_ = self.add()
        self.assertEqual(self.state(id_).state, "connecting")
        self.assertEqual(self.source.last.url, "fake://u:p@h/s?token")
        self.assertEqual(self.source.last.options.hops, ("own",))
        self.assertIsNone(self.stream())
        self.source.last.start()
        self.assertEqual(self.state(id_).state, "running")
        self.assertEqual(self.stream().publication.publisher.peer, SHOWN)
        self.source.last.media(3.0)
        self.assertEqual([x.codec for x in self.stream().tracks], [VIDEO.codec, AUDIO.codec])
        state = self.state(id_)
        self.assertEqual(state.bytes_in, 16_000)
        # 2,000 bytes each half second.
        self.assertAlmostEqual(state.bitrate_kbps, 32, delta=6)
        self.successResultOf(self.relays.stop(id_))
        self.assertEqual(self.ups(), [f"up {SHOWN}", "down stopped by an operator"])
        self.assertEqual(self.state(id_)[:2], ("stopped", "stopped by an operator"))
        self.assertIsNone(self.stream())
        self.finish()

    def test_stall(self) -> None:
        """E-ST-01: a source that falls silent is cut 10 s after its last media, and asked anew."""
        id_ = self.add()
        self.source.last.start()
        self.source.last.media(5.0)
        self.advance(9.5)
        self.assertEqual(self.state(id_).state, "running")
        self.advance(1.0)
        self.assertTrue(self.source.last.is_cancelled)
        state = self.state(id_)
        self.assertEqual(state[:2], ("waiting", "no media for 10 seconds"))
        # Its viewers wait with it.
        self.assertIs(self.stream().state, StreamState.WAITING)
        self.advance(1.5)
        self.assertEqual(len(self.source.pulls), 2)
        self.source.last.start()
        self.assertEqual(self.state(id_).restarts, 1)
        self.assertIs(self.stream().state, StreamState.LIVE)
        self.finish()

    def test_data_is_no_media(self) -> None:
        """E-ST-02: what is no picture and no sound does not feed the watchdog."""
        id_ = self.add(stall_seconds=2.0)
        self.source.last.start()
        for _number in range(5):
            self.advance(0.5)
            self.source.pulls[0].data()
        self.assertTrue(self.source.pulls[0].is_cancelled)
        self.assertEqual(self.state(id_).reason, "no media for 2 seconds")
        self.finish()

    def test_nothing_at_all(self) -> None:
        """E-ST-02: one that never sends media is cut too; it has a while to begin."""
        id_ = self.add(stall_seconds=1.0)
        self.advance(FIRST_MEDIA_SECONDS - 0.5)
        self.source.last.data()
        self.assertEqual(self.state(id_).state, "connecting")
        self.advance(0.5)
        self.assertEqual(self.state(id_).reason, "no media for 20 seconds")
        self.assertEqual(self.ups(), [])
        self.finish()

    def test_longer_stall_than_the_hub_s(self) -> None:
        """A task may be more patient with its source than the hub is with publishers."""
        id_ = self.add(stall_seconds=60.0)
        self.source.last.start()
        self.source.last.media(2.0)
        self.advance(11.0)
        self.assertIsNone(self.stream().publication)
        self.assertEqual(self.state(id_).state, "running")
        self.source.last.media(1.0)
        self.assertIsNotNone(self.stream().publication)
        self.assertEqual(len(self.source.pulls), 1)
        self.assertEqual(self.ups(), [f"up {SHOWN}"])
        self.finish()

    def test_backoff(self) -> None:
        """E-ST-04: 1, 2, 4 to 30 s; the first failure is logged and each tenth; state and time."""
        id_ = self.add()
        waits = []
        for _number in range(11):
            self.source.last.fail("h is down")
            state = self.state(id_)
            self.assertEqual(state[:3], ("waiting", "h is down", False))
            wait = state.next_retry_at - self.relays.log(id_)[0].at - self.reactor.seconds()
            waits.append(wait)
            self.reactor.advance(wait + 0.01)
            self.assertEqual(self.state(id_)[:2], ("connecting", ""))
        for wait, base in zip(waits, [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30], strict=True):
            self.assertGreaterEqual(wait, base * 0.8)
            self.assertLessEqual(wait, base * 1.2)
        told = [line.text for line in self.relays.log(id_) if "h is down" in line.text]
        self.assertEqual(len(told), 2)
        self.assertIn("retrying in 1 s", told[0])
        # After a minute of media it begins anew.
        self.source.last.start()
        self.source.last.media(61.0)
        self.source.last.fail("h is down")
        left = self.state(id_).next_retry_at - self.relays.log(id_)[0].at - self.reactor.seconds()
        self.assertLess(left, 1.3)
        self.finish()

    def test_permanent(self) -> None:
        """E-ST-05: what will not pass is asked once a minute or less; it can be stopped."""
        id_ = self.add()
        self.source.last.fail("refused: 401", is_permanent=True)
        state = self.state(id_)
        self.assertEqual(state[:3], ("waiting", "refused: 401", True))
        self.advance(59.5)
        self.assertEqual(len(self.source.pulls), 1)
        self.advance(13.0)
        self.assertEqual(len(self.source.pulls), 2)
        self.source.last.fail("refused: 401", is_permanent=True)
        self.advance(119.0)
        self.assertEqual(len(self.source.pulls), 2)
        self.successResultOf(self.relays.stop(id_))
        self.assertEqual(self.state(id_).next_retry_at, 0.0)
        self.advance(700.0)
        self.assertEqual(len(self.source.pulls), 2)
        self.finish()

    def test_started_again(self) -> None:
        """Who has mended what was wrong need not wait: to start what waits is to try at once."""
        id_ = self.add()
        self.source.last.fail("refused: 401", is_permanent=True)
        self.relays.start(id_)
        self.assertEqual((self.state(id_).state, len(self.source.pulls)), ("connecting", 2))
        self.relays.start(id_)
        self.assertEqual(len(self.source.pulls), 2)
        self.source.last.start()
        self.relays.start(id_)
        self.assertEqual((self.state(id_).state, len(self.source.pulls)), ("running", 2))
        self.finish()

    def test_no_such_scheme(self) -> None:
        """E-ST-05: a source whose plugin was removed is a permanent error, not a crash."""
        id_ = self.add()
        self.relays.sources._found = {}
        self.source.last.fail()
        self.advance(1.5)
        state = self.state(id_)
        self.assertTrue(state.is_permanent)
        self.assertIn('no source for "fake:"', state.reason)
        self.finish()

    def test_its_publisher_comes_back(self) -> None:
        """What was there a moment ago, and now is not, is not waited for a minute at first."""
        id_ = self.add()
        self.source.last.start()
        self.source.last.media(6.0)
        self.source.last.fail("it was lost")
        self.advance(1.3)
        self.source.last.fail("not found", 404, is_permanent=True)
        self.assertFalse(self.state(id_).is_permanent)
        self.assertEqual(len(self.source.pulls), 2)
        self.advance(2.5)
        self.assertEqual(len(self.source.pulls), 3)
        while not self.state(id_).is_permanent:
            if self.state(id_).state == "connecting":
                self.source.last.fail("not found", 404, is_permanent=True)
            else:
                self.advance(1.0)
        # 1, 2, 4, 8, 16 and 30 seconds: then it is not there.
        self.assertIn(len(self.source.pulls), (6, 7, 8))
        self.finish()

    def test_the_end(self) -> None:
        """What comes to its end is asked anew; without `loop` the task is over, until a start."""
        id_ = self.add()
        self.source.last.start()
        self.source.last.media(6.0)
        self.source.last.end()
        self.assertEqual(self.state(id_)[:2], ("waiting", "the source has ended"))
        self.advance(1.5)
        self.assertEqual(len(self.source.pulls), 2)
        self.successResultOf(self.relays.registry.change(id_, {"loop": False}))
        self.assertEqual(len(self.source.pulls), 3)
        self.source.last.start()
        self.source.last.end()
        self.assertIsNone(self.stream())
        self.assertEqual(self.state(id_)[:2], ("stopped", "the source has ended"))
        self.advance(100.0)
        self.assertEqual(len(self.source.pulls), 3)
        self.relays.start(id_)
        self.assertEqual(len(self.source.pulls), 4)
        self.finish()

    def test_short_ones(self) -> None:
        """E-ST-04: a source that ends as soon as it has begun is asked less and less often."""
        id_ = self.add()
        for base in (1, 2, 4, 8):
            self.source.last.start()
            self.source.last.media(1.0)
            self.source.last.end()
            self.assertEqual(self.state(id_)[:2], ("waiting", "the source has ended"))
            asked = len(self.source.pulls)
            self.reactor.advance(base * 0.8 - 0.1)
            self.assertEqual(len(self.source.pulls), asked)
            self.reactor.advance(base * 0.4 + 0.2)
            self.assertEqual(len(self.source.pulls), asked + 1)
        # One that played for a while has: it may come again at once, as a playlist of films does.
        self.source.last.start()
        self.source.last.media(6.0)
        self.source.last.end()
        asked = len(self.source.pulls)
        self.reactor.advance(1.3)
        self.assertEqual(len(self.source.pulls), asked + 1)
        self.finish()

    def test_stopped_by_who_was_told(self) -> None:
        """Who hears that the source is gone may stop the task: then it is not asked again."""
        id_ = self.add()

        def told(_event: RelayDown) -> None:
            self.relays.stop(id_)

        self.host.events.subscribe(RelayDown, told)
        self.source.last.start()
        self.source.last.fail("h is down")
        self.assertEqual(self.state(id_).state, "stopped")
        self.advance(100.0)
        self.assertEqual((self.state(id_).state, len(self.source.pulls)), ("stopped", 1))
        self.finish()

    def test_timeline(self) -> None:
        """E-ST-07: a source that begins anew, or replays, goes on in time for its viewers."""
        self.add()
        seen: list[int] = []
        self.source.last.start()
        self.source.last.media(4.0)
        sink = Sink(seen)
        self.stream().attach(sink)
        self.source.last.fail()
        self.advance(2.0)
        self.source.last.start()
        self.source.last.media(4.0)
        self.assertGreater(len(seen), 8)
        self.assertEqual(seen, sorted(set(seen)))
        self.finish()

    def test_memory(self) -> None:
        """E-ST-07: what a source keeps is there at its next pull, and for no other source."""
        self.add(fallbacks=["fake://other/s"])
        memories: dict[str, list[Any]] = {}
        for number in range(6):
            pull = self.source.last
            memories.setdefault(pull.url, []).append(dict(pull.options.memory))
            pull.options.memory["pull"] = number
            pull.fail()
            while self.source.last is pull:
                self.advance(0.5)
        first, other = memories.values()
        self.assertEqual(first, [{}, {"pull": 0}, {"pull": 2}])
        self.assertEqual(other, [{}, {"pull": 1}, {"pull": 3}])
        self.finish()

    def test_slow_to_let_go(self) -> None:
        """There are never two pulls of one task: the next waits for the last, but not for ever."""
        self.source.are_slow = True
        id_ = self.add(stall_seconds=1.0)
        first = self.source.last
        first.start()
        self.advance(4.0)
        self.assertTrue(first.is_cancelled)
        self.assertEqual(len(self.source.pulls), 1)
        first.let_go()
        self.assertEqual(len(self.source.pulls), 2)
        second = self.source.last
        second.start()
        self.advance(2.0 + CLOSING_SECONDS + 5.0)
        self.assertEqual(len(self.source.pulls), 3)
        second.let_go()
        third = self.source.last
        stopping = self.relays.stop(id_)
        self.assertNoResult(stopping)
        third.let_go()
        self.successResultOf(stopping)
        self.finish()

    def test_stopped_while_connecting(self) -> None:
        """E-SR-13: a source that hangs, as in a lookup, is cancelled by a stop at once."""
        id_ = self.add()
        self.advance(3.0)
        self.successResultOf(self.relays.stop(id_))
        self.assertTrue(self.source.last.is_cancelled)
        self.assertEqual(self.ups(), [])
        self.finish()

    def test_bug(self) -> None:
        """A bug of a source ends that try alone, and is in the server's log."""
        self.source.error = ZeroDivisionError()
        id_ = self.add()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.state(id_).state, "waiting")
        self.source.error = None
        self.advance(1.5)
        self.source.last._works.errback(KeyError("x"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.advance(3.0)
        self.source.last.start()
        self.assertEqual(self.state(id_).state, "running")
        self.finish()

    def test_cancelled_by_others(self) -> None:
        """A client that stops before the tasks do, with the server, has no bug that is logged."""
        id_ = self.add()
        self.source.last.start()
        self.source.last._works.errback(CancelledError())
        self.assertEqual(self.state(id_)[:2], ("waiting", "it was cancelled"))
        self.finish()

    def test_stopped_while_it_waits(self) -> None:
        """A stream whose task is stopped does not keep its viewers waiting for the next try."""
        id_ = self.add()
        self.source.last.start()
        self.source.last.media(2.0)
        self.source.last.fail()
        self.assertIs(self.stream().state, StreamState.WAITING)
        self.successResultOf(self.relays.stop(id_))
        self.assertIsNone(self.stream())
        self.finish()

    def test_notes(self) -> None:
        """What a source says is in the log of the task, and only what can be printed."""
        id_ = self.add()
        self.source.last.sink.noted("mmsh failed,\ntrying mmst" + "x" * 1000)
        line = self.relays.log(id_)[-1]
        self.assertTrue(line.text.startswith("mmsh failed, trying mmstxx"))
        self.assertLessEqual(len(line.text), 500)
        self.assertIn("mmsh failed", self.state(id_).reason)
        for number in range(200):
            self.source.last.sink.noted(str(number))
        self.assertEqual(len(self.relays.log(id_)), 100)
        self.finish()


class GateTests(RelayCase):
    """A task publishes what may be published."""

    def test_application(self) -> None:
        """Without its application, or while it is disabled, a task waits, and says why."""
        id_ = self.add(target={"application": "other"})
        self.assertEqual(self.state(id_)[:2], ("waiting", 'there is no application "other"'))
        self.assertEqual(self.source.pulls, [])
        self.host.applications["other"] = application("other")
        self._changed("other")
        self.source.last.start()
        self.assertEqual(self.state(id_).state, "running")
        self.host.applications["other"].enabled = False
        self._changed("other")
        self.assertEqual(self.state(id_)[:2], ("waiting", 'application "other" is disabled'))
        self.assertEqual(self.source.open, [])
        self.assertIsNone(self.stream(StreamKey("other", "cam")))
        self.host.applications["other"].enabled = True
        self._changed("other")
        self.assertEqual(self.state(id_).state, "connecting")
        self.finish()

    def _changed(self, name: str) -> None:
        self.host.events.emit(ApplicationChanged(name, name))
        self.reactor.advance(0)

    def test_forbidden_while_connecting(self) -> None:
        """A stream that is forbidden is not asked for any more."""
        id_ = self.add()
        self.host.access.forbidden.add(KEY)
        self.host.events.emit(AccessChanged("forbidden"))
        self.reactor.advance(0)
        self.assertEqual(self.state(id_)[:2], ("waiting", "liveshow/cam is forbidden"))
        self.assertEqual(self.source.open, [])
        self.finish()

    def test_limit(self) -> None:
        """A limit of publishers holds for tasks; it is looked at again."""
        self.host.limit = "the server has its 2 publishers already"
        id_ = self.add()
        self.assertEqual(self.state(id_)[:2], ("waiting", self.host.limit))
        self.host.limit = ""
        self.advance(40.0)
        self.assertEqual(self.state(id_).state, "connecting")
        self.finish()

    def test_refused_for_long(self) -> None:
        """E-ST-04: what is in the way is told once, and each tenth time; anew when it is back."""
        self.host.limit = "the server is full"
        id_ = self.add()

        def told() -> int:
            return sum("the server is full" in line.text for line in self.relays.log(id_))

        self.assertEqual(told(), 1)
        # It is looked at each 30 s.
        self.advance(290.0)
        self.assertEqual(told(), 1)
        self.advance(50.0)
        self.assertEqual(told(), 2)
        self.host.limit = ""
        self.advance(40.0)
        self.source.last.start()
        self.host.limit = "the server is full"
        self.source.last.fail("h is down")
        self.assertEqual(told(), 3)
        self.finish()

    def test_name_taken(self) -> None:
        """An encoder that publishes under the name keeps it; after it the task has its turn."""
        other = Publisher()
        publication = self.host.hub.publish(KEY, other)
        id_ = self.add()
        self.assertEqual(self.state(id_)[:2], ("waiting", "liveshow/cam has another publisher"))
        publication.close("gone", lost=False)
        self.reactor.advance(0)
        self.assertEqual(self.state(id_).state, "connecting")
        self.assertEqual(other.reasons, [])
        self.finish()

    def test_name_taken_while_connecting(self) -> None:
        """Who comes first is first: the pull is given up."""
        id_ = self.add()
        publication = self.host.hub.publish(KEY, Publisher())
        self.source.last.start()
        self.assertEqual(self.state(id_)[:2], ("waiting", "liveshow/cam has another publisher"))
        self.assertEqual(self.source.open, [])
        publication.close("gone", lost=False)
        self.finish()

    def test_closed_by_an_operator(self) -> None:
        """A stream that somebody closes comes back, as a publisher's may (P-404)."""
        id_ = self.add()
        self.source.last.start()
        self.stream().end("closed by an operator")
        self.assertEqual(self.ups()[-1], "down closed by an operator")
        self.assertEqual(self.state(id_)[:2], ("waiting", "closed by an operator"))
        self.advance(1.5)
        self.source.last.start()
        self.assertEqual(self.state(id_).state, "running")
        self.finish()

    def test_audio_only(self) -> None:
        """P-207: of a stream in such an application only the sound is kept."""
        self.host.applications["audio"] = application("audio", type=ApplicationType.AUDIO)
        self.add(target={"application": "audio"})
        self.source.last.start()
        self.source.last.media(2.0)
        tracks = self.stream(StreamKey("audio", "cam")).tracks
        self.assertEqual([x.codec for x in tracks], [AUDIO.codec])
        self.finish()


class Publisher:
    """An encoder."""

    protocol = "rtmp"
    peer = "192.0.2.1:1"

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.noted = self.dismissed

    def dismissed(self, reason: str) -> None:
        """Note it."""
        self.reasons.append(reason)


class Sink:
    """Keeps the times of pictures."""

    def __init__(self, seen: list[int]) -> None:
        self._seen = seen

    def start(self, tracks: Any, metadata: Any, backlog: Any) -> None:
        """Begin."""
        for packet in backlog:
            self.packet(packet)

    def packet(self, packet: Any) -> None:
        """Keep it."""
        if packet.track.kind == "video":
            self._seen.append(packet.dts)

    def __getattr__(self, name: str) -> Any:
        return lambda *_args: None
