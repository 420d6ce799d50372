"""AAC as LATM in RTP (RFC 6416 section 6, RFC 3016): what GStreamer and older cameras send.

A packet holds one AudioMuxElement, or a fragment; the marker bit ends it. The configuration stands
in each element (`cpresent=1`, the default) or in the description alone. Only receiving.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ntvmedia.errors import PeerError
from ntvmedia.formats.mpegts_latm import LATMReader
from ntvmedia.formats.mpegts_packets import CLOCK_RATE
from ntvmedia.media.timebase import rescale
from ntvmedia.wire.rtp.packets import RTPPacket
from ntvmedia.wire.rtp.payloads import Event

# LOAS: 11 bits of sync word and 13 of length (ISO/IEC 14496-3 section 1.7.2).
_SYNC: Final = 0x2B7 << 13
_LARGEST: Final = 0x1FFF

# Bytes of zeros behind a configuration, in place of the frames that should follow it.
_FILLING: Final = bytes(80)

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
        self._clock_rate = clock_rate
        self._reader = LATMReader(number)
        self._in_band = parameters.get("cpresent", "1").strip() != "0"
        self._pending: list[Event] = []
        self._parts: list[bytes] = []
        self._held = 0
        self._waits = False
        text = parameters.get("config", "").strip()
        try:
            config = bytes.fromhex(text + "0" * (len(text) & 1))
        except ValueError:
            config = b""
        if config and len(config) <= _MAX_CONFIG:
            # As an element with its configuration, and with frames of no size.
            self._element(config + _FILLING, 0, None, self._pending)
            self._reader.lost()
        if not self._in_band and self._reader.track is None:
            raise PeerError("LATM without a configuration", reference="RFC 6416 section 7.3")

    def receive(self, packet: RTPPacket, ticks: int, lost: bool) -> list[Event]:
        events, self._pending = self._pending, []
        if lost:
            # What comes up to the next marker may be without its beginning.
            self._drop()
            self._waits = not packet.marker
            self._reader.lost()
            if self._waits:
                return events
        elif self._waits:
            self._waits = not packet.marker
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
            if element:
                pts = rescale(ticks, self._clock_rate, CLOCK_RATE)
                if self._in_band:
                    self._loas(element, pts, events)
                else:
                    self._element(element, 1, pts, events)
        return events

    def flush(self) -> list[Event]:
        self._drop()
        return []

    def _element(self, data: bytes, same_mux: int, pts: int | None, events: list[Event]) -> None:
        """Read what lacks useSameStreamMux in front: with it, all is moved by one bit."""
        size = len(data) + 1
        moved = (same_mux << 8 * len(data) | int.from_bytes(data, "big")) << 7
        self._loas(moved.to_bytes(size, "big"), pts, events)

    def _loas(self, element: bytes, pts: int | None, events: list[Event]) -> None:
        if len(element) <= _LARGEST:
            head = (_SYNC | len(element)).to_bytes(3, "big")
            self._reader.read(head + element, pts, None, events)

    def _drop(self) -> None:
        self.damaged += bool(self._parts)
        self._parts, self._held = [], 0
