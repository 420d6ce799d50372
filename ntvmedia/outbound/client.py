"""The one HTTP client of the server: callbacks, key servers and whoever else is asked (F-SS-03).

It sends no cookies, asks for nothing compressed, and follows a redirect only to what may be asked,
never from https to http, and without the header fields that were meant for the first server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urljoin

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredSemaphore, fail
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool

from ntvmedia.config import OutboundSettings
from ntvmedia.outbound.addresses import Target, origin_of, parse_target
from ntvmedia.outbound.connections import Endpoints, Gate
from ntvmedia.outbound.exchange import REDIRECTS, Answer, exchange
from ntvmedia.outbound.failures import OutboundError
from ntvmedia.outbound.policy import Policy

MAX_REDIRECTS: Final = 5
"""As the limits of others go: 5 (RFC 2068) to 20 or so (browsers)."""

MAX_AT_A_TIME: Final = 20
"""Requests to one server at the same time: one that hangs does not hold up the others."""

MAX_REQUESTS: Final = 10_000
"""All that go on or wait for their turn; more are a mistake, and some kilobytes each."""

MAX_IDLE: Final = 8
IDLE_SECONDS: Final = 30
"""Connections to one server that are kept for the next request, and how long. Servers close idle
ones after 60 seconds or so; whoever closes first is spared a request that is lost."""


class Outbound(Service):
    """Asks other servers over HTTP.

    Connections are kept for a while, and used again. Those that a redirect led to are not: only
    the servers that somebody here named have any.

    Args:
        reactor: Has sockets, a resolver and threads.
        settings: Whom it may ask, and how long an answer may take.
        trust: As in `Endpoints`.
    """

    def __init__(self, reactor: Any, settings: OutboundSettings, trust: Any = None) -> None:
        self._reactor = reactor
        self._timeout_seconds = settings.timeout
        gate = Gate(reactor, Policy(settings.allow))
        self._endpoints = endpoints = Endpoints(gate, settings.timeout, trust)
        self._pool = pool = HTTPConnectionPool(reactor)
        pool.maxPersistentPerHost = MAX_IDLE
        pool.cachedConnectionTimeout = IDLE_SECONDS
        unkept = HTTPConnectionPool(reactor, persistent=False)
        self._named = Agent.usingEndpointFactory(reactor, endpoints, pool)
        self._redirected = Agent.usingEndpointFactory(reactor, endpoints, unkept)
        self._turns: dict[str, DeferredSemaphore] = {}
        self._requests: set[_Request] = set()
        self._closed = False

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit_bytes: int,
        timeout_seconds: float | None = None,
    ) -> Deferred[Answer]:
        """Ask for what an address names.

        Args:
            url: Its user and password, where there are any, are sent as of RFC 7617.
            headers: Further fields of the request. A redirect to another server goes without.
            limit_bytes: The longest body that is taken.
            timeout_seconds: How long all of it may take, with redirects, and the wait for a turn
                where many ask the same server; None for the setting.

        Returns:
            Fires with the answer, of any status but a redirect. Fails with `OutboundError` and
            nothing else, but when cancelled: then with a `CancelledError`, and the connection is
            closed at once.
        """
        if self._closed or len(self._requests) >= MAX_REQUESTS:
            why = "the server stops" if self._closed else "too many requests wait"
            return fail(OutboundError(f"{origin_of(url)}: {why}"))
        request = _Request(
            self._reactor,
            origin_of(url),
            self._timeout_seconds if timeout_seconds is None else timeout_seconds,
            self._requests.discard,
        )
        self._requests.add(request)
        request.begin(Deferred.fromCoroutine(self._get(url, headers or {}, limit_bytes)))
        return request.answer

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self.close()

    def close(self) -> Deferred[None]:
        """Ask for nothing more: what goes on fails. Idempotent.

        Returns:
            Fires when all connections are closed.
        """
        self._closed = True
        for request in tuple(self._requests):
            request.fail("the server stops")
        # It only stops the timers of idle connections: all of them are closed below.
        self._pool.closeCachedConnections()
        return self._endpoints.close()

    async def _get(self, url: str, headers: Mapping[str, str], limit_bytes: int) -> Answer:
        target = parse_target(url)
        turns = self._turns.setdefault(target.origin, DeferredSemaphore(MAX_AT_A_TIME))
        try:
            async with turns:
                return await self._follow(target, headers, limit_bytes)
        finally:
            # Nobody has a turn and, since they are given on at once, nobody waits for one.
            if turns.tokens == turns.limit and self._turns.get(target.origin) is turns:
                del self._turns[target.origin]

    async def _follow(self, target: Target, headers: Mapping[str, str], limit_bytes: int) -> Answer:
        first = target
        for _redirect in range(MAX_REDIRECTS + 1):
            agent = self._named if target.origin == first.origin else self._redirected
            answer = await exchange(agent, target, headers, limit_bytes)
            if answer.status not in REDIRECTS:
                return answer
            following = _redirected(target, answer.headers.get("location", ""))
            if following.origin != target.origin:
                headers = {}
            elif not following.authorization:
                following = following._replace(authorization=target.authorization)
            target = following
        raise OutboundError(f"{first.origin}: more than {MAX_REDIRECTS} redirects")


class _Request:
    """One request from its beginning to its end, whichever comes first of all ends.

    Args:
        reactor: Its time.
        origin: For errors.
        timeout_seconds: As in `Outbound.get`.
        forget: Called when it has ended.

    Attributes:
        answer: What the caller waits for.
    """

    def __init__(
        self, reactor: Any, origin: str, timeout_seconds: float, forget: Callable[[_Request], None]
    ) -> None:
        self.answer: Deferred[Answer] = Deferred(lambda _answer: self._stop())
        self._origin = origin
        self._forget = forget
        self._work: Deferred[Answer] | None = None
        self._ended = False
        self._timer = reactor.callLater(
            timeout_seconds, self.fail, f"no answer within {timeout_seconds:g} seconds"
        )

    def begin(self, work: Deferred[Answer]) -> None:
        """Wait for the work, which may be done already."""
        self._work = work
        work.addBoth(self._worked)

    def fail(self, why: str) -> None:
        """End it; the error is the caller's before the work is told."""
        error = OutboundError(f"{self._origin}: {why}")
        self._stop()
        self.answer.errback(error)

    def _worked(self, result: Answer | Failure) -> None:
        if self._ended:
            # What the work says of being cancelled.
            return
        self._end()
        self.answer.callback(result)

    def _stop(self) -> None:
        self._end()
        if self._work is not None:
            self._work.cancel()

    def _end(self) -> None:
        self._ended = True
        self._forget(self)
        if self._timer.active():
            self._timer.cancel()


def _redirected(target: Target, location: str) -> Target:
    """Return where an answer sends us.

    Raises:
        OutboundError: To nowhere, or to where we do not go.
    """
    if not location:
        raise OutboundError(f"{target.origin}: a redirect to nowhere")
    try:
        following = parse_target(urljoin(target.url, location))
    except (OutboundError, ValueError) as error:
        raise OutboundError(f"{target.origin}: a redirect that is not followed: {error}") from None
    if target.scheme == "https" and following.scheme != "https":
        raise OutboundError(f"{target.origin}: a redirect from https to http")
    return following
