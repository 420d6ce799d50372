"""One live stream: from its publisher's packets to its renditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ntvmedia.config import HubSettings
from ntvmedia.events import EventBus, PlayEnded, PlayStarted, PublishEnded, StreamIdle
from ntvmedia.hub.outlet import Outlet
from ntvmedia.hub.pacing import Pacing
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.rendition import (
    AUDIO_GROUP_SECONDS,
    LONGEST_WAIT_FOR_KEYFRAME_SECONDS,
    Rendition,
    RenditionKey,
    Serialiser,
)
from ntvmedia.hub.timeline import Timeline, TrackState
from ntvmedia.hub.viewer import Viewer, ViewerInfo
from ntvmedia.media import Epoch, MediaKind, Packet, StreamKey, Track

# A viewer who joins finds the stream as it was this long ago, and then waits for nothing.
UNWATCHED_PATIENCE: Final = 0.1

# A part of the interval between blocks, so that these still go out in time.
GATHERING_PATIENCE: Final = 0.05
LEAST_GATHERING: Final = 0.2

# How often each viewer is asked of the kernel; a stalled one may go on for so much longer.
LOOK_SECONDS: Final = 2.0

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
        ended: Called when a stream is over, with the stream, before its viewers are told.
        finished: The same, after the last of them has left.
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
    finished: Callable[[Stream], None]


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
        self._backlog_start = 0.0  # in seconds: tracks have different clocks
        self._most_bytes = context.settings.gop_cache_bytes
        self._most_frames = context.settings.gop_cache_frames
        self._seconds = context.reactor.seconds
        self._keeping = True
        self._video: TrackState | None = None
        self._running: tuple[Rendition, ...] = ()
        self._active_at = context.reactor.seconds()
        self._active_bytes = 0
        self._published_at = self._active_at
        self._before: dict[int, int] = {}
        self._sampled: tuple[float, int, int] = (self._active_at, 0, 0)
        self._looked_at = self._active_at
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

    @property
    def patience(self) -> float:
        """Seconds for which the publisher's media may be left with the kernel.

        Nobody waits for each frame while there is no viewer, or so many that blocks are gathered.
        """
        if not self._running:
            return UNWATCHED_PATIENCE if self.state is StreamState.LIVE else 0.0
        pacing = self._context.pacing
        return GATHERING_PATIENCE if pacing.interval >= LEAST_GATHERING else 0.0

    # The publisher's side

    def publish(self, publication: Publication) -> None:
        """Let a publisher begin, or go on after the one that was lost."""
        self._cancel_deadline()
        self.publication = publication
        self._active_at = self._published_at = self._seconds()
        self.metadata = {}
        if self._states:
            self.timeline.publisher_changed()
            self._before = {x: state.packets for x, state in self._states.items() if state.packets}
            for state in self._states.values():
                self._wait_for_keyframe(state)
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
                self._wait_for_keyframe(state)
            return
        if (before.codec, before.config) != (track.codec, track.config):
            self._wait_for_keyframe(state)
        # What is kept was made with the old configuration.
        self._backlog = []
        self._backlog_bytes = 0
        self._tell_renditions()

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
            now = self._seconds()
            if state.waits_since is not None and not self._goes_on(state, packet, now):
                self.bytes_in += len(packet[4])
                return
            packet = self.timeline.repair(packet, now)
            dts = packet[1]
            if self._before and self._analysis is None:
                self._analyze()
            if self.epoch is None:
                self._begin_epoch(packet)
        size = len(packet[4])
        state.bytes += size
        state.packets += 1
        self.bytes_in += size
        if state.packets == 1:
            self._first_packet(state)
        video = self._video
        if state is video:
            if packet[3]:
                if state.keyframe_at is not None:
                    state.keyframe_interval = dts - state.keyframe_at
                state.keyframe_at = dts
                self._begin_backlog(dts / track.clock_rate)
        elif video is None and dts / track.clock_rate - self._backlog_start > AUDIO_GROUP_SECONDS:
            self._begin_backlog(dts / track.clock_rate)
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
        if self.bytes_in != self._active_bytes:  # not only a ping
            self._active_bytes = self.bytes_in
            self._active_at = self.timeline.active_at = self._seconds()
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
        for rendition in self._running:
            try:
                rendition.metadata_changed(self.metadata)
            except Exception:
                self._rendition_failed(rendition)

    def publication_closed(self, publication: Publication, reason: str, *, lost: bool) -> None:
        """Wait for the publisher to come back, or end."""
        if publication is not self.publication:
            return
        self.publication = None
        self._context.events.emit(
            PublishEnded(self.key, publication.session, reason, publication.bytes_in)
        )
        if lost and self.state is StreamState.LIVE:
            self.state = StreamState.WAITING
            self._cancel_analysis()
            for rendition in self._running:
                try:
                    rendition.flush()
                except Exception:
                    self._rendition_failed(rendition)
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
        self._cancel_analysis()
        if self.publication is not None:
            self.publication.dismiss(reason, lost=False)
        self._context.ended(self)
        for rendition in self._running:
            try:
                rendition.end()
            except Exception:
                _log.failure("the end of {key} failed", key=self.key)
            rendition.stop()
        for viewer in tuple(self.viewers):
            viewer.end(reason)
        self._backlog = []
        self._context.finished(self)

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
                failed=self._rendition_failed,
            )
            try:
                rendition.start(self.tracks, self.metadata, self._backlog)
            except Exception:
                rendition.stop()
                raise
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
        try:
            if viewer.plays(rendition):  # who was told may have sent it away
                rendition.add(outlet, from_now=from_now)
        except Exception:
            viewer.leave("the output failed")
            raise
        return viewer

    def viewer_left(self, viewer: Viewer, rendition: Rendition, reason: str) -> None:
        """Count one viewer less. Called by `Viewer` only, once for each."""
        del self.viewers[viewer]
        context = self._context
        context.pacing.viewers_changed(-1)
        outlet = viewer.outlet
        self.bytes_out += viewer.bytes_out
        self.viewer_drops += viewer.dropped_blocks
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
        self.frame_rate = max(0, count - frames) / passed
        self._sampled = (now, self.bytes_in, count)
        looks = now - self._looked_at >= LOOK_SECONDS
        if looks:
            self._looked_at = now
        for viewer in tuple(self.viewers):
            viewer.sample(now)
            if looks:
                viewer.outlet.look()

    def _begin_backlog(self, seconds: float) -> None:
        self._backlog = []
        self._backlog_bytes = 0
        self._backlog_start = seconds
        self._keeping = True

    def _begin_epoch(self, packet: Packet) -> None:
        at = self._context.wall_clock() - packet.dts / packet.track.clock_rate
        # The same publication has the same id wherever it is computed from its first moment.
        self.epoch = Epoch(f"{self.key}@{int(at * 1000)}", at)

    def _wait_for_keyframe(self, state: TrackState) -> None:
        """Leave out what comes of a video track until a keyframe: it could not be decoded."""
        if state.track.kind is MediaKind.VIDEO:
            state.waits_since = self._seconds()
            state.longest_step = 0  # so that `packet_received` looks

    def _goes_on(self, state: TrackState, packet: Packet, now: float) -> bool:
        """Whether a track that waits for its keyframe has it, or has waited long enough."""
        waited = now - (state.waits_since or 0.0)
        if not packet.is_keyframe and waited < LONGEST_WAIT_FOR_KEYFRAME_SECONDS:
            return False
        state.waits_since = None
        return True

    def _first_packet(self, state: TrackState) -> None:
        """A track has proved to exist."""
        track = state.track
        if track.kind is MediaKind.VIDEO and (
            self._video is None or track.number < self._video.track.number
        ):
            self._video = state
        if self.state is not StreamState.ANALYZING:
            self._tell_renditions()
            return
        found = [x.kind for x in self.tracks if x.kind is not MediaKind.DATA]
        # Of several tracks of a kind all that are announced are waited for: a viewer that asked
        # for the second would begin with the first.
        expected = sum(x.track.kind is not MediaKind.DATA for x in self._states.values())
        is_complete = MediaKind.AUDIO in found and (self.audio_only or MediaKind.VIDEO in found)
        if is_complete and len(found) == expected:
            self._analyzed()
        elif self._analysis is None or len(found) == 1:
            # The window for the other begins with the first sound or picture.
            self._analyze()

    def _analyze(self) -> None:
        self._cancel_analysis()
        self._analysis = self._context.reactor.callLater(
            self._context.settings.analyze, self._analyzed
        )

    def _analyzed(self) -> None:
        """The tracks are those from which something came by now."""
        self._cancel_analysis()
        if self.state is StreamState.ANALYZING:
            self.state = StreamState.LIVE
            self._context.ready(self)
            return
        before, self._before = self._before, {}
        gone = [x for x in map(self._states.get, before) if x and x.packets == before[x.track.id]]
        for state in gone:
            # The publisher before this one sent it. Should it come after all, it is a new one.
            state.packets = state.bytes = 0
            state.keyframe_at = None
            self._wait_for_keyframe(state)
        if gone:
            videos = [x for x in self._states.values() if x.packets and x.track.kind == "video"]
            self._video = min(videos, key=lambda x: x.track.number, default=None)
            self._backlog = []
            self._backlog_bytes = 0
            self._tell_renditions()

    def _cancel_analysis(self) -> None:
        analysis, self._analysis = self._analysis, None
        if analysis is not None and analysis.active():
            analysis.cancel()

    def _tell_renditions(self) -> None:
        tracks = self.tracks
        timestamp = int(self.timeline.position * 1000)
        for rendition in self._running:
            try:
                rendition.tracks_changed(tracks, self.metadata, timestamp)
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
        if self.renditions.get(rendition.key) is rendition:
            del self.renditions[rendition.key]
        self._running = tuple(self.renditions.values())

    def _cancel_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()
