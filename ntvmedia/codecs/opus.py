"""Opus: the identification header in Ogg's and MP4's form, and how long a packet lasts.

RFC 7845 section 5.1 (OpusHead), RFC 6716 section 3 (packets), "Encapsulation of Opus in ISO Base
Media File Format" section 4.3.2 (dOps).
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from ntvmedia.errors import PeerError

CLOCK_RATE: Final = 48000
"""Opus always counts time at 48 kHz, whatever was its input's rate (RFC 7845 section 4)."""

CODEC_STRING: Final = "opus"

# 120 ms: the longest packet (RFC 6716 section 3.2.5, R5).
MAX_PACKET_SAMPLES: Final = 5760

_MAGIC: Final = b"OpusHead"
_HEAD: Final = "RFC 7845 section 5.1"
_PACKET: Final = "RFC 6716 section 3.4"
_DOPS: Final = "Opus in ISOBMFF section 4.3.2"

# Samples at 48 kHz of one frame, by the configuration number of the TOC byte (RFC 6716 table 2).
_FRAME_SAMPLES: Final = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4


class OpusHead(NamedTuple):
    """The identification header.

    Attributes:
        channels: 1 to 255.
        pre_skip: Samples at 48 kHz to drop at the start.
        sample_rate: Of the encoder's input, in Hz; 0 where unknown. Playback is at 48 kHz.
        gain: To apply, in 1/256 dB; -32768 to 32767.
        mapping_family: 0 (mono, stereo), 1 (Vorbis order, up to 8), 2 and 3 (ambisonics), 255.
        streams: Opus streams in a packet.
        coupled: How many of them are stereo.
        mapping: One byte per channel; empty for family 0.
    """

    channels: int = 2
    pre_skip: int = 312
    sample_rate: int = 48000
    gain: int = 0
    mapping_family: int = 0
    streams: int = 1
    coupled: int = 1
    mapping: bytes = b""


def parse_opus_head(data: bytes) -> OpusHead:
    """Read an OpusHead.

    Raises:
        PeerError: It is none, of another major version, or contradicts itself.
    """
    if len(data) < 19 or data[:8] != _MAGIC:
        raise PeerError("not an OpusHead", reference=_HEAD, offset=0)
    if data[8] >> 4:
        raise PeerError(f"OpusHead version {data[8]} is unknown", reference=_HEAD, offset=8)
    channels, pre_skip, sample_rate, gain, family = struct.unpack_from("<BHIhB", data, 9)
    return _checked(channels, pre_skip, sample_rate, gain, family, data[19:], _HEAD)


def build_opus_head(head: OpusHead) -> bytes:
    """Write an OpusHead, version 1."""
    fixed = struct.pack(
        "<8sBBHIhB",
        _MAGIC,
        1,
        head.channels,
        head.pre_skip,
        head.sample_rate,
        head.gain,
        head.mapping_family,
    )
    return fixed + _mapping_table(head)


def parse_dops(data: bytes) -> OpusHead:
    """Read the body of MP4's OpusSpecificBox.

    Raises:
        PeerError: It is too short, of another version, or contradicts itself.
    """
    if len(data) < 11:
        raise PeerError("dOps is too short", reference=_DOPS, offset=len(data))
    version, channels, pre_skip, sample_rate, gain, family = struct.unpack_from(">BBHIhB", data)
    if version:
        raise PeerError(f"dOps version {version} is unknown", reference=_DOPS, offset=0)
    return _checked(channels, pre_skip, sample_rate, gain, family, data[11:], _DOPS)


def build_dops(head: OpusHead) -> bytes:
    """Write the body of MP4's OpusSpecificBox, version 0."""
    fixed = struct.pack(
        ">BBHIhB",
        0,
        head.channels,
        head.pre_skip,
        head.sample_rate,
        head.gain,
        head.mapping_family,
    )
    return fixed + _mapping_table(head)


def packet_duration(payload: bytes) -> int:
    """Count the samples at 48 kHz that a packet decodes to: 120 to 5760.

    Of a packet with several streams all last the same, so the first is enough.

    Raises:
        PeerError: The packet is empty, has no frame, or lasts more than 120 ms.
    """
    if not payload:
        raise PeerError("an Opus packet is empty", reference=_PACKET, offset=0)
    toc = payload[0]
    code = toc & 3
    if code == 3:
        if len(payload) < 2 or not payload[1] & 0x3F:
            raise PeerError("an Opus packet has no frame", reference=_PACKET, offset=1)
        frames = payload[1] & 0x3F
    else:
        frames = 2 if code else 1
    samples = _FRAME_SAMPLES[toc >> 3] * frames
    if samples > MAX_PACKET_SAMPLES:
        raise PeerError("an Opus packet lasts more than 120 ms", reference=_PACKET, offset=1)
    return samples


def _checked(
    channels: int,
    pre_skip: int,
    sample_rate: int,
    gain: int,
    family: int,
    table: bytes,
    reference: str,
) -> OpusHead:
    if not channels:
        raise PeerError("Opus without channels", reference=reference, offset=9)
    if family == 0:
        if channels > 2:
            raise PeerError("family 0 has one or two channels", reference=reference, offset=9)
        return OpusHead(channels, pre_skip, sample_rate, gain, 0, 1, channels - 1)
    if len(table) < 2 + channels:
        raise PeerError("the channel mapping table is cut off", reference=reference, offset=19)
    streams, coupled = table[0], table[1]
    mapping = table[2 : 2 + channels]
    # Family 3 has a matrix in the place of the mapping (RFC 8486 section 3.2).
    wrong = family != 3 and any(x >= streams + coupled and x != 255 for x in mapping)
    if not streams or coupled > streams or streams + coupled > 255 or wrong:
        raise PeerError("the channel mapping table is wrong", reference=reference, offset=19)
    if family == 3:
        mapping = table[2:]
    return OpusHead(channels, pre_skip, sample_rate, gain, family, streams, coupled, mapping)


def _mapping_table(head: OpusHead) -> bytes:
    if not head.mapping_family:
        return b""
    return bytes((head.streams, head.coupled)) + head.mapping
