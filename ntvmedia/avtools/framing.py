"""What passes between the server and a child process: frames on the child's standard streams.

A frame is a type of one byte, the length of its body in four (big-endian), and the body:

| type | name     | sent by | body |
|------|----------|---------|------|
| 1    | JOB      | parent  | JSON: what is to be done, as `avtools.job` has it; first of all |
| 2    | TRACK    | both    | u8 output, then JSON: a `Track`, before its first packet |
| 3    | PACKET   | both    | u8 output, u16 id of the track, u8 flags (1: keyframe), i64 dts, i64 |
|      |          |         | pts in ticks of the track's clock, then the payload |
| 4    | DATA     | parent  | bytes of a file or body that the parent reads |
| 5    | END      | parent  | empty: no more packets or data come; the child ends what it has |
| 6    | METADATA | child   | u8 output, then JSON: an object, as in onMetaData |
| 7    | NOTE     | child   | UTF-8: a line for the operator |
| 8    | PROBED   | child   | JSON: what was found, as `avtools.job.Probe` |
| 9    | ERROR    | child   | JSON: message, status, is_permanent of a `RemoteError`; the last |
| 10   | ENDED    | child   | empty: all was done; the last |

Back-pressure is the pipe's: the child blocks when the parent does not read. Outputs are numbered
as the job has them; the parent's own tracks and packets have output 0.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

from ntvmedia.errors import LimitExceeded, PeerError, RemoteError, UsageError
from ntvmedia.media.packets import Codec, Packet, Track

MAX_BODY: Final = 32 << 20
"""Bytes of a body: a keyframe of 8K at 500 Mb/s is 10 MB."""

MAX_TEXT: Final = 1 << 20
"""Bytes of the bodies that are text: a job with 64 outputs is 20 kB."""

MAX_MESSAGE: Final = 1000
"""Characters of an error: it is shown for as long as the task waits."""

_REFERENCE: Final = "avtools framing"

_FRAME: Final = struct.Struct(">BI")
_PACKET: Final = struct.Struct(">BHBqq")
_PACKET_FRAME: Final = struct.Struct(">BIBHBqq")

_MIN_TICKS: Final = -(1 << 63)
_MAX_TICKS: Final = (1 << 63) - 1


class FrameType(IntEnum):
    """What a frame is."""

    JOB = 1
    TRACK = 2
    PACKET = 3
    DATA = 4
    END = 5
    METADATA = 6
    NOTE = 7
    PROBED = 8
    ERROR = 9
    ENDED = 10


_TYPES: Final = {int(x): x for x in FrameType}
_LARGE: Final = frozenset({FrameType.PACKET, FrameType.DATA})


class Frame(NamedTuple):
    """One frame.

    Attributes:
        type: What it is.
        body: Not yet read.
    """

    type: FrameType
    body: bytes


class PacketBody(NamedTuple):
    """The body of PACKET.

    Attributes:
        output: 0 to 255.
        track_id: As `Track.id`.
        is_keyframe: As of `Packet`, as are the others.
        dts: In ticks.
        pts: In ticks.
        payload: All that follows.
    """

    output: int
    track_id: int
    is_keyframe: bool
    dts: int
    pts: int
    payload: bytes


class FrameReader:
    """Cuts what a process sends into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._failed = False

    def receive_data(self, data: bytes) -> None:
        """Take what was read."""
        self._buffer += data

    def frames(self) -> Iterator[Frame]:
        """Yield the frames that are complete.

        Raises:
            PeerError: What follows the last one is no frame.
            UsageError: This raised before.
        """
        if self._failed:
            raise UsageError("the frames were wrong before")
        buffer = self._buffer
        place = 0
        try:
            while len(buffer) - place >= 5:
                number, length = _FRAME.unpack_from(buffer, place)
                kind = _TYPES.get(number)
                if kind is None:
                    raise PeerError(f"a frame of type {number}", reference=_REFERENCE)
                limit = MAX_BODY if kind in _LARGE else MAX_TEXT
                if length > limit:
                    message = f"a frame of {length} bytes"
                    raise LimitExceeded(message, reference=_REFERENCE, limit=limit)
                end = place + 5 + length
                if len(buffer) < end:
                    return
                body = bytes(buffer[place + 5 : end])
                place = end
                yield Frame(kind, body)
        except PeerError:
            self._failed = True
            raise
        finally:
            del buffer[:place]


