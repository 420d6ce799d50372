"""The protocol of one connection to a server: it moves bytes, and keeps the time."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Protocol as Form, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed, ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ntvmedia.clients.rtsp.options import RTSPError, refusal
from ntvmedia.errors import PeerError
from ntvmedia.outbound.reasons import is_permanent, reason_of
from ntvmedia.wire.rtsp.client import ClientSession
from ntvmedia.wire.rtsp.events import ClientEvent, Ended, Redirected, Rejected
from ntvmedia.wire.rtsp.messages import Interleaved

GOODBYE_SECONDS: Final = 3.0
"""How long a server may take to take the last that was said."""

MAX_WAITING_BYTES: Final = 64 << 10
"""Of answers that a server asks for and does not take."""


class Outcome(Enum):
    """What a conversation came to."""

    ENDED = "what there was to do is done"
    SILENT = "nothing came over UDP"


Result: TypeAlias = Outcome | Redirected


class Role(Form):
    """What a connection is for: to play or to publish.

    What is raised in it ends the connection: `RTSPError` and `PeerError` for the server's faults.

    Attributes:
        ends_well: The server may end the connection, for what it had to give is given.
    """

    ends_well: bool

    def begin(self, connection: ClientConnection) -> None:
        """Take the connection: it is made."""

    def happened(self, event: ClientEvent) -> None:
        """Take an event of the session."""

    def frame_received(self, frame: Interleaved, now: float) -> None:
        """Take RTP or RTCP of one of the session's channels."""

    def batch_ended(self) -> None:
        """Send on what came: nothing more is there at the moment."""

    def tick(self, now: float) -> None:
        """Look after deadlines and reports; called every second or so."""

    def stop(self, *, complete: bool) -> None:
        """Give everything back. Called once.

        Args:
            complete: It ended well: what waits is given on.
        """


@implementer(IPushProducer)
class ClientConnection(Protocol):
    """One connection.

    Args:
        reactor: Its time is monotonic.
        make_session: Called with the time when it is connected.
        role: What it is for.
        lost: Called with this when it is no more.

    Attributes:
        done: Fires with what it came to, once; fails with `RTSPError`, or with what the role
            raised.
        reactor: As given.
        congested: The server takes less than it is sent.
    """

    transport: Any  # an ITCPTransport, with TLS or without

    def __init__(
        self,
        reactor: Any,
        make_session: Callable[[float], ClientSession],
        role: Role,
        lost: Callable[[ClientConnection], None],
    ) -> None:
        self.done: Deferred[Result] = Deferred()
        self.reactor = reactor
        self.congested = False
        self._make_session = make_session
        self._role = role
        self._lost = lost
        self._finished = False
        self._connected = False
        self._waiting_bytes = 0
        self._timer: IDelayedCall | None = None

    @property
    def session(self) -> ClientSession:
        """The conversation."""
        return self._session

    @property
    def addresses(self) -> tuple[str, str]:
        """Our own address and the server's, without zones."""
        local, peer = self.transport.getHost().host, self.transport.getPeer().host
        return local.partition("%")[0], peer.partition("%")[0]

    def connectionMade(self) -> None:
        self._connected = True
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self._session = self._make_session(self.reactor.seconds())
        self._timer = self.reactor.callLater(0.0, self._tick)
        self.attempt(self._role.begin, self)

    def dataReceived(self, data: bytes) -> None:
        if not self._finished:
            self._session.receive_data(data)
            self.attempt(self._read)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._connected = False
        if self._finished:
            self._stop_timer()
        elif self._role.ends_well and reason.check(ConnectionDone):
            self.finish(Outcome.ENDED)
        else:
            self.finish(_error_of(reason))
        self._lost(self)

    # What the transport calls

    def pauseProducing(self) -> None:
        self.congested = True

    def resumeProducing(self) -> None:
        self.congested = False
        self._waiting_bytes = 0

    def stopProducing(self) -> None:
        """Do nothing: `connectionLost` follows."""

    # What the role and the client call

    def attempt(self, call: Callable[..., None], *args: Any) -> None:
        """Call something that may raise, and send what it has the session say.

        What is raised ends the connection.
        """
        if self._finished:
            return
        try:
            call(*args)
            self._flush()
        except PeerError as error:
            self.finish(RTSPError(str(error)))
        except RTSPError as error:
            self.finish(error)
        except Exception:
            self.finish(Failure())

    def write(self, data: bytes) -> None:
        """Write whole frames."""
        if self._connected:
            self.transport.write(data)

    def finish(self, result: Result | RTSPError | Failure) -> None:
        """Say goodbye and hang up, as soon as the server has taken that, or after a while.

        Idempotent.

        Args:
            result: What `done` fires with.
        """
        if self._finished:
            return
        problem = self._end(complete=isinstance(result, Outcome))
        if problem is not None:
            result = problem
        if isinstance(result, RTSPError | Failure):
            self.done.errback(result)
        else:
            self.done.callback(result)

    def close(self) -> None:
        """Hang up: nobody wants it any more, and `done` does not fire. Idempotent."""
        if not self._finished:
            self._end(complete=False)

    def _end(self, *, complete: bool) -> Failure | None:
        """Give everything back; returns what was raised at that."""
        self._finished = True
        self._stop_timer()
        problem = None
        try:
            self._role.stop(complete=complete)
        except Exception:
            problem = Failure()
        if self._connected:
            self._hang_up()
        return problem

    def _read(self) -> None:
        now = self.reactor.seconds()
        role = self._role
        for event in self._session.events():
            if type(event) is Interleaved:
                role.frame_received(event, now)
            else:
                self._happened(event)
            if self._finished:
                return
        role.batch_ended()

    def _happened(self, event: ClientEvent) -> None:
        match event:
            case Redirected():
                self.finish(event)
            case Rejected(status, description):
                raise refusal(status, description)
            case Ended() if self._role.ends_well:
                self.finish(Outcome.ENDED)
            case Ended(description):
                raise RTSPError(description)
            case _:
                self._role.happened(event)

    def _tick(self) -> None:
        now = self.reactor.seconds()
        self._timer = None
        self.attempt(self._look, now)
        if not self._finished:
            self._timer = self.reactor.callLater(self._session.next_timeout() - now, self._tick)

    def _look(self, now: float) -> None:
        self._session.handle_timeout(now)
        self._role.tick(now)

    def _flush(self) -> None:
        data = b"" if self._finished else self._session.data_to_send()
        if not data:
            return
        if self.congested:
            self._waiting_bytes += len(data)
            if self._waiting_bytes > MAX_WAITING_BYTES:
                raise RTSPError("the server asks, and does not take the answers")
        self.transport.write(data)

    def _hang_up(self) -> None:
        try:
            self._session.leave()
        except PeerError:
            # There is no way to say it to one who answers nothing.
            pass
        else:
            self.transport.write(self._session.data_to_send())
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._timer = self.reactor.callLater(GOODBYE_SECONDS, self._abort)

    def _abort(self) -> None:
        self._timer = None
        self.transport.abortConnection()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _error_of(reason: Failure) -> RTSPError:
    """Say why a connection was lost."""
    error = reason.value
    assert error is not None
    if isinstance(error, ConnectionDone):
        return RTSPError("the server closed the connection")
    if isinstance(error, ConnectionClosed):
        return RTSPError("the connection was lost")
    return RTSPError(reason_of(error), is_permanent=is_permanent(error))
