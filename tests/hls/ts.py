"""A strict reader of one MPEG-TS segment, written from ISO/IEC 13818-1 and not from the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Self

from tests.hls.media import WRAP, Media, Unit, step
from tests.hls.text import Violation, demand

PACKET_BYTES = 188

# Table 2-34, and ATSC A/52 for AC-3.
H264, HEVC, AAC, MP3_1, MP3_2, AC3, EAC3 = 0x1B, 0x24, 0x0F, 0x03, 0x04, 0x81, 0x87
_VIDEO = (H264, HEVC)

# 100 ms between two clock references (2.7.2), in units of 27 MHz.
_LONGEST_PCR_STEP = 2_700_000


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _bit in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
        table.append(value)
    return table


_CRC = _table()


def crc32(data: bytes) -> int:
    """Compute the CRC of Annex A; over a section with its CRC it is 0."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value << 8 & 0xFFFFFFFF ^ _CRC[value >> 24 ^ byte]
    return value


class _Pending(NamedTuple):
    """A PES packet that is not complete; `clock` is the last PCR before it, in 90 kHz."""

    data: bytearray
    is_random_access: bool
    clock: int | None


@dataclass(slots=True)
class SegmentMedia(Media):
    """What is in one segment.

    Attributes:
        types: The stream type of each PID in the map.
        pcr_pid: Whose clock it is.
        units: By PID, in order.
        first: The continuity counter of the first packet with payload, by PID.
        last: That of the last one.
        references: Each PCR, in units of 27 MHz.
    """

    types: dict[int, int] = field(default_factory=dict)
    pcr_pid: int = 0
    units: dict[int, list[Unit]] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    references: list[int] = field(default_factory=list)

    @property
    def video(self) -> list[Unit]:
        """The pictures, or nothing."""
        return next((self.units[x] for x, kind in self.types.items() if kind in _VIDEO), [])

    @property
    def audio(self) -> list[Unit]:
        """The sound, or nothing."""
        return next((self.units[x] for x, kind in self.types.items() if kind not in _VIDEO), [])

    @property
    def video_type(self) -> int:
        """The stream type of the pictures, or 0."""
        return next((kind for kind in self.types.values() if kind in _VIDEO), 0)

    @property
    def begins_with_key(self) -> bool:
        """Whether it has an IDR picture first, or none at all."""
        return not self.video or is_key(self.video_type, self.video[0].payload)

    @property
    def sounds(self) -> list[bytes]:
        """The frames of the sound; of AAC without their headers."""
        return [frame for unit in self.audio for frame in adts_frames(unit.payload)]

    def check_follows(self, before: Self) -> None:
        """Check that counters and clock references go on (C-TS-01, C-TS-02)."""
        demand(self.types == before.types, "map-changed", f"{before.types}, {self.types} (6.2.1)")
        for pid, counter in self.first.items():
            if pid in before.last:
                expected = before.last[pid] + 1 & 0x0F
                demand(counter == expected, "counter-across", f"PID {pid:#x} (C-TS-01)")
        check_references([before.references[-1], self.references[0]])


def read_segment(data: bytes) -> SegmentMedia:
    """Read one segment.

    Raises:
        Violation: It breaks a rule of ISO/IEC 13818-1 or 3.2 of the HLS draft.
    """
    demand(data and not len(data) % PACKET_BYTES, "ts-size", f"{len(data)} bytes (C-TS-01)")
    found = SegmentMedia()
    pending: dict[int, _Pending] = {}
    map_pid = -1
    for offset in range(0, len(data), PACKET_BYTES):
        demand(data[offset] == 0x47, "ts-sync", f"no sync byte at {offset}")
        second, control = data[offset + 1], data[offset + 3]
        pid = (second & 0x1F) << 8 | data[offset + 2]
        demand(not second & 0x80 and not control & 0xC0, "ts-flags", f"packet at {offset}")
        number = offset // PACKET_BYTES
        demand(number != 0 or pid == 0, "ts-pat-first", f"PID {pid:#x} comes first (3.2)")
        early = number == 1 and pid != map_pid
        demand(not early, "ts-pmt-second", f"PID {pid:#x} comes second (3.2)")
        is_random_access = False
        start = offset + 4
        if control & 0x20:
            start += 1 + data[start]
            demand(start <= offset + PACKET_BYTES, "ts-adaptation", f"too long at {offset}")
            is_random_access = _adaptation(data[offset + 4 : start], found, pid)
        if not control & 0x10:
            continue
        counter = control & 0x0F
        if pid in found.last:
            expected = found.last[pid] + 1 & 0x0F
            demand(counter == expected, "ts-counter", f"PID {pid:#x} at {offset}: {counter}")
        else:
            found.first[pid] = counter
        found.last[pid] = counter
        payload = data[start : offset + PACKET_BYTES]
        if pid == 0:
            map_pid = _read_pat(payload)
        elif pid == map_pid:
            _read_pmt(payload, found)
        else:
            demand(pid in found.types, "ts-pid", f"PID {pid:#x} is not in the map")
            if second & 0x40:
                _finish(pid, pending, found)
                clock = found.references[-1] // 300 if found.references else None
                pending[pid] = _Pending(bytearray(payload), is_random_access, clock)
            else:
                demand(pid in pending, "ts-middle", f"PID {pid:#x} begins in the middle")
                pending[pid].data.extend(payload)
    for pid in list(pending):
        _finish(pid, pending, found)
    _check_segment(found)
    return found


