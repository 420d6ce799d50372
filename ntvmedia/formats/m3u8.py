"""What playlists of HTTP Live Streaming say (draft-pantos-hls-rfc8216bis; sections are its own).

`m3u8_writer` writes them, `m3u8_reader` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

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

IDENTITY: Final = "identity"
"""The format of a key that is 16 bytes at its address (section 4.4.4.4)."""


class ByteRange(NamedTuple):
    """A part of a resource (section 4.4.4.2).

    Attributes:
        length: Bytes.
        offset: Of the first, from the start of the resource.
    """

    length: int
    offset: int


class Key(NamedTuple):
    """What segments are decrypted with (section 4.4.4.4).

    Attributes:
        uri: Of the key; empty where a playlist that was read has none.
        iv: 16 bytes; empty where the playlist has none: then it is the media sequence number of
            the segment, big-endian.
        method: "AES-128" for whole segments; anything else is some way to encrypt samples.
        key_format: How the key is had; `IDENTITY` for 16 bytes at its address.
    """

    uri: str
    iv: bytes
    method: str = "AES-128"
    key_format: str = IDENTITY


class Map(NamedTuple):
    """The init segment that segments need (section 4.4.4.5).

    Attributes:
        uri: Of it.
        byte_range: What it is of that resource; None for the whole.
        key: What it is encrypted with itself; None where it is clear.
    """

    uri: str
    byte_range: ByteRange | None = None
    key: Key | None = None


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
        wall_seconds: Wall clock of its first picture, seconds since 1970; None where it is not
            known. In a list that was read, what follows a date is counted on from it, until a
            discontinuity.
        discontinuity: Something changed between the segment before and this one.
        gap: There is nothing to fetch.
        map: The init segment that it needs; None where it needs none.
        key: What it is encrypted with; None where it is clear.
        parts: What is listed of its parts; always empty in a list that was read.
        byte_range: What it is of its resource; None for the whole.
    """

    uri: str
    duration: float
    wall_seconds: float | None = None
    discontinuity: bool = False
    gap: bool = False
    map: Map | None = None
    key: Key | None = None
    parts: Sequence[Part] = ()
    byte_range: ByteRange | None = None


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A media playlist that was read (section 4.4.3).

    Attributes:
        segments: In order.
        target_duration: Seconds; as the segments have it where the list says nothing, or 0, or less
            than a rounded duration. Never 0.
        media_sequence: Number of the first segment.
        discontinuity_sequence: How many discontinuities came before it; one that the first segment
            has itself is not counted.
        ended: Nothing is added any more.
        kind: "EVENT": only added to; "VOD": never changed; empty: it says neither.
        version: Of the protocol; 1 where it says nothing.
        start_seconds: Where to begin, from the start, or with a minus from the end; None where it
            does not say.
        start_precise: What is before that within its segment is not to be shown.
        duration_step: Seconds to which the durations were rounded when they were written: 1.0
            where none has a decimal point, else after the fewest decimals.
    """

    segments: tuple[Segment, ...]
    target_duration: float
    media_sequence: int = 0
    discontinuity_sequence: int = 0
    ended: bool = False
    kind: Literal["", "EVENT", "VOD"] = ""
    version: int = 1
    start_seconds: float | None = None
    start_precise: bool = False
    duration_step: float = 1.0


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
    """An alternative sound, or other medium (section 4.4.6.1).

    Attributes:
        group: The name that variants refer to.
        name: For people; unique in its group.
        language: BCP 47; empty where it is not known.
        channels: 0 where it is not known.
        is_default: It is played unless somebody chooses another.
        uri: Of its media playlist; empty where the variants have it in them.
        kind: "AUDIO", "VIDEO", "SUBTITLES" or "CLOSED-CAPTIONS".
        autoselect: A player may choose it for its language.
        forced: Subtitles of what is not in the language of the sound.
    """

    group: str
    name: str
    language: str = ""
    channels: int = 0
    is_default: bool = False
    uri: str = ""
    kind: str = "AUDIO"
    autoselect: bool = True
    forced: bool = False


class Variant(NamedTuple):
    """One way to watch a stream (section 4.4.6.2).

    Attributes:
        uri: Of its media playlist, relative to the multivariant one.
        bandwidth: Peak bits a second; 0 where a playlist that was read does not say.
        average_bandwidth: Likewise; 0 where it is not known.
        codecs: RFC 6381 names.
        width: Of the picture in samples; 0 for none.
        height: Likewise.
        frame_rate: Frames a second, or 0 where it is not known.
        audio: The group of its alternative sounds; empty for none.
        video: The group of its alternative pictures; likewise.
        subtitles: The group of its subtitles; likewise.
        name: For people; empty for none. No document has it, but many playlists.
        video_range: "SDR", "HLG" or "PQ"; empty where it is not known.
    """

    uri: str
    bandwidth: int
    average_bandwidth: int = 0
    codecs: Sequence[str] = ()
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    audio: str = ""
    video: str = ""
    subtitles: str = ""
    name: str = ""
    video_range: str = ""


@dataclass(frozen=True, slots=True)
class MultivariantPlaylist:
    """A multivariant playlist that was read (section 4.4.6).

    Attributes:
        variants: The first is what a player begins with.
        renditions: What they refer to.
        version: Of the protocol; 1 where it says nothing.
        variables: What it defines; its media playlists may import that (section 4.4.2.3).
    """

    variants: tuple[Variant, ...]
    renditions: tuple[Rendition, ...] = ()
    version: int = 1
    variables: Mapping[str, str] = field(default_factory=dict)
