"""HLS viewers in one process: requests at a fixed rate, and what was answered."""

from __future__ import annotations

import gc
import re
import select
import socket
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final
from urllib.parse import urljoin

from bench.address import APPLICATION, HOST, stream_name
from bench.flv import MAX_HEAD_BYTES, BadStream
from bench.hls import HLSViewer, Known, playlist_names
from bench.httpload import fetch_on
from bench.report import percentile

_BUFFER_BYTES: Final = 1 << 20
_CONNECT_SECONDS: Final = 20.0

# The content of every so many answers is looked at; of all others status and length.
_SAMPLE_EVERY: Final = 64

_GOOD: Final = b"HTTP/1.1 200 "
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+) *\r\n", re.IGNORECASE)


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
    gc.disable()
    with closing(_Load(plan)) as load:
        try:
            load.open()
            parent.send("ready")
            begin, end = parent.recv()
            parent.send(load.run(begin, end))
        except (BadStream, OSError) as error:
            parent.send(error)


def open_viewer(port: int, known: Known, refresh_seconds: float) -> tuple[socket.socket, HLSViewer]:
    """Connect, and ask for both playlists, as a player does.

    Raises:
        BadStream: Either is not a playlist, or is refused.
        OSError: The server is not there, or does not answer.
    """
    connection = socket.create_connection((HOST, port), _CONNECT_SECONDS)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        path = multivariant_path()
        path = urljoin(path, playlist_names(fetch_on(connection, path))[0])
        body = fetch_on(connection, path)
        viewer = HLSViewer(HOST, path, body, known, refresh_seconds, time.monotonic())
    except BaseException:
        connection.close()
        raise
    return connection, viewer


def multivariant_path() -> str:
    """Return the path of the one stream's multivariant playlist."""
    return f"/{APPLICATION}/{stream_name(0)}.m3u8"


class _Load:
    """One epoll loop. Everything of a connection lies in lists, at its file descriptor."""

    def __init__(self, plan: HLSPlan) -> None:
        # First of all: `select` takes small file descriptors only.
        self._poll = select.epoll()
        self._plan = plan
        size = plan.viewers + 256
        self._sockets: list[socket.socket | None] = [None] * size
        self._viewers: list[HLSViewer | None] = [None] * size
        # Bytes that the answer at hand still has; -1: its head has not come.
        self._left = [0] * size
        self._asked = [0.0] * size
        # The content so far, of those that are looked at.
        self._kept: list[list[bytes] | None] = [None] * size
        self._idle: deque[int] = deque()
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._requests = self._answers = self._received = self._looked_at = 0
        self._delays: list[float] = []

    def open(self) -> None:
        """Have all viewers ask for their playlists, one after the other."""
        plan, known = self._plan, Known()
        for _number in range(plan.viewers):
            connection, viewer = open_viewer(plan.port, known, plan.refresh_seconds)
            connection.setblocking(False)
            fd = connection.fileno()
            self._sockets[fd], self._viewers[fd] = connection, viewer
            self._idle.append(fd)
            self._poll.register(fd, select.EPOLLIN)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._sockets:
            if connection is not None:
                connection.close()
        self._poll.close()

    def run(self, begin: float, end: float) -> HLSResult:
        """Ask and count from now until `end`; what is returned is of the window."""
        clock, poll, rate = time.monotonic, self._poll, self._plan.rate
        waiting = (poll,)
        started, late = clock(), 0.0
        counted: tuple[int, int, float] | None = None
        while (now := clock()) < end:
            if counted is None and now >= begin:
                counted = self._answers, self._received, now
                self._delays.clear()
                late = 0.0
            due = started + self._requests / rate if rate else now
            if due <= now and self._idle:
                late = max(late, now - due)
                self._ask(self._idle.popleft(), now)
                continue
            events = poll.poll(0)
            if events:
                for fd, _mask in events:
                    self._read(fd)
                continue
            # Finer than epoll's own milliseconds, so that requests come one by one.
            until = end if counted is not None else begin
            if self._idle:
                until = min(until, due)
            select.select(waiting, (), (), max(0.0, until - now))
        if counted is None:
            raise BadStream("the window had no length")
        answers, received, at = counted
        if self._answers == answers:
            raise BadStream("nothing was answered")
        return HLSResult(
            self._answers - answers,
            self._received - received,
            now - at,
            percentile(self._delays, 50),
            percentile(self._delays, 99),
            late * 1000,
            self._looked_at,
        )

    def _ask(self, fd: int, now: float) -> None:
        connection, viewer = self._sockets[fd], self._viewers[fd]
        assert connection is not None and viewer is not None
        data = viewer.request(now)
        self._left[fd] = -1
        self._asked[fd] = now
        if self._requests % _SAMPLE_EVERY == 0 or viewer.needs_content():
            self._kept[fd] = []
        self._requests += 1
        # Nothing else is under way on this connection: its buffer is empty.
        if connection.send(data) != len(data):
            raise BadStream("the server does not take requests")

    def _read(self, fd: int) -> None:
        """Take what has come: the one hot path."""
        connection = self._sockets[fd]
        assert connection is not None
        try:
            count = connection.recv_into(self._buffer)
        except BlockingIOError:
            return
        if not count:
            raise BadStream("the server closed a viewer")
        self._received += count
        left, start = self._left[fd], 0
        if left < 0:
            start, left = self._read_head(fd, count)
        kept = self._kept[fd]
        if kept is not None:
            kept.append(bytes(self._view[start:count]))
        left -= count - start
        if left > 0:
            self._left[fd] = left
            return
        if left < 0:
            raise BadStream("more than was asked for")
        self._left[fd] = 0
        if kept is not None:
            viewer = self._viewers[fd]
            assert viewer is not None
            viewer.content(b"".join(kept))
            self._kept[fd] = None
            self._looked_at += 1
        self._answers += 1
        self._delays.append(time.monotonic() - self._asked[fd])
        self._idle.append(fd)

    def _read_head(self, fd: int, count: int) -> tuple[int, int]:
        """Return where the content begins, and its length."""
        buffer, viewer = self._buffer, self._viewers[fd]
        assert viewer is not None
        if self._left[fd] >= 0 or not buffer.startswith(_GOOD):
            raise BadStream(f"answered {bytes(buffer[:64])!r}")
        end = buffer.find(b"\r\n\r\n", 0, min(count, MAX_HEAD_BYTES)) + 4
        # A head is sent in one piece by whoever is worth being measured.
        found = _LENGTH.search(buffer, 0, end) if end > 3 else None
        if found is None:
            raise BadStream("an answer without Content-Length, or a head in pieces")
        length = int(found[1])
        viewer.length_told(length)
        return end, length
