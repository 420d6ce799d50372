"""The one place that says whether a peer may publish or play."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from ntvmedia.access.applications import Application
from ntvmedia.access.fields import ApplicationType
from ntvmedia.access.keys import keep_signing_key
from ntvmedia.access.outputs import OUTPUTS, output_of
from ntvmedia.access.referers import is_allowed
from ntvmedia.access.signing import problem_of
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
        protocol: Such as "rtmp", "rtmps", "flv"; see `ntvmedia.access.outputs`.
        peer: Its address.
        query: The decoded query of the address.
        page_url: The page that holds the player, as far as the peer tells; else empty.
        user_agent: The peer's program, as it names itself; else empty.
        page_session: What a page of this server gave its player, made by `Access.page_session`;
            else empty. A good one stands for a page that is allowed.
        bearer: The token of a field "Authorization: Bearer"; else empty. One in the query
            (`token=`) comes first.
        address: Where the peer asks: scheme, host and port as it has them, such as
            "rtmp://live.example.org:1936"; empty where it does not say.
        proves: Tells whether the peer has shown in another way, such as a digest, that it knows a
            password; None where its protocol has none.
    """

    action: Action
    key: StreamKey
    protocol: str
    peer: str
    # Passwords and signatures stand in it: no log shows it by accident (F-AC-03).
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    page_url: str = ""
    user_agent: str = ""
    proves: Callable[[str], bool] | None = field(default=None, repr=False)
    page_session: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)
    address: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer.

    Attributes:
        allowed: Serve it, or refuse it.
        reason: For a refusal: one clause for the peer and the log.
        lifetime: Seconds for which the answer holds; 0 for as long as the peer stays.
        rename: Publish or play this stream instead, or None.
        audio_only: Only the audio of the stream may be kept (P-207).
        wants_password: With the right password it would not have been refused for this reason.
        rule: Which rule decided: "forbidden", "kicked", "application", "output", "ip",
            "not_set_up", "password", "share", "signature", "referer", "third_party", "jwt",
            "plugin", "limit" or "loading"; empty for a plain yes.
        share: The id of the share link that it has; else empty.
        trusted: It comes from a trusted network: nothing else was asked.
        limit: Most viewers at a time of its signed address or share link; 0 for any number.
        ticket: What those viewers are counted by; empty without a limit.
        redirect: With a refusal: the address where it is served instead; else empty.
    """

    allowed: bool
    reason: str = ""
    lifetime: float = 0.0
    rename: StreamKey | None = None
    audio_only: bool = False
    wants_password: bool = False
    rule: str = ""
    share: str = ""
    trusted: bool = False
    limit: int = 0
    ticket: str = ""
    redirect: str = ""


@implementer(IAccess)
class Access:
    """Decide by the applications that there are.

    The rules are asked in the order in which they stand here, and the first that refuses has the
    word: the same on every protocol (B-AC-01).

    Args:
        applications: By name. Read at every decision, so that a change counts at once.
        data: The data folder, with the key that addresses are signed with.
        wall_clock: Returns the seconds since 1970.
        random: Returns that many unpredictable bytes.
    """

    def __init__(
        self,
        applications: Mapping[str, Application],
        data: Path = Path("data"),
        wall_clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._applications = applications
        self._data = data
        self._wall_clock = wall_clock
        self._random = random
        self._signing_key = b""
        self.authorizers: list[Any] = []

    def load(self) -> None:
        """Read the key that addresses are signed with, or make it; blocking, at the start.

        Before, whatever needs a signature is refused.

        Raises:
            ConfigError: It can be neither read nor made.
        """
        self._signing_key = keep_signing_key(self._data, self._random)

    def decide(
        self, request: Request, *, again: bool = False, ask: bool | None = None
    ) -> Deferred[Verdict]:
        return succeed(self._verdict(request))

    def _verdict(self, request: Request) -> Verdict:
        application = self._applications.get(request.key.application)
        if application is None:
            return Verdict(False, f'there is no application "{request.key.application}"')
        if not application.enabled:
            return Verdict(False, f'application "{application.name}" is disabled')
        if request.action is Action.PUBLISH:
            if not _knows_password(application, request):
                # One answer for a password that is missing, wrong or nearly right.
                reason = "the publish password is missing or wrong"
                return Verdict(False, reason, wants_password=True)
        elif reason := self._playing_refused(application, request):
            return Verdict(False, reason)
        return Verdict(True, audio_only=application.type is ApplicationType.AUDIO)

    def _playing_refused(self, application: Application, request: Request) -> str:
        output = output_of(request.protocol)
        if output in OUTPUTS and output not in application.outputs:
            return f'application "{application.name}" has no output "{output}"'
        if application.referers:
            if not request.page_url:
                if not application.allow_empty_referer:
                    return "the page that plays is not named"
            elif not is_allowed(request.page_url, application.referers):
                return "the page that plays is none of those allowed"
        if application.signed:
            if not self._signing_key:
                return "there is no key yet to check signatures with"
            return problem_of(self._signing_key, request.key, request.query, self._wall_clock())
        return ""


def _knows_password(application: Application, request: Request) -> bool:
    password = application.publish_password
    if not password:
        return True
    told = request.query.get("password", "").encode("utf-8", "surrogatepass")
    if hmac.compare_digest(password.encode("utf-8", "surrogatepass"), told):
        return True
    return request.proves is not None and request.proves(password)
