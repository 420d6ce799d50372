"""One request on a media address, as its route sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import ISSLTransport
from zope.interface import implementer

from ntvmedia.endpoints.http import answers
from ntvmedia.endpoints.http.heads import CHUNKED, BadRequest, RequestHead
from ntvmedia.endpoints.http.ranges import NotSatisfiable, parse_range
from ntvmedia.endpoints.peers import peer_of
from ntvmedia.errors import UsageError
from ntvmedia.interfaces import IExchange
from ntvmedia.media.names import Address

if TYPE_CHECKING:
    from ntvmedia.endpoints.http.connection import HTTPConnection
    from ntvmedia.endpoints.http.front import ReadyFile


class BodyReceiver(Protocol):
    """What takes the body of a request, while it comes."""

    def body_received(self, data: bytes) -> None:
        """Take the next bytes; call `Exchange.pause_body` to have no more for now."""

    def body_ended(self, problem: BadRequest | None) -> None:
        """Note the end. Called once, and not at all when the client has left.

        Args:
            problem: None when the body is complete. Otherwise the client has its answer already.
        """


class Receiver(Protocol):
    """What has a connection that no longer speaks HTTP."""

    def data_received(self, data: bytes) -> None:
        """Take what came; not called any more when the exchange has ended."""

    def stop(self) -> None:
        """The server stops: say goodbye where the protocol can. Then the connection closes."""


@implementer(IExchange)
class Exchange:
    """One request and its answer. Made by the connection.

    Attributes:
        begun: Something of the answer was sent.
        streaming: The answer goes on until `finish`.
        ended: The answer is complete, or nobody waits for it any more.
    """

    def __init__(
        self,
        connection: HTTPConnection,
        head: RequestHead,
        address: Address,
        extension: str,
        below: str = "",
    ) -> None:
        self.method = head.method.decode("ascii")
        self.address = address
        self.extension = extension
        self.below = below
        self.http_version = f"1.{head.minor}"
        self.begun = False
        self.ended = False
        self._connection = connection
        self._head = head
        self._headers: dict[str, str] | None = None
        self._on_closed: list[Callable[[], None]] = []
        self._chunked = False
        self._peer = ""
        self.streaming = False
        self._receiver: BodyReceiver | None = None
        self._switched: Receiver | None = None
        self._body_left = 0
        self._body_paused = False

    @property
    def headers(self) -> Mapping[str, str]:
        """Lower-case names and values; a field sent several times has them joined by commas."""
        if self._headers is None:
            self._headers = {}
            for raw_name, raw_value in self._head.headers:
                name, value = raw_name.decode("ascii"), raw_value.decode("latin-1").strip(" \t")
                before = self._headers.get(name)
                self._headers[name] = value if before is None else f"{before}, {value}"
        return self._headers

    @property
    def target(self) -> str:
        """What was asked for, as sent."""
        return self._head.target.decode("ascii")

    @property
    def peer(self) -> str:
        """The client's address and port; the port is 0 behind a proxy."""
        if not self._peer:
            self._peer = peer_of(self._connection.client(self._head))
        return self._peer

    @property
    def scheme(self) -> str:
        """What the connection speaks: "https" with TLS, else "http"."""
        return "https" if ISSLTransport.providedBy(self._connection.transport) else "http"

    @property
    def outlet(self) -> object:
        """The connection's way out."""
        return self._connection.outlet

    @property
    def wants_body(self) -> bool:
        """Whether a receiver takes body bytes now."""
        return self._receiver is not None and not self._body_paused

    def respond(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        content: bytes | memoryview = body
        if status == 200 and headers.get("Accept-Ranges") == "bytes":
            status, headers, content = self._ranged(headers, body)
        head_fields = answers.fields(headers)
        if self._may_begin():
            self._release()
            self._connection.answer(status, self._cors() + head_fields, content)

    def respond_ready(self, file: ReadyFile) -> None:
        connection = self._connection
        front = connection.front
        if not self._may_begin():
            return
        self._release()
        if self._head.is_plain_get and connection.may_persist and front.origins.allows_any:
            # The short way: the client asked for nothing that the ready head does not say.
            connection.outlet.write_both(front.ok + file.head, file.body, file.descriptor)
            connection.turn_done(keep=True)
        else:
            connection.answer(200, self._cors() + file.fields, file.body)

    def refuse(self, status: int, reason: str) -> None:
        if not self.begun and not self.ended:
            self._refuse(status, reason)

    def begin(self, status: int, headers: Mapping[str, str], *, chunked: bool) -> None:
        head_fields = answers.fields(headers)
        if chunked and not self._head.minor:
            raise UsageError("HTTP/1.0 knows no chunks")
        if not self._may_begin():
            return
        # Its length is unknown: without chunks the end of the connection tells it.
        keep = chunked and self._connection.may_persist
        if chunked:
            head_fields += "Transfer-Encoding: chunked\r\n"
        self._connection.outlet.write(
            answers.head(
                status,
                self._connection.front.date,
                self._cors() + head_fields,
                connection=answers.persistence(self._head.minor, keep=keep),
            )
        )
        self.streaming = True
        self._chunked = chunked
        if self.method == "HEAD":
            self._end()

    def switch_protocols(self, headers: Mapping[str, str], receiver: Receiver) -> None:
        head_fields = answers.fields(headers)
        if not self._head.minor or self._head.body_length:
            raise UsageError("HTTP/1.0 knows no switch, and a body belongs to HTTP")
        if not self._may_begin():
            return
        connection = self._connection
        connection.outlet.write(
            answers.head(101, connection.front.date, head_fields, connection="Upgrade")
        )
        self.streaming = True
        self._switched = receiver
        connection.switch_protocols(receiver)

    def finish(self) -> None:
        if self.ended:
            return
        if not self.streaming:
            raise UsageError("no streaming answer was begun")
        if self._chunked:
            self._connection.outlet.write(answers.LAST_CHUNK)
        self._end()

    def crashed(self) -> None:
        """Answer that the server has a bug, or break off, where that comes too late."""
        if self.ended:
            return
        if self.begun:
            self._release()
            self._connection.abort()
        else:
            self._refuse(500, "an error in the server")

    def on_closed(self, callback: Callable[[], None]) -> None:
        if not self.ended:
            self._on_closed.append(callback)

    def receive_body(self, receiver: BodyReceiver, limit: int) -> None:
        """Have the request's body delivered; until then it waits with the client.

        Args:
            receiver: Called from now on, perhaps before this returns.
            limit: Most bytes; the client that sends more is answered 413 and cut off.
        """
        self._receiver = receiver
        self._body_left = limit
        length = self._head.body_length
        if not length:
            receiver.body_ended(None)
        elif length != CHUNKED and length > limit:
            self.body_failed(BadRequest(413, "the body is too long", reference="RFC 9110 15.5.14"))
        else:
            if self._head.expects_continue:
                self._connection.outlet.write(answers.CONTINUE)
            self._connection.advance()

    def pause_body(self) -> None:
        """Deliver no more than what one read brought until `resume_body`; the client waits."""
        self._body_paused = True

    def resume_body(self) -> None:
        """Deliver what comes. Idempotent."""
        self._body_paused = False
        self._connection.advance()

    def body_received(self, _raw: bytes, pieces: list[bytes], *, complete: bool) -> None:
        """Pass on what the connection found of the body."""
        for piece in pieces:
            self._body_left -= len(piece)
            if self._body_left < 0:
                raise BadRequest(413, "the body is too long", reference="RFC 9110 15.5.14")
            if self._receiver is not None:  # it may answer before the end, and is done then
                self._receiver.body_received(piece)
        if complete and self._receiver is not None:
            self._receiver.body_ended(None)

    def body_failed(self, error: BadRequest) -> None:
        """Answer a body that is broken or too long, and tell its receiver."""
        receiver, self._receiver = self._receiver, None
        self._connection.fail(error)
        if receiver is not None:
            receiver.body_ended(error)

    def lost(self) -> None:
        """The client has left, or is sent away: tell who works on the answer. Idempotent."""
        if self.ended:
            return
        self.ended = True
        callbacks, self._on_closed = self._on_closed, []
        for callback in callbacks:
            callback()

    def stop(self) -> None:
        """The server stops: end a streaming answer in good form, refuse what still waits."""
        callbacks, self._on_closed = self._on_closed, []
        for callback in callbacks:
            callback()
        if self._switched is not None:
            self._switched.stop()
        if self.streaming:
            self.finish()
        elif not self.begun:
            self._refuse(503, "the server is stopping")

    def _ranged(
        self, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes | memoryview]:
        """Cut out what the client asked for (RFC 9110 sections 14.2, 15.3.7, 15.5.17)."""
        value = self.headers.get("range", "")
        # A condition would need a validator, and these answers have none: send the whole.
        if self.method != "GET" or not value or "if-range" in self.headers:
            return 200, headers, body
        try:
            found = parse_range(value, len(body))
        except NotSatisfiable:
            return 416, {**headers, "Content-Range": f"bytes */{len(body)}"}, b""
        if found is None:
            return 200, headers, body
        start, end = found
        shown = f"bytes {start}-{end - 1}/{len(body)}"
        return 206, {**headers, "Content-Range": shown}, memoryview(body)[start:end]

    def _refuse(self, status: int, reason: str) -> None:
        self.begun = True
        self._release()
        body = answers.reason_body(status, reason)
        self._connection.answer(status, self._cors() + answers.REASON_FIELDS, body)

    def _cors(self) -> str:
        return self._connection.front.origins.fields(self._head.header(b"origin"))

    def _may_begin(self) -> bool:
        """Whether there is still somebody to answer; a second answer is a mistake."""
        if self.begun:
            raise UsageError("this request was answered before")
        self.begun = True
        return not self.ended

    def _end(self) -> None:
        self._release()
        self._connection.turn_done(keep=self._chunked and self._connection.may_persist)

    def _release(self) -> None:
        self.ended = True
        self._on_closed.clear()
        self._receiver = None
        self._switched = None
