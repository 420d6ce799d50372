"""A server in memory with all protocols on one hub and one access, and a player on each of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

from twisted.internet.address import IPv4Address

from ntvmedia.access import Access
from ntvmedia.endpoints.http.endpoint import make_http_service
from ntvmedia.endpoints.http.flv import FLVRoute
from ntvmedia.endpoints.http.hls.outputs import HLSOutputs
from ntvmedia.endpoints.http.hls.route import HLSRoute
from ntvmedia.endpoints.http.ts import TSRoute
from ntvmedia.endpoints.rtmp.factory import RTMPFactory, make_rtmp_service
from ntvmedia.enforcement import Enforcement
from ntvmedia.limits import Limits
from ntvmedia.wire.rtmp.client import ClientSession
from ntvmedia.wire.rtmp.events import Accepted, Ended, Rejected
from tests.endpoints.http.rig import Client
from tests.endpoints.rtmp.server import Peer as RTMPPeer
from tests.endpoints.rtsp.server import HOST, RANDOM, Peer as RTSPPeer, Server, media
from tests.store.slow import SlowStore

KEY = b"k" * 32

SOCKET = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


class WholeServer(Server):
    """The server; it is its own `IHost`.

    Args:
        data: Its data folder.
    """

    def __init__(self, data: Path) -> None:
        super().__init__()
        self.store = SlowStore(data)
        self.access = Access(
            self.applications,
            data,
            lambda: self.wall_clock,
            lambda count: KEY[:count],
            store=self.store,
            events=self.events,
            reactor=self.reactor,
        )
        self.access.load()
        self.limits = Limits(self)
        self.access.limits, self.access.watching = self.limits, self.limits.viewers_of
        self.enforcement = Enforcement(self, self.limits)
        make_rtmp_service(self, (), "rtmp", None)
        self.rtmp = RTMPFactory(self, self.settings.rtmp, "rtmp")
        self.part(HLSOutputs).startService()
        self.front = make_http_service(self, (), self.settings.http, None).front
        self.time = 0
        self.publishing: Any = None

    def media_routes(self) -> list[Any]:
        """Return all of them."""
        return [FLVRoute(), TSRoute(), HLSRoute()]

    def rtmp_player(self, query: str = "", page: str = "", host: str = "192.0.2.1") -> RTMPPeer:
        """Have somebody ask to play by RTMP."""
        session = ClientSession(
            RANDOM,
            publishing=False,
            app="liveshow",
            name=f"test?{query}" if query else "test",
            tc_url="rtmp://host/liveshow",
            page_url=page,
        )
        protocol = self.rtmp.buildProtocol(IPv4Address("TCP", host, 50000))
        assert protocol is not None
        return RTMPPeer(cast(Any, self), protocol, session)

    def publish(self) -> None:
        """Have a stream that goes on."""
        self.publishing = self.source()
        self.time = 2200
        self.run(2)

    def run(self, seconds: int) -> None:
        """Let time pass, with media; the server's clockwork runs too."""
        for _second in range(seconds):
            if self.publishing is not None:
                self.publishing.send(*media(self.time, self.time + 1000))
            self.time += 1000
            self.wall_clock += 1
            self.reactor.advance(1)
            self.factory.tick()
            self.hub.tick()
            self.enforcement._tick()


class Outcome(NamedTuple):
    """What came of one who wanted to play.

    Attributes:
        words: Of the answer: a status, or a code of RTMP.
        reason: For people; empty where the protocol tells none.
        end: Returns the words that it was sent away with; None while it plays.
    """

    words: int | str
    reason: str
    end: Callable[[], Any]


def _nothing() -> None:
    """Stand for what does not play."""


def rtmp(server: WholeServer, query: str = "", page: str = "", host: str = "192.0.2.1") -> Outcome:
    """Play by RTMP."""
    peer = server.rtmp_player(query, page, host)
    [first] = [x for x in peer.events if isinstance(x, Accepted | Rejected)]

    def end() -> Any:
        peer.exchange()
        ended = [x for x in peer.events if isinstance(x, Ended)]
        return (ended[0].code, ended[0].description) if ended else None

    is_accepted = isinstance(first, Accepted)
    return Outcome(200 if is_accepted else first.code, first.description, end)


