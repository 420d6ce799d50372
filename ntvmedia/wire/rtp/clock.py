"""RTP timestamps on one timeline: without wraps, and with the tracks of a session in step.

Each track of a session counts in its own clock from a random start (RFC 3550 5.1). Sender reports
tell where that is on the sender's wall clock (6.4.1), which puts sound and pictures together.
Until they come, or where they are none or wrong, it is arrival that tells.

Cameras' clocks drift, jump, stand still or run at twice their rate. So each track's times are
compared with arrival: what cannot be is straightened, and a track that goes on like that has its
times from arrival alone.
"""

from __future__ import annotations

from typing import Final

from ntvmedia.media.timebase import unwrap
from ntvmedia.wire.rtp.rtcp import SenderReport, unix_from_ntp

START_SECONDS: Final = 1.0
"""The time of a session's first packet: above 0, so that what lies a little before it fits in."""

# Pictures come in the order of decoding: with one a second and two in between, 3 s back.
_LONGEST_STEP_BACK: Final = 3.0

# Seconds by which one step may be longer than the time that passed. Servers begin with a burst of
# older pictures, but these are many short steps.
_LONGEST_LEAD: Final = 10.0

# After so long with one and the same timestamp, the clock stands still.
_LONGEST_STAND: Final = 2.0

# So many faults, none more than a minute after the last, and arrival is trusted more.
_MAX_FAULTS: Final = 5
_FAULT_MEMORY: Final = 60.0

# What came soonest within so many seconds tells a track's delay: keyframes take long to send.
_WINDOW: Final = 5.0

# A clock that gains or loses this part of the time is at fault, unless all tracks do: then the
# sender sends faster than in real time, as from a file.
_WORST_RATE: Final = 0.3

# Tracks without reports are moved when they are this far apart: less than one notices, and more
# than the jitter of what came soonest.
_WORST_SKEW: Final = 0.08

# By how much a report may move a track. Servers begin with up to one group of pictures at once,
# so that arrival tells that much wrong; with more, the report's wall clock is wrong.
_MOST_MOVED: Final = 15.0

# Reports that differ from those before by more are not believed until so many in a row agree. The
# first track decides what time it is, so that all tracks of a clock that is set move together.
_WORST_REPORT: Final = 0.5
_PERSISTENT_FIRST: Final = 3
_PERSISTENT: Final = 5

# So many reports in a row that agree with nothing, and the track's are not heard any more: there
# are cameras whose wall clock stands still.
_MOST_IGNORED: Final = 10

# Of what a report says that a track is off: senders read their clocks a few milliseconds apart.
_SMOOTHING: Final = 0.25


class SessionClock:
    """The common timeline of the tracks of one RTSP session, or of one sender.

    Attributes:
        wall_zero: Seconds since 1970 at time 0 of the timeline, by the sender's clock; None where
            it did not tell.
    """

    def __init__(self) -> None:
        self.wall_zero: float | None = None
        self._tracks: list[TrackClock] = []
        # The tracks that others are put in step with: by arrival, and by reports.
        self._first: TrackClock | None = None
        self._teller: TrackClock | None = None

    def track(self, clock_rate: int) -> TrackClock:
        """Add a track whose timestamps count `clock_rate` ticks a second."""
        track = TrackClock(self, clock_rate)
        self._tracks.append(track)
        return track


