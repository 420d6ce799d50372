"""What takes the packets of a stream without being a viewer's output: segments, recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ntvmedia.media import Packet, Track


class PacketSink(Protocol):
    """Takes packets; called from the reactor thread, and must not block.

    One that raises is detached, and told so by `stop`.
    """

    def start(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], backlog: Sequence[Packet]
    ) -> None:
        """Begin. Called once, before all else.

        Args:
            tracks: All tracks of the stream.
            metadata: What the publisher says of it.
            backlog: Its packets since the last keyframe.
        """

    def packet(self, packet: Packet) -> None:
        """Take one packet of any track, in the order in which they come."""

    def batch_ended(self) -> None:
        """All that came in one read was passed on."""

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> None:
        """Take note that a track appeared, went, or has a new configuration.

        Args:
            tracks: All of them now.
            timestamp: Stream time in milliseconds.
        """

    def metadata_changed(self, metadata: Mapping[str, object]) -> None:
        """Take note of what the publisher says now."""

    def publisher_lost(self) -> None:
        """No more comes until the publisher is back, within its grace, or the stream ends."""

    def end(self) -> None:
        """Finish: the stream is over. Nothing is called after it."""

    def stop(self) -> None:
        """Stop: this failed, and has been detached. Nothing is called after it."""
