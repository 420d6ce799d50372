"""One HTTP connection: heads in, turns given, answers out in the order of the requests.

The connection reads one request at a time. Its head decides who takes the turn: an answer that is
always the same is sent at once, a media address gets an `Exchange` and goes to its route, all else
goes to `twisted.web`. While somebody has the turn, further requests wait in a small buffer, and
then with the client.

    reading a head ──> fixed answer ──────────────────────> reading a head
          │      └───> Exchange or WebTurns has the turn ──> reading a head
          └──> error ──> closing <── turn done, not to be kept ──┘

An exchange may switch to another protocol, and a `Takeover` is one from the start: then all that
comes is its receiver's, to the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.endpoints.http import answers
from ntvmedia.endpoints.http.bodies import Body, body_of
from ntvmedia.endpoints.http.clients import client_of
from ntvmedia.endpoints.http.heads import MAX_HEAD_BYTES, BadRequest, RequestHead, check_line_feeds
from ntvmedia.endpoints.http.media import serve_media
from ntvmedia.endpoints.http.pages import visitor_of
from ntvmedia.endpoints.http.routing import media_target
from ntvmedia.endpoints.http.takeover import serve_takeover
from ntvmedia.endpoints.http.turns import Turn
from ntvmedia.endpoints.http.web import WebTurns
from ntvmedia.endpoints.peers import host_of, peer_of
from ntvmedia.hub.outlet import JOINED_BYTES, Outlet

if TYPE_CHECKING:
    from ntvmedia.endpoints.http.exchange import Receiver
    from ntvmedia.endpoints.http.front import HTTPFront

# What a client may send ahead of its answer before it is held back: as much as one head.
MAX_AHEAD_BYTES: Final = MAX_HEAD_BYTES

# After an error the client can still read the answer before it hears of a reset, since what it
# sends meanwhile is read and thrown away (RFC 9112 section 9.6). Any closing takes no longer.
LINGER_SECONDS: Final = 2.0

# A body must come at this rate after this time, while we would take some: else it is a slow head
# by other means (F-RE-04).
BODY_SECONDS: Final = 30.0
BODY_BYTES_PER_SECOND: Final = 4096

# The first byte of TLS (RFC 8446 section 5.1), which no HTTP request has.
_TLS_HANDSHAKE: Final = 0x16

# Who holds the client back.
_AHEAD: Final = 1
_WEB: Final = 2


# What no request is.
_NO_HEAD: Final = b"", RequestHead(b"", b"", 0, [])


class HTTPConnection(Protocol):
    """The server's side of one connection.

    Args:
        front: What all connections share.
        address: Of the other end, as a load balancer tells it; None for that of the transport.

    Attributes:
        address: Of the other end: the client's, or a proxy's.
        host: The IP address in it; empty for a unix socket.
        outlet: The way out; nothing else writes to the transport.
        deadline: When `deadline_passed` is to be called, by the front's clock.
    """

    _log = Logger()
    transport: Any  # `ITCPTransport` and `IPushProducer`, which Twisted has no one name for
    outlet: Outlet

    def __init__(self, front: HTTPFront, address: Any = None) -> None:
        self.front = front
        self.address = address
        self.host = ""
        self.deadline = 0.0
        self._buffer = b""
        self._at = 0
        self._head: RequestHead | None = None
        self._usual: tuple[bytes, RequestHead] = _NO_HEAD
        self._body: Body | None = None
        self._turn: Turn | None = None
        self._web: WebTurns | None = None
        self._receiver: Receiver | None = None
        self._open = True
        self._stopping = False
        self._advancing = False
        self._in_head = True
        self._skipped_line = False
        self._in_body = False
        self._held = 0
        self._when_drained: list[Callable[[], None]] = []

    def connectionMade(self) -> None:
        if self.address is None:
            self.address = self.transport.getPeer()
        self.host = host_of(self.address)
        self.outlet = Outlet(self.transport, self.front.policy)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        # The first head counts from here: who connects has something to ask.
        self.deadline = self.front.clock() + self.front.settings.head_timeout
        refusal = self.front.connected(self)
        if refusal is not None:
            self.fail(refusal)

    def dataReceived(self, data: bytes) -> None:
        if self._receiver is not None:
            if self._open:
                self._receiver.data_received(data)
            return
        if self._buffer:
            self._buffer = self._buffer[self._at :] + data
            self._at = 0
        else:
            self._buffer = data
        self.advance()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._open = False
        self._buffer = b""
        self.outlet.lost()
        self.front.disconnected(self)
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.lost()
        self._web = self._receiver = None
        self._when_drained.clear()

    @property
    def peer(self) -> str:
        """Address and port of the other end."""
        return peer_of(self.address)

    def client(self, head: RequestHead) -> Any:
        """Return the address of the client that a request comes from, behind proxies or not."""
        return client_of(self.address, head, self.front.proxies())

    @property
    def may_persist(self) -> bool:
        """Whether the connection can go on after the answer at hand."""
        head = self._head
        return head is not None and head.keep_alive and self._body is None and not self._stopping

    @property
    def has_more(self) -> bool:
        """Whether there is something behind what was read."""
        return len(self._buffer) > self._at

    def advance(self) -> None:
        """Go on with what was received, as far as that is possible now."""
        if self._advancing:
            return
        self._advancing = True
        try:
            # Without bytes there is something to do only where a body is awaited: time it.
            while self._open and (self._buffer or self._body is not None) and self._step():
                pass
        finally:
            self._advancing = False
        if not self._open:
            self._buffer = b""

    def answer(self, status: int, head_fields: str, body: bytes | memoryview) -> None:
        """Answer the request at hand completely, and go on.

        Args:
            status: A code of `http.HTTPStatus`.
            head_fields: As `answers.fields` writes them.
            body: Its content.
        """
        head = self._head
        assert head is not None
        keep = self.may_persist
        connection = answers.persistence(head.minor, keep=keep)
        date = self.front.date
        if len(body) < JOINED_BYTES or head.method == b"HEAD":
            self.outlet.write(
                answers.complete(
                    status,
                    date,
                    head_fields,
                    bytes(body),
                    connection=connection,
                    head_only=head.method == b"HEAD",
                )
            )
        else:
            # Not copied for each who asks, while it waits for a slow one.
            head_fields += f"Content-Length: {len(body)}\r\n"
            self.outlet.write_both(
                answers.head(status, date, head_fields, connection=connection), body
            )
        self.turn_done(keep=keep)

    def refuse(self, status: int, reason: str, head_fields: str) -> None:
        """Answer the request at hand with one line that says why it is refused."""
        self.answer(
            status, head_fields + answers.REASON_FIELDS, answers.reason_body(status, reason)
        )

    def give_turn(self, turn: Turn) -> None:
        """Have the request at hand answered by somebody, now or later."""
        self._turn = turn

    def switch_protocols(self, receiver: Receiver) -> None:
        """Give all that comes to somebody else, beginning with what came already."""
        self._receiver = receiver
        self._body = None
        rest = self._buffer[self._at :]
        self._buffer, self._at = b"", 0
        self._release(_AHEAD)
        if rest and self._open:
            receiver.data_received(rest)

    def turn_done(self, *, keep: bool) -> None:
        """Take the connection back: the answer at hand is complete."""
        self._turn = None
        if not self._open:
            return
        if keep and not self._stopping:
            self._await_head()
            self.advance()
        else:
            self._finish(linger=self._body is not None or self._receiver is not None)

    def fail(self, error: BadRequest) -> None:
        """Answer with an error as far as that is still possible, and close."""
        self._log.info("{peer}: {error}", peer=self.peer, error=error)
        turn, self._turn = self._turn, None
        if turn is not None:
            begun = turn.begun
            turn.lost()
            if begun:
                self.abort()
                return
        if self._open:
            self.outlet.write(self.front.error_answer(error.status, str(error)))
            self._finish(linger=True)

    def abort(self) -> None:
        """Disconnect at once."""
        self._open = False
        self.outlet.abort()

    def close(self, reason: str) -> None:
        """The server stops: close as soon as the answer at hand is complete."""
        self._stopping = True
        if self._turn is not None:
            self._turn.stop()
        elif self._open:
            self._finish(linger=False)

    def pause_reading(self) -> None:
        """Hold the client back for `twisted.web`. Idempotent."""
        self._hold(_WEB)

    def resume_reading(self) -> None:
        """End that. Idempotent."""
        self._release(_WEB)

    def call_when_drained(self, callback: Callable[[], None]) -> None:
        """Have a function called once all that waits in the outlet is sent."""
        if callback not in self._when_drained:
            self._when_drained.append(callback)
        self.outlet.on_drained = self._drained

    def deadline_passed(self) -> None:
        """Do what is due, and set the next deadline."""
        if not self._open:
            self.deadline = float("inf")
            if self.outlet.blocked:
                # The watch over all outlets cuts it when it takes nothing; else it may finish.
                self.deadline = self.front.clock() + LINGER_SECONDS
            elif self.transport is not None:
                self.transport.abortConnection()
        elif self._in_body:
            self.fail(BadRequest(408, "the body is too slow", reference="RFC 9110 15.5.9"))
        elif self._turn is not None or self.outlet.blocked:
            # An answer takes the time it takes, and a peer that takes nothing is cut as above.
            self.deadline = self.front.clock() + self.front.settings.idle_timeout
        elif self._buffer:
            self.fail(BadRequest(408, "the head is too slow", reference="RFC 9110 15.5.9"))
        else:
            self._finish(linger=False)

    def _step(self) -> bool:
        """Do one thing with what was received; False when there is nothing to do now."""
        if self._body is not None:
            return self._read_body(self._body)
        if self._turn is not None or self.outlet.blocked:
            self._wait()
            return False
        if self._held:
            self._release(_AHEAD)
        buffer, start = self._buffer, self._at
        if buffer.startswith(b"\r\n", start) and not self._skipped_line:
            # Some clients end a body with a line end too many (RFC 9112 section 2.2).
            self._skipped_line = True
            start += 2
        end = buffer.find(b"\r\n\r\n", start, start + MAX_HEAD_BYTES) + 4
        if end < 4:
            self._buffer, self._at = buffer[start:], 0
            self._check_incomplete(self._buffer)
            return False
        if end == len(buffer):
            self._buffer, self._at = b"", 0
            raw = buffer[start:]
        else:
            self._at = end
            raw = buffer[start:end]
        try:
            usual, head = self._usual
            self._serve(head if raw == usual else self.front.parser.parse(raw), raw)
        except BadRequest as error:
            self._bad_head(raw, error)
        return True

    def _check_incomplete(self, data: bytes) -> None:
        """Refuse what cannot become a head, and time what can."""
        if not data:
            return
        try:
            check_line_feeds(data[:MAX_HEAD_BYTES])
            if len(data) >= MAX_HEAD_BYTES:
                raise BadRequest(431, "the head is too long", reference="RFC 6585 5")
        except BadRequest as error:
            self._bad_head(data, error)
            return
        if data[0] == _TLS_HANDSHAKE:
            self._bad_head(data, BadRequest(400, "TLS", reference="RFC 8446 5.1"))
        elif not self._in_head:
            # From its first byte on, however the others come (F-RE-04).
            self._in_head = True
            self.deadline = self.front.clock() + self.front.settings.head_timeout

    def _bad_head(self, data: bytes, error: BadRequest) -> None:
        """Answer a bad head, unless it is the beginning of TLS: its speaker reads no HTTP."""
        if data[0] == _TLS_HANDSHAKE:
            self._log.info("{peer}: speaks TLS to a port without it", peer=self.peer)
            self._finish(linger=False)
        else:
            self.fail(error)

    def _await_head(self) -> None:
        self._in_head = self._skipped_line = False
        self.deadline = self.front.clock() + self.front.settings.idle_timeout

    def _serve(self, head: RequestHead, raw: bytes) -> None:
        front = self.front
        ready = front.ready.get(head.target)
        if ready is not None and head.is_plain_get and not self._stopping:
            self.outlet.write(ready)
            self._await_head()
            return
        if b"/~" in head.target and head.is_plain_get and not self._stopping:
            file = front.find_file(head.target)
            if file is not None:
                self.outlet.write_both(front.ok + file.head, file.body, file.descriptor)
                self._await_head()
                # A player asks for its playlist in the same bytes each time.
                self._usual = raw, head
                return
        self._head = head
        self._body = body_of(head)
        if head.is_tunnel and front.tunnel is not None:
            serve_takeover(self, head, front.tunnel)
            return
        target = head.target.decode("ascii")
        media = media_target(target, front.routes)
        path, _mark, query = target.partition("?")
        fixed = None
        if media is None:
            fixed = front.fixed_answer(path, query, lambda: visitor_of(self.client(head), head))
        if fixed is not None:
            if head.method in (b"GET", b"HEAD"):
                self.answer(*fixed)
            else:
                self.refuse(405, "it can only be read", "Allow: GET, HEAD\r\n")
        elif media is not None:
            serve_media(self, head, media)
        else:
            if self._web is None:
                self._web = WebTurns(self, front.open_site(), self.transport)
            self._turn = self._web
            self._web.begin(head, raw)

    def _read_body(self, body: Body) -> bool:
        turn = self._turn
        assert turn is not None, "an answer before the end of the body closes the connection"
        if not turn.wants_body:
            self._in_body = False
            self._wait()
            return False
        self._release(_AHEAD)
        now = self.front.clock()
        if not self._in_body:
            self._in_body = True
            self.deadline = now + BODY_SECONDS
        data, start = self._buffer, self._at
        if start == len(data):
            return False
        end, pieces = body.receive(data, start)
        if end == len(data):
            self._buffer, self._at = b"", 0
        else:
            self._at = end
        earned = (end - start) / BODY_BYTES_PER_SECOND
        self.deadline = min(self.deadline + earned, now + BODY_SECONDS)
        if body.complete:
            self._body = None
            self._in_body = False
            self.deadline = now + self.front.settings.idle_timeout
        try:
            turn.body_received(data[start:end], pieces, complete=body.complete)
            if body.error is not None:
                raise body.error
        except BadRequest as error:
            turn.body_failed(error)
        return True

    def _wait(self) -> None:
        """Let what comes ahead of its turn wait here a little, then with the client."""
        if self._turn is None:
            self.call_when_drained(self.advance)
        if len(self._buffer) - self._at <= MAX_AHEAD_BYTES:
            return
        if self._turn is not None and self._turn.streaming:
            self._log.info("{peer}: sends much while it is sent a stream", peer=self.peer)
            self.abort()
        else:
            self._hold(_AHEAD)

    def _hold(self, who: int) -> None:
        if not self._held and self._open:
            self.transport.pauseProducing()
        self._held |= who

    def _release(self, who: int) -> None:
        if self._held & who:
            self._held &= ~who
            if not self._held and self._open:
                self.transport.resumeProducing()

    def _drained(self) -> None:
        callbacks, self._when_drained = self._when_drained, []
        for callback in callbacks:
            callback()

    def _finish(self, *, linger: bool) -> None:
        """Close when all is sent; with `linger`, when the client had time to read it."""
        if self._held and self._open:
            self.transport.resumeProducing()
        self._open = False
        self._held = 0
        self.deadline = self.front.clock() + LINGER_SECONDS
        transport = self.transport
        if (
            linger
            and not self.outlet.blocked
            and IHalfCloseableDescriptor.providedBy(transport)
            # TLS says goodbye in its own way; its transport only lends this interface.
            and not ISSLTransport.providedBy(transport)
        ):
            transport.loseWriteConnection()  # type: ignore[attr-defined]
        else:
            self.outlet.close()
