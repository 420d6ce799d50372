"""Sample entries of MP4 and QuickTime, read into tracks: what the samples are, and their form.

ISO/IEC 14496-12 section 8.5.2 (stsd), -14 section 5.6 (mp4a), -15 sections 5.4.2 (avc1), 8.4.1
(hvc1), ISO/IEC 14496-1 section 7.2.6 (esds); Apple's "QuickTime File Format", "Sound Sample
Description" (QTFF).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from ntvmedia.codecs import aac, av1, h264, hevc, nal, opus, vp9
from ntvmedia.codecs.bits import BitReader
from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats import flv_tracks
from ntvmedia.formats.fmp4_reader import Box, child, children, required, unpack, version_and_flags
from ntvmedia.media.packets import Codec, Track

MAX_ENTRIES: Final = 64
"""Descriptions of one track: files put together of many parts have some."""

MAX_CONFIG_BYTES: Final = flv_tracks.MAX_CONFIG_BYTES

_STSD: Final = "14496-12 8.5.2"
_ESDS: Final = "14496-1 7.2.6"
_AC3_BOXES: Final = "ETSI TS 102 366 sections F.4 and F.6"

# Bytes of a sample entry before the boxes in it (14496-12 8.5.2.2, 12.1.3, 12.2.3).
_VISUAL_FIELDS: Final = 78
_AUDIO_FIELDS: Final = 28
# QTFF: what version 1 and version 2 of a sound description have more.
_QUICKTIME_FIELDS: Final = {1: 16, 2: 36}

_entry: Final = Struct(">6xH")
_audio: Final = Struct(">8xH6xHH4xI")
# sizeOfStructOnly, audioSampleRate, numAudioChannels, always7F000000, constBitsPerChannel,
# formatSpecificFlags.
_quicktime_2: Final = Struct(">28x4xdI4xII")
_rate: Final = Struct(">4xI")

# Object types of a DecoderConfigDescriptor (ISO/IEC 14496-1 table 5; mp4ra.org).
_MPEG4_AUDIO: Final = frozenset({0x40, 0x66, 0x67, 0x68})
_MPEG_AUDIO: Final = frozenset({0x69, 0x6B})
# Object types of AAC in an AudioSpecificConfig: the others are other codecs.
_AAC_TYPES: Final = frozenset({1, 2, 3, 4, 17, 19, 20, 23, 39, 42})

# Of sound that is not compressed; what the others have their configuration tells.
_MAX_CHANNELS: Final = 64

_ES_TAG: Final = 3
_DECODER_TAG: Final = 4
_SPECIFIC_TAG: Final = 5

_SURROUND_CHANNELS: Final = (2, 1, 2, 3, 3, 4, 4, 5)
# Channels of each bit of `chan_loc`, from the lowest (ETSI TS 102 366 table F.6.1).
_LOCATIONS: Final = (2, 2, 1, 1, 2, 2, 2, 1, 1)
_AC3_RATES: Final = (48000, 44100, 32000, 0)

Form: TypeAlias = Callable[[bytes], bytes]


class Description(NamedTuple):
    """A sample entry.

    Attributes:
        name: Its four characters: "avc1".
        track: The track that it describes; None where it is of a codec that is not read, or
            encrypted, or its samples are in another file.
        form: Brings a sample to the form of `Packet.payload`, and raises `PeerError` where the
            sample is broken; None where it has that form.
        frame_size: Of sound that is not compressed, where each sample is so short that many make a
            packet: bytes of a sample of all channels. 0 otherwise.
    """

    name: str
    track: Track | None = None
    form: Form | None = None
    frame_size: int = 0

    def numbered(self, number: int, language: str) -> Description:
        """Return the same for a track of that number and language."""
        if self.track is None:
            return self
        return self._replace(track=replace(self.track, number=number, language=language))


class _Sound(NamedTuple):
    """The fields of an audio sample entry.

    Attributes:
        rate: In Hz; the track's timescale where it does not tell.
        channels: As told.
        bits: Of each sample, as told.
        flags: formatSpecificFlags of QuickTime's version 2; -1 without.
        boxes: The boxes in it, and those in QuickTime's `wave`; the first of each kind.
    """

    rate: int
    channels: int
    bits: int
    flags: int
    boxes: dict[bytes, Box]

    def config(self, kind: bytes, entry: Box) -> bytes:
        """Return the contents of a box that the entry must have."""
        found = self.boxes.get(kind)
        if found is None:
            raise PeerError(
                f"a sample entry {_name(entry)} without {kind.decode('latin-1')}",
                reference=_STSD,
                offset=entry.offset,
            )
        return _limited(found)


def parse_descriptions(
    stsd: Box, timescale: int, is_video: bool, external: list[bool]
) -> list[Description]:
    """Read the sample entries of a video or audio track.

    Args:
        timescale: Of the track's media, in Hz.
        is_video: By its handler.
        external: By index of data reference less 1: whether its media are in another file.

    Raises:
        PeerError: The entry of a known codec is cut off, or its configuration is broken.
        LimitExceeded: There are more than `MAX_ENTRIES`, or a configuration is too long.
    """
    version, _flags = version_and_flags(stsd)
    found: list[Description] = []
    for entry in children(stsd, 8):
        if len(found) == MAX_ENTRIES:
            raise LimitExceeded(
                "too many sample entries", reference=_STSD, limit=MAX_ENTRIES, offset=entry.offset
            )
        (reference,) = unpack(_entry, entry)
        if reference and external[reference - 1 : reference] == [True]:
            found.append(Description(_name(entry)))
        elif is_video:
            found.append(_visual(entry))
        else:
            found.append(_audible(entry, version, timescale))
    return found


def _visual(entry: Box) -> Description:
    known = _VISUAL.get(entry.kind)
    if known is None:
        return Description(_name(entry))
    kind, read = known
    return read(_name(entry), _limited(required(entry, kind, _VISUAL_FIELDS)))


def _h264(name: str, config: bytes) -> Description:
    size = h264.parse_configuration(config).length_size
    track = Track(Codec.H264, config=_with_length_4(config, 4))
    return Description(name, track, _nal_form(size))


def _hevc(name: str, config: bytes) -> Description:
    size = hevc.parse_configuration(config).length_size
    track = Track(Codec.HEVC, config=_with_length_4(config, 21))
    return Description(name, track, _nal_form(size))


def _av1(name: str, config: bytes) -> Description:
    av1.parse_configuration(config)
    return Description(name, Track(Codec.AV1, config=config), av1.normalise)


def _vp(name: str, config: bytes) -> Description:
    vp9.parse_configuration(config)
    codec = Codec.VP8 if name == "vp08" else Codec.VP9
    return Description(name, Track(codec, config=config))


# By sample entry: the box with the configuration, and what reads that. "avc3" and "hev1" may have
# parameter sets in their samples too, which stay there. Those with "dv" are of Dolby Vision.
_VISUAL: Final[dict[bytes, tuple[bytes, Callable[[str, bytes], Description]]]] = {
    **dict.fromkeys((b"avc1", b"avc3", b"dva1", b"dvav"), (b"avcC", _h264)),
    **dict.fromkeys((b"hvc1", b"hev1", b"dvh1", b"dvhe"), (b"hvcC", _hevc)),
    **dict.fromkeys((b"av01", b"dav1"), (b"av1C", _av1)),
    **dict.fromkeys((b"vp08", b"vp09"), (b"vpcC", _vp)),
}


def _audible(entry: Box, stsd_version: int, timescale: int) -> Description:
    read = _AUDIBLE.get(entry.kind)
    if read is None:
        return Description(_name(entry))
    return read(entry, _sound(entry, stsd_version, timescale))


def _sound(entry: Box, stsd_version: int, timescale: int) -> _Sound:
    """Read the fields before the boxes, in all the versions that they have."""
    version, channels, bits, rate = unpack(_audio, entry)
    skip, flags = _AUDIO_FIELDS, -1
    # 16.16 bits, which higher rates do not fit into.
    rate >>= 16
    if not stsd_version:
        skip += _QUICKTIME_FIELDS.get(version, 0)
        if version == 2:
            exact, channels, bits, flags = unpack(_quicktime_2, entry)
            rate = int(exact) if 1 <= exact < 1 << 32 else 0
    boxes: dict[bytes, Box] = {}
    for box in (*children(entry, skip), *_wave(entry, skip)):
        boxes.setdefault(box.kind, box)
    if b"srat" in boxes and stsd_version:
        (rate,) = unpack(_rate, boxes[b"srat"])
    return _Sound(rate or timescale, channels, bits, flags, boxes)


def _wave(entry: Box, skip: int) -> Iterator[Box]:
    """Yield the boxes of QuickTime's siDecompressionParam, where MOV has the esds of AAC."""
    wave = child(entry, b"wave", skip)
    if wave is not None:
        yield from children(wave)


