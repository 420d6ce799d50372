"""What takes a stream's packets without being an output, and viewers without a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ntvmedia.events import PlayEnded, PlayStarted, StreamOver, StreamReady
from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.statistics import describe_stream, describe_viewer
from ntvmedia.hub.stream import GATHERING_PATIENCE
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.media import Packet, Track
from tests.hub.cases import AUDIO_2, KEY, VIDEO_2, HubCase, Player
from tests.hub.fakes import AUDIO, VIDEO, audio, video

VISITOR = ViewerInfo("hls", "192.0.2.7:7", "phone")


class Sink:
    """Notes what it is told, and fails when told to."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.packets: list[Packet] = []
        self.failing = ""

    def _note(self, what: str, *values: object) -> None:
        self.told.append((what, *values) if values else what)
        if what == self.failing:
            raise ValueError(what)

    def start(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], backlog: Sequence[Packet]
    ) -> None:
        """Note it."""
        self._note("start", [x.id for x in tracks], len(backlog))

    def packet(self, packet: Packet) -> None:
        """Note it."""
        self.packets.append(packet)
        self._note("packet", packet.track.kind.value)

    def batch_ended(self) -> None:
        """Note it."""
        self._note("batch")

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> None:
        """Note it."""
        self._note("tracks", len(tracks))

    def metadata_changed(self, metadata: Mapping[str, object]) -> None:
        """Note it."""
        self._note("metadata", dict(metadata))

    def publisher_lost(self) -> None:
        """Note it."""
        self._note("lost")

    def end(self) -> None:
        """Note it."""
        self._note("end")

    def stop(self) -> None:
        """Note it."""
        self._note("stop")


