"""Payloads given to what reads them, without a network between."""

from __future__ import annotations

from collections.abc import Iterable

from ntvmedia.media import Packet, Track
from ntvmedia.wire.rtp.packets import RTPPacket
from ntvmedia.wire.rtp.payloads import Depacketiser, Event


class Feed:
    """Numbers the packets and keeps what comes out.

    Args:
        target: What reads the payloads.

    Attributes:
        events: All that came out.
    """

    def __init__(self, target: Depacketiser) -> None:
        self.target = target
        self.events: list[Event] = []
        self._number = 65000
        self._lost = False

    def give(self, timestamp: int, payload: bytes, *, marker: bool = False) -> None:
        """Give one packet; its timestamp is its time."""
        packet = RTPPacket(96, self._number & 0xFFFF, timestamp, 1, marker, payload)
        self._number += 1
        lost, self._lost = self._lost, False
        self.events += self.target.receive(packet, timestamp, lost)

    def unit(self, timestamp: int, payloads: Iterable[bytes]) -> None:
        """Give the packets of one access unit, the last one with the marker."""
        *others, last = payloads
        for payload in others:
            self.give(timestamp, payload)
        self.give(timestamp, last, marker=True)

    def lose(self, count: int = 1) -> None:
        """Let packets be missing."""
        self._number += count
        self._lost = True

    def end(self) -> None:
        """Nothing more comes."""
        self.events += self.target.flush()

    @property
    def tracks(self) -> list[Track]:
        """Those that were announced."""
        return [event for event in self.events if isinstance(event, Track)]

    @property
    def packets(self) -> list[Packet]:
        """Those that came out."""
        return [event for event in self.events if isinstance(event, Packet)]

    @property
    def payloads(self) -> list[bytes]:
        """Of the packets that came out."""
        return [packet.payload for packet in self.packets]
