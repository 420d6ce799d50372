"""What is sent in one piece, and what of it waits for a connection that is behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple


class Block(NamedTuple):
    """What one flush of a rendition sends to all of its viewers.

    Attributes:
        data: The bytes on the wire.
        is_keyframe: A viewer can begin, or go on, with this block.
        generation: How often the rendition's headers had changed when it was made.
    """

    data: bytes
    is_keyframe: bool
    generation: int


class Waiting(NamedTuple):
    """One piece of what waits.

    Attributes:
        data: Its bytes.
        block: What it is, if it may be left out: a block of which nothing was sent. Else None.
        at: Monotonic seconds when it came.
    """

    data: bytes | memoryview
    block: Block | None
    at: float


class WaitingQueue:
    """What waits for one connection, in order. Made when something first has to wait.

    Attributes:
        bytes: Of all that waits.
    """

    __slots__ = ("_items", "bytes")

    def __init__(self) -> None:
        self._items: deque[Waiting] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._items)

    @property
    def since(self) -> float:
        """When the first of it came; there must be one."""
        return self._items[0].at

    def put(self, item: Waiting) -> None:
        """Add it behind all others."""
        self._items.append(item)
        self.bytes += len(item.data)

    def put_first(self, item: Waiting) -> None:
        """Add it before all others."""
        self._items.appendleft(item)
        self.bytes += len(item.data)

    def take(self) -> Waiting:
        """Remove and return the first; there must be one."""
        item = self._items.popleft()
        self.bytes -= len(item.data)
        return item

    def keep_all(self) -> None:
        """Let nothing of what waits now be left out any more."""
        self._items = deque(item._replace(block=None) for item in self._items)

    def drop_blocks(self) -> int:
        """Leave out all blocks of which nothing was sent; returns how many those were."""
        kept = deque(item for item in self._items if item.block is None)
        dropped = len(self._items) - len(kept)
        self._items = kept
        self.bytes = sum(len(item.data) for item in kept)
        return dropped
