"""Segments of both kinds, filled packet by packet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise

import pytest
from hypothesis import given, strategies as st

from ntvmedia.endpoints.http.hls.packaging import (
    FMP4Packager,
    Packager,
    TSPackager,
    carried,
    make_packager,
    shifted,
    ticks_of,
)
from ntvmedia.media import Codec, Packet, Track
from tests.codecs.vectors import AAC_LC_STEREO, AVCC_BASELINE
from tests.hls.mp4 import Fragments, read_fragments, read_init
from tests.hls.source import Encoder, number_of
from tests.hls.ts import read_segment

VIDEO = Track(Codec.H264, config=AVCC_BASELINE)
AUDIO = Track(Codec.AAC, clock_rate=48000, config=AAC_LC_STEREO)
SECONDS = 6.0


def _packets(seconds: float = SECONDS, gop: float = 1.0, start: float = 0.0) -> list[Packet]:
    """Return pictures and sound that say their numbers."""
    encoder = Encoder(0.0)
    encoder.gop_seconds = gop
    encoder.begin(0.0, start)
    return list(encoder.packets(seconds))


def _keys(packets: Sequence[Packet]) -> list[int]:
    return [
        index
        for index, packet in enumerate(packets)
        if packet.is_keyframe and packet.track.kind.value == "video"
    ]


def _packager(format_name: str, packets: Sequence[Packet]) -> Packager:
    packager = make_packager(format_name)
    tracks = {packet.track.id: packet.track for packet in packets}
    packager.choose(sorted(tracks.values(), key=lambda track: track.kind.value != "video"))
    return packager


def _whole(format_name: str, packets: Sequence[Packet], bounds: Sequence[int]) -> list[bytes]:
    """Make segments that end before the packets of these indices."""
    packager = _packager(format_name, packets)
    bodies = []
    packager.begin()
    for index, packet in enumerate(packets):
        if index in bounds and index:
            bodies.append(packager.finish(packet))
            packager.begin()
        packager.packet(packet)
    bodies.append(packager.finish(None))
    return bodies


def _numbers(format_name: str, body: bytes, init: bytes) -> list[int]:
    """Return which pictures are in a segment."""
    media = read_fragments(body, read_init(init)) if init else read_segment(body)
    assert bool(init) is (format_name != "ts")
    return [number_of(unit.payload) for unit in media.video]


@pytest.mark.parametrize("format_name", ["ts", "fmp4", "ll"])
def test_cut_at_mark(format_name: str) -> None:
    """C-PL-01: a segment that is cut at its mark, and the next, have what they would have had."""
    packets = _packets()
    keys = _keys(packets)
    wanted = _whole(format_name, packets, [keys[3]])
    packager = _packager(format_name, packets)
    packager.begin()
    for index, packet in enumerate(packets):
        if index in keys[1:4]:  # the last of them counts
            packager.mark()
        packager.packet(packet)
    size = packager.size
    first = packager.cut_at_mark()
    assert 0 < packager.size < size
    bodies = [first, packager.finish(None)]
    init = packager.init_segment()
    found = [_numbers(format_name, body, init) for body in bodies]
    assert found == [_numbers(format_name, body, init) for body in wanted]
    assert [*found[0], *found[1]] == list(range(len(found[0]) + len(found[1])))
    if format_name == "ts":
        # Continuity counters go on, tables are at the head (C-TS-01).
        media = [read_segment(body) for body in bodies]
        media[1].check_follows(media[0])
    else:
        fragments = [read_fragments(body, read_init(init)) for body in bodies]
        fragments[1].check_follows(fragments[0])
        assert bodies == wanted


@pytest.mark.parametrize("format_name", ["ts", "fmp4"])
def test_cut_twice(format_name: str) -> None:
    """What came after a mark can be cut at another, without the first."""
    packets = _packets()
    keys = _keys(packets)
    packager = _packager(format_name, packets)
    packager.begin()
    bodies = []
    for index, packet in enumerate(packets):
        if index in (keys[1], keys[4]):
            packager.mark()
        packager.packet(packet)
        if index in (keys[2], keys[5]):
            bodies.append(packager.cut_at_mark())
    bodies.append(packager.finish(None))
    init = packager.init_segment()
    found = [_numbers(format_name, body, init) for body in bodies]
    starts = [sum(packet.track.kind.value == "video" for packet in packets[:x]) for x in keys]
    assert [numbers[0] for numbers in found] == [0, starts[1], starts[4]]
    assert list(chain(*found)) == list(range(found[-1][-1] + 1))


@pytest.mark.parametrize("with_sound", [True, False])
def test_parts(with_sound: bool) -> None:
    """C-FM-02, C-FM-03: the parts joined are the segment, and each is whole by itself."""
    packets = [x for x in _packets() if with_sound or x.track.kind.value == "video"]
    keys = _keys(packets)
    packager = _packager("ll", packets)
    segments: list[tuple[bytes, list[bytes]]] = []
    parts: list[bytes] = []
    packager.begin()
    pictures = 0
    for index, packet in enumerate(packets):
        is_picture = packet.track.kind.value == "video"
        if index in (keys[2], keys[4]):
            body = packager.finish(packet)
            segments.append((body, [*parts, packager.last_part()]))
            parts = []
            packager.begin()
        elif is_picture and pictures and not pictures % 3:
            parts.append(packager.part(packet))
        pictures += is_picture
        packager.packet(packet)
    body = packager.finish(None)
    segments.append((body, [*parts, packager.last_part()]))
    init = read_init(packager.init_segment())
    before: Fragments | None = None
    for body, pieces in segments:
        assert b"".join(pieces) == body
        assert len(pieces) > 3
        for piece in pieces:
            media = read_fragments(piece, init)
            if before is not None:
                media.check_follows(before)
            before = media


@pytest.mark.parametrize("format_name", ["ts", "fmp4", "ll"])
def test_split(format_name: str) -> None:
    """C-FM-02: sound that is cut without knowing what follows goes on in the next, whole."""
    packets = [packet for packet in _packets() if packet.track.kind.value == "audio"]
    packager = _packager(format_name, packets)
    bodies: list[bytes] = []
    packager.begin()
    for index, packet in enumerate(packets):
        if index in (10, 11, 25):
            bodies.append(packager.split())
            packager.begin()
        packager.packet(packet)
    bodies.append(packager.finish(None))
    init = packager.init_segment()
    media = [read_fragments(x, read_init(init)) if init else read_segment(x) for x in bodies]
    # The last frame may wait for the one that tells how long it is.
    sizes = [len(found.sounds) for found in media]
    assert sizes[:3] in ([10, 1, 14], [9, 1, 14])
    for before, after in pairwise(media):
        after.check_follows(before)  # type: ignore[arg-type]
    payloads = [payload for found in media for payload in found.sounds]
    assert [number_of(payload) for payload in payloads] == list(range(len(packets)))


def test_segment_without_parts() -> None:
    """A segment that is too short for parts is its own last part."""
    packets = _packets(0.5)
    packager = _packager("ll", packets)
    packager.begin()
    for packet in packets:
        packager.packet(packet)
    body = packager.finish(None)
    assert packager.last_part() == body != b""
    assert _packager("ts", packets).last_part() == b""


@pytest.mark.parametrize("format_name", ["ts", "fmp4"])
def test_forget(format_name: str) -> None:
    """What was not finished is gone, and what comes next may be of any time before or after."""
    old, new = _packets(3.0, start=5000.0), _packets(3.0)
    packager = _packager(format_name, old)
    packager.begin()
    for packet in old:
        packager.packet(packet)
    packager.forget()
    assert packager.size == 0
    packager.begin()
    for packet in new:
        packager.packet(packet)
    body = packager.finish(None)
    fresh = _whole(format_name, new, [])[0]
    init = packager.init_segment()
    assert _numbers(format_name, body, init) == _numbers(format_name, fresh, init)
    if format_name == "fmp4":
        media = read_fragments(body, read_init(init))
        assert media.starts == read_fragments(fresh, read_init(init)).starts


def test_forget_before_anything() -> None:
    """There is nothing to forget before tracks are chosen."""
    for packager in (TSPackager(), FMP4Packager()):
        packager.forget()
        assert packager.size == 0


def test_forgotten_numbers() -> None:
    """C-FM-03: fragments are numbered on, whatever was thrown away in between."""
    packets = _packets(2.0)
    packager = _packager("ll", packets)
    bodies = []
    for _round in range(3):
        packager.begin()
        for packet in packets[:20]:
            packager.packet(packet)
        bodies.append(packager.part(packets[20]))
        packager.forget()
    init = read_init(packager.init_segment())
    numbers = [read_fragments(body, init).numbers[0] for body in bodies]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("format_name", ["ts", "fmp4"])
def test_still(format_name: str) -> None:
    """A segment of one keyframe is a whole one, at its time, and changes no counter."""
    packets = _packets()
    keys = _keys(packets)
    bounds = [keys[2], keys[4]]
    wanted = _whole(format_name, packets, bounds)
    packager = _packager(format_name, packets)
    bodies, stills = [], []
    packager.begin()
    for index, packet in enumerate(packets):
        if index in bounds:
            bodies.append(packager.finish(packet))
            at = 90000 * 77 * packet.track.clock_rate // 90000
            stills.append(packager.still(packet._replace(dts=at, pts=at)))
            stills.append(packager.still(None))
            packager.begin()
        packager.packet(packet)
    bodies.append(packager.finish(None))
    assert bodies == wanted
    init = packager.init_segment()
    assert _numbers(format_name, stills[0], init) == [
        sum(x.track.kind.value == "video" for x in packets[: bounds[0]])
    ]
    media = [
        read_fragments(body, read_init(init)) if init else read_segment(body)
        for body in (bodies[0], stills[0])
    ]
    assert media[1].start - media[0].start == 90000 * 77
    # Of none: tables alone, or nothing.
    assert (len(stills[1]) % 188, stills[1] == b"") == (0, format_name == "fmp4")


def test_still_of_sound() -> None:
    """A stream without pictures has a still of sound."""
    packets = [packet for packet in _packets(1.0) if packet.track.kind.value == "audio"]
    for format_name in ("ts", "fmp4"):
        packager = _packager(format_name, packets)
        packager.begin()
        packager.packet(packets[0])
        body = packager.still(packets[0])
        assert body
        if format_name == "fmp4":
            assert packager.content_type == "audio/mp4"
            assert len(read_fragments(body, read_init(packager.init_segment())).audio) == 1
        else:
            assert packager.content_type == "video/mp2t"
            assert len(read_segment(body).audio) == 1


def test_other_tracks() -> None:
    """C-FM-04: other tracks have an init segment of their own, and no packet of the ones before."""
    packets = _packets(1.0)
    packager = _packager("fmp4", packets)
    packager.begin()
    for packet in packets:
        packager.packet(packet)
    packager.finish(None)
    before = packager.init_segment()
    sound = [packet for packet in packets if packet.track.kind.value == "audio"]
    packager.choose([sound[0].track])
    packager.begin()
    for packet in sound:
        packager.packet(packet)
    body = packager.finish(None)
    assert packager.init_segment() != before
    assert packager.content_type == "audio/mp4"
    media = read_fragments(body, read_init(packager.init_segment()))
    assert (len(media.video), len(media.audio)) == (0, len(sound))


@given(
    st.sampled_from(["ts", "fmp4", "ll"]),
    st.lists(st.integers(0, 30_000), min_size=1, max_size=30),
)
def test_size(format_name: str, sizes: list[int]) -> None:
    """C-PL-04: what is told of the size while a segment is filled is no less than it gets."""
    packager = make_packager(format_name)
    packager.choose([VIDEO, AUDIO])
    packager.begin()
    for index, size in enumerate(sizes):
        nal = b"\x41" * (size + 1)
        payload = len(nal).to_bytes(4, "big") + nal
        packager.packet(Packet(VIDEO, index * 3600, index * 3600, not index, payload))
        ticks = index * 1920
        packager.packet(Packet(AUDIO, ticks, ticks, True, bytes(size // 100 + 1)))
    told = packager.size
    body = packager.finish(None)
    assert len(body) <= told + 2000
    assert told <= 1.1 * len(body) + 1300 * len(sizes) + 2000


# What is carried


@pytest.mark.parametrize(
    ("codec", "formats"),
    [
        (Codec.SPEEX, ""),
        (Codec.PCM_ALAW, ""),
        (Codec.OPUS, "fmp4 ll"),
        (Codec.MP3, "ts fmp4 ll"),
        (Codec.AC3, "ts fmp4 ll"),
        (Codec.EAC3, "ts fmp4 ll"),
        (Codec.VP8, ""),
        (Codec.VP9, "fmp4 ll"),
    ],
)
def test_carried(codec: Codec, formats: str) -> None:
    """C-TS-07, C-FM-08: what no player takes in a format is left out of it."""
    rate = 90000 if codec in (Codec.VP8, Codec.VP9) else 48000
    track = Track(codec, clock_rate=rate, channels=2)
    found = [name for name in ("ts", "fmp4", "ll") if carried([VIDEO, track], name)[1:] == [track]]
    assert found == formats.split()
    assert all(carried([VIDEO, track], name)[0] == VIDEO for name in ("ts", "fmp4", "ll"))


def test_without_configuration() -> None:
    """What cannot be described is not carried in MP4."""
    bare = Track(Codec.H264)
    assert carried([bare], "fmp4") == carried([bare], "ll") == []


# Times


def test_shifted() -> None:
    """A packet is moved by whole milliseconds of its own clock, both ways."""
    packet = Packet(AUDIO, 48000, 48100, True, b"x")
    assert shifted(packet, 1500) == Packet(AUDIO, 120000, 120100, True, b"x")
    assert shifted(packet, -1000) == Packet(AUDIO, 0, 100, True, b"x")
    assert shifted(packet, 0) == packet


@given(st.integers(0, 1 << 50), st.sampled_from([1000, 8000, 11025, 44100, 48000, 90000]))
def test_ticks(time: int, rate: int) -> None:
    """C-TS-08: times are converted without rounding up, of any size."""
    ticks = ticks_of(time, rate)
    assert ticks * rate <= time * 90000 < (ticks + 1) * rate
