"""What AV1, VP8 and VP9 have in common when they are read: one picture, in packets of one time."""

from __future__ import annotations

from ntvmedia.media.packets import Packet, Track
from ntvmedia.wire.rtp.decode_times import DecodeTimes
from ntvmedia.wire.rtp.packets import RTPPacket
from ntvmedia.wire.rtp.payloads import MAX_PICTURE, MAX_PICTURE_PACKETS, Event


class PictureDepacketiser:
    """Puts pictures together; one ends with the marker bit, or where the timestamp changes.

    A picture of which a packet is missing, or may be, is left out. These codecs have no order but
    one: decode times are presentation times.

    Args:
        number: Of the track.

    Attributes:
        damaged: Pictures that were left out.
        is_damaged: One was, since the last keyframe: what comes until the next refers to it.
    """

    def __init__(self, number: int = 0) -> None:
        self.damaged = 0
        self.is_damaged = False
        self._number = number
        self._track: Track | None = None
        self._times = DecodeTimes(0)
        self._marks = False
        self._next = -1
        self._timestamp = -1
        self._ticks = 0
        self._is_open = False
        self._is_broken = False
        self._size = self._packets = 0

    def receive(self, packet: RTPPacket, ticks: int, lost: bool) -> list[Event]:
        events: list[Event] = []
        payload = packet.payload
        if packet.timestamp != self._timestamp or not self._is_open:
            # Where one packet is missing between two pictures of which the first has no end, it
            # was that end.
            ended = self._is_open and self._marks
            only_end = ended and packet.sequence_number == (self._next + 1) & 0xFFFF
            if self._is_open:
                self._is_broken = self._is_broken or lost
                self._finish(events)
            self._is_open = True
            self._size = self._packets = 0
            self._timestamp, self._ticks = packet.timestamp, ticks
            self._clear()
            self._is_broken = lost and not only_end and not self._starts(payload)
        elif lost:
            self._is_broken = True
        self._next = (packet.sequence_number + 1) & 0xFFFF
        self._size += len(payload)
        self._packets += 1
        if self._size > MAX_PICTURE or self._packets > MAX_PICTURE_PACKETS:
            self._is_broken = True
        if self._is_broken:
            self._clear()
        elif payload and not self._take(payload):
            self._is_broken = True
        if packet.marker:
            self._marks = True
            self._finish(events)
        return events

    def flush(self) -> list[Event]:
        events: list[Event] = []
        if self._is_open:
            # Without its marker nobody knows whether this was its end.
            self._is_broken = True
            self._finish(events)
        return events

    def _finish(self, events: list[Event]) -> None:
        self._is_open = False
        payload = None if self._is_broken else self._picture()
        self._clear()
        if payload is None:
            self.damaged += 1
            self.is_damaged = True
            return
        if not payload:
            return
        is_keyframe = self._is_keyframe(payload)
        if is_keyframe:
            self.is_damaged = False
            track = self._described(payload)
            if track is not None and track != self._track:
                self._track = track
                events.append(track)
        if self._track is not None:
            dts, pts = self._times.take(self._ticks)
            events.append(Packet(self._track, dts, pts, is_keyframe, payload))

    def _starts(self, payload: bytes) -> bool:
        """Whether a payload can only be the first of a picture."""
        raise NotImplementedError

    def _take(self, payload: bytes) -> bool:
        """Take the next payload of a picture, not empty; return whether it is good."""
        raise NotImplementedError

    def _picture(self) -> bytes | None:
        """Return the picture; None where it is damaged, nothing where there is none."""
        raise NotImplementedError

    def _clear(self) -> None:
        """Forget what was taken of the picture."""
        raise NotImplementedError

    def _is_keyframe(self, payload: bytes) -> bool:
        raise NotImplementedError

    def _described(self, payload: bytes) -> Track | None:
        """Return the track that a keyframe tells of; None where it is broken."""
        raise NotImplementedError
