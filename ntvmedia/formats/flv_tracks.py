"""Tracks from the sequence headers, or from the first frames, of FLV and RTMP.

Everything here is done once for each change of a track, never for each packet.
"""

from __future__ import annotations

from typing import Final

from ntvmedia.codecs import aac, ac3, av1, flac, g711, h264, hevc, mpegaudio, opus, vp9
from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats.flv_codes import SOUND_RATES, SPEEX_RATE, SoundFormat
from ntvmedia.media.packets import Codec, Track

# Configurations are kept for as long as a stream lives. The largest seen are hvcC records with
# user data, of a few kilobytes.
MAX_CONFIG_BYTES: Final = 64 * 1024

_SETS: Final = "ISO/IEC 14496-15 sections 5.3.3.1 and 8.3.3.1"
_VVCC: Final = "ISO/IEC 14496-15 section 11.2.4.2"
_SOUND: Final = "FLV 10.1 E.4.2.1"


def video_track(codec: Codec, number: int, config: bytes) -> tuple[Track, int]:
    """Make a track from the body of a video sequence header.

    Returns:
        The track, and how many bytes the length of each NAL unit takes in its messages. In
        `Track.config` that is always 4, as in `Packet.payload`.

    Raises:
        PeerError: The configuration is empty, cut off, or holds no parameter set.
        LimitExceeded: It is longer than `MAX_CONFIG_BYTES`.
    """
    _limited(config)
    length_size = 4
    if codec is Codec.H264:
        avcc = h264.parse_configuration(config)
        _complete(avcc.sps, avcc.pps)
        length_size = avcc.length_size
        config = _with_length_size(config, 4)
    elif codec is Codec.HEVC:
        hvcc = hevc.parse_configuration(config)
        _complete(hvcc.sps, hvcc.pps)
        length_size = hvcc.length_size
        config = _with_length_size(config, 21)
    elif codec is Codec.VVC:
        if len(config) < 2:
            raise PeerError("vvcC is cut off", reference=_VVCC, offset=len(config))
        # The two bits LengthSizeMinusOne stand before ptl_present_flag.
        length_size = (config[0] >> 1 & 3) + 1
        config = bytes((config[0] | 6,)) + config[1:]
    elif codec is Codec.AV1:
        av1.parse_configuration(config)
    elif codec is Codec.VP9:
        vp9.parse_configuration(config)
    return Track(codec, number, config=config), length_size


def aac_track(number: int, config: bytes) -> Track:
    """Make a track from an AudioSpecificConfig; its clock is that of the core coder.

    Raises:
        PeerError: The configuration is malformed.
        LimitExceeded: It is longer than `MAX_CONFIG_BYTES`.
    """
    _limited(config)
    parsed = aac.parse_audio_specific_config(config)
    return Track(
        Codec.AAC,
        number,
        clock_rate=parsed.sample_rate,
        config=config,
        channels=parsed.output_channels,
    )


def adts_track(number: int, payload: bytes) -> Track:
    """Make a track from an AAC frame with ADTS header.

    Raises:
        PeerError: The header is malformed.
    """
    return aac_track(number, aac.build_audio_specific_config(aac.config_from_adts(payload)))


def opus_track(number: int, config: bytes, channels: int) -> Track:
    """Make a track from an OpusHead.

    Args:
        config: May be empty (E-RTMP v2, "Enhanced Audio"): then it is mono or stereo.
        channels: What a multichannel configuration announced; 0 if there was none.

    Raises:
        PeerError: The OpusHead is malformed.
        LimitExceeded: It is longer than `MAX_CONFIG_BYTES`.
    """
    _limited(config)
    if not config:
        mono = channels == 1
        head = opus.OpusHead(channels=1 if mono else 2, coupled=0 if mono else 1)
        config = opus.build_opus_head(head)
    head = opus.parse_opus_head(config)
    return Track(
        Codec.OPUS, number, clock_rate=opus.CLOCK_RATE, config=config, channels=head.channels
    )


