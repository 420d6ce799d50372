"""When a failed source or target is tried again (E-ST-04, E-ST-05). Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST_SECONDS: Final = 1.0
"""After the first failure; doubled after each further one."""

LONGEST_SECONDS: Final = 30.0
"""Of an error that may pass: a server that is back is found soon."""

FIRST_PERMANENT_SECONDS: Final = 60.0
"""After an error that will most likely stay, as a wrong password: few tries, which some servers
count; doubled likewise. What is only not there may come at any time, and is not waited for
longer."""

LONGEST_PERMANENT_SECONDS: Final = 600.0

JITTER: Final = 0.2
"""Of each wait: tasks that failed together do not come back together."""

STABLE_SECONDS: Final = 60.0
"""Of media, after which a failure is the first one again."""

TOLD_EVERY: Final = 10
"""The first failure in a row is logged, and each tenth."""

# Powers of two that no wait needs any more.
_MOST_DOUBLINGS: Final = 10


_FRACTION_BYTES: Final = 4


def fractions(random: Callable[[int], bytes]) -> Callable[[], float]:
    """Return what returns a number from 0 to below 1, another each time.

    Args:
        random: Returns as many unpredictable bytes as it is asked for.
    """
    return lambda: int.from_bytes(random(_FRACTION_BYTES), "big") / (1 << 8 * _FRACTION_BYTES)


class Backoff:
    """Waits that grow while failures follow each other.

    Args:
        fraction: Returns a number from 0 to below 1, another each time.

    Attributes:
        failures: How many there were in a row.
    """

    __slots__ = ("_fraction", "_permanent", "failures")

    def __init__(self, fraction: Callable[[], float]) -> None:
        self._fraction = fraction
        self._permanent = 0
        self.failures = 0

    @property
    def is_told(self) -> bool:
        """Whether the last failure is one to be logged."""
        return self.failures % TOLD_EVERY == 1

    def worked(self, media_seconds: float) -> None:
        """Begin anew, if media came for long enough before this failure.

        Args:
            media_seconds: From the first packet to the last.
        """
        if media_seconds >= STABLE_SECONDS:
            self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.failures = self._permanent = 0

    def failed(self, *, is_permanent: bool, is_absent: bool = False) -> float:
        """Count a failure, and return the seconds until the next try.

        Args:
            is_permanent: As of `RemoteError`, as is `is_absent`.
        """
        self.failures += 1
        if is_permanent:
            self._permanent = 1 if is_absent else self._permanent + 1
            # Never sooner: that is the promise.
            base = _doubled(FIRST_PERMANENT_SECONDS, self._permanent, LONGEST_PERMANENT_SECONDS)
            return base * (1.0 + JITTER * self._fraction())
        self._permanent = 0
        base = _doubled(FIRST_SECONDS, self.failures, LONGEST_SECONDS)
        return base * (1.0 - JITTER + 2 * JITTER * self._fraction())


def _doubled(first: float, number: int, longest: float) -> float:
    """Return the wait after so many failures."""
    doublings: int = min(number - 1, _MOST_DOUBLINGS)
    return min(first * 2.0**doublings, longest)
