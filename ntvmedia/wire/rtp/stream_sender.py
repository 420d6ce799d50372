"""All tracks of one stream on their way out: RTP packets made once, whoever takes them.

RFC 3550, cited by section.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator
from typing import Final, NamedTuple

from ntvmedia.media.packets import MediaKind, Packet, Track
from ntvmedia.media.timebase import to_milliseconds
from ntvmedia.wire.rtp.formats import describe
from ntvmedia.wire.rtp.rtcp import SourceDescription, build_compound
from ntvmedia.wire.rtp.sending import Sender

RANDOM_BYTES: Final = 16
"""Unpredictable bytes that a stream's identifiers, first numbers and times are made of (5.1)."""

FIRST_PAYLOAD_TYPE: Final = 96
"""The first of those that are for a session to give out (RFC 3551 section 6)."""

KEEP_PACKETS: Final = 2500
"""Media packets of a group of pictures: 40 s of pictures and sound."""

# So that a number does not wrap at once, which old players take for a loss.
_FIRST_NUMBERS: Final = 0x7FFF

# What is kept for those who join, where nothing begins a group: as the hub keeps sound.
_GROUP_SECONDS: Final = 2


def can_send(track: Track) -> bool:
    """Whether RTP has a payload format for a track, and all that is needed is known."""
    return describe(track) is not None


class Start(NamedTuple):
    """Where a track begins for who joins.

    Attributes:
        sequence_number: Of its first packet.
        timestamp: RTP timestamp of the time at which the stream begins for him.
    """

    sequence_number: int
    timestamp: int


class _Made(NamedTuple):
    """What became of one media packet.

    Attributes:
        track_id: Of it.
        time_ms: Its decode time.
        can_begin: Of video a keyframe; any packet of sound.
        pts: In ticks of its track.
        sequence_number: Of the first RTP packet, or of the next one where there is none.
        packets: RTP packets.
    """

    track_id: int
    time_ms: int
    can_begin: bool
    pts: int
    sequence_number: int
    packets: list[bytes]


