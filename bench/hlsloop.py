"""Keep-alive connections of HLS viewers in one epoll loop: requests out, answers in."""

from __future__ import annotations

import gc
import re
import select
import socket
import time
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import urljoin

from bench.address import APPLICATION, HOST, stream_name
from bench.flv import MAX_HEAD_BYTES, BadStream
from bench.hls import playlist_names
from bench.httpload import fetch_on

_BUFFER_BYTES: Final = 1 << 20
_CONNECT_SECONDS: Final = 20.0

# Besides the viewers' file descriptors there are few.
_OTHER_DESCRIPTORS: Final = 256

_GOOD: Final = b"HTTP/1.1 200 "
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+) *\r\n", re.IGNORECASE)


class Viewer(Protocol):
    """Who judges the answers of one connection; both raise `BadStream`."""

    def length_told(self, length: int) -> None:
        """Take the length of the answer at hand."""

    def content(self, body: bytes) -> None:
        """Take the content of the answer at hand, if it is kept."""


ViewerT = TypeVar("ViewerT", bound=Viewer)


class Loop(Generic[ViewerT]):
    """Connections with a viewer each; everything of one lies in lists, at its file descriptor.

    Args:
        count: So many viewers at most.

    Attributes:
        poll: Where all are registered.
        viewers: By file descriptor.
        answers: Complete ones so far.
        received: Bytes so far, heads included.
        delays: Seconds from before a request until its answer was complete.
        looked_at: Answers whose content was kept and given to the viewer.
    """

    def __init__(self, count: int) -> None:
        # First of all: `select` takes small file descriptors only.
        self.poll = select.epoll()
        size = count + _OTHER_DESCRIPTORS
        self.viewers: list[ViewerT | None] = [None] * size
        self.answers = self.received = self.looked_at = 0
        self.delays: list[float] = []
        self._sockets: list[socket.socket | None] = [None] * size
        # Bytes that the answer at hand still has; -1: its head has not come.
        self._left = [0] * size
        self._asked = [0.0] * size
        # The content so far, of those that are looked at.
        self._kept: list[list[bytes] | None] = [None] * size
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)

    def add(self, connection: socket.socket, viewer: ViewerT) -> int:
        """Take over a connection; return its file descriptor, by which it is named from now on."""
        connection.setblocking(False)
        fd = connection.fileno()
        self._sockets[fd], self.viewers[fd] = connection, viewer
        self.poll.register(fd, select.EPOLLIN)
        return fd

    def close(self) -> None:
        """Close all connections."""
        for connection in self._sockets:
            if connection is not None:
                connection.close()
        self.poll.close()

    def ask(self, fd: int, request: bytes, now: float, *, keep: bool) -> None:
        """Send a request where none is under way.

        Args:
            now: Monotonic seconds.
            keep: The answer's content is looked at, not only counted.

        Raises:
            BadStream: The connection does not take it.
        """
        connection = self._sockets[fd]
        assert connection is not None
        self._left[fd] = -1
        self._asked[fd] = now
        if keep:
            self._kept[fd] = []
        # Nothing else is under way on this connection: its buffer is empty.
        if connection.send(request) != len(request):
            raise BadStream("the server does not take requests")

    def read(self, fd: int) -> bool:
        """Take what has come: the one hot path. True: the answer is complete.

        Raises:
            BadStream: It is not what was asked for.
        """
        connection = self._sockets[fd]
        assert connection is not None
        try:
            count = connection.recv_into(self._buffer)
        except BlockingIOError:
            return False
        if not count:
            raise BadStream("the server closed a viewer")
        self.received += count
        left, start = self._left[fd], 0
        if left < 0:
            start, left = self._read_head(fd, count)
        kept = self._kept[fd]
        if kept is not None:
            kept.append(bytes(self._view[start:count]))
        left -= count - start
        if left > 0:
            self._left[fd] = left
            return False
        if left < 0:
            raise BadStream("more than was asked for")
        self._left[fd] = 0
        if kept is not None:
            viewer = self.viewers[fd]
            assert viewer is not None
            viewer.content(b"".join(kept))
            self._kept[fd] = None
            self.looked_at += 1
        self.answers += 1
        self.delays.append(time.monotonic() - self._asked[fd])
        return True

    def _read_head(self, fd: int, count: int) -> tuple[int, int]:
        """Return where the content begins, and its length."""
        buffer, viewer = self._buffer, self.viewers[fd]
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


def open_playlist(port: int, form: str = "") -> tuple[socket.socket, str, bytes]:
    """Connect, and ask for both playlists, as a player does.

    Args:
        port: The server's, for HTTP.
        form: As of `multivariant_path`.

    Returns:
        The connection, which blocks, and path and content of the media playlist.

    Raises:
        BadStream: Either is not a playlist, or is refused.
        OSError: The server is not there, or does not answer.
    """
    connection = socket.create_connection((HOST, port), _CONNECT_SECONDS)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        path = multivariant_path(form)
        path = urljoin(path, playlist_names(fetch_on(connection, path))[0])
        body = fetch_on(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection, path, body


def multivariant_path(form: str = "") -> str:
    """Return the path of the one stream's multivariant playlist.

    Args:
        form: "ts", "fmp4" or "ll"; empty: what the application has.
    """
    return f"/{APPLICATION}/{stream_name(0)}.m3u8" + (f"?format={form}" if form else "")


def serve(load: Any, parent: Connection) -> None:
    """Put a load on a server as the parent says; in a process of its own.

    Args:
        load: A `Loop`, whose `open` prepares it, and whose `run` measures between two times.
        parent: Is sent the string `ready` when it is prepared; sends begin and end of the window;
            and is sent what `run` returns, or instead of either the exception that ended it.
    """
    gc.disable()
    with closing(load):
        try:
            load.open()
            parent.send("ready")
            begin, end = parent.recv()
            parent.send(load.run(begin, end))
        except (BadStream, OSError) as error:
            parent.send(error)
