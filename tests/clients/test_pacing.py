"""Tests of ntvmedia.clients.pacing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from hypothesis import given, settings, strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ntvmedia.clients.pacing import FILE, LIVE, MAX_HELD_BYTES, MAX_HELD_ITEMS, Manner, Pacer
from ntvmedia.interfaces import IPullSink
from ntvmedia.media.packets import Codec, Packet, Track

VIDEO = Track(Codec.H264)
AUDIO = Track(Codec.AAC, clock_rate=48000)
DATA = Track(Codec.AMF0, clock_rate=1000)


@implementer(IPullSink)
class Sink:
    """Notes what it is given, and when.

    Attributes:
        given: Seconds, and what.
        batches: How often a batch ended.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.given: list[tuple[float, Any]] = []
        self.batches = 0

    def _note(self, item: Any) -> None:
        self.given.append((self._clock.seconds(), item))

    def track_received(self, track: Track) -> None:
        self._note(track)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        self._note(fields)

    def packet_received(self, packet: Packet) -> None:
        self._note(packet)

    def batch_ended(self) -> None:
        self.batches += 1

    def noted(self, line: str) -> None:
        self._note(line)

    def items(self) -> list[Any]:
        """Return what came."""
        return [item for _time, item in self.given]


def picture(seconds: float, payload: bytes = b"p") -> Packet:
    """Return a packet of the video track."""
    dts = round(seconds * 90000)
    return Packet(VIDEO, dts, dts, True, payload)


def sound(seconds: float) -> Packet:
    """Return a packet of the audio track."""
    dts = round(seconds * 48000)
    return Packet(AUDIO, dts, dts, True, b"s")


def media(seconds: float, start: float = 0.0) -> list[Packet]:
    """Return pictures and sound, ten of each in a second."""
    return [made(start + n / 10) for n in range(round(seconds * 10)) for made in (picture, sound)]


