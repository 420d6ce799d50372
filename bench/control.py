"""The API of our server, over its control socket."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

_SECONDS = 30.0


class Refused(Exception):
    """The API did not do what it was asked."""


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(str(self._path))


class Control:
    """One connection, which is kept.

    Args:
        data: The server's data folder.
    """

    def __init__(self, data: Path) -> None:
        self._connection = _SocketConnection(data / "control.sock")

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Make a request; `path` is below `/mserver/api/v1`.

        Returns:
            What the answer's JSON says; None for an answer without.

        Raises:
            Refused: The status is not 200, 201 or 204.
        """
        content = None if body is None else json.dumps(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        self._connection.request(method, f"/mserver/api/v1{path}", content, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status not in (200, 201, 204):
            raise Refused(f"{method} {path}: {answer.status} {data[:500]!r}")
        return json.loads(data) if data else None
