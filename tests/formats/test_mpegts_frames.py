"""Tests of ntvmedia.formats.mpegts_frames: what a PES packet holds, codec by codec."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ntvmedia.codecs import aac, opus
from ntvmedia.formats.mpegts_muxer import can_carry
from ntvmedia.media import Codec, Packet, Track
from tests.codecs import vectors
from tests.formats.flv_bytes import nal_units
from tests.formats.ts_bytes import (
    AAC,
    AUDIO_PID,
    H264,
    HEVC,
    MP3,
    OPUS,
    PPS,
    SPS,
    audio,
    mux,
    read,
    units,
    video,
)


def mux_one(packet: Packet, *tracks: Track) -> bytes:
    """Return the data of the one PES packet that comes of a packet."""
    (pes,) = read(mux([packet], *(tracks or (packet.track,)))).pes
    return pes.data


def test_access_unit() -> None:
    """C-TS-03: delimiter first, then SPS and PPS though they are not in the frame; lengths gone."""
    assert units(mux_one(video(0))) == [b"\x09\xf0", SPS, PPS, b"\x65\x88picture"]
    assert units(mux_one(video(1))) == [b"\x09\xf0", b"\x41\x9apicture"]


def test_no_parameter_set_twice() -> None:
    """C-TS-03: sets in the frame stand, wherever they were, and whatever the configuration says."""
    sei, idr, other_pps = b"\x06\x05sei", b"\x65idr", b"\x68\xce\x38\x80"
    for given_units, expected in (
        ([SPS, PPS, sei, idr], [SPS, PPS, sei, idr]),
        ([b"\x09\x10", SPS, PPS, idr], [b"\x09\x10", SPS, PPS, idr]),
        ([SPS, SPS, PPS, PPS, idr], [SPS, PPS, idr]),
        ([sei, SPS, other_pps, idr], [SPS, other_pps, sei, idr]),
        ([SPS, idr], [SPS, PPS, idr]),
        ([other_pps, idr], [SPS, other_pps, idr]),
    ):
        packet = Packet(H264, 0, 0, True, nal_units(*given_units))
        found = units(mux_one(packet))
        delimiter = found.pop(0)
        assert delimiter[0] == 9
        assert [unit for unit in expected if unit[0] != 9] == found
        if given_units[0][0] == 9:
            assert delimiter == given_units[0]


def test_hevc_access_unit() -> None:
    """C-TS-03, with HEVC: delimiter, VPS, SPS, PPS, and of SEI what is more than a signature."""
    sei = {kind: bytes((0x4E, 0x01, kind, 2, 0, 0, 0x80)) for kind in (5, 137)}
    config = bytearray(vectors.HVCC_720)
    config[22] += 1
    array = bytes((0xA7, 0, 2)) + b"".join(
        len(unit).to_bytes(2, "big") + unit for unit in sei.values()
    )
    track = replace(HEVC, config=bytes(config) + array)
    slice_ = b"\x26\x01picture"
    found = units(mux_one(Packet(track, 0, 0, True, nal_units(slice_))))
    assert found[0] == b"\x46\x01\x50"
    assert [unit[0] >> 1 for unit in found[1:]] == [32, 33, 34, 39, 19]
    assert found[4] == sei[137]
    again = Packet(track, 0, 0, True, nal_units(*found))
    assert units(mux_one(again)) == found
    assert units(mux_one(Packet(track, 0, 0, False, nal_units(b"\x02\x01p")))) == [
        b"\x46\x01\x50",
        b"\x02\x01p",
    ]


def test_config_comes_later() -> None:
    """A track without configuration: its frames bring the sets, or go as they are."""
    track = Track(Codec.H264)
    packet = Packet(track, 0, 0, True, nal_units(SPS, PPS, b"\x65"))
    assert units(mux_one(packet)) == [b"\x09\xf0", SPS, PPS, b"\x65"]
    bare = Packet(track, 0, 0, True, nal_units(b"\x65"))
    assert units(mux_one(bare)) == [b"\x09\xf0", b"\x65"]


@pytest.mark.parametrize(
    "codec",
    [
        Codec.AV1,
        Codec.VP9,
        Codec.VP8,
        Codec.VVC,
        Codec.FLAC,
        Codec.PCM_ALAW,
        Codec.PCM_MULAW,
        Codec.SPEEX,
        Codec.AMF0,
    ],
)
def test_not_carried(codec: Codec) -> None:
    """C-TS-07, A-MD-10: what has no place in MPEG-TS is left out, and its packets are nothing."""
    track = Track(codec, clock_rate=8000)
    assert not can_carry(track)
    assert read(mux([Packet(track, 0, 0, True, b"data")], track)).pes == []


OPUS_CODES = [
    (vectors.OPUS_STEREO, 2),
    (vectors.OPUS_51, 6),
    (opus.build_opus_head(opus.OpusHead(1, coupled=0)), 1),
    (opus.build_opus_head(opus.OpusHead(2, 0, 48000, 0, 255, 2, 0, b"\0\1")), 0),
    (opus.build_opus_head(opus.OpusHead(2, 0, 48000, 0, 1, 1, 1, b"\0\1")), 2),
    (opus.build_opus_head(opus.OpusHead(6, 0, 48000, 0, 255, 6, 0, bytes(range(6)))), None),
    (b"OpusHead", None),
    (b"", 2),
]


@pytest.mark.parametrize(("config", "code"), OPUS_CODES)
def test_opus_channels(config: bytes, code: int | None) -> None:
    """C-TS-07: layouts that have a number in MPEG-TS, and those that have none."""
    track = replace(OPUS, config=config)
    assert can_carry(track) == (code is not None)
    if code is not None:
        (_i, _v, _p, streams) = read(mux([], track)).pmts[0]
        assert streams[AUDIO_PID][1][-1] == code


def test_adts() -> None:
    """C-TS-05: a header made of the AudioSpecificConfig before each frame."""
    assert mux_one(audio(0, frame=b"!" * 300)) == bytes.fromhex("fff14c8026 7ffc") + b"!" * 300
    surround = Track(Codec.AAC, clock_rate=44100, config=vectors.AAC_LC_51, channels=6)
    data = mux_one(Packet(surround, 0, 0, True, bytes(872)))
    assert data[:7] == vectors.ADTS_51_HEADER


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        # HE-AAC: 22.05 kHz, SBR to 44.1; HE-AAC v2 with one channel that becomes two.
        ("2b920800", aac.ADTSHeader(2, 22050, 2, 57, 7, 1, False)),
        ("eb8a0800", aac.ADTSHeader(2, 22050, 1, 57, 7, 1, False)),
    ],
)
def test_high_efficiency(config: str, expected: aac.ADTSHeader) -> None:
    """C-TS-06: SBR and PS are signalled as their AAC-LC core."""
    track = Track(Codec.AAC, clock_rate=22050, config=bytes.fromhex(config), channels=2)
    data = mux_one(Packet(track, 0, 0, True, b"!" * 50))
    assert aac.parse_adts(data) == expected


def test_program_config_element() -> None:
    """C-TS-06: with channel configuration 0 each frame begins with the element that tells them."""
    # One front pair, one back pair: 4 channels at 48 kHz (element tag 0, LC, index 3).
    bits, count = 0b0000_01_0011_0001_0000_0001_00_000_0000_0_0_0_1_0000_1_0001, 44
    config = aac.AudioSpecificConfig(
        2, 48000, 4, channel_configuration=0, program_config=(bits, count)
    )
    encoded = aac.build_audio_specific_config(config)
    assert aac.parse_audio_specific_config(encoded) == config
    track = Track(Codec.AAC, clock_rate=48000, config=encoded, channels=4)
    data = mux_one(Packet(track, 0, 0, True, b"!frame"))
    assert aac.config_from_adts(data) == config
    assert data[7 : 7 + 6] == ((5 << 44 | bits) << 1).to_bytes(6, "big")
    assert data[7 + 6 :] == b"\0!frame"
    # A frame that has one already gets no second.
    own = data[7:]
    assert mux_one(Packet(track, 0, 0, True, own))[7:] == own


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"\x11",
        bytes.fromhex("f94840"),  # USAC
        bytes.fromhex("1194"),  # 960 samples
        bytes.fromhex("1158"),  # channel configuration 11
        bytes.fromhex("178000fa0010"),  # a rate of 2000 Hz
    ],
)
def test_aac_that_adts_cannot_tell(config: bytes) -> None:
    """C-TS-06: refused, no garbage."""
    assert not can_carry(replace(AAC, config=config))


def test_opus_control_header() -> None:
    """C-TS-07: the prefix and the size, in bytes of 255 and a rest, before each packet."""
    for size, sizes in ((1, "01"), (254, "fe"), (255, "ff00"), (600, "ffff5a")):
        payload = b"\xf8" * size
        assert mux_one(Packet(OPUS, 0, 0, True, payload)) == bytes.fromhex("7fe0" + sizes) + payload


@pytest.mark.parametrize(
    "packet",
    [
        Packet(H264, 0, 0, True, b""),
        Packet(H264, 0, 0, True, b"\0\0\0\0"),
        Packet(H264, 0, 0, True, b"\0\0\0\x09short"),
        Packet(H264, 0, 0, True, nal_units(b"\x09\xf0")),
        Packet(AAC, 0, 0, True, b""),
        Packet(AAC, 0, 0, True, bytes(8185)),
        Packet(MP3, 0, 0, True, bytes(66000)),
        Packet(OPUS, 0, 0, True, b""),
        Packet(OPUS, 0, 0, True, bytes(66000)),
    ],
)
def test_broken_packets(packet: Packet) -> None:
    """F-RE-09: what is broken, or larger than there is a form for, is left out."""
    assert read(mux([packet], packet.track)).pes == []
