"""The numbers and four-character codes that FLV and RTMP name codecs by.

"FLV 10.1 E.n" is annex E of Adobe's "Video File Format Specification" version 10.1; "E-RTMP v2" is
Veovera's "Enhanced RTMP v2", which gives the same two message bodies more codecs and tracks.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ntvmedia.media.packets import Codec


class FrameType(IntEnum):
    """Kinds of video frames (FLV 10.1 E.4.3.1)."""

    KEY = 1
    INTER = 2
    DISPOSABLE = 3
    GENERATED_KEY = 4
    COMMAND = 5


class AVCPacketType(IntEnum):
    """The second byte of legacy AVC and HEVC (FLV 10.1 E.4.3.1)."""

    SEQUENCE_HEADER = 0
    NALU = 1
    END_OF_SEQUENCE = 2


class VideoPacketType(IntEnum):
    """The low half of an enhanced video message's first byte (E-RTMP v2 "Enhanced Video")."""

    SEQUENCE_START = 0
    CODED_FRAMES = 1
    SEQUENCE_END = 2
    CODED_FRAMES_X = 3
    METADATA = 4
    MPEG2TS_SEQUENCE_START = 5
    MULTITRACK = 6
    MOD_EX = 7


class AudioPacketType(IntEnum):
    """The low half of an enhanced audio message's first byte (E-RTMP v2 "Enhanced Audio")."""

    SEQUENCE_START = 0
    CODED_FRAMES = 1
    SEQUENCE_END = 2
    MULTICHANNEL_CONFIG = 4
    MULTITRACK = 5
    MOD_EX = 7


class MultitrackType(IntEnum):
    """How the tracks of one message are laid out (E-RTMP v2 "Enhanced Audio", "Enhanced Video")."""

    ONE_TRACK = 0
    MANY_TRACKS = 1
    MANY_TRACKS_MANY_CODECS = 2


class SoundFormat(IntEnum):
    """The high half of an audio message's first byte (FLV 10.1 E.4.2.1)."""

    PCM_PLATFORM = 0
    ADPCM = 1
    MP3 = 2
    PCM_LITTLE_ENDIAN = 3
    NELLYMOSER_16K = 4
    NELLYMOSER_8K = 5
    NELLYMOSER = 6
    PCM_ALAW = 7
    PCM_MULAW = 8
    ENHANCED = 9
    AAC = 10
    SPEEX = 11
    MP3_8K = 14


SOUND_RATES: Final = (5512, 11025, 22050, 44100)
"""Hz, by the two bits SoundRate (FLV 10.1 E.4.2.1)."""

SPEEX_RATE: Final = 16000
"""Hz: Speex in FLV is always mono at this rate, whatever SoundRate says (FLV 10.1 E.4.2.1)."""

VIDEO_CODEC_IDS: Final = {Codec.FLV1: 2, Codec.VP6F: 4, Codec.H264: 7}
"""The low half of a legacy video message's first byte (FLV 10.1 E.4.3.1)."""

LEGACY_HEVC_ID: Final = 12
"""In no document: Chinese CDNs and encoders send HEVC laid out as AVC under this number."""

VIDEO_FOURCCS: Final = {
    Codec.H264: b"avc1",
    Codec.HEVC: b"hvc1",
    Codec.VVC: b"vvc1",
    Codec.AV1: b"av01",
    Codec.VP8: b"vp08",
    Codec.VP9: b"vp09",
}
"""E-RTMP v2, enum VideoFourCc."""

AUDIO_FOURCCS: Final = {
    Codec.AAC: b"mp4a",
    Codec.MP3: b".mp3",
    Codec.OPUS: b"Opus",
    Codec.AC3: b"ac-3",
    Codec.EAC3: b"ec-3",
    Codec.FLAC: b"fLaC",
}
"""E-RTMP v2, enum AudioFourCc."""

CODECS_BY_VIDEO_FOURCC: Final = {code: codec for codec, code in VIDEO_FOURCCS.items()}
CODECS_BY_AUDIO_FOURCC: Final = {code: codec for codec, code in AUDIO_FOURCCS.items()}

NAL_CODECS: Final = frozenset({Codec.H264, Codec.HEVC, Codec.VVC})
"""Codecs whose frames are NAL units, each after its length, with a composition time."""

CONFIGURED_CODECS: Final = NAL_CODECS | {Codec.AV1, Codec.VP9, Codec.AAC, Codec.OPUS, Codec.FLAC}
"""Codecs that cannot be decoded without the body of their sequence header."""
