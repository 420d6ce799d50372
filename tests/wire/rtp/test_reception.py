"""Statistics of a source (RFC 3550 A.1, A.3, A.8)."""

from __future__ import annotations

import pytest

from ntvmedia.wire.rtp.reception import Reception
from ntvmedia.wire.rtp.rtcp import SenderReport


def receive(source: Reception, numbers: list[int]) -> list[bool]:
    """Give packets 20 ms apart, as they are timed."""
    return [source.packet_received(n & 0xFFFF, 160 * n, n / 50) for n in numbers]


def test_probation() -> None:
    """A source counts after two packets in sequence (A.1)."""
    source = Reception(1, 8000)
    assert receive(source, [10, 50, 51, 52]) == [False, False, True, True]
    assert source.received == 2
    assert source.highest_sequence_number == 52
    assert source.lost == 0


def test_announced_source() -> None:
    """One that the session announced counts at once."""
    source = Reception(1, 8000, probation=0)
    assert receive(source, [10]) == [True]
    assert source.report_block(0.0).highest_sequence_number == 10


def test_wrap() -> None:
    """D-PL-09: the highest number goes on beyond 16 bits."""
    source = Reception(1, 8000, probation=0)
    receive(source, list(range(65530, 65540)))
    assert source.highest_sequence_number == 65539
    assert (source.expected, source.lost) == (10, 0)


def test_loss() -> None:
    """A.3: fraction since the last report, total since the beginning, negative for duplicates."""
    source = Reception(1, 8000, probation=0)
    receive(source, [1, 2, 5, 6])
    block = source.report_block(0.0)
    assert (block.fraction_lost, block.packets_lost) == (2 * 256 // 6, 2)
    receive(source, [7, 8])
    block = source.report_block(0.0)
    assert (block.fraction_lost, block.packets_lost) == (0, 2)
    receive(source, [9, 9, 9, 9, 9])
    block = source.report_block(0.0)
    assert (block.fraction_lost, block.packets_lost) == (0, -2)


def test_late_packets() -> None:
    """One that is late is received, and does not lower the highest number."""
    source = Reception(1, 8000, probation=0)
    assert all(receive(source, [1, 3, 2]))
    assert (source.highest_sequence_number, source.lost) == (3, 0)


def test_jump() -> None:
    """D-RT-03: a jump of 30,000 is taken with the second packet, and counts from there (A.1)."""
    source = Reception(1, 8000, probation=0)
    receive(source, [1, 2])
    assert receive(source, [30001, 30002, 30003]) == [False, True, True]
    assert (source.highest_sequence_number, source.expected, source.lost) == (30003, 2, 0)


def test_jitter() -> None:
    """A.8: even arrival has none; 10 ms back and forth comes near to 10 ms."""
    source = Reception(1, 8000, probation=0)
    receive(source, list(range(100)))
    assert source.jitter == 0.0
    for number in range(100, 400):
        source.packet_received(number, 160 * number, number / 50 + (number % 2) / 100)
    assert source.jitter == pytest.approx(80, rel=0.02)
    assert source.report_block(9.0).jitter == int(source.jitter)


def test_jitter_across_the_wrap() -> None:
    """D-PL-09: a timestamp that wraps is no jitter."""
    source = Reception(1, 8000, probation=0)
    for number in range(100):
        source.packet_received(number, (160 * number - 8000) & 0xFFFFFFFF, number / 50)
    assert source.jitter == 0.0


def test_last_report() -> None:
    """The middle of the sender's NTP time, and how long ago that was."""
    source = Reception(1, 8000, probation=0)
    receive(source, [1])
    assert source.report_block(1.0)[-2:] == (0, 0)
    source.report_received(SenderReport(1, 0x1122334455667788, 0, 0, 0), 2.0)
    assert source.report_block(3.5)[-2:] == (0x33445566, 3 << 15)
