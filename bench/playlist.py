"""Media playlists of live streams as players read them (RFC 8216, RFC 8216bis for parts)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from bench.flv import BadStream

_URI: Final = re.compile(r'[:,]URI="([^"]+)"')


class Part(NamedTuple):
    """A part that is listed.

    Attributes:
        segment: Media sequence number of its segment.
        number: From 0 within that.
        name: Its URI.
    """

    segment: int
    number: int
    name: str


class MediaPlaylist(NamedTuple):
    """What is read of one.

    Attributes:
        sequence: Media sequence number of the first segment.
        target_seconds: EXT-X-TARGETDURATION.
        names: URIs of the segments.
        header: URI of the last EXT-X-MAP; empty without.
        parts: All that are listed.
        following: Segment and number of the part that comes next. Which segment that is in is
            known only when the one before is listed: until then this may be one part too many of
            that, which means part 0 of the next (RFC 8216bis section 6.2.5.2).
    """

    sequence: int
    target_seconds: float
    names: tuple[str, ...]
    header: str
    parts: tuple[Part, ...]
    following: tuple[int, int]

    @property
    def end(self) -> int:
        """Media sequence number of the segment that comes next."""
        return self.sequence + len(self.names)


def read_playlist(body: bytes) -> MediaPlaylist:
    """Read a media playlist.

    Raises:
        BadStream: It is none, has no segment, or is not of a live stream.
    """
    if not body.startswith(b"#EXTM3U"):
        raise BadStream(f"not a playlist: {body[:32]!r}")
    sequence, target, header = 0, 0.0, ""
    names: list[str] = []
    parts: list[Part] = []
    number = 0
    for line in body.decode().splitlines():
        if not line:
            continue
        if not line.startswith("#"):
            names.append(line)
            number = 0
        elif line.startswith("#EXT-X-PART:"):
            parts.append(Part(sequence + len(names), number, _uri(line)))
            number += 1
        elif line.startswith("#EXT-X-MAP:"):
            header = _uri(line)
        elif line.startswith("#EXT-X-TARGETDURATION:"):
            target = float(line.partition(":")[2])
        elif line.startswith("#EXT-X-MEDIA-SEQUENCE:"):
            sequence = int(line.partition(":")[2])
        elif line == "#EXT-X-ENDLIST":
            raise BadStream("the stream has ended")
    if not names:
        raise BadStream("an empty playlist")
    if not target:
        raise BadStream("a playlist without EXT-X-TARGETDURATION")
    following = sequence + len(names), number
    return MediaPlaylist(sequence, target, tuple(names), header, tuple(parts), following)


def _uri(line: str) -> str:
    found = _URI.search(line)
    if found is None:
        raise BadStream(f"no URI: {line}")
    return found[1]
