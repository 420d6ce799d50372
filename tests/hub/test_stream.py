"""Tests of ntvmedia.hub.stream and publication: tracks found, publishers lost, bugs contained."""

from __future__ import annotations

from typing import Any

from ntvmedia.events import (
    PlayEnded,
    PlayStarted,
    PublishEnded,
    PublishStarted,
)
from ntvmedia.hub.clockwork import TICK_SECONDS, HubService
from ntvmedia.hub.context import StreamState
from ntvmedia.hub.refusals import NameTaken, NotFound
from ntvmedia.hub.rendition import RenditionKey
from ntvmedia.media import Codec, Packet, Track
from tests.hub.cases import (
    AUDIO_2,
    KEY,
    OTHER_VIDEO,
    SOUND,
    VIDEO_2,
    HubCase,
    Player,
)
from tests.hub.fakes import (
    AUDIO,
    VIDEO,
    FakePublisher,
    FakeSerialiser,
    audio,
    video,
)


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

    def test_several_of_a_kind(self) -> None:
        """A-ER-05: all announced tracks are waited for, as long as one would be."""
        for last, wait in ((Packet(OTHER_VIDEO, 0, 0, True, b"x"), 0.0), (video(3000), 1.0)):
            self.make()
            waiter = self.hub.wait_for(KEY)
            publication, _stream = self.begin(VIDEO, AUDIO, OTHER_VIDEO)
            self.send(publication, audio(0), video(0, key=True))
            self.assertNoResult(waiter)
            self.send(publication, last)
            self.reactor.advance(wait)
            self.assertEqual(len(self.successResultOf(waiter).tracks), 2 if wait else 3)
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
