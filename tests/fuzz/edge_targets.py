"""The edge as fuzz targets: whole connections of the endpoints, in memory.

Beside what `targets` promises: nothing is logged as a bug, and a connection that is gone leaves
nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from twisted.internet.error import ConnectionDone
from twisted.logger import LogEvent, LogPublisher, globalLogPublisher
from twisted.python.failure import Failure

from ntvmedia.interfaces import IExchange
from tests.endpoints.http.rig import Rig
from tests.endpoints.rtmp.server import Peer, Server
from tests.fuzz import seeds
from tests.fuzz.targets import Target, both_ways
from tests.wire.rtmp.conversation import CREATE_STREAM, HANDSHAKE, connect

_CONNECT: Final = HANDSHAKE + connect(app="liveshow", tcUrl="rtmp://host/liveshow")


@contextmanager
def no_bugs() -> Iterator[None]:
    """Raise what was logged as a bug meanwhile."""
    found: list[Failure] = []

    def observe(event: LogEvent) -> None:
        if isinstance(event.get("log_failure"), Failure):
            found.append(event["log_failure"])

    observer = LogPublisher(observe)  # type: ignore[arg-type]  # any callable is an observer
    globalLogPublisher.addObserver(observer)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observer)
    for failure in found:
        failure.raiseException()


def _answer(exchange: IExchange) -> None:
    exchange.respond(200, {"Content-Type": "text/plain"}, b"media")


def _http(data: bytes) -> None:
    """Talk to the HTTP front, and leave."""

    def read(pieces: Iterable[bytes]) -> object:
        rig = Rig(_answer)
        client = rig.connect()
        answers = client.send(*pieces)
        closed = client.closed
        rig.reactor.advance(120)
        client.leave()
        assert len(rig.front.connections) == 0
        assert not rig.reactor.getDelayedCalls()
        # What is wrong with a head may be seen before all of it is there: then another reason is
        # given. How many answers there are, and what the last one leaves of the connection, stays.
        return [line for line in answers.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")], closed

    with no_bugs():
        both_ways(data, read)


def _rtmp(beginning: bytes) -> Callable[[bytes], None]:
    """Return what talks to an RTMP connection that has heard `beginning`, and leaves."""

    def read(pieces: Iterable[bytes]) -> object:
        server = Server()
        peer = Peer(server, server.build(), None)
        for piece in (beginning, *pieces):
            peer.protocol.dataReceived(piece)
            if peer.transport.disconnected:
                break
        streams = sorted(map(str, server.hub.streams))
        peer.protocol.tick(1.0)
        peer.protocol.connectionLost(Failure(ConnectionDone()))
        kinds = server.kinds()
        assert len(server.factory.connections) == 0
        assert kinds.count("PublishStarted") == kinds.count("PublishEnded")
        assert kinds.count("PlayStarted") == kinds.count("PlayEnded")
        for _ in range(40):
            server.reactor.advance(1)
            server.hub.tick()
        assert not server.hub.streams
        assert not server.reactor.getDelayedCalls()
        return streams, kinds, peer.transport.disconnected

    def run(data: bytes) -> None:
        with no_bugs():
            both_ways(data, read)

    return run


EDGE_TARGETS: Final[dict[str, Target]] = {
    "http-front": Target(
        _http,
        (
            *seeds.REQUESTS,
            b"".join(seeds.REQUESTS[:3]),
            b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + seeds.CHUNKED[1],
        ),
    ),
    "rtmp-connection": Target(_rtmp(_CONNECT), seeds.CHUNKS),
    "rtmp-publisher": Target(
        _rtmp(_CONNECT + CREATE_STREAM + seeds.publish("test")), seeds.PUBLISHED
    ),
}
