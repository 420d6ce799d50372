"""What is sent in one piece, and what of it waits for a connection that is behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol


class Block(NamedTuple):
    """What one flush of a rendition sends to all of its viewers.

    Attributes:
        data: The bytes on the wire.
        is_keyframe: A viewer can begin, or go on, with this block.
        generation: How often the rendition's headers had changed when it was made.
        time_ms: Decode time of its first packet.
    """

    data: bytes
    is_keyframe: bool
    generation: int
    time_ms: int = 0


class BlockOutlet(Protocol):
    """The way out to one viewer, whatever carries it.

    Attributes:
        ready: It takes a block by `send` right now.
        sent_bytes: Given away so far.
        dropped_blocks: Left out because the peer, or the way to it, was too slow.
        generation: Of the headers that the peer has, or is sure to get.
        stalled: It was cut since its peer took nothing for too long.
        catch_up: Returns the headers that changed after a generation; set by the rendition.
    """

    ready: bool
    sent_bytes: int
    dropped_blocks: int
    generation: int
    stalled: bool
    catch_up: Callable[[int], bytes] | None

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait here."""

    def send(self, data: bytes, /) -> int:
        """Send a block's bytes, only while `ready`; returns how many were taken.

        Raises:
            OSError: It cannot be sent.
        """

    def hold(self, block: Block, sent: int) -> None:
        """Keep the rest of a block of which `send` took only a part, perhaps nothing."""

    def queue_block(self, block: Block) -> None:
        """Take one block while not `ready`: queue it, or leave it out, or go on after a gap."""

    def begin(self, header: bytes, blocks: Sequence[Block], generation: int) -> None:
        """Send what a new viewer needs first; the rendition's next blocks follow.

        Args:
            header: May not be left out.
            blocks: From a keyframe on. If there is none, or they are more than may wait, nothing
                follows until a block that begins with a keyframe.
            generation: Of the header.
        """

    def write(self, data: bytes) -> None:
        """Send bytes that may not be left out."""

    def skip_to_keyframe(self) -> None:
        """Leave blocks out until one begins with a keyframe."""

    def look(self) -> None:
        """Find out whether the peer takes anything. Called every few seconds."""

    def abort(self) -> None:
        """Break off at once; what waits is given up."""


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
