"""A live stream of this server as a source: to transcode it, or to have it under another name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from ntvmedia.errors import Refused, RemoteError
from ntvmedia.events import StreamReady
from ntvmedia.interfaces import IPullSink, ISource
from ntvmedia.media import Packet, StreamKey, Track
from ntvmedia.relay.addresses import LOCAL_SCHEME, local_key


@implementer(ISource)
class LocalSource:
    """`stream:APP/STREAM`. It waits for its stream for as long as it takes.

    Args:
        hold: Called with a key: somebody wants that stream, though nobody watches it. Returns what
            is called when he does not any more.

    Attributes:
        is_patient: Without media it is not asked anew: there is nobody to be asked.
    """

    schemes = (LOCAL_SCHEME,)
    transcodes = False
    is_patient = True

    def __init__(self, hold: Callable[[StreamKey], Callable[[], None]]) -> None:
        self._hold = hold

    def check(self, url: str) -> None:
        local_key(url)

    def pull(self, host: Any, url: str, options: Any, sink: IPullSink) -> Deferred[None]:
        pull = _LocalPull(host, local_key(url), sink, self._hold)
        pull.begin()
        return pull.done

    def hops_of(self, host: Any, url: str) -> tuple[str, ...]:
        """Return the ids of the servers that the stream has passed."""
        stream = host.hub.streams.get(local_key(url))
        hops: tuple[str, ...] = getattr(stream, "hops", ())
        return hops


class _LocalPull:
    """One pull: a `PacketSink` of the stream, once it is there."""

    def __init__(
        self,
        host: Any,
        key: StreamKey,
        sink: IPullSink,
        hold: Callable[[StreamKey], Callable[[], None]],
    ) -> None:
        self.done: Deferred[None] = Deferred(self._cancelled)
        self._host = host
        self._key = key
        self._sink = sink
        self._hold = hold
        self._stream: Any = None
        self._let_go: list[Callable[[], None]] = []

    def begin(self) -> None:
        """Take the stream, or wait for it."""
        self._let_go.append(self._host.events.subscribe(StreamReady, self._ready))
        release = self._hold(self._key)  # which may bring the stream at once
        if self.done.called:
            release()
            return
        self._let_go.append(release)
        self._attach()
        if self._stream is None and not self.done.called:
            self._sink.noted(f"waiting for {self._key}")

    def _ready(self, event: StreamReady) -> None:
        if event.key == self._key:
            self._attach()

    def _attach(self) -> None:
        stream = self._host.hub.streams.get(self._key)
        if self._stream is not None or stream is None or not stream.is_ready:
            return
        self._stream = stream
        try:
            stream.attach(self)
        except Refused as error:
            self._fail(str(error))

    def _release(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.detach(self)
        for call in self._let_go:
            call()
        self._let_go.clear()

    def _cancelled(self, deferred: Deferred[None]) -> None:
        self._release()
        deferred.errback(CancelledError())

    def _fail(self, reason: str) -> None:
        self._release()
        if not self.done.called:
            self.done.errback(RemoteError(reason))

    # PacketSink

    def start(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], backlog: Sequence[Packet]
    ) -> None:
        sink = self._sink
        for track in tracks:
            sink.track_received(track)
        if metadata:
            sink.metadata_received(metadata)
        for packet in backlog:
            sink.packet_received(packet)
        sink.batch_ended()

    def packet(self, packet: Packet) -> None:
        self._sink.packet_received(packet)

    def batch_ended(self) -> None:
        self._sink.batch_ended()

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> None:
        for track in tracks:
            self._sink.track_received(track)

    def metadata_changed(self, metadata: Mapping[str, object]) -> None:
        self._sink.metadata_received(metadata)

    def publisher_lost(self) -> None:
        """The publisher may be back in time; else the watchdog or the end is heard."""

    def end(self) -> None:
        self._stream = None
        self._fail(f"{self._key} has ended")

    def stop(self) -> None:
        self._stream = None
        self._fail(f"{self._key} could not be taken")
