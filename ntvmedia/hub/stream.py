"""One live stream: from its publisher's packets to its renditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ntvmedia.config import HubSettings
from ntvmedia.events import EventBus, PlayEnded, PlayStarted, PublishEnded, StreamIdle
from ntvmedia.hub.outlet import Outlet
from ntvmedia.hub.pacing import Pacing
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.rendition import AUDIO_GROUP_SECONDS, Rendition, RenditionKey, Serialiser
from ntvmedia.hub.timeline import Timeline, TrackState
from ntvmedia.hub.viewer import Viewer, ViewerInfo
from ntvmedia.media import Epoch, MediaKind, Packet, StreamKey, Track

_log = Logger()


class StreamState(Enum):
    """Where a stream is in its life.

    ::

        ANALYZING --tracks known--> LIVE --publisher lost--> WAITING
            |                        |  <--publisher back--     |
            +--------publisher left--+------> ENDED <--grace over
    """

    ANALYZING = "analyzing"
    LIVE = "live"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class StreamContext:
    """What all streams of a hub share.

    Attributes:
        wall_clock: Seconds since 1970.
        new_session: Returns a number not used before.
        new_serialiser: Makes the serialiser of a rendition; raises `NotFound` for no such format.
        ready: Called when a stream's tracks are known, with the stream.
        ended: Called when a stream is over, with the stream.
    """

    reactor: IReactorTime
    settings: HubSettings
    events: EventBus
    pacing: Pacing
    wall_clock: Callable[[], float]
    new_session: Callable[[], int]
    new_serialiser: Callable[[RenditionKey], Serialiser]
    ready: Callable[[Stream], None]
    ended: Callable[[Stream], None]


class Stream:
    """The packets of one publisher after another under one name. Made by `Hub.publish`.

    Attributes:
        key: Its name.
        state: Where it is in its life.
        publication: Its publisher's hold on it, or None while it waits for one.
        audio_only: Nothing but audio tracks is kept.
        metadata: What the publisher said last.
        timeline: Its repaired times, and the counters of each track.
        viewers: Who watches; a dict for its order.
        renditions: What is made of it now.
        started_at: Wall clock, seconds since 1970.
        epoch: Where its media time meets the wall clock; None before the first packet.
        bytes_in: Media bytes of all its publishers.
        bytes_out: Bytes sent to viewers that have left.
        viewer_drops: Blocks left out for slow viewers that have left.
        stalled_viewers: Those cut since they took nothing.
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
        self.viewers: dict[Viewer, None] = {}
        self.renditions: dict[RenditionKey, Rendition] = {}
        self.started_at = context.wall_clock()
        self.epoch: Epoch | None = None
        self.bytes_in = 0
        self.bytes_out = 0
        self.viewer_drops = 0
        self.stalled_viewers = 0
        self.bitrate = 0.0
        self.frame_rate = 0.0
        self._context = context
        self._states = self.timeline.states
        self._backlog: list[Packet] = []
        self._backlog_bytes = 0
        self._backlog_start = 0
        self._most_bytes = context.settings.gop_cache_bytes
        self._most_frames = context.settings.gop_cache_frames
        self._seconds = context.reactor.seconds
        self._keeping = True
        self._video: TrackState | None = None
        self._running: tuple[Rendition, ...] = ()
        self._active_at = context.reactor.seconds()
        self._published_at = self._active_at
        self._sampled: tuple[float, int, int] = (self._active_at, 0, 0)
        self._analysis: IDelayedCall | None = None
        self._deadline: IDelayedCall | None = None
        self._idle_since: float | None = self._active_at

    @property
    def tracks(self) -> list[Track]:
        """The tracks from which something came."""
        return [state.track for state in self._states.values() if state.packets]

    @property
    def silence(self) -> float:
        """Seconds since the last packet, or since the publisher was accepted."""
        return self._context.reactor.seconds() - self._active_at

    @property
    def backlog(self) -> list[Packet]:
        """The packets since the last keyframe. Read only."""
        return self._backlog

    # The publisher's side

    def publish(self, publication: Publication) -> None:
        """Let a publisher begin, or go on after the one that was lost."""
        self._cancel_deadline()
        self.publication = publication
        self._active_at = self._published_at = self._context.reactor.seconds()
        self.metadata = {}
        if self._states:
            self.timeline.publisher_changed()
        if self.state is StreamState.WAITING:
            self.state = StreamState.LIVE

    def track_received(self, track: Track) -> None:
        """Take a track, or a new configuration of one."""
        if self.audio_only and track.kind is MediaKind.VIDEO:
            return
        state = self._states.get(track.id)
        if state is not None and state.track == track:
            return
        self.timeline.track_received(track)
        if track.kind is MediaKind.VIDEO and (
            self._video is None or track.number <= self._video.track.number
        ):
            self._video = self._states[track.id]
        if state is not None and state.packets:
            # What is kept was made with the old configuration.
            self._backlog = []
            self._backlog_bytes = 0
            self._tell_renditions(track)
        if self._analysis is None and self.state is StreamState.ANALYZING:
            self._analysis = self._context.reactor.callLater(
                self._context.settings.analyze, self._analyzed
            )

    def packet_received(self, packet: Packet) -> None:
        """Take one packet: repair its time, keep it, pass it on."""
        track = packet[0]
        state = self._states.get(track.id)
        if state is None:
            return  # video that an audio-only application does not keep
        # The short way of Timeline.repair, here since a call costs as much as all of it.
        dts = packet[1] + state.shift
        if 0 < dts - state.last <= state.longest_step:
            state.last = dts
            if state.shift:
                packet = Packet(track, dts, packet[2] + state.shift, packet[3], packet[4])
        else:
            self.timeline.active_at = self._active_at
            packet = self.timeline.repair(packet, self._context.reactor.seconds())
            dts = packet[1]
            if self.epoch is None:
                self._begin_epoch(packet)
        size = len(packet[4])
        state.bytes += size
        state.packets += 1
        self.bytes_in += size
        video = self._video
        if state is video:
            if packet[3]:
                if state.keyframe_at is not None:
                    state.keyframe_interval = dts - state.keyframe_at
                state.keyframe_at = dts
                self._begin_backlog(dts)
        elif video is None and dts - self._backlog_start > AUDIO_GROUP_SECONDS * track.clock_rate:
            self._begin_backlog(dts)
        if state.packets == 1:
            self._first_packet(state)
        if self._keeping:
            self._backlog.append(packet)
            self._backlog_bytes += size
        for rendition in self._running:
            try:
                rendition.packet(packet)
            except Exception:
                self._rendition_failed(rendition)

    def batch_ended(self) -> None:
        """All that came in one read has been passed on: send it, where nothing is merged."""
        self._active_at = self._seconds()
        if self._backlog_bytes > self._most_bytes or len(self._backlog) > self._most_frames:
            # Who joins now waits for the next keyframe.
            self._keeping = False
            self._backlog = []
        for rendition in self._running:
            try:
                rendition.batch_ended()
            except Exception:
                self._rendition_failed(rendition)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        """Take what the publisher says of itself."""
        self.metadata = dict(fields)

    def publication_closed(self, publication: Publication, reason: str, *, lost: bool) -> None:
        """Wait for the publisher to come back, or end."""
        if publication is not self.publication:
            return
        self.publication = None
        self._context.events.emit(
            PublishEnded(self.key, publication.session, reason, publication.bytes_in)
        )
        grace = self._context.settings.publisher_grace
        if lost and grace > 0 and self.state is StreamState.LIVE:
            self.state = StreamState.WAITING
            for rendition in self._running:
                rendition.flush()
            self._deadline = self._context.reactor.callLater(
                grace, self.end, "the publisher did not come back"
            )
        else:
            self.end(reason)

    def end(self, reason: str) -> None:
        """End the stream for all. Idempotent."""
        if self.state is StreamState.ENDED:
            return
        self._cancel_deadline()
        self.state = StreamState.ENDED
        if self._analysis is not None and self._analysis.active():
            self._analysis.cancel()
        if self.publication is not None:
            self.publication.dismiss(reason, lost=False)
        self._context.ended(self)
        for rendition in self._running:
            rendition.end()
            rendition.stop()
        for viewer in tuple(self.viewers):
            viewer.end(reason)
        self._backlog = []

    # The viewers' side

    def play(
        self,
        key: RenditionKey,
        outlet: Outlet,
        info: ViewerInfo,
        on_end: Callable[[str], None],
        *,
        from_now: bool = False,
    ) -> Viewer:
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
        if self.state in (StreamState.ENDED, StreamState.ANALYZING):
            raise NotFound(f"{self.key} is not there")
        context = self._context
        rendition = self.renditions.get(key)
        if rendition is None:
            rendition = Rendition(
                context.reactor,
                context.pacing,
                key,
                context.new_serialiser(key),
                cache_bytes=context.settings.gop_cache_bytes,
                cache_blocks=context.settings.gop_cache_frames,
            )
            rendition.start(self.tracks, self.metadata, self._backlog)
            self.renditions[key] = rendition
            self._running = tuple(self.renditions.values())
        rendition.users += 1
        viewer = Viewer(
            self,
            rendition,
            outlet,
            info,
            on_end,
            session=context.new_session(),
            started_at=context.wall_clock(),
        )
        self.viewers[viewer] = None
        self._idle_since = None
        context.pacing.viewers_changed(1)
        context.events.emit(PlayStarted(self.key, info.protocol, info.peer, viewer.session))
        rendition.add(outlet, from_now=from_now)
        return viewer

    def viewer_left(self, viewer: Viewer, rendition: Rendition, reason: str) -> None:
        """Count one viewer less. Called by `Viewer` only, once for each."""
        del self.viewers[viewer]
        context = self._context
        context.pacing.viewers_changed(-1)
        outlet = viewer.outlet
        self.bytes_out += viewer.bytes_out
        self.viewer_drops += outlet.dropped_blocks
        if outlet.stalled:
            self.stalled_viewers += 1
            reason = "the viewer took nothing for too long"
        rendition.users -= 1
        if not rendition.users and self.renditions.get(rendition.key) is rendition:
            self._forget(rendition)
        if not self.viewers:
            self._idle_since = context.reactor.seconds()
        context.events.emit(PlayEnded(self.key, viewer.session, reason, viewer.bytes_out))

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
        if self._idle_since is not None and now - self._idle_since >= settings.idle_delay:
            self._idle_since = None
            self._context.events.emit(StreamIdle(self.key))
        self._sample(now)

    def _sample(self, now: float) -> None:
        at, size, frames = self._sampled
        passed = now - at
        if passed <= 0:
            return
        count = self._video.packets if self._video is not None else 0
        self.bitrate = (self.bytes_in - size) * 8 / passed
        self.frame_rate = (count - frames) / passed
        self._sampled = (now, self.bytes_in, count)
        for viewer in self.viewers:
            viewer.sample(now)

    def _begin_backlog(self, dts: int) -> None:
        self._backlog = []
        self._backlog_bytes = 0
        self._backlog_start = dts
        self._keeping = True

    def _begin_epoch(self, packet: Packet) -> None:
        at = self._context.wall_clock() - packet.dts / packet.track.clock_rate
        # The same publication has the same id wherever it is computed from its first moment.
        self.epoch = Epoch(f"{self.key}@{int(at * 1000)}", at)

    def _first_packet(self, state: TrackState) -> None:
        """A track has proved to exist."""
        if self.state is StreamState.ANALYZING:
            kinds = {x.kind for x in self.tracks}
            if {MediaKind.VIDEO, MediaKind.AUDIO} <= kinds or (
                self.audio_only and MediaKind.AUDIO in kinds
            ):
                self._analyzed()
        else:
            self._tell_renditions(state.track)

    def _analyzed(self) -> None:
        if self._analysis is not None and self._analysis.active():
            self._analysis.cancel()
        if not self.tracks:
            self._analysis = None  # sequence headers only: go on with the next track or packet
            return
        if self.state is StreamState.ANALYZING:
            self.state = StreamState.LIVE
            self._context.ready(self)

    def _tell_renditions(self, track: Track) -> None:
        tracks = self.tracks
        for rendition in self._running:
            try:
                rendition.tracks_changed(tracks, track, self.metadata)
            except Exception:
                self._rendition_failed(rendition)

    def _rendition_failed(self, rendition: Rendition) -> None:
        """A bug in one output ends that output only. Called where the exception is handled."""
        _log.failure("output {output} of {key} failed", output=rendition.key.format, key=self.key)
        self._forget(rendition)
        for viewer in [x for x in self.viewers if x.plays(rendition)]:
            viewer.end("the output failed")

    def _forget(self, rendition: Rendition) -> None:
        rendition.stop()
        del self.renditions[rendition.key]
        self._running = tuple(self.renditions.values())

    def _cancel_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()
