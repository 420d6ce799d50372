"""Pictures out of PES packets of MPEG-TS: byte streams of H.264 and HEVC, cut into access units.

ISO/IEC 14496-10 sections 7.4.1.2.3 and B.1, ISO/IEC 23008-2 section 7.4.2.4.4: where one begins.
Parameter sets and delimiters are taken out of the frames: the track's configuration has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeAlias

from ntvmedia.codecs import h264, hevc, hevc_sets
from ntvmedia.codecs.bits import BitReader
from ntvmedia.codecs.nal import join_length_prefixed, split_annexb
from ntvmedia.errors import PeerError
from ntvmedia.media.packets import Codec, Packet, Track

# Of one PES packet: above what any level allows as slices of a picture (600).
_MAX_UNITS: Final = 4096

# Of one parameter set; with scaling lists and timing it has a few hundred bytes.
_MAX_SET_BYTES: Final = 4096
_MAX_SETS: Final = 64

# 25 a second: until two decode times were told, the distance of pictures without.
_FIRST_STEP: Final = 3600
_LONGEST_STEP: Final = 90000

_START: Final = b"\x00\x00\x01"
_SETS: Final = "H.222.0 2.14"

# ISO/IEC 14496-10 section D.1: SEI payload type 6.
_RECOVERY_POINT: Final = 6

Read: TypeAlias = Track | Packet


class Reader(Protocol):
    """Turns the PES packets of one elementary stream into packets.

    Attributes:
        track: As last announced; None before.
        number: Of the track.
    """

    track: Track | None
    number: int

    def read(self, data: bytes, pts: int | None, dts: int | None, events: list[Read]) -> None:
        """Take the data of a PES packet, and append what is complete with it.

        Args:
            pts: Presentation time in ticks of 90 kHz, unwrapped; None where it is not told.
            dts: Decode time, likewise.
        """

    def lost(self) -> None:
        """Forget what waits for the next data: some was lost."""


class _NALReader:
    """What is common to H.264 and HEVC.

    Args:
        number: Of the track.
    """

    _codec: Codec
    # Types of the sets in the order of the configuration record's; the last can come alone.
    _set_types: tuple[int, ...]

    def __init__(self, number: int) -> None:
        self.track: Track | None = None
        self.number = number
        self._sets: dict[int, tuple[bytes, ...]] = {kind: () for kind in self._set_types}
        self._last: int | None = None
        self._step = _FIRST_STEP

    def read(self, data: bytes, pts: int | None, dts: int | None, events: list[Read]) -> None:
        start = data.find(_START)
        if start < 0 or data.count(_START) > _MAX_UNITS:
            return
        for unit in self._access_units(split_annexb(data[start:])):
            self._access_unit(unit, pts, dts, events)
            pts = dts = None  # the PES packet's times are those of the first

    def lost(self) -> None:
        """Nothing waits: what is lost is whole PES packets."""

    def _access_unit(
        self, units: list[bytes], pts: int | None, dts: int | None, events: list[Read]
    ) -> None:
        found: dict[int, list[bytes]] = {}
        frame: list[bytes] = []
        for unit in units:
            kind = self._type(unit)
            if kind in self._sets:
                if len(unit) <= _MAX_SET_BYTES:
                    found.setdefault(kind, []).append(unit)
            elif not self._is_delimiter(kind):
                frame.append(unit)
        if found:
            self._take_sets(found, events)
        if not any(self._is_slice(self._type(unit)) for unit in frame):
            return
        if dts is None:
            if self._last is None:
                return
            dts = self._last + self._step
        elif self._last is not None and 0 < dts - self._last <= _LONGEST_STEP:
            self._step = dts - self._last
        self._last = dts
        if self.track is not None:
            payload = join_length_prefixed(frame)
            is_keyframe = self._is_keyframe(payload, frame)
            events.append(
                Packet(self.track, dts, dts if pts is None else pts, is_keyframe, payload)
            )

    def _take_sets(self, found: dict[int, list[bytes]], events: list[Read]) -> None:
        """Make a new track, if these sets are others than those before."""
        last = self._set_types[-1]
        known = dict(self._sets)
        for kind, units in found.items():
            known[kind] = tuple(dict.fromkeys(units))
        if set(found) == {last}:
            # Picture parameter sets alone: they replace those of the same number.
            by_id = {self._set_id(unit): unit for unit in (*self._sets[last], *found[last])}
            known[last] = tuple(by_id.values())[:_MAX_SETS]
        if known == self._sets:
            return
        try:
            config = self._configuration([known[kind] for kind in self._set_types])
        except PeerError:
            return
        self._sets = known
        if config and (self.track is None or self.track.config != config):
            self.track = Track(self._codec, self.number, config=config)
            events.append(self.track)

    def _access_units(self, units: Sequence[bytes]) -> list[list[bytes]]:
        """Put together the units of each picture."""
        pictures: list[list[bytes]] = []
        current: list[bytes] = []
        has_slice = False
        for unit in units:
            kind = self._type(unit)
            is_slice = self._is_slice(kind)
            if has_slice and (self._starts(kind) or (is_slice and self._is_first(unit))):
                pictures.append(current)
                current, has_slice = [], False
            current.append(unit)
            has_slice = has_slice or is_slice
        if current:
            pictures.append(current)
        return pictures

    def _set_id(self, unit: bytes) -> int:
        """Read pic_parameter_set_id; -1 where it is broken."""
        try:
            return BitReader(unit[self._header_size : self._header_size + 8], _SETS).ue()
        except PeerError:
            return -1

    _header_size: int

    def _type(self, unit: bytes) -> int:
        raise NotImplementedError

    def _is_slice(self, kind: int) -> bool:
        raise NotImplementedError

    def _is_delimiter(self, kind: int) -> bool:
        raise NotImplementedError

    def _starts(self, kind: int) -> bool:
        """Whether a unit that is no slice can only be before a picture's first slice."""
        raise NotImplementedError

    def _is_first(self, unit: bytes) -> bool:
        """Whether a slice is the first of its picture."""
        raise NotImplementedError

    def _is_keyframe(self, payload: bytes, units: list[bytes]) -> bool:
        raise NotImplementedError

    def _configuration(self, sets: list[tuple[bytes, ...]]) -> bytes:
        """Make the configuration record; none where sets are missing."""
        raise NotImplementedError


