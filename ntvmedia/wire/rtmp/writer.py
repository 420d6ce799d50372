"""Writes RTMP messages as chunks, and the messages of protocol control (RTMP 1.0, 5.3 to 7.1).

Each message begins with a full header (type 0), so that its bytes do not depend on what was sent
before and can be handed to any number of connections.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

from ntvmedia.errors import UsageError
from ntvmedia.wire.rtmp.chunks import (
    DEFAULT_CHUNK_SIZE,
    MAX_CHUNK_SIZE,
    MessageType,
)

MIN_CHUNK_STREAM_ID: Final = 2
MAX_CHUNK_STREAM_ID: Final = 65599

CONTROL_CHUNK_STREAM_ID: Final = 2
"""Where protocol control messages belong (RTMP 1.0 5.4)."""

MAX_PAYLOAD: Final = 0xFFFFFF

_EXTENDED: Final = 0xFFFFFF
_MASK: Final = 0xFFFFFFFF

# Chunk stream id and time; length and type; message stream id, which is little-endian.
_HEADER: Final = Struct(">III").pack
_EXTENDED_HEADER: Final = Struct(">IIII").pack
_word: Final = Struct(">I").pack
_two_words: Final = Struct(">II").pack


class LimitType(IntEnum):
    """The third argument of Set Peer Bandwidth (RTMP 1.0 5.4.5)."""

    HARD = 0
    SOFT = 1
    DYNAMIC = 2


class UserControl(IntEnum):
    """The events of User Control messages (RTMP 1.0 7.1.7)."""

    STREAM_BEGIN = 0
    STREAM_EOF = 1
    STREAM_DRY = 2
    SET_BUFFER_LENGTH = 3
    STREAM_IS_RECORDED = 4
    PING_REQUEST = 6
    PING_RESPONSE = 7


def append_message(
    parts: list[bytes],
    chunk_stream_id: int,
    timestamp: int,
    type_id: int,
    message_stream_id: int,
    prefix: bytes,
    payload: bytes,
    chunk_size: int,
) -> None:
    """Append the chunks of one message whose body is `prefix + payload`.

    A body that fits into one chunk is not copied. The result depends on the arguments alone.

    Args:
        parts: What to append to.
        chunk_stream_id: 2 to 65599.
        timestamp: In milliseconds; sent modulo 2**32.
        type_id: A `MessageType`.
        message_stream_id: 0 to 2**32 - 1.
        prefix: How the body begins; may be empty.
        payload: How it goes on; at most 16,777,215 bytes with the prefix.
        chunk_size: As last announced to the peer, in bytes.

    Raises:
        UsageError: An argument is out of range; nothing was appended.
    """
    length = len(prefix) + len(payload)
    if length > MAX_PAYLOAD or not 0 < chunk_size <= MAX_CHUNK_SIZE:
        raise UsageError(f"no message of {length} bytes goes in chunks of {chunk_size}")
    if 2 <= chunk_stream_id < 64:
        basic = chunk_stream_id
        wide = b""
    else:
        basic, wide = _wide_basic_header(chunk_stream_id)
    timestamp &= _MASK
    # The usual message streams are 0 and 1; others take the long way to a little-endian word.
    if message_stream_id < 256:
        swapped = message_stream_id << 24
    else:
        swapped = int.from_bytes(message_stream_id.to_bytes(4, "little"), "big")
    if timestamp < _EXTENDED:
        header = _HEADER(basic << 24 | timestamp, length << 8 | type_id, swapped)
    else:
        header = _EXTENDED_HEADER(
            basic << 24 | _EXTENDED, length << 8 | type_id, swapped, timestamp
        )
    if wide:
        header = header[:1] + wide + header[1:]
    if length <= chunk_size:
        parts.append(header + prefix)
        parts.append(payload)
        return
    marker = bytes((basic | 0xC0,)) + wide
    if timestamp >= _EXTENDED:
        # As the specification has it, and FFmpeg reads it. Without it players stop after 4 h 39.
        marker += _word(timestamp)
    body = prefix + payload
    parts.append(header + body[:chunk_size])
    parts.extend(
        marker + body[place : place + chunk_size] for place in range(chunk_size, length, chunk_size)
    )


def message_bytes(
    chunk_stream_id: int,
    timestamp: int,
    type_id: int,
    message_stream_id: int,
    payload: bytes,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
) -> bytes:
    """Return the chunks of one message; arguments and errors as in `append_message`."""
    parts: list[bytes] = []
    append_message(
        parts, chunk_stream_id, timestamp, type_id, message_stream_id, b"", payload, chunk_size
    )
    return b"".join(parts)


def set_chunk_size(size: int) -> bytes:
    """Announce our chunk size, 1 to 0x7FFFFFFF bytes (RTMP 1.0 5.4.1).

    Raises:
        UsageError: It is out of range.
    """
    if not 0 < size <= MAX_CHUNK_SIZE:
        raise UsageError(f"chunk size {size} is out of range")
    return _control(MessageType.SET_CHUNK_SIZE, _word(size))


def abort(chunk_stream_id: int) -> bytes:
    """Tell the peer to forget an unfinished message (RTMP 1.0 5.4.2)."""
    return _control(MessageType.ABORT, _word(chunk_stream_id))


def acknowledgement(received: int) -> bytes:
    """Acknowledge what was received since the start, in bytes, modulo 2**32 (RTMP 1.0 5.4.3)."""
    return _control(MessageType.ACKNOWLEDGEMENT, _word(received & _MASK))


def window_ack_size(size: int) -> bytes:
    """Ask for an acknowledgement every `size` bytes (RTMP 1.0 5.4.4)."""
    return _control(MessageType.WINDOW_ACK_SIZE, _word(size))


def set_peer_bandwidth(size: int, limit_type: LimitType = LimitType.DYNAMIC) -> bytes:
    """Ask the peer to keep at most `size` bytes unacknowledged (RTMP 1.0 5.4.5)."""
    return _control(MessageType.SET_PEER_BANDWIDTH, _word(size) + bytes((limit_type,)))


def user_control(event: int, *values: int) -> bytes:
    """Send an event with its values of 4 bytes each (RTMP 1.0 5.4.6, 7.1.7)."""
    payload = event.to_bytes(2, "big") + b"".join(map(_word, values))
    return _control(MessageType.USER_CONTROL, payload)


def stream_begin(message_stream_id: int) -> bytes:
    """Say that a stream can be used now."""
    return user_control(UserControl.STREAM_BEGIN, message_stream_id)


def stream_eof(message_stream_id: int) -> bytes:
    """Say that a stream's playback is over."""
    return user_control(UserControl.STREAM_EOF, message_stream_id)


