"""Numbers of discontinuities that do not go back when the server starts again.

They have to be small as well: hls.js 1.7 looks at all numbers below that of the playlist each time
that it reads it, so those that begin at the seconds of the wall clock, as the numbers of segments
do, stop its page for minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from ntvmedia.media import StreamKey

FILE: Final = "hls-discontinuities"
"""In the data folder: one line with the first number that was never used."""

# The file is written once for so many.
RESERVED: Final = 16

# Streams whose last number is remembered while the server runs.
MAX_STREAMS: Final = 10_000

# Of a file that somebody else wrote: what is above would harm players.
_MAX_NUMBER: Final = 100_000

_log = Logger()


class Discontinuities:
    """The numbers of one server.

    Args:
        data: The data folder. Where it cannot be written, numbers begin at 0 with each start.
    """

    def __init__(self, data: Path) -> None:
        self._path = data / FILE
        self._lowest: int | None = None
        self._reserved = 0
        self._last: OrderedDict[StreamKey, int] = OrderedDict()

    def first(self, key: StreamKey) -> int:
        """Return the number for a playlist that begins: above all that it had before."""
        if self._lowest is None:
            self._lowest = self._reserved = self._read()
        return self._last.get(key, self._lowest - 1) + 1

    def used(self, key: StreamKey, number: int) -> None:
        """Note that a playlist has a number."""
        self._last[key] = max(self.first(key) - 1, number)
        self._last.move_to_end(key)
        if len(self._last) > MAX_STREAMS:
            self._last.popitem(last=False)
        if number >= self._reserved:
            self._reserved = number + RESERVED
            self._write()

    def _read(self) -> int:
        try:
            number = int(self._path.read_text(encoding="ascii")[:20])
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            _log.warn("{path} cannot be read: {error}", path=str(self._path), error=error)
            return 0
        return number if 0 <= number <= _MAX_NUMBER else 0

    def _write(self) -> None:
        new = self._path.with_name(f".{FILE}")
        try:
            new.write_text(f"{self._reserved}\n", encoding="ascii")
            new.replace(self._path)
        except OSError as error:
            _log.warn("{path} cannot be written: {error}", path=str(self._path), error=error)
