"""What is noted of each stream once a second, for judging its health."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ntvmedia.media import MediaKind, Packet

if TYPE_CHECKING:
    from ntvmedia.hub.stream import Stream
    from ntvmedia.hub.timeline import TrackState

REMEMBERED_SECONDS: Final = 60
"""How long a stream is judged by: what was longer ago is over."""

FIRST_GAPS: Final = 10
"""Samples that say how sound and pictures lay to each other at first: tracks come in turns."""


class Sample(NamedTuple):
    """The counters of a stream at one moment; those that grow are sums since its beginning.

    Attributes:
        at: Monotonic seconds.
        bytes_in: Media bytes.
        video_packets: Of the default video track; 0 without.
        audio_packets: The same of audio.
        position: Of the timeline, in seconds.
        gap: Seconds that the video is ahead of the audio; None where one of them is not there.
        jumps: As of `Timeline`, as is `straightened`.
    """

    at: float
    bytes_in: int
    video_packets: int
    audio_packets: int
    position: float
    gap: float | None
    jumps: int
    straightened: int


class History:
    """What is remembered of one publisher's stream.

    Attributes:
        session: The publisher's number.
        samples: The oldest first, one for each second.
        first_gaps: Those that it began with.
        reorders: Its pictures are sent in another order than shown: it has B-frames.
    """

    __slots__ = ("first_gaps", "reorders", "samples", "session")

    def __init__(self, session: int) -> None:
        self.session = session
        self.samples: deque[Sample] = deque(maxlen=REMEMBERED_SECONDS + 1)
        self.first_gaps: list[float] = []
        self.reorders = False

    def add(self, sample: Sample) -> None:
        """Note one more."""
        self.samples.append(sample)
        if sample.gap is not None and len(self.first_gaps) < FIRST_GAPS:
            self.first_gaps.append(sample.gap)


def sample_of(stream: Stream, now: float) -> Sample:
    """Read the counters of a stream."""
    video, audio = default_state(stream, MediaKind.VIDEO), default_state(stream, MediaKind.AUDIO)
    gap = None
    if video is not None and audio is not None:
        gap = video.last / video.track.clock_rate - audio.last / audio.track.clock_rate
    timeline = stream.timeline
    return Sample(
        now,
        stream.bytes_in,
        video.packets if video is not None else 0,
        audio.packets if audio is not None else 0,
        timeline.position,
        gap,
        timeline.jumps,
        timeline.straightened,
    )


def reorders(packets: Sequence[Packet]) -> bool:
    """Whether pictures are sent in another order than they are shown."""
    shown: dict[int, int] = {}
    for packet in packets:
        track = packet.track
        if track.kind is MediaKind.VIDEO:
            if packet.pts < shown.get(track.id, packet.pts):
                return True
            shown[track.id] = packet.pts
    return False


def default_state(stream: Stream, kind: MediaKind) -> TrackState | None:
    """Return what is counted of the track of a kind that players get; None without one."""
    states = [x for x in stream.timeline.states.values() if x.packets and x.track.kind is kind]
    return min(states, key=lambda state: state.track.number, default=None)
