"""What a segmenter gives, to whom, and by whose wishes: finished segments and parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol


class Cut(NamedTuple):
    """A finished segment.

    Attributes:
        start: When it begins to be shown, in ticks of `CLOCK_RATE`, on the stream's timeline.
        duration: In the same ticks, above 0.
        body: In the segmenter's format.
        follows: Nothing of the timeline is missing between the one before and this one.
        at_keyframe: It can be decoded without those before it.
        last_part: What of it is not in its parts yet; None where it has no parts.
    """

    start: int
    duration: int
    body: bytes
    follows: bool
    at_keyframe: bool
    last_part: PartCut | None


class PartCut(NamedTuple):
    """A part of a segment.

    Attributes:
        start: When the segment begins to be shown, as of `Cut`.
        duration: Of the part, in ticks; above the target where a picture is shown for so long.
        body: In the segmenter's format.
        follows: As of `Cut`.
        at_keyframe: The part begins with a keyframe.
    """

    start: int
    duration: int
    body: bytes
    follows: bool
    at_keyframe: bool


class Receiver(Protocol):
    """What is given segments."""

    def segment_begun(self, start: int, *, follows: bool) -> None:
        """Take note that a segment is begun; arguments as of `Cut`."""

    def segment_finished(self, cut: Cut) -> None:
        """Take a segment."""

    def part_finished(self, part: PartCut) -> None:
        """Take a part of the segment that is being filled; never the last one."""


class Wishes(NamedTuple):
    """What the owner of a playlist wants of its segments.

    Attributes:
        segment_seconds: Asked for their least length.
        part_seconds: Asked for the length of parts.
        longest_group: Asked for the longest time between keyframes that was seen, in seconds.
    """

    segment_seconds: Callable[[], float]
    part_seconds: Callable[[], float]
    longest_group: Callable[[], float]
