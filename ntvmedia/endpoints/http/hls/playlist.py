"""One media playlist of one stream: made while somebody asks for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ntvmedia.access import Application
from ntvmedia.endpoints.http.hls.alignment import CLOCK_RATE, Alignment, TimeBase
from ntvmedia.endpoints.http.hls.encryption import Encryption, encrypt
from ntvmedia.endpoints.http.hls.files import File
from ntvmedia.endpoints.http.hls.keys import Key
from ntvmedia.endpoints.http.hls.packaging import shifted
from ntvmedia.endpoints.http.hls.renditions import LOW_LATENCY, Rendition
from ntvmedia.endpoints.http.hls.segmenter import Cut, PartCut, Segmenter, Wishes
from ntvmedia.endpoints.http.hls.sessions import Counter
from ntvmedia.endpoints.http.hls.waiting import Waiter, Waiters
from ntvmedia.endpoints.http.hls.window import PLAYLIST_NAME, NewSegment, Window
from ntvmedia.formats import m3u8
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
        rendition: What it has of it.
        application: Asked for what the operator wants.
        window: Empty.
        alignment: Of all playlists of this stream, and of those it is joined with.
        time_base: Of streams that are joined; None for one that stands alone.
        answer: Answers a request that was held.
        encryption: Makes that of this playlist, where the operator wants it.
        numbered: Called with the discontinuity number of a new segment.

    Attributes:
        key: The stream.
        rendition: What it has of it.
        files: What can be fetched now, by name.
        seen: Monotonic seconds of the last request; to be kept by who answers.
        kept: Monotonic seconds when it was last wanted beside another that was asked for.
        counter: Counts what those without a session are sent; emptied into the stream's sum.
        open_folders: The addresses without a session that are answered from memory.
        ended_at: Monotonic seconds when the stream ended, or None while there is one.
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
        numbered: Callable[[int], None] = lambda _number: None,
    ) -> None:
        self.key = key
        self.rendition = rendition
        self.files: Mapping[bytes, File] = window.files
        self.seen = self.kept = reactor.seconds()
        self.counter = Counter()
        self.open_folders: set[bytes] = set()
        self.ended_at: float | None = None
        self.window = window
        self.alignment = alignment
        self.waiters = Waiters(window, answer)
        self.stream: Any = None
        self._reactor = reactor
        self._application = application
        self._time_base = time_base
        self._make_encryption = encryption
        self._encryption: Encryption | None = None
        self._numbered = numbered
        self.segmenter = Segmenter(
            rendition.format_name,
            rendition.options,
            alignment,
            self,
            Wishes(
                lambda: self._application().hls_segment_seconds,
                self._part_seconds,
                self._longest_group,
            ),
        )
        self.urgent = rendition.format_name == LOW_LATENCY
        self._dirty = False
        self._discontinuity = False
        self._number: int | None = None
        self._shift = 0.0
        self._offset_ms = 0
        self._clock_shift = 0
        self._until = 0
        self._map = ""
        self._opened = False
        self._key: Key | None = None
        self._iv = b""
        self._held: deque[Cut] = deque()
        self._holds = False
        self._left_out: set[str] = set()
        self._failed_until = 0.0
        self._warned = False
        self._packet_at = 0.0
        self._timer: IDelayedCall | None = None
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
        waiter: Deferred[None] = Deferred(self._forget_first)
        self._first_waiters.append(waiter)
        return waiter

    def look(self, now: float) -> None:
        """Stop when nobody asks any more, and let go of old segments. About every second."""
        self.window.purge(now)
        self.waiters.look(now, m3u8.HOLD_BACK_TARGETS * self.segmenter.target_duration)
        if self.stream is not None:
            self.stream.audience.bytes_out += self.counter.sent_bytes
            self.counter.sent_bytes = 0
            if not self.is_wanted(now) and not self._application().hls_always:
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
        self._packet_at = self._reactor.seconds()
        self._publish()

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
        self._packet_at = self._reactor.seconds()
        if self._dirty:
            self._publish()

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> None:
        if self.segmenter.choose(tracks):
            self._discontinuity = True
            self._held.clear()  # what is said of segments holds for the new tracks only
            self._map = ""
            self._tell_left_out(tracks)
            self._publish()

    def metadata_changed(self, metadata: Mapping[str, object]) -> None:
        pass  # segments carry none

    def publisher_lost(self) -> None:
        self.segmenter.finish()
        self._discontinuity = True
        self._publish()

    def end(self) -> None:
        self.segmenter.finish()
        if self._application().hls_end_list:
            self.window.end()
        self._over()

    def stop(self) -> None:
        self._failed_until = self._reactor.seconds() + FAILED_SECONDS
        if self.window.parts:  # what was begun will not come
            self.window.retire(self._reactor.seconds())
        self._over()

    def _over(self) -> None:
        self.stream = None
        self._discontinuity = True
        self.ended_at = self._reactor.seconds()
        self._cancel_timer()
        self._publish()
        self._forget_media()
        self._answer_first(NotFound(f"{self.key} is not published"))
        self.waiters.release()

    def _forget_media(self) -> None:
        self.segmenter.rest()
        self._map = ""
        self._opened = self._holds = False
        self._held.clear()
        encryption, self._encryption = self._encryption, None
        if encryption is not None:
            encryption.stop()

    # Segments

    def segment_finished(self, cut: Cut) -> None:
        """Take a segment; see `Segmenter`."""
        if not cut.at_keyframe and not self._warned:
            self._warned = True
            _log.warn(
                "{key}: HLS segments were cut without a keyframe: let the encoder send one every "
                "{seconds} seconds",
                key=self.key,
                seconds=self.segmenter.target_duration,
            )
        if self._holds or self._held or not self._open(cut):
            self._hold(cut)
            return
        if cut.last_part is not None and self.window.part_target:
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
        own_reason = self.window.begun and (self._discontinuity or not cut.follows)
        wall_seconds = self._wall_time(cut.start)
        if own_reason:
            # A clock that was set back must not name a time twice (RFC 8216bis section 6.2.1).
            self._shift = max(0.0, self._listed_until() - wall_seconds)
            if self.segmenter.part_target:
                self._fill_gap(wall_seconds + self._shift)
        discontinuity = self._new_number(own_reason=own_reason)
        self._discontinuity = False
        packager = self.segmenter.packager
        if not self._map:
            init = packager.init_segment()
            if init:
                self._map = self.window.add_init(init, packager.content_type)
        self._configure()
        self.window.open(
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
        self.window.add(body, duration, self._reactor.seconds(), gap=gap)
        self._dirty = True
        self._set_timer()

    def _add_part(self, part: PartCut) -> None:
        if not part.body:
            return
        self.window.add_part(
            self._encrypted(part.body),
            part.duration / CLOCK_RATE,
            independent=part.at_keyframe,
        )
        self._dirty = True

    def _configure(self) -> None:
        application, window = self._application(), self.window
        window.shared = not application.hls_sessions
        window.count = application.hls_segment_count
        window.target_duration = self.segmenter.target_duration
        window.can_block = application.hls_blocking
        window.part_target = self.segmenter.part_target / CLOCK_RATE

    def _new_number(self, *, own_reason: bool) -> bool:
        """Count a discontinuity, which all that are aligned have to have; tell whether it is one.

        Something that breaks in all of them at once is counted once: who comes first counts.
        """
        alignment, number = self.alignment, self._number
        if own_reason and number is not None:
            alignment.discontinuities = max(alignment.discontinuities, number + 1)
        if number is None or not self.window.listed:
            number = alignment.discontinuities
            self.window.discontinuities = number - own_reason
            discontinuity = own_reason
        else:
            discontinuity = number < alignment.discontinuities
            number += discontinuity
        self._number = number
        self._numbered(number)
        return discontinuity

    def _publish(self) -> None:
        """Show what there is now, and answer who waits for it."""
        self._dirty = False
        self.window.write()
        if PLAYLIST_NAME in self.files:
            self._answer_first(None)
            self.waiters.changed()

    def _part_seconds(self) -> float:
        return self._application().hls_part_seconds if self.urgent else 0.0

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

    # Keys

    def _take_key(self) -> bool:
        """Take the key of the segment that begins; False where there is none yet."""
        application = self._application()
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
        self.window.add_key(self._key.name, self._key.value)
        return m3u8.Key(self._key.name, self._iv)

    def _encrypted(self, body: bytes) -> bytes:
        if self._key is None:
            return body
        return encrypt(body, m3u8.Key(self._key.name, self._iv), self._key.value)

    def _hold(self, cut: Cut) -> None:
        """Keep a segment until its key is there, or it is too old."""
        self._holds = False
        self._held.append(cut)
        while len(self._held) > self._application().hls_segment_count:
            self._held.popleft()
            self._discontinuity = True
        self._list_held()

    def _key_arrived(self) -> None:
        self._list_held()
        self._publish()

    def _list_held(self) -> None:
        """List what was held back, without parts: these are out of date by now."""
        while self._held and self._open(self._held[0]):
            self._close(self._held.popleft())

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
        if self._held:
            # It waits for its key, and is given up.
            cut = self._held.popleft()
            self._add_gap(min(cut.duration / CLOCK_RATE, float(target)))
            return
        if begun_at is None or self._holds:
            self._add_gap(float(target))
            return
        missing = self._wall_time(begun_at) - self._listed_until()
        if missing > SHORTEST_GAP_SECONDS and not self._opened:
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
        self._publish()

    def _fill_gap(self, wall_seconds: float) -> None:
        """List that there is nothing until a time, since what comes then is listed at once."""
        while (missing := wall_seconds - self._listed_until()) > SHORTEST_GAP_SECONDS:
            if self.window.last is None or missing > self.window.length:
                return  # a player that knows of what is listed has nothing of it any more
            self._add_gap(min(missing, float(self.segmenter.target_duration)))

    def _add_gap(self, duration: float) -> None:
        """List that there is nothing for some seconds."""
        last = self.window.last
        if last is None:
            return
        self._configure()
        packager = self.segmenter.packager
        # It is as the one before it, whatever comes after it.
        key = last.key
        self.window.open(
            NewSegment(
                self._listed_until(),
                False,  # what comes after it is told to be another
                last.map_uri,
                key,
                packager.extension,
                packager.content_type,
            )
        )
        body = self.segmenter.still(self._until)
        if key is not None:
            value = self.files[key.uri.encode("ascii")].body
            body = encrypt(body, key, value)
        self._list(body, duration, gap=True)
        self._until += round(duration * CLOCK_RATE)
        self._discontinuity = True
        # The edge of the list moves on as time does.
        self._cancel_timer()
        self._timer = self._reactor.callLater(self.segmenter.target_duration, self._overdue)
        self._publish()

    def _listed_until(self) -> float:
        """Wall clock at the end of what is listed, in seconds since 1970."""
        last = self.window.last
        return 0.0 if last is None else last.wall_seconds + last.duration

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    # Time

    def _wall_time(self, ticks: int) -> float:
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
        self._offset_ms = self._time_base.offset_ms(self.stream)

    def _clock_changed(self) -> None:
        """The publisher's clock began anew, or another publisher took over."""
        before = self._offset_ms
        self._set_clock()
        if self._offset_ms != before:
            self.segmenter.finish()
            self._discontinuity = True

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
