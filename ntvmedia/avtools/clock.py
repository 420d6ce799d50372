"""One clock for all streams of a source whose times may jump. In the child process only.

What is passed on as it is, the hub repairs; an encoder wants times that rise, and the same jump for
sound and picture.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

TICKS: Final = 90_000
"""Ticks a second of what comes out."""

# Further ahead, or back, is another clock and no pause.
_LONGEST_STEP: Final = 10 * TICKS
_LONGEST_BACK: Final = 1 * TICKS

# What is between the last before a jump and the first after it.
_JOINT: Final = TICKS // 25


class SourceClock:
    """Brings the times of a source's packets to one scale that goes on over jumps."""

    def __init__(self) -> None:
        self._shift = 0
        self._earlier = 0
        self._last: dict[int, int] = {}
        self.jumps = 0

    def shift(self, key: int, ticks: int, time_base: Fraction) -> int:
        """Return by how much the times of a packet are to be moved, in `TICKS`.

        Args:
            key: Of its stream.
            ticks: Its decode time.
            time_base: Seconds of a tick of it.
        """
        time = round(ticks * time_base * TICKS)
        latest = max(self._last.values(), default=None)
        if latest is None:
            self._shift = -time
        else:
            own = self._last.get(key, latest)
            if not own - _LONGEST_BACK <= time + self._shift <= latest + _LONGEST_STEP:
                earlier = time + self._earlier
                if own - _LONGEST_BACK <= earlier <= latest + _LONGEST_STEP:
                    # This stream is still before the jump that another had.
                    self._last[key] = earlier
                    return self._earlier
                self.jumps += 1
                self._earlier, self._shift = self._shift, latest + _JOINT - time
        self._last[key] = time + self._shift
        return self._shift