def flac_track(number: int, config: bytes) -> Track:
    """Make a track from STREAMINFO, with or without what the document wants before it.

    Raises:
        PeerError: It is malformed.
        LimitExceeded: It is longer than `MAX_CONFIG_BYTES`.
    """
    _limited(config)
    info = flac.parse_streaminfo(config)
    return Track(
        Codec.FLAC,
        number,
        clock_rate=info.sample_rate,
        # FFmpeg (to 9.0) sends the bare 34 bytes; one form is enough inside.
        config=flac.build_config(_live_streaminfo(flac.streaminfo_block(config))),
        channels=info.channels,
    )


def mp3_track(number: int, header: mpegaudio.MPEGAudioHeader) -> Track:
    """Make a track from the header of an MP3 frame, which tells the true rate."""
    return Track(Codec.MP3, number, clock_rate=header.sample_rate, channels=header.channels)


def ac3_track(number: int, frames: list[ac3.AC3Frame]) -> Track:
    """Make a track from the headers of one access unit of AC-3 or E-AC-3, at least one."""
    first = frames[0]
    if first.codec is Codec.AC3:
        config = ac3.dac3(first)
    else:
        config = b"" if first.stream_type == ac3.DEPENDENT else ac3.dec3(frames)
    return Track(
        first.codec,
        number,
        clock_rate=first.sample_rate,
        config=config,
        channels=ac3.total_channels(frames),
    )


def legacy_audio_track(head: int) -> Track:
    """Make a track from the first byte of a message whose codec has no other header.

    Args:
        head: SoundFormat, SoundRate, SoundSize and SoundType (FLV 10.1 E.4.2.1).

    Raises:
        PeerError: The sound format has no codec here: ADPCM, "device specific", reserved ones.
    """
    sound_format = head >> 4
    channels = (head & 1) + 1
    rate = SOUND_RATES[head >> 2 & 3]
    if sound_format in (SoundFormat.PCM_PLATFORM, SoundFormat.PCM_LITTLE_ENDIAN):
        # "Platform endian" means little endian: no encoder that sends it runs on anything else.
        codec = Codec.PCM_S16LE if head & 2 else Codec.PCM_U8
    elif sound_format == SoundFormat.PCM_ALAW:
        codec, rate = Codec.PCM_ALAW, g711.SAMPLE_RATE
    elif sound_format == SoundFormat.PCM_MULAW:
        codec, rate = Codec.PCM_MULAW, g711.SAMPLE_RATE
    elif sound_format == SoundFormat.SPEEX:
        codec, rate, channels = Codec.SPEEX, SPEEX_RATE, 1
    elif sound_format == SoundFormat.NELLYMOSER_16K:
        codec, rate, channels = Codec.NELLYMOSER, 16000, 1
    elif sound_format == SoundFormat.NELLYMOSER_8K:
        codec, rate, channels = Codec.NELLYMOSER, 8000, 1
    elif sound_format == SoundFormat.NELLYMOSER:
        codec = Codec.NELLYMOSER
    else:
        raise PeerError(f"sound format {sound_format} is not supported", reference=_SOUND)
    return Track(codec, clock_rate=rate, channels=channels)


def _live_streaminfo(block: bytes) -> bytes:
    """Mark as unknown what nobody knows of a live stream: frame sizes, length and checksum.

    FFmpeg sends them at the end, when a new configuration would be of no use to anyone.
    """
    # RFC 9639 section 8.2: the length is the last 36 of the 64 bits at byte 10.
    return block[:4] + bytes(6) + block[10:13] + bytes((block[13] & 0xF0,)) + bytes(20)


def _limited(config: bytes) -> None:
    if len(config) > MAX_CONFIG_BYTES:
        raise LimitExceeded(
            f"a sequence header of {len(config)} bytes", reference=_SETS, limit=MAX_CONFIG_BYTES
        )


def _with_length_size(config: bytes, position: int) -> bytes:
    """Set the two lowest bits of one byte, LengthSizeMinusOne, to 4 bytes."""
    if config[position] & 3 == 3:
        return config
    return config[:position] + bytes((config[position] | 3,)) + config[position + 1 :]


def _complete(sps: tuple[bytes, ...], pps: tuple[bytes, ...]) -> None:
    if not sps or not pps:
        # Some encoders send this until they have made a frame: the next one counts.
        raise PeerError("a sequence header has no parameter set", reference=_SETS)
