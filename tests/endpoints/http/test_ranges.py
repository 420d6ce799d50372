"""Tests of ntvmedia.endpoints.http.ranges, and of answers that have them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.endpoints.http.ranges import NotSatisfiable, parse_range


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # RFC 9110 section 14.1.2, of 10000 bytes.
        ("bytes=0-499", (0, 500)),
        ("bytes=500-999", (500, 1000)),
        ("bytes=-500", (9500, 10000)),
        ("bytes=9500-", (9500, 10000)),
        ("bytes=0-0", (0, 1)),
        ("BYTES= 0-499 ", (0, 500)),
        ("bytes=9999-20000", (9999, 10000)),
        ("bytes=-20000", (0, 10000)),
        ("bytes=0-999999999999999999", (0, 10000)),
        # The whole is sent for these.
        ("bytes=0-0,-1", None),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=+0-4", None),
        ("bytes=0-9999999999999999999", None),
        ("items=0-4", None),
        ("", None),
    ],
)
def test_values(value: str, expected: tuple[int, int] | None) -> None:
    """B-HT-05: single, open-ended, suffix, several, and nonsense."""
    assert parse_range(value, 10000) == expected


@pytest.mark.parametrize(
    ("value", "size"), [("bytes=10000-", 10000), ("bytes=-0", 5), ("bytes=-5", 0), ("bytes=0-", 0)]
)
def test_not_satisfiable(value: str, size: int) -> None:
    """B-HT-05: what lies behind the end is said to."""
    with pytest.raises(NotSatisfiable):
        parse_range(value, size)


@given(st.integers(0, 1 << 45), st.integers(0, 1 << 45), st.integers(0, 1 << 45))
def test_positions(first: int, last: int, size: int) -> None:
    """B-HT-05: offsets of 64 bits; what comes out lies within the whole."""
    try:
        found = parse_range(f"bytes={first}-{last}", size)
    except NotSatisfiable:
        assert first >= size
        return
    if found is None:
        assert last < first
    else:
        assert found == (first, min(last + 1, size))
        assert 0 <= found[0] < found[1] <= size


@given(st.text(max_size=40), st.integers(0, 100))
def test_any_text(value: str, size: int) -> None:
    """Whatever the field holds, there is an answer."""
    try:
        found = parse_range(value, size)
    except NotSatisfiable:
        return
    assert found is None or 0 <= found[0] < found[1] <= size
