"""H.264 in RTP (RFC 6184): single units, STAP-A and FU-A, which are packetization modes 0 and 1.

Of mode 2 what carries a decoding order number is read too, without regard to it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Final

from ntvmedia.codecs import h264
from ntvmedia.codecs.reordering import h264_reordered
from ntvmedia.errors import PeerError
from ntvmedia.media.packets import VIDEO_CLOCK_RATE, Codec, Track
from ntvmedia.wire.rtp.nal_payloads import NALDepacketiser, NALPacketiser
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD

_STAP_A: Final = 24
_STAP_B: Final = 25
_FU_A: Final = 28
_FU_B: Final = 29

# Of a description's parameter sets: a few hundred bytes are in use.
_MAX_SPROP: Final = 16384


class Packetiser(NALPacketiser):
    """Makes payloads of packetization mode 1.

    Args:
        track: Its configuration has the parameter sets.
        mtu: Bytes of a payload, at most.

    Raises:
        UsageError: `mtu` is too small.
    """

    _header_size = 1

    def __init__(self, track: Track, mtu: int = MAX_PAYLOAD) -> None:
        try:
            record = h264.parse_configuration(track.config)
            sets = (*record.sps, *record.pps)
        except PeerError:
            sets = ()
        super().__init__(sets, mtu)

    def _has_sets(self, data: bytes) -> bool:
        return h264.has_parameter_sets(data)

    def _aggregate(self, units: list[bytes]) -> bytes:
        # Forbidden bit and importance of the whole are the highest of the parts (section 5.7).
        first = 0
        for unit in units:
            first = max(first, unit[0] & 0x60)
        return bytes((first | _STAP_A,))

    def _heads(self, data: bytes, start: int) -> tuple[bytes, bytes, bytes]:
        indicator, kind = data[start] & 0xE0 | _FU_A, data[start] & 0x1F
        return (
            bytes((indicator, 0x80 | kind)),
            bytes((indicator, kind)),
            bytes((indicator, 0x40 | kind)),
        )


class Depacketiser(NALDepacketiser):
    """Reads payloads.

    Args:
        parameters: Of the description's `fmtp`: `sprop-parameter-sets` is read, and left out
            where it is broken.
        clock_rate: Always 90000.
        channels: None.
        number: Of the track.
    """

    _codec = Codec.H264
    _set_types = (h264.SPS_UNIT, h264.PPS_UNIT)

    def __init__(
        self,
        parameters: Mapping[str, str],
        clock_rate: int = VIDEO_CLOCK_RATE,
        channels: int = 0,
        number: int = 0,
    ) -> None:
        sps, pps = h264.parameter_sets(sprop_units(parameters.get("sprop-parameter-sets", "")))
        super().__init__({h264.SPS_UNIT: tuple(sps), h264.PPS_UNIT: tuple(pps)}, number)

    def _read(self, payload: bytes) -> None:
        kind = payload[0] & 0x1F
        if kind in (_FU_A, _FU_B):
            if len(payload) < 2:
                self._break()
                return
            flags = payload[1]
            body = 4 if kind == _FU_B and flags & 0x80 else 2
            head = bytes((payload[0] & 0xE0 | flags & 0x1F,)) if flags & 0x80 else b""
            self._fragment(payload, body, head, flags)
        elif self._fragments is not None:
            self._break()
        elif 0 < kind < _STAP_A:
            self._unit(payload)
        elif kind == _STAP_A:
            self._several(payload, 1)
        elif kind == _STAP_B:
            self._several(payload, 3)
        elif not kind:
            self._stray(payload)
        # 26, 27 are MTAP, which nobody sends; 30 and 31 are not defined: receivers ignore them.

    def _starts(self, payload: bytes) -> bool:
        if payload and payload[0] & 0x1F == _STAP_A:
            payload = payload[3:]
        kind = payload[0] & 0x1F if payload else 0
        if kind == _FU_A:
            return len(payload) > 2 and payload[1] & 0x80 != 0 and payload[2] >= 0x80
        if 1 <= kind <= h264.IDR:
            return self._is_first(payload)
        return 6 <= kind <= 9

    def _type(self, unit: bytes) -> int:
        return unit[0] & 0x1F

    def _is_slice(self, unit: bytes) -> bool:
        return 1 <= unit[0] & 0x1F <= h264.IDR

    def _is_first(self, unit: bytes) -> bool:
        # first_mb_in_slice is 0, which is a single set bit; partitions B and C begin otherwise.
        return unit[0] & 0x1F not in (3, 4) and len(unit) > 1 and unit[1] >= 0x80

    def _is_delimiter(self, kind: int) -> bool:
        return kind == h264.ACCESS_UNIT_DELIMITER

    def _is_keyframe(self, payload: bytes) -> bool:
        return h264.is_keyframe(payload)

    def _configuration(self, sets: list[tuple[bytes, ...]]) -> bytes:
        sps, pps = sets
        return h264.build_configuration(sps, pps) if sps and pps else b""

    def _is_interlaced(self, sets: dict[int, tuple[bytes, ...]]) -> bool:
        units = sets[h264.SPS_UNIT]
        return bool(units) and not h264.parse_sps(units[0]).progressive

    def _order(self, sets: dict[int, tuple[bytes, ...]]) -> tuple[int | None, float | None]:
        unit = sets[h264.SPS_UNIT][0]
        return h264_reordered(unit), h264.parse_sps(unit).frame_rate


def parameters(track: Track) -> dict[str, str]:
    """Return what a session's description tells of a track in `fmtp` (section 8.2.1).

    Without a configuration, only the packetization mode.
    """
    told = {"packetization-mode": "1"}
    try:
        record = h264.parse_configuration(track.config)
    except PeerError:
        return told
    sets = (*record.sps, *record.pps)
    if record.sps:
        told["profile-level-id"] = record.sps[0][1:4].hex().upper()
        told["sprop-parameter-sets"] = ",".join(b64encode(unit).decode() for unit in sets)
    return told


def sprop_units(text: str) -> list[bytes]:
    """Read units in base64, with commas between; broken and empty ones are left out.

    Cameras leave out the padding, put spaces in, or write start codes before the units.
    """
    units: list[bytes] = []
    for part in text[:_MAX_SPROP].split(","):
        bare = part.strip().rstrip("=")
        try:
            unit = b64decode(bare + "=" * (-len(bare) % 4), validate=True)
        except (Base64Error, ValueError):
            continue
        if unit[:4] == b"\x00\x00\x00\x01":
            unit = unit[4:]
        if len(unit) > 2:
            units.append(unit)
    return units
