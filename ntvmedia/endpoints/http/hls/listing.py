"""Turns finished segments and parts into what a playlist lists: dates, numbers, keys and gaps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ntvmedia.access import Application
from ntvmedia.endpoints.http.hls.alignment import CLOCK_RATE, Alignment
from ntvmedia.endpoints.http.hls.cuts import Cut, PartCut
from ntvmedia.endpoints.http.hls.encryption import Encryption, encrypt
from ntvmedia.endpoints.http.hls.keys import Key
from ntvmedia.endpoints.http.hls.segmenter import Segmenter
from ntvmedia.endpoints.http.hls.window import NewSegment, Window
from ntvmedia.formats import m3u8
from ntvmedia.media import StreamKey

# What a stalled stream's list is told after this many target durations; the RFC allows 1.5
# (RFC 8216bis section 6.2.1).
GAP_TARGETS: Final = 1.4

# One that is being filled may come so late, so that it need not be cut short.
LAST_TARGETS: Final = 1.48

# What is missing between two segments is told as a gap of its own from here on.
SHORTEST_GAP_SECONDS: Final = 0.1

_log = Logger()


class Owner(Protocol):
    """What has a listing: a playlist.

    Attributes:
        key: Its stream.
        window: Where segments are listed.
        alignment: Of all playlists of this stream, and of those it is joined with.
        segmenter: What makes the segments.
        packet_at: Monotonic seconds when the last packets came.
        application: Asked for what the operator wants.
    """

    key: StreamKey
    window: Window
    alignment: Alignment
    packet_at: float
    application: Callable[[], Application]

    @property
    def segmenter(self) -> Segmenter:
        """What makes the segments."""

    def wall_time(self, ticks: int) -> float:
        """Return the wall clock, in seconds since 1970, of a time of the segmenter."""

    def is_running(self) -> bool:
        """Whether segments are made."""

    def publish(self) -> None:
        """Show what is listed now."""


class Listing:
    """Lists what a segmenter makes, and gaps where it makes nothing.

    Args:
        reactor: Its clock is monotonic.
        owner: Whose it is.
        encryption: Makes that of this playlist, where the operator wants it.
        first_number: Asked for the number of the first segment, whenever a list is begun anew.
        numbered: Called with the discontinuity number of a new segment.

    Attributes:
        dirty: Something was listed that is not shown yet.
        discontinuity: Something breaks before the next segment.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        owner: Owner,
        encryption: Callable[[Callable[[], None]], Encryption],
        first_number: Callable[[], int],
        numbered: Callable[[int], None],
    ) -> None:
        self.dirty = False
        self.discontinuity = False
        self._reactor: Any = reactor
        self._owner = owner
        self._window = owner.window
        self._make_encryption = encryption
        self._encryption: Encryption | None = None
        self._first_number = first_number
        self._numbered = numbered
        self._number: int | None = None
        self._shift = 0.0
        self._until = 0
        self._map = ""
        self._opened = False
        self._key: Key | None = None
        self._iv = b""
        self._held: deque[Cut] = deque()
        self._holds = False
        self._warned = False
        self._listed_at = 0.0
        self._timer: IDelayedCall | None = None

    def tracks_changed(self) -> None:
        """Take note that the next segments are of other tracks."""
        self.discontinuity = True
        self._held.clear()  # what is said of segments holds for the new tracks only
        self._map = ""

    def forget(self) -> None:
        """Throw away what is not listed; the next segment is of other tracks, or another stream."""
        self.tracks_changed()
        self._opened = self._holds = False
        encryption, self._encryption = self._encryption, None
        if encryption is not None:
            encryption.stop()

    # Segments

    def segment_begun(self, start: int, *, follows: bool) -> None:
        """Take note that a segment is begun; see `Segmenter`.

        If it does not follow, those of other playlists that begin now know of it in time.
        """
        number = self._number
        if number is not None and self._window.listed and (self.discontinuity or not follows):
            self._owner.alignment.break_at(start, number)

    def segment_finished(self, cut: Cut) -> None:
        """Take a segment; see `Segmenter`."""
        if not cut.at_keyframe and not self._warned:
            self._warned = True
            _log.warn(
                "{key}: HLS segments were cut without a keyframe: let the encoder send one every "
                "{seconds} seconds",
                key=self._owner.key,
                seconds=self._owner.segmenter.target_duration,
            )
        if self._holds or self._held or not self._open(cut):
            self._hold(cut)
            return
        if cut.last_part is not None and self._window.part_target:
            self._add_part(cut.last_part)
        self._close(cut)

    def part_finished(self, part: PartCut) -> None:
        """Take a part; see `Segmenter`."""
        if self._holds:
            return
        if not self._opened and (self._held or not self._open(part)):
            self._holds = True  # the whole segment waits for its key
            return
        self._add_part(part)

    def _open(self, cut: Cut | PartCut) -> bool:
        """Begin to list a segment, unless that is done; False where it has to wait for a key."""
        if self._opened:
            return True
        if not self._take_key():
            return False
        # Where there was never a segment there is nothing to be different from.
        own_reason = self._window.begun and (self.discontinuity or not cut.follows)
        wall_seconds = self._owner.wall_time(cut.start)
        missing = wall_seconds + self._shift - self._listed_until()
        # What is too long for gaps is another run.
        own_reason |= bool(self._window.listed) and missing > self._window.length
        if own_reason:
            # A clock that was set back must not name a time twice (RFC 8216bis section 6.2.1).
            self._shift = max(0.0, self._listed_until() - wall_seconds)
        if not own_reason or self._owner.segmenter.part_target:
            # Nothing is broken where the times say how long there was nothing; and what has parts
            # is listed before its end, so that no gap can be put before it later.
            self._fill_gap(wall_seconds + self._shift)
        discontinuity = self._new_number(cut.start, own_reason=own_reason)
        self.discontinuity = False
        packager = self._owner.segmenter.packager
        if not self._map:
            init = packager.init_segment()
            if init:
                self._map = self._window.add_init(init, packager.content_type)
        self._configure()
        self._window.open(
            NewSegment(
                wall_seconds + self._shift,
                discontinuity,
                self._map,
                self._listed_key(),
                packager.extension,
                packager.content_type,
            )
        )
        self._opened = True
        return True

    def _close(self, cut: Cut) -> None:
        """List a segment that was begun."""
        self._list(self._encrypted(cut.body), cut.duration / CLOCK_RATE, gap=False)
        self._until = cut.start + cut.duration

    def _list(self, body: bytes, duration: float, *, gap: bool) -> None:
        self._opened = False
        self._configure()  # the first segment is begun before its target duration is known
        self._listed_at = self._reactor.seconds()
        self._window.add(body, duration, self._listed_at, gap=gap)
        self.dirty = True
        self.set_timer()

    def _add_part(self, part: PartCut) -> None:
        if not part.body:
            return
        # A picture may be shown for longer than a part may be. What is missing of the sum could be
        # told as parts that are gaps; but then hls.js takes the whole segment for one.
        duration = min(part.duration, self._owner.segmenter.part_target) / CLOCK_RATE
        body, now = self._encrypted(part.body), self._reactor.seconds()
        self._window.add_part(body, duration, now, independent=part.at_keyframe)
        self.dirty = True

    def _configure(self) -> None:
        application, window = self._owner.application(), self._window
        window.shared = not application.hls_sessions
        window.count = application.hls_segment_count
        window.target_duration = self._owner.segmenter.target_duration
        window.can_block = application.hls_blocking
        window.part_target = self._owner.segmenter.part_target / CLOCK_RATE

    def _new_number(self, start: int, *, own_reason: bool) -> bool:
        """Count the discontinuities before a segment; tell whether there is one.

        All playlists that are aligned have the same before the same content.
        """
        alignment, number, window = self._owner.alignment, self._number, self._window
        if number is None or not window.listed:
            # A list that is begun anew has other numbers; where there are others this breaks none.
            if number is not None and not any(x.window.listed for x in alignment.playlists):
                alignment.break_at(start, number)
            window.number = max(window.number, self._first_number())
            window.discontinuities = max(alignment.number_at(start), number or 0)
            self._number = window.discontinuities
            self._numbered(self._number)
            return False
        if own_reason:
            alignment.break_at(start, number)
        discontinuity = number < alignment.number_at(start)
        if discontinuity:
            self._number = number + 1
            self._numbered(self._number)
        return discontinuity

    # Keys

    def _take_key(self) -> bool:
        """Take the key of the segment that begins; False where there is none yet."""
        application = self._owner.application()
        if not application.encrypted:
            self._key = None
            return True
        if self._encryption is None:
            self._encryption = self._make_encryption(self._key_arrived)
        self._key = self._encryption.next_segment(
            application.hls_key_url, application.hls_key_segments
        )
        if self._key is None:
            return False
        self._iv = self._encryption.new_iv()
        return True

    def _listed_key(self) -> m3u8.Key | None:
        if self._key is None:
            return None
        self._window.add_key(self._key.name, self._key.value)
        return m3u8.Key(self._key.name, self._iv)

    def _encrypted(self, body: bytes) -> bytes:
        if self._key is None:
            return body
        return encrypt(body, m3u8.Key(self._key.name, self._iv), self._key.value)

    def _hold(self, cut: Cut) -> None:
        """Keep a segment until its key is there, or it is too old."""
        self._holds = False
        self._held.append(cut)
        while len(self._held) > self._owner.application().hls_segment_count:
            self._held.popleft()
            self.discontinuity = True
        self._list_held()

    def _key_arrived(self) -> None:
        self._list_held()
        self._owner.publish()

    def _list_held(self) -> None:
        """List what was held back, without parts: these are out of date by now."""
        while self._held:
            cut = self._held[0]
            middle = self._owner.wall_time(cut.start + cut.duration // 2)
            if middle < self._listed_until():
                self.discontinuity = True  # it was given up, and there is a gap instead
            elif self._open(cut):
                self._close(cut)
            else:
                return
            self._held.popleft()

    # Gaps

    def set_timer(self) -> None:
        """Expect the next segment in time."""
        self.cancel_timer()
        if self._owner.is_running() and self._owner.segmenter.target_duration:
            wait = GAP_TARGETS * self._owner.segmenter.target_duration
            self._timer = self._reactor.callLater(wait, self._overdue)

    def _overdue(self, *, last_chance: bool = False) -> None:
        """Nothing was listed for long: list what there is, or that there is nothing."""
        self._timer = None
        target = self._owner.segmenter.target_duration
        begun_at = self._owner.segmenter.begun_at
        if self._held:
            # It waits for its key, and is given up.
            cut = self._held.popleft()
            self._add_gap(min(cut.duration / CLOCK_RATE, float(target)))
            return
        if begun_at is None or self._holds:
            self._add_gap(float(target))
            return
        missing = self._owner.wall_time(begun_at) - self._listed_until()
        if missing > SHORTEST_GAP_SECONDS and not self._opened:
            # It began late, after a change: its end has to be waited for.
            self._add_gap(min(missing, float(target)))
            return
        now = self._reactor.seconds()
        left = self._listed_at + GAP_TARGETS * target - now
        if left > 0 and not last_chance:
            # It is only that the next gap would have been due: media have come instead.
            self._timer = self._reactor.callLater(left, self._overdue)
            return
        silence = now - self._owner.packet_at
        if silence < target / 2 and not last_chance:
            wait = (LAST_TARGETS - GAP_TARGETS) * target
            self._timer = self._reactor.callLater(wait, self._overdue, last_chance=True)
            return
        # Which adds it, and sets the timer.
        if silence < target / 2:
            self._owner.segmenter.cut()  # it is only that the keyframe is late
        else:
            self._owner.segmenter.finish()
            self.discontinuity = True
        self._owner.publish()

    def _fill_gap(self, wall_seconds: float) -> None:
        """List that there is nothing until a time, since what comes then is listed at once."""
        while (missing := wall_seconds - self._listed_until()) > SHORTEST_GAP_SECONDS:
            if self._window.last is None or missing > self._window.length:
                return  # a player that knows of what is listed has nothing of it any more
            self._add_gap(min(missing, float(self._owner.segmenter.target_duration)))

    def _add_gap(self, duration: float) -> None:
        """List that there is nothing for some seconds."""
        last = self._window.last
        if last is None:
            return
        self._configure()
        packager = self._owner.segmenter.packager
        # It is as the one before it, whatever comes after it.
        key = last.key
        self._window.open(
            NewSegment(
                self._listed_until(),
                False,  # what comes after it is told to be another
                last.map.uri if last.map is not None else "",
                key,
                packager.extension,
                packager.content_type,
            )
        )
        body = self._owner.segmenter.still(self._until)
        if key is not None:
            value = self._window.files[key.uri.encode("ascii")].body
            body = encrypt(body, key, value)
        self._list(body, duration, gap=True)
        self._until += round(duration * CLOCK_RATE)
        self.discontinuity = True
        # The edge of the list moves on as time does.
        self.cancel_timer()
        self._timer = self._reactor.callLater(self._owner.segmenter.target_duration, self._overdue)
        self._owner.publish()

    def _listed_until(self) -> float:
        """Wall clock at the end of what is listed, in seconds since 1970."""
        last = self._window.last
        if last is None or last.wall_seconds is None:
            return 0.0
        return last.wall_seconds + last.duration

    def cancel_timer(self) -> None:
        """Expect none. Idempotent."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
