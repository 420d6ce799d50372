"""When what is waiting is sent: one call per viewer costs the same for one frame as for ten."""

from __future__ import annotations

from typing import Final

# At this rate of blocks (viewers x flushes a second) sending takes about 1 % of a core; the
# interval grows with the viewers of the whole server to keep to it.
SECONDS_PER_VIEWER: Final = 0.0007

# Below this a block is one read from the publisher: 28 viewers, and no timer.
SHORTEST_INTERVAL: Final = 0.02

# The longest interval of "low". One frame for each block, as it was, cost half as much again for
# 500 viewers at 30 frames a second, and saved 17 ms of delay on average.
LOW_LATENCY_SECONDS: Final = 0.05


class Pacing:
    """The interval between the flushes of a rendition, the same for all of a hub.

    Args:
        latency: "auto" or "low".
        max_latency: Longest interval of "auto", in seconds.

    Attributes:
        interval: Seconds between flushes; 0 sends with every read from the publisher.
    """

    __slots__ = ("_longest", "interval", "viewers")

    def __init__(self, latency: str, max_latency: float) -> None:
        low = latency == "low"
        self._longest = min(max_latency, LOW_LATENCY_SECONDS) if low else max_latency
        self.viewers = 0
        self.interval = 0.0

    def viewers_changed(self, by: int) -> None:
        """Adapt to one viewer more or less (`by` is 1 or -1)."""
        self.viewers += by
        interval = min(self.viewers * SECONDS_PER_VIEWER, self._longest)
        self.interval = interval if interval >= SHORTEST_INTERVAL else 0.0
