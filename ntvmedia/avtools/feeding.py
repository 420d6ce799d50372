"""What the server gives to a child process: bounded, whatever the child does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ntvmedia.avtools.framing import FrameType, build_frame, build_packet, build_track
from ntvmedia.media.packets import MediaKind, Packet, Track

MAX_QUEUE_BYTES: Final = 8 << 20
"""What waits for the child, at most: 3 s of 20 Mb/s. Beyond, packets are dropped."""

MAX_DATA: Final = 1 << 20
"""Bytes of one DATA frame."""


@implementer(IPushProducer)
class Feed:
    """The way to the child's standard input.

    Args:
        pipe: The transport of it.
        paused: Called with True when data is to wait, and with False when it may go on.
    """

    def __init__(self, pipe: Any, paused: Callable[[bool], None]) -> None:
        self._pipe = pipe
        self._paused = paused
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._is_full = False
        self._is_closed = False
        self._skips = False
        self._has_video = False
        # Announced while packets are dropped, by `Track.id`: each waits for the next packet.
        self._tracks: dict[int, Track] = {}
        self.dropped = 0
        pipe.registerProducer(self, True)

    @property
    def queued(self) -> int:
        """Bytes that wait here."""
        return self._queued

    def track_received(self, track: Track) -> None:
        """Give a track; where too much waits, the last of its kind, before what comes next."""
        self._has_video = self._has_video or track.kind is MediaKind.VIDEO
        if self._queued > MAX_QUEUE_BYTES:
            # A source may change it with each packet, and a child that takes nothing has them all.
            self._skips = True
        if self._skips:
            self._tracks[track.id] = track
        else:
            self.write(build_track(track))

    def packet_received(self, packet: Packet) -> None:
        """Give a packet, or drop it where too much waits, with all that need it."""
        if self._skips:
            is_entry = packet.is_keyframe and (
                packet.track.kind is MediaKind.VIDEO or not self._has_video
            )
            if not is_entry or self._queued > MAX_QUEUE_BYTES // 2:
                self.dropped += 1
                return
            self._skips = False
            for track in self._tracks.values():
                self.write(build_track(track))
            self._tracks.clear()
        elif self._queued + len(packet.payload) > MAX_QUEUE_BYTES:
            self._skips = True
            self.dropped += 1
            return
        self.write(build_packet(packet))

    def write_data(self, data: bytes) -> None:
        """Give bytes: all of them, so wait when `paused` says so."""
        for place in range(0, len(data), MAX_DATA):
            self.write(build_frame(FrameType.DATA, data[place : place + MAX_DATA]))

    def write(self, frame: bytes) -> None:
        """Give a frame."""
        if self._is_closed:
            return
        if self._is_full or self._queue:
            self._queue.append(frame)
            self._queued += len(frame)
        else:
            self._pipe.write(frame)

    def close(self) -> None:
        """Take nothing any more."""
        self._is_closed = True
        self._queue.clear()
        self._queued = 0
        self._tracks.clear()

    def pauseProducing(self) -> None:
        self._is_full = True
        if not self._is_closed:
            self._paused(True)

    def resumeProducing(self) -> None:
        self._is_full = False
        queue = self._queue
        while queue and not self._is_full:
            frame = queue.popleft()
            self._queued -= len(frame)
            # May call `pauseProducing`.
            self._pipe.write(frame)
        if not self._is_full and not self._is_closed:
            self._paused(False)

    def stopProducing(self) -> None:
        self.close()
