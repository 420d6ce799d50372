"""Segments loaded, several at a time, until all that is wanted is there."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, FirstError, gatherResults

from ntvmedia.cli.hls_download.folder import Entry, SegmentFile, WorkFolder
from ntvmedia.cli.hls_download.progress import Progress
from ntvmedia.clients.hls.loader import Loader, LoadError
from ntvmedia.clients.hls.retries import LATE
from ntvmedia.formats.hls_media import is_media
from ntvmedia.formats.m3u8 import ByteRange
from ntvmedia.wire.hls.resources import InitSection, MediaSegment

# What a live server says of segments that it has no more.
_GONE: Final = (404, 410)


class Task(NamedTuple):
    """A segment that is wanted. Those that begin earlier are loaded earlier.

    Attributes:
        start: Seconds from the beginning of its playlist.
        source: Number of the playlist.
        place: Its place in what is made of that.
        segment: Itself.
        is_live: It may be gone before it is loaded, and come later than its playlist.
    """

    start: float
    source: int
    place: int
    segment: MediaSegment
    is_live: bool


class Downloads:
    """Loads what it is given, into a folder.

    Args:
        loader: Asks servers.
        folder: What is there already is not loaded again.
        progress: Is told.
        jobs: How many at a time.
        partial: What cannot be had is left out.

    Attributes:
        missing: How many could not be had, and were left out.
    """

    def __init__(
        self, loader: Loader, folder: WorkFolder, progress: Progress, *, jobs: int, partial: bool
    ) -> None:
        self.missing = 0
        self._loader = loader
        self._folder = folder
        self._progress = progress
        self._jobs = jobs
        self._partial = partial
        self._tasks: list[Task] = []
        self._idle: list[Deferred[None]] = []
        self._closed = False
        self._init_files: dict[tuple[int, InitSection], str] = {}

    def add(self, task: Task) -> None:
        """Have a segment loaded, unless it is there."""
        source, index, segment = task.source, task.place, task.segment
        entry = self._folder.entries.get((source, index))
        # What could not be had may be there now.
        if entry is not None and entry.size >= 0 and entry[2:6] == _identity(segment):
            self._count(source, segment.duration)
            return
        heapq.heappush(self._tasks, task)
        if self._idle:
            self._idle.pop().callback(None)

    def close(self) -> None:
        """Nothing is added any more."""
        self._closed = True
        while self._idle:
            self._idle.pop().callback(None)

    async def run(self) -> None:
        """Load, until it is closed and everything is there.

        Raises:
            NtvMediaError: Something cannot be had, or is no media.
            OSError: Something cannot be written.
        """
        workers = [Deferred.fromCoroutine(self._work()) for _job in range(self._jobs)]
        await gather(workers)

    async def _work(self) -> None:
        while True:
            if self._tasks:
                await self._load(heapq.heappop(self._tasks))
            elif self._closed:
                return
            else:
                waiting: Deferred[None] = Deferred(self._idle.remove)
                self._idle.append(waiting)
                await waiting

    async def _load(self, task: Task) -> None:
        source, index, segment = task.source, task.place, task.segment
        size, init = -1, ""
        if not segment.gap:
            try:
                if segment.init_section is not None:
                    init = await self._init_file(task, segment.init_section)
                size = await self._segment_file(task)
            except LoadError as error:
                if not self._partial and not (task.is_live and error.status in _GONE):
                    raise
                self._progress.say(f"{error}; it is left out")
                self.missing += 1
        self._folder.complete(
            Entry(
                source,
                index,
                *_identity(segment),
                segment.discontinuity,
                init,
                size,
                segment.wall_seconds,
            )
        )
        self._count(source, segment.duration)

    async def _segment_file(self, task: Task) -> int:
        file = SegmentFile(self._folder.segment_path(task.source, task.place))
        try:
            await self._loader.segment(
                task.segment,
                file,
                is_media,
                statuses=LATE if task.is_live else None,
                received=self._received,
            )
            return file.complete()
        finally:
            file.close()

    async def _init_file(self, task: Task, section: InitSection) -> str:
        place = (task.source, section)
        if place not in self._init_files:
            data = await self._loader.init_section(section)
            # Another job may have been here meanwhile.
            if place not in self._init_files:
                self._init_files[place] = self._folder.write_init(task.source, task.place, data)
        return self._init_files[place]

    def _received(self, count: int) -> None:
        self._progress.received += count

    def _count(self, source: int, seconds: float) -> None:
        # The renditions go along with the variant, and are of the same length.
        if source == 0:
            self._progress.done += seconds


def _identity(segment: MediaSegment) -> tuple[int, str, ByteRange | None, float]:
    """Return what of a segment stands in its `Entry`, from `number` to `duration`."""
    name = urlsplit(segment.url).path.rpartition("/")[2]
    return segment.number, name, segment.byte_range, segment.duration


async def gather(running: Sequence[Deferred[None]]) -> None:
    """Wait for all; when one fails, or the wait is cancelled, the others are cancelled.

    Raises:
        Exception: What the first of them failed with.
    """
    try:
        await gatherResults(running, consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()
    finally:
        for one in running:
            one.cancel()
