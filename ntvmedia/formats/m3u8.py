"""Playlists of HTTP Live Streaming, written (RFC 8216, draft-pantos-hls-rfc8216bis)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

CONTENT_TYPE: Final = "application/vnd.apple.mpegurl"
"""The media type of both kinds of playlist (RFC 8216 section 10)."""

VERSION: Final = 6
"""The same in all playlists: 3 for decimal EXTINF, 6 is what Apple's tools write (section 7)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Segment(NamedTuple):
    """One media segment, as a playlist lists it.

    Attributes:
        uri: Relative to the playlist.
        duration: Seconds.
        wall_seconds: Wall clock of its first picture, seconds since 1970.
        discontinuity: Something changed between the segment before and this one.
        gap: There is nothing to fetch.
    """

    uri: str
    duration: float
    wall_seconds: float
    discontinuity: bool = False
    gap: bool = False


class Variant(NamedTuple):
    """One way to watch a stream.

    Attributes:
        uri: Of its media playlist, relative to the multivariant one.
        bandwidth: Peak bits a second.
        codecs: RFC 6381 names.
        width: Of the picture in samples; 0 for none.
        height: Likewise.
        frame_rate: Frames a second, or 0 where it is not known.
    """

    uri: str
    bandwidth: int
    codecs: Sequence[str] = ()
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0


def media_playlist(
    segments: Iterable[Segment],
    *,
    target_duration: int,
    media_sequence: int,
    discontinuity_sequence: int,
    ended: bool = False,
) -> bytes:
    """Write a media playlist (section 4.4.3).

    Args:
        segments: In order.
        target_duration: Seconds; no rounded duration is above it (section 4.4.3.1).
        media_sequence: Number of the first segment.
        discontinuity_sequence: How many discontinuities came before it.
        ended: Nothing is added any more.
    """
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        f"#EXT-X-TARGETDURATION:{target_duration}",
        f"#EXT-X-MEDIA-SEQUENCE:{media_sequence}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}",
    ]
    for segment in segments:
        if segment.discontinuity:
            lines.append("#EXT-X-DISCONTINUITY")
        if segment.gap:
            lines.append("#EXT-X-GAP")
        lines += (
            f"#EXT-X-PROGRAM-DATE-TIME:{date_time(segment.wall_seconds)}",
            f"#EXTINF:{segment.duration:.6f},",
            segment.uri,
        )
    if ended:
        lines.append("#EXT-X-ENDLIST")
    lines.append("")
    return "\n".join(lines).encode("utf-8")


def multivariant_playlist(variants: Iterable[Variant]) -> bytes:
    """Write a multivariant playlist (section 4.4.6)."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION}"]
    for variant in variants:
        attributes = [f"BANDWIDTH={max(1, variant.bandwidth)}"]
        if variant.codecs:
            attributes.append(f'CODECS="{",".join(variant.codecs)}"')
        if variant.width and variant.height:
            attributes.append(f"RESOLUTION={variant.width}x{variant.height}")
        if variant.frame_rate:
            attributes.append(f"FRAME-RATE={variant.frame_rate:.3f}")
        lines += (f"#EXT-X-STREAM-INF:{','.join(attributes)}", variant.uri)
    lines.append("")
    return "\n".join(lines).encode("utf-8")


def date_time(wall_seconds: float) -> str:
    """Write a time of EXT-X-PROGRAM-DATE-TIME: ISO 8601 in UTC, to the millisecond."""
    moment = _EPOCH + timedelta(milliseconds=round(wall_seconds * 1000))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
