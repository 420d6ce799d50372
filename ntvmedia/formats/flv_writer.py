"""Packets and tracks, turned into the bodies of FLV tags and RTMP media messages.

H.264, AAC, MP3 and the older codecs take the form of FLV 10.1 E.4.2 and E.4.3, which everything
reads; the newer ones that of Enhanced RTMP ("E-RTMP v2").
"""

from __future__ import annotations

from typing import Final

from ntvmedia.formats.flv_codes import (
    AUDIO_FOURCCS,
    CONFIGURED_CODECS,
    LEGACY_HEVC_ID,
    NAL_CODECS,
    SOUND_RATES,
    SPEEX_RATE,
    VIDEO_CODEC_IDS,
    VIDEO_FOURCCS,
    SoundFormat,
)
from ntvmedia.media.packets import Codec, Packet, Track

# First bytes: the frame types "key" and "inter" of each form.
_KEY: Final = 0x10
_INTER: Final = 0x20
_EX_KEY: Final = 0x90
_EX_INTER: Final = 0xA0
_EX_AUDIO: Final = 0x90

_H264: Final = Codec.H264
_HEVC: Final = Codec.HEVC
_AAC: Final = Codec.AAC

# Bits of the second to fifth byte: AVC packet type 1, and the composition time.
_AVC_KEY_NALU: Final = 0x1701000000
_AVC_INTER_NALU: Final = 0x2701000000
_AVC_KEY_NOW: Final = b"\x17\x01\x00\x00\x00"
_AVC_INTER_NOW: Final = b"\x27\x01\x00\x00\x00"
_LEGACY_HEVC_KEY_NALU: Final = 0x1C01000000
_LEGACY_HEVC_INTER_NALU: Final = 0x2C01000000

# AAC's flags say 44.1 kHz, 16 bits, stereo, whatever is true (FLV 10.1 E.4.2.1).
_AAC_HEADER: Final = b"\xaf\x00"
_AAC_RAW: Final = b"\xaf\x01"

# Composition times are SI24.
_MAX_OFFSET: Final = 0x7FFFFF

_LEGACY_AUDIO: Final = frozenset(
    {
        Codec.AAC,
        Codec.MP3,
        Codec.PCM_ALAW,
        Codec.PCM_MULAW,
        Codec.PCM_S16LE,
        Codec.PCM_U8,
        Codec.SPEEX,
        Codec.NELLYMOSER,
    }
)
_ENHANCED_VIDEO: Final = {
    codec: fourcc for codec, fourcc in VIDEO_FOURCCS.items() if codec not in VIDEO_CODEC_IDS
}
_ENHANCED_AUDIO: Final = {
    codec: fourcc for codec, fourcc in AUDIO_FOURCCS.items() if codec not in _LEGACY_AUDIO
}

# What stands before a frame, by codec: of audio; of video without and with composition time, of
# inter frames and keyframes.
_AUDIO_FRAMES: Final = {
    codec: bytes((_EX_AUDIO | 1,)) + fourcc for codec, fourcc in _ENHANCED_AUDIO.items()
}
_VIDEO_FRAMES: Final = {
    codec: (
        bytes((_EX_INTER | (3 if codec in NAL_CODECS else 1),)) + fourcc,
        bytes((_EX_KEY | (3 if codec in NAL_CODECS else 1),)) + fourcc,
    )
    for codec, fourcc in _ENHANCED_VIDEO.items()
}
_OFFSET_FRAMES: Final = {
    codec: (bytes((_EX_INTER | 1,)) + fourcc, bytes((_EX_KEY | 1,)) + fourcc)
    for codec, fourcc in _ENHANCED_VIDEO.items()
    if codec in NAL_CODECS
}


def can_carry(track: Track) -> bool:
    """Whether FLV and RTMP have a form for a track, and it is known well enough to write it.

    Data tracks of AMF0 are carried in script tags and data messages, which need nothing of this
    module.
    """
    codec = track.codec
    if codec in CONFIGURED_CODECS and not track.config:
        return False
    if codec in (Codec.PCM_ALAW, Codec.PCM_MULAW):
        return track.clock_rate == 8000 and track.channels <= 2
    if codec in (Codec.PCM_S16LE, Codec.PCM_U8):
        return track.clock_rate in SOUND_RATES and track.channels <= 2
    if codec is Codec.SPEEX:
        return track.clock_rate == SPEEX_RATE
    if codec is Codec.NELLYMOSER:
        return track.clock_rate in (8000, 16000) or track.clock_rate in SOUND_RATES
    return True


def sequence_start(track: Track, *, legacy_hevc: bool = False) -> bytes:
    """Write the message that a decoder needs before the first packet of a track.

    Returns:
        Its body; `b""` where the codec has none.
    """
    codec = track.codec
    if codec is _H264:
        return b"\x17\x00\x00\x00\x00" + track.config
    if codec is _AAC:
        return _AAC_HEADER + track.config
    if codec is _HEVC and legacy_hevc:
        return b"\x1c\x00\x00\x00\x00" + track.config
    if codec in _ENHANCED_VIDEO and track.config:
        return bytes((_EX_KEY,)) + VIDEO_FOURCCS[codec] + track.config
    if codec in (Codec.OPUS, Codec.FLAC):
        return bytes((_EX_AUDIO,)) + AUDIO_FOURCCS[codec] + track.config
    return b""


