"""One media playlist of one stream: made while somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ntvmedia.access import Application
from ntvmedia.endpoints.http.hls.alignment import CLOCK_RATE, Alignment, TimeBase
from ntvmedia.endpoints.http.hls.cuts import Wishes
from ntvmedia.endpoints.http.hls.encryption import Encryption
from ntvmedia.endpoints.http.hls.files import File
from ntvmedia.endpoints.http.hls.listing import Listing
from ntvmedia.endpoints.http.hls.packaging import shifted
from ntvmedia.endpoints.http.hls.renditions import LOW_LATENCY, Rendition
from ntvmedia.endpoints.http.hls.segmenter import Segmenter
from ntvmedia.endpoints.http.hls.sessions import Counter
from ntvmedia.endpoints.http.hls.waiting import Waiter, Waiters
from ntvmedia.endpoints.http.hls.window import PLAYLIST_NAME, Window
from ntvmedia.formats import m3u8
from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.rendition import select_tracks
from ntvmedia.media import MediaKind, Packet, StreamKey, Track

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
        rendition: What it has of it.
        application: Asked for what the operator wants.
        window: Empty.
        alignment: Of all playlists of this stream, and of those it is joined with.
        time_base: Of streams that are joined; None for one that stands alone.
        answer: Answers a request that was held.
        encryption: Makes that of this playlist, where the operator wants it.
        first_number: Asked for the number of the first segment, whenever a list is begun anew.
        numbered: Called with the discontinuity number of a new segment.

    Attributes:
        key: The stream.
        rendition: What it has of it.
        application: Asked for what the operator wants.
        window: What is listed.
        alignment: Shared with the other playlists of the stream.
        packet_at: Monotonic seconds when the last packets came.
        files: What can be fetched now, by name.
        seen: Monotonic seconds of the last request; to be kept by who answers.
        kept: Monotonic seconds when it was last wanted beside another that was asked for.
        counter: Counts what those without a session are sent; emptied into the stream's sum.
        open_folders: The addresses without a session that are answered from memory.
        ended_at: Monotonic seconds when the stream ended, or None while there is one.
        always: It is made for nobody, too.
        segmenter: What makes the segments.
        stream: What they are made of; None while none are made.
        waiters: Who waits for what is not there yet.
        urgent: Each packet is wanted at once, since players wait for parts.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        key: StreamKey,
        rendition: Rendition,
        application: Callable[[], Application],
        window: Window,
        alignment: Alignment,
        time_base: TimeBase | None,
        answer: Callable[[Waiter, int, File | None], None],
        encryption: Callable[[Callable[[], None]], Encryption],
        first_number: Callable[[], int],
        numbered: Callable[[int], None],
    ) -> None:
        self.key = key
        self.rendition = rendition
        self.files: Mapping[bytes, File] = window.files
        self.seen = self.kept = reactor.seconds()
        self.counter = Counter()
        self.open_folders: set[bytes] = set()
        self.ended_at: float | None = None
        self.always = False
        self.window = window
        self.alignment = alignment
        self.waiters = Waiters(window, answer)
        self.stream: Any = None
        self._reactor = reactor
        self.application = application
        self._time_base = time_base
        self._listing = Listing(reactor, self, encryption, first_number, numbered)
        self.segmenter = Segmenter(
            rendition.format_name,
            rendition.options,
            alignment,
            self._listing,
            Wishes(
                lambda: self.application().hls_segment_seconds,
                lambda: self.application().hls_part_seconds,
                self._longest_group,
            ),
        )
        self.urgent = rendition.format_name == LOW_LATENCY
        self._offset_ms = 0
        self._clock_shift = 0
        self._left_out: set[str] = set()
        self._failed_until = 0.0
        self.packet_at = 0.0
        self._first_waiters: list[Deferred[None]] = []

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
        if self._time_base is None:
            self.alignment.follow(stream)
        self.kept = self._reactor.seconds()
        try:
            stream.attach(self, urgent=self.urgent)
        except NotFound:
            self._over()
            raise
        except Exception:
            self.stop()
            raise
        if stream.publication is None:
            self.publisher_lost()
        self._listing.set_timer()

    def close(self) -> None:
        """Make no more segments, and let go of all."""
        self.rest()
        self.window.clear()

    def rest(self) -> None:
        """Make no more segments till `run`, and list none; those that there are go in time."""
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.detach(self)
        self._listing.cancel_timer()
        self._listing.discontinuity = True
        self._forget_media()
        self.window.retire(self._reactor.seconds())
        self._answer_first(NotFound(f"{self.key} is not published"))
        self.waiters.release()

    def ready(self) -> Deferred[None]:
        """Wait for the first segment.

        Returns:
            Fires when there is a playlist. Fails with `NotFound` when the stream ends before, or
            has nothing that can be cut. May be cancelled.
        """
        if PLAYLIST_NAME in self.files:
            return succeed(None)
        if self.stream is not None and not self.segmenter.tracks:
            return fail(self._nothing())
        waiter: Deferred[None] = Deferred(self._forget_first)
        self._first_waiters.append(waiter)
        return waiter

    def is_running(self) -> bool:
        """Whether segments are made."""
        return self.stream is not None

    def look(self, now: float) -> None:
        """Stop when nobody asks any more, and let go of old segments. About every second."""
        self.window.purge(now)
        self.waiters.look(now, m3u8.HOLD_BACK_TARGETS * self.segmenter.target_duration)
        if self.stream is not None:
            self.stream.audience.bytes_out += self.counter.sent_bytes
            self.counter.sent_bytes = 0
            if not self.is_wanted(now) and not self.always:
                _log.debug("{key}: no segments, since nobody asks for them", key=self.key)
                self.rest()

    def is_wanted(self, now: float) -> bool:
        """Whether somebody asks for it, or for what goes with it."""
        if self._first_waiters or self.waiters:
            return True
        return now - max(self.seen, self.kept) <= self.idle_seconds

    # What the stream calls

    def start(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], backlog: Sequence[Packet]
    ) -> None:
        self._set_clock()
        self.segmenter.choose(tracks)
        self._tell_left_out(tracks)
        self.segmenter.measure(backlog)
        for packet in backlog:
            self.packet(packet)
        self.packet_at = self._reactor.seconds()
        self.publish()

    def packet(self, packet: Packet) -> None:
        if self._time_base is not None:
            if self.stream.timeline.shift_ms != self._clock_shift:
                self._clock_changed()
            if self._offset_ms:
                packet = shifted(packet, self._offset_ms)
                if packet.dts < 0:
                    return
        self.segmenter.packet(packet)

    def batch_ended(self) -> None:
        self.packet_at = self._reactor.seconds()
        if self._listing.dirty:
            self.publish()

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> None:
        if self.segmenter.choose(tracks):
            self._listing.tracks_changed()
            if not self.segmenter.tracks:
                self._answer_first(self._nothing())
            self._tell_left_out(tracks)
            self.publish()

    def metadata_changed(self, metadata: Mapping[str, object]) -> None:
        pass  # segments carry none

    def publisher_lost(self) -> None:
        self.segmenter.finish()
        self._listing.discontinuity = True
        self.publish()

    def end(self) -> None:
        self.segmenter.finish()
        if self.application().hls_end_list:
            self.window.end()
        self._over()

    def stop(self) -> None:
        self._failed_until = self._reactor.seconds() + FAILED_SECONDS
        if self.window.parts:  # what was begun will not come
            self.window.retire(self._reactor.seconds())
        self._over()

    def _over(self) -> None:
        self.stream = None
        self._listing.discontinuity = True
        self.ended_at = self._reactor.seconds()
        self._listing.cancel_timer()
        try:
            self.publish()
            self._forget_media()
        finally:
            self._answer_first(NotFound(f"{self.key} is not published"))
            self.waiters.release()

    def _nothing(self) -> NotFound:
        return NotFound(f"segments of {self.rendition.format_name} have nothing of this stream")

    def _forget_media(self) -> None:
        self.segmenter.rest()
        self._listing.forget()

    def publish(self) -> None:
        """Show what there is now, and answer who waits for it."""
        self._listing.dirty = False
        self.window.write()
        if self.urgent:
            for other in self.alignment.playlists:  # they report where this one is
                if other.urgent and other is not self:
                    other.window.stale = True
        if PLAYLIST_NAME in self.files:
            self._answer_first(None)
            self.waiters.changed()

    def _longest_group(self) -> float:
        stream = self.stream
        return 0.0 if stream is None else float(stream.longest_keyframe_interval)

    def _tell_left_out(self, tracks: Sequence[Track]) -> None:
        """Log, once for each codec, what segments of this format do not have (C-TS-07)."""
        for track in select_tracks(tracks, self.rendition.options):
            if track not in self.segmenter.tracks and track.kind is not MediaKind.DATA:
                name = track.codec.value
                if name not in self._left_out:
                    self._left_out.add(name)
                    _log.warn(
                        "{key}: its {codec} is left out of HLS in {format_name}",
                        key=self.key,
                        codec=name,
                        format_name=self.rendition.format_name,
                    )

    # Time

    def wall_time(self, ticks: int) -> float:
        """Return the wall clock, in seconds since 1970, of a time of the segmenter."""
        base = self._time_base
        if base is not None and base.wall_seconds is not None:
            return base.wall_seconds + ticks / CLOCK_RATE
        epoch = None if self.stream is None else self.stream.epoch
        return 0.0 if epoch is None else float(epoch.wall_time(ticks, CLOCK_RATE))

    def _set_clock(self) -> None:
        """Find where a stream's times are on the timeline of those that it is joined with."""
        if self._time_base is None:
            return
        self._clock_shift = self.stream.timeline.shift_ms
        self._offset_ms = self._time_base.offset_ms(self.stream, self._reactor.seconds())

    def _clock_changed(self) -> None:
        """The publisher's clock began anew, or another publisher took over."""
        before = self._offset_ms
        self._set_clock()
        if self._offset_ms != before:
            self.segmenter.finish()
            self._listing.discontinuity = True

    # Who waits for the first segment

    def _answer_first(self, error: Exception | None) -> None:
        waiters, self._first_waiters = self._first_waiters, []
        for waiter in waiters:
            if waiter.called:
                continue
            if error is None:
                waiter.callback(None)
            else:
                waiter.errback(error)

    def _forget_first(self, waiter: Deferred[None]) -> None:
        if waiter in self._first_waiters:
            self._first_waiters.remove(waiter)
