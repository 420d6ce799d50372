"""The samples of an ordinary MP4 file's track: where each one is, and its times.

ISO/IEC 14496-12, cited as "14496-12 n": section 8.6.6 (edit lists).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from ntvmedia.formats.fmp4_reader import Box, child, unpack, version_and_flags
from ntvmedia.formats.fmp4_tables import Tables
from ntvmedia.media.timebase import rescale

PREROLL_SECONDS: Final = 0.3
"""Sound that is kept before the first sample to play, for a decoder to settle: more than AAC's
priming of 2112 samples at 8 kHz, or Opus's 80 ms."""

# More pictures than any decoder may hold back stand out of order at an edit's end.
_MAX_REORDER: Final = 64

_NEVER: Final = 1 << 64

_count: Final = Struct(">4xI")
_edit_0: Final = Struct(">Ii4x")
_edit_1: Final = Struct(">Qq4x")


class Sample(NamedTuple):
    """One sample: what becomes a packet.

    Attributes:
        offset: Of its data, in bytes from the start of the file.
        size: Of its data, in bytes.
        dts: In ticks of the track's clock.
        pts: Likewise.
        is_sync: Decoding can begin here.
        description: Which of the track's descriptions holds for it, counted from 0.
    """

    offset: int
    size: int
    dts: int
    pts: int
    is_sync: bool
    description: int


class Edit(NamedTuple):
    """What of a track's media is played, and when (14496-12 8.6.6).

    Attributes:
        start: The first time that is played, in the media's ticks.
        duration: How long from there, in the movie's ticks; 0 for all.
        delay: What is empty before it, in the movie's ticks.
    """

    start: int = 0
    duration: int = 0
    delay: int = 0

    def clock(self, timescale: int, rate: int, movie_timescale: int) -> Clock:
        """Make the clock that begins where the edit does."""
        delay = rescale(self.delay, movie_timescale, rate)
        return Clock(timescale, rate, self.start, delay)


class Clock(NamedTuple):
    """The way from a track's media time to its packets' times.

    Attributes:
        timescale: Ticks a second of the media.
        rate: Ticks a second of packets: the track's clock rate.
        start: The media time that is 0 in packets, but for the delay.
        delay: To add, in ticks of packets.
    """

    timescale: int
    rate: int
    start: int = 0
    delay: int = 0

    def ticks(self, media_time: int) -> int:
        """Convert a media time, to the nearest: however late it is, the error is half a tick."""
        scale = self.timescale
        return ((media_time - self.start) * self.rate + (scale >> 1)) // scale + self.delay


def parse_edit(trak: Box) -> Edit:
    """Read a track's edit list.

    Empty edits at the start delay the track; then the first edit with media counts. Later ones,
    which only editing programs write, are not followed: the media go on.

    Raises:
        PeerError: It is cut off.
        LimitExceeded: As `children`.
    """
    edts = child(trak, b"edts")
    elst = None if edts is None else child(edts, b"elst")
    if elst is None:
        return Edit()
    version, _flags = version_and_flags(elst)
    (count,) = unpack(_count, elst)
    entry = _edit_1 if version == 1 else _edit_0
    delay = 0
    for place in range(8, 8 + count * entry.size, entry.size):
        duration, start = unpack(entry, elst, place)
        if start >= 0:
            return Edit(start, duration, delay)
        delay += duration
    return Edit(delay=delay)


class Samples:
    """The samples of a track that are played, in decode order; a sequence of `Sample`.

    Of the times' ticks, 0 is where the track's edit begins; what is needed before that to decode
    has negative ones.

    Args:
        tables: As parsed.
        edit: What of them is played.
        clock: Of the edit.
        movie_timescale: Ticks a second of the edit's duration.
        is_video: Every sample of sound is a sync sample.
    """

    __slots__ = ("_clock", "_duration", "_first", "_last", "_tables")

    def __init__(
        self, tables: Tables, edit: Edit, clock: Clock, movie_timescale: int, is_video: bool
    ) -> None:
        if not is_video:
            tables = tables._replace(sync=None)
        self._tables = tables
        self._clock = clock
        # The last sample is as much later than it is decoded as the first one.
        end = tables.end + tables.shift(0)
        stop = _NEVER
        if edit.duration:
            # Writers round the duration to the movie's ticks, often milliseconds.
            stop = edit.start - (-(edit.duration + 1) * clock.timescale // movie_timescale)
        self._duration = max(0, clock.ticks(min(end, stop))) if tables.samples else 0
        self._first, self._last = _kept(tables, edit.start, stop, clock.timescale, is_video)

    @property
    def duration(self) -> int:
        """When the last sample ends, in ticks of the track's clock; 0 without samples."""
        return self._duration

    def __len__(self) -> int:
        return self._last - self._first

    def __iter__(self) -> Iterator[Sample]:
        return map(self.__getitem__, range(len(self)))

    def filled(self) -> Iterator[Sample]:
        """Yield those that have data, in decode order; any number of others costs nothing."""
        tables, unit = self._tables, self._first
        while (unit := tables.filled(unit)) < self._last:
            yield self[unit - self._first]
            unit += 1

    def __getitem__(self, index: int) -> Sample:
        """Look a sample up: one search in each table."""
        if not 0 <= index < self._last - self._first:
            raise IndexError(index)
        tables, clock = self._tables, self._clock
        unit = index + self._first
        sample, offset, size, description = tables.locate(unit)
        time = tables.dts(sample)
        dts = pts = clock.ticks(time)
        if tables.shifts:
            pts = clock.ticks(time + tables.shift(sample))
        sync = tables.sync
        is_sync = True
        if sync is not None:
            place = bisect_left(sync, unit)
            is_sync = place < len(sync) and sync[place] == unit
        return Sample(offset, size, dts, pts, is_sync, description)

    def seek(self, pts: int) -> int:
        """Find where decoding must begin to show what is presented at a time.

        Args:
            pts: In ticks of the track's clock.

        Returns:
            The index of the last sync sample that is not presented later; of the first one where
            all are; 0 where there is none.
        """
        tables, clock = self._tables, self._clock
        sync = tables.sync_units()
        lowest, highest = bisect_left(sync, self._first), bisect_left(sync, self._last)
        if lowest == highest:
            return 0
        place = bisect_right(
            sync, pts, lowest, highest, key=lambda unit: clock.ticks(tables.composed(unit))
        )
        return sync[max(lowest, place - 1)] - self._first


def _kept(tables: Tables, start: int, end: int, timescale: int, is_video: bool) -> tuple[int, int]:
    """Return the range of units that are needed to play from `start` to `end`."""
    if not tables.samples:
        return 0, 0
    if is_video:
        sync = tables.sync_units()
        place = bisect_right(sync, start, key=tables.composed)
        first = sync[place - 1] if place else 0
    else:
        settled = start - int(PREROLL_SECONDS * timescale)
        first = tables.unit_of(min(tables.sample_at(settled), tables.samples - 1))
    last = tables.units
    early = max(0, -min(tables.shifts, default=0))
    stop = tables.sample_at(end + early)
    if stop < tables.samples:
        last = tables.unit_of(stop)
        last += tables.locate(last)[0] < stop
    for _unit in range(_MAX_REORDER):
        if last <= first or tables.composed(last - 1) < end:
            break
        last -= 1
    return first, max(first, last)
