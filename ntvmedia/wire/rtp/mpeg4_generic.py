"""AAC in RTP: RFC 3640, "mpeg4-generic", in the modes AAC-hbr and AAC-lbr.

AU headers stand before the access units of a packet, which are several whole ones or a fragment of
one. Interleaving is not read: an index that is not the next one only moves the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ntvmedia.codecs import aac
from ntvmedia.codecs.bits import BitReader
from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats import flv_tracks
from ntvmedia.formats.mpegts_clock import SampleClock
from ntvmedia.media.packets import Packet, Track
from ntvmedia.media.timebase import rescale
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD, RTPPacket
from ntvmedia.wire.rtp.payloads import MAX_SOUND, Event, Payload

_REFERENCE: Final = "RFC 3640 section 3.3"

# Of the AU headers of AAC-hbr: length in bits of all, then 13 bits of size and 3 of index.
_HEADERS: Final = 4
_LARGEST: Final = 0x1FFF

# Access units of one packet; each is 20 ms or so.
_MAX_UNITS: Final = 128

# Bits of size and of index in these modes, which some senders take to be known (section 3.3).
_MODES: Final = {"aac-hbr": (13, 3), "aac-lbr": (6, 2)}

# Of one field in an AU header; the document allows 32.
_MAX_BITS: Final = 32


class Packetiser:
    """Makes payloads of AAC-hbr: one access unit, or a fragment of one.

    Args:
        track: AAC.
        mtu: Bytes of a payload, at most.

    Raises:
        UsageError: `mtu` has no room for anything.
    """

    step = 0

    def __init__(self, track: Track, mtu: int = MAX_PAYLOAD) -> None:
        if mtu <= _HEADERS:
            raise UsageError("a payload of RTP has 5 bytes at least")
        self.clock_rate = track.clock_rate
        self._room = mtu - _HEADERS

    def packetise(self, packet: Packet) -> list[Payload]:
        data = packet.payload
        size, room = len(data), self._room
        if not 0 < size <= _LARGEST:
            return []
        # The size in a fragment's header is that of the whole (section 3.2.3.1).
        head = (16 << 16 | size << 3).to_bytes(_HEADERS, "big")
        if size <= room:
            return [(head + data, True)]
        return [
            (head + data[place : place + room], place + room >= size)
            for place in range(0, size, room)
        ]


class Depacketiser:
    """Reads payloads.

    Args:
        parameters: Of the description's `fmtp`: `config`, which must be there, `sizelength`,
            `indexlength`, `indexdeltalength`, `constantsize`, `auxiliarydatasizelength`, and the
            other lengths that an AU header may have.
        clock_rate: Ticks a second of the timestamps.
        channels: Of the description; the configuration tells better.
        number: Of the track.

    Raises:
        PeerError: The configuration is missing, broken or not AAC, or a length makes no sense.
    """

    def __init__(
        self,
        parameters: Mapping[str, str],
        clock_rate: int,
        channels: int = 0,
        number: int = 0,
    ) -> None:
        self.damaged = 0
        config = _hexadecimal(parameters.get("config", ""))
        # Core coder, and its rate: with SBR the timestamps mostly count at twice that.
        parsed = aac.parse_audio_specific_config(config)
        self._track = flv_tracks.aac_track(number, config)
        self._samples = parsed.frame_length
        self._clock_rate = clock_rate
        self._constant = _number(parameters, "constantsize")
        mode = _MODES.get(parameters.get("mode", "").strip().lower(), (0, 0))
        if self._constant:
            mode = (0, 0)
        self._size_bits = _bits(parameters, "sizelength", mode[0])
        self._index_bits = _bits(parameters, "indexlength", mode[1])
        self._delta_bits = _bits(parameters, "indexdeltalength", mode[1])
        self._auxiliary_bits = _bits(parameters, "auxiliarydatasizelength")
        # Presence of a field is told by a flag; random access and stream state have none.
        self._cts_bits = _bits(parameters, "ctsdeltalength")
        self._dts_bits = _bits(parameters, "dtsdeltalength")
        self._random_access = _number(parameters, "randomaccessindication") & 1
        self._state_bits = _bits(parameters, "streamstateindication")
        self._has_headers = any(
            (
                self._size_bits,
                self._index_bits,
                self._cts_bits,
                self._dts_bits,
                self._random_access,
                self._state_bits,
            )
        )
        self._clock = SampleClock()
        self._announced = False
        self._parts: list[bytes] = []
        self._held = self._whole = 0

    def receive(self, packet: RTPPacket, ticks: int, lost: bool) -> list[Event]:
        events: list[Event] = []
        if not self._announced:
            self._announced = True
            events.append(self._track)
        if lost:
            self._drop()
        payload = packet.payload
        if not payload:
            return events
        try:
            units, place = self._units(payload)
        except PeerError:
            self.damaged += 1
            self._drop()
            return events
        if self._whole:
            # The time is that of the first fragment.
            self._goes_on(payload[place:], units, packet.marker, ticks, events)
            return events
        first = units[0][0]
        if place + first > len(payload):
            if len(units) > 1 or first > MAX_SOUND:
                self.damaged += 1
            elif packet.marker:
                self.damaged += 1  # the end of one whose beginning is lost
            else:
                self._parts, self._held = [payload[place:]], len(payload) - place
                self._whole = first
            return events
        for size, index in units:
            unit = payload[place : place + size]
            place += size
            if len(unit) < size:
                self.damaged += 1
                break
            self._append(unit, ticks, index, events)
        return events

    def flush(self) -> list[Event]:
        self._drop()
        return []

    def _goes_on(
        self,
        data: bytes,
        units: list[tuple[int, int]],
        marker: bool,
        ticks: int,
        events: list[Event],
    ) -> None:
        """Take a fragment that is not the first."""
        self._held += len(data)
        if len(units) > 1 or units[0][0] != self._whole or self._held > self._whole:
            self._drop()
            return
        self._parts.append(data)
        if self._held == self._whole:
            unit = b"".join(self._parts)
            self._whole = self._held = 0
            self._parts = []
            self._append(unit, ticks, 0, events)
        elif marker:
            self._drop()

    def _append(self, unit: bytes, ticks: int, index: int, events: list[Event]) -> None:
        track = self._track
        if self._clock_rate != track.clock_rate:
            ticks = rescale(ticks, self._clock_rate, track.clock_rate)
        time = self._clock.time(ticks + index * self._samples, self._samples)
        if unit[:1] == b"\xff":
            # No frame of AAC begins so, but with an ADTS header, which some cameras leave there.
            try:
                header = aac.parse_adts(unit)
            except PeerError:
                self.damaged += 1
                return
            unit = unit[header.header_length :]
        if unit:
            events.append(Packet(track, time, time, True, unit))

    def _drop(self) -> None:
        if self._whole:
            self.damaged += 1
        self._parts = []
        self._whole = self._held = 0

    def _units(self, payload: bytes) -> tuple[list[tuple[int, int]], int]:
        """Read the AU headers, and pass over the auxiliary section.

        Returns:
            Size and index of each access unit, at least one; and where the first begins.

        Raises:
            PeerError: They go beyond the payload, or are of no size.
        """
        reader = BitReader(payload, _REFERENCE)
        units: list[tuple[int, int]] = []
        if self._has_headers:
            end = 16 + reader.u(16)
            index = 0
            while reader.position < end and len(units) < _MAX_UNITS:
                size = reader.u(self._size_bits) if self._size_bits else self._constant
                if units:
                    index += 1 + reader.u(self._delta_bits)
                else:
                    # The index of the first says nothing without interleaving.
                    reader.skip(self._index_bits)
                if self._cts_bits and reader.flag():
                    reader.skip(self._cts_bits)
                if self._dts_bits and reader.flag():
                    reader.skip(self._dts_bits)
                reader.skip(self._random_access + self._state_bits)
                units.append((size, index))
            reader.position = end
            reader.align()
        if self._auxiliary_bits:
            reader.skip(reader.u(self._auxiliary_bits))
            reader.align()
        place = reader.position >> 3
        left = len(payload) - place
        if left <= 0:
            raise PeerError("AU headers without access units", reference=_REFERENCE, offset=place)
        if not self._size_bits:
            # Constant size, and with that many; or one access unit, of what size it has.
            size = self._constant or left
            count = max(1, min(_MAX_UNITS, left // size))
            units = [(size, index) for index in range(count)]
        if not units or not units[0][0]:
            raise PeerError("an access unit has no size", reference=_REFERENCE, offset=2)
        return units, place


def parameters(track: Track) -> dict[str, str]:
    """Return what a session's description tells of a track in `fmtp` (section 4.1)."""
    return {
        "streamtype": "5",
        "profile-level-id": "1",
        "mode": "AAC-hbr",
        "sizelength": "13",
        "indexlength": "3",
        "indexdeltalength": "3",
        "config": track.config.hex().upper(),
    }


def _hexadecimal(text: str) -> bytes:
    """Read digits; some senders put quotation marks around, or leave out the last digit."""
    bare = text.strip().strip('"')
    try:
        return bytes.fromhex(bare + "0" * (len(bare) & 1))
    except ValueError:
        raise PeerError("config is not hexadecimal", reference="RFC 3640 section 4.1") from None


def _number(parameters: Mapping[str, str], name: str) -> int:
    text = parameters.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def _bits(parameters: Mapping[str, str], name: str, default: int = 0) -> int:
    bits = _number(parameters, name) if name in parameters else default
    if bits > _MAX_BITS:
        raise PeerError(f"{name} is {bits}", reference="RFC 3640 section 4.1")
    return bits
