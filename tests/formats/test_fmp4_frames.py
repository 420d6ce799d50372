"""Tests of ntvmedia.formats.fmp4_frames, through the muxer and alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ntvmedia.codecs import aac, flac, h264, hevc
from ntvmedia.formats.fmp4_frames import measurer, trimmer
from ntvmedia.formats.fmp4_muxer import Muxer
from ntvmedia.media import Codec, Packet, Track
from tests.codecs import vectors
from tests.formats.flv_bytes import nal_units
from tests.formats.mp4_runs import File, read
from tests.formats.ts_bytes import (
    AAC,
    AC3,
    AC3_FRAME,
    EAC3,
    EAC3_FRAME,
    H264,
    HEVC,
    HEVC_IDR,
    MP3,
    MP3_FRAME,
    OPUS,
    OPUS_FRAME,
)

FLAC = Track(
    Codec.FLAC, clock_rate=48000, config=flac.build_config(vectors.FLAC_STREAMINFO), channels=2
)
VP9 = Track(Codec.VP9)


def mux(packets: list[Packet], track: Track) -> File:
    """Write one fragment of everything."""
    muxer = Muxer([track])
    for packet in packets:
        muxer.packet(packet)
    return read(muxer.finish())


def durations(file: File) -> list[int]:
    """Return the durations of the samples."""
    return [sample.duration for sample in file.tracks[1].samples]


@pytest.mark.parametrize(
    ("track", "frame", "ticks"),
    [
        (AAC, b"!sound", 1024),
        (replace(AAC, config=aac.build_audio_specific_config(
            aac.AudioSpecificConfig(sample_rate=24000, sbr=True, extension_rate=48000)
        )), b"!sound", 2048),
        (MP3, MP3_FRAME, 1152),
        (replace(MP3, clock_rate=22050), vectors.MP3_STEREO_22, 576),
        (AC3, AC3_FRAME, 1536),
        (EAC3, EAC3_FRAME, 1536),
        (EAC3, EAC3_FRAME * 2, 3072),
        (EAC3, EAC3_FRAME + b"\x0b\x77" + bytes((EAC3_FRAME[2] | 0x40,)) + EAC3_FRAME[3:], 1536),
        (EAC3, EAC3_FRAME + b"\x0b\x77" + bytes((EAC3_FRAME[2] | 0x08,)) + EAC3_FRAME[3:], 1536),
        (OPUS, OPUS_FRAME, 960),
        (FLAC, vectors.FLAC_FRAME, 4608),
    ],
)  # fmt: skip
def test_nominal_durations(track: Track, frame: bytes, ticks: int) -> None:
    """C-FM-08: at the end of a timeline a frame of sound is as long as its codec says."""
    file = mux([Packet(track, 0, 0, True, frame)], track)
    assert durations(file) == [ticks]
    # A broken one has the length of the one before.
    broken = [Packet(track, time, time, True, b"\3") for time in (0, 700, 1300)]
    if track.codec is not Codec.AAC:
        assert durations(mux(broken, track)) == [700, 600, 600]


def test_parameter_sets_are_in_the_record_only() -> None:
    """C-FM-05, ISO/IEC 14496-15 section 4.2.3: "avc1" and "hvc1" have none in their samples.

    Sets that the record does not have stay: without them nothing could be decoded.
    """
    avc = h264.parse_configuration(vectors.AVCC_1080)
    (sps,), (pps,) = avc.sps, avc.pps
    sei, idr, delimiter = b"\x06\x05\x01x\x80", b"\x65\x88picture", b"\x09\xf0"
    trim = trimmer(H264)
    assert trim is not None
    assert trim(nal_units(delimiter, sps, pps, sei, idr)) == nal_units(delimiter, sei, idr)
    for kept in (
        nal_units(idr),
        nal_units(idr, sps),
        nal_units(sei, b"\x67other", idr),
        nal_units(sps),
        nal_units(sps, pps),
        nal_units(sps, idr)[:-1],
        nal_units(sei, idr),
        b"\0\0\0",
        b"\0\0\0\x01",
        b"\0\0\0\0" * 9,
    ):
        assert trim(kept) is kept
    assert trim(nal_units(sps, b"\x67other", idr)) == nal_units(b"\x67other", idr)
    record = hevc.parse_configuration(vectors.HVCC_720)
    irap = HEVC_IDR[4:]
    trim = trimmer(HEVC)
    assert trim is not None
    sets = (*record.vps, *record.sps, *record.pps)
    prefix = b"\x4e\x01\x05\x01x\x80"
    assert trim(nal_units(b"\x46\x01\x50", *sets, prefix, irap)) == nal_units(
        b"\x46\x01\x50", prefix, irap
    )
    for kept in (HEVC_IDR, nal_units(b"\x42\x01other", irap), nal_units(*sets), b"\0\0\0\x01"):
        assert trim(kept) is kept
    file = mux([Packet(H264, 0, 0, True, nal_units(sps, pps, idr))], H264)
    assert file.payloads(1) == [nal_units(idr)]


def test_what_needs_no_care() -> None:
    """Most codecs' packets are samples; pictures, and AAC of no known kind, have no length."""
    assert trimmer(AAC) is trimmer(VP9) is trimmer(Track(Codec.H264)) is None
    assert measurer(H264) is measurer(VP9) is measurer(Track(Codec.AAC, clock_rate=48000)) is None
