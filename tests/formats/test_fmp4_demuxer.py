"""Fragmented MP4 and MP4 with moov first: read as the documents say, and as FFmpeg reads it."""

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
from tests.formats.mp4_files import (
    aac_entry,
    box,
    demux,
    full,
    moof,
    moov,
    mvex,
    of_track,
    packets,
    sound_entry,
    tables,
    tfdt,
    traf,
    trak,
    trun,
    video_entry,
    words,
)
from tests.fuzz.mutation import mutated

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=128x96:rate=25:duration=0.6", "-pix_fmt", "yuv420p")
NTSC = (
    "-f",
    "lavfi",
    "-i",
    "testsrc2=size=64x48:rate=30000/1001:duration=1",
    "-pix_fmt",
    "yuv420p",
)
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "10")
X265 = ("-c:v", "libx265", "-preset", "veryfast", "-x265-params", "log-level=none:bframes=2")
FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"


def sound(rate: int) -> tuple[str, ...]:
    """Options for a tone."""
    return ("-f", "lavfi", "-i", f"sine=duration=0.6:sample_rate={rate}")


# What FFmpeg 5.1 writes into MP4, and into QuickTime's files where MP4 has no place for it.
CLIPS = {
    "avc.mp4": (*sound(44100), *PICTURE, *X264, "-c:a", "aac"),
    "ntsc.mp4": (*sound(48000), *NTSC, *X264, "-c:a", "aac"),
    "hvc1.mp4": (*PICTURE, *X265, "-tag:v", "hvc1"),
    "hev1.mp4": (*PICTURE, *X265, "-tag:v", "hev1"),
    "av1.mp4": (*sound(48000), *PICTURE, "-c:v", "libsvtav1", "-preset", "12", "-c:a", "libopus"),
    "vp9.mp4": (
        *(*sound(48000), *PICTURE, "-c:v", "libvpx-vp9", "-cpu-used", "8", "-g", "10"),
        *("-c:a", "flac", "-strict", "-2"),
    ),
    "mp3.mp4": (*sound(16000), "-c:a", "libmp3lame"),
    "ac3.mp4": (*sound(44100), "-c:a", "ac3"),
    "eac3.mp4": (*sound(48000), "-c:a", "eac3"),
    "mp3.mov": (*sound(44100), "-c:a", "libmp3lame"),
    "aac.mov": (*sound(48000), *PICTURE, *X264, "-c:a", "aac", "-ac", "2"),
    "alaw.mov": (*sound(8000), "-c:a", "pcm_alaw", "-ac", "2"),
    "sowt.mov": (*sound(44100), "-c:a", "pcm_s16le", "-ac", "2"),
    "twos.mov": (*sound(44100), "-c:a", "pcm_s16be"),
    "lpcm.mov": (*sound(96000), "-c:a", "pcm_s16le"),
    "raw.mov": (*sound(8000), "-c:a", "pcm_u8"),
}

TRACKS = {
    "avc.mp4": {Codec.H264: 90000, Codec.AAC: 44100},
    "ntsc.mp4": {Codec.H264: 90000, Codec.AAC: 48000},
    "hvc1.mp4": {Codec.HEVC: 90000},
    "hev1.mp4": {Codec.HEVC: 90000},
    "av1.mp4": {Codec.AV1: 90000, Codec.OPUS: 48000},
    "vp9.mp4": {Codec.VP9: 90000, Codec.FLAC: 48000},
    "mp3.mp4": {Codec.MP3: 16000},
    "ac3.mp4": {Codec.AC3: 44100},
    "eac3.mp4": {Codec.EAC3: 48000},
    "mp3.mov": {Codec.MP3: 44100},
    "aac.mov": {Codec.H264: 90000, Codec.AAC: 48000},
    "alaw.mov": {Codec.PCM_ALAW: 8000},
    "sowt.mov": {Codec.PCM_S16LE: 44100},
    "twos.mov": {Codec.PCM_S16LE: 44100},
    "lpcm.mov": {Codec.PCM_S16LE: 96000},
    "raw.mov": {Codec.PCM_U8: 8000},
}

# How FFmpeg writes the same packets into fragments, by `-movflags`.
FORMS = {
    "plain": "frag_keyframe+empty_moov+default_base_moof",
    "cmaf": "cmaf+frag_keyframe",
    "separate": "frag_keyframe+empty_moov+separate_moof",
    "samples-in-moov": "frag_keyframe",
    "samples-in-moov-separate": "frag_keyframe+separate_moof",
    "base-by-offset": "frag_keyframe+empty_moov",
    "base-omitted": "frag_keyframe+empty_moov+omit_tfhd_offset",
    "each-frame": "frag_every_frame+empty_moov+default_base_moof",
    "with-edits": "frag_keyframe+delay_moov+default_base_moof",
    "negative-shifts": "frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets",
    "dash": "dash+frag_keyframe+default_base_moof+global_sidx",
    "faststart": "faststart",
}


def ordinary(name: str) -> bytes:
    """Let FFmpeg write one of `CLIPS`, with moov first."""
    options = (*CLIPS[name], "-movflags", "faststart")
    return mp4_files.written(mp4_files.installed_ffmpeg(), name, *options)