class SinkTests(HubCase):
    """A sink has all that the stream has, from its backlog on."""

    def test_life(self) -> None:
        """It is told of each thing once, in order."""
        publication, stream = self.live()
        sink = Sink()
        stream.attach(sink)
        self.assertEqual(sink.told, [("start", [VIDEO.id, AUDIO.id], 2)])
        sink.told.clear()
        self.send(publication, video(40), audio(40))
        publication.metadata_received({"a": 1})
        publication.track_received(VIDEO_2)
        self.send(publication, video(80, key=True, track=VIDEO_2))
        publication.close("the network", lost=True)
        stream.end("over")
        self.assertEqual(
            sink.told,
            [
                ("packet", "video"),
                ("packet", "audio"),
                "batch",
                ("metadata", {"a": 1}),
                ("tracks", 2),
                ("packet", "video"),
                "batch",
                "lost",
                "end",
            ],
        )
        self.end()

    def test_pictures_never_go_back(self) -> None:
        """A group that was cut short has pictures that were sent ahead of others."""
        publication, stream = self.live()
        sink = Sink()
        stream.attach(sink)
        self.send(publication, video(40)._replace(pts=160 * 90))
        publication.close("connection lost", lost=True)
        publication, _again = self.begin(VIDEO, AUDIO)
        self.send(publication, video(0, key=True), audio(0))
        times = [(x.dts * 1000 // x.track.clock_rate, x.pts // 90) for x in sink.packets]
        self.assertEqual(times[0], (40, 160))
        self.assertEqual(times[1], (200, 200))
        self.assertEqual(times[2][0], 200)
        self.end()

    def test_it_is_no_viewer(self) -> None:
        """It neither counts as one nor makes the publisher's media be read at once."""
        _publication, stream = self.live()
        before = stream.patience
        stream.attach(Sink())
        self.assertEqual((self.hub.viewers, len(stream.viewers)), (0, 0))
        self.assertEqual(stream.patience, before)
        self.end()

    def test_urgent(self) -> None:
        """One that wants each packet at once has the publisher's media read at once."""
        _publication, stream = self.live()
        before = stream.patience
        self.assertGreater(before, 0.0)
        calm, urgent, other = Sink(), Sink(), Sink()
        stream.attach(calm)
        stream.attach(urgent, urgent=True)
        stream.attach(other, urgent=True)
        self.assertEqual(stream.patience, 0.0)
        self.assertEqual((self.hub.viewers, len(stream.viewers)), (0, 0))
        stream.detach(urgent)
        self.assertEqual(stream.patience, 0.0)
        stream.detach(other)
        self.assertEqual(stream.patience, before)
        self.end()

    def test_urgent_beside_many(self) -> None:
        """However many watch, for whom blocks are gathered: it has each packet in its batch."""
        publication, stream = self.live()
        for _viewer in range(700):
            Player(self, stream)
        self.assertEqual(stream.patience, GATHERING_PATIENCE)
        sink = Sink()
        stream.attach(sink, urgent=True)
        self.assertEqual((stream.patience, publication.patience), (0.0, 0.0))
        sink.told.clear()
        self.send(publication, video(40))
        self.assertEqual(sink.told, [("packet", "video"), "batch"])
        self.end()

    def test_urgent_that_fails(self) -> None:
        """G-LC-08: one that fails keeps nobody's media from being gathered."""
        publication, stream = self.live()
        before = stream.patience
        for failing in ("packet", "batch", "start"):
            sink = Sink()
            sink.failing = failing
            if failing == "start":
                self.assertRaises(ValueError, stream.attach, sink, urgent=True)
            else:
                stream.attach(sink, urgent=True)
                self.assertEqual(stream.patience, 0.0)
                self.send(publication, video(40 * len(failing)))
            self.assertEqual(stream.patience, before)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
        self.end()

    def test_detached(self) -> None:
        """It is told nothing more; detaching twice is nothing."""
        publication, stream = self.live()
        sink = Sink()
        stream.attach(sink)
        stream.detach(sink)
        stream.detach(sink)
        sink.told.clear()
        self.send(publication, video(40))
        self.end()
        self.assertEqual(sink.told, [])

    def test_too_early_or_late(self) -> None:
        """A stream whose tracks are not known, or that is over, has nothing to give."""
        publication, stream = self.begin(VIDEO, AUDIO)
        self.assertRaises(NotFound, stream.attach, Sink())
        self.assertRaises(NotFound, stream.visit, VISITOR, lambda reason: None)
        publication.close("done", lost=False)
        self.assertRaises(NotFound, stream.attach, Sink())
        self.end()

    def test_one_that_fails(self) -> None:
        """G-LC-08: it is detached and told to stop; viewers and other sinks go on."""
        publication, stream = self.live()
        player = Player(self, stream)
        for failing in ("packet", "batch", "tracks", "metadata", "lost"):
            bad, good = Sink(), Sink()
            bad.failing = failing
            stream.attach(bad)
            stream.attach(good)
            self.send(publication, video(80 + 80 * len(failing)))
            publication.metadata_received({})
            publication.track_received(AUDIO_2 if failing == "tracks" else AUDIO)
            if failing == "lost":
                publication.close("gone", lost=True)
            self.assertEqual(bad.told[-1], "stop", failing)
            self.assertNotIn("stop", good.told)
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
            stream.detach(good)
        self.assertEqual(player.ends, [])
        self.end()

    def test_one_that_fails_at_the_end(self) -> None:
        """The stream ends for all others all the same."""
        _publication, stream = self.live()
        bad = Sink()
        bad.failing = "end"
        stream.attach(bad)
        player = Player(self, stream)
        self.end()
        self.assertEqual(player.ends, ["done"])
        self.flushLoggedErrors(ValueError)

    def test_one_that_fails_at_its_start(self) -> None:
        """It is not attached, and its maker hears of it."""
        publication, stream = self.live()
        bad = Sink()
        bad.failing = "start"
        self.assertRaises(ValueError, stream.attach, bad)
        bad.told.clear()
        self.send(publication, video(40))
        self.assertEqual(bad.told, [])
        self.end()


class VisitTests(HubCase):
    """Viewers that fetch a stream piece by piece."""

    def setUp(self) -> None:
        super().setUp()
        self.ends: list[str] = []

    def test_counted_like_all_others(self) -> None:
        """C-PL-20: one list for all protocols, events once for each, bytes in the sums."""
        _publication, stream = self.live()
        viewer = stream.visit(VISITOR, self.ends.append)
        viewer.sent_bytes += 1000
        stream.audience.tick(self.reactor.seconds())
        self.reactor.advance(1.0)
        viewer.sent_bytes += 500
        stream.audience.tick(self.reactor.seconds())
        self.assertEqual(self.hub.viewers, 1)
        facts = describe_viewer(viewer)
        self.assertEqual(
            (facts["protocol"], facts["peer"], facts["user_agent"], facts["bytes_out"]),
            ("hls", "192.0.2.7:7", "phone", 1500),
        )
        self.assertEqual((facts["bitrate"], facts["queued_bytes"]), (4000, 0))
        self.assertEqual(describe_stream(stream)["bytes_out"], 1500)
        viewer.leave("no more requests")
        viewer.leave()
        self.assertEqual((self.hub.viewers, stream.bytes_out, viewer.watching), (0, 1500, False))
        [started], [ended] = self.events(PlayStarted), self.events(PlayEnded)
        self.assertEqual((started.protocol, started.session), ("hls", ended.session))
        self.assertEqual((ended.reason, ended.bytes_out), ("no more requests", 1500))
        self.assertEqual(self.ends, [])
        self.end()

    def test_it_costs_no_latency(self) -> None:
        """The interval of the others' blocks does not grow with it."""
        _publication, stream = self.live()
        viewers = [stream.visit(VISITOR, self.ends.append) for _index in range(500)]
        self.assertEqual(self.hub.pacing.interval, 0.0)
        self.assertEqual(self.hub.viewers, len(viewers))
        self.end()
        self.assertEqual(self.ends, ["done"] * 500)

    def test_kicked(self) -> None:
        """It is told, and why."""
        _publication, stream = self.live()
        viewer = stream.visit(VISITOR, self.ends.append)
        viewer.kick("not today")
        self.assertEqual((self.ends, viewer.kicked, len(stream.viewers)), (["not today"], True, 0))
        self.end()

    def test_a_bug_at_its_end(self) -> None:
        """Nobody else notices."""
        _publication, stream = self.live()

        def failing(reason: str) -> None:
            raise ValueError(reason)

        stream.visit(VISITOR, failing)
        player = Player(self, stream)
        self.end()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(player.ends, ["done"])


class EventTests(HubCase):
    """When a stream is there, and when it is not any more."""

    def test_ready_and_over(self) -> None:
        """Each once, ready after the tracks are known, over after viewers were told."""
        happened: list[object] = []
        self.bus.subscribe(StreamReady, happened.append)
        self.bus.subscribe(StreamOver, happened.append)
        publication, stream = self.begin(VIDEO, AUDIO)
        self.assertEqual((happened, stream.is_ready), ([], False))
        self.send(publication, video(0, key=True), audio(0))
        self.assertEqual((happened, stream.is_ready), ([StreamReady(KEY)], True))
        ended: list[object] = []
        stream.visit(VISITOR, lambda reason: ended.extend(happened))
        publication.close("done", lost=False)
        self.assertEqual(ended, [StreamReady(KEY)])
        self.assertEqual(happened, [StreamReady(KEY), StreamOver(KEY)])
        self.end()

    def test_longest_interval(self) -> None:
        """The longest time between keyframes is known before anybody asks for it."""
        publication, stream = self.live()
        before = 0
        for at in (800, 3000, 3500):
            self.reactor.advance((at - before) / 1000)
            before = at
            self.send(publication, video(at, key=True), audio(at))
        self.assertAlmostEqual(stream.longest_keyframe_interval, 2.2)
        self.end()
