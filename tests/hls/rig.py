"""A whole server in memory with its real HLS output, a publisher, and players that poll.

Two clocks: the monotonic one of the reactor, and a wall clock that a test may step.
"""

from __future__ import annotations

import atexit
import inspect
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from urllib.parse import urljoin

from twisted.application.service import IService, Service
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import getPlugins

from ntvmedia.access import BUILT_IN, Access, Application
from ntvmedia.config import HTTPSettings, HubSettings, Settings
from ntvmedia.endpoints.http.endpoint import HTTPEndpoint, HTTPService
from ntvmedia.endpoints.http.hls.outputs import HLSOutputs
from ntvmedia.events import ApplicationChanged, EventBus
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.streams import Hub
from ntvmedia.interfaces import IMediaRoute
from ntvmedia.media import StreamKey
from ntvmedia.preferences import Preferences
from tests.endpoints.http.rig import Client, Pages
from tests.hls.checker import Answer, PlaylistMonitor
from tests.hls.m3u8 import Multivariant, demand, parse_multivariant
from tests.hls.source import FRAME_SECONDS, Encoder

KEY = StreamKey("liveshow", "test")
PATH = "/liveshow/test.m3u8"
START_WALL = 1_767_323_045.25

# The data folder of all servers: what they keep in it is one secret.
_DATA = TemporaryDirectory()
atexit.register(_DATA.cleanup)


class Host:
    """The server, as its plugins see it."""

    certificates: Any = None
    draining = False

    def __init__(self, rig: Rig) -> None:
        self.reactor = rig.reactor
        self.events = EventBus()
        self.settings = Settings(hub=rig.hub_settings, data=Path(_DATA.name))
        self.hub = Hub(rig.reactor, self.settings.hub, self.events, rig.wall)
        self.applications: dict[str, Application] = dict(BUILT_IN)
        self.access = Access(self.applications)
        # Nothing is changed for good here.
        store: Any = None
        self.preferences = Preferences(store, self.events, rig.wall)
        self.wall_clock = rig.wall
        self.random = random.Random(rig.random.random()).randbytes
        self._parts: dict[Any, Any] = {}

    def part(self, kind: Callable[[Any], Any]) -> Any:
        """Return the one instance."""
        if kind not in self._parts:
            # Whoever wants to know the time of day is told what this rig says it is.
            asks = "wall_seconds" in inspect.signature(kind).parameters
            made = kind(self, wall_seconds=self.wall_clock) if asks else kind(self)  # type: ignore[call-arg]
            self._parts[kind] = made
            if IService.providedBy(made):
                cast(Service, made).startService()
        return self._parts[kind]

    def stop_parts(self) -> None:
        """Stop those that are services."""
        for made in self._parts.values():
            if IService.providedBy(made):
                made.stopService()

    def web_resource(self) -> Pages:
        """Return some pages."""
        return Pages()

    def media_routes(self) -> list[Any]:
        """Return the real ones."""
        return list(getPlugins(IMediaRoute))


class Publisher:
    """Whoever publishes."""

    protocol = "test"
    peer = "192.0.2.9:1"

    def __init__(self) -> None:
        self.dismissals: list[str] = []

    def dismissed(self, reason: str) -> None:
        """Note it."""
        self.dismissals.append(reason)


class Pending:
    """A request, and its answer when that is there."""

    def __init__(self, client: Client, target: str, *fields: bytes, method: bytes = b"GET") -> None:
        self._client: Client | None = client
        self._got = b""
        lines = (b"%b %b HTTP/1.1" % (method, target.encode()), b"Host: x", *fields, b"", b"")
        self._got = client.send(b"\r\n".join(lines))
        self._is_head = method == b"HEAD"

    @property
    def has_begun(self) -> bool:
        """Whether a byte of the answer is there."""
        if self._client is not None:
            self._got += self._client.received()
        return bool(self._got)

    @property
    def answer(self) -> Answer | None:
        """The answer, or None while the server holds the request."""
        if not self.has_begun:
            return None
        head, mark, body = self._got.partition(b"\r\n\r\n")
        if not mark:
            return None
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        size = int(headers.get("content-length", "0"))
        if not self._is_head and len(body) < size:
            return None
        assert len(body) == (0 if self._is_head else size)
        return Answer(int(status.split(" ")[1]), headers, body)

    def leave(self) -> None:
        """Close the connection. Idempotent."""
        client, self._client = self._client, None
        if client is not None:
            client.leave()


