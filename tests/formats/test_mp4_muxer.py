"""Tests of ntvmedia.formats.mp4_muxer: what it does with examples; see also `*_laws`, `*_clips`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest

from ntvmedia.codecs import h264, hevc
from ntvmedia.errors import UsageError
from ntvmedia.formats.fmp4_descriptions import MAX_ENTRIES
from ntvmedia.formats.fmp4_movie import MAX_TRACKS, MovieTrack
from ntvmedia.formats.mp4_muxer import CHUNK_BYTES, Muxer
from ntvmedia.media import Codec, Packet, Track
from tests.codecs import vectors
from tests.formats import mp4_runs
from tests.formats.flv_bytes import nal_units
from tests.formats.mp4_files import by_random_access, ffmpeg_sees, find_moov
from tests.formats.ts_bytes import (
    AAC,
    AC3,
    AC3_FRAME,
    H264,
    HEVC,
    HEVC_IDR,
    IDR,
    MP3,
    MP3_FRAME,
    P_FRAME,
    SECOND,
    audio,
    interleaved,
    video,
)

H = bytes.fromhex

# Of one picture and one sample of sound: 90000 ticks a second.
MOVIE_TICKS = 90000

VP9 = Track(Codec.VP9)
# LC, 44100 Hz, stereo (ISO/IEC 14496-3 1.6.2.1).
AAC_44100 = H("1210")
OTHER_H264 = replace(
    H264,
    config=h264.build_configuration(
        [H("6742c00ad90f8a")], h264.parse_configuration(H264.config).pps
    ),
)


def mux(packets: Sequence[Packet]) -> tuple[bytes, Muxer]:
    """Write a file."""
    muxer = Muxer()
    data = [chunk for packet in packets for chunk in muxer.packet(packet)]
    data += muxer.finish()
    return muxer.header() + b"".join(data), muxer


def picture(dts: int, *, shift: int = 0, key: bool = False, track: Track = H264) -> Packet:
    """Make a picture."""
    return Packet(track, dts, dts + shift, key, IDR if key else P_FRAME)


def read_tracks(data: bytes) -> list[MovieTrack]:
    """Return the tracks of a file as our reader has them."""
    return list(find_moov(data).tracks)


def times(data: bytes, track: Track) -> list[tuple[int, int]]:
    """Return the decode and presentation times of the track with an id."""
    return [(packet.dts, packet.pts) for packet in by_random_access(data)[track.id]]


def trak_boxes(data: bytes) -> list[bytes]:
    """Return the bodies of all trak boxes."""
    moov = mp4_runs.inside(data, b"moov")
    return [body for kind, body in mp4_runs.boxes(moov) if kind == b"trak"]


def stbl(trak: bytes, kind: bytes) -> bytes:
    """Return the body of a sample table."""
    return mp4_runs.inside(trak, b"mdia", b"minf", b"stbl", kind)


def word(body: bytes, place: int) -> int:
    """Read 32 bits."""
    return int.from_bytes(body[place : place + 4], "big")


def test_golden_file() -> None:
    """Two pictures and two frames of sound: every box that is not like a fragmented file's.

    ISO/IEC 14496-12 sections 4.3, 8.1.1, 8.2.2, 8.3.2, 8.4.2, 8.6 and 8.7.
    """
    data, muxer = mux(
        [
            Packet(H264, 1000, 4600, True, IDR),
            Packet(H264, 4600, 8200, False, P_FRAME),
            Packet(AAC, 2448, 2448, True, b"!sound"),
            Packet(AAC, 3472, 3472, True, b"!more"),
        ]
    )
    kinds = [kind for kind, _body in mp4_runs.boxes(data)]
    assert kinds == [b"ftyp", b"moov", b"mdat"]
    found = dict(mp4_runs.boxes(data))
    assert found[b"ftyp"] == b"isom" + H("00000200") + b"isomiso2mp41avc1"
    assert found[b"mdat"] == IDR + P_FRAME + b"!sound!more"
    moov = found[b"moov"]
    assert [kind for kind, _body in mp4_runs.boxes(moov)] == [b"mvhd", b"trak", b"trak"]
    # Sound begins at 0.051 s, pictures 10 ticks of 90000 later.
    assert word(mp4_runs.inside(moov, b"mvhd"), 12) == MOVIE_TICKS
    assert word(mp4_runs.inside(moov, b"mvhd"), 16) == 10 + 7200
    assert mp4_runs.inside(moov, b"mvhd")[-4:] == H("00000003")
    pictures, sound = trak_boxes(data)
    assert mp4_runs.inside(pictures, b"tkhd")[:24] == H(
        "00000003 00000000 00000000 00000001 00000000 00001c2a"
    )
    assert mp4_runs.inside(pictures, b"edts", b"elst") == H(
        "00000000 00000002 0000000a ffffffff 00010000 00001c20 00000e10 00010000"
    )
    assert mp4_runs.inside(pictures, b"mdia", b"mdhd")[12:20] == H("00015f90 00001c20")
    assert stbl(pictures, b"stts") == H("00000000 00000001 00000002 00000e10")
    assert stbl(pictures, b"stss") == H("00000000 00000001 00000001")
    assert stbl(pictures, b"ctts") == H("00000000 00000001 00000002 00000e10")
    assert stbl(pictures, b"stsc") == H("00000000 00000001 00000001 00000002 00000001")
    assert stbl(pictures, b"stsz") == H("00000000 0000000d 00000002")
    place = data.index(IDR)
    assert stbl(pictures, b"stco") == H("00000000 00000001") + place.to_bytes(4, "big")
    assert b"edts" not in dict(mp4_runs.boxes(sound))
    assert mp4_runs.inside(sound, b"tkhd")[:24] == H(
        "00000003 00000000 00000000 00000002 00000000 00000f00"
    )
    assert mp4_runs.inside(sound, b"mdia", b"mdhd")[12:20] == H("0000bb80 00000800")
    assert stbl(sound, b"stts") == H("00000000 00000001 00000002 00000400")
    assert stbl(sound, b"stsz") == H("00000000 00000000 00000002 00000006 00000005")
    place = data.index(b"!sound")
    assert stbl(sound, b"stco") == H("00000000 00000001") + place.to_bytes(4, "big")
    kinds = [
        kind for kind, _body in mp4_runs.boxes(mp4_runs.inside(sound, b"mdia", b"minf", b"stbl"))
    ]
    assert kinds == [b"stsd", b"stts", b"stsc", b"stsz", b"stco"]
    assert muxer.duration_seconds == pytest.approx(7210 / MOVIE_TICKS, abs=1e-12)
    assert muxer.left_out == 0


def test_origin_does_not_matter() -> None:
    """The presentation begins at 0, whatever the times of the packets are, negative ones too."""
    packets = interleaved([video(n) for n in range(30)], [audio(n) for n in range(50)])
    files = {
        mux(
            [
                packet._replace(
                    dts=packet.dts + seconds * packet.track.clock_rate,
                    pts=packet.pts + seconds * packet.track.clock_rate,
                )
                for packet in packets
            ]
        )[0]
        for seconds in (0, -1, -100000, 7, 1 << 33, 1 << 80)
    }
    assert len(files) == 1


def test_tracks_that_begin_later() -> None:
    """8.6.6: an empty edit before the track, and C-FM-01: what is shown when stays in step."""
    pictures = [picture(n * 3600, shift=(7200, 10800, 0)[n % 3], key=not n) for n in range(9)]
    data, muxer = mux([*pictures, *(audio(n, start=48000) for n in range(4))])
    # The first in time is the third that is decoded: at 7200.
    assert times(data, H264) == [(x.dts - 7200, x.pts - 7200) for x in pictures]
    assert [dts for dts, _pts in times(data, AAC)] == [
        48000 - 7200 * 48 // 90 + 1024 * n for n in range(4)
    ]
    end = Fraction(48000 + 4096, 48000)
    assert muxer.duration_seconds == float(end - Fraction(7200, SECOND))
    # FFmpeg agrees.
    (_kind, first), (_other, second) = ffmpeg_sees(data)
    assert [x.pts * SECOND for x in first] == [x.pts - 7200 for x in pictures]
    assert [x.pts * 48000 for x in second] == [48000 - 3840 + 1024 * n for n in range(4)]


def test_presented_before_decoded() -> None:
    """8.6.1.3: nothing is presented before it is decoded: all is decoded a little earlier."""
    shifts = (0, 7200, -3600, -3600)
    pictures = [picture(n * 3600, shift=shifts[n % 4], key=not n) for n in range(8)]
    data, _muxer = mux([*pictures, *(audio(n) for n in range(8))])
    assert times(data, H264) == [(x.dts - 3600, x.pts) for x in pictures]
    assert stbl(trak_boxes(data)[0], b"ctts")[:4] == bytes(4)
    (_kind, first), (_other, second) = ffmpeg_sees(data)
    assert [x.pts * SECOND for x in first] == [x.pts for x in pictures]
    assert second[0].pts == 0


def test_chunks() -> None:
    """Half a second of a track stands together; the tracks take turns."""
    packets = interleaved([video(n) for n in range(100)], [audio(n) for n in range(188)])
    muxer = Muxer()
    given = [muxer.packet(packet) for packet in packets]
    assert {len(chunks) for chunks in given} == {0, 1}
    assert sum(map(len, given)) == 7 + 7
    data, _muxer = mux(packets)
    places = []
    for trak in trak_boxes(data):
        stco = stbl(trak, b"stco")
        places.append([word(stco, place) for place in range(8, len(stco), 4)])
    pictures, sound = places
    assert len(pictures) == len(sound) == 8
    in_file = sorted((place, index) for index, found in enumerate(places) for place in found)
    assert [index for _place, index in in_file] == [*[1, 0] * 7, 0, 1]
    assert by_random_access(data)[H264.id] == [packet for packet in packets if packet.track is H264]


def test_large_samples() -> None:
    """No more than a chunk and a sample is held of a track, however long a chunk lasts."""
    muxer = Muxer()
    big = bytes(CHUNK_BYTES // 4 + 1)
    given = [
        sum(map(len, muxer.packet(Packet(VP9, n, n, True, big)))) // len(big) for n in range(12)
    ]
    assert given == [0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0]
    assert sum(map(len, muxer.finish())) == 4 * len(big)


def huge(last: int) -> tuple[bytes, int]:
    """Write 63 samples of 64 MiB, one of `last` bytes and one of 4: the header, and the size.

    The data is one object many times, and a chunk of one sample is not copied.
    """
    muxer = Muxer()
    payloads = [bytes(1 << 26)] * 63 + [bytes(last), b"last"]
    size = 0
    for n, payload in enumerate(payloads):
        size += sum(map(len, muxer.packet(Packet(VP9, n * SECOND, n * SECOND, True, payload))))
    size += sum(map(len, muxer.finish()))
    assert size == sum(map(len, payloads))
    return muxer.header(), size


@pytest.mark.parametrize(
    ("beyond", "places", "head"), [(0, b"stco", 8), (1, b"co64", 8), (5000, b"co64", 16)]
)
def test_four_gibibytes(beyond: int, places: bytes, head: int) -> None:
    """4.2, 8.7.5: sizes and places that 32 bits do not hold have 64, and only those."""
    before = len(huge(1)[0]) + 63 * (1 << 26)
    # The last sample would be so far beyond the last place that 32 bits can tell.
    header, size = huge((1 << 32) - 1 + beyond - before)
    (track,) = find_moov(header).tracks
    place = len(header)
    for sample in track.samples:
        assert sample.offset == place
        place += sample.size
    assert place == len(header) + size
    at = header.index(b"mdat") - 4
    (trak,) = trak_boxes(header[:at])
    tables = mp4_runs.boxes(mp4_runs.inside(trak, b"mdia", b"minf", b"stbl"))
    assert tables[-1][0] == places
    assert len(header) - at == head
    if head == 16:
        assert header[at : at + 4] == H("00000001")
        assert int.from_bytes(header[at + 8 :], "big") == size + 16
    else:
        assert word(header, at) == size + 8


def test_longer_than_32_bits() -> None:
    """8.2.2, 8.3.2, 8.4.2, 8.6.6: two days of 90000 ticks a second need 64 bits."""
    days = [picture(n * 2 * 3600 * SECOND, shift=3600, key=True) for n in range(24)]
    data, muxer = mux([*days, Packet(AAC, 5 * 48000, 5 * 48000, True, b"!late")])
    assert muxer.duration_seconds == 46 * 3600 + 1
    assert times(data, H264) == [(x.dts - 3600, x.dts) for x in days]
    assert times(data, AAC) == [(5 * 48000 - 1920, 5 * 48000 - 1920)]
    pictures, _sound = trak_boxes(data)
    moov = mp4_runs.inside(data, b"moov")
    long = (46 * 3600 + 1) * SECOND
    for body, at in (
        (mp4_runs.inside(moov, b"mvhd"), 24),
        (mp4_runs.inside(pictures, b"tkhd"), 28),
        (mp4_runs.inside(pictures, b"mdia", b"mdhd"), 24),
    ):
        assert body[0] == 1
        assert int.from_bytes(body[at : at + 8], "big") == long
    assert mp4_runs.inside(pictures, b"edts", b"elst")[:16] == H(
        "01000000 00000001"
    ) + long.to_bytes(8, "big")


def all_sets(track: Track) -> list[bytes]:
    """Return the parameter sets of a configuration of H.264."""
    record = h264.parse_configuration(track.config)
    return [*record.sps, *record.pps]


def test_another_configuration() -> None:
    """A-MD-04: 8.5.2, 8.7.4: another sample entry, and chunks that refer to it; and back again.

    Chromium looks at the first entry only, so keyframes have their sets too, after a change.
    """
    delimiter = b"\x09\xf0"
    unit = IDR[4:]
    other = OTHER_H264
    packets = [
        picture(0, key=True),
        picture(3600),
        picture(7200, key=True, track=other)._replace(payload=nal_units(delimiter, unit)),
        picture(10800, track=other),
        picture(14400, key=True),
        picture(18000),
        picture(21600, key=True)._replace(payload=nal_units(*all_sets(H264), unit)),
        picture(25200),
    ]
    data, _muxer = mux(packets)
    (track,) = read_tracks(data)
    # Most pictures are of the first one, whose size is that of the track; so it comes last too.
    assert [one.track for one in track.descriptions] == [H264, other, H264]
    found = by_random_access(data)[H264.id]
    assert [packet[:4] for packet in found] == [packet[:4] for packet in packets]
    expected = [packet.payload for packet in packets]
    expected[2] = nal_units(delimiter, *all_sets(other), unit)
    expected[4] = nal_units(*all_sets(H264), unit)
    assert [packet.payload for packet in found] == expected
    (trak,) = trak_boxes(data)
    assert stbl(trak, b"stsc") == H(
        "00000000 00000003 00000001 00000002 00000001 00000002 00000002 00000002"
        "00000003 00000004 00000001"
    )
    assert word(stbl(trak, b"stsd"), 4) == 3
    # 16.16.
    assert mp4_runs.inside(trak, b"tkhd")[-8:] == H("07800000 04380000")


def test_another_configuration_of_hevc() -> None:
    """The same of HEVC, where most pictures have the last entry: nothing is told twice."""
    other = replace(HEVC, config=vectors.HVCC_1078)
    record = hevc.parse_configuration(other.config)
    sets = [*record.vps, *record.sps, *record.pps]
    delimiter, unit = b"\x46\x01\x50", HEVC_IDR[4:]
    data, _muxer = mux(
        [
            Packet(HEVC, 0, 0, True, HEVC_IDR),
            Packet(other, 3600, 3600, True, nal_units(delimiter, unit)),
            Packet(other, 7200, 7200, False, nal_units(delimiter, unit)),
        ]
    )
    (track,) = read_tracks(data)
    assert len(track.descriptions) == 2
    assert [packet.payload for packet in by_random_access(data)[HEVC.id]] == [
        HEVC_IDR,
        nal_units(delimiter, *sets, unit),
        nal_units(delimiter, unit),
    ]


def test_sets_are_in_the_sample_entry() -> None:
    """ISO/IEC 14496-15 5.3.1: of one configuration, samples do not repeat its parameter sets."""
    sets = nal_units(*h264.parse_configuration(H264.config).sps)
    data, _muxer = mux([picture(0, key=True)._replace(payload=sets + IDR)])
    assert by_random_access(data)[H264.id][0].payload == IDR


def test_another_sample_rate() -> None:
    """Sound goes on in its track with another rate: times are those of the first one's clock."""
    other = replace(AAC, clock_rate=44100, config=AAC_44100)
    first = [audio(n) for n in range(47)]
    start = 47 * 1024 * 44100 // 48000 + 1
    second = [audio(n, track=other, start=start) for n in range(43)]
    data, muxer = mux([*first, *second])
    (trak,) = trak_boxes(data)
    assert word(stbl(trak, b"stsd"), 4) == 2
    ((_kind, seen),) = ffmpeg_sees(data)
    assert [x.payload for x in seen] == [x.payload for x in (*first, *second)]
    for one, packet in zip(seen, (*first, *second), strict=True):
        assert abs(one.pts - Fraction(packet.dts, packet.track.clock_rate)) <= Fraction(1, 48000)
    length = Fraction(start + 43 * 1024, 44100)
    assert muxer.duration_seconds == pytest.approx(float(length), abs=2 / 48000)


