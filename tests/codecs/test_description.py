"""Tests of the description of a track."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.codecs import flac
from ntvmedia.codecs.description import Description, describe
from ntvmedia.media.packets import Codec, MediaKind, Track
from tests.codecs import vectors

EAC3 = vectors.EAC3_51.ljust(1792, b"\x00")


@pytest.mark.parametrize(
    ("track", "payload", "expected"),
    [
        (
            Track(Codec.H264, config=vectors.AVCC_576I), b"",
            Description("avc1.64001e", 720, 576, 25.0, "High", "3", 0, 0, (64, 45), 8),
        ),
        (
            Track(Codec.HEVC, config=vectors.HVCC_720), b"",
            Description("hvc1.1.6.L93.90", 1280, 720, 30.0, "Main", "3.1", bit_depth=8),
        ),
        (
            Track(Codec.AV1, config=vectors.AV1C_362), b"",
            Description("av01.0.01M.10", 642, 362, None, "Main", "2.1", bit_depth=10),
        ),
        (
            Track(Codec.VP9, config=vectors.VPCC_422), b"",
            Description("vp09.03.21.10", profile="3", level="2.1", bit_depth=10),
        ),
        (
            Track(Codec.VP9), vectors.VP9_360,
            Description("vp09.00.21.08", 640, 360, None, "0", "2.1", bit_depth=8),
        ),
        (Track(Codec.VP8), vectors.VP8_144, Description("vp08.00.10.08", 176, 144, bit_depth=8)),
        (
            Track(Codec.AAC, clock_rate=48000, config=vectors.AAC_LC_STEREO), b"",
            Description("mp4a.40.2", profile="LC", sample_rate=48000, channels=2),
        ),
        (
            Track(Codec.AAC, clock_rate=24000, config=bytes.fromhex("eb098800")), b"",
            Description("mp4a.40.29", profile="HE-AACv2", sample_rate=48000, channels=2),
        ),
        (
            Track(Codec.MP3, clock_rate=44100, channels=2), b"",
            Description("mp4a.40.34", sample_rate=44100, channels=2),
        ),
        (
            Track(Codec.MP3, clock_rate=44100, channels=2), vectors.MP2_STEREO_48,
            Description("mp4a.40.33", profile="Layer II", sample_rate=48000, channels=2),
        ),
        (
            Track(Codec.OPUS, clock_rate=48000, config=vectors.OPUS_51), b"",
            Description("opus", sample_rate=48000, channels=6),
        ),
        (
            Track(Codec.EAC3, clock_rate=48000), EAC3,
            Description("ec-3", sample_rate=48000, channels=6),
        ),
        (
            Track(Codec.AC3, clock_rate=48000, channels=2), b"",
            Description("ac-3", sample_rate=48000, channels=2),
        ),
        (
            Track(Codec.FLAC, clock_rate=1, config=flac.build_config(vectors.FLAC_STREAMINFO)), b"",
            Description("fLaC", sample_rate=48000, channels=2, bit_depth=16),
        ),
        (
            Track(Codec.PCM_ALAW, clock_rate=8000, channels=1), b"",
            Description("alaw", sample_rate=8000, channels=1),
        ),
        (
            Track(Codec.SPEEX, clock_rate=16000, channels=1), b"",
            Description("", sample_rate=16000, channels=1),
        ),
        (Track(Codec.FLV1), b"", Description()),
        (Track(Codec.AMF0, clock_rate=1000), b"", Description()),
    ],
)  # fmt: skip
def test_describe(track: Track, payload: bytes, expected: Description) -> None:
    """What ffprobe says of the files that the vectors are from."""
    assert describe(track, payload) == expected


def test_name_is_of_the_parameter_set() -> None:
    """C-PL-21: CODECS is right even where avcC has another profile than its SPS."""
    track = Track(Codec.H264, config=b"\x01\x42\x00\x0a" + vectors.AVCC_1080[4:])
    assert describe(track).codec_string == "avc1.640028"


@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC])
def test_without_parameter_sets(codec: Codec) -> None:
    """A-MD-06: a record without SPS still has a name, and no size."""
    record, end = (
        (vectors.AVCC_1080, b"\xe0\x00") if codec is Codec.H264 else (vectors.HVCC_720, b"\0")
    )
    found = describe(Track(codec, config=record[: 5 if codec is Codec.H264 else 22] + end))
    assert found.codec_string in ("avc1.640028", "hvc1.1.6.L93.90")
    assert (found.width, found.height, found.frame_rate) == (0, 0, None)


@given(st.sampled_from(Codec), st.binary(max_size=80), st.binary(max_size=80))
def test_never_raises(codec: Codec, config: bytes, payload: bytes) -> None:
    """F-RE-09: whatever the configuration and the frame, there is an answer."""
    found = describe(Track(codec, config=config, channels=1), payload)
    assert found.sample_rate == 0 or codec.kind is MediaKind.AUDIO
