"""Samples that are played: edit lists, clocks, and the way to a time."""

from __future__ import annotations

import tracemalloc
from time import process_time

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import PeerError
from ntvmedia.formats.fmp4_reader import whole_box
from ntvmedia.formats.fmp4_samples import Clock, Edit, Samples, parse_edit
from ntvmedia.formats.fmp4_tables import parse_tables
from tests.formats.mp4_bytes import box, full, table, tables, words


def read(
    stbl: bytes,
    edit: Edit | None = None,
    *,
    timescale: int = 1000,
    rate: int = 90000,
    is_video: bool = True,
    frame_size: int = 0,
) -> Samples:
    """Read tables; the movie has milliseconds."""
    found = parse_tables(whole_box(box(b"stbl", stbl), b"stbl"), frame_size, 1)
    edit = edit or Edit()
    return Samples(found, edit, edit.clock(timescale, rate, 1000), 1000, is_video)


def edits(*entries: int, version: int = 0) -> Edit:
    """Parse an edit list of these words."""
    elst = full(b"elst", words(len(entries) // (5 if version else 3), *entries), version=version)
    return parse_edit(whole_box(box(b"trak", box(b"edts", elst)), b"trak"))


def pictures(count: int = 10, step: int = 40, group: int = 5, **more: object) -> bytes:
    """Write tables of pictures, in one chunk, with a sync sample at each group's start."""
    return tables(
        [10] * count,
        chunks=[1000],
        runs=[1, count, 1],
        times=[count, step],
        sync=range(1, count + 1, group),
        **more,  # type: ignore[arg-type]
    )


def test_edit_lists() -> None:
    """14496-12 8.6.6: none, one, empty ones before it, of 64 bits, and an empty one alone."""
    assert parse_edit(whole_box(box(b"trak"), b"trak")) == Edit()
    assert edits(500, 1024, 0x10000) == Edit(1024, 500, 0)
    assert edits(30, -1, 0x10000, 10, -1, 0x10000, 500, 7, 0x10000) == Edit(7, 500, 40)
    assert edits(1, 2, 3, 4, 0x10000, version=1) == Edit(3 << 32 | 4, 1 << 32 | 2, 0)
    assert edits(0, 9, -1, -1, 0, 0, 0, 0, 5, 0x10000, version=1) == Edit(5, 0, 9)
    assert edits(30, -1, 0x10000) == Edit(0, 0, 30)
    assert edits() == Edit()
    with pytest.raises(PeerError):
        parse_edit(
            whole_box(box(b"trak", box(b"edts", full(b"elst", words(2, 1, -1, 0)))), b"trak")
        )


def test_no_drift() -> None:
    """A day of 29.97 pictures a second: each time is exact, to half a tick of 90 kHz."""
    count = 2_600_000
    stbl = b"".join(
        (
            table(b"stts", count, 1001, width=2),
            table(b"stsc", 1, count, 1, width=3),
            full(b"stsz", words(7, count)),
            table(b"stco", 0),
        )
    )
    found = read(stbl, timescale=30000)
    assert [found[index].dts for index in (0, 1, count - 1)] == [0, 3003, 3003 * (count - 1)]
    odd = read(stbl, timescale=24001)
    last = odd[count - 1].dts
    assert abs(last - 1001 * (count - 1) * 90000 / 24001) <= 0.5


def test_pictures_out_of_order() -> None:
    """C-FM-01: with an edit at the first picture's time, the first one is presented at 0."""
    shifts = [1, 80, 1, 200, 1, 80, 1, 0, 1, 40]
    stbl = pictures(5, group=9, shifts=shifts)
    found = read(stbl, Edit(80, 200))
    assert [(x.dts // 90, x.pts // 90) for x in found] == [
        *((-80, 0), (-40, 160), (0, 80), (40, 40), (80, 120))
    ]
    assert found.duration == 200 * 90
    assert read(stbl).duration == 280 * 90


def test_empty_edit() -> None:
    """14496-12 8.6.6.1: an empty edit is a delay."""
    found = read(pictures(), Edit(0, 0, 500))
    assert found[0].dts == 45000
    assert found.duration == 45000 + 400 * 90


def test_priming_of_sound() -> None:
    """C-FM-01: what is before the edit is there for the decoder, with negative times."""
    stbl = tables([4] * 9, chunks=[0], runs=[1, 9, 1], times=[9, 1024])
    found = read(stbl, Edit(1024, 0), timescale=48000, rate=48000, is_video=False)
    assert [sample.dts for sample in found][:3] == [-1024, 0, 1024]
    assert found.duration == 8 * 1024


def test_sound_that_is_cut() -> None:
    """Of a long piece before the edit, only what a decoder needs is kept: 0.3 seconds."""
    stbl = tables([4] * 500, chunks=[0], runs=[1, 500, 1], times=[500, 1000])
    found = read(stbl, Edit(100_000, 2000), timescale=48000, rate=48000, is_video=False)
    assert found[0].dts == -14000
    # 2 seconds, and one tick of the movie, which may be rounded.
    assert found[len(found) - 1].dts == 96_000
    assert found[0].offset == 4 * 86
    assert found.duration == 96_048


def test_pictures_that_are_cut() -> None:
    """A start between sync samples needs the one before; an end leaves out what comes after."""
    found = read(pictures(20), Edit(280, 199))
    assert [(x.dts // 90, x.is_sync) for x in found] == [
        *((-80, True), (-40, False), (0, False), (40, False), (80, False)),
        *((120, True), (160, False)),
    ]
    assert found.seek(0) == 0
    assert found.seek(120 * 90) == 5
    # Out of order: the picture that is presented at the end is not there, those before it are.
    shifts = [1, 80, 1, 200, 1, 80, 1, 0, 1, 40]
    found = read(pictures(5, group=9, shifts=shifts), Edit(80, 119))
    assert [x.pts // 90 for x in found] == [0, 160, 80, 40]


def test_an_edit_beyond_the_media() -> None:
    """Nothing is left but what stands last, and nothing fails."""
    assert [x.dts for x in read(pictures(4), Edit(5000))] == [
        90 * (at - 5000) for at in (0, 40, 80, 120)
    ]
    assert len(read(pictures(4), Edit(5000, 1), is_video=False)) == 1
    assert len(read(tables([]), Edit(5000, 1))) == 0
    assert read(tables([])).duration == 0
    assert read(tables([])).seek(5) == 0


def test_sound_has_only_sync_samples() -> None:
    """Whatever stss says: `Packet.is_keyframe` is always true for sound."""
    assert all(sample.is_sync for sample in read(pictures(), is_video=False))


def test_index() -> None:
    """A sequence: its length, its items, and no others."""
    found = read(pictures(3))
    assert len(found) == 3
    assert [found[0], found[1], found[2]] == list(found)
    for index in (-1, 3):
        with pytest.raises(IndexError):
            found[index]


@given(
    st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=30),
    st.integers(-100, 3000),
    st.integers(0, 60),
)
def test_seek(pattern: list[tuple[int, bool]], time: int, shift: int) -> None:
    """The last sync sample that is presented at the time or before; else the first; else 0."""
    count = len(pattern)
    listed = [index + 1 for index, (_step, is_sync) in enumerate(pattern) if is_sync]
    stbl = tables(
        [1] * count,
        chunks=[0],
        runs=[1, count, 1],
        times=[value for step, _sync in pattern for value in (1, step)],
        shifts=[count, shift],
        sync=listed,
    )
    found = read(stbl)
    ticks = time * 90
    sync = [index for index, sample in enumerate(found) if sample.is_sync]
    earlier = [index for index in sync if found[index].pts <= ticks]
    assert found.seek(ticks) == (earlier or sync[:1] or [0])[-1]


def test_clock() -> None:
    """Rounded to the nearest tick, also before 0."""
    clock = Clock(1000, 44100, 500, 7)
    assert [clock.ticks(at) for at in (500, 501, 510, 499, 0)] == [7, 51, 448, -37, -22043]


def test_millions_of_samples() -> None:
    """Memory is that of the tables, 8 bytes a sample; a look-up is a search, not a walk."""
    count = 100_000
    sizes = b"".join((words(0, count), words(3) * count))
    stbl = b"".join(
        (
            table(b"stts", count, 3000, width=2),
            table(b"stsc", 1, 10, 1, width=3),
            full(b"stsz", sizes),
            table(b"stco", *range(0, 30 * count // 10, 30)),
        )
    )
    tracemalloc.start()
    found = read(stbl, timescale=90000)
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10 * count
    assert most < 24 * count
    start = process_time()
    for index in range(0, count, 100):
        assert found[index].offset == 3 * index
        assert found.seek(3000 * index + 1) == index
    assert process_time() - start < 1


def test_samples_without_data() -> None:
    """They are passed over, however many there are."""
    found = read(tables([0, 0, 5, 0, 6, 0], chunks=[0], runs=[1, 6, 1]))
    assert list(found.filled()) == [found[2], found[4]]
    assert list(read(tables([0, 0], chunks=[0], runs=[1, 2, 1])).filled()) == []
    cut = read(tables([0, 0, 0, 9], chunks=[0], runs=[1, 2, 1]))
    assert list(cut.filled()) == []
    count = 1_000_000
    stbl = b"".join(
        (
            table(b"stts", count, 1, width=2),
            table(b"stsc", 1, count, 1, width=3),
            full(b"stsz", words(0, count), bytes(4 * count)),
            table(b"stco", 0),
        )
    )
    start = process_time()
    assert list(read(stbl).filled()) == []
    assert process_time() - start < 1
    assert list(read(tables([1, 2], chunks=[0], runs=[1, 2, 1])).filled()) != []
