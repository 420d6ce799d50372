"""The sample tables and the edit list of a track in an ordinary MP4 file, to be written.

ISO/IEC 14496-12, cited as "ISOBMFF n": sections 8.6 (times, sync samples, edits) and 8.7 (sizes,
chunks). Numbers are gathered in arrays, 13 bytes a sample at most, and packed at the end.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate, groupby
from operator import add
from typing import Final, NamedTuple

from ntvmedia.formats.fmp4_boxes import SYNC, box, full_box
from ntvmedia.formats.fmp4_fragment import Run

_MAX_32: Final = 0xFFFFFFFF
_MAX_SIGNED_32: Final = 0x7FFFFFFF

# Of an edit, 16.16: it is played at its own speed (ISOBMFF 8.6.6.3).
_NORMAL_RATE: Final = 0x10000

# media_time of an edit in which nothing is played (ISOBMFF 8.6.6.3).
_EMPTY: Final = -1


class Times(NamedTuple):
    """When the samples of a track are decoded and presented, in ticks from the first one's decode.

    Attributes:
        duration: Of all samples together.
        start: When the first one is presented; may be negative.
        end: When the last one that is presented ends.
        shift: What the table's composition offsets are larger by than the samples' own, so that
            none is negative: version 0 of `ctts` is understood by every player, while QuickTime
            demands another box with version 1. The edit takes it off again.
    """

    duration: int
    start: int
    end: int
    shift: int


class SampleTable:
    """Gathers what `stbl` tells of the samples of one track.

    Args:
        is_video: Only pictures are presented in another order, or depend on others.
        longest_offset: In ticks. What claims to be presented longer before or after its decoding
            is presented when it is decoded.
    """

    __slots__ = (
        "_chunk_lengths",
        "_chunks",
        "_descriptions",
        "_durations",
        "_is_video",
        "_longest_offset",
        "_offsets",
        "_sizes",
        "_sync",
    )

    def __init__(self, *, is_video: bool, longest_offset: int) -> None:
        self._is_video = is_video
        self._longest_offset = longest_offset
        self._sizes = array("I")
        self._durations = array("I")
        # Modulo 2**32, as they come.
        self._offsets = array("I")
        # Numbers from 1.
        self._sync = array("I")
        self._chunks = array("Q")
        self._chunk_lengths = array("I")
        self._descriptions = array("I")

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def last_chunk(self) -> int:
        """Where the last chunk begins, in bytes from the first one of the file's data."""
        return self._chunks[-1]

    def add_chunk(self, run: Run, place: int, description: int) -> None:
        """Note samples whose data stand together.

        Args:
            run: Of one sample or more.
            place: Where the data begin, in bytes from the first one of the file's data.
            description: The number of their sample entry, from 1.
        """
        if self._is_video:
            first = len(self._sizes) + 1
            self._sync.extend([n for n, flag in enumerate(run.flags, first) if flag == SYNC])
            self._offsets.extend(run.offsets)
        self._sizes.extend(run.sizes)
        self._durations.extend(run.durations)
        self._chunks.append(place)
        self._chunk_lengths.append(len(run.sizes))
        self._descriptions.append(description)

    def most_used(self) -> int:
        """Return the number of the sample entry that most samples have."""
        used: Counter[int] = Counter()
        for length, description in zip(self._chunk_lengths, self._descriptions, strict=True):
            used[description] += length
        return used.most_common(1)[0][0]

    def times(self) -> Times:
        """Sum up the times of all samples."""
        durations = self._durations
        duration = sum(durations)
        offsets = self._checked_offsets()
        if not offsets:
            return Times(duration, 0, duration, 0)
        presented = array("q", map(add, accumulate(durations, initial=0), offsets))
        end = max(map(add, presented, durations))
        return Times(duration, min(presented), end, max(0, -min(offsets)))

    def boxes(self, shift: int) -> bytes:
        """Write the boxes of `stbl` but `stsd` and the chunks' offsets.

        Args:
            shift: As `times` has it.
        """
        count = len(self._sizes)
        boxes = [_table(b"stts", _run_lengths(self._durations), 2)]
        if self._is_video and len(self._sync) != count:
            boxes.append(_table(b"stss", self._sync, 1))
        offsets = self._checked_offsets()
        if offsets:
            boxes.append(_table(b"ctts", _run_lengths(offset + shift for offset in offsets), 2))
        boxes.append(_table(b"stsc", self._chunk_runs(), 3))
        size = self._sizes[0] if self._sizes.count(self._sizes[0]) == count else 0
        listed = b"" if size else _packed(self._sizes)
        boxes.append(full_box(b"stsz", 0, 0, struct.pack(">II", size, count), listed))
        return b"".join(boxes)

    def chunk_offsets(self, first_byte: int, *, is_wide: bool) -> bytes:
        """Write `stco` or `co64` (ISOBMFF 8.7.5).

        Args:
            first_byte: The place in the file of the first byte of its data.
            is_wide: With 64 bits.
        """
        places = array("Q" if is_wide else "I", (first_byte + place for place in self._chunks))
        return _table(b"co64" if is_wide else b"stco", places, 1)

    def chunk_offsets_size(self, *, is_wide: bool) -> int:
        """Return the size of that box in bytes, which does not depend on the places."""
        return 16 + (8 if is_wide else 4) * len(self._chunks)

    def _checked_offsets(self) -> array[int]:
        """Return the composition offsets with their signs; empty if all are 0."""
        if not any(self._offsets):
            return array("i")
        offsets = array("i", self._offsets.tobytes())
        limit = self._longest_offset
        if max(offsets) > limit or min(offsets) < -limit:
            return array("i", (x if -limit <= x <= limit else 0 for x in offsets))
        return offsets

    def _chunk_runs(self) -> array[int]:
        """Return the entries of `stsc` (ISOBMFF 8.7.4)."""
        words = array("I")
        number = 1
        for (length, description), same in groupby(
            zip(self._chunk_lengths, self._descriptions, strict=True)
        ):
            words.extend((number, length, description))
            number += sum(1 for _chunk in same)
        return words


def edit_list(delay: int, duration: int, start: int) -> bytes:
    """Write `edts` (ISOBMFF 8.6.5, 8.6.6); nothing for a track that is played as it is.

    Args:
        delay: How much later than the movie the track begins, in ticks of the movie.
        duration: How long it is played, in ticks of the movie.
        start: The composition time in the media that is played first, in ticks of the media.
    """
    if not delay and not start:
        return b""
    edits = [(delay, _EMPTY)] if delay else []
    edits.append((duration, start))
    is_wide = max(delay, duration) > _MAX_32 or start > _MAX_SIGNED_32
    entry = struct.Struct(">QqI" if is_wide else ">IiI")
    entries = [entry.pack(length, place, _NORMAL_RATE) for length, place in edits]
    return box(b"edts", full_box(b"elst", int(is_wide), 0, struct.pack(">I", len(edits)), *entries))


def _run_lengths(values: Iterable[int]) -> array[int]:
    """Return how often each value follows itself, and the value."""
    words = array("I")
    last = -1
    count = 0
    for value in values:
        if value == last:
            count += 1
        else:
            if count:
                words.append(count)
                words.append(last)
            last = value
            count = 1
    if count:
        words.append(count)
        words.append(last)
    return words


def _table(kind: bytes, numbers: array[int], width: int) -> bytes:
    """Write a table: how many entries, of so many numbers each, and these."""
    return full_box(kind, 0, 0, struct.pack(">I", len(numbers) // width), _packed(numbers))


def _packed(numbers: array[int]) -> bytes:
    if sys.byteorder == "little":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()
