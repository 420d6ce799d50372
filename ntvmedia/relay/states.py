"""What is told of a task while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

MAX_LINES: Final = 100
"""Of the log of one task."""

_MAX_LINE: Final = 500

# Seconds over which a bit rate is measured.
_WINDOW: Final = 5.0

State: TypeAlias = Literal["stopped", "idle", "connecting", "running", "waiting"]
"""Of a task.

* `stopped`: somebody stopped it, or never started it; or it came to its end.
* `idle`: on demand, and nobody watches.
* `connecting`: a source is asked, and no media came yet.
* `running`: media come.
* `waiting`: it failed, or may not run at the moment; the reason says why.
"""


class RelayState(NamedTuple):
    """How a task is doing.

    Attributes:
        state: See `State`.
        reason: Why it waits or stopped, or what a source said while it is connecting.
        is_permanent: Another try will most likely fail as the last one did.
        next_retry_at: Seconds since 1970; 0 where there is none to come.
        source: Which of the sources is in use or was the last, from 0.
        since: When the state began, seconds since 1970.
        bitrate_kbps: Of the media that come in, in thousands of bits a second.
        bytes_in: Media bytes since the task was started.
        restarts: How many times a source was asked again since then.
        instances: Of a pattern: the state of each stream that is wanted now, by name.
    """

    state: State
    reason: str = ""
    is_permanent: bool = False
    next_retry_at: float = 0.0
    source: int = 0
    since: float = 0.0
    bitrate_kbps: int = 0
    bytes_in: int = 0
    restarts: int = 0
    instances: Mapping[str, RelayState] = {}


class LogLine(NamedTuple):
    """A line of a task's log.

    Attributes:
        at: Seconds since 1970.
        text: Without user, password and query of an address.
    """

    at: float
    text: str


class TaskLog:
    """The last lines of a task.

    Args:
        wall_clock: Returns the seconds since 1970.
    """

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        self._lines: deque[LogLine] = deque(maxlen=MAX_LINES)

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """The oldest first."""
        return tuple(self._lines)

    def add(self, text: str) -> None:
        """Keep a line; of what others sent only what can be printed, and not too much."""
        shown = "".join(x if x.isprintable() else " " for x in text[:_MAX_LINE])
        self._lines.append(LogLine(self._wall_clock(), shown))


class Rate:
    """Bits a second of a counter of bytes."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now: float, count: int) -> None:
        """Note what the counter says; about once a second."""
        samples = self._samples
        samples.append((now, count))
        while len(samples) > 2 and now - samples[1][0] >= _WINDOW:
            samples.popleft()

    @property
    def kbps(self) -> int:
        """The rate in thousands; 0 while it is too early to tell."""
        if len(self._samples) < 2:
            return 0
        (before, first), (now, last) = self._samples[0], self._samples[-1]
        return round(max(0, last - first) * 8 / (now - before) / 1000) if now > before else 0
