"""Boxes of MP4: those of an ordinary movie, and of one that is made of fragments.

ISO/IEC 14496-12, cited as "ISOBMFF n". `ftyp` and `moov` of a fragmented movie together are what
RFC 8216 section 3.3 calls a Media Initialization Section.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ntvmedia.media.packets import MediaKind

MOVIE_TIMESCALE: Final = 1000
"""Ticks a second of `mvhd` and `tkhd` of a fragmented movie; all durations there are 0, since
nobody knows them."""

SYNC: Final = 0x02000000
"""Flags of a sample that depends on no other: decoding can begin here (ISOBMFF 8.8.3.1)."""

NOT_SYNC: Final = 0x01010000
"""Flags of a sample that depends on others and is no place to begin."""

UNDETERMINED: Final = "und"
"""The ISO 639-2 code of a language that nobody told."""

_UNITY: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)

# Of `tkhd` (ISOBMFF 8.3.2.3): it is played unless somebody chooses another; it is for the
# presentation and not for reference.
_ENABLED: Final = 1
_IN_MOVIE: Final = 2

# Of the entry of `dref` (ISOBMFF 8.7.2.3): the data is in this file.
_SELF_CONTAINED: Final = 1

_HEAD: Final = struct.Struct(">I4s").pack
_FULL_HEAD: Final = struct.Struct(">I4sI").pack


class SampleEntry(NamedTuple):
    """How a track is described in `stsd`.

    Attributes:
        box: The whole box.
        width: Of the picture as it is to be shown, in pixels; 0 for sound, and where it is not
            known.
        height: Likewise.
        frame_rate: Frames a second; None where the description does not tell.
        is_complete: False while the track's first frame would tell more.
    """

    box: bytes
    width: int = 0
    height: int = 0
    frame_rate: float | None = None
    is_complete: bool = True


class TrackHeader(NamedTuple):
    """What `moov` says of a track.

    Attributes:
        track_id: 1 or more.
        kind: Pictures or sound.
        timescale: Ticks a second.
        entry: Its only sample entry, or the first one.
        language: ISO 639-2/T: 3 lower case letters.
        extended_language: BCP 47, where that says more; else empty.
        is_enabled: It is played unless somebody chooses another one.
        alternate_group: Of tracks with the same number one is played at a time; 0 is no group.
        more_entries: The boxes of the sample entries after the first.
        tables: All boxes of `stbl` but `stsd`; empty where fragments follow.
        media_duration: Of all samples, in ticks of `timescale`; 0 where fragments follow.
        edits: The `edts` box, if there is one.
        duration: Of the edits, in ticks of the movie; 0 where fragments follow.
    """

    track_id: int
    kind: MediaKind
    timescale: int
    entry: SampleEntry
    language: str = UNDETERMINED
    extended_language: str = ""
    is_enabled: bool = True
    alternate_group: int = 0
    more_entries: Sequence[bytes] = ()
    tables: bytes = b""
    media_duration: int = 0
    edits: bytes = b""
    duration: int = 0


def box(kind: bytes, *parts: bytes) -> bytes:
    """Write a box of less than 4 GiB (ISOBMFF 4.2)."""
    body = b"".join(parts)
    return _HEAD(8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """Write a box with version and flags (ISOBMFF 4.2)."""
    body = b"".join(parts)
    return _FULL_HEAD(12 + len(body), kind, version << 24 | flags) + body


def file_type(brands: Iterable[bytes] = ()) -> bytes:
    """Write `ftyp` (ISOBMFF 4.3).

    Args:
        brands: Of four letters each, beyond "iso6", which RFC 8216 section 4.3.2.5 demands, and
            "mp41", which allows `esds`.
    """
    return box(b"ftyp", b"iso6", bytes(4), b"iso6", b"mp41", *brands)


def movie(tracks: Sequence[TrackHeader]) -> bytes:
    """Write `moov` without samples and with `mvex`: fragments follow (ISOBMFF 8.2.1, 8.8.1).

    There is no edit list: the times in fragments are those of the presentation.
    """
    extends = [
        # Defaults that fragments repeat where they count: some players do not look here.
        full_box(b"trex", 0, 0, struct.pack(">5I", track.track_id, 1, 0, 0, _usual_flags(track)))
        for track in tracks
    ]
    return ordinary_movie(tracks, MOVIE_TIMESCALE, 0, box(b"mvex", *extends))


def ordinary_movie(
    tracks: Sequence[TrackHeader], timescale: int, duration: int, more: bytes = b""
) -> bytes:
    """Write `moov` of tracks that have all that is to be said of them (ISOBMFF 8.2.1).

    Args:
        tracks: Each with another `track_id`.
        timescale: Ticks a second of the movie; 32 bits.
        duration: Of the longest track, in ticks of the movie.
        more: Boxes to stand behind the tracks.
    """
    header = _timed_box(
        b"mvhd",
        0,
        duration,
        struct.pack(">I", timescale),
        # Speed 1, full volume.
        struct.pack(">IH10x", 0x10000, 0x0100),
        _UNITY,
        bytes(24),
        struct.pack(">I", max((track.track_id for track in tracks), default=0) + 1),
    )
    return box(b"moov", header, *map(_track, tracks), more)


def _timed_box(kind: bytes, flags: int, duration: int, before: bytes, *after: bytes) -> bytes:
    """Write `mvhd`, `tkhd` or `mdhd`, without a time when it was made or changed.

    Its version is 1, with 64 bits for times, where 32 do not hold the duration (ISOBMFF 8.2.2).
    All bits set would say that it is not known.
    """
    if duration >= 0xFFFFFFFF:
        return full_box(kind, 1, flags, bytes(16), before, struct.pack(">Q", duration), *after)
    return full_box(kind, 0, flags, bytes(8), before, struct.pack(">I", duration), *after)


def _usual_flags(track: TrackHeader) -> int:
    return NOT_SYNC if track.kind is MediaKind.VIDEO else SYNC


def _track(track: TrackHeader) -> bytes:
    """Write `trak` (ISOBMFF 8.3.1)."""
    is_video = track.kind is MediaKind.VIDEO
    header = _timed_box(
        b"tkhd",
        _IN_MOVIE | (_ENABLED if track.is_enabled else 0),
        track.duration,
        struct.pack(">II", track.track_id, 0),
        struct.pack(">8xhhHH", 0, track.alternate_group, 0 if is_video else 0x0100, 0),
        _UNITY,
        struct.pack(">II", track.entry.width << 16, track.entry.height << 16),
    )
    return box(b"trak", header, track.edits, box(b"mdia", *_media(track), _information(track)))


def _media(track: TrackHeader) -> list[bytes]:
    """Write `mdhd`, `hdlr` and perhaps `elng` (ISOBMFF 8.4.2, 8.4.3, 8.4.6)."""
    packed = 0
    for letter in track.language.encode("ascii"):
        packed = packed << 5 | letter - 0x60
    is_video = track.kind is MediaKind.VIDEO
    kind, name = (b"vide", b"Video\0") if is_video else (b"soun", b"Sound\0")
    boxes = [
        _timed_box(
            b"mdhd",
            0,
            track.media_duration,
            struct.pack(">I", track.timescale),
            struct.pack(">HH", packed, 0),
        ),
        full_box(b"hdlr", 0, 0, bytes(4), kind, bytes(12), name),
    ]
    if track.extended_language:
        boxes.append(full_box(b"elng", 0, 0, track.extended_language.encode("ascii") + b"\0"))
    return boxes


def _information(track: TrackHeader) -> bytes:
    """Write `minf` (ISOBMFF 8.4.4, 8.5.1)."""
    if track.kind is MediaKind.VIDEO:
        media_header = full_box(b"vmhd", 0, 1, bytes(8))
    else:
        media_header = full_box(b"smhd", 0, 0, bytes(4))
    here = full_box(b"url ", 0, _SELF_CONTAINED)
    count = struct.pack(">I", 1 + len(track.more_entries))
    return box(
        b"minf",
        media_header,
        box(b"dinf", full_box(b"dref", 0, 0, b"\x00\x00\x00\x01", here)),
        box(
            b"stbl",
            full_box(b"stsd", 0, 0, count, track.entry.box, *track.more_entries),
            track.tables or _NO_SAMPLES,
        ),
    )


_NO_SAMPLES: Final = b"".join(
    (
        full_box(b"stts", 0, 0, bytes(4)),
        full_box(b"stsc", 0, 0, bytes(4)),
        full_box(b"stsz", 0, 0, bytes(8)),
        full_box(b"stco", 0, 0, bytes(4)),
    )
)
