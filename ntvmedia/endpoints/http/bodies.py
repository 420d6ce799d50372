"""Where a request's body ends, and what is in it: RFC 9112 section 6.

Both kinds of body are told the bytes that follow a head, in any pieces, and say how many of them
are theirs. So a body can be given on decoded or as it came, and read as slowly as its reader wants.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol

from ntvmedia.endpoints.http.heads import CHUNKED, BadRequest, RequestHead

MAX_CHUNK_LINE_BYTES: Final = 1024
"""The longest line before a chunk: its size, and extensions, which are ignored."""

MAX_TRAILER_BYTES: Final = 16384
"""The longest trailer section, which is ignored: as much as a head."""

# Sizes below 2**60, as 15 digits.
_MAX_SIZE_DIGITS: Final = 15
_HEXADECIMAL: Final = b"0123456789abcdefABCDEF"


class Body(Protocol):
    """The body of one request, as it comes.

    Attributes:
        complete: All of it was received.
        error: The framing is broken behind what was returned; the body is not to be used more.
    """

    complete: bool
    error: BadRequest | None

    def receive(self, data: bytes, start: int) -> tuple[int, list[bytes]]:
        """Take what belongs to the body.

        Args:
            data: What came from the client.
            start: Position in `data` of the first byte not yet taken.

        Returns:
            The position behind the last byte of the body, and the content found so far, in
            pieces without the framing.
        """


class FixedBody:
    """A body of known length.

    Args:
        length: Bytes, above zero.
    """

    __slots__ = ("_remaining", "complete", "error")

    def __init__(self, length: int) -> None:
        self._remaining = length
        self.complete = False
        self.error: BadRequest | None = None

    def receive(self, data: bytes, start: int) -> tuple[int, list[bytes]]:
        piece = data[start : start + self._remaining]
        self._remaining -= len(piece)
        self.complete = not self._remaining
        return start + len(piece), [piece] if piece else []


class _Expecting(Enum):
    SIZE = "the line with a chunk's size"
    DATA = "a chunk"
    CHUNK_END = "the line end behind a chunk"
    TRAILER = "a line of the trailer section"


class ChunkedBody:
    """A body in chunks, RFC 9112 section 7.1, read strictly: no blanks, signs or bare LF."""

    __slots__ = ("_expecting", "_line", "_remaining", "_trailer", "complete", "error")

    def __init__(self) -> None:
        self._expecting = _Expecting.SIZE
        self._line = b""
        self._remaining = 0
        self._trailer = 0
        self.complete = False
        self.error: BadRequest | None = None

    def receive(self, data: bytes, start: int) -> tuple[int, list[bytes]]:
        pieces: list[bytes] = []
        try:
            start = self._receive(data, start, pieces)
        except BadRequest as error:
            self.error = error
        return start, pieces

    def _receive(self, data: bytes, start: int, pieces: list[bytes]) -> int:
        end = len(data)
        while start < end and not self.complete:
            if self._expecting is _Expecting.DATA:
                piece = data[start : start + self._remaining]
                pieces.append(piece)
                start += len(piece)
                self._remaining -= len(piece)
                if not self._remaining:
                    self._expecting = _Expecting.CHUNK_END
                continue
            stop = data.find(b"\n", start, start + MAX_CHUNK_LINE_BYTES + 1) + 1
            self._line += data[start : stop or start + MAX_CHUNK_LINE_BYTES + 1]
            if len(self._line) > MAX_CHUNK_LINE_BYTES:
                raise BadRequest(400, "a chunk's line is too long", reference="RFC 9112 7.1")
            start = stop or end
            if stop:
                line, self._line = self._line, b""
                self._line_received(line)
        return start

    def _line_received(self, line: bytes) -> None:
        if line[-2:] != b"\r\n" or line.count(b"\r") != 1 or b"\0" in line:
            raise BadRequest(400, "a bad line end in a chunked body", reference="RFC 9112 7.1")
        if self._expecting is _Expecting.SIZE:
            size, _semicolon, _extension = line[:-2].partition(b";")
            # A blank before the semicolon is "bad whitespace", which nobody sends any more.
            if not size or len(size) > _MAX_SIZE_DIGITS or size.translate(None, _HEXADECIMAL):
                raise BadRequest(400, "a bad chunk size", reference="RFC 9112 7.1")
            self._remaining = int(size, 16)
            self._expecting = _Expecting.DATA if self._remaining else _Expecting.TRAILER
        elif self._expecting is _Expecting.CHUNK_END:
            if line != b"\r\n":
                raise BadRequest(400, "a chunk longer than its size", reference="RFC 9112 7.1")
            self._expecting = _Expecting.SIZE
        else:
            self._trailer += len(line)
            if self._trailer > MAX_TRAILER_BYTES:
                raise BadRequest(431, "the trailers are too long", reference="RFC 9112 7.1.2")
            self.complete = line == b"\r\n"


def body_of(head: RequestHead) -> Body | None:
    """Return the body that follows a head, or None where none follows."""
    if head.body_length == CHUNKED:
        return ChunkedBody()
    return FixedBody(head.body_length) if head.body_length else None