def _mp4a(entry: Box, sound: _Sound) -> Description:
    name = _name(entry)
    object_type, config = _parse_esds(sound.config(b"esds", entry), entry)
    if object_type in _MPEG_AUDIO:
        return _mp3(entry, sound)
    if object_type not in _MPEG4_AUDIO:
        return Description(name)
    if aac.parse_audio_specific_config(config).object_type not in _AAC_TYPES:
        return Description(name)
    track = flv_tracks.aac_track(0, config)
    if not track.channels:
        # The frames tell, and the entry knows them.
        track = replace(track, channels=sound.channels)
    return Description(name, track)


def _mp3(entry: Box, sound: _Sound) -> Description:
    track = Track(Codec.MP3, clock_rate=sound.rate, channels=sound.channels)
    return Description(_name(entry), track)


def _opus(entry: Box, sound: _Sound) -> Description:
    head = opus.parse_dops(sound.config(b"dOps", entry))
    return Description(_name(entry), flv_tracks.opus_track(0, opus.build_opus_head(head), 0))


def _flac(entry: Box, sound: _Sound) -> Description:
    track = flv_tracks.flac_track(0, sound.config(b"dfLa", entry)[4:])
    return Description(_name(entry), track)


def _ac3(entry: Box, sound: _Sound) -> Description:
    # QuickTime's files have none.
    config = _limited(sound.boxes[b"dac3"]) if b"dac3" in sound.boxes else b""
    rate, channels = sound.rate, sound.channels
    if config:
        reader = BitReader(config, _AC3_BOXES)
        code, bsid = reader.u(2), reader.u(5)
        reader.skip(3)
        channels = _SURROUND_CHANNELS[reader.u(3)] + reader.u(1)
        rate = _AC3_RATES[code] >> max(0, min(bsid, 10) - 8) or rate
    track = Track(Codec.AC3, clock_rate=rate, config=config, channels=channels)
    return Description(_name(entry), track)


