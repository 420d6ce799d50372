"""Sample tables: looked up as they would be if they were written out."""

from __future__ import annotations

import tracemalloc
from time import process_time

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats import fmp4_tables
from ntvmedia.formats.fmp4_reader import whole_box
from ntvmedia.formats.fmp4_tables import NO_TABLES, Tables, parse_tables
from tests.formats.mp4_bytes import box, full, table, tables, words


def parse(stbl: bytes, frame_size: int = 0, descriptions: int = 1) -> Tables:
    """Parse the contents of an stbl box."""
    return parse_tables(whole_box(box(b"stbl", stbl), b"stbl"), frame_size, descriptions)


def units(found: Tables) -> list[tuple[int, int, int, int]]:
    """Locate every unit."""
    return [found.locate(unit) for unit in range(found.units)]


def test_chunks() -> None:
    """14496-12 8.7.4: two chunks of two samples, one of three; each sample after the other."""
    found = parse(
        tables([1, 2, 3, 4, 5, 6, 7], chunks=[100, 200, 300], runs=[1, 2, 1, 3, 3, 2]),
        descriptions=2,
    )
    assert units(found) == [
        *((0, 100, 1, 0), (1, 101, 2, 0), (2, 200, 3, 0), (3, 203, 4, 0)),
        *((4, 300, 5, 1), (5, 305, 6, 1), (6, 311, 7, 1)),
    ]


def test_times() -> None:
    """14496-12 8.6.1: runs of durations, and of shifts with a sign."""
    stbl = tables([1] * 6, chunks=[0], runs=[1, 6, 1], times=[2, 10, 0, 99, 4, 5], shifts=[3, -4])
    found = parse(stbl)
    assert [found.dts(sample) for sample in range(6)] == [0, 10, 20, 25, 30, 35]
    # Past the table of shifts there are none; past that of times the last duration goes on.
    assert [found.shift(sample) for sample in range(6)] == [-4, -4, -4, 0, 0, 0]
    assert found.end == 40
    short = parse(tables([1] * 4, chunks=[0], runs=[1, 4, 1], times=[1, 7, 1, 9]))
    assert [short.dts(sample) for sample in range(5)] == [0, 7, 16, 25, 34]


def test_times_that_go_back() -> None:
    """A negative duration, which some writers have, is 1: dts never falls."""
    found = parse(tables([1] * 3, chunks=[0], runs=[1, 3, 1], times=[1, 7, 1, -5, 1, 7]))
    assert [found.dts(sample) for sample in range(3)] == [0, 7, 8]


def test_sync_samples() -> None:
    """14496-12 8.6.2: those that are listed; all without the table."""
    stbl = tables([1] * 5, chunks=[0], runs=[1, 5, 1], sync=[1, 4, 9])
    assert list(parse(stbl).sync_units()) == [0, 3]
    assert list(parse(tables([1], chunks=[0])).sync_units()) == [0]
    assert list(parse(tables([1], chunks=[0], sync=[])).sync_units()) == []


def other_sizes(kind: bytes, *fields: bytes) -> bytes:
    """Write tables of five samples in one chunk, with sizes in another form."""
    plain = tables([1] * 5, chunks=[0x1_0000], runs=[1, 5, 1])
    return plain.replace(full(b"stsz", words(0, 5, 1, 1, 1, 1, 1)), full(kind, *fields))


@pytest.mark.parametrize(
    ("width", "data"),
    [
        (4, b"\x12\x34\x50"),
        (8, bytes((1, 2, 3, 4, 5))),
        (16, bytes((0, 1, 0, 2, 0, 3, 0, 4, 0, 5))),
    ],
)
def test_compact_sizes(width: int, data: bytes) -> None:
    """14496-12 8.7.3.3: sizes of 4, 8 and 16 bits."""
    found = parse(other_sizes(b"stz2", words(width, 5), data))
    assert [found.locate(unit)[2] for unit in range(5)] == [1, 2, 3, 4, 5]


def test_constant_sizes() -> None:
    """14496-12 8.7.3.2: one size for all."""
    found = parse(other_sizes(b"stsz", words(7, 5)))
    assert [found.locate(unit)[1:3] for unit in range(5)] == [
        (0x1_0000 + 7 * place, 7) for place in range(5)
    ]


def test_large_offsets() -> None:
    """14496-12 8.7.5: offsets of 64 bits."""
    stbl = tables([9], chunks=[5]).replace(table(b"stco", 5), full(b"co64", words(1, 7, 5)))
    assert units(parse(stbl)) == [(0, 7 << 32 | 5, 9, 0)]


@pytest.mark.parametrize("size", [1, 4])
def test_uncompressed_sound(size: int) -> None:
    """QTFF: samples of a moment are taken in blocks, never over a chunk's end."""
    stbl = b"".join(
        (
            table(b"stts", 2600, 1, width=2),
            table(b"stsc", 1, 1500, 1, 2, 100, 1, 3, 1000, 1, width=3),
            full(b"stsz", words(size, 2600)),
            table(b"stco", 1000, 8000, 9000),
        )
    )
    found = parse(stbl, frame_size=4)
    assert units(found) == [
        *((0, 1000, 4096, 0), (1024, 5096, 1904, 0)),
        *((1500, 8000, 400, 0), (1600, 9000, 4000, 0)),
    ]
    assert [found.unit_of(sample) for sample in (0, 1023, 1024, 1499, 1500, 1600, 2599)] == [
        *(0, 0, 1, 1, 2, 3, 3)
    ]


