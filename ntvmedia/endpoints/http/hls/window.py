"""The segments of one media playlist: those listed, and those that may still be fetched."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ntvmedia.endpoints.http.hls.files import Copies, File
from ntvmedia.formats import m3u8
from ntvmedia.formats.m3u8 import SKIP_TARGETS, Key, LowLatency, Map, Part, Report, Segment
from ntvmedia.formats.m3u8_writer import media_playlist

PLAYLIST_NAME: Final = b"index.m3u8"

# A playlist is never shorter than so many target durations (RFC 8216bis section 6.2.2).
LEAST_TARGETS: Final = 3

# Parts are listed, and can be had after that, for so many target durations (section 6.2.2).
PART_TARGETS: Final = 3

MAX_BYTES: Final = 1 << 30
"""Of all that can be fetched: with more, what is listed no longer goes before its time."""

_PLAYLIST: Final = f"Content-Type: {m3u8.CONTENT_TYPE}\r\nCache-Control: "
_PLAYLIST_FIELDS: Final = f"{_PLAYLIST}no-cache\r\n"
# For caches between us and many: at most half of the target duration (C-PL-12).
_SHARED_FIELDS: Final = f"{_PLAYLIST}max-age=1\r\n"
# A name is never given to other bytes.
_MEDIA_CACHE: Final = "Cache-Control: max-age=3600, immutable\r\n"
KEY_FIELDS: Final = "Content-Type: application/octet-stream\r\nCache-Control: no-store\r\n"
"""The header fields of a key: nobody keeps it but who plays."""


# Until when something is kept that is needed for what will be listed.
_NEEDED: Final = float("inf")


class NewSegment(NamedTuple):
    """What begins a segment, and is the same in all of its parts.

    Attributes:
        wall_seconds: As of `ntvmedia.formats.m3u8.Segment`; with the following likewise.
        discontinuity: Something changed before it.
        map_uri: Of its init segment, which is never encrypted; empty for none.
        key: What it is encrypted with.
        extension: Of its name, and of those of its parts.
        content_type: Of both.
    """

    wall_seconds: float
    discontinuity: bool
    map_uri: str
    key: Key | None
    extension: str
    content_type: str


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
        reports: Asked where the other playlists of the stream stand.

    Attributes:
        files: All that can be fetched, by name: the playlist, once there is a segment, the
            segments and parts, and what is needed for them.
        number: Of the next segment.
        discontinuities: How many there were before the first segment that is listed.
        target_duration: Seconds; of the playlist.
        count: How many segments are to be listed.
        part_target: Seconds; 0 for a list without parts.
        can_block: Players may wait for what is next; of a list with parts.
        begun: There was a segment.
        ended: The list says that nothing follows.
        shared: Caches may keep the playlist for a moment.
        stale: The playlist has to be written again before somebody is given it.
        size: Bytes of all that can be fetched.
        peak_bitrate: Bits a second of the largest segment so far, for its length.
    """

    def __init__(
        self,
        number: int,
        discontinuities: int,
        suffix: str,
        copies: Copies,
        reports: Callable[[], Sequence[Report]] = tuple,
    ) -> None:
        self.files: dict[bytes, File] = {}
        self.number = number
        self.discontinuities = discontinuities
        self.target_duration = 0
        self.count = 0
        self.part_target = 0.0
        self.can_block = False
        self.begun = False
        self.shared = False
        self.ended = False
        self.stale = False
        self.size = 0
        self.peak_bitrate = 0.0
        self._suffix = suffix
        self._copies = copies
        self._reports = reports
        self._inits = 0
        self._listed: deque[Segment] = deque()
        self._sizes: deque[int] = deque()
        self._next: Segment | None = None
        self._next_media = ("", "")
        self._removed: deque[_Removed] = deque()
        self._removed_parts: deque[_Removed] = deque()
        self._needed: dict[bytes, float] = {}
        self._length = 0.0
        self._longest_list = 0.0
        self._with_parts = 0
        self._answers: dict[tuple[bool, bool], File] = {}

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
    def parts(self) -> int:
        """How many parts the segment has that is being made."""
        return len(self._next.parts) if self._next is not None else 0

    @property
    def _next_length(self) -> float:
        return sum(x.duration for x in self._next.parts) if self._next is not None else 0.0

    @property
    def average_bitrate(self) -> float:
        """Bits a second of all that is listed; 0 for nothing."""
        return sum(self._sizes) * 8 / self._length if self._length else 0.0

    @property
    def hint(self) -> bytes:
        """The name that the next part will have; empty in a list without."""
        if not (self.part_target and self.can_block) or self.ended:
            return b""
        return self._part_name(self.parts).encode("ascii")

    def parts_of(self, number: int) -> int:
        """Return how many parts are listed of a segment; 0 for one that has none."""
        if number == self.number:
            return self.parts
        index = number - self.number
        return len(self._listed[index].parts) if -len(self._listed) <= index < 0 else 0

    def add_init(self, body: bytes, content_type: str) -> str:
        """Keep an init segment for those that will name it.

        Returns:
            Its name.
        """
        name = f"init{self._inits}-{self._suffix}.mp4"
        self._inits += 1
        self._need(name, body, f"Content-Type: {content_type}\r\n{_MEDIA_CACHE}")
        return name

    def add_key(self, name: str, body: bytes) -> None:
        """Keep a key for the segments that name it. Idempotent."""
        if name.encode("ascii") in self.files:
            self._needed[name.encode("ascii")] = _NEEDED
        else:
            self._need(name, body, KEY_FIELDS)

    def open(self, segment: NewSegment) -> None:
        """Begin a segment."""
        self._next = Segment(
            "",
            0.0,
            segment.wall_seconds,
            segment.discontinuity,
            map=Map(segment.map_uri) if segment.map_uri else None,
            key=segment.key,
        )
        self._next_media = segment.extension, segment.content_type

    def add_part(self, body: bytes, duration: float, now: float, *, independent: bool) -> None:
        """Add a part to the segment that was begun.

        Args:
            body: Its content.
            duration: Seconds.
            now: Monotonic seconds.
            independent: As of `ntvmedia.formats.m3u8.Part`.
        """
        segment = self._next
        assert segment is not None
        name = self._part_name(len(segment.parts))
        self._keep(name, body, self._next_media[1])
        self._next = segment._replace(parts=(*segment.parts, Part(name, duration, independent)))
        if self._with_parts:
            self._drop_parts(now)

    def add(self, body: bytes, duration: float, now: float, *, gap: bool = False) -> None:
        """List the segment that was begun, and remove those that are old.

        Args:
            body: Its content.
            duration: Seconds.
            now: Monotonic seconds.
            gap: It has no media.
        """
        segment, self._next = self._next, None
        assert segment is not None
        extension, content_type = self._next_media
        name = f"{self.number}-{self._suffix}.{extension}"
        self.number += 1
        self.begun = True
        self._keep(name, body, content_type)
        self._listed.append(segment._replace(uri=name, duration=duration, gap=gap))
        self._sizes.append(len(body))
        self._with_parts += bool(segment.parts)
        if duration > 0 and not gap:
            self.peak_bitrate = max(self.peak_bitrate, len(body) * 8 / duration)
        self._length += duration
        self._longest_list = max(self._longest_list, self._length)
        while (
            len(self._listed) > self.count
            and self._length - self._listed[0].duration >= LEAST_TARGETS * self.target_duration
        ):
            self._remove(now)
        if self._with_parts:
            self._drop_parts(now)
        self.purge(now)

    def end(self) -> None:
        """Say that nothing follows."""
        self.ended = True
        self._next = None
        if self._listed:
            self.write()

    def purge(self, now: float) -> None:
        """Let go of removed segments that no player may still want."""
        for removed in (self._removed, self._removed_parts):
            while removed and (removed[0].until <= now or self.size > MAX_BYTES):
                self._discard(removed.popleft().name)
        for name, until in tuple(self._needed.items()):
            if until <= now and not self._is_needed(name.decode("ascii")):
                del self._needed[name]
                self._discard(name)

    def retire(self, now: float) -> None:
        """Remove all segments, and the playlist; numbers go on.

        The segments can still be had, as all that are removed: a player may just have read of them.
        """
        self._drop_next(now)
        while self._listed:
            self._remove(now)
        # What nothing that was listed needed, parts may have.
        ends = [x[-1].until for x in (self._removed, self._removed_parts) if x]
        for name, until in self._needed.items():
            if until == _NEEDED:
                self._needed[name] = max(ends, default=now)
        if PLAYLIST_NAME in self.files:
            self._discard(PLAYLIST_NAME)
        self._answers.clear()
        self._length = self._longest_list = 0.0
        self.ended = False

    def clear(self) -> None:
        """Let go of everything."""
        self.retire(0.0)
        self._removed.clear()
        self._removed_parts.clear()
        self._needed.clear()
        for name in tuple(self.files):
            self._discard(name)

    def write(self) -> None:
        """Make the playlist tell what there is now; nothing while there is no segment."""
        self.stale = False
        self._answers.clear()
        if PLAYLIST_NAME in self.files:
            self._discard(PLAYLIST_NAME)
        if not self._listed:
            return
        is_shared = self.shared and self.target_duration > 1
        body = self._body(0)
        self.size += len(body)
        self.files[PLAYLIST_NAME] = File(
            _SHARED_FIELDS if is_shared else _PLAYLIST_FIELDS, body, self._copies
        )

    def answer(self, *, delta: bool, certain: bool) -> File:
        """Return the playlist as it was asked for.

        Args:
            delta: Leave out what is old, where there is such.
            certain: It had to have a certain segment. Caches may keep that, since nobody asks for
                it in vain (RFC 8216bis appendix B.1).
        """
        if self.stale:
            self.write()
        whole = self.files[PLAYLIST_NAME]
        lasts = certain and self.shared
        if not (delta or lasts):
            return whole
        file = self._answers.get((delta, lasts))
        if file is None:
            seconds = SKIP_TARGETS * self.target_duration
            fields = f"{_PLAYLIST}max-age={seconds}\r\n" if lasts else whole.fields
            skipped = self._skipped() if delta else 0
            body = self._body(skipped) if skipped else whole.body
            file = self._answers[delta, lasts] = File(fields, body, self._copies)
        return file

    def _body(self, skipped: int) -> bytes:
        low_latency = None
        if self.part_target:
            low_latency = LowLatency(
                self.part_target,
                self.can_block,
                self._next,
                self.hint.decode("ascii"),
                self._reports(),
            )
        return media_playlist(
            self._listed if not skipped else tuple(self._listed),
            target_duration=self.target_duration,
            media_sequence=self.number - len(self._listed),
            discontinuity_sequence=self.discontinuities,
            ended=self.ended,
            low_latency=low_latency,
            skipped=skipped,
        )

    def _skipped(self) -> int:
        """Return how many segments are so old that a delta update may leave them out."""
        kept = SKIP_TARGETS * self.target_duration
        rest = self._length + self._next_length
        for index, segment in enumerate(self._listed):
            rest -= segment.duration
            if rest < kept:
                return index
        return 0

    def _part_name(self, index: int) -> str:
        extension = self._next_media[0] or "m4s"
        return f"{self.number}.{index}-{self._suffix}.{extension}"

    def _keep(self, name: str, body: bytes, content_type: str) -> None:
        file = File(f"Content-Type: {content_type}\r\n{_MEDIA_CACHE}", body, self._copies)
        self.files[name.encode("ascii")] = file
        self.size += len(body)

    def _need(self, name: str, body: bytes, fields: str) -> None:
        self.files[name.encode("ascii")] = File(fields, body, self._copies)
        self.size += len(body)
        self._needed[name.encode("ascii")] = _NEEDED

    def _discard(self, name: bytes) -> None:
        file = self.files.pop(name)
        self.size -= len(file.body)
        file.close()

    def _is_needed(self, name: str) -> bool:
        """Whether an init segment or a key is named in the list."""
        listed = [*self._listed, *([self._next] if self._next is not None else ())]
        return any((x.map and x.map.uri == name) or (x.key and x.key.uri == name) for x in listed)

    def _remove(self, now: float) -> None:
        segment = self._listed.popleft()
        self._sizes.popleft()
        self._length -= segment.duration
        self.discontinuities += segment.discontinuity
        # RFC 8216bis section 6.2.2: its own duration and that of the longest playlist it was in.
        until = now + segment.duration + self._longest_list
        if self._removed:  # kept in order
            until = max(until, self._removed[-1].until)
        self._removed.append(_Removed(until, segment.uri.encode("ascii")))
        if segment.parts:
            self._with_parts -= 1
            self._remove_parts(segment, now)
        if self._removed_parts:
            until = max(until, self._removed_parts[-1].until)
        for needed in (segment.map, segment.key):
            if needed is not None and not self._is_needed(needed.uri):
                self._needed[needed.uri.encode("ascii")] = until

    def _drop_parts(self, now: float) -> None:
        """List no parts of segments that are far from the end."""
        rest = self._length + self._next_length
        for index, segment in enumerate(self._listed):
            rest -= segment.duration
            if rest < PART_TARGETS * self.target_duration:
                break
            if segment.parts:
                self._with_parts -= 1
                self._remove_parts(segment, now)
                self._listed[index] = segment._replace(parts=())

    def _remove_parts(self, segment: Segment, now: float) -> None:
        until = now + PART_TARGETS * self.target_duration
        for part in segment.parts:
            self._removed_parts.append(_Removed(until, part.uri.encode("ascii")))

    def _drop_next(self, now: float) -> None:
        segment, self._next = self._next, None
        if segment is not None and segment.parts:
            self._remove_parts(segment, now)
            self.number += 1  # its number was seen
            self.discontinuities += segment.discontinuity
