"""G.711 A-law and µ-law: one byte is one sample of one channel."""

from __future__ import annotations

from typing import Final

from ntvmedia.media.packets import Codec

SAMPLE_RATE: Final = 8000
"""Hz, of telephony, RTP's static payload types and FLV's sound formats 7 and 8."""

PAYLOAD_TYPES: Final = {Codec.PCM_MULAW: 0, Codec.PCM_ALAW: 8}
"""RTP's static payload types for 8 kHz mono (RFC 3551 section 6)."""

ENCODING_NAMES: Final = {Codec.PCM_MULAW: "PCMU", Codec.PCM_ALAW: "PCMA"}
"""Names in SDP's `rtpmap` (RFC 3551 section 4.5.14)."""

CODEC_STRINGS: Final = {Codec.PCM_MULAW: "ulaw", Codec.PCM_ALAW: "alaw"}
"""RFC 6381 names: the sample entries of QuickTime."""

SILENCE: Final = {Codec.PCM_MULAW: 0xFF, Codec.PCM_ALAW: 0xD5}
"""The byte for the smallest positive sample (ITU-T G.711 tables 1 and 2)."""


def samples(payload: bytes, channels: int = 1) -> int:
    """Count the samples of each channel; a remainder of less than one for each is not counted."""
    return len(payload) // max(channels, 1)
