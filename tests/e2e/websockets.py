"""A WebSocket client on a blocking socket, written apart from the server's own code (RFC 6455)."""

from __future__ import annotations

import os
import time
from base64 import b64encode
from typing import NamedTuple

from tests.e2e.hostile import connect
from tests.e2e.processes import Failed
from tests.e2e.server import Server

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Frame(NamedTuple):
    """What the server sent.

    Attributes:
        opcode: Its kind.
        payload: Its content.
    """

    opcode: int
    payload: bytes


def opening(path: str, *fields: str) -> bytes:
    """Return a request for a WebSocket, with more header fields."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {b64encode(os.urandom(16)).decode('ascii')}",
        *fields,
        "\r\n",
    ]
    return "\r\n".join(lines).encode("ascii")


def client_frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """Return a frame as a client sends it: with a mask."""
    mask = os.urandom(4)
    size = len(payload)
    first = (0x80 if final else 0) | opcode
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([first, 0xFE]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, 0xFF]) + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[place & 3] for place, byte in enumerate(payload))


class WebSocketPeer:
    """One open WebSocket.

    Args:
        server: Where to; `port` is that of its HTTP unless given.
        path: "/APP/STREAM.flv".
        receive_buffer: Bytes that the kernel keeps for us; 0 for what it likes.

    Attributes:
        socket: Blocking, until a call takes 20 seconds.
        media: What came in binary messages so far.
        largest: The longest of them.

    Raises:
        Failed: The server did not switch.
    """

    def __init__(self, server: Server, path: str, receive_buffer: int = 0) -> None:
        self.socket = connect(server.http_port, receive_buffer)
        self.media = bytearray()
        self.largest = 0
        self._data = bytearray()
        self.socket.sendall(opening(path))
        while b"\r\n\r\n" not in self._data:
            if not self._receive():
                raise Failed("the server hung up")
        head, _end, rest = bytes(self._data).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Failed(f"the server said {bytes(self._data)!r}")
        self._data = bytearray(rest)

    def send(self, opcode: int, payload: bytes = b"") -> None:
        """Send a frame."""
        self.socket.sendall(client_frame(opcode, payload))

    def frame(self) -> Frame | None:
        """Return the next frame; None when the server has closed the connection between two.

        Raises:
            Failed: The server ended within a frame, or sent a wrong one.
        """
        while True:
            found = self._parse()
            if found is not None:
                if found.opcode == BINARY:
                    self.media += found.payload
                    self.largest = max(self.largest, len(found.payload))
                return found
            if not self._receive():
                if self._data:
                    raise Failed("the connection ended within a frame")
                return None

    def read(self, size: int) -> bool:
        """Read up to so many bytes, and take the frames that are whole; False at the end."""
        data = self.socket.recv(size)
        self._data += data
        while (found := self._parse()) is not None:
            if found.opcode == BINARY:
                self.media += found.payload
        return bool(data)

    def wait_for(self, opcode: int, seconds: float = 20.0) -> Frame:
        """Read until a frame of a kind comes.

        Raises:
            Failed: None does in time.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.frame()
            if found is None:
                break
            if found.opcode == opcode:
                return found
        raise Failed(f"no frame of kind {opcode} came")

    def _receive(self) -> bool:
        data = self.socket.recv(65536)
        self._data += data
        return bool(data)

    def _parse(self) -> Frame | None:
        data = self._data
        if len(data) < 2:
            return None
        if data[0] & 0x70 or not data[0] & 0x80 or data[1] & 0x80:
            raise Failed(f"a wrong frame: {bytes(data[:14]).hex()}")
        size, start = data[1], 2
        if size > 125:
            start = 4 if size == 126 else 10
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return None
        frame = Frame(data[0] & 0x0F, bytes(data[start : start + size]))
        del data[: start + size]
        return frame
