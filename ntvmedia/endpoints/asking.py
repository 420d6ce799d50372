"""Asking who may play, and waiting for what he wants: the same on every protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from ntvmedia.access import Request, Verdict
from ntvmedia.errors import Refused
from ntvmedia.events import AccessChanged, ApplicationChanged, PreferencesChanged
from ntvmedia.media import StreamKey
from ntvmedia.media.hops import Loop, check_hops, write_hops

# Refusals that are no judgement about who asks: later it may be another.
_PASSING: Final = frozenset({"limit", "loading"})

MOST_TIMES: Final = 3
"""How often others are asked about one who comes, as things change meanwhile. It may be their
answer that changes them; and an answer holds by the rules of the moment when it is there."""

# Of a scheme, a host and a port: names of the DNS have 253.
_MOST_CHARACTERS: Final = 300

_LOOP: Final = "loop"

# Of a verdict that is over by now: as good as none.
_LEAST_LIFETIME: Final = 0.001


class Denied(Refused):
    """Access said no, with its reason.

    Attributes:
        wants_password: As in `Verdict`.
        rule: Likewise: which one said no.
        redirect: Likewise: where to go instead.
    """

    def __init__(
        self, reason: str, *, wants_password: bool = False, rule: str = "", redirect: str = ""
    ) -> None:
        super().__init__(reason)
        self.wants_password = wants_password
        self.rule = rule
        self.redirect = redirect

    @property
    def status(self) -> int:
        """The status of HTTP, and of RTSP: 503 where there is no room now, else 403."""
        return 503 if self.rule in _PASSING else 403

    def location(self, *schemes: str) -> str:
        """Return where to go instead, if a peer can go there; else the empty text.

        Args:
            schemes: Those that it speaks.
        """
        return self.redirect if self.redirect.partition("://")[0].lower() in schemes else ""


class Looped(Denied):
    """A stream would go round between servers (E-ST-08)."""

    @property
    def status(self) -> int:
        """The status of HTTP, 508 (RFC 5842 section 7.2), and of RTSP, which has no own."""
        return 508


def changes(host: Any) -> int:
    """Count what may make a decision another one: it holds for as long as this stays the same."""
    emitted = host.events.emitted
    count: int = emitted[ApplicationChanged] + emitted[AccessChanged] + emitted[PreferencesChanged]
    return count


async def allowed(
    host: Any,
    request: Request,
    *,
    again: bool = False,
    ask: bool | None = None,
    has: StreamKey | None = None,
) -> Verdict:
    """Have a request decided, by what holds when the answer is there.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
        request: Of a peer.
        again: As in `IAccess.decide`: it was allowed before.
        ask: Likewise.
        has: Likewise.

    Raises:
        Denied: It is refused; `Looped` before anybody is asked.
    """
    if request.hops:
        try:
            check_hops(request.hops, host.server_id)
        except Loop as error:
            raise Looped(str(error), rule=_LOOP) from None
    for _time in range(MOST_TIMES):
        before = changes(host)
        if again:
            verdict: Verdict = await host.access.decide(request, again=True, ask=ask, has=has)
        else:
            verdict = await host.access.decide(request)
        _check(verdict)
        if before == changes(host):
            break
    return verdict


def check_room(host: Any, request: Request, verdict: Verdict) -> None:
    """Check that there is room for one more, at the moment when it begins.

    The same is asked at the end of each decision; where one begins a while later, others may have
    come meanwhile, and he may have been sent away.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
        request: Of one who is not there yet.
        verdict: What was decided about it.

    Raises:
        Denied: There is none.
    """
    check_not_sent_away(host, request, verdict)
    # `IAccess` does not ask for any.
    limits = getattr(host.access, "limits", None)
    full: Verdict | None = None if limits is None else limits(request, verdict)
    if full is not None:
        _refuse(host, request, full)


def check_not_sent_away(host: Any, request: Request, verdict: Verdict) -> None:
    """Check that one who was allowed was not sent away since, and blocked for a while.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
        request: Of one who is not there.
        verdict: What was decided about it.

    Raises:
        Denied: He was.
    """
    # `IAccess` does not ask for it.
    sent_away = getattr(host.access, "sent_away", None)
    if sent_away is None:
        return
    refusal = sent_away(request)
    if refusal is None and verdict.rename is not None:
        refusal = sent_away(replace(request, key=verdict.rename))
    if refusal is not None:
        _refuse(host, request, refusal)


async def allowed_stream(host: Any, request: Request) -> tuple[Verdict, Any]:
    """Have a request to play decided, and find its stream or wait for it.

    Returns:
        The verdict, and an `ntvmedia.hub.stream.Stream` that is ready. Both hold at this moment:
        who has waited is asked again.

    Raises:
        Denied: It is refused.
        ntvmedia.hub.refusals.NotFound: Nobody publishes it, however long it was waited for.
        ntvmedia.hub.refusals.HubFull: Too many wait.
    """
    while True:
        verdict = await allowed(host, request)
        key = verdict.rename or request.key
        stream = host.hub.streams.get(key)
        if stream is not None and stream.is_ready:
            check_passed(request, stream)
            return verdict, stream
        await host.hub.wait_for(key, request.hops)


def check_passed(request: Request, stream: Any) -> None:
    """Check that a stream does not go back to a server that it came from.

    Raises:
        Looped: It would.
    """
    if request.hops and not set(request.hops).isdisjoint(stream.hops):
        raise Looped("a loop: the stream came from the server that asks for it", rule=_LOOP)


def told_hops(host: Any, request: Request, stream: Any) -> str:
    """Return which servers a stream has passed, for a server that asks for it (E-ST-08).

    Returns:
        Written as `ntvmedia.media.hops` says; empty for one who did not name any, as players.
    """
    return write_hops((*stream.hops, host.server_id)) if request.hops else ""


def aged(verdict: Verdict, seconds: float) -> Verdict:
    """Return a verdict with what is left of its lifetime after some seconds."""
    if not verdict.lifetime or seconds <= 0:
        return verdict
    return replace(verdict, lifetime=max(_LEAST_LIFETIME, verdict.lifetime - seconds))


def asked_at(url: str) -> str:
    """Return what stands before the path of an address that a peer asked for.

    Args:
        url: Absolute, as the peer has it.

    Returns:
        Scheme, host and port, without user and password; empty where there is nothing of use.
    """
    scheme, mark, rest = url.partition("://")
    place = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    found = f"{scheme}://{place}"
    if not mark or not place or len(found) > _MOST_CHARACTERS or not found.isprintable():
        return ""
    return found


def _refuse(host: Any, request: Request, refusal: Verdict) -> None:
    host.access.refused[request.key.application, request.protocol, refusal.rule] += 1
    _check(refusal)


def _check(verdict: Verdict) -> None:
    if not verdict.allowed:
        raise Denied(
            verdict.reason,
            wants_password=verdict.wants_password,
            rule=verdict.rule,
            redirect=verdict.redirect,
        )
