"""A web server of files whose answers come late, and no faster than a pace: a line far away."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from bench.address import HOST

# What is sent at once where there is a pace: 6.5 ms of 5 Mb/s.
_PIECE_BYTES: Final = 4096

# The kernel takes so much ahead of the pace.
_PACED_BUFFER_BYTES: Final = 4 * _PIECE_BYTES

_BACKLOG: Final = 64


class Line(NamedTuple):
    """What each connection is like.

    Attributes:
        delay_seconds: Before its first byte is looked at, and before each answer.
        bytes_per_second: At most; 0: as fast as it goes.
    """

    delay_seconds: float
    bytes_per_second: float


FAR: Final = Line(0.02, 5e6 / 8)
"""20 ms, 5 Mb/s."""

NEAR: Final = Line(0.0, 0.0)
"""Nothing but this machine."""


def run_slow_server(folder: Path, line: Line, pipe: Connection) -> None:
    """Serve a folder until the parent says anything; what it is told first is the port.

    Args:
        folder: Whose files are served, and nothing below it.
        line: Of each connection.
        pipe: To the parent.
    """
    with socket.create_server((HOST, 0), backlog=_BACKLOG) as listener:
        threading.Thread(target=_accept, args=(listener, folder, line), daemon=True).start()
        pipe.send(listener.getsockname()[1])
        # The end of the parent is an end too.
        with contextlib.suppress(EOFError):
            pipe.recv()


def _accept(listener: socket.socket, folder: Path, line: Line) -> None:
    while True:
        try:
            connection, _peer = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, folder, line), daemon=True).start()


def _serve(connection: socket.socket, folder: Path, line: Line) -> None:
    """Answer the requests of one connection, one after the other."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if line.bytes_per_second:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PACED_BUFFER_BYTES)
    time.sleep(line.delay_seconds)
    with contextlib.suppress(OSError), connection, connection.makefile("rb") as requests:
        for request in requests:
            if not request.startswith(b"GET "):
                continue
            while requests.readline() not in (b"\r\n", b""):
                pass
            time.sleep(line.delay_seconds)
            _answer(connection, folder / Path(request.split(b" ")[1].decode()).name, line)


def _answer(connection: socket.socket, path: Path, line: Line) -> None:
    try:
        file = path.open("rb")
    except OSError:
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        return
    with file:
        size = os.fstat(file.fileno()).st_size
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        if line.bytes_per_second:
            send_paced(connection.sendall, file, line.bytes_per_second)
        else:
            connection.sendfile(file)


def send_paced(send: Callable[[bytes], object], file: BinaryIO, bytes_per_second: float) -> None:
    """Send a file at a pace; what was late is made up for, what is early waits."""
    begin, sent = time.monotonic(), 0
    while data := file.read(_PIECE_BYTES):
        send(data)
        sent += len(data)
        time.sleep(max(0.0, begin + sent / bytes_per_second - time.monotonic()))
