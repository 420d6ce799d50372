"""The RTMP client: plays and publishes, wherever the server sends it that the policy allows."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from ntvmedia.clients.rtmp.addresses import RTMPURL, moved, parse_url
from ntvmedia.clients.rtmp.connection import Asked, ClientConnection, Moved, Result, Role
from ntvmedia.clients.rtmp.playing import Player
from ntvmedia.clients.rtmp.publishing import Feed, Publisher
from ntvmedia.errors import RemoteError
from ntvmedia.hub.merged_reads import MergedReads
from ntvmedia.interfaces import IHost
from ntvmedia.media import Track
from ntvmedia.media.hops import HOPS_PROPERTY, write_hops
from ntvmedia.media.relaying import PullOptions, PushOptions
from ntvmedia.outbound.streams import StreamConnector
from ntvmedia.wire.rtmp.client import ClientSession

MAX_MOVES: Final = 4
"""Redirections in a row that are followed (E-ST-08); browsers have 20, and no loop is shorter."""

SETTLED_SECONDS: Final = 60.0
"""After which a connection that is told to move is none of those in a row."""

CONNECT_SECONDS: Final = 10.0
"""How long a connection may take, with the look-up of the name and TLS begun."""

MAX_QUESTIONS: Final = 2
"""Times that a server asks for a user: first whose name, then for the proof of the password."""

# For a handshake, and what proves a password.
_RANDOM_BYTES: Final = 3072


class RTMPClient(Service):
    """Plays from other servers, and publishes to them; one for a whole server.

    Each play or publication has a connection of its own, which passes the network policy, as does
    each one that a server redirects it to; another host is told no password. As a service it hangs
    up when it stops.

    Args:
        reactor: Has sockets; its time is monotonic.
        connector: Connects.
        random: Returns as many unpredictable bytes as it is asked for.
        server_id: Our own, as other servers are told it.
    """

    def __init__(
        self,
        reactor: Any,
        connector: StreamConnector,
        random: Callable[[int], bytes],
        server_id: str = "",
    ) -> None:
        self._reactor = reactor
        self._connector = connector
        self._random = random
        self._server_id = server_id
        self._merged_reads: dict[float, MergedReads] = {}
        self._running: set[Deferred[None]] = set()
        self._connections: set[ClientConnection] = set()
        self._closing: list[Deferred[None]] = []

    @classmethod
    def of(cls, host: IHost) -> RTMPClient:
        """Make that of a server; for `IHost.part`."""
        return cls(host.reactor, host.connector, host.random, host.server_id)

    @property
    def connections(self) -> int:
        """How many there are now, with those that say goodbye."""
        return len(self._connections)

    def merged_reads(self, period: float) -> MergedReads:
        """Return what reads connections every `period` seconds."""
        reads = self._merged_reads.get(period)
        if reads is None:
            reads = self._merged_reads[period] = MergedReads(self._reactor, period)
        return reads

    def play(self, url: str, sink: Any, options: PullOptions) -> Deferred[None]:
        """Play a stream to its end; as `ntvmedia.interfaces.ISource.pull`."""
        return self._start(self._run(url, options, lambda: Player(sink, self._server_id)))

    def publish(
        self,
        url: str,
        tracks: Sequence[Track],
        metadata: Mapping[str, object],
        options: PushOptions,
        started: Callable[[Feed], None],
    ) -> Deferred[None]:
        """Publish a stream until its owner ends it; as `ntvmedia.interfaces.ITarget.push`."""

        def role() -> Publisher:
            return Publisher(tracks, metadata, started)

        return self._start(self._run(url, options, role))

    def stopService(self) -> Deferred[None]:
        """Cancel all, and hang up.

        Returns:
            Fires when there are no connections any more: a server has some seconds to hear that.
        """
        super().stopService()
        for running in tuple(self._running):
            running.cancel()
        done: Deferred[None] = Deferred()
        self._closing.append(done)
        self._tell()
        return done

    def _start(self, work: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        running: Deferred[None] = Deferred.fromCoroutine(work)
        self._running.add(running)

        def over(result: Any) -> Any:
            self._running.discard(running)
            return result

        return running.addBoth(over)

    async def _run(
        self, address: str, options: PullOptions | PushOptions, make_role: Callable[[], Role]
    ) -> None:
        url = parse_url(address)
        moves = questions = 0
        credentials = ""
        while True:
            try:
                made = self._converse(url, options, make_role(), credentials)
                result, settled = await made
                if isinstance(result, Asked):
                    questions += 1
                    if questions > MAX_QUESTIONS:
                        raise RemoteError("it asks for user and password again", 401)
                    credentials = result.credentials
                    continue
                if not isinstance(result, Moved):
                    return
                questions, credentials = 0, ""
                moves = 1 if settled else moves + 1
                if moves > MAX_MOVES:
                    raise RemoteError(f"it redirects more than {MAX_MOVES} times", 302)
                following = moved(url, result.to)
            except RemoteError as error:
                why = f"{url.authority}: {error}"
                raise RemoteError(why, error.status, is_permanent=error.is_permanent) from None
            url = following

    async def _converse(
        self, url: RTMPURL, options: PullOptions | PushOptions, role: Role, credentials: str
    ) -> tuple[Result, bool]:
        """Have one connection, from its beginning to its end.

        Args:
            credentials: What the server asked for in the one before.

        Returns:
            What it came to, and whether it lasted.
        """

        def session(now: float) -> ClientSession:
            return ClientSession(
                self._random(_RANDOM_BYTES),
                now,
                publishing=role.publishes,
                app=url.app,
                name=url.name,
                tc_url=url.tc_url,
                user=url.user,
                password=url.password,
                credentials=credentials,
                properties={HOPS_PROPERTY: write_hops(options.hops)} if options.hops else None,
            )

        def made() -> ClientConnection:
            connection = ClientConnection(
                self._reactor,
                url,
                session,
                role,
                self,
                options.stall_seconds,
                self._gone,
            )
            self._connections.add(connection)
            return connection

        connection: Any = await self._connector.connect(
            url.host,
            url.port,
            _QuietFactory(made),
            tls=url.scheme == "rtmps",
            timeout_seconds=CONNECT_SECONDS,
        )
        try:
            result: Result = await connection.done
        finally:
            connection.close()
        since = connection.accepted_at
        return result, since is not None and self._reactor.seconds() - since >= SETTLED_SECONDS

    def _gone(self, connection: ClientConnection) -> None:
        self._connections.discard(connection)
        self._tell()

    def _tell(self) -> None:
        while self._closing and not self._connections:
            self._closing.pop().callback(None)


class _QuietFactory(Factory):
    """Makes connections, and logs nothing."""

    noisy = False

    def __init__(self, made: Callable[[], ClientConnection]) -> None:
        self._made = made

    def buildProtocol(self, addr: object) -> ClientConnection:
        return self._made()
