"""MPEG-1, MPEG-2 and MPEG-2.5 audio, layers I to III: frame headers.

ISO/IEC 11172-3 section 2.4.1.3 and ISO/IEC 13818-3 section 2.4.2.3; MPEG-2.5 is an extension of
Fraunhofer's to 8, 11.025 and 12 kHz.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.errors import PeerError

HEADER_LENGTH: Final = 4

_REFERENCE: Final = "ISO/IEC 11172-3 section 2.4.1.3"

# By the two bits of `ID` (with the bit that MPEG-2.5 took from the sync word); 1 is reserved.
_VERSIONS: Final = (2.5, 0.0, 2.0, 1.0)
_SAMPLE_RATES: Final = {
    1.0: (44100, 48000, 32000),
    2.0: (22050, 24000, 16000),
    2.5: (11025, 12000, 8000),
}
# kbit/s by index, 0 being "free format". MPEG-2 and 2.5 share one row for layers II and III.
_LOW_RATES: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_BITRATES: Final = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): _LOW_RATES,
    (2, 3): _LOW_RATES,
}


class MPEGAudioHeader(NamedTuple):
    """What stands in front of every frame.

    Attributes:
        version: 1.0, 2.0 or 2.5.
        layer: 1, 2 or 3.
        sample_rate: In Hz.
        channels: 1 or 2.
        bitrate: In bit/s.
        frame_length: Bytes of the frame, header included.
        samples: Per channel, that the frame decodes to.
    """

    version: float
    layer: int
    sample_rate: int
    channels: int
    bitrate: int
    frame_length: int
    samples: int


def parse_header(data: bytes, offset: int = 0) -> MPEGAudioHeader:
    """Read the frame header at `offset`.

    Raises:
        PeerError: There is none, it has reserved values, or the bitrate is "free".
    """
    head = data[offset : offset + HEADER_LENGTH]
    if len(head) < HEADER_LENGTH:
        raise PeerError("the data ends in a frame header", reference=_REFERENCE, offset=offset)
    if head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        raise PeerError("no sync word of MPEG audio", reference=_REFERENCE, offset=offset)
    version = _VERSIONS[head[1] >> 3 & 3]
    layer = 4 - (head[1] >> 1 & 3)
    bitrate_index = head[2] >> 4
    rate_index = head[2] >> 2 & 3
    if not version or layer == 4 or rate_index == 3 or bitrate_index == 15:
        raise PeerError("a reserved value of MPEG audio", reference=_REFERENCE, offset=offset)
    if not bitrate_index:
        raise PeerError("free format is not supported", reference=_REFERENCE, offset=offset)
    bitrate = _BITRATES[1 if version == 1 else 2, layer][bitrate_index] * 1000
    sample_rate = _SAMPLE_RATES[version][rate_index]
    padding = head[2] >> 1 & 1
    if layer == 1:
        samples = 384
        frame_length = (12 * bitrate // sample_rate + padding) * 4
    else:
        samples = 576 if layer == 3 and version != 1 else 1152
        frame_length = samples // 8 * bitrate // sample_rate + padding
    channels = 1 if head[3] >> 6 == 3 else 2
    return MPEGAudioHeader(version, layer, sample_rate, channels, bitrate, frame_length, samples)


def split_frames(data: bytes) -> list[bytes]:
    """Cut whole frames that follow one another.

    Raises:
        PeerError: As `parse_header`, or the last frame is cut off.
    """
    frames: list[bytes] = []
    position = 0
    while position < len(data):
        stop = position + parse_header(data, position).frame_length
        if stop > len(data):
            raise PeerError("a frame is cut off", reference=_REFERENCE, offset=position)
        frames.append(data[position:stop])
        position = stop
    return frames


def codec_string(header: MPEGAudioHeader) -> str:
    """Return the RFC 6381 name: MPEG-4's object types 32 to 34 are layers I to III."""
    return f"mp4a.40.{31 + header.layer}"
