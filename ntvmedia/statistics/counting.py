"""What was counted and not written yet: in memory, bounded, whatever the clocks do. No clock here.

Two clocks come in. How long somebody watched is told by the monotonic one. The wall clock, which
may be set, only says to which day and minute what was counted belongs: once at each sample, for
what follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from ntvmedia.statistics.pending import Pending
from ntvmedia.store import PointRow, RefusalRow

SPANS: Final = (60, 600, 3600)
"""Seconds that points stand for: what the charts of hours, of weeks and of a year are made of."""

# Charts of more applications at the same time are nobody's: the busiest have them.
MAX_CHARTED: Final = 500

# A timer may come a little before its time, by the other clock.
_EARLY_SECONDS: Final = 0.5

# From year 1 to 9999: what a day can be.
_WALL_RANGE: Final = (-62_135_596_800.0, 253_402_300_799.0)


class Line(NamedTuple):
    """What a day's sums are kept by."""

    application: str
    stream: str
    protocol: str


class _Level:
    """How many there are of something, and the most that there were since the last sample."""

    __slots__ = ("most", "now")

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    def change(self, by: int) -> None:
        self.now += by
        if self.now > self.most:
            self.most = self.now

    def take(self) -> int:
        most, self.most = self.most, self.now
        return most


class _Place:
    """An application, or the whole server: what its points are made of."""

    __slots__ = ("bytes_in", "bytes_out", "publishers", "viewers")

    def __init__(self) -> None:
        self.viewers = _Level()
        self.publishers = _Level()
        self.bytes_in = 0
        self.bytes_out = 0

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to be said of the time since the last sample."""
        return not (self.viewers.most or self.publishers.most or self.bytes_in or self.bytes_out)


class Presence:
    """One who watches or publishes now.

    Attributes:
        line: What he is counted under.
        began: Monotonic seconds.
        since: Likewise, until when he is counted.
        reported: Bytes that are counted.
    """

    __slots__ = ("began", "day", "line", "reported", "since", "source")

    def __init__(self, line: Line, source: Any, now: float, day: date) -> None:
        self.line = line
        self.source = source
        self.began = self.since = now
        self.reported = 0
        self.day = day  # the last one on which he was counted


class Counting:
    """Counts viewers, publishers, bytes and refusals.

    Args:
        run: Of this process, as in `Batch`.
        now: Monotonic seconds.
        wall: Seconds since 1970.

    Attributes:
        pending: What there is to be written.
        day: In UTC, that is counted on.
    """

    def __init__(self, run: str, now: float, wall: float) -> None:
        self.pending = Pending(run)
        self.day = day_of(wall)
        self._label = wall
        self._sampled_at = now
        self._sessions: dict[int, Presence] = {}
        self._lines: dict[Line, Line] = {}
        self._viewers: dict[Line, dict[int, Presence]] = {}
        self._levels: dict[Line, _Level] = {}
        self._publishers: dict[int, Presence] = {}
        self._places: dict[str, _Place] = {"": _Place()}
        self._refused: dict[tuple[str, str, str], int] = {}

    # What happens

    def viewer_came(self, line: Line, session: int, viewer: Any, now: float) -> Presence:
        """Count one who begins to watch.

        Args:
            line: What he watches, and how.
            session: His own number.
            viewer: Its `bytes_out` is read at each sample. None where only the end tells.
            now: Monotonic seconds.
        """
        # One line for all who watch the same, and not one for each.
        line = self._lines.setdefault(line, line)
        presence = self._sessions[session] = Presence(line, viewer, now, self.day)
        self._viewers.setdefault(line, {})[session] = presence
        level = self._levels.get(line)
        if level is None:
            level = self._levels[line] = _Level()
        level.change(1)
        for place in self._places_of(line):
            place.viewers.change(1)
        self.pending.day(self.day, *line).viewers += 1
        return presence

    def viewer_left(self, session: int, bytes_out: int, now: float) -> None:
        """Count that he has left; nothing where he was not known.

        Args:
            session: As of `viewer_came`.
            bytes_out: All that he was sent.
            now: Monotonic seconds.
        """
        presence = self._sessions.pop(session, None)
        if presence is None:
            return
        line = presence.line
        del self._viewers[line][session]
        self._add(line, now - presence.since, bytes_out - presence.reported)
        presence.since, presence.reported = now, bytes_out
        presence.source = None
        self._levels[line].change(-1)
        for place in self._places_of(line):
            place.viewers.change(-1)

    def publisher_came(self, line: Line, session: int, publication: Any, now: float) -> None:
        """Count one who begins to publish; arguments as of `viewer_came`, with its `bytes_in`."""
        self._publishers[session] = Presence(line, publication, now, self.day)
        for place in self._places_of(line):
            place.publishers.change(1)
        self.pending.day(self.day, *line).publishes += 1

    def publisher_left(self, session: int, bytes_in: int) -> None:
        """Count that he has ended; nothing where he was not known."""
        presence = self._publishers.pop(session, None)
        if presence is None:
            return
        self._received(presence, bytes_in)
        for place in self._places_of(presence.line):
            place.publishers.change(-1)

    # Every few seconds

    def sample(self, now: float, wall: float, refused: Mapping[tuple[str, str, str], int]) -> None:
        """Count what went on since the last sample, and begin another day or minute if it is time.

        Args:
            now: Monotonic seconds.
            wall: Seconds since 1970.
            refused: How often in all, by application, protocol and rule.
        """
        for line, presences in self._viewers.items():
            if presences:
                self._watching(line, presences.values(), now)
        for presence in self._publishers.values():
            if presence.source is not None:
                self._received(presence, presence.source.bytes_in)
        self._peaks()
        self._refusals(refused)
        self._points(now)
        self._sampled_at = now
        self._label = wall + _EARLY_SECONDS
        day = day_of(self._label)
        if day != self.day:
            self._another_day(day)

    def end(self, now: float) -> list[int]:
        """Count that all have left.

        Returns:
            Who watched until now, by number.
        """
        sessions = list(self._sessions)
        for session, presence in tuple(self._sessions.items()):
            source = presence.source
            size = presence.reported if source is None else source.bytes_out
            self.viewer_left(session, size, now)
        for session, presence in tuple(self._publishers.items()):
            source = presence.source
            self.publisher_left(session, presence.reported if source is None else source.bytes_in)
        return sessions

    def _watching(self, line: Line, presences: Iterable[Presence], now: float) -> None:
        """Count for all of a line at once: there may be ten thousand."""
        seconds = 0.0
        size = 0
        for presence in presences:
            seconds += now - presence.since
            presence.since = now
            source = presence.source
            if source is not None:
                sent = source.bytes_out
                size += sent - presence.reported
                presence.reported = sent
        self._add(line, seconds, size)

    def _add(self, line: Line, seconds: float, size: int) -> None:
        counts = self.pending.day(self.day, *line)
        counts.seconds += seconds
        counts.bytes_out += size
        for place in self._places_of(line):
            place.bytes_out += size

    def _received(self, presence: Presence, bytes_in: int) -> None:
        new = bytes_in - presence.reported
        if new > 0:
            presence.reported = bytes_in
            self.pending.day(self.day, *presence.line).bytes_in += new
            for place in self._places_of(presence.line):
                place.bytes_in += new

    def _places_of(self, line: Line) -> tuple[_Place, _Place]:
        place = self._places.get(line.application)
        if place is None:
            place = self._places[line.application] = _Place()
        return self._places[""], place

    def _peaks(self) -> None:
        for line, level in tuple(self._levels.items()):
            most = level.take()
            counts = self.pending.day(self.day, *line)
            if most > counts.peak:
                counts.peak = most
            if not level.now:
                del self._levels[line]
                self._viewers.pop(line, None)
                self._lines.pop(line, None)

    def _refusals(self, refused: Mapping[tuple[str, str, str], int]) -> None:
        for key, count in refused.items():
            new = count - self._refused.get(key, 0)
            self._refused[key] = count
            if new > 0:
                self.pending.refused(RefusalRow(self.day, *key, new))

    def _points(self, now: float) -> None:
        passed = now - self._sampled_at
        busy = {name: place for name, place in self._places.items() if not place.is_quiet}
        server = busy.pop("", None)
        charted = sorted(busy, key=lambda name: busy[name].bytes_out, reverse=True)[:MAX_CHARTED]
        if server is not None:
            busy[""] = server
            charted.append("")
        for name in charted:
            place = busy[name]
            values = (place.viewers.most, place.publishers.most, passed)
            for span in SPANS:
                begin = self._label // span * span
                self.pending.point(
                    PointRow(span, begin, name, *values, place.bytes_in, place.bytes_out)
                )
        for name, place in tuple(self._places.items()):
            place.viewers.take()
            place.publishers.take()
            place.bytes_in = place.bytes_out = 0
            if name and not place.viewers.now and not place.publishers.now:
                del self._places[name]

    def _another_day(self, day: date) -> None:
        self.day = day
        for presence in self._sessions.values():
            # A clock that is set back makes nobody come twice.
            if presence.day < day:
                presence.day = day
                self.pending.day(day, *presence.line).viewers += 1


def day_of(wall: float) -> date:
    """Return the day in UTC of a time in seconds since 1970."""
    low, high = _WALL_RANGE
    return datetime.fromtimestamp(min(max(wall, low), high), UTC).date()
