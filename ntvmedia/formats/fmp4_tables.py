"""The sample tables of a track in an ordinary MP4 file: parsed, and looked up.

ISO/IEC 14496-12, cited as "14496-12 n": sections 8.6 (times, sync samples) and 8.7 (sizes,
chunks). They stay as short as the file has them: it may have millions of samples.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate, islice
from operator import le, mul, sub
from struct import Struct
from typing import Final, NamedTuple

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats.fmp4_reader import Box, child, numbers, required, signed, unpack

MAX_SAMPLES: Final = 1 << 26
"""Packets of a track: ten days at 60 pictures a second. A table of 20 bytes may claim 2**32."""

PCM_BLOCK: Final = 1024
"""Samples of uncompressed sound that make a packet: FFmpeg's demuxer takes as many."""

_STTS: Final = "14496-12 8.6.1.2"
_STSS: Final = "14496-12 8.6.2"
_STSC: Final = "14496-12 8.7.4"
_STSZ: Final = "14496-12 8.7.3"

# Times are kept in 64 bits: a sample lasts less than 2**31 ticks, and there are at most 2**32.
_MAX_COUNT: Final = 1 << 32
_NEGATIVE: Final = 1 << 31

_count: Final = Struct(">4xI")
_two_words: Final = Struct(">4xII")