def _eac3(entry: Box, sound: _Sound) -> Description:
    config = sound.config(b"dec3", entry)
    reader = BitReader(config, _AC3_BOXES)
    # data_rate, num_ind_sub; then the first independent substream, which is the first program.
    reader.skip(16)
    code = reader.u(2)
    reader.skip(10)
    channels = _SURROUND_CHANNELS[reader.u(3)] + reader.u(1)
    reader.skip(3)
    if reader.u(4):
        locations = reader.u(9)
        channels += sum(n for bit, n in enumerate(_LOCATIONS) if locations >> bit & 1)
    # The code for a reduced rate does not tell which.
    rate = _AC3_RATES[code] or sound.rate
    track = Track(Codec.EAC3, clock_rate=rate, config=config, channels=channels)
    return Description(_name(entry), track)


def _g711(entry: Box, sound: _Sound) -> Description:
    codec = Codec.PCM_ALAW if entry.kind == b"alaw" else Codec.PCM_MULAW
    return _pcm(entry, sound, codec, 1)


def _pcm_by_name(entry: Box, sound: _Sound) -> Description:
    """Read what QuickTime names by its form: "sowt" is little-endian, "twos" big-endian."""
    if entry.kind == b"raw " and sound.bits == 8:
        return _pcm(entry, sound, Codec.PCM_U8, 1)
    if entry.kind == b"raw " or sound.bits != 16:
        return Description(_name(entry))
    return _pcm(entry, sound, Codec.PCM_S16LE, 2, swap=entry.kind == b"twos")


