"""Media messages of tracks other than a stream's first (E-RTMP v2, "Enhanced Video" and "Audio").

Each is a message with one track in it (MultitrackType.OneTrack), and so always in the enhanced
form, H.264 and AAC too. The first track is sent without, in the form that everybody reads.
"""

from __future__ import annotations

from typing import Final

from ntvmedia.formats.flv_codes import (
    AUDIO_FOURCCS,
    NAL_CODECS,
    VIDEO_FOURCCS,
    AudioPacketType,
    FrameType,
    MultitrackType,
    VideoPacketType,
)
from ntvmedia.media import Codec, MediaKind, Packet, Track

_EX_VIDEO: Final = 0x80
_EX_AUDIO: Final = 0x90
_MAX_OFFSET: Final = 0x7FFFFF

# AudioPacketType and VideoPacketType number these alike.
_SEQUENCE_START: Final = 0
_CODED_FRAMES: Final = 1


def can_carry(track: Track) -> bool:
    """Whether there is a form for a track beside the first."""
    return track.codec in VIDEO_FOURCCS or track.codec in AUDIO_FOURCCS


def sequence_start(track: Track) -> bytes:
    """Write what a decoder needs first; `b""` where the codec has none."""
    if not track.config or track.codec is Codec.VP8:
        return b""
    return _head(track, _SEQUENCE_START, FrameType.KEY) + track.config


def color_info(track: Track) -> bytes:
    """Write a track's colour information; `b""` without."""
    if not track.color_info or track.kind is not MediaKind.VIDEO:
        return b""
    return _head(track, VideoPacketType.METADATA, FrameType.KEY) + track.color_info


def body_prefix(packet: Packet) -> bytes:
    """Write what stands before the payload of a frame."""
    track = packet.track
    frame_type = FrameType.KEY if packet.is_keyframe else FrameType.INTER
    head = _head(track, _CODED_FRAMES, frame_type)
    if track.codec not in NAL_CODECS:
        return head
    offset = (packet.pts + 45) // 90 - (packet.dts + 45) // 90
    offset = min(max(offset, -_MAX_OFFSET), _MAX_OFFSET)
    return head + (offset & 0xFFFFFF).to_bytes(3, "big")


def _head(track: Track, packet_type: int, frame_type: FrameType) -> bytes:
    if track.kind is MediaKind.VIDEO:
        first = _EX_VIDEO | frame_type << 4 | VideoPacketType.MULTITRACK
        fourcc = VIDEO_FOURCCS[track.codec]
    else:
        first = _EX_AUDIO | AudioPacketType.MULTITRACK
        fourcc = AUDIO_FOURCCS[track.codec]
    layout = MultitrackType.ONE_TRACK << 4 | packet_type
    return bytes((first, layout)) + fourcc + bytes((track.number,))
