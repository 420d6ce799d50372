"""What playlists have, given to be loaded: of those that have ended at once, of others in time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.hls_download.downloads import Downloads, Task
from ntvmedia.cli.hls_download.folder import Entry, WorkFolder
from ntvmedia.cli.hls_download.progress import Progress, clock
from ntvmedia.clients.hls.loader import Loader, LoadError
from ntvmedia.formats.m3u8 import ByteRange, MediaPlaylist, MultivariantPlaylist
from ntvmedia.media.packets import MediaKind
from ntvmedia.wire.hls.follower import EDGE_TARGETS, Follower, Identity, Start, edge
from ntvmedia.wire.hls.resources import MediaSegment

# A list that says nothing new for so long, in seconds or target durations, is over.
_DEAD_SECONDS: Final = 60.0
_DEAD_TARGETS: Final = 10

# A list that cannot be had, or is none, so often in a row is over. Each time it was asked for as
# often as the options say.
_STRIKES: Final = 3

# What is said of a list that is no more.
_GONE: Final = (404, 410)


class Part(NamedTuple):
    """What a media playlist is to the file.

    Attributes:
        name: What tells it from other playlists of the same stream.
        language: BCP 47, or empty.
        only: What of it is wanted; None for all.
    """

    name: str = ""
    language: str = ""
    only: MediaKind | None = None


class Source(NamedTuple):
    """A media playlist that is made part of the file.

    Attributes:
        number: 0 for the variant, then the renditions.
        part: What it is to the file.
        url: As it is asked for.
        playlist: As it was loaded first.
        base: Where that came from.
        variables: Of the multivariant playlist that named it.
    """

    number: int
    part: Part
    url: str
    playlist: MediaPlaylist
    base: str
    variables: Mapping[str, str] = {}


class Window(NamedTuple):
    """What part of a stream is wanted, in seconds; None where nothing was said.

    Attributes:
        begin: From the start of the list.
        end: Likewise.
        duration: From `begin`, or of a list that grows from now on.
    """

    begin: float | None
    end: float | None
    duration: float | None

    @property
    def is_whole(self) -> bool:
        """Whether all is wanted."""
        return self == (None, None, None)

    @property
    def span(self) -> tuple[float, float]:
        """Where it begins and ends, from the start of the list."""
        begin = self.begin or 0.0
        end = math.inf if self.end is None else self.end
        return begin, end if self.duration is None else min(end, begin + self.duration)


class Beginning(NamedTuple):
    """Where a list was begun.

    Attributes:
        number: Media sequence number of the first segment that was wanted.
        wall_seconds: Of its beginning, seconds since 1970; None where nobody told.
    """

    number: int
    wall_seconds: float | None


class Made(NamedTuple):
    """What of a source is wanted, and its length.

    Attributes:
        first: Index of the first segment.
        last: Index of the last one.
        loaded: How many of them are there.
        seconds: As the playlist has it, of those.
    """

    first: int
    last: int
    loaded: int
    seconds: float


async def load_media_playlist(
    loader: Loader, url: str, variables: Mapping[str, str]
) -> tuple[MediaPlaylist, str]:
    """Load a playlist that must list segments.

    Args:
        loader: Loads it.
        url: Of it.
        variables: Of the multivariant playlist that named it.

    Raises:
        Failed: It lists playlists again.
        NtvMediaError: It cannot be had.
    """
    playlist, base = await loader.playlist(url, variables)
    if isinstance(playlist, MultivariantPlaylist):
        raise Failed(f"{urlsplit(url).path}: a variant leads to another multivariant playlist")
    return playlist, base


def plan(source: Source, window: Window, downloads: Downloads) -> range:
    """Have what is wanted of a list that has ended loaded.

    Returns:
        The places of its segments in the list.

    Raises:
        Failed: Nothing of it is wanted.
        PeerError: It leads to what cannot be loaded.
    """
    segments = Follower(Start.FIRST).playlist_received(source.playlist, source.base)
    begin, end = window.span
    time = 0.0
    places = []
    for index, segment in enumerate(segments):
        start, time = time, time + segment.duration
        if window.is_whole or (begin < end and time > begin and start < end):
            downloads.add(Task(start, source.number, index, segment, is_live=False))
            places.append(index)
    if not places:
        raise Failed(
            f"nothing of the playlist's {clock(time)} is wanted"
            if segments
            else "the playlist has no segments"
        )
    return range(places[0], places[-1] + 1)


class Following:
    """Has what a list that grows gets loaded, until there is enough or no more.

    Args:
        reactor: Its time.
        loader: Loads the list.
        downloads: Loads its segments.
        folder: What is there from another time.
        progress: Is told.
        source: The list.
        window: What is wanted. Its `begin` and `end` are for lists that keep their beginning.

    Attributes:
        problem: Why it came to an end before there was enough, and before the stream did.
    """

    def __init__(
        self,
        reactor: Any,
        loader: Loader,
        downloads: Downloads,
        folder: WorkFolder,
        progress: Progress,
        source: Source,
        window: Window,
    ) -> None:
        self._reactor = reactor
        self._loader = loader
        self._downloads = downloads
        self._progress = progress
        self._source = source
        self._begin, self._end = window.span
        # How much of the list was seen, from where it was begun.
        self._time = 0.0
        there = [entry for (number, _), entry in folder.entries.items() if number == source.number]
        self._there = sorted(there, key=lambda entry: entry.place)
        self._follower = Follower()
        self._index = 0
        self.problem = ""

    @property
    def is_done(self) -> bool:
        """Whether there is enough."""
        return self._time >= self._end

    @property
    def began_at(self) -> Beginning | None:
        """Where this list was begun at another time."""
        if not self._there:
            return None
        entry = self._there[0]
        wall = entry.wall_seconds if not entry.place else None
        return Beginning(entry.number - entry.place, wall)

    def begin(self, beside: Beginning | None) -> Beginning | None:
        """Begin with the list as it was loaded first.

        Args:
            beside: Where another list of the same stream was begun, to begin there too; None to
                begin where players do.

        Returns:
            Where it began; None where it has nothing yet.
        """
        playlist, base = self._source.playlist, self._source.base
        if self._there:
            self._resume(playlist, base)
            return self.began_at
        if beside is not None:
            self._follower = Follower(Start.FIRST)
        found = self._follower.playlist_received(playlist, base)
        if beside is not None:
            found = _from(beside, found, playlist)
        self._add(found)
        return Beginning(found[0].number, found[0].wall_seconds) if found else None

    def _resume(self, playlist: MediaPlaylist, base: str) -> None:
        """Go on behind what is there, and load what is missing in between, if it is listed."""
        there = self._there
        last = there[-1]
        self._follower = Follower(after=_identity(last))
        found = self._follower.playlist_received(playlist, base)
        seconds = sum(entry.duration for entry in there)
        if self._source.number == 0:
            self._progress.done += seconds
        missing = list(_holes(there))
        if missing and not self._follower.restarts:
            listed = Follower(Start.FIRST).playlist_received(playlist, base)
            by_number = {segment.number: segment for segment in listed}
            for place, number in missing:
                segment = by_number.get(number)
                if segment is not None:
                    seconds += segment.duration
                    self._downloads.add(
                        Task(0.0, self._source.number, place, segment, is_live=True)
                    )
        self._index = last.place + 1
        self._time = self._begin + seconds
        self._add(found)

    def _add(self, segments: list[MediaSegment]) -> None:
        for segment in segments:
            if self.is_done:
                break
            start, self._time = self._time, self._time + segment.duration
            if self._time > self._begin:
                task = Task(start, self._source.number, self._index, segment, is_live=True)
                self._downloads.add(task)
                self._index += 1

    async def run(self) -> None:
        """Follow the list.

        Raises:
            Failed: It is another kind of playlist now.
            PeerError: It leads to what cannot be loaded.
        """
        follower = self._follower
        asked = heard = self._reactor.seconds()
        failures = 0
        while not (follower.ended or self.is_done):
            now = self._reactor.seconds()
            await self._loader.sleep(max(asked + follower.reload_seconds - now, 0.0))
            asked = self._reactor.seconds()
            try:
                playlist, base = await load_media_playlist(
                    self._loader, self._source.url, self._source.variables
                )
            except LoadError as error:
                if error.status in _GONE:
                    self._progress.say(f"{error}; the stream is over")
                    return
                failures += 1
                if failures < _STRIKES:
                    self._progress.say(f"{error}; it is asked for again")
                    continue
                # What there is becomes a file: nobody could go on without the list.
                self.problem = str(error)
                return
            failures = 0
            missed = follower.missed
            found = follower.playlist_received(playlist, base)
            if follower.missed > missed:
                self._progress.say(
                    f"{follower.missed - missed} segments were gone before they were seen"
                )
            self._add(found)
            now = self._reactor.seconds()
            if found:
                heard = now
            elif now - heard > max(_DEAD_SECONDS, _DEAD_TARGETS * follower.target_duration):
                self._progress.say(f"nothing new for {now - heard:.0f} s; the stream is over")
                return


def _holes(entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """Yield places without an entry whose numbers are sure, and these, of one list.

    Several segments are loaded at a time: at a kill, an earlier one may be missing.
    """
    first = entries[0]
    for place in range(first.place):
        yield place, first.number - first.place + place
    for before, after in pairwise(entries):
        if after.number - before.number == after.place - before.place:
            for place in range(before.place + 1, after.place):
                yield place, before.number - before.place + place


def _from(
    beside: Beginning, segments: list[MediaSegment], playlist: MediaPlaylist
) -> list[MediaSegment]:
    """Leave out what comes before a segment of another list of the same stream."""
    if beside.wall_seconds is not None and any(x.wall_seconds is not None for x in segments):
        wall = beside.wall_seconds
        for index, segment in enumerate(segments):
            end = (segment.wall_seconds or 0.0) + segment.duration
            if segment.wall_seconds is not None and end > wall:
                return segments[index:]
    numbers = [segment.number for segment in segments]
    if beside.number in numbers:
        return segments[numbers.index(beside.number) :]
    behind = EDGE_TARGETS * playlist.target_duration
    return segments[edge([segment.duration for segment in segments], behind) :]


def _identity(entry: Entry) -> Identity:
    byte_range = None if entry.byte_range is None else ByteRange(*entry.byte_range)
    return Identity(entry.number, entry.name, byte_range)


def made(folder: WorkFolder, source: int, places: range | None) -> Made:
    """Return what there is of a source.

    Args:
        folder: With all that was loaded.
        source: Number of it.
        places: What of it is wanted; None for all.
    """
    entries = [
        entry
        for (number, index), entry in folder.entries.items()
        if number == source and (places is None or index in places)
    ]
    indexes = [entry.place for entry in entries] or [0]
    there = [entry.duration for entry in entries if entry.size >= 0]
    return Made(min(indexes), max(indexes), len(there), sum(there))
