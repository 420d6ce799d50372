"""Who watches a stream, and what is made of it for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.logger import Logger

from ntvmedia.events import PlayEnded, PlayStarted, StreamIdle
from ntvmedia.hub.blocks import BlockOutlet
from ntvmedia.hub.context import StreamContext
from ntvmedia.hub.rendition import Rendition, RenditionKey
from ntvmedia.hub.sinks import PacketSink
from ntvmedia.hub.viewer import OutletViewer, RequestViewer, Viewer, ViewerInfo
from ntvmedia.media import Packet, StreamKey, Track

# How often each viewer is asked of the kernel; a stalled one may go on for so much longer.
LOOK_SECONDS: Final = 2.0

_log = Logger()


class Audience:
    """The viewers of one stream, and its renditions: each exists while somebody has it.

    A bug in one output ends that output only.

    Args:
        key: The stream's name.

    Attributes:
        viewers: Who watches; a dict for its order.
        renditions: What is made of the stream now.
        sinks: What else takes the packets, and whether each is wanted at once.
        running: All of these, for the loops over them: never changed, only replaced.
        bytes_out: Bytes sent to viewers that have left.
        dropped_blocks: Blocks left out for slow viewers that have left.
        stalled: How many were cut since they took nothing.
    """

    def __init__(self, context: StreamContext, key: StreamKey) -> None:
        self.viewers: dict[Viewer, None] = {}
        self.renditions: dict[RenditionKey, Rendition] = {}
        self.sinks: dict[PacketSink, bool] = {}
        self.running: tuple[Rendition | PacketSink, ...] = ()
        self.bytes_out = 0
        self.dropped_blocks = 0
        self.stalled = 0
        self._context = context
        self._key = key
        self._looked_at = context.reactor.seconds()
        self._idle_since: float | None = self._looked_at

    # Renditions

    def make(
        self,
        key: RenditionKey,
        tracks: Sequence[Track],
        metadata: Mapping[str, object],
        backlog: Sequence[Packet],
    ) -> Rendition:
        """Make an output that there is not yet, for a viewer that joins it at once.

        Args:
            tracks: Of the stream.
            metadata: What the publisher says of it.
            backlog: Its packets since the keyframe.

        Raises:
            NotFound: There is no such format.
        """
        context = self._context
        rendition = Rendition(
            context.reactor,
            context.pacing,
            key,
            context.new_serialiser(key),
            cache_bytes=context.settings.gop_cache_bytes,
            cache_blocks=context.settings.gop_cache_frames,
            failed=self.failed,
        )
        try:
            rendition.start(tracks, metadata, backlog)
        except Exception:
            rendition.stop()
            raise
        self.renditions[key] = rendition
        self._renew_running()
        return rendition

    def attach(
        self,
        sink: PacketSink,
        tracks: Sequence[Track],
        metadata: Mapping[str, object],
        backlog: Sequence[Packet],
        *,
        urgent: bool,
    ) -> None:
        """Let a sink have the packets, from the backlog on; arguments as of `make`.

        Args:
            urgent: It wants each packet at once.
        """
        sink.start(tracks, metadata, backlog)
        self.sinks[sink] = urgent
        self._renew_running()

    def detach(self, sink: PacketSink) -> None:
        """Let it have no more. Idempotent."""
        self.sinks.pop(sink, None)
        self._renew_running()

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> None:
        """Tell all outputs; arguments as of `Rendition.tracks_changed`."""
        for rendition in self.running:
            try:
                rendition.tracks_changed(tracks, metadata, timestamp)
            except Exception:
                self.failed(rendition)

    def metadata_changed(self, metadata: Mapping[str, object]) -> None:
        """Tell all outputs what the publisher says of the stream."""
        for rendition in self.running:
            try:
                rendition.metadata_changed(metadata)
            except Exception:
                self.failed(rendition)

    def publisher_lost(self) -> None:
        """Send what waits for more, since no more comes for a while."""
        for output in self.running:
            try:
                if isinstance(output, Rendition):
                    output.flush()
                else:
                    output.publisher_lost()
            except Exception:
                self.failed(output)

    def failed(self, output: Rendition | PacketSink) -> None:
        """End an output that failed, for its viewers. Called where the exception is handled."""
        if not isinstance(output, Rendition):
            name = type(output).__name__
            _log.failure("{name} of {key} failed", name=name, key=self._key)
            self.detach(output)
            try:
                output.stop()
            except Exception:  # it is no more the publisher's business than the first
                _log.failure("stopping {name} of {key} failed", name=name, key=self._key)
            return
        _log.failure("output {output} of {key} failed", output=output.key.format, key=self._key)
        self._forget(output)
        for viewer in [x for x in self.viewers if x.plays(output)]:
            viewer.end("the output failed")

    def _forget(self, rendition: Rendition) -> None:
        rendition.stop()
        if self.renditions.get(rendition.key) is rendition:
            del self.renditions[rendition.key]
        self._renew_running()

    def _renew_running(self) -> None:
        self.running = (*self.renditions.values(), *self.sinks)

    # Viewers

    def join(
        self,
        rendition: Rendition,
        outlet: BlockOutlet,
        info: ViewerInfo,
        on_end: Callable[[str], None],
        *,
        from_now: bool,
    ) -> OutletViewer:
        """Let one more connection have an output; arguments as of `Stream.play`."""
        context = self._context
        rendition.users += 1
        viewer = OutletViewer(
            self,
            rendition,
            outlet,
            info,
            on_end,
            session=context.new_session(),
            started_at=context.wall_clock(),
        )
        context.pacing.viewers_changed(1)
        self._joined(viewer)
        try:
            if viewer.plays(rendition):  # who was told may have sent it away
                rendition.add(outlet, from_now=from_now)
        except Exception:
            viewer.leave("the output failed")
            raise
        return viewer

    def visit(self, info: ViewerInfo, on_end: Callable[[str], None]) -> RequestViewer:
        """Count one who fetches the stream in pieces; arguments as of `Stream.visit`."""
        context = self._context
        viewer = RequestViewer(
            self,
            info,
            on_end,
            session=context.new_session(),
            started_at=context.wall_clock(),
        )
        self._joined(viewer)
        return viewer

    def _joined(self, viewer: Viewer) -> None:
        self.viewers[viewer] = None
        self._idle_since = None
        info = viewer.info
        self._context.events.emit(
            PlayStarted(self._key, info.protocol, info.peer, viewer.session, info.request)
        )

    def outlet_left(self, rendition: Rendition) -> None:
        """Count one connection less. Called by `OutletViewer` only, once for each."""
        self._context.pacing.viewers_changed(-1)
        rendition.users -= 1
        if not rendition.users and self.renditions.get(rendition.key) is rendition:
            self._forget(rendition)

    def viewer_left(self, viewer: Viewer, reason: str) -> None:
        """Count one viewer less. Called by `Viewer` only, once for each."""
        del self.viewers[viewer]
        context = self._context
        self.bytes_out += viewer.bytes_out
        self.dropped_blocks += viewer.dropped_blocks
        if viewer.stalled:
            self.stalled += 1
            reason = "the viewer took nothing for too long"
        if not self.viewers:
            self._idle_since = context.reactor.seconds()
        _log.info(
            "{peer}: no longer plays {key}: {reason}; {size} bytes",
            peer=viewer.info.peer,
            key=self._key,
            reason=reason,
            size=viewer.bytes_out,
        )
        context.events.emit(PlayEnded(self._key, viewer.session, reason, viewer.bytes_out))

    def comes_elsewhere(self) -> None:
        """End the viewers that are servers: each has to hear anew which the stream has passed.

        Else the last of a ring that was open until now would not know of it (E-ST-08).
        """
        for viewer in tuple(self.viewers):
            if viewer.rendition is not None and _is_server(viewer.info.request):
                viewer.kick("it comes by way of others now")

    def end(self, reason: str) -> None:
        """Send what is left, and tell all viewers that the stream is over."""
        for output in self.running:
            try:
                output.end()
            except Exception:
                _log.failure("the end of {key} failed", key=self._key)
        for rendition in tuple(self.renditions.values()):
            rendition.stop()
        self.sinks.clear()
        for viewer in tuple(self.viewers):
            viewer.end(reason)

    def tick(self, now: float) -> None:
        """Say when nobody has watched for long, measure, and find who takes nothing."""
        idle_since = self._idle_since
        if idle_since is not None and now - idle_since >= self._context.settings.idle_delay:
            self._idle_since = None
            self._context.events.emit(StreamIdle(self._key))
        looks = now - self._looked_at >= LOOK_SECONDS
        if looks:
            self._looked_at = now
        for viewer in tuple(self.viewers):
            viewer.sample(now)
            if looks:
                viewer.look()


def _is_server(request: Any) -> bool:
    """Whether who was allowed this said which servers want it."""
    return bool(getattr(request, "hops", None))
