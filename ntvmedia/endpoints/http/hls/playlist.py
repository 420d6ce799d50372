"""One media playlist of one stream: made while somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ntvmedia.access import Application
from ntvmedia.endpoints.http.hls.files import File
from ntvmedia.endpoints.http.hls.segmenter import CLOCK_RATE, Cut, Segmenter
from ntvmedia.endpoints.http.hls.sessions import Counter
from ntvmedia.endpoints.http.hls.window import PLAYLIST_NAME, Window
from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.rendition import select_tracks
from ntvmedia.media import MediaKind, Packet, StreamKey, Track

# What a stalled stream's list is told after this many target durations; the RFC allows 1.5
# (RFC 8216bis section 6.2.1).
GAP_TARGETS: Final = 1.4

# One that is being filled may come so late, so that it need not be cut short.
LAST_TARGETS: Final = 1.48

# What is missing between two segments is told as a gap of its own from here on.
SHORTEST_GAP_SECONDS: Final = 0.1

# Of a list that nobody asks for: when it is no longer made, in target durations and seconds.
IDLE_TARGETS: Final = 2
IDLE_SECONDS: Final = 10.0

# After a bug in it the output is left alone for so long.
FAILED_SECONDS: Final = 10.0

# How long the list of a stream that is over may still be had.
KEPT_SECONDS: Final = 60.0

_log = Logger()


class Playlist:
    """A media playlist, and the sink that takes its stream's packets while it is wanted.

    Args:
        reactor: Its clock is monotonic.
        key: The stream.
        rendition: Name of the folder.
        options: Which tracks, as of `ntvmedia.hub.rendition.select_tracks`.
        application: Asked for what the operator wants.
        window: Empty.

    Attributes:
        key: The stream.
        files: What can be fetched now, by name.
        seen: Monotonic seconds of the last request; to be kept by who answers.
        rendition: Name of the folder.
        counter: Counts what those without a session are sent; emptied into the stream's sum.
        open_folder: The address without a session, while that is answered from memory.
        sessions: How many sessions watch it.
        ended_at: Monotonic seconds when the stream ended, or None while there is one.
        segmenter: What makes the segments.
        stream: What they are made of; None while none are made.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        key: StreamKey,
        rendition: str,
        options: Mapping[str, str],
        application: Callable[[], Application],
        window: Window,
    ) -> None:
        self.key = key
        self.files: Mapping[bytes, File] = window.files
        self.seen = reactor.seconds()
        self.rendition = rendition
        self.counter = Counter()
        self.open_folder = b""
        self.sessions = 0
        self.ended_at: float | None = None
        self.segmenter = Segmenter(
            options, self._cut, lambda: self._application().hls_segment_seconds, self._longest_group
        )
        self.window = window
        self._reactor = reactor
        self._application = application
        self.stream: Any = None
        self._discontinuity = False
        self._shift = 0.0
        self._until = 0
        self._options = options
        self._left_out: set[str] = set()
        self._failed_until = 0.0
        self._warned = False
        self._packet_at = 0.0
        self._timer: IDelayedCall | None = None
        self._waiters: list[Deferred[None]] = []

    @property
    def idle_seconds(self) -> float:
        """After how much time without a request nobody watches any more."""
        return max(IDLE_SECONDS, IDLE_TARGETS * self.segmenter.target_duration)

    def run(self, stream: Any) -> None:
        """Make segments of a stream. Idempotent.

        Args:
            stream: A `ntvmedia.hub.stream.Stream` of this key.

        Raises:
            NotFound: It is over, or not ready.
        """
        if self.stream is stream:
            return
        if self._reactor.seconds() < self._failed_until:
            raise NotFound("HLS of this stream has failed; it is tried again soon")
        if self.window.ended:
            # What was said to be complete is left alone: another list begins.
            self.window.retire(self._reactor.seconds())
        self.stream = stream
        self.ended_at = None
        try:
            stream.attach(self)
        except NotFound:
            self._over()
            raise
        except Exception:
            self.stop()
            raise
        if stream.publication is None:
            self.publisher_lost()
        self._set_timer()

    def close(self) -> None:
        """Make no more segments, and let go of all."""
        self.rest()
        self.window.clear()

    def rest(self) -> None:
        """Make no more segments till `run`, and list none; those that there are go in time."""
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.detach(self)
        self._cancel_timer()
        self._discontinuity = True
        self.segmenter.forget()
        self.window.retire(self._reactor.seconds())
        self._answer_waiters(NotFound(f"{self.key} is not published"))

    def ready(self) -> Deferred[None]:
        """Wait for the first segment.

        Returns:
            Fires when there is a playlist. Fails with `NotFound` when the stream ends before, or
            has nothing that can be cut. May be cancelled.
        """
        if PLAYLIST_NAME in self.files:
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._forget_waiter)
        self._waiters.append(waiter)
        return waiter

    def look(self, now: float) -> None:
        """Stop when nobody asks any more, and let go of old segments. About every second."""
        self.window.purge(now)
        if self.stream is not None:
            self.stream.audience.bytes_out += self.counter.sent_bytes
            self.counter.sent_bytes = 0
        if (
            self.stream is not None
            and not self.sessions
            and not self._waiters
            and now - self.seen > self.idle_seconds
            and not self._application().hls_always
        ):
            _log.debug("{key}: no segments, since nobody asks for them", key=self.key)
            self.rest()

    # What the stream calls

    def start(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], backlog: Sequence[Packet]
    ) -> None:
        self.segmenter.choose(tracks)
        self._tell_left_out(tracks)
        for packet in backlog:
            self.segmenter.packet(packet)
        self._packet_at = self._reactor.seconds()

    def packet(self, packet: Packet) -> None:
        self.segmenter.packet(packet)

    def batch_ended(self) -> None:
        self._packet_at = self._reactor.seconds()

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> None:
        if self.segmenter.choose(tracks):
            self._discontinuity = True
            self._tell_left_out(tracks)

    def metadata_changed(self, metadata: Mapping[str, object]) -> None:
        pass  # segments carry none

    def publisher_lost(self) -> None:
        self.segmenter.finish()
        self._discontinuity = True

    def end(self) -> None:
        self.segmenter.finish()
        self._over()
        if self._application().hls_end_list:
            self.window.end()

    def stop(self) -> None:
        self.segmenter.forget()
        self._failed_until = self._reactor.seconds() + FAILED_SECONDS
        self._over()

    def _over(self) -> None:
        self.stream = None
        self._discontinuity = True
        self.ended_at = self._reactor.seconds()
        self._cancel_timer()
        self._answer_waiters(NotFound(f"{self.key} is not published"))

    # Segments

    def _cut(self, cut: Cut) -> None:
        if not cut.at_keyframe and not self._warned:
            self._warned = True
            _log.warn(
                "{key}: HLS segments were cut without a keyframe: let the encoder send one every "
                "{seconds} seconds",
                key=self.key,
                seconds=self.segmenter.target_duration,
            )
        # Where there was never a segment there is nothing to be different from.
        discontinuity = self.window.begun and (self._discontinuity or not cut.follows)
        self._discontinuity = False
        wall_seconds = self._wall_time(cut.start)
        if discontinuity:
            # A clock that was set back must not name a time twice (RFC 8216bis section 6.2.1).
            self._shift = max(0.0, self._listed_until() - wall_seconds)
        self._add(
            cut.body,
            duration=cut.duration / CLOCK_RATE,
            wall_seconds=wall_seconds + self._shift,
            discontinuity=discontinuity,
            gap=False,
        )
        self._until = cut.start + cut.duration
        self._answer_waiters(None)

    def _add(self, body: bytes, **fields: Any) -> None:
        self.window.shared = not self._application().hls_sessions
        self.window.add(
            body,
            target_duration=self.segmenter.target_duration,
            count=self._application().hls_segment_count,
            now=self._reactor.seconds(),
            **fields,
        )
        self._set_timer()

    def _longest_group(self) -> float:
        stream = self.stream
        return 0.0 if stream is None else float(stream.longest_keyframe_interval)

    def _tell_left_out(self, tracks: Sequence[Track]) -> None:
        """Log, once for each codec, what segments of MPEG-TS do not have (C-TS-07)."""
        for track in select_tracks(tracks, self._options):
            if track not in self.segmenter.tracks and track.kind is not MediaKind.DATA:
                name = track.codec.value
                if name not in self._left_out:
                    self._left_out.add(name)
                    _log.warn("{key}: its {codec} is left out of HLS", key=self.key, codec=name)

    # Gaps

    def _set_timer(self) -> None:
        self._cancel_timer()
        if self.stream is not None and self.segmenter.target_duration:
            wait = GAP_TARGETS * self.segmenter.target_duration
            self._timer = self._reactor.callLater(wait, self._overdue)

    def _overdue(self, *, last_chance: bool = False) -> None:
        """Nothing was listed for long: list what there is, or that there is nothing."""
        self._timer = None
        target = self.segmenter.target_duration
        begun_at = self.segmenter.begun_at
        if begun_at is None:
            self._add_gap(float(target))
            return
        missing = self._wall_time(begun_at) - self._listed_until()
        if missing > SHORTEST_GAP_SECONDS:
            # It began late, after a change: its end has to be waited for.
            self._add_gap(min(missing, float(target)))
            return
        silence = self._reactor.seconds() - self._packet_at
        if silence < target / 2 and not last_chance:
            wait = (LAST_TARGETS - GAP_TARGETS) * target
            self._timer = self._reactor.callLater(wait, self._overdue, last_chance=True)
            return
        self.segmenter.finish()  # which adds it, and sets the timer
        self._discontinuity = True

    def _add_gap(self, duration: float) -> None:
        """List that there is nothing for some seconds."""
        if self.window.last is None:
            return
        self._add(
            self.segmenter.still(self._until),
            duration=duration,
            wall_seconds=self._listed_until(),
            discontinuity=False,
            gap=True,
        )
        self._until += round(duration * CLOCK_RATE)
        self._discontinuity = True
        # The edge of the list moves on as time does.
        self._cancel_timer()
        self._timer = self._reactor.callLater(self.segmenter.target_duration, self._overdue)

    def _listed_until(self) -> float:
        """Wall clock at the end of what is listed, in seconds since 1970."""
        last = self.window.last
        return 0.0 if last is None else last.wall_seconds + last.duration

    def _wall_time(self, ticks: int) -> float:
        epoch = None if self.stream is None else self.stream.epoch
        return 0.0 if epoch is None else float(epoch.wall_time(ticks, CLOCK_RATE))

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    # Who waits

    def _answer_waiters(self, error: Exception | None) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter.called:
                continue
            if error is None:
                waiter.callback(None)
            else:
                waiter.errback(error)

    def _forget_waiter(self, waiter: Deferred[None]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
