"""Media playlists as the load generator reads them."""

from __future__ import annotations

import pytest

from bench.flv import BadStream
from bench.playlist import Part, read_playlist

# In the manner of RFC 8216bis appendix B.1.
LOW_LATENCY = b"""#EXTM3U
#EXT-X-TARGETDURATION:4
#EXT-X-VERSION:9
#EXT-X-PART-INF:PART-TARGET=1.02
#EXT-X-MEDIA-SEQUENCE:11
#EXT-X-MAP:URI="init0-a.mp4"
#EXTINF:4.08,
11-a.m4s
#EXT-X-PART:DURATION=1.02,URI="12.0-a.m4s",INDEPENDENT=YES
#EXT-X-PART:INDEPENDENT=NO,URI="12.1-a.m4s",DURATION=1.02
#EXTINF:2.04,
12-a.m4s
"""
OPEN = LOW_LATENCY + b'#EXT-X-PART:DURATION=1.02,URI="13.0-a.m4s"\n'
HINT = b'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="13.1-a.m4s"\n'


def test_parts() -> None:
    """Parts belong to the segment whose URI comes after them; a hint is no part yet."""
    listed = read_playlist(OPEN + HINT)
    assert (listed.sequence, listed.end, listed.target_seconds) == (11, 13, 4.0)
    assert listed.names == ("11-a.m4s", "12-a.m4s")
    assert listed.header == "init0-a.mp4"
    assert listed.parts == (
        Part(12, 0, "12.0-a.m4s"),
        Part(12, 1, "12.1-a.m4s"),
        Part(13, 0, "13.0-a.m4s"),
    )
    assert listed.following == (13, 1)


def test_following() -> None:
    """What comes after the last segment is the first part of the next."""
    assert read_playlist(LOW_LATENCY).following == (13, 0)
    assert read_playlist(b"#EXTM3U\r\n#EXT-X-TARGETDURATION:2\r\n#EXTINF:2,\r\n0.ts\r\n") == (
        *(0, 2.0, ("0.ts",), "", (), (1, 0)),
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "not a playlist"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n", "empty"),
        (b"#EXTM3U\n#EXTINF:2,\n0.ts\n", "TARGETDURATION"),
        (OPEN + b"#EXT-X-PART:DURATION=1.02\n", "no URI"),
        (OPEN + b"#EXT-X-ENDLIST\n", "ended"),
    ],
)
def test_no_live_stream(body: bytes, reason: str) -> None:
    """What cannot be played live is not measured as if it could."""
    with pytest.raises(BadStream, match=reason):
        read_playlist(body)
