"""Packets turned into what a PES packet of MPEG-TS holds, codec by codec.

H.264 and HEVC become byte streams (H.222.0 sections 2.14.1 and 2.17.1), AAC gets its ADTS headers,
Opus its control headers; MPEG audio, AC-3 and E-AC-3 are the same in every container.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from ntvmedia.codecs import aac, ac3, h264, hevc, hevc_sets, mpegaudio, opus
from ntvmedia.codecs.bits import BitWriter
from ntvmedia.codecs.nal import START_CODE, split_length_prefixed
from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats.mpegts_opus import channel_code, control_header, descriptors
from ntvmedia.formats.mpegts_tables import StreamType, registration
from ntvmedia.media.packets import Codec, Packet, Track

MAX_AUDIO_BYTES: Final = 0xFF00
"""Of one PES packet of sound, whose length must be told in 16 bits (H.222.0 2.4.3.7)."""

# Access unit delimiters that allow for every type of slice (ISO/IEC 14496-10 section 7.3.2.4,
# ISO/IEC 23008-2 section 7.3.2.5): H.222.0 demands one before each access unit, and Apple's
# players fail without.
_H264_DELIMITER: Final = b"\x09\xf0"
_HEVC_DELIMITER: Final = b"\x46\x01\x50"
_HEVC_DELIMITER_TYPE: Final = 35

# SEI that no decoder needs: user_data_unregistered, as x264 and x265 sign their work.
_UNREGISTERED: Final = 5

# ISO/IEC 13818-1 table 2-34: MPEG-1 audio has 32 kHz and more, MPEG-2 and 2.5 have less.
_LOWEST_MPEG1_RATE: Final = 32000

# `aac_frame_length` has 13 bits and counts the header (ISO/IEC 14496-3 section 1.A.3.2).
_MAX_ADTS_PAYLOAD: Final = 0x1FFF - aac.ADTS_HEADER_LENGTH

# ISO/IEC 14496-3 table 4.85, in 3 bits.
_ID_PCE: Final = 5

_NO_DATA: Final = b""


class Framer(Protocol):
    """Makes the payload of PES packets of one track."""

    def data(self, packet: Packet) -> bytes:
        """Return a packet's bytes; none where it is broken, or too large for MPEG-TS."""

    def samples(self, payload: bytes) -> int:
        """Return how long a packet of sound is, in ticks of its track; 0 where not known."""


class _NALFramer:
    """What is common to H.264 and HEVC.

    Args:
        sets: By type of NAL unit, in the order in which they are written: the parameter sets of
            the track's configuration.
        extras: Other units of the configuration, for keyframes that come without sets.
    """

    _delimiter: bytes
    _delimiter_type: int
    _shift: int
    _types: int

    def __init__(self, sets: dict[int, tuple[bytes, ...]], extras: tuple[bytes, ...] = ()) -> None:
        self._sets = sets
        self._extras = extras

    def data(self, packet: Packet) -> bytes:
        try:
            units = split_length_prefixed(packet.payload)
        except PeerError:
            return _NO_DATA
        shift, types, delimiter_type = self._shift, self._types, self._delimiter_type
        delimiter = self._delimiter
        if any(unit[0] >> shift & types == delimiter_type for unit in units):
            theirs = [unit for unit in units if unit[0] >> shift & types == delimiter_type]
            units = [unit for unit in units if unit[0] >> shift & types != delimiter_type]
            delimiter = theirs[0]
        if not units:
            return _NO_DATA
        if packet.is_keyframe:
            units = self._with_sets(units)
        return START_CODE.join((_NO_DATA, delimiter, *units))

    def samples(self, payload: bytes) -> int:
        return 0

    def _with_sets(self, units: list[bytes]) -> list[bytes]:
        """Put each kind of parameter set first, once: from the frame, else the configuration."""
        found: dict[int, list[bytes]] = {kind: [] for kind in self._sets}
        others: list[bytes] = []
        shift, types = self._shift, self._types
        for unit in units:
            found.get(unit[0] >> shift & types, others).append(unit)
        first: list[bytes] = []
        bare = True
        for kind, known in self._sets.items():
            first += dict.fromkeys(found[kind] or known)
            bare = bare and not found[kind]
        if bare:
            first += (unit for unit in self._extras if unit not in others)
        return first + others


class _H264Framer(_NALFramer):
    _delimiter = _H264_DELIMITER
    _delimiter_type = h264.ACCESS_UNIT_DELIMITER
    _shift = 0
    _types = 0x1F

    def __init__(self, track: Track) -> None:
        sps: tuple[bytes, ...] = ()
        pps: tuple[bytes, ...] = ()
        if track.config:
            record = h264.parse_configuration(track.config)
            sps, pps = record.sps, record.pps
        super().__init__({h264.SPS_UNIT: sps, h264.PPS_UNIT: pps})


class _HEVCFramer(_NALFramer):
    _delimiter = _HEVC_DELIMITER
    _delimiter_type = _HEVC_DELIMITER_TYPE
    _shift = 1
    _types = 0x3F

    def __init__(self, track: Track) -> None:
        vps: tuple[bytes, ...] = ()
        sps: tuple[bytes, ...] = ()
        pps: tuple[bytes, ...] = ()
        sei: tuple[bytes, ...] = ()
        if track.config:
            record = hevc.parse_configuration(track.config)
            vps, sps, pps, sei = record.vps, record.sps, record.pps, record.sei
        super().__init__(
            {hevc_sets.VPS_UNIT: vps, hevc_sets.SPS_UNIT: sps, hevc_sets.PPS_UNIT: pps},
            # The type of the first message follows the two bytes of the unit's header.
            tuple(unit for unit in sei if unit[2:3] != bytes((_UNREGISTERED,))),
        )