class H264Reader(_NALReader):
    """Reads H.264.

    Args:
        number: Of the track.
        recovery_points: Pictures with a recovery point SEI count as keyframes, as well as IDR:
            broadcasts with open groups of pictures have nothing else.
    """

    _codec = Codec.H264
    _set_types = (h264.SPS_UNIT, h264.PPS_UNIT)
    _header_size = 1

    def __init__(self, number: int, *, recovery_points: bool = False) -> None:
        super().__init__(number)
        self._recovery_points = recovery_points
        self._interlaced = False

    def _access_units(self, units: Sequence[bytes]) -> list[list[bytes]]:
        for unit in units:
            if unit[0] & 0x1F == h264.SPS_UNIT and len(unit) <= _MAX_SET_BYTES:
                with suppress(PeerError):
                    self._interlaced = not h264.parse_sps(unit).progressive
        pictures = super()._access_units(units)
        if not self._interlaced:
            return pictures
        # Two pictures of one PES packet are the fields of a frame, which has one time.
        return [
            [unit for picture in pictures[at : at + 2] for unit in picture]
            for at in range(0, len(pictures), 2)
        ]

    def _type(self, unit: bytes) -> int:
        return unit[0] & 0x1F

    def _is_slice(self, kind: int) -> bool:
        return 1 <= kind <= h264.IDR

    def _is_delimiter(self, kind: int) -> bool:
        return kind == h264.ACCESS_UNIT_DELIMITER

    def _starts(self, kind: int) -> bool:
        return 6 <= kind <= 9 or 14 <= kind <= 18

    def _is_first(self, unit: bytes) -> bool:
        # first_mb_in_slice is 0, which is a single set bit; not so in partitions B and C.
        return unit[0] & 0x1F not in (3, 4) and len(unit) > 1 and unit[1] >= 0x80

    def _is_keyframe(self, payload: bytes, units: list[bytes]) -> bool:
        if h264.is_keyframe(payload):
            return True
        return self._recovery_points and any(
            unit[0] & 0x1F == h264.SEI and _has_recovery_point(unit) for unit in units
        )

    def _configuration(self, sets: list[tuple[bytes, ...]]) -> bytes:
        sps, pps = sets
        return h264.build_configuration(sps, pps) if sps and pps else b""


class HEVCReader(_NALReader):
    """Reads HEVC.

    Args:
        number: Of the track.
    """

    _codec = Codec.HEVC
    _set_types = (hevc_sets.VPS_UNIT, hevc_sets.SPS_UNIT, hevc_sets.PPS_UNIT)
    _header_size = 2

    def _type(self, unit: bytes) -> int:
        return unit[0] >> 1 & 0x3F

    def _is_slice(self, kind: int) -> bool:
        return kind < 32

    def _is_delimiter(self, kind: int) -> bool:
        return kind == 35

    def _starts(self, kind: int) -> bool:
        return 32 <= kind <= 35 or kind == hevc.PREFIX_SEI or 41 <= kind <= 44 or 48 <= kind <= 55

    def _is_first(self, unit: bytes) -> bool:
        return len(unit) > 2 and unit[2] >= 0x80

    def _is_keyframe(self, payload: bytes, units: list[bytes]) -> bool:
        return hevc.is_keyframe(payload)

    def _configuration(self, sets: list[tuple[bytes, ...]]) -> bytes:
        vps, sps, pps = sets
        return hevc.build_configuration(vps, sps, pps) if vps and sps and pps else b""


def _has_recovery_point(unit: bytes) -> bool:
    """Whether a SEI unit has such a message (ISO/IEC 14496-10 section 7.3.2.3.1)."""
    place, end = 1, len(unit)
    while place + 2 < end:
        kind = size = 0
        while place < end and unit[place] == 0xFF:
            kind += 255
            place += 1
        if place >= end:
            return False
        kind += unit[place]
        if kind == _RECOVERY_POINT:
            return True
        place += 1
        while place < end and unit[place] == 0xFF:
            size += 255
            place += 1
        if place >= end:
            return False
        place += 1 + size + unit[place]
    return False
