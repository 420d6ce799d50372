"""Decode times made up from presentation times."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from ntvmedia.wire.rtp.decode_times import DecodeTimes

# Places in display of pictures in the order of decoding, and how many are held back for it.
PATTERNS = {
    "no B-frames": ([0, 1, 2, 3, 4, 5, 6, 7], 0),
    "one B-frame": ([0, 2, 1, 4, 3, 6, 5, 8, 7], 1),
    "two B-frames": ([0, 3, 1, 2, 6, 4, 5, 9, 7, 8], 1),
    "pyramid": ([0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11], 2),
    "open group": ([0, 3, 1, 2, 6, 4, 5, 9, 7, 8], 2),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns(name: str) -> None:
    """Times rise evenly, each at or before presentation, with the depth that the stream tells."""
    shown, depth = PATTERNS[name]
    times = DecodeTimes(depth, 3600)
    found = [times.take(90000 + 3600 * place) for place in shown]
    assert [pts for _dts, pts in found] == [90000 + 3600 * place for place in shown]
    first = 90000 - 3600 * depth
    assert [dts for dts, _pts in found] == [first + 3600 * n for n in range(len(shown))]


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_that_are_not_told(name: str) -> None:
    """Without a depth nothing is presented before it is decoded either, and it settles."""
    shown, depth = PATTERNS[name]
    times = DecodeTimes(None, 3600)
    length = len(shown)
    found = []
    for group in range(60):
        found += [times.take(3600 * (group * length + place)) for place in shown]
    assert all(dts <= pts for dts, pts in found)
    assert all(a[0] < b[0] for a, b in pairwise(found))
    # What is not needed is not held in the end.
    needed = 0 if depth == 0 else max(sum(b > a for b in shown[:i]) for i, a in enumerate(shown))
    assert found[-1][0] == 3600 * (60 * length - 1 - needed)


def test_repeated_times() -> None:
    """D-RT-10: a timestamp twice makes two pictures, one tick apart."""
    times = DecodeTimes(0)
    assert [times.take(pts) for pts in (10, 10, 10, 500)] == [
        (10, 10),
        (11, 11),
        (12, 12),
        (500, 500),
    ]


def test_a_gap() -> None:
    """After a gap pictures are not decoded at times from before it."""
    times = DecodeTimes(2, 3600)
    for place in range(10):
        times.take(3600 * place)
    for place in range(10):
        dts, pts = times.take(900_000 + 3600 * place)
        assert pts - dts == 7200


def test_lost_pictures() -> None:
    """Pictures that are missing leave gaps, no disorder."""
    shown, depth = PATTERNS["pyramid"]
    times = DecodeTimes(depth, 3600)
    kept = [place for index, place in enumerate(shown) if index not in (2, 5, 6)]
    found = [times.take(3600 * place) for place in kept]
    assert all(dts <= pts for dts, pts in found)
    assert all(a[0] < b[0] for a, b in pairwise(found))


def test_another_configuration() -> None:
    """Where the next stream reorders less, or more, times go on rising."""
    times = DecodeTimes(2, 3600)
    found = [times.take(3600 * place) for place in range(5)]
    times.configure(0)
    found += [times.take(3600 * place) for place in range(5, 10)]
    times.configure(1)
    found += [times.take(3600 * place) for place in (10, 12, 11, 14, 13)]
    assert all(dts <= pts for dts, pts in found)
    assert all(a[0] < b[0] for a, b in pairwise(found))
    assert found[5:10] == [(3600 * place, 3600 * place) for place in range(5, 10)]


@given(
    st.one_of(st.none(), st.integers(0, 16)),
    st.lists(st.integers(-100_000, 300_000), max_size=300),
)
def test_any_times(depth: int | None, times: list[int]) -> None:
    """D-RT-10: decode times always rise, and nothing is shown before it is decoded."""
    maker = DecodeTimes(depth)
    found = [maker.take(pts) for pts in times]
    assert all(dts <= pts for dts, pts in found)
    assert all(a[0] < b[0] for a, b in pairwise(found))
    assert all(shown >= pts for (_dts, shown), pts in zip(found, times, strict=True))
