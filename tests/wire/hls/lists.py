"""Playlists as a server would list a stream, without writing and reading them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ntvmedia.formats.m3u8 import MediaPlaylist, Segment
from ntvmedia.wire.hls.follower import Follower
from ntvmedia.wire.hls.resources import MediaSegment

BASE = "https://example.org/live/index.m3u8"
TARGET = 4.0


def window(
    numbers: Sequence[int],
    *,
    name: str = "{}.ts",
    sequence: int | None = None,
    cuts: Sequence[int] = (),
    **fields: Any,
) -> MediaPlaylist:
    """Return a list of some segments of a stream.

    Args:
        numbers: Of the segments, one after the other.
        name: Of a segment, by its number.
        sequence: What the list says for the first number; None for what is true.
        cuts: The segments that begin after a discontinuity.
        fields: More of `MediaPlaylist`.
    """
    segments = tuple(
        Segment(name.format(number), TARGET, discontinuity=number in cuts) for number in numbers
    )
    first = numbers[0] if numbers else 0
    passed = sum(cut < first for cut in cuts)
    values: dict[str, Any] = {
        "target_duration": TARGET,
        "media_sequence": first if sequence is None else sequence,
        "discontinuity_sequence": passed,
        **fields,
    }
    return MediaPlaylist(segments, **values)


def show(follower: Follower, playlist: MediaPlaylist) -> list[str]:
    """Give a follower a list; return what it wants, as `marked` names it."""
    return [marked(segment) for segment in follower.playlist_received(playlist, BASE)]


def marked(segment: MediaSegment) -> str:
    """Return a segment's name, without its token, with "|" before a discontinuity."""
    name = segment.url.removeprefix("https://example.org/live/").partition("?")[0]
    return f"{'|' * segment.discontinuity}{name}"
