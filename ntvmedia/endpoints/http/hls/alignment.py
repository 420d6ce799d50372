"""What all playlists of one name share: where segments are cut, how time is told, what broke when.

RFC 8216bis section 6.2.4: variants and their sounds have the same target duration, matching times
and dates, and the same number of discontinuities before the same content.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Protocol

CLOCK_RATE: Final = 90000
"""Ticks a second of all times here."""

# Keyframes of two encodings of one picture differ by what milliseconds and a frame's delay leave.
SAME_TICKS: Final = CLOCK_RATE // 20

# What breaks within this time of the beginning of a segment, breaks before it.
BREAK_TICKS: Final = CLOCK_RATE // 2

# While nobody knows how long segments are, whole seconds.
MOST_TARGET: Final = 20

# Boundaries that one who lags may still ask for: more than a minute of the shortest segments.
MAX_BOUNDARIES: Final = 64

# Publishers whose clocks were started within this time of each other share one: one encoder, that
# connected them one after the other.
SAME_CLOCK_SECONDS: Final = 2.0

# As many encoders as there may be joined streams, and those before them.
MAX_CLOCKS: Final = 24

# So old may be what has come of a stream; the wall clock is not believed to differ by more.
LATEST_MS: Final = 1500


class Follower(Protocol):
    """What is cut where others are."""

    def follow(self, time: int) -> None:
        """Take note that a segment of others ends at a time."""


class Alignment:
    """The segments of all playlists of a stream, or of streams that are joined.

    Whoever comes first to a time decides whether a segment ends there; the others follow. What
    breaks in one of them is a discontinuity in all.

    Args:
        discontinuities: The number that the first segment has.

    Attributes:
        target_duration: Whole seconds that no segment exceeds, rounded; 0 until the first is
            finished, and the same from then on.
        part_target: Ticks that no part exceeds; 0 until it is known, and the same from then on.
        pictures: How many outputs with pictures are made now; sound follows them.
        parted_pictures: How many of these have parts.
        followers: Told of each place where segments end.
        playlists: All of them.
    """

    def __init__(self, discontinuities: int) -> None:
        self.target_duration = 0
        self.part_target = 0
        self.pictures = 0
        self.parted_pictures = 0
        self.followers: dict[Follower, None] = {}
        self.playlists: list[Any] = []
        self._stream: object = None
        self._boundaries: deque[int] = deque(maxlen=MAX_BOUNDARIES)
        self._first = discontinuities
        self._breaks: deque[int] = deque()

    def cuts_at(self, start: int, time: int, *, wanted: bool) -> bool:
        """Decide whether a segment ends with a keyframe.

        Args:
            start: When the segment began to be shown, in ticks of `CLOCK_RATE`.
            time: When the keyframe is shown.
            wanted: What the caller would do alone.
        """
        latest: int | None = None
        # Who sends ahead of time decides for nobody else.
        most = start + (self.target_duration or MOST_TARGET) * CLOCK_RATE + BREAK_TICKS
        for boundary in reversed(self._boundaries):
            if boundary > most:
                continue
            if abs(boundary - time) <= SAME_TICKS < boundary - start:
                return True
            latest = boundary if latest is None else max(latest, boundary)
            if boundary < time - SAME_TICKS:
                break
        if latest is not None and time < latest:
            return False  # the others went by
        if wanted:
            self._boundaries.append(time)
            for follower in tuple(self.followers):
                follower.follow(time)
        return wanted

    def number_at(self, start: int) -> int:
        """Return how many discontinuities there are before a segment, with those of its own.

        Args:
            start: When it begins to be shown.
        """
        return self._first + sum(x <= start + BREAK_TICKS for x in self._breaks)

    def break_at(self, start: int, number: int) -> None:
        """Take note that something breaks before a segment. Idempotent.

        What breaks in several playlists at about the same time is one discontinuity.

        Args:
            start: When the segment begins to be shown.
            number: What the segment before it has.
        """
        if self.number_at(start) > number:
            return
        # It may be that this one was alone with what broke before.
        self._first = max(self._first, number - len(self._breaks))
        self._breaks.append(start)
        if len(self._breaks) > MAX_BOUNDARIES:
            self._breaks.popleft()
            self._first += 1

    def follow(self, stream: object) -> None:
        """Take the times of a stream; those of the one before are other ones."""
        before, self._stream = self._stream, stream
        if before is not None and before is not stream:
            self._boundaries.clear()
            self._first += len(self._breaks) + 1
            self._breaks.clear()


class TimeBase:
    """One timeline for streams that are joined.

    It is that of the stream that came first. An encoder that publishes several streams gives them
    the same times; each of them is moved by whole milliseconds on the hub's timeline, which is
    undone here. Streams of encoders that know nothing of each other are put side by side by the
    wall clock.

    Attributes:
        wall_seconds: The wall clock, in seconds since 1970, when its time was 0.
    """

    def __init__(self) -> None:
        self.wall_seconds: float | None = None
        self._began = 0.0
        # When the clock of an encoder began, and what is added to its own times.
        self._clocks: deque[tuple[float, int]] = deque(maxlen=MAX_CLOCKS)

    def offset_ms(self, stream: Any, now: float) -> int:
        """Return what to add to a stream's times.

        To be asked when its playlist begins, and when its publisher's clock has changed.

        Args:
            stream: A `ntvmedia.hub.stream.Stream` with an epoch.
            now: Monotonic seconds.
        """
        wall, shift = stream.epoch.wall_seconds, stream.timeline.shift_ms
        clock_began = wall + shift / 1000  # the wall clock when the publisher's time was 0
        known = min(self._clocks, key=lambda x: abs(x[0] - clock_began), default=None)
        if self.wall_seconds is None:
            self.wall_seconds = wall
            self._began = now - stream.timeline.position
            offset = 0
        elif known is not None and abs(known[0] - clock_began) <= SAME_CLOCK_SECONDS:
            return known[1] - int(shift)
        else:
            offset = round((wall - self.wall_seconds) * 1000)
            # What has come is some moments old; but who set the clock has not moved time.
            passed = round((now - self._began - stream.timeline.position) * 1000)
            if abs(offset - passed) > LATEST_MS:
                offset = passed
        self._clocks.append((clock_began, int(shift) + offset))
        return offset
