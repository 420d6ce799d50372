"""Tests of ntvmedia.formats.mp4_tables: sample tables and edit lists, byte by byte."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from ntvmedia.formats.fmp4_boxes import NOT_SYNC, SYNC
from ntvmedia.formats.fmp4_fragment import Run
from ntvmedia.formats.mp4_tables import SampleTable, Times, edit_list
from tests.formats import mp4_runs

H = bytes.fromhex
LIMIT = 1000


def run_of(
    durations: list[int],
    offsets: list[int] | None = None,
    sizes: list[int] | None = None,
    sync: bool = True,
) -> Run:
    """Make a run whose first sample is a sync sample, or none is."""
    count = len(durations)
    flags = [SYNC if sync else NOT_SYNC, *[NOT_SYNC] * (count - 1)]
    shifts = [offset & 0xFFFFFFFF for offset in offsets or [0] * count]
    return Run(1, 0, durations, sizes or [7] * count, flags, shifts, [])


def table_of(*runs: Run, is_video: bool = True) -> SampleTable:
    """Make a table of chunks that stand 100 bytes apart."""
    table = SampleTable(is_video=is_video, longest_offset=LIMIT)
    for index, run in enumerate(runs):
        table.add_chunk(run, 100 * index, 1)
    return table


def boxes(table: SampleTable, shift: int = 0) -> dict[bytes, bytes]:
    """Return the bodies of its boxes."""
    return dict(mp4_runs.boxes(table.boxes(shift)))


def test_pictures() -> None:
    """ISO/IEC 14496-12 8.6.1.2, 8.6.1.3, 8.6.2, 8.7.3.2, 8.7.4, byte by byte."""
    table = table_of(
        run_of([40, 40, 41], [80, 160, 0], [5, 6, 7]),
        run_of([40, 40], [80, 80], [8, 9], sync=False),
        run_of([40], [80], [10]),
    )
    table.add_chunk(run_of([40], [80], [10]), 400, 2)
    found = boxes(table)
    assert found == {
        b"stts": H("00000000 00000003 00000002 00000028 00000001 00000029 00000004 00000028"),
        b"stss": H("00000000 00000003 00000001 00000006 00000007"),
        b"ctts": H(
            "00000000 00000004 00000001 00000050 00000001 000000a0 00000001 00000000"
            "00000004 00000050"
        ),
        b"stsc": H(
            "00000000 00000004 00000001 00000003 00000001 00000002 00000002 00000001"
            "00000003 00000001 00000001 00000004 00000001 00000002"
        ),
        b"stsz": H(
            "00000000 00000000 00000007 00000005 00000006 00000007 00000008 00000009"
            "0000000a 0000000a"
        ),
    }
    assert list(found) == [b"stts", b"stss", b"ctts", b"stsc", b"stsz"]
    assert len(table) == 7
    assert table.last_chunk == 400


def test_sound() -> None:
    """All samples are sync samples, of one size, in chunks alike: nothing is told twice."""
    table = table_of(run_of([1024] * 4), run_of([1024] * 4), is_video=False)
    assert boxes(table) == {
        b"stts": H("00000000 00000001 00000008 00000400"),
        b"stsc": H("00000000 00000001 00000001 00000004 00000001"),
        b"stsz": H("00000000 00000007 00000008"),
    }
    assert table.times() == Times(8192, 0, 8192, 0)


def test_only_keyframes() -> None:
    """8.6.2: without stss every sample is a sync sample; with an empty one none is."""
    assert b"stss" not in boxes(table_of(run_of([40]), run_of([40])))
    assert boxes(table_of(run_of([40], sync=False)))[b"stss"] == bytes(8)


def test_chunk_offsets() -> None:
    """8.7.5: 32 bits or 64, from the start of the file."""
    table = table_of(run_of([1]), run_of([1]))
    near = table.chunk_offsets(48, is_wide=False)
    assert near == H("00000018") + b"stco" + H("00000000 00000002 00000030 00000094")
    far = table.chunk_offsets(1 << 32, is_wide=True)
    assert far == H("00000020") + b"co64" + (
        H("00000000 00000002 00000001 00000000 00000001 00000064")
    )


def test_times() -> None:
    """A group I P B B, decoded in that order; the last in time is not the last in the file."""
    table = table_of(run_of([40] * 4, [40, 120, 0, 0]))
    assert table.times() == Times(160, 40, 200, 0)


def test_negative_offsets() -> None:
    """What is presented before it is decoded: all offsets are larger by so much, and not less."""
    table = table_of(run_of([40] * 4, [0, 80, -40, -40]))
    assert table.times() == Times(160, 0, 160, 40)
    assert boxes(table, 40)[b"ctts"] == H(
        "00000000 00000003 00000001 00000028 00000001 00000078 00000002 00000000"
    )


@pytest.mark.parametrize("wrong", [LIMIT + 1, -LIMIT - 1, 0x7FFFFFFF, -0x7FFFFFFF])
def test_offsets_beyond_reason(wrong: int) -> None:
    """A time that no decoder could keep to is not believed, and moves nothing else."""
    table = table_of(run_of([40] * 3, [LIMIT, wrong, -LIMIT]))
    assert table.times() == Times(120, min(LIMIT, 40, 80 - LIMIT), LIMIT + 40, LIMIT)
    assert boxes(table, LIMIT)[b"ctts"] == H(
        "00000000 00000003 00000001 000007d0 00000001 000003e8 00000001 00000000"
    )


@pytest.mark.parametrize(
    ("delay", "duration", "start", "expected"),
    [
        (0, 500, 0, ""),
        (0, 500, 7, "00000000 00000001 000001f4 00000007 00010000"),
        (
            *(9, 500, 0),
            "00000000 00000002 00000009 ffffffff 00010000 000001f4 00000000 00010000",
        ),
        (
            *(0, 1 << 32, 7),
            "01000000 00000001 0000000100000000 0000000000000007 00010000",
        ),
        (
            *(9, 500, 1 << 31),
            "01000000 00000002 0000000000000009 ffffffffffffffff 00010000"
            "00000000000001f4 0000000080000000 00010000",
        ),
        (0, 0xFFFFFFFF, 0x7FFFFFFF, "00000000 00000001 ffffffff 7fffffff 00010000"),
    ],
)
def test_edit_list(delay: int, duration: int, start: int, expected: str) -> None:
    """8.6.6: what is empty before the track, and what of it is played; 64 bits where needed."""
    written = edit_list(delay, duration, start)
    assert (mp4_runs.inside(written, b"edts", b"elst") if written else b"") == H(expected)


@given(st.lists(st.lists(st.tuples(st.integers(1, 3), st.integers(-2, 2)), min_size=1, max_size=5)))
def test_any_times(chunks: list[list[tuple[int, int]]]) -> None:
    """However samples are cut into chunks, the tables tell their times."""
    samples = [sample for chunk in chunks for sample in chunk]
    if not samples:
        return
    table = table_of(*(run_of([x for x, _y in one], [y for _x, y in one]) for one in chunks))
    times = table.times()
    shown, ends, time = list[int](), list[int](), 0
    for duration, offset in samples:
        shown.append(time + offset)
        ends.append(time + offset + duration)
        time += duration
    assert times == (
        time,
        min(shown),
        max(ends),
        max(0, *(-offset for _duration, offset in samples)),
    )
    found = boxes(table, times.shift)
    assert expanded(found[b"stts"]) == [duration for duration, _offset in samples]
    if b"ctts" in found:
        assert expanded(found[b"ctts"]) == [offset + times.shift for _duration, offset in samples]
    else:
        assert not any(offset for _duration, offset in samples)


def expanded(body: bytes) -> list[int]:
    """Read a table of counts and values."""
    words = [int.from_bytes(body[i : i + 4], "big") for i in range(8, len(body), 4)]
    assert len(words) == 2 * int.from_bytes(body[4:8], "big")
    pairs = list(zip(words[::2], words[1::2], strict=True))
    assert all(a[1] != b[1] for a, b in pairwise(pairs))
    return [value for count, value in pairs for _n in range(count)]