class Feed:
    """One stream that is published.

    Args:
        rig: Its server.
        key: The stream.

    Attributes:
        key: The stream.
        encoder: What is published.
        publication: The publisher's hold on the stream, or None.
        publisher: Whoever was given it last.
    """

    def __init__(self, rig: Rig, key: StreamKey) -> None:
        self.key = key
        self.encoder = Encoder(rig.now)
        self.publication: Publication | None = None
        self.publisher = Publisher()
        self._rig = rig

    def publish(self, clock: float = 0.0) -> None:
        """Publish, with an encoder whose clock stands at so many seconds."""
        self.publisher = Publisher()
        self.publication = self._rig.host.hub.publish(self.key, cast(Any, self.publisher))
        self.encoder.cut()
        self.encoder.begin(self._rig.now, clock)
        self.announce()
        self.send()

    def announce(self) -> None:
        """Say, again, what tracks there are."""
        assert self.publication is not None
        for track in self.encoder.tracks():
            self.publication.track_received(track)

    def leave(self, *, lost: bool) -> None:
        """Let the publisher go, in order or not."""
        publication, self.publication = self.publication, None
        assert publication is not None
        publication.close("gone", lost=lost)

    def send(self) -> None:
        """Send all that is due."""
        publication = self.publication
        if publication is None:
            return
        for packet in self.encoder.packets(self._rig.now):
            publication.packet_received(packet)
        publication.batch_ended()

    def step(self, *, silent: bool) -> None:
        """Go with the time; a silent publisher sends nothing of it."""
        if silent:
            self.encoder.skip(self._rig.now)
        else:
            self.send()

    def look(self) -> None:
        """See whether the server has sent the publisher away."""
        if self.publication is not None and not self.publication.active:
            self.publication = None


class Rig:
    """The server and its publisher.

    Args:
        options: Fields of the application `liveshow`.
        hub: Settings of the hub.
        seed: Of the session numbers.

    Attributes:
        reactor: Its clock is monotonic.
        wall_offset: Wall clock less monotonic clock.
        host: The server that runs now.
        feeds: What is published: first of all `KEY`.
        on_step: Called after each step of `run`.
    """

    def __init__(self, hub: Mapping[str, Any] | None = None, seed: int = 1, **options: Any) -> None:
        self.reactor = MemoryReactorClock()
        self.reactor.advance(1000.0)
        self.wall_offset = START_WALL - 1000.0
        self.random = random.Random(seed)
        self.hub_settings = HubSettings(**(hub or {}))
        self.options = options
        self.feeds = [Feed(self, KEY)]
        self.on_step: Callable[[], None] = lambda: None
        self._ticked = 0
        self.open()

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self.reactor.seconds()

    @property
    def encoder(self) -> Encoder:
        """What the first publisher sends."""
        return self.feeds[0].encoder

    @property
    def publication(self) -> Publication | None:
        """The first publisher's hold on its stream, or None."""
        return self.feeds[0].publication

    @property
    def publisher(self) -> Publisher:
        """Whoever was given it last."""
        return self.feeds[0].publisher

    def wall(self) -> float:
        """Seconds since 1970."""
        return self.reactor.seconds() + self.wall_offset

    # The server

    def open(self) -> None:
        """Start a server."""
        self.host = Host(self)
        self.set_options(**self.options)
        endpoint = HTTPEndpoint()
        self.service = cast(
            HTTPService,
            endpoint.make_service(cast(Any, self.host), HTTPSettings()),
        )
        self.service.privilegedStartService()
        self.service.startService()

    def close(self) -> None:
        """Stop it, and see that nothing is left of it."""
        for feed in self.feeds:
            feed.publication = None
        self.host.hub.stop("the server is stopping")
        self.service.stopService()
        self.host.stop_parts()
        left = self.reactor.getDelayedCalls()
        assert not left, left

    def restart(self) -> None:
        """Stop it and start another."""
        self.close()
        for feed in self.feeds:
            feed.encoder.cut()
        self.open()

    def set_options(self, **options: Any) -> None:
        """Change fields of the application."""
        self.options.update(options)
        name = KEY.application
        self.host.applications[name] = replace(self.host.applications[name], **options)
        self.host.events.emit(ApplicationChanged(name, name))

    # The publishers

    def feed(self, stream: str) -> Feed:
        """Return one more publisher, of another stream, that is yet to publish."""
        self.feeds.append(Feed(self, StreamKey(KEY.application, stream)))
        return self.feeds[-1]

    def publish(self, clock: float = 0.0) -> None:
        """Publish, with an encoder whose clock stands at so many seconds."""
        self.feeds[0].publish(clock)

    def announce(self) -> None:
        """Say, again, what tracks there are."""
        self.feeds[0].announce()

    def lose(self) -> None:
        """Lose the publisher's connection."""
        self.feeds[0].leave(lost=True)

    def unpublish(self) -> None:
        """Let the publisher go in order."""
        self.feeds[0].leave(lost=False)

    def send(self) -> None:
        """Send all that is due."""
        for feed in self.feeds:
            feed.send()

    @property
    def held(self) -> int:
        """How many requests the server holds until there is what they ask for."""
        found = self.host.part(HLSOutputs).playlists.by_place.values()
        return sum(len(x.waiters) for x in found)

    # Time

    def run(self, seconds: float, *, silent: bool = False) -> None:
        """Let time pass, a picture at a time.

        Args:
            seconds: How long.
            silent: The publishers send nothing, and what they make meanwhile is lost.
        """
        for _step in range(round(seconds / FRAME_SECONDS)):
            self.reactor.advance(FRAME_SECONDS)
            for feed in self.feeds:
                feed.step(silent=silent)
            if int(self.now) != self._ticked:
                self._ticked = int(self.now)
                self.host.hub.tick()
            for feed in self.feeds:
                feed.look()
            self.on_step()

    # Clients

    def ask(self, target: str, *fields: bytes, method: bytes = b"GET", host: str = "") -> Pending:
        """Send a request on a connection of its own."""
        client = Client(self.service.front, host or "192.0.2.1")
        return Pending(client, target, *fields, method=method)

    def get(self, target: str, *fields: bytes, method: bytes = b"GET", host: str = "") -> Answer:
        """Ask for what is there at once."""
        pending = self.ask(target, *fields, method=method, host=host)
        answer = pending.answer
        pending.leave()
        demand(answer is not None, "held", f"{target} is held")
        assert answer is not None
        return answer


