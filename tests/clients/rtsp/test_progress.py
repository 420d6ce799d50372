"""Tests of ntvmedia.clients.rtsp.progress, on sockets of the kernel's."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from ntvmedia.clients.rtsp.progress import Progress, bytes_acknowledged

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two ends of a connection whose receiver takes little."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        with socket.create_connection(server.getsockname()) as sender:
            sender.setblocking(False)
            receiver, _address = server.accept()
            with receiver:
                yield sender, receiver


def fill(sender: socket.socket) -> None:
    """Send until the kernel takes no more."""
    try:
        while True:
            sender.send(bytes(65536))
    except BlockingIOError:
        pass


def settled(sender: socket.socket) -> int:
    """Wait until nothing moves; return how much was taken."""
    before = -1
    while (taken := bytes_acknowledged(sender)) != before:
        before = taken
        time.sleep(0.1)
    return taken


def test_progress(pair: Pair) -> None:
    """A server that takes some goes on; one that takes nothing does not."""
    sender, receiver = pair
    progress = Progress(SimpleNamespace(socket=sender), 100.0)
    assert progress.idle_seconds(105.0) == 0.0
    fill(sender)
    settled(sender)
    assert progress.idle_seconds(106.0) == 0.0
    assert progress.idle_seconds(109.0) == 3.0
    before = settled(sender)
    while bytes_acknowledged(sender) == before:
        receiver.recv(65536)
    assert progress.idle_seconds(110.0) == 0.0
    settled(sender)
    progress.idle_seconds(111.0)
    assert progress.idle_seconds(113.0) == 2.0


def test_nothing_to_take(pair: Pair) -> None:
    """Where nothing waits nothing is missing, however long."""
    sender, _receiver = pair
    progress = Progress(SimpleNamespace(transport=SimpleNamespace(socket=sender)), 0.0)
    assert progress.idle_seconds(1000.0) == 0.0


def test_no_socket(pair: Pair) -> None:
    """What has none, or one that is closed, is not judged."""
    assert Progress(object(), 0.0).idle_seconds(1000.0) == 0.0
    sender, _receiver = pair
    progress = Progress(SimpleNamespace(socket=sender), 0.0)
    sender.close()
    assert progress.idle_seconds(1000.0) == 0.0
