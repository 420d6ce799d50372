"""RTP packets put in order again, as far as a short wait can.

UDP delivers out of order, twice, or not at all. RFC 3550 section A.1 says what a jump of the
sequence numbers is: the sender began anew.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.wire.rtp.packets import RTPPacket

MAX_HELD: Final = 64
"""Packets that wait for one before them: 0.6 s at 1 Mb/s, 15 ms at 50 Mb/s."""

MAX_WAIT_SECONDS: Final = 0.1
"""How long a packet waits for one before it: paths that reorder differ by a few milliseconds."""

# RFC 3550 section A.1, MAX_DROPOUT and MAX_MISORDER: beyond these, the sender began anew.
_MAX_DROPOUT: Final = 3000
_MAX_MISORDER: Final = 100


class Ordered(NamedTuple):
    """A packet in its order.

    Attributes:
        packet: As it came.
        lost: At least one packet before it is missing, and will not come any more.
    """

    packet: RTPPacket
    lost: bool


class ReorderBuffer:
    """Gives the packets of one source out in the order of their sequence numbers.

    Args:
        size: Packets that may wait; 0 where the transport keeps order, as TCP does: then a gap is
            told at once.
        seconds: How long one may wait.

    Attributes:
        duplicates: Packets left out because they were there before, or came too late.
        lost: Packets that were missing, as far as the numbers tell.
    """

    __slots__ = ("_candidate", "_expected", "_held", "_seconds", "_size", "duplicates", "lost")

    def __init__(self, size: int = MAX_HELD, seconds: float = MAX_WAIT_SECONDS) -> None:
        self.duplicates = 0
        self.lost = 0
        self._size = size
        self._seconds = seconds
        self._expected = -1
        # By sequence number: the packet, and when it came.
        self._held: dict[int, tuple[RTPPacket, float]] = {}
        # The first packet of what may be a sender that began anew.
        self._candidate: RTPPacket | None = None

    @property
    def held(self) -> int:
        """How many packets wait."""
        return len(self._held)

    def receive(self, packet: RTPPacket, now: float) -> list[Ordered]:
        """Take a packet, and return those that are now in order.

        Args:
            now: Monotonic seconds.
        """
        number = packet.sequence_number
        expected = self._expected
        if number == expected or expected < 0:
            self._expected = (number + 1) & 0xFFFF
            if not self._held:
                self._candidate = None
                return [Ordered(packet, False)]
            ready = [Ordered(packet, False)]
            self._drain(ready)
            self._expire(now, ready)
            return ready
        ahead = (number - expected) & 0xFFFF
        if ahead >= _MAX_DROPOUT and ahead < 0x10000 - _MAX_MISORDER:
            return self._jumped(packet)
        if ahead >= 0x8000 or number in self._held:
            self.duplicates += 1
            return []
        self._held[number] = (packet, now)
        ready = []
        self._expire(now, ready)
        return ready

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is to be called, in monotonic seconds; None for never."""
        if not self._held:
            return None
        return min(came for _packet, came in self._held.values()) + self._seconds

    def handle_timeout(self, now: float) -> list[Ordered]:
        """Return the packets that have waited long enough, with what follows them."""
        ready: list[Ordered] = []
        self._expire(now, ready)
        return ready

    def flush(self) -> list[Ordered]:
        """Return all that waits: nothing more comes."""
        ready: list[Ordered] = []
        while self._held:
            self._skip(ready)
        return ready

    def _jumped(self, packet: RTPPacket) -> list[Ordered]:
        """Begin anew with the second packet in a row that is far away."""
        first, self._candidate = self._candidate, packet
        if first is None or packet.sequence_number != (first.sequence_number + 1) & 0xFFFF:
            return []
        ready = self.flush()
        self._candidate = None
        self._expected = (packet.sequence_number + 1) & 0xFFFF
        return [*ready, Ordered(first, True), Ordered(packet, False)]

    def _drain(self, ready: list[Ordered]) -> None:
        """Append what follows without a gap."""
        held = self._held
        while (found := held.pop(self._expected, None)) is not None:
            ready.append(Ordered(found[0], False))
            self._expected = (self._expected + 1) & 0xFFFF

    def _expire(self, now: float, ready: list[Ordered]) -> None:
        """Give up on packets that do not come, where too much waits or has waited too long."""
        held = self._held
        while held:
            if len(held) <= self._size:
                oldest = min(came for _packet, came in held.values())
                if now < oldest + self._seconds:
                    return
            self._skip(ready)

    def _skip(self, ready: list[Ordered]) -> None:
        """Go on behind the gap."""
        expected = self._expected
        number = min(self._held, key=lambda held: (held - expected) & 0xFFFF)
        self.lost += (number - expected) & 0xFFFF
        packet, _came = self._held.pop(number)
        ready.append(Ordered(packet, True))
        self._expected = (number + 1) & 0xFFFF
        self._drain(ready)
