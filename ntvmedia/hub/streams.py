"""The live streams of a server, by name: who may begin one, and who waits for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ntvmedia.config import HubSettings
from ntvmedia.events import EventBus, PublishStarted, StreamOver, StreamReady, StreamWanted
from ntvmedia.hub.context import StreamContext, StreamState
from ntvmedia.hub.lag import Lag
from ntvmedia.hub.outlet import Outlet
from ntvmedia.hub.pacing import Pacing
from ntvmedia.hub.policy import OutletPolicy
from ntvmedia.hub.publication import Publication, Publisher
from ntvmedia.hub.refusals import HubFull, NameTaken, NotFound
from ntvmedia.hub.rendition import RenditionKey, Serialiser
from ntvmedia.hub.stream import Stream
from ntvmedia.interfaces import IHub
from ntvmedia.media import StreamKey

_log = Logger()


@implementer(IHub)
class Hub:
    """The streams of this process.

    Args:
        reactor: Its clock is monotonic.
        settings: The `hub` section.
        events: Where starts and ends are told.
        wall_clock: Seconds since 1970.

    Attributes:
        streams: Those that exist now: with a publisher, or waiting for theirs to come back.
        pacing: How much is gathered before it is sent.
        outlet_policy: What all outlets share.
        lag: How late the reactor is, measured by the hub's service.
        refused_publishers: How many were refused since the name was taken or the hub full.
        finished_bytes_in: Media bytes of streams that are over.
        finished_bytes_out: Bytes sent to viewers of streams that are over.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        settings: HubSettings,
        events: EventBus,
        wall_clock: Callable[[], float],
    ) -> None:
        self.streams: dict[StreamKey, Stream] = {}
        self.pacing = Pacing(settings.latency, settings.max_latency)
        self.outlet_policy = OutletPolicy(
            reactor.seconds,
            queue_bytes=settings.queue_bytes,
            queue_seconds=settings.queue_seconds,
            stall_timeout=settings.stall_timeout,
        )
        self.lag = Lag()
        self.refused_publishers = 0
        self.finished_bytes_in = 0
        self.finished_bytes_out = 0
        self._reactor = reactor
        self._settings = settings
        self._events = events
        self._formats: dict[str, Callable[[Mapping[str, str]], Any]] = {}
        self._waiting: dict[StreamKey, dict[Deferred[Stream], IDelayedCall]] = {}
        self._waiting_count = 0
        self._sessions = count(1)
        self._context = StreamContext(
            reactor=reactor,
            settings=settings,
            events=events,
            pacing=self.pacing,
            wall_clock=wall_clock,
            new_session=self._sessions.__next__,
            new_serialiser=self._new_serialiser,
            ready=self._stream_ready,
            ended=self._stream_ended,
            finished=self._stream_finished,
        )

    @property
    def viewers(self) -> int:
        """How many watch now, whatever and however."""
        return sum(len(stream.viewers) for stream in self.streams.values())

    @property
    def stalled(self) -> int:
        """How many connections were cut since their peer took nothing."""
        return self.outlet_policy.cut

    @property
    def waiting(self) -> int:
        """How many wait for a stream that is not there."""
        return self._waiting_count

    @property
    def waiting_keys(self) -> tuple[StreamKey, ...]:
        """The streams that are not there and that somebody waits for."""
        return tuple(self._waiting)

    def waiters(self, key: StreamKey) -> int:
        """Return how many wait for a stream."""
        return len(self._waiting.get(key, ()))

    def outlet(self, transport: Any) -> Outlet:
        """Make the way out of a new connection."""
        return Outlet(transport, self.outlet_policy)

    def register_format(self, name: str, factory: Callable[[Mapping[str, str]], Any]) -> None:
        self._formats[name] = factory

    def publish(
        self, key: StreamKey, publisher: Publisher, *, audio_only: bool = False
    ) -> Publication:
        stream = self.streams.get(key)
        if stream is not None and stream.publication is not None:
            if (
                self._settings.publish_policy == "refuse"
                and stream.silence < self._settings.takeover_silence
            ):
                self.refused_publishers += 1
                raise NameTaken(f"{key} has a publisher")
            self._take_over(stream)
            stream = self.streams.get(key)
            if stream is not None and stream.publication is not None:
                raise NameTaken(f"{key} has a publisher")  # who was told came back at once
        if stream is None:
            if len(self.streams) >= self._settings.max_streams:
                self.refused_publishers += 1
                raise HubFull("there are too many streams")
            stream = self.streams[key] = Stream(self._context, key, audio_only=audio_only)
        publication = Publication(
            stream,
            publisher,
            session=self._context.new_session(),
            started_at=self._context.wall_clock(),
        )
        stream.publish(publication)
        self._events.emit(
            PublishStarted(
                key,
                publisher.protocol,
                publisher.peer,
                publication.session,
                publication.request,
            )
        )
        return publication

    def wait_for(self, key: StreamKey, hops: tuple[str, ...] = ()) -> Deferred[Stream]:
        stream = self.streams.get(key)
        if stream is not None and stream.state in (StreamState.LIVE, StreamState.WAITING):
            return succeed(stream)
        wanted = stream is None and key not in self._waiting
        if self._waiting_count >= self._settings.max_waiting or (
            key not in self._waiting and len(self._waiting) >= self._settings.max_waiting_names
        ):
            return fail(HubFull("too many wait for streams that are not there"))
        waiter: Deferred[Stream] = Deferred(lambda deferred: self._forget_waiter(key, deferred))
        deadline = self._reactor.callLater(self._settings.play_wait, self._give_up, key, waiter)
        self._waiting.setdefault(key, {})[waiter] = deadline
        self._waiting_count += 1
        if wanted:
            self._events.emit(StreamWanted(key, hops))
        return waiter

    def tick(self) -> None:
        """Look after timeouts and measure rates; about once a second."""
        now = self._reactor.seconds()
        before = self.outlet_policy.cut
        for stream in tuple(self.streams.values()):
            try:
                stream.tick(now)
            except Exception:
                _log.failure("looking after {key} failed", key=stream.key)
        self.outlet_policy.cut_stalled()
        cut = self.outlet_policy.cut - before
        if cut:
            _log.info("{count} connections cut: their peers took nothing", count=cut)

    def stop(self, reason: str) -> None:
        """End all streams, and refuse who waits."""
        for stream in tuple(self.streams.values()):
            stream.end(reason)
        for key in tuple(self._waiting):
            for waiter in tuple(self._waiting.get(key, ())):
                self._give_up(key, waiter)

    def _take_over(self, stream: Stream) -> None:
        publication = stream.publication
        if publication is None:
            return
        if stream.state is StreamState.ANALYZING:
            # It has shown nothing yet: there is nothing to go on with, and nobody watches.
            publication.dismiss("another publisher has taken over", lost=False)
        else:
            publication.dismiss("another publisher has taken over")

    def _new_serialiser(self, key: RenditionKey) -> Serialiser:
        factory = self._formats.get(key.format)
        if factory is None:
            raise NotFound(f"there is no output {key.format}")
        serialiser: Serialiser = factory(dict(key.options))
        return serialiser

    def _stream_ready(self, stream: Stream) -> None:
        waiters = self._pop_waiters(stream.key)
        for _waiter, deadline in waiters:
            deadline.cancel()
        for waiter, _deadline in waiters:
            if not waiter.called:  # what one does may end the wait of another
                waiter.callback(stream)
        self._events.emit(StreamReady(stream.key))

    def _stream_ended(self, stream: Stream) -> None:
        if self.streams.get(stream.key) is stream:
            del self.streams[stream.key]

    def _stream_finished(self, stream: Stream) -> None:
        self.finished_bytes_in += stream.bytes_in
        self.finished_bytes_out += stream.bytes_out
        self._events.emit(StreamOver(stream.key))

    def _pop_waiters(self, key: StreamKey) -> list[tuple[Deferred[Stream], IDelayedCall]]:
        waiters = list(self._waiting.pop(key, {}).items())
        self._waiting_count -= len(waiters)
        return waiters

    def _forget_waiter(self, key: StreamKey, waiter: Deferred[Stream]) -> None:
        waiters = self._waiting.get(key, {})
        deadline = waiters.pop(waiter, None)
        if deadline is None:
            return
        self._waiting_count -= 1
        if deadline.active():
            deadline.cancel()
        if not waiters:
            del self._waiting[key]

    def _give_up(self, key: StreamKey, waiter: Deferred[Stream]) -> None:
        self._forget_waiter(key, waiter)
        waiter.errback(NotFound(f"{key} is not published"))