def body_prefix(packet: Packet, *, legacy_hevc: bool = False) -> bytes:
    """Write what stands before the payload in the body of a frame's message.

    Times are rounded to milliseconds one by one, so that what comes out does not drift. A
    composition time out of the range of SI24, over two hours, is cut to it.
    """
    track, dts, pts, is_keyframe, _payload = packet
    codec = track.codec
    if codec is _H264:
        if pts == dts:
            return _AVC_KEY_NOW if is_keyframe else _AVC_INTER_NOW
        # As `_offset`, without the call.
        offset = (pts + 45) // 90 - (dts + 45) // 90
        if not -_MAX_OFFSET <= offset <= _MAX_OFFSET:
            offset = _offset(dts, pts)
        head = _AVC_KEY_NALU if is_keyframe else _AVC_INTER_NALU
        return (head + (offset & 0xFFFFFF)).to_bytes(5, "big")
    if codec is _AAC:
        return _AAC_RAW
    frames = _VIDEO_FRAMES.get(codec)
    if frames is None:
        return _AUDIO_FRAMES.get(codec) or _older_prefix(track, is_keyframe)
    if legacy_hevc and codec is _HEVC:
        base = _LEGACY_HEVC_KEY_NALU if is_keyframe else _LEGACY_HEVC_INTER_NALU
        return (base + _offset(dts, pts)).to_bytes(5, "big")
    if pts == dts or codec not in _OFFSET_FRAMES:
        return frames[is_keyframe]
    return _OFFSET_FRAMES[codec][is_keyframe] + _offset(dts, pts).to_bytes(3, "big")


def color_info(track: Track, *, legacy_hevc: bool = False) -> bytes:
    """Write the metadata frame with a track's colour information; `b""` without one.

    There is none for the legacy forms: their players would take it for a broken frame.
    """
    if not track.color_info or track.codec not in _ENHANCED_VIDEO:
        return b""
    if legacy_hevc and track.codec is _HEVC:
        return b""
    # Readers ignore the frame type of metadata; FFmpeg writes "command" too.
    return b"\xd4" + VIDEO_FOURCCS[track.codec] + track.color_info


def end_of_sequence(track: Track, *, legacy_hevc: bool = False) -> bytes:
    """Write the message that ends a track; `b""` where the form has none."""
    codec = track.codec
    if codec is _H264:
        return b"\x17\x02\x00\x00\x00"
    if codec is _HEVC and legacy_hevc:
        return b"\x1c\x02\x00\x00\x00"
    if codec in _ENHANCED_VIDEO:
        return bytes((_EX_KEY | 2,)) + VIDEO_FOURCCS[codec]
    if codec in _ENHANCED_AUDIO:
        return bytes((_EX_AUDIO | 2,)) + AUDIO_FOURCCS[codec]
    return b""


def codec_number(track: Track, *, legacy_hevc: bool = False) -> int:
    """Return what `videocodecid` or `audiocodecid` of onMetaData says of a track.

    That is the number of the legacy form, or the FourCC as a number (E-RTMP v2 "Enhancing
    onMetaData"); 0 where there is neither.
    """
    codec = track.codec
    if codec in VIDEO_CODEC_IDS:
        return VIDEO_CODEC_IDS[codec]
    if codec is _HEVC and legacy_hevc:
        return LEGACY_HEVC_ID
    if codec in _LEGACY_AUDIO:
        return sound_flags(track) >> 4
    fourcc = VIDEO_FOURCCS.get(codec) or AUDIO_FOURCCS.get(codec) or b""
    return int.from_bytes(fourcc, "big")


def sound_flags(track: Track) -> int:
    """Make the first byte of a legacy audio message: SoundFormat, rate, size and type."""
    codec = track.codec
    stereo = int(track.channels == 2)
    rate = _nearest_rate(track.clock_rate)
    if codec is _AAC:
        return _AAC_RAW[0]
    if codec is Codec.MP3:
        # 8 kHz has a format of its own; players take all other rates from the frames.
        sound_format = SoundFormat.MP3_8K if track.clock_rate == 8000 else SoundFormat.MP3
        return sound_format << 4 | rate << 2 | 2 | stereo
    if codec is Codec.PCM_S16LE:
        return SoundFormat.PCM_LITTLE_ENDIAN << 4 | rate << 2 | 2 | stereo
    if codec is Codec.PCM_U8:
        return SoundFormat.PCM_LITTLE_ENDIAN << 4 | rate << 2 | stereo
    if codec is Codec.PCM_ALAW:
        return SoundFormat.PCM_ALAW << 4 | 2 | stereo
    if codec is Codec.PCM_MULAW:
        return SoundFormat.PCM_MULAW << 4 | 2 | stereo
    if codec is Codec.SPEEX:
        return SoundFormat.SPEEX << 4 | 2
    if track.clock_rate == 16000:
        return SoundFormat.NELLYMOSER_16K << 4 | 2
    if track.clock_rate == 8000:
        return SoundFormat.NELLYMOSER_8K << 4 | 2
    return SoundFormat.NELLYMOSER << 4 | rate << 2 | 2 | stereo


def _older_prefix(track: Track, is_keyframe: bool) -> bytes:
    """As `body_prefix`, for Flash's own codecs and all that have nothing but one byte."""
    codec = track.codec
    if codec in _LEGACY_AUDIO:
        return bytes((sound_flags(track),))
    number = VIDEO_CODEC_IDS.get(codec)
    if number is None:
        return b""
    head = bytes(((_KEY if is_keyframe else _INTER) | number,))
    # VP6's one byte of cropping is its configuration.
    return head + (track.config[:1] or b"\x00") if codec is Codec.VP6F else head


def _offset(dts: int, pts: int) -> int:
    """Make a composition time: milliseconds as SI24, without its sign."""
    # Video has 90 ticks a millisecond.
    offset = (pts + 45) // 90 - (dts + 45) // 90
    return min(max(offset, -_MAX_OFFSET), _MAX_OFFSET) & 0xFFFFFF


def _nearest_rate(rate: int) -> int:
    return min(range(len(SOUND_RATES)), key=lambda index: abs(SOUND_RATES[index] - rate))
