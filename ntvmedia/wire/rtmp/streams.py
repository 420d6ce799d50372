"""The message streams of one connection, as its server keeps them (RTMP 1.0 section 7.2.1.3)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from ntvmedia.wire.rtmp.events import PlayStopped, Unpublished

MAX_STREAMS: Final = 16
"""Message streams that a connection may have at a time. Encoders use one."""

NO_STREAM: Final = -1
"""An id that no message has."""


class StreamState(StrEnum):
    """What a message stream is used for.

    `accept_publish` and `accept_play` lead from IDLE to the other two; `closeStream`,
    `deleteStream`, `FCUnpublish`, a further `publish` or `play`, `stop_publish` and `stop_play`
    lead back. A request that waits for its answer leaves the stream IDLE.
    """

    IDLE = "idle"
    PUBLISHING = "publishing"
    PLAYING = "playing"


class MessageStreams:
    """Which message streams there are, and what for.

    Attributes:
        states: By id.
        published: The one that is published, of which a connection has one at most; or
            `NO_STREAM`.
        seekable: Those playing of which seeking is possible.
    """

    __slots__ = ("published", "seekable", "states")

    def __init__(self) -> None:
        self.states: dict[int, StreamState] = {}
        self.published = NO_STREAM
        # Of nearly all connections none is: they share this one.
        self.seekable: frozenset[int] = frozenset()

    def create(self) -> int | None:
        """Take the lowest free id from 1; None where there are `MAX_STREAMS` already."""
        for stream_id in range(1, MAX_STREAMS + 1):
            if stream_id not in self.states and self.enter(stream_id):
                return stream_id
        return None

    def enter(self, stream_id: int) -> bool:
        """Make sure that an id is known; return whether it is.

        Some encoders publish on an id that they never asked for.
        """
        if stream_id not in self.states:
            if len(self.states) >= MAX_STREAMS:
                return False
            self.states[stream_id] = StreamState.IDLE
        return True

    def publish(self, stream_id: int) -> None:
        """Note that a stream is published."""
        self.states[stream_id] = StreamState.PUBLISHING
        self.published = stream_id

    def play(self, stream_id: int, seekable: bool) -> None:
        """Note that a stream is played."""
        self.states[stream_id] = StreamState.PLAYING
        if seekable:
            self.seekable |= {stream_id}

    def end(self, stream_id: int) -> tuple[Unpublished | PlayStopped, ...]:
        """End what a stream is used for; return the event of that, if it was for anything."""
        state = self.states.get(stream_id, StreamState.IDLE)
        if state is StreamState.IDLE:
            return ()
        self.states[stream_id] = StreamState.IDLE
        self.seekable -= {stream_id}
        if state is StreamState.PLAYING:
            return (PlayStopped(stream_id),)
        self.published = NO_STREAM
        return (Unpublished(stream_id),)

    def delete(self, stream_id: int) -> tuple[Unpublished | PlayStopped, ...]:
        """As `end`, and free the id."""
        events = self.end(stream_id)
        self.states.pop(stream_id, None)
        return events

    def all_idle(self) -> bool:
        """Whether none is used."""
        return all(state is StreamState.IDLE for state in self.states.values())
