"""When to ask again for what did not come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 528)})
"""Statuses that may be others in a moment: RFC 9110 15.5.9 and 15.6, RFC 8470 5.2, RFC 6585 4, and
those by which a well-known CDN says that it did not reach the server."""

LATE: Final = TRANSIENT | {404}
"""The same, where a list names what its server may not have everywhere yet."""

# A server that wants to be left alone for longer is not worth the wait.
_LONGEST_RETRY_AFTER: Final = 60.0


class Retries(NamedTuple):
    """How often to ask again, and after how long.

    Attributes:
        times: After the first.
        first_seconds: The wait before the first of them; each one after that is twice as long.
        longest_seconds: At most.
        statuses: The answers after which to ask again.
    """

    times: int = 8
    first_seconds: float = 0.5
    longest_seconds: float = 15.0
    statuses: frozenset[int] = TRANSIENT

    def wait(self, tries: int, random: Callable[[], float]) -> float:
        """Return seconds to wait: somewhat random, so that many do not come back as one.

        Args:
            tries: How many have failed: 1 or more.
            random: Gives numbers from 0 to 1.
        """
        # Never so many doublings that a float cannot have it.
        longest = min(self.first_seconds * 2.0 ** min(tries - 1, 64), self.longest_seconds)
        return longest * (0.5 + random() / 2)


def retry_after(headers: Mapping[str, str]) -> float:
    """Return how many seconds a server wants to be left alone (RFC 9110 10.2.3); 0 for none.

    A date, as the document allows instead of a number, is not looked at.
    """
    text = headers.get("retry-after", "").strip()
    if not text.isascii() or not text.isdigit():
        return 0.0
    return min(float(text[:9]), _LONGEST_RETRY_AFTER)
