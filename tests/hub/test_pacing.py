"""Tests of ntvmedia.hub.pacing: when blocks are sent."""

from __future__ import annotations

from itertools import pairwise

from ntvmedia.hub.pacing import Pacing
from ntvmedia.hub.stream import Stream
from tests.hub.cases import (
    HubCase,
    Player,
)
from tests.hub.fakes import (
    AUDIO,
    audio,
    video,
)


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
        """With low latency nothing is held back longer than 50 ms, however many watch."""
        self.assertLessEqual(max(self.gaps("low", 600)), 0.055)

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


def test_interval() -> None:
    """It grows with the viewers to the limit, and comes back to nothing."""
    for latency, longest, most in (("auto", 0.35, 0.35), ("auto", 0.1, 0.1), ("low", 0.35, 0.05)):
        pacing = Pacing(latency, longest)
        seen = [pacing.interval]
        for _viewer in range(1000):
            pacing.viewers_changed(1)
            seen.append(pacing.interval)
        assert seen == sorted(seen)
        assert seen[10] == 0.0
        assert seen[-1] == most
        for _viewer in range(1000):
            pacing.viewers_changed(-1)
        assert (pacing.interval, pacing.viewers) == (0.0, 0)


def test_no_merging() -> None:
    """A limit of nothing turns merging off."""
    pacing = Pacing("auto", 0.0)
    for _viewer in range(1000):
        pacing.viewers_changed(1)
    assert pacing.interval == 0.0
