"""Media that is at hand faster than it is to be shown, given out at the speed of life."""

from __future__ import annotations

from typing import Final

AHEAD_SECONDS: Final = 1.0
"""How much is given at once at the beginning: players want something to begin with."""

LATE_SECONDS: Final = 2.0
"""Later than this is not caught up with: the source was too slow, or the process stood still."""

JUMP_SECONDS: Final = 10.0
"""A step of the times longer than this, ahead, is no pause but another clock."""

BACK_SECONDS: Final = 5.0
"""Likewise back; tracks of one file may be this far apart."""


class Pace:
    """Says how long to wait before a packet is given out.

    Where times jump, it goes on from there as though they had not.
    """

    def __init__(self) -> None:
        self._begin: float | None = None
        self._latest = 0.0

    def delay(self, media_seconds: float, now: float) -> float:
        """Return the seconds to wait; 0.0 where it is time, or past it.

        Args:
            media_seconds: The decode time of the packet.
            now: Monotonic seconds.
        """
        begin = self._begin
        latest = self._latest
        if begin is None or not -BACK_SECONDS <= media_seconds - latest <= JUMP_SECONDS:
            # As much ahead as what came before the jump.
            ahead = 0.0 if begin is None else min(max(begin + latest - now, 0.0), AHEAD_SECONDS)
            self._begin = now + ahead - media_seconds
            self._latest = media_seconds
            return 0.0
        delay = begin + media_seconds - AHEAD_SECONDS - now
        if media_seconds > latest:
            self._latest = media_seconds
            if delay < -LATE_SECONDS:
                self._begin = now + AHEAD_SECONDS - media_seconds
        return max(delay, 0.0)
