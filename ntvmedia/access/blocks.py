"""Who was sent away, and may not come back for a while (F-AC-09)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ntvmedia.access.networks import Host
from ntvmedia.access.requests import Action
from ntvmedia.media import StreamKey

MAX_BLOCKS: Final = 10_000
"""Kept at a time, some 3 MB; of more the one that ends first is given up."""

# A site of IPv6 has this much to itself at least (RFC 6177), and its hosts change the rest daily
# (RFC 8981).
_IPV6_SHIFT: Final = 64

_Block = tuple[int, int, StreamKey | None, Action]


class Blocks:
    """Blocks by address, stream and action, in memory only: they are short.

    Args:
        clock: Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[_Block, float] = {}
        self._last = float("-inf")

    def __len__(self) -> int:
        return len(self._until)

    def __bool__(self) -> bool:
        """Whether one of them may still hold."""
        return bool(self._until) and self._clock() < self._last

    def add(self, host: Host, key: StreamKey | None, action: Action, seconds: float) -> None:
        """Refuse an address for a while.

        Args:
            host: Of the peer; for IPv6, all of its /64. One without an address is not refused: it
                could not be told from others.
            key: The stream that it may not have; None for all.
            action: What it may not do.
            seconds: How long, from now; 0 or less ends the block.
        """
        block = _block(host, key, action)
        self._until.pop(block, None)
        if seconds <= 0 or not host.version:
            return
        now = self._clock()
        if len(self._until) >= MAX_BLOCKS:
            self._forget(now)
        self._until[block] = now + seconds
        self._last = max(self._last, now + seconds)

    def seconds(self, host: Host, key: StreamKey, action: Action) -> float:
        """Return for how long an address is refused from now; 0 for not at all."""
        now = self._clock()
        longest = 0.0
        for block in (_block(host, key, action), _block(host, None, action)):
            until = self._until.get(block)
            if until is None:
                continue
            if until <= now:
                del self._until[block]
            else:
                longest = max(longest, until - now)
        return longest

    def _forget(self, now: float) -> None:
        over = [block for block, until in self._until.items() if until <= now]
        for block in over or [min(self._until, key=self._until.__getitem__)]:
            del self._until[block]


def _block(host: Host, key: StreamKey | None, action: Action) -> _Block:
    version, number = host
    return version, number >> _IPV6_SHIFT if version == 6 else number, key, action