class StreamSender:
    """Makes the RTP packets of a stream.

    It is given all packets of the stream, in order, by `prepare`. What it made is kept while a
    group of pictures lasts and one more, so that all outputs of the stream have the same, those
    that begin in the middle of a group too.

    Args:
        random: `RANDOM_BYTES` unpredictable bytes.
        wall_zero: Seconds since 1970 at the stream's time 0.
        cname: Names this source among all, for `SDES` (6.5.1).
        keep_bytes: What is kept of a group, no less than the hub keeps: bytes of payload.
        keep_packets: Likewise, media packets.

    Attributes:
        cname: As given.
    """

    def __init__(
        self,
        random: bytes,
        wall_zero: float,
        cname: str,
        keep_bytes: int,
        keep_packets: int = KEEP_PACKETS,
    ) -> None:
        self.cname = cname
        self._random = random
        self._wall_zero = wall_zero
        self._keep_bytes = keep_bytes
        self._keep_packets = keep_packets
        self._senders: dict[int, Sender] = {}
        self._tracks: dict[int, Track] = {}
        # Of the video track whose keyframes begin groups; -1 for none.
        self._video = -1
        self._older: dict[tuple[int, int], _Made] = {}
        self._newer: dict[tuple[int, int], _Made] = {}
        self._newer_bytes = 0
        self._group_ms = 0

    def tracks_changed(self, tracks: Iterable[Track]) -> bool:
        """Take note of the tracks that there are: the first of pictures begins groups.

        Returns:
            Whether what was described is still true: no track has another codec or clock.
        """
        tracks = tuple(tracks)
        videos = [track.id for track in tracks if track.kind is MediaKind.VIDEO]
        self._video = min(videos, default=-1)
        known = ((self._tracks.get(track.id), track) for track in tracks)
        return all(
            old is None or (old.codec, old.clock_rate) == (new.codec, new.clock_rate)
            for old, new in known
        )

    def prepare(self, packet: Packet) -> None:
        """Make the RTP packets of the stream's next packet, unless an output had them made."""
        place = (packet.track.id, packet.dts)
        if place not in self._newer and can_send(packet.track):
            self._make(packet, place)

    def packets(self, packet: Packet) -> list[bytes]:
        """Return the RTP packets of a media packet, for an output."""
        track = packet.track
        place = (track.id, packet.dts)
        made = self._newer.get(place) or self._older.get(place)
        if made is None:
            made = self._make(packet, place)
        return made.packets

    def payload_type(self, track: Track) -> int:
        """Return the payload type of a track that can be described."""
        return self._sender(track).payload_type

    def starts_at(self, time_ms: int, tracks: Iterable[Track]) -> dict[int, Start]:
        """Return where tracks begin for who gets all from a packet on.

        Args:
            time_ms: Decode time of that packet, the first that he gets: of video, a keyframe.
            tracks: Those that he gets.

        Returns:
            By the track's id; nothing where the packet is not kept.
        """
        tracks = tuple(tracks)
        video = any(track.kind is MediaKind.VIDEO for track in tracks)
        begins = {track.id for track in tracks if not video or track.kind is MediaKind.VIDEO}
        following = self._from(time_ms, begins)
        first = next(following, None)
        if first is None:
            return {}
        numbers: dict[int, int] = {first.track_id: first.sequence_number}
        for made in following:
            numbers.setdefault(made.track_id, made.sequence_number)
        rate = self._tracks[first.track_id].clock_rate
        starts = {}
        for track in tracks:
            sender = self._sender(track)
            number = numbers.get(track.id, sender.sequence_number)
            ticks = first.pts * track.clock_rate // rate
            starts[track.id] = Start(number & 0xFFFF, sender.timestamp(ticks))
        return starts

    def report(self, track: Track, now: float) -> bytes:
        """Return a compound of sender report and description of a track (6.4.1, 6.5).

        Args:
            track: Of the stream.
            now: Seconds since 1970.
        """
        sender = self._sender(track)
        report = sender.report(self._wall_zero, now)
        return build_compound((report, SourceDescription(sender.ssrc, self.cname)))

    def ssrc(self, track: Track) -> int:
        """Return the synchronisation source of a track."""
        return self._sender(track).ssrc

    def _from(self, time_ms: int, begins: Container[int]) -> Iterator[_Made]:
        """Yield what was made from the packet of a time on, which is of one of some tracks."""
        has_begun = False
        for kept in (self._older, self._newer):
            for made in kept.values():
                if not has_begun:
                    is_it = made.time_ms == time_ms and made.can_begin
                    has_begun = is_it and made.track_id in begins
                if has_begun:
                    yield made

    def _make(self, packet: Packet, place: tuple[int, int]) -> _Made:
        track = packet.track
        time_ms = to_milliseconds(packet.dts, track.clock_rate)
        if track.kind is MediaKind.VIDEO:
            begins = packet.is_keyframe and track.id == self._video
        else:
            begins = self._video < 0 and time_ms - self._group_ms > _GROUP_SECONDS * 1000
        is_full = self._newer_bytes > self._keep_bytes or len(self._newer) >= self._keep_packets
        if begins or is_full:
            self._older, self._newer = self._newer, {}
            self._newer_bytes = 0
            self._group_ms = time_ms
        sender = self._sender(track)
        number = sender.sequence_number
        packets = sender.packetise(packet)
        made = _Made(track.id, time_ms, packet.is_keyframe, packet.pts, number, packets)
        self._newer[place] = made
        self._newer_bytes += len(packet.payload)
        return made

    def _sender(self, track: Track) -> Sender:
        """Return what sends a track, with its present configuration.

        Raises:
            UsageError: RTP has no payload format for its codec.
        """
        sender = self._senders.get(track.id)
        if sender is None:
            place = len(self._senders)
            described = describe(track)
            fixed = None if described is None else described.payload_type
            random = hashlib.sha256(self._random + place.to_bytes(2, "big")).digest()
            sender = Sender(
                track,
                FIRST_PAYLOAD_TYPE + place if fixed is None else fixed,
                ssrc=int.from_bytes(random[:4], "big"),
                sequence_number=int.from_bytes(random[4:6], "big") & _FIRST_NUMBERS,
                timestamp=int.from_bytes(random[6:10], "big"),
            )
            self._senders[track.id] = sender
        elif self._tracks[track.id] is not track:
            sender.configure(track)
        self._tracks[track.id] = track
        return sender