def _lpcm(entry: Box, sound: _Sound) -> Description:
    # kAudioFormatFlag: 1 float, 2 big-endian, 4 signed (QTFF, version 2).
    if sound.bits != 16 or sound.flags < 0 or sound.flags & 5 != 4:
        return Description(_name(entry))
    return _pcm(entry, sound, Codec.PCM_S16LE, 2, swap=sound.flags & 2 != 0)


def _ipcm(entry: Box, sound: _Sound) -> Description:
    """Read ISO/IEC 23003-5 section 4: the box pcmC tells form and size."""
    config = sound.config(b"pcmC", entry)
    if len(config) < 6 or config[5] != 16:
        return Description(_name(entry))
    return _pcm(entry, sound, Codec.PCM_S16LE, 2, swap=not config[4] & 1)


def _pcm(entry: Box, sound: _Sound, codec: Codec, width: int, *, swap: bool = False) -> Description:
    channels = max(1, sound.channels)
    if channels > _MAX_CHANNELS:
        return Description(_name(entry))
    track = Track(codec, clock_rate=sound.rate, channels=channels)
    form = _swapped if swap else None
    return Description(_name(entry), track, form, channels * width)


_AUDIBLE: Final[dict[bytes, Callable[[Box, _Sound], Description]]] = {
    b"mp4a": _mp4a,
    b".mp3": _mp3,
    b"ms\0U": _mp3,
    b"Opus": _opus,
    b"fLaC": _flac,
    b"ac-3": _ac3,
    b"ec-3": _eac3,
    b"alaw": _g711,
    b"ulaw": _g711,
    b"sowt": _pcm_by_name,
    b"twos": _pcm_by_name,
    b"raw ": _pcm_by_name,
    b"lpcm": _lpcm,
    b"ipcm": _ipcm,
}


def _parse_esds(esds: bytes, entry: Box) -> tuple[int, bytes]:
    """Read an ES_Descriptor: the object type, and what a decoder must know, or nothing."""
    data = esds[4:]
    place, stop = _descriptor(data, 0, _ES_TAG, entry)
    flags = data[place + 2] if place + 2 < stop else 0
    place += 3
    place += 2 if flags & 0x80 else 0  # dependsOn_ES_ID
    if flags & 0x40:
        place += 1 + (data[place] if place < stop else 0)  # URLstring
    place += 2 if flags & 0x20 else 0  # OCR_ES_Id
    place, stop = _descriptor(data, place, _DECODER_TAG, entry)
    if place + 13 > stop:
        raise PeerError(
            "a DecoderConfigDescriptor is cut off", reference=_ESDS, offset=entry.offset
        )
    object_type = data[place]
    place += 13
    if place == stop:
        return object_type, b""
    place, stop = _descriptor(data, place, _SPECIFIC_TAG, entry)
    return object_type, data[place:stop]


def _descriptor(data: bytes, place: int, tag: int, entry: Box) -> tuple[int, int]:
    """Find the bounds of the descriptor at a place (14496-1 8.3.3); cut to what is there."""
    if data[place : place + 1] != bytes((tag,)):
        raise PeerError(f"no descriptor with tag {tag}", reference=_ESDS, offset=entry.offset)
    place += 1
    size = 0
    for byte in data[place : place + 4]:
        place += 1
        size = size << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return place, min(len(data), place + size)


def _limited(box: Box) -> bytes:
    if len(box.body) > MAX_CONFIG_BYTES:
        raise LimitExceeded(
            f"a configuration of {len(box.body)} bytes",
            reference=_STSD,
            limit=MAX_CONFIG_BYTES,
            offset=box.offset,
        )
    return bytes(box.body)


def _nal_form(length_size: int) -> Form:
    return nal.normalise if length_size == 4 else partial(nal.normalise, length_size=length_size)


def _with_length_4(config: bytes, place: int) -> bytes:
    """Set LengthSizeMinusOne, the lowest two bits of a byte: the samples are made so."""
    return config[:place] + bytes((config[place] | 3,)) + config[place + 1 :]


def _swapped(payload: bytes) -> bytes:
    """Turn big-endian samples of 16 bits into little-endian ones; half a one is left out."""
    words = array("H", payload[: len(payload) & ~1])
    words.byteswap()
    return words.tobytes()


def _name(entry: Box) -> str:
    return entry.kind.decode("latin-1")
