"""What the readers of FLV's messages remember: one state for each track, and what went wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeAlias

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.media.packets import Packet, Track

Event: TypeAlias = Track | Packet

# Of each kind. Enhanced RTMP's ladders have up to six; the number is one byte on the wire.
MAX_TRACKS: Final = 32


class Tally:
    """Counts what could not be read.

    Attributes:
        dropped: Messages, or tracks within them, that could not be read.
        last_problem: Why, of the last one; empty before the first.
    """

    __slots__ = ("dropped", "last_problem")

    def __init__(self) -> None:
        self.dropped = 0
        self.last_problem = ""

    def count(self, error: PeerError) -> None:
        """Count one."""
        self.dropped += 1
        self.last_problem = str(error)


class TrackState:
    """What is remembered of one track.

    Attributes:
        number: The track's.
        track: As last announced; None before.
        header: The sequence header as it came, to know it again; None before the first.
        length_size: Bytes before each NAL unit in this track's messages.
        color_info: The last colorInfo, which may come before the track does.
        channels: Of the last multichannel configuration; 0 without.
    """

    __slots__ = ("channels", "color_info", "header", "length_size", "number", "track")

    def __init__(self, number: int) -> None:
        self.number = number
        self.track: Track | None = None
        self.header: bytes | None = None
        self.length_size = 4
        self.color_info = b""
        self.channels = 0

    def announce(self, track: Track, events: list[Event]) -> Track:
        """Make `track` the current one; add it to `events` if it differs from the last."""
        if self.color_info:
            track = replace(track, color_info=self.color_info)
        if track == self.track:
            return self.track
        self.track = track
        events.append(track)
        return track


class TrackStates:
    """The states of all tracks of one kind."""

    def __init__(self) -> None:
        self._states: dict[int, TrackState] = {}

    def __getitem__(self, number: int) -> TrackState:
        """Return a track's state; make it where there is none.

        Raises:
            LimitExceeded: There are `MAX_TRACKS` others.
        """
        state = self._states.get(number)
        if state is None:
            if len(self._states) >= MAX_TRACKS:
                raise LimitExceeded(
                    f"track {number} is one more than allowed",
                    reference="E-RTMP v2, AvMultitrackType",
                    limit=MAX_TRACKS,
                )
            state = self._states[number] = TrackState(number)
        return state