def _adaptation(field_: bytes, found: SegmentMedia, pid: int) -> bool:
    """Read an adaptation field with its length; return the random_access_indicator."""
    if len(field_) < 2:
        return False
    flags = field_[1]
    if flags & 0x10:
        demand(pid == found.pcr_pid, "ts-pcr-pid", f"a PCR in PID {pid:#x}")
        base = int.from_bytes(field_[2:6], "big") << 1 | field_[6] >> 7
        found.references.append(base * 300 + ((field_[6] & 1) << 8 | field_[7]))
    return bool(flags & 0x40)


def _section(payload: bytes, table: int) -> bytes:
    section = payload[1 + payload[0] :]
    demand(section[0] == table, "ts-table", f"table {section[0]} where {table} belongs")
    length = 3 + ((section[1] & 0x0F) << 8 | section[2])
    section = section[:length]
    demand(crc32(section) == 0, "ts-crc", f"the CRC of table {table} is wrong")
    return section


def _read_pat(payload: bytes) -> int:
    section = _section(payload, 0)
    entries = [section[i : i + 4] for i in range(8, len(section) - 4, 4)]
    programs = [x for x in entries if x[:2] != b"\0\0"]
    demand(len(programs) == 1, "ts-programs", f"{len(programs)} programs (3.2)")
    return (programs[0][2] & 0x1F) << 8 | programs[0][3]


def _read_pmt(payload: bytes, found: SegmentMedia) -> None:
    section = _section(payload, 2)
    pcr_pid = (section[8] & 0x1F) << 8 | section[9]
    types: dict[int, int] = {}
    at = 12 + ((section[10] & 0x0F) << 8 | section[11])
    while at < len(section) - 4:
        types[(section[at + 1] & 0x1F) << 8 | section[at + 2]] = section[at]
        at += 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
    demand(not found.types or (types, pcr_pid) == (found.types, found.pcr_pid), "ts-map", "changes")
    demand(pcr_pid in types, "ts-pcr-pid", f"PCR PID {pcr_pid:#x} is not in the map")
    found.types, found.pcr_pid = types, pcr_pid
    for pid in types:
        found.units.setdefault(pid, [])


def _finish(pid: int, pending: dict[int, _Pending], found: SegmentMedia) -> None:
    if pid not in pending:
        return
    data, is_random_access, clock = pending.pop(pid)
    demand(data[:3] == b"\0\0\1", "pes", f"PID {pid:#x}: no PES packet")
    is_video = found.types[pid] in _VIDEO
    demand(
        data[3] & 0xF0 == 0xE0 if is_video else data[3] in (0xBD, *range(0xC0, 0xE0)), "pes", "id"
    )
    length = int.from_bytes(data[4:6], "big")
    demand(length == len(data) - 6 or (is_video and not length), "pes-length", f"{length}")
    flags = data[7]
    demand(flags & 0x80, "pes-pts", f"PID {pid:#x}: a PES packet without PTS")
    pts = _time(data[9:14], 3 if flags & 0x40 else 2)
    dts = _time(data[14:19], 1) if flags & 0x40 else pts
    demand(step(dts, pts) >= 0, "pts-before-dts", f"PTS {pts}, DTS {dts} (C-TS-02)")
    if clock is not None:
        early = step(clock, dts)
        demand(early >= 0, "pcr-after-dts", f"{-early} ticks after DTS {dts} (C-TS-02)")
    units = found.units[pid]
    if units:
        demand(step(units[-1].dts, dts) > 0, "dts-order", f"DTS {dts} after {units[-1].dts}")
    units.append(Unit(pts, dts, bytes(data[9 + data[8] :]), is_random_access))


