"""The client side of RTMP, as little of it as a load generator needs: bytes in, bytes out."""

from __future__ import annotations

import struct
from enum import Enum
from typing import Final

from bench.flv import AUDIO, SCRIPT, VIDEO, BadStream, Media

# RTMP 1.0 section 5.2: version, then 1536 bytes each way, and the peer's 1536 back.
HANDSHAKE_BYTES: Final = 1536
C0_C1: Final = b"\x03" + bytes(8) + bytes(i * 7 & 255 for i in range(HANDSHAKE_BYTES - 8))

SET_CHUNK_SIZE: Final = 1
ACKNOWLEDGEMENT: Final = 3
USER_CONTROL: Final = 4
WINDOW_SIZE: Final = 5
COMMAND: Final = 20

DEFAULT_CHUNK_BYTES: Final = 128
EXTENDED: Final = 0xFFFFFF

# Message header bytes for fmt 0 to 3 (RTMP 1.0 5.3.1.2).
_HEADER_BYTES: Final = (11, 7, 3, 0)


_Value = str | float | dict[str, str] | None


class Role(Enum):
    """What a client came for."""

    PLAY = "play"
    PUBLISH = "publish"


def amf(*values: _Value) -> bytes:
    """Encode values as AMF0."""
    parts = []
    for value in values:
        if value is None:
            parts.append(b"\x05")
        elif isinstance(value, str):
            parts.append(b"\x02" + _text(value))
        elif isinstance(value, dict):
            fields = (_text(key) + amf(item) for key, item in value.items())
            parts.append(b"\x03" + b"".join(fields) + b"\0\0\x09")
        else:
            parts.append(struct.pack(">Bd", 0, value))
    return b"".join(parts)


def _text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode()


def chunked(
    chunk_stream: int, kind: int, body: bytes, chunk_bytes: int, time: int = 0, stream: int = 0
) -> bytes:
    """Write one message in chunks, with a full header (fmt 0)."""
    if time >= EXTENDED:
        raise ValueError("this generator never runs for 4.6 hours")
    header = struct.pack(">BI", chunk_stream, time << 8)[:4]
    header += len(body).to_bytes(3, "big") + bytes((kind,)) + struct.pack("<I", stream)
    return header + _split(chunk_stream, body, chunk_bytes)


def chunked_after(chunk_stream: int, kind: int, body: bytes, chunk_bytes: int, delta: int) -> bytes:
    """Write one message with the time since the last on its chunk stream (fmt 1)."""
    header = bytes((0x40 | chunk_stream,)) + delta.to_bytes(3, "big")
    header += len(body).to_bytes(3, "big") + bytes((kind,))
    return header + _split(chunk_stream, body, chunk_bytes)


def _split(chunk_stream: int, body: bytes, chunk_bytes: int) -> bytes:
    """Put the one byte of a fmt 3 header between the chunks of a body."""
    pieces = (body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes))
    return bytes((0xC0 | chunk_stream,)).join(pieces)


class ChunkReader:
    """Reads messages out of chunks.

    Attributes:
        received: Bytes given to `feed` so far.
        chunk_bytes: The peer's chunk size.
    """

    def __init__(self) -> None:
        self.received = 0
        self.chunk_bytes = DEFAULT_CHUNK_BYTES
        self._buffer = bytearray()
        self._streams: dict[int, _ChunkStream] = {}

    def feed(self, data: bytes) -> list[Media]:
        """Take bytes, and return the messages that they complete.

        Raises:
            BadStream: A chunk continues nothing.
        """
        self.received += len(data)
        self._buffer += data
        origin = self.received - len(self._buffer)
        messages = []
        place = 0
        while (chunk := self._chunk(place, origin)) is not None:
            place, message = chunk
            if message is not None:
                if message.kind == SET_CHUNK_SIZE:
                    self.chunk_bytes = int.from_bytes(message.body[:4], "big") & 0x7FFFFFFF
                messages.append(message)
        del self._buffer[:place]
        return messages

    def _chunk(self, place: int, origin: int) -> tuple[int, Media | None] | None:
        """Read the chunk at `place`: where it ends and what it completes; None: not all there."""
        buffer = self._buffer
        start = place
        available = len(buffer)
        if place >= available:
            return None
        form, number = buffer[place] >> 6, buffer[place] & 63
        place += 1
        if number < 2:  # two and three byte basic headers (RTMP 1.0 5.3.1.1)
            if place + number + 1 > available:
                return None
            number = 64 + int.from_bytes(buffer[place : place + number + 1], "little")
            place += buffer[start] % 64 + 1
        header = place
        place += _HEADER_BYTES[form]
        if place > available:
            return None
        stream = self._streams.get(number)
        if stream is None:
            if form > 1:
                raise BadStream(f"chunk of type {form} on a fresh chunk stream {number}")
            stream = self._streams[number] = _ChunkStream()
        field = int.from_bytes(buffer[header : header + 3], "big") if form < 3 else stream.field
        if field == EXTENDED:
            if place + 4 > available:
                return None
            time = int.from_bytes(buffer[place : place + 4], "big")
            place += 4
        else:
            time = field
        size, kind = stream.size, stream.kind
        if form < 2:
            size = int.from_bytes(buffer[header + 3 : header + 6], "big")
            kind = buffer[header + 6]
        end = place + min(self.chunk_bytes, size - len(stream.body))
        if end > available:
            return None
        if not stream.body:
            stream.start = origin + start
            if form == 0:
                stream.timestamp, stream.delta = time, 0
            elif form < 3:
                stream.delta = time
                stream.timestamp = stream.timestamp + time & 0xFFFFFFFF
            else:
                stream.timestamp = stream.timestamp + stream.delta & 0xFFFFFFFF
        stream.field, stream.size, stream.kind = field, size, kind
        stream.body += buffer[place:end]
        if len(stream.body) < size:
            return end, None
        body = bytes(stream.body)
        stream.body.clear()
        return end, Media(kind, stream.timestamp, body, stream.start)


