"""Tests of the Session header and lists of methods."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.wire.rtsp.session_fields import (
    DEFAULT_TIMEOUT,
    MAX_ID,
    SessionField,
    format_session,
    parse_methods,
    parse_session,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12345678", SessionField("12345678", DEFAULT_TIMEOUT)),
        ("12345678;timeout=55", SessionField("12345678", 55)),
        (" X ; Timeout = 30 ;other", SessionField("X", 30)),
        # D-RQ-11: what a client repeats, and what is no number.
        ("X;timeout=", SessionField("X")),
        ("X;timeout=0", SessionField("X")),
        ("X;timeout=-5", SessionField("X")),
        ("X;timeout=99999999", SessionField("X")),
        ("a-b_c.d+e$=", SessionField("a-b_c.d+e$=")),
    ],
)
def test_parsed(text: str, expected: SessionField) -> None:
    """RFC 2326 12.37, as peers write it."""
    assert parse_session(text) == expected


@pytest.mark.parametrize("text", ["", ";timeout=5", "a b", "a,b", "\u00e4", "x" * (MAX_ID + 1)])
def test_wrong(text: str) -> None:
    """An id that no server gives is the peer's error, and never written."""
    with pytest.raises(PeerError):
        parse_session(text)
    with pytest.raises(UsageError):
        format_session(SessionField(text.partition(";")[0]))


@given(st.text("abcXYZ019-_.+$", min_size=1, max_size=20), st.integers(1, 999999))
def test_round_trip(name: str, timeout: int) -> None:
    """What is written is read as it was."""
    assert parse_session(format_session(SessionField(name, timeout))) == (name, timeout)


def test_methods() -> None:
    """RFC 2326 10.1: lists, also in several headers."""
    assert parse_methods(["OPTIONS, describe,,", "PLAY"]) == {"OPTIONS", "DESCRIBE", "PLAY"}
    assert parse_methods([]) == frozenset()
