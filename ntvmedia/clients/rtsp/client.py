"""The RTSP client: plays and publishes, wherever the server sends it that the policy allows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from ntvmedia.clients.rtsp.addresses import check
from ntvmedia.clients.rtsp.connection import ClientConnection, Outcome, Result, Role
from ntvmedia.clients.rtsp.options import DEFAULTS, Options, RTSPError
from ntvmedia.clients.rtsp.playing import Player
from ntvmedia.clients.rtsp.publishing import Publisher, Target
from ntvmedia.clients.rtsp.tracks import Sink
from ntvmedia.errors import RemoteError
from ntvmedia.media.packets import Track
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.streams import StreamConnector
from ntvmedia.wire.rtsp.client import ClientSession
from ntvmedia.wire.rtsp.events import Redirected
from ntvmedia.wire.rtsp.transport import Lower
from ntvmedia.wire.rtsp.urls import RTSPURL, parse_url
from ntvmedia.wire.sdp import SessionDescription

_RANDOM_BYTES: Final = 8


class RTSPClient:
    """Plays from other servers, and publishes to them.

    Each play or publication has a connection of its own, which passes the network policy, as does
    each one that a server redirects it to (D-RQ-15); another host is told no password.

    Args:
        reactor: Has sockets; its time is monotonic.
        connector: Connects.
        random: Returns as many unpredictable bytes as it is asked for.
        wall_seconds: Returns seconds since 1970.
        server_id: Our own, as other servers are told it.
    """

    def __init__(
        self,
        reactor: Any,
        connector: StreamConnector,
        random: Callable[[int], bytes] = os.urandom,
        wall_seconds: Callable[[], float] = time.time,
        server_id: str = "",
    ) -> None:
        self._reactor = reactor
        self._connector = connector
        self._random = random
        self._wall_seconds = wall_seconds
        self._server_id = server_id
        self._running: set[Deferred[None]] = set()
        self._connections: set[ClientConnection] = set()
        self._closing: list[Deferred[None]] = []

    @property
    def connections(self) -> int:
        """How many there are now, with those that say goodbye."""
        return len(self._connections)

    def play(self, url: str, sink: Sink, options: Options = DEFAULTS) -> Deferred[None]:
        """Play a stream to its end.

        Args:
            url: "rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH", or "rtsps://...".
            sink: Gets its tracks and packets.
            options: How.

        Returns:
            Fires when the server ended it. Fails with `RTSPError`, or with what the sink raised;
            with `CancelledError` when cancelled, and then the server is told that, and ports are
            given back at once.
        """

        def role(_url: RTSPURL, ways: Sequence[Lower]) -> tuple[Role, None]:
            return Player(sink, options, ways, self._random, self._server_id), None

        return self._start(self._run(url, options, role, publishes=False))

    def publish(
        self,
        url: str,
        tracks: Sequence[Track],
        started: Callable[[Target], None],
        options: Options = DEFAULTS,
    ) -> Deferred[None]:
        """Publish a stream until its owner ends it.

        Args:
            url: As of `play`.
            tracks: Of the stream; those that RTP cannot carry are left out.
            started: Called with what takes the packets, once the server is ready for them; again
                with another one when the server redirects.
            options: How.

        Returns:
            Fires after `Target.end`. Fails as `play` does, also when the server ended it.
        """

        def role(_url: RTSPURL, ways: Sequence[Lower]) -> tuple[Role, SessionDescription]:
            made = Publisher(
                tracks, ways, self._random, self._wall_seconds, started, options.stall_seconds
            )
            return made, made.description

        return self._start(self._run(url, options, role, publishes=True))

    def close(self) -> Deferred[None]:
        """Cancel all, and hang up.

        Returns:
            Fires when there are no connections any more: a server has some seconds to hear that.
        """
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
        self,
        url: str,
        options: Options,
        make: Callable[[RTSPURL, Sequence[Lower]], tuple[Role, SessionDescription | None]],
        *,
        publishes: bool,
    ) -> None:
        try:
            place = check(url)
        except RemoteError as error:
            raise RTSPError(str(error), is_permanent=True) from None
        if options.user:
            place = place._replace(user=options.user, password=options.password)
        carrier, hops = options.carrier, 0
        skipped = 0
        while True:
            ways = carrier.ways(publishes=publishes, secure=place.scheme == "rtsps")[skipped:]
            try:
                role, description = make(place, ways)
                result = await self._converse(place, options, role, description, hops)
            except (OutboundError, RTSPError) as error:
                status = error.status if isinstance(error, RTSPError) else 0
                why = f"{place.authority}: {error}"
                raise RTSPError(why, status, is_permanent=error.is_permanent) from None
            if isinstance(result, Redirected):
                place, hops, skipped = _moved(place, result.url), result.hops, 0
            elif result is Outcome.SILENT:
                skipped += 1
            else:
                return

    async def _converse(
        self,
        place: RTSPURL,
        options: Options,
        role: Role,
        description: SessionDescription | None,
        hops: int,
    ) -> Result:
        """Have one connection, from its beginning to its end."""

        def session(now: float) -> ClientSession:
            return ClientSession(
                str(place),
                self._random(_RANDOM_BYTES),
                now,
                description=description,
                user=place.user,
                password=place.password,
                basic=options.basic,
                keepalive=options.keepalive,
                keepalive_seconds=options.keepalive_seconds,
                answer_seconds=options.answer_seconds,
                hops=hops,
                user_agent=options.user_agent,
                headers=options.headers,
            )

        def made() -> ClientConnection:
            connection = ClientConnection(self._reactor, session, role, self._gone)
            self._connections.add(connection)
            return connection

        connection: Any = await self._connector.connect(
            place.host,
            place.port,
            _QuietFactory(made),
            tls=place.scheme == "rtsps",
            timeout_seconds=options.connect_seconds,
        )
        try:
            result: Result = await connection.done
            return result
        finally:
            connection.close()

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


def _moved(place: RTSPURL, url: str) -> RTSPURL:
    """Return where a redirection leads; the password goes along on the same host alone."""
    following = parse_url(url)
    if not following.user and following.authority == place.authority:
        return following._replace(user=place.user, password=place.password)
    return following
