"""Tests of ntvmedia.avtools.gateway, with sockets on the loopback interface."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from ntvmedia.avtools.gateway import Gateway


class Server:
    """A server that answers each connection alike, and keeps what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.asked: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(65536))
                connection.sendall(self._answer)


@pytest.fixture
def server() -> Iterator[Server]:
    """Make a server."""
    with closing(Server(b"HTTP/1.0 200 OK\r\n\r\n" + b"media" * 50_000)) as made:
        yield made


def ask(request: bytes) -> bytes:
    """Ask the proxy that the surroundings name, as FFmpeg does."""
    port = int(os.environ["http_proxy"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        found = b""
        while data := connection.recv(65536):
            found += data
        return found


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "")
    monkeypatch.setenv("no_proxy", "*")


def test_passes_on(server: Server) -> None:
    """The server is asked as though there were no proxy, by its name, with the password."""
    with closing(Gateway(f"mmsh://127.0.0.1:{server.port}/a", "media.test", "Basic eA==")) as gate:
        assert "no_proxy" not in os.environ
        origin = f"127.0.0.1:{server.port}".encode()
        found = ask(
            b"GET http://" + origin + b"/a?b=c HTTP/1.1\r\nAccept: */*\r\n"
            b"host: " + origin + b"\r\nPragma: x\r\n\r\nbody"
        )
        assert found.endswith(b"media" * 50_000)
        assert server.asked == [
            b"GET /a?b=c HTTP/1.1\r\nAccept: */*\r\nHost: media.test\r\n"
            b"Authorization: Basic eA==\r\nPragma: x\r\n\r\nbody"
        ]
        assert gate.problem == ""


@pytest.mark.parametrize(
    "target",
    [
        b"http://127.0.0.1:{other}/a",
        b"http://127.0.0.2:{port}/a",
        b"http://localhost:{port}/a",
        b"http://127.0.0.1/a",
        b"http://127.0.0.1:{port}@127.0.0.1:{other}/a",
        b"/a",
        b"https://127.0.0.1:{port}/a",
    ],
)
def test_nobody_else(server: Server, target: bytes) -> None:
    """F-SS-03: wherever FFmpeg was sent on to, no other server is asked."""
    with (
        closing(Server(b"HTTP/1.0 200 OK\r\n\r\nsecret")) as other,
        closing(Gateway(f"mmsh://127.0.0.1:{server.port}/a", "media.test")) as gate,
    ):
        target = target.replace(b"{port}", str(server.port).encode())
        target = target.replace(b"{other}", str(other.port).encode())
        found = ask(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 403 ")
        assert server.asked == other.asked == []
        assert "another server" in gate.problem or not target.startswith(b"http:")


def test_connect_is_refused(server: Server) -> None:
    """Nor is there a tunnel."""
    with closing(Gateway(f"mmsh://127.0.0.1:{server.port}/a", "media.test")):
        found = ask(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n\r\n".encode())
        assert found.startswith(b"HTTP/1.1 403 ")
        assert server.asked == []


def test_endless_head(server: Server) -> None:
    """A request without an end is given up."""
    with closing(Gateway(f"mmsh://127.0.0.1:{server.port}/a", "media.test")):
        port = int(os.environ["http_proxy"].rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port)) as connection,
            pytest.raises((ConnectionError, StopIteration)),
        ):
            connection.settimeout(20)
            while True:
                connection.sendall(b"x" * 8192)
        assert server.asked == []


def test_problem() -> None:
    """Why there was no connection is known, which FFmpeg is not told."""
    server = Server(b"")
    server.close()
    with closing(Gateway(f"mmsh://127.0.0.1:{server.port}/a", "media.test")) as gate:
        assert ask(f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\n\r\n".encode()) == b""
        assert gate.problem == "connection refused"