class PacerTests(SynchronousTestCase):
    """One pacer, on a clock of the tests' own."""

    def make(self, manner: Manner = FILE) -> Pacer:
        """Return one; what it says to its source is noted in `calls`."""
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.sink: Any = Sink(self.clock)
        self.calls: list[str] = []
        return Pacer(
            self.clock,
            self.sink,
            manner,
            lambda: self.calls.append("pause"),
            lambda: self.calls.append("resume"),
        )

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.pump([0.005] * round(seconds / 0.005))

    def test_file(self) -> None:
        """E-SR-08: a file that is there at once takes its time; a second of it is given ahead."""
        pacer = self.make()
        packets = media(20.0, start=500.0)
        for packet in packets:
            pacer.packet_received(packet)
        pacer.batch_ended()
        self.assertEqual(len(self.sink.given), 22)
        self.run_for(21)
        self.assertEqual(self.sink.items(), packets)
        for time, packet in self.sink.given:
            at = packet.dts / packet.track.clock_rate - 500.0
            self.assertLess(abs(time - 1000.0 - max(at - 1.0, 0.0)), 0.02)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(pacer.packets, len(packets))

    def test_live(self) -> None:
        """A live stream passes at once, with all that its server had kept for its beginning."""
        pacer = self.make(LIVE)
        for packet in media(15.0):
            pacer.packet_received(packet)
        self.assertEqual(len(self.sink.given), 300)
        for n in range(600):
            packet = picture(15.0 + n / 10)
            pacer.packet_received(packet)
            self.assertEqual(self.sink.given[-1], (self.clock.seconds(), packet))
            self.clock.advance(0.1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_fast_clock(self) -> None:
        """A week of a live stream whose clock is 0.01 % faster than ours is never held up."""
        pacer = self.make(LIVE)
        for n in range(7 * 24 * 3600 // 60):
            for seconds in range(0, 60, 5):
                pacer.packet_received(picture(n * 60 * 1.0001 + seconds))
                self.clock.advance(5.0)
        self.assertEqual((self.clock.getDelayedCalls(), self.calls), ([], []))

    def test_stalled(self) -> None:
        """What comes late, all at once, is made up for; but not all of an hour."""
        pacer = self.make()
        pacer.packet_received(picture(0))
        self.clock.advance(3600.0)
        self.sink.given.clear()
        for packet in media(30.0, start=0.1):
            pacer.packet_received(packet)
        # Those for which it is late, and what may be ahead.
        self.assertLess(len(self.sink.given), 5 * 20)
        self.run_for(30)
        self.assertEqual(len(self.sink.given), 600)

    def test_jump(self) -> None:
        """A clock that jumps, back or ahead, goes on where it was: for each track at its place."""
        pacer = self.make()
        packets = [*media(2.0), *media(2.0, start=5000.0), sound(7.0), picture(7.0), *media(2.0)]
        for packet in packets:
            pacer.packet_received(packet)
        self.run_for(4.0)
        self.assertLess(len(self.sink.given), len(packets))
        self.run_for(1.5)
        self.assertEqual(self.sink.items(), packets)

    def test_full(self) -> None:
        """E-SR-09: with enough for now its source is paused, and goes on with half of it."""
        for count, payload in ((9, bytes(MAX_HELD_BYTES // 8)), (MAX_HELD_ITEMS + 1, b"")):
            pacer = self.make(FILE._replace(held_seconds=1e9))
            pacer.packet_received(picture(0.0))
            pacer.packet_received(picture(1.0))
            for n in range(count):
                self.assertFalse(pacer.is_full)
                pacer.packet_received(picture(2.0 + n, payload))
            self.assertEqual((self.calls, pacer.is_full), (["pause"], True))
            self.assertGreater(pacer.held_seconds, 7.0)
            self.clock.pump([1.0] * (count // 2 - 1))
            self.assertEqual(self.calls, ["pause"])
            self.clock.pump([1.0] * 4)
            self.assertEqual((self.calls, pacer.is_full), (["pause", "resume"], False))
            pacer.stop()

    def test_full_by_time(self) -> None:
        """E-SR-08: so it is with what is enough for some seconds, however small."""
        pacer = self.make(FILE._replace(held_seconds=4.0))
        count = 0
        while not pacer.is_full:
            pacer.packet_received(picture(count / 10))
            count += 1
        # A second is given on at once, four wait.
        self.assertEqual(count, 11 + 42)
        self.run_for(2.0)
        self.assertEqual(self.calls, ["pause"])
        self.run_for(0.2)
        self.assertEqual(self.calls, ["pause", "resume"])

    def test_order(self) -> None:
        """Tracks, metadata and data stay where they are among the packets."""
        pacer = self.make()
        word = Packet(DATA, 0, 0, True, b"")
        items: list[Any] = [
            VIDEO,
            {"a": 1},
            picture(0.0),
            picture(1.5),
            AUDIO,
            {"b": 1},
            word,
            sound(1.5),
        ]
        for item in items:
            if isinstance(item, Track):
                pacer.track_received(item)
            elif isinstance(item, dict):
                pacer.metadata_received(item)
            else:
                pacer.packet_received(item)
        self.assertEqual(self.sink.items(), items[:3])
        self.run_for(1.0)
        self.assertEqual(self.sink.items(), items)
        self.assertEqual(pacer.packets, 3)

    def test_batches(self) -> None:
        """What is given on is sent on: at the end of what came, and each time that it is due."""
        pacer = self.make()
        pacer.packet_received(picture(0.0))
        pacer.batch_ended()
        self.assertEqual(self.sink.batches, 1)
        pacer.packet_received(picture(2.0))
        pacer.batch_ended()
        self.assertEqual(self.sink.batches, 1)
        self.run_for(1.2)
        self.assertEqual(self.sink.batches, 2)

    def test_end(self) -> None:
        """The end comes when the last packet was given on, at once where none waits."""
        pacer = self.make()
        self.successResultOf(pacer.end())
        pacer = self.make()
        for packet in media(3.0):
            pacer.packet_received(packet)
        done = pacer.end()
        self.run_for(1.5)
        self.assertNoResult(done)
        self.run_for(1.0)
        self.successResultOf(done)
        self.assertEqual(len(self.sink.given), 60)

    def test_stop(self) -> None:
        """Nothing comes any more, not even when the sink stops it in the middle of a batch."""
        pacer = self.make()
        for packet in media(3.0):
            pacer.packet_received(packet)
        done = pacer.end()
        pacer.stop()
        pacer.stop()
        pacer.packet_received(picture(9.0))
        pacer.track_received(VIDEO)
        pacer.batch_ended()
        self.assertEqual((len(self.sink.given), self.sink.batches), (22, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNoResult(done)
        pacer = self.make()
        for packet in media(3.0):
            pacer.packet_received(packet)
        count = len(self.sink.given)

        def give(packet: Packet) -> None:
            self.sink.given.append((0.0, packet))
            pacer.stop()

        self.sink.packet_received = give
        self.run_for(1.0)
        self.assertEqual(len(self.sink.given), count + 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_speed(self) -> None:
        """It may be told to hurry a little, from then on."""
        pacer = self.make()
        for packet in media(10.0):
            pacer.packet_received(packet)
        self.run_for(4.05)
        self.assertEqual(len(self.sink.given), 102)
        pacer.speed_changed(2.0)
        self.run_for(2.0)
        self.assertGreater(len(self.sink.given), 170)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([VIDEO, AUDIO]), st.integers(-(1 << 40), 1 << 40)), max_size=30
    ),
    st.sampled_from([FILE, LIVE]),
)
def test_everything_comes(times: list[tuple[Track, int]], manner: Manner) -> None:
    """Whatever the times, all comes in order, and within the sum of the steps that are believed."""
    clock = Clock()
    sink: Any = Sink(clock)
    pacer = Pacer(clock, sink, manner)
    packets = [Packet(track, dts, dts, True, b"") for track, dts in times]
    for packet in packets:
        pacer.packet_received(packet)
    done: list[object] = []
    pacer.end().addCallback(done.append)
    clock.pump([0.5] * (2 * 10 * len(packets) + 4))
    assert sink.items() == packets
    assert done == [None]
    assert clock.getDelayedCalls() == []


class BoundTests(SynchronousTestCase):
    """What a source says of itself counts as its media do, while it waits."""

    def test_all_counts(self) -> None:
        """Captions, metadata and configurations of any size make it full, and no less after."""
        text = "x" * (1 << 20)
        for item in (
            Packet(DATA, 0, 0, True, text.encode()),
            {"title": text},
            {"nested": [{"deep": [text]}]},
            {f"{number}": 1.0 for number in range(20_000)},
            Track(Codec.H264, config=bytes(1 << 20)),
        ):
            clock = Clock()
            calls: list[str] = []
            told = partial(calls.append, "p"), partial(calls.append, "r")
            pacer = Pacer(clock, Sink(clock), FILE, *told)
            for time in (1.0, 2.5):
                pacer.packet_received(picture(time))
            give: Any = {Packet: pacer.packet_received, Track: pacer.track_received}.get(
                type(item), pacer.metadata_received
            )
            for _turn in range(2):
                count = 0
                while not pacer.is_full and count < 8:
                    give(item)
                    count += 1
                self.assertLess(count, 8)
                clock.pump([1.0] * 10)
                self.assertFalse(pacer.is_full)
                pacer.packet_received(picture(4.0))
                pacer.packet_received(picture(8.0))
            pacer.stop()
            self.assertEqual(calls, ["p", "r"] * 2)