def set_buffer_length(message_stream_id: int, milliseconds: int) -> bytes:
    """Tell, as a client, how much of a stream is buffered."""
    return user_control(UserControl.SET_BUFFER_LENGTH, message_stream_id, milliseconds)


def ping_request(timestamp: int) -> bytes:
    """Ask for an answer with the same timestamp, in milliseconds modulo 2**32."""
    return user_control(UserControl.PING_REQUEST, timestamp & _MASK)


def ping_response(timestamp: int) -> bytes:
    """Answer a ping request with its own 4 bytes."""
    return user_control(UserControl.PING_RESPONSE, timestamp & _MASK)


def _control(type_id: int, payload: bytes) -> bytes:
    """One chunk on the control chunk stream, whatever the chunk size: 10 bytes at most."""
    return message_bytes(CONTROL_CHUNK_STREAM_ID, 0, type_id, 0, payload)


def _wide_basic_header(chunk_stream_id: int) -> tuple[int, bytes]:
    """Return the low 6 bits of a basic header's first byte, and what follows it."""
    if not MIN_CHUNK_STREAM_ID <= chunk_stream_id <= MAX_CHUNK_STREAM_ID:
        raise UsageError(f"chunk stream id {chunk_stream_id} is out of range")
    if chunk_stream_id < 320:
        return 0, bytes((chunk_stream_id - 64,))
    return 1, (chunk_stream_id - 64).to_bytes(2, "little")
