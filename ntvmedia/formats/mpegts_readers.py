"""Which reader an elementary stream of MPEG-TS needs, by its entry in the PMT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ntvmedia.formats.mpegts_audio import AC3Reader, ADTSReader, MPEGAudioReader, OpusReader
from ntvmedia.formats.mpegts_latm import LATMReader
from ntvmedia.formats.mpegts_opus import config_from_descriptors
from ntvmedia.formats.mpegts_tables import Stream, StreamType, registered, split_descriptors
from ntvmedia.formats.mpegts_video import H264Reader, HEVCReader, Reader

_SOUND: Final[dict[int, Callable[[int], Reader]]] = {
    StreamType.AAC_ADTS: ADTSReader,
    StreamType.AAC_LATM: LATMReader,
    StreamType.MPEG1_AUDIO: MPEGAudioReader,
    StreamType.MPEG2_AUDIO: MPEGAudioReader,
    StreamType.AC3: AC3Reader,
    StreamType.EAC3: AC3Reader,
}

# DVB's descriptors of private streams (ETSI EN 300 468 annex D), and registered identifiers.
_PRIVATE_TAGS: Final = {0x6A: StreamType.AC3, 0x7A: StreamType.EAC3}
_REGISTERED: Final = {
    b"AC-3": StreamType.AC3,
    b"EAC3": StreamType.EAC3,
    b"HEVC": StreamType.HEVC,
}


# What else carries pictures or sound, by the same table (H.222.0 table 2-34) and common use.
_UNREAD: Final = {
    0x01: "MPEG-1 video",
    0x02: "MPEG-2 video",
    0x10: "MPEG-4 part 2 video",
    0x33: "VVC",
    0x42: "AVS video",
    0x80: "LPCM",
    0x82: "DTS",
    0x83: "TrueHD",
    0x85: "DTS-HD",
    0x8A: "DTS",
    0xC1: "encrypted AC-3",
    0xC2: "encrypted E-AC-3",
    0xCF: "encrypted AAC",
    0xD2: "AVS2 video",
    0xDB: "encrypted H.264",
    0xEA: "VC-1",
}


def unread_name(entry: Stream) -> str:
    """Name the pictures or sound of a stream that nothing reads; empty where it has neither."""
    return _UNREAD.get(_stream_type(entry), "")


def is_video(entry: Stream) -> bool:
    """Whether a stream is of pictures that are read."""
    return _stream_type(entry) in (StreamType.H264, StreamType.HEVC)


def new_reader(entry: Stream, number: int, *, recovery_points: bool) -> Reader | None:
    """Make what reads a stream; None where nothing does.

    Args:
        entry: In the PMT.
        number: Of the track.
        recovery_points: As in `H264Reader`.
    """
    stream_type = _stream_type(entry)
    if stream_type == StreamType.H264:
        return H264Reader(number, recovery_points=recovery_points)
    if stream_type == StreamType.HEVC:
        return HEVCReader(number)
    make = _SOUND.get(stream_type)
    if make is not None:
        return make(number)
    config = config_from_descriptors(entry.descriptors)
    if stream_type == StreamType.PRIVATE and config is not None:
        return OpusReader(number, config)
    return None


def _stream_type(entry: Stream) -> int:
    """Return what a stream is, also where only its descriptors tell."""
    if entry.stream_type != StreamType.PRIVATE:
        return entry.stream_type
    known = _REGISTERED.get(registered(entry.descriptors))
    if known is not None:
        return known
    tags = (_PRIVATE_TAGS.get(tag) for tag, _body in split_descriptors(entry.descriptors))
    return next((kind for kind in tags if kind is not None), StreamType.PRIVATE)
