"""Packets put in order (D-RT-03), with times given."""

from __future__ import annotations

import random

from hypothesis import given, settings, strategies as st

from ntvmedia.wire.rtp.packets import RTPPacket
from ntvmedia.wire.rtp.reordering import MAX_HELD, MAX_WAIT_SECONDS, ReorderBuffer


def packet(number: int) -> RTPPacket:
    """Make a packet that is known by its number."""
    return RTPPacket(96, number & 0xFFFF, 0, 1, False, b"%d" % number)


def run(buffer: ReorderBuffer, numbers: list[int], now: float = 0.0) -> list[tuple[int, bool]]:
    """Give packets at one time, and return what comes out."""
    ready = [ordered for number in numbers for ordered in buffer.receive(packet(number), now)]
    return [(int(found.payload), lost) for found, lost in ready]


def test_in_order() -> None:
    """Nothing waits, also where numbers wrap."""
    numbers = list(range(65500, 65600))
    buffer = ReorderBuffer()
    assert run(buffer, numbers) == [(number, False) for number in numbers]
    assert buffer.held == buffer.lost == buffer.duplicates == 0
    assert buffer.next_timeout() is None


def test_out_of_order() -> None:
    """What came early waits for what came late; nothing is told lost."""
    buffer = ReorderBuffer()
    found = run(buffer, [65534, 65537, 65536, 65535, 65538])
    assert found == [(number, False) for number in range(65534, 65539)]
    assert buffer.lost == 0


def test_duplicates() -> None:
    """D-RT-03: one of two comes out, whether it has come out before or waits."""
    buffer = ReorderBuffer()
    assert [n for n, _lost in run(buffer, [1, 1, 2, 4, 4, 2, 3, 3, 4])] == [1, 2, 3, 4]
    assert buffer.duplicates == 5


def test_loss_after_time() -> None:
    """D-RT-03: after 100 ms, and not before, it goes on without what is missing."""
    buffer = ReorderBuffer()
    run(buffer, [1])
    assert run(buffer, [3, 4, 6], 5.0) == []
    due = buffer.next_timeout()
    assert due == 5.0 + MAX_WAIT_SECONDS
    assert buffer.handle_timeout(due - 0.001) == []
    found = [(int(found.payload), lost) for found, lost in buffer.handle_timeout(due)]
    assert found == [(3, True), (4, False), (6, True)]
    assert buffer.lost == 2
    assert run(buffer, [2, 5]) == []  # too late


def test_later_packets_end_the_wait_too() -> None:
    """A caller who never calls for the timeout sees the same with the next packet."""
    buffer = ReorderBuffer()
    run(buffer, [1, 3], 5.0)
    assert run(buffer, [4], 5.2) == [(3, True), (4, False)]


def test_loss_after_number() -> None:
    """D-RT-03: no more than 64 packets wait."""
    buffer = ReorderBuffer()
    run(buffer, [1])
    assert run(buffer, list(range(3, 3 + MAX_HELD))) == []
    assert buffer.held == MAX_HELD
    found = run(buffer, [3 + MAX_HELD])
    assert found[0] == (3, True)
    assert [n for n, _lost in found] == list(range(3, 4 + MAX_HELD))


def test_no_wait_where_order_is_kept() -> None:
    """Over TCP a gap is told at once."""
    buffer = ReorderBuffer(0)
    assert run(buffer, [1, 2, 5, 6]) == [(1, False), (2, False), (5, True), (6, False)]
    assert buffer.lost == 2


def test_jump() -> None:
    """D-RT-03: a jump of 30,000 re-syncs with the second packet; what waited comes first."""
    buffer = ReorderBuffer()
    run(buffer, [10])
    assert run(buffer, [12, 30010]) == []
    assert run(buffer, [30011]) == [(12, True), (30010, True), (30011, False)]
    assert run(buffer, [30012]) == [(30012, False)]
    # The same backwards.
    assert run(buffer, [20000]) == []
    assert run(buffer, [20001]) == [(20000, True), (20001, False)]


def test_a_single_stray_packet() -> None:
    """One packet with a wild number changes nothing."""
    buffer = ReorderBuffer()
    assert run(buffer, [10, 40000, 11, 40001, 12]) == [(10, False), (11, False), (12, False)]


def test_flush() -> None:
    """At the end all that waits comes out."""
    buffer = ReorderBuffer()
    run(buffer, [1, 3, 6])
    assert [(int(x.payload), lost) for x, lost in buffer.flush()] == [(3, True), (6, True)]
    assert buffer.flush() == []


@settings(max_examples=60)
@given(st.integers(0, 70000), st.integers(0, 30), st.integers(0, 60), st.integers(0, 1 << 32))
def test_any_network(start: int, loss: int, spread: int, seed: int) -> None:
    """D-RT-03: strictly in order, none twice, all that was not lost within 60 places, no hoard."""
    dice = random.Random(seed)
    sent = [number for number in range(start, start + 300) if dice.randint(0, 99) >= loss]
    late = {number: dice.randint(0, spread) for number in sent}
    late[sent[0]] = 0
    arriving = sorted(sent, key=lambda number: (number + late[number], number))
    if arriving[0] != sent[0]:
        arriving.remove(sent[0])
        arriving.insert(0, sent[0])
    arriving += arriving[-20:]
    buffer, found = ReorderBuffer(), list[int]()
    for number in arriving:
        found += [n for n, _lost in run(buffer, [number])]
        assert buffer.held <= MAX_HELD
    found += [int(x.payload) for x, _lost in buffer.flush()]
    assert found == sent
