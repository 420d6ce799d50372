"""Tests of ntvmedia.hub.stream, rendition, publication, viewer: from a publisher to its viewers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.config import HubSettings
from ntvmedia.events import (
    Event,
    EventBus,
    PlayEnded,
    PlayStarted,
    PublishEnded,
    PublishStarted,
    StreamIdle,
    StreamWanted,
)
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.refusals import HubFull, NameTaken, NotFound
from ntvmedia.hub.rendition import LONGEST_WAIT_FOR_KEYFRAME_SECONDS, RenditionKey
from ntvmedia.hub.statistics import describe_stream, describe_viewer
from ntvmedia.hub.stream import Stream, StreamState
from ntvmedia.hub.streams import TICK_SECONDS, Hub, HubService
from ntvmedia.hub.viewer import Viewer, ViewerInfo
from ntvmedia.media import Codec, Packet, StreamKey, Track
from tests.hub.fakes import (
    AUDIO,
    UNLIMITED,
    VIDEO,
    FakeConnection,
    FakePublisher,
    FakeReactor,
    FakeSerialiser,
    audio,
    video,
)

KEY = StreamKey("liveshow", "test")
FLV = RenditionKey("flv")
SOUND = RenditionKey("flv", (("video", "none"),))
VIDEO_2 = Track(Codec.H264, config=b"v2")
AUDIO_2 = Track(Codec.PCM_ALAW, clock_rate=8000, config=b"a2")
OTHER_VIDEO = Track(Codec.H264, number=1, config=b"w1")
INFO = ViewerInfo("flv", "192.0.2.9:9", "player", "http://example.org/")
ALL_EVENTS = (PublishStarted, PublishEnded, PlayStarted, PlayEnded, StreamIdle, StreamWanted)


class Player:
    """A viewer's connection."""

    def __init__(self, case: HubCase, stream: Stream, key: RenditionKey = FLV) -> None:
        self.transport = FakeConnection(case.reactor)
        self.outlet = case.hub.outlet(self.transport)
        self.transport.outlet = self.outlet
        self.ends: list[str] = []
        self.error: Exception | None = None
        self.viewer: Viewer = stream.play(key, self.outlet, INFO, self.ended)

    def ended(self, reason: str) -> None:
        """Note it."""
        self.ends.append(reason)
        if self.error is not None:
            raise self.error

    @property
    def seen(self) -> str:
        """All that it was sent."""
        return self.transport.wire.decode()


class HubCase(SynchronousTestCase):
    """A hub with a clock."""

    settings: dict[str, Any] = {}  # noqa: RUF012

    def setUp(self) -> None:
        self.make()

    def make(self, **settings: Any) -> None:
        """Make a hub."""
        self.reactor = FakeReactor()
        self.reactor.advance(1000.0)
        self.bus = EventBus()
        self.happened: list[Event] = []
        for kind in ALL_EVENTS:
            self.bus.subscribe(kind, self.happened.append)
        self.hub = Hub(
            self.reactor, HubSettings(**{**self.settings, **settings}), self.bus, lambda: 1.7e9
        )
        self.serialisers: list[FakeSerialiser] = []
        self.hub.register_format("flv", self.serialiser)

    def serialiser(self, options: Any) -> FakeSerialiser:
        """Make one."""
        made = FakeSerialiser(options)
        self.serialisers.append(made)
        return made

    def begin(self, *tracks: Track, **publish: Any) -> tuple[Publication, Stream]:
        """Publish, and announce tracks."""
        publication = self.hub.publish(KEY, FakePublisher(), **publish)
        for track in tracks:
            publication.track_received(track)
        return publication, self.hub.streams[KEY]

    def live(self, at: int = 0) -> tuple[Publication, Stream]:
        """Publish sound and pictures, and send one of each."""
        publication, stream = self.begin(VIDEO, AUDIO)
        self.send(publication, video(at, key=True), audio(at))
        self.assertIs(stream.state, StreamState.LIVE)
        return publication, stream

    def send(self, publication: Publication, *packets: Packet) -> None:
        """Send packets in one read."""
        for packet in packets:
            publication.packet_received(packet)
        publication.batch_ended()

    def events(self, kind: type[Event]) -> list[Any]:
        """What happened of one kind."""
        return [event for event in self.happened if type(event) is kind]

    def end(self) -> None:
        """Stop, and see that nothing is left."""
        self.hub.stop("done")
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual((self.hub.viewers, self.hub.waiting, self.hub.streams), (0, 0, {}))


