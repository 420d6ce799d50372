"""HLS viewers in one process that do as players do: each polls, and fetches what is new once."""

from __future__ import annotations

import heapq
import select
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from posixpath import dirname
from typing import Final
from urllib.parse import urljoin
from zlib import crc32

from bench.address import HOST
from bench.flv import BadStream
from bench.hls import check_segment, request
from bench.hlsload import SAMPLE_EVERY, HLSResult
from bench.hlsloop import Loop, open_playlist, serve
from bench.playlist import MediaPlaylist, read_playlist
from bench.report import percentile

# Playlists that viewers were given lately; each is the same for all, and read once.
_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True)
class PollPlan:
    """What the viewers do.

    Attributes:
        port: The server's, for HTTP.
        viewers: So many, each with a connection.
        form: What they ask for; as of `multivariant_path`.
        sessions: Each must be given an address of its own.
    """

    port: int
    viewers: int
    form: str = ""
    sessions: bool = True


@dataclass(frozen=True, slots=True)
class PollResult(HLSResult):
    """What was answered within the window, requests at their times.

    Attributes:
        segments: So many of the answers were segments.
        target_seconds: How long each lasts at most, and how often each viewer asks.
    """

    segments: int
    target_seconds: float


@dataclass(slots=True)
class Shared:
    """What all viewers together know, so that each thing is looked at once.

    Attributes:
        lengths: Of segments, by name, as told first; every other must have the same.
        prints: Of their content that was looked at first; likewise.
    """

    lengths: dict[str, int] = field(default_factory=dict)
    prints: dict[str, int] = field(default_factory=dict)
    _playlists: dict[bytes, MediaPlaylist] = field(default_factory=dict)

    def playlist(self, body: bytes) -> MediaPlaylist:
        """Read a playlist, unless that was done."""
        found = self._playlists.get(body)
        if found is None:
            if len(self._playlists) >= _REMEMBERED:
                self._playlists.clear()
            found = self._playlists[body] = read_playlist(body)
        return found


class PollingViewer:
    """One viewer: what it asks for, and how long it waits.

    Args:
        path: Of the media playlist.
        body: The playlist as it was given first. The newest of its segments is the first that the
            viewer wants: it has watched for a while.
        shared: With all others.

    Attributes:
        awaits_segment: The request at hand is for one.
        target_seconds: Of the playlist.
        wait_seconds: From its last request for the playlist until the next: the target duration,
            or half of that where nothing was new (RFC 8216 section 6.3.4).
    """

    def __init__(self, path: str, body: bytes, shared: Shared) -> None:
        self.awaits_segment = False
        self._shared = shared
        self._folder = dirname(path) + "/"
        self._playlist = request(HOST, path)
        self._header = ""
        self._wanted: deque[str] = deque()
        # What the answer at hand is; empty: the playlist.
        self._name = ""
        listed = shared.playlist(body)
        self._next = listed.end - 1
        self._take(listed)
        self.target_seconds = self.wait_seconds = listed.target_seconds

    def playlist(self) -> bytes:
        """Say what is to be sent when its time has come."""
        self._name = ""
        self.awaits_segment = False
        return self._playlist

    def following(self) -> bytes | None:
        """Say what is to be sent as soon as nothing is under way; None: nothing until later."""
        if not self._wanted:
            return None
        self._name = self._wanted.popleft()
        self.awaits_segment = self._name != self._header
        return request(HOST, urljoin(self._folder, self._name))

    def length_told(self, length: int) -> None:
        """Take the length of the answer at hand.

        Raises:
            BadStream: The same segment had another one before, or there is no content.
        """
        if not length:
            raise BadStream("an empty answer")
        if self._name:
            before = self._shared.lengths.setdefault(self._name, length)
            if before != length:
                raise BadStream(f"{self._name}: {length} bytes, and {before} before")

    def content(self, body: bytes) -> None:
        """Take the content of the answer at hand.

        Raises:
            BadStream: It is not what was asked for, or another than before.
        """
        if self._name:
            check_segment(body)
            seen = crc32(body)
            if self._shared.prints.setdefault(self._name, seen) != seen:
                raise BadStream(f"{self._name}: another content than before")
        else:
            self._take(self._shared.playlist(body))

    def _take(self, listed: MediaPlaylist) -> None:
        if listed.end < self._next:
            raise BadStream(f"the playlist went back from {self._next} to {listed.end}")
        if listed.sequence > self._next:
            raise BadStream(f"segment {self._next} was gone before a viewer saw it")
        new = listed.names[self._next - listed.sequence :]
        self._next = listed.end
        self.wait_seconds = listed.target_seconds / (1 if new else 2)
        if new and listed.header != self._header:
            self._header = listed.header
            self._wanted.append(listed.header)
        self._wanted.extend(new)


