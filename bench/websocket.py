"""One WebSocket-FLV player as bytes in, bytes out (RFC 6455)."""

from __future__ import annotations

import os
from base64 import b64encode
from hashlib import sha1
from typing import Final

from bench.flv import MAX_HEAD_BYTES, BadStream, FLVReader, Media

# RFC 6455 section 1.3.
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_CONTINUATION: Final = 0
_BINARY: Final = 2
_CLOSE: Final = 8
_PING: Final = 9
_PONG: Final = 10
_MAX_CONTROL_BYTES: Final = 125

PONG: Final = bytes((0x80 | _PONG, 0x80, 0, 0, 0, 0))
"""An empty pong, masked as a client's frames must be; one that nobody asked for is allowed."""


class WebSocketPlayer:
    """A player of FLV over WebSocket; it has the same members as `flv.FLVPlayer`.

    Attributes:
        greeting: What to send as soon as the connection stands.
        chunk_bytes: Zero: FLV has no chunks.
    """

    chunk_bytes = 0

    def __init__(self, host: str, application: str, stream: str) -> None:
        key = b64encode(os.urandom(16))
        self.greeting = (
            f"GET /{application}/{stream}.flv HTTP/1.1\r\nHost: {host}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key.decode()}\r\n\r\n"
        ).encode()
        self._accept = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
        self._head: bytearray | None = bytearray()
        self._frames = Unframer()
        self._reader = FLVReader()

    @property
    def received(self) -> int:
        """Bytes of FLV so far, on the scale of `Media.start`."""
        return self._reader.received

    def feed(self, data: bytes) -> tuple[list[Media], bytes]:
        """Take bytes; return the tags that they complete, and what to answer.

        Raises:
            BadStream: The handshake fails, or something else than FLV comes.
        """
        if self._head is not None:
            self._head += data
            head, separator, data = bytes(self._head).partition(b"\r\n\r\n")
            if not separator:
                if len(head) > MAX_HEAD_BYTES:
                    raise BadStream("endless response head")
                return [], b""
            self._check(head)
            self._head = None
        content, pings = self._frames.feed(data)
        return self._reader.feed(content), PONG if pings else b""

    def _check(self, head: bytes) -> None:
        """Check the answer to the handshake (RFC 6455 section 4.1)."""
        first, *lines = head.split(b"\r\n")
        if first.split(b" ", 2)[1:2] != [b"101"]:
            raise BadStream(f"refused: {first!r}")
        fields = {
            name.lower(): value.strip() for name, _, value in (x.partition(b":") for x in lines)
        }
        if fields.get(b"sec-websocket-accept") != self._accept:
            raise BadStream("a wrong Sec-WebSocket-Accept")
        if b"sec-websocket-extensions" in fields:
            raise BadStream("an extension that was not offered")


class Unframer:
    """Takes off the frames of a server.

    Content comes out as soon as it is there, not frame by frame: a keyframe counts when its own
    last byte has come, however large the frame around it.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """Return the content in these bytes, and how many pings there are.

        Raises:
            BadStream: A text or a close, a masked or a reserved frame.
        """
        data = self._buffer + data
        content, place, pings = [], 0, 0
        while True:
            if self._left:
                part = data[place : place + self._left]
                content.append(part)
                self._left -= len(part)
                place += len(part)
            if len(data) - place < 2:
                break
            kind, size, head = data[place] & 15, data[place + 1], 2
            if data[place] & 0x70 or size & 0x80:
                raise BadStream("a masked frame, or one with reserved bits")
            if size >= 126:
                head = 4 if size == 126 else 10
                if len(data) - place < head:
                    break
                size = int.from_bytes(data[place + 2 : place + head], "big")
            if kind in (_BINARY, _CONTINUATION):
                place += head
                self._left = size
                continue
            if kind not in (_PING, _PONG) or size > _MAX_CONTROL_BYTES:
                raise BadStream("closed by the server" if kind == _CLOSE else f"a frame of {kind}")
            if len(data) - place < head + size:
                break
            pings += kind == _PING
            place += head + size
        self._buffer = data[place:]
        return b"".join(content), pings
