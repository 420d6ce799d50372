"""AV1 in RTP ("RTP Payload Format For AV1", v1.0): elements, each an OBU or a part of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ntvmedia.codecs import av1
from ntvmedia.errors import PeerError, UsageError
from ntvmedia.media.packets import VIDEO_CLOCK_RATE, Codec, Packet, Track
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD
from ntvmedia.wire.rtp.payloads import Payload
from ntvmedia.wire.rtp.picture_payloads import PictureDepacketiser

# The aggregation header (section 4.4): the first element continues one, the last one goes on in
# the next packet, how many there are, a new coded video sequence begins.
_CONTINUES: Final = 0x80
_GOES_ON: Final = 0x40
_COUNT_SHIFT: Final = 4
_NEW_SEQUENCE: Final = 0x08

# As many elements can be told by their count; then the last one needs no length.
_MOST_ELEMENTS: Final = 3
# Of a length before an element: enough for 2 MB.
_LENGTH_BYTES: Final = 3
# A shorter piece of an OBU is not worth its length.
_SHORTEST_PIECE: Final = 16
_MIN_PAYLOAD: Final = 64

# Of one temporal unit; a frame of 64 tile groups and its metadata has less.
_MAX_ELEMENTS: Final = 4096

_HAS_SIZE: Final = 2
# Elements of these types are not sent (section 5): temporal delimiters, tile lists.
_NOT_SENT: Final = (av1.TEMPORAL_DELIMITER, 8)


class Packetiser:
    """Makes payloads; keyframes begin with the sequence header.

    Args:
        track: Its configuration has a sequence header, for keyframes that come without.
        mtu: Bytes of a payload, at most.

    Raises:
        UsageError: `mtu` is below 64.
    """

    clock_rate = VIDEO_CLOCK_RATE
    step = 0

    def __init__(self, track: Track, mtu: int = MAX_PAYLOAD) -> None:
        if mtu < _MIN_PAYLOAD:
            raise UsageError(f"a payload of RTP has {_MIN_PAYLOAD} bytes at least")
        self._room = mtu - 1
        try:
            self._sets = self._elements(av1.parse_configuration(track.config).units)
        except PeerError:
            self._sets = []

    def packetise(self, packet: Packet) -> list[Payload]:
        try:
            elements = self._elements(packet.payload)
        except PeerError:
            return []
        if packet.is_keyframe and not av1.has_parameter_sets(packet.payload):
            elements = self._sets + elements
        payloads: list[Payload] = []
        parts: list[bytes] = []
        room, flags = self._room, _NEW_SEQUENCE if packet.is_keyframe else 0
        for element in elements:
            place, size = 0, len(element)
            while place < size:
                if parts and (len(parts) == _MOST_ELEMENTS or room < _SHORTEST_PIECE):
                    flags |= _GOES_ON if place else 0
                    payloads.append((_aggregate(parts, flags), False))
                    parts, room, flags = [], self._room, _CONTINUES if place else 0
                piece = element[place : place + room - _LENGTH_BYTES]
                parts.append(piece)
                place += len(piece)
                room -= len(piece) + _LENGTH_BYTES
        if parts:
            payloads.append((_aggregate(parts, flags), True))
        return payloads

    @staticmethod
    def _elements(data: bytes) -> list[bytes]:
        """Cut OBUs, and take their sizes out.

        Raises:
            PeerError: One is broken.
        """
        return [
            bytes((unit.header[0] & ~_HAS_SIZE,)) + unit.header[1:] + unit.payload
            for unit in av1.split_obus(data)
            if unit.type not in _NOT_SENT
        ]


class Depacketiser(PictureDepacketiser):
    """Reads payloads.

    Args:
        parameters: Nothing is read of them: the sequence header tells more.
        clock_rate: Always 90000.
        channels: None.
        number: Of the track.
    """

    def __init__(
        self,
        parameters: Mapping[str, str],
        clock_rate: int = VIDEO_CLOCK_RATE,
        channels: int = 0,
        number: int = 0,
    ) -> None:
        super().__init__(number)
        self._elements: list[bytes] = []
        self._pieces: list[bytes] = []

    def _starts(self, payload: bytes) -> bool:
        return bool(payload) and payload[0] & (_NEW_SEQUENCE | _CONTINUES) == _NEW_SEQUENCE

    def _take(self, payload: bytes) -> bool:
        head = payload[0]
        count = head >> _COUNT_SHIFT & 3
        place, end = 1, len(payload)
        if (head & _CONTINUES != 0) != bool(self._pieces):
            return False
        index = 0
        while place < end or count:
            index += 1
            if index == count:
                size = end - place
            else:
                size, place = _read_leb128(payload, place)
            if size < 0 or place + size > end or len(self._elements) >= _MAX_ELEMENTS:
                return False
            self._pieces.append(payload[place : place + size])
            place += size
            is_last = index == count or (not count and place >= end)
            if not is_last or not head & _GOES_ON:
                self._elements.append(b"".join(self._pieces))
                self._pieces = []
            if is_last:
                break
        return True

    def _picture(self) -> bytes | None:
        if self._pieces:
            return None
        try:
            return b"".join(map(av1.normalise, self._elements))
        except PeerError:
            return None

    def _clear(self) -> None:
        self._elements = []
        self._pieces = []

    def _is_keyframe(self, payload: bytes) -> bool:
        return av1.is_keyframe(payload)

    def _described(self, payload: bytes) -> Track | None:
        try:
            config = av1.configuration_from_frame(payload)
        except PeerError:
            return None
        return Track(Codec.AV1, self._number, config=config) if config else None


def parameters(track: Track) -> dict[str, str]:
    """Return what a session's description tells of a track in `fmtp` (section 7.2.1)."""
    try:
        record = av1.parse_configuration(track.config)
    except PeerError:
        return {}
    return {
        "profile": str(record.profile_idc),
        "level-idx": str(record.level_idc),
        "tier": str(record.tier),
    }


def _aggregate(parts: list[bytes], flags: int) -> bytes:
    """Write one payload: up to three elements, of which the last has no length."""
    pieces = [bytes((flags | len(parts) << _COUNT_SHIFT,))]
    for part in parts[:-1]:
        pieces.append(_leb128(len(part)))
        pieces.append(part)
    pieces.append(parts[-1])
    return b"".join(pieces)


def _leb128(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _read_leb128(data: bytes, place: int) -> tuple[int, int]:
    """Read a length: its value, -1 where it is cut off, and where it ends."""
    value = 0
    for shift in range(0, 28, 7):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    return -1, place
