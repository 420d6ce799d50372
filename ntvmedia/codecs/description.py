"""What a track is, in the words that playlists, statistics and pages show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ntvmedia.codecs import aac, ac3, av1, flac, g711, h264, hevc, mpegaudio, opus, vp8, vp9
from ntvmedia.errors import PeerError
from ntvmedia.media.packets import Codec, MediaKind, Track

_AAC_PROFILES: Final = {
    1: "Main",
    2: "LC",
    3: "SSR",
    4: "LTP",
    5: "HE-AAC",
    23: "LD",
    29: "HE-AACv2",
    39: "ELD",
    42: "xHE-AAC",
}

# Names of codecs that need no configuration to have one.
_NAMES: Final = {
    Codec.VP8: vp8.CODEC_STRING,
    Codec.MP3: "mp4a.40.34",
    Codec.OPUS: opus.CODEC_STRING,
    Codec.FLAC: flac.CODEC_STRING,
    **ac3.CODEC_STRINGS,
    **g711.CODEC_STRINGS,
}


class Description(NamedTuple):
    """What is known of a track; the rest is empty.

    Attributes:
        codec_string: The RFC 6381 name: "avc1.64001f", "mp4a.40.2". Empty where the codec has
            none, or its configuration is not known.
        width: Of the picture to show, in samples; 0 for audio, and where it is not known.
        height: Likewise.
        frame_rate: Frames a second, as the stream tells; None where it does not.
        profile: Name of the codec's profile: "High", "LC".
        level: Name of the codec's level: "3.1", "5.1 High".
        sample_rate: Of what the decoder puts out, in Hz; 0 for video.
        channels: Of what the decoder puts out; 0 for video, and where it is not known.
        sample_aspect_ratio: Width to height of one sample; (1, 1) where it is not told.
        bit_depth: Of luma, or of a sample of lossless audio; 0 where it is not known.
    """

    codec_string: str = ""
    width: int = 0
    height: int = 0
    frame_rate: float | None = None
    profile: str = ""
    level: str = ""
    sample_rate: int = 0
    channels: int = 0
    sample_aspect_ratio: tuple[int, int] = (1, 1)
    bit_depth: int = 0


def describe(track: Track, payload: bytes = b"") -> Description:
    """Tell what is known of a track. Never raises: what is broken counts as not known.

    Args:
        track: Its configuration is read.
        payload: A packet of it, for video a keyframe: VP8, VP9, MP3, AC-3 and E-AC-3 tell more
            in their frames than in a configuration.
    """
    description = Description(_NAMES.get(track.codec, ""))
    if track.kind is MediaKind.AUDIO:
        description = description._replace(sample_rate=track.clock_rate, channels=track.channels)
    reader = _READERS.get(track.codec)
    if reader is None:
        return description
    try:
        return reader(description, track.config, payload)
    except PeerError:
        return description


def _h264(known: Description, config: bytes, _payload: bytes) -> Description:
    record = h264.parse_configuration(config)
    sps = h264.first_sps(record)
    if sps is None:
        return known._replace(codec_string=record.codec_string)
    return known._replace(
        # Of the parameter set itself, whose bytes some encoders fail to copy into the record.
        codec_string=f"avc1.{sps.profile_idc:02x}{sps.constraint_flags:02x}{sps.level_idc:02x}",
        width=sps.width,
        height=sps.height,
        frame_rate=sps.frame_rate,
        profile=sps.profile,
        level=sps.level,
        sample_aspect_ratio=sps.sample_aspect_ratio,
        bit_depth=sps.bit_depth_luma,
    )


def _hevc(known: Description, config: bytes, _payload: bytes) -> Description:
    record = hevc.parse_configuration(config)
    known = known._replace(codec_string=record.codec_string)
    sps = hevc.first_sps(record)
    if sps is None:
        return known
    return known._replace(
        width=sps.width,
        height=sps.height,
        frame_rate=sps.frame_rate,
        profile=sps.profile,
        level=sps.level,
        sample_aspect_ratio=sps.sample_aspect_ratio,
        bit_depth=sps.bit_depth_luma,
    )


def _av1(known: Description, config: bytes, _payload: bytes) -> Description:
    record = av1.parse_configuration(config)
    known = known._replace(
        codec_string=record.codec_string,
        profile=av1.profile_name(record.profile_idc),
        level=av1.level_name(record.level_idc, record.tier),
        bit_depth=record.bit_depth,
    )
    sequence = av1.sequence_header(record)
    if sequence is None:
        return known
    return known._replace(
        width=sequence.width, height=sequence.height, frame_rate=sequence.frame_rate
    )


def _vp9(known: Description, config: bytes, payload: bytes) -> Description:
    record = vp9.parse_configuration(config or vp9.configuration_from_frame(payload))
    level = record.level_idc
    known = known._replace(
        codec_string=record.codec_string(),
        profile=str(record.profile_idc),
        level=f"{level // 10}.{level % 10}" if level else "",
        bit_depth=record.bit_depth,
    )
    if not vp9.is_keyframe(payload):
        return known
    header = vp9.parse_keyframe(payload)
    return known._replace(width=header.width, height=header.height)


def _vp8(known: Description, _config: bytes, payload: bytes) -> Description:
    header = vp8.parse_keyframe(payload)
    return known._replace(width=header.width, height=header.height, bit_depth=8)


def _aac(known: Description, config: bytes, _payload: bytes) -> Description:
    record = aac.parse_audio_specific_config(config)
    return known._replace(
        codec_string=record.codec_string,
        profile=_AAC_PROFILES.get(record.signalled_type, str(record.signalled_type)),
        sample_rate=record.output_rate,
        channels=record.output_channels or known.channels,
    )


def _mp3(known: Description, _config: bytes, payload: bytes) -> Description:
    header = mpegaudio.parse_header(payload)
    return known._replace(
        codec_string=mpegaudio.codec_string(header),
        profile=f"Layer {'I' * header.layer}",
        sample_rate=header.sample_rate,
        channels=header.channels,
    )


def _opus(known: Description, config: bytes, _payload: bytes) -> Description:
    head = opus.parse_opus_head(config)
    return known._replace(sample_rate=opus.CLOCK_RATE, channels=head.channels)


def _ac3(known: Description, _config: bytes, payload: bytes) -> Description:
    frames = ac3.split_syncframes(payload)
    if not frames:
        return known
    return known._replace(sample_rate=frames[0].sample_rate, channels=ac3.total_channels(frames))


def _flac(known: Description, config: bytes, _payload: bytes) -> Description:
    info = flac.parse_streaminfo(config)
    return known._replace(
        sample_rate=info.sample_rate, channels=info.channels, bit_depth=info.bits_per_sample
    )


_READERS: Final[dict[Codec, Callable[[Description, bytes, bytes], Description]]] = {
    Codec.H264: _h264,
    Codec.HEVC: _hevc,
    Codec.AV1: _av1,
    Codec.VP9: _vp9,
    Codec.VP8: _vp8,
    Codec.AAC: _aac,
    Codec.MP3: _mp3,
    Codec.OPUS: _opus,
    Codec.AC3: _ac3,
    Codec.EAC3: _ac3,
    Codec.FLAC: _flac,
}
