"""Playlists of HTTP Live Streaming, written (draft-pantos-hls-rfc8216bis; sections are its own).

Addresses and names must have neither quotes nor line ends; whoever makes them sees to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from ntvmedia.formats.m3u8 import (
    HOLD_BACK_TARGETS,
    IDENTITY,
    LOW_LATENCY_VERSION,
    PART_HOLD_BACK_TARGETS,
    SKIP_TARGETS,
    VERSION,
    ByteRange,
    Key,
    LowLatency,
    Rendition,
    Segment,
    Variant,
)

# In UTC, and without saying so: isoformat would write +00:00 for Z.
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001


def media_playlist(
    segments: Sequence[Segment],
    *,
    target_duration: int,
    media_sequence: int,
    discontinuity_sequence: int,
    ended: bool = False,
    kind: Literal["", "EVENT", "VOD"] = "",
    low_latency: LowLatency | None = None,
    skipped: int = 0,
) -> bytes:
    """Write a media playlist (section 4.4.3).

    Args:
        segments: In order. Once one has an init segment, all after it need one: no tag takes it
            away again (section 4.4.4.5).
        target_duration: Seconds; no rounded duration is above it (section 4.4.3.1).
        media_sequence: Number of the first segment.
        discontinuity_sequence: How many discontinuities came before it.
        ended: Nothing is added any more.
        kind: What the list promises of its changes (section 4.4.3.5); empty for nothing.
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
    if kind:
        lines.append(f"#EXT-X-PLAYLIST-TYPE:{kind}")
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
        if before is not None and before.wall_seconds is not None and lines[-1] == before.uri:
            # hls.js 1.7 takes a segment that nothing follows for the one that comes next.
            lines.append(
                f"#EXT-X-PROGRAM-DATE-TIME:{date_time(before.wall_seconds + before.duration)}"
            )
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

    A key applies to init segments too (section 4.4.4.5): before the tag that names one stands what
    that one is encrypted with, and after it what the segment is.
    """
    uri, duration, wall_seconds, discontinuity, gap, init, key, parts, byte_range = segment
    said = None if before is None else before.key
    if discontinuity:
        lines.append("#EXT-X-DISCONTINUITY")
    if init is not None and (before is None or before.map != init):
        if init.key != said:
            _append_key(lines, init.key, said)
            said = init.key
        extent = "" if init.byte_range is None else f',BYTERANGE="{_extent(init.byte_range)}"'
        lines.append(f'#EXT-X-MAP:URI="{init.uri}"{extent}')
    if key != said:
        _append_key(lines, key, said)
    if gap:
        lines.append("#EXT-X-GAP")
    if wall_seconds is not None:
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_time(wall_seconds)}")
    for part_uri, part_duration, independent in parts:
        mark = ",INDEPENDENT=YES" if independent else ""
        lines.append(f'#EXT-X-PART:DURATION={part_duration:.6f},URI="{part_uri}"{mark}')
    if uri:
        if byte_range is not None:
            lines.append(f"#EXT-X-BYTERANGE:{_extent(byte_range)}")
        lines += (f"#EXTINF:{duration:.6f},", uri)


def _append_key(lines: list[str], key: Key | None, before: Key | None) -> None:
    """Append a key's tag, and what ends the one before where that would hold on beside it."""
    if key is None or (before is not None and before.key_format != key.key_format):
        lines.append("#EXT-X-KEY:METHOD=NONE")
    if key is not None:
        uri, iv, method, key_format = key
        vector = f",IV=0x{iv.hex()}" if iv else ""
        form = "" if key_format == IDENTITY else f',KEYFORMAT="{key_format}"'
        lines.append(f'#EXT-X-KEY:METHOD={method},URI="{uri}"{vector}{form}')


def _extent(byte_range: ByteRange) -> str:
    return f"{byte_range.length}@{byte_range.offset}"


def multivariant_playlist(
    variants: Iterable[Variant], renditions: Iterable[Rendition] = (), *, version: int = VERSION
) -> bytes:
    """Write a multivariant playlist (section 4.4.6).

    Args:
        variants: The first is what a player begins with.
        renditions: What these refer to.
        version: The same as of the media playlists.
    """
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{version}"]
    for rendition in renditions:
        attributes = [
            f'TYPE={rendition.kind},GROUP-ID="{rendition.group}",NAME="{rendition.name}"',
            f"DEFAULT={'YES' if rendition.is_default else 'NO'}",
            f"AUTOSELECT={'YES' if rendition.autoselect else 'NO'}",
        ]
        if rendition.forced:
            attributes.append("FORCED=YES")
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
        if variant.video_range:
            attributes.append(f"VIDEO-RANGE={variant.video_range}")
        for name, value in (
            ("AUDIO", variant.audio),
            ("VIDEO", variant.video),
            ("SUBTITLES", variant.subtitles),
            ("NAME", variant.name),
        ):
            if value:
                attributes.append(f'{name}="{value}"')
        lines += (f"#EXT-X-STREAM-INF:{','.join(attributes)}", variant.uri)
    lines.append("")
    return "\n".join(lines).encode("utf-8")


def date_time(wall_seconds: float) -> str:
    """Write a time of EXT-X-PROGRAM-DATE-TIME: ISO 8601 in UTC, to the millisecond."""
    moment = _EPOCH + timedelta(milliseconds=round(wall_seconds * 1000))
    return f"{moment.isoformat(timespec='milliseconds')}Z"
