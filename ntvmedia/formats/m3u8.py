"""Playlists of HTTP Live Streaming, written (draft-pantos-hls-rfc8216bis; sections are its own)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

CONTENT_TYPE: Final = "application/vnd.apple.mpegurl"
"""The media type of both kinds of playlist (section 10)."""

VERSION: Final = 6
"""Of all playlists that are not for low latency: 3 for decimal EXTINF, 5 for EXT-X-MAP, 6 for that
in lists of ordinary segments (section 8)."""

LOW_LATENCY_VERSION: Final = 9
"""EXT-X-SKIP needs it (section 8)."""

HOLD_BACK_TARGETS: Final = 3
"""Target durations that a player stays behind the end of a list (section 4.4.3.8)."""

SKIP_TARGETS: Final = 6
"""Target durations at the end of a list that delta updates always have (section 4.4.3.8)."""

PART_HOLD_BACK_TARGETS: Final = 3
"""Part targets that a player stays behind the end of a list with parts (section 4.4.3.8)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Key(NamedTuple):
    """What AES-128 segments are decrypted with (section 4.4.4.4).

    Attributes:
        uri: Of the 16 bytes of the key.
        iv: 16 bytes.
    """

    uri: str
    iv: bytes


class Part(NamedTuple):
    """A partial segment (section 4.4.4.9).

    Attributes:
        uri: Relative to the playlist.
        duration: Seconds.
        independent: It begins with a keyframe.
    """

    uri: str
    duration: float
    independent: bool = False


class Segment(NamedTuple):
    """One media segment, as a playlist lists it.

    Attributes:
        uri: Relative to the playlist; empty while the segment is not complete.
        duration: Seconds.
        wall_seconds: Wall clock of its first picture, seconds since 1970.
        discontinuity: Something changed between the segment before and this one.
        gap: There is nothing to fetch.
        map_uri: Of the init segment that it needs; empty where it needs none.
        key: What it is encrypted with; None where it is clear.
        parts: What is listed of its parts.
    """

    uri: str
    duration: float
    wall_seconds: float
    discontinuity: bool = False
    gap: bool = False
    map_uri: str = ""
    key: Key | None = None
    parts: Sequence[Part] = ()


class Report(NamedTuple):
    """Where another playlist of the same stream stands (section 4.4.5.4).

    Attributes:
        uri: Of it, relative.
        last_msn: Number of its last segment, the one being made included.
        last_part: Number of the last part in that.
    """

    uri: str
    last_msn: int
    last_part: int


class LowLatency(NamedTuple):
    """What a low-latency list has beyond an ordinary one.

    Attributes:
        part_target: Seconds; no part is longer.
        can_block: Players may ask for what is not there yet.
        next_segment: The one that is being made, with its parts; None before its first.
        hint: Name of the next part; empty for none.
        reports: Of the other playlists.
    """

    part_target: float
    can_block: bool
    next_segment: Segment | None = None
    hint: str = ""
    reports: Sequence[Report] = ()


class Rendition(NamedTuple):
    """An alternative sound (section 4.4.6.1).

    Attributes:
        group: The name that variants refer to.
        name: For people; unique in its group.
        language: BCP 47; empty where it is not known.
        channels: 0 where it is not known.
        is_default: It is played unless somebody chooses another.
        uri: Of its media playlist; empty where the variants have it in them.
    """

    group: str
    name: str
    language: str = ""
    channels: int = 0
    is_default: bool = False
    uri: str = ""


class Variant(NamedTuple):
    """One way to watch a stream (section 4.4.6.2).

    Attributes:
        uri: Of its media playlist, relative to the multivariant one.
        bandwidth: Peak bits a second.
        average_bandwidth: Likewise; 0 where it is not known.
        codecs: RFC 6381 names.
        width: Of the picture in samples; 0 for none.
        height: Likewise.
        frame_rate: Frames a second, or 0 where it is not known.
        audio: The group of its alternative sounds; empty for none.
    """

    uri: str
    bandwidth: int
    average_bandwidth: int = 0
    codecs: Sequence[str] = ()
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    audio: str = ""


def media_playlist(
    segments: Sequence[Segment],
    *,
    target_duration: int,
    media_sequence: int,
    discontinuity_sequence: int,
    ended: bool = False,
    low_latency: LowLatency | None = None,
    skipped: int = 0,
) -> bytes:
    """Write a media playlist (section 4.4.3).

    Args:
        segments: In order.
        target_duration: Seconds; no rounded duration is above it (section 4.4.3.1).
        media_sequence: Number of the first segment.
        discontinuity_sequence: How many discontinuities came before it.
        ended: Nothing is added any more.
        low_latency: For a list with parts.
        skipped: How many segments a delta update leaves out at the beginning; 0 for the whole.
    """
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION if low_latency is None else LOW_LATENCY_VERSION}",
        f"#EXT-X-TARGETDURATION:{target_duration}",
    ]
    if low_latency is not None:
        lines += _control(low_latency, target_duration)
    lines += (
        f"#EXT-X-MEDIA-SEQUENCE:{media_sequence}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}",
    )
    if skipped:
        lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")
    # What holds for the segments that are left out holds on.
    before = segments[skipped - 1] if skipped else None
    for segment in segments[skipped:] if skipped else segments:
        _append_segment(lines, segment, before)
        before = segment
    if ended:
        lines.append("#EXT-X-ENDLIST")
    elif low_latency is not None:
        if low_latency.next_segment is not None:
            _append_segment(lines, low_latency.next_segment, before)
        if low_latency.hint:
            lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{low_latency.hint}"')
    if low_latency is not None and not ended:
        for uri, msn, part in low_latency.reports:
            lines.append(f'#EXT-X-RENDITION-REPORT:URI="{uri}",LAST-MSN={msn},LAST-PART={part}')
        if before is not None and lines[-1] == before.uri:
            # hls.js 1.7 takes a segment that nothing follows for the one that comes next.
            lines.append(_date(before.wall_seconds + before.duration))
    lines.append("")
    return "\n".join(lines).encode("utf-8")


