"""Tests of ntvmedia.relay.intake, and of `Fan`: how long what is pulled may wait to be read."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ntvmedia.clients.rtmp.connection import ClientConnection
from ntvmedia.hub.merged_reads import MergedReads
from ntvmedia.hub.stream import UNWATCHED_PATIENCE
from ntvmedia.interfaces import IPullSink
from ntvmedia.media import Packet, StreamKey
from ntvmedia.relay.attempt import Fan
from ntvmedia.relay.intake import MAX_TRACKS
from tests.endpoints.rtmp.server import frame, sound
from tests.relay.rig import AUDIO, KEY, RelayCase
from tests.relay.test_rings import STEP, RingCase


class Impatient:
    """A sink of the hub that wants each packet at once."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_values: None


class PatienceTests(RelayCase):
    """What an intake says."""

    def test_of_what_is_published(self) -> None:
        """None before the first media and after the end; else that of the stream."""
        self.add()
        sink = self.source.last.sink
        verifyObject(IPullSink, sink)
        self.assertEqual(sink.patience, 0.0)
        self.source.last.start()
        self.assertEqual((sink.patience, self.stream().patience), (UNWATCHED_PATIENCE,) * 2)
        urgent = Impatient()
        self.stream().attach(urgent, urgent=True)
        self.assertEqual(sink.patience, 0.0)
        self.stream().detach(urgent)
        self.assertEqual(sink.patience, UNWATCHED_PATIENCE)
        self.source.last.end()
        self.assertEqual(sink.patience, 0.0)
        self.finish()

    def test_of_several(self) -> None:
        """A source of several outputs waits for none longer than that one may."""
        self.add(renditions=[{"stream": "low"}])
        sink = self.source.last.sink
        self.assertIsInstance(sink, Fan)
        self.assertEqual(sink.patience, 0.0)
        self.source.last.start()
        self.assertEqual(sink.patience, UNWATCHED_PATIENCE)
        self.stream(KEY._replace(stream="low")).attach(Impatient(), urgent=True)
        self.assertEqual(sink.patience, 0.0)
        self.finish()

    def test_of_a_transcoder(self) -> None:
        """What is encoded first is given on as it comes: who encodes says of no patience."""
        self.add(video={"codec": "h264"})
        sink = self.source.last.sink
        self.source.last.start()
        self.assertIsNotNone(self.stream())
        self.assertEqual(sink.patience, 0.0)
        self.finish()


class FanTests(SynchronousTestCase):
    """What a fan says."""

    def test_least(self) -> None:
        """The least of what all say."""
        sinks = [SimpleNamespace(patience=seconds) for seconds in (0.1, 0.05, 0.2)]
        fan = Fan(sinks, print)
        verifyObject(IPullSink, fan)
        self.assertEqual(fan.patience, 0.05)
        self.assertEqual(Fan([*sinks, SimpleNamespace()], print).patience, 0.0)


class RoundsTests(RingCase):
    """Whole pulls by RTMP."""

    time = 0

    def test_read_in_rounds(self) -> None:
        """A connection that nobody waits for is read in rounds, and at once for who waits."""
        taken: list[Any] = []
        # In memory there is no socket to read: it is seen who would be read when.
        self.patch(MergedReads, "can_take", staticmethod(lambda _transport: True))
        self.patch(MergedReads, "add", lambda _self, reader: taken.append(reader))
        self.patch(MergedReads, "remove", lambda _self, reader: taken.remove(reader))
        self.make("ab")
        publisher = self.nodes["b"].publisher(name="x")
        self.relay("a", "rtmp://b/liveshow/x", "x")
        self.run_for(1)

        def ours() -> int:
            """Return how many connections of ours are read in rounds, after some media."""
            for time in range(self.time, self.time + 80, 40):
                publisher.send(frame(time, is_keyframe=True), sound(time))
                self.run_for(STEP)
            self.time += 80
            return sum(isinstance(reader, ClientConnection) for reader in taken)

        self.assertEqual(ours(), 1)
        stream = self.nodes["a"].hub.streams[StreamKey("liveshow", "x")]
        urgent = Impatient()
        stream.attach(urgent, urgent=True)
        self.assertEqual(ours(), 0)
        stream.detach(urgent)
        self.assertEqual(ours(), 1)
        self.finish()


class BoundTests(RelayCase):
    """What a source may announce."""

    def test_most_tracks(self) -> None:
        """A source that announces tracks without end is heard up to a number of them."""
        self.add()
        sink = self.source.last.sink
        for number in range(3):
            for place in range(MAX_TRACKS + 30):
                sink.track_received(replace(AUDIO, number=place, config=bytes([number])))
        self.assertEqual(len(sink._tracks), MAX_TRACKS)
        # Those that it has may change.
        self.assertEqual({track.config for track in sink._tracks.values()}, {bytes([2])})
        first = replace(AUDIO, number=0, config=bytes([2]))
        last = replace(AUDIO, number=MAX_TRACKS + 1, config=bytes([2]))
        sink.packet_received(Packet(last, 0, 0, True, b"x"))
        self.assertIsNone(self.stream())
        sink.packet_received(Packet(first, 0, 0, True, b"x"))
        self.assertIsNotNone(self.stream())
        self.finish()


class PassedTests(RelayCase):
    """E-ST-08: what a source says of the servers that its stream has passed."""

    HOPS = ("00000000000000a1", "00000000000000a2")

    def test_kept(self) -> None:
        """All that is made of it knows, also what is encoded first."""
        self.add(renditions=[{"stream": "low"}], video={"codec": "h264"})
        self.source.last.sink.passed(self.HOPS)
        self.source.last.start()
        for stream in ("", "low"):
            key = KEY._replace(stream=stream) if stream else KEY
            self.assertEqual(self.stream(key).hops, self.HOPS)
        self.finish()

    def test_changed(self) -> None:
        """Another way, while it is there, is another try: who has it was told the first."""
        id_ = self.add()
        sink = self.source.last.sink
        sink.passed(self.HOPS)
        self.source.last.start()
        sink.passed(self.HOPS)
        self.assertEqual(self.state(id_).state, "running")
        sink.passed(self.HOPS[:1])
        self.assertIn("other servers", self.state(id_).reason)
        self.finish()
