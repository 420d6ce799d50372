"""Tests of AudioSpecificConfig and ADTS."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.codecs import aac
from ntvmedia.codecs.aac import AudioSpecificConfig
from ntvmedia.codecs.bits import BitWriter
from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from tests.codecs import vectors

RATES = st.sampled_from([96000, 48000, 44100, 22050, 8000, 7350]) | st.integers(1, 0xFFFFFF)
CONFIGS = st.tuples(st.integers(1, 4), RATES, st.integers(1, 8), st.sampled_from([960, 1024])).map(
    lambda x: AudioSpecificConfig(*x[:3], frame_length=x[3])
)


@pytest.mark.parametrize(
    ("data", "type_", "rate", "channels", "out", "name"),
    [
        (vectors.AAC_LC_STEREO, 2, 48000, 2, (48000, 2), "mp4a.40.2"),
        (vectors.AAC_LC_51, 2, 48000 - 3900, 6, (44100, 6), "mp4a.40.2"),
        # The examples that all the world's encoders send: AAC LC 44.1 kHz stereo, and 16 kHz mono.
        (bytes.fromhex("1210"), 2, 44100, 2, (44100, 2), "mp4a.40.2"),
        (bytes.fromhex("1408"), 2, 16000, 1, (16000, 1), "mp4a.40.2"),
        # HE-AAC, hierarchical: type 5, 22.05 kHz, stereo, extension 44.1 kHz, type 2.
        (bytes.fromhex("2b920800"), 2, 22050, 2, (44100, 2), "mp4a.40.5"),
        # HE-AAC v2, hierarchical: type 29, 24 kHz, mono, extension 48 kHz, type 2.
        (bytes.fromhex("eb098800"), 2, 24000, 1, (48000, 2), "mp4a.40.29"),
        # HE-AAC and v2, backward compatible: a trailer with 0x2b7, and with 0x548.
        (bytes.fromhex("139056e5a0"), 2, 22050, 2, (44100, 2), "mp4a.40.5"),
        (bytes.fromhex("138856e5a54880"), 2, 22050, 1, (44100, 2), "mp4a.40.29"),
        # An escaped rate of 44 kHz, and type 42 (xHE-AAC) escaped.
        (bytes.fromhex("178055f010"), 2, 0xABE0, 2, (0xABE0, 2), "mp4a.40.2"),
        (bytes.fromhex("f94640240000"), 42, 48000, 2, (48000, 2), "mp4a.40.42"),
    ],
)
def test_configs(
    data: bytes, type_: int, rate: int, channels: int, out: tuple[int, int], name: str
) -> None:
    """Object type, rates and channels, of the core coder and of what comes out."""
    config = aac.parse_audio_specific_config(data)
    assert (config.object_type, config.sample_rate, config.channels) == (type_, rate, channels)
    assert (config.output_rate, config.output_channels) == out
    assert config.codec_string == name


def test_frame_lengths() -> None:
    """1024, 960 with frameLengthFlag; 512 and 480 for LD (type 23) and ELD (type 39)."""
    for fields, length in (
        (((2, 5), (4, 4), (2, 4), (0, 3)), 1024),
        (((2, 5), (4, 4), (2, 4), (4, 3)), 960),
        (((23, 5), (4, 4), (2, 4), (0, 3)), 512),
        (((23, 5), (4, 4), (2, 4), (4, 3)), 480),
        (((31, 5), (7, 6), (4, 4), (2, 4), (0, 1)), 512),
        (((31, 5), (7, 6), (4, 4), (2, 4), (1, 1)), 480),
        (((31, 5), (10, 6), (4, 4), (2, 4), (31, 5), (0, 24), (4, 3)), 4096),
    ):
        writer = BitWriter()
        for value, count in fields:
            writer.u(value, count)
        writer.u(0, 16)
        assert aac.parse_audio_specific_config(writer.to_bytes()).frame_length == length


@pytest.mark.parametrize("data", ["", "12", "1690", "1248", "178000000010", "f94640a0"])
def test_broken_configs(data: str) -> None:
    """Cut off; reserved rate; reserved channels; 0 Hz; reserved frame length of USAC."""
    with pytest.raises(PeerError):
        aac.parse_audio_specific_config(bytes.fromhex(data))


def program_config() -> BitWriter:
    """Write a program_config_element of 2 pairs and 1 single in front, and 1 LFE: 6 channels."""
    writer = BitWriter()
    for value, count in ((0, 4), (1, 2), (4, 4), (3, 4), (0, 4), (0, 4), (1, 2), (0, 3), (0, 4)):
        writer.u(value, count)
    writer.u(0b000, 3)  # no mixdowns
    for pair in (0, 1, 1):
        writer.u(pair, 1)
        writer.u(0, 4)
    writer.u(0, 4)  # the tag of LFE
    return writer


def test_program_config() -> None:
    """Configuration 0: the element counts the channels, in AudioSpecificConfig and in ADTS."""
    element = program_config()
    writer = BitWriter()
    for value, count in ((2, 5), (4, 4), (0, 4), (0, 3)):
        writer.u(value, count)
    bits = int.from_bytes(element.to_bytes(), "big")
    writer.u(bits, 56)
    data = writer.to_bytes()[:9] + b"\x02hi"
    config = aac.parse_audio_specific_config(data)
    assert (config.channels, config.channel_configuration) == (6, 0)
    again = aac.parse_audio_specific_config(aac.build_audio_specific_config(config))
    assert again == config

    frame = BitWriter()
    frame.u(5, 3)  # ID_PCE
    frame.u(bits, 56)
    payload = frame.to_bytes()[:7] + b"\x00" + b"\x21\x10"
    header = aac.adts_header(config, len(payload))
    from_adts = aac.config_from_adts(header + payload)
    assert from_adts.channels == 6
    assert from_adts.program_config[1] == config.program_config[1]
    with pytest.raises(PeerError, match="without program_config_element"):
        aac.config_from_adts(header + b"\x00" * len(payload))


@given(CONFIGS)
def test_config_round_trip(config: AudioSpecificConfig) -> None:
    """What is built is read; what is read builds the same bytes."""
    data = aac.build_audio_specific_config(config)
    parsed = aac.parse_audio_specific_config(data)
    assert parsed._replace(channel_configuration=-1) == config
    assert aac.build_audio_specific_config(parsed) == data


def test_high_efficiency_round_trip() -> None:
    """SBR and PS are signalled before the core coder."""
    for ps in (False, True):
        config = AudioSpecificConfig(2, 24000, 1, True, ps, extension_rate=48000)
        parsed = aac.parse_audio_specific_config(aac.build_audio_specific_config(config))
        assert parsed._replace(channel_configuration=-1) == config


def test_what_cannot_be_written() -> None:
    """USAC, nine channels, a rate that ADTS has no index for: the caller's mistake."""
    for config in (AudioSpecificConfig(42), AudioSpecificConfig(channels=9)):
        with pytest.raises(UsageError):
            aac.build_audio_specific_config(config)
        with pytest.raises(UsageError):
            aac.adts_header(config, 10)
    with pytest.raises(UsageError):
        aac.adts_header(AudioSpecificConfig(sample_rate=44000), 10)