class _AACFramer:
    """AAC with an ADTS header before each frame.

    SBR and PS cannot be told in ADTS: the header is that of the core, and decoders find the rest
    in the frames (ISO/IEC 14496-3 section 1.A.3). Where the configuration has a
    program_config_element in place of a channel configuration, each frame begins with it.
    """

    def __init__(self, track: Track) -> None:
        config = aac.parse_audio_specific_config(track.config)
        if config.frame_length != 1024:
            raise UsageError("frames of ADTS have 1024 samples")
        # The length, 13 bits, is put into a header whose length counts only itself.
        self._head = int.from_bytes(aac.adts_header(config, 0), "big")
        self._samples = config.frame_length * track.clock_rate // config.sample_rate
        self._program = _NO_DATA
        if not config.channel_configuration:
            bits, count = config.program_config
            writer = BitWriter()
            writer.u(_ID_PCE, 3)
            writer.u(bits, count)
            writer.align()
            writer.u(0, 8)  # comment_field_bytes
            self._program = writer.to_bytes()

    def data(self, packet: Packet) -> bytes:
        payload = packet.payload
        if self._program and payload and payload[0] >> 5 != _ID_PCE:
            payload = self._program + payload
        size = len(payload)
        if not 0 < size <= _MAX_ADTS_PAYLOAD:
            return _NO_DATA
        return (self._head + (size << 13)).to_bytes(aac.ADTS_HEADER_LENGTH, "big") + payload

    def samples(self, payload: bytes) -> int:
        return self._samples


class _MPEGAudioFramer:
    def data(self, packet: Packet) -> bytes:
        return packet.payload if len(packet.payload) <= MAX_AUDIO_BYTES else _NO_DATA

    def samples(self, payload: bytes) -> int:
        try:
            return mpegaudio.parse_header(payload).samples
        except PeerError:
            return 0


class _AC3Framer(_MPEGAudioFramer):
    def samples(self, payload: bytes) -> int:
        try:
            return ac3.parse_syncframe(payload).samples
        except PeerError:
            return 0


class _OpusFramer:
    def data(self, packet: Packet) -> bytes:
        payload = packet.payload
        if not 0 < len(payload) <= MAX_AUDIO_BYTES - 0x200:
            return _NO_DATA
        return control_header(len(payload)) + payload

    def samples(self, payload: bytes) -> int:
        try:
            return opus.packet_duration(payload)
        except PeerError:
            return 0


class Carriage:
    """How a track is carried.

    Attributes:
        stream_type: For the PMT.
        descriptors: Likewise.
        framer: For its packets.
    """

    __slots__ = ("descriptors", "framer", "stream_type")

    def __init__(self, stream_type: int, framer: Framer, descriptors: bytes = b"") -> None:
        self.stream_type = stream_type
        self.framer = framer
        self.descriptors = descriptors


def carriage(track: Track) -> Carriage | None:
    """Return how MPEG-TS carries a track; None where it cannot.

    It cannot where there is no mapping that players know (AV1, VP9, FLAC, G.711 and others), and
    where AAC has no form in ADTS: no configuration yet, xHE-AAC, more than 8 channels, frames of
    960 samples.
    """
    make = _CARRIAGES.get(track.codec)
    if make is None:
        return None
    try:
        return make(track)
    except (PeerError, UsageError):
        return None


def _h264(track: Track) -> Carriage:
    return Carriage(StreamType.H264, _H264Framer(track))


def _hevc(track: Track) -> Carriage:
    # FFmpeg writes the registration too, which older demultiplexers know it by.
    return Carriage(StreamType.HEVC, _HEVCFramer(track), registration(b"HEVC"))


def _aac(track: Track) -> Carriage:
    return Carriage(StreamType.AAC_ADTS, _AACFramer(track))


def _mp3(track: Track) -> Carriage:
    low = track.clock_rate < _LOWEST_MPEG1_RATE
    kind = StreamType.MPEG2_AUDIO if low else StreamType.MPEG1_AUDIO
    return Carriage(kind, _MPEGAudioFramer())


# AC-3 and E-AC-3 as ATSC has them (A/52 annexes A and G), not as DVB (0x06 with descriptors 0x6A
# and 0x7A): it is what Apple's HLS specification names, and hls.js knows only this. FFmpeg, VLC
# and GStreamer take both; they, too, need the registration to trust numbers from 0x80.
def _ac3(_track: Track) -> Carriage:
    return Carriage(StreamType.AC3, _AC3Framer(), registration(b"AC-3"))


def _eac3(_track: Track) -> Carriage:
    return Carriage(StreamType.EAC3, _AC3Framer(), registration(b"EAC3"))


def _opus(track: Track) -> Carriage | None:
    code = channel_code(track)
    if code is None:
        return None
    return Carriage(StreamType.PRIVATE, _OpusFramer(), descriptors(code))


_CARRIAGES: Final[dict[Codec, Callable[[Track], Carriage | None]]] = {
    Codec.H264: _h264,
    Codec.HEVC: _hevc,
    Codec.AAC: _aac,
    Codec.MP3: _mp3,
    Codec.AC3: _ac3,
    Codec.EAC3: _eac3,
    Codec.OPUS: _opus,
}
