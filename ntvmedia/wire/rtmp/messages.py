"""RTMP messages, as they are taken out of a chunk stream."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class MessageType(IntEnum):
    """The message types (RTMP 1.0 sections 5.4, 7.1)."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACK_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    SHARED_OBJECT_AMF3 = 16
    COMMAND_AMF3 = 17
    DATA_AMF0 = 18
    SHARED_OBJECT_AMF0 = 19
    COMMAND_AMF0 = 20
    AGGREGATE = 22


class Message(NamedTuple):
    """One message.

    Attributes:
        type_id: 3 to 255; a `MessageType` where it is known.
        timestamp: In milliseconds, unbounded: the 32 bits of the wire are extended to the value
            nearest to the message before it in its chunk stream, and so may be negative. The
            first audio or video message of a connection is taken as it is.
        message_stream_id: 0 for the connection itself.
        payload: As sent, may be empty.
        chunk_stream_id: 2 to 65599.
    """

    type_id: int
    timestamp: int
    message_stream_id: int
    payload: bytes
    chunk_stream_id: int
