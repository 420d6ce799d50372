"""The rules that need nobody else, in their order: what is asked first, of everybody."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from ntvmedia.access.applications import Application
from ntvmedia.access.blocks import Blocks
from ntvmedia.access.fields import ApplicationType
from ntvmedia.access.forbidden import ForbiddenStreams
from ntvmedia.access.guesses import Guesses
from ntvmedia.access.ip_rules import IPRules
from ntvmedia.access.networks import LOCAL, host_of, parse_host
from ntvmedia.access.outputs import OUTPUTS, output_of
from ntvmedia.access.page_sessions import PAGE, RENEWABLE_SECONDS, is_page_session
from ntvmedia.access.referers import is_allowed
from ntvmedia.access.requests import Action, Request, Verdict
from ntvmedia.access.shares import ShareLinks
from ntvmedia.access.signing import check
from ntvmedia.access.signing_keys import SigningKeys

ASKED_ONCE: Final = "password"
"""The rule about passwords. In a verdict that allows: by now it is another one, so that who has
begun may stay, but could not begin."""

# Most verdicts are these: they are made once.
_YES: Final = Verdict(True)
_YES_AUDIO: Final = Verdict(True, audio_only=True)
_FORBIDDEN: Final = Verdict(False, "the stream is forbidden", rule="forbidden")
_BLOCKED: Final = Verdict(False, "this IP address is blocked", rule="ip")
_NOT_SET_UP: Final = Verdict(
    False,
    "the server is not set up yet, and serves private networks only",
    rule="not_set_up",
)
# One answer for a password that is missing, wrong or nearly right.
_PASSWORD: Final = Verdict(
    False,
    "the publish password is missing or wrong",
    wants_password=True,
    rule=ASKED_ONCE,
)

# Not that a password is wanted: it would not be looked at now.
_GUESSED: Final = Verdict(
    False, "there were too many wrong passwords: try again in half a minute", rule=ASKED_ONCE
)


class Rules:
    """The rules, one after the other; the first that refuses has the word (B-AC-01).

    Args:
        applications: By name. Read at every decision, so that a change counts at once.
        forbidden: Streams that nobody has.
        ip_rules: By address.
        shares: Share links.
        keys: What addresses are signed with.
        blocks: Who was sent away.
        guesses: Who guesses passwords.
        wall_clock: Returns the seconds since 1970.
        is_set_up: Says whether the server has an administrator.
    """

    def __init__(
        self,
        applications: Mapping[str, Application],
        forbidden: ForbiddenStreams,
        ip_rules: IPRules,
        shares: ShareLinks,
        keys: SigningKeys,
        blocks: Blocks,
        guesses: Guesses,
        wall_clock: Callable[[], float],
        is_set_up: Callable[[], bool],
    ) -> None:
        self._applications = applications
        self._forbidden = forbidden
        self._ip_rules = ip_rules
        self._shares = shares
        self._keys = keys
        self._blocks = blocks
        self._guesses = guesses
        self._wall_clock = wall_clock
        self._is_set_up = is_set_up

    def verdict(self, request: Request, *, again: bool = False) -> Verdict:
        """Decide by all rules; `again` as in `IAccess.decide`."""
        key = request.key
        verdict = self.of_stream(request)
        if not verdict.allowed:
            return verdict
        # Looked at only where it matters: to read an address takes as long as all the rest.
        if self._blocks or self._ip_rules.are_there or not self._is_set_up():
            action = request.action
            host = parse_host(host_of(request.peer))
            away = None if again else self.sent_away(request)
            if away is not None:
                return away
            if self._ip_rules.is_blocked(action, host):
                return _BLOCKED
            if self._ip_rules.is_trusted(action, host):
                return Verdict(True, audio_only=verdict.audio_only, rule="ip", trusted=True)
            if not self._is_set_up() and host not in LOCAL:
                return _NOT_SET_UP
        application = self._applications[key.application]
        if request.action is Action.PUBLISH:
            return self._publishing(application, request, again, verdict)
        return self._playing(application, request, again, verdict)

    def of_stream(self, request: Request) -> Verdict:
        """Decide by what holds for everybody: the stream, its application, and the output."""
        key = request.key
        if key in self._forbidden:
            return _FORBIDDEN
        application = self._applications.get(key.application)
        if application is None:
            return Verdict(
                False, f'there is no application "{key.application}"', rule="application"
            )
        if not application.enabled:
            return Verdict(
                False, f'application "{application.name}" is disabled', rule="application"
            )
        if request.action is Action.PLAY:
            output = output_of(request.protocol)
            if output not in application.outputs and output in OUTPUTS:
                reason = f'application "{application.name}" has no output "{output}"'
                return Verdict(False, reason, rule="output")
        return _YES_AUDIO if application.type is ApplicationType.AUDIO else _YES

    def sent_away(self, request: Request) -> Verdict | None:
        """Say why one may not begin who was sent away, and for how long; None for the others."""
        if not self._blocks:
            return None
        host = parse_host(host_of(request.peer))
        seconds = self._blocks.seconds(host, request.key, request.action)
        if not seconds:
            return None
        reason = f"sent away, and refused for {seconds:,.0f} seconds more"
        return Verdict(False, reason, rule="kicked")

    @property
    def tells_addresses_apart(self) -> bool:
        """Whether it matters, for who plays, which address he has."""
        return (
            bool(self._blocks)
            or self._ip_rules.is_anybody_blocked(Action.PLAY)
            or not self._is_set_up()
        )

    def _publishing(
        self, application: Application, request: Request, again: bool, verdict: Verdict
    ) -> Verdict:
        if not application.publish_password:
            return verdict
        if again:
            # An encoder cannot be told a new password while it sends (P-204). The other rules hold
            # for it as for the others.
            is_right = _knows_password(application, request)
            return verdict if is_right else replace(verdict, rule=ASKED_ONCE)
        if "password" not in request.query and request.proves is None:
            # No guess: RTSP begins so.
            return _PASSWORD
        guesses, host = self._guesses, parse_host(host_of(request.peer))
        if guesses.wait(host, application.name):
            return _GUESSED
        if not _knows_password(application, request):
            guesses.wrong(host, application.name)
            return _PASSWORD
        guesses.right(host, application.name)
        return verdict

    def _playing(
        self, application: Application, request: Request, again: bool, verdict: Verdict
    ) -> Verdict:
        token = request.query.get("share")
        if token:
            return self._by_share(application, request, token, again)
        if application.signed:
            verdict = self._by_signature(application, request, again)
            if not verdict.allowed:
                return verdict
        if application.referers:
            reason = self._page_refused(application, request, again)
            if reason:
                return Verdict(False, reason, rule="referer")
        return verdict

    def _by_share(
        self, application: Application, request: Request, token: str, again: bool
    ) -> Verdict:
        own = self._keys.own
        link = self._shares.of_token(own, token) if own else None
        if link is None or (link.application, link.stream) != request.key:
            return Verdict(False, "there is no such share link, or it was revoked", rule="share")
        lifetime = 0.0
        if link.expires_at and (application.cut_at_expiry or not again):
            left = link.expires_at - self._wall_clock()
            if left <= 0:
                return Verdict(False, "the share link has expired", rule="share")
            lifetime = left if application.cut_at_expiry else 0.0
        return Verdict(
            True,
            lifetime=lifetime,
            audio_only=application.type is ApplicationType.AUDIO,
            share=link.id,
            limit=link.max_viewers,
            ticket=f"share:{link.id}" if link.max_viewers else "",
        )

    def _by_signature(self, application: Application, request: Request, again: bool) -> Verdict:
        if not self._keys.own:
            reason = "there is no key yet to check signatures with"
            return Verdict(False, reason, rule="signature")
        cut = application.cut_at_expiry
        now = self._wall_clock()
        signed = check(
            self._keys.key_of,
            request.key,
            request.query,
            request.peer,
            now if cut or not again else None,
        )
        if signed.problem:
            return Verdict(False, signed.problem, rule="signature")
        is_audio = application.type is ApplicationType.AUDIO
        ip = request.query.get("ip", "")
        if not cut and not signed.viewers and not ip:
            return _YES_AUDIO if is_audio else _YES
        return Verdict(
            True,
            lifetime=signed.expires - now if cut else 0.0,
            audio_only=is_audio,
            limit=signed.viewers,
            ticket=signed.ticket,
            ip=ip,
        )

    def _page_refused(self, application: Application, request: Request, again: bool) -> str:
        session = request.page_session
        if session:
            # What plays is not cut off as its page grows old.
            now = 0.0 if again else self._wall_clock()
            if request.protocol == PAGE:
                now -= RENEWABLE_SECONDS
            if is_page_session(self._keys.own, request.key, session, now):
                return ""
        if not request.page_url:
            return "" if application.allow_empty_referer else "the page that plays is not named"
        if is_allowed(request.page_url, application.referers):
            return ""
        return "the page that plays is none of those allowed"


def _knows_password(application: Application, request: Request) -> bool:
    password = application.publish_password
    if not password:
        return True
    told = request.query.get("password", "").encode("utf-8", "surrogatepass")
    if hmac.compare_digest(password.encode("utf-8", "surrogatepass"), told):
        return True
    return request.proves is not None and request.proves(password)
