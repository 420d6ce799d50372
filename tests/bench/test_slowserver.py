"""The web server that is far away."""

from __future__ import annotations

import io
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.slowserver import FAR, Line, run_slow_server, send_paced

SLOW = Line(0.05, 200_000)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A server of 20,000 bytes, 50 ms away, at 200 kB/s."""
    (tmp_path / "file").write_bytes(b"x" * 20_000)
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=run_slow_server, args=(tmp_path, SLOW, theirs))
    thread.start()
    yield ours.recv()
    ours.send(None)
    thread.join()


def ask(peer: socket.socket, name: str) -> bytes:
    """Ask for a file on a connection, and return the head of the answer and the body."""
    peer.sendall(f"GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += peer.recv(65536)
    head, _empty, body = data.partition(b"\r\n\r\n")
    size = int(head.rpartition(b": ")[2])
    while len(body) < size:
        body += peer.recv(65536)
    return head + body


def test_line(port: int) -> None:
    """Two answers on one connection take what the line says: its delay three times, and its pace.

    What the kernel holds is ahead of the pace.
    """
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as peer:
        for _ in range(2):
            assert ask(peer, "file").endswith(b"x" * 20_000)
        took = time.monotonic() - begin
        assert ask(peer, "nothing").startswith(b"HTTP/1.1 404")
    assert 3 * SLOW.delay_seconds + 2 * 0.9 * 20_000 / SLOW.bytes_per_second <= took < 2


def test_paced() -> None:
    """All of a file is sent, as fast as the pace and no faster."""
    sent: list[bytes] = []
    begin = time.monotonic()
    send_paced(sent.append, io.BytesIO(bytes(50_000)), FAR.bytes_per_second)
    assert b"".join(sent) == bytes(50_000)
    assert 50_000 / FAR.bytes_per_second <= time.monotonic() - begin < 1