def test_another_codec() -> None:
    """Another codec under the same id is another track, that begins where it does."""
    before = [video(n) for n in range(10)]
    after = [Packet(HEVC, x.dts, x.dts, x.is_keyframe, HEVC_IDR) for x in map(video, range(10, 20))]
    again = [video(n, key=True) for n in range(20, 30)]
    data, muxer = mux([*before, *after, *again])
    first, second = read_tracks(data)
    assert (first.track.codec, second.track.codec) == (Codec.H264, Codec.HEVC)
    assert [x.dts for x in first.samples] == [x.dts for x in (*before, *again)]
    assert [x.dts for x in second.samples] == [x.dts for x in after]
    assert muxer.duration_seconds == 30 / 25
    # One goes on with the other: both are to be played.
    heads = [mp4_runs.inside(trak, b"tkhd") for trak in trak_boxes(data)]
    assert [(head[3], head[35]) for head in heads] == [(3, 0), (3, 0)]


def test_many_configurations() -> None:
    """8.5.2: a track has as many sample entries as readers take; then another track goes on."""
    packets = []
    room = MAX_ENTRIES - 1
    for n in range(room + 2):
        sps = [H("6742c00ad90f8a") + bytes((n + 1,))]
        config = h264.build_configuration(sps, h264.parse_configuration(H264.config).pps)
        packets.append(picture(n * 3600, key=True, track=replace(H264, config=config)))
    data, muxer = mux(packets)
    first, second = read_tracks(data)
    assert (len(first.samples), len(second.samples)) == (room, 2)
    assert len(first.descriptions) in (room, MAX_ENTRIES)
    assert muxer.left_out == 0