class JoinTests(HubCase):
    """What a viewer gets first."""

    def test_late_joiner(self) -> None:
        """A-SE-06, B-FL-06: headers, then everything since the keyframe, then what follows."""
        publication, stream = self.live()
        self.send(publication, video(40), audio(23))
        self.send(publication, video(80, key=True))
        self.send(publication, audio(46), video(120))
        player = Player(self, stream)
        self.assertEqual(player.seen, "[H 80 v1 a1]v80k a46 v120 ")
        self.send(publication, video(160))
        self.assertEqual(player.seen, "[H 80 v1 a1]v80k a46 v120 v160 ")
        self.end()

    def test_second_joiner(self) -> None:
        """One who joins a rendition that runs has the same, in one system call."""
        publication, stream = self.live()
        first = Player(self, stream)
        self.send(publication, video(40))
        second = Player(self, stream)
        self.assertEqual(second.seen, "[H 0 v1 a1]v0k a0 v40 ")
        self.assertEqual(second.seen, first.seen)
        self.assertEqual(second.transport.kernel.calls, 1)
        self.assertEqual(len(self.serialisers), 1)
        self.end()

    def test_before_the_keyframe(self) -> None:
        """What comes before the first keyframe is not sent."""
        publication, stream = self.begin(VIDEO, AUDIO)
        self.send(publication, video(0), audio(0), video(40))
        player = Player(self, stream)
        self.assertEqual(player.seen, "[H 0 v1 a1]")
        self.send(publication, audio(23), video(80))
        self.assertEqual(player.seen, "[H 0 v1 a1]")
        self.send(publication, video(120, key=True))
        self.send(publication, audio(46))
        self.assertEqual(player.seen, "[H 0 v1 a1]v120k a46 ")
        self.end()

    def test_no_picture_comes(self) -> None:
        """Sound begins without a keyframe after a while."""
        publication, stream = self.begin(VIDEO, AUDIO)
        self.send(publication, video(0), audio(0))
        player = Player(self, stream)
        wait = int(LONGEST_WAIT_FOR_KEYFRAME_SECONDS * 1000)
        for at in range(500, wait + 2000, 500):
            self.send(publication, audio(at))
        self.assertTrue(player.seen.startswith(f"[H 0 v1 a1]a{wait} "), player.seen)
        self.end()

    def test_pictures_stop(self) -> None:
        """Where the video has stopped for a while, who joins then gets the sound of now."""
        self.make(gop_cache_frames=50)
        publication, stream = self.live()
        early = Player(self, stream)
        for at in range(500, 60_000, 500):
            self.reactor.advance(0.5)
            self.send(publication, audio(at))
        late = Player(self, stream)
        self.send(publication, audio(60_000))
        self.assertIn("a60000 ", early.seen)
        self.assertIn("a60000 ", late.seen)
        self.end()

    def test_audio_only(self) -> None:
        """Without pictures a viewer gets the last second, not all that there was."""
        publication, stream = self.begin(AUDIO)
        for at in range(0, 5000, 100):
            self.send(publication, audio(at))
            self.reactor.advance(0.1)
        player = Player(self, stream)
        self.assertTrue(player.seen.startswith("[H 4400 a1]a4400 a4500 "), player.seen)
        for at in range(5000, 9000, 100):
            self.send(publication, audio(at))
        second = Player(self, stream)
        self.assertTrue(second.seen.startswith("[H 8"), second.seen)
        self.assertLess(second.seen.count("a"), 15)
        self.end()

    def test_announced_but_never_sent(self) -> None:
        """A video track of which only the header came does not hold sound back, nor pile it up."""
        publication, stream = self.begin(VIDEO, AUDIO)
        for at in range(0, 10_000, 100):
            self.send(publication, audio(at))
            self.reactor.advance(0.1)
        self.assertLess(len(stream.backlog), 15)
        player = Player(self, stream)
        self.assertNotIn("v1", player.seen)
        self.assertIn("a9900 ", player.seen)
        self.end()

    def test_two_sounds_with_two_clocks(self) -> None:
        """Tracks of different clock rates do not cut each other's cache."""
        other = Track(Codec.AAC, number=1, clock_rate=44100, config=b"b1")
        publication, stream = self.begin(AUDIO, other)
        for at in range(100_000, 105_000, 100):
            self.send(publication, audio(at), audio(at, track=other))
            self.reactor.advance(0.1)
        self.assertGreater(len(stream.backlog), 2)
        self.assertLess(len(stream.backlog), 24)
        self.end()

    def test_cache_limits(self) -> None:
        """The cache is bounded in frames and bytes; beyond, a joiner waits for the keyframe."""
        for limit in ({"gop_cache_frames": 3}, {"gop_cache_bytes": 20}, {"gop_cache_frames": 0}):
            self.make(**limit)
            publication, stream = self.live()
            first = Player(self, stream)
            for at in (40, 80, 120, 160):
                self.send(publication, video(at, size=10))
            self.assertEqual(stream.backlog, [])
            second, third = Player(self, stream), Player(self, stream, SOUND)
            for player in (second, third):
                self.assertTrue(player.seen.startswith("[H "))
                self.assertNotIn("]v", player.seen)
            self.send(publication, video(200, key=True))
            self.assertTrue(second.seen.endswith("]v200k "), second.seen)
            self.assertTrue(first.seen.endswith("v200k "), first.seen)
            self.end()

    def test_from_now(self) -> None:
        """One who saw what came before begins with the next keyframe."""
        publication, stream = self.live()
        player = Player(self, stream)
        player.viewer.leave()
        viewer = stream.play(SOUND, player.outlet, INFO, player.ended, from_now=True)
        before = player.seen
        self.send(publication, audio(500))
        self.assertEqual(player.seen, before)
        self.send(publication, audio(1100))
        self.assertEqual(player.seen, before + "a1100 ")
        viewer.leave()
        self.end()

    def test_unknown_format(self) -> None:
        """It is refused, and nothing is left of it."""
        _publication, stream = self.live()
        with self.assertRaises(NotFound):
            Player(self, stream, RenditionKey("smoke signals"))
        self.assertEqual((stream.viewers, stream.renditions, self.hub.viewers), ({}, {}, 0))
        self.assertEqual(self.events(PlayStarted), [])
        self.end()


