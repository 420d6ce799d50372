"""Byte ranges of an answer whose length is known (RFC 9110 section 14)."""

from __future__ import annotations

import re
from typing import Final

# One range; of several, as of what makes no sense, the whole is sent (RFC 9110 section 14.2
# allows it): no player asks for several, and they cost memory. 18 digits are below 2**63.
_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


class NotSatisfiable(Exception):
    """The range lies behind the end: status 416."""


def parse_range(value: str, size: int) -> tuple[int, int] | None:
    """Read a `Range` field.

    Args:
        value: As sent.
        size: Of the whole, in bytes.

    Returns:
        Positions of the first byte and of the one after the last; None to send the whole.

    Raises:
        NotSatisfiable: There is no byte of it.
    """
    match = _RANGE.fullmatch(value)
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:  # the last so many bytes
        if not int(match[2]) or not size:
            raise NotSatisfiable
        return max(0, size - int(match[2])), size
    start = int(match[1])
    end = int(match[2]) + 1 if match[2] else size
    if end <= start and match[2]:
        return None  # the first position is behind the last: not a range at all
    if start >= size:
        raise NotSatisfiable
    return start, min(end, size)
