"""The one server that FFmpeg may ask over HTTP. In the child process only.

FFmpeg follows redirections wherever they lead, and asks for names by itself; in some of its
protocols, as mmsh, nothing can be set against that. So it is told of a proxy, which is here: it
connects to the address that the parent has checked, and to nothing else (F-SS-03); and the server
is told the name that the operator typed, not the address.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from typing import Final
from urllib.parse import urlsplit

_MAX_HEAD: Final = 16 << 10

_COPY_BYTES: Final = 1 << 16

# A connection that nothing comes by: the parent ends the process before.
_TIMEOUT_SECONDS: Final = 600.0

_CONNECT_SECONDS: Final = 10.0

_HOST: Final = re.compile(rb"(?im)^host:[^\r\n]*")

_REFUSAL: Final = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Gateway:
    """Takes FFmpeg's connections and passes them on.

    Args:
        url: Has the IP address, and the port.
        host: What the server is told, as the field Host has it.
        authorization: What it is told in the field for user and password; empty for nothing.

    Attributes:
        problem: Why a connection of FFmpeg's came to nothing; empty where none did.
    """

    def __init__(self, url: str, host: str, authorization: str = "") -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._origin = parts.netloc.rpartition("@")[2].encode("ascii", "replace")
        self._fields = f"Host: {host}".encode("ascii", "replace")
        if authorization:
            self._fields += f"\r\nAuthorization: {authorization}".encode("ascii", "replace")
        self.problem = ""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4)
        os.environ["http_proxy"] = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        os.environ.pop("no_proxy", None)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                inner, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(inner,), daemon=True).start()

    def _serve(self, inner: socket.socket) -> None:
        """Pass one request and its answer on; requests after it go to the same server."""
        with inner:
            inner.settimeout(_TIMEOUT_SECONDS)
            try:
                head = self._head(inner)
                if not head:
                    _write(inner, _REFUSAL)
                    return
                with self._connect() as outer:
                    outer.settimeout(_TIMEOUT_SECONDS)
                    _write(outer, head)
                    _copy(outer, inner)
            except OSError:
                return

    def _connect(self) -> socket.socket:
        try:
            return socket.create_connection(self._address, _CONNECT_SECONDS)
        except OSError as error:
            self.problem = (
                "no connection" if error.errno is None else os.strerror(error.errno).lower()
            )
            raise

    def _head(self, inner: socket.socket) -> bytes:
        """Return the request as the server is to get it; empty where it is for another."""
        head = b""
        while b"\r\n\r\n" not in head:
            data = inner.recv(_MAX_HEAD)
            if not data or len(head) > _MAX_HEAD:
                return b""
            head += data
        line, _crlf, fields = head.partition(b"\r\n")
        method, _space, rest = line.partition(b" ")
        target, _space, version = rest.rpartition(b" ")
        prefix = b"http://"
        if not target.lower().startswith(prefix):
            return b""
        authority, slash, path = target[len(prefix) :].partition(b"/")
        if authority.rpartition(b"@")[2] != self._origin:
            self.problem = "it sends on to another server, which is not asked"
            return b""
        fields = _HOST.sub(lambda _match: self._fields, fields, count=1)
        return method + b" " + slash + path + b" " + version + b"\r\n" + fields


def _copy(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(_COPY_BYTES):
        _write(target, data)


def _write(target: socket.socket, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target.fileno(), view) :]
