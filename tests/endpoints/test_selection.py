"""Tests of ntvmedia.endpoints.selection (P-503)."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.endpoints.selection import track_options


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ({}, {}),
        ({"audio": "1"}, {"video": "none"}),
        ({"audio": "0"}, {}),
        ({"audio": "yes"}, {}),
        ({"track": "2"}, {"video": "2", "audio": "2"}),
        ({"track": "002"}, {"video": "2", "audio": "2"}),
        ({"track": "255"}, {"video": "255", "audio": "255"}),
        ({"track": "256"}, {}),
        ({"track": "00255"}, {}),
        ({"track": "0" * 5000 + "1"}, {}),
        ({"track": "-1"}, {}),
        ({"track": "²"}, {}),
        ({"track": "٣"}, {}),
        ({"track": ""}, {}),
        ({"track": "1", "audio": "1"}, {"video": "none", "audio": "1"}),
        ({"token": "x"}, {}),
    ],
)
def test_options(query: dict[str, str], options: dict[str, str]) -> None:
    """What makes no sense counts as not given."""
    assert track_options(query) == options


@given(st.text(max_size=8))
def test_any_text(number: str) -> None:
    """Whatever is asked for, there are no more renditions than tracks can be."""
    for value in track_options({"track": number}).values():
        assert value == str(int(value))
        assert 0 <= int(value) < 256
