"""VP8 in RTP (RFC 7741): a descriptor of one to six bytes, then a part of a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ntvmedia.codecs import vp8
from ntvmedia.errors import PeerError, UsageError
from ntvmedia.media.packets import VIDEO_CLOCK_RATE, Codec, Packet, Track
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD
from ntvmedia.wire.rtp.payloads import Payload
from ntvmedia.wire.rtp.picture_payloads import PictureDepacketiser

# The first byte of the descriptor (section 4.2): more follows, a partition begins, and which.
_EXTENDED: Final = 0x80
_BEGINS: Final = 0x10
_PARTITION: Final = 0x07

# The byte that follows: picture number, index of layer 0, layer or key index are there.
_PICTURE_ID: Final = 0x80
_LAYER_INDEX: Final = 0x40
_LAYER_OR_KEY: Final = 0x30

_MIN_PAYLOAD: Final = 64


class Packetiser:
    """Makes payloads with the shortest descriptor.

    Args:
        track: VP8.
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

    def packetise(self, packet: Packet) -> list[Payload]:
        data, room = packet.payload, self._room
        size = len(data)
        return [
            ((b"\x00" if place else b"\x10") + data[place : place + room], place + room >= size)
            for place in range(0, size, room)
        ]


class Depacketiser(PictureDepacketiser):
    """Reads payloads.

    Args:
        parameters: Nothing is read of them.
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
        self._parts: list[bytes] = []

    def _starts(self, payload: bytes) -> bool:
        return bool(payload) and payload[0] & (_BEGINS | _PARTITION) == _BEGINS

    def _take(self, payload: bytes) -> bool:
        start = _descriptor_size(payload)
        if start < 0 or self._starts(payload) == bool(self._parts):
            return False
        self._parts.append(payload[start:])
        return True

    def _picture(self) -> bytes | None:
        return b"".join(self._parts)

    def _clear(self) -> None:
        self._parts = []

    def _is_keyframe(self, payload: bytes) -> bool:
        return vp8.is_keyframe(payload)

    def _described(self, payload: bytes) -> Track | None:
        try:
            vp8.parse_keyframe(payload)
        except PeerError:
            return None
        return Track(Codec.VP8, self._number)


def _descriptor_size(payload: bytes) -> int:
    """Return how long the descriptor is; -1 where nothing follows it."""
    place, end = 1, len(payload)
    if payload[0] & _EXTENDED:
        if end < 2:
            return -1
        flags = payload[1]
        place = 2
        if flags & _PICTURE_ID:
            place += 2 if end > 2 and payload[2] & 0x80 else 1
        place += bool(flags & _LAYER_INDEX) + bool(flags & _LAYER_OR_KEY)
    return place if place < end else -1
