"""Where a source puts what it has: one output of a task, published in a hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from zope.interface import implementer

from ntvmedia.errors import Refused
from ntvmedia.hub.publication import Publication
from ntvmedia.interfaces import IPullSink
from ntvmedia.media import MediaKind, Packet, StreamKey, Track
from ntvmedia.media.relaying import OutputOptions
from ntvmedia.relay.gate import PROTOCOL

# Of `Track.id`: its last two bits say the kind.
_KIND_BITS: Final = 3
_KINDS: Final = {MediaKind.VIDEO: 0, MediaKind.AUDIO: 1, MediaKind.DATA: 2}
_VIDEO: Final = _KINDS[MediaKind.VIDEO]
_DATA: Final = _KINDS[MediaKind.DATA]

MAX_TRACKS: Final = 64
"""Of one source; what it announces besides is left out."""


class Owner(Protocol):
    """The attempt that an intake belongs to."""

    def may_begin(self, intake: Intake, packet: Packet) -> bool:
        """Say whether to publish, from this packet of pictures or sound on."""

    def began(self, intake: Intake) -> None:
        """The first media of an output are published."""

    def refused(self, reason: str) -> None:
        """The hub does not take it, or took it away."""

    def noted(self, line: str) -> None:
        """As of `IPullSink`."""


@implementer(IPullSink)
class Intake:
    """One output of one attempt. It publishes when the first media are there, and not before.

    It is the hub's `Publisher` too.

    Args:
        owner: Is told.
        publish: Called with the key and this; returns a `Publication`, or raises `Refused`.
        key: Of the stream.
        peer: The source, as it may be shown.
        options: "none" for video or audio leaves it out.
        seconds: The monotonic clock.
        silence: Seconds after which the hub takes a silent publisher's stream away.

    Attributes:
        hops: Ids of servers that the stream has passed.
        bytes_in: Media bytes so far.
        started_at: When the first media came; None before.
        protocol: As of `Publisher`, as is `peer`.
    """

    protocol = PROTOCOL

    def __init__(
        self,
        owner: Owner,
        publish: Callable[[StreamKey, Any], Publication],
        key: StreamKey,
        peer: str,
        options: OutputOptions,
        seconds: Callable[[], float],
        silence: float,
    ) -> None:
        self.key = key
        self.peer = peer
        self.hops: tuple[str, ...] = ()
        self.bytes_in = 0
        self.started_at: float | None = None
        self._media_at: float | None = None
        self._owner: Owner | None = owner
        self._publish = publish
        self._seconds = seconds
        self._silence = silence
        self._has_begun = False
        self._left_out = {
            _KINDS[kind]
            for kind, part in ((MediaKind.VIDEO, options.video), (MediaKind.AUDIO, options.audio))
            if part.codec == "none"
        }
        self._tracks: dict[int, Track] = {}
        self._metadata: Mapping[str, object] = {}
        self._publication: Publication | None = None
        # None while nothing is published.
        self._forward: Callable[[Packet], None] | None = None
        self._is_fresh = False

    # The source's side

    def track_received(self, track: Track) -> None:
        if self._owner is None or track.id & _KIND_BITS in self._left_out:
            return
        if track.id not in self._tracks and len(self._tracks) >= MAX_TRACKS:
            return
        self._tracks[track.id] = track
        if self._publication is not None:
            self._publication.track_received(track)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        self._metadata = dict(fields)
        if self._publication is not None:
            self._publication.metadata_received(fields)

    def passed(self, hops: tuple[str, ...]) -> None:
        """Take which servers the stream has passed: viewers further on were told it already."""
        changed = self._publication is not None and hops != self.hops
        self.hops = hops
        if changed and self._owner is not None:
            self._owner.refused("the stream comes by way of other servers now")

    def packet_received(self, packet: Packet) -> None:
        forward = self._forward
        if forward is None:
            self._not_published(packet)
            return
        self.bytes_in += len(packet[4])
        if packet[0].id & _KIND_BITS != _DATA:
            self._is_fresh = True
        forward(packet)

    def batch_ended(self) -> None:
        if self._is_fresh:
            self._is_fresh = False
            self._media_at = self._seconds()
        if self._publication is not None:
            self._publication.batch_ended()

    def noted(self, line: str) -> None:
        if self._owner is not None:
            self._owner.noted(line)

    @property
    def patience(self) -> float:
        """As of `Publication`; none before there is one."""
        publication = self._publication
        return 0.0 if publication is None else publication.patience

    # The owner's side

    @property
    def media_at(self) -> float | None:
        """When the last media came; None before the first."""
        if self._is_fresh:  # a source that says nothing of rounds
            self._is_fresh = False
            self._media_at = self._seconds()
        return self._media_at

    @property
    def has_video(self) -> bool:
        """Whether a track of pictures was announced."""
        return any(x & _KIND_BITS == _VIDEO for x in self._tracks)

    def close(self, reason: str, *, lost: bool) -> None:
        """Take nothing more, and give the stream back. Idempotent.

        Args:
            reason: One lower-case clause.
            lost: The stream waits for another to go on.
        """
        self._owner = None
        self._forward = _ignore
        publication, self._publication = self._publication, None
        if publication is not None:
            publication.close(reason, lost=lost)

    # The hub's side

    def dismissed(self, reason: str) -> None:
        """Give up; or wait for more, where the hub found it silent: the watchdog judges that."""
        self._publication = self._forward = None
        media_at = self.media_at
        is_silent = media_at is None or self._seconds() - media_at >= self._silence
        if self._owner is not None and not is_silent:
            self._owner.refused(reason)

    def _not_published(self, packet: Packet) -> None:
        track = packet[0]
        kind = track.id & _KIND_BITS
        owner = self._owner
        if owner is None or track.id not in self._tracks:
            return
        self.bytes_in += len(packet[4])
        if kind == _DATA:
            return
        self._media_at = self._seconds()
        if self.started_at is None:
            self.started_at = self._media_at
        if not owner.may_begin(self, packet):
            return
        self._begin(owner)
        forward = self._forward
        if forward is not None:
            forward(packet)

    def _begin(self, owner: Owner) -> None:
        try:
            publication = self._publish(self.key, self)
        except Refused as error:
            owner.refused(str(error))
            return
        if not publication.active or self._owner is None:
            # Whoever was told of it sent it away at once.
            publication.close("ended at once", lost=False)
            return
        self._publication = publication
        for track in self._tracks.values():
            publication.track_received(track)
        if self._metadata:
            publication.metadata_received(self._metadata)
        self._forward = publication.packet_received
        if not self._has_begun:
            self._has_begun = True
            owner.began(self)


def _ignore(_packet: Packet) -> None:
    """Take what a source still has after it was told to end."""