def run_polling(plan: PollPlan, parent: Connection) -> None:
    """Watch as planned. Runs in a process of its own, and speaks as `run_hls` does.

    The parent is sent a `PollResult`. Requests are sent from the moment on that it answers.
    """
    serve(_Polling(plan), parent)


class _Polling(Loop[PollingViewer]):
    """Each viewer's requests at its own times, which are spread over the target duration."""

    def __init__(self, plan: PollPlan) -> None:
        super().__init__(plan.viewers)
        self._plan = plan
        # When each asks for its playlist again, unless it waits for an answer.
        self._queue: list[tuple[float, int]] = []
        self._due = [0.0] * len(self.viewers)
        self._free_at = [0.0] * len(self.viewers)
        self._asked_segments = self._segments = 0
        self._target = 0.0

    def open(self) -> None:
        """Have all viewers ask for their playlists, one after the other."""
        plan, shared, paths = self._plan, Shared(), set[str]()
        for number in range(plan.viewers):
            connection, path, body = open_playlist(plan.port, plan.form)
            try:
                viewer = PollingViewer(path, body, shared)
            except BaseException:
                connection.close()
                raise
            paths.add(path)
            self._target = viewer.target_seconds
            phase = self._target * (number + 0.5) / plan.viewers
            self._queue.append((phase, self.add(connection, viewer)))
        if plan.sessions and len(paths) != plan.viewers:
            raise BadStream(f"{plan.viewers} viewers have {len(paths)} sessions")

    def run(self, begin: float, end: float) -> PollResult:
        """Ask and count from now until `end`; what is returned is of the window."""
        clock, poll, queue = time.monotonic, self.poll, self._queue
        waiting = (poll,)
        started, late = clock(), 0.0
        queue[:] = [(started + phase, fd) for phase, fd in queue]
        counted: tuple[int, int, int, float] | None = None
        while (now := clock()) < end:
            if counted is None and now >= begin:
                counted = self.answers, self.received, self._segments, now
                self.delays.clear()
                late = 0.0
            due = queue[0][0] if queue else end
            if due <= now:
                fd = heapq.heappop(queue)[1]
                late = max(late, now - max(due, self._free_at[fd]))
                self._ask_playlist(fd, due, now)
                continue
            events = poll.poll(0)
            if events:
                for fd, _mask in events:
                    if self.read(fd):
                        self._go_on(fd)
                continue
            # Finer than epoll's own milliseconds, so that requests come one by one.
            until = min(due, end if counted is not None else begin)
            select.select(waiting, (), (), max(0.0, until - now))
        if counted is None:
            raise BadStream("the window had no length")
        answers, received, segments, at = counted
        if self._segments == segments:
            raise BadStream("no segment was answered")
        return PollResult(
            answers=self.answers - answers,
            received=self.received - received,
            seconds=now - at,
            delay_p50=percentile(self.delays, 50),
            delay_p99=percentile(self.delays, 99),
            late_ms=late * 1000,
            looked_at=self.looked_at,
            segments=self._segments - segments,
            target_seconds=self._target,
        )

    def _ask_playlist(self, fd: int, due: float, now: float) -> None:
        viewer = self.viewers[fd]
        assert viewer is not None
        self._due[fd] = due
        self.ask(fd, viewer.playlist(), now, keep=True)

    def _go_on(self, fd: int) -> None:
        """Ask for the next new segment, or wait for the time of the playlist."""
        viewer, now = self.viewers[fd], time.monotonic()
        assert viewer is not None
        self._segments += viewer.awaits_segment
        data = viewer.following()
        if data is not None:
            keep = self._asked_segments % SAMPLE_EVERY == 0
            self._asked_segments += 1
            self.ask(fd, data, now, keep=keep)
            return
        self._free_at[fd] = now
        heapq.heappush(self._queue, (self._due[fd] + viewer.wait_seconds, fd))
