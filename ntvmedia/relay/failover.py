"""Which of several sources is tried next. Pure."""

from __future__ import annotations


class Order:
    """The sources of one task, the best first, each tried once in a round.

    A round ends with a wait, or when a source has worked for long.

    Args:
        count: How many sources there are, from 1.
    """

    __slots__ = ("_count", "_is_all_permanent", "_tried")

    def __init__(self, count: int) -> None:
        self._count = count
        self._tried: set[int] = set()
        self._is_all_permanent = True

    @property
    def is_permanent(self) -> bool:
        """Whether all that failed in this round will most likely fail again."""
        return bool(self._tried) and self._is_all_permanent

    def next(self) -> int | None:
        """Return the best source that has not failed in this round; None where all have."""
        return next((x for x in range(self._count) if x not in self._tried), None)

    def failed(self, index: int, *, is_permanent: bool) -> None:
        """Take note that a source failed."""
        self._tried.add(index)
        self._is_all_permanent = self._is_all_permanent and is_permanent

    def begin(self) -> None:
        """Begin a new round."""
        self._tried.clear()
        self._is_all_permanent = True