def test_adts_header() -> None:
    """The header is ffmpeg's, byte for byte, and says what the configuration says."""
    config = aac.parse_audio_specific_config(vectors.AAC_LC_51)
    assert aac.adts_header(config, 872) == vectors.ADTS_51_HEADER
    header = aac.parse_adts(vectors.ADTS_51_HEADER)
    assert header == (2, 44100, 6, 879, 7, 1, False)
    assert aac.config_from_adts(vectors.ADTS_51_HEADER) == config


def test_adts_limit() -> None:
    """A frame of 8184 bytes fits, one of 8185 does not."""
    assert aac.parse_adts(aac.adts_header(AudioSpecificConfig(), 8184)).frame_length == 8191
    with pytest.raises(LimitExceeded):
        aac.adts_header(AudioSpecificConfig(), 8185)


def test_adts_with_checksums() -> None:
    """One block: two bytes of checksum in the header. Two: a position, and one behind each."""
    config = AudioSpecificConfig()
    one = bytearray(aac.adts_header(config, 2 + 3))
    one[1] &= 0xFE
    assert aac.split_adts(bytes(one) + b"CCabc") == [b"abc"]
    two = bytearray(aac.adts_header(config, 4 + 5 + 4))
    two[1] &= 0xFE
    two[6] |= 1
    data = bytes(two) + b"\x00\x05CC" + b"abcCC" + b"deCC"
    assert aac.split_adts(data) == [b"abc", b"de"]
    with pytest.raises(PeerError, match="overlap"):
        aac.split_adts(bytes(two) + b"\x00\x0dCC" + b"abcCC" + b"deCC")
    two[1] |= 1
    with pytest.raises(PeerError, match="without positions"):
        aac.split_adts(bytes(two) + data[7:])


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5), CONFIGS)
def test_adts_round_trip(frames: list[bytes], config: AudioSpecificConfig) -> None:
    """Frames come out of ADTS as they went in; a cut is an error."""
    config = config._replace(sample_rate=48000, channels=min(config.channels, 6))
    stream = b"".join(aac.adts_header(config, len(frame)) + frame for frame in frames)
    assert aac.split_adts(stream) == frames
    if frames:
        with pytest.raises(PeerError):
            aac.split_adts(stream[:-1])


@pytest.mark.parametrize("data", ["fff1", "fffb9064000000", "fff17c80000000", "fff14c8000dffc"])
def test_broken_adts(data: str) -> None:
    """Cut off; MPEG audio; a reserved rate; shorter than its own header."""
    with pytest.raises(PeerError):
        aac.parse_adts(bytes.fromhex(data))
