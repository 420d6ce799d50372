"""Waits between tries."""

from __future__ import annotations

from hypothesis import given, strategies as st

from ntvmedia.relay.backoff import Backoff

BASES = [1, 2, 4, 8, 16, 30, 30, 30]
PERMANENT = [60, 120, 240, 480, 600, 600]


@given(st.floats(0.0, 1.0, exclude_max=True))
def test_waits(fraction: float) -> None:
    """E-ST-04, E-ST-05: they double to a limit, give or take a fifth; permanent ones never less."""
    backoff = Backoff(lambda: fraction)
    for base in BASES:
        assert base * 0.8 <= backoff.failed(is_permanent=False) <= base * 1.2
    for base in PERMANENT:
        assert base <= backoff.failed(is_permanent=True) <= base * 1.2


def test_absent() -> None:
    """What is only not there is asked for once a minute, however long it has not been there."""
    backoff = Backoff(lambda: 0.0)
    for _number in range(5):
        assert backoff.failed(is_permanent=True, is_absent=True) == 60.0
    assert backoff.failed(is_permanent=True) == 120.0
    assert backoff.failed(is_permanent=True, is_absent=True) == 60.0


def test_told() -> None:
    """The first failure in a row is told, and each tenth after it."""
    backoff = Backoff(lambda: 0.5)
    told = []
    for number in range(1, 32):
        backoff.failed(is_permanent=number % 3 == 0)
        if backoff.is_told:
            told.append(number)
    assert told == [1, 11, 21, 31]


def test_reset() -> None:
    """A minute of media makes it begin anew, less does not; a year of failures is no matter."""
    backoff = Backoff(lambda: 0.5)
    for _number in range(2000):
        backoff.failed(is_permanent=False)
    backoff.worked(59.9)
    assert backoff.failed(is_permanent=False) == 30.0
    backoff.worked(60.0)
    assert backoff.failed(is_permanent=False) == 1.0


def test_mixed() -> None:
    """An error that may pass ends a row of permanent ones."""
    backoff = Backoff(lambda: 0.0)
    assert backoff.failed(is_permanent=True) == 60.0
    assert backoff.failed(is_permanent=True) == 120.0
    assert backoff.failed(is_permanent=False) == 4 * 0.8
    assert backoff.failed(is_permanent=True) == 60.0
