"""Movie fragments: `moof` and `mdat` of a few samples.

ISO/IEC 14496-12 sections 8.8.4 to 8.8.12, cited as "ISOBMFF n". Data is addressed from the start
of its own `moof`, so that a fragment means the same wherever it stands (RFC 8216 section 3.3).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

# Of `tfhd` (ISOBMFF 8.8.7.1).
_DEFAULT_DURATION: Final = 0x08
_DEFAULT_SIZE: Final = 0x10
_DEFAULT_FLAGS: Final = 0x20
_BASE_IS_MOOF: Final = 0x020000

# Of `trun` (ISOBMFF 8.8.8.1), where version 1 has signed composition offsets; that of `tfdt`
# (ISOBMFF 8.8.12) counts in 64 bits.
_VERSION_1: Final = 1 << 24
_DATA_OFFSET: Final = 0x001
_FIRST_FLAGS: Final = 0x004
_DURATIONS: Final = 0x100
_SIZES: Final = 0x200
_FLAGS: Final = 0x400
_OFFSETS: Final = 0x800

_HEAD: Final = struct.Struct(">I4s").pack
_MOVIE_FRAGMENT: Final = struct.Struct(">I4sI4sII").pack
_TRACK_HEADER: Final = struct.Struct(">I4sII").pack
_DECODE_TIME: Final = struct.Struct(">I4sIQ").pack
_RUN: Final = struct.Struct(">I4sIIi").pack
_WORD: Final = struct.Struct(">I").pack


class Run(NamedTuple):
    """Samples of one track that follow each other; each list has one number for each of them.

    Attributes:
        track_id: As in `moov`.
        start: Decode time of the first sample, in ticks; below 2**64.
        durations: In ticks; below 2**32.
        sizes: In bytes; below 2**32.
        flags: `fmp4_boxes.SYNC` or `NOT_SYNC`.
        offsets: From decode to composition time, in ticks, modulo 2**32.
        payloads: The samples.
    """

    track_id: int
    start: int
    durations: list[int]
    sizes: list[int]
    flags: list[int]
    offsets: list[int]
    payloads: list[bytes]


def build_fragment(sequence_number: int, runs: Sequence[Run]) -> bytes:
    """Write `moof` and `mdat`: data of a run stands together, in the order of the runs.

    Args:
        sequence_number: Of `mfhd`, modulo 2**32.
        runs: Each with samples, and of another track; all their data is less than 2 GiB.
    """
    laid_out = [(run, *_layout(run)) for run in runs]
    moof_size = 24 + sum(28 + len(head) + len(tail) for _run, head, _flags, tail in laid_out)
    parts = [_MOVIE_FRAGMENT(moof_size, b"moof", 16, b"mfhd", 0, sequence_number & 0xFFFFFFFF)]
    place = moof_size + 8
    for run, head, flags, tail in laid_out:
        run_size = 20 + len(tail)
        parts += (
            _HEAD(8 + len(head) + run_size, b"traf"),
            head,
            _RUN(run_size, b"trun", flags, len(run.sizes), place),
            tail,
        )
        place += sum(run.sizes)
    parts.append(_HEAD(place - moof_size, b"mdat"))
    for run in runs:
        parts += run.payloads
    return b"".join(parts)


def _layout(run: Run) -> tuple[bytes, int, bytes]:
    """Say what there is to say of a run: in `tfhd` what is the same for all samples.

    Returns:
        `tfhd` and `tfdt`; version and flags of `trun`; what stands in it after the data offset.
    """
    count = len(run.sizes)
    header_flags = _BASE_IS_MOOF
    run_flags = _VERSION_1 | _DATA_OFFSET
    defaults = tail = b""
    columns: list[list[int]] = []
    durations, sizes, flags = run.durations, run.sizes, run.flags
    if durations.count(durations[0]) == count:
        header_flags |= _DEFAULT_DURATION
        defaults = _WORD(durations[0])
    else:
        run_flags |= _DURATIONS
        columns.append(durations)
    if sizes.count(sizes[0]) == count:
        header_flags |= _DEFAULT_SIZE
        defaults += _WORD(sizes[0])
    else:
        run_flags |= _SIZES
        columns.append(sizes)
    # Nearly always a keyframe is the first sample or none is; the last one is like all but it.
    same = flags.count(flags[-1])
    if same == count or (same == count - 1 and flags[0] != flags[-1]):
        header_flags |= _DEFAULT_FLAGS
        defaults += _WORD(flags[-1])
        if same != count:
            run_flags |= _FIRST_FLAGS
            tail = _WORD(flags[0])
    else:
        run_flags |= _FLAGS
        columns.append(flags)
    if any(run.offsets):
        run_flags |= _OFFSETS
        columns.append(run.offsets)
    header = _TRACK_HEADER(16 + len(defaults), b"tfhd", header_flags, run.track_id)
    time = _DECODE_TIME(20, b"tfdt", _VERSION_1, run.start)
    return header + defaults + time, run_flags, tail + _table(columns, count)


def _table(columns: list[list[int]], count: int) -> bytes:
    """Write rows of numbers of 32 bits, one for each sample."""
    width = len(columns)
    if not width:
        return b""
    numbers = [0] * (width * count)
    for index, column in enumerate(columns):
        numbers[index::width] = column
    return struct.pack(f">{width * count}I", *numbers)