class TrackClock:
    """The clock of one track; `SessionClock.track` makes it.

    Attributes:
        clock_rate: Ticks a second.
        faults: What was wrong with the timestamps: jumps, standstill, a wrong rate.
        by_arrival: The timestamps are not used any more.
        is_locked: Reports hold this track in step.
    """

    def __init__(self, session: SessionClock, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self.faults = 0
        self.by_arrival = False
        self.is_locked = False
        self._session = session
        self._timestamp = -1
        self._unwrapped = 0
        self._ticks = 0
        self._shift = 0
        self._arrived = 0.0
        self._stand = _LONGEST_STAND
        self._recent_faults = 0
        self._fault_at = 0.0
        # Monotonic seconds less the timeline's, at the least, in this window and the one before.
        self._least = 0.0
        self._skew: float | None = None
        self._drift = 0.0
        self._window_ends = 0.0
        self._report: SenderReport | None = None
        self._doubtful = 0.0
        self._doubts = 0
        self._ignored = 0

    def ticks(self, timestamp: int, now: float) -> int:
        """Return the time of a packet: in ticks, of the session's timeline, unbounded.

        Args:
            timestamp: Of the packet, 32 bits.
            now: Monotonic seconds when it came.
        """
        if timestamp == self._timestamp and now - self._arrived < self._stand:
            return self._ticks
        rate = self.clock_rate
        if self._timestamp < 0:
            return self._begin(timestamp, now)
        elapsed = now - self._arrived
        unwrapped = unwrap(timestamp, self._unwrapped, 32)
        step = (unwrapped - self._unwrapped) / rate
        stands = timestamp == self._timestamp
        if not self.by_arrival and (
            stands or not -_LONGEST_STEP_BACK <= step <= elapsed + _LONGEST_LEAD
        ):
            self._shift = self._ticks + round(elapsed * rate) - unwrapped
            self.is_locked = False
            self._skew = None
            self._at_fault(now)
        self._timestamp, self._unwrapped, self._arrived = timestamp, unwrapped, now
        if self.by_arrival:
            ticks = max(self._ticks + 1, int(now * rate) + self._shift)
        else:
            ticks = unwrapped + self._shift
        self._ticks = ticks
        skew = now - ticks / rate
        if skew < self._least:
            self._least = skew
        if now >= self._window_ends:
            self._window_ended(now)
        return ticks

    def report_received(self, report: SenderReport, now: float) -> None:
        """Take a sender report about this track.

        Args:
            now: Monotonic seconds.
        """
        if self._timestamp < 0:
            self._report = report  # for when there is a packet to compare with
            return
        session = self._session
        # A sender without wall clock tells 0 (RFC 3550 6.4.1).
        if self.by_arrival or not report.ntp or self._ignored >= _MOST_IGNORED:
            return
        wall = unix_from_ntp(report.ntp)
        unwrapped = unwrap(report.timestamp, self._unwrapped, 32)
        zero = wall - (unwrapped + self._shift) / self.clock_rate
        if session.wall_zero is None or session._teller is None:
            session.wall_zero, session._teller = zero, self
            self.is_locked = True
            return
        off = zero - session.wall_zero
        is_teller = session._teller is self
        if self.is_locked and abs(off) > _WORST_REPORT:
            near = abs(zero - self._doubtful) <= _WORST_REPORT
            self._doubts = self._doubts + 1 if near else 1
            self._doubtful = zero
            if self._doubts < (_PERSISTENT_FIRST if is_teller else _PERSISTENT):
                self._ignored += 1
                if self._ignored >= _MOST_IGNORED:
                    self._unlock()
                return
            self.is_locked = False
        self._doubts = self._ignored = 0
        if is_teller:
            # The timeline is this track's: it is the wall clock that moves against it.
            session.wall_zero = zero
        elif abs(off) > _MOST_MOVED:
            return
        else:
            moved = off * _SMOOTHING if self.is_locked else off
            self._move(moved)
        self.is_locked = True

    def wall_time(self, ticks: int) -> float | None:
        """Return the sender's wall clock at a time, in seconds since 1970; None if not known."""
        zero = self._session.wall_zero
        return None if zero is None else zero + ticks / self.clock_rate

    def _begin(self, timestamp: int, now: float) -> int:
        """Put the first packet where it came, beside the other tracks."""
        session = self._session
        first = session._first
        if first is None:
            session._first = first = self
        seconds = START_SECONDS if first is self else now - first._delay
        self._timestamp = self._unwrapped = timestamp
        self._ticks = round(seconds * self.clock_rate)
        self._shift = self._ticks - timestamp
        self._arrived = now
        self._least = now - seconds
        self._window_ends = now + _WINDOW
        report, self._report = self._report, None
        if report is not None:
            self.report_received(report, now)
        return self._ticks

    @property
    def _delay(self) -> float:
        """The least time from the timeline to arrival that was seen of late."""
        return self._least if self._skew is None else min(self._least, self._skew)

    def _move(self, seconds: float) -> None:
        ticks = round(seconds * self.clock_rate)
        self._shift += ticks
        self._ticks += ticks
        self._least -= seconds
        if self._skew is not None:
            self._skew -= seconds

    def _unlock(self) -> None:
        """Go by arrival from now on; if it was this track that told the time, all tracks do."""
        self.is_locked = False
        session = self._session
        if session._teller is self:
            session.wall_zero = session._teller = None
            for track in session._tracks:
                track.is_locked = False

    def _at_fault(self, now: float) -> None:
        self.faults += 1
        if now - self._fault_at > _FAULT_MEMORY:
            self._recent_faults = 0
        self._fault_at = now
        self._recent_faults += 1
        if self._recent_faults >= _MAX_FAULTS:
            self.by_arrival = True
            # What is one access unit, its packets' timestamps do not tell for sure any more: its
            # time is that of its first packet.
            self._stand = 0.0
            self._shift = self._ticks - int(self._arrived * self.clock_rate)

    def _window_ended(self, now: float) -> None:
        """Compare what the clock counted with the time that passed, and with the first track."""
        least, before = self._least, self._skew
        self._skew = least
        self._least = now - self._ticks / self.clock_rate
        self._window_ends = now + _WINDOW
        if self.by_arrival:
            return
        self._drift = 0.0 if before is None else least - before
        worst = _WORST_RATE * _WINDOW
        session = self._session
        if abs(self._drift) > worst and not self.is_locked:
            others = [track for track in session._tracks if track is not self]
            if not any(abs(other._drift - self._drift) < worst for other in others):
                self._at_fault(now)
                return
        first = session._first
        if first is None or first is self or (self.is_locked and first.is_locked):
            return
        if first._skew is None:
            return
        apart = self._skew - first._skew
        if abs(apart) > _WORST_SKEW:
            self._move(apart)