def _time(data: bytes | bytearray, prefix: int) -> int:
    good = data[0] >> 4 == prefix and data[0] & data[2] & data[4] & 1
    demand(good, "pes-time", f"the marks of {data.hex()} are wrong")
    return (
        (data[0] >> 1 & 7) << 30 | data[1] << 22 | data[2] >> 1 << 15 | data[3] << 7 | data[4] >> 1
    )


def _check_segment(found: SegmentMedia) -> None:
    demand(found.types, "ts-map", "there is none")
    demand(any(found.units.values()), "ts-empty", "no media")
    demand(found.references, "ts-no-pcr", "no PCR")
    check_references(found.references)
    for pid, kind in found.types.items():
        for unit in found.units[pid]:
            if kind in _VIDEO:
                _check_picture(kind, unit)
            elif kind == AAC:
                _check_adts(unit.payload)
    if found.video:
        video_pid = next(x for x, kind in found.types.items() if kind in _VIDEO)
        demand(found.pcr_pid == video_pid, "ts-pcr-pid", "the PCR is not with the pictures")


def check_references(references: list[int]) -> None:
    """Check that no two PCRs after one another are more than 100 ms apart.

    Raises:
        Violation: They are (C-TS-02).
    """
    for one, other in pairwise(references):
        wait = (other - one) % (WRAP * 300)
        demand(wait <= _LONGEST_PCR_STEP, "pcr-interval", f"{wait / 27000:.1f} ms between two PCRs")


def nal_units(payload: bytes) -> list[bytes]:
    """Cut an access unit in Annex B format into its NAL units."""
    pieces = payload.split(b"\0\0\1")
    demand(not pieces[0].strip(b"\0"), "annex-b", "bytes before the first start code")
    return [piece.rstrip(b"\0") for piece in pieces[1:]]


def _kinds(stream_type: int, payload: bytes) -> list[int]:
    if stream_type == H264:
        return [x[0] & 0x1F for x in nal_units(payload)]
    return [x[0] >> 1 & 0x3F for x in nal_units(payload)]


def is_key(stream_type: int, payload: bytes) -> bool:
    """Return whether an access unit is an IDR picture, or any IRAP picture of HEVC."""
    kinds = _kinds(stream_type, payload)
    return 5 in kinds if stream_type == H264 else any(16 <= x <= 21 for x in kinds)


def _check_picture(stream_type: int, unit: Unit) -> None:
    kinds = _kinds(stream_type, unit.payload)
    delimiter, sets = (9, (7, 8)) if stream_type == H264 else (35, (32, 33, 34))
    begins = kinds[0] == delimiter and kinds.count(delimiter) == 1
    demand(begins, "no-delimiter", f"NAL units {kinds} (C-TS-03)")
    if is_key(stream_type, unit.payload):
        demand(all(x in kinds for x in sets), "no-sets", f"NAL units {kinds} (C-TS-03)")
        demand(unit.is_random_access, "no-random-access", "a keyframe without its mark")
    elif unit.is_random_access:
        raise Violation("random-access", f"NAL units {kinds} are no keyframe")


def _check_adts(payload: bytes) -> None:
    at = 0
    while at < len(payload):
        demand(at + 7 <= len(payload), "adts", "the last header is cut off (C-TS-05)")
        demand(payload[at] == 0xFF and payload[at + 1] & 0xF6 == 0xF0, "adts", "no sync word")
        length = (payload[at + 3] & 3) << 11 | payload[at + 4] << 3 | payload[at + 5] >> 5
        demand(length > 7, "adts", f"a frame of {length} bytes")
        at += length
    demand(at == len(payload), "adts", "the last frame is cut off (C-TS-05)")


def adts_frames(payload: bytes) -> list[bytes]:
    """Return the raw frames of a PES packet of AAC, their headers without CRC taken off."""
    frames, at = [], 0
    while at < len(payload):
        length = (payload[at + 3] & 3) << 11 | payload[at + 4] << 3 | payload[at + 5] >> 5
        header = 7 if payload[at + 1] & 1 else 9
        frames.append(payload[at + header : at + length])
        at += length
    return frames
