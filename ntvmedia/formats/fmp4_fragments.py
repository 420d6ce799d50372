"""The moof box of fragmented MP4: where the samples of a fragment are, and their times.

ISO/IEC 14496-12, cited as "14496-12 n": section 8.8.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain, repeat
from struct import Struct
from typing import Final, NamedTuple

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats.fmp4_movie import Defaults, MovieTrack
from ntvmedia.formats.fmp4_reader import (
    Box,
    child,
    children,
    numbers,
    required,
    signed,
    unpack,
    version_and_flags,
)
from ntvmedia.formats.fmp4_samples import Sample
from ntvmedia.formats.fmp4_tables import PCM_BLOCK
from ntvmedia.media.packets import MediaKind

MAX_RUNS: Final = 1 << 14
"""Tracks and runs of samples in one fragment: four minutes of sound and pictures that
alternate frame by frame."""

_MOOF: Final = "14496-12 8.8.4"
_TFHD: Final = "14496-12 8.8.7"
_TRUN: Final = "14496-12 8.8.8"

# Bytes of an mdat box before its data.
_DATA_HEADER_SIZE: Final = 8

# Of tfhd.
_HAS_BASE: Final = 0x01
_HAS_DESCRIPTION: Final = 0x02
_HAS_DURATION: Final = 0x08
_HAS_SIZE: Final = 0x10
_HAS_FLAGS: Final = 0x20
_BASE_IS_MOOF: Final = 0x020000

# Of trun: two of all its samples, and four of each.
_HAS_OFFSET: Final = 0x001
_HAS_FIRST_FLAGS: Final = 0x004
_DURATIONS: Final = 0x100
_SIZES: Final = 0x200
_FLAGS: Final = 0x400
_SHIFTS: Final = 0x800

# sample_is_non_sync_sample, and sample_depends_on 1: some writers set only one of them.
_NOT_SYNC: Final = 0x01010000

_word: Final = Struct(">4xI")
_long: Final = Struct(">4xQ")
_plain_word: Final = Struct(">I")
_plain_long: Final = Struct(">Q")
_offset: Final = Struct(">i")


class FragmentedTrack:
    """A track, and where its next fragment goes on where that does not tell.

    Attributes:
        movie: What the moov box has of it.
        time: When its last fragment ended, in the media's ticks.
    """

    __slots__ = ("movie", "time")

    def __init__(self, movie: MovieTrack) -> None:
        self.movie = movie
        self.time = movie.end


class Run(NamedTuple):
    """Samples of one track whose data follow one another.

    Attributes:
        track: Theirs.
        samples: At least one, made as they are asked for.
    """

    track: MovieTrack
    samples: Iterator[Sample]


class _Header(NamedTuple):
    """What a tfhd box tells, or the defaults.

    Attributes:
        track_id: Of its track.
        base: Where offsets of data begin; None where it is not told.
        defaults: Of its samples.
    """

    track_id: int
    base: int | None
    defaults: Defaults


def parse_fragment(
    moof: Box,
    start: int,
    tracks: dict[int, FragmentedTrack],
    defaults: dict[int, Defaults],
    *,
    is_moved: bool = False,
) -> list[Run]:
    """Read a moof box.

    Args:
        start: Of the moof box with its header, in bytes from the start of the file.
        tracks: By track_ID, those that are read; their times go on.
        defaults: By track_ID, of all tracks: what is passed over must be known.
        is_moved: It may have stood in another place, as a segment of HLS that is a part of a file:
            where its data are told from the start of the file, they are taken for those behind it.

    Raises:
        PeerError: A box in it is broken, or refers to nothing.
        LimitExceeded: There are more than `MAX_RUNS` tracks and runs in it.
    """
    runs: list[Run] = []
    # Where nothing is told, the first track's data are counted from the moof box, and each
    # other's from the end of those of the track before it (14496-12 8.8.7.1).
    end = start
    left = MAX_RUNS
    moved: int | None = None
    for traf in children(moof):
        if traf.kind != b"traf":
            continue
        left -= 1
        header = _parse_header(required(traf, b"tfhd"), start, defaults)
        if is_moved and header.base is not None and header.base != start:
            if moved is None:
                moved = _begin_of_data(traf, moof, start) - header.base
            header = header._replace(base=header.base + moved)
        track = tracks.get(header.track_id)
        tfdt = child(traf, b"tfdt")
        if tfdt is not None and track is not None:
            version, _flags = version_and_flags(tfdt)
            (track.time,) = unpack(_long if version == 1 else _word, tfdt)
        base = place = end if header.base is None else header.base
        for trun in children(traf):
            if trun.kind == b"trun":
                left -= 1
                if left < 0:
                    break
                place = _parse_run(trun, base, place, header.defaults, track, runs)
        end = place
        if left < 0:
            raise LimitExceeded(
                "too many runs of samples", reference=_MOOF, limit=MAX_RUNS, offset=traf.offset
            )
    return runs


def _begin_of_data(traf: Box, moof: Box, start: int) -> int:
    """Return what the first offset of data in a moved fragment is counted from."""
    trun = child(traf, b"trun")
    if trun is not None and version_and_flags(trun)[1] & _HAS_OFFSET:
        return start
    # Without one it is that of the data themselves, which are in the box behind.
    return moof.offset + len(moof.body) + _DATA_HEADER_SIZE


def _parse_header(tfhd: Box, start: int, defaults: dict[int, Defaults]) -> _Header:
    _version, flags = version_and_flags(tfhd)
    (track_id,) = unpack(_word, tfhd)
    place = 8
    base = start if flags & _BASE_IS_MOOF else None
    if flags & _HAS_BASE:
        (base,) = unpack(_plain_long, tfhd, place)
        place += 8
    values = list(defaults.get(track_id, Defaults()))
    for index, flag in enumerate((_HAS_DESCRIPTION, _HAS_DURATION, _HAS_SIZE, _HAS_FLAGS)):
        if flags & flag:
            (values[index],) = unpack(_plain_word, tfhd, place)
            place += 4
    return _Header(track_id, base, Defaults(*values))


def _parse_run(
    trun: Box,
    base: int,
    place: int,
    defaults: Defaults,
    track: FragmentedTrack | None,
    runs: list[Run],
) -> int:
    """Read a run of samples, and return where its data end.

    Args:
        base: What its offset is counted from.
        place: Where its data begin if it has none.
    """
    _version, flags = version_and_flags(trun)
    (count,) = unpack(_word, trun)
    at = 8
    if flags & _HAS_OFFSET:
        (offset,) = unpack(_offset, trun, at)
        place = base + offset
        at += 4
    if place < 0:
        raise PeerError("data before the file", reference=_TRUN, offset=trun.offset)
    first_flags = defaults.flags
    if flags & _HAS_FIRST_FLAGS:
        (first_flags,) = unpack(_plain_word, trun, at)
        at += 4
    columns = _columns(trun, at, flags, count)
    sizes = columns.get(_SIZES)
    size = sum(sizes) if sizes is not None else defaults.size * count
    if track is None:
        return place + size
    durations = columns.get(_DURATIONS)
    time = track.time
    track.time += sum(durations) if durations is not None else defaults.duration * count
    # What has no data is no packet, but takes its time.
    if size:
        samples = _samples(track.movie, place, time, count, columns, defaults, first_flags)
        runs.append(Run(track.movie, samples))
    return place + size


def _columns(trun: Box, at: int, flags: int, count: int) -> dict[int, array[int]]:
    """Read what the run tells of each sample, by flag."""
    there = [flag for flag in (_DURATIONS, _SIZES, _FLAGS, _SHIFTS) if flags & flag]
    width = len(there)
    if not width:
        return {}
    words = numbers(trun, at, count * width)
    return {flag: words[index::width] for index, flag in enumerate(there)}


def _samples(
    track: MovieTrack,
    place: int,
    time: int,
    count: int,
    columns: dict[int, array[int]],
    defaults: Defaults,
    first_flags: int,
) -> Iterator[Sample]:
    """Check what is the same for all samples of a run, and make them one after the other."""
    description = defaults.description - 1
    if not 0 <= description < len(track.descriptions):
        raise PeerError("samples without description", reference=_TFHD)
    sizes: Iterable[int] = columns.get(_SIZES, ())
    durations: Iterable[int] = columns.get(_DURATIONS, ())
    frame = track.descriptions[description].frame_size
    if not columns and frame == defaults.size and count > 1:
        # Uncompressed sound, of which each sample is one of its own: blocks of them make packets.
        blocks, rest = divmod(count, PCM_BLOCK)
        counts = chain(repeat(PCM_BLOCK, blocks), (rest,) if rest else ())
        sizes = (frame * block for block in counts)
        duration = defaults.duration * PCM_BLOCK
        count = blocks + (rest > 0)
    else:
        duration = defaults.duration
        if _SIZES not in columns:
            sizes = repeat(defaults.size, count)
    if _DURATIONS not in columns:
        durations = repeat(duration, count)
    shifts: Iterable[int] = repeat(0)
    if _SHIFTS in columns:
        # Unsigned in version 0, where writers put negative numbers all the same.
        shifts = signed(columns[_SHIFTS])
    sync: Iterable[bool] = repeat(True)
    if track.track.kind is MediaKind.VIDEO:
        usual = repeat(not defaults.flags & _NOT_SYNC)
        sync = chain((not first_flags & _NOT_SYNC,), usual)
        if _FLAGS in columns:
            sync = (not flags & _NOT_SYNC for flags in columns[_FLAGS])
    times = accumulate(durations, initial=time)
    rows = zip(sizes, times, shifts, sync, strict=False)
    return _made(track, place, description, rows)


def _made(
    track: MovieTrack, place: int, description: int, rows: Iterable[tuple[int, int, int, bool]]
) -> Iterator[Sample]:
    ticks = track.clock.ticks
    for size, time, shift, sync in rows:
        if size:
            dts = ticks(time)
            pts = ticks(time + shift) if shift else dts
            yield Sample(place, size, dts, pts, sync, description)
        place += size
