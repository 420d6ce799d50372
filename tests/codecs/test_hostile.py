"""All parsers of configurations and headers against random and mutated bytes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.codecs import (
    aac,
    ac3,
    av1,
    flac,
    h264,
    hevc,
    hevc_sets,
    mpegaudio,
    nal,
    opus,
    vp8,
    vp9,
)
from ntvmedia.errors import PeerError
from tests.codecs import vectors

AVC = h264.parse_configuration(vectors.AVCC_1080)
HEVC = hevc.parse_configuration(vectors.HVCC_1078)
# The size of the frame OBU is changed to what is there of it.
AV1 = vectors.AV1_KEYFRAME_START[:17] + bytes((21,)) + vectors.AV1_KEYFRAME_START[19:]

# Seconds. What is linear takes less than one, also on a busy machine of today; what is quadratic
# takes many minutes: no figure, only the difference between the two.
FAR_ABOVE_LINEAR = 20.0

PARSERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "avcC": (h264.parse_configuration, vectors.AVCC_444),
    "H.264 SPS": (h264.parse_sps, AVC.sps[0]),
    "H.264 frame": (h264.configuration_from_frame, nal.join_length_prefixed(AVC.sps + AVC.pps)),
    "H.264 kinds": (h264.is_keyframe, nal.join_length_prefixed(AVC.sps + AVC.pps)),
    "hvcC": (hevc.parse_configuration, vectors.HVCC_720),
    "HEVC SPS": (hevc_sets.parse_sps, HEVC.sps[0]),
    "HEVC VPS": (hevc_sets.vps_frame_rate, HEVC.vps[0]),
    "HEVC frame": (
        hevc.configuration_from_frame,
        nal.join_length_prefixed(HEVC.vps + HEVC.sps + HEVC.pps),
    ),
    "av1C": (av1.parse_configuration, vectors.AV1C_720),
    "AV1 sequence": (av1.parse_sequence_header, vectors.AV1C_720[6:]),
    "AV1 frame": (av1.configuration_from_frame, AV1),
    "AV1 units": (av1.normalise, AV1),
    "AV1 kinds": (av1.is_keyframe, AV1),
    "vpcC": (vp9.parse_configuration, vectors.VPCC_422),
    "VP9": (vp9.configuration_from_frame, vectors.VP9_422),
    "VP8": (vp8.parse_keyframe, vectors.VP8_144),
    "ASC": (aac.parse_audio_specific_config, vectors.AAC_LC_51),
    "ADTS": (aac.split_adts, vectors.ADTS_51_HEADER + bytes(872)),
    "ADTS config": (aac.config_from_adts, vectors.ADTS_51_HEADER + bytes(872)),
    "OpusHead": (opus.parse_opus_head, vectors.OPUS_51),
    "dOps": (opus.parse_dops, vectors.DOPS_51),
    "Opus": (opus.packet_duration, b"\xff\x02"),
    "AC-3": (ac3.split_syncframes, vectors.AC3_51.ljust(1792, b"\x00")),
    "E-AC-3": (ac3.split_syncframes, vectors.EAC3_51.ljust(1792, b"\x00")),
    "STREAMINFO": (flac.parse_streaminfo, flac.build_config(vectors.FLAC_STREAMINFO)),
    "FLAC": (flac.frame_samples, vectors.FLAC_FRAME),
    "MPEG audio": (mpegaudio.split_frames, vectors.MP3_MONO_44 + bytes(413)),
    "lengths": (nal.normalise, nal.join_length_prefixed(AVC.sps)),
    "start codes": (nal.from_annexb, nal.join_annexb(AVC.sps)),
}


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=60)
@given(
    changes=st.lists(st.tuples(st.integers(0, 119), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 120),
    junk=st.binary(max_size=40),
)
def test_only_documented_errors(
    name: str, changes: list[tuple[int, int]], cut: int, junk: bytes
) -> None:
    """F-RE-09: of mutated, cut and random input, nothing but a `PeerError` comes out."""
    parser, good = PARSERS[name]
    parser(good)
    mutated = bytearray(good[:120])
    for index, value in changes:
        mutated[index % len(mutated)] = value
    for data in (bytes(mutated), bytes(mutated[:cut]) + junk, junk):
        try:
            parser(data)
        except PeerError as error:
            assert error.reference


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize(
    "filler", [b"\x00", b"\xff", b"\x00\x00\x01", b"\x00\x00\x00\x01\x67", b"\x0a\x00"]
)
def test_linear_time(name: str, filler: bytes) -> None:
    """F-RE-09: half a megabyte behind a good start takes a second at most."""
    parser, good = PARSERS[name]
    data = (good + filler * (500_000 // len(filler)))[:500_000]
    start = process_time()
    with suppress(PeerError):
        parser(data)
    assert process_time() - start < FAR_ABOVE_LINEAR


@pytest.mark.parametrize("kind", ["h264", "hevc"])
def test_huge_parameter_sets(kind: str) -> None:
    """F-RE-09: parameter sets of the longest size, of every filler, take no longer."""
    parser, unit = (
        (h264.parse_sps, AVC.sps[0]) if kind == "h264" else (hevc_sets.parse_sps, HEVC.sps[0])
    )
    for keep in range(4, len(unit)):
        for filler in (b"\xff", b"\x80", b"\x55", b"\x24"):
            start = process_time()
            with suppress(PeerError):
                parser(unit[:keep] + filler * 65000)
            assert process_time() - start < FAR_ABOVE_LINEAR
