"""Decode times made up from presentation times: RTP tells only these (RFC 6184 5.1).

Pictures come in the order of decoding. When a decoder holds back at most N of them, the decode
times of one after the other are the presentation times in rising order, N pictures late: by then
no smaller one can come. So a time is known at once, rises always, and is never after presentation.
The first N count back from the first picture in steps of the frame rate.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from ntvmedia.media.packets import VIDEO_CLOCK_RATE

DEFAULT_STEP: Final = VIDEO_CLOCK_RATE // 25
"""Ticks between pictures where the frame rate is not told."""

# What is held back where the stream does not tell: two serve pyramids of B-frames, which is what
# encoders make. Where fewer were needed for a while, fewer are held; no more than four ever.
_GUESS: Final = 2
_MAX_GUESS: Final = 4
_WATCHED: Final = 100

# After a longer gap the times before it tell nothing of those behind it: 1 s.
_GAP: Final = VIDEO_CLOCK_RATE


class DecodeTimes:
    """Makes the decode times of one video track; for a codec without reordering, `depth` is 0.

    Args:
        depth: Pictures held back; None where the stream does not tell.
        step: Ticks between pictures.
    """

    __slots__ = ("_depth", "_highest", "_is_guess", "_last", "_needed", "_step", "_waiting", "_was")

    def __init__(self, depth: int | None = None, step: int = DEFAULT_STEP) -> None:
        self._waiting: list[int] = []
        self._last: int | None = None
        self._highest: int | None = None
        # The last presentation times in the order of decoding, and what that needed.
        self._was: list[int] = []
        self._needed = 0
        self.configure(depth, step)

    def configure(self, depth: int | None, step: int = DEFAULT_STEP) -> None:
        """Take what a new configuration tells; times go on rising."""
        self._is_guess = depth is None
        self._depth = _GUESS if depth is None else depth
        self._step = step

    def take(self, pts: int) -> tuple[int, int]:
        """Return the decode and the presentation time of the next picture.

        The presentation time is later than `pts` only where that was wrong: before pictures
        that should have been shown after it.
        """
        last, highest = self._last, self._highest
        if highest is None or pts - highest > _GAP:
            self._waiting.clear()
            self._was.clear()
            highest = pts
        elif pts > highest:
            highest = pts
        self._highest = highest
        if self._is_guess:
            self._watch(pts)
        depth = self._depth
        if depth:
            waiting = self._waiting
            insort(waiting, pts)
            if len(waiting) > depth:
                dts = waiting.pop(0)
                while len(waiting) > depth:
                    dts = waiting.pop(0)
            else:
                dts = waiting[0] - (depth + 1 - len(waiting)) * self._step
        else:
            dts = pts
            self._waiting.clear()
        if last is not None and dts <= last:
            dts = last + 1
        self._last = dts
        return dts, pts if pts > dts else dts

    def _watch(self, pts: int) -> None:
        """Find how many pictures the stream really needs to be held back."""
        was = self._was
        needed = sum(before > pts for before in was[-_MAX_GUESS:])
        if needed > self._needed:
            self._needed = needed
        if needed > self._depth:
            self._depth = needed
        was.append(pts)
        if len(was) >= _WATCHED:
            self._depth = self._needed
            self._needed = 0
            del was[:-_MAX_GUESS]