class Tables(NamedTuple):
    """The sample tables of one track.

    A "unit" is what becomes a packet: one sample, or of uncompressed sound a block of them.

    Attributes:
        samples: How many.
        units: Units.
        per_unit: Samples of a full unit.
        size: Of each sample, in bytes; 0 where `places` tells.
        places: Bytes before each sample, and before the end, counting samples only.
        chunks: Offset of each chunk.
        run_chunks: By run of chunks alike: the number of its first one, from 0.
        run_samples: The number of its first sample.
        run_units: The number of its first unit.
        run_lengths: Samples in each of its chunks.
        run_descriptions: The description of its samples, from 0.
        time_samples: By run of samples that last as long: the number of its first one.
        times: When that one is decoded.
        durations: Of each.
        shift_samples: By run of samples shifted alike: the number of its first one, and the end.
        shifts: From decoding to presentation.
        sync: Numbers of the units that are sync samples, from 0; None where all are.
    """

    samples: int
    units: int
    per_unit: int
    size: int
    places: array[int]
    chunks: array[int]
    run_chunks: array[int]
    run_samples: array[int]
    run_units: array[int]
    run_lengths: array[int]
    run_descriptions: array[int]
    time_samples: array[int]
    times: array[int]
    durations: array[int]
    shift_samples: array[int]
    shifts: array[int]
    sync: array[int] | None

    @property
    def end(self) -> int:
        """When the last sample ends, in the media's ticks of decoding."""
        return self.dts(self.samples) if self.samples else 0

    def dts(self, sample: int) -> int:
        """Return when a sample is decoded; past the table the last duration goes on."""
        run = bisect_right(self.time_samples, sample) - 1
        return self.times[run] + (sample - self.time_samples[run]) * self.durations[run]

    def shift(self, sample: int) -> int:
        """Return the time from decoding to presentation."""
        run = bisect_right(self.shift_samples, sample) - 1
        return self.shifts[run] if 0 <= run < len(self.shifts) else 0

    def locate(self, unit: int) -> tuple[int, int, int, int]:
        """Find a unit.

        Returns:
            Its first sample, its offset and size in bytes, and its description.
        """
        run = bisect_right(self.run_units, unit) - 1
        length, per_unit = self.run_lengths[run], self.per_unit
        chunk, within = divmod(unit - self.run_units[run], -(-length // per_unit))
        first = self.run_samples[run] + chunk * length
        sample = first + within * per_unit
        stop = min(sample + per_unit, first + length, self.samples)
        offset = self.chunks[self.run_chunks[run] + chunk]
        description = self.run_descriptions[run]
        if self.size:
            size = self.size
            return sample, offset + (sample - first) * size, (stop - sample) * size, description
        places = self.places
        place = places[sample]
        return sample, offset + place - places[first], places[stop] - place, description

    def filled(self, unit: int) -> int:
        """Return the first unit that has data, of those from this one on; `units` for none."""
        if self.size or unit >= self.units:
            return unit
        places = self.places
        return min(self.units, bisect_right(places, places[unit]) - 1)

    def sample_at(self, time: int) -> int:
        """Return the first sample that is decoded at a time or after it."""
        run = bisect_left(self.times, time) - 1
        if run < 0:
            return 0
        duration = self.durations[run]
        last = self.time_samples[run + 1] if run + 1 < len(self.times) else self.samples
        if not duration:
            return last
        return min(last, self.time_samples[run] - (self.times[run] - time) // duration)

    def unit_of(self, sample: int) -> int:
        """Return the unit that a sample is in."""
        run = max(0, bisect_right(self.run_samples, sample) - 1)
        length = self.run_lengths[run] or 1
        chunk, within = divmod(sample - self.run_samples[run], length)
        return self.run_units[run] + chunk * -(-length // self.per_unit) + within // self.per_unit

    def composed(self, unit: int) -> int:
        """Return when a unit is presented, in the media's ticks."""
        sample = self.locate(unit)[0]
        return self.dts(sample) + self.shift(sample)

    def sync_units(self) -> array[int] | range:
        """Return the numbers of the units that are sync samples."""
        return range(self.units) if self.sync is None else self.sync


_NONE: Final = array("Q")
NO_TABLES: Final = Tables(0, 0, 1, 0, *(_NONE,) * 12, sync=None)
"""Of a track whose samples are in fragments."""


def parse_tables(stbl: Box, frame_size: int, descriptions: int) -> Tables:
    """Read the sample tables of a track. Of a fragmented file they are empty.

    Args:
        frame_size: Of uncompressed sound: bytes of a sample of all channels; 0 for all else.
        descriptions: How many there are.

    Raises:
        PeerError: A table is missing, cut off, or not in order.
        LimitExceeded: There are more than `MAX_SAMPLES` packets.
    """
    count, size, sizes = _parse_sizes(stbl)
    if not count:
        return NO_TABLES
    per_unit = 1
    if frame_size and size in (1, frame_size):
        # QuickTime's files say 1, whatever the frames' size is.
        size, per_unit = frame_size, PCM_BLOCK
    chunks = _parse_chunks(stbl)
    firsts, lengths, described = _parse_runs(stbl, len(chunks), descriptions)
    following = array("I", firsts[1:])
    following.append(len(chunks) + 1)
    spans = array("I", map(sub, following, firsts))
    run_samples = array("Q", accumulate(map(mul, spans, lengths), initial=0))
    unit_counts = (-(-length // per_unit) for length in lengths)
    run_units = array("Q", accumulate(map(mul, spans, unit_counts), initial=0))
    # Where the tables do not agree, the shorter one holds: a file that was cut off.
    count = min(count, run_samples.pop())
    run_units.pop()
    if not count:
        return NO_TABLES
    time_samples, times, durations = _parse_times(stbl)
    shift_samples, shifts = _parse_shifts(stbl)
    tables = Tables(
        count,
        0,
        per_unit,
        size,
        array("Q", accumulate(sizes, initial=0)) if sizes else _NONE,
        chunks,
        array("I", (first - 1 for first in firsts)),
        run_samples,
        run_units,
        lengths,
        described,
        time_samples,
        times,
        durations,
        shift_samples,
        shifts,
        None if per_unit > 1 else _parse_sync(stbl, count),
    )
    units = tables.unit_of(count - 1) + 1
    if units > MAX_SAMPLES:
        raise LimitExceeded(
            f"a track of {units} samples", reference=_STSZ, limit=MAX_SAMPLES, offset=stbl.offset
        )
    return tables._replace(units=units)


def _parse_sizes(stbl: Box) -> tuple[int, int, array[int]]:
    """Read stsz or stz2: how many samples, the size of all or 0, and else the size of each."""
    stsz = child(stbl, b"stsz")
    if stsz is not None:
        size, count = unpack(_two_words, stsz)
        return count, size, _NONE if size else numbers(stsz, 12, count)
    stz2 = child(stbl, b"stz2")
    if stz2 is None:
        return 0, 0, _NONE
    width, count = unpack(_two_words, stz2)
    if width == 4:
        packed = numbers(stz2, 12, (count + 1) >> 1, 1)
        halves = (half for byte in packed for half in (byte >> 4, byte & 15))
        return count, 0, array("B", islice(halves, count))
    if width not in (8, 16):
        raise PeerError(f"sizes of {width} bits", reference=_STSZ, offset=stz2.offset)
    return count, 0, numbers(stz2, 12, count, width >> 3)


def _parse_chunks(stbl: Box) -> array[int]:
    co64 = child(stbl, b"co64")
    if co64 is not None:
        (count,) = unpack(_count, co64)
        return numbers(co64, 8, count, 8)
    stco = required(stbl, b"stco")
    (count,) = unpack(_count, stco)
    return numbers(stco, 8, count)


def _parse_runs(
    stbl: Box, chunks: int, descriptions: int
) -> tuple[array[int], array[int], array[int]]:
    """Read stsc: by run of chunks alike, the first one, their length and their description."""
    stsc = required(stbl, b"stsc")
    (count,) = unpack(_count, stsc)
    words = numbers(stsc, 8, 3 * count)
    firsts, lengths, described = words[0::3], words[1::3], words[2::3]
    ascending = not any(map(le, islice(firsts, 1, None), firsts))
    if not count or firsts[0] != 1 or not ascending or min(described) < 1:
        raise PeerError("the table of chunks is wrong", reference=_STSC, offset=stsc.offset)
    if max(described) > descriptions:
        raise PeerError("a chunk without description", reference=_STSC, offset=stsc.offset)
    # Runs of chunks that are not there.
    there = bisect_right(firsts, chunks)
    indices = array("I", (number - 1 for number in described[:there]))
    return firsts[:there], lengths[:there], indices


def _parse_times(stbl: Box) -> tuple[array[int], array[int], array[int]]:
    stts = required(stbl, b"stts")
    (count,) = unpack(_count, stts)
    words = numbers(stts, 8, 2 * count)
    counts, durations = words[0::2], words[1::2]
    if not count or sum(counts) > _MAX_COUNT:
        raise PeerError("the table of times is wrong", reference=_STTS, offset=stts.offset)
    if max(durations) >= _NEGATIVE:
        # Some writers go back so; time may not. FFmpeg takes them for 1 too.
        durations = array("I", (1 if ticks >= _NEGATIVE else ticks for ticks in durations))
    samples = array("Q", accumulate(counts, initial=0))
    times = array("Q", accumulate(map(mul, counts, durations), initial=0))
    samples.pop()
    times.pop()
    return samples, times, durations


def _parse_shifts(stbl: Box) -> tuple[array[int], array[int]]:
    """Read ctts. Version 0 is unsigned, and yet writers put negative numbers there."""
    ctts = child(stbl, b"ctts")
    if ctts is None:
        return _NONE, array("i")
    (count,) = unpack(_count, ctts)
    words = numbers(ctts, 8, 2 * count)
    return array("Q", accumulate(words[0::2], initial=0)), signed(words[1::2])


def _parse_sync(stbl: Box, count: int) -> array[int] | None:
    stss = child(stbl, b"stss")
    if stss is None:
        return None
    (listed,) = unpack(_count, stss)
    found = numbers(stss, 8, listed)
    if any(map(le, islice(found, 1, None), found)):
        raise PeerError("sync samples out of order", reference=_STSS, offset=stss.offset)
    return array("I", (number - 1 for number in found if 0 < number <= count))
