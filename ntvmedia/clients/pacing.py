"""What a source has faster than it is to be shown, given on at the speed of life.

A file over HTTP comes as fast as the network is; a live stream comes as it is made, behind a burst
of what its server has kept. `Pacer` stands between what reads such a body and the stream that is
made of it: it says when to read no more, and so the server waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from ntvmedia.interfaces import IMediaSink
from ntvmedia.media.packets import MediaKind, Packet, Track

MAX_HELD_BYTES: Final = 4 << 20
MAX_HELD_ITEMS: Final = 4096
"""Of what waits for its time; then its source is paused until half of it is left. Two seconds at
16 Mb/s, and what one read of a slow stream may bring."""

_RESUME_BYTES: Final = MAX_HELD_BYTES // 2
_RESUME_ITEMS: Final = MAX_HELD_ITEMS // 2

# The clock of a track that steps on, or back, by more than this is another one.
_JUMP_SECONDS: Final = 10.0
_JUMP_BACK_SECONDS: Final = 1.0

# Of a value in what is said of a stream, besides its text.
_VALUE_BYTES: Final = 64

# What comes due within this is given on together: less than a picture.
_STEP_SECONDS: Final = 0.01


class Manner(NamedTuple):
    """How strictly time is kept.

    Attributes:
        ahead_seconds: What is given on at once at the beginning.
        late_seconds: What comes so late is made up for; what comes later has lost its time.
        speed: Seconds of media that pass in a second.
        held_seconds: With more than that its source is paused, until half of it is left.
    """

    ahead_seconds: float
    late_seconds: float
    speed: float = 1.0
    held_seconds: float = 10.0


FILE: Final = Manner(1.0, 2.0)
"""What was made before: players want a little to begin with."""

LIVE: Final = Manner(20.0, 20.0, 1.001)
"""What is made while it comes: its time is that of its server, whose clock may be faster than ours.
At first comes what players begin with, which may be the pictures of ten seconds or more; and what
came too late, all at once, is given on at once."""

_Item: TypeAlias = Packet | Track | Mapping[str, object] | None


@implementer(IMediaSink)
class Pacer:
    """Gives on what it is given, each packet when its time has come.

    Each track has a clock of its own, which may jump: what follows then goes on where the stream
    is. The order of all that is given stays as it is.

    Args:
        reactor: Its time.
        sink: Gets all.
        manner: How.
        paused: Called when there is enough for now.
        resumed: Called when there is room again.

    Attributes:
        is_full: Between these two calls.
        packets: Of pictures and sound, given on so far.
    """

    def __init__(
        self,
        reactor: Any,
        sink: IMediaSink,
        manner: Manner,
        paused: Callable[[], None] = lambda: None,
        resumed: Callable[[], None] = lambda: None,
    ) -> None:
        self.is_full = False
        self.packets = 0
        self._reactor = reactor
        self._sink = sink
        self._ahead = manner.ahead_seconds
        self._late = manner.late_seconds
        self._speed = manner.speed
        self._most_seconds = manner.held_seconds
        self._paused = paused
        self._resumed = resumed
        # What waits, each behind its place on the timeline of what is given, in seconds.
        # And with its size.
        self._held: deque[tuple[float, _Item, int]] = deque()
        self._held_bytes = 0
        # By `Track.id`: from its clock to that timeline, and the last time by its clock.
        self._clocks: dict[int, tuple[float, float]] = {}
        self._position = 0.0
        # A place on the timeline, and when that is to be given on.
        self._anchor = (0.0, 0.0)
        self._has_begun = False
        self._later: IDelayedCall | None = None
        self._ended: Deferred[None] | None = None
        self._is_stopped = False

    @property
    def held_seconds(self) -> float:
        """How much waits."""
        return self._position - self._held[0][0] if self._held else 0.0

    def track_received(self, track: Track) -> None:
        """Take a track."""
        self._put(track)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        """Take what is said of the stream."""
        self._put(fields)

    def batch_ended(self) -> None:
        """Give on what may be given on."""
        if not self._held and not self._is_stopped:
            self._sink.batch_ended()

    def packet_received(self, packet: Packet) -> None:
        """Take a packet."""
        if self._is_stopped:
            return
        track = packet[0]
        if track.kind is MediaKind.DATA:
            # Encoders send such with any time.
            self._put(packet)
            return
        seconds = packet[1] / track.clock_rate
        shift, last = self._clocks.get(track.id, (0.0, None))
        if last is None or not -_JUMP_BACK_SECONDS <= seconds - last <= _JUMP_SECONDS:
            shift = self._begun(seconds)
        self._clocks[track.id] = (shift, seconds)
        # Never before what came before it: order stays.
        place = self._position = max(self._position, seconds + shift)
        if self._held:
            self._hold(place, packet, len(packet[4]))
            return
        now = self._reactor.seconds()
        if self._due(place, now) <= now:
            self._give(packet)
        else:
            self._hold(place, packet, len(packet[4]))
            self._wait(now)

    def speed_changed(self, speed: float) -> None:
        """Go on with another speed."""
        if speed != self._speed:
            now = self._reactor.seconds()
            place, since = self._anchor
            self._anchor = (place + (now - since) * self._speed, now)
            self._speed = speed

    def end(self) -> Deferred[None]:
        """Say that nothing more comes.

        Returns:
            Fires when all has been given on; never after `stop`. To be called once.
        """
        ended: Deferred[None] = Deferred()
        self._ended = ended
        self._drained()
        return ended

    def stop(self) -> None:
        """Forget what waits: nothing is given on any more. Idempotent."""
        self._is_stopped = True
        self.is_full = False
        self._held.clear()
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _begun(self, seconds: float) -> float:
        """Return what takes a clock that begins, or jumped, to the timeline."""
        if not self._has_begun:
            self._has_begun = True
            self._anchor = (self._ahead, self._reactor.seconds())
            return -seconds
        # Tracks have one clock; where this one has not, it begins where the others are.
        for shift, _last in self._clocks.values():
            if -_JUMP_BACK_SECONDS <= seconds + shift - self._position <= _JUMP_SECONDS:
                return shift
        return self._position - seconds

    def _due(self, place: float, now: float) -> float:
        """Return when a place of the timeline is to be given on."""
        there, since = self._anchor
        due = since + (place - there) / self._speed
        if now - due > self._late:
            # Not all of that is made up for.
            due = now - self._late
            self._anchor = (place, due)
        return due

    def _put(self, item: _Item) -> None:
        if self._is_stopped:
            return
        if self._held:
            self._hold(self._position, item, _size_of(item))
        else:
            self._give(item)

    def _hold(self, place: float, item: _Item, size: int) -> None:
        self._held.append((place, item, size))
        self._held_bytes += size
        if not self.is_full and (
            self._held_bytes > MAX_HELD_BYTES
            or len(self._held) > MAX_HELD_ITEMS
            or place - self._held[0][0] > self._most_seconds
        ):
            self.is_full = True
            self._paused()

    def _give(self, item: _Item) -> None:
        if isinstance(item, Packet):
            self.packets += item[0].kind is not MediaKind.DATA
            self._sink.packet_received(item)
        elif isinstance(item, Track):
            self._sink.track_received(item)
        elif item is not None:
            self._sink.metadata_received(item)

    def _wait(self, now: float) -> None:
        delay = max(self._due(self._held[0][0], now) - now, _STEP_SECONDS)
        self._later = self._reactor.callLater(delay, self._look)

    def _look(self) -> None:
        """Give on what has come due."""
        self._later = None
        held = self._held
        now = self._reactor.seconds()
        while held and self._due(held[0][0], now) <= now + _STEP_SECONDS / 2:
            _place, item, size = held.popleft()
            self._held_bytes -= size
            self._give(item)
        if not self._is_stopped:
            self._sink.batch_ended()
        # Whoever is given something may stop this: then nothing is held.
        if held:
            self._wait(now)
        if (
            self.is_full
            and self._held_bytes <= _RESUME_BYTES
            and len(held) <= _RESUME_ITEMS
            and self.held_seconds <= self._most_seconds / 2
        ):
            self.is_full = False
            self._resumed()
        self._drained()

    def _drained(self) -> None:
        ended = self._ended
        if ended is not None and not self._held and not self._is_stopped:
            self._ended = None
            ended.callback(None)


def _size_of(item: _Item) -> int:
    """Return about how many bytes are kept for as long as an item waits.

    A source may say of itself as much as it likes, and as often: that counts as its media do.
    """
    if isinstance(item, Packet):
        return len(item[4])
    if isinstance(item, Track):
        return len(item.config) + len(item.color_info)
    size = 0
    waiting: list[object] = [item]
    while waiting:
        value = waiting.pop()
        size += _VALUE_BYTES
        if isinstance(value, str | bytes):
            size += len(value)
        elif isinstance(value, Mapping):
            waiting += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            waiting += value
    return size
