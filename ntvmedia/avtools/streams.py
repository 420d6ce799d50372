"""The child's two ends of the framing: what it reads from its parent, and what it tells it."""

from __future__ import annotations

import os
from collections import deque
from typing import Final

from ntvmedia.avtools.framing import (
    Frame,
    FrameReader,
    FrameType,
    build_frame,
    build_packet,
    build_track,
)
from ntvmedia.media.packets import Packet, Track

_READ_BYTES: Final = 1 << 16

# What is gathered before it is written though more is at hand.
_WRITE_BYTES: Final = 1 << 16

# Characters of a note.
_MAX_NOTE: Final = 500


class FrameSource:
    """What the parent sends, read by waiting for it.

    Args:
        descriptor: Of the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._reader = FrameReader()
        self._ready: deque[Frame] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is at hand: the next frame may take a while."""
        return not self._ready

    def read(self) -> Frame | None:
        """Return the next frame; None when the parent has closed the pipe."""
        while not self._ready:
            data = os.read(self._descriptor, _READ_BYTES)
            if not data:
                return None
            self._reader.receive_data(data)
            self._ready.extend(self._reader.frames())
        return self._ready.popleft()


class FrameSink:
    """What the parent is told.

    Args:
        descriptor: Of the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()
        self.packets = 0

    def emit(self, output: int, item: Track | Packet) -> None:
        """Tell it a track or a packet, with the next `flush` or when much is gathered.

        Raises:
            BrokenPipeError: The parent is gone.
        """
        if isinstance(item, Packet):
            self.packets += 1
            self._buffer += build_packet(item, output)
        else:
            self._buffer += build_track(item, output)
        if len(self._buffer) >= _WRITE_BYTES:
            self.flush()

    def note(self, line: str) -> None:
        """Tell it a line for the operator, at once."""
        self.tell(build_frame(FrameType.NOTE, line[:_MAX_NOTE].encode("utf-8", "replace")))

    def tell(self, frame: bytes) -> None:
        """Tell it a frame, at once."""
        self._buffer += frame
        self.flush()

    def flush(self) -> None:
        """Write all that was gathered; waits for the parent to read.

        Raises:
            BrokenPipeError: The parent is gone.
        """
        buffer = self._buffer
        while buffer:
            del buffer[: os.write(self._descriptor, buffer)]