def test_several_tracks_of_a_kind() -> None:
    """8.3.2, 8.4.2.3, 8.4.6: one of them is enabled; they are alternatives; pictures come first."""
    tracks = [
        replace(AAC, language="en"),
        replace(AAC, number=1, language="fr-CA"),
        H264,
    ]
    data, _muxer = mux([Packet(track, 0, 0, True, IDR) for track in tracks])
    heads = [mp4_runs.inside(trak, b"tkhd") for trak in trak_boxes(data)]
    assert [(word(head, 12), head[3], head[35]) for head in heads] == [
        *((3, 3, 0), (1, 3, 2), (2, 2, 2))
    ]
    assert [track.track.language for track in read_tracks(data)] == ["", "en", "fr-CA"]
    assert word(mp4_runs.inside(data, b"moov", b"mvhd"), 96) == 4


def test_described_by_the_first_frame() -> None:
    """C-FM-08: what a configuration does not tell comes from the first frame that can be read."""
    data, _muxer = mux(
        [
            Packet(MP3, 0, 0, True, b"\0nonsense"),
            Packet(MP3, 1152, 1152, True, MP3_FRAME),
            Packet(replace(AC3, config=b""), 0, 0, True, AC3_FRAME),
        ]
    )
    first, second = read_tracks(data)
    assert (first.track.codec, first.track.clock_rate, first.track.channels) == (
        *(Codec.MP3, 44100, 1),
    )
    assert second.track.config == vectors.DAC3_STEREO_44


