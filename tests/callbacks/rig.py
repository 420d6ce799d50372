"""A server's callbacks with a real database, and receivers of two kinds: real ones, and a fake."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from sqlalchemy import StaticPool, create_engine, event
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Action, Request, Verdict
from ntvmedia.callbacks import Callbacks
from ntvmedia.callbacks.callback import Callback
from ntvmedia.config import Settings
from ntvmedia.events import EventBus, PlayEnded, PlayStarted, PublishEnded, PublishStarted
from ntvmedia.media import StreamKey
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.exchange import Answer
from ntvmedia.store.schema import METADATA
from tests.outbound.rig import OutboundCase
from tests.store.slow import SlowStore

NOW = 1_700_000_000.25
KEY = StreamKey("liveshow", "one")


def request(action: Action = Action.PLAY, **fields: Any) -> Request:
    """Return what somebody asks."""
    values: dict[str, Any] = {
        "key": KEY,
        "protocol": "rtmp",
        "peer": "192.0.2.7:50000",
        "query": {"token": "a b"},
        "page_url": "https://site.example/page",
        "user_agent": "OBS",
        "address": "rtmp://live.example.org:1936",
        **fields,
    }
    return Request(action, **values)


def application(**fields: Any) -> Any:
    """Return the part of an application that is looked at."""
    values = {"name": "liveshow", "authorize_url": "", "authorize_failure": "deny", **fields}
    return SimpleNamespace(**values)


class QuickStore(SlowStore):
    """A database in memory: hundreds of transactions take no time."""

    def __init__(self) -> None:
        self._waiting: list[Any] = []
        self.at_once = True
        self.problem: Exception | None = None
        self.lost: Exception | None = None
        self._engine = create_engine("sqlite://", poolclass=StaticPool)
        # Python's driver begins transactions when it likes, which a savepoint must not end.
        event.listen(self._engine, "connect", self._connected)
        event.listen(self._engine, "begin", lambda x: x.exec_driver_sql("BEGIN"))
        METADATA.create_all(self._engine)

    def _connected(self, raw: Any, _record: Any) -> None:
        raw.isolation_level = None

    def run_now(self, work: Callable[[Any], Any]) -> Any:
        """Do it."""
        if self.problem is not None:
            raise self.problem
        with self._engine.begin() as connection:
            return work(connection)

    def close(self) -> None:
        """Close it."""
        self._engine.dispose()


class FakeHost:
    """What callbacks need of a server.

    Args:
        data: The data folder.
        reactor: Its time.
        outbound: The client.
    """

    def __init__(self, data: Path, reactor: Any, outbound: Any) -> None:
        self.reactor = reactor
        self.settings = Settings(data=data)
        self.store: Any = QuickStore()
        self.events = EventBus()
        self.outbound = outbound
        self.applications: dict[str, Any] = {"liveshow": application()}
        self.access = SimpleNamespace(authorizers=[])
        self._randoms = 0

    def random(self, count: int) -> bytes:
        """Return other bytes each time."""
        self._randoms += 1
        return self._randoms.to_bytes(count, "big")


class Got(NamedTuple):
    """A request that a receiver got.

    Attributes:
        method: Of HTTP.
        path: Without the query.
        query: As sent.
        headers: By lower-case name.
        body: As sent.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """What is told, by either method."""
        if self.method == "GET":
            return dict(parse_qsl(self.query, keep_blank_values=True))
        found: dict[str, Any] = json.loads(self.body)
        return found


class Asked(NamedTuple):
    """A request to the fake client, which waits for its answer."""

    got: Got
    answer: Deferred[Answer]
    timeout: float

    def reply(self, status: int = 200, body: bytes = b"") -> None:
        """Answer it."""
        self.answer.callback(Answer(status, {}, body))

    def fail(self, *, is_permanent: bool = False) -> None:
        """Let it come to nothing."""
        self.answer.errback(OutboundError("http://r: no answer", is_permanent=is_permanent))


