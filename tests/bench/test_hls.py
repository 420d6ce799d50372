"""Playlists and segments as the load generator reads them."""

from __future__ import annotations

import pytest

from bench.flv import BadStream
from bench.hls import (
    HLSViewer,
    Known,
    boxes,
    check_segment,
    media_sequence,
    playlist_names,
    request,
)

PATH = "/live/s/~abc/av/index.m3u8"
PACKET = b"\x47\x40\0\x10" + bytes(184)
OTHER = b"\x47\x41\0\x10" + bytes(184)


def playlist(first: int, count: int = 2) -> bytes:
    """Write a media playlist of so many segments."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    for number in range(first, first + count):
        lines += ["#EXTINF:2.000,", f"{number}-x.ts"]
    return "\n".join([*lines, ""]).encode()


def viewer(known: Known | None = None, refresh_seconds: float = 2.0) -> HLSViewer:
    """Make one that was given a playlist of segments 5 and 6 at time 10."""
    return HLSViewer("h", PATH, playlist(5), known or Known(), refresh_seconds, 10.0)


def asked(path: str) -> bytes:
    """Write out a request for a segment or the playlist beside it."""
    return f"GET /live/s/~abc/av/{path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def test_names() -> None:
    """Names are the lines that are neither empty nor tags nor comments."""
    assert playlist_names(b"#EXTM3U\r\n\r\n#x\r\na.ts\r\n#EXTINF:2,\r\nb.ts\r\n") == [
        "a.ts",
        "b.ts",
    ]
    assert media_sequence(playlist(17)) == 17
    assert media_sequence(b"#EXTM3U\n") == 0


@pytest.mark.parametrize("body", [b"", b"<html>", b"#EXTM3U\n#EXT-X-ENDLIST\n"])
def test_no_playlist(body: bytes) -> None:
    """What is no playlist, or has nothing to ask for, is not measured as if it were one."""
    with pytest.raises(BadStream):
        playlist_names(body)


@pytest.mark.parametrize(
    "body", [b"", PACKET[:-1], PACKET + b"x" * 188, b"\x47\x41\0\x10" + bytes(184)]
)
def test_no_segment(body: bytes) -> None:
    """Whole packets with their sync bytes, a PAT first: all else is no segment."""
    check_segment(PACKET + OTHER)
    with pytest.raises(BadStream):
        check_segment(body)


def test_requests() -> None:
    """A viewer asks for each segment in turn, and for the playlist when it is old."""
    watching = viewer()
    requests = [watching.request(now) for now in (10.0, 11.0, 11.9)]
    assert requests == [asked("5-x.ts"), asked("6-x.ts"), asked("5-x.ts")]
    assert (watching.awaits_playlist, watching.needs_content()) == (False, False)
    assert watching.request(12.0) == asked("index.m3u8")
    assert (watching.awaits_playlist, watching.needs_content()) == (True, True)
    watching.content(playlist(7, 3))
    requests = [watching.request(now) for now in (12.0, 12.0, 12.0, 13.9)]
    # It goes on at the place where it was.
    assert requests == [asked("8-x.ts"), asked("9-x.ts"), asked("7-x.ts"), asked("8-x.ts")]
    assert watching.request(14.0) == asked("index.m3u8") == request("h", PATH)


def test_playlists_only() -> None:
    """Without a time to refresh there are requests for the playlist, and nothing must be read."""
    watching = viewer(refresh_seconds=0.0)
    for now in (10.0, 10.0, 10.1):
        assert watching.request(now) == asked("index.m3u8")
        assert not watching.needs_content()


def test_playlist_back() -> None:
    """A list that goes back is no live stream (RFC 8216 section 6.2.2)."""
    watching = viewer()
    watching.request(12.0)
    with pytest.raises(BadStream, match="from 5 to 4"):
        watching.content(playlist(4))


def test_lengths() -> None:
    """A segment has the same length for every viewer, and none is empty."""
    known = Known()
    one, other = viewer(known), viewer(known)
    one.request(10.0)
    one.length_told(376)
    other.request(10.0)
    other.length_told(376)
    with pytest.raises(BadStream, match="375 bytes, and 376 before"):
        other.length_told(375)
    with pytest.raises(BadStream, match="empty"):
        one.length_told(0)
    one.request(12.0)
    one.length_told(99)  # playlists change


def test_contents() -> None:
    """A segment has the same content for every viewer."""
    known = Known()
    one, other = viewer(known), viewer(known)
    one.request(10.0)
    one.content(PACKET + OTHER)
    other.request(10.0)
    other.content(PACKET + OTHER)
    with pytest.raises(BadStream, match="another content"):
        other.content(PACKET + OTHER[:-1] + b"x")
    with pytest.raises(BadStream, match="MPEG-TS"):
        other.content(b"<html>")


def test_fmp4() -> None:
    """Fragments and what comes before them; half a box, or boxes without media, are neither."""
    moof, mdat = b"\0\0\0\x0bmoofabc", b"\0\0\0\x09mdatx"
    assert boxes(moof + mdat) == [b"moof", b"mdat"]
    check_segment(moof + mdat + moof + mdat)
    check_segment(b"\0\0\0\x08ftyp\0\0\0\x08moov")
    for bad in (moof, mdat, moof + mdat[:-1], moof + mdat + b"x", bytes(64)):
        with pytest.raises(BadStream, match="MPEG-TS"):
            check_segment(bad)
