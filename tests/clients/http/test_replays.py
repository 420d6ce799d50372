"""Tests of ntvmedia.clients.http.replays."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings, strategies as st
from twisted.internet.task import Clock

from ntvmedia.clients.http.replays import REMEMBERED, Memory, ReplayFilter
from ntvmedia.media.packets import Codec, Packet, Track
from tests.clients.test_pacing import AUDIO, DATA, VIDEO, Sink


def packet(track: Track, number: int, offset: int = 0) -> Packet:
    """Return the packet of that number: 25 a second, none like another."""
    dts = number * track.clock_rate // 25 + offset
    return Packet(track, dts, dts, number % 25 == 0, b"%d %d" % (track.id, number))


def make() -> tuple[ReplayFilter, Any]:
    """Return a filter with its tracks, and what it gives on."""
    sink: Any = Sink(Clock())
    made = ReplayFilter(sink)
    for track in (VIDEO, AUDIO, DATA):
        made.track_received(track)
    sink.given.clear()
    return made, sink


def give(made: ReplayFilter, numbers: range, offset: int = 0) -> None:
    """Give the packets of both tracks."""
    for number in numbers:
        made.packet_received(packet(VIDEO, number, offset))
        made.packet_received(packet(AUDIO, number, offset))


def test_replayed() -> None:
    """E-ST-07: what a server sends again after a loss is left out; no time goes back."""
    made, sink = make()
    give(made, range(1000))
    made.reconnected()
    give(made, range(250, 1100))
    expected = [packet(track, n) for n in range(1100) for track in (VIDEO, AUDIO)]
    assert sink.items() == expected
    assert made.dropped == 2 * 750


def test_rounded() -> None:
    """Times of sound that were counted from another packet are the same within a hair."""
    made, sink = make()
    give(made, range(100))
    made.reconnected()
    give(made, range(50, 150), offset=1)
    assert len(sink.given) == 2 * 150


def test_another_clock() -> None:
    """A server that begins each connection at 0 has other pictures at the same times: all pass."""
    made, sink = make()
    give(made, range(1000))
    made.reconnected()
    for number in range(100):
        for track in (VIDEO, AUDIO):
            made.packet_received(packet(track, number)._replace(payload=b"new %d" % number))
    assert (len(sink.given), made.dropped) == (2200, 0)


def test_same_pictures_later() -> None:
    """So do the same packets at other times: a file that begins anew."""
    made, sink = make()
    give(made, range(100))
    made.reconnected()
    give(made, range(100), offset=90000 * 1000)
    assert (len(sink.given), made.dropped) == (400, 0)


def test_first_connection() -> None:
    """Before a loss nothing is looked at: an encoder may send a packet twice."""
    made, sink = make()
    give(made, range(10))
    give(made, range(10))
    assert (len(sink.given), made.dropped) == (40, 0)


def test_data() -> None:
    """Captions of any time pass."""
    made, sink = make()
    word = Packet(DATA, 0, 0, True, b"word")
    made.packet_received(word)
    made.reconnected()
    made.packet_received(word)
    assert sink.items() == [word, word]


def test_bounded() -> None:
    """What was there longer ago than is remembered is taken for new."""
    made, sink = make()
    give(made, range(REMEMBERED + 10))
    made.reconnected()
    give(made, range(5))
    assert made.dropped == 0
    assert len(sink.given) == 2 * (REMEMBERED + 15)
    made, sink = make()
    give(made, range(REMEMBERED + 10))
    made.reconnected()
    give(made, range(10, 15))
    assert made.dropped == 10


def test_another_rate() -> None:
    """A track whose clock changed has no past; what is said passes on."""
    made, sink = make()
    give(made, range(10))
    slower = Track(Codec.AAC, clock_rate=24000)
    made.track_received(slower)
    made.metadata_received({"a": 1})
    made.reconnected()
    made.packet_received(Packet(slower, 0, 0, True, b"x"))
    made.batch_ended()
    assert sink.items()[-3:] == [slower, {"a": 1}, Packet(slower, 0, 0, True, b"x")]
    assert sink.batches == 1


def test_handed_on() -> None:
    """E-ST-07: what one pull gave on is left out of the next one, and of the one after that."""
    memories: dict[int, Memory] = {}
    given: list[Any] = []
    for numbers in (range(100), range(40, 90), range(60, 150)):
        sink: Any = Sink(Clock())
        made = ReplayFilter(sink, memories)
        for track in (VIDEO, AUDIO, DATA):
            made.track_received(track)
        made.packet_received(Packet(DATA, 0, 0, True, b"word"))
        give(made, numbers)
        found = [x for x in sink.items() if isinstance(x, Packet) and x.track is not DATA]
        assert made.passed == len(found)
        given += found
    assert given == [packet(track, n) for n in range(150) for track in (VIDEO, AUDIO)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 100)), min_size=1, max_size=6))
def test_each_once(connections: list[tuple[int, int]]) -> None:
    """Whatever pieces of one stream several connections bring, no picture comes again."""
    made, sink = make()
    seen = 0
    for start, count in connections:
        first = min(start, seen)
        give(made, range(first, first + count))
        seen = max(seen, first + count)
        made.reconnected()
    assert sink.items() == [packet(track, n) for n in range(seen) for track in (VIDEO, AUDIO)]
