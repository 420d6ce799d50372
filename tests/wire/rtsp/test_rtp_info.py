"""Tests of the RTP-Info header."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import LimitExceeded, UsageError
from ntvmedia.wire.rtsp.rtp_info import MAX_TRACKS, TrackInfo, format_rtp_info, parse_rtp_info


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 2326 section 12.33, its line broken as there
        (
            "url=rtsp://foo.com/bar.avi/streamid=0;seq=45102,\t"
            "url=rtsp://foo.com/bar.avi/streamid=1;seq=30211",
            [
                TrackInfo("rtsp://foo.com/bar.avi/streamid=0", 45102),
                TrackInfo("rtsp://foo.com/bar.avi/streamid=1", 30211),
            ],
        ),
        (
            "url=rtsp://h/live/test/trackID=0;seq=1;rtptime=4294967295",
            [TrackInfo("rtsp://h/live/test/trackID=0", 1, 4294967295)],
        ),
        # live555 and others: no scheme, spaces, another order, quotation marks
        ("url=trackID=1; rtptime=0 ; SEQ=65535", [TrackInfo("trackID=1", 65535, 0)]),
        ('url="rtsp://h/a";seq=1', [TrackInfo("rtsp://h/a", 1)]),
        # A URL with what separates entries.
        (
            "url=rtsp://h/a;b,c?d=1;seq=7,url=rtsp://h/e,f;seq=8;rtptime=9",
            [TrackInfo("rtsp://h/a;b,c?d=1", 7), TrackInfo("rtsp://h/e,f", 8, 9)],
        ),
        ("rtsp://h/a;seq=3", [TrackInfo("rtsp://h/a", 3)]),
        # Numbers that are none (retina#64: cameras leave them out, or send -1)
        ("url=a;seq=65536;rtptime=-1", [TrackInfo("a")]),
        ("url=a;seq=;rtptime=99999999999", [TrackInfo("a")]),
        ("", []),
        (",", [TrackInfo(",")]),
    ],
)
def test_parsed(text: str, expected: list[TrackInfo]) -> None:
    """D-PL-01: what servers say of the first packets."""
    assert parse_rtp_info(text) == expected


def test_limit() -> None:
    """F4: there is a limit."""
    assert len(parse_rtp_info(",".join(["url=a"] * MAX_TRACKS))) == MAX_TRACKS
    with pytest.raises(LimitExceeded):
        parse_rtp_info(",".join(["url=a"] * (MAX_TRACKS + 1)))


def test_written() -> None:
    """D-PL-01: every track with both numbers."""
    tracks = [TrackInfo("rtsp://h/a/trackID=0", 0, 0), TrackInfo("rtsp://h/a/trackID=1")]
    assert (
        format_rtp_info(tracks)
        == "url=rtsp://h/a/trackID=0;seq=0;rtptime=0,url=rtsp://h/a/trackID=1"
    )
    for url in ("", "a b", "a,b", "a;b", "a\r\nb"):
        with pytest.raises(UsageError):
            format_rtp_info([TrackInfo(url)])


@given(
    st.lists(
        st.builds(
            TrackInfo,
            st.text("abc:/=?&", min_size=1).map("rtsp://".__add__),
            st.integers(-1, 65535),
            st.integers(-1, 2**32 - 1),
        ),
        max_size=4,
    )
)
def test_round_trip(tracks: list[TrackInfo]) -> None:
    """What is written is read as it was."""
    assert parse_rtp_info(format_rtp_info(tracks)) == tracks


@given(st.text('url=seqrtptime;,0123456789 -"x', max_size=60))
def test_any_text(text: str) -> None:
    """Whatever the text, tracks come out, with numbers of their width."""
    for track in parse_rtp_info(text):
        assert -1 <= track.sequence_number < 1 << 16
        assert -1 <= track.rtptime < 1 << 32
