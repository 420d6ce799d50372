"""Movie fragments: defaults, offsets and times, wherever they are told."""

from __future__ import annotations

import pytest

from ntvmedia.errors import LimitExceeded
from ntvmedia.formats import fmp4_fragments
from ntvmedia.media import Codec, Track
from tests.codecs import vectors
from tests.formats.mp4_bytes import (
    DEFAULT_FLAGS,
    DEFAULT_SIZE,
    DURATION,
    DURATIONS,
    FIRST_FLAGS,
    FLAGS,
    HERE,
    INIT,
    MOOF,
    MORE,
    NOT_SYNC,
    OFFSET,
    PAYLOAD,
    SHIFTS,
    SIZE,
    SIZES,
    TWO,
    aac_entry,
    box,
    demux,
    fragment,
    full,
    moof,
    moov,
    mvex,
    packets,
    sound_entry,
    tfdt,
    times,
    traf,
    trak,
    trun,
    video_entry,
    words,
)


def test_defaults_of_the_movie() -> None:
    """14496-12 8.8.3: what neither tfhd nor trun tells is told by trex."""
    init = moov(trak(video_entry()), mvex((1, 1, 300, SIZE, NOT_SYNC)))
    one = fragment(traf(1, tfdt(5), trun(3, OFFSET, HERE)), data=PAYLOAD * 3)
    assert times(init + one) == [(5, 5, False), (305, 305, False), (605, 605, False)]


def test_defaults_of_the_fragment() -> None:
    """14496-12 8.8.7: tfhd comes before trex, trun before both; first-sample-flags once."""
    init = moov(trak(video_entry()), mvex((1, 7, 1, 2, 0)))
    fields = words(1, 200, SIZE, NOT_SYNC)
    flags = MOOF | 0x02 | DURATION | DEFAULT_SIZE | DEFAULT_FLAGS
    one = traf(1, tfdt(0), trun(3, OFFSET | FIRST_FLAGS, HERE, 0), flags=flags, fields=fields)
    two = traf(
        1,
        trun(2, OFFSET | DURATIONS | FLAGS, HERE, 50, NOT_SYNC, 60, 0),
        flags=flags,
        fields=fields,
    )
    data = fragment(one, data=PAYLOAD * 3) + fragment(two, data=PAYLOAD * 2)
    assert times(init + data) == [
        *((0, 0, True), (200, 200, False), (400, 400, False)),
        # Without tfdt, where the one before ended.
        *((600, 600, False), (650, 650, True)),
    ]


def test_dependent_samples_are_not_sync() -> None:
    """sample_depends_on 1 is enough: some writers leave sample_is_non_sync_sample at 0."""
    one = traf(
        1, tfdt(0), trun(2, OFFSET | SIZES | FLAGS, HERE, SIZE, 0x02000000, SIZE, 0x01000000)
    )
    assert [x[2] for x in times(INIT + fragment(one, data=PAYLOAD * 2))] == [True, False]


@pytest.mark.parametrize("version", [0, 1])
def test_shifts_have_a_sign(version: int) -> None:
    """C-FM-01: composition offsets are signed, also where version 0 says that they are not."""
    run = trun(2, OFFSET | SIZES | SHIFTS, HERE, SIZE, -40, SIZE, 70, version=version)
    data = fragment(traf(1, tfdt(1 << 33), run), data=PAYLOAD * 2)
    base = 1 << 33
    assert times(INIT + data) == [(base, base - 40, True), (base + 100, base + 170, True)]


def test_times_of_32_bits() -> None:
    """A tfdt box of version 0."""
    one = traf(1, tfdt(77, 0), trun(1, OFFSET | SIZES, HERE, SIZE))
    assert times(INIT + fragment(one, data=PAYLOAD)) == [(77, 77, True)]


def test_edit_of_a_fragmented_file() -> None:
    """14496-12 8.6.6: an edit list in the moov box shifts all fragments."""
    edits = full(b"elst", words(2, 250, -1, 0x10000, 0, 300, 0x10000))
    init = moov(trak(video_entry(), edits=edits), mvex((1, 1, 100, 0, 0)))
    one = traf(1, tfdt(200), trun(1, OFFSET | SIZES, HERE, SIZE))
    assert times(init + fragment(one, data=PAYLOAD)) == [(22400, 22400, True)]


