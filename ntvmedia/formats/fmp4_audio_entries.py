"""Sample entries of sound: "mp4a" (AAC, MP3), "Opus", "fLaC", "ac-3" and "ec-3".

ISO/IEC 14496-12 section 12.2, cited as "ISOBMFF n"; ISO/IEC 14496-14 section 5.6 (esds);
"Encapsulation of Opus in ISO Base Media File Format"; "Encapsulation of FLAC in ISO Base Media
File Format"; ETSI TS 102 366 annex F.
"""

from __future__ import annotations

import struct
from typing import Final

from ntvmedia.codecs import aac, ac3, flac, mpegaudio, opus
from ntvmedia.codecs.bits import BitWriter
from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats.fmp4_boxes import SampleEntry, box, full_box
from ntvmedia.media.packets import Codec, Track

MAX_AAC_CONFIG: Final = 4096
"""Bytes of an AudioSpecificConfig: a program_config_element with its comment has 300, and xHE-AAC
with loudness some hundreds."""

# Tags of descriptors (ISO/IEC 14496-1 section 7.2.2.1).
_ES: Final = 3
_DECODER_CONFIG: Final = 4
_DECODER_SPECIFIC_INFO: Final = 5
_SL_CONFIG: Final = 6

# objectTypeIndication (ISO/IEC 14496-1 table 5): MPEG-4 audio, and MPEG-2 and MPEG-1 audio.
_MPEG4_AUDIO: Final = 0x40
_MPEG2_AUDIO: Final = 0x69
_MPEG1_AUDIO: Final = 0x6B
# streamType 5, upStream 0, and the reserved bit (ISO/IEC 14496-1 section 7.2.6.6).
_AUDIO_STREAM: Final = 5 << 2 | 1
# "Reserved for use in MP4 files" (ISO/IEC 14496-1 section 7.3.2.3).
_MP4_SL: Final = 2

# MPEG-1 audio has 32 kHz and more; MPEG-2 and 2.5 have less.
_LOWEST_MPEG1_RATE: Final = 32000

# STREAMINFO as the last metadata block, of 34 bytes (RFC 9639 section 8.1).
_STREAMINFO_HEAD: Final = b"\x80\x00\x00\x22"

# ETSI TS 102 366 sections F.4 and F.6: the lengths of dac3, and of dec3 with up to 8 substreams.
_DAC3_LENGTH: Final = 3
_DEC3_LENGTHS: Final = range(5, 2 + 8 * 4 + 1)

# What AC-3 is taken for until a frame comes: by channels, the audio coding mode and whether there
# is a low-frequency channel; bsid of every encoder; the code of 192 kbit/s.
_AC3_RATES: Final = (48000, 44100, 32000)
_AC3_MODES: Final = {1: (1, 0), 3: (3, 0), 4: (6, 0), 5: (7, 0), 6: (7, 1)}
_AC3_STEREO: Final = (2, 0)
_AC3_BSID: Final = 8
_EAC3_BSID: Final = 16
_AC3_192K: Final = 10
_EAC3_192K: Final = 192

_STEREO: Final = 2
_SAMPLE_BITS: Final = 16
_MAX_RATE: Final = 0xFFFF


def aac_entry(track: Track, _payload: bytes) -> SampleEntry:
    """Describe AAC as "mp4a" (ISO/IEC 14496-14 section 5.6.1).

    Raises:
        PeerError: The configuration is broken, or not there.
        LimitExceeded: It is longer than `MAX_AAC_CONFIG`.
    """
    if len(track.config) > MAX_AAC_CONFIG:
        raise LimitExceeded(
            "an AudioSpecificConfig is too long",
            reference="ISO/IEC 14496-3 section 1.6.2.1",
            limit=MAX_AAC_CONFIG,
        )
    config = aac.parse_audio_specific_config(track.config)
    channels = config.output_channels or track.channels
    esds = _esds(_MPEG4_AUDIO, track.config)
    # There is no form for more than 65535 Hz: FFmpeg and GPAC write 0 then, and players look into
    # the configuration.
    rate = track.clock_rate if track.clock_rate <= _MAX_RATE else 0
    return _audio(b"mp4a", channels, rate, esds)


def mp3_entry(track: Track, payload: bytes) -> SampleEntry:
    """Describe MPEG-1 and MPEG-2 audio as "mp4a" without configuration."""
    rate, channels, is_complete = track.clock_rate, track.channels, False
    try:
        header = mpegaudio.parse_header(payload)
        rate, channels, is_complete = header.sample_rate, header.channels, True
    except PeerError:
        pass  # The track's own words are nearly as good.
    esds = _esds(_MPEG1_AUDIO if rate >= _LOWEST_MPEG1_RATE else _MPEG2_AUDIO)
    return _audio(b"mp4a", channels, min(rate, _MAX_RATE), esds, is_complete=is_complete)


def opus_entry(track: Track, _payload: bytes) -> SampleEntry | None:
    """Describe Opus as "Opus" with dOps (Opus in ISOBMFF section 4.3).

    Without configuration it is what RTP has: one stream of one or two channels (RFC 7587).

    Raises:
        PeerError: The configuration is broken.
    """
    if track.config:
        head = opus.parse_opus_head(track.config)
    elif track.channels <= _STEREO:
        channels = track.channels or _STEREO
        head = opus.OpusHead(channels, coupled=channels - 1)
    else:
        return None
    dops = box(b"dOps", opus.build_dops(head))
    # Whatever was the encoder's input, Opus counts at 48 kHz.
    return _audio(b"Opus", head.channels, opus.CLOCK_RATE, dops)