def test_sound_is_counted_in_samples() -> None:
    """C-FM-02: times that a publisher rounded to milliseconds do not become durations."""
    rounded = [
        audio(n)._replace(dts=round(n * 1024 / 48) * 48, pts=round(n * 1024 / 48) * 48)
        for n in range(100)
    ]
    data, muxer = mux(rounded)
    assert [dts for dts, _pts in times(data, AAC)] == [n * 1024 for n in range(100)]
    assert muxer.duration_seconds == 100 * 1024 / 48000


def test_a_hole() -> None:
    """What is missing stays missing: a long last sample, and the next one in its place."""
    packets = interleaved(
        [video(n) for n in (*range(25), *range(100, 125))],
        [audio(n) for n in (*range(47), *range(188, 235))],
    )
    data, _muxer = mux(packets)
    for track in (H264, AAC):
        assert times(data, track) == [(x.dts, x.pts) for x in packets if x.track is track]


def test_times_that_stand_or_fall_a_little() -> None:
    """14496-12 8.6.1.1: decode times grow; presentation times stay what they are."""
    told = [0, 3600, 3600, 0, 7200, 90000]
    data, _muxer = mux([picture(t, shift=9000, key=not n) for n, t in enumerate(told)])
    assert times(data, H264) == [
        (dts - 9000, pts) for dts, pts in zip([0, 3600, 3601, 3602, 7200, 90000], told, strict=True)
    ]