def test_offsets_that_are_not_told() -> None:
    """14496-12 8.8.7.1: a track's data follow those of the one before, a run's the run before."""
    one = traf(1, trun(1, OFFSET, HERE), trun(1, 0), flags=0)
    two = traf(2, trun(2, 0), trun(1, 0), flags=0)
    events, end = demux([TWO, fragment(one, two, data=PAYLOAD * 2 + b"abcdefghijkl")])
    assert end == (0,)
    assert [(x.track.codec, x.dts, x.payload) for x in packets(events)] == [
        *((Codec.H264, 0, PAYLOAD), (Codec.H264, 100, PAYLOAD)),
        *((Codec.AAC, 0, b"abcd"), (Codec.AAC, 1024, b"efgh"), (Codec.AAC, 2048, b"ijkl")),
    ]


def test_offsets_of_tracks_that_are_not_read() -> None:
    """The data of a track of text are passed over, and counted."""
    init = moov(
        trak(box(b"text", bytes(8)), handler=b"text"),
        trak(aac_entry(), track_id=2, timescale=48000),
        mvex((1, 1, 100, 7, 0), (2, 1, 1024, 4, 0)),
    )
    one, two = traf(1, trun(2, OFFSET, HERE), flags=0), traf(2, trun(1, 0), flags=0)
    events, end = demux([init, fragment(one, two, data=bytes(14) + b"abcd")])
    assert end == (0,)
    assert [packet.payload for packet in packets(events)] == [b"abcd"]


def test_data_come_in_their_order() -> None:
    """Two tracks whose samples alternate come out as they stand, each in decode order."""
    one = traf(1, trun(1, OFFSET, HERE), trun(1, OFFSET, HERE + 0x01000000))
    two = traf(2, trun(1, OFFSET, MORE))
    raw = one.replace(words(HERE + 0x01000000), b"LAST")
    size = len(moof(raw, two)) + 8
    raw = raw.replace(b"LAST", words(size + SIZE + 4))
    events, end = demux([TWO, fragment(raw, two, data=PAYLOAD + b"abcd" + PAYLOAD)])
    assert end == (0,)
    assert [packet.payload for packet in packets(events)] == [PAYLOAD, b"abcd", PAYLOAD]


def test_another_description() -> None:
    """14496-12 8.8.7: a fragment of another sample entry announces its track."""
    entries = video_entry() + video_entry(b"avc1", box(b"avcC", vectors.AVCC_576I))
    init = moov(trak(entries, entries=2), mvex((1, 1, 100, 0, 0)))
    one = traf(1, trun(1, OFFSET | SIZES, HERE, SIZE))
    two = traf(1, trun(1, OFFSET | SIZES, HERE, SIZE), flags=MOOF | 0x02, fields=words(2))
    events, _end = demux([init, *(fragment(x, data=PAYLOAD) for x in (one, two, two, one))])
    told = [event.config for event in events if isinstance(event, Track)]
    assert told == [vectors.AVCC_1080, vectors.AVCC_576I, vectors.AVCC_1080]
    assert [packet.track.config for packet in packets(events)] == [
        *(vectors.AVCC_1080, vectors.AVCC_576I, vectors.AVCC_576I, vectors.AVCC_1080)
    ]


def test_empty_samples_take_time() -> None:
    """A sample without data is no packet."""
    one = traf(1, trun(3, OFFSET | SIZES, HERE, SIZE, 0, SIZE))
    assert [x[0] for x in times(INIT + fragment(one, data=PAYLOAD * 2))] == [0, 200]


def test_uncompressed_sound_in_fragments() -> None:
    """14496-12 12.2: where each sample is one of each channel, 1024 of them are a packet."""
    init = moov(
        trak(sound_entry(b"ulaw", rate=8000, channels=1), timescale=8000), mvex((1, 1, 1, 1, 0))
    )
    data = bytes(place & 0xFF for place in range(2500))
    one, two = (traf(1, tfdt(time), trun(2500, OFFSET, HERE)) for time in (0, 2500))
    events, end = demux([init, fragment(one, data=data), fragment(two, data=data)])
    assert end == (0,)
    assert [packet.dts for packet in packets(events)] == [0, 1024, 2048, 2500, 3524, 4548]
    assert b"".join(packet.payload for packet in packets(events)) == data * 2


def test_limit_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """F-RE-09: tracks and runs of a fragment have a limit, for each costs more than its bytes."""
    monkeypatch.setattr(fmp4_fragments, "MAX_RUNS", 4)
    run = trun(1, SIZES, SIZE)
    data = fragment(traf(1, trun(1, OFFSET | SIZES, HERE, SIZE), run, run), data=PAYLOAD * 3)
    assert len(times(INIT + data)) == 3
    for trafs in ([traf(1, *[run] * 4)], [traf(1, run)] * 3, [traf(9)] * 5):
        assert demux([INIT, moof(*trafs)])[1][0] is LimitExceeded
