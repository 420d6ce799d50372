"""MP4 as its bytes come: what is read, what is refused, and that cuts do not matter."""

from __future__ import annotations

import random
from fractions import Fraction
from functools import cache
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.formats.fmp4_demuxer import Demuxer
from ntvmedia.formats.fmp4_muxer import Muxer
from ntvmedia.media import Codec, MediaKind, Packet, Track
from tests.codecs import vectors
from tests.formats import mp4_files
from tests.formats.flv_bytes import nal_units
from tests.formats.mp4_bytes import (
    HERE,
    INIT,
    MOOF,
    MORE,
    OFFSET,
    PAYLOAD,
    SIZE,
    SIZES,
    TWO,
    box,
    demux,
    fragment,
    full,
    moof,
    moov,
    mvex,
    of_track,
    packets,
    sound_entry,
    tables,
    tfdt,
    times,
    traf,
    trak,
    trun,
    video_entry,
    words,
)
from tests.formats.mp4_files import FORMS, ordinary
from tests.fuzz.mutation import mutated


def test_boxes_that_are_not_needed() -> None:
    """styp, sidx, emsg, prft, uuid, free, and boxes with sizes of 64 bits, are passed over."""
    more = b"".join(
        (
            box(b"styp", b"msdh", bytes(4)),
            box(b"sidx", bytes(40)),
            full(b"emsg", b"moof" * 9),
            box(b"prft", bytes(24)),
            box(b"uuid", bytes(16), b"Smooth"),
            words(1) + b"free" + bytes(4) + words(20) + b"mdat",
        )
    )
    one = traf(1, tfdt(0), trun(1, OFFSET | SIZES, HERE, SIZE))
    data = more + INIT + more + fragment(one, data=PAYLOAD, after=more) + more
    assert times(data) == [(0, 0, True)]


def test_an_mdat_box_to_the_end() -> None:
    """14496-12 4.2: a size of 0 is up to the end of the file."""
    data = INIT + fragment(traf(1, trun(1, OFFSET | SIZES, HERE, SIZE)), data=PAYLOAD)
    place = data.index(b"mdat") - 4
    assert times(data[:place] + bytes(4) + data[place + 4 :]) == [(0, 0, True)]


def test_a_large_mdat_box() -> None:
    """14496-12 4.2: a size of 64 bits before media."""
    one = traf(1, trun(1, OFFSET | SIZES, HERE, SIZE))
    one = one.replace(words(HERE), words(len(moof(one)) + 16))
    large = words(1) + b"mdat" + words(0, 16 + SIZE) + PAYLOAD
    assert times(INIT + moof(one) + large) == [(0, 0, True)]


def test_an_initialisation_segment_again() -> None:
    """C-FM-04: the same one means nothing; another one announces what is different."""
    one = fragment(traf(1, trun(1, OFFSET | SIZES, HERE, SIZE)), data=PAYLOAD)
    other = moov(
        trak(video_entry(b"avc1", box(b"avcC", vectors.AVCC_576I))), mvex((1, 1, 100, 0, 0))
    )
    events, end = demux([INIT, one, INIT, one, other, one, other])
    assert end == (0,)
    first, a, b, second, c = events
    assert isinstance(first, Track) and first.config == vectors.AVCC_1080
    assert isinstance(second, Track) and second.config == vectors.AVCC_576I
    # Time goes on where it is not told.
    told = [event for event in (a, b, c) if isinstance(event, Packet)]
    assert [(packet.track, packet.dts) for packet in told] == [
        *((first, 0), (first, 100), (second, 200))
    ]


def test_lengths_of_two_bytes() -> None:
    """14496-15 5.3.3: NAL units whose lengths have another size get lengths of 4 bytes."""
    config = vectors.AVCC_1080[:4] + b"\xfd" + vectors.AVCC_1080[5:]
    init = moov(trak(video_entry(b"avc1", box(b"avcC", config))), mvex((1, 1, 100, 0, 0)))
    frame = b"\0\3\x06ab\0\2\x65c"
    one = traf(1, trun(1, OFFSET | SIZES, HERE, len(frame)))
    track, packet = demux([init, fragment(one, data=frame)])[0]
    assert isinstance(track, Track) and track.config == vectors.AVCC_1080
    assert isinstance(packet, Packet) and packet.payload == nal_units(b"\x06ab", b"\x65c")