def test_a_step_back() -> None:
    """What begins again from 0 goes on right behind, with its own distances."""
    packets = [*(video(n) for n in range(100)), *(video(n) for n in range(0, 100, 2))]
    data, muxer = mux(packets)
    expected = [*range(100), *range(100, 200, 2)]
    assert [dts for dts, _pts in times(data, H264)] == [n * 3600 for n in expected]
    assert muxer.duration_seconds == pytest.approx((expected[-1] + 2) / 25)


def test_one_wrong_time() -> None:
    """A single time that is hours too early does not move what follows."""
    packets = [video(n) for n in range(100)]
    wrong = packets[60]._replace(dts=-(1 << 40), pts=-(1 << 40))
    data, _muxer = mux([*packets[:60], wrong, *packets[61:]])
    assert [dts for dts, _pts in times(data, H264)] == [x.dts for x in packets]


def test_a_step_beyond_32_bits() -> None:
    """8.6.1.2: a sample lasts less than 2**31 ticks; after a longer hole times go on from there."""
    late = 1 << 50
    data, _muxer = mux([video(0), video(1), video(2, start=late), video(3, start=late)])
    longest = 0x7FFFFFFF
    assert [dts for dts, _pts in times(data, H264)] == [*(0, 3600, 3600 + longest, 7200 + longest)]


