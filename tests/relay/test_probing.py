"""What is said of a source that is pulled for a look."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.avtools.job import Probe
from ntvmedia.interfaces import IPullSink
from ntvmedia.media import Packet
from ntvmedia.relay.probing import PROBE_SECONDS, probe
from tests.relay.rig import VIDEO


class _Host:
    def __init__(self) -> None:
        self.reactor = Clock()


class _Source:
    """Gives what the test gives."""

    sink: IPullSink

    def pull(self, host: Any, url: str, options: Any, sink: IPullSink) -> Deferred[None]:
        self.sink = sink
        sink.track_received(VIDEO)
        return Deferred()


class TestProbe(SynchronousTestCase):
    """A source that cannot say itself what is in it."""

    def setUp(self) -> None:
        self.host = _Host()
        self.source = _Source()
        self.answer = probe(self.host, self.source, "stream:liveshow/one", None)

    def give(self, first: int, count: int, milliseconds: int = 40) -> None:
        """Give pictures of 125 bytes."""
        for number in range(first, first + count):
            dts = number * milliseconds * VIDEO.clock_rate // 1000
            self.source.sink.packet_received(Packet(VIDEO, dts, dts, False, bytes(125)))

    def found(self) -> Probe:
        self.host.reactor.advance(PROBE_SECONDS - self.host.reactor.seconds())
        return self.successResultOf(self.answer)

    def test_what_comes_at_once_took_its_time(self) -> None:
        """A server begins with what it has since its last keyframe: that is no faster stream."""
        self.give(0, 50)
        for second in (2, 3):
            self.host.reactor.advance(1)
            self.give(second * 25, 25)
        found = self.found()
        (track,) = found.tracks
        assert track.frame_rate == 25.0
        assert track.bitrate_kbps == found.bitrate_kbps == 25

    def test_a_clock_that_jumps_is_no_time(self) -> None:
        self.give(0, 25)
        self.give(1_000_000, 25)
        self.give(100, 25)
        (track,) = self.found().tracks
        assert track.frame_rate == 25.0
        assert track.bitrate_kbps == 25  # in three seconds

    def test_one_picture_has_no_rate(self) -> None:
        self.give(0, 1)
        (track,) = self.found().tracks
        assert track.frame_rate == 0.0
