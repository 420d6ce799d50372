"""One track on its way in: datagrams or interleaved frames in, tracks and media packets out.

Puts together reordering, statistics, the clock and the payload format of one RTP stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ntvmedia.errors import PeerError
from ntvmedia.wire.rtp.clock import SessionClock
from ntvmedia.wire.rtp.formats import Format
from ntvmedia.wire.rtp.packets import parse_packet
from ntvmedia.wire.rtp.payloads import Event
from ntvmedia.wire.rtp.reception import Reception
from ntvmedia.wire.rtp.reordering import MAX_HELD, Ordered, ReorderBuffer
from ntvmedia.wire.rtp.rtcp import (
    Goodbye,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    build_compound,
    parse_compound,
)

# So many packets in a row from another source, and it has taken the place of the one before.
_TAKEOVER: Final = 2

REPORT_SECONDS: Final = 5.0
"""Between two reports of a receiver, or of a sender (RFC 3550 6.2, for a session of few)."""


class Receiver:
    """Receives one track.

    Nothing that comes makes it raise: what cannot be read is left out and counted.

    Args:
        format: Of the session's description.
        clock: Of the session, shared by its tracks.
        number: Of the track, among those of its kind.
        in_order: The transport keeps order, as TCP does: nothing waits for what is missing.

    Raises:
        PeerError: The description lacks what the format needs: the track is refused.

    Attributes:
        malformed: What came and was no RTP or RTCP, or of another payload type.
        source: The sender's SSRC; -1 before the first packet.
        ended: The sender said goodbye.
    """

    _buffer: ReorderBuffer
    _reception: Reception

    def __init__(
        self, format: Format, clock: SessionClock, number: int = 0, *, in_order: bool = False
    ) -> None:
        self.malformed = 0
        self.source = -1
        self.ended = False
        self._format = format
        self._in_order = in_order
        self._clock = clock.track(format.clock_rate)
        self._depacketiser = format.depacketiser(number)
        self._lost_before = 0
        self._rival = -1
        self._rivals = 0
        self._restarted = False
        self._new_source(-1)

    @property
    def reception(self) -> Reception:
        """Statistics of the present source."""
        return self._reception

    @property
    def lost(self) -> int:
        """Packets that did not come, of all sources so far."""
        return self._lost_before + self._buffer.lost

    @property
    def damaged(self) -> int:
        """Access units that were left out, as far as is known."""
        return self._depacketiser.damaged

    def receive_packet(self, data: bytes, now: float) -> list[Event]:
        """Take an RTP packet, and return what is complete with it.

        Args:
            now: Monotonic seconds.
        """
        try:
            packet = parse_packet(data)
        except PeerError:
            self.malformed += 1
            return []
        if packet.payload_type != self._format.payload_type:
            self.malformed += 1
            return []
        events: list[Event] = []
        if packet.ssrc != self.source:
            if not self._takes_over(packet.ssrc):
                return []
            self._read(self._buffer.flush(), now, events)
            self._new_source(packet.ssrc)
        elif self._rivals:
            self._rivals = 0
        self._reception.packet_received(packet.sequence_number, packet.timestamp, now)
        self._read(self._buffer.receive(packet, now), now, events)
        return events

    def receive_report(self, data: bytes, now: float) -> None:
        """Take an RTCP compound.

        Args:
            now: Monotonic seconds.
        """
        try:
            reports = parse_compound(data)
        except PeerError:
            self.malformed += 1
            return
        for report in reports:
            if isinstance(report, SenderReport):
                # Before the first packet, the only source that there can be.
                if self.source in (-1, report.ssrc):
                    self._clock.report_received(report, now)
                    self._reception.report_received(report, now)
            elif isinstance(report, Goodbye) and self.source in report.sources:
                self.ended = True

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is to be called, in monotonic seconds; None for never."""
        return self._buffer.next_timeout()

    def handle_timeout(self, now: float) -> list[Event]:
        """Return what has waited long enough for something lost."""
        events: list[Event] = []
        self._read(self._buffer.handle_timeout(now), now, events)
        return events

    def flush(self, now: float) -> list[Event]:
        """Return all that waits: nothing more comes."""
        events: list[Event] = []
        self._read(self._buffer.flush(), now, events)
        events += self._depacketiser.flush()
        return events

    def wall_time(self, ticks: int) -> float | None:
        """Return the sender's wall clock at a time in RTP ticks; None where it did not tell."""
        return self._clock.wall_time(ticks)

    def report(self, ssrc: int, cname: str, now: float) -> bytes:
        """Make a compound of receiver report and description.

        Args:
            ssrc: Ours.
            cname: Ours.
            now: Monotonic seconds.
        """
        blocks = (self._reception.report_block(now),) if self._reception.received else ()
        return build_compound((ReceiverReport(ssrc, blocks), SourceDescription(ssrc, cname)))

    def _takes_over(self, ssrc: int) -> bool:
        """Whether packets of a new source are to be used from now on."""
        if self.source < 0:
            return True
        self._rivals = self._rivals + 1 if ssrc == self._rival else 1
        self._rival = ssrc
        return self._rivals >= _TAKEOVER

    def _new_source(self, ssrc: int) -> None:
        """Begin with a source."""
        if self.source >= 0:
            self._lost_before += self._buffer.lost
            self._restarted = True
        self.source = ssrc
        self.ended = False
        self._rivals = 0
        self._rival = -1
        self._buffer = ReorderBuffer(0 if self._in_order else MAX_HELD)
        # The session announced it, or it showed itself twice: it needs no probation.
        self._reception = Reception(max(ssrc, 0), self._format.clock_rate, probation=0)

    def _read(self, ordered: Iterable[Ordered], now: float, events: list[Event]) -> None:
        for packet, lost in ordered:
            if self._restarted:
                # Of another source: what was begun is not ended by it.
                self._restarted, lost = False, True
            ticks = self._clock.ticks(packet.timestamp, now)
            events += self._depacketiser.receive(packet, ticks, lost)
