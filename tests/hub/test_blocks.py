"""Tests of ntvmedia.hub.blocks: what waits, in order, and its size."""

from __future__ import annotations

from ntvmedia.hub.blocks import Block, Waiting, WaitingQueue


def block(data: bytes) -> Waiting:
    """Make a piece that may be left out."""
    return Waiting(data, Block(data, True, 0), 1.0)


def queue(*items: Waiting) -> WaitingQueue:
    """Make a queue of them."""
    made = WaitingQueue()
    for item in items:
        made.put(item)
    return made


def test_order() -> None:
    """What is put first comes before all others; the size is that of all that is left."""
    made = queue(block(b"bb"), Waiting(b"ccc", None, 2.0))
    made.put_first(Waiting(memoryview(b"a"), None, 3.0))
    assert (made.bytes, len(made), made.since) == (6, 3, 3.0)
    taken = []
    while made:
        taken.append(bytes(made.take().data))
    assert taken == [b"a", b"bb", b"ccc"]
    assert made.bytes == 0


def test_drop_blocks() -> None:
    """Only blocks of which nothing was sent are left out."""
    made = queue(
        Waiting(b"rest", None, 1.0), block(b"one"), Waiting(b"pong", None, 1.0), block(b"x")
    )
    assert made.drop_blocks() == 2
    assert [bytes(item.data) for item in made] == [b"rest", b"pong"]
    assert made.bytes == 8
    assert made.drop_blocks() == 0


def test_keep_all() -> None:
    """What waits when another output begins is not left out for it; what comes then may be."""
    made = queue(block(b"one"))
    made.keep_all()
    made.put(block(b"two"))
    assert made.drop_blocks() == 1
    assert [bytes(item.data) for item in made] == [b"one"]
    assert made.bytes == 3
