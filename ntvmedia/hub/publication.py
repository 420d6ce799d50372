"""One who publishes: where the tracks and packets of a connection go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from twisted.logger import Logger

from ntvmedia.media import Packet, Track

if TYPE_CHECKING:
    from ntvmedia.hub.stream import Stream

_log = Logger()


class Publisher(Protocol):
    """The connection that publishes.

    It may have two attributes more, for who decides again whether it may go on: `request`, the
    `ntvmedia.access.Request` that it was allowed by, and `verdict`, the answer. And `hops`, ids of
    the servers that the stream has passed (`ntvmedia.media.hops`).
    """

    protocol: str
    peer: str

    def dismissed(self, reason: str) -> None:
        """Close: another has taken over, or you were silent for too long.

        Called once, and never after `Publication.close`. What it still sends is ignored.

        Args:
            reason: One lower-case clause for the peer and the log.
        """


class Publication:
    """A publisher's hold on a stream. Made by `Hub.publish`.

    Attributes:
        publisher: Who was given it.
        session: As in `ntvmedia.events.PublishStarted`.
        started_at: Wall clock, seconds since 1970.
        packet_received: Take one packet of an announced track; its times may be anything. An
            attribute and not a method, since it is called for every packet.
        batch_ended: Everything that came in one read has been given: send it on. To be called
            each time.
    """

    __slots__ = (
        "_bytes_before",
        "_bytes_in",
        "_stream",
        "batch_ended",
        "packet_received",
        "publisher",
        "session",
        "started_at",
    )

    def __init__(
        self, stream: Stream, publisher: Publisher, *, session: int, started_at: float
    ) -> None:
        self._stream: Stream | None = stream
        self._bytes_before = stream.bytes_in
        self._bytes_in = 0
        self.packet_received: Callable[[Packet], None] = stream.packet_received
        self.batch_ended: Callable[[], None] = stream.batch_ended
        self.publisher = publisher
        self.session = session
        self.started_at = started_at

    @property
    def request(self) -> Any:
        """What its publisher asked for; None where it does not say."""
        return getattr(self.publisher, "request", None)

    @property
    def verdict(self) -> Any:
        """The answer to that; None where it does not say."""
        return getattr(self.publisher, "verdict", None)

    @property
    def active(self) -> bool:
        """Whether the stream is still this publisher's."""
        return self._stream is not None

    @property
    def bytes_in(self) -> int:
        """Media bytes so far."""
        stream = self._stream
        return self._bytes_in if stream is None else stream.bytes_in - self._bytes_before

    @property
    def patience(self) -> float:
        """Seconds for which what the publisher sends may wait to be read; as of `Stream`."""
        return self._stream.patience if self._stream is not None else 0.0

    def track_received(self, track: Track) -> None:
        """Take a track, or a new configuration of it, before its next packet."""
        if self._stream is not None:
            self._stream.track_received(track)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        """Take what the publisher says of the stream: hints, never trusted."""
        if self._stream is not None:
            self._stream.metadata_received(fields)

    def close(self, reason: str, *, lost: bool) -> None:
        """Give the stream back. Idempotent.

        Args:
            reason: One lower-case clause.
            lost: The connection broke: the stream waits for its publisher to come back, and its
                viewers stay. Otherwise it ends now.
        """
        stream = self._stream
        if stream is None:
            return
        self._bytes_in = self.bytes_in
        self._stream = None
        self.packet_received = _ignore
        self.batch_ended = _ignore_batch
        stream.publication_closed(self, reason, lost=lost)

    def dismiss(self, reason: str, *, lost: bool = True) -> None:
        """Take the stream away from its publisher, and tell it. Arguments as of `close`."""
        if self._stream is not None:
            self.close(reason, lost=lost)
            try:
                self.publisher.dismissed(reason)
            except Exception:  # a bug of one connection ends that one only
                _log.failure("publisher {peer} could not be told", peer=self.publisher.peer)


def _ignore(_packet: Packet) -> None:
    """Take what a publisher still sends after it lost its stream."""


def _ignore_batch() -> None:
    """The same for the end of a read."""
