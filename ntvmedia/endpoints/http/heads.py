"""Request heads: one complete head in, a checked `RequestHead` or one `BadRequest` out.

RFC 9112 (HTTP/1.1) and RFC 9110. The syntax is read by llhttp; what llhttp lets pass but another
reader of the same bytes might understand otherwise (a proxy before us, `twisted.web` behind us)
is refused here, since a difference of opinion about where a request ends is how requests are
smuggled.

Only whole heads are parsed, so the parser keeps nothing between two calls and one serves all
connections.
"""

from __future__ import annotations

import re
from typing import Final

import httptools
from httptools import HttpParserError, HttpParserUpgrade

from ntvmedia.errors import PeerError

MAX_HEAD_BYTES: Final = 16384
"""The longest head, its last empty line included: as nginx and Twisted have it."""

MAX_TARGET_BYTES: Final = 8192
"""The longest target: RFC 9112 section 3 asks for 8000 at least."""

MAX_HEADERS: Final = 100
"""The most header fields: browsers send about 20, chains of proxies add a dozen."""

MAX_KNOWN_BYTES: Final = 1024
MAX_KNOWN_HEADS: Final = 1024
"""Which heads are remembered, and how many: about two megabytes."""

# Content-Length is kept below 2**63 so that nothing behind us overflows on it.
_MAX_LENGTH_DIGITS: Final = 18

# RFC 3986 section 3.2.2 and 3.2.3: what may stand in host and port.
_HOST_CHARACTERS: Final = (
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+,;=:[]"
)

_NOTED: Final = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"expect",
        b"range",
        b"x-sessioncookie",
    }
)
_SINGLE: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"expect", b"x-sessioncookie"}
)

# What nobody reads in two ways: nothing of it is special to any reader of a request line.
_PLAIN_LINE: Final = re.compile(rb"GET (/[0-9A-Za-z/_.~-]{0,500}) HTTP/1\.1\r\n")

CHUNKED: Final = -1
"""`RequestHead.body_length` of a body in chunks."""


class BadRequest(PeerError):
    """A request that is answered with an error status before the connection is closed.

    Attributes:
        status: The HTTP status: 400, 408, 413, 414, 417, 431 or 503.
    """

    def __init__(self, status: int, message: str, *, reference: str) -> None:
        super().__init__(message, reference=reference)
        self.status = status


class RequestHead:
    """The head of one request, checked.

    Attributes:
        method: As sent, upper case.
        target: In origin form: a path with an optional query; printable ASCII.
        minor: 1 for HTTP/1.1, 0 for HTTP/1.0.
        headers: Names in lower case, and values, in order; values may end in blanks.
        body_length: Bytes of body that follow, or `CHUNKED`.
        keep_alive: The client can send another request after this one.
        expects_continue: The client waits for status 100 before it sends the body.
        ranged: It asks for a part.
        is_plain_get: The answer is a whole one to GET that says nothing about the connection.
        is_tunnel: It says to which tunnel of RTSP it belongs.
    """

    __slots__ = (
        "body_length",
        "expects_continue",
        "headers",
        "is_plain_get",
        "is_tunnel",
        "keep_alive",
        "method",
        "minor",
        "ranged",
        "target",
    )

    def __init__(
        self, method: bytes, target: bytes, minor: int, headers: list[tuple[bytes, bytes]]
    ) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.headers = headers
        self.body_length = 0
        self.keep_alive = minor == 1
        self.expects_continue = False
        self.ranged = False
        self.is_plain_get = False
        self.is_tunnel = False

    def with_target(self, target: bytes) -> RequestHead:
        """Return the same head for another target."""
        head = RequestHead(self.method, target, self.minor, self.headers)
        head.body_length = self.body_length
        head.keep_alive = self.keep_alive
        head.expects_continue = self.expects_continue
        head.ranged = self.ranged
        head.is_plain_get = self.is_plain_get
        head.is_tunnel = self.is_tunnel
        return head

    def header(self, name: bytes) -> str | None:
        """Return the first value of a field, by its lower-case name; None where there is none."""
        for field, value in self.headers:
            if field == name:
                return value.decode("latin-1").strip(" \t")
        return None


def check_line_feeds(data: bytes) -> None:
    """Check that each line of a head, or of the beginning of one, ends in CRLF.

    Raises:
        BadRequest: A line ends in LF alone, which not everybody takes for an end.
    """
    if data.count(b"\n") != data.count(b"\r\n"):
        raise BadRequest(400, "a bare line feed", reference="RFC 9112 2.2")


