"""One stream to one server: what it is given, when it is asked again, and who never notices."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from ntvmedia.errors import RemoteError
from ntvmedia.events import StreamOver, StreamReady
from ntvmedia.media import Packet, StreamKey, Track
from ntvmedia.media.relaying import MAX_HOPS, PushOptions
from ntvmedia.relay.backoff import LONGEST_PERMANENT_SECONDS
from ntvmedia.relay.push import GOODBYE_SECONDS, Pusher, Surroundings
from tests.hub.cases import KEY, VIDEO_2, HubCase
from tests.hub.fakes import AUDIO, VIDEO, audio, video

OTHER = StreamKey("liveshow", "other")
URL = "fake://user:secret@host/app/key?token=secret"


class Feed:
    """What a server takes."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.tracks: list[Track] = []
        self.packets: list[Packet] = []
        self.metadata: list[Any] = []
        self.bytes_out = 0
        self.dropped = 0
        self.ended = False
        self.error: Exception | None = None

    def track_received(self, track: Track) -> None:
        """Take a track."""
        assert not self.ended
        self.tracks.append(track)

    def metadata_received(self, fields: Any) -> None:
        """Take it."""
        self.metadata.append(dict(fields))

    def packet_received(self, packet: Packet) -> None:
        """Take a packet."""
        assert not self.ended
        if self.error is not None:
            raise self.error
        assert packet.track in self.tracks
        self.packets.append(packet)
        self.bytes_out += len(packet.payload)

    def batch_ended(self) -> None:
        """Nothing waits."""

    def end(self) -> None:
        """Say goodbye."""
        self.ended = True
        if self.target.is_polite:
            self.target.pushes[-1].callback(None)


class Target:
    """A server that takes streams."""

    schemes = ("fake",)
    is_polite = True

    def __init__(self) -> None:
        self.pushes: list[Deferred[None]] = []
        self.options: list[PushOptions] = []
        self.started: list[Any] = []
        self.cancelled = 0
        self.problem: Exception | None = None
        self.refusal = ""

    def check(self, url: str) -> None:
        """Take all addresses."""
        assert url == URL
        if self.refusal:
            raise RemoteError(self.refusal, is_permanent=True)

    def push(
        self, host: Any, url: str, tracks: Any, metadata: Any, options: PushOptions, started: Any
    ) -> Deferred[None]:
        """Begin."""
        if self.problem is not None:
            raise self.problem
        assert all(x.called for x in self.pushes), "two pushes at a time"
        pushing: Deferred[None] = Deferred(self.cancel)
        self.pushes.append(pushing)
        self.options.append(options)
        self.started.append(started)
        return pushing

    def cancel(self, _deferred: Any) -> None:
        """Note it."""
        self.cancelled += 1

    def accept(self) -> Feed:
        """Be ready for packets."""
        feed = Feed(self)
        self.started[-1](feed)
        return feed

    def fail(self, message: str = "connection refused", *, is_permanent: bool = False) -> None:
        """Break."""
        error = RemoteError(message, is_permanent=is_permanent)
        self.pushes[-1].errback(Failure(error))