def test_broken_samples_are_left_out() -> None:
    """A sample that is no access unit is counted, and what follows comes at its time."""
    one = traf(1, trun(3, OFFSET | SIZES, HERE, SIZE, SIZE, SIZE))
    events, end = demux([INIT, fragment(one, data=PAYLOAD + b"\xff" * SIZE + PAYLOAD)])
    assert end == (1,)
    assert [packet.dts for packet in packets(events)] == [0, 200]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"ID3\x04\0\0\0\0\0\0", "no box of MP4"),
        (b"\0\0\0\7free", "a box of 7 bytes"),
        (box(b"mdat", b"x"), "random access"),
        (moof(), "before the moov box"),
        (words(0) + b"moov", "without size"),
        (moov(), "none of pictures or sound"),
        (moov(trak(sound_entry(b"enca"))), "no track that can be read: enca"),
        (b"", "no moov box"),
        (box(b"ftyp", b"isom"), "no moov box"),
        (box(b"moov", box(b"cmov", bytes(8))), "compressed"),
        (INIT + box(b"moof", box(b"traf")), "without tfhd"),
        (INIT + moof(traf(1, trun(9, SIZES, 1, 2, 3))), "cut off"),
        (INIT + moof(traf(1, trun(1, OFFSET | SIZES, -10000, 5))), "before the file"),
        (INIT + moof(traf(1, trun(1, SIZES, 5), flags=MOOF | 2, fields=words(2))), "description"),
        (INIT + fragment(traf(1, trun(1, OFFSET | SIZES, HERE, 9)), data=b"x"), "beyond its mdat"),
        (INIT + fragment(traf(1, trun(1, OFFSET | SIZES, 8, 9)), data=PAYLOAD), "random access"),
        (
            INIT
            + fragment(
                traf(1, trun(1, OFFSET | SIZES, MORE, 4), trun(1, OFFSET | SIZES, HERE, 4)),
                data=PAYLOAD * 2,
            ),
            "",
        ),
    ],
)
def test_what_is_refused(data: bytes, message: str) -> None:
    """F-RE-09: what is no MP4, refers to nothing, or needs random access; each says what it is."""
    events, end = demux([data])
    if not message:
        # Runs in another order than their data: they are read as they stand.
        assert end == (2,) and len(events) == 1
        return
    assert end[0] is PeerError
    assert message in str(end[1])
    assert packets(events) == []


def test_samples_that_overlap() -> None:
    """F-RE-09: the same data cannot be had twice, or a small file would become any size."""
    one = traf(1, *[trun(1, OFFSET | SIZES, HERE, SIZE)] * 2)
    events, end = demux([INIT, fragment(one, data=PAYLOAD)])
    assert len(packets(events)) == 1
    assert "random access" in str(end[1])


def test_limits() -> None:
    """F-RE-09: moov, moof and samples have limits, which their headers are held to."""
    one = traf(1, trun(1, OFFSET | SIZES, HERE, SIZE))
    data = INIT + fragment(one, data=PAYLOAD)
    sizes = {"max_moov_size": len(INIT), "max_moof_size": len(moof(one)), "max_sample_size": SIZE}
    assert demux([data], **sizes)[1] == (0,)
    for name, size in sizes.items():
        assert demux([data], **{name: size - 1})[1][0] is LimitExceeded
    huge = words(0x7FFFFFFF) + b"moov"
    assert demux([huge])[1][0] is LimitExceeded


