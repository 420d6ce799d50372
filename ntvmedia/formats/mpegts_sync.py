"""Where the packets of an MPEG-TS are, and how far apart.

ISO/IEC 13818-1 section 2.4.3.2: 188 bytes. Blu-ray's M2TS has 4 bytes of time before each, and old
broadcast equipment 16 of Reed-Solomon code after each.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.formats.mpegts_packets import PACKET_SIZE, SYNC_BYTE

PACKET_SIZES: Final = (PACKET_SIZE, 192, 204)

# Sync bytes in a row that are no chance: one in 16 million.
_WANTED: Final = 3

_SYNC: Final = bytes((SYNC_BYTE,))


class Sync(NamedTuple):
    """What was found.

    Attributes:
        place: Of the first sync byte; where to go on looking, if `size` is 0.
        size: From one packet to the next, or 0.
    """

    place: int
    size: int


def find_sync(data: bytes, place: int, *, final: bool) -> Sync:
    """Look for three sync bytes at the distance of packets.

    Args:
        data: May end early: then what is found with more does not depend on where it ended.
        place: Where to begin.
        final: There will be no more: then one whole packet is enough.
    """
    end = len(data)
    while True:
        place = data.find(_SYNC, place)
        if place < 0:
            return Sync(end, 0)
        for size in PACKET_SIZES:
            last = place + size * (_WANTED - 1)
            if last >= end:
                if not final:
                    return Sync(place, 0)
                last = min(last, end - 1)
            if end - place >= PACKET_SIZE and all(
                data[at] == SYNC_BYTE for at in range(place, last + 1, size)
            ):
                return Sync(place, size)
        place += 1
