"""One stream of a hub, sent to one other server for as long as it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.errors import RemoteError
from ntvmedia.events import EventBus, StreamOver, StreamReady
from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.stream import Stream
from ntvmedia.hub.streams import Hub
from ntvmedia.media import Packet, StreamKey, Track
from ntvmedia.media.relaying import MAX_HOPS, PushOptions
from ntvmedia.relay.backoff import Backoff
from ntvmedia.relay.states import Rate

State: TypeAlias = Literal["stopped", "idle", "connecting", "running", "waiting"]
"""Of a push.

* `stopped`: it was told to stop, or never started.
* `idle`: the stream is not there.
* `connecting`: the server is asked.
* `running`: the server takes packets.
* `waiting`: it failed, and is tried again.
"""

GOODBYE_SECONDS: Final = 5.0
"""What a server may take to take the last of a stream."""

_RATE_SECONDS: Final = 1.0


class PushState(NamedTuple):
    """How a push is doing.

    Attributes:
        state: See `State`.
        reason: Why it waits.
        is_permanent: Another try will most likely fail as the last one did.
        next_retry_at: Seconds since 1970; 0 where there is none to come.
        since: When the state began, seconds since 1970.
        bytes_out: Sent since it was started.
        bitrate_kbps: Of what is sent.
        dropped: Packets that were not sent, since the server was too slow.
        restarts: How often the server was asked again.
    """

    state: State = "stopped"
    reason: str = ""
    is_permanent: bool = False
    next_retry_at: float = 0.0
    since: float = 0.0
    bytes_out: int = 0
    bitrate_kbps: int = 0
    dropped: int = 0
    restarts: int = 0


class Surroundings(NamedTuple):
    """What pushes need of the server.

    Attributes:
        host: As targets are given it.
        find_target: Returns the `ITarget` of an address; raises `RemoteError`.
        wall_clock: Seconds since 1970.
        fraction: Returns a number from 0 to below 1, another each time.
    """

    host: Any
    find_target: Callable[[str], Any]
    wall_clock: Callable[[], float]
    fraction: Callable[[], float]


class Pusher:
    """Sends one stream to one server: whenever it is there, and again when that fails (E-ST-10).

    The stream's publisher and viewers never notice: what the server does not take is bounded and
    dropped by its `IPushFeed` (E-ST-11).

    Args:
        surroundings: The server.
        hub: Which has the stream.
        events: Of that hub; None where it is started and stopped with the stream.
        key: The stream.
        url: Where to, with user, password and query.
        options: How; `hops` are those of the stream.
        noted: Takes a line for the operator.
        changed: Called without arguments when the state is another.
    """

    _log = Logger()

    def __init__(
        self,
        surroundings: Surroundings,
        hub: Hub,
        events: EventBus | None,
        key: StreamKey,
        url: str,
        options: PushOptions,
        *,
        noted: Callable[[str], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._surroundings = surroundings
        self._reactor = surroundings.host.reactor
        self._hub = hub
        self._key = key
        self._url = url
        self._options = options
        self._noted = noted
        self._changed = changed
        self._events = events
        self._subscriptions: tuple[Callable[[], None], ...] = ()
        self._has_started = False
        self._state = PushState(since=surroundings.wall_clock())
        self._backoff = Backoff(surroundings.fraction)
        self._rate = Rate()
        self._sampled_at = 0.0
        self._bytes = 0
        self._dropped = 0
        self._feeder: _Feeder | None = None
        self._running_since: float | None = None
        self._pushing: Deferred[None] | None = None
        self._retry: IDelayedCall | None = None
        self._closing: set[Deferred[None]] = set()

    @property
    def state(self) -> PushState:
        """How it is doing now."""
        bytes_out, dropped = self._counts()
        now = self._reactor.seconds()
        if self._state.state == "running" and now - self._sampled_at >= _RATE_SECONDS:
            self._sampled_at = now
            self._rate.sample(now, bytes_out)
        kbps = self._rate.kbps if self._state.state == "running" else 0
        return self._state._replace(bytes_out=bytes_out, dropped=dropped, bitrate_kbps=kbps)

    def start(self) -> None:
        """Send the stream as soon as it is there. Idempotent."""
        if self._has_started:
            return
        self._has_started = True
        if self._events is not None:
            self._subscriptions = (
                self._events.subscribe(StreamReady, self._stream_ready),
                self._events.subscribe(StreamOver, self._stream_over),
            )
        self._begin()

    def stop(self) -> Deferred[None]:
        """Say goodbye, and send no more. Idempotent.

        Returns:
            Fires when everything has been given back.
        """
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions = ()
        self._has_started = False
        self._end("stopped")
        if not self._closing:
            return succeed(None)
        done: Deferred[None] = Deferred()
        left = len(self._closing)

        def one_less(_result: None) -> None:
            nonlocal left
            left -= 1
            if not left:
                done.callback(None)

        for closing in tuple(self._closing):
            waiter: Deferred[None] = Deferred()
            closing.addBoth(_pass_to, waiter)
            waiter.addCallback(one_less)
        return done

    # The stream

    def _stream_ready(self, event: StreamReady) -> None:
        if event.key == self._key and self._pushing is None:
            self._backoff.reset()
            self._cancel_retry()
            self._begin()

    def _stream_over(self, event: StreamOver) -> None:
        if event.key == self._key:
            self._end("idle")

    def _begin(self) -> None:
        """Ask the server, if the stream is there."""
        stream = self._hub.streams.get(self._key)
        if stream is None or not stream.is_ready:
            self._change("idle")
            return
        hops = (*getattr(stream, "hops", ()), *self._options.hops)
        self._change("connecting")
        try:
            if len(hops) > MAX_HOPS:
                why = f"the stream has passed {MAX_HOPS} servers already: a loop"
                raise RemoteError(why, is_permanent=True)
            target = self._surroundings.find_target(self._url)
            target.check(self._url)
            pushing: Deferred[None] = target.push(
                self._surroundings.host,
                self._url,
                stream.tracks,
                stream.metadata,
                self._options._replace(hops=hops),
                self._started,
            )
        except RemoteError as error:
            self._failed(error)
            return
        except Exception:
            self._log.failure("a target failed")
            self._failed(RemoteError("the target failed; see the server's log"))
            return
        self._pushing = pushing
        self._closing.add(pushing)
        pushing.addCallbacks(
            self._ended, self._push_failed, callbackArgs=(pushing,), errbackArgs=(pushing,)
        )
        pushing.addErrback(self._bug)

    # The server

    def _started(self, feed: Any) -> None:
        """Give the server's feed the stream, from its last keyframe on."""
        self._detach()
        stream = self._hub.streams.get(self._key)
        if stream is None or self._state.state not in ("connecting", "running"):
            feed.end()
            return
        feeder = self._feeder = _Feeder(feed, self._broken)
        self._running_since = self._reactor.seconds()
        if self._state.state != "running":
            self._change("running")
        self._noted("the server takes the stream")
        try:
            stream.attach(feeder)
        except NotFound:
            self._end("idle")

    def _broken(self) -> None:
        """A feed raised: a bug of its target, which ends this push alone."""
        pushing = self._pushing
        if pushing is not None:
            self._push_failed(
                Failure(RemoteError("the target failed; see the server's log")), pushing
            )
            pushing.cancel()

    def _ended(self, _result: object, pushing: Deferred[None]) -> None:
        self._closing.discard(pushing)
        if pushing is self._pushing:
            # Nobody said goodbye on our side.
            self._failed(RemoteError("the server ended the push"))

    def _push_failed(self, failure: Failure, pushing: Deferred[None]) -> None:
        self._closing.discard(pushing)
        if pushing is not self._pushing:
            return
        error = failure.value
        if failure.check(CancelledError):
            error = RemoteError("it was cancelled")
        elif not isinstance(error, RemoteError):
            self._log.failure("a target failed", failure)
            error = RemoteError("the target failed; see the server's log")
        self._failed(error)

    def _bug(self, failure: Failure) -> None:
        self._log.failure("a push failed", failure)

    def _failed(self, error: RemoteError) -> None:
        """Try again later."""
        self._pushing = None
        if self._running_since is not None:
            self._backoff.worked(self._reactor.seconds() - self._running_since)
        self._detach()
        wait = self._backoff.failed(is_permanent=error.is_permanent, is_absent=error.is_absent)
        if self._backoff.is_told:
            self._log.info("push of {key} failed: {error}", key=self._key, error=error)
        self._noted(f"{error}; again in {wait:.0f} s")
        self._change(
            "waiting",
            reason=str(error),
            is_permanent=error.is_permanent,
            next_retry_at=self._surroundings.wall_clock() + wait,
        )
        self._retry = self._reactor.callLater(wait, self._again)

    def _again(self) -> None:
        self._retry = None
        self._state = self._state._replace(restarts=self._state.restarts + 1)
        self._begin()

    def _end(self, state: State) -> None:
        """Have no connection any more."""
        self._cancel_retry()
        self._backoff.reset()
        pushing, self._pushing = self._pushing, None
        feeder = self._feeder
        self._detach()
        if feeder is not None:
            feeder.say_goodbye()
            if pushing in self._closing:
                self._give_up_later(pushing)
        elif pushing is not None:
            pushing.cancel()
        if self._state.state != state:
            self._change(state)

    def _give_up_later(self, pushing: Deferred[None]) -> None:
        """Hang up on a server that does not take a goodbye."""
        later = self._reactor.callLater(GOODBYE_SECONDS, pushing.cancel)

        def over(result: Any) -> Any:
            if later.active():
                later.cancel()
            return result

        pushing.addBoth(over)

    def _detach(self) -> None:
        feeder, self._feeder = self._feeder, None
        self._running_since = None
        if feeder is None:
            return
        self._bytes += feeder.feed.bytes_out
        self._dropped += feeder.feed.dropped
        stream: Stream | None = self._hub.streams.get(self._key)
        if stream is not None:
            stream.detach(feeder)

    def _counts(self) -> tuple[int, int]:
        feeder = self._feeder
        if feeder is None:
            return self._bytes, self._dropped
        return self._bytes + feeder.feed.bytes_out, self._dropped + feeder.feed.dropped

    def _cancel_retry(self) -> None:
        retry, self._retry = self._retry, None
        if retry is not None:
            retry.cancel()

    def _change(
        self,
        state: State,
        *,
        reason: str = "",
        is_permanent: bool = False,
        next_retry_at: float = 0.0,
    ) -> None:
        if state == "running":
            # From here on it is measured, whenever somebody asks.
            self._rate = Rate()
            self._sampled_at = self._reactor.seconds()
            self._rate.sample(self._sampled_at, self._counts()[0])
        self._state = self._state._replace(
            state=state,
            reason=reason,
            is_permanent=is_permanent,
            next_retry_at=next_retry_at,
            since=self._surroundings.wall_clock(),
        )
        self._changed()