def test_fragments_whose_data_do_not_come() -> None:
    """F-RE-09: fragments without data are kept up to a limit; the data may come later."""
    first = moof(traf(1, trun(1, OFFSET | SIZES, 1 << 20, SIZE)))
    limit = len(first)
    assert demux([INIT, first, first], max_moof_size=limit)[1] == (1,)
    assert demux([INIT, first, first, first], max_moof_size=limit)[1][0] is LimitExceeded
    # moof moof mdat mdat.
    a, b = (traf(1, trun(1, OFFSET | SIZES, at, SIZE)) for at in (0, 0))
    size = len(moof(a))
    a = a.replace(words(0, SIZE), words(2 * size + 8, SIZE))
    b = b.replace(words(0, SIZE), words(size + 16 + SIZE, SIZE))
    assert times(INIT + moof(a) + moof(b) + 2 * box(b"mdat", PAYLOAD)) == [
        *((0, 0, True), (100, 100, True))
    ]


def test_counts_that_nothing_stands_behind() -> None:
    """F-RE-09: 2**32 - 1 samples in 20 bytes, with no data or too little: no time, no memory."""
    start = process_time()
    # Samples of no bytes; of one, none of which is an access unit; and one that is there.
    for size, damaged in ((0, 0), (1, SIZE + 1), (SIZE, 1)):
        init = moov(trak(video_entry()), mvex((1, 1, 1, size, 0)))
        bomb = fragment(traf(1, trun(0xFFFFFFFF, OFFSET, HERE)), data=PAYLOAD)
        assert demux([init, bomb])[1] == (damaged,)
    silent = moov(trak(video_entry()), mvex((1, 1, 1, 0, 0)))
    demux([silent, moof(traf(1, *[trun(0xFFFFFFFF, 0)] * 10000))])
    assert process_time() - start < 2


def test_empty_samples_of_an_ordinary_file() -> None:
    """A sample without data is no packet, and no damage."""
    sizes = [SIZE, 0, SIZE, 0]
    size = len(moov(trak(video_entry(), tables(sizes, chunks=[0], runs=[1, 4, 1]))))
    listed = tables(sizes, chunks=[size + 8], runs=[1, 4, 1])
    data = moov(trak(video_entry(), listed)) + box(b"mdat", PAYLOAD * 2)
    assert times(data) == [(0, 0, True), (200, 200, True)]


