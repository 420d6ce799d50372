"""VP9 in RTP (RFC 9628): a descriptor of a few bytes, then a part of a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ntvmedia.codecs import vp9
from ntvmedia.errors import PeerError, UsageError
from ntvmedia.media.packets import VIDEO_CLOCK_RATE, Codec, Packet, Track
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD
from ntvmedia.wire.rtp.payloads import Payload
from ntvmedia.wire.rtp.picture_payloads import PictureDepacketiser

# The first byte of the descriptor (section 4.2): a picture number is there, the frame refers to
# others, layers are told, flexible mode, beginning and end of a frame, scalability is told.
_PICTURE_ID: Final = 0x80
_PREDICTED: Final = 0x40
_LAYERS: Final = 0x20
_FLEXIBLE: Final = 0x10
_BEGINS: Final = 0x08
_ENDS: Final = 0x04
_SCALABILITY: Final = 0x02

# One spatial layer whose size is told, and no group of pictures (section 4.2.1): GStreamer takes
# the size from there.
_ONE_LAYER: Final = 0x10

_MIN_PAYLOAD: Final = 64


class Packetiser:
    """Makes payloads in non-flexible mode, without layers.

    Args:
        track: VP9.
        mtu: Bytes of a payload, at most.

    Raises:
        UsageError: `mtu` is below 64.
    """

    clock_rate = VIDEO_CLOCK_RATE
    step = 0

    def __init__(self, track: Track, mtu: int = MAX_PAYLOAD) -> None:
        if mtu < _MIN_PAYLOAD:
            raise UsageError(f"a payload of RTP has {_MIN_PAYLOAD} bytes at least")
        self._mtu = mtu
        self._picture = 0

    def packetise(self, packet: Packet) -> list[Payload]:
        data = packet.payload
        number = (0x8000 | self._picture).to_bytes(2, "big")
        self._picture = (self._picture + 1) & 0x7FFF
        flags = _PICTURE_ID | (0 if packet.is_keyframe else _PREDICTED)
        structure = b""
        if packet.is_keyframe:
            try:
                header = vp9.parse_keyframe(data)
            except PeerError:
                return []
            structure = bytes((_ONE_LAYER,)) + (header.width << 16 | header.height).to_bytes(
                4, "big"
            )
        payloads: list[Payload] = []
        place, size = 0, len(data)
        while place < size:
            first = flags
            if not place:
                first |= _BEGINS | (_SCALABILITY if structure else 0)
            room = self._mtu - 3 - len(structure)
            is_last = place + room >= size
            if is_last:
                first |= _ENDS
            head = bytes((first,)) + number + structure
            payloads.append((head + data[place : place + room], is_last))
            structure = b""
            place += room
        return payloads


class Depacketiser(PictureDepacketiser):
    """Reads payloads. Of several spatial layers the lowest is taken.

    Args:
        parameters: Nothing is read of them: keyframes tell more.
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
        self._has_end = False

    def _starts(self, payload: bytes) -> bool:
        return bool(payload) and payload[0] & _BEGINS != 0 and not _layer(payload)

    def _take(self, payload: bytes) -> bool:
        start = _descriptor_size(payload)
        if start < 0:
            return False
        if _layer(payload):
            return True
        if self._has_end or (payload[0] & _BEGINS != 0) == bool(self._parts):
            return False
        self._parts.append(payload[start:])
        self._has_end = payload[0] & _ENDS != 0
        return True

    def _picture(self) -> bytes | None:
        return None if self._parts and not self._has_end else b"".join(self._parts)

    def _clear(self) -> None:
        self._parts = []
        self._has_end = False

    def _is_keyframe(self, payload: bytes) -> bool:
        return vp9.is_keyframe(payload)

    def _described(self, payload: bytes) -> Track | None:
        try:
            return Track(Codec.VP9, self._number, config=vp9.configuration_from_frame(payload))
        except PeerError:
            return None


def parameters(track: Track) -> dict[str, str]:
    """Return what a session's description tells of a track in `fmtp` (section 6)."""
    try:
        return {"profile-id": str(vp9.parse_configuration(track.config).profile_idc)}
    except PeerError:
        return {}


def _layer(payload: bytes) -> int:
    """Return the number of the spatial layer."""
    flags = payload[0]
    if not flags & _LAYERS:
        return 0
    place = 1
    if flags & _PICTURE_ID:
        place += 2 if len(payload) > 1 and payload[1] & 0x80 else 1
    return payload[place] >> 1 & 7 if place < len(payload) else 0


def _descriptor_size(payload: bytes) -> int:
    """Return how long the descriptor is; -1 where nothing follows it."""
    flags, place, end = payload[0], 1, len(payload)
    if flags & _PICTURE_ID:
        place += 2 if place < end and payload[place] & 0x80 else 1
    if flags & _LAYERS:
        place += 1 if flags & _FLEXIBLE else 2
    if flags & _FLEXIBLE and flags & _PREDICTED:
        for _reference in range(3):
            place += 1
            if place > end or not payload[place - 1] & 1:
                break
    if flags & _SCALABILITY:
        if place >= end:
            return -1
        structure = payload[place]
        place += 1
        if structure & 0x10:
            place += 4 * ((structure >> 5) + 1)
        if structure & 0x08:
            if place >= end:
                return -1
            pictures = payload[place]
            place += 1
            for _picture in range(pictures):
                if place >= end:
                    return -1
                place += 1 + (payload[place] >> 2 & 3)
    return place if place < end else -1
