"""FLV from outside: a reader for tags, and one HTTP-FLV player as bytes in, bytes out."""

from __future__ import annotations

from typing import Final, NamedTuple

AUDIO: Final = 8
VIDEO: Final = 9
SCRIPT: Final = 18

# FLV 10.1 E.2: nine bytes of header; every tag has eleven, and its size again in four behind it.
HEADER_BYTES: Final = 9
TAG_BYTES: Final = 11
TAG_OVERHEAD_BYTES: Final = TAG_BYTES + 4

# A response head of this size is no answer of a media server.
MAX_HEAD_BYTES: Final = 16384


class BadStream(Exception):
    """A server sent what no player understands, or refused the player."""


class Media(NamedTuple):
    """One FLV tag or RTMP message.

    Attributes:
        kind: `AUDIO`, `VIDEO`, `SCRIPT`, or another RTMP message type.
        timestamp: In milliseconds.
        body: Without any header.
        start: Where its header began, in bytes from the beginning of the stream.
    """

    kind: int
    timestamp: int
    body: bytes
    start: int


def is_keyframe(media: Media) -> bool:
    """Tell whether this is a video keyframe: coded frames, not a decoder configuration."""
    if media.kind != VIDEO or len(media.body) < 2:
        return False
    first = media.body[0]
    if first & 0x80:  # Enhanced RTMP: CodedFrames and CodedFramesX
        return (first >> 4) & 7 == 1 and first & 15 in (1, 3)
    return first >> 4 == 1 and media.body[1] == 1


class FLVReader:
    """An incremental reader of an FLV stream.

    Attributes:
        received: Bytes given to `feed` so far.
    """

    def __init__(self) -> None:
        self.received = 0
        self._buffer = bytearray()
        self._header_read = False

    def feed(self, data: bytes) -> list[Media]:
        """Take more bytes, and return the tags that they complete.

        Raises:
            BadStream: The stream does not begin with an FLV header.
        """
        self.received += len(data)
        buffer = self._buffer
        buffer += data
        origin = self.received - len(buffer)
        place = 0
        if not self._header_read:
            if len(buffer) < HEADER_BYTES + 4:
                return []
            if buffer[:3] != b"FLV":
                raise BadStream(f"not FLV: {bytes(buffer[:16])!r}")
            self._header_read = True
            place = HEADER_BYTES + 4
        tags = []
        while len(buffer) - place >= TAG_BYTES:
            size = int.from_bytes(buffer[place + 1 : place + 4], "big")
            end = place + TAG_OVERHEAD_BYTES + size
            if end > len(buffer):
                break
            timestamp = buffer[place + 7] << 24 | int.from_bytes(
                buffer[place + 4 : place + 7], "big"
            )
            body = bytes(buffer[place + TAG_BYTES : end - 4])
            tags.append(Media(buffer[place] & 31, timestamp, body, origin + place))
            place = end
        del buffer[:place]
        return tags


class FLVPlayer:
    """An HTTP-FLV player: the request, then tags out of the answer's body.

    It has the same attributes and methods as `rtmp.RTMPClient`, so that one loop drives both.

    Attributes:
        greeting: What to send as soon as the connection stands.
        chunk_bytes: Zero: FLV has no chunks.
    """

    chunk_bytes = 0

    def __init__(self, host: str, application: str, stream: str) -> None:
        path = f"/{application}/{stream}.flv"
        self.greeting = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode()
        self._head: bytearray | None = bytearray()
        self._chunked: Dechunker | None = None
        self._reader = FLVReader()

    @property
    def received(self) -> int:
        """Bytes of FLV so far, on the scale of `Media.start`."""
        return self._reader.received

    def feed(self, data: bytes) -> tuple[list[Media], bytes]:
        """Take bytes; return the tags that they complete, and what to answer (nothing, here).

        Raises:
            BadStream: The answer is not a 200 with FLV in it.
        """
        if self._head is not None:
            self._head += data
            head, separator, rest = bytes(self._head).partition(b"\r\n\r\n")
            if not separator:
                if len(head) > MAX_HEAD_BYTES:
                    raise BadStream("endless response head")
                return [], b""
            if head.split(b" ", 2)[1:2] != [b"200"]:
                raise BadStream(f"refused: {head.splitlines()[0]!r}")
            if b"transfer-encoding: chunked" in head.lower():
                self._chunked = Dechunker()
            self._head = None
            data = rest
        if self._chunked is not None:
            data = self._chunked.feed(data)
        return self._reader.feed(data), b""


class Dechunker:
    """Takes off the framing of `Transfer-Encoding: chunked` (RFC 9112, 7.1).

    Content comes out as soon as it is there, not chunk by chunk: a keyframe counts when its own
    last byte has come, however large the chunk around it.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._left = 0
        self._end_of_chunk = 0

    def feed(self, data: bytes) -> bytes:
        """Return the content in these bytes."""
        content = []
        place = 0
        while place < len(data):
            if self._left:
                part = data[place : place + self._left]
                content.append(part)
                self._left -= len(part)
                place += len(part)
            elif self._end_of_chunk:  # CR LF behind the content
                step = min(self._end_of_chunk, len(data) - place)
                self._end_of_chunk -= step
                place += step
            else:
                end = data.find(b"\n", place)
                if end < 0:
                    self._line += data[place:]
                    break
                self._line += data[place:end]
                self._left = int(self._line.split(b";")[0], 16)
                self._end_of_chunk = 2
                self._line.clear()
                place = end + 1
        return b"".join(content)
