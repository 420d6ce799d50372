"""Tests of a connection's message streams."""

from __future__ import annotations

from ntvmedia.wire.rtmp.events import PlayStopped, Unpublished
from ntvmedia.wire.rtmp.streams import MAX_STREAMS, NO_STREAM, MessageStreams


def test_ids_ascend_up_to_the_limit() -> None:
    """A-AM-10: ids 1, 2, 3, and no more than the limit however often it is asked."""
    streams = MessageStreams()
    ids = [streams.create() for _ in range(1000)]
    assert ids[:MAX_STREAMS] == list(range(1, MAX_STREAMS + 1))
    assert set(ids[MAX_STREAMS:]) == {None}


def test_a_deleted_id_is_given_again() -> None:
    """Who deletes stream 1 and asks for another is back at the shared bytes' id."""
    streams = MessageStreams()
    assert [streams.create(), streams.create()] == [1, 2]
    assert streams.delete(1) == ()
    assert streams.create() == 1


def test_unknown_ids_are_entered_within_the_limit() -> None:
    """An id that was never asked for counts like the others."""
    streams = MessageStreams()
    assert all(streams.enter(stream_id) for stream_id in range(100, 100 + MAX_STREAMS))
    assert streams.enter(100)
    assert not streams.enter(99)
    assert streams.create() is None


def test_ends() -> None:
    """What a stream was used for ends once, with the event of that."""
    streams = MessageStreams()
    streams.enter(1)
    streams.enter(2)
    streams.publish(1)
    streams.play(2, seekable=True)
    assert not streams.all_idle()
    assert streams.end(1) == (Unpublished(1),)
    assert streams.end(1) == ()
    assert streams.published == NO_STREAM
    assert streams.delete(2) == (PlayStopped(2),)
    assert streams.seekable == set()
    assert streams.all_idle()
    assert streams.end(7) == ()