class PushCase(HubCase):
    """A hub with a push."""

    def setUp(self) -> None:
        super().setUp()
        self.target = Target()
        self.lines: list[str] = []
        self.changes = 0
        host = SimpleNamespace(reactor=self.reactor)
        around = Surroundings(host, self.find, lambda: 1.7e9 + self.reactor.seconds(), lambda: 0.5)
        self.pusher = Pusher(
            around,
            self.hub,
            self.bus,
            KEY,
            URL,
            PushOptions(hops=("us",)),
            noted=self.lines.append,
            changed=self.changed,
        )

    def changed(self) -> None:
        """Count."""
        self.changes += 1

    def find(self, url: str) -> Target:
        """Return the one there is."""
        return self.target

    def state(self) -> str:
        """How the push does."""
        return self.pusher.state.state

    def finish(self) -> None:
        """Stop all, and see that nothing is left."""
        stopped = self.pusher.stop()
        self.reactor.advance(GOODBYE_SECONDS + 1)
        self.successResultOf(stopped)
        self.assertEqual(self.state(), "stopped")
        self.end()

    def test_waits_for_the_stream(self) -> None:
        """Nobody is asked before there is something to send, nor after."""
        self.pusher.start()
        self.assertEqual((self.state(), self.target.pushes), ("idle", []))
        publication, _stream = self.live()
        self.assertEqual(self.state(), "connecting")
        feed = self.target.accept()
        self.assertEqual(self.state(), "running")
        self.assertEqual(feed.tracks, [VIDEO, AUDIO])
        self.assertEqual([x.dts for x in feed.packets], [0, 0])
        self.send(publication, video(40))
        self.assertEqual(feed.packets[-1].dts, 3600)
        publication.close("over", lost=False)
        self.assertEqual((self.state(), feed.ended), ("idle", True))
        # And again with the next one.
        self.live()
        self.assertEqual(self.state(), "connecting")
        self.assertEqual(self.pusher.state.restarts, 0)
        self.finish()

    def test_returns_with_headers_and_a_keyframe(self) -> None:
        """E-ST-10: a target that is back gets tracks and metadata, then from a keyframe on."""
        publication, _stream = self.live()
        publication.metadata_received({"title": "x"})
        self.pusher.start()
        self.target.accept()
        self.send(publication, video(1000, key=True), video(1040))
        self.target.fail("the connection was lost")
        state = self.pusher.state
        self.assertEqual((state.state, state.reason), ("waiting", "the connection was lost"))
        self.assertAlmostEqual(state.next_retry_at, 1.7e9 + self.reactor.seconds() + 1.0, places=3)
        self.send(publication, video(1080), audio(1080), video(1120))
        self.reactor.advance(1.0)
        feed = self.target.accept()
        self.assertEqual(feed.tracks, [VIDEO, AUDIO])
        self.assertEqual(feed.metadata, [{"title": "x"}])
        self.assertTrue(feed.packets[0].is_keyframe)
        self.assertEqual(
            [x.dts for x in feed.packets if x.track is VIDEO], [90000, 93600, 97200, 100800]
        )
        self.assertEqual(self.pusher.state.restarts, 1)
        self.finish()

    def test_changes(self) -> None:
        """A new configuration, and new metadata, are passed on before what needs them."""
        publication, _stream = self.live()
        self.pusher.start()
        feed = self.target.accept()
        publication.track_received(VIDEO_2)
        self.send(publication, video(1000, key=True, track=VIDEO_2))
        self.assertEqual(feed.tracks, [VIDEO, AUDIO, VIDEO_2])
        publication.metadata_received({"title": "y"})
        self.assertEqual(feed.metadata[-1], {"title": "y"})
        self.finish()

    def test_backoff(self) -> None:
        """E-ST-04: waits grow, and begin anew when the target worked for long."""
        publication, _stream = self.live()
        self.pusher.start()
        waits = []
        for _try in range(7):
            self.target.fail()
            waits.append(self.pusher.state.next_retry_at - 1.7e9 - self.reactor.seconds())
            self.reactor.advance(waits[-1])
        self.assertEqual([round(x) for x in waits], [1, 2, 4, 8, 16, 30, 30])
        self.target.accept()
        self.reactor.advance(61.0)
        self.target.fail()
        self.assertAlmostEqual(
            self.pusher.state.next_retry_at - 1.7e9 - self.reactor.seconds(), 1.0, places=3
        )
        self.assertTrue(any("again in" in line for line in self.lines))
        self.assertNotIn("secret", "".join(self.lines))
        publication.close("over", lost=False)
        self.finish()

    def test_permanent(self) -> None:
        """E-ST-05: who refuses for good is asked seldom."""
        self.live()
        self.pusher.start()
        self.target.fail("it refuses the key", is_permanent=True)
        state = self.pusher.state
        self.assertTrue(state.is_permanent)
        wait = state.next_retry_at - 1.7e9 - self.reactor.seconds()
        self.assertTrue(60.0 <= wait <= LONGEST_PERMANENT_SECONDS)
        self.finish()

    def test_ends_without_being_told(self) -> None:
        """E-ST-14: a server that ends the push has not done what was wanted."""
        self.live()
        self.pusher.start()
        self.target.accept()
        self.target.pushes[-1].callback(None)
        self.assertEqual(self.state(), "waiting")
        self.assertIn("ended", self.pusher.state.reason)
        self.finish()

    def test_a_target_with_a_bug(self) -> None:
        """What a plugin raises ends its push alone: the publisher sends on."""
        publication, stream = self.live()
        self.pusher.start()
        feed = self.target.accept()
        feed.error = ZeroDivisionError("a bug")
        self.send(publication, video(40))
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual((self.state(), self.target.cancelled), ("waiting", 1))
        self.assertTrue(publication.active)
        self.target.problem = ZeroDivisionError("another")
        self.reactor.advance(1.0)
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(self.state(), "waiting")
        self.send(publication, video(80))
        self.assertEqual(len(stream.audience.sinks), 0)
        self.finish()

    def test_publisher_lost(self) -> None:
        """While a publisher may come back, the target is kept, and goes on with what follows."""
        publication, _stream = self.live()
        self.pusher.start()
        feed = self.target.accept()
        publication.close("lost", lost=True)
        self.assertEqual((self.state(), feed.ended), ("running", False))
        back, _stream = self.begin(VIDEO, AUDIO)
        self.send(back, video(0, key=True))
        self.assertGreater(feed.packets[-1].dts, 0)
        self.finish()

    def test_redirected(self) -> None:
        """Each server that is ready gets the whole beginning, the one before nothing more."""
        publication, _stream = self.live()
        self.pusher.start()
        first = self.target.accept()
        second = self.target.accept()
        self.send(publication, video(40))
        self.assertEqual((len(first.packets), len(second.packets)), (2, 3))
        self.assertEqual(self.pusher.state.bytes_out, first.bytes_out + second.bytes_out)
        self.finish()

    def test_dropped(self) -> None:
        """E-ST-11: what a slow server did not take is counted over all of its connections."""
        self.live()
        self.pusher.start()
        first = self.target.accept()
        first.dropped = 3
        self.assertEqual(self.pusher.state.dropped, 3)
        self.target.fail("it took nothing for 10 seconds")
        self.assertEqual(self.pusher.state.dropped, 3)
        self.reactor.advance(1.0)
        self.target.accept().dropped = 2
        self.assertEqual(self.pusher.state.dropped, 5)
        self.finish()

    def test_too_late(self) -> None:
        """A server that is ready after its push has failed, or was stopped, gets a goodbye."""
        self.target.is_polite = False
        self.live()
        self.pusher.start()
        self.target.fail()
        feed = self.target.accept()
        self.assertEqual((feed.ended, feed.tracks, self.state()), (True, [], "waiting"))
        self.pusher.stop()
        feed = self.target.accept()
        self.assertEqual((feed.ended, feed.tracks, self.state()), (True, [], "stopped"))
        self.finish()

    def test_other_streams(self) -> None:
        """What becomes of other streams is none of its business."""
        self.pusher.start()
        self.bus.emit(StreamReady(OTHER))
        self.assertEqual((self.state(), self.target.pushes), ("idle", []))
        self.live()
        feed = self.target.accept()
        self.bus.emit(StreamOver(OTHER))
        self.assertEqual((self.state(), feed.ended), ("running", False))
        self.finish()

    def test_ready_again_while_it_waits(self) -> None:
        """A stream that is ready anew is sent at once, and the try that was to come is none."""
        self.live()
        self.pusher.start()
        self.target.fail()
        self.bus.emit(StreamReady(KEY))
        self.assertEqual((self.state(), len(self.target.pushes)), ("connecting", 2))
        self.target.accept()
        self.reactor.advance(60.0)
        self.assertEqual((self.state(), len(self.target.pushes)), ("running", 2))
        self.finish()

    def test_address_that_is_none(self) -> None:
        """F-SS-03: the target looks at its address before each push: who refuses is not asked."""
        self.live()
        self.target.refusal = "the address is not allowed"
        self.pusher.start()
        state = self.pusher.state
        self.assertEqual((state.state, state.reason), ("waiting", self.target.refusal))
        self.assertTrue(state.is_permanent)
        self.assertEqual(self.target.pushes, [])
        self.finish()

    def test_cancelled_by_the_target(self) -> None:
        """A push that somebody else cancels is tried again; it is no bug, and has no traceback."""
        self.live()
        self.pusher.start()
        self.target.pushes[-1].cancel()
        self.assertEqual((self.state(), self.pusher.state.reason), ("waiting", "it was cancelled"))
        self.finish()

    def test_told(self) -> None:
        """E-ST-04: of failures in a row the log has the first, and each tenth."""
        told: list[str] = []

        @implementer(ILogObserver)
        def observe(event: Any) -> None:
            if "push of" in event.get("log_format", ""):
                told.append(event["log_format"])

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.live()
        self.pusher.start()
        for _try in range(21):
            self.target.fail()
            self.reactor.advance(40.0)
        self.assertEqual(len(told), 3)
        self.finish()

    def test_stop(self) -> None:
        """A push that is stopped says goodbye; to one who does not take that, it hangs up."""
        self.live()
        self.pusher.start()
        self.target.is_polite = False
        feed = self.target.accept()
        stopped = self.pusher.stop()
        self.assertTrue(feed.ended)
        self.assertNoResult(stopped)
        self.reactor.advance(GOODBYE_SECONDS)
        self.successResultOf(stopped)
        self.assertEqual(self.target.cancelled, 1)
        self.finish()

    def test_stop_while_connecting(self) -> None:
        """Whoever is asked is not asked any more."""
        self.live()
        self.pusher.start()
        stopped = self.pusher.stop()
        self.successResultOf(stopped)
        self.assertEqual(self.target.cancelled, 1)
        self.finish()

    def test_hops(self) -> None:
        """E-ST-08: the servers that a stream passed are told; after too many it is not sent."""
        _publication, stream = self.live()
        stream.hops = ("first",)
        self.pusher.start()
        self.assertEqual(self.target.options[-1].hops, ("first", "us"))
        self.target.fail()
        stream.hops = tuple("abcdefgh"[:MAX_HOPS])
        self.reactor.advance(1.0)
        self.assertIn("loop", self.pusher.state.reason)
        self.assertTrue(self.pusher.state.is_permanent)
        self.assertEqual(len(self.target.pushes), 1)
        self.finish()


class PushMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order: one push at a time, and nothing is left."""

    def __init__(self) -> None:
        super().__init__()
        self.case = PushCase()
        self.case.setUp()
        self.publication: Any = None
        self.now = 0

    @rule()
    def start(self) -> None:
        """Start, or again."""
        self.case.pusher.start()

    @rule()
    def stop(self) -> None:
        """Stop."""
        self.case.pusher.stop()

    @precondition(lambda self: self.publication is None)
    @rule()
    def publish(self) -> None:
        """Publish, or come back."""
        self.publication = self.case.begin(VIDEO, AUDIO)[0]
        self.case.send(self.publication, video(self.now, key=True), audio(self.now))

    @precondition(lambda self: self.publication is not None)
    @rule(lost=st.booleans())
    def leave(self, lost: bool) -> None:
        """End, or get lost."""
        self.publication.close("gone", lost=lost)
        self.publication = None

    @precondition(lambda self: self.publication is not None)
    @rule(key=st.booleans())
    def send(self, key: bool) -> None:
        """Send a picture."""
        self.now += 40
        self.case.send(self.publication, video(self.now, key=key))

    @precondition(lambda self: self.is_open)
    @rule()
    def accept(self) -> None:
        """Have the server take it."""
        self.case.target.accept()

    @precondition(lambda self: self.is_open)
    @rule(permanent=st.booleans())
    def fail(self, permanent: bool) -> None:
        """Have the server refuse, or break."""
        self.case.target.fail(is_permanent=permanent)

    @rule(seconds=st.sampled_from([0.5, 2.0, 20.0, 100.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.case.reactor.advance(seconds)
        if self.publication is not None and not self.publication.active:
            self.publication = None

    @property
    def is_open(self) -> bool:
        """Whether a server is asked."""
        pushes = self.case.target.pushes
        return bool(pushes) and not pushes[-1].called

    @invariant()
    def state_agrees(self) -> None:
        """A state says what is."""
        state = self.case.pusher.state.state
        if state in ("connecting", "running"):
            assert self.is_open
        if state == "waiting":
            assert self.case.pusher.state.next_retry_at > 0
        streams = self.case.hub.streams.values()
        sinks = sum(len(stream.audience.sinks) for stream in streams)
        assert sinks == (state == "running")

    def teardown(self) -> None:
        """Stop, and find nothing left."""
        self.case.pusher.stop()
        self.case.reactor.advance(GOODBYE_SECONDS + 1)
        if self.is_open:
            raise AssertionError("a push goes on after its end")
        self.case.end()


PushMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
PushMachineTests = PushMachine.TestCase