def _control(low_latency: LowLatency, target_duration: int) -> tuple[str, str]:
    part_target = low_latency.part_target
    block = "CAN-BLOCK-RELOAD=YES," if low_latency.can_block else ""
    return (
        f"#EXT-X-SERVER-CONTROL:{block}CAN-SKIP-UNTIL={SKIP_TARGETS * target_duration}.0,"
        f"HOLD-BACK={HOLD_BACK_TARGETS * target_duration}.0,"
        f"PART-HOLD-BACK={PART_HOLD_BACK_TARGETS * part_target:.3f}",
        f"#EXT-X-PART-INF:PART-TARGET={part_target:.3f}",
    )


def _append_segment(lines: list[str], segment: Segment, before: Segment | None) -> None:
    """Append a segment's tags and address.

    The init segment is never encrypted: where a key applies to what comes before, it is taken
    away for the tag that names it (section 4.4.4.5).
    """
    key = None if before is None else before.key
    if segment.discontinuity:
        lines.append("#EXT-X-DISCONTINUITY")
    if segment.map_uri and (before is None or before.map_uri != segment.map_uri):
        if key is not None:
            lines.append("#EXT-X-KEY:METHOD=NONE")
            key = None
        lines.append(f'#EXT-X-MAP:URI="{segment.map_uri}"')
    if segment.key is not None and segment.key != key:
        uri, iv = segment.key
        lines.append(f'#EXT-X-KEY:METHOD=AES-128,URI="{uri}",IV=0x{iv.hex()}')
    elif segment.key is None and key is not None:
        lines.append("#EXT-X-KEY:METHOD=NONE")
    if segment.gap:
        lines.append("#EXT-X-GAP")
    lines.append(_date(segment.wall_seconds))
    for uri, duration, independent in segment.parts:
        mark = ",INDEPENDENT=YES" if independent else ""
        lines.append(f'#EXT-X-PART:DURATION={duration:.6f},URI="{uri}"{mark}')
    if segment.uri:
        lines += (f"#EXTINF:{segment.duration:.6f},", segment.uri)


def _date(wall_seconds: float) -> str:
    return f"#EXT-X-PROGRAM-DATE-TIME:{date_time(wall_seconds)}"


def multivariant_playlist(
    variants: Iterable[Variant], renditions: Iterable[Rendition] = (), *, version: int = VERSION
) -> bytes:
    """Write a multivariant playlist (section 4.4.6).

    Args:
        variants: The first is what a player begins with.
        renditions: The sounds that these refer to.
        version: The same as of the media playlists.
    """
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{version}"]
    for rendition in renditions:
        attributes = [
            f'TYPE=AUDIO,GROUP-ID="{rendition.group}",NAME="{rendition.name}"',
            f"DEFAULT={'YES' if rendition.is_default else 'NO'},AUTOSELECT=YES",
        ]
        if rendition.language:
            attributes.append(f'LANGUAGE="{rendition.language}"')
        if rendition.channels:
            attributes.append(f'CHANNELS="{rendition.channels}"')
        if rendition.uri:
            attributes.append(f'URI="{rendition.uri}"')
        lines.append(f"#EXT-X-MEDIA:{','.join(attributes)}")
    for variant in variants:
        attributes = [f"BANDWIDTH={max(1, variant.bandwidth)}"]
        if variant.average_bandwidth:
            attributes.append(f"AVERAGE-BANDWIDTH={variant.average_bandwidth}")
        if variant.codecs:
            attributes.append(f'CODECS="{",".join(variant.codecs)}"')
        if variant.width and variant.height:
            attributes.append(f"RESOLUTION={variant.width}x{variant.height}")
        if variant.frame_rate:
            attributes.append(f"FRAME-RATE={variant.frame_rate:.3f}")
        if variant.audio:
            attributes.append(f'AUDIO="{variant.audio}"')
        lines += (f"#EXT-X-STREAM-INF:{','.join(attributes)}", variant.uri)
    lines.append("")
    return "\n".join(lines).encode("utf-8")


def date_time(wall_seconds: float) -> str:
    """Write a time of EXT-X-PROGRAM-DATE-TIME: ISO 8601 in UTC, to the millisecond."""
    moment = _EPOCH + timedelta(milliseconds=round(wall_seconds * 1000))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
