"""Tests of ntvmedia.hub.rendition: what viewers get, first and when tracks change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ntvmedia.events import (
    PlayStarted,
)
from ntvmedia.hub.blocks import Block
from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.rendition import Rendition, RenditionKey
from ntvmedia.hub.stream import Stream
from ntvmedia.hub.timeline import LONGEST_WAIT_FOR_KEYFRAME_SECONDS
from ntvmedia.media import Codec, Track
from tests.hub.cases import (
    AUDIO_2,
    INFO,
    KEY,
    OTHER_VIDEO,
    SOUND,
    VIDEO_2,
    HubCase,
    Player,
)
from tests.hub.fakes import (
    AUDIO,
    UNLIMITED,
    VIDEO,
    FakeSerialiser,
    audio,
    video,
)


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


class ShortBlockTests(HubCase):
    """What has no way to hold a sender back is given blocks of little media."""

    LONGEST_MS = 50

    def serialiser(self, options: Any) -> FakeSerialiser:
        """Make one that wants them."""
        made = super().serialiser(options)
        made.longest_block_ms = self.LONGEST_MS  # type: ignore[attr-defined]
        return made

    def rendition(self, stream: Stream) -> Rendition:
        """Have somebody watch, and return what is made for him."""
        self.player = Player(self, stream)
        (found,) = stream.renditions.values()
        return found

    def blocks(self) -> list[str]:
        """Return the blocks that one gets who joins now."""
        outlet = BlockList()
        (rendition,) = self.hub.streams[KEY].renditions.values()
        rendition.add(outlet)  # type: ignore[arg-type]
        rendition.remove(outlet)  # type: ignore[arg-type]
        for block in outlet.blocks:
            first = block.data.decode().split()[0]
            self.assertEqual(block.time_ms, int(first[1:].rstrip("k")))
        return [block.data.decode() for block in outlet.blocks]

    def test_past(self) -> None:
        """The past is cut too, where it is made into blocks for the first who joins."""
        publication, stream = self.live()
        self.send(publication, video(20), video(40), video(60), video(90), audio(100), video(400))
        self.rendition(stream)
        self.assertEqual(self.blocks(), ["v0k a0 v20 v40 ", "v60 v90 a100 ", "v400 "])
        self.end()

    def test_one_read(self) -> None:
        """What comes in one read is cut."""
        publication, stream = self.live()
        self.rendition(stream)
        self.send(publication, video(1000, key=True), video(1040), video(1080), video(1120))
        self.assertEqual(self.blocks(), ["v1000k v1040 ", "v1080 v1120 "])
        self.end()

    def test_many_viewers(self) -> None:
        """However many watch, no more is gathered, though others wait longer."""
        publication, stream = self.live()
        self.rendition(stream)
        for _viewer in range(400):
            self.hub.pacing.viewers_changed(1)
        self.assertGreater(self.hub.pacing.interval, 0.2)
        self.send(publication, video(1000, key=True))
        self.reactor.advance(0.01)
        before = self.player.seen
        self.send(publication, video(1020))
        self.assertEqual(self.player.seen, before)
        self.reactor.advance(0.05)
        self.assertEqual(self.player.seen, before + "v1020 ")
        for _viewer in range(400):
            self.hub.pacing.viewers_changed(-1)
        self.end()


class BlockList:
    """Takes blocks, and does nothing with them."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.catch_up: object = None

    def begin(self, _header: bytes, blocks: Sequence[Block], _generation: int) -> None:
        """Keep them."""
        self.blocks = list(blocks)
