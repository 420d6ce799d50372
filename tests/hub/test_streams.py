"""Tests of ntvmedia.hub.streams: who waits for what is not there."""

from __future__ import annotations

from ntvmedia.events import (
    StreamIdle,
    StreamWanted,
)
from ntvmedia.hub.refusals import HubFull, NotFound
from ntvmedia.media import StreamKey
from tests.hub.cases import (
    KEY,
    HubCase,
    Player,
)
from tests.hub.fakes import (
    FakePublisher,
    audio,
    video,
)


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
