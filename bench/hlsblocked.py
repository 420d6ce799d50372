"""Low-latency HLS viewers who all wait for the same part, and how soon all have it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final, NamedTuple

from bench.address import HOST
from bench.flv import BadStream
from bench.hls import request
from bench.hlsloop import Loop, open_playlist, serve
from bench.playlist import read_playlist
from bench.proc import run_seconds

# Longer than any part, and than a segment whose length is not known.
_ANSWER_SECONDS: Final = 10.0

# After the last answer: the server waits again, and what it cost is told in full.
_REST_SECONDS: Final = 0.005


@dataclass(frozen=True, slots=True)
class BlockedPlan:
    """What the viewers do.

    Attributes:
        port: The server's, for HTTP.
        viewers: So many, each with a connection and a session.
        pid: The server's process.
    """

    port: int
    viewers: int
    pid: int


class Batch(NamedTuple):
    """All viewers' requests, sent at once, and their answers.

    Attributes:
        sending: Seconds until all were sent.
        first: Until the first answer began to come.
        last: Until the last answer was complete.
        cpu: CPU seconds of the server in that time.
    """

    sending: float
    first: float
    last: float
    cpu: float

    @property
    def spread(self) -> float:
        """Seconds from the beginning of the first answer to the end of the last."""
        return self.last - self.first

    @property
    def waited(self) -> bool:
        """Whether all had asked before any was answered."""
        return self.sending < self.first


@dataclass(frozen=True, slots=True)
class BlockedResult:
    """What was measured in the window, part by part.

    Attributes:
        blocked: Requests for a part that was to come, of those parts that all waited for.
        plain: Requests for the playlist as it was, one batch after each of those.
        tried: So many batches were sent for parts that were to come.
    """

    blocked: tuple[Batch, ...]
    plain: tuple[Batch, ...]
    tried: int

    @property
    def blocked_seconds(self) -> float:
        """Median time of all answers, from the first byte to the last."""
        return statistics.median(batch.spread for batch in self.blocked)

    @property
    def plain_seconds(self) -> float:
        """Median time of all plain requests, from before the first until all are answered."""
        return statistics.median(batch.last for batch in self.plain)


class BlockedViewer:
    """One viewer: its address, and the last playlist that it was given."""

    def __init__(self, path: str, body: bytes) -> None:
        self.body = body
        self.plain = request(HOST, path)
        self._path = path

    def waiting_for(self, part: tuple[int, int]) -> bytes:
        """Ask for a playlist with this part (RFC 8216bis section 6.2.5.2)."""
        return request(HOST, f"{self._path}?_HLS_msn={part[0]}&_HLS_part={part[1]}")

    def length_told(self, length: int) -> None:
        """Take the length of the answer at hand, which is looked at in any case."""

    def content(self, body: bytes) -> None:
        """Take the content of the answer at hand."""
        self.body = body


def run_blocked(plan: BlockedPlan, parent: Connection) -> None:
    """Watch as planned. Runs in a process of its own, and speaks as `run_hls` does.

    The parent is sent a `BlockedResult`.
    """
    serve(_Blocked(plan), parent)


class _Blocked(Loop[BlockedViewer]):
    """Batches of requests, in turn for a part to come and for what there is."""

    def __init__(self, plan: BlockedPlan) -> None:
        super().__init__(plan.viewers)
        self._plan = plan
        self._all: list[tuple[int, BlockedViewer]] = []

    def open(self) -> None:
        """Have all viewers ask for their playlists, one after the other."""
        plan, paths = self._plan, set[str]()
        for _number in range(plan.viewers):
            connection, path, body = open_playlist(plan.port, "ll")
            viewer = BlockedViewer(path, body)
            self._all.append((self.add(connection, viewer), viewer))
            paths.add(path)
        if len(paths) != plan.viewers:
            raise BadStream(f"{plan.viewers} viewers have {len(paths)} sessions")

    def run(self, begin: float, end: float) -> BlockedResult:
        """Measure from now until `end`; what is returned began in the window."""
        blocked: list[Batch] = []
        plain: list[Batch] = []
        tried = 0
        while (now := time.monotonic()) < end:
            waiting = self._waiting()
            asking = self._plain()
            if now < begin:
                continue
            tried += 1
            if waiting.waited:
                blocked.append(waiting)
                plain.append(asking)
        if not blocked:
            raise BadStream(f"no part of {tried} was to come when all had asked for it")
        return BlockedResult(tuple(blocked), tuple(plain), tried)

    def _waiting(self) -> Batch:
        """Have all wait for the part after one that was just complete: that gives most time."""
        fd, one = self._all[0]
        self._batch([(fd, one.plain)])
        self._batch([(fd, one.waiting_for(read_playlist(one.body).following))])
        part = read_playlist(one.body).following
        batch = self._batch([(fd, viewer.waiting_for(part)) for fd, viewer in self._all])
        for body in {viewer.body for _fd, viewer in self._all}:
            if read_playlist(body).following <= part:
                raise BadStream(f"answered without part {part[1]} of segment {part[0]}")
        return batch

    def _plain(self) -> Batch:
        return self._batch([(fd, viewer.plain) for fd, viewer in self._all])

    def _batch(self, requests: list[tuple[int, bytes]]) -> Batch:
        """Send all, and take all answers."""
        clock, poll, read, pid = time.monotonic, self.poll.poll, self.read, self._plan.pid
        left, first, cpu = len(requests), 0.0, -run_seconds(pid)
        started = clock()
        for fd, data in requests:
            self.ask(fd, data, started, keep=True)
        sending = clock() - started
        while left:
            events = poll(_ANSWER_SECONDS)
            if not events:
                raise BadStream(f"{left} of {len(requests)} requests are not answered")
            first = first or clock() - started
            for fd, _mask in events:
                left -= read(fd)
        last = clock() - started
        time.sleep(_REST_SECONDS)
        return Batch(sending, first, last, cpu + run_seconds(pid))
