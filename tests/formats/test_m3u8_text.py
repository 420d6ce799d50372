"""The text of playlists, and what is no playlist."""

from __future__ import annotations

import pytest

from ntvmedia.errors import PeerError
from ntvmedia.formats.m3u8_text import playlist_lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"#EXTM3U\na\n", ["#EXTM3U", "a", ""]),
        (b"#EXTM3U\r\na\rb\r\n\r\n", ["#EXTM3U", "a", "b", "", ""]),
        (b"#EXTM3U\na\x0b\x0c\x1c\xc2\x85\xe2\x80\xa8b", ["#EXTM3U", "a\x0b\x0c\x1c\x85\u2028b"]),
        (b"\xef\xbb\xbf#EXTM3U\n\xc3\xa9", ["#EXTM3U", "é"]),
        (b"\xef\xbb\xbf#EXTM3U\n\xe9", ["#EXTM3U", "é"]),
        ("#EXTM3U\né".encode("utf-16-le").join((b"\xff\xfe", b"")), ["#EXTM3U", "é"]),
        ("#EXTM3U\né".encode("utf-16-be").join((b"\xfe\xff", b"")), ["#EXTM3U", "é"]),
        (b"\n # x\n#extinf:1\n", ["", " # x", "#extinf:1", ""]),
    ],
)
def test_lines(data: bytes, lines: list[str]) -> None:
    """RFC 8216bis 4.1: LF, CR LF, and CR alone; UTF-8, and what others are sent."""
    assert playlist_lines(data) == lines


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "it is empty"),
        (b" \r\n\t\n" * 20, "it is empty"),
        (b"<!DOCTYPE html><html>", "it is a web page"),
        (b"\xef\xbb\xbf" + b"\n" * 99 + b"<HTML>", "it is a web page"),
        (b"<?xml version='1.0'?><MPD>", "it is HTML or XML"),
        (b"<MPD xmlns=", "it is an MPEG-DASH manifest"),
        (b"<SmoothStreamingMedia", "it is a Smooth Streaming manifest"),
        (b'{"error": 403}', "it is JSON"),
        (b"WEBVTT\n\n", "it is WebVTT"),
        (b"\x1f\x8b\x08\0", "it is compressed with gzip"),
        (b"G" + bytes(187) + b"G" + bytes(187), "it is an MPEG transport stream"),
        (b"\0\0\0\x18ftypmp42", "it is MP4"),
        (b"ID3\x04\0", "it is sound with an ID3 tag"),
        (b"Gone", "it begins with b'Gone'"),
        (b"http://h/a.ts\n", r"it begins with b'http://h/a.ts\\n'"),
        (b"# only\n# comments\n", "it begins with b'# only"),
        (b"a.ts\n#EXTM3U\n", "it begins with b'a.ts"),
        (b"\xff\xfe\0", "it begins with"),
    ],
)
def test_no_playlist(data: bytes, what: str) -> None:
    """What is no playlist is said in plain words."""
    with pytest.raises(PeerError, match=f"^it is no playlist: {what}"):
        playlist_lines(data)
