"""The bytes of command messages that sessions send (RTMP 1.0 section 7.2).

What is the same for every connection is made once: a player that joins costs a few look-ups.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final

from ntvmedia.formats import amf0
from ntvmedia.formats.amf0 import Value
from ntvmedia.wire.rtmp import writer
from ntvmedia.wire.rtmp.capabilities import FourCCInfo, announcement
from ntvmedia.wire.rtmp.chunks import DEFAULT_CHUNK_SIZE, MessageType

# Where the reference implementations put commands of the connection and of a stream; any other
# chunk streams but those of the media would do.
CONNECTION_CHUNK_STREAM: Final = 3
STREAM_CHUNK_STREAM: Final = 5

# What FFmpeg's, nginx-rtmp's and SRS's servers say in the same sense: some encoders look for
# "FMS/" and a version of at least 3 before they send H.264.
SERVER_VERSION: Final = "FMS/3,5,7,7009"
SERVER_CAPABILITIES: Final = 31.0

# Enough for a sentence; longer ones come from text of the peer's that is quoted in it.
MAX_DESCRIPTION: Final = 512

UNPUBLISHED: Final = "NetStream.Unpublish.Success"
"""Says that publishing ended as it should."""

_number: Final = Struct(">d").pack
_NUMBER_MARKER: Final = b"\x00"


def message(payload: bytes, stream_id: int, chunk_size: int) -> bytes:
    """Return the chunks of one AMF0 command message.

    Args:
        payload: Its AMF0 values.
        stream_id: The message stream; 0 for the connection.
        chunk_size: The one that the peer was last told, in bytes.
    """
    chunk_stream = STREAM_CHUNK_STREAM if stream_id else CONNECTION_CHUNK_STREAM
    return writer.message_bytes(
        chunk_stream, 0, MessageType.COMMAND_AMF0, stream_id, payload, chunk_size
    )


def command(
    name: str, transaction: float, *arguments: Value, stream_id: int, chunk_size: int
) -> bytes:
    """Return the message of any command, with the command object as its first argument."""
    return message(amf0.encode(name, transaction, *arguments), stream_id, chunk_size)


def result(transaction: float, *arguments: Value, chunk_size: int) -> bytes:
    """Return a `_result` on the connection: the command object, then the values."""
    return message(amf0.encode("_result", transaction, *arguments), 0, chunk_size)


def created(transaction: float, stream_id: int, *, chunk_size: int) -> bytes:
    """Return the answer to `createStream` (RTMP 1.0 section 7.2.1.3)."""
    return result(transaction, None, float(stream_id), chunk_size=chunk_size)


def failed(transaction: float, description: str, *, chunk_size: int) -> bytes:
    """Return the `_error` to a call that cannot be carried out (section 7.2.1.2)."""
    info = status_object("NetConnection.Call.Failed", description, "error")
    return message(amf0.encode("_error", transaction, None, info), 0, chunk_size)


def connect_refused(transaction: float, description: str) -> bytes:
    """Return the `_error` to a `connect`, which goes before any change of chunk size.

    Args:
        description: Says to clients that know how what they have to bring. It is the last that
            the message has: librtmp looks for a NUL behind it.
    """
    info = status_object("NetConnection.Connect.Rejected", description, "error")
    return message(amf0.encode("_error", transaction, None, info), 0, DEFAULT_CHUNK_SIZE)


def status_object(code: str, description: str, level: str = "status") -> dict[str, Value]:
    """Return the information object of an `onStatus`."""
    return {"level": level, "code": code, "description": description[:MAX_DESCRIPTION]}


def status(
    stream_id: int,
    code: str,
    description: str,
    level: str = "status",
    *,
    chunk_size: int,
    more: dict[str, Value] | None = None,
) -> bytes:
    """Return an `onStatus` (RTMP 1.0 section 7.2.2).

    Args:
        stream_id: The message stream that it is about; 0 for the connection.
        level: "status", "warning" or "error".
        more: Further properties of the information object.
    """
    info = {**status_object(code, description, level), **(more or {})}
    return message(amf0.encode("onStatus", 0.0, None, info), stream_id, chunk_size)


@lru_cache(maxsize=32)
def connect_preamble(window_ack_size: int, chunk_size: int) -> bytes:
    """Return what goes before the answer to `connect`: sizes (RTMP 1.0 section 5.4).

    What follows it is cut into chunks of the new size.
    """
    return (
        writer.window_ack_size(window_ack_size)
        + writer.set_peer_bandwidth(window_ack_size)
        + writer.set_chunk_size(chunk_size)
    )


def connected(
    transaction: float, object_encoding: int, *, enhanced: bool, chunk_size: int
) -> bytes:
    """Return the answer to `connect` (RTMP 1.0 section 7.2.1.1).

    Args:
        object_encoding: 0 or 3; "3 indicates support for both AMF0 and AMF3" (E-RTMP v2, "Action
            Message Format").
        enhanced: Announce Enhanced RTMP, which only who announced it as well may see.
    """
    head, tail = _connected_parts(object_encoding, enhanced)
    return message(head + _number(transaction) + tail, 0, chunk_size)


@lru_cache(maxsize=4)
def _connected_parts(object_encoding: int, enhanced: bool) -> tuple[bytes, bytes]:
    ours = announcement(FourCCInfo.CAN_FORWARD) if enhanced else {}
    properties: dict[str, Value] = {
        "fmsVer": SERVER_VERSION,
        "capabilities": SERVER_CAPABILITIES,
        "mode": 1.0,
        **ours,
    }
    # E-RTMP v2 leaves open which of the two objects states the server's support.
    information: dict[str, Value] = {
        **status_object("NetConnection.Connect.Success", "Connection succeeded."),
        "objectEncoding": float(object_encoding),
        **ours,
    }
    return (
        amf0.encode("_result") + _NUMBER_MARKER,
        amf0.encode(properties, information),
    )


@lru_cache(maxsize=64)
def publish_started(stream_id: int, chunk_size: int) -> bytes:
    """Return what tells an encoder to go on."""
    return status(
        stream_id, "NetStream.Publish.Start", "Publishing started.", chunk_size=chunk_size
    )


@lru_cache(maxsize=64)
def play_started(
    stream_id: int, chunk_size: int, more: tuple[tuple[str, Value], ...] = ()
) -> bytes:
    """Return what players wait for before they take media.

    StreamBegin, Play.Reset and Play.Start (RTMP 1.0 section 7.2.2.1), then the permission to read
    samples and Data.Start, which Flash's own servers send and Flash players act upon.

    Args:
        stream_id: The message stream.
        chunk_size: As of `message`.
        more: Further properties of Play.Start's information object.
    """
    sample_access = amf0.encode("|RtmpSampleAccess", True, True)
    data_start = amf0.encode("onStatus", {"code": "NetStream.Data.Start"})
    return b"".join(
        (
            writer.stream_begin(stream_id),
            status(
                stream_id,
                "NetStream.Play.Reset",
                "Playing and resetting the stream.",
                chunk_size=chunk_size,
            ),
            status(
                stream_id,
                "NetStream.Play.Start",
                "Playing started.",
                chunk_size=chunk_size,
                more=dict(more),
            ),
            data(sample_access, stream_id, chunk_size),
            data(data_start, stream_id, chunk_size),
        )
    )


def play_ended(stream_id: int, code: str, description: str, *, chunk_size: int) -> bytes:
    """Return what ends a play: the reason, StreamEOF, Play.Stop.

    FFmpeg and librtmp stop at either status; others wait for the user control message.
    """
    return b"".join(
        (
            status(stream_id, code, description, chunk_size=chunk_size),
            writer.stream_eof(stream_id),
            status(stream_id, "NetStream.Play.Stop", description, chunk_size=chunk_size),
        )
    )


def data(payload: bytes, stream_id: int, chunk_size: int) -> bytes:
    """Return the chunks of one AMF0 data message (RTMP 1.0 section 7.1.2)."""
    return writer.message_bytes(
        STREAM_CHUNK_STREAM, 0, MessageType.DATA_AMF0, stream_id, payload, chunk_size
    )


def connect(transaction: float, properties: dict[str, Value]) -> bytes:
    """Return a client's `connect`, which goes before any change of chunk size."""
    return command("connect", transaction, properties, stream_id=0, chunk_size=DEFAULT_CHUNK_SIZE)
