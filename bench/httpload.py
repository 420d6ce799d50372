"""Small HTTP answers on keep-alive connections: every connection asks again when answered."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass

from bench.address import HOST
from bench.flv import BadStream

_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class HTTPResult:
    """How many answers came in how many seconds, each of `answer_bytes` with its head."""

    answers: int
    seconds: float
    answer_bytes: int


def fetch_body(port: int, path: str) -> bytes:
    """Return what the server answers to one GET.

    Raises:
        BadStream: Not a 200 with a Content-Length.
    """
    with socket.create_connection((HOST, port), _CONNECT_SECONDS) as connection:
        return fetch_on(connection, path)


def fetch_on(connection: socket.socket, path: str) -> bytes:
    """Return what the server answers to one GET on a blocking connection.

    Raises:
        BadStream: Not a 200 with a Content-Length.
    """
    connection.sendall(_request(path))
    data = b""
    while (size := answer_size(data)) is None or len(data) < size:
        piece = connection.recv(1 << 18)
        if not piece:
            raise BadStream("closed within an answer")
        data += piece
    return data.partition(b"\r\n\r\n")[2]


def answer_size(data: bytes) -> int | None:
    """Return the size of the answer that begins here, with its head; None: head incomplete.

    Raises:
        BadStream: Not a 200 with a Content-Length.
    """
    head, separator, _body = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    lines = head.split(b"\r\n")
    if lines[0].split(b" ")[1:2] != [b"200"]:
        raise BadStream(f"answered {lines[0]!r}")
    for line in lines[1:]:
        name, _colon, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(head) + 4 + int(value)
    raise BadStream("an answer without Content-Length")


def load_http(port: int, path: str, connections: int, seconds: float) -> HTTPResult:
    """Ask for `path` on so many connections, each as fast as it is answered.

    All answers must be of the size of the first (they are the same but for the date), so only
    bytes are counted.

    Raises:
        BadStream: A connection was closed, or an answer has another size or status.
    """
    request, poll = _request(path), select.epoll()
    sockets: dict[int, socket.socket] = {}
    try:
        for _number in range(connections):
            connection = socket.create_connection((HOST, port), _CONNECT_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets[connection.fileno()] = connection
            poll.register(connection, select.EPOLLIN)
        first = next(iter(sockets.values()))
        first.sendall(request)
        data = first.recv(65536)
        while (size := answer_size(data)) is None or len(data) < size:
            data += first.recv(65536)
        return _load(sockets, poll, request, size, seconds)
    finally:
        poll.close()
        for connection in sockets.values():
            connection.close()


def _load(
    sockets: dict[int, socket.socket],
    poll: select.epoll,
    request: bytes,
    size: int,
    seconds: float,
) -> HTTPResult:
    partial = dict.fromkeys(sockets, 0)
    answers, clock = 0, time.monotonic
    for connection in sockets.values():
        connection.send(request)
    started = clock()
    while clock() - started < seconds:
        for fd, _mask in poll.poll(1.0):
            connection = sockets[fd]
            data = connection.recv(65536)
            if not partial[fd] and not data.startswith(b"HTTP/1.1 200 "):
                raise BadStream(f"answered {data[:64]!r}")
            received = partial[fd] + len(data)
            if received < size:
                partial[fd] = received
                continue
            if received > size:
                raise BadStream("an answer of another size")
            partial[fd] = 0
            answers += 1
            connection.send(request)
    return HTTPResult(answers, clock() - started, size)


def _request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