def build_frame(kind: FrameType, body: bytes = b"") -> bytes:
    """Write a frame.

    Raises:
        UsageError: The body is longer than a reader takes.
    """
    if len(body) > (MAX_BODY if kind in _LARGE else MAX_TEXT):
        raise UsageError(f"a body of {len(body)} bytes")
    return _FRAME.pack(kind, len(body)) + body


def build_json(kind: FrameType, value: object) -> bytes:
    """Write a frame with JSON in it."""
    return build_frame(kind, json.dumps(value).encode())


def read_json(body: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        PeerError: It is none.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise PeerError("no JSON", reference=_REFERENCE) from None
    if not isinstance(value, dict):
        raise PeerError("no JSON object", reference=_REFERENCE)
    return value


def build_packet(packet: Packet, output: int = 0) -> bytes:
    """Write PACKET. Times beyond 63 bits are cut to them."""
    track, dts, pts, is_keyframe, payload = packet
    return (
        _PACKET_FRAME.pack(
            FrameType.PACKET,
            20 + len(payload),
            output,
            track.id,
            is_keyframe,
            min(max(dts, _MIN_TICKS), _MAX_TICKS),
            min(max(pts, _MIN_TICKS), _MAX_TICKS),
        )
        + payload
    )


def read_packet(body: bytes) -> PacketBody:
    """Read the body of PACKET.

    Raises:
        PeerError: It is too short.
    """
    if len(body) < _PACKET.size:
        raise PeerError(f"a packet of {len(body)} bytes", reference=_REFERENCE)
    output, track_id, flags, dts, pts = _PACKET.unpack_from(body)
    return PacketBody(output, track_id, bool(flags & 1), dts, pts, body[20:])


def build_track(track: Track, output: int = 0) -> bytes:
    """Write TRACK."""
    fields = {
        "codec": track.codec.value,
        "number": track.number,
        "clock_rate": track.clock_rate,
        "config": track.config.hex(),
        "channels": track.channels,
        "language": track.language,
        "color_info": track.color_info.hex(),
    }
    return build_frame(FrameType.TRACK, bytes((output,)) + json.dumps(fields).encode())


def read_track(body: bytes) -> tuple[int, Track]:
    """Read the body of TRACK: the output, and the track.

    Raises:
        PeerError: It is none.
    """
    output, fields = read_numbered(body)
    try:
        track = Track(
            Codec(fields["codec"]),
            _number(fields, "number", 0xFF),
            max(_number(fields, "clock_rate", 0xFFFFFFFF), 1),
            bytes.fromhex(fields["config"]),
            _number(fields, "channels", 0xFF),
            _text(fields, "language"),
            bytes.fromhex(fields["color_info"]),
        )
    except (KeyError, TypeError, ValueError):
        raise PeerError("a track without its fields", reference=_REFERENCE) from None
    return output, track


def build_metadata(fields: Mapping[str, object], output: int = 0) -> bytes:
    """Write METADATA; its values are text, numbers and truth values."""
    return build_frame(FrameType.METADATA, bytes((output,)) + json.dumps(dict(fields)).encode())


def read_numbered(body: bytes) -> tuple[int, dict[str, Any]]:
    """Read a body that begins with the number of an output: METADATA.

    Raises:
        PeerError: It is none.
    """
    if not body:
        raise PeerError("an empty body", reference=_REFERENCE)
    return body[0], read_json(body[1:])


def build_error(error: RemoteError) -> bytes:
    """Write ERROR."""
    fields = {
        "message": str(error)[:MAX_MESSAGE],
        "status": error.status,
        "is_permanent": error.is_permanent,
    }
    return build_json(FrameType.ERROR, fields)


def read_error(body: bytes) -> RemoteError:
    """Read the body of ERROR.

    Raises:
        PeerError: It is none.
    """
    fields = read_json(body)
    try:
        message, status = _text(fields, "message"), _number(fields, "status", 999)
        is_permanent = fields["is_permanent"] is True
    except (KeyError, TypeError, ValueError):
        raise PeerError("an error without its fields", reference=_REFERENCE) from None
    return RemoteError(message[:MAX_MESSAGE], status, is_permanent=is_permanent)


def _number(fields: Mapping[str, Any], name: str, most: int) -> int:
    value = fields[name]
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(name)
    return value


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value
