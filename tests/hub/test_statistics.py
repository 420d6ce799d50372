"""Tests of ntvmedia.hub.statistics and viewer: what is counted."""

from __future__ import annotations

from ntvmedia.events import (
    PlayEnded,
    PlayStarted,
    PublishEnded,
)
from ntvmedia.hub.statistics import describe_stream, describe_viewer
from tests.hub.cases import (
    FLV,
    INFO,
    KEY,
    HubCase,
    Player,
)
from tests.hub.fakes import (
    video,
)


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
        self.assertEqual((self.hub.stalled, stream.audience.stalled), (1, 1))
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
