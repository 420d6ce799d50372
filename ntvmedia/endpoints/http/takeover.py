"""A request that takes its connection over: what follows its head is no HTTP any more.

For protocols that only look like HTTP at their beginning, so that a proxy lets them pass. Unlike an
`Exchange` such a request is of any address and version, and its body, whatever length it claims,
is the other protocol's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ntvmedia.endpoints.http import answers
from ntvmedia.endpoints.http.exchange import Receiver
from ntvmedia.endpoints.http.heads import BadRequest, RequestHead
from ntvmedia.endpoints.peers import host_of

if TYPE_CHECKING:
    from ntvmedia.endpoints.http.connection import HTTPConnection
    from ntvmedia.hub.outlet import Outlet


class Owner(Receiver, Protocol):
    """What has such a connection."""

    def lost(self) -> None:
        """The client has left, or was sent away. Called once."""


class Takeover:
    """One such request: the connection's turn, to its end. Made by the connection.

    Attributes:
        method: Upper case.
        ended: Nobody listens any more, or will soon.
        begun: An answer was begun.
        streaming: Always: it has no known end.
        wants_body: Never: the body comes as it is.
    """

    streaming = True
    wants_body = False

    def __init__(self, connection: HTTPConnection, head: RequestHead) -> None:
        self.method = head.method.decode("ascii")
        self.begun = False
        self.ended = False
        self._connection = connection
        self._head = head
        self._owner: Owner | None = None

    @property
    def address(self) -> Any:
        """The client's, as Twisted has addresses."""
        return self._connection.client(self._head)

    @property
    def host(self) -> str:
        """The client's IP address."""
        return host_of(self.address)

    @property
    def outlet(self) -> Outlet:
        """The connection's way out."""
        return self._connection.outlet

    @property
    def body_length(self) -> int:
        """What the request claims, or `heads.CHUNKED`."""
        return self._head.body_length

    @property
    def has_more(self) -> bool:
        """Whether something came behind the head already."""
        return self._connection.has_more

    def header(self, name: str) -> str:
        """Return the first value of a field, by its lower-case name; empty where there is none."""
        return self._head.header(name.encode("ascii")) or ""

    def begin(self, headers: Mapping[str, str]) -> None:
        """Answer with status 200 and no length; the outlet is the caller's from now on."""
        self.begun = True
        front = self._connection.front
        self.outlet.write(answers.head(200, front.date, answers.fields(headers), connection=""))

    def take(self, owner: Owner) -> None:
        """Have all that follows the head delivered, what came with it at once.

        The connection's deadlines no longer apply: the owner looks after a silent client itself.
        """
        if self.ended:
            return
        self._owner = owner
        if self._head.expects_continue and not self.begun:
            self.outlet.write(answers.CONTINUE)
        self._connection.switch_protocols(owner)

    def pause(self) -> None:
        """Hold the client back. Idempotent."""
        self._connection.pause_reading()

    def resume(self) -> None:
        """End that. Idempotent."""
        self._connection.resume_reading()

    def refuse(self, error: BadRequest) -> None:
        """Answer with an error, or break off an answer that was begun, and close."""
        if not self.ended:
            self._connection.fail(error)

    def finish(self) -> None:
        """Close the connection when all is sent. Idempotent."""
        if not self.ended:
            self.lost()
            self._connection.turn_done(keep=False)

    def body_received(self, raw: bytes, pieces: list[bytes], *, complete: bool) -> None:
        """Never called: the connection no longer knows of a body."""

    def body_failed(self, error: BadRequest) -> None:
        """Never called, as `body_received`."""

    def lost(self) -> None:
        """Tell the owner. Idempotent."""
        self.ended = True
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.lost()

    def stop(self) -> None:
        """The server stops: the owner says goodbye, and finishes."""
        if self._owner is not None:
            self._owner.stop()
        else:
            self.finish()


def serve_takeover(
    connection: HTTPConnection, head: RequestHead, taker: Callable[[Takeover], None]
) -> None:
    """Give a request's connection away."""
    request = Takeover(connection, head)
    connection.give_turn(request)
    taker(request)
