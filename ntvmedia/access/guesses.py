"""Slowing down those who guess publish passwords, by address and application (F-AC-04).

Who guesses waits longer and longer until his next password is looked at, a right one too; so an
encoder with an old password, behind the same address as one with the right one, holds that up for
seconds at most. A right password ends it. Whoever shows none is not counted: with RTSP that is how
everybody begins.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from ntvmedia.access.networks import Host

FREE: Final = 20
"""Encoders try again every second or so until somebody has typed the password anew."""

MAX_WAIT_SECONDS: Final = 30.0
"""That makes 2,880 guesses in a day."""

FORGET_SECONDS: Final = 600.0
"""After the last guess all is forgotten."""

MAX_GUESSERS: Final = 10_000
"""Kept at a time, some 3 MB; of more the one that was quiet for longest is given up."""

# As with those who were sent away: RFC 6177.
_IPV6_SHIFT: Final = 64

_Guesser = tuple[int, int, str]


class _Guessed(NamedTuple):
    number: int
    last: float


class Guesses:
    """Wrong passwords, in memory only.

    Args:
        clock: Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._guessed: OrderedDict[_Guesser, _Guessed] = OrderedDict()

    def __len__(self) -> int:
        return len(self._guessed)

    def wait(self, host: Host, application: str) -> float:
        """Return the seconds until the next password is looked at; 0 for none.

        Args:
            host: Of the peer; one without an address could not be told from others, and waits for
                nothing.
            application: By its name.
        """
        found = self._guessed.get(_guesser(host, application))
        if found is None or found.number < FREE:
            return 0.0
        over = min(found.number - FREE, 10)
        return max(0.0, found.last + min(2.0**over, MAX_WAIT_SECONDS) - self._clock())

    def wrong(self, host: Host, application: str) -> None:
        """Count one that was looked at."""
        if not host.version:
            return
        now = self._clock()
        guesser = _guesser(host, application)
        found = self._guessed.pop(guesser, None)
        if found is None or now - found.last >= FORGET_SECONDS:
            found = _Guessed(0, now)
        while len(self._guessed) >= MAX_GUESSERS:
            self._guessed.popitem(last=False)
        self._guessed[guesser] = _Guessed(found.number + 1, now)

    def right(self, host: Host, application: str) -> None:
        """Forget an address: it knows the password."""
        self._guessed.pop(_guesser(host, application), None)


def _guesser(host: Host, application: str) -> _Guesser:
    version, number = host
    return version, number >> _IPV6_SHIFT if version == 6 else number, application