def rtsp(server: WholeServer, query: str = "", page: str = "", host: str = "192.0.2.1") -> Outcome:
    """Play by RTSP, within its connection; no page can be told."""
    peer = RTSPPeer(server, host, f"{HOST}/liveshow/test" + (f"?{query}" if query else ""))
    answer = peer.ask("DESCRIBE")
    if answer.status == 200:
        peer.set_up({0: "0-1", 1: "2-3"})
        peer.ok("PLAY")
    return Outcome(answer.status, "", lambda: peer.transport.disconnecting or None)


def _http(
    server: WholeServer, path: str, query: str, page: str, host: str, *fields: bytes
) -> tuple[Client, int, str]:
    client = Client(server.front, host)
    referer = (b"Referer: " + page.encode(),) if page else ()
    target = path + (f"?{query}" if query else "")
    answer = client.get(target.encode(), *referer, *fields)
    head, _mark, body = answer.partition(b"\r\n\r\n")
    return client, int(head.split()[1]), body.decode("latin-1")


def _live(extension: str, *fields: bytes) -> Callable[..., Outcome]:
    def play(
        server: WholeServer, query: str = "", page: str = "", host: str = "192.0.2.1"
    ) -> Outcome:
        path = f"/liveshow/test.{extension}"
        client, status, body = _http(server, path, query, page, host, *fields)
        good = 101 if fields else 200
        if status != good:
            return Outcome(status, body, _nothing)
        ends = b"\x88" if fields else b"0\r\n\r\n"

        def end() -> Any:
            said = client.received()
            place = said.rfind(ends)
            return said[place:] if place >= 0 and (not fields or client.closed) else None

        return Outcome(200, "", end)

    return play


def hls(server: WholeServer, query: str = "", page: str = "", host: str = "192.0.2.1") -> Outcome:
    """Play by HLS: the multivariant playlist, the list of its first variant, and a segment."""
    _client, status, body = _http(server, "/liveshow/test.m3u8", query, page, host)
    if status != 200:
        return Outcome(status, body, _nothing)
    folder = next(x for x in body.splitlines() if x and not x.startswith("#"))
    path = f"/liveshow/{folder}"

    def ask(target: str) -> tuple[int, str]:
        client = Client(server.front, host)
        answer = client.get(target.encode())
        waited = 0
        while not answer and waited < 10:
            server.run(1)
            waited += 1
            answer = client.received()
        head, _mark, found = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), found.decode("latin-1")

    status, found = ask(path)
    if status != 200:
        return Outcome(status, found, _nothing)
    folder = path.rpartition("/")[0]
    segments = [x for x in found.splitlines() if x and not x.startswith("#")]
    assert ask(f"{folder}/{segments[-1]}")[0] == 200

    def end() -> Any:
        list_status, answer = ask(path)
        if list_status == 200:
            segments[:] = [x for x in answer.splitlines() if x and not x.startswith("#")]
        # The newest one that it knows of.
        status, _body = ask(f"{folder}/{segments[-1]}")
        assert status == list_status, (status, list_status)
        return None if status == 200 else (status, answer)

    return Outcome(200, "", end)


def _page(prefix: str) -> Callable[..., Outcome]:
    def load(
        server: WholeServer, query: str = "", page: str = "", host: str = "192.0.2.1"
    ) -> Outcome:
        _client, status, body = _http(server, f"{prefix}/liveshow/test", query, page, host)
        return Outcome(status, body if status != 200 else "", _nothing)

    return load


PLAYERS: dict[str, Callable[..., Outcome]] = {
    "rtmp": rtmp,
    "rtsp": rtsp,
    "flv": _live("flv"),
    "ws-flv": _live("flv", *SOCKET),
    "ts": _live("ts"),
    "ws-ts": _live("ts", *SOCKET),
    "hls": hls,
}

PAGES: dict[str, Callable[..., Outcome]] = {"page": _page(""), "embed": _page("/embed")}
