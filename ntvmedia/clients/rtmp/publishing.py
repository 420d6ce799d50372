"""Publishing: the packets of a stream are sent as they come, as long as the server takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from twisted.python.failure import Failure
from zope.interface import implementer

from ntvmedia.errors import RemoteError
from ntvmedia.formats import flv_writer
from ntvmedia.interfaces import IPushFeed
from ntvmedia.media import MediaKind, Packet, Track
from ntvmedia.wire.rtmp.events import MetadataReceived

if TYPE_CHECKING:
    from ntvmedia.clients.rtmp.connection import ClientConnection

MAX_QUEUE_BYTES: Final = 4 << 20
"""What may wait for a server that takes less than it is sent, besides what the kernel has: a second
at 32 Mb/s."""

MAX_QUEUE_SECONDS: Final = 5.0
"""How long it may wait: who watches behind the server is late by as much."""

# How far apart the moments are that ages are told by.
_MARK_SECONDS: Final = 0.1


class Publisher:
    """What one connection publishes.

    Args:
        tracks: Of the stream.
        metadata: What is said of it.
        started: Called with the feed when packets may come.

    Raises:
        RemoteError: RTMP carries none of the tracks.

    Attributes:
        publishes: True.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        metadata: Mapping[str, object],
        started: Callable[[Feed], None],
    ) -> None:
        if not any(map(flv_writer.can_carry, tracks)):
            names = ", ".join(track.codec.value for track in tracks) or "no tracks"
            raise RemoteError(f"RTMP carries none of it: {names}", is_permanent=True)
        self.publishes = True
        self._metadata = metadata
        self._started = started
        self._feed: Feed | None = None

    def accepted(self, connection: ClientConnection) -> None:
        self._feed = Feed(connection, self._metadata)
        self._started(self._feed)

    def packet_received(self, packet: Packet) -> None:
        """Do nothing with what a server sends to one who publishes."""

    def track_received(self, track: Track) -> None:
        """Likewise."""

    def metadata_received(self, event: MetadataReceived) -> None:
        """Likewise."""

    def batch_ended(self) -> float:
        return 0.0

    def stop(self) -> None:
        if self._feed is not None:
            self._feed.stop()


@implementer(IPushFeed)
class Feed:
    """Takes the packets for one connection.

    Times begin at 0 with the first keyframe, on each connection anew, and go on through gaps
    (E-ST-10). All headers go before the first frame; behind it, who does not know Enhanced RTMP
    gets no script data: strict servers hang up (E-ST-13).

    Args:
        connection: That was accepted.
        metadata: What is said of the stream.

    Attributes:
        dropped: Packets that were not sent, since the server took too little.
        bytes_out: Bytes that the connection was given.
    """

    def __init__(self, connection: ClientConnection, metadata: Mapping[str, object]) -> None:
        self.dropped = 0
        self.bytes_out = 0
        self._connection: ClientConnection | None = connection
        self._outlet = connection.outlet
        self._clock: Callable[[], float] = connection.reactor.seconds
        self._takes_data = connection.session.capabilities.is_enhanced
        self._metadata = metadata
        self._tracks: dict[int, Track] = {}
        self._has_video = False
        # Of a track, in its ticks: what is taken off its times. Empty before the first packet.
        self._shifts: dict[int, int] = {}
        self._base = 0.0
        self._has_begun = False
        self._skipping = False
        self._changed: dict[int, Track] = {}
        # When what waits was put there: the bytes that will have been sent with it, and the time.
        self._marks: deque[tuple[int, float]] = deque()

    # What the owner calls

    def track_received(self, track: Track) -> None:
        if not self._can_carry(track):
            self._tracks.pop(track.id, None)
        else:
            self._tracks[track.id] = track
            self._changed[track.id] = track
            if self._has_begun:
                self._shifts[track.id] = round(self._base * track.clock_rate)
                if not self._skipping:
                    self._attempt(self._announce)
        self._has_video = any(x.kind is MediaKind.VIDEO for x in self._tracks.values())

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        self._metadata = fields
        if self._has_begun and self._takes_data and not self._skipping:
            self._attempt(self._describe)

    def packet_received(self, packet: Packet) -> None:
        connection = self._connection
        track, dts, pts, is_keyframe, payload = packet
        if connection is None or track.id not in self._tracks:
            return
        if not self._has_begun:
            if self._begins(packet):
                self._attempt(self._begin, packet)
            return
        if (self._skipping or self._marks) and not self._has_room(packet):
            self.dropped += 1
            return
        shift = self._shifts[track.id]
        if dts < shift:
            return  # sound from before the first picture
        try:
            connection.session.send_packet(
                Packet(track, dts - shift, pts - shift, is_keyframe, payload)
            )
        except Exception:
            connection.finish(Failure())

    def batch_ended(self) -> None:
        connection = self._connection
        if connection is not None:
            self.bytes_out += connection.flush()
            if self._outlet.blocked:
                self._mark()

    def end(self) -> None:
        connection = self._connection
        if connection is not None:
            self.batch_ended()
            self._connection = None
            connection.end()

    def stop(self) -> None:
        """Send nothing any more: the connection is over."""
        self._connection = None

    # Headers

    def _can_carry(self, track: Track) -> bool:
        if track.kind is MediaKind.DATA:
            return self._takes_data
        return flv_writer.can_carry(track)

    def _begins(self, packet: Packet) -> bool:
        """Whether decoding can begin with a packet, of a track that is sent."""
        kind = packet.track.kind
        if self._has_video:
            return packet.is_keyframe and kind is MediaKind.VIDEO
        return kind is MediaKind.AUDIO

    def _begin(self, packet: Packet) -> None:
        self._has_begun = True
        self._base = packet.dts / packet.track.clock_rate
        for track in self._tracks.values():
            self._shifts[track.id] = round(self._base * track.clock_rate)
        self._describe()
        self._announce()
        self.packet_received(packet)

    def _describe(self) -> None:
        if self._connection is not None:
            self._connection.session.send_metadata(self._metadata)

    def _announce(self) -> None:
        """Say what changed of the tracks."""
        connection = self._connection
        changed = list(self._changed.values())
        self._changed.clear()
        if connection is not None:
            for track in changed:
                connection.session.send_track(track)

    def _attempt(self, call: Callable[..., None], *args: object) -> None:
        """Call something; what is wrong with it ends the push, and not its caller."""
        try:
            call(*args)
        except Exception:
            if self._connection is not None:
                self._connection.finish(Failure())

    # Back pressure

    def _has_room(self, packet: Packet) -> bool:
        """Whether a packet may be sent; if not, none may before there is room and a keyframe."""
        marks, sent = self._marks, self._outlet.sent_bytes
        while marks and marks[0][0] <= sent:
            marks.popleft()
        age = self._clock() - marks[0][1] if marks else 0.0
        share = max(age / MAX_QUEUE_SECONDS, self._outlet.queued_bytes / MAX_QUEUE_BYTES)
        if not self._skipping:
            self._skipping = share > 1.0
        elif share < 0.5 and self._begins(packet):
            self._skipping = False
            self._attempt(self._announce)
        return not self._skipping

    def _mark(self) -> None:
        now = self._clock()
        if not self._marks or now - self._marks[-1][1] >= _MARK_SECONDS:
            self._marks.append((self._outlet.sent_bytes + self._outlet.queued_bytes, now))
