"""A small writer of MPEG-TS, apart from the server's: segments that are right, and wrong ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.hls.media import WRAP
from tests.hls.ts import AAC, H264, PACKET_BYTES, crc32

MAP_PID, VIDEO_PID, AUDIO_PID = 0x1000, 0x100, 0x101

AUD = b"\0\0\0\1\x09\xf0"
SETS = b"\0\0\0\1\x67\x64\0\x1f\xac\0\0\0\1\x68\xee\x38\x80"
IDR = b"\0\0\0\1\x65\x88\x84"
SLICE = b"\0\0\0\1\x41\x9a\x21"


def picture(number: int, *, key: bool) -> bytes:
    """Return an access unit that says its number."""
    body = b"<%08d>" % number
    return AUD + (SETS + IDR + body if key else SLICE + body)


def sound(payload: bytes) -> bytes:
    """Return one AAC frame with its ADTS header (ISO/IEC 13818-7 6.2)."""
    size = len(payload) + 7
    length = (size >> 11 & 3, size >> 3 & 0xFF, (size & 7) << 5 | 0x1F)
    return bytes([0xFF, 0xF1, 0x4C, 0x80 | length[0], length[1], length[2], 0xFC]) + payload


@dataclass
class TSWriter:
    """Writes packets, its counters going on from one segment to the next.

    Attributes:
        types: The stream type of each PID in the map.
        pcr_pid: As the map says.
        counters: The next continuity counter, by PID.
    """

    types: dict[int, int] = field(default_factory=lambda: {VIDEO_PID: H264, AUDIO_PID: AAC})
    pcr_pid: int = VIDEO_PID
    counters: dict[int, int] = field(default_factory=dict)

    def tables(self) -> bytes:
        """Return PAT and PMT."""
        pat = _section(0, 1, (1).to_bytes(2, "big") + (0xE000 | MAP_PID).to_bytes(2, "big"))
        streams = b"".join(
            bytes([kind, 0xE0 | pid >> 8, pid & 0xFF, 0xF0, 0]) for pid, kind in self.types.items()
        )
        head = (0xE000 | self.pcr_pid).to_bytes(2, "big") + b"\xf0\0"
        pmt = _section(2, 1, head + streams)
        return self._packet(0, b"\0" + pat, start=True, pad=b"\xff") + self._packet(
            MAP_PID, b"\0" + pmt, start=True, pad=b"\xff"
        )

    def unit(
        self,
        pid: int,
        pts: int,
        payload: bytes,
        *,
        dts: int | None = None,
        pcr: int | None = None,
        key: bool = False,
    ) -> bytes:
        """Return the packets of one PES packet; `pcr` is of 90 kHz, before the first of them."""
        times = _time(pts % WRAP, 2)
        flags = 0x80
        if dts is not None:
            times, flags = _time(pts % WRAP, 3) + _time(dts % WRAP, 1), 0xC0
        video = pid == VIDEO_PID
        size = 0 if video else 3 + len(times) + len(payload)
        data = b"\0\0\1" + bytes([0xE0 if video else 0xC0]) + size.to_bytes(2, "big")
        data += bytes([0x80, flags, len(times)]) + times + payload
        packets, adaptation = b"", b""
        if pcr is not None or key:
            adaptation = bytes([(0x40 if key else 0) | (0x10 if pcr is not None else 0)])
        if pcr is not None:
            base = pcr % WRAP
            adaptation += (base >> 1).to_bytes(4, "big") + bytes([(base & 1) << 7 | 0x7E, 0])
        start = True
        while data or start:
            room = PACKET_BYTES - 4 - (len(adaptation) + 1 if adaptation else 0)
            packets += self._packet(pid, data[:room], start=start, adaptation=adaptation)
            data, adaptation, start = data[room:], b"", False
        return packets

    def _packet(
        self, pid: int, payload: bytes, *, start: bool, adaptation: bytes = b"", pad: bytes = b""
    ) -> bytes:
        counter = self.counters.get(pid, 0)
        self.counters[pid] = counter + 1 & 0x0F
        head = bytes([0x47, (0x40 if start else 0) | pid >> 8, pid & 0xFF])
        room = PACKET_BYTES - 4 - len(payload)
        if pad:
            return head + bytes([0x10 | counter]) + payload + pad * room
        if not adaptation and not room:
            return head + bytes([0x10 | counter]) + payload
        stuffed = (adaptation or b"\0" if room > 1 else b"").ljust(room - 1, b"\xff")
        return head + bytes([0x30 | counter, len(stuffed)]) + stuffed + payload


def _section(table: int, identifier: int, body: bytes) -> bytes:
    length = 5 + len(body) + 4
    data = bytes([table, 0xB0 | length >> 8, length & 0xFF]) + identifier.to_bytes(2, "big")
    data += b"\xc1\0\0" + body
    return data + crc32(data).to_bytes(4, "big")


def _time(value: int, prefix: int) -> bytes:
    return bytes(
        [
            prefix << 4 | value >> 29 & 0x0E | 1,
            value >> 22 & 0xFF,
            value >> 14 & 0xFE | 1,
            value >> 7 & 0xFF,
            value << 1 & 0xFE | 1,
        ]
    )
