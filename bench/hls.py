"""HLS from outside: playlists, the content of segments, and one viewer as requests and answers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from posixpath import dirname
from typing import Final
from urllib.parse import urljoin
from zlib import crc32

from bench.flv import BadStream

TS_PACKET_BYTES: Final = 188
_SYNC: Final = 0x47
_PAT_PID: Final = 0

# What fMP4 must have: a fragment its samples, an initialization segment its tracks.
_BOX_HEAD_BYTES: Final = 8
_FRAGMENT: Final = {b"moof", b"mdat"}
_HEADER: Final = {b"ftyp", b"moov"}

_SEQUENCE: Final = re.compile(rb"^#EXT-X-MEDIA-SEQUENCE:(\d+)\r?$", re.MULTILINE)


def playlist_names(body: bytes) -> list[str]:
    """List what a playlist names, in its order.

    Raises:
        BadStream: It is no playlist, or names nothing.
    """
    if not body.startswith(b"#EXTM3U"):
        raise BadStream(f"not a playlist: {body[:32]!r}")
    names = [line for line in body.decode().splitlines() if line and not line.startswith("#")]
    if not names:
        raise BadStream("an empty playlist")
    return names


def media_sequence(body: bytes) -> int:
    """Return the number of a media playlist's first segment (RFC 8216 section 4.3.3.2)."""
    found = _SEQUENCE.search(body)
    return int(found[1]) if found else 0


def check_segment(body: bytes) -> None:
    """Check that this is MPEG-TS which begins with its tables, or whole boxes of fMP4.

    Raises:
        BadStream: It is neither.
    """
    if body[:1] == bytes((_SYNC,)):
        count, rest = divmod(len(body), TS_PACKET_BYTES)
        if not count or rest or body[::TS_PACKET_BYTES] != bytes((_SYNC,)) * count:
            raise BadStream("not MPEG-TS")
        if int.from_bytes(body[1:3], "big") & 0x1FFF != _PAT_PID:
            raise BadStream("a segment that does not begin with a PAT")
    elif not any(pair <= set(boxes(body)) for pair in (_FRAGMENT, _HEADER)):
        raise BadStream("neither MPEG-TS nor fMP4")


def boxes(body: bytes) -> list[bytes]:
    """List the types of the boxes that this consists of (ISO/IEC 14496-12 section 4.2).

    Raises:
        BadStream: It does not consist of boxes of 32-bit sizes.
    """
    place, types = 0, list[bytes]()
    while place < len(body):
        size = int.from_bytes(body[place : place + 4], "big")
        types.append(body[place + 4 : place + 8])
        place += size
        if size < _BOX_HEAD_BYTES or place > len(body):
            raise BadStream("neither MPEG-TS nor whole boxes")
    return types


@dataclass(slots=True)
class Known:
    """What all viewers together know of the segments, by path.

    Attributes:
        lengths: Of the first answer; every other must have the same.
        prints: Of the first content that was looked at; likewise.
    """

    lengths: dict[str, int] = field(default_factory=dict)
    prints: dict[str, int] = field(default_factory=dict)


class HLSViewer:
    """One viewer on one keep-alive connection, each with a session of its own.

    The loop around it sends `request`, tells each answer's length by `length_told`, and gives the
    content of those to `content`, which need it.

    Args:
        host: For the requests.
        path: Of the media playlist.
        body: The playlist as it was given first.
        known: Shared by all viewers.
        refresh_seconds: The playlist is asked for again so often; 0: nothing else is asked for.
        now: Of that answer.

    Attributes:
        awaits_playlist: The request at hand is for the playlist.
    """

    def __init__(
        self, host: str, path: str, body: bytes, known: Known, refresh_seconds: float, now: float
    ) -> None:
        self.awaits_playlist = False
        self._host = host
        self._known = known
        self._refresh = refresh_seconds
        self._playlist = request(host, path)
        # The names of segments are never used again, but each viewer has a folder of its own.
        self._folder = dirname(path)
        self._names: list[str] = []
        self._requests: list[bytes] = []
        self._sequence = -1
        self._next = 0
        self._name = ""
        self._asked_at = now
        self._read(body)

    def request(self, now: float) -> bytes:
        """Say what is to be sent next."""
        if not self._refresh or now - self._asked_at >= self._refresh:
            self._asked_at = now
            self.awaits_playlist = True
            return self._playlist
        self.awaits_playlist = False
        place = self._next
        self._next = (place + 1) % len(self._names)
        self._name = self._names[place]
        return self._requests[place]

    def needs_content(self) -> bool:
        """Whether the answer at hand must be read, not only counted."""
        return self.awaits_playlist and self._refresh > 0

    def length_told(self, length: int) -> None:
        """Take the length of the answer at hand.

        Raises:
            BadStream: The same segment had another one before, or there is no content.
        """
        if not length:
            raise BadStream("an empty answer")
        if not self.awaits_playlist:
            before = self._known.lengths.setdefault(self._name, length)
            if before != length:
                raise BadStream(f"{self._name}: {length} bytes, and {before} before")

    def content(self, body: bytes) -> None:
        """Take the content of the answer at hand.

        Raises:
            BadStream: It is not what was asked for, or another than before.
        """
        if self.awaits_playlist:
            self._read(body)
            return
        check_segment(body)
        seen = crc32(body)
        if self._known.prints.setdefault(self._name, seen) != seen:
            raise BadStream(f"{self._name}: another content than before")

    def _read(self, body: bytes) -> None:
        names, sequence = playlist_names(body), media_sequence(body)
        if sequence < self._sequence:
            raise BadStream(f"the playlist went back from {self._sequence} to {sequence}")
        if (sequence, len(names)) == (self._sequence, len(self._names)):
            return
        self._sequence = sequence
        self._names = names
        self._requests = [request(self._host, urljoin(f"{self._folder}/", x)) for x in names]
        self._next %= len(names)


def request(host: str, path: str) -> bytes:
    """Write a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
