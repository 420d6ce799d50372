"""Laws of ntvmedia.formats.mp4_muxer, whatever packets come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from hypothesis import given, strategies as st

from ntvmedia.codecs import h264
from ntvmedia.formats.fmp4_demuxer import Demuxer, Event
from ntvmedia.formats.mp4_muxer import Muxer
from ntvmedia.media import Codec, Packet, Track
from tests.formats import mp4_runs
from tests.formats.mp4_files import by_random_access, find_moov
from tests.formats.ts_bytes import AAC, AC3, AC3_FRAME, H264, HEVC, MP3, MP3_FRAME, OPUS

VP9 = Track(Codec.VP9)
CONFIGS = [
    H264,
    *(
        replace(
            H264,
            config=h264.build_configuration(
                [bytes.fromhex("6742c00ad90f8a") + tail],
                h264.parse_configuration(H264.config).pps,
            ),
        )
        for tail in (b"\1", b"\2")
    ),
]


class Sent(NamedTuple):
    """A packet of a test.

    Attributes:
        ticks: From the one before it in the track; of sound, how much more than its frame.
        offset: Of pictures: composition offset.
        size: Bytes.
        config: Of pictures: an index of `CONFIGS`.
        sync: Of pictures: a keyframe.
    """

    ticks: int
    offset: int
    size: int
    config: int
    sync: bool


PICTURES = st.lists(
    st.builds(
        Sent,
        st.integers(1, 90000),
        st.integers(-9000, 9000),
        st.integers(1, 300),
        st.sampled_from([0, 0, 0, 1, 2]),
        st.booleans(),
    ),
    max_size=40,
)
SOUNDS = st.lists(
    st.builds(
        Sent,
        st.integers(-500, 500) | st.integers(2000, 100000),
        st.just(0),
        st.integers(1, 300),
        st.just(0),
        st.just(True),
    ),
    max_size=40,
)
ORIGINS = st.integers(-(1 << 40), 1 << 40)


def write(packets: Iterable[Packet]) -> tuple[bytes, Muxer]:
    """Write a file."""
    muxer = Muxer()
    data = [chunk for packet in packets for chunk in muxer.packet(packet)]
    data += muxer.finish()
    return muxer.header() + b"".join(data), muxer


def payload(number: int, size: int) -> bytes:
    """Make a unit of H.264 that is a slice, and no other one's."""
    return (size + 4).to_bytes(4, "big") + b"\x41" + number.to_bytes(3, "big") + bytes(size)


def sent_packets(
    pictures: Sequence[Sent], sounds: Sequence[Sent], video_origin: int, audio_origin: int
) -> list[Packet]:
    """Make packets: the tracks by turns, whatever their times."""
    made: list[list[Packet]] = [[], []]
    time = video_origin
    earliest = min((one.offset for one in pictures), default=0)
    for number, one in enumerate(pictures):
        # Nothing is presented before the first one, which readers would take for not played.
        is_first = not number
        offset = earliest if is_first else one.offset
        track = CONFIGS[one.config]
        data = payload(number, one.size)
        made[0].append(Packet(track, time, time + offset, is_first or one.sync, data))
        time += one.ticks
    time = audio_origin
    for number, one in enumerate(sounds):
        made[1].append(Packet(AAC, time, time, True, payload(number, one.size)))
        time += 1024 + max(one.ticks, 0)
    packets: list[Packet] = []
    for n in range(max(map(len, made))):
        packets += [track[n] for track in made if n < len(track)]
    return packets


