"""Tests of ntvmedia.avtools.feeding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ntvmedia.avtools.feeding import MAX_DATA, MAX_QUEUE_BYTES, Feed
from ntvmedia.avtools.framing import FrameReader, FrameType, read_packet, read_track
from ntvmedia.media.packets import Codec, Packet, Track

VIDEO = Track(Codec.H264)
AUDIO = Track(Codec.AAC, clock_rate=48000)


class Pipe:
    """A pipe that says it is full after some bytes, as Twisted's transports do."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.written = b""
        self.producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take who is told."""
        assert streaming
        self.producer = producer

    def write(self, data: bytes) -> None:
        """Take bytes."""
        self.written += data
        if len(self.written) > self.room:
            self.producer.pauseProducing()

    def frames(self) -> list[FrameType]:
        """Return the types of what was written."""
        reader = FrameReader()
        reader.receive_data(self.written)
        return [x.type for x in reader.frames()]

    def times(self) -> list[int]:
        """Return the decode times of the packets that were written."""
        reader = FrameReader()
        reader.receive_data(self.written)
        return [read_packet(x.body).dts for x in reader.frames() if x.type is FrameType.PACKET]


def make(room: int) -> tuple[Feed, Pipe, list[bool]]:
    """Make a feed and its pipe."""
    pipe = Pipe(room)
    calls: list[bool] = []
    return Feed(pipe, calls.append), pipe, calls


def test_order() -> None:
    """What waits goes out in order when there is room again, and no more than there is room for."""
    feed, pipe, calls = make(100)
    feed.track_received(VIDEO)
    for time in range(10):
        feed.packet_received(Packet(VIDEO, time, time, True, bytes(100)))
    assert pipe.times() == []
    assert calls == [True]
    assert feed.queued > 1000
    pipe.room = 500
    feed.resumeProducing()
    assert 0 < len(pipe.times()) < 10
    assert False not in calls
    pipe.room = 10_000
    feed.resumeProducing()
    assert pipe.times() == list(range(10))
    assert calls[-1] is False
    assert feed.queued == feed.dropped == 0


def test_drops_to_a_keyframe() -> None:
    """A child that is too slow loses whole groups of pictures, with their sound; no tracks."""
    feed, pipe, _calls = make(0)
    feed.track_received(VIDEO)
    feed.track_received(AUDIO)
    size = MAX_QUEUE_BYTES // 8
    for time in range(20):
        feed.packet_received(Packet(VIDEO, time, time, time % 5 == 0, bytes(size)))
    kept = feed.queued
    assert MAX_QUEUE_BYTES - size * 2 < kept <= MAX_QUEUE_BYTES + 1000
    dropped = feed.dropped
    assert dropped > 10
    changed = Track(Codec.H264, config=b"new")
    feed.track_received(changed)
    pipe.room = 1 << 30
    feed.resumeProducing()
    count = len(pipe.times())
    feed.packet_received(Packet(VIDEO, 100, 100, False, b""))
    feed.packet_received(Packet(AUDIO, 101, 101, True, b""))
    feed.packet_received(Packet(VIDEO, 102, 102, True, b""))
    feed.packet_received(Packet(AUDIO, 103, 103, True, b""))
    assert pipe.times()[count:] == [102, 103]
    assert feed.dropped == dropped + 2
    assert pipe.frames().count(FrameType.TRACK) == 3


def test_sound_alone() -> None:
    """Without pictures, any packet of sound is a new beginning."""
    feed, pipe, _calls = make(0)
    feed.track_received(AUDIO)
    for time in range(5):
        feed.packet_received(Packet(AUDIO, time, time, True, bytes(MAX_QUEUE_BYTES // 3)))
    assert feed.dropped
    pipe.room = 1 << 30
    feed.resumeProducing()
    feed.packet_received(Packet(AUDIO, 9, 9, True, b""))
    assert pipe.times()[-1] == 9


def test_data() -> None:
    """Much data is cut into frames; after the end nothing is written or called."""
    feed, pipe, calls = make(1 << 30)
    feed.write_data(bytes(2 * MAX_DATA + 1))
    assert pipe.frames() == [FrameType.DATA] * 3
    feed.close()
    feed.write_data(b"x")
    feed.pauseProducing()
    feed.resumeProducing()
    feed.stopProducing()
    assert pipe.frames() == [FrameType.DATA] * 3
    assert calls == []


def test_tracks_without_end() -> None:
    """A track that changes with each packet fills no memory; the last is told before the next."""
    feed, pipe, _calls = make(100)
    for number in range(400):
        feed.track_received(replace(VIDEO, config=number.to_bytes(4, "big") * 16_000))
        feed.packet_received(Packet(VIDEO, number, number, True, b"x"))
    assert feed.queued < MAX_QUEUE_BYTES + (1 << 20)
    last = replace(VIDEO, config=b"last")
    feed.track_received(AUDIO)
    feed.track_received(last)
    pipe.room = 1 << 30
    feed.resumeProducing()
    assert feed.queued == 0
    feed.packet_received(Packet(last, 1000, 1000, True, b"x"))
    reader = FrameReader()
    reader.receive_data(pipe.written)
    *_before, first, second, packet = reader.frames()
    assert {read_track(x.body)[1] for x in (first, second)} == {last, AUDIO}
    assert read_packet(packet.body).dts == 1000
    feed.packet_received(Packet(last, 1001, 1001, False, b"x"))
    assert pipe.times()[-1] == 1001


def test_tracks_alone() -> None:
    """Nor do tracks without a single packet between them."""
    feed, pipe, _calls = make(100)
    for number in range(400):
        feed.track_received(replace(VIDEO, config=number.to_bytes(4, "big") * 16_000))
    assert feed.queued < MAX_QUEUE_BYTES + (1 << 20)
    pipe.room = 1 << 30
    feed.resumeProducing()
    feed.packet_received(Packet(VIDEO, 1, 1, True, b"x"))
    reader = FrameReader()
    reader.receive_data(pipe.written)
    *_before, track, _packet = reader.frames()
    assert read_track(track.body)[1].config == (399).to_bytes(4, "big") * 16_000
