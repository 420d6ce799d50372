"""What all HTTP connections share: settings, routes, the clock, and answers kept ready."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple, Protocol

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory
from twisted.web.server import Site

from ntvmedia.config import HTTPSettings
from ntvmedia.config.reading import Network
from ntvmedia.endpoints.draining import Connections
from ntvmedia.endpoints.hosts import ConnectionsOfHosts
from ntvmedia.endpoints.http import answers
from ntvmedia.endpoints.http.connection import HTTPConnection
from ntvmedia.endpoints.http.cors import OriginPolicy
from ntvmedia.endpoints.http.heads import BadRequest, HeadParser
from ntvmedia.endpoints.http.pages import Visitor
from ntvmedia.endpoints.http.takeover import Takeover
from ntvmedia.hub.policy import OutletPolicy
from ntvmedia.interfaces import IExchange

# How often deadlines are looked at, so that they cost nothing per request.
TICK_SECONDS: Final = 1.0

# Beyond the most connections, so many more from this machine: its operator is not locked out.
RESERVED_CONNECTIONS: Final = 32

_HEALTH_FIELDS: Final = f"Content-Type: {answers.PLAIN}\r\nCache-Control: no-store\r\n"
_HEALTHY: Final = b"ok\n"


class Route(NamedTuple):
    """Where the requests for one extension go.

    Attributes:
        methods: Those that it answers, upper case.
        handler: As `IMediaRoute.make_handler` returns it.
    """

    methods: tuple[str, ...]
    handler: Callable[[IExchange], None]


class ReadyFile(Protocol):
    """A file that is sent as it is."""

    @property
    def fields(self) -> str:
        """Header fields with their line ends, without the length."""

    @property
    def head(self) -> bytes:
        """Header fields with their line ends, the length among them, and an empty line."""

    @property
    def body(self) -> bytes:
        """Its content."""

    @property
    def descriptor(self) -> int:
        """Of an open file with that content, or -1."""


class Pages(Protocol):
    """What people see: player pages."""

    def answer(
        self, path: str, query: str, visitor: Callable[[], Visitor]
    ) -> tuple[int, str, bytes] | None:
        """Return status, header fields and body for a path; None for what is no page.

        Args:
            path: Of the target, as sent.
            query: What follows its question mark.
            visitor: Returns who asks.
        """


class HTTPFront(Factory):
    """Build a connection for each client, and look after all of them.

    Args:
        reactor: Its clock is monotonic.
        settings: Limits and timers.
        policy: For the outlets of the connections.
        routes: Of media, by extension.
        make_site: Makes what serves all that is not media. Called once, when the reactor runs.
        wall_seconds: Seconds since 1970, for the `Date` of answers.
        is_draining: Whether the server was told to stop.
        folder: Where the requests below a stream go, if anywhere.
        ready_files: As `IFolderRoute.make_ready` returns it.
        pages: What is shown to people.
        tunnel: Takes the connections over that carry RTSP.
        proxies: Returns the networks of the proxies that are believed who the client is.
        hosts: Limits the connections of each address.

    Attributes:
        clock: Monotonic seconds.
        parser: Parses all heads: it is given whole ones.
        date: The `Date` field of now, to the second.
        ok: The beginning of a good answer's head, up to that field.
        ready: Whole answers to plain GET requests, by target.
        connections: Those that were let in and live.
    """

    noisy = False

    def __init__(
        self,
        reactor: IReactorTime,
        settings: HTTPSettings,
        policy: OutletPolicy,
        routes: Mapping[str, Route],
        make_site: Callable[[], Site],
        wall_seconds: Callable[[], float],
        is_draining: Callable[[], bool],
        *,
        folder: Route | None = None,
        ready_files: Callable[[bytes], ReadyFile | None] | None = None,
        pages: Pages | None = None,
        tunnel: Callable[[Takeover], None] | None = None,
        proxies: Callable[[], Sequence[Network]] = lambda: (),
        hosts: ConnectionsOfHosts | None = None,
    ) -> None:
        self.clock = reactor.seconds
        self.settings = settings
        self.policy = policy
        self.routes = routes
        self.folder = folder
        self.pages = pages
        self.tunnel = tunnel
        self.proxies = proxies
        self.origins = OriginPolicy(settings.allowed_origins)
        self.parser = HeadParser()
        self.date = ""
        self.ok = b""
        self.ready: dict[bytes, bytes] = {}
        self.connections = Connections(settings.max_connections, hosts=hosts)
        self._reactor = reactor
        self._make_site = make_site
        self._site: Site | None = None
        self._wall_seconds = wall_seconds
        self._is_draining = is_draining
        # Answers from memory carry no permission for one origin alone.
        shared = ready_files if self.origins.allows_any else None
        self.find_file: Callable[[bytes], ReadyFile | None] = shared or _no_file
        self._timed: set[HTTPConnection] = set()
        self._tick_call: IDelayedCall | None = None

    def buildProtocol(self, addr: IAddress | None) -> HTTPConnection:
        return HTTPConnection(self, addr)

    def open_site(self) -> Site:
        """Return what serves all that is not media; made when first asked for."""
        if self._site is None:
            self._site = self._make_site()
        return self._site

    def connected(self, connection: HTTPConnection) -> BadRequest | None:
        """Take a new connection in.

        Returns:
            Why it is refused, or None.
        """
        self._timed.add(connection)
        if self._tick_call is None:
            self._tick()
        live = self.connections
        if not live.has_room(connection.host) and not (
            _is_loopback(connection.host)
            and not live.closing
            and len(live) < self.settings.max_connections + RESERVED_CONNECTIONS
        ):
            return BadRequest(503, "too many connections", reference="http.max_connections")
        live.add(connection)
        return None

    def disconnected(self, connection: HTTPConnection) -> None:
        """Forget a connection. Idempotent."""
        self._timed.discard(connection)
        self.connections.remove(connection)
        if not self._timed and self._tick_call is not None:
            self._tick_call.cancel()
            self._tick_call = None

    def fixed_answer(
        self, path: str, query: str, visitor: Callable[[], Visitor]
    ) -> tuple[int, str, bytes] | None:
        """Return status, header fields and body of what the front itself answers, or None.

        Arguments as of `Pages.answer`.
        """
        if path == "/healthz":
            return 200, _HEALTH_FIELDS, _HEALTHY
        if path != "/readyz":
            return None if self.pages is None else self.pages.answer(path, query, visitor)
        if self._is_draining() or self.connections.closing:
            return 503, _HEALTH_FIELDS, b"draining\n"
        return 200, _HEALTH_FIELDS, b"ready\n"

    def error_answer(self, status: int, reason: str) -> bytes:
        """Return the whole answer to a request that could not be understood."""
        return answers.complete(
            status,
            self.date,
            self.origins.fields(None) + answers.REASON_FIELDS,
            answers.reason_body(status, reason),
            connection="close",
        )

    def _tick(self) -> None:
        """Renew the date and what depends on it; see to deadlines."""
        self._tick_call = self._reactor.callLater(TICK_SECONDS, self._tick)
        self.date = date = answers.date_field(self._wall_seconds())
        self.ok = f"HTTP/1.1 200 OK\r\n{date}{self.origins.fields(None)}".encode("ascii")
        self.ready[b"/healthz"] = answers.complete(200, date, _HEALTH_FIELDS, _HEALTHY)
        now = self.clock()
        for connection in [x for x in self._timed if x.deadline <= now]:
            connection.deadline_passed()


def _no_file(_target: bytes) -> None:
    """Find no file: where there is no route that has some."""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return not host  # a unix socket