class _ChunkStream:
    """What a chunk stream keeps between chunks."""

    __slots__ = ("body", "delta", "field", "kind", "size", "start", "timestamp")

    def __init__(self) -> None:
        self.body = bytearray()
        self.delta = self.field = self.kind = self.size = self.start = self.timestamp = 0


class RTMPClient:
    """One publisher or player up to its first media, and further where all is to be parsed.

    A publisher goes C0 C1, connect, createStream, publish; a player the same with play. Every
    step waits for the answer to the one before, as real clients do.

    Attributes:
        greeting: What to send as soon as the connection stands.
        ready: The server said that publishing (or playing) has started.
        stream: The message stream id that the server gave.
    """

    def __init__(self, host: str, application: str, stream: str, role: Role = Role.PLAY) -> None:
        self.greeting = C0_C1
        self.ready = False
        self.stream = 0
        self._address = f"rtmp://{host}/{application}"
        self._application = application
        self._name = stream
        self._role = role
        self._handshake: bytearray | None = bytearray()
        self._reader = ChunkReader()
        self._skipped = 0

    @property
    def received(self) -> int:
        """Bytes of chunks so far, on the scale of `Media.start`."""
        return self._reader.received

    @property
    def chunk_bytes(self) -> int:
        """The server's chunk size."""
        return self._reader.chunk_bytes

    def feed(self, data: bytes) -> tuple[list[Media], bytes]:
        """Take bytes; return the media that they complete, and what to answer.

        Raises:
            BadStream: The server refused, or does not speak RTMP.
        """
        replies = []
        if self._handshake is not None:
            self._handshake += data
            if len(self._handshake) < 1 + 2 * HANDSHAKE_BYTES:
                return [], b""
            replies.append(bytes(self._handshake[1 : 1 + HANDSHAKE_BYTES]))
            replies.append(_command(0, *self._connect()))
            data = bytes(self._handshake[1 + 2 * HANDSHAKE_BYTES :])
            self._handshake = None
        media = []
        for message in self._reader.feed(data):
            if message.kind in (AUDIO, VIDEO, SCRIPT):
                media.append(message)
            elif message.kind == COMMAND:
                replies.append(self._answer(message.body))
            elif message.kind == USER_CONTROL and message.body[:2] == b"\0\x06":
                pong = b"\0\x07" + message.body[2:6]
                replies.append(chunked(2, USER_CONTROL, pong, DEFAULT_CHUNK_BYTES))
        return media, b"".join(replies)

    def _connect(self) -> tuple[str | float | dict[str, str], ...]:
        fields = {
            "app": self._application,
            "type": "nonprivate",
            "flashVer": "FMLE/3.0 (compatible; bench)",
            "tcUrl": self._address,
        }
        return "connect", 1.0, fields

    def _answer(self, body: bytes) -> bytes:
        """Take the next step after a command of the server."""
        if body[:1] != b"\x02":
            raise BadStream("a command without a name")
        name_end = 3 + int.from_bytes(body[1:3], "big")
        name = body[3:name_end]
        if name == b"onStatus":
            if b"\x02\x00\x05error" in body or b"NotFound" in body:
                raise BadStream(f"refused: {body[name_end:]!r}")
            self.ready = self.ready or b".Start" in body
            return b""
        if name not in (b"_result", b"_error"):
            return b""
        (transaction,) = struct.unpack_from(">d", body, name_end + 1)
        # Servers may dislike releaseStream and FCPublish (2 and 3): encoders do not mind either.
        if name == b"_error" and transaction in (1, 4):
            raise BadStream(f"refused: {body[name_end:]!r}")
        if transaction == 1:
            window = struct.pack(">I", 5_000_000)
            steps = [chunked(2, WINDOW_SIZE, window, DEFAULT_CHUNK_BYTES)]
            if self._role is Role.PUBLISH:
                steps.append(_command(0, "releaseStream", 2.0, None, self._name))
                steps.append(_command(0, "FCPublish", 3.0, None, self._name))
            steps.append(_command(0, "createStream", 4.0, None))
            return b"".join(steps)
        if transaction == 4:
            (stream,) = struct.unpack(">d", body[-8:])
            self.stream = int(stream)
            if self._role is Role.PUBLISH:
                return _command(self.stream, "publish", 5.0, None, self._name, "live")
            buffer_ms = struct.pack(">HII", 3, self.stream, 1000)
            return _command(self.stream, "play", 5.0, None, self._name) + chunked(
                2, USER_CONTROL, buffer_ms, DEFAULT_CHUNK_BYTES
            )
        return b""


def acknowledgement(received: int) -> bytes:
    """Write the report of bytes received that a player owes (RTMP 1.0 5.4.3)."""
    return chunked(2, ACKNOWLEDGEMENT, struct.pack(">I", received & 0xFFFFFFFF), 128)


def _command(stream: int, *values: _Value) -> bytes:
    return chunked(3, COMMAND, amf(*values), DEFAULT_CHUNK_BYTES, stream=stream)
