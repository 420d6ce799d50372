"""Bytes of chunk streams for tests: an encoder that knows every form of header."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ntvmedia.errors import PeerError
from ntvmedia.wire.rtmp.chunks import ChunkReader, Message

WRAP = 1 << 32
CHUNK_STREAM_IDS = (2, 3, 4, 6, 63, 64, 319, 320, 65599)


def basic_header(form: int, chunk_stream_id: int) -> bytes:
    """Return the 1 to 3 bytes before a message header (RTMP 1.0 5.3.1.1)."""
    if chunk_stream_id < 64:
        return bytes([form << 6 | chunk_stream_id])
    if chunk_stream_id < 320:
        return bytes([form << 6, chunk_stream_id - 64])
    return bytes([form << 6 | 1]) + (chunk_stream_id - 64).to_bytes(2, "little")


def header(form: int, chunk_stream_id: int, time: int, length: int, kind: int, owner: int) -> bytes:
    """Return a chunk header of form 0, 1 or 2, with its extended timestamp."""
    out = basic_header(form, chunk_stream_id) + min(time, 0xFFFFFF).to_bytes(3, "big")
    if form < 2:
        out += length.to_bytes(3, "big") + bytes([kind])
    if form == 0:
        out += owner.to_bytes(4, "little")
    return out + (time.to_bytes(4, "big") if time >= 0xFFFFFF else b"")


@dataclass
class Encoder:
    """Writes messages in the form asked for, or in the nearest that can express them.

    Attributes:
        repeats: The extended timestamp stands in type 3 chunks too.
    """

    chunk_size: int = 128
    repeats: bool = True
    last: dict[int, tuple[Message, int, bytes]] = field(default_factory=dict)

    def chunks(self, message: Message, form: int = 0) -> list[bytes]:
        """Return the chunks of one message."""
        kind, timestamp, owner, payload, number = message
        old, delta, extended = self.last.get(number, (None, 0, b""))
        time = timestamp % WRAP
        if old is None or old.message_stream_id != owner:
            form = 0
        else:
            step = (timestamp - old.timestamp) % WRAP
            same = old.type_id == kind and len(old.payload) == len(payload)
            if form == 3 and not (same and step == delta):
                form = 2
            if form == 2 and not same:
                form = 1
            if form:
                time = step
        if form == 3:
            first = basic_header(3, number) + (extended if self.repeats else b"")
        else:
            first = header(form, number, time, len(payload), kind, owner)
            extended = time.to_bytes(4, "big") if time >= 0xFFFFFF else b""
            delta = time
        self.last[number] = (message, delta, extended)
        marker = basic_header(3, number) + (extended if self.repeats else b"")
        size = self.chunk_size
        pieces = [payload[i : i + size] for i in range(0, len(payload), size)] or [b""]
        return [first + pieces[0], *(marker + piece for piece in pieces[1:])]


def read(reader: ChunkReader, pieces: Iterable[bytes]) -> tuple[list[Message], str]:
    """Return the messages and the error that come out of pieces of a stream."""
    messages: list[Message] = []
    for piece in pieces:
        reader.receive_data(piece)
        try:
            while (message := reader.next_message()) is not None:
                messages.append(message)
        except PeerError as error:
            return messages, f"{type(error).__name__}: {error}"
    return messages, ""


def read_all(stream: bytes) -> list[Message]:
    """Return the messages of a good stream, which must come out the same byte by byte."""
    messages, error = read(ChunkReader(), [stream])
    assert error == ""
    assert read(ChunkReader(), [bytes([byte]) for byte in stream]) == (messages, "")
    return messages


def error_of(stream: bytes) -> str:
    """Return the error in a stream."""
    return read(ChunkReader(), [stream])[1]


def size_message(size: int, chunk_stream_id: int = 2) -> bytes:
    """Return a Set Chunk Size message."""
    return header(0, chunk_stream_id, 0, 4, 1, 0) + size.to_bytes(4, "big")


def pattern(length: int) -> bytes:
    """Return bytes whose order shows."""
    return bytes(i * 7 & 0xFF for i in range(length))
