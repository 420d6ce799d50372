"""The text of playlists, and what is no playlist (draft-pantos-hls-rfc8216bis sections 4.1, 4.4.1).

Clients are asked to reject what is not UTF-8 or begins with a byte order mark; players do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ntvmedia.errors import PeerError

# What is sent for a playlist by mistake, by its beginning in lower case without white space.
_OTHERS: Final = (
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<mpd", "an MPEG-DASH manifest"),
    (b"<smoothstreaming", "a Smooth Streaming manifest"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
    (b"[", "JSON"),
    (b"webvtt", "WebVTT"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"id3", "sound with an ID3 tag"),
)


def playlist_lines(data: bytes) -> list[str]:
    """Return the lines of a playlist, which end with LF, CR LF or CR, and with nothing else.

    Raises:
        PeerError: No tag comes before everything but comments; it says what it is instead.
    """
    lines = _text(data).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    _check_beginning(lines, data)
    return lines


def _text(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:  # names in the code page of whoever made it
        return data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")


def _check_beginning(lines: Iterable[str], data: bytes) -> None:
    """Check that a tag comes before everything but comments; that it is EXTM3U is not needed."""
    for line in lines:
        line = line.strip()
        if line[:4].upper() == "#EXT":
            return
        if line and line[0] != "#":
            break
    raise PeerError(f"it is no playlist: {_describe(data)}", reference="RFC 8216bis 4.4.1.1")


def _describe(data: bytes) -> str:
    beginning = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:32]
    if not beginning:
        return "it is empty"
    if data[4:8] in (b"ftyp", b"styp", b"moov", b"moof", b"sidx"):
        return "it is MP4"
    for start, name in _OTHERS:
        if beginning.lower().startswith(start):
            return f"it is {name}"
    if data[:1] == data[188:189] == b"G":
        return "it is an MPEG transport stream"
    return f"it begins with {beginning!r}"
