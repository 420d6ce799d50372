"""MPEG-TS packets: their headers, adaptation fields, and bytes cut into them.

ISO/IEC 13818-1 (H.222.0), cited as "H.222.0 n": sections 2.4.3.2 to 2.4.3.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

PACKET_SIZE: Final = 188
SYNC_BYTE: Final = 0x47

NULL_PID: Final = 0x1FFF

CLOCK_RATE: Final = 90000
"""Ticks a second of PTS and DTS, and of the base of a PCR (H.222.0 2.4.3.5, 2.4.3.7)."""

TIME_BITS: Final = 33
"""PTS, DTS and the base of a PCR wrap after 26.5 hours."""

TIME_MASK: Final = (1 << TIME_BITS) - 1

HEADER_SIZE: Final = 4
BODY_SIZE: Final = PACKET_SIZE - HEADER_SIZE

# Flags of an adaptation field (section 2.4.3.5).
DISCONTINUITY: Final = 0x80
RANDOM_ACCESS: Final = 0x40
HAS_PCR: Final = 0x10

# Of the second byte of a packet, and of the fourth (section 2.4.3.3).
_UNIT_START: Final = 0x40
_ADAPTATION: Final = 0x20
_PAYLOAD: Final = 0x10

# By size, length byte included: adaptation fields that say nothing and fill up the last packet.
_STUFFING: Final = (
    b"",
    b"\x00",
    *(bytes((size - 1, 0)) + b"\xff" * (size - 2) for size in range(2, BODY_SIZE)),
)


def pcr_field(flags: int, time: int) -> bytes:
    """Write the flags of an adaptation field and its PCR: what follows the length byte.

    Args:
        flags: Beside `HAS_PCR`.
        time: In ticks of 90 kHz, of any size; the 27 MHz extension is 0.
    """
    return bytes((flags | HAS_PCR,)) + ((time & TIME_MASK) << 15 | 0x7E00).to_bytes(6, "big")


class PacketWriter:
    """Writes the packets of one PID; its continuity counter goes on for ever.

    Args:
        pid: 0 to 0x1FFE.
    """

    __slots__ = ("_counter", "_end", "_fill", "_middle", "_start", "_start_adapted", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._counter = 0
        # Each of the 16 headers that there are of a kind, made once: a stream of 2 Mb/s needs
        # 1400 a second.
        self._start = _headers(pid, _UNIT_START, _PAYLOAD)
        self._start_adapted = _headers(pid, _UNIT_START, _ADAPTATION | _PAYLOAD)
        self._middle = _headers(pid, 0, _PAYLOAD)
        self._end = _headers(pid, 0, _ADAPTATION | _PAYLOAD)
        self._fill = _headers(pid, 0, _ADAPTATION)

    def write(self, data: bytes, adaptation: bytes, parts: list[bytes]) -> None:
        """Append the packets of one PES packet to `parts`, in pieces.

        Args:
            data: Not empty.
            adaptation: An adaptation field for the first packet without its length byte, or
                empty.
        """
        size = len(data)
        counter = self._counter
        place = BODY_SIZE
        if adaptation:
            place -= len(adaptation) + 1
        if size < place:
            self._counter = (counter + 1) & 15
            head = self._start_adapted[counter]
            room = BODY_SIZE - size
            if adaptation:
                filling = b"\xff" * (room - 1 - len(adaptation))
                parts += (head, bytes((room - 1,)), adaptation, filling, data)
            else:
                parts += (head, _STUFFING[room], data)
            return
        if adaptation:
            head = self._start_adapted[counter]
            parts += (head, bytes((len(adaptation),)), adaptation, data[:place])
        else:
            parts += (self._start[counter], data[:place])
        counter = (counter + 1) & 15
        count = (size - place) // BODY_SIZE
        stop = place + count * BODY_SIZE
        if count:
            pieces = [b""] * (2 * count)
            pieces[::2] = (self._middle * (count // 16 + 2))[counter : counter + count]
            pieces[1::2] = [data[at : at + BODY_SIZE] for at in range(place, stop, BODY_SIZE)]
            parts += pieces
            counter = (counter + count) & 15
        if stop < size:
            parts += (self._end[counter], _STUFFING[BODY_SIZE - size + stop], data[stop:])
            counter = (counter + 1) & 15
        self._counter = counter

    def fill(self, adaptation: bytes) -> bytes:
        """Return a packet without payload, which does not count (H.222.0 2.4.3.3).

        Args:
            adaptation: Its adaptation field without the length byte.
        """
        head = self._fill[(self._counter - 1) & 15] + bytes((BODY_SIZE - 1,)) + adaptation
        return head.ljust(PACKET_SIZE, b"\xff")

    def section(self, section: bytes) -> bytes:
        """Return the packets of one section, which begins in the first and ends in the last."""
        data = b"\x00" + section  # pointer_field
        packets: list[bytes] = []
        heads: Sequence[bytes] = self._start
        for at in range(0, len(data), BODY_SIZE):
            packet = heads[self._counter] + data[at : at + BODY_SIZE]
            packets.append(packet.ljust(PACKET_SIZE, b"\xff"))
            self._counter = (self._counter + 1) & 15
            heads = self._middle
        return b"".join(packets)


def _headers(pid: int, second: int, fourth: int) -> tuple[bytes, ...]:
    """Make a header for each value of the continuity counter."""
    return tuple(
        bytes((SYNC_BYTE, second | pid >> 8, pid & 0xFF, fourth | counter)) for counter in range(16)
    )
