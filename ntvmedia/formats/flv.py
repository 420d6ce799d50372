"""FLV files and streams: cut into tags, and tags put together.

Adobe's "Video File Format Specification" version 10.1, annex E, cited as "FLV 10.1 E.n".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from ntvmedia.errors import LimitExceeded, PeerError, UsageError

HEADER_SIZE: Final = 9
TAG_HEADER_SIZE: Final = 11
BACK_POINTER_SIZE: Final = 4

MAX_BODY_SIZE: Final = 0xFFFFFF
"""Bytes of a tag's body that its 24-bit size field can say."""

# 10 MiB is what RTMP accepts as a message too, and more than a 4K keyframe at any rate in use.
DEFAULT_MAX_BODY_SIZE: Final = 10 * 1024 * 1024

# The header says itself how long it is, so that later versions might add fields; none did.
MAX_HEADER_SIZE: Final = 1024

_HEADER: Final = "FLV 10.1 E.2"
_TAG: Final = "FLV 10.1 E.4.1"
_SIGNATURE: Final = b"FLV"

_AUDIO_FLAG: Final = 4
_VIDEO_FLAG: Final = 1

# Bit 5 of a tag's first byte, "Filter": the body is encrypted.
_ENCRYPTED: Final = 0x20
_TYPE: Final = 0x1F

# Type; size, 24 bits; timestamp, low 24 bits and then the high 8; stream id, always 0.
_tag_header: Final = Struct(">BBHBHB3x")
_back_pointer: Final = Struct(">I")


class TagType(IntEnum):
    """What a tag carries (FLV 10.1 E.4.1)."""

    AUDIO = 8
    VIDEO = 9
    SCRIPT = 18


@dataclass(frozen=True, slots=True)
class Header:
    """The file header (FLV 10.1 E.2).

    Encoders set the two flags wrongly often enough that they are hints: take the tracks from the
    tags that arrive.
    """

    has_audio: bool
    has_video: bool


class Tag(NamedTuple):
    """One tag (FLV 10.1 E.4.1).

    Attributes:
        kind: Of the body.
        timestamp: Decode time in milliseconds, modulo 2**32. The document reads it as signed; a
            live stream passes that after 24.8 days, and wraps after 49.7.
        body: The tag's data, without tag header.
    """

    kind: TagType
    timestamp: int
    body: bytes


Event: TypeAlias = Header | Tag

_KINDS: Final = {int(kind): kind for kind in TagType}


def file_header(has_audio: bool, has_video: bool) -> bytes:
    """Write the file header and the first back pointer: 13 bytes (FLV 10.1 E.2, E.3)."""
    flags = (_AUDIO_FLAG if has_audio else 0) | (_VIDEO_FLAG if has_video else 0)
    return _SIGNATURE + bytes((1, flags, 0, 0, 0, HEADER_SIZE)) + bytes(BACK_POINTER_SIZE)


def tag_header(kind: int, timestamp: int, size: int) -> bytes:
    """Write the 11 bytes before a tag's body.

    Args:
        kind: A `TagType`.
        timestamp: In milliseconds, of any size: written modulo 2**32.
        size: Bytes of the body, at most `MAX_BODY_SIZE`.
    """
    return _tag_header.pack(
        kind,
        size >> 16,
        size & 0xFFFF,
        timestamp >> 16 & 0xFF,
        timestamp & 0xFFFF,
        timestamp >> 24 & 0xFF,
    )


def back_pointer(size: int) -> bytes:
    """Write the 4 bytes after a tag whose body has `size` bytes (FLV 10.1 E.3)."""
    return _back_pointer.pack(size + TAG_HEADER_SIZE)


def tag(kind: TagType, timestamp: int, body: bytes) -> bytes:
    """Write a tag and the back pointer after it.

    Args:
        timestamp: In milliseconds, of any size: written modulo 2**32.

    Raises:
        UsageError: The body is longer than `MAX_BODY_SIZE`.
    """
    size = len(body)
    if size > MAX_BODY_SIZE:
        raise UsageError(f"an FLV tag cannot hold {size} bytes")
    return tag_header(kind, timestamp, size) + body + back_pointer(size)


