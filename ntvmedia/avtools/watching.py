"""How much processor time a child process takes (proc(5), /proc/PID/stat)."""

from __future__ import annotations

import os
from collections import deque
from typing import Final

CPU_SECONDS: Final = 30.0
"""What the share is averaged over: reading an index or probing takes a second or two."""

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")

# Fields 14 and 15, behind the name, which may have anything in it but ends with ")".
_USER: Final = 11
_SYSTEM: Final = 12


def cpu_seconds_of(pid: int) -> float | None:
    """Return the processor seconds that a process has taken; None where there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read(4096).rpartition(b")")[2].split()
        return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS_PER_SECOND
    except (OSError, ValueError, IndexError):
        return None


class CPUShare:
    """The share of one core, averaged."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def add(self, cpu_seconds: float, now: float) -> float:
        """Take a sample, and return the share; 0.0 until there are `CPU_SECONDS` of them.

        Args:
            cpu_seconds: Taken since the process began.
            now: Monotonic seconds.
        """
        samples = self._samples
        samples.append((now, cpu_seconds))
        while len(samples) > 2 and samples[1][0] <= now - CPU_SECONDS:
            samples.popleft()
        began, before = samples[0]
        if now - began < CPU_SECONDS:
            return 0.0
        return (cpu_seconds - before) / (now - began)
