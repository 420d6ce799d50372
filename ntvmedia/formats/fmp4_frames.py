"""Packets as samples of MP4: without parameter sets that the sample entry has, and how long.

ISO/IEC 14496-15 sections 4.2.3 and 8.3.3: under "avc1" and "hvc1", parameter sets stand in the
sample entry and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ntvmedia.codecs import aac, ac3, flac, h264, hevc, hevc_sets, mpegaudio, opus
from ntvmedia.codecs.nal import join_length_prefixed, split_length_prefixed
from ntvmedia.errors import PeerError
from ntvmedia.media.packets import Codec, Track

Trimmer = Callable[[bytes], bytes]
"""Takes from a payload what does not belong into a sample; never raises."""

Measurer = Callable[[bytes], int]
"""Returns how long a payload is in ticks of its track, 0 where it does not tell; never raises."""

# Types of NAL units that are slices: 1 to 5 in H.264 (ISO/IEC 14496-10 table 7-1), below 32 in
# HEVC (ISO/IEC 23008-2 table 7-1). Parameter sets come before them.
_LAST_AVC_SLICE: Final = h264.IDR
_FIRST_NOT_VCL: Final = 32

_HEVC_SETS: Final = (hevc_sets.VPS_UNIT, hevc_sets.SPS_UNIT, hevc_sets.PPS_UNIT)


def trimmer(track: Track) -> Trimmer | None:
    """Return what makes a track's payloads samples; None where they are.

    Parameter sets are taken out if the configuration has the same. Others stay, although they
    are not allowed: without them nothing could be decoded, and players find them.
    """
    try:
        if track.codec is Codec.H264:
            avc = h264.parse_configuration(track.config)
            return _AVCTrimmer((*avc.sps, *avc.pps))
        if track.codec is Codec.HEVC:
            record = hevc.parse_configuration(track.config)
            return _HEVCTrimmer((*record.vps, *record.sps, *record.pps))
    except PeerError:
        pass
    return None


def measurer(track: Track) -> Measurer | None:
    """Return what measures a track's packets; None for pictures, whose length nothing tells."""
    make = _MEASURERS.get(track.codec)
    return None if make is None else make(track)


class _AVCTrimmer:
    """Takes out what H.264's sample entry has."""

    def __init__(self, sets: Iterable[bytes]) -> None:
        self._sets = frozenset(sets)

    def __call__(self, payload: bytes) -> bytes:
        position, end = 4, len(payload)
        while position < end:
            kind = payload[position] & 0x1F
            if 0 < kind <= _LAST_AVC_SLICE:
                return payload
            if kind in (h264.SPS_UNIT, h264.PPS_UNIT):
                return _without(payload, self._sets)
            position += 4 + int.from_bytes(payload[position - 4 : position], "big")
        return payload


class _HEVCTrimmer:
    """Takes out what HEVC's sample entry has."""

    def __init__(self, sets: Iterable[bytes]) -> None:
        self._sets = frozenset(sets)

    def __call__(self, payload: bytes) -> bytes:
        position, end = 4, len(payload)
        while position < end:
            kind = payload[position] >> 1 & 0x3F
            if kind < _FIRST_NOT_VCL:
                return payload
            if kind in _HEVC_SETS:
                return _without(payload, self._sets)
            position += 4 + int.from_bytes(payload[position - 4 : position], "big")
        return payload


def _without(payload: bytes, sets: frozenset[bytes]) -> bytes:
    try:
        units = split_length_prefixed(payload)
    except PeerError:
        return payload
    rest = [unit for unit in units if unit not in sets]
    # A packet of nothing but sets stays: a sample has at least one unit.
    return join_length_prefixed(rest) if rest and len(rest) < len(units) else payload


def _aac(track: Track) -> Measurer | None:
    try:
        config = aac.parse_audio_specific_config(track.config)
    except PeerError:
        return None
    ticks = config.frame_length * track.clock_rate // config.sample_rate
    return lambda _payload: ticks


def _mp3(track: Track) -> Measurer:
    rate = track.clock_rate

    def measure(payload: bytes) -> int:
        try:
            header = mpegaudio.parse_header(payload)
        except PeerError:
            return 0
        return header.samples * rate // header.sample_rate

    return measure


def _ac3(track: Track) -> Measurer:
    rate = track.clock_rate

    def measure(payload: bytes) -> int:
        try:
            # Usually one frame; else those that depend on it, or the next ones (E-AC-3).
            frame = ac3.parse_syncframe(payload)
            samples = frame.samples
            if frame.frame_size < len(payload):
                samples = sum(
                    other.samples
                    for other in ac3.split_syncframes(payload)
                    if other.stream_type != ac3.DEPENDENT and other.substream == frame.substream
                )
        except PeerError:
            return 0
        return samples * rate // frame.sample_rate

    return measure


def _opus(track: Track) -> Measurer:
    rate = track.clock_rate

    def measure(payload: bytes) -> int:
        try:
            return opus.packet_duration(payload) * rate // opus.CLOCK_RATE
        except PeerError:
            return 0

    return measure


def _flac(_track: Track) -> Measurer:
    def measure(payload: bytes) -> int:
        try:
            return flac.frame_samples(payload)
        except PeerError:
            return 0

    return measure


_MEASURERS: Final[dict[Codec, Callable[[Track], Measurer | None]]] = {
    Codec.AAC: _aac,
    Codec.MP3: _mp3,
    Codec.AC3: _ac3,
    Codec.EAC3: _ac3,
    Codec.OPUS: _opus,
    Codec.FLAC: _flac,
}
