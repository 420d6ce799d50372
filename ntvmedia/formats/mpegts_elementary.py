"""An elementary stream of MPEG-TS, and its PES packet that is not yet complete.

ISO/IEC 13818-1, cited as "H.222.0 n": section 2.4.3.
"""

from __future__ import annotations

from typing import Final

from ntvmedia.formats.mpegts_packets import BODY_SIZE, PACKET_SIZE
from ntvmedia.formats.mpegts_pes import PESHeader
from ntvmedia.formats.mpegts_tables import Stream
from ntvmedia.formats.mpegts_video import Reader

FOLLOWING: Final = (*(0x10 | (counter + 1) & 15 for counter in range(16)), -1)
"""By the last continuity counter: the fourth byte of a packet that follows, and has a payload and
nothing else (H.222.0 2.4.3.3). None follows -1."""


class Elementary:
    """One elementary stream, and its PES packet that is not yet complete.

    Attributes:
        entry: In the PMT.
        reader: Of its codec.
        limit: Bytes of a PES packet.
        data: Of the PES packet so far.
        is_open: Whether one has begun, and nothing of it was lost.
        header: Of the PES packet, once there is enough of it; None where none is open.
        stop: Bytes of it at which it is complete, or too long; where there is a header.
        counter: The last continuity counter; -1 before.
        payload: The last packet's.
    """

    __slots__ = (
        "counter", "data", "entry", "header", "is_open", "limit", "payload", "reader", "stop",
    )  # fmt: skip

    def __init__(self, entry: Stream, reader: Reader, limit: int) -> None:
        self.entry = entry
        self.reader = reader
        self.limit = limit
        self.data = bytearray()
        self.is_open = False
        self.header: PESHeader | None = None
        self.stop = 0
        self.counter = -1
        self.payload = b""

    def follow(self, data: bytes, at: int, size: int, more: int) -> tuple[int, int]:
        """Take the packets at a place that have nothing but what goes on with the PES packet.

        Nearly all packets of pictures are such, and come in long rows: all of a stream is read
        half as fast again as one packet at a time (155 and 100 MB/s of pictures at 8 Mb/s).

        Args:
            data: Packets, of which the first is such a one.
            size: From one to the next.
            more: Bytes of payload that may be taken, but for less than a packet.

        Returns:
            Where the next packet is, and how many bytes of payload were taken.
        """
        head, following = data[at : at + 3], data[at + 3]
        room = min(self.stop - len(self.data), more)
        end = min(at - (-room // BODY_SIZE) * size, len(data) - PACKET_SIZE + 1)
        parts: list[bytes] = []
        place = at
        while place < end and data[place + 3] == following and data[place : place + 3] == head:
            parts.append(data[place + 4 : place + PACKET_SIZE])
            following = 0x10 | (following + 1) & 15
            place += size
        self.counter = (following - 1) & 15
        self.payload = parts[-1]
        self.data += b"".join(parts)
        return place, len(parts) * BODY_SIZE
