"""Asking who may play, and waiting for what he wants: the same on every protocol."""

from __future__ import annotations

from typing import Any

from ntvmedia.access import Request, Verdict
from ntvmedia.errors import Refused
from ntvmedia.events import ApplicationChanged


class Denied(Refused):
    """Access said no, with its reason.

    Attributes:
        wants_password: As in `Verdict`.
    """

    def __init__(self, reason: str, *, wants_password: bool = False) -> None:
        super().__init__(reason)
        self.wants_password = wants_password


async def allowed(host: Any, request: Request) -> Verdict:
    """Have a request decided, by what holds when the answer is there.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
        request: Of a peer.

    Raises:
        Denied: It is refused.
    """
    while True:
        changes = host.events.emitted[ApplicationChanged]
        verdict: Verdict = await host.access.decide(request)
        if not verdict.allowed:
            raise Denied(verdict.reason, wants_password=verdict.wants_password)
        # A decision may take seconds: it counts only if nothing was changed meanwhile.
        if changes == host.events.emitted[ApplicationChanged]:
            return verdict


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
            return verdict, stream
        await host.hub.wait_for(key)