class HeadParser:
    """Parses heads, one after the other, of any number of connections.

    Players send the same header fields again and again, with another target each time: what short
    ones meant behind a plain request line is remembered, which costs a sixth of parsing them.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._complete = False
        self._known: dict[bytes, RequestHead] = {}

    def parse(self, data: bytes) -> RequestHead:
        """Parse one head.

        Args:
            data: From the request line to the empty line, both included, and nothing else.

        Returns:
            Not to be changed: it may be given again.

        Raises:
            BadRequest: It is not a head that this server takes.
        """
        line = _PLAIN_LINE.match(data)
        if line is None:
            return self._parse(data)
        fields = data[line.end() :]
        known = self._known.get(fields)
        if known is not None:
            return known.with_target(line[1])
        head = self._parse(data)
        if len(fields) <= MAX_KNOWN_BYTES:
            if len(self._known) >= MAX_KNOWN_HEADS:
                self._known.clear()
            self._known[fields] = head
        return head

    def _parse(self, data: bytes) -> RequestHead:
        self._target = b""
        self._complete = False
        headers: list[tuple[bytes, bytes]] = []
        self._headers = headers
        parser = self._parser
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            # To use the connection for something else is an offer that we may decline.
            self._renew()
        except HttpParserError as error:
            self._renew()
            check_line_feeds(data)
            raise BadRequest(400, str(error), reference="RFC 9112") from None
        target = self._target
        method = parser.get_method()
        # The request line byte by byte: llhttp also takes HTTP/0.9, RTSP and surplus blanks.
        line = b"%b %b HTTP/1." % (method, target)
        if data.startswith(line + b"1\r\n"):
            minor = 1
        elif data.startswith(line + b"0\r\n"):
            minor = 0
        else:
            self._renew()
            raise BadRequest(400, "not an HTTP/1 request line", reference="RFC 9112 3")
        if not self._complete or not minor:
            # It waits for a body, which is not its business, or for the end of the connection.
            self._renew()
        head = RequestHead(method, target, minor, headers)
        self._check(head)
        return head

    def on_url(self, target: bytes) -> None:
        """Take the target, from llhttp."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field, from llhttp."""
        self._headers.append((name.lower(), value))

    def on_message_complete(self) -> None:
        """Note that llhttp expects another request next."""
        self._complete = True

    def _renew(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    def _check(self, head: RequestHead) -> None:
        target = head.target
        if len(target) > MAX_TARGET_BYTES:
            raise BadRequest(414, "the target is too long", reference="RFC 9112 3")
        # RFC 9112 3.2.2 has servers take "http://host/path" too, which only a proxy is sent: two
        # places that name the host are one too many.
        if target[:1] != b"/" or b"#" in target or head.method == b"CONNECT":
            raise BadRequest(400, "the target is not a path", reference="RFC 9112 3.2.1")
        if len(head.headers) > MAX_HEADERS:
            raise BadRequest(431, "too many header fields", reference="RFC 6585 5")
        noted = [pair for pair in head.headers if pair[0] in _NOTED]
        seen = {name for name, _value in noted}
        if len(seen) < len(noted):
            self._check_single([name for name, _value in noted])
        if b"host" not in seen and head.minor:
            raise BadRequest(400, "no Host", reference="RFC 9112 3.2")
        if b"content-length" in seen and b"transfer-encoding" in seen:
            raise BadRequest(400, "two lengths of body", reference="RFC 9112 6.1")
        for name, value in noted:
            if name != b"host":
                self._check_noted(head, name, value.strip(b" \t"))
            elif value.translate(None, _HOST_CHARACTERS) and value.strip(b" \t").translate(
                None, _HOST_CHARACTERS
            ):
                raise BadRequest(400, "a bad Host", reference="RFC 9112 3.2")

        head.is_plain_get = (
            head.method == b"GET"
            and head.keep_alive
            and head.minor == 1
            and not head.body_length
            and not head.ranged
        )

    def _check_single(self, names: list[bytes]) -> None:
        for name in names:
            if name in _SINGLE and names.count(name) > 1:
                text = name.decode("ascii")
                raise BadRequest(400, f"more than one {text}", reference="RFC 9112 6.3, 3.2")

    def _check_noted(self, head: RequestHead, name: bytes, value: bytes) -> None:
        if name == b"connection":
            tokens = {token.strip(b" \t") for token in value.lower().split(b",")}
            if b"close" in tokens:
                head.keep_alive = False
            elif b"keep-alive" in tokens:
                head.keep_alive = True
            if not head.keep_alive:
                self._renew()
        elif name == b"content-length":
            if not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS:
                raise BadRequest(400, "a bad Content-Length", reference="RFC 9112 6.2")
            head.body_length = int(value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked" or not head.minor:
                raise BadRequest(400, "a bad Transfer-Encoding", reference="RFC 9112 6.1")
            head.body_length = CHUNKED
        elif name == b"range":
            head.ranged = True
        elif name == b"x-sessioncookie":
            head.is_tunnel = True
        elif value.lower() != b"100-continue":
            raise BadRequest(417, "an unknown expectation", reference="RFC 9110 10.1.1")
        else:
            head.expects_continue = bool(head.minor)