def check(track: Track, ours: list[Packet], theirs: list[mp4_files.Seen]) -> None:
    """Compare a track packet by packet with what FFmpeg sees."""
    rate = track.clock_rate
    # FFmpeg presents all later where composition offsets are negative, so that none is presented
    # before it is decoded (libavformat/mov.c, `dts_shift`).
    late = theirs[0].pts - Fraction(ours[0].pts, rate)
    late = late if abs(late) > Fraction(1, 1000) else Fraction(0)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert abs(Fraction(mine.dts, rate) - other.dts) <= Fraction(1, 2 * rate)
        assert abs(Fraction(mine.pts, rate) + late - other.pts) <= Fraction(1, 2 * rate)
        assert mine.is_keyframe == other.is_keyframe
        assert other.payload in (mine.payload, swapped(mine))
    assert late == 0 or min(packet.pts - packet.dts for packet in ours) < 0


def swapped(packet: Packet) -> bytes:
    """Return uncompressed sound as files have it whose samples are big-endian."""
    if packet.track.codec is not Codec.PCM_S16LE:
        return packet.payload
    return b"".join(bytes(pair[::-1]) for pair in batched(packet.payload))


def batched(payload: bytes) -> list[bytes]:
    """Cut a payload into samples of two bytes."""
    return [payload[place : place + 2] for place in range(0, len(payload), 2)]


def read(data: bytes, name: str, codecs: dict[Codec, int]) -> None:
    """Read a file, and compare all of its tracks with what FFmpeg sees."""
    events, end = demux([data])
    assert end == (0,)
    tracks = [event for event in events if isinstance(event, Track)]
    assert {track.codec: track.clock_rate for track in tracks} == codecs
    seen = mp4_files.ffmpeg_sees(data, name)
    for track in tracks:
        (found,) = (packets for kind, packets in seen if kind == str(track.kind))
        check(track, of_track(events, track), found)


@pytest.mark.parametrize("name", CLIPS)
def test_ordinary_files(name: str) -> None:
    """C-FM-01, C-FM-08: every codec, with moov first: packet by packet as FFmpeg reads it."""
    read(ordinary(name), name[-3:], TRACKS[name])


@pytest.mark.parametrize("name", CLIPS)
def test_fragmented_files(name: str) -> None:
    """C-FM-01, C-FM-08: every codec, in fragments: packet by packet as FFmpeg reads it."""
    flags = FRAGMENTED + ("+delay_moov" if "ac3" in name else "")
    options = ("-movflags", flags, "-strict", "-2")
    data = mp4_files.remuxed(ordinary(name), name, *options)
    read(data, name[-3:], TRACKS[name])


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_fragments(form: str) -> None:
    """C-FM-01, C-FM-02: wherever offsets, defaults and times are told, the same packets."""
    data = mp4_files.remuxed(ordinary("avc.mp4"), "x.mp4", "-movflags", FORMS[form])
    read(data, "mp4", TRACKS["avc.mp4"])


@pytest.mark.parametrize("kind", ["s16le", "s16be"])
@pytest.mark.parametrize("flags", ["faststart", FRAGMENTED])
def test_uncompressed_by_the_standard(kind: str, flags: str) -> None:
    """ISO/IEC 23003-5, which FFmpeg 5.1 does not write: entries that tell their form in pcmC."""
    options = (*sound(44100), "-c:a", f"pcm_{kind}", "-movflags", flags)
    data = mp4_files.written(mp4_files.newer_ffmpeg(), "x.mp4", *options)
    read(data, "mp4", {Codec.PCM_S16LE: 44100})


INIT = moov(trak(video_entry()), mvex((1, 1, 100, 0, 0)))
PAYLOAD = nal_units(b"\x65\x88picture")
SIZE = len(PAYLOAD)

# Flags of tfhd and of trun.
BASE, DURATION, DEFAULT_SIZE, DEFAULT_FLAGS, MOOF = 0x01, 0x08, 0x10, 0x20, 0x020000
OFFSET, FIRST_FLAGS, DURATIONS, SIZES, FLAGS, SHIFTS = 0x01, 0x04, 0x100, 0x200, 0x400, 0x800
NOT_SYNC = 0x00010000


def fragment(*trafs: bytes, data: bytes, after: bytes = b"") -> bytes:
    """Write moof and mdat. Offsets are told from the first byte of the mdat box's contents."""
    size = len(moof(*trafs)) + len(after) + 8
    placed = [x.replace(b"HERE", words(size)).replace(b"MORE", words(size + SIZE)) for x in trafs]
    return moof(*placed) + after + box(b"mdat", data)


HERE, MORE = (int.from_bytes(name, "big") for name in (b"HERE", b"MORE"))


def times(data: bytes) -> list[tuple[int, int, bool]]:
    """Read a file of one track: dts, pts and sync of each packet."""
    events, end = demux([data])
    assert end == (0,)
    return [(packet.dts, packet.pts, packet.is_keyframe) for packet in packets(events)]


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


TWO = moov(
    trak(video_entry()),
    trak(aac_entry(), track_id=2, timescale=48000),
    mvex((1, 1, 100, SIZE, 0), (2, 1, 1024, 4, 0)),
)


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


def test_a_file_that_is_cut_off() -> None:
    """G-DV-01: what is whole is read, and the rest counted as damage."""
    data = mp4_files.remuxed(ordinary("avc.mp4"), "x.mp4", "-movflags", FRAGMENTED)
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
