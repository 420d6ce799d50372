"""Whether the reactor comes round in time: how late it is, and where it is when it does not.

Everything in the server waits while one thing holds the reactor up; who looks for the reason
needs the moment and the place.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Final

from twisted.logger import Logger
from twisted.python.failure import Failure

# More than this is heard by who listens, and is said in the log, at most once in so long a time.
WARNING_SECONDS: Final = 0.5
WARNING_INTERVAL_SECONDS: Final = 10.0

# A reactor that does not come round for this long may never: its stack goes into the log.
BLOCKED_SECONDS: Final = 5.0

# The innermost frames: the outer ones of an endless recursion say nothing more.
MAX_FRAMES: Final = 60

_log = Logger()


class ReactorBlocked(Exception):
    """Carries the reactor's stack into the log."""


class Lag:
    """How late the reactor came to what was due.

    Attributes:
        seconds: The last time.
        largest: The most since the start, in seconds.
    """

    __slots__ = ("_warned_at", "largest", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.largest = 0.0
        self._warned_at: float | None = None

    def measured(self, seconds: float, now: float) -> None:
        """Take one measurement.

        Args:
            seconds: How late it was.
            now: Monotonic seconds.
        """
        self.seconds = max(0.0, seconds)
        self.largest = max(self.largest, self.seconds)
        if self.seconds <= WARNING_SECONDS:
            return
        if self._warned_at is None or now - self._warned_at >= WARNING_INTERVAL_SECONDS:
            self._warned_at = now
            _log.warn("the reactor came {seconds:.2f} s late", seconds=self.seconds)


class Watchdog:
    """Logs the stack of the reactor's thread when that was not heard of for long, once each time.

    It looks from a thread of its own, which sleeps until it could first be that long: `beat` is
    one assignment. A function in C that keeps the interpreter's lock is seen when it returns.

    Args:
        clock: Monotonic seconds; called from both threads.
        patience: How long the reactor may take, in seconds.
    """

    def __init__(self, clock: Callable[[], float], patience: float = BLOCKED_SECONDS) -> None:
        self._clock = clock
        self._patience = patience
        self._beat_at = 0.0
        self._reported: float | None = None
        self._watched = 0
        self._stopped: threading.Event | None = None

    def start(self) -> None:
        """Watch the thread that calls this."""
        self.watch()
        stopped = self._stopped = threading.Event()
        threading.Thread(
            target=self._run, args=(stopped,), name="ntvmedia watchdog", daemon=True
        ).start()

    def stop(self) -> None:
        """Let the thread end, which it does at once. Idempotent."""
        if self._stopped is not None:
            self._stopped.set()

    def watch(self) -> None:
        """Begin to watch the thread that calls this, for whoever calls `look`."""
        self._watched = threading.get_ident()
        self.beat()

    def beat(self) -> None:
        """Say that the reactor came round."""
        self._beat_at = self._clock()

    def look(self) -> float:
        """Log the stack if it is due; returns in how many seconds to look again."""
        beat_at = self._beat_at
        silence = self._clock() - beat_at
        if silence < self._patience:
            return self._patience - silence
        if beat_at != self._reported:
            self._reported = beat_at
            error = ReactorBlocked(f"nothing for {silence:.1f} s")
            stack = _traceback(sys._current_frames().get(self._watched))
            _log.failure(
                "the reactor did not come round for {seconds:.1f} s; it is here",
                Failure(error, ReactorBlocked, stack),
                seconds=silence,
            )
        return self._patience

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(self.look()):
            pass


def _traceback(frame: FrameType | None) -> TracebackType | None:
    """Return a stack in the form in which that of an exception is logged."""
    found: TracebackType | None = None
    for _count in range(MAX_FRAMES):
        if frame is None:
            break
        found = TracebackType(found, frame, frame.f_lasti, frame.f_lineno)
        frame = frame.f_back
    return found
