"""Tests of the Range header."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import PeerError
from ntvmedia.wire.rtsp.ranges import FROM_NOW, MAX_TEXT, Range, Unit, format_range, parse_range


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 2326 sections 3.5 to 3.7 and 12.29
        ("npt=123.45-125", Range(Unit.NPT, Fraction("123.45"), Fraction(125))),
        ("npt=12:05:35.3-", Range(Unit.NPT, Fraction("43535.3"))),
        ("npt=now-", FROM_NOW),
        ("smpte=10:12:33:20-", Range(Unit.SMPTE, 36753 + Fraction(20, 30))),
        ("smpte=10:07:33-", Range(Unit.SMPTE, Fraction(36453))),
        (
            "smpte=10:07:00-10:07:33:05.01",
            Range(Unit.SMPTE, Fraction(36420), 36453 + Fraction(501, 3000)),
        ),
        ("smpte-25=10:07:00-10:07:33:05", Range(Unit.SMPTE, Fraction(36420), Fraction("36453.2"))),
        (
            "clock=19961108T142300Z-19961108T143520Z",
            Range(Unit.CLOCK, Fraction(847462980), Fraction(847463720)),
        ),
        ("clock=19960213T143205Z-;time=19970123T143720Z", Range(Unit.CLOCK, Fraction(824221925))),
        # ffmpeg and GStreamer
        ("npt=0.000-", Range(Unit.NPT, Fraction(0))),
        ("npt=0-", Range(Unit.NPT, Fraction(0))),
        # D-PL-02
        ("npt=-", Range(Unit.NPT, None)),
        ("npt=-20", Range(Unit.NPT, None, Fraction(20))),
        ("npt=1:02:03.5-", Range(Unit.NPT, Fraction("3723.5"))),
        ("0.000-", Range(Unit.NPT, Fraction(0))),
        ("npt=10", Range(Unit.NPT, Fraction(10))),
        (" NPT = NOW-5. ", Range(Unit.NPT, None, Fraction(5), is_now=True)),
        ("clock=20260102T030405.25Z-", Range(Unit.CLOCK, Fraction("1767323045.25"))),
        ("clock=00010101T000000Z-", Range(Unit.CLOCK, Fraction(-62135596800))),
    ],
)
def test_parsed(text: str, expected: Range) -> None:
    """D-PL-02: every form of a range."""
    assert parse_range(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "npt=", "npt", "garbage", "npt=a-b", "npt=-1-", "npt=1e5-", "npt=nan-", "npt=1:2-",
        "npt=1:60:00-", "npt=9999999999-", "npt=0.0000000001-", "npt=\u0661-", "bytes=0-1",
        "clock=-20260102", "clock=20261302T000000Z-", "clock=2026-01-02T00:00:00Z-",
        "clock=20260102T000060Z-", "clock=00000101T000000Z-", "smpte=1:2-", "smpte=x-", "npt=now",
        "npt=0-" + " " * MAX_TEXT,
    ],
)  # fmt: skip
def test_garbage(text: str) -> None:
    """D-PL-02: anything else is the peer's error, never a crash."""
    if text == "npt=now":
        assert parse_range(text) == FROM_NOW
        return
    with pytest.raises(PeerError):
        parse_range(text)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (FROM_NOW, "npt=now-"),
        (Range(Unit.NPT, Fraction(0)), "npt=0.000-"),
        (Range(Unit.NPT, Fraction(1, 3), Fraction(7)), "npt=0.333333333-7.000"),
        (Range(Unit.SMPTE, Fraction(1, 2)), "npt=0.500-"),
        (Range(Unit.CLOCK, Fraction("1767323045.25")), "clock=20260102T030405.25Z-"),
        (Range(Unit.CLOCK, Fraction(-62135596800)), "clock=00010101T000000Z-"),
    ],
)
def test_written(wanted: Range, text: str) -> None:
    """D-PL-01: as players know it."""
    assert format_range(wanted) == text


seconds = st.none() | st.decimals(0, 10**8, places=9).map(Fraction)
moments = st.none() | st.decimals(-(10**10), 10**11, places=3).map(Fraction)


@given(st.builds(Range, st.just(Unit.NPT), seconds, seconds, st.just(False)))
def test_round_trip_of_npt(wanted: Range) -> None:
    """What is written is read as it was."""
    assert parse_range(format_range(wanted)) == wanted


@given(st.builds(Range, st.just(Unit.CLOCK), moments, moments, st.just(False)))
def test_round_trip_of_clock(wanted: Range) -> None:
    """The same for the wall clock."""
    assert parse_range(format_range(wanted)) == wanted


@given(
    st.sampled_from(("npt=", "clock=", "smpte=", "")),
    st.text("0123456789.:-TZ;now", max_size=30) | st.text(max_size=10),
)
def test_any_text(name: str, text: str) -> None:
    """Whatever the text, only the documented error; what is read can be written."""
    try:
        wanted = parse_range(name + text)
    except PeerError:
        return
    again = parse_range(format_range(wanted))
    if wanted.unit is not Unit.SMPTE:
        assert again == wanted
