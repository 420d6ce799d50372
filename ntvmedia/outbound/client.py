"""The one HTTP client of the server: callbacks, key servers and whoever else is asked (F-SS-03).

It sends no cookies but those of a jar that it is given, asks for nothing compressed, and follows a
redirect only to what may be asked, never from https to http, and without the header fields that
were meant for the first server.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from http.cookiejar import CookieJar
from typing import Any, Final
from urllib.parse import urljoin

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredSemaphore, fail
from twisted.web.client import Agent
from twisted.web.iweb import IAgent

from ntvmedia.config import OutboundSettings
from ntvmedia.outbound.addresses import Target, origin_of, parse_target
from ntvmedia.outbound.connections import Endpoints, Gate
from ntvmedia.outbound.cookies import BrowserPolicy
from ntvmedia.outbound.exchange import KEEPING, REDIRECTS, Answer, Question, Receiver, exchange
from ntvmedia.outbound.failures import OutboundError
from ntvmedia.outbound.fields import Fields, check_fields
from ntvmedia.outbound.flow import Flow
from ntvmedia.outbound.policy import Policy
from ntvmedia.outbound.pools import StrictPool
from ntvmedia.outbound.proxies import ProxiedAgent, parse_proxy
from ntvmedia.outbound.requests import PendingRequest

MAX_REDIRECTS: Final = 5
"""As the limits of others go: 5 (RFC 2068) to 20 or so (browsers)."""

MAX_AT_A_TIME: Final = 20
"""Requests to one server at the same time: one that hangs does not hold up the others."""

MAX_REQUESTS: Final = 10_000
"""All that go on or wait for their turn; more are a mistake, and some kilobytes each."""

MAX_IDLE: Final = MAX_AT_A_TIME
IDLE_SECONDS: Final = 30
"""Connections to one server that are kept for the next request, and how long: as many as a
download uses, which may do something else for a moment. Servers close idle ones after 60 seconds or
so; whoever closes first is spared a request that is lost."""

MAX_LED_TO: Final = 16
"""Servers that redirects led to lately."""


class Outbound(Service):
    """Asks other servers over HTTP.

    Connections are kept for a while, and used again; one that a redirect led to only where the
    last few redirects led there before, as those to a network of caches do: there is no end of
    servers that a redirect may lead to.

    Args:
        reactor: Has sockets, a resolver and threads.
        settings: Whom it may ask, and how long an answer may take.
        trust: As in `Endpoints`.
        proxy: "http://[USER:PASSWORD@]HOST[:PORT]" of a proxy that all requests go through; empty
            for none. The proxy must be one of whom it may ask. Of its targets only those that are
            IP addresses are looked at: what a name means is the proxy's to say.
        policy: Says whom it may ask, instead of the settings.

    Raises:
        OutboundError: The proxy's address is malformed.
    """

    def __init__(
        self,
        reactor: Any,
        settings: OutboundSettings,
        trust: Any = None,
        *,
        proxy: str = "",
        policy: Policy | None = None,
    ) -> None:
        self._reactor = reactor
        self._timeout_seconds = settings.timeout
        gate = Gate(reactor, policy or Policy(settings.allow))
        by = parse_proxy(proxy) if proxy else None
        self._endpoints = endpoints = Endpoints(gate, settings.timeout, trust, by)
        self._pool = pool = StrictPool(reactor)
        pool.maxPersistentPerHost = MAX_IDLE
        pool.cachedConnectionTimeout = IDLE_SECONDS
        unkept = StrictPool(reactor, persistent=False)
        self._kept: IAgent = Agent.usingEndpointFactory(reactor, endpoints, pool)
        self._unkept: IAgent = Agent.usingEndpointFactory(reactor, endpoints, unkept)
        self._led_to: OrderedDict[str, None] = OrderedDict()
        self._proxied: IAgent | None = None
        self._way = ""
        if by is not None:
            endpoint = endpoints.endpoint_of_proxy(by)
            self._proxied = ProxiedAgent(reactor, endpoint, pool, by, gate.check_host)
            self._way = f" through the proxy {by.origin}"
        self._turns: dict[str, DeferredSemaphore] = {}
        self._requests: set[PendingRequest] = set()
        self._closed = False

    def get(
        self,
        url: str,
        *,
        headers: Fields | None = None,
        shared_headers: Fields | None = None,
        cookies: CookieJar | None = None,
        limit_bytes: int,
        timeout_seconds: float | None = None,
        idle_seconds: float | None = None,
        receiver: Receiver | None = None,
        same_server: bool = False,
        flow: Flow | None = None,
    ) -> Deferred[Answer]:
        """Ask for what an address names.

        Args:
            url: Its user and password, where there are any, are sent as of RFC 7617.
            headers: Further fields of the request. A redirect to another server goes without.
            shared_headers: Further fields that go wherever a redirect leads, such as a User-Agent
                in place of ours; `headers` has the last word where both have a field.
            cookies: Where cookies are taken from and kept, those of redirects too; each goes only
                where its domain, path and other attributes let it, by the rules of browsers, which
                become those of the jar. They are added to a field Cookie in `headers`, and replace
                what has the same name there. None for no cookies.
            limit_bytes: The longest body that is taken.
            timeout_seconds: How long all of it may take, with redirects, and the wait for a turn
                where many ask the same server; None for the setting, infinity for no limit.
            idle_seconds: How long nothing may come, once it is our turn: no head of an answer
                after it was asked for, which includes the connection, and no piece of its body.
                None for no limit but `timeout_seconds`.
            receiver: Called once, with the head of the answer (its body is empty), unless that is
                a redirect. What it returns is called with each piece of the body, in order, and
                nothing is gathered; where it returns None, the body is gathered as without it.
                Both are called from the reactor thread, and never after the Deferred has fired.
                What either raises closes the connection.
            same_server: Follow no redirect to another server, which scheme, host and port make:
                one ends the request as one that is malformed does.
            flow: Pauses the body, which may be endless: while it does, nothing counts as idle, and
                such a request neither waits for a turn nor takes that of another. None for nobody.

        Returns:
            Fires with the answer, of any status but a redirect, when all of its body has come.
            Fails with `OutboundError`, or with what the receiver raised, and nothing else; but
            when cancelled with a `CancelledError`, and the connection is closed at once.
        """
        if cookies is not None:
            cookies.set_policy(BrowserPolicy())
        question = Question(
            limit_bytes,
            headers or {},
            shared_headers or {},
            cookies,
            receiver,
            _untouched,
            self._reactor,
            same_server=same_server,
            flow=flow,
        )
        return self._ask(url, question, timeout_seconds, idle_seconds)

    def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        limit_bytes: int,
        timeout_seconds: float | None = None,
    ) -> Deferred[Answer]:
        """Hand something to a server.

        It is not sent a second time, whatever the connection does. Of redirects those are followed
        that keep the body, to the same server: another one was not meant to have it.

        Args:
            url: As for `get`, and so are the others.
            body: What is handed over.
            headers: Further fields, Content-Type among them.
            limit_bytes: The longest body of an answer.
            timeout_seconds: For all of it.

        Returns:
            As `get`.
        """
        question = Question(
            limit_bytes,
            headers,
            {},
            None,
            None,
            _untouched,
            self._reactor,
            body,
            same_server=True,
        )
        return self._ask(url, question, timeout_seconds, None)

    def _ask(
        self,
        url: str,
        question: Question,
        timeout_seconds: float | None,
        idle_seconds: float | None,
    ) -> Deferred[Answer]:
        if self._closed or len(self._requests) >= MAX_REQUESTS:
            why = "the server stops" if self._closed else "too many requests wait"
            return fail(OutboundError(f"{origin_of(url)}: {why}"))
        request = PendingRequest(
            self._reactor,
            f"{origin_of(url)}{self._way}",
            self._timeout_seconds if timeout_seconds is None else timeout_seconds,
            math.inf if idle_seconds is None else idle_seconds,
            self._requests.discard,
            question.flow,
        )
        self._requests.add(request)
        question = question._replace(touched=request.touched)
        request.begin(Deferred.fromCoroutine(self._get(url, question, request)))
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

    async def _get(self, url: str, question: Question, request: PendingRequest) -> Answer:
        check_fields(question.headers)
        check_fields(question.shared_headers)
        target = parse_target(url)
        if question.flow is not None:
            request.asked()
            return await self._follow(target, question)
        turns = self._turns.setdefault(target.origin, DeferredSemaphore(MAX_AT_A_TIME))
        try:
            async with turns:
                request.asked()
                return await self._follow(target, question)
        finally:
            # Nobody has a turn and, since they are given on at once, nobody waits for one.
            if turns.tokens == turns.limit and self._turns.get(target.origin) is turns:
                del self._turns[target.origin]

    async def _follow(self, target: Target, question: Question) -> Answer:
        first = target
        for _redirect in range(MAX_REDIRECTS + 1):
            agent = self._agent(target, first)
            answer = await exchange(agent, target, question, f"{target.origin}{self._way}")
            if answer.status not in REDIRECTS:
                return answer
            if question.body is not None and answer.status not in KEEPING:
                why = "a redirect that would leave out what is posted"
                raise OutboundError(f"{target.origin}: {why}", is_permanent=True)
            following = _redirected(target, answer.headers.get("location", ""))
            if question.same_server and following.origin != first.origin:
                why = "a redirect to another server"
                raise OutboundError(f"{first.origin}: {why}", is_permanent=True)
            if following.origin != target.origin:
                question = question._replace(headers={})
            elif not following.authorization:
                following = following._replace(authorization=target.authorization)
            target = following
        raise OutboundError(
            f"{first.origin}: more than {MAX_REDIRECTS} redirects", is_permanent=True
        )

    def _agent(self, target: Target, first: Target) -> IAgent:
        """Return what asks a server, which differ in whether its connections are kept."""
        if self._proxied is not None and target.scheme == "http":
            return self._proxied
        if target.origin == first.origin:
            return self._kept
        was_led_to = target.origin in self._led_to
        self._led_to[target.origin] = None
        self._led_to.move_to_end(target.origin)
        if len(self._led_to) > MAX_LED_TO:
            self._led_to.popitem(last=False)
        return self._kept if was_led_to else self._unkept


def _untouched() -> None:
    """Stand for what notes that something came, until there is a request to note it."""


def _redirected(target: Target, location: str) -> Target:
    """Return where an answer sends us.

    Raises:
        OutboundError: To nowhere, or to where we do not go.
    """
    problem = "a redirect to nowhere"
    if location:
        try:
            following = parse_target(urljoin(target.url, _as_written(location)))
        except (OutboundError, ValueError) as error:
            problem = f"a redirect that is not followed: {error}"
        else:
            if target.scheme == following.scheme or following.scheme == "https":
                return following
            problem = "a redirect from https to http"
    raise OutboundError(f"{target.origin}: {problem}", is_permanent=True)


def _as_written(location: str) -> str:
    """Read the bytes of an address as browsers do: they are UTF-8 wherever they can be."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return location