class Demuxer:
    """Turn FLV bytes into `Header` and `Tag` events.

    Call `receive_data` with bytes as they come, then take all of `events`. What comes out, and
    the error that ends it, depend only on the bytes and never on how they were cut.

    Args:
        max_body_size: Of a tag, in bytes; more is refused from the tag's header alone.
    """

    def __init__(self, *, max_body_size: int = DEFAULT_MAX_BODY_SIZE) -> None:
        self._max_body_size = max_body_size
        self._buffer = bytearray()
        self._consumed = 0
        # Bytes to be left out before the next tag: the rest of the header, and back pointers.
        self._skip = 0
        self._has_header = False
        self._failed = False

    @property
    def buffered(self) -> int:
        """How many bytes wait for the rest of their tag."""
        return len(self._buffer)

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes from the peer. Nothing is parsed yet."""
        self._buffer += data

    def events(self) -> Iterator[Event]:
        """Parse what is there, and yield each complete event in stream order.

        Tags of a reserved type and encrypted ones are left out.

        Raises:
            PeerError: The bytes that follow the last event are not FLV.
            LimitExceeded: The next tag is larger than `max_body_size`.
            UsageError: This raised before: the demuxer is spent.
        """
        if self._failed:
            raise UsageError("the demuxer failed before; make a new one")
        try:
            if not self._has_header:
                header = self._read_header()
                if header is None:
                    return
                yield header
            while (found := self._read_tag()) is not None:
                if found.kind in _KINDS:
                    yield found
        except PeerError:
            self._failed = True
            raise

    def _read_header(self) -> Header | None:
        buffer = self._buffer
        # Refuse what is no FLV from its first wrong byte, not only when nine have come.
        if not _SIGNATURE.startswith(buffer[:3]) and buffer[:3] != _SIGNATURE:
            raise PeerError("no FLV signature", reference=_HEADER, offset=0)
        if len(buffer) < HEADER_SIZE:
            return None
        size = int.from_bytes(buffer[5:9], "big")
        if not HEADER_SIZE <= size <= MAX_HEADER_SIZE:
            raise PeerError(f"a header of {size} bytes", reference=_HEADER, offset=5)
        flags = buffer[4]
        self._discard(HEADER_SIZE)
        # The first back pointer follows. Writers disagree on what back pointers hold after a
        # truncated tag, and no reader needs them: they are skipped unchecked.
        self._skip = size - HEADER_SIZE + BACK_POINTER_SIZE
        self._has_header = True
        return Header(bool(flags & _AUDIO_FLAG), bool(flags & _VIDEO_FLAG))

    def _read_tag(self) -> Tag | None:
        """Take the next tag from the buffer; its kind may be none of `TagType`."""
        buffer = self._buffer
        start = self._skip
        if len(buffer) < start + TAG_HEADER_SIZE:
            return None
        first, high, low, time_middle, time_low, time_high = _tag_header.unpack_from(buffer, start)
        size = high << 16 | low
        if size > self._max_body_size:
            raise LimitExceeded(
                f"a tag of {size} bytes",
                reference=_TAG,
                limit=self._max_body_size,
                offset=self._consumed + start,
            )
        stop = start + TAG_HEADER_SIZE + size
        if len(buffer) < stop:
            return None
        body = bytes(buffer[start + TAG_HEADER_SIZE : stop])
        self._discard(stop)
        self._skip = BACK_POINTER_SIZE
        kind = -1 if first & _ENCRYPTED else first & _TYPE
        timestamp = time_high << 24 | time_middle << 16 | time_low
        return Tag(_KINDS.get(kind, kind), timestamp, body)  # type: ignore[arg-type]

    def _discard(self, count: int) -> None:
        del self._buffer[:count]
        self._consumed += count
