"""Requests, responses and interleaved frames of RTSP, read from one stream of bytes and written.

RFC 2326 sections 6, 7 and 10.12, with the tolerance that real peers need: lines may end in LF
alone, empty lines stand between messages, a status line may lack its text (D-RQ-08), and any name
is a method.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.wire.rtsp.headers import TOKEN, Headers, header_lines

MAX_HEAD: Final = 16384
"""Bytes of a start line with all headers; a URL has 4096 at most, an `Authorization` 500."""

MAX_HEADERS: Final = 100

MAX_BODY: Final = 65536
"""Bytes of a body. A session description of ten tracks with parameter sets has 8000."""

MAX_FRAME: Final = 65535
"""Bytes in an interleaved frame: its length has 16 bits."""

VERSION: Final = "RTSP/1.0"

_DOLLAR: Final = 0x24
_FRAME_HEAD: Final = 4
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_LONGEST_END: Final = 4
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_WHITE: Final = re.compile(r"[\x00-\x20\x7f]")
_LINE_ENDS: Final = frozenset(b"\r\n")
_LETTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

_frame_head: Final = Struct(">BBH").pack

# What HTTP does not have, or calls otherwise (RFC 2326 section 7.1.1).
_REASONS: Final = {
    250: "Low on Storage Space",
    451: "Parameter Not Understood",
    452: "Conference Not Found",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    456: "Header Field Not Valid for Resource",
    457: "Invalid Range",
    458: "Parameter Is Read-Only",
    459: "Aggregate Operation Not Allowed",
    460: "Only Aggregate Operation Allowed",
    461: "Unsupported Transport",
    462: "Destination Unreachable",
    505: "RTSP Version Not Supported",
    551: "Option Not Supported",
}


class Request(NamedTuple):
    """A request.

    Attributes:
        method: As sent: RFC 2326 has them in capitals.
        url: As sent: absolute, a path, or "*".
        headers: Without `Content-Length`: the body says it.
        body: May be empty.
        version: Such as "RTSP/1.0".
    """

    method: str
    url: str
    headers: Headers
    body: bytes = b""
    version: str = VERSION


class Response(NamedTuple):
    """A response.

    Attributes:
        status: 100 to 999.
        reason: For people; may be empty.
        headers: Without `Content-Length`: the body says it.
        body: May be empty.
    """

    status: int
    reason: str
    headers: Headers
    body: bytes = b""


class Interleaved(NamedTuple):
    """An interleaved frame: one RTP or RTCP packet (RFC 2326 section 10.12).

    Attributes:
        channel: 0 to 255.
        payload: Up to `MAX_FRAME` bytes; may be empty.
    """

    channel: int
    payload: bytes


Message: TypeAlias = Request | Response | Interleaved


def reason_of(status: int) -> str:
    """Return the text that goes with a status; empty for an unknown one."""
    reason = _REASONS.get(status)
    if reason is None:
        try:
            return HTTPStatus(status).phrase
        except ValueError:
            return ""
    return reason


def build_request(request: Request) -> bytes:
    """Write a request; its `Content-Length` is added.

    Raises:
        UsageError: Something in it cannot be written.
    """
    method, url, headers, body, version = request
    if not TOKEN.fullmatch(method) or not url or _WHITE.search(url) or _WHITE.search(version):
        raise UsageError(f"a request cannot be written: {method!r}")
    return _written(f"{method} {url} {version}\r\n", headers, body)


def build_response(response: Response) -> bytes:
    """Write a response; its `Content-Length` is added.

    Raises:
        UsageError: Something in it cannot be written.
    """
    status, reason, headers, body = response
    if not 100 <= status <= 999 or _CONTROL.search(reason) or "\n" in reason:
        raise UsageError(f"a response cannot be written: {status}")
    return _written(f"{VERSION} {status} {reason}".rstrip(" ") + "\r\n", headers, body)


def build_interleaved(channel: int, payload: bytes) -> bytes:
    """Write an interleaved frame.

    Raises:
        UsageError: The channel is not 0 to 255, or the payload is longer than `MAX_FRAME`.
    """
    if not 0 <= channel <= 255 or len(payload) > MAX_FRAME:
        raise UsageError(f"no frame for channel {channel} with {len(payload)} bytes")
    return _frame_head(_DOLLAR, channel, len(payload)) + payload


class Reader:
    """Take messages out of a stream of bytes, whatever the pieces it comes in (D-TR-02).

    Args:
        max_body: Of a request or response, in bytes.
    """

    def __init__(self, *, max_body: int = MAX_BODY) -> None:
        self._max_body = max_body
        self._buffer = bytearray()
        self._at = 0
        self._before = 0
        self._searched = 0
        self._head: Request | Response | None = None
        self._missing = 0
        self._failed = False

    @property
    def buffered(self) -> int:
        """Bytes that came and were not read yet."""
        return len(self._buffer) - self._at

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes. Nothing is parsed yet."""
        if self._at:
            del self._buffer[: self._at]
            self._before += self._at
            self._searched -= self._at
            self._at = 0
        self._buffer += data

    def messages(self) -> Iterator[Message]:
        """Yield each complete message, in order.

        Raises:
            PeerError, LimitExceeded, UsageError: As `next_message`.
        """
        while (message := self.next_message()) is not None:
            yield message

    def next_message(self) -> Message | None:
        """Return the next message, or None if more bytes are needed.

        Raises:
            PeerError: What follows is no message.
            LimitExceeded: It is longer than what is taken.
            UsageError: This raised before: the reader is spent.
        """
        if self._failed:
            raise UsageError("the reader failed before; make a new one")
        if self._head is None:
            buffer, at = self._buffer, self._at
            size = len(buffer)
            while at < size and buffer[at] in _LINE_ENDS:
                at += 1
            self._at = at
            if at == size:
                return None
            if buffer[at] == _DOLLAR:
                if size < at + _FRAME_HEAD:
                    return None
                end = at + _FRAME_HEAD + (buffer[at + 2] << 8 | buffer[at + 3])
                if size < end:
                    return None
                self._at = end
                return Interleaved(buffer[at + 1], bytes(buffer[at + _FRAME_HEAD : end]))
            try:
                self._head = self._next_head()
            except PeerError:
                self._failed = True
                raise
            if self._head is None:
                return None
        end = self._at + self._missing
        if len(self._buffer) < end:
            return None
        head, self._head = self._head, None
        body = bytes(self._buffer[self._at : end])
        self._at = end
        return head._replace(body=body)

    def _next_head(self) -> Request | Response | None:
        """Read a start line and headers; None if they are not complete."""
        buffer, at = self._buffer, self._at
        place = self._before + at
        if buffer[at] not in _LETTERS:
            raise PeerError(
                "neither a message nor a frame", reference="RFC 2326 10.12", offset=place
            )
        # One byte more than may be there, so that it shows when there are more.
        limit = at + MAX_HEAD + 1
        found = _END_OF_HEAD.search(buffer, max(self._searched, at), limit)
        if found is None:
            self._searched = max(at, len(buffer) - _LONGEST_END + 1)
            if len(buffer) < limit:
                return None
        if found is None or found.end() - at > MAX_HEAD:
            raise LimitExceeded(
                "a head longer than is taken",
                reference="RFC 2326 4",
                limit=MAX_HEAD,
                offset=place,
            )
        text = buffer[at : found.start()].decode("utf-8", "surrogateescape")
        self._at = found.end()
        head, self._missing = _parsed(text, place)
        if self._missing > self._max_body:
            raise LimitExceeded(
                f"a body of {self._missing} bytes",
                reference="RFC 2326 12.14",
                limit=self._max_body,
                offset=place,
            )
        return head