def test_left_out() -> None:
    """What MP4 has no form for, or has no data, is counted; the rest is written."""
    vp8 = Track(Codec.VP8, number=1)
    broken = Track(Codec.AAC, number=3, clock_rate=44100)
    other = replace(H264, config=b"broken")
    packets = [
        picture(0, key=True),
        Packet(vp8, 0, 0, True, b"x"),
        Packet(broken, 0, 0, True, b"x"),
        picture(3600)._replace(payload=b""),
        picture(7200, track=other),
        Packet(AAC, 0, 0, True, b""),
        picture(10800),
    ]
    data, muxer = mux(packets)
    assert times(data, H264) == [(0, 0), (10800, 10800)]
    assert muxer.left_out == 5
    assert muxer.left_out_tracks == {x.id: x for x in (vp8, broken, other, AAC)}


def test_too_many_tracks() -> None:
    """No more than readers take; what comes after them is left out."""
    muxer = Muxer()
    tracks = [replace(AAC, number=n) for n in range(MAX_TRACKS + 1)]
    for n in range(2):
        for track in tracks:
            assert muxer.packet(audio(n, track=track)) == []
    assert muxer.left_out == 2
    assert list(muxer.left_out_tracks.values()) == tracks[MAX_TRACKS:]
    data = muxer.finish()
    assert len(find_moov(muxer.header()).tracks) == len(data) == MAX_TRACKS


def test_used_wrongly() -> None:
    """`header` is last, `finish` is once, and there is no file without samples."""
    muxer = Muxer()
    muxer.packet(video(0))
    with pytest.raises(UsageError, match="finish"):
        muxer.header()
    muxer.finish()
    for again in (lambda: muxer.packet(video(1)), muxer.finish):
        with pytest.raises(UsageError, match="finished"):
            again()
    assert muxer.header() == muxer.header()
    empty = Muxer()
    empty.packet(Packet(H264, 0, 0, True, b""))
    assert empty.finish() == []
    assert empty.duration_seconds == 0
    with pytest.raises(UsageError, match="without samples"):
        empty.header()


def test_a_single_frame() -> None:
    """The last sample of a track is as long as is usual: of pictures a 25th of a second."""
    _data, muxer = mux([picture(0, key=True, track=Track(Codec.VP9))])
    assert muxer.duration_seconds == 0.04
    _data, muxer = mux([audio(0)])
    assert muxer.duration_seconds == 1024 / 48000