class ChangeTests(HubCase):
    """Tracks that change while somebody watches."""

    def test_new_configuration(self) -> None:
        """B-FL-09: the new header comes in the stream, at the time of now."""
        publication, stream = self.live()
        player = Player(self, stream)
        self.send(publication, video(40), audio(500), video(1000))
        publication.track_received(VIDEO_2)
        self.send(publication, video(1040, key=True, track=VIDEO_2))
        self.assertTrue(player.seen.endswith("v1000 [C 1000 v2]v1040k "), player.seen)
        late = Player(self, stream)
        self.assertEqual(late.seen, "[H 1040 v2 a1][C 1000 v2]v1040k ")
        self.end()

    def test_join_between(self) -> None:
        """One who joins between the change and the keyframe waits for the keyframe."""
        publication, stream = self.live()
        first = Player(self, stream)
        publication.track_received(VIDEO_2)
        late = Player(self, stream)
        self.send(publication, audio(10))
        self.assertEqual(late.seen, "[H 0 v2 a1]")
        self.send(publication, video(40, key=True, track=VIDEO_2))
        self.assertEqual(late.seen, "[H 0 v2 a1]v40k ")
        self.assertIn("v40k", first.seen)
        self.end()

    def test_same_again(self) -> None:
        """A-MD-05: an identical header is none."""
        publication, stream = self.live()
        player = Player(self, stream)
        publication.track_received(Track(Codec.H264, config=b"v1"))
        self.send(publication, video(40))
        self.assertNotIn("[C", player.seen)
        self.end()

    def test_no_picture_without_its_keyframe(self) -> None:
        """After a change of configuration pictures begin again with a keyframe."""
        publication, stream = self.live()
        player = Player(self, stream)
        publication.track_received(VIDEO_2)
        self.send(publication, video(40, track=VIDEO_2), audio(23))
        self.send(publication, video(80, key=True, track=VIDEO_2))
        self.assertNotIn("v40", player.seen)
        self.assertTrue(player.seen.endswith("a23 v80k "), player.seen)
        self.end()

    def test_track_appears(self) -> None:
        """Pictures that begin later come with their header, from a keyframe on."""
        publication, stream = self.begin(AUDIO)
        self.send(publication, audio(0))
        self.reactor.advance(1.0)
        player = Player(self, stream)
        self.send(publication, audio(1000))
        publication.track_received(VIDEO)
        self.send(publication, video(1020), audio(1040))
        self.send(publication, video(1060, key=True), audio(1080))
        self.assertTrue(player.seen.endswith("a1000 a1040 [C 1060 v1]v1060k a1080 "), player.seen)
        late = Player(self, stream)
        self.assertTrue(late.seen.endswith("v1060k a1080 "))
        self.end()

    def test_better_track_appears(self) -> None:
        """When number 0 begins after number 1, who joins is not given the one with the other."""
        publication, stream = self.begin(OTHER_VIDEO, AUDIO)
        self.send(publication, video(0, key=True, track=OTHER_VIDEO), audio(0))
        player = Player(self, stream)
        publication.track_received(VIDEO)
        self.send(publication, video(40, track=OTHER_VIDEO), video(40))
        self.send(publication, video(80, key=True), video(80, track=OTHER_VIDEO, key=True))
        self.assertTrue(player.seen.endswith("v40 [C 80 v1]v80k "), player.seen)
        late = Player(self, stream)
        self.assertNotIn("v0k", late.seen)
        self.end()

    def test_other_clock_of_sound(self) -> None:
        """Sound alone that changes its clock rate is still cut into groups."""
        publication, stream = self.begin(AUDIO)
        for at in range(0, 3000, 100):
            self.send(publication, audio(at))
        self.reactor.advance(1.0)
        first = Player(self, stream)
        publication.track_received(AUDIO_2)
        for at in range(3000, 6000, 100):
            self.send(publication, audio(at, track=AUDIO_2))
        late = Player(self, stream)
        self.assertLess(late.seen.count("a"), 20)
        self.assertIn("a5900 ", late.seen)
        self.assertIn("a5900 ", first.seen)
        self.end()

    def test_slow_through_a_change(self) -> None:
        """B-SL-04: after a freeze come the changed headers, then a keyframe; no half block."""
        self.make(queue_bytes=64 << 10)
        publication, stream = self.live()
        player = Player(self, stream)
        player.transport.kernel.room = 2
        seen = player.seen
        self.send(publication, video(40))
        publication.track_received(VIDEO_2)
        self.send(publication, video(80, key=True, track=VIDEO_2))
        for at in range(500, 12_000, 500):
            self.reactor.advance(0.5)
            self.send(publication, video(at, track=VIDEO_2))
        self.assertGreater(player.outlet.dropped_blocks, 0)
        self.send(publication, video(12_000, track=VIDEO_2))
        player.transport.kernel.room = UNLIMITED
        player.transport.run()
        self.send(publication, video(12_040, key=True, track=VIDEO_2))
        rest = player.seen[len(seen) :]
        self.assertEqual(rest, "v40 [C 40 v2]v12040k ")
        self.assertNotIn("v12000", rest)
        self.end()

    def test_pause(self) -> None:
        """A viewer that pauses gets nothing, and then goes on with a keyframe."""
        publication, stream = self.live()
        player = Player(self, stream)
        player.viewer.pause(True)
        player.viewer.pause(True)
        self.send(publication, video(40))
        player.viewer.pause(False)
        player.viewer.pause(False)
        self.send(publication, video(80), audio(50))
        self.send(publication, video(120, key=True))
        self.send(publication, video(160))
        self.assertEqual(player.seen, "[H 0 v1 a1]v0k a0 v120k v160 ")
        player.viewer.leave()
        player.viewer.pause(False)
        self.send(publication, video(200, key=True))
        self.assertNotIn("v200", player.seen)
        self.end()

    def test_no_headers_twice(self) -> None:
        """Who had the new headers and then paused is not given old ones of then."""
        publication, stream = self.live()
        player = Player(self, stream)
        publication.track_received(VIDEO_2)
        self.send(publication, video(40, key=True, track=VIDEO_2))
        player.viewer.pause(True)
        player.viewer.pause(False)
        self.send(publication, video(80, key=True, track=VIDEO_2))
        self.assertEqual(player.seen.count("[C"), 1)
        self.end()


