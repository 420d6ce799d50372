"""Tests of ntvmedia.avtools.complaints."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.avtools.complaints import (
    MAX_LINE,
    MAX_LINES,
    WINDOW_SECONDS,
    Complaints,
    masked,
)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("[mpegts @ 0x55d0c8a1f00] Packet corrupt", "[mpegts] Packet corrupt"),
        ("open mmsh://user:pass@host:80/a?key=1 failed", "open mmsh://host:80 failed"),
        ("'http://u:p@[::1]:8080/x': no", "'http://[::1]:8080': no"),
        ("a\x1b[31mred\x1b[0m\x00\x07 \u2028 z", "a red z"),
        ("   ", ""),
    ],
)
def test_masked(line: str, shown: str) -> None:
    """F-AC-03, F-IN-06: no password, path or query, and nothing that a terminal obeys."""
    assert masked(line) == shown


@given(st.text(max_size=50), st.text(max_size=50))
@settings(max_examples=60)
def test_masked_is_one_line(before: str, after: str) -> None:
    """Whatever the text, one bounded line without the password comes out."""
    found = masked(f"{before} http://u:hunter2@h/{after}" * 10)
    assert len(found) <= MAX_LINE
    assert found.isprintable()
    assert "hunter2" not in found


def test_lines() -> None:
    """Lines are put together again, and repeated ones told as a number."""
    notes: list[str] = []
    complaints = Complaints(notes.append)
    complaints.receive_data(b"on", 0.0)
    complaints.receive_data(b"e\ntwo\none\n\nthr", 0.0)
    assert notes == ["one", "two"]
    complaints.receive_data(b"ee\n", WINDOW_SECONDS)
    assert notes[2:] == ["1 lines like these", "three"]


def test_bounds() -> None:
    """A flood is a few lines, and one without an end is not kept."""
    notes: list[str] = []
    complaints = Complaints(notes.append)
    for number in range(1000):
        complaints.receive_data(b"line %d\n" % number, 1.0)
    assert len(notes) == MAX_LINES
    for _number in range(1000):
        complaints.receive_data(bytes(100_000), 2.0)
    assert len(complaints._pending) < 5000
    complaints.receive_data(b"\nlater\n", 20.0)
    assert notes[MAX_LINES:] == [f"{1000 - MAX_LINES} lines like these", "later"]
