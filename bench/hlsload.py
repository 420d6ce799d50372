"""HLS viewers in one process: requests at a fixed rate, and what was answered."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from bench.address import HOST
from bench.flv import BadStream
from bench.hls import HLSViewer, Known
from bench.hlsloop import Loop, open_playlist, serve
from bench.report import percentile

SAMPLE_EVERY: Final = 64
"""The content of every so many answers is looked at; of all others status and length."""


@dataclass(frozen=True, slots=True)
class HLSPlan:
    """What the viewers do.

    Attributes:
        port: The server's, for HTTP.
        viewers: So many, each with a connection and a session.
        rate: Requests a second of all together; 0: each asks again as soon as it is answered.
        refresh_seconds: Each asks for its playlist so often and else for segments; 0: for its
            playlist only.
    """

    port: int
    viewers: int
    rate: float
    refresh_seconds: float


@dataclass(frozen=True, slots=True)
class HLSResult:
    """What was answered within the window.

    Attributes:
        answers: Complete ones.
        received: Bytes, heads included.
        seconds: The window's length.
        delay_p50: Seconds from before a request until its answer was complete.
        delay_p99: Likewise.
        late_ms: The largest delay of a request behind its time.
        looked_at: So many answers' contents were checked, from the beginning.
    """

    answers: int
    received: int
    seconds: float
    delay_p50: float
    delay_p99: float
    late_ms: float
    looked_at: int


def run_hls(plan: HLSPlan, parent: Connection) -> None:
    """Watch as planned. Runs in a process of its own.

    The parent is sent the string `ready` when all viewers have their playlists. It sends begin
    and end of the window, and is sent the `HLSResult`, or instead of either the exception that
    ended it. Requests are sent from before the window until its end.
    """
    serve(_Load(plan), parent)


def open_viewer(port: int, known: Known, refresh_seconds: float) -> tuple[socket.socket, HLSViewer]:
    """Connect, and ask for both playlists, as a player does.

    Raises:
        BadStream: Either is not a playlist, or is refused.
        OSError: The server is not there, or does not answer.
    """
    connection, path, body = open_playlist(port)
    try:
        viewer = HLSViewer(HOST, path, body, known, refresh_seconds, time.monotonic())
    except BaseException:
        connection.close()
        raise
    return connection, viewer


class _Load(Loop[HLSViewer]):
    """Requests at a rate, each on the connection that was answered longest ago."""

    def __init__(self, plan: HLSPlan) -> None:
        super().__init__(plan.viewers)
        self._plan = plan
        self._idle: deque[int] = deque()
        self._requests = 0

    def open(self) -> None:
        """Have all viewers ask for their playlists, one after the other."""
        plan, known = self._plan, Known()
        for _number in range(plan.viewers):
            connection, viewer = open_viewer(plan.port, known, plan.refresh_seconds)
            self._idle.append(self.add(connection, viewer))

    def run(self, begin: float, end: float) -> HLSResult:
        """Ask and count from now until `end`; what is returned is of the window."""
        clock, poll, rate = time.monotonic, self.poll, self._plan.rate
        waiting = (poll,)
        started, late = clock(), 0.0
        counted: tuple[int, int, float] | None = None
        while (now := clock()) < end:
            if counted is None and now >= begin:
                counted = self.answers, self.received, now
                self.delays.clear()
                late = 0.0
            due = started + self._requests / rate if rate else now
            if due <= now and self._idle:
                late = max(late, now - due)
                self._next(self._idle.popleft(), now)
                continue
            events = poll.poll(0)
            if events:
                for fd, _mask in events:
                    if self.read(fd):
                        self._idle.append(fd)
                continue
            # Finer than epoll's own milliseconds, so that requests come one by one.
            until = end if counted is not None else begin
            if self._idle:
                until = min(until, due)
            select.select(waiting, (), (), max(0.0, until - now))
        if counted is None:
            raise BadStream("the window had no length")
        answers, received, at = counted
        if self.answers == answers:
            raise BadStream("nothing was answered")
        return HLSResult(
            self.answers - answers,
            self.received - received,
            now - at,
            percentile(self.delays, 50),
            percentile(self.delays, 99),
            late * 1000,
            self.looked_at,
        )

    def _next(self, fd: int, now: float) -> None:
        viewer = self.viewers[fd]
        assert viewer is not None
        data = viewer.request(now)
        keep = self._requests % SAMPLE_EVERY == 0 or viewer.needs_content()
        self._requests += 1
        self.ask(fd, data, now, keep=keep)