def test_a_file_that_is_cut_off() -> None:
    """G-DV-01: what is whole is read, and the rest counted as damage."""
    data = mp4_files.remuxed(ordinary("avc.mp4"), "x.mp4", "-movflags", FORMS["plain"])
    whole, _end = demux([data])
    for size in (len(data) // 2, len(data) // 3, len(INIT)):
        events, end = demux([data[:size]])
        assert events == whole[: len(events)]
        assert end[-1] == (1 if packets(events) else 0)


def test_a_spent_demuxer() -> None:
    """After an error, and after the end, there is nothing more to be had."""
    demuxer = Demuxer()
    demuxer.receive_data(b"no MP4 at all")
    with pytest.raises(PeerError):
        list(demuxer.events())
    for spent in (demuxer.events, demuxer.flush):
        with pytest.raises(UsageError):
            list(spent())
    demuxer = Demuxer()
    demuxer.receive_data(INIT)
    assert len(list(demuxer.flush())) == 1
    with pytest.raises(UsageError):
        list(demuxer.events())


def test_events_may_be_left() -> None:
    """Who stops in the middle of the events finds the others at the next call."""
    data = INIT + fragment(traf(1, trun(2, OFFSET | SIZES, HERE, SIZE, SIZE)), data=PAYLOAD * 2)
    demuxer = Demuxer()
    demuxer.receive_data(data[:-1])
    first = next(demuxer.events())
    demuxer.receive_data(data[-1:])
    assert [first, *demuxer.events()] == demux([data])[0]
    assert demuxer.buffered == 0


def test_memory_is_bounded() -> None:
    """Media that nobody asks for, and boxes of any size, are not kept."""
    demuxer = Demuxer()
    demuxer.receive_data(INIT + words(0x7FFFFFFF) + b"mdat")
    for _part in range(100):
        demuxer.receive_data(bytes(1000))
        assert list(demuxer.events())[1:] == []
        assert demuxer.buffered == 0


@cache
def seeds() -> list[bytes]:
    """Return good files of several forms, short ones."""
    files = [
        mp4_files.remuxed(ordinary("avc.mp4"), "x.mp4", "-movflags", FORMS["plain"]),
        mp4_files.remuxed(ordinary("avc.mp4"), "x.mp4", "-movflags", FORMS["separate"]),
        *map(ordinary, ("avc.mp4", "mp3.mov", "aac.mov")),
    ]
    alternating = traf(1, tfdt(0), trun(1, OFFSET, HERE)), traf(2, trun(3, 0), flags=0)
    listed = tables([SIZE, SIZE], chunks=[900, 1000])
    return [
        *(data[:20_000] for data in files),
        TWO + fragment(*alternating, data=PAYLOAD * 3),
        moov(trak(video_entry(), listed)) + box(b"mdat", bytes(500)),
    ]


@settings(max_examples=60)
@given(st.deferred(lambda: mutated(seeds())), st.data())
def test_cuts_do_not_matter(stream: bytes, data: st.DataObject) -> None:
    """F-RE-09: however the bytes are cut, good or bad, the same events and the same end."""
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    places = [0, *sorted(cuts), len(stream)]
    limits = {"max_moov_size": 100_000, "max_moof_size": 10_000, "max_sample_size": 100_000}
    once = demux([stream], **limits)
    assert demux([stream[a:b] for a, b in pairwise(places)], **limits) == once


def test_byte_by_byte() -> None:
    """F-RE-09: every cut at once."""
    for stream in seeds():
        parts = [stream[place : place + 1] for place in range(len(stream))]
        assert demux(parts) == demux([stream])


def test_changed_words() -> None:
    """F-RE-09: words of the boxes made the worst, one by one: only documented errors."""
    source = random.Random(4)
    for stream in seeds():
        for place in range(0, min(len(stream), 2000), 12):
            worst = source.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00FFFFFF))
            at = place + source.randrange(12)
            demux([stream[:at] + words(worst) + stream[at + 4 :]])


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Track], list[Packet]]:
    """Draw tracks, and packets such as the hub gives to a muxer."""
    tracks = [Track(Codec.H264, config=vectors.AVCC_1080, language=draw(LANGUAGES))]
    tracks += [
        Track(
            Codec.AAC,
            number,
            clock_rate=48000,
            config=vectors.AAC_LC_STEREO,
            channels=2,
            language=draw(LANGUAGES),
        )
        for number in range(draw(st.integers(0, 2)))
    ]
    found: list[Packet] = []
    for track in tracks:
        dts = draw(st.integers(0, 1 << 40))
        for _packet in range(draw(st.integers(1, 12))):
            payload = nal_units(draw(st.binary(min_size=1, max_size=20)))
            if track.kind is MediaKind.VIDEO:
                pts, key = dts + draw(st.integers(-9000, 9000)), draw(st.booleans())
                found.append(Packet(track, dts, pts, key, payload))
                dts += draw(st.integers(1, 90000))
            else:
                found.append(Packet(track, dts, dts, True, payload))
                dts += 1024
    found.sort(key=lambda packet: Fraction(packet.dts, packet.track.clock_rate))
    return tracks, found


LANGUAGES = st.sampled_from(["", "en", "de", "pt-BR", "gsw"])


@settings(max_examples=60)
@given(streams(), st.data())
def test_what_is_muxed(stream: tuple[list[Track], list[Packet]], data: st.DataObject) -> None:
    """C-FM-02: parse(mux(x)) = x, wherever the fragments end."""
    tracks, given_packets = stream
    muxer = Muxer(tracks)
    parts = [muxer.init_segment()]
    for packet in given_packets:
        if data.draw(st.integers(0, 4)) == 0:
            parts.append(muxer.fragment())
        muxer.packet(packet)
    parts.append(muxer.finish())
    events, end = demux(parts)
    assert end == (0,)
    assert [event for event in events if isinstance(event, Track)] == tracks
    for track in tracks:
        assert of_track(events, track) == [x for x in given_packets if x.track is track]