class FakeOutbound:
    """A client whose answers are the test's.

    Attributes:
        asked: What waits for its answer, the oldest first.
        all: All that was ever asked.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.all: list[Got] = []
        self.cancelled = 0

    def get(self, url: str, *, timeout_seconds: float, **options: Any) -> Deferred[Answer]:
        """Ask."""
        assert options["same_server"]
        return self._ask("GET", url, b"", options["headers"], timeout_seconds)

    def post(
        self, url: str, body: bytes, *, timeout_seconds: float, **options: Any
    ) -> Deferred[Answer]:
        """Hand over."""
        return self._ask("POST", url, body, options["headers"], timeout_seconds)

    def _ask(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> Deferred[Answer]:
        path, _mark, query = url.partition("?")
        fields = {name.lower(): value for name, value in headers.items()}
        got = Got(method, path, query, fields, body)
        answer: Deferred[Answer] = Deferred(self._cancel)
        asked = Asked(got, answer, timeout)
        self.asked.append(asked)
        self.all.append(got)

        def forget(result: Any) -> Any:
            self.asked.remove(asked)
            return result

        answer.addBoth(forget)
        return answer

    def _cancel(self, _answer: Deferred[Answer]) -> None:
        self.cancelled += 1


class Events:
    """Makes the hub's events.

    Args:
        bus: Where they are told.
    """

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    def play(self, session: int, asked: Request | None = None, key: StreamKey = KEY) -> None:
        """Begin."""
        self._bus.emit(PlayStarted(key, "flv", "192.0.2.9:4000", session, asked))

    def stop(self, session: int, key: StreamKey = KEY) -> None:
        """End."""
        self._bus.emit(PlayEnded(key, session, "viewer left", 1234))

    def publish(self, session: int, asked: Request | None = None, key: StreamKey = KEY) -> None:
        """Begin."""
        self._bus.emit(PublishStarted(key, "rtmp", "[2001:db8::1]:4000", session, asked))

    def unpublish(self, session: int, key: StreamKey = KEY) -> None:
        """End."""
        self._bus.emit(PublishEnded(key, session, "closed", 99))


class FakeCase(SynchronousTestCase):
    """Callbacks with a fake client, and time that the test moves."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.clock = Clock()
        self.outbound = FakeOutbound()
        self.host = FakeHost(Path(folder.name), self.clock, self.outbound)
        self.addCleanup(self.host.store.close)
        self.events = Events(self.host.events)
        self.logged: list[str] = []
        observer: Any = self.log
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.callbacks = self.make()

    def log(self, event: LogEvent) -> None:
        """Keep what is logged."""
        self.logged.append(formatEvent(event))

    def now(self) -> float:
        """Return the wall clock's time."""
        return NOW + self.clock.seconds()

    def make(self) -> Callbacks:
        """Return what a server that starts now has."""
        self.host.events = EventBus()
        self.events = Events(self.host.events)
        self.host.access.authorizers.clear()
        callbacks = Callbacks(self.host, self.now)
        callbacks.load()
        callbacks.startService()
        return callbacks

    def add(self, **fields: Any) -> Callback:
        """Add a callback."""
        values = {"name": "a", "url": "http://r/hook", "events": ["play", "stop"], **fields}
        added: Callback = self.successResultOf(self.callbacks.registry.add(values))
        return added

    def decide(self, asked: Request) -> Deferred[Verdict | None]:
        """Ask as `Access` does."""
        (authorizer,) = self.host.access.authorizers
        deciding: Deferred[Verdict | None] = authorizer.decide(asked)
        return deciding

    def told(self) -> list[tuple[str, str]]:
        """Take all that waits for an answer: say yes, and return events and client ids."""
        found = []
        while self.outbound.asked:
            asked = self.outbound.asked[0]
            fields = asked.got.fields
            found.append((fields.get("event") or fields["action"], fields.get("client_id", "")))
            asked.reply(200, b"0")
        return found


class _Peer(Protocol):
    factory: Receiver

    def connectionMade(self) -> None:
        self._got = b""
        self.factory.peers.append(self)

    def dataReceived(self, data: bytes) -> None:
        self._got += data
        while b"\r\n\r\n" in self._got:
            head, _mark, rest = self._got.partition(b"\r\n\r\n")
            first, *lines = head.decode("ascii").split("\r\n")
            headers = {x.partition(": ")[0].lower(): x.partition(": ")[2] for x in lines}
            size = int(headers.get("content-length", "0"))
            if len(rest) < size:
                return
            self._got = rest[size:]
            method, target, _version = first.split(" ")
            path, _mark2, query = target.partition("?")
            self.factory.answer(self, Got(method, path, query, headers, rest[:size]))

    def send(self, data: bytes, *, close: bool = False) -> None:
        """Send some of an answer."""
        transport: Any = self.transport
        transport.write(data)
        if close:
            transport.loseConnection()

    def reset(self) -> None:
        """Break off."""
        transport: Any = self.transport
        transport.abortConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.peers.remove(self)


class Receiver(Factory):
    """A real server that answers as a test says.

    Attributes:
        answers: What it sends to each request, in order; the last one to all that follow. None
            sends nothing. A function is called with the connection.
        got: The requests.
        peers: The open connections.
    """

    protocol = _Peer  # type: ignore[assignment]
    noisy = False

    def __init__(self, *answers: bytes | Callable[[_Peer], None] | None) -> None:
        self.answers = list(answers)
        self.got: list[Got] = []
        self.peers: list[_Peer] = []
        self.port = 0
        self.url = ""

    def answer(self, peer: _Peer, got: Got) -> None:
        """Send what comes next."""
        self.got.append(got)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer(peer)
        elif answer is not None:
            peer.send(answer)


class RealCase(OutboundCase):
    """Callbacks with the real client, and receivers on this machine."""

    def setUp(self) -> None:
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = FakeHost(Path(folder.name), self.reactor, self.outbound)
        self.addCleanup(self.host.store.close)
        self.events = Events(self.host.events)
        self.callbacks = Callbacks(self.host, lambda: NOW)
        self.callbacks.load()
        self.callbacks.startService()

    def _end(self) -> None:
        self.wait(self.callbacks.stopService())
        super()._end()

    def receive(self, *answers: Any) -> Receiver:
        """Have a receiver listen."""
        receiver: Any = Receiver(*answers)
        listening: Receiver = self.listen(receiver)  # type: ignore[assignment]
        return listening

    def add(self, receiver: Receiver, **fields: Any) -> Callback:
        """Add a callback."""
        values = {"name": "a", "url": f"{receiver.url}/h", "events": ["play", "stop"], **fields}
        added: Callback = self.successResultOf(self.callbacks.registry.add(values))
        return added

    def decide(self, asked: Request) -> Verdict | None:
        """Ask as `Access` does, and wait."""
        (authorizer,) = self.host.access.authorizers
        deciding: Deferred[Verdict | None] = authorizer.decide(asked)
        return self.wait(deciding)
