"""A web server that does wrong: it stalls, breaks off, refuses, lies about lengths, and counts.

It is written with sockets alone, so that it can send what no library would.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, NoReturn, Self
from urllib.parse import unquote, urlsplit

TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".mp4": "video/mp4"}

MEGABIT = 125_000
"""Bytes a second."""

# What is sent in one go where the pace is limited: some milliseconds' worth.
_PACED_BYTES = 4096

# The head of a request is no longer than that.
_MAX_HEAD = 65536


class Request(NamedTuple):
    """What a client asked for.

    Attributes:
        method: In capitals.
        target: As it was sent, with the query; a whole address from a client of a proxy.
        path: Of that, without the query, decoded.
        headers: By names in small letters.
        at: When, as `time.monotonic` tells.
        port: The client's, which tells connections apart.
    """

    method: str
    target: str
    path: str
    headers: Mapping[str, str]
    at: float
    port: int


class Closed(Exception):
    """The connection is over."""


class Exchange:
    """A request, and the connection to answer it on."""

    def __init__(self, server: HostileServer, connection: socket.socket, request: Request) -> None:
        self.server = server
        self.request = request
        self._connection = connection

    def send(self, data: bytes) -> None:
        """Send bytes, at the pace of the server.

        Raises:
            Closed: The client or the server went away.
        """
        pace = self.server.bytes_per_second
        try:
            if not pace:
                self._connection.sendall(data)
                return
            begin = time.monotonic()
            for start in range(0, len(data), _PACED_BYTES):
                self._connection.sendall(data[start : start + _PACED_BYTES])
                due = begin + min(start + _PACED_BYTES, len(data)) / pace
                self.server.rest(due - time.monotonic())
        except OSError:
            raise Closed from None

    def head(self, status: int, length: int | None, headers: Mapping[str, str]) -> bytes:
        """Write the head of an answer; without a length it goes on to the connection's end."""
        lines = [f"HTTP/1.1 {status} What"]
        if length is None:
            lines.append("Connection: close")
        else:
            lines.append(f"Content-Length: {length}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def answer(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer in order, and take note of when that was done."""
        self.send(self.head(status, len(body), headers or {}))
        if self.request.method != "HEAD":
            self.send(body)
        if status in (200, 206):
            self.server.note_sent(self.request)

    def file(self) -> bytes | None:
        """Return the file that the path names, whole; None: there is none."""
        path = (self.server.folder / self.request.path.lstrip("/")).resolve()
        if self.server.folder.resolve() not in path.parents or not path.is_file():
            return None
        return path.read_bytes()

    def hang_up(self) -> NoReturn:
        """Close in order."""
        raise Closed

    def reset(self) -> NoReturn:
        """Close with a RST."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()
        raise Closed

    def stall(self) -> NoReturn:
        """Say nothing more until the client goes away."""
        self._connection.settimeout(0.1)
        while not self.server.is_stopping:
            try:
                if not self._connection.recv(4096):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        raise Closed


Action = Callable[[Exchange], None]


class _Rule:
    def __init__(self, pattern: str, action: Action, times: int | None) -> None:
        self.pattern = pattern
        self.action = action
        self.left = times

    def takes(self, path: str) -> bool:
        """Tell whether a request is this rule's, which counts it then."""
        if self.left == 0 or not fnmatchcase(path, self.pattern):
            return False
        if self.left is not None:
            self.left -= 1
        return True


class HostileServer:
    """Serves a folder on 127.0.0.1, but for what rules say; a thread for each connection.

    Best used in a `with` statement.

    Args:
        folder: Whose files it serves.
        delay_seconds: Before each answer.
        bytes_per_second: Of each connection; 0: as fast as it goes.
        host: Another address of this machine.

    Attributes:
        requests: All so far, in order.
        sent: When each path was sent whole, by path.
        peak: The most connections that were open at the same time.
    """

    def __init__(
        self,
        folder: Path,
        *,
        delay_seconds: float = 0.0,
        bytes_per_second: float = 0.0,
        host: str = "127.0.0.1",
    ) -> None:
        self.folder = folder
        self.delay_seconds = delay_seconds
        self.bytes_per_second = bytes_per_second
        self.host = host
        self.requests: list[Request] = []
        self.sent: dict[str, list[float]] = {}
        self.peak = 0
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((host, 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for connection in self._open:
                connection.close()
        while self._threads:
            self._threads.pop().join()
        self._listener.close()

    def url(self, path: str = "/index.m3u8") -> str:
        """Return the address of a path that begins with a slash."""
        return f"http://{self.host}:{self.port}{path}"

    def on(self, pattern: str, action: Action, times: int | None = None) -> None:
        """Answer requests in another way.

        Args:
            pattern: Of paths, as of a shell. The first rule that takes a request has it.
            action: What is done.
            times: How often; None: for ever.
        """
        with self._lock:
            self._rules.append(_Rule(pattern, action, times))

    def forget(self) -> None:
        """Have no more rules, and forget what was asked for."""
        with self._lock:
            self._rules.clear()
            self.requests.clear()
            self.sent.clear()

    @property
    def is_stopping(self) -> bool:
        """Whether stalled answers shall end."""
        return self._stopping.is_set()

    def rest(self, seconds: float) -> None:
        """Sleep, but not beyond the server's end."""
        if seconds > 0:
            self._stopping.wait(seconds)

    def counts(self, pattern: str = "*") -> Counter[str]:
        """Return how often each path was asked for."""
        with self._lock:
            return Counter(x.path for x in self.requests if fnmatchcase(x.path, pattern))

    def whole(self, pattern: str = "*") -> list[str]:
        """Return the paths that were sent whole at least once."""
        with self._lock:
            return [path for path in self.sent if fnmatchcase(path, pattern)]

    def sent_before(self, moment: float, pattern: str = "*") -> set[str]:
        """Return the paths that were sent whole before a moment of `time.monotonic`."""
        with self._lock:
            found = {path for path, times in self.sent.items() if times[0] < moment}
        return {path for path in found if fnmatchcase(path, pattern)}

    def asked_after(self, moment: float, pattern: str = "*") -> set[str]:
        """Return the paths that were asked for after a moment of `time.monotonic`."""
        with self._lock:
            found = {x.path for x in self.requests if x.at > moment}
        return {path for path in found if fnmatchcase(path, pattern)}

    def note_sent(self, request: Request) -> None:
        """Note that an answer was sent whole; for actions that do not call `answer`."""
        with self._lock:
            self.sent.setdefault(request.path, []).append(time.monotonic())

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        while not self.is_stopping:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.bytes_per_second:
                # What the kernel holds is not limited by the pace.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * _PACED_BYTES)
            with self._lock:
                self._open.add(connection)
                self.peak = max(self.peak, len(self._open))
            self._start(self._serve, connection, peer[1])

    def _serve(self, connection: socket.socket, port: int) -> None:
        try:
            with connection, connection.makefile("rb") as reader:
                while request := _read_request(reader.readline, port):
                    with self._lock:
                        self.requests.append(request)
                        rules = (x.action for x in self._rules if x.takes(request.path))
                        action = next(rules, serve_file)
                    self.rest(self.delay_seconds)
                    action(Exchange(self, connection, request))
        except (Closed, OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)


def _read_request(readline: Callable[[int], bytes], port: int) -> Request | None:
    line = readline(_MAX_HEAD).decode("latin-1").split()
    if len(line) != 3:
        return None
    headers = {}
    while (field := readline(_MAX_HEAD).decode("latin-1")) not in ("", "\r\n", "\n"):
        name, _colon, value = field.partition(":")
        headers[name.strip().lower()] = value.strip()
    path = unquote(urlsplit(line[1]).path)
    return Request(line[0], line[1], path, headers, time.monotonic(), port)


def serve_file(exchange: Exchange) -> None:
    """Serve the file that is asked for, or the range of it."""
    body = exchange.file()
    if body is None:
        exchange.answer(404, b"<html><body>No such file</body></html>")
        return
    suffix = Path(exchange.request.path).suffix
    headers = {"Content-Type": TYPES.get(suffix, "application/octet-stream")}
    wanted = exchange.request.headers.get("range", "")
    if not wanted.startswith("bytes="):
        exchange.answer(200, body, headers)
        return
    first, _dash, last = wanted.removeprefix("bytes=").partition("-")
    start, stop = int(first), min(int(last) + 1 if last else len(body), len(body))
    if start >= stop:
        exchange.answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        return
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
    exchange.answer(206, body[start:stop], headers)


def ignore_range(exchange: Exchange) -> None:
    """Serve the whole file, whatever part of it is asked for."""
    exchange.answer(200, exchange.file() or b"")


def other_range(exchange: Exchange) -> None:
    """Serve the beginning of the file, and say so, instead of the part that is asked for."""
    body = (exchange.file() or b"")[:5000]
    exchange.answer(206, body, {"Content-Range": f"bytes 0-{len(body) - 1}/9999999"})


def status(code: int, headers: Mapping[str, str] | None = None) -> Action:
    """Answer with a status and a page."""
    return lambda exchange: exchange.answer(code, b"<html>No</html>", headers)


def body(data: bytes, kind: str = "text/html") -> Action:
    """Answer with these bytes."""
    return lambda exchange: exchange.answer(200, data, {"Content-Type": kind})


def no_content(exchange: Exchange) -> None:
    """Answer in order that there is nothing, which has no body (RFC 9110 15.3.5)."""
    exchange.send(b"HTTP/1.1 204 No Content\r\n\r\n")


def redirect(location: str, headers: Mapping[str, str] | None = None) -> Action:
    """Send the client elsewhere."""
    return lambda exchange: exchange.answer(302, b"", {"Location": location, **(headers or {})})


def stall_head(exchange: Exchange) -> None:
    """Take the request, and say nothing."""
    exchange.stall()


def stall_body(exchange: Exchange) -> None:
    """Say nothing more in the middle of the body."""
    _half(exchange)
    exchange.stall()


def break_off(exchange: Exchange) -> None:
    """Close in the middle of the body."""
    _half(exchange)
    exchange.hang_up()


def break_reset(exchange: Exchange) -> None:
    """Reset the connection in the middle of the body."""
    _half(exchange)
    exchange.reset()


def refuse_words(exchange: Exchange) -> None:
    """Close without a word."""
    exchange.hang_up()


def _half(exchange: Exchange) -> None:
    data = exchange.file() or b""
    exchange.send(exchange.head(200, len(data), {}))
    exchange.send(data[: len(data) // 2])


def wrong_length(difference: int) -> Action:
    """Announce another length than what comes, then close."""

    def action(exchange: Exchange) -> None:
        data = exchange.file() or b""
        exchange.send(exchange.head(200, len(data) + difference, {}))
        exchange.send(data)
        exchange.hang_up()

    return action


def endless(start: bytes, more: bytes) -> Action:
    """Send a body that has no end."""

    def action(exchange: Exchange) -> None:
        exchange.send(exchange.head(200, None, {}))
        exchange.send(start)
        while not exchange.server.is_stopping:
            exchange.send(more)

    return action


def no_length(exchange: Exchange) -> None:
    """Serve a file whose end is that of the connection, as HTTP/1.0 servers do."""
    exchange.send(exchange.head(200, None, {}))
    exchange.send(exchange.file() or b"")
    exchange.server.note_sent(exchange.request)
    exchange.hang_up()


def require(check: Callable[[Request], bool], code: int = 403) -> Action:
    """Serve files only to requests that pass."""

    def action(exchange: Exchange) -> None:
        if check(exchange.request):
            serve_file(exchange)
        else:
            exchange.answer(code, b"<html>No</html>")

    return action


def with_headers(headers: Mapping[str, str]) -> Action:
    """Serve files with more header fields."""
    return lambda exchange: exchange.answer(200, exchange.file() or b"", headers)


class LiveList:
    """A playlist that slides, as of a live stream, over the segments of one that is whole.

    Args:
        playlist: Whose segments are shown, one more each step; they begin anew after the last.
        window: How many are listed.
        step_seconds: How long until the next is.
        laps: How often all are shown before the list ends; 0: it never does.
    """

    def __init__(
        self, playlist: str, *, window: int = 3, step_seconds: float = 1.0, laps: int = 0
    ) -> None:
        lines = playlist.splitlines()
        self._entries = [
            lines[x - 1 : x + 1] for x, y in enumerate(lines) if y[:1] not in ("#", "")
        ]
        self._window = window
        self._step_seconds = step_seconds
        self._laps = laps
        self._begin = 0.0

    def __call__(self, exchange: Exchange) -> None:
        self._begin = self._begin or time.monotonic()
        count = len(self._entries)
        last = self._window + int((time.monotonic() - self._begin) / self._step_seconds)
        if self._laps:
            last = min(last, self._laps * count)
        first = max(0, last - self._window)
        # Discontinuities that have slid out.
        gone = max(0, (first - 1) // count)
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
        lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{gone}")
        for number in range(first, last):
            if number and number % count == 0:
                lines.append("#EXT-X-DISCONTINUITY")
            lines += self._entries[number % count]
        if self._laps and last == self._laps * count:
            lines.append("#EXT-X-ENDLIST")
        exchange.answer(200, "\n".join([*lines, ""]).encode(), {"Cache-Control": "no-cache"})
