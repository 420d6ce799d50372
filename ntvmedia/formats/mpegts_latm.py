"""AAC in LATM, as DVB has it in MPEG-TS: LOAS frames of AudioMuxElements.

ISO/IEC 14496-3 sections 1.7.2 (LOAS) and 1.7.3 (LATM). One program of one layer, whose frames tell
their length, is read; nothing else is in use.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ntvmedia.codecs import aac
from ntvmedia.codecs.bits import BitReader, BitWriter
from ntvmedia.errors import PeerError
from ntvmedia.formats import flv_tracks
from ntvmedia.formats.mpegts_audio import Frame, SoundReader
from ntvmedia.formats.mpegts_video import Read

_LATM: Final = "ISO/IEC 14496-3 section 1.7.3"

# audioMuxLengthBytes has 13 bits, behind 11 of the sync word.
_HEADER_SIZE: Final = 3

_ESCAPED_RATE: Final = 15


class _Mux(NamedTuple):
    """What StreamMuxConfig tells.

    Attributes:
        config: The AudioSpecificConfig.
        frames: In each element.
        samples: Of each frame.
    """

    config: bytes
    frames: int
    samples: int


class LATMReader(SoundReader):
    """Reads AAC in LATM: one packet for each frame.

    Args:
        number: Of the track.
    """

    _sync = re.compile(rb"\x56[\xe0-\xff]")
    _first = 0x56
    _header_size = _HEADER_SIZE

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._mux: _Mux | None = None

    def _frame(self, data: bytes, place: int) -> Frame:
        head = int.from_bytes(data[place : place + _HEADER_SIZE], "big")
        if place + _HEADER_SIZE > len(data) or head >> 13 != 0x2B7 or not head & 0x1FFF:
            raise PeerError("no LOAS frame", reference=_LATM, offset=place)
        return Frame(place + _HEADER_SIZE + (head & 0x1FFF), 0, None)

    def _take(self, data: bytes, frame: Frame, events: list[Read]) -> None:
        reader = BitReader(data[_HEADER_SIZE:], _LATM)
        try:
            if not reader.flag():  # useSameStreamMux
                mux = _stream_mux_config(reader)
                if mux != self._mux:
                    self._announce(flv_tracks.aac_track(self.number, mux.config), events)
                    self._mux = mux
            if self._mux is None:
                return
            for _frame in range(self._mux.frames):
                size = 0
                while (byte := reader.u(8)) == 255:
                    size += 255
                payload = reader.u(8 * (size + byte)).to_bytes(size + byte, "big")
                self._append(payload, self._mux.samples, events)
        except PeerError:
            return


def _stream_mux_config(reader: BitReader) -> _Mux:
    """Read StreamMuxConfig (ISO/IEC 14496-3 table 1.42).

    Raises:
        PeerError: It ends early, or is of a form that is not read.
    """
    version = reader.u(1)
    if version:
        if reader.flag():
            raise PeerError("audioMuxVersionA 1 is reserved", reference=_LATM)
        _value(reader)  # taraBufferFullness
    same_timing = reader.flag()
    frames = reader.u(6) + 1
    programs, layers = reader.u(4), reader.u(3)
    if not same_timing or programs or layers:
        raise PeerError("LATM of several programs or layers", reference=_LATM)
    if version:
        count = _value(reader)
        start = reader.position
        bits = reader.u(count)
        reader.position = start + count
    else:
        bits, count = _plain_config(reader)
    writer = BitWriter()
    writer.u(bits, count)
    config = writer.to_bytes()
    parsed = aac.parse_audio_specific_config(config)
    if reader.u(3):
        raise PeerError("LATM frames of fixed length", reference=_LATM)
    reader.skip(8)  # latmBufferFullness
    # Other data would come behind the frames: its length is passed over.
    if reader.flag():
        if version:
            _value(reader)
        else:
            while reader.flag():
                reader.skip(8)
            reader.skip(8)
    if reader.flag():
        reader.skip(8)  # crcCheckSum
    return _Mux(config, frames, parsed.frame_length)


def _plain_config(reader: BitReader) -> tuple[int, int]:
    """Read an AudioSpecificConfig that does not tell its length.

    Returns:
        Its bits, and how many those are.
    """
    start = reader.position
    object_type = reader.u(5)
    _skip_rate(reader)
    configuration = reader.u(4)
    if object_type in (aac.SBR, aac.PS):
        _skip_rate(reader)
        object_type = reader.u(5)
    reader.skip(1)  # frameLengthFlag
    if object_type != aac.AAC_LC or not configuration or reader.u(2):
        raise PeerError("a configuration that only a decoder can measure", reference=_LATM)
    count = reader.position - start
    reader.position = start
    return reader.u(count), count


def _skip_rate(reader: BitReader) -> None:
    if reader.u(4) == _ESCAPED_RATE:
        reader.skip(24)


def _value(reader: BitReader) -> int:
    """Read LatmGetValue (ISO/IEC 14496-3 table 1.43)."""
    count = reader.u(2) + 1
    return reader.u(8 * count)
