"""A client of HTTP that answers as a test says, and a loader over it with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.clients.hls.loader import Loader, Manner
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.exchange import Answer


class Reply(NamedTuple):
    """What a server answers.

    Attributes:
        body: All of it.
        status: Of the answer.
        headers: By name in lower case.
        url: Who answered, when not the one who was asked.
        piece: How many bytes come at a time; 0 for all at once.
        cut: The body ends with an error after all its pieces.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    url: str = ""
    piece: int = 0
    cut: bool = False


class Asked(NamedTuple):
    """A request: its address, its own fields, and all that was said beside."""

    url: str
    headers: Mapping[str, str]
    options: Mapping[str, Any]

    def all_fields(self) -> dict[str, str]:
        """Return what the first server gets."""
        return {**self.options["shared_headers"], **self.headers}


class FakeOutbound:
    """In place of `Outbound`.

    Attributes:
        replies: By address, what is answered to each request, in order; the last one to all that
            follow. None: nothing. An exception: the request fails with it. A function is called
            with the request, and gives one of those, or a Deferred reply.
        asked: The requests.
        waiting: Those that are not answered yet.
        cancelled: How many of them were cancelled.
        is_closed: Nothing is asked any more.
    """

    def __init__(self) -> None:
        self.replies: dict[str, list[Any]] = {}
        self.asked: list[Asked] = []
        self.waiting: list[Deferred[Answer]] = []
        self.cancelled = 0
        self.is_closed = False

    def close(self) -> Deferred[None]:
        """Ask for nothing more."""
        self.is_closed = True
        return succeed(None)

    def get(
        self, url: str, *, headers: Mapping[str, str] | None, receiver: Any, **options: Any
    ) -> Deferred[Answer]:
        """Answer, as `Outbound.get` would."""
        asked = Asked(url, dict(headers or {}), options)
        self.asked.append(asked)
        replies = self.replies.get(url, [Reply(b"no", 404)])
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if callable(reply):
            reply = reply(asked)
        if isinstance(reply, Exception):
            return fail(reply)
        if isinstance(reply, Deferred):
            limit: int = options["limit_bytes"]
            return reply.addCallback(lambda late: _answered(url, late, receiver, limit))
        if reply is None:
            waiting: Deferred[Answer] = Deferred(self._cancel)
            self.waiting.append(waiting)
            return waiting
        try:
            return succeed(_answered(url, reply, receiver, options["limit_bytes"]))
        except Exception as error:
            return fail(error)

    def _cancel(self, waiting: Deferred[Answer]) -> None:
        self.waiting.remove(waiting)
        self.cancelled += 1
        waiting.errback(CancelledError())

    def urls(self) -> list[str]:
        """Return what was asked for, in order."""
        return [asked.url for asked in self.asked]


def _answered(url: str, reply: Reply, receiver: Any, limit_bytes: int) -> Answer:
    answer = Answer(reply.status, reply.headers, b"", reply.url or url)
    take = receiver(answer)
    if len(reply.body) > limit_bytes:
        raise OutboundError(f"the answer is longer than {limit_bytes} bytes", is_permanent=True)
    step = reply.piece or len(reply.body) or 1
    for place in range(0, len(reply.body), step):
        take(reply.body[place : place + step])
    if reply.cut:
        raise OutboundError("https://example.org: the connection was lost")
    return answer


class LoaderCase(SynchronousTestCase):
    """A loader, its clock and its servers.

    Attributes:
        clock: Its time.
        outbound: Its servers.
        lines: What it reported.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.outbound = FakeOutbound()
        self.lines: list[str] = []
        self.loader = self.make_loader()

    def make_loader(self, **manner: Any) -> Loader:
        """Return a loader with some manner."""
        outbound: Any = self.outbound
        return Loader(self.clock, outbound, Manner(**manner), self.lines.append)

    def serve(self, url: str, *replies: Reply | Exception | Callable[[Asked], Any] | None) -> None:
        """Say what is answered to the requests of an address."""
        self.outbound.replies[url] = list(replies)

    def start(self, work: Any) -> Deferred[Any]:
        """Begin to await something."""
        return Deferred.fromCoroutine(work)

    def result(self, work: Any) -> Any:
        """Return what is there at once."""
        return self.successResultOf(self.start(work))

    def problem(self, work: Any, kind: type[Exception]) -> Any:
        """Return what something fails with at once."""
        return self.failureResultOf(self.start(work), kind).value

    def patience(self, work: Any, most: int = 1000) -> Deferred[Any]:
        """Await something, as long as something is waited for; return what became of it."""
        waiting = self.start(work)
        for _wait in range(most):
            calls = self.clock.getDelayedCalls()
            if not calls:
                break
            self.clock.advance(max(min(call.getTime() for call in calls) - self.clock.seconds(), 0))
        return waiting


def pieces(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut bytes."""
    ends = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(ends)]