@given(PICTURES, SOUNDS, ORIGINS, st.integers(-500000, 500000))
def test_what_is_written_is_read(
    pictures: list[Sent], sounds: list[Sent], origin: int, apart: int
) -> None:
    """C-FM-01, C-FM-02: all packets come back: configurations, times, flags and data."""
    packets = sent_packets(pictures, sounds, origin, origin * 48 // 90 + apart)
    if not packets:
        return
    data, muxer = write(packets)
    assert muxer.left_out == 0
    found = by_random_access(data)
    video = [packet for packet in packets if packet.track is not AAC]
    sound = [packet for packet in packets if packet.track is AAC]
    # 0 is what is presented first of all, in ticks of 1/720000 s; nothing is decoded later than it
    # is presented.
    starts = [min(x.pts for x in video) * 8] if video else []
    starts += [sound[0].dts * 15] if sound else []
    start = min(starts)
    early = max((x.dts - x.pts for x in video), default=0)
    got = found.get(H264.id, [])
    assert len(got) == len(video)
    for one, packet in zip(got, video, strict=True):
        assert abs(one.pts * 8 - (packet.pts * 8 - start)) <= 4
        assert one.pts - one.dts == packet.pts - packet.dts + max(early, 0)
        assert one.track.config == packet.track.config
        assert one.is_keyframe == packet.is_keyframe
        # Keyframes after a change have their sets before.
        assert one.payload.endswith(packet.payload)
        assert len(one.payload) == len(packet.payload) or packet.is_keyframe
    got = found.get(AAC.id, [])
    assert [one.payload for one in got] == [packet.payload for packet in sound]
    for one, packet in zip(got, sound, strict=True):
        assert abs(one.pts * 15 - (packet.pts * 15 - start)) <= (512 + 1) * 15
    if all(b.dts - a.dts == 1024 or b.dts - a.dts > 1536 for a, b in pairwise(sound)):
        for one, packet in zip(got, sound, strict=True):
            assert abs(one.pts * 15 - (packet.pts * 15 - start)) <= 15
    check_layout(data)
    ends = [track.duration / track.track.clock_rate for track in find_moov(data).tracks]
    # Delays and ends are rounded to ticks, of the movie and of the track.
    assert muxer.duration_seconds >= max(ends) - 2 / 48000


@given(PICTURES, SOUNDS, st.integers(-500000, 500000), st.data())
def test_played_as_it_comes(
    pictures: list[Sent], sounds: list[Sent], apart: int, data: st.DataObject
) -> None:
    """`moov` comes first: the demuxer of streams reads the file, however it is cut."""
    packets = sent_packets(pictures, sounds, 0, apart)
    if not packets:
        return
    file, _muxer = write(packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(file)), max_size=4)))
    demuxer = Demuxer()
    events: list[Event] = []
    for a, b in pairwise([0, *cuts, len(file)]):
        demuxer.receive_data(file[a:b])
        events += demuxer.events()
    events += demuxer.flush()
    found: dict[int, list[Packet]] = {}
    for event in events:
        if isinstance(event, Packet):
            found.setdefault(event.track.id, []).append(event)
    assert found == by_random_access(file)
    assert demuxer.damaged == 0


def check_layout(data: bytes) -> None:
    """All data of `mdat` is some sample's, and no two samples'."""
    kinds = [kind for kind, _body in mp4_runs.boxes(data)]
    assert kinds == [b"ftyp", b"moov", b"mdat"]
    size = len(mp4_runs.inside(data, b"mdat"))
    spans = sorted(
        (sample.offset, sample.offset + sample.size)
        for track in find_moov(data).tracks
        for sample in track.samples
    )
    assert spans[0][0] == len(data) - size
    assert spans[-1][1] == len(data)
    assert all(a[1] == b[0] for a, b in pairwise(spans))


HOSTILE_TIMES = st.integers(0, 200000) | st.integers(-(1 << 70), 1 << 70)
HOSTILE_TRACKS = [
    *(*CONFIGS, HEVC, VP9, AAC, MP3, AC3, OPUS, replace(H264, config=b"?"), Track(Codec.VP8)),
    *(replace(AAC, clock_rate=1), replace(MP3, clock_rate=0xFFFFFFFF), replace(AAC, number=1)),
]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(HOSTILE_TRACKS),
            HOSTILE_TIMES,
            HOSTILE_TIMES,
            st.booleans(),
            st.binary(max_size=12) | st.sampled_from([MP3_FRAME, AC3_FRAME, payload(1, 1)]),
        ),
        max_size=20,
    )
)
def test_any_packets(sent: list[tuple[Track, int, int, bool, bytes]]) -> None:
    """Whatever times and bytes come, nothing is raised, and all data that is carried is there."""
    muxer = Muxer()
    data = []
    for one in sent:
        data += muxer.packet(Packet(*one))
    data += muxer.finish()
    assert muxer.duration_seconds >= 0
    if muxer.left_out == len(sent):
        return
    moov = mp4_runs.inside(muxer.header()[:-8], b"moov")
    count = 0
    for kind, trak in mp4_runs.boxes(moov):
        if kind == b"trak":
            stsz = mp4_runs.inside(trak, b"mdia", b"minf", b"stbl", b"stsz")
            count += int.from_bytes(stsz[8:12], "big")
    assert count + muxer.left_out == len(sent)
    # Sets that the sample entry has may be left out of a sample.
    sets = max(len(track.config) for track in HOSTILE_TRACKS)
    assert len(b"".join(data)) <= sum(len(one[4]) + sets for one in sent)
