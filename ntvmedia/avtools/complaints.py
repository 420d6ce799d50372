"""What a child process, and FFmpeg in it, writes to its standard error: masked and bounded."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

MAX_LINE: Final = 300
"""Characters of a line that are kept."""

MAX_LINES: Final = 20
"""Lines that are passed on in `WINDOW_SECONDS`: a broken stream has one for each packet."""

WINDOW_SECONDS: Final = 10.0

# Bytes without an end of line that are kept: a line is not longer.
_MAX_PENDING: Final = 4096

# An address: all but scheme, host and port may be secret.
_ADDRESS: Final = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*)://(?:[^\s/@]*@)?([^\s/?#'\"]*)[^\s'\"]*")

# "[mpegts @ 0x55d0c8a1]": where the thing lies in memory is nobody's concern.
_POINTER: Final = re.compile(r" @ 0x[0-9a-f]+")

# What makes a terminal change colours.
_ESCAPE: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Complaints:
    """Cuts it into lines, and passes some of them on.

    Args:
        note: Takes a line.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._pending = b""
        self._seen: set[str] = set()
        self._window_ends = float("-inf")
        self._passed = 0
        self._left_out = 0

    def receive_data(self, data: bytes, now: float) -> None:
        """Take what was read.

        Args:
            data: Any bytes.
            now: Monotonic seconds.
        """
        *lines, rest = (self._pending + data).split(b"\n")
        self._pending = rest[:_MAX_PENDING]
        for line in lines:
            self.add(line.decode("utf-8", "replace"), now)

    def add(self, line: str, now: float) -> None:
        """Take a line."""
        if now >= self._window_ends:
            left_out, self._left_out = self._left_out, 0
            self._window_ends = now + WINDOW_SECONDS
            self._passed = 0
            self._seen.clear()
            if left_out:
                self._note(f"{left_out} lines like these")
        text = masked(line)
        if not text:
            return
        if text in self._seen or self._passed >= MAX_LINES:
            self._left_out += 1
            return
        self._passed += 1
        self._seen.add(text)
        self._note(text)


def masked(line: str) -> str:
    """Return a line without what may be secret in it, on one line."""
    line = _ESCAPE.sub(" ", line[:_MAX_PENDING])
    if not line.isprintable():
        line = "".join([x if x.isprintable() else " " for x in line])
    line = _POINTER.sub("", _ADDRESS.sub(r"\1://\2", line))
    return " ".join(line.split())[:MAX_LINE]
