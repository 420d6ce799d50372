"""AAC: AudioSpecificConfig, ADTS, and the ways between them.

ISO/IEC 14496-3 sections 1.6.2.1 (AudioSpecificConfig), 4.4.1 (GASpecificConfig), 1.A.3.2 (ADTS).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from ntvmedia.codecs.bits import BitReader, BitWriter
from ntvmedia.errors import LimitExceeded, PeerError, UsageError

ADTS_HEADER_LENGTH: Final = 7
"""Of a header without checksum; one with it has two bytes more."""

AAC_LC: Final = 2
SBR: Final = 5
PS: Final = 29

_CONFIG: Final = "ISO/IEC 14496-3 section 1.6.2.1"
_USAC_CONFIG: Final = "ISO/IEC 23003-3 section 5.2"
_ADTS: Final = "ISO/IEC 14496-3 section 1.A.3.2"

# `aac_frame_length` of ADTS has 13 bits and counts the header.
_MAX_ADTS_FRAME: Final = 0x1FFF

_RATES: Final = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip

# By channelConfiguration (ISO/IEC 14496-3 table 1.19 with its amendments); the others are reserved
# but for 0, where a program_config_element follows.
_CHANNELS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 13: 24, 14: 8}
_CONFIGURATIONS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 11, 8: 7, 24: 13}

# Object types with a GASpecificConfig (table 1.15).
_GENERAL_AUDIO: Final = frozenset({1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23})
_RESILIENT: Final = frozenset({17, 19, 20, 23})
_ELD: Final = 39
_USAC: Final = 42
_USAC_LENGTHS: Final = (768, 1024, 2048, 2048, 4096)


class AudioSpecificConfig(NamedTuple):
    """What a decoder must know before the first frame.

    Attributes:
        object_type: Of the core coder: 2 is AAC LC. With SBR this is what lies below it.
        sample_rate: Of the core coder, in Hz: with SBR usually half of what comes out.
        channels: Of the core coder; with PS two come out of one. 0 where it is not told.
        sbr: High-Efficiency AAC is signalled (it may be there unsignalled).
        ps: Parametric stereo is signalled: HE-AAC v2.
        frame_length: Samples at `sample_rate` of each channel in one frame.
        extension_rate: Sample rate after SBR, in Hz; 0 without SBR.
        channel_configuration: The field itself, 0 where the elements say it.
        program_config: For configuration 0, the program_config_element up to its alignment, as
            (bits, their number); it is empty otherwise.
    """

    object_type: int = AAC_LC
    sample_rate: int = 44100
    channels: int = 2
    sbr: bool = False
    ps: bool = False
    frame_length: int = 1024
    extension_rate: int = 0
    channel_configuration: int = -1
    program_config: tuple[int, int] = (0, 0)

    @property
    def output_rate(self) -> int:
        """Sample rate of what comes out of a decoder, in Hz."""
        return self.extension_rate or self.sample_rate

    @property
    def output_channels(self) -> int:
        """Channels of what comes out of a decoder."""
        return 2 if self.ps and self.channels == 1 else self.channels

    @property
    def signalled_type(self) -> int:
        """The object type that names the whole: 29 with PS, 5 with SBR."""
        return PS if self.ps else SBR if self.sbr else self.object_type

    @property
    def codec_string(self) -> str:
        """The RFC 6381 name: "mp4a.40.2"."""
        return f"mp4a.40.{self.signalled_type}"


class ADTSHeader(NamedTuple):
    """What stands before every frame in ADTS.

    Attributes:
        object_type: 1 to 4.
        sample_rate: Of the core coder, in Hz.
        channel_configuration: 0 to 7; 0 says that the first frame has a program_config_element.
        frame_length: Bytes of header and payload.
        header_length: Bytes of the header, with all checksums in it.
        blocks: Raw data blocks in the frame, 1 to 4, of 1024 samples each.
        has_crc: Whether checksums are there.
    """

    object_type: int
    sample_rate: int
    channel_configuration: int
    frame_length: int
    header_length: int
    blocks: int
    has_crc: bool

    @property
    def channels(self) -> int:
        """Number of channels, 0 where the frame itself tells."""
        return _CHANNELS.get(self.channel_configuration, 0)


def parse_audio_specific_config(data: bytes) -> AudioSpecificConfig:
    """Read an AudioSpecificConfig; what may follow it is ignored.

    Of object types other than AAC's and USAC's, only the fields common to all are read.

    Raises:
        PeerError: It ends early, or has a reserved sample rate or channel configuration.
    """
    reader = BitReader(data, _CONFIG)
    object_type = _object_type(reader)
    sample_rate = _sample_rate(reader)
    configuration = reader.u(4)
    sbr = ps = False
    extension_rate = 0
    if object_type in (SBR, PS):
        sbr, ps = True, object_type == PS
        extension_rate = _sample_rate(reader)
        object_type = _object_type(reader)
        if object_type == 22:
            reader.skip(4)
    if configuration and configuration not in _CHANNELS:
        raise PeerError(
            f"channel configuration {configuration} is reserved", reference=_CONFIG, offset=1
        )
    channels = _CHANNELS.get(configuration, 0)
    frame_length, program_config = 1024, (0, 0)
    if object_type in _GENERAL_AUDIO:
        frame_length, extended = _general_audio(reader, object_type)
        if not configuration:
            channels, program_config = _program_config(reader)
        _rest_of_general_audio(reader, object_type, extended)
    elif object_type == _ELD:
        frame_length = 480 if reader.flag() else 512
    elif object_type == _USAC:
        frame_length = _usac_length(reader)
    # Backward compatible signalling: a trailer that old decoders do not read.
    if not sbr and object_type in _GENERAL_AUDIO and reader.left >= 16:
        sbr, ps, extension_rate = _trailer(reader)
    return AudioSpecificConfig(
        object_type,
        sample_rate,
        channels,
        sbr,
        ps,
        frame_length,
        extension_rate,
        configuration,
        program_config,
    )


def build_audio_specific_config(config: AudioSpecificConfig) -> bytes:
    """Write an AudioSpecificConfig; SBR and PS are signalled explicitly, before the core coder.

    A `channel_configuration` of -1 is chosen by `channels`.

    Raises:
        UsageError: The object type is not one of AAC's plain ones (1 to 4), no configuration has
            that number of channels, or the frame length is neither 1024 nor 960.
    """
    if config.object_type not in (1, 2, 3, 4) or config.frame_length not in (960, 1024):
        raise UsageError(f"cannot write an AudioSpecificConfig for {config}")
    configuration = _configuration_of(config)
    writer = BitWriter()
    writer.u(config.signalled_type, 5)
    _write_rate(writer, config.sample_rate)
    writer.u(configuration, 4)
    if config.sbr or config.ps:
        _write_rate(writer, config.extension_rate or config.sample_rate * 2)
        writer.u(config.object_type, 5)
    writer.u(config.frame_length == 960, 1)
    writer.u(0, 2)  # dependsOnCoreCoder, extensionFlag
    if not configuration:
        bits, count = config.program_config
        writer.u(bits, count)
        writer.align()
        writer.u(0, 8)  # comment_field_bytes
    return writer.to_bytes()


def parse_adts(data: bytes, offset: int = 0) -> ADTSHeader:
    """Read the ADTS header at `offset`.

    Raises:
        PeerError: There is none, it is cut off, or has reserved values.
    """
    head = data[offset : offset + ADTS_HEADER_LENGTH]
    if len(head) < ADTS_HEADER_LENGTH:
        raise PeerError("the data ends in an ADTS header", reference=_ADTS, offset=offset)
    # `layer` is 0, which tells it from MPEG audio.
    if head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        raise PeerError("no sync word of ADTS", reference=_ADTS, offset=offset)
    index = head[2] >> 2 & 15
    if index >= len(_RATES):
        raise PeerError(
            f"sample rate index {index} is reserved", reference=_ADTS, offset=offset + 2
        )
    has_crc = not head[1] & 1
    blocks = (head[6] & 3) + 1
    # With checksums, the header holds the position of each block after the first.
    header_length = ADTS_HEADER_LENGTH + (2 * blocks if has_crc else 0)
    frame_length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if frame_length < header_length:
        raise PeerError("an ADTS frame has no room for its header", reference=_ADTS, offset=offset)
    return ADTSHeader(
        (head[2] >> 6) + 1,
        _RATES[index],
        (head[2] & 1) << 2 | head[3] >> 6,
        frame_length,
        header_length,
        blocks,
        has_crc,
    )


def split_adts(data: bytes) -> list[bytes]:
    """Cut whole ADTS frames that follow one another into raw frames without headers.

    Raises:
        PeerError: As `parse_adts`; the last frame is cut off; or a frame has several blocks and
            no checksums, so that only a decoder finds where one ends.
    """
    frames: list[bytes] = []
    position = 0
    while position < len(data):
        header = parse_adts(data, position)
        stop = position + header.frame_length
        if stop > len(data):
            raise PeerError("an ADTS frame is cut off", reference=_ADTS, offset=position)
        start = position + header.header_length
        if header.blocks == 1:
            if start < stop:
                frames.append(data[start:stop])
        else:
            frames += _blocks(data, position, header)
        position = stop
    return frames


def config_from_adts(data: bytes) -> AudioSpecificConfig:
    """Make the configuration that an ADTS frame implies.

    Args:
        data: A frame: with channel configuration 0, the program_config_element at the start of
            its payload is read too.

    Raises:
        PeerError: As `parse_adts`; or the configuration is 0 and there is no such element.
    """
    header = parse_adts(data)
    channels, program_config = header.channels, (0, 0)
    if not header.channel_configuration:
        reader = BitReader(data[header.header_length :], _ADTS)
        # ID_PCE (ISO/IEC 14496-3 table 4.85).
        if reader.u(3) != 5:
            raise PeerError(
                "channel configuration 0 without program_config_element",
                reference=_ADTS,
                offset=header.header_length,
            )
        channels, program_config = _program_config(reader)
    return AudioSpecificConfig(
        header.object_type,
        header.sample_rate,
        channels,
        channel_configuration=header.channel_configuration,
        program_config=program_config,
    )


def adts_header(config: AudioSpecificConfig, payload_length: int) -> bytes:
    """Write the ADTS header for a raw frame of `payload_length` bytes, without checksum.

    SBR and PS cannot be told in ADTS: decoders find them in the frames.

    Raises:
        LimitExceeded: The frame is longer than ADTS can say: 8184 bytes.
        UsageError: ADTS has no form for this object type, sample rate or number of channels.
    """
    length = payload_length + ADTS_HEADER_LENGTH
    if length > _MAX_ADTS_FRAME:
        raise LimitExceeded(
            f"an AAC frame of {payload_length} bytes does not fit into ADTS",
            reference=_ADTS,
            limit=_MAX_ADTS_FRAME - ADTS_HEADER_LENGTH,
        )
    return (_adts_base(config) | length << 13).to_bytes(ADTS_HEADER_LENGTH, "big")


@lru_cache(maxsize=64)
def _adts_base(config: AudioSpecificConfig) -> int:
    """All of a header but its length, as a number of 56 bits."""
    configuration = _configuration_of(config)
    if not 1 <= config.object_type <= 4 or config.sample_rate not in _RATES or configuration > 7:
        raise UsageError(f"ADTS has no form for {config}")
    writer = BitWriter()
    writer.u(0xFFF1, 16)  # MPEG-4, layer 0, no checksum
    writer.u(config.object_type - 1, 2)
    writer.u(_RATES.index(config.sample_rate), 4)
    writer.u(0, 1)
    writer.u(configuration, 3)
    writer.u(0, 17)  # original, home, two of copyright, aac_frame_length
    writer.u(0x7FF, 11)  # adts_buffer_fullness: variable bitrate
    writer.u(0, 2)
    return int.from_bytes(writer.to_bytes(), "big")


def _configuration_of(config: AudioSpecificConfig) -> int:
    configuration = config.channel_configuration
    if configuration < 0:
        configuration = _CONFIGURATIONS.get(config.channels, 0)
    if not configuration and not config.program_config[1]:
        raise UsageError(f"no channel configuration has {config.channels} channels")
    return configuration


def _blocks(data: bytes, position: int, header: ADTSHeader) -> list[bytes]:
    """Cut the blocks of one ADTS frame; each ends with a checksum of two bytes."""
    if not header.has_crc:
        raise PeerError(
            "an ADTS frame has several blocks without positions", reference=_ADTS, offset=position
        )
    first = position + header.header_length
    table = position + ADTS_HEADER_LENGTH
    positions = (int.from_bytes(data[at : at + 2], "big") for at in range(table, first - 2, 2))
    starts = [first, *(first + place for place in positions), position + header.frame_length]
    blocks: list[bytes] = []
    for start, stop in pairwise(starts):
        if start + 2 >= stop:
            raise PeerError("the blocks of an ADTS frame overlap", reference=_ADTS, offset=position)
        blocks.append(data[start : stop - 2])
    return blocks


def _object_type(reader: BitReader) -> int:
    object_type = reader.u(5)
    return 32 + reader.u(6) if object_type == 31 else object_type


def _sample_rate(reader: BitReader) -> int:
    index = reader.u(4)
    if index == 15:
        rate = reader.u(24)
    elif index < len(_RATES):
        rate = _RATES[index]
    else:
        rate = 0
    if not rate:
        raise PeerError(
            f"sample rate index {index} is reserved or 0 Hz",
            reference=_CONFIG,
            offset=reader.position >> 3,
        )
    return rate


def _write_rate(writer: BitWriter, rate: int) -> None:
    if rate in _RATES:
        writer.u(_RATES.index(rate), 4)
    else:
        writer.u(15, 4)
        writer.u(rate, 24)


def _general_audio(reader: BitReader, object_type: int) -> tuple[int, bool]:
    """Read GASpecificConfig up to where a program_config_element may stand.

    Returns:
        The samples in a frame, and extensionFlag.
    """
    short = reader.flag()
    if reader.flag():
        reader.skip(14)  # coreCoderDelay
    extended = reader.flag()
    if object_type == 23:
        return (480 if short else 512), extended
    return (960 if short else 1024), extended


def _rest_of_general_audio(reader: BitReader, object_type: int, extended: bool) -> None:
    """Pass over the tail of GASpecificConfig and over epConfig, which have nothing for us."""
    if object_type in (6, 20):
        reader.skip(3)  # layerNr
    if extended:
        if object_type == 22:
            reader.skip(16)  # numOfSubFrame, layer_length
        if object_type in _RESILIENT:
            reader.skip(3)
        reader.skip(1)  # extensionFlag3
    if object_type >= 17:
        reader.skip(2)  # epConfig


def _program_config(reader: BitReader) -> tuple[int, tuple[int, int]]:
    """Read a program_config_element (ISO/IEC 14496-3 table 4.2).

    Returns:
        The number of channels, and the element's bits up to its byte alignment with their number.
    """
    start = reader.position
    reader.skip(10)  # element_instance_tag, object_type, sampling_frequency_index
    front, side, back = reader.u(4), reader.u(4), reader.u(4)
    lfe, associated, coupling = reader.u(2), reader.u(3), reader.u(4)
    for _mixdown in range(2):  # mono, stereo
        if reader.flag():
            reader.skip(4)
    if reader.flag():
        reader.skip(3)  # matrix mixdown
    channels = lfe
    for _element in range(front + side + back):
        channels += 2 if reader.flag() else 1
        reader.skip(4)
    reader.skip(4 * (lfe + associated) + 5 * coupling)
    count = reader.position - start
    reader.position = start
    bits = reader.u(count)
    reader.align()
    reader.skip(8 * reader.u(8))  # comment_field_data
    return channels, (bits, count)


def _trailer(reader: BitReader) -> tuple[bool, bool, int]:
    """Read what may follow the core's configuration: whether SBR and PS are there, and the rate."""
    if reader.u(11) != 0x2B7 or _object_type(reader) != SBR or not reader.flag():
        return False, False, 0
    extension_rate = _sample_rate(reader)
    ps = reader.left >= 12 and reader.u(11) == 0x548 and reader.flag()
    return True, ps, extension_rate


def _usac_length(reader: BitReader) -> int:
    """Read the start of UsacConfig (ISO/IEC 23003-3 section 5.2)."""
    if reader.u(5) == 31:
        reader.skip(24)
    index = reader.u(3)
    if index >= len(_USAC_LENGTHS):
        raise PeerError("coreSbrFrameLengthIndex is reserved", reference=_USAC_CONFIG, offset=3)
    return _USAC_LENGTHS[index]
