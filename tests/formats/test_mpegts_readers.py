"""Tests of ntvmedia.formats.mpegts_video, mpegts_audio, mpegts_latm, mpegts_opus and _readers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.codecs import aac, h264, hevc
from ntvmedia.errors import PeerError
from ntvmedia.formats import mpegts_opus
from ntvmedia.formats.mpegts_audio import AC3Reader, ADTSReader, MPEGAudioReader, OpusReader
from ntvmedia.formats.mpegts_latm import LATMReader
from ntvmedia.formats.mpegts_readers import new_reader
from ntvmedia.formats.mpegts_tables import Stream
from ntvmedia.formats.mpegts_video import H264Reader, HEVCReader, Read, Reader
from ntvmedia.media import Codec, Packet, Track
from tests.codecs import vectors
from tests.formats.flv_bytes import nal_units
from tests.formats.ts_bytes import AC3_FRAME, EAC3_FRAME, MP3_FRAME, OPUS_FRAME

RECORD = h264.parse_configuration(vectors.AVCC_1080)
SPS, PPS = RECORD.sps[0], RECORD.pps[0]
INTERLACED = h264.parse_configuration(vectors.AVCC_576I)
AUD, SEI = b"\x09\xf0", b"\x06\x05\x01x\x80"
IDR, MORE_IDR = b"\x65\x88a", b"\x65\x48b"
INTER, MORE_INTER = b"\x41\x9ac", b"\x41\x5ad"


def stream(*units: bytes) -> bytes:
    """Put start codes between units."""
    return b"".join(b"\0\0\1" + unit for unit in units)


def read(reader: Reader, data: bytes, pts: int | None = 0, dts: int | None = None) -> list[Read]:
    """Return what comes of one PES packet."""
    events: list[Read] = []
    reader.read(data, pts, pts if dts is None else dts, events)
    return events


def payloads(events: list[Read]) -> list[bytes]:
    """Keep what is in the packets."""
    return [event.payload for event in events if isinstance(event, Packet)]


def times(events: list[Read]) -> list[int]:
    """Keep the decode times of packets."""
    return [event.dts for event in events if isinstance(event, Packet)]


def test_picture() -> None:
    """C-TS-03: a track of the sets, and a frame without sets and delimiter."""
    track, packet = read(H264Reader(3), stream(AUD, SPS, PPS, SEI, IDR, MORE_IDR), 7200, 3600)
    assert track == Track(Codec.H264, 3, config=vectors.AVCC_1080)
    assert packet == Packet(track, 3600, 7200, True, nal_units(SEI, IDR, MORE_IDR))


def test_pictures_of_one_pes() -> None:
    """H.222.0 allows for several: the first has the time, others follow at the last distance."""
    reader = H264Reader(0)
    read(reader, stream(AUD, SPS, PPS, IDR), 0)
    assert times(read(reader, stream(AUD, INTER), 1800)) == [1800]
    events = read(reader, stream(AUD, INTER, MORE_INTER, AUD, INTER, INTER, SEI, INTER), 3600)
    assert payloads(events) == [
        nal_units(INTER, MORE_INTER),
        nal_units(INTER),
        nal_units(INTER),
        nal_units(SEI, INTER),
    ]
    assert times(events) == [3600, 5400, 7200, 9000]
    assert times(read(reader, stream(INTER), None)) == [10800]


def test_no_time_at_all() -> None:
    """Before the first time, pictures have none that anybody could tell."""
    reader = H264Reader(0)
    assert payloads(read(reader, stream(SPS, PPS, IDR), None)) == []
    assert times(read(reader, stream(INTER), 9000)) == [9000]


def test_fields() -> None:
    """Two fields of a frame in one PES packet are one packet, as in MP4."""
    reader = H264Reader(0)
    sps, pps = INTERLACED.sps[0], INTERLACED.pps[0]
    events = read(reader, stream(AUD, sps, pps, IDR, AUD, INTER))
    assert payloads(events) == [nal_units(IDR, INTER)]
    events = read(reader, stream(AUD, INTER, AUD, INTER, AUD, INTER), 3600)
    assert payloads(events) == [nal_units(INTER, INTER), nal_units(INTER)]


def test_changed_sets() -> None:
    """A track is announced anew when its sets change, and not when they are repeated."""
    reader = H264Reader(0)
    assert len(read(reader, stream(SPS, PPS, IDR))) == 2
    assert len(read(reader, stream(SPS, PPS, IDR), 3600)) == 1
    other = h264.parse_configuration(vectors.AVCC_BASELINE)
    changed = read(reader, stream(other.sps[0], other.pps[0], IDR), 7200)
    assert changed[0] == Track(Codec.H264, config=vectors.AVCC_BASELINE)
    # One more PPS, by itself (its number is 1), and then another with that number.
    second, third = b"\x68\x53\x80", b"\x68\x53\x90"
    for more in (second, third):
        events = read(reader, stream(more, INTER), 9000)
        assert isinstance(events[0], Track)
        assert h264.parse_configuration(events[0].config).pps == (other.pps[0], more)


def test_sets_in_their_own_pes() -> None:
    """Some cameras send SPS and PPS each in a PES packet of its own."""
    reader = H264Reader(0)
    assert read(reader, stream(SPS)) == []
    assert len(read(reader, stream(PPS))) == 1
    assert payloads(read(reader, stream(IDR))) == [nal_units(IDR)]


@pytest.mark.parametrize("bad", [b"\x67", b"\x67\x64\x00", b"\x67" + b"\xff" * 5000])
def test_broken_sets(bad: bytes) -> None:
    """F-RE-09: a broken SPS does not take the place of a good one."""
    reader = H264Reader(0)
    assert read(reader, stream(bad, PPS, IDR)) == []
    assert len(read(reader, stream(SPS, PPS, IDR))) == 2
    assert payloads(read(reader, stream(bad, IDR), 3600)) == [nal_units(IDR)]


def test_too_many_units() -> None:
    """F-RE-09: start codes and nothing else."""
    assert read(H264Reader(0), stream(SPS, PPS, *[IDR] * 5000)) == []
    assert read(H264Reader(0), b"no start code") == []


def test_recovery_points() -> None:
    """C-TS-09: only IDR begins; a recovery point does where it is asked for."""
    point = b"\x06\x05\x02xx\x06\x01\xc4\x80"
    for asked in (False, True):
        reader = H264Reader(0, recovery_points=asked)
        read(reader, stream(SPS, PPS, IDR))
        (packet,) = read(reader, stream(point, INTER), 3600)
        assert isinstance(packet, Packet)
        assert packet.is_keyframe == asked
        (packet,) = read(reader, stream(SEI, INTER), 7200)
        assert isinstance(packet, Packet)
        assert not packet.is_keyframe


@given(st.binary(max_size=40))
def test_any_sei(body: bytes) -> None:
    """F-RE-09: any SEI is read, or not."""
    reader = H264Reader(0, recovery_points=True)
    read(reader, stream(SPS, PPS, IDR))
    read(reader, stream(b"\x06" + body, INTER), 3600)


def test_hevc() -> None:
    """C-TS-03: HEVC, with CRA pictures as keyframes."""
    record = hevc.parse_configuration(vectors.HVCC_720)
    sets = (*record.vps, *record.sps, *record.pps)
    delimiter, idr, cra = b"\x46\x01\x50", b"\x26\x01\xaf", b"\x2a\x01\xaf"
    inter, more = b"\x02\x01\xd0", b"\x02\x01\x50"
    reader = HEVCReader(0)
    track, packet = read(reader, stream(delimiter, *sets, idr))
    assert track == Track(Codec.HEVC, config=vectors.HVCC_720)
    assert packet == Packet(track, 0, 0, True, nal_units(idr))
    events = read(reader, stream(delimiter, cra, inter, more, delimiter, inter), 3600)
    assert [packet.is_keyframe for packet in events if isinstance(packet, Packet)] == [
        *(True, False, False)
    ]
    assert payloads(events)[1] == nal_units(inter, more)


def adts(payload: bytes, *, head: str = "fff14c80") -> bytes:
    """Put an ADTS header before a frame, by default of 48 kHz and two channels."""
    first = int(head, 16) << 24
    size = 7 + len(payload)
    return (first | size << 13 | 0x1FFC).to_bytes(7, "big") + payload


FRAMES = [adts(b"!frame%02d" % n * (n + 1)) for n in range(20)]


@given(st.lists(st.integers(0, sum(map(len, FRAMES))), max_size=5))
def test_frames_cut_anywhere(cuts: list[int]) -> None:
    """A frame may begin in one PES packet and end in the next; times belong to what begins."""
    data = b"".join(FRAMES)
    places = [0, *sorted(cuts), len(data)]
    reader, events = ADTSReader(0), list[Read]()
    begins = [sum(map(len, FRAMES[:n])) for n in range(20)]
    for start, stop in pairwise(places):
        first = next((n for n, at in enumerate(begins) if start <= at < stop), None)
        pts = None if first is None else first * 1920
        events += read(reader, data[start:stop], pts)
    assert payloads(events) == [frame[7:] for frame in FRAMES]
    assert times(events) == [n * 1024 for n in range(20)]


def test_frames_between_junk() -> None:
    """F-RE-09: what is no frame is passed over, though it looks like one."""
    data = b"junk" + FRAMES[0] + FRAMES[1] + b"\xff\xf1\xff\xff" + FRAMES[2] + b"\xff"
    reader = ADTSReader(0)
    assert payloads(read(reader, data)) == [frame[7:] for frame in FRAMES[:3]]
    rest = FRAMES[3]
    assert payloads(read(reader, rest[1:] + FRAMES[4])) == [rest[7:], FRAMES[4][7:]]


def test_times_of_sound() -> None:
    """C-TS-05: counted on; told times count where they differ by more than half a frame."""
    reader = ADTSReader(0)
    assert times(read(reader, FRAMES[0] + FRAMES[1], 0)) == [0, 1024]
    assert times(read(reader, FRAMES[2], 1920 * 2 + 500)) == [2048]
    assert times(read(reader, FRAMES[3], None)) == [3072]
    assert times(read(reader, FRAMES[4], 1920 * 4 + 1000)) == [4096 + 533]
    # After a loss nobody knows how many are missing.
    reader.lost()
    assert times(read(reader, FRAMES[5], None)) == []
    assert times(read(reader, FRAMES[6], 90000)) == [48000]


def test_sound_changes() -> None:
    """Another rate in the middle: a new track, and the times go on in its clock."""
    reader = ADTSReader(0)
    mono = [adts(b"!mono", head="fff15c40")] * 2
    events = read(reader, b"".join(FRAMES[:47] + FRAMES[:3] + mono), 0)
    first, second = (event for event in events if isinstance(event, Track))
    assert (first.clock_rate, first.channels, first.config) == (48000, 2, bytes.fromhex("1190"))
    assert (second.clock_rate, second.channels) == (22050, 1)
    count = len(FRAMES[:47]) + 3
    assert times(events)[-2:] == [
        (count * 1024 * 22050 + 24000) // 48000,
        (count * 1024 * 22050 + 24000) // 48000 + 1024,
    ]


def test_adts_with_checksums_and_blocks() -> None:
    """ISO/IEC 14496-3 1.A.3.2: a checksum in the header; several blocks with their places."""
    with_crc = b"\xff\xf0\x4c\x80\x01\xbf\xfc" + b"CC" + b"!data"[:4]
    assert payloads(read(ADTSReader(0), with_crc)) == [b"!dat"]
    two = bytearray(adts(b"\0\x07CC" + b"!aaaaCC" + b"!bbbCC"))
    two[1] = 0xF0
    two[6] |= 1
    assert payloads(read(ADTSReader(0), bytes(two))) == [b"!aaaa", b"!bbb"]
    # Without the places only a decoder knows where the second begins.
    two[1] = 0xF1
    assert payloads(read(ADTSReader(0), bytes(two))) == []


def test_program_config_element() -> None:
    """C-TS-06: channel configuration 0 is read where a frame tells what it means."""
    bits, count = 0b0000_01_0011_0001_0000_0001_00_000_0000_0_0_0_1_0000_1_0001, 44
    config = aac.AudioSpecificConfig(
        2, 48000, 4, channel_configuration=0, program_config=(bits, count)
    )
    element = ((5 << 44 | bits) << 1).to_bytes(6, "big") + b"\0"
    without = adts(b"!first", head="fff14c00")
    events = read(ADTSReader(0), without + adts(element + b"!x", head="fff14c00") + without)
    assert isinstance(events[0], Track)
    assert events[0].config == aac.build_audio_specific_config(config)
    assert payloads(events) == [element + b"!x", b"!first"]


def test_mpeg_audio() -> None:
    """C-TS-07: MP3, and layer II, whose header tells that it is."""
    (track, packet) = read(MPEGAudioReader(1), MP3_FRAME)
    assert track == Track(Codec.MP3, 1, clock_rate=44100, channels=1)
    assert packet == Packet(track, 0, 0, True, MP3_FRAME)
    layer_2 = vectors.MP2_STEREO_48.ljust(1152, b"2")
    (track, packet) = read(MPEGAudioReader(0), layer_2)
    assert track == Track(Codec.MP3, 0, clock_rate=48000, channels=2)
    assert payloads([packet]) == [layer_2]


DEPENDENT = bytearray(EAC3_FRAME)
DEPENDENT[2] |= 0x40


def test_substreams() -> None:
    """E-AC-3: a packet is an independent substream, the next programs, and what depends on them."""
    dependent = bytes(DEPENDENT)
    reader = AC3Reader(0)
    events = read(reader, EAC3_FRAME + dependent + EAC3_FRAME + dependent)
    assert payloads(events) == [EAC3_FRAME + dependent] * 2
    assert times(events) == [0, 1536]
    # The second substream is cut in two: its packet waits for the rest.
    assert payloads(read(reader, EAC3_FRAME + dependent[:100], 3072 * 90 // 48)) == []
    events = read(reader, dependent[100:], None)
    assert payloads(events) == [EAC3_FRAME + dependent]
    assert times(events) == [3072]
    # One that depends on nothing is nothing.
    assert payloads(read(AC3Reader(0), dependent)) == []


def test_ac3() -> None:
    """C-TS-07: AC-3, several frames to a PES packet."""
    events = read(AC3Reader(0), AC3_FRAME * 3)
    assert times(events) == [0, 1536, 3072]
    assert events[0] == Track(
        Codec.AC3, clock_rate=44100, config=vectors.DAC3_STEREO_44, channels=2
    )


LATM_CONFIG = "0 1 000000 0000 000 00010 0011 0010 000 000 11111111 0 0"


def latm(bits: str, payload: bytes = b"") -> bytes:
    """Make a LOAS frame of bits and, behind them, a payload with its length."""
    packed = bits.replace(" ", "")
    if payload:
        packed += f"{len(payload):08b}" + "".join(f"{byte:08b}" for byte in payload)
    packed += "0" * (-len(packed) % 8)
    body = int(packed, 2).to_bytes(len(packed) // 8, "big")
    return (0x2B7 << 13 | len(body)).to_bytes(3, "big") + body


def test_latm() -> None:
    """E-SR-02: AAC as DVB has it; the configuration holds until another comes."""
    reader = LATMReader(0)
    assert read(reader, latm("1", b"early")) == []
    events = read(reader, latm("0" + LATM_CONFIG, b"!one") + latm("1", b"!two"))
    assert events[0] == Track(Codec.AAC, clock_rate=48000, config=b"\x11\x90", channels=2)
    assert payloads(events) == [b"!one", b"!two"]
    assert times(events) == [0, 1024]


def test_latm_version_1() -> None:
    """ISO/IEC 14496-3 table 1.42: lengths are told; and other data behind the frames."""
    config = "1 0 00 11111111 1 000000 0000 000 00 00010000 00010 0011 0010 000 000 11111111"
    events = read(LATMReader(0), latm("0" + config + "1 00 00001000 1 10101010", b"!one"))
    assert payloads(events) == [b"!one"]


@pytest.mark.parametrize(
    "config",
    [
        "1 1",  # audioMuxVersionA
        "0 1 000000 0001 000",  # two programs
        "0 1 000000 0000 000 00010 0011 0000",  # channels by an element
        "0 1 000000 0000 000 00010 1111",
        "0 1 000000 0000 000 00010 0011 0010 000 001",  # frames of fixed length
    ],
)
def test_latm_that_is_not_read(config: str) -> None:
    """F-RE-09: forms that nothing sends, and configurations that are cut off."""
    assert read(LATMReader(0), latm("0" + config)) == []


@settings(max_examples=60)
@given(st.binary(max_size=200), st.sampled_from([ADTSReader, LATMReader, AC3Reader]))
def test_any_sound(data: bytes, make: type[ADTSReader | LATMReader | AC3Reader]) -> None:
    """F-RE-09: nothing is raised, and nothing is kept but the beginning of a frame."""
    reader = make(0)
    for prefix in (b"", b"\x56\xe0\x14", b"\xff\xf1\x4c", b"\x0b\x77"):
        read(reader, prefix + data)
        assert len(reader._rest) < 8192


def test_opus() -> None:
    """C-TS-07: access units after their control headers, counted at 48 kHz."""
    config = mpegts_opus.config_from_descriptors(mpegts_opus.descriptors(2))
    assert config is not None
    reader = OpusReader(0, config)
    long = b"\xf8" * 300
    data = b"\x7f\xe0\x05" + OPUS_FRAME + b"\x7f\xe0\xff\x2d" + long
    events = read(reader, data, 900)
    assert payloads(events) == [OPUS_FRAME, long]
    assert times(events) == [480, 480 + 960]
    # With trimming at start and end, and an extension.
    data = b"\x7f\xfc\x05\x01\x38\x00\x10\x02xx" + OPUS_FRAME
    assert payloads(read(reader, data, 900 + 3600)) == [OPUS_FRAME]
    # An empty frame count is no packet; a wrong prefix is no unit; a cut-off one is left out.
    assert read(reader, b"\x7f\xe0\x02\x03\x00" + b"\x7f\xe0\x09abc") == []
    assert read(reader, b"no control header") == []


@pytest.mark.parametrize("code", range(9))
def test_opus_layouts(code: int) -> None:
    """C-TS-07: each layout that has a number goes both ways."""
    config = mpegts_opus.config_from_descriptors(mpegts_opus.descriptors(code))
    assert config is not None
    channels = code or 2
    track = Track(Codec.OPUS, clock_rate=48000, config=config, channels=channels)
    assert config[9] == channels
    assert mpegts_opus.channel_code(track) == code
    assert mpegts_opus.channel_code(replace(track, config=b"")) == (
        channels if channels <= 2 else None
    )


def test_opus_without_layout() -> None:
    """Descriptors that are for something else, or have a number that is not known."""
    assert mpegts_opus.config_from_descriptors(b"") is None
    assert mpegts_opus.config_from_descriptors(mpegts_opus.descriptors(0x82)) is None
    assert new_reader(Stream(6, 0x101, b"\x05\x04Opus"), 0, recovery_points=False) is None
    with pytest.raises(PeerError):
        mpegts_opus.split_access_units(b"\x7f\x00\x05")
