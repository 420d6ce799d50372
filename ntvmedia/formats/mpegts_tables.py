"""MPEG-TS tables: which programs there are, and of which streams one is made.

ISO/IEC 13818-1 (H.222.0) sections 2.4.4.3 (PAT), 2.4.4.8 (PMT), 2.6 (descriptors), annex A (CRC).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple
from zlib import crc32

from ntvmedia.errors import PeerError

PAT_PID: Final = 0

PAT_TABLE_ID: Final = 0
PMT_TABLE_ID: Final = 2

MAX_SECTION_SIZE: Final = 1024
"""Bytes of a PAT or PMT section: `section_length` is at most 1021 (H.222.0 2.4.4.5, 2.4.4.9)."""

_PAT: Final = "H.222.0 2.4.4.3"
_PMT: Final = "H.222.0 2.4.4.8"
_SECTION: Final = "H.222.0 2.4.4.11"

# Before the tables' own fields: table id, length, id, version, section numbers. Behind: the CRC.
_HEAD_SIZE: Final = 8
_CRC_SIZE: Final = 4

_REGISTRATION_TAG: Final = 0x05

# Bits of a byte turned round: zlib's CRC goes from the lowest bit, H.222.0's from the highest, and
# both have the same polynomial.
_TURNED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class StreamType(IntEnum):
    """`stream_type` (H.222.0 table 2-34, and of ATSC A/53 part 3 those from 0x80)."""

    MPEG1_AUDIO = 0x03
    MPEG2_AUDIO = 0x04
    PRIVATE = 0x06
    AAC_ADTS = 0x0F
    AAC_LATM = 0x11
    H264 = 0x1B
    HEVC = 0x24
    AC3 = 0x81
    EAC3 = 0x87


class Stream(NamedTuple):
    """One elementary stream of a program.

    Attributes:
        stream_type: A `StreamType`, or another number.
        pid: Of its packets.
        descriptors: As on the wire.
    """

    stream_type: int
    pid: int
    descriptors: bytes = b""


class Program(NamedTuple):
    """The contents of a PMT.

    Attributes:
        number: 1 to 65535.
        version: 0 to 31.
        pcr_pid: 0x1FFF where there is no PCR.
        streams: In the table's order.
    """

    number: int
    version: int
    pcr_pid: int
    streams: tuple[Stream, ...]


def crc(data: bytes) -> bytes:
    """Return the CRC of a section as it is written (H.222.0 annex A); of a whole one, zeros."""
    turned = crc32(data.translate(_TURNED)) ^ 0xFFFFFFFF
    return turned.to_bytes(4, "little").translate(_TURNED)


def descriptor(tag: int, body: bytes) -> bytes:
    """Write a descriptor (H.222.0 2.6.1)."""
    return bytes((tag, len(body))) + body


def registration(identifier: bytes) -> bytes:
    """Write a registration descriptor (H.222.0 2.6.8) of four bytes."""
    return descriptor(_REGISTRATION_TAG, identifier)


def split_descriptors(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and body of each descriptor; what is cut off is left out."""
    place = 0
    while place + 2 <= len(data):
        stop = place + 2 + data[place + 1]
        if stop > len(data):
            return
        yield data[place], data[place + 2 : stop]
        place = stop


def registered(descriptors: bytes) -> bytes:
    """Return the identifier of the first registration descriptor, or `b""`."""
    for tag, body in split_descriptors(descriptors):
        if tag == _REGISTRATION_TAG:
            return body[:4]
    return b""


def build_pat(programs: Sequence[tuple[int, int]], version: int = 0) -> bytes:
    """Write a PAT of one section: the number of each program and the PID of its PMT."""
    body = b"".join(
        number.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big") for number, pid in programs
    )
    return _section(PAT_TABLE_ID, 1, version, body)


def build_pmt(program: Program) -> bytes:
    """Write a PMT. It must not get larger than `MAX_SECTION_SIZE`."""
    parts = [(0xE000 | program.pcr_pid).to_bytes(2, "big"), b"\xf0\x00"]
    for stream_type, pid, descriptors in program.streams:
        parts += (
            bytes((stream_type,)),
            (0xE000 | pid).to_bytes(2, "big"),
            (0xF000 | len(descriptors)).to_bytes(2, "big"),
            descriptors,
        )
    return _section(PMT_TABLE_ID, program.number, program.version, b"".join(parts))


