"""Which of several sources is tried next. Pure."""

from __future__ import annotations


class Order:
    """The sources of one task, the best first, each tried once in a round.

    A round ends with a wait, or when a source has worked for long.

    Args:
        count: How many sources there are, from 1.
    """

    __slots__ = ("_count", "_is_all_absent", "_is_all_permanent", "_tried")

    def __init__(self, count: int) -> None:
        self._count = count
        self._tried: set[int] = set()
        self._is_all_permanent = self._is_all_absent = True

    @property
    def is_permanent(self) -> bool:
        """Whether all that failed in this round will most likely fail again."""
        return bool(self._tried) and self._is_all_permanent

    @property
    def is_absent(self) -> bool:
        """Whether all that failed in this round are only not there."""
        return bool(self._tried) and self._is_all_absent

    def next(self) -> int | None:
        """Return the best source that has not failed in this round; None where all have."""
        return next((x for x in range(self._count) if x not in self._tried), None)

    def failed(self, index: int, *, is_permanent: bool, is_absent: bool = False) -> None:
        """Take note that a source failed; as of `RemoteError`."""
        self._tried.add(index)
        self._is_all_permanent = self._is_all_permanent and is_permanent
        self._is_all_absent = self._is_all_absent and is_absent

    def begin(self) -> None:
        """Begin a new round."""
        self._tried.clear()
        self._is_all_permanent = self._is_all_absent = True
