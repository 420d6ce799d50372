"""Tests of FLAC's STREAMINFO and frame headers."""

from __future__ import annotations

import pytest

from ntvmedia.codecs import flac
from ntvmedia.errors import PeerError
from tests.codecs import vectors


def test_forms() -> None:
    """Alone, after its block header, and after "fLaC": the same, as ffprobe says."""
    block = vectors.FLAC_STREAMINFO
    for data in (block, b"\x00\x00\x00\x22" + block, b"fLaC\x80\x00\x00\x22" + block + b"more"):
        assert flac.parse_streaminfo(data) == (48000, 2, 16, 4608, 4608, 14400)
        assert flac.build_config(data) == b"fLaC\x80\x00\x00\x22" + block


def test_rfc_example() -> None:
    """RFC 9639 appendix D.1.1: a file of one sample, 44.1 kHz, stereo, 16 bits."""
    data = bytes.fromhex(
        "664c6143 80000022 1000 1000 00000f 00000f 0ac442f0 00000001"
        "3e84b41807dc690307587e3dad1a2e0f"
    )
    assert flac.parse_streaminfo(data) == (44100, 2, 16, 4096, 4096, 1)
    # D.1.2: its frame, which has the block size, less one, behind its number.
    assert flac.frame_samples(bytes.fromhex("fff869180000bf")) == 1


@pytest.mark.parametrize("data", [b"", b"fLaC", bytes(33), b"fLaC\x04\x00\x00\x22" + bytes(34)])
def test_no_streaminfo(data: bytes) -> None:
    """Cut off, or another block."""
    with pytest.raises(PeerError, match="no STREAMINFO"):
        flac.parse_streaminfo(data)


def test_forbidden_values() -> None:
    """0 Hz; blocks of less than 16 samples."""
    with pytest.raises(PeerError, match="forbidden"):
        flac.parse_streaminfo(bytes(34))
    with pytest.raises(PeerError, match="forbidden"):
        flac.parse_streaminfo(b"\x00\x0f" + vectors.FLAC_STREAMINFO[2:])


@pytest.mark.parametrize(
    ("head", "samples"),
    [
        (vectors.FLAC_FRAME.hex(), 4608),
        ("fff8190000", 192),
        ("fff8290000", 576),
        ("fff8890000", 256),
        ("fff8f90000", 32768),
        ("fff87900c28003ff", 1024),  # size in 16 bits behind a number of two bytes
        ("fff8090000", None),
        ("fff87900ff0000", None),
        ("fff879008000", None),
        ("fff8790000ff", None),
        ("fffb900000", None),
    ],
)
def test_frame(head: str, samples: int | None) -> None:
    """RFC 9639 table 14; reserved, malformed and cut off headers are refused."""
    if samples is None:
        with pytest.raises(PeerError):
            flac.frame_samples(bytes.fromhex(head))
    else:
        assert flac.frame_samples(bytes.fromhex(head)) == samples
