"""Tests of AC-3 and E-AC-3 syncframes and boxes."""

from __future__ import annotations

import pytest

from ntvmedia.codecs import ac3
from ntvmedia.codecs.bits import BitWriter
from ntvmedia.errors import PeerError, UsageError
from ntvmedia.media.packets import Codec
from tests.codecs import vectors


def dependent(chanmap: int, size: int = 64) -> bytes:
    """Write a dependent substream of E-AC-3, 48 kHz, 6 blocks, 4 channels, with this map."""
    writer = BitWriter()
    for value, count in (
        (0x0B77, 16), (1, 2), (0, 3), (size // 2 - 1, 11), (0, 2), (3, 2), (6, 3), (0, 1),
        (16, 5), (31, 5), (0, 1), (1, 1), (chanmap, 16), (0, 1), (1, 1), (2, 3),
    ):  # fmt: skip
        writer.u(value, count)
    return writer.to_bytes().ljust(size, b"\x00")


def test_ac3() -> None:
    """Headers are what ffprobe says, and dac3 is what ffmpeg wrote."""
    stereo = ac3.parse_syncframe(vectors.AC3_STEREO_44)
    assert stereo.codec is Codec.AC3
    assert stereo[1:6] == (44100, 2, 834, 1536, 192000)
    assert ac3.dac3(stereo) == vectors.DAC3_STEREO_44
    surround = ac3.parse_syncframe(b"xyz" + vectors.AC3_51, 3)
    assert surround[1:6] == (48000, 6, 1792, 1536, 448000)
    assert surround.lfe
    assert ac3.dac3(surround) == vectors.DAC3_51


def test_eac3() -> None:
    """The header is what ffprobe says, and dec3 is what ffmpeg wrote."""
    frame = ac3.parse_syncframe(vectors.EAC3_51)
    assert frame.codec is Codec.EAC3
    assert frame[1:6] == (48000, 6, 1792, 1536, 448000)
    assert ac3.dec3([frame]) == vectors.DEC3_51
    with pytest.raises(UsageError):
        ac3.dac3(frame)


def test_frame_sizes_at_44100() -> None:
    """1536 samples are no whole number of words: ETSI TS 102 366 table 4.13 has two sizes."""
    data = bytearray(vectors.AC3_STEREO_44)
    sizes = []
    for code in (0, 1, 20, 21, 36, 37):
        data[4] = 0x40 | code
        sizes.append(ac3.parse_syncframe(bytes(data)).frame_size)
    assert sizes == [69 * 2, 70 * 2, 417 * 2, 418 * 2, 1393 * 2, 1394 * 2]


def test_half_rate() -> None:
    """A bsid of 9 halves the sample rate, and with it the bitrate."""
    data = bytearray(vectors.AC3_51)
    data[5] = 9 << 3
    frame = ac3.parse_syncframe(bytes(data))
    assert (frame.sample_rate, frame.bitrate, frame.frame_size) == (24000, 224000, 1792)


def test_seven_point_one() -> None:
    """5.1 with a dependent substream of both surrounds and two at the back: 8 channels."""
    unit = vectors.EAC3_51.ljust(1792, b"\x00") + dependent(0b0001_1010_0000_0000)
    frames = ac3.split_syncframes(unit)
    assert [(x.stream_type, x.channels) for x in frames] == [(0, 6), (1, 4)]
    assert frames[1].bsmod == 2
    assert ac3.total_channels(frames) == 8
    # data_rate 464, one independent substream; num_dep_sub 1, chan_loc bit 1: Lrs/Rrs.
    assert ac3.dec3(frames).hex() == "0e80200f0202"
    assert ac3.total_channels(frames[:1]) == 6
    assert ac3.total_channels([]) == 0
    with pytest.raises(UsageError):
        ac3.dec3(frames[1:])


def test_reduced_rate() -> None:
    """With fscod 3: half the rate that fscod2 names, and always six blocks."""
    data = bytearray(vectors.EAC3_51)
    data[4] = 0xC0 | 0x10 | data[4] & 0x0F
    frame = ac3.parse_syncframe(bytes(data))
    assert (frame.sample_rate, frame.samples) == (22050, 1536)


@pytest.mark.parametrize(
    ("index", "value"), [(0, 0), (4, 0xC0), (4, 0x3F), (5, 0xFF), (5, 17 << 3)]
)
def test_broken_ac3(index: int, value: int) -> None:
    """No sync word; reserved rate and size; unknown bsid."""
    data = bytearray(vectors.AC3_51)
    data[index] = value
    with pytest.raises(PeerError):
        ac3.parse_syncframe(bytes(data))


def test_cut_off() -> None:
    """A header or a frame that is cut off is an error."""
    for data in (b"", vectors.AC3_51[:6], vectors.EAC3_51[:6]):
        with pytest.raises(PeerError):
            ac3.parse_syncframe(data)
    with pytest.raises(PeerError, match="cut off"):
        ac3.split_syncframes(vectors.AC3_51)
    with pytest.raises(PeerError, match="reserved"):
        ac3.parse_syncframe(b"\x0b\x77\xc1" + vectors.EAC3_51[3:])
