"""MPEG-TS made of packets while a stream is live, for HTTP-TS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ntvmedia.formats.mpegts_muxer import Muxer, can_carry
from ntvmedia.media.packets import MediaKind, Packet, Track

# Tables are repeated before the first packet after this time: ETSI TR 101 290 section 5.2.1 counts
# half a second without them as an error.
_TABLE_SECONDS: Final = 0.4

# A track that is more behind another is not behind, but on a new timeline.
_LONGEST_LAG_SECONDS: Final = 10.0

# Without video, a block that can be joined begins with the first packet that is later than this:
# the rule that renditions have.
_AUDIO_GROUP_SECONDS: Final = 1.0

_VIDEO: Final = MediaKind.VIDEO
_DATA: Final = MediaKind.DATA

# Before every time.
_NEVER: Final = -(1 << 80)


class MPEGTSSerialiser:
    """Turn packets into MPEG-TS that can be joined at each keyframe.

    PAT and PMT stand before each keyframe, without video before the first packet of each second,
    and between at most half a second apart. So there is no header: one written for each viewer
    would break the continuity of the tables' counters, which all viewers share.
    """

    def __init__(self) -> None:
        self._muxer = Muxer(())
        self._tracks: list[Track] = []
        self._carried: frozenset[int] = frozenset()
        self._has_video = False
        self._tables_at = float(_NEVER)
        self._group_at = _NEVER

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> bytes:
        """Take the tracks to send: the next packet comes after tables that tell them.

        Returns:
            Nothing: tables are part of what all viewers get, in its order.
        """
        if list(tracks) == self._tracks:
            return b""
        self._tracks = list(tracks)
        self._muxer.tracks_changed(tracks)
        self._carried = frozenset(track.id for track in tracks if can_carry(track))
        # Of all that was chosen, as a rendition sees it, whether it can be carried or not.
        self._has_video = any(track.kind is _VIDEO for track in tracks)
        self._tables_at = _NEVER
        self._group_at = _NEVER
        return b""

    def header(self, timestamp: int) -> bytes:
        """Return nothing: see the class."""
        return b""

    def packet(self, packet: Packet, parts: list[bytes]) -> None:
        """Append one packet's MPEG-TS packets to `parts`, after tables where they are due."""
        track = packet.track
        rate = track.clock_rate
        dts = packet.dts
        kind = track.kind
        if kind is _VIDEO:
            starts = packet.is_keyframe
        elif self._has_video or kind is _DATA:
            starts = False
        else:
            starts = dts - self._group_at > _AUDIO_GROUP_SECONDS * rate
            if starts:
                self._group_at = dts
        if track.id not in self._carried:
            if starts:
                self._tables_at = _NEVER  # the next that is carried begins the block
            return
        seconds = dts / rate
        # A time that falls back is a new timeline's: what was before says nothing.
        since = seconds - self._tables_at
        if starts or since > _TABLE_SECONDS or since < -_LONGEST_LAG_SECONDS:
            self._tables_at = seconds
            parts.append(self._muxer.tables())
        self._muxer.packet(packet, parts)

    def trailer(self) -> bytes:
        """Return nothing: a transport stream has no end."""
        return b""

    def frame(self, block: bytes) -> bytes:
        """Return the block as it is."""
        return block