class _Feeder:
    """The sink of a stream that puts all into a target's feed: a `hub.sinks.PacketSink`."""

    def __init__(self, feed: Any, broken: Callable[[], None]) -> None:
        self.feed = feed
        self._broken = broken
        self._tracks: dict[int, Track] = {}
        self._give = feed.packet_received

    def start(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], backlog: Sequence[Packet]
    ) -> None:
        feed = self.feed
        if metadata:
            feed.metadata_received(metadata)
        self._announce(tracks)
        for packet in backlog:
            feed.packet_received(packet)
        feed.batch_ended()

    def packet(self, packet: Packet) -> None:
        self._give(packet)

    def batch_ended(self) -> None:
        self.feed.batch_ended()

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> None:
        self._announce(tracks)

    def metadata_changed(self, metadata: Mapping[str, object]) -> None:
        self.feed.metadata_received(metadata)

    def publisher_lost(self) -> None:
        """Wait with the stream: the server keeps what it has."""

    def end(self) -> None:
        """The pusher hears of it by the event, and says goodbye."""

    def stop(self) -> None:
        self._broken()

    def say_goodbye(self) -> None:
        """Have what was given sent, and end."""
        try:
            self.feed.end()
        except Exception:
            self._broken()

    def _announce(self, tracks: Sequence[Track]) -> None:
        for track in tracks:
            if self._tracks.get(track.id) != track:
                self._tracks[track.id] = track
                self.feed.track_received(track)


def _pass_to(result: Any, waiter: Deferred[None]) -> Any:
    waiter.callback(None)
    return result
