"""Files ready to be sent, and their copies in memory files."""

from __future__ import annotations

import os
import random
import socket
from typing import Any

import pytest
from twisted.internet.tcp import Connection

from ntvmedia.endpoints.http.hls import files
from ntvmedia.endpoints.http.hls.files import COPIED_BYTES, COPIED_REQUESTS, Copies, File
from ntvmedia.hub.outlet import Outlet
from ntvmedia.hub.policy import OutletPolicy
from tests.hub.fakes import FakeReactor

BODY = random.Random(1).randbytes(COPIED_BYTES)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_head() -> None:
    """Fields, length and the empty line."""
    file = File("A: b\r\n", b"body", Copies())
    assert file.head == b"A: b\r\nContent-Length: 4\r\n\r\n"


def test_copied_when_many_ask() -> None:
    """A copy is made of what is large and wanted, once, and given back."""
    before = _descriptors()
    copies = Copies()
    file = File("", BODY, copies)
    for _request in range(COPIED_REQUESTS - 1):
        file.asked_for()
    assert (file.descriptor, copies.count) == (-1, 0)
    for _request in range(5):
        file.asked_for()
    assert os.pread(file.descriptor, len(BODY) + 1, 0) == BODY
    assert (copies.count, copies.size, _descriptors()) == (1, len(BODY), before + 1)
    file.close()
    file.close()
    file.asked_for()
    assert (file.descriptor, copies.count, copies.size, _descriptors()) == (-1, 0, 0, before)


def test_small_files() -> None:
    """Not worth a copy."""
    copies = Copies()
    file = File("", BODY[1:], copies)
    for _request in range(100):
        file.asked_for()
    assert copies.count == 0


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """G-RS-01: descriptors and memory for copies are few; without them all goes on."""
    monkeypatch.setattr(files, "MAX_COPIES", 2)
    copies = Copies()
    made = [copies.make(BODY) for _number in range(3)]
    assert made[2] == -1
    copies.discard(made[0], len(BODY))
    monkeypatch.setattr(files, "MAX_COPIES_BYTES", len(BODY) + 1)
    assert copies.make(BODY) == -1
    copies.discard(made[1], len(BODY))

    def refused(*_arguments: object) -> int:
        raise OSError(24, "Too many open files")

    before = _descriptors()
    monkeypatch.setattr(os, "memfd_create", refused)
    assert copies.make(BODY) == -1
    monkeypatch.undo()
    monkeypatch.setattr(os, "write", lambda descriptor, body: len(body) - 1)
    assert copies.make(BODY) == -1
    assert (copies.count, copies.size, _descriptors()) == (0, 0, before)


@pytest.mark.parametrize("size", [COPIED_BYTES, 3_000_000])
def test_sent_by_the_kernel(size: int) -> None:
    """Head and body arrive whole over a real socket, however much it takes at once."""
    body = random.Random(size).randbytes(size)
    copies = Copies()
    file = File("", body, copies)
    for _request in range(COPIED_REQUESTS):
        file.asked_for()
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _address = listener.accept()
    server.setblocking(False)
    reactor = FakeReactor()
    transport: Any = Connection(server, None, reactor)  # type: ignore[arg-type]
    transport.connected = 1
    policy = OutletPolicy(
        reactor.seconds, queue_bytes=1 << 20, queue_seconds=10.0, stall_timeout=20.0
    )
    outlet = Outlet(transport, policy)
    outlet.write_both(b"head" * 10, body, file.descriptor)
    outlet.write(b"next")
    file.close()  # what is not yet sent comes from memory
    got = bytearray()
    wanted = b"head" * 10 + body + b"next"
    while len(got) < len(wanted):
        got += client.recv(100_000)
        if transport in reactor.writers:
            transport.doWrite()
    assert got == wanted
    assert outlet.sent_bytes == len(wanted)
    for each in (client, server, listener):
        each.close()