class PacingTests(HubCase):
    """When blocks are sent."""

    def crowd(self, stream: Stream, count: int) -> list[Player]:
        """Let many watch."""
        return [Player(self, stream) for _number in range(count)]

    def gaps(self, latency: str, count: int, step: int = 40) -> list[float]:
        """Play ten seconds to many; returns the times between two writes to one of them."""
        self.make(latency=latency)
        publication, stream = self.live()
        player = self.crowd(stream, count)[0]
        times: list[float] = []
        calls = player.transport.kernel.calls
        for millisecond in range(1, 10_000):
            if millisecond % step == 0:
                self.send(publication, video(millisecond, key=millisecond % 2000 == 0))
            if millisecond % 23 == 0:
                self.send(publication, audio(millisecond))
            self.reactor.advance(0.001)
            if player.transport.kernel.calls != calls:
                calls = player.transport.kernel.calls
                times.append(self.reactor.seconds())
        self.end()
        return [b - a for a, b in pairwise(times)]

    def test_few(self) -> None:
        """With few viewers each read is sent at once, without a timer."""
        publication, stream = self.live()
        player = self.crowd(stream, 10)[0]
        before = player.seen
        self.send(publication, video(40))
        self.assertEqual(player.seen, before + "v40 ")
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.end()

    def test_many(self) -> None:
        """With many they are merged, for the longest time that is allowed and no longer."""
        gaps = self.gaps("auto", 600)
        self.assertLessEqual(max(gaps), 0.36)
        self.assertLess(len(gaps), 10 / 0.3)

    def test_low(self) -> None:
        """With low latency a frame is never held back longer than the next takes."""
        self.assertLessEqual(max(self.gaps("low", 600)), 0.045)

    def test_low_at_ten_frames(self) -> None:
        """Nor is sound, where there are few frames."""
        self.assertLessEqual(max(self.gaps("low", 600, step=100)), 0.065)

    def test_keyframe_ends_a_block(self) -> None:
        """A keyframe is the first of its block, however much waited."""
        publication, stream = self.live()
        self.crowd(stream, 100)
        self.send(publication, video(40), audio(40))
        self.send(publication, video(80, key=True))
        late = Player(self, stream)
        self.reactor.advance(1.0)
        self.send(publication, video(120))
        self.reactor.advance(1.0)
        self.assertEqual(late.seen, "[H 0 v1 a1]v0k a0 v40 a40 v80k v120 ")
        later = Player(self, stream)
        self.assertEqual(later.seen, "[H 80 v1 a1]v80k v120 ")
        self.end()

    def test_sound_alone(self) -> None:
        """Without pictures too a block that can be joined begins with what its header says."""
        publication, stream = self.begin(AUDIO)
        self.send(publication, audio(0))
        self.reactor.advance(1.0)
        self.crowd(stream, 300)
        for at in range(20, 5000, 20):
            self.send(publication, audio(at))
            self.reactor.advance(0.02)
        late = Player(self, stream)
        self.assertRegex(late.seen, r"^\[H (\d+) a1\]a\1 ")
        self.end()

    def test_timer_is_given_back(self) -> None:
        """When the last viewer leaves no timer stays."""
        publication, stream = self.live()
        players = self.crowd(stream, 100)
        self.send(publication, video(40))
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        for player in players:
            player.viewer.leave()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual((stream.renditions, self.hub.pacing.interval), ({}, 0.0))
        self.end()


