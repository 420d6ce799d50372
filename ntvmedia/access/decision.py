"""The one place that says whether a peer may publish or play."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from ntvmedia.access.applications import Application, ApplicationType
from ntvmedia.interfaces import IAccess
from ntvmedia.media import StreamKey


class Action(StrEnum):
    """What a peer wants."""

    PUBLISH = "publish"
    PLAY = "play"


@dataclass(frozen=True, slots=True)
class Request:
    """A peer's wish, in the same words on every protocol.

    Attributes:
        action: What it wants to do.
        key: With which stream.
        protocol: Such as "rtmp", "rtmps", "flv".
        peer: Its address.
        query: The decoded query of the address.
        page_url: The page that holds the player, as far as the peer tells; else empty.
        user_agent: The peer's program, as it names itself; else empty.
    """

    action: Action
    key: StreamKey
    protocol: str
    peer: str
    query: Mapping[str, str] = field(default_factory=dict)
    page_url: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer.

    Attributes:
        allowed: Serve it, or refuse it.
        reason: For a refusal: one clause for the peer and the log.
        lifetime: Seconds for which the answer holds; 0 for as long as the peer stays.
        rename: Publish or play this stream instead, or None.
        audio_only: Only the audio of the stream may be kept (P-207).
    """

    allowed: bool
    reason: str = ""
    lifetime: float = 0.0
    rename: StreamKey | None = None
    audio_only: bool = False


@implementer(IAccess)
class Access:
    """Decide by the applications that there are.

    Args:
        applications: By name. Read at every decision, so that a change counts at once.
    """

    def __init__(self, applications: Mapping[str, Application]) -> None:
        self._applications = applications

    def decide(self, request: Request) -> Deferred[Verdict]:
        return succeed(self._verdict(request))

    def _verdict(self, request: Request) -> Verdict:
        application = self._applications.get(request.key.application)
        if application is None:
            return Verdict(False, f'there is no application "{request.key.application}"')
        if not application.enabled:
            return Verdict(False, f'application "{application.name}" is disabled')
        return Verdict(True, audio_only=application.type is ApplicationType.AUDIO)