def _written(start: str, headers: Headers, body: bytes) -> bytes:
    if "content-length" in headers:
        raise UsageError("Content-Length is what the body has")
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = f"{start}{header_lines(headers)}{length}\r\n"
    return head.encode("utf-8", "surrogateescape") + body


def _parsed(text: str, place: int) -> tuple[Request | Response, int]:
    """Read a head, and the length of the body that follows it."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if _CONTROL.search("\n".join(lines)):
        raise PeerError("a control character in a head", reference="RFC 2326 15.1", offset=place)
    headers, length = _headers(lines[1:], place)
    start = lines[0].strip(" \t")
    if start[:5].upper() == "RTSP/":
        _version, _space, rest = start.partition(" ")
        status, _space, reason = rest.lstrip(" ").partition(" ")
        if len(status) != 3 or not status.isascii() or not status.isdigit() or status < "100":
            raise PeerError("a response without status", reference="RFC 2326 7.1", offset=place)
        return Response(int(status), reason.strip(" \t"), headers), length
    method, _space, rest = start.partition(" ")
    url, _space, version = rest.rpartition(" ")
    url = url.strip(" \t")
    if not TOKEN.fullmatch(method) or not url or version[:5].upper() != "RTSP/":
        raise PeerError("not a request of RTSP", reference="RFC 2326 6.1", offset=place)
    return Request(method, url, headers, b"", version.upper()), length


def _headers(lines: list[str], place: int) -> tuple[Headers, int]:
    fields: list[tuple[str, str]] = []
    lengths = set()
    for line in lines:
        if line[:1] in (" ", "\t") and fields:
            name, value = fields[-1]
            more = line.strip(" \t")
            fields[-1] = (name, f"{value} {more}".strip(" "))
            continue
        name, colon, value = line.partition(":")
        name = name.strip(" \t")
        # A line that is no header at all is passed over: cameras send banners and status text.
        if not colon or not TOKEN.fullmatch(name):
            continue
        if len(fields) == MAX_HEADERS:
            raise LimitExceeded(
                "more headers than are taken",
                reference="RFC 2326 4.2",
                limit=MAX_HEADERS,
                offset=place,
            )
        fields.append((name, value.strip(" \t")))
    for name, value in fields:
        if name.lower() == "content-length":
            if not 0 < len(value) < 10 or not value.isascii() or not value.isdigit():
                raise PeerError("a wrong length", reference="RFC 2326 12.14", offset=place)
            lengths.add(int(value))
    if len(lengths) > 1:
        raise PeerError("two lengths of one body", reference="RFC 2326 12.14", offset=place)
    kept = Headers(field for field in fields if field[0].lower() != "content-length")
    return kept, max(lengths, default=0)
