"""Segments on their way from those who load them to the one who joins them, as they come."""

from __future__ import annotations

from collections import deque
from typing import Final

from ntvmedia.errors import RemoteError
from ntvmedia.formats.hls_joining import Piece
from ntvmedia.wire.hls.follower import Identity

MAX_SEGMENT_BYTES: Final = 64 << 20
"""Of one segment: 10 seconds at 50 Mb/s."""


class NothingYet(Exception):
    """The next piece is not there yet; it may be asked for again."""


class Pieces:
    """An iterator of pieces that raises `NothingYet` where it has none at the moment.

    Attributes:
        seconds: Of what waits.
        is_over: Nothing is added any more.
        last: Which segment was begun last; None for none.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.is_over = False
        self.last: Identity | None = None
        self._waiting: deque[tuple[Piece, Identity]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> Piece:
        if self._waiting:
            piece, self.last = self._waiting.popleft()
            self.seconds -= piece.duration
            return piece
        if self.is_over:
            raise StopIteration
        raise NothingYet

    def add(self, piece: Piece, segment: Identity) -> None:
        """Add the next one, of a segment."""
        self._waiting.append((piece, segment))
        self.seconds += piece.duration


class Chunks:
    """A sink that keeps a segment as it comes.

    Attributes:
        chunks: What came.
    """

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self._size = 0

    def begin(self) -> None:
        """Forget what came."""
        self.chunks.clear()
        self._size = 0

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            RemoteError: They are too many for a live stream's segment.
        """
        self._size += len(data)
        if self._size > MAX_SEGMENT_BYTES:
            limit = MAX_SEGMENT_BYTES >> 20
            why = f"a segment is longer than {limit} MiB, which is more than a relay takes"
            raise RemoteError(why, is_permanent=True)
        self.chunks.append(data)
