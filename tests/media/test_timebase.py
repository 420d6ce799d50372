"""Tests of ntvmedia.media.timebase."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.media.timebase import (
    Epoch,
    from_milliseconds,
    rescale,
    to_milliseconds,
    unwrap,
)

rates = st.sampled_from([1000, 8000, 11025, 22050, 44100, 48000, 90000, 96000])
times = st.integers(-(2**50), 2**50)


def test_golden_conversions() -> None:
    """Worked out by hand; half a tick and half a millisecond are rounded up."""
    assert from_milliseconds(40, 90000) == 3600
    assert from_milliseconds(1, 44100) == 44
    assert from_milliseconds(-1, 44100) == -44
    assert from_milliseconds(5, 44100) == 221
    assert to_milliseconds(1024, 44100) == 23
    assert to_milliseconds(45, 90000) == 1
    assert to_milliseconds(44, 90000) == 0
    assert to_milliseconds(-45, 90000) == 0
    assert rescale(1024, 44100, 90000) == 2090
    assert rescale(3600, 90000, 1000) == 40


@given(times, rates)
def test_milliseconds_come_back(milliseconds: int, rate: int) -> None:
    """A clock of 1000 ticks a second or more loses no millisecond."""
    assert to_milliseconds(from_milliseconds(milliseconds, rate), rate) == milliseconds


@given(times, rates, rates)
def test_rescale_is_nearest(ticks: int, from_rate: int, to_rate: int) -> None:
    """The result is within half a tick of the exact value, and order is kept."""
    scaled = rescale(ticks, from_rate, to_rate)
    assert abs(scaled * from_rate - ticks * to_rate) * 2 <= from_rate
    assert rescale(ticks + 1, from_rate, to_rate) >= scaled


@given(times, times)
def test_no_drift(start: int, step: int) -> None:
    """Conversions round one by one: errors do not add up over a stream's life."""
    assert abs(to_milliseconds(start + step, 90000) * 90 - (start + step)) <= 45


@pytest.mark.parametrize("bits", [24, 32, 33])
def test_golden_unwrap(bits: int) -> None:
    """One step forward over the wrap, and one back."""
    top = 2**bits
    assert unwrap(0, top - 1, bits) == top
    assert unwrap(top - 1, top, bits) == top - 1
    assert unwrap(5, 7 * top + 3, bits) == 7 * top + 5
    assert unwrap(top - 1, 0, bits) == -1


@given(st.integers(0, 2**40), st.integers(-(2**31) + 1, 2**31 - 1), st.sampled_from([32, 33]))
def test_unwrap_follows(reference: int, step: int, bits: int) -> None:
    """A-MD-18: any step of less than half the range, forward or back, is found again."""
    assert unwrap((reference + step) % 2**bits, reference, bits) == reference + step


def test_wall_time() -> None:
    """The epoch ties media time to the wall clock."""
    epoch = Epoch("a", 1_700_000_000.25)
    assert epoch.wall_time(0, 90000) == 1_700_000_000.25
    assert epoch.wall_time(45000, 90000) == 1_700_000_000.75
    assert epoch.wall_time(-48000, 48000) == 1_699_999_999.25
