"""WebSocket on the addresses of live outputs: the handshake, and what keeps one open.

The client's messages are ignored: it has nothing to say. No extension and no subprotocol is ever
agreed on. mpegts.js offers none; a browser whose page offers one fails the connection when the
server picks none (WHATWG WebSockets section 3), so a page must offer none either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ntvmedia.errors import PeerError, Refused
from ntvmedia.interfaces import IExchange
from ntvmedia.wire import websocket
from ntvmedia.wire.websocket import (
    MAX_MESSAGE_BYTES,
    BadFrame,
    ClientFrames,
    Close,
    CloseCode,
    Ping,
)

VERSION: Final = "13"
"""The one version that there is (RFC 6455 section 4.1)."""

PING_SECONDS: Final = 20.0
"""Between two pings: proxies give up a silent connection after 30 seconds or later (B-HT-13)."""

MAX_UNANSWERED: Final = 2
"""After so many pings, and the time until the next, without a frame the client is gone."""

MAX_CLIENT_BYTES: Final = 2 * MAX_MESSAGE_BYTES
"""What a client may send between two pings of ours: a viewer has nothing to say, and who sends
empty frames without end would keep the server busy (6 microseconds for 6 bytes)."""

_PING: Final = websocket.ping()


class BadHandshake(Refused):
    """A request for a WebSocket that cannot be one.

    Attributes:
        status: Of the answer: 400 or 426.
        headers: More fields of the answer.
    """

    def __init__(
        self, reason: str, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers or {}


def wants_websocket(exchange: IExchange) -> bool:
    """Say whether a request asks for a WebSocket rather than for an answer over HTTP."""
    return exchange.method == "GET" and "websocket" in _tokens(exchange.headers, "upgrade")


def handshake(exchange: IExchange) -> dict[str, str]:
    """Check a request for a WebSocket (RFC 6455 section 4.2.1).

    Returns:
        The fields of the answer that opens it.

    Raises:
        BadHandshake: It breaks a rule.
    """
    headers = exchange.headers
    if exchange.http_version == "1.0":
        raise BadHandshake("a WebSocket needs HTTP/1.1")
    if "upgrade" not in _tokens(headers, "connection"):
        raise BadHandshake('"Connection" does not say "Upgrade": is there a proxy between?')
    if headers.get("content-length", "0").strip("0") or "transfer-encoding" in headers:
        raise BadHandshake("a WebSocket does not begin with a body")
    if headers.get("sec-websocket-version") != VERSION:
        # RFC 9110 section 15.5.22, RFC 6455 section 4.4.
        raise BadHandshake(
            f"the version of WebSocket has to be {VERSION}",
            426,
            {"Upgrade": "websocket", "Sec-WebSocket-Version": VERSION},
        )
    try:
        accept = websocket.accept_key(headers.get("sec-websocket-key", ""))
    except PeerError as error:
        raise BadHandshake(str(error)) from None
    return {"Upgrade": "websocket", "Sec-WebSocket-Accept": accept}


class WebSocket:
    """The server's side of one WebSocket.

    Its owner writes whole frames to the exchange's outlet; control frames go out between them.

    Args:
        reactor: Its clock is monotonic.
        exchange: Not yet answered.

    Attributes:
        closed: Nothing must be written any more.
        on_gone: Called once with a reason when the client closes, breaks a rule or has gone: what
            it was sent has to end at once. Not called after `close`, nor when the connection is
            lost, of which the exchange tells.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorTime, exchange: Any) -> None:
        self.closed = False
        self.on_gone: Callable[[str], None] | None = None
        self._reactor = reactor
        self._exchange = exchange
        self._outlet = exchange.outlet
        self._frames = ClientFrames()
        self._unanswered = 0
        self._client_bytes = 0
        self._ping_to_answer: bytes | None = None
        self._call: IDelayedCall | None = None

    def open(self, headers: Mapping[str, str]) -> None:
        """Answer the request: `handshake` says how. The client may close it at once."""
        self._exchange.on_closed(self._let_go)
        self._call = self._reactor.callLater(PING_SECONDS, self._ping_due)
        self._exchange.switch_protocols(headers, self)

    def close(self, code: CloseCode | int, reason: str = "") -> None:
        """Say goodbye, and close when all is sent. Idempotent.

        Args:
            code: Of RFC 6455 section 7.4.
            reason: For people; short.
        """
        if self.closed:
            return
        self._let_go()
        self._outlet.write(websocket.close(code, reason))
        self._exchange.finish()

    def stop(self) -> None:
        """Say that the server stops; the exchange closes."""
        self._outlet.write(websocket.close(CloseCode.GOING_AWAY, "the server is stopping"))

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        if self.closed:
            return
        self._client_bytes += len(data)
        if self._client_bytes > MAX_CLIENT_BYTES:
            self._refuse(CloseCode.POLICY, "sends too much")
            return
        self._frames.receive_data(data)
        try:
            for event in self._frames.events():
                self._unanswered = 0
                if isinstance(event, Ping):
                    self._ping_to_answer = event.payload
                elif isinstance(event, Close):
                    self._gone("viewer left")
                    self.close(event.code)
        except BadFrame as error:
            self._refuse(error.code, str(error.args[0]), error.reference)
        if self._ping_to_answer is not None:
            self._answer_ping()

    def _refuse(self, code: CloseCode, what: str, reference: str = "MAX_CLIENT_BYTES") -> None:
        """Close to a client that breaks a rule, and tell it which."""
        self._log.info(
            "{peer}: {what} [{reference}]",
            peer=self._exchange.peer,
            what=what,
            reference=reference,
        )
        self._gone(f"broke a rule of WebSocket: {what}")
        self.close(code, what)

    def _answer_ping(self) -> None:
        """Answer the last of the pings that came, now or when the client takes something again.

        The others need no answer (RFC 6455 section 5.5.3): so answers do not pile up.
        """
        outlet = self._outlet
        if self.closed:
            self._ping_to_answer = None
        elif outlet.blocked:
            outlet.on_drained = self._answer_ping
        elif self._ping_to_answer is not None:
            outlet.write(websocket.pong(self._ping_to_answer))
            self._ping_to_answer = None

    def _ping_due(self) -> None:
        self._call = None
        self._client_bytes = 0
        if self._unanswered >= MAX_UNANSWERED:
            self._gone("the viewer answers no ping")
            self._let_go()
            self._outlet.abort()
            return
        self._call = self._reactor.callLater(PING_SECONDS, self._ping_due)
        if not self._outlet.blocked:  # else it is being sent to; who takes nothing is cut anyway
            self._unanswered += 1
            self._outlet.write(_PING)

    def _gone(self, reason: str) -> None:
        on_gone, self.on_gone = self.on_gone, None
        if on_gone is not None:
            on_gone(reason)

    def _let_go(self) -> None:
        self.closed = True
        self.on_gone = None
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


def _tokens(headers: Mapping[str, str], name: str) -> set[str]:
    """Return the members of a list of names without case (RFC 9110 section 5.6.1)."""
    return {token.strip(" \t").lower() for token in headers.get(name, "").split(",")}
