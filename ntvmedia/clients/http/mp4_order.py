"""Whether an MP4 file can be played while it comes: its index is before its media.

Pure. ISO/IEC 14496-12, cited as "ISOBMFF n". Without moov nobody knows what is in mdat. FFmpeg
would read all of a file that has them the other way round, to find that it cannot go back.
"""

from __future__ import annotations

from typing import Final

from ntvmedia.errors import RemoteError

MAX_BOXES: Final = 1000
"""Boxes before index and media; files have a handful."""

REREAD_BYTES: Final = 1 << 15
"""Media of which FFmpeg's demuxer still has all when the index comes, in its buffer of 64 KiB."""

# A box: its size, its kind, and its size again where it does not fit into 32 bits (ISOBMFF 4.2).
_HEAD: Final = 8
_LONG_HEAD: Final = 16

# What may come before an index, and is passed over: types of the file, free space, what belongs to
# editors, and thumbnails.
_BEFORE: Final = frozenset(
    {b"ftyp", b"styp", b"free", b"skip", b"wide", b"pnot", b"PICT", b"uuid", b"junk", b"pdin"}
)


class MP4Order:
    """Follows the boxes of a file until it is known what comes first.

    Attributes:
        is_settled: It is known, and nothing more needs to be given.
    """

    def __init__(self) -> None:
        self.is_settled = False
        self._head = b""
        self._skip = 0
        self._boxes = 0

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            RemoteError: The media comes first, for good.
        """
        while not self.is_settled:
            if self._skip:
                skipped = min(self._skip, len(data))
                self._skip -= skipped
                data = data[skipped:]
            # No more than the head of a box is ever kept.
            wanted = _LONG_HEAD - len(self._head)
            self._head, data = self._head + data[:wanted], data[wanted:]
            size = _size(self._head)
            if size is None:
                return
            self._box(self._head[4:_HEAD], size)
            # What came of its inside, or of the next.
            data, self._head = self._head + data, b""

    def _box(self, kind: bytes, size: int) -> None:
        self._boxes += 1
        self._skip = size
        if kind == b"mdat" and (size == 0 or size > REREAD_BYTES):
            self.is_settled = True
            raise RemoteError(
                "its index is at its end: it can be played as a file, or converted with faststart",
                is_permanent=True,
            )
        # All that is odd is left to the demuxer, whose words for it are better.
        known = kind in _BEFORE or kind == b"mdat"
        self.is_settled = not known or size < _HEAD or self._boxes >= MAX_BOXES


def _size(head: bytes) -> int | None:
    """Return the size of a box, or 0 for all of the file; None while that is not known."""
    if len(head) < _HEAD:
        return None
    size = int.from_bytes(head[:4], "big")
    if size != 1:
        return size
    if len(head) < _LONG_HEAD:
        return None
    size = int.from_bytes(head[_HEAD:], "big")
    # Less than the head itself is no size: 1 says so as well as any.
    return size if size >= _LONG_HEAD else 1
