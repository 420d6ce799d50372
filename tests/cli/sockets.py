"""A server at the other end of a control socket, which says what a test wants."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ntvmedia.cli.control import SOCKET_NAME


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer of HTTP."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def good(value: Any) -> bytes:
    """Return an answer of JSON."""
    return answer(json.dumps(value).encode())


def asked_for(request: bytes) -> tuple[str, Any]:
    """Return what was asked, without what all of the API's paths begin with, and the body."""
    head, _mark, body = request.partition(b"\r\n\r\n")
    line = head.partition(b" HTTP/1.1")[0].decode()
    return line.replace("/mserver/api/v1", ""), json.loads(body) if body else None


@contextlib.contextmanager
def serving(data: Path, answers: Sequence[bytes | None]) -> Iterator[list[bytes]]:
    """Serve one connection for each answer; `None` is none, until the test is over.

    Returns:
        The requests, as they come.
    """
    requests: list[bytes] = []
    over = threading.Event()
    folder = os.open(data, os.O_RDONLY)
    port = socket.socket(socket.AF_UNIX)
    port.bind(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
    port.listen()
    port.settimeout(20)

    def serve() -> None:
        for reply in answers:
            try:
                client, _address = port.accept()
            except OSError:
                return
            with client:
                client.settimeout(20)
                requests.append(_request(client))
                if reply is None:
                    over.wait(20)
                else:
                    client.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield requests
    finally:
        over.set()
        port.shutdown(socket.SHUT_RDWR)
        port.close()
        thread.join(20)
        os.close(folder)
        assert not thread.is_alive()


def _request(client: socket.socket) -> bytes:
    """Read one request, with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            return data
        data += more
    head, _mark, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body