def flac_entry(track: Track, _payload: bytes) -> SampleEntry:
    """Describe FLAC as "fLaC" with dfLa (FLAC in ISOBMFF section 3.3).

    Raises:
        PeerError: The configuration is broken, or not there.
    """
    info = flac.parse_streaminfo(track.config)
    dfla = full_box(b"dfLa", 0, 0, _STREAMINFO_HEAD, flac.streaminfo_block(track.config))
    # "The greatest expressible regular division": 48 kHz for 96 and 192 kHz.
    rate = info.sample_rate
    while rate > _MAX_RATE:
        rate = 0 if rate & 1 else rate >> 1
    return _audio(b"fLaC", info.channels, rate, dfla, sample_bits=info.bits_per_sample)


def ac3_entry(track: Track, payload: bytes) -> SampleEntry:
    """Describe AC-3 as "ac-3" with dac3 (ETSI TS 102 366 sections F.3 and F.4)."""
    body, channels, rate, is_complete = track.config, track.channels, track.clock_rate, False
    try:
        frame = ac3.parse_syncframe(payload)
        if frame.codec is Codec.AC3:
            body, channels, rate, is_complete = (
                ac3.dac3(frame),
                frame.channels,
                frame.sample_rate,
                True,
            )
    except PeerError:
        pass  # The configuration, if there is one, says the same.
    if len(body) != _DAC3_LENGTH:
        mode, low = _AC3_MODES.get(channels, _AC3_STEREO)
        writer = BitWriter()
        writer.u(_rate_code(rate), 2)
        writer.u(_AC3_BSID, 5)
        writer.u(0, 3)  # bsmod: complete main
        writer.u(mode, 3)
        writer.u(low, 1)
        writer.u(_AC3_192K, 5)
        writer.u(0, 5)
        body = writer.to_bytes()
    dac3 = box(b"dac3", body)
    return _audio(b"ac-3", channels, min(rate, _MAX_RATE), dac3, is_complete=is_complete)


def eac3_entry(track: Track, payload: bytes) -> SampleEntry:
    """Describe E-AC-3 as "ec-3" with dec3 (ETSI TS 102 366 sections F.5 and F.6)."""
    body, channels, rate, is_complete = track.config, track.channels, track.clock_rate, False
    try:
        frames = ac3.split_syncframes(payload)
        if frames and frames[0].codec is Codec.EAC3 and frames[0].stream_type != ac3.DEPENDENT:
            body, channels, rate, is_complete = (
                ac3.dec3(frames),
                ac3.total_channels(frames),
                frames[0].sample_rate,
                True,
            )
    except PeerError:
        pass  # As above.
    if len(body) not in _DEC3_LENGTHS:
        mode, low = _AC3_MODES.get(channels, _AC3_STEREO)
        writer = BitWriter()
        writer.u(_EAC3_192K, 13)
        writer.u(0, 3)  # one independent substream
        writer.u(_rate_code(rate), 2)
        writer.u(_EAC3_BSID, 5)
        writer.u(0, 5)  # reserved, asvc, bsmod
        writer.u(mode, 3)
        writer.u(low, 1)
        writer.u(0, 3 + 4 + 1)  # reserved, no dependent substream, reserved
        body = writer.to_bytes()
    dec3 = box(b"dec3", body)
    return _audio(b"ec-3", channels, min(rate, _MAX_RATE), dec3, is_complete=is_complete)


def _audio(
    kind: bytes,
    channels: int,
    sample_rate: int,
    configuration: bytes,
    *,
    sample_bits: int = _SAMPLE_BITS,
    is_complete: bool = True,
) -> SampleEntry:
    """Write an AudioSampleEntry (ISOBMFF 12.2.3); channels that nobody told are two."""
    head = struct.pack(
        # One data reference; sample rate in 1/65536 Hz.
        ">6xH8xHHHHI",
        1,
        channels or _STEREO,
        sample_bits,
        0,
        0,
        sample_rate << 16,
    )
    return SampleEntry(box(kind, head, configuration), is_complete=is_complete)


def _esds(object_type: int, specific_info: bytes = b"") -> bytes:
    """Write esds; buffer size and bitrates are 0, not known (ISO/IEC 14496-1 section 7.2.6.6)."""
    config = bytes((object_type, _AUDIO_STREAM)) + bytes(3 + 4 + 4)
    if specific_info:
        config += _descriptor(_DECODER_SPECIFIC_INFO, specific_info)
    # ES_ID is 0 in MP4, where the track has its own number (ISO/IEC 14496-14 section 3.1.2).
    stream = bytes(3) + _descriptor(_DECODER_CONFIG, config)
    stream += _descriptor(_SL_CONFIG, bytes((_MP4_SL,)))
    return full_box(b"esds", 0, 0, _descriptor(_ES, stream))


def _descriptor(tag: int, body: bytes) -> bytes:
    """Write a descriptor, whose length has 7 bits in each byte (ISO/IEC 14496-1 section 8.3.3)."""
    length = len(body)
    size = bytes((length & 0x7F,))
    while length := length >> 7:
        size = bytes((length & 0x7F | 0x80,)) + size
    return bytes((tag,)) + size + body


def _rate_code(rate: int) -> int:
    """Return `fscod`; a rate that is none of AC-3's is taken for the first."""
    return _AC3_RATES.index(rate) if rate in _AC3_RATES else 0