def is_whole(section: bytes, table_id: int) -> bool:
    """Whether a section is of that table, in force now, and undamaged."""
    return (
        len(section) >= _HEAD_SIZE + _CRC_SIZE
        and section[0] == table_id
        and section[5] & 1 == 1  # current_next_indicator
        and not any(crc(section))
    )


def parse_pat(section: bytes) -> list[tuple[int, int]]:
    """Read the programs of a whole PAT section: number and PID of the PMT.

    Raises:
        PeerError: Its length is none that a PAT can have.
    """
    body = section[_HEAD_SIZE:-_CRC_SIZE]
    if len(body) % 4:
        raise PeerError("a PAT ends within a program", reference=_PAT)
    programs: list[tuple[int, int]] = []
    for place in range(0, len(body), 4):
        number = int.from_bytes(body[place : place + 2], "big")
        # Number 0 names the network information, no program.
        if number:
            programs.append((number, (body[place + 2] & 0x1F) << 8 | body[place + 3]))
    return programs


def parse_pmt(section: bytes) -> Program:
    """Read a whole PMT section.

    Raises:
        PeerError: It ends within a field.
    """
    body = section[_HEAD_SIZE:-_CRC_SIZE]
    place = 4 + _length(body, 2)
    streams: list[Stream] = []
    while place < len(body):
        start = place + 5
        stop = start + _length(body, place + 3)
        if stop > len(body):
            raise PeerError("a PMT ends within a stream", reference=_PMT, offset=place)
        pid = (body[place + 1] & 0x1F) << 8 | body[place + 2]
        streams.append(Stream(body[place], pid, body[start:stop]))
        place = stop
    return Program(
        int.from_bytes(section[3:5], "big"),
        section[5] >> 1 & 31,
        (body[0] & 0x1F) << 8 | body[1],
        tuple(streams),
    )


def _length(body: bytes, place: int) -> int:
    """Read a length of 12 bits."""
    if place + 2 > len(body):
        raise PeerError("a PMT is cut off", reference=_PMT, offset=place)
    return (body[place] & 0x0F) << 8 | body[place + 1]


def _section(table_id: int, table_number: int, version: int, body: bytes) -> bytes:
    """Write a section: the only one of its table, and in force now."""
    length = _HEAD_SIZE - 3 + len(body) + _CRC_SIZE
    section = b"".join(
        (
            bytes((table_id,)),
            (0xB000 | length).to_bytes(2, "big"),
            table_number.to_bytes(2, "big"),
            bytes((0xC1 | version << 1, 0, 0)),
            body,
        )
    )
    return section + crc(section)


class SectionReader:
    """Puts together the sections of one PID from the payloads of its packets.

    Damaged sections, and what no section can be, are left out.
    """

    __slots__ = ("_data", "_needed")

    def __init__(self) -> None:
        self._data = b""
        self._needed = 0

    def reset(self) -> None:
        """Forget a section that has begun: a packet was lost."""
        self._data = b""
        self._needed = 0

    def read(self, payload: bytes, *, starts: bool) -> list[bytes]:
        """Take a packet's payload, and return the sections that end in it.

        Args:
            payload: At most `BODY_SIZE` bytes.
            starts: Whether a section starts in it: `payload_unit_start_indicator`.
        """
        found: list[bytes] = []
        if not starts:
            if self._needed:
                self._take(payload, found)
            return found
        pointer = payload[0] if payload else 0
        if self._needed:
            self._take(payload[1 : 1 + pointer], found)
        self.reset()
        self._data = payload[1 + pointer :]
        self._needed = 3
        self._take(b"", found)
        return found

    def _take(self, more: bytes, found: list[bytes]) -> None:
        data = self._data + more
        while len(data) >= 3 and data[0] != 0xFF:  # 0xFF is stuffing up to the packet's end
            size = 3 + ((data[1] & 0x0F) << 8 | data[2])
            if size > MAX_SECTION_SIZE:
                break
            if len(data) < size:
                self._data, self._needed = data, size
                return
            found.append(data[:size])
            data = data[size:]
        if 0 < len(data) < 3 and data[0] != 0xFF:
            self._data, self._needed = data, 3
            return
        self.reset()
