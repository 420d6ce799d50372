"""The segments of one media playlist: those listed, and those that may still be fetched."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from ntvmedia.endpoints.http.hls.files import Copies, File
from ntvmedia.formats import m3u8
from ntvmedia.formats.m3u8 import Segment

PLAYLIST_NAME: Final = b"index.m3u8"

# A playlist is never shorter than so many target durations (RFC 8216bis section 6.2.2).
LEAST_TARGETS: Final = 3

_PLAYLIST_FIELDS: Final = f"Content-Type: {m3u8.CONTENT_TYPE}\r\nCache-Control: no-cache\r\n"
# For caches between us and many: at most half of the target duration (C-PL-12).
_SHARED_FIELDS: Final = f"Content-Type: {m3u8.CONTENT_TYPE}\r\nCache-Control: max-age=1\r\n"
# A name is never given to other bytes.
_SEGMENT_FIELDS: Final = "Content-Type: video/mp2t\r\nCache-Control: max-age=3600, immutable\r\n"


class _Removed(NamedTuple):
    until: float
    name: bytes


class Window:
    """A sliding list of segments, and the playlist that tells of it.

    Args:
        number: Of the first segment that will be added.
        discontinuities: How many there were before it.
        suffix: Makes the names of segments differ from those of another run of the server.
        copies: Of the server.

    Attributes:
        files: All that can be fetched, by name: the playlist, once there is a segment, and the
            segments.
        number: Of the next segment.
        discontinuities: How many there were before the first segment that is listed.
        peak_bitrate: Bits a second of the largest listed segment, for its length.
        begun: There was a segment.
        ended: The list says that nothing follows.
        shared: Caches may keep the playlist for a moment.
    """

    def __init__(self, number: int, discontinuities: int, suffix: str, copies: Copies) -> None:
        self.files: dict[bytes, File] = {}
        self.number = number
        self.discontinuities = discontinuities
        self.begun = False
        self.shared = False
        self.ended = False
        self._suffix = suffix
        self._copies = copies
        self._listed: deque[Segment] = deque()
        self._removed: deque[_Removed] = deque()
        self._length = 0.0
        self._longest_list = 0.0
        self._target = 0

    @property
    def last(self) -> Segment | None:
        """The segment listed last."""
        return self._listed[-1] if self._listed else None

    @property
    def length(self) -> float:
        """Seconds of all that is listed."""
        return self._length

    @property
    def listed(self) -> int:
        """How many segments are listed."""
        return len(self._listed)

    @property
    def peak_bitrate(self) -> float:
        """Bits a second of the largest segment that is listed, for its length."""
        return max(
            (
                len(self.files[segment.uri.encode("ascii")].body) * 8 / segment.duration
                for segment in self._listed
                if segment.duration > 0
            ),
            default=0.0,
        )

    def add(
        self,
        body: bytes,
        *,
        duration: float,
        wall_seconds: float,
        discontinuity: bool,
        gap: bool,
        target_duration: int,
        count: int,
        now: float,
    ) -> None:
        """List one more segment, and remove those that are old.

        Args:
            body: Its content.
            duration: Seconds.
            wall_seconds: As of `ntvmedia.formats.m3u8.Segment`; with the following likewise.
            discontinuity: Something changed before it.
            gap: It has no media.
            target_duration: Seconds; of the playlist.
            count: How many are to be listed.
            now: Monotonic seconds.
        """
        name = f"{self.number}-{self._suffix}.ts"
        self.number += 1
        self.begun = True
        self._target = target_duration
        self.files[name.encode("ascii")] = File(_SEGMENT_FIELDS, body, self._copies)
        self._listed.append(Segment(name, duration, wall_seconds, discontinuity, gap))
        self._length += duration
        self._longest_list = max(self._longest_list, self._length)
        while (
            len(self._listed) > count
            and self._length - self._listed[0].duration >= LEAST_TARGETS * target_duration
        ):
            self._remove(now)
        self.purge(now)
        self._write()

    def end(self) -> None:
        """Say that nothing follows."""
        self.ended = True
        if self._listed:
            self._write()

    def purge(self, now: float) -> None:
        """Let go of removed segments that no player may still want."""
        while self._removed and self._removed[0].until <= now:
            self.files.pop(self._removed.popleft().name).close()

    def retire(self, now: float) -> None:
        """Remove all segments, and the playlist; numbers go on.

        The segments can still be had, as all that are removed: a player may just have read of them.
        """
        while self._listed:
            self._remove(now)
        file = self.files.pop(PLAYLIST_NAME, None)
        if file is not None:
            file.close()
        self._length = self._longest_list = 0.0
        self.ended = False

    def clear(self) -> None:
        """Let go of everything."""
        self.retire(0.0)
        self._removed.clear()
        for file in self.files.values():
            file.close()
        self.files.clear()

    def _remove(self, now: float) -> None:
        segment = self._listed.popleft()
        self._length -= segment.duration
        self.discontinuities += segment.discontinuity
        # RFC 8216bis section 6.2.2: its own duration and that of the longest playlist it was in.
        until = now + segment.duration + self._longest_list
        if self._removed:  # kept in order
            until = max(until, self._removed[-1].until)
        self._removed.append(_Removed(until, segment.uri.encode("ascii")))

    def _write(self) -> None:
        body = m3u8.media_playlist(
            self._listed,
            target_duration=self._target,
            media_sequence=self.number - len(self._listed),
            discontinuity_sequence=self.discontinuities,
            ended=self.ended,
        )
        self.files[PLAYLIST_NAME] = File(
            _SHARED_FIELDS if self.shared and self._target > 1 else _PLAYLIST_FIELDS,
            body,
            self._copies,
        )
