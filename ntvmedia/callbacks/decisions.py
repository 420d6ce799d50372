"""Asking who may publish and play: the callbacks that decide, and each application's own system.

All are asked at the same time, and all have to agree. One who asks twice with the same `Request`,
since something changed meanwhile, is answered from memory: a receiver hears of him once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ntvmedia.access import PAGE, Action, Request, Verdict
from ntvmedia.callbacks.answers import Opinion, read_answer
from ntvmedia.callbacks.attendance import Attendance, Client
from ntvmedia.callbacks.callback import DECISIONS, Callback
from ntvmedia.callbacks.messages import DECISION, Notice
from ntvmedia.callbacks.sending import Sender
from ntvmedia.interfaces import IAuthorizer
from ntvmedia.outbound import OutboundError

TRY_SECONDS: Final = 5.0
"""A player waits no longer for a picture, and a publisher's program not for its first answer."""

TRIES: Final = 2

AGAIN_SECONDS: Final = 0.2
"""From a try that failed at once to the next: a receiver that is being replaced is back then."""

RULE: Final = "third_party"

_UNANSWERED: Final = "the authorization server does not answer"


@implementer(IAuthorizer)
class Decisions:
    """Asks.

    Args:
        reactor: Its clock is monotonic.
        sender: Sends the questions.
        attendance: Who was asked about, and what was answered.
        applications: With their `authorize_url`.
        callbacks: By id.
        server_facts: What is told of this server.
        wall_clock: Returns the seconds since 1970.

    Attributes:
        asked: How many questions were answered, or given up, by "allowed", "denied", "failed".
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        sender: Sender,
        attendance: Attendance,
        applications: Mapping[str, Any],
        callbacks: Mapping[str, Callback],
        server_facts: Mapping[str, object],
        wall_clock: Callable[[], float],
    ) -> None:
        self.asked = {"allowed": 0, "denied": 0, "failed": 0}
        self._reactor = reactor
        self._sender = sender
        self._attendance = attendance
        self._applications = applications
        self._callbacks = callbacks
        self._server_facts = server_facts
        self._wall_clock = wall_clock

    def decide(self, request: Request) -> Deferred[Verdict | None]:
        callbacks = self._deciding(request)
        if not callbacks:
            return succeed(None)
        client = self._attendance.client(request)
        now = self._reactor.seconds()
        missing = [callback for callback in callbacks if not client.has_opinion(callback.id, now)]
        judge = partial(self._verdict, client, callbacks)
        counting = {callback.id for callback in missing if callback.dialect == "srs"}
        poll = _Poll(judge, self._attendance, client, counting)
        poll.begin({callback.id: self._ask(callback, client) for callback in missing})
        return poll.verdict

    def has_a_say(self, application: str) -> bool:
        """Say whether anybody is to be asked about who plays in an application."""
        found = self._applications.get(application)
        return (found is not None and bool(found.authorize_url)) or any(
            x.enabled and x.decides and "play" in x.events for x in self._callbacks.values()
        )

    def _deciding(self, request: Request) -> list[Callback]:
        event = "publish" if request.action is Action.PUBLISH else "play"
        found = [
            callback
            for callback in self._callbacks.values()
            if callback.enabled
            and callback.decides
            and event in callback.events
            # A page plays nothing yet, and SRS counts.
            and not (callback.dialect == "srs" and request.protocol == PAGE)
        ]
        application = self._applications.get(request.key.application)
        if application is not None and application.authorize_url:
            found.append(third_party(application))
        return found

    def _verdict(self, client: Client, callbacks: Iterable[Callback]) -> Verdict | None:
        """Return what follows from the opinions so far; None while one is missing."""
        opinions = [client.opinions.get(callback.id) for callback in callbacks]
        known = [opinion[0] for opinion in opinions if opinion is not None]
        for opinion in known:
            if not opinion.allowed:
                return Verdict(False, opinion.reason, rule=RULE, redirect=opinion.redirect)
        if len(known) < len(opinions):
            return None
        lifetimes = [opinion.lifetime for opinion in known if opinion.lifetime]
        renames = [opinion.rename for opinion in known if opinion.rename is not None]
        return Verdict(True, lifetime=min(lifetimes, default=0.0), rename=next(iter(renames), None))

    def _ask(self, callback: Callback, client: Client) -> Deferred[None]:
        asking: Deferred[None] = Deferred.fromCoroutine(self._asked(callback, client))
        return asking

    async def _asked(self, callback: Callback, client: Client) -> None:
        request = client.request
        event = "publish" if request.action is Action.PUBLISH else "play"
        facts = {**self._server_facts, **client.facts(request.key)}
        notice = Notice(DECISION, event, str(uuid.uuid4()), self._wall_clock(), facts)
        opinion: Opinion | None = None
        for number in range(TRIES):
            if number:
                await _sleep(self._reactor, AGAIN_SECONDS)
            try:
                answer = await self._sender.submit(callback, notice, TRY_SECONDS)
            except OutboundError as error:
                if error.is_permanent:
                    break
                continue
            opinion = read_answer(callback.dialect, answer.status, answer.body, request.key)
            if opinion is not None:
                break
        if opinion is None:
            self.asked["failed"] += 1
            allowed = callback.on_failure == "allow"
            opinion = Opinion(allowed, "" if allowed else _UNANSWERED, is_answer=False)
        else:
            self.asked["allowed" if opinion.allowed else "denied"] += 1
        client.answered(callback, opinion, self._reactor.seconds())


class _Poll:
    """The opinions of several about one client, until they make a verdict.

    Args:
        judge: Returns the verdict, or None while opinions are missing.
        attendance: Told when the client is refused, or is gone.
        client: About whom.
        counting: Those who count whom they agree to: their answers are waited for in any case.

    Attributes:
        verdict: Fires with it. May be cancelled.
    """

    _log = Logger()

    def __init__(
        self,
        judge: Callable[[], Verdict | None],
        attendance: Attendance,
        client: Client,
        counting: set[str],
    ) -> None:
        self.verdict: Deferred[Verdict | None] = Deferred(self._cancelled)
        self._judge = judge
        self._attendance = attendance
        self._client = client
        self._counting = counting
        self._asking: dict[str, Deferred[None]] = {}
        self._is_over = False

    def begin(self, asking: dict[str, Deferred[None]]) -> None:
        """Wait for the answers."""
        self._asking = dict(asking)
        for id_, question in asking.items():
            question.addBoth(self._answered, id_)
        self._look()

    def _answered(self, result: Failure | None, id_: str) -> None:
        self._asking.pop(id_, None)
        if isinstance(result, Failure) and not result.check(CancelledError):
            self._log.failure("a callback could not be asked", result)
            self._end(Verdict(False, "the authorization failed", rule=RULE))
        elif self._is_over:
            # Who agrees too late to one who is not let in, or has left, is told so.
            self._attendance.left(self._client)
        else:
            self._look()

    def _look(self) -> None:
        verdict = self._judge()
        if verdict is not None:
            self._end(verdict)

    def _end(self, verdict: Verdict) -> None:
        if self._is_over:
            return
        self._is_over = True
        if verdict.allowed:
            self._attendance.admitted(self._client)
        else:
            self._let_go()
        self.verdict.callback(verdict)

    def _cancelled(self, _verdict: Deferred[Verdict | None]) -> None:
        self._is_over = True
        self._let_go()

    def _let_go(self) -> None:
        for id_, question in list(self._asking.items()):
            if id_ not in self._counting:
                question.cancel()
        self._attendance.left(self._client)


def third_party(application: Any) -> Callback:
    """Return the system that one application asks (P-304), as if it were a callback."""
    return Callback(
        f"application:{application.name}",
        f"of application {application.name}",
        application.authorize_url,
        DECISIONS,
        decides=True,
        on_failure=application.authorize_failure,
    )


def _sleep(reactor: Any, seconds: float) -> Deferred[None]:
    timer: Any = None
    sleeping: Deferred[None] = Deferred(lambda _sleeping: timer.cancel())
    timer = reactor.callLater(seconds, sleeping.callback, None)
    return sleeping
