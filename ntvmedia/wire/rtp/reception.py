"""What a receiver knows of one source: its sequence numbers, its losses and its jitter.

RFC 3550 sections 6.4.1 (report blocks), A.1 (validity), A.3 (loss) and A.8 (jitter).
"""

from __future__ import annotations

from typing import Final

from ntvmedia.wire.rtp.rtcp import ReportBlock, SenderReport

MIN_SEQUENTIAL: Final = 2
"""Packets in sequence until a source counts as one (RFC 3550 A.1)."""

_MAX_DROPOUT: Final = 3000
_MAX_MISORDER: Final = 100
_SEQUENCE: Final = 1 << 16
_NO_SEQUENCE: Final = _SEQUENCE + 1

# Of 24 bits with a sign.
_MOST_LOST: Final = 0x7FFFFF
_LEAST_LOST: Final = -0x800000


class Reception:
    """Statistics of one source.

    Args:
        ssrc: The source.
        clock_rate: Ticks a second of its timestamps.
        probation: Packets in sequence until it counts; 0 where it was announced, as RTSP does.

    Attributes:
        ssrc: The source.
        received: Packets, duplicates included.
        jitter: Of the arrivals, in ticks (A.8, without the scaling by 16).
    """

    __slots__ = (
        "_bad",
        "_base",
        "_clock_rate",
        "_cycles",
        "_expected_before",
        "_highest",
        "_last_report",
        "_probation",
        "_received_before",
        "_reported_at",
        "_transit",
        "jitter",
        "received",
        "ssrc",
    )

    def __init__(self, ssrc: int, clock_rate: int, probation: int = MIN_SEQUENTIAL) -> None:
        self.ssrc = ssrc
        self.received = 0
        self.jitter = 0.0
        self._clock_rate = clock_rate
        self._probation = probation
        self._highest = -1
        self._base = 0
        self._cycles = 0
        self._bad = _NO_SEQUENCE
        self._expected_before = self._received_before = 0
        self._transit: int | None = None
        self._last_report = 0
        self._reported_at = 0.0

    @property
    def highest_sequence_number(self) -> int:
        """The highest so far, with the wraps above its 16 bits."""
        return self._cycles + max(self._highest, 0)

    @property
    def expected(self) -> int:
        """How many packets should have come."""
        return self.highest_sequence_number - self._base + 1 if self.received else 0

    @property
    def lost(self) -> int:
        """How many did not; negative where some came twice."""
        return self.expected - self.received

    def packet_received(self, sequence_number: int, timestamp: int, now: float) -> bool:
        """Count a packet, in the order of arrival.

        Args:
            now: Monotonic seconds.

        Returns:
            Whether it is to be used: not on probation, and no first one after a jump.
        """
        if self._highest < 0:
            self._restart(sequence_number)
        elif self._probation:
            if sequence_number == (self._highest + 1) & 0xFFFF:
                self._probation -= 1
                self._highest = sequence_number
                if not self._probation:
                    self._restart(sequence_number)
            else:
                # The one that was too much counts as the first of a new sequence.
                self._probation = MIN_SEQUENTIAL - 1
                self._highest = sequence_number
        elif not self._goes_on(sequence_number):
            return False
        if self._probation:
            return False
        self.received += 1
        arrival = int(now * self._clock_rate)
        transit = (arrival - timestamp) & 0xFFFFFFFF
        if self._transit is not None:
            distance = (transit - self._transit) & 0xFFFFFFFF
            if distance >= 1 << 31:
                distance = (1 << 32) - distance
            self.jitter += (distance - self.jitter) / 16
        self._transit = transit
        return True

    def report_received(self, report: SenderReport, now: float) -> None:
        """Take the source's own report, for `last_report` and `delay`."""
        self._last_report = report.ntp >> 16 & 0xFFFFFFFF
        self._reported_at = now

    def report_block(self, now: float) -> ReportBlock:
        """Make the block of the next report; its fraction is of what came since the last one."""
        expected, received = self.expected, self.received
        expected_now = expected - self._expected_before
        lost_now = expected_now - (received - self._received_before)
        self._expected_before, self._received_before = expected, received
        fraction = (lost_now << 8) // expected_now if expected_now > 0 and lost_now > 0 else 0
        delay = 0
        if self._last_report:
            delay = min(0xFFFFFFFF, max(0, int((now - self._reported_at) * 65536)))
        return ReportBlock(
            self.ssrc,
            min(fraction, 255),
            max(_LEAST_LOST, min(_MOST_LOST, expected - received)),
            self.highest_sequence_number & 0xFFFFFFFF,
            min(int(self.jitter), 0xFFFFFFFF),
            self._last_report,
            delay,
        )

    def _restart(self, sequence_number: int) -> None:
        """Begin to count (A.1, init_seq)."""
        if self._highest < 0 and self._probation:
            self._probation -= 1
        self._highest = self._base = sequence_number
        self._cycles = 0
        self._bad = _NO_SEQUENCE
        self._transit = None
        self.received = 0
        self._expected_before = self._received_before = 0

    def _goes_on(self, sequence_number: int) -> bool:
        """Follow the sequence (A.1, update_seq)."""
        ahead = (sequence_number - self._highest) & 0xFFFF
        if ahead < _MAX_DROPOUT:
            if sequence_number < self._highest:
                self._cycles += _SEQUENCE
            self._highest = sequence_number
        elif ahead <= _SEQUENCE - _MAX_MISORDER:
            if sequence_number != self._bad:
                self._bad = (sequence_number + 1) & 0xFFFF
                return False
            self._restart(sequence_number)
        # Otherwise it is a duplicate, or late.
        return True
