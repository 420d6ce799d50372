"""One live stream: from its publisher's packets to its audience."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ntvmedia.events import PublishEnded
from ntvmedia.hub.analysis import Analysis
from ntvmedia.hub.audience import Audience
from ntvmedia.hub.backlog import Backlog
from ntvmedia.hub.blocks import BlockOutlet
from ntvmedia.hub.context import StreamContext, StreamState
from ntvmedia.hub.limits import PublisherLimit
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.rendition import AUDIO_GROUP_SECONDS, Rendition, RenditionKey
from ntvmedia.hub.sinks import PacketSink
from ntvmedia.hub.timeline import Timeline, TrackState
from ntvmedia.hub.viewer import OutletViewer, RequestViewer, ViewerInfo
from ntvmedia.media import Epoch, MediaKind, Packet, StreamKey, Track

# A viewer who joins finds the stream as it was this long ago, and then waits for nothing.
UNWATCHED_PATIENCE: Final = 0.1

# A part of the interval between blocks, so that these still go out in time.
GATHERING_PATIENCE: Final = 0.05
LEAST_GATHERING: Final = 0.2

_log = Logger()


class Stream:
    """The packets of one publisher after another under one name. Made by `Hub.publish`.

    Attributes:
        key: Its name.
        state: Where it is in its life.
        publication: Its publisher's hold on it, or None while it waits for one.
        audio_only: Nothing but audio tracks is kept.
        metadata: What the publisher said last.
        timeline: Its repaired times, and the counters of each track.
        audience: Its viewers, and what is made of it for them.
        viewers: Of `audience`.
        renditions: Likewise.
        started_at: Wall clock, seconds since 1970.
        epoch: Where its media time meets the wall clock; None before the first packet.
        hops: Ids of the servers that it has passed, as its publisher says, the nearest last.
        bytes_in: Media bytes of all its publishers.
        bitrate: Bits a second that come in, over the last second or so.
        frame_rate: Frames a second of the default video track, likewise.
    """

    def __init__(self, context: StreamContext, key: StreamKey, *, audio_only: bool) -> None:
        self.key = key
        self.state = StreamState.ANALYZING
        self.audio_only = audio_only
        self.publication: Publication | None = None
        self.metadata: Mapping[str, object] = {}
        self.timeline = Timeline()
        self.audience = Audience(context, key)
        self.viewers = self.audience.viewers
        self.renditions = self.audience.renditions
        self.started_at = context.wall_clock()
        self.epoch: Epoch | None = None
        self.hops: tuple[str, ...] = ()
        self.bytes_in = 0
        self.bitrate = 0.0
        self.frame_rate = 0.0
        self._context = context
        self._states = self.timeline.states
        settings = context.settings
        self._backlog = Backlog(settings.gop_cache_bytes, settings.gop_cache_frames)
        self._analysis = Analysis(
            context.reactor, settings.analyze, self._states, self._analyzed, audio_only=audio_only
        )
        self._seconds = context.reactor.seconds
        self._video: TrackState | None = None
        self._active_at = self._seconds()
        self._active_bytes = 0
        self._left_out_bytes = 0  # of tracks that wait for their keyframe
        self._kept_bytes = 0
        self._published_at = self._active_at
        self._limit = PublisherLimit(
            settings.max_publisher_bitrate_kbps, settings.max_publisher_packets, self._active_at
        )
        # What came and is counted by no track: of none that is kept, or before a keyframe.
        self._other_bytes = 0
        self._other_packets = 0
        self._sampled: tuple[float, int, int] = (self._active_at, 0, 0)
        self._deadline: IDelayedCall | None = None

    @property
    def tracks(self) -> list[Track]:
        """The tracks from which something came."""
        return [state.track for state in self._states.values() if state.packets]

    @property
    def silence(self) -> float:
        """Seconds since the last packet, or since the publisher was accepted."""
        return self._seconds() - self._active_at

    @property
    def bytes_out(self) -> int:
        """Bytes sent to viewers that have left."""
        return self.audience.bytes_out

    @property
    def backlog(self) -> list[Packet]:
        """The packets since the last keyframe. Read only."""
        return self._backlog.packets

    @property
    def patience(self) -> float:
        """Seconds for which the publisher's media may be left with the kernel.

        Nobody waits for each frame while there is no viewer, or so many that blocks are gathered.
        """
        if True in self.audience.sinks.values():
            return 0.0
        if not self.renditions:
            return UNWATCHED_PATIENCE if self.state is StreamState.LIVE else 0.0
        pacing = self._context.pacing
        return GATHERING_PATIENCE if pacing.interval >= LEAST_GATHERING else 0.0

    # The publisher's side

    def publish(self, publication: Publication) -> None:
        """Let a publisher begin, or go on after the one that was lost."""
        self._cancel_deadline()
        self.publication = publication
        hops = getattr(publication.publisher, "hops", ())
        if hops != self.hops:
            self.hops = hops
            self.audience.comes_elsewhere()
        self._active_at = self._published_at = self._seconds()
        self._limit.begin(self._active_at, *self._received())
        self.metadata = {}
        if self._states:
            self.timeline.publisher_changed(self._backlog.shown_until)
            self._analysis.publisher_changed()
            for state in self._states.values():
                state.wait_for_keyframe(self._active_at)
        else:
            self.timeline.active_at = self._active_at
        if self.state is StreamState.WAITING:
            self.state = StreamState.LIVE

    def track_received(self, track: Track) -> None:
        """Take a track, or a new configuration of one."""
        if self.audio_only and track.kind is MediaKind.VIDEO:
            return
        state = self._states.get(track.id)
        if state is not None and state.track == track:
            return
        before = state.track if state is not None and state.packets else None
        self.timeline.track_received(track)
        state = self._states[track.id]
        if before is None:
            if self.state is not StreamState.ANALYZING:
                state.wait_for_keyframe(self._seconds())
            return
        if (before.codec, before.config) != (track.codec, track.config):
            state.wait_for_keyframe(self._seconds())
        # What is kept was made with the old configuration.
        self._backlog.clear()
        self._tracks_changed()

    def packet_received(self, packet: Packet) -> None:
        """Take one packet: repair its time, keep it, pass it on."""
        track = packet[0]
        state = self._states.get(track.id)
        if state is None:
            # Video that an audio-only application does not keep.
            self._other_bytes += len(packet[4])
            self._other_packets += 1
            return
        # The short way of Timeline.repair, here since a call costs as much as all of it.
        dts = packet[1] + state.shift
        if 0 < dts - state.last <= state.longest_step:
            state.last = dts
            if state.shift:
                packet = Packet(track, dts, packet[2] + state.shift, packet[3], packet[4])
        else:
            now = self._seconds()
            if state.waits_since is not None and not state.goes_on(packet, now):
                self.bytes_in += len(packet[4])
                self._left_out_bytes += len(packet[4])
                self._other_packets += 1
                return
            packet = self.timeline.repair(packet, now)
            dts = packet[1]
            self._analysis.publisher_sends()
            if self.epoch is None:
                self._begin_epoch(packet)
        size = len(packet[4])
        state.bytes += size
        state.packets += 1
        self.bytes_in += size
        if state.packets == 1:
            self._first_packet(state)
        backlog = self._backlog
        video = self._video
        if state is video:
            if packet[3]:
                if state.keyframe_at is not None:
                    state.keyframe_interval = interval = dts - state.keyframe_at
                    if interval > state.longest_interval:
                        state.longest_interval = interval
                state.keyframe_at = dts
                backlog.begin(dts / track.clock_rate)
        elif video is None and dts / track.clock_rate - backlog.start > AUDIO_GROUP_SECONDS:
            backlog.begin(dts / track.clock_rate)
        if backlog.keeping:
            backlog.packets.append(packet)
            backlog.bytes += size
        for rendition in self.audience.running:
            try:
                rendition.packet(packet)
            except Exception:
                self.audience.failed(rendition)

    def batch_ended(self) -> None:
        """All that came in one read has been passed on: send it, where nothing is merged."""
        if self.bytes_in != self._active_bytes:  # not only a ping
            self._active_bytes = self.bytes_in
            self._active_at = now = self._seconds()
            kept = self.bytes_in - self._left_out_bytes
            if kept != self._kept_bytes:  # else the timeline has not moved
                self._kept_bytes = kept
                self.timeline.active_at = now
        backlog = self._backlog
        if backlog.bytes > backlog.most_bytes or len(backlog.packets) > backlog.most_frames:
            backlog.give_up()
        for rendition in self.audience.running:
            try:
                rendition.batch_ended()
            except Exception:
                self.audience.failed(rendition)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        """Take what the publisher says of itself."""
        self.metadata = dict(fields)
        self.audience.metadata_changed(self.metadata)

    def publication_closed(self, publication: Publication, reason: str, *, lost: bool) -> None:
        """Wait for the publisher to come back, or end."""
        if publication is not self.publication:
            return
        self.publication = None
        _log.info(
            "{peer}: no longer publishes {key}: {reason}; {size} bytes",
            peer=publication.publisher.peer,
            key=self.key,
            reason=reason,
            size=publication.bytes_in,
        )
        self._context.events.emit(
            PublishEnded(self.key, publication.session, reason, publication.bytes_in)
        )
        if lost and self.state is StreamState.LIVE:
            self.state = StreamState.WAITING
            self._analysis.cancel()
            self.audience.publisher_lost()
            # Even a grace of nothing leaves the time to take over.
            self._deadline = self._context.reactor.callLater(
                self._context.settings.publisher_grace, self.end, "the publisher did not come back"
            )
        else:
            self.end(reason)

    def end(self, reason: str) -> None:
        """End the stream for all. Idempotent."""
        if self.state is StreamState.ENDED:
            return
        self._cancel_deadline()
        self.state = StreamState.ENDED
        self._analysis.cancel()
        if self.publication is not None:
            self.publication.dismiss(reason, lost=False)
        self._context.ended(self)
        self.audience.end(reason)
        self._backlog.clear()
        self._context.finished(self)

    # The viewers' side

    def play(
        self,
        key: RenditionKey,
        outlet: BlockOutlet,
        info: ViewerInfo,
        on_end: Callable[[str], None],
        *,
        from_now: bool = False,
    ) -> OutletViewer:
        """Send one rendition of the stream to one connection.

        Args:
            key: What to send.
            outlet: Where to. It gets header, blocks since the keyframe and all that follows.
            info: Who it is.
            on_end: Called once with a reason when the stream ends or the viewer is sent away;
                the outlet is the caller's again. Not called after `Viewer.leave`.
            from_now: Begin with the next keyframe, for one who saw what came before.

        Raises:
            NotFound: The stream is over, or there is no such format.
        """
        rendition = self._rendition(key)
        return self.audience.join(rendition, outlet, info, on_end, from_now=from_now)

    def joins_at(self, key: RenditionKey) -> int | None:
        """Tell where one begins who plays at once after this.

        Args:
            key: What he plays.

        Returns:
            Decode time of the packet that he gets first, in milliseconds; None where that is one
            that has not come.

        Raises:
            NotFound: The stream is over, or there is no such format.
        """
        return self._rendition(key).joins_at

    def _rendition(self, key: RenditionKey) -> Rendition:
        self._check_ready()
        rendition = self.renditions.get(key)
        if rendition is None:
            rendition = self.audience.make(key, self.tracks, self.metadata, self._backlog.packets)
        return rendition

    def visit(self, info: ViewerInfo, on_end: Callable[[str], None]) -> RequestViewer:
        """Count one who fetches the stream piece by piece, over any connections.

        Args:
            info: Who it is.
            on_end: As of `play`.

        Raises:
            NotFound: The stream is over.
        """
        self._check_ready()
        return self.audience.visit(info, on_end)

    def attach(self, sink: PacketSink, *, urgent: bool = False) -> None:
        """Give all that comes to something that is no viewer, beginning with the backlog.

        Args:
            sink: Takes it.
            urgent: Each packet is wanted at once: none waits with the kernel for others.

        Raises:
            NotFound: The stream is over, or not ready.
        """
        self._check_ready()
        self.audience.attach(sink, self.tracks, self.metadata, self._backlog.packets, urgent=urgent)

    def detach(self, sink: PacketSink) -> None:
        """Give it nothing more. Idempotent."""
        self.audience.detach(sink)

    @property
    def longest_keyframe_interval(self) -> float:
        """Seconds between two keyframes of the default video track, the most so far."""
        video = self._video
        return video.longest_interval / video.track.clock_rate if video is not None else 0.0

    @property
    def is_ready(self) -> bool:
        """Whether it can be played: its tracks are known, and it is not over."""
        return self.state in (StreamState.LIVE, StreamState.WAITING)

    def _check_ready(self) -> None:
        if not self.is_ready:
            raise NotFound(f"{self.key} is not there")

    # Once a second

    def tick(self, now: float) -> None:
        """Look after timeouts and measure rates. Called by the hub about once a second."""
        settings = self._context.settings
        publication = self.publication
        if publication is not None:
            if not self.tracks:
                if now - self._published_at > settings.first_packet_timeout:
                    publication.dismiss("sent no media", lost=False)
                    return
            elif now - self._active_at > settings.publisher_silence:
                publication.dismiss("sent no media for too long")
            excess = self._limit.judge(now, *self._received()) if publication.active else ""
            if excess:
                publication.dismiss(excess, lost=False)
                return
        self.audience.tick(now)
        self._sample(now)

    def _sample(self, now: float) -> None:
        at, size, frames = self._sampled
        passed = now - at
        if passed <= 0:
            return
        count = self._video.packets if self._video is not None else 0
        self.bitrate = (self.bytes_in - size) * 8 / passed
        self.frame_rate = max(0, count - frames) / passed
        self._sampled = (now, self.bytes_in, count)

    def _received(self) -> tuple[int, int]:
        """Return the bytes and packets of all that ever came."""
        packets = sum(state.packets for state in self._states.values())
        return self.bytes_in + self._other_bytes, packets + self._other_packets

    def _begin_epoch(self, packet: Packet) -> None:
        at = self._context.wall_clock() - packet.dts / packet.track.clock_rate
        # The same publication has the same id wherever it is computed from its first moment.
        self.epoch = Epoch(f"{self.key}@{int(at * 1000)}", at)

    def _first_packet(self, state: TrackState) -> None:
        """A track has proved to exist."""
        track = state.track
        if track.kind is MediaKind.VIDEO and (
            self._video is None or track.number < self._video.track.number
        ):
            self._video = state
        if self.state is not StreamState.ANALYZING:
            self._tracks_changed()
        else:
            self._analysis.track_began()

    def _analyzed(self) -> None:
        """The tracks are those from which something came by now."""
        if self.state is StreamState.ANALYZING:
            self.state = StreamState.LIVE
            self._context.ready(self)
            return
        gone = self._analysis.gone()
        for state in gone:
            # The publisher before this one sent it. Should it come after all, it is a new one.
            self._other_packets += state.packets
            state.packets = state.bytes = 0
            state.keyframe_at = None
            state.wait_for_keyframe(self._seconds())
        if gone:
            videos = [x for x in self._states.values() if x.packets and x.track.kind == "video"]
            self._video = min(videos, key=lambda x: x.track.number, default=None)
            self._backlog.clear()
            self._tracks_changed()

    def _tracks_changed(self) -> None:
        self.audience.tracks_changed(self.tracks, self.metadata, int(self.timeline.position * 1000))

    def _cancel_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()