def test_tables_that_do_not_agree() -> None:
    """A file that was cut off: the shortest table holds."""
    assert parse(tables([1] * 9, chunks=[0, 50], runs=[1, 2, 1])).samples == 4
    assert parse(tables([1] * 3, chunks=[0, 50], runs=[1, 2, 1])).samples == 3
    # Runs of chunks that are not there.
    assert parse(tables([1] * 9, chunks=[0], runs=[1, 2, 1, 5, 9, 1])).samples == 2
    assert parse(tables([1] * 9, runs=[1, 2, 1])) is NO_TABLES
    assert parse(tables([])) is NO_TABLES
    assert parse(table(b"stts")) is NO_TABLES


@pytest.mark.parametrize(
    ("stbl", "message"),
    [
        (tables([1], chunks=[0], runs=[]), "table of chunks"),
        (tables([1], chunks=[0], runs=[2, 1, 1]), "table of chunks"),
        (tables([1], chunks=[0], runs=[1, 1, 1, 1, 1, 1]), "table of chunks"),
        (tables([1], chunks=[0], runs=[1, 1, 0]), "table of chunks"),
        (tables([1], chunks=[0], runs=[1, 1, 2]), "without description"),
        (tables([1], chunks=[0], times=[]), "table of times"),
        (tables([1], chunks=[0], times=[-1, 1, 2, 1]), "table of times"),
        (tables([1, 1], chunks=[0], sync=[2, 1]), "out of order"),
        (tables([1, 1], chunks=[0], sync=[1, 1]), "out of order"),
        (full(b"stsz", words(1, 1)), "without stco"),
        (full(b"stsz", words(0, 2, 5)), "cut off"),
        (full(b"stz2", words(12, 1), b"12"), "12 bits"),
        (full(b"stz2", words(4, 3), b"1"), "cut off"),
    ],
)
def test_broken_tables(stbl: bytes, message: str) -> None:
    """F-RE-09: what contradicts itself."""
    with pytest.raises(PeerError, match=message):
        parse(stbl)


def claims(count: int, size: int, length: int) -> bytes:
    """Write tables that claim any number of samples."""
    return b"".join(
        (
            table(b"stts", count & 0xFFFFFFFF, 0x7FFFFFFF, width=2),
            table(b"ctts", count & 0xFFFFFFFF, 0x7FFFFFFF, width=2),
            table(b"stsc", 1, length, 1, width=3),
            full(b"stsz", words(size, count)),
            table(b"stco", 0, 1),
        )
    )


def test_counts_that_nothing_stands_behind() -> None:
    """F-RE-09: 2**32 - 1 samples in 20 bytes are refused; fewer cost nothing until asked for."""
    tracemalloc.start()
    start = process_time()
    with pytest.raises(LimitExceeded):
        parse(claims(0xFFFFFFFF, 5, 0xFFFFFFFF))
    found = parse(claims(fmp4_tables.MAX_SAMPLES, 5, 0xFFFFFFFF))
    last = found.units - 1
    assert found.locate(last) == (last, 5 * last, 5, 0)
    assert found.dts(last) == last * 0x7FFFFFFF
    # Of sound they are blocks, of which there may be as many.
    sound = parse(claims(0xFFFFFFFF, 1, 0xFFFFFFFF), frame_size=1)
    assert sound.end == 0xFFFFFFFF * 0x7FFFFFFF
    assert process_time() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@st.composite
def written(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int, int, int, int, bool]]]:
    """Draw tables, and each sample written out: offset, size, description, dts, shift, sync."""
    lengths = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), max_size=6))
    count = sum(length for length, _description in lengths)
    sizes = draw(st.lists(st.integers(0, 1000), min_size=count, max_size=count))
    durations = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    shifts = draw(st.lists(st.integers(-2, 2), min_size=count, max_size=count))
    sync = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    runs: list[int] = []
    offsets: list[int] = []
    samples: list[tuple[int, int, int, int, int, bool]] = []
    time = 0
    for number, (length, description) in enumerate(lengths, 1):
        if not runs or runs[-2:] != [length, description]:
            runs += [number, length, description]
        place = draw(st.integers(0, 1 << 31))
        offsets.append(place)
        for _sample in range(length):
            index = len(samples)
            size = sizes[index]
            samples.append((place, size, description - 1, time, shifts[index], sync[index]))
            place += size
            time += durations[index]
    # Runs of one, and of more where they are alike.
    times = [value for ticks in durations for value in (1, ticks)]
    moved: list[int] = []
    for ticks in shifts:
        if moved and moved[-1] == ticks:
            moved[-2] += 1
        else:
            moved += [1, ticks]
    listed = [index + 1 for index, is_sync in enumerate(sync) if is_sync]
    stbl = tables(sizes, chunks=offsets, runs=runs, times=times, shifts=moved, sync=listed)
    return stbl, samples


@given(written())
def test_written_out(
    drawn: tuple[bytes, list[tuple[int, int, int, int, int, bool]]],
) -> None:
    """Looked up by runs, each sample is where, and when, the tables say."""
    stbl, samples = drawn
    found = parse(stbl, descriptions=3)
    assert found.samples == found.units == len(samples)
    sync = set(found.sync_units())
    for index, expected in enumerate(samples):
        sample, offset, size, description = found.locate(index)
        times = (found.dts(index), found.shift(index))
        assert (offset, size, description, *times, index in sync) == expected
        assert sample == found.unit_of(index) == index
        assert found.composed(index) == expected[3] + expected[4]
    for time in range(samples[-1][3] + 3 if samples else 0):
        earlier = [index for index, one in enumerate(samples) if one[3] < time]
        assert found.sample_at(time) == len(earlier)