class FailureTests(HubCase):
    """G-LC-08, B-WS-06: a bug ends what it is in, and nothing else."""

    def test_serialiser(self) -> None:
        """An output that fails, wherever, ends for its viewers; the other goes on."""
        for where in ("packet", "frame", "tracks_changed"):
            for crowd in (1, 100):
                self.make()
                publication, stream = self.live()
                players = [Player(self, stream) for _number in range(crowd)]
                other = Player(self, stream, SOUND)
                self.serialisers[0].fail = where
                self.send(publication, video(40), audio(40))
                publication.track_received(VIDEO_2)
                self.send(publication, video(80, key=True, track=VIDEO_2), audio(80))
                self.reactor.advance(1.0)
                for player in players:
                    self.assertEqual(player.ends, ["the output failed"], where)
                self.assertTrue(other.seen.endswith("a80 "), other.seen)
                self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1, where)
                self.assertEqual(self.hub.viewers, 1)
                self.end()

    def test_serialiser_at_the_end(self) -> None:
        """The end of a stream is not stopped by an output that fails at it."""
        for where in ("trailer", "frame"):
            self.make()
            publication, stream = self.live()
            failing = Player(self, stream)
            self.serialisers[0].fail = where
            other = Player(self, stream, SOUND)
            publication.packet_received(video(40))
            publication.close("publisher stopped", lost=False)
            self.assertEqual((failing.ends, other.ends), (["publisher stopped"],) * 2)
            self.assertTrue(other.seen.endswith("[END]"))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.end()

    def test_serialiser_at_the_begin(self) -> None:
        """One that fails when a viewer joins leaves neither viewer nor rendition nor timer."""
        for where in ("tracks_changed", "packet", "frame", "header"):
            self.make()
            _publication, stream = self.live()

            def failing(options: Any, where: str = where) -> FakeSerialiser:
                made = FakeSerialiser(options)
                made.fail = where
                return made

            self.hub.register_format("bad", failing)
            others = [Player(self, stream) for _number in range(50)]
            with self.assertRaises(ZeroDivisionError):
                Player(self, stream, RenditionKey("bad"))
            self.assertEqual(self.hub.viewers, len(others))
            self.assertEqual(len(stream.renditions), 1)
            self.assertEqual(self.reactor.getDelayedCalls(), [])
            started, ended = len(self.events(PlayStarted)), len(self.events(PlayEnded))
            self.assertEqual(started - ended, len(others))
            self.end()

    def test_outlet(self) -> None:
        """One viewer's connection that fails is closed; the others get everything."""
        publication, stream = self.live()
        players = [Player(self, stream) for _number in range(3)]
        players[0].transport.kernel.error = OSError("reset by peer")
        players[1].transport.kernel.error = ZeroDivisionError()
        self.send(publication, video(40))
        self.assertEqual([x.outlet.closed for x in players], [True, True, False])
        self.assertTrue(players[2].seen.endswith("v40 "))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.reactor.advance(0)
        self.assertEqual([x.transport.lost for x in players], [1, 1, 0])
        self.end()

    def test_callbacks(self) -> None:
        """What one connection raises at the end does not keep the others from it."""
        publication, stream = self.live()
        players = [Player(self, stream) for _number in range(3)]
        players[0].error = ZeroDivisionError()
        publisher: Any = publication.publisher
        publisher.error = ZeroDivisionError()
        stream.end("over")
        self.assertEqual([x.ends for x in players], [["over"]] * 3)
        self.assertEqual([x.outlet.closed for x in players], [True, False, False])
        self.reactor.advance(0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.end()

    def test_takeover_from_a_broken_one(self) -> None:
        """A publisher is accepted though the one before raises when it is told."""
        self.make(publish_policy="takeover")
        publication, _stream = self.live()
        publisher: Any = publication.publisher
        publisher.error = ZeroDivisionError()
        second, _stream = self.begin(VIDEO)
        self.assertTrue(second.active)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.end()

    def test_clockwork(self) -> None:
        """The hub's clockwork goes on whatever fails in one turn."""
        service = HubService(self.reactor, self.hub)
        service.startService()
        _publication, stream = self.live()
        player = Player(self, stream)
        player.transport.kernel.room = 0
        player.outlet.write(b"x")

        def broken() -> None:
            raise ZeroDivisionError

        player.transport.abortConnection = broken  # type: ignore[method-assign]
        self.reactor.pump([TICK_SECONDS] * 25)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertGreater(len(self.reactor.getDelayedCalls()), 0)
        service.stopService()
        self.end()


class AnalysisTests(HubCase):
    """A-MD-11: a stream's tracks are found from its media in limited time."""

    def test_both(self) -> None:
        """With sound and pictures it is live at once."""
        waiter = self.hub.wait_for(KEY)
        _publication, stream = self.live()
        self.assertIs(self.successResultOf(waiter), stream)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.end()

    def test_one(self) -> None:
        """With one of them it is live after the window, headers of the other or not."""
        for tracks in ((AUDIO,), (VIDEO, AUDIO)):
            self.make()
            waiter = self.hub.wait_for(KEY)
            publication, stream = self.begin(*tracks)
            self.send(publication, audio(0))
            self.reactor.advance(0.999)
            self.assertNoResult(waiter)
            self.reactor.advance(0.001)
            self.assertEqual(self.successResultOf(waiter).tracks, [AUDIO])
            self.assertIs(stream.state, StreamState.LIVE)
            self.end()

    def test_late_media(self) -> None:
        """Headers long before the media do not use the window up."""
        waiter = self.hub.wait_for(KEY)
        publication, _stream = self.begin(AUDIO, VIDEO)
        self.reactor.advance(1.9)
        self.send(publication, audio(0))
        self.reactor.advance(0.5)
        self.assertNoResult(waiter)
        self.send(publication, video(0, key=True))
        self.assertEqual(len(self.successResultOf(waiter).tracks), 2)
        self.end()

    def test_late_sound_alone(self) -> None:
        """Sound alone, long after its header, is found too."""
        waiter = self.hub.wait_for(KEY)
        publication, _stream = self.begin(AUDIO)
        self.reactor.advance(5.0)
        self.send(publication, audio(0))
        self.reactor.advance(1.0)
        self.successResultOf(waiter)
        self.end()

    def test_data_first(self) -> None:
        """Script data long before the media does not make a stream of data alone."""
        data = Track(Codec.AMF0, clock_rate=1000, config=b"d")
        waiter = self.hub.wait_for(KEY)
        publication, _stream = self.begin(data)
        self.send(publication, Packet(data, 0, 0, True, b"x"))
        self.reactor.advance(0.9)
        publication.track_received(AUDIO)
        self.send(publication, audio(0))
        self.reactor.advance(0.9)
        self.assertNoResult(waiter)
        self.reactor.advance(0.1)
        self.successResultOf(waiter)
        self.end()

    def test_application_for_audio(self) -> None:
        """P-207: nothing but sound is kept, and it is live with the first of it."""
        publication, stream = self.begin(VIDEO, AUDIO, audio_only=True)
        self.send(publication, video(0, key=True), audio(0))
        self.assertIs(stream.state, StreamState.LIVE)
        self.assertEqual(stream.tracks, [AUDIO])
        player = Player(self, stream)
        self.send(publication, video(40), audio(23))
        self.assertEqual(player.seen, "[H 0 a1]a0 a23 ")
        self.end()

    def test_no_media(self) -> None:
        """A-MD-19: one that sends nothing is cut by the timer for the first packet."""
        publication, stream = self.begin(VIDEO)
        publisher: Any = publication.publisher
        self.reactor.advance(20.0)
        self.hub.tick()
        self.assertEqual(publisher.dismissals, [])
        self.reactor.advance(0.1)
        publication.batch_ended()  # a ping
        self.hub.tick()
        self.assertEqual(publisher.dismissals, ["sent no media"])
        self.assertIs(stream.state, StreamState.ENDED)
        self.assertEqual(len(self.events(PublishEnded)), 1)
        self.end()

    def test_media_stops(self) -> None:
        """A-MD-19: a publisher that only answers pings is silent."""
        publication, stream = self.live()
        publisher: Any = publication.publisher
        for _second in range(11):
            self.reactor.advance(1.0)
            publication.batch_ended()
            self.hub.tick()
        self.assertEqual(publisher.dismissals, ["sent no media for too long"])
        self.assertIs(stream.state, StreamState.WAITING)
        self.assertEqual(len(self.events(PublishEnded)), 1)
        self.end()


class ReturnTests(HubCase):
    """Publishers that are lost, return, and take over."""

    def test_grace(self) -> None:
        """Players stay, and go on with a keyframe on one timeline (B-FL-10, G-RS-08)."""
        publication, stream = self.live()
        player = Player(self, stream)
        self.send(publication, video(40))
        publication.close("connection lost", lost=True)
        self.reactor.advance(5.0)
        self.assertIs(stream.state, StreamState.WAITING)
        publication, again = self.begin(VIDEO, AUDIO)
        self.assertIs(again, stream)
        before = player.seen
        self.reactor.advance(2.0)
        self.send(publication, video(0), audio(7))
        self.send(publication, video(40, key=True), audio(30))
        self.assertEqual(player.seen, before + "a7040 v7073k a7063 ")
        self.reactor.advance(30.0)
        self.assertIs(stream.state, StreamState.LIVE)
        self.assertEqual(player.ends, [])
        late = Player(self, stream)
        self.assertEqual(late.seen, "[H 7073 v1 a1]v7073k a7063 ")
        self.end()

    def test_grace_over(self) -> None:
        """One that does not come back ends the stream, once."""
        publication, stream = self.live()
        player = Player(self, stream)
        publication.close("connection lost", lost=True)
        publication.close("again", lost=False)
        self.reactor.advance(14.9)
        self.assertEqual(player.ends, [])
        self.reactor.advance(0.1)
        self.assertEqual(player.ends, ["the publisher did not come back"])
        self.assertTrue(player.seen.endswith("[END]"))
        self.assertEqual(len(self.events(PublishEnded)), 1)
        with self.assertRaises(NotFound):
            Player(self, stream)
        self.end()

    def test_takeover(self) -> None:
        """A-SE-02: the old one is cut, the players stay; with no grace at all too."""
        for grace in (0.0, 15.0):
            self.make(publish_policy="takeover", publisher_grace=grace)
            first, stream = self.live()
            player = Player(self, stream)
            second, again = self.begin(VIDEO, AUDIO)
            self.assertIs(again, stream)
            publisher: Any = first.publisher
            self.assertEqual(len(publisher.dismissals), 1)
            self.send(first, video(40))
            self.send(second, video(100_000, key=True))
            self.reactor.advance(60.0)
            self.assertEqual(player.ends, [])
            self.assertTrue(player.seen.endswith("a0 v1k "), player.seen)
            self.end()

    def test_refused(self) -> None:
        """A-SE-01: the first is not disturbed, and nothing begins for the second."""
        first, _stream = self.live()
        with self.assertRaises(NameTaken):
            self.hub.publish(KEY, FakePublisher())
        self.assertTrue(first.active)
        self.assertEqual(len(self.events(PublishStarted)), 1)
        self.assertEqual(self.hub.refused_publishers, 1)
        self.end()

    def test_silent_one_loses(self) -> None:
        """A-SE-03: a publisher silent for five seconds gives way, pings or not."""
        first, stream = self.live()
        self.reactor.advance(4.9)
        first.batch_ended()
        with self.assertRaises(NameTaken):
            self.hub.publish(KEY, FakePublisher())
        self.reactor.advance(0.1)
        _second, again = self.begin(VIDEO, AUDIO)
        self.assertIs(again, stream)
        self.assertFalse(first.active)
        self.end()

    def test_other_tracks(self) -> None:
        """A-SE-07: what the next publisher does not send is no track any more."""
        publication, stream = self.live()
        player = Player(self, stream)
        publication.close("connection lost", lost=True)
        publication, _stream = self.begin(AUDIO_2)
        self.reactor.advance(1.0)
        for at in range(0, 3000, 100):
            self.send(publication, audio(at, track=AUDIO_2))
            self.reactor.advance(0.1)
        self.assertEqual(stream.tracks, [AUDIO_2])
        late = Player(self, stream)
        self.assertRegex(late.seen, r"^\[H \d+ a2\]a\d+ ")
        self.assertIn("a2]", player.seen)
        self.end()

    def test_other_stream_after_the_end(self) -> None:
        """A-SE-07: a stream that ended leaves no header to the next of its name."""
        publication, stream = self.live()
        publication.close("publisher stopped", lost=False)
        self.assertIs(stream.state, StreamState.ENDED)
        waiter = self.hub.wait_for(KEY)
        publication, again = self.begin(AUDIO_2)
        self.send(publication, audio(0, track=AUDIO_2))
        self.reactor.advance(1.0)
        self.assertIs(self.successResultOf(waiter), again)
        self.assertEqual(Player(self, again).seen, "[H 0 a2]a0 ")
        self.end()


class WaitTests(HubCase):
    """Playing what is not there."""

    def test_time(self) -> None:
        """A-SE-10: it waits a limited time, and is told once."""
        waiters = [self.hub.wait_for(KEY), self.hub.wait_for(KEY)]
        self.assertEqual(self.events(StreamWanted), [StreamWanted(KEY)])
        self.reactor.advance(15.0)
        for waiter in waiters:
            self.failureResultOf(waiter, NotFound)
        self.hub.wait_for(KEY).addErrback(lambda _failure: None)
        self.assertEqual(len(self.events(StreamWanted)), 2)
        self.end()

    def test_cancel(self) -> None:
        """Who hangs up waits no more."""
        waiter = self.hub.wait_for(KEY)
        waiter.addErrback(lambda _failure: None)
        waiter.cancel()
        self.end()

    def test_cancelled_by_another(self) -> None:
        """One waiter's answer may end another's wait."""
        first, second, third = (self.hub.wait_for(KEY) for _number in range(3))
        second.addErrback(lambda _failure: None)
        first.addCallback(lambda _stream: second.cancel())
        self.live()
        self.successResultOf(third)
        self.end()

    def test_limits(self) -> None:
        """Waiting viewers and names are capped."""
        self.make(max_waiting=3, max_waiting_names=2)
        kept = [self.hub.wait_for(StreamKey("liveshow", name)) for name in "aab"]
        for name in "ac":
            self.failureResultOf(self.hub.wait_for(StreamKey("liveshow", name)), HubFull)
        left = kept.pop()
        left.addErrback(lambda _failure: None)
        left.cancel()
        kept.append(self.hub.wait_for(StreamKey("liveshow", "c")))
        self.hub.stop("done")
        for waiter in kept:
            self.failureResultOf(waiter, NotFound)
        self.end()

    def test_streams(self) -> None:
        """So are streams."""
        self.make(max_streams=1)
        self.live()
        with self.assertRaises(HubFull):
            self.hub.publish(StreamKey("liveshow", "other"), FakePublisher())
        self.end()

    def test_idle(self) -> None:
        """A stream is idle once, some time after its last viewer left."""
        publication, stream = self.live()
        player = Player(self, stream)
        self.reactor.advance(100.0)
        self.send(publication, video(100_000))
        self.hub.tick()
        self.assertEqual(self.events(StreamIdle), [])
        player.viewer.leave()
        self.reactor.advance(19.0)
        self.send(publication, video(119_000))
        self.hub.tick()
        self.assertEqual(self.events(StreamIdle), [])
        for _second in range(5):
            self.reactor.advance(1.0)
            self.send(publication, audio(120_000))
            self.hub.tick()
        self.assertEqual(self.events(StreamIdle), [StreamIdle(KEY)])
        self.end()


class CountTests(HubCase):
    """What is counted."""

    def test_bytes(self) -> None:
        """Every byte is counted once, for viewers that are here and those that left."""
        publication, stream = self.live()
        stay, go = Player(self, stream), Player(self, stream)
        self.send(publication, video(40))
        go.viewer.leave()
        self.send(publication, video(80))
        both = len(stay.seen) + len(go.seen)
        self.assertEqual(describe_stream(stream)["bytes_out"], both)
        self.assertEqual(describe_viewer(stay.viewer)["bytes_out"], len(stay.seen))
        publication.close("publisher stopped", lost=False)
        both += len("[END]")
        self.assertEqual(self.hub.finished_bytes_out, both)
        self.assertEqual(self.hub.finished_bytes_in, stream.bytes_in)
        self.assertEqual(sum(x.bytes_out for x in self.events(PlayEnded)), both)
        (ended,) = self.events(PublishEnded)
        self.assertEqual(ended.bytes_in, 3 + 2 + 3 + 3)
        self.end()

    def test_drops_of_a_connection_that_plays_again(self) -> None:
        """Blocks left out are counted for the stream at which it happened, once."""
        publication, stream = self.live()
        player = Player(self, stream)
        player.viewer.pause(True)
        player.viewer.pause(False)
        self.send(publication, video(40))
        self.assertEqual(describe_stream(stream)["dropped_blocks"], 1)
        for _time in range(3):
            player.viewer.leave()
            player.viewer = stream.play(FLV, player.outlet, INFO, player.ended)
        self.assertEqual(describe_stream(stream)["dropped_blocks"], 1)
        self.assertEqual(describe_viewer(player.viewer)["dropped_blocks"], 0)
        self.end()

    def test_stalled(self) -> None:
        """B-SL-02: a viewer that takes nothing is cut, and counted as such."""
        self.make(queue_bytes=64 << 10)
        publication, stream = self.live()
        player, other = Player(self, stream), Player(self, stream)
        player.transport.kernel.room = 0
        for second in range(1, 22):
            self.reactor.advance(1.0)
            self.send(publication, video(second * 1000, key=True, size=10))
            self.assertLessEqual(player.outlet.queued_bytes, 64 << 10)
            self.hub.tick()
        self.reactor.advance(0)
        self.assertEqual((player.transport.lost, other.transport.lost), (1, 0))
        player.viewer.leave()
        self.assertEqual((self.hub.stalled, stream.stalled_viewers), (1, 1))
        self.assertIn("nothing", self.events(PlayEnded)[0].reason)
        self.assertTrue(other.seen.endswith("v21000k "))
        self.end()

    def test_rates(self) -> None:
        """Rates are those of the last second."""
        publication, stream = self.live()
        player = Player(self, stream)
        self.hub.tick()
        for second in range(3):
            for frame in range(25):
                self.send(publication, video(second * 1000 + frame * 40 + 40, size=1000))
                self.reactor.advance(0.04)
            self.hub.tick()
        facts = describe_stream(stream)
        self.assertEqual((facts["bitrate_in"], facts["frame_rate"]), (200_000, 25.0))
        self.assertGreater(describe_viewer(player.viewer)["bitrate"], 0)
        self.assertEqual(facts["tracks"][0]["keyframe_interval"], 0)
        self.send(publication, video(5000, key=True))
        self.assertEqual(describe_stream(stream)["tracks"][0]["keyframe_interval"], 5.0)
        self.end()

    def test_waiting_for_its_publisher(self) -> None:
        """A stream without a publisher can be described."""
        publication, stream = self.live()
        publication.close("connection lost", lost=True)
        facts = describe_stream(stream)
        self.assertEqual((facts["state"], facts["publisher"]), ("waiting", None))
        self.assertEqual(facts["epoch"]["id"], f"{KEY}@1700000000000")
        self.end()

    def test_kick(self) -> None:
        """One is sent away, the others stay."""
        publication, stream = self.live()
        player, other = Player(self, stream), Player(self, stream)
        player.viewer.kick("sent away")
        player.viewer.kick("sent away")
        self.send(publication, video(40))
        self.assertEqual((player.ends, other.ends), (["sent away"], []))
        self.assertNotIn("v40", player.seen)
        self.assertEqual(len(self.events(PlayEnded)), 1)
        self.end()

    def test_ended_by_a_subscriber(self) -> None:
        """Who hears that a viewer came may send it away at once."""
        _publication, stream = self.live()
        self.bus.subscribe(PlayStarted, lambda _event: stream.end("not today"))
        player = Player(self, stream)
        self.assertEqual((player.ends, player.seen), (["not today"], ""))
        self.assertEqual(player.outlet.catch_up, None)
        self.end()
