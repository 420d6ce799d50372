"""Tests of ntvmedia.formats.flv_writer."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.formats import flv_writer
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.media import Codec, MediaKind, Packet, Track, from_milliseconds
from tests.codecs import vectors
from tests.formats.flv_bytes import AVCC, nal_units, packets, tracks
from tests.formats.test_flv_audio import AC3_FRAME, EAC3_FRAME, MP3_8K, MP3_22, MP3_FRAME

FLAC_CONFIG = (
    b"fLaC\x80\x00\x00\x22"
    + vectors.FLAC_STREAMINFO[:4]
    + bytes(6)
    + vectors.FLAC_STREAMINFO[10:14]
    + bytes(20)
)
COLOR_INFO = b"\x02\x00\x09colorInfo\x06"

H264 = Track(Codec.H264, config=AVCC)
HEVC = Track(Codec.HEVC, config=vectors.HVCC_720)
VP6 = Track(Codec.VP6F, config=b"\x88")
NALS = nal_units(b"\x06sei", b"\x65slice")

# Every codec that can be carried, with a frame.
VIDEO = [
    (H264, NALS),
    (HEVC, NALS),
    (Track(Codec.VVC, config=b"\xff\x00vvcC"), NALS),
    (Track(Codec.AV1, config=vectors.AV1C_720), bytes.fromhex("32 03 100102")),
    (Track(Codec.VP9, config=vectors.VPCC_360), vectors.VP9_360),
    (Track(Codec.VP8), vectors.VP8_144),
    (Track(Codec.FLV1), b"frame"),
    (VP6, b"frame"),
]
AUDIO = [
    (
        Track(Codec.AAC, clock_rate=48000, config=vectors.AAC_LC_STEREO, channels=2),
        b"\x21raw",
    ),
    (Track(Codec.MP3, clock_rate=44100, channels=1), MP3_FRAME),
    (Track(Codec.MP3, clock_rate=22050, channels=2), MP3_22),
    (Track(Codec.MP3, clock_rate=8000, channels=1), MP3_8K),
    (Track(Codec.OPUS, clock_rate=48000, config=vectors.OPUS_STEREO, channels=2), b"\xfcx"),
    (
        Track(Codec.AC3, clock_rate=44100, config=vectors.DAC3_STEREO_44, channels=2),
        AC3_FRAME,
    ),
    (Track(Codec.EAC3, clock_rate=48000, config=vectors.DEC3_51, channels=6), EAC3_FRAME),
    (Track(Codec.FLAC, clock_rate=48000, config=FLAC_CONFIG, channels=2), vectors.FLAC_FRAME),
    (Track(Codec.PCM_ALAW, clock_rate=8000, channels=1), b"data"),
    (Track(Codec.PCM_MULAW, clock_rate=8000, channels=2), b"data"),
    (Track(Codec.PCM_S16LE, clock_rate=44100, channels=2), b"data"),
    (Track(Codec.PCM_S16LE, clock_rate=5512, channels=1), b"data"),
    (Track(Codec.PCM_U8, clock_rate=11025, channels=1), b"data"),
    (Track(Codec.SPEEX, clock_rate=16000, channels=1), b"data"),
    (Track(Codec.NELLYMOSER, clock_rate=16000, channels=1), b"data"),
    (Track(Codec.NELLYMOSER, clock_rate=8000, channels=1), b"data"),
    (Track(Codec.NELLYMOSER, clock_rate=44100, channels=2), b"data"),
]


def read_back(track: Track, packet: Packet, *, legacy_hevc: bool = False) -> TagReader:
    """Write a track and a packet of it, and check that the reader finds the same."""
    reader = TagReader()
    read = reader.video if track.kind is MediaKind.VIDEO else reader.audio
    timestamp = round(packet.dts * 1000 / track.clock_rate)
    start = flv_writer.sequence_start(track, legacy_hevc=legacy_hevc)
    prefix = flv_writer.body_prefix(packet, legacy_hevc=legacy_hevc)
    events = [*read(0, start), *read(timestamp, prefix + packet.payload)]
    assert tracks(events) == [track]
    assert packets(events) == [packet]
    assert reader.dropped == 0
    return reader


@given(
    st.sampled_from(VIDEO),
    st.integers(0, 2**40),
    st.integers(-(2**23) + 1, 2**23 - 1),
    st.booleans(),
    st.booleans(),
)
def test_video_round_trip(
    known: tuple[Track, bytes], dts: int, offset: int, is_keyframe: bool, legacy_hevc: bool
) -> None:
    """Whatever is written is read back the same, in both forms of HEVC."""
    track, payload = known
    has_offset = track.codec in (Codec.H264, Codec.HEVC, Codec.VVC)
    is_keyframe = is_keyframe or track.codec is Codec.VP8
    pts = dts + offset if has_offset else dts
    packet = Packet(track, dts * 90, pts * 90, is_keyframe, payload)
    read_back(track, packet, legacy_hevc=legacy_hevc)


@given(st.sampled_from(AUDIO), st.integers(0, 2**40))
def test_audio_round_trip(known: tuple[Track, bytes], milliseconds: int) -> None:
    """Whatever is written is read back the same, if its time was in milliseconds."""
    track, payload = known
    dts = from_milliseconds(milliseconds, track.clock_rate)
    read_back(track, Packet(track, dts, dts, True, payload))


@pytest.mark.parametrize("track", [track for track, _payload in VIDEO + AUDIO])
def test_everything_can_be_carried(track: Track) -> None:
    """Every codec with a round trip above says so."""
    assert flv_writer.can_carry(track)


@pytest.mark.parametrize(
    "track",
    [
        Track(Codec.H264),
        Track(Codec.AAC, clock_rate=48000),
        Track(Codec.OPUS, clock_rate=48000),
        Track(Codec.PCM_ALAW, clock_rate=16000, channels=1),
        Track(Codec.PCM_S16LE, clock_rate=48000, channels=2),
        Track(Codec.PCM_S16LE, clock_rate=44100, channels=6),
        Track(Codec.PCM_MULAW, clock_rate=8000, channels=3),
        Track(Codec.SPEEX, clock_rate=8000, channels=1),
        Track(Codec.NELLYMOSER, clock_rate=12000, channels=1),
    ],
)
def test_what_cannot_be_carried(track: Track) -> None:
    """A-MD-10: rates that the flags cannot say, and tracks without what a decoder needs."""
    assert not flv_writer.can_carry(track)


def test_golden_starts() -> None:
    """Sequence headers by FLV 10.1 E.4.2, E.4.3 and E-RTMP v2."""
    aac, opus = AUDIO[0][0], AUDIO[4][0]
    assert flv_writer.sequence_start(H264) == bytes.fromhex("17 00 000000") + AVCC
    assert flv_writer.sequence_start(HEVC) == b"\x90hvc1" + vectors.HVCC_720
    assert flv_writer.sequence_start(HEVC, legacy_hevc=True) == (
        bytes.fromhex("1c 00 000000") + vectors.HVCC_720
    )
    assert flv_writer.sequence_start(aac) == b"\xaf\x00" + vectors.AAC_LC_STEREO
    assert flv_writer.sequence_start(opus) == b"\x90Opus" + vectors.OPUS_STEREO
    for codec in (Codec.MP3, Codec.AC3, Codec.EAC3, Codec.PCM_ALAW, Codec.VP8, Codec.FLV1):
        assert flv_writer.sequence_start(Track(codec)) == b""


@pytest.mark.parametrize(
    ("track", "offset", "golden"),
    [
        (H264, 0, "17 01 000000"),
        (H264, 40, "17 01 000028"),
        (H264, -1, "17 01 ffffff"),
        (HEVC, 0, "93 68766331"),
        (HEVC, 40, "91 68766331 000028"),
        (HEVC, -40, "91 68766331 ffffd8"),
        (Track(Codec.AV1), 0, "91 61763031"),
        (Track(Codec.VP9), 0, "91 76703039"),
        (VP6, 0, "14 88"),
        (Track(Codec.AAC), 0, "af 01"),
        (Track(Codec.MP3, clock_rate=48000, channels=2), 0, "2f"),
        (Track(Codec.MP3, clock_rate=24000, channels=1), 0, "2a"),
        (Track(Codec.PCM_ALAW, clock_rate=8000, channels=1), 0, "72"),
        (Track(Codec.PCM_MULAW, clock_rate=8000, channels=1), 0, "82"),
        (Track(Codec.SPEEX, clock_rate=16000, channels=1), 0, "b2"),
        (Track(Codec.OPUS), 0, "91 4f707573"),
        (Track(Codec.AC3), 0, "91 61632d33"),
        (Track(Codec.AMF0, clock_rate=1000), 0, ""),
    ],
)
def test_golden_prefixes(track: Track, offset: int, golden: str) -> None:
    """What stands before a keyframe, by FLV 10.1 E.4.2.1, E.4.3.1 and E-RTMP v2."""
    packet = Packet(track, 9000, 9000 + offset * 90, True, b"frame")
    assert flv_writer.body_prefix(packet) == bytes.fromhex(golden)


def test_golden_inter_frames() -> None:
    """Frame type 2, in both forms and in the legacy one of HEVC."""
    assert flv_writer.body_prefix(Packet(H264, 0, 90, False, b"")).hex() == "2701000001"
    packet = Packet(HEVC, 0, 90, False, b"")
    assert flv_writer.body_prefix(packet) == b"\xa1hvc1\x00\x00\x01"
    assert flv_writer.body_prefix(packet, legacy_hevc=True).hex() == "2c01000001"


@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC])
@pytest.mark.parametrize(("pts", "last_bytes"), [(2**24 * 90, "7fffff"), (-(2**24) * 90, "800001")])
def test_composition_time_out_of_range(codec: Codec, pts: int, last_bytes: str) -> None:
    """Over two hours cannot be said in SI24: it is cut, and not wrapped to the other sign."""
    prefix = flv_writer.body_prefix(Packet(Track(codec), 0, pts, True, b""))
    assert prefix[-3:].hex() == last_bytes


@given(st.integers(0, 2**40), st.integers(0, 90_000))
def test_times_are_rounded_alone(dts: int, offset: int) -> None:
    """Decode time and presentation time each come out at their nearest millisecond."""
    prefix = flv_writer.body_prefix(Packet(H264, dts, dts + offset, True, b""))
    written = (dts + 45) // 90 + int.from_bytes(prefix[2:], "big", signed=True)
    assert abs(written * 90 - (dts + offset)) <= 45


def test_color_info() -> None:
    """A-ER-04: replayed to those who join, where the form has it, and ignored where it has not."""
    track = Track(Codec.HEVC, config=vectors.HVCC_720, color_info=COLOR_INFO)
    body = flv_writer.color_info(track)
    assert body == b"\xd4hvc1" + COLOR_INFO
    reader = TagReader()
    reader.video(0, flv_writer.sequence_start(track))
    assert list(reader.video(0, body)) == [track]
    assert flv_writer.color_info(track, legacy_hevc=True) == b""
    assert flv_writer.color_info(HEVC) == b""
    assert flv_writer.color_info(Track(Codec.H264, config=AVCC, color_info=COLOR_INFO)) == b""


@pytest.mark.parametrize(
    ("codec", "golden"),
    [
        (Codec.H264, "17 02 000000"),
        (Codec.HEVC, "92 68766331"),
        (Codec.OPUS, "92 4f707573"),
        (Codec.AAC, ""),
        (Codec.MP3, ""),
    ],
)
def test_end_of_sequence(codec: Codec, golden: str) -> None:
    """What ends a track is read as nothing."""
    track = Track(codec)
    body = flv_writer.end_of_sequence(track)
    assert body == bytes.fromhex(golden)
    reader = TagReader()
    assert list((reader.video if track.kind is MediaKind.VIDEO else reader.audio)(0, body)) == []
    assert reader.dropped == 0


def test_end_of_legacy_hevc() -> None:
    """As AVC's, under its number."""
    assert flv_writer.end_of_sequence(HEVC, legacy_hevc=True) == bytes.fromhex("1c 02 000000")


@pytest.mark.parametrize(
    ("track", "number"),
    [
        (H264, 7),
        (Track(Codec.HEVC), 0x68766331),
        (Track(Codec.AV1), 1635135537),
        (Track(Codec.OPUS), 1332770163),
        (Track(Codec.AAC), 10),
        (Track(Codec.MP3), 2),
        (Track(Codec.PCM_ALAW), 7),
        (Track(Codec.SPEEX), 11),
        (Track(Codec.AMF0), 0),
    ],
)
def test_codec_numbers(track: Track, number: int) -> None:
    """The numbers of onMetaData: two of them are examples in E-RTMP v2."""
    assert flv_writer.codec_number(track) == number


def test_number_of_legacy_hevc() -> None:
    """12, as in its messages."""
    assert flv_writer.codec_number(HEVC, legacy_hevc=True) == 12
