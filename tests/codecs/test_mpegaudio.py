"""Tests of MPEG audio's frame headers."""

from __future__ import annotations

import pytest

from ntvmedia.codecs import mpegaudio
from ntvmedia.errors import PeerError
from tests.codecs import vectors


@pytest.mark.parametrize(
    ("head", "expected", "name"),
    [
        (vectors.MP3_MONO_44, (1.0, 3, 44100, 1, 128000, 417, 1152), "mp4a.40.34"),
        (vectors.MP3_STEREO_22, (2.0, 3, 22050, 2, 56000, 182, 576), "mp4a.40.34"),
        (vectors.MP2_STEREO_48, (1.0, 2, 48000, 2, 384000, 1152, 1152), "mp4a.40.33"),
        # Layer I of 384 kbit/s at 48 kHz, and MPEG-2.5 of 8 kbit/s at 8 kHz.
        (bytes.fromhex("ffffc400"), (1.0, 1, 48000, 2, 384000, 384, 384), "mp4a.40.32"),
        (bytes.fromhex("ffe318c0"), (2.5, 3, 8000, 1, 8000, 72, 576), "mp4a.40.34"),
    ],
)
def test_headers(head: bytes, expected: tuple[float, ...], name: str) -> None:
    """What ffprobe says of each, and the length that the file has."""
    header = mpegaudio.parse_header(b"xx" + head, 2)
    assert tuple(header) == expected
    assert mpegaudio.codec_string(header) == name


@pytest.mark.parametrize(
    "head", ["", "fffb90", "fff15080", "ffeb9000", "fff99000", "fffbf000", "fffb9c00", "fffb0000"]
)
def test_refused(head: str) -> None:
    """Cut off; ADTS; reserved version, layer, bitrate and sample rate; free format."""
    with pytest.raises(PeerError):
        mpegaudio.parse_header(bytes.fromhex(head))


def test_split() -> None:
    """Frames are cut by their lengths; a last one that is cut off is an error."""
    frames = [vectors.MP3_MONO_44 + bytes(413), vectors.MP3_STEREO_22 + bytes(178)]
    assert mpegaudio.split_frames(b"".join(frames)) == frames
    assert mpegaudio.split_frames(b"") == []
    with pytest.raises(PeerError, match="cut off"):
        mpegaudio.split_frames(frames[0][:-1])