class Player:
    """One session: reads the multivariant playlist, then polls a media playlist.

    Args:
        rig: The server.
        path: Of the multivariant playlist.

    Attributes:
        multivariant: As it was read.
        playlist: The path of the media playlist; empty before `join`.
    """

    def __init__(self, rig: Rig, path: str = PATH) -> None:
        self.rig = rig
        self.path = path
        self.playlist = ""
        self.multivariant: Multivariant | None = None

    def join(self) -> None:
        """Read the multivariant playlist, which must be there."""
        answer = self.rig.get(self.path)
        demand(answer.status == 200, "status", f"{self.path}: {answer.status}")
        self.multivariant = parse_multivariant(answer.body)
        self.playlist = urljoin(self.path, self.multivariant.variants[0].uri)

    def ask(self, query: str = "") -> Pending:
        """Ask for the media playlist, which may be held."""
        return self.rig.ask(self.playlist + query)

    def poll(self) -> Answer:
        """Read the media playlist, which must be answered at once."""
        return self.rig.get(self.playlist)

    def other(self, uri: str) -> Player:
        """Return the same session with another media playlist of its multivariant one."""
        found = Player(self.rig, self.path)
        found.multivariant = self.multivariant
        found.playlist = urljoin(self.path, uri)
        return found

    def fetch(self, uri: str) -> Answer:
        """Fetch a segment as the playlist names it."""
        return self.rig.get(urljoin(self.playlist, uri))

    def wait(self, seconds: float = 20.0) -> float:
        """Ask for the media playlist, and let time pass until it is there.

        Returns:
            How long that was.
        """
        began = self.rig.now
        pending = self.ask()
        try:
            while pending.answer is None:
                demand(self.rig.now - began < seconds, "held", f"no playlist after {seconds} s")
                self.rig.run(FRAME_SECONDS)
            demand(pending.answer.status == 200, "status", f"{pending.answer.status}")
        finally:
            pending.leave()
        return self.rig.now - began

    def monitor(self, **options: Any) -> PlaylistMonitor:
        """Return what judges this session's playlist."""
        return PlaylistMonitor(self.fetch, **options)
