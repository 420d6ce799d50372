"""HEVC in RTP (RFC 7798): single units, aggregation packets (AP) and fragmentation units (FU).

Decoding order numbers (DONL), which are there when `sprop-max-don-diff` is not 0, are passed over:
no sender that is in use reorders with them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Final

from ntvmedia.codecs import hevc, hevc_sets
from ntvmedia.codecs.reordering import hevc_reordered
from ntvmedia.errors import PeerError
from ntvmedia.media.packets import VIDEO_CLOCK_RATE, Codec, Track
from ntvmedia.wire.rtp.h264 import sprop_units
from ntvmedia.wire.rtp.nal_payloads import NALDepacketiser, NALPacketiser
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD

_AP: Final = 48
_FU: Final = 49

_DELIMITER: Final = 35
_FIRST_NOT_SLICE: Final = 32

_SPROPS: Final = ("sprop-vps", "sprop-sps", "sprop-pps")


class Packetiser(NALPacketiser):
    """Makes payloads without decoding order numbers.

    Args:
        track: Its configuration has the parameter sets.
        mtu: Bytes of a payload, at most.

    Raises:
        UsageError: `mtu` is too small.
    """

    _header_size = 2

    def __init__(self, track: Track, mtu: int = MAX_PAYLOAD) -> None:
        try:
            record = hevc.parse_configuration(track.config)
            sets = (*record.vps, *record.sps, *record.pps)
        except PeerError:
            sets = ()
        super().__init__(sets, mtu)

    def _has_sets(self, data: bytes) -> bool:
        return hevc.has_parameter_sets(data)

    def _aggregate(self, units: list[bytes]) -> bytes:
        # LayerId and TID are the lowest of the parts (section 4.4.2).
        layer = min((unit[0] & 1) << 5 | unit[1] >> 3 for unit in units)
        temporal = min(unit[1] & 7 for unit in units)
        return bytes((_AP << 1 | layer >> 5, (layer & 0x1F) << 3 | temporal))

    def _heads(self, data: bytes, start: int) -> tuple[bytes, bytes, bytes]:
        head = bytes((data[start] & 0x81 | _FU << 1, data[start + 1]))
        kind = data[start] >> 1 & 0x3F
        return head + bytes((0x80 | kind,)), head + bytes((kind,)), head + bytes((0x40 | kind,))


class Depacketiser(NALDepacketiser):
    """Reads payloads.

    Args:
        parameters: Of the description's `fmtp`: `sprop-vps`, `sprop-sps`, `sprop-pps` and
            `sprop-max-don-diff` are read, and left out where they are broken.
        clock_rate: Always 90000.
        channels: None.
        number: Of the track.
    """

    _codec = Codec.HEVC
    _set_types = (hevc_sets.VPS_UNIT, hevc_sets.SPS_UNIT, hevc_sets.PPS_UNIT)

    def __init__(
        self,
        parameters: Mapping[str, str],
        clock_rate: int = VIDEO_CLOCK_RATE,
        channels: int = 0,
        number: int = 0,
    ) -> None:
        units = [unit for name in _SPROPS for unit in sprop_units(parameters.get(name, ""))]
        vps, sps, pps = hevc.parameter_sets(units)
        # Bytes of DONL, and of DOND in front of every unit of an AP but the first.
        self._donl = 0 if parameters.get("sprop-max-don-diff", "0").strip("0 ") == "" else 2
        sets = dict(zip(self._set_types, map(tuple, (vps, sps, pps)), strict=True))
        super().__init__(sets, number)

    def _read(self, payload: bytes) -> None:
        donl = self._donl
        if len(payload) < 3 + donl:
            self._break()
            return
        kind = payload[0] >> 1 & 0x3F
        if kind == _FU:
            flags = payload[2]
            body, head = 3, b""
            if flags & 0x80:
                body += donl
                head = bytes((payload[0] & 0x81 | (flags & 0x3F) << 1, payload[1]))
            self._fragment(payload, body, head, flags)
        elif self._fragments is not None:
            self._break()
        elif payload[:3] in (b"\x00\x00\x00", b"\x00\x00\x01"):
            self._stray(payload)
        elif kind < _AP:
            self._unit(payload[:2] + payload[2 + donl :] if donl else payload)
        elif kind == _AP:
            self._several(payload, 2 + donl, donl >> 1)
        # PACI (50) and what is not defined is ignored.

    def _starts(self, payload: bytes) -> bool:
        body = 2 + self._donl
        if payload and payload[0] >> 1 == _AP:
            payload, body = payload[body + 2 :], 2
        if len(payload) < body + 2:
            return False
        kind = payload[0] >> 1 & 0x3F
        if kind == _FU:
            return payload[2] & 0x80 != 0 and payload[body + 1] >= 0x80
        if kind < _FIRST_NOT_SLICE:
            return payload[body] >= 0x80
        return kind <= _DELIMITER or kind == hevc.PREFIX_SEI

    def _type(self, unit: bytes) -> int:
        return unit[0] >> 1 & 0x3F

    def _is_slice(self, unit: bytes) -> bool:
        return unit[0] >> 1 & 0x3F < _FIRST_NOT_SLICE

    def _is_first(self, unit: bytes) -> bool:
        return len(unit) > 2 and unit[2] >= 0x80

    def _is_delimiter(self, kind: int) -> bool:
        return kind == _DELIMITER

    def _is_keyframe(self, payload: bytes) -> bool:
        return hevc.is_keyframe(payload)

    def _configuration(self, sets: list[tuple[bytes, ...]]) -> bytes:
        vps, sps, pps = sets
        return hevc.build_configuration(vps, sps, pps) if vps and sps and pps else b""

    def _order(self, sets: dict[int, tuple[bytes, ...]]) -> tuple[int | None, float | None]:
        unit = sets[hevc_sets.SPS_UNIT][0]
        rate = hevc_sets.parse_sps(unit).frame_rate
        if rate is None:
            rate = hevc_sets.vps_frame_rate(sets[hevc_sets.VPS_UNIT][0])
        return hevc_reordered(unit), rate


def parameters(track: Track) -> dict[str, str]:
    """Return what a session's description tells of a track in `fmtp` (section 7.1)."""
    try:
        record = hevc.parse_configuration(track.config)
    except PeerError:
        return {}
    return {
        name: ",".join(b64encode(unit).decode() for unit in units)
        for name, units in zip(_SPROPS, (record.vps, record.sps, record.pps), strict=True)
        if units
    }
