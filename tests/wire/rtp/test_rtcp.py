"""RTCP compounds (RFC 3550 section 6), also those of cameras."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.wire.rtp.rtcp import (
    Goodbye,
    ReceiverReport,
    Report,
    ReportBlock,
    SenderReport,
    SourceDescription,
    build_compound,
    ntp_from_unix,
    parse_compound,
    unix_from_ntp,
)

# Sent by ffmpeg 5.1 at 2026-11-22 10:11:00 UTC, before its first packet.
FFMPEG = bytes.fromhex("80c80006232f5448eead3e34076c8b43cb56404f0000000000000000")

# Chromium's, from the report pion/webrtc#447.
CHROMIUM = bytes.fromhex(
    "80c800069cf6b791e020b715e45b8dc5c5df70cd0000020e00069e0a"
    "81ca00069cf6b79101106a764362495 82f54587752354d51716300 00".replace(" ", "")
)

BLOCK = ReportBlock(0x11223344, 128, -3, 0x1FFFE, 77, 0xAABBCCDD, 65536)


def test_ffmpeg() -> None:
    """A sender report alone; its time is the right one, with its fraction."""
    (report,) = parse_compound(FFMPEG)
    assert report == SenderReport(0x232F5448, 0xEEAD3E34076C8B43, 0xCB56404F, 0, 0)
    assert isinstance(report, SenderReport)
    assert unix_from_ntp(report.ntp) == pytest.approx(1795342260.029, abs=0.001)
    assert build_compound([report]) == FFMPEG


def test_chromium() -> None:
    """A report and a description."""
    report, description = parse_compound(CHROMIUM)
    assert isinstance(report, SenderReport)
    assert (report.ssrc, report.packets, report.octets) == (0x9CF6B791, 526, 433674)
    assert description == SourceDescription(0x9CF6B791, "jvCbIX/TXwR5MQqc")
    assert build_compound([report, description]) == CHROMIUM


def test_fields_of_a_block() -> None:
    """Fraction, loss with its sign, and the rest, at their places (RFC 3550 6.4.1)."""
    data = build_compound([ReceiverReport(5, (BLOCK,))])
    assert data == bytes.fromhex(
        "81c90007 00000005 11223344 80fffffd 0001fffe 0000004d aabbccdd 00010000"
    )
    assert parse_compound(data) == [ReceiverReport(5, (BLOCK,))]


def test_goodbye() -> None:
    """D-PL-07: BYE, with a reason and without."""
    data = bytes.fromhex("82cb0004 00000001 00000002 0465 6f66 2e000000")
    assert parse_compound(data) == [Goodbye((1, 2), "eof.")]
    assert build_compound([Goodbye((1, 2), "eof.")]) == data
    assert parse_compound(bytes.fromhex("81cb000100000001")) == [Goodbye((1,))]
    assert parse_compound(bytes.fromhex("80cb0000")) == [Goodbye(())]


def test_unknown_kinds() -> None:
    """D-PL-07: APP, feedback and extended reports are passed over."""
    app = bytes.fromhex("80cc0003 00000001 41424344 00000000")
    feedback = bytes.fromhex("81ce0002 00000001 00000002")
    extended = bytes.fromhex("80cf0001 00000001")
    assert parse_compound(app + FFMPEG + feedback + extended + CHROMIUM) == [
        *parse_compound(FFMPEG),
        *parse_compound(CHROMIUM),
    ]


def test_what_cameras_send() -> None:
    """D-PL-07: lengths beyond the end, junk behind, a description first, fewer blocks than told."""
    (report,) = parse_compound(FFMPEG)
    # Hanwha's length is more than there is; others leave what is no RTCP behind.
    for broken in (
        FFMPEG[:2] + b"\x00\x09" + FFMPEG[4:],
        FFMPEG[:2] + b"\xff\xff" + FFMPEG[4:],
        FFMPEG + b"\0\0\0\0",
        FFMPEG + b"\x80",
        FFMPEG + b"\x80\xc8\x00\x01",
        b"\x82" + FFMPEG[1:],
    ):
        assert parse_compound(broken) == [report]
    description = build_compound([SourceDescription(7, "camera")])
    assert parse_compound(description + FFMPEG) == [SourceDescription(7, "camera"), report]


def test_items_other_than_names() -> None:
    """TOOL and others are passed over; a chunk without a name tells nothing."""
    body = bytes.fromhex("00000007 0604 6c617666 0102 6162 0000 0000 00000008 0000 0000")
    data = b"\x82\xca" + (len(body) // 4).to_bytes(2, "big") + body
    assert parse_compound(data) == [SourceDescription(7, "ab")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\xc8",
        b"\x00\xc8\x00\x00",
        b"\x80\xc8\x00\x00",  # zero length
        FFMPEG[:20],
        b"\x80\xc9\x00\x00",
        bytes.fromhex("81ca0002 00000001 01ff6162"),
    ],
)
def test_nothing_to_read(data: bytes) -> None:
    """D-PL-07: cut off in the first packet, or no RTCP at all."""
    with pytest.raises(PeerError):
        parse_compound(data)


def test_many_packets() -> None:
    """A datagram of thousands of packets is read up to the limit."""
    assert len(parse_compound(b"\x80\xcb\x00\x00" * 16000)) == 64


@pytest.mark.parametrize(
    ("seconds", "ntp"),
    [
        (0.0, 2208988800 << 32),
        (0.5, 2208988800 << 32 | 1 << 31),
        (1795342260.25, 0xEEAD3E34 << 32 | 1 << 30),
        # 7 February 2036, 06:28:16 UTC: the next era begins.
        (2085978496.0, 0),
        (2085978497.5, 1 << 32 | 1 << 31),
    ],
)
def test_ntp(seconds: float, ntp: int) -> None:
    """D-PL-05: the fraction is one of 2**32, and the year 2036 is survived."""
    assert ntp_from_unix(seconds) == ntp
    assert unix_from_ntp(ntp) == seconds


@given(st.floats(0, 4e9))
def test_ntp_round_trip(seconds: float) -> None:
    """There and back within a microsecond."""
    assert abs(unix_from_ntp(ntp_from_unix(seconds)) - seconds) < 1e-6


NUMBERS = st.integers(0, (1 << 32) - 1)
BLOCKS = st.lists(
    st.builds(
        ReportBlock,
        NUMBERS,
        st.integers(0, 255),
        st.integers(-(1 << 23), (1 << 23) - 1),
        NUMBERS,
        NUMBERS,
        NUMBERS,
        NUMBERS,
    ),
    max_size=31,
).map(tuple)
TEXTS = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=255)
REPORTS = st.one_of(
    st.builds(
        SenderReport, NUMBERS, st.integers(0, (1 << 64) - 1), NUMBERS, NUMBERS, NUMBERS, BLOCKS
    ),
    st.builds(ReceiverReport, NUMBERS, BLOCKS),
    st.builds(SourceDescription, NUMBERS, TEXTS),
    st.builds(Goodbye, st.lists(NUMBERS, max_size=31).map(tuple), TEXTS | st.just("")),
)


@given(st.lists(REPORTS, min_size=1, max_size=4))
def test_round_trip(reports: list[Report]) -> None:
    """What is written is read; and it is whole words."""
    data = build_compound(reports)
    assert not len(data) % 4
    assert parse_compound(data) == reports


@settings(max_examples=200)
@given(st.binary(max_size=80), st.integers(200, 203))
def test_any_bytes(data: bytes, kind: int) -> None:
    """Only the documented error, whatever follows a good beginning."""
    for whole in (data, bytes((0x9F, kind, 0, 20)) + data):
        with suppress(PeerError):
            parse_compound(whole)


def test_too_much_to_write() -> None:
    """What has no room is our mistake."""
    for report in (
        ReceiverReport(1, (BLOCK,) * 32),
        SourceDescription(1, "x" * 256),
        Goodbye(tuple(range(32))),
    ):
        with pytest.raises(UsageError):
            build_compound([report])
