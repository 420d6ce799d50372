"""The protocol of one connection to a server: it moves bytes, and keeps the time."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol as Form, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed, ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ntvmedia.clients.rtmp.addresses import RTMPURL
from ntvmedia.clients.rtmp.refusals import refusal
from ntvmedia.errors import PeerError, RemoteError
from ntvmedia.hub.merged_reads import MergedReads
from ntvmedia.hub.outlet import Outlet
from ntvmedia.hub.policy import OutletPolicy, unacknowledged
from ntvmedia.media.packets import Packet, Track
from ntvmedia.outbound.reasons import is_permanent, reason_of
from ntvmedia.wire.rtmp.client import ClientSession
from ntvmedia.wire.rtmp.events import (
    Accepted,
    ClientEvent,
    CredentialsRequested,
    Ended,
    MetadataReceived,
    ReconnectRequested,
    Rejected,
)

GOODBYE_SECONDS: Final = 3.0
"""How long a server may take to take the last that was said."""

MAX_ANSWER_BYTES: Final = 64 << 10
"""Of answers that a server asks for, by pings, and does not take."""

# What stops a played stream without a fault: its publisher left, or a file is over.
_COMPLETE: Final = frozenset(
    {"NetStream.Play.Complete", "NetStream.Play.Stop", "NetStream.Play.UnpublishNotify"}
)


class Outcome(Enum):
    """What a conversation came to."""

    ENDED = "what there was to do is done"


class Moved(NamedTuple):
    """The server sends the client on.

    Attributes:
        to: As for `addresses.moved`.
    """

    to: str


class Asked(NamedTuple):
    """The server wants to know who this is: to be told in the next connection.

    Attributes:
        credentials: As of `CredentialsRequested`.
    """

    credentials: str


Result: TypeAlias = Outcome | Moved | Asked


class Role(Form):
    """What a connection is for: to play or to publish.

    What is raised in it ends the connection: `RemoteError` for the server's faults.

    Attributes:
        publishes: Rather than plays.
    """

    publishes: bool

    def packet_received(self, packet: Packet, /) -> None:
        """Take a packet of what is played."""

    def track_received(self, track: Track, /) -> None:
        """Take a track of it: before its packets, and when its configuration changes."""

    def accepted(self, connection: ClientConnection) -> None:
        """Begin: the server is ready."""

    def metadata_received(self, event: MetadataReceived) -> None:
        """Take what the server says of the stream."""

    def batch_ended(self) -> float:
        """Send on what came: nothing more is there at the moment.

        Returns:
            Seconds for which what comes next may wait to be read.
        """

    def stop(self) -> None:
        """Give everything back. Called once."""


class Reads(Form):
    """Finds what reads connections in rounds."""

    def merged_reads(self, period: float) -> MergedReads:
        """Return what reads connections every `period` seconds."""


class ClientConnection(Protocol):
    """One connection.

    Args:
        reactor: Its time is monotonic.
        url: Where it leads.
        session: Made when it is connected, from the time.
        role: What it is for.
        reads: Reads it while nobody waits for each frame.
        stall_seconds: Without anything taken by the server, after which it is given up.
        lost: Called with this when it is no more.

    Attributes:
        done: Fires with what it came to, once; fails with `RemoteError`, or with what was raised.
        outlet: The way out.
        last_read: How many bytes came with the last read.
        accepted_at: When the server was ready, in monotonic seconds; None before.
        hops: Servers that its stream has passed, as it says then; empty where it does not.
    """

    transport: Any  # an ITCPTransport, with TLS or without
    session: ClientSession
    outlet: Outlet

    def __init__(
        self,
        reactor: Any,
        url: RTMPURL,
        make_session: Callable[[float], ClientSession],
        role: Role,
        reads: Reads,
        stall_seconds: float,
        lost: Callable[[ClientConnection], None],
    ) -> None:
        self.done: Deferred[Result] = Deferred()
        self.last_read = 0
        self.accepted_at: float | None = None
        self.hops = ""
        self.reactor = reactor
        self._url = url
        self._make_session = make_session
        self._role = role
        self._reads = reads
        self._stall_seconds = stall_seconds
        self._lost = lost
        self._patience = 0.0
        self._connected = False
        self._finished = False
        self._ending = False
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._connected = True
        self.transport.setTcpNoDelay(True)
        # Its limits are for blocks, which are a viewer's: only its clock and the stall count here.
        self._policy = OutletPolicy(
            self.reactor.seconds, queue_bytes=0, queue_seconds=0, stall_timeout=self._stall_seconds
        )
        self.outlet = Outlet(self.transport, self._policy)
        self.session = self._make_session(self.reactor.seconds())
        self._timer = self.reactor.callLater(0.0, self._tick)
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        if not self._finished:
            self.last_read = len(data)
            self.attempt(self._received, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._connected = False
        if self._patience:
            self._reads.merged_reads(self._patience).forget(self)
        has_taken_all = not self.outlet.blocked
        self.outlet.lost()
        if self._finished:
            self._stop_timer()
        elif self._ending and has_taken_all:
            self.finish(Outcome.ENDED)
        elif self.outlet.stalled:
            self.finish(RemoteError(f"it took nothing for {self._stall_seconds:g} seconds"))
        else:
            self.finish(_error_of(reason))
        self.session.discard()
        self._lost(self)

    # What the roles and the client call

    def attempt(self, call: Callable[..., None], *args: Any) -> None:
        """Call something that may raise, and send what it has the session say.

        What is raised ends the connection.
        """
        if self._finished:
            return
        try:
            call(*args)
            self.flush()
        except PeerError as error:
            self.finish(RemoteError(str(error)))
        except RemoteError as error:
            self.finish(error)
        except Exception:
            self.finish(Failure())

    def flush(self) -> int:
        """Send what the session has to say; return how many bytes that is."""
        data = b"" if self._finished or self._ending else self.session.data_to_send()
        if data:
            self.outlet.write(data)
        return len(data)

    def end(self) -> None:
        """Say goodbye, after all that was sent; `done` fires when that was taken. Idempotent."""
        if self._finished or self._ending:
            return
        self._say_goodbye()
        self._ending = True
        if not MergedReads.can_take(self.transport):
            self.outlet.close()
        elif self.outlet.blocked:
            self.outlet.on_drained = self._half_close
        else:
            self._half_close()

    def finish(self, result: Result | RemoteError | Failure) -> None:
        """Say goodbye and hang up, as soon as the server has taken that, or after a while.

        Idempotent.

        Args:
            result: What `done` fires with.
        """
        if self._finished:
            return
        self._end()
        if isinstance(result, RemoteError | Failure):
            self.done.errback(result)
        else:
            self.done.callback(result)

    def close(self) -> None:
        """Hang up: nobody wants it any more, and `done` does not fire. Idempotent."""
        if not self._finished:
            self._end()

    # What happens

    def _received(self, data: bytes) -> None:
        session, role = self.session, self._role
        if not session.receive_media(data, role.packet_received, role.track_received):
            for event in session.events():
                if type(event) is Packet:
                    role.packet_received(event)
                else:
                    self._happened(event)
                if self._finished:
                    return
        patience = role.batch_ended()
        if patience != self._patience and not self._finished and not self._ending:
            self._read_with(patience)
        if self.outlet.queued_bytes > MAX_ANSWER_BYTES and not role.publishes:
            raise RemoteError("it asks, and does not take the answers")

    def _happened(self, event: ClientEvent) -> None:
        match event:
            case Track():
                self._role.track_received(event)
            case MetadataReceived():
                self._role.metadata_received(event)
            case Accepted(hops=hops):
                self.accepted_at = self.reactor.seconds()
                self.hops = hops
                self._role.accepted(self)
            case ReconnectRequested(tc_url) if not self._ending:
                self.finish(Moved(tc_url))
            case CredentialsRequested(credentials):
                self.finish(Asked(credentials))
            case Rejected(redirect=redirect) if redirect:
                self.finish(Moved(redirect))
            case Rejected(code, description):
                raise refusal("it refused", code, description, self._url)
            case Ended() if self._ending:
                pass  # it answers our goodbye
            case Ended(code) if code in _COMPLETE and not self._role.publishes:
                self.finish(Outcome.ENDED)
            case Ended(code, description):
                raise refusal("it ended the stream", code, description, self._url)

    def _tick(self) -> None:
        now = self.reactor.seconds()
        self._timer = None
        self.attempt(self._look, now)
        if not self._finished and not self._ending:
            self._timer = self.reactor.callLater(self.session.next_timeout() - now, self._tick)

    def _look(self, now: float) -> None:
        self.session.handle_timeout(now)
        self._policy.cut_stalled()
        self.outlet.look()

    # The end

    def _end(self) -> None:
        self._finished = True
        self._role.stop()
        if self._connected and not self._ending:
            self._hang_up()
        elif not self._connected:
            self._stop_timer()

    def _hang_up(self) -> None:
        self._say_goodbye()
        self.outlet.close()

    def _half_close(self) -> None:
        """Send no more, and read on until the server hangs up.

        A connection that is closed while something of the server's comes is reset, and with it the
        server may lose the last that it was sent.
        """
        self.transport.loseWriteConnection()

    def _say_goodbye(self) -> None:
        self._stop_timer()
        if self._patience:
            self._read_with(0.0)
        self.session.leave()
        self.outlet.write(self.session.data_to_send())
        self._timer = self.reactor.callLater(GOODBYE_SECONDS, self._too_late)

    def _too_late(self) -> None:
        """Have no more patience with a server that does not hang up."""
        self._timer = None
        if self._ending and not self._finished:
            if self.outlet.blocked or self._is_unacknowledged():
                self.finish(RemoteError("it did not take the end of the stream"))
            else:
                self.finish(Outcome.ENDED)
        self.outlet.abort()

    def _is_unacknowledged(self) -> bool:
        """Whether the kernel still has what the server did not take; unknown with TLS."""
        if not MergedReads.can_take(self.transport):
            return False
        try:
            return unacknowledged(self.transport.socket) > 0
        except (OSError, ValueError):
            return True

    def _read_with(self, patience: float) -> None:
        """Have the reactor read the connection, or have it read in rounds so far apart."""
        if not MergedReads.can_take(self.transport):
            return
        if self._patience:
            self._reads.merged_reads(self._patience).remove(self)
        self._patience = patience
        if patience:
            self._reads.merged_reads(patience).add(self)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _error_of(reason: Failure) -> RemoteError:
    """Say why a connection was lost."""
    error = reason.value
    assert error is not None
    if isinstance(error, ConnectionDone):
        return RemoteError("the server closed the connection")
    if isinstance(error, ConnectionClosed):
        return RemoteError("the connection was lost")
    return RemoteError(reason_of(error), is_permanent=is_permanent(error))
