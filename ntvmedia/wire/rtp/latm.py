"""AAC as LATM in RTP (RFC 6416 section 6, RFC 3016): what GStreamer and older cameras send.

A packet holds one AudioMuxElement, or a fragment; the marker bit ends it. The configuration stands
in each element (`cpresent=1`, the default) or in the description alone. Only receiving.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ntvmedia.codecs import aac
from ntvmedia.codecs.bits import BitReader
from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats import flv_tracks
from ntvmedia.formats.mpegts_clock import SampleClock
from ntvmedia.formats.mpegts_latm import LATMReader
from ntvmedia.formats.mpegts_packets import CLOCK_RATE
from ntvmedia.media.packets import Packet, Track
from ntvmedia.media.timebase import rescale
from ntvmedia.wire.rtp.packets import RTPPacket
from ntvmedia.wire.rtp.payloads import Event

_REFERENCE: Final = "RFC 6416 section 7.3"
_MUX: Final = "ISO/IEC 14496-3 section 1.7.3"

# LOAS: 11 bits of sync word and 13 of length (ISO/IEC 14496-3 section 1.7.2).
_SYNC: Final = 0x2B7 << 13
_LARGEST: Final = 0x1FFF

_MAX_CONFIG: Final = 256


class Depacketiser:
    """Reads payloads.

    Args:
        parameters: Of the description's `fmtp`: `cpresent` and `config` (a StreamMuxConfig).
        clock_rate: Ticks a second of the timestamps.
        channels: Of the description; the configuration tells better.
        number: Of the track.

    Raises:
        PeerError: The configuration is to be in the description, and is not, or is of a form
            that is not read.
    """

    def __init__(
        self, parameters: Mapping[str, str], clock_rate: int, channels: int = 0, number: int = 0
    ) -> None:
        self.damaged = 0
        self._parts: list[bytes] = []
        self._held = 0
        self._waits = False
        self._elements: _InBand | _OutOfBand
        if parameters.get("cpresent", "1").strip() == "0":
            config = _hexadecimal(parameters.get("config", ""))
            self._elements = _OutOfBand(config, clock_rate, number)
        else:
            self._elements = _InBand(clock_rate, number)

    def receive(self, packet: RTPPacket, ticks: int, lost: bool) -> list[Event]:
        events: list[Event] = []
        if lost:
            self._drop()
            self._elements.lost()
            # What comes up to the next marker may be without its beginning; what stands between
            # two markers is a whole element.
            self._waits = True
        if self._waits:
            self._waits = not packet.marker
            self.damaged += packet.marker
            return events
        self._held += len(packet.payload)
        if self._held > _LARGEST:
            self._drop()
            self._waits = not packet.marker
            return events
        self._parts.append(packet.payload)
        if packet.marker:
            element = b"".join(self._parts)
            self._parts, self._held = [], 0
            try:
                self._elements.read(element, ticks, events)
            except PeerError:
                self.damaged += 1
        return events

    def flush(self) -> list[Event]:
        self._drop()
        return []

    def _drop(self) -> None:
        self.damaged += bool(self._parts)
        self._parts, self._held = [], 0


class _InBand:
    """Reads elements with their configuration: LATM of MPEG-TS but for its sync word."""

    def __init__(self, clock_rate: int, number: int) -> None:
        self._clock_rate = clock_rate
        self._reader = LATMReader(number)

    def read(self, element: bytes, ticks: int, events: list[Event]) -> None:
        if element:
            head = (_SYNC | len(element)).to_bytes(3, "big")
            pts = rescale(ticks, self._clock_rate, CLOCK_RATE)
            self._reader.read(head + element, pts, None, events)

    def lost(self) -> None:
        self._reader.lost()


class _OutOfBand:
    """Reads elements without configuration: sizes and frames, all at byte boundaries."""

    def __init__(self, config: bytes, clock_rate: int, number: int) -> None:
        self._clock_rate = clock_rate
        self._frames, self._track, self._samples = _stream_mux_config(config, number)
        self._clock = SampleClock()
        self._announced = False

    def read(self, element: bytes, ticks: int, events: list[Event]) -> None:
        """Append the frames of an element.

        Raises:
            PeerError: It is cut off; there may be good frames before that.
        """
        track = self._track
        if not self._announced:
            self._announced = True
            events.append(track)
        ticks = rescale(ticks, self._clock_rate, track.clock_rate)
        place, end = 0, len(element)
        for index in range(self._frames):
            size = 0
            while place < end and element[place] == 0xFF:
                size += 0xFF
                place += 1
            if place >= end or place + 1 + size + element[place] > end:
                raise PeerError("a frame of LATM is cut off", reference=_MUX, offset=place)
            size += element[place]
            place += 1
            time = self._clock.time(ticks + index * self._samples, self._samples)
            if size:
                events.append(Packet(track, time, time, True, element[place : place + size]))
            place += size

    def lost(self) -> None:
        """Nothing is carried from one element to the next."""


def _stream_mux_config(data: bytes, number: int) -> tuple[int, Track, int]:
    """Read StreamMuxConfig as it stands in descriptions (ISO/IEC 14496-3 table 1.42).

    Its AudioSpecificConfig does not tell its length. GStreamer puts a trailer behind it, which
    says that there is no SBR, where a decoder of the table would not look for one. What follows is
    not needed; so all of the rest is read as AudioSpecificConfig, as FFmpeg does.

    Returns:
        How many frames are in an element, the track, and the samples of a frame.

    Raises:
        PeerError: It is broken, or of several programs or layers.
    """
    reader = BitReader(data, _MUX)
    version, same_timing = reader.u(1), reader.flag()
    frames = reader.u(6) + 1
    if version or not same_timing or reader.u(4) or reader.u(3):
        raise PeerError("LATM of several programs or layers", reference=_MUX)
    left = reader.left
    rest = (reader.u(left) << (-left & 7)).to_bytes((left + 7) >> 3, "big")
    parsed = aac.parse_audio_specific_config(rest)
    try:
        config = aac.build_audio_specific_config(parsed)
    except UsageError:
        config = rest
    return frames, flv_tracks.aac_track(number, config), parsed.frame_length


def _hexadecimal(text: str) -> bytes:
    bare = text.strip().strip('"')[: 2 * _MAX_CONFIG]
    try:
        return bytes.fromhex(bare + "0" * (len(bare) & 1))
    except ValueError:
        raise PeerError("config is not hexadecimal", reference=_REFERENCE) from None
