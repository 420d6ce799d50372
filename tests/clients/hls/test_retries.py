"""Tests of ntvmedia.clients.hls.retries."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from ntvmedia.clients.hls.retries import LATE, TRANSIENT, Retries, retry_after


def test_waits() -> None:
    """Each is twice as long, up to the longest, and half of it is random."""
    retries = Retries(first_seconds=0.5, longest_seconds=6.0)
    assert [retries.wait(n, lambda: 1.0) for n in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 6.0, 6.0]
    assert [retries.wait(n, lambda: 0.0) for n in range(1, 7)] == [0.25, 0.5, 1.0, 2.0, 3.0, 3.0]
    assert retries.wait(1, lambda: 0.5) == 0.375


@given(
    st.integers(1, 10**9),
    st.floats(0.001, 100.0),
    st.floats(0.001, 100.0),
    st.floats(0.0, 1.0),
)
def test_any_wait(tries: int, first: float, longest: float, chance: float) -> None:
    """However often it failed, the wait is a number, and neither nothing nor too long."""
    wait = Retries(first_seconds=first, longest_seconds=longest).wait(tries, lambda: chance)
    assert math.isfinite(wait)
    assert min(first, longest) / 2 <= wait <= longest


def test_defaults() -> None:
    """A server that is away for a minute is waited for."""
    retries = Retries()
    waits = [retries.wait(n, lambda: 0.0) for n in range(1, retries.times + 1)]
    assert 25 < sum(waits) < 60
    waits = [retries.wait(n, lambda: 1.0) for n in range(1, retries.times + 1)]
    assert 50 < sum(waits) < 120


def test_statuses() -> None:
    """What may be another in a moment; what is refused, or is not there, is not asked again."""
    assert {408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 527} <= TRANSIENT
    assert not {200, 206, 400, 401, 403, 404, 405, 410, 416, 451, 501, 505, 528} & TRANSIENT
    assert set(LATE - TRANSIENT) == {404}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("007", 7.0),
        ("60", 60.0),
        ("61", 60.0),
        ("86400", 60.0),
        ("9" * 5000, 60.0),
        ("", 0.0),
        ("-7", 0.0),
        ("7.5", 0.0),
        ("1e3", 0.0),
        ("7 s", 0.0),
        ("\N{ARABIC-INDIC DIGIT SEVEN}", 0.0),
        ("\N{SUPERSCRIPT TWO}", 0.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
    ],
)
def test_retry_after(text: str, seconds: float) -> None:
    """RFC 9110 10.2.3: seconds, as far as they are worth the wait."""
    assert retry_after({"retry-after": text}) == seconds


def test_no_retry_after() -> None:
    """The field may be missing."""
    assert retry_after({}) == 0.0


@given(st.text())
def test_any_retry_after(text: str) -> None:
    """Whatever a server says, it is not waited for longer than a minute."""
    assert 0.0 <= retry_after({"retry-after": text}) <= 60.0
