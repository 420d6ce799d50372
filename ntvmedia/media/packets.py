"""The one neutral form of media: tracks, and the packets that they are made of.

Modelled on ISO/IEC 14496-12: a packet is what MP4 calls a sample, a track's `config` is what MP4
keeps in the decoder configuration record of its sample entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

VIDEO_CLOCK_RATE: Final = 90000
"""Ticks a second of every video track, as in RTP (RFC 6184 section 8.2.1)."""


class MediaKind(StrEnum):
    """What a track is for."""

    VIDEO = "video"
    AUDIO = "audio"
    DATA = "data"


class Codec(StrEnum):
    """A codec, by FFmpeg's name for it."""

    H264 = "h264"
    HEVC = "hevc"
    VVC = "vvc"
    AV1 = "av1"
    VP8 = "vp8"
    VP9 = "vp9"
    FLV1 = "flv1"
    VP6F = "vp6f"
    AAC = "aac"
    MP3 = "mp3"
    OPUS = "opus"
    AC3 = "ac3"
    EAC3 = "eac3"
    FLAC = "flac"
    PCM_ALAW = "pcm_alaw"
    PCM_MULAW = "pcm_mulaw"
    PCM_S16LE = "pcm_s16le"
    PCM_U8 = "pcm_u8"
    SPEEX = "speex"
    NELLYMOSER = "nellymoser"
    AMF0 = "amf0"

    @property
    def kind(self) -> MediaKind:
        """Whether this codec carries pictures, sound or data."""
        if self in _VIDEO:
            return MediaKind.VIDEO
        return MediaKind.DATA if self is Codec.AMF0 else MediaKind.AUDIO


_VIDEO: Final = frozenset(
    {
        Codec.H264,
        Codec.HEVC,
        Codec.VVC,
        Codec.AV1,
        Codec.VP8,
        Codec.VP9,
        Codec.FLV1,
        Codec.VP6F,
    }
)
_KIND_CODE: Final = {MediaKind.VIDEO: 0, MediaKind.AUDIO: 1, MediaKind.DATA: 2}


@dataclass(frozen=True, slots=True)
class Track:
    """One elementary stream of a live stream or a file.

    Immutable: when the decoder configuration changes, the publisher announces a new `Track` with
    the same codec kind and number, and its packets refer to that one from then on.

    Attributes:
        codec: What the payloads are.
        number: The publisher's number for it among the tracks of its kind; 0 is the default one,
            which a player without multitrack gets. 0 to 255.
        clock_rate: Ticks a second of `Packet.dts` and `Packet.pts`: 90000 for video, the sample
            rate for audio, 1000 for data.
        config: The decoder configuration: avcC, hvcC, vvcC, av1C, vpcC (with its 4 bytes of
            version and flags), AudioSpecificConfig, OpusHead as in RFC 7845 5.1, the STREAMINFO
            block of FLAC with "fLaC" before it. Empty where the codec has none or it is not known.
        channels: Of audio; 0 where it is not known.
        language: BCP 47, or empty.
        color_info: The AMF0 body of Enhanced RTMP's `colorInfo` metadata frame, or empty.
        kind: Derived from the codec.
        id: Unique among a stream's tracks, the same after a change of configuration. Derived.
    """

    codec: Codec
    number: int = 0
    clock_rate: int = VIDEO_CLOCK_RATE
    config: bytes = b""
    channels: int = 0
    language: str = ""
    color_info: bytes = b""
    kind: MediaKind = field(init=False)
    id: int = field(init=False)

    def __post_init__(self) -> None:
        kind = self.codec.kind
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "id", self.number << 2 | _KIND_CODE[kind])


class Packet(NamedTuple):
    """One access unit of one track.

    A named tuple, since it is made for every frame that comes in: it costs a quarter of a frozen
    dataclass with slots.

    Attributes:
        track: Its track, as last announced.
        dts: Decode time in ticks of the track's clock. Unbounded: it never wraps. What a
            publisher sends may jump; behind the hub it strictly increases in each track.
        pts: Presentation time in the same ticks; may be less than `dts` only where the
            publisher's composition time is negative.
        is_keyframe: Decoding can begin here. Always true for audio and data.
        payload: H.264, HEVC, VVC: NAL units each after its 4-byte length (ISO/IEC 14496-15).
            AV1: a temporal unit of OBUs with sizes, without temporal delimiter (as in MP4).
            AAC: a raw frame without ADTS header. AMF0: a script data body.
    """

    track: Track
    dts: int
    pts: int
    is_keyframe: bool
    payload: bytes
