"""The one place that says whether a peer may publish or play.

The rules stand in one order, and the first that refuses has the word: the same on every protocol
(B-AC-01). First those of `ntvmedia.access.rules`, which need nobody else; then tokens, whose keys
may have to be asked for; then callbacks and plugins; then limits, as they are at that moment.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.logger import Logger
from twisted.plugin import getPlugins
from zope.interface import implementer

from ntvmedia.access.applications import Application
from ntvmedia.access.blocks import Blocks
from ntvmedia.access.forbidden import ForbiddenStreams
from ntvmedia.access.guesses import Guesses
from ntvmedia.access.ip_rules import IPRules
from ntvmedia.access.key_sets import KeySets
from ntvmedia.access.keys import keep_signing_key
from ntvmedia.access.networks import host_of, parse_host
from ntvmedia.access.page_sessions import PAGE, PAGE_SECONDS, make_page_session
from ntvmedia.access.refusals import NoRule
from ntvmedia.access.requests import Action, Request, Verdict
from ntvmedia.access.rules import Rules
from ntvmedia.access.shares import ShareLinks
from ntvmedia.access.signing import signed_query
from ntvmedia.access.signing_keys import SigningKeys
from ntvmedia.access.tokens import Tokens
from ntvmedia.events import EventBus
from ntvmedia.interfaces import IAccess, IAuthorizer
from ntvmedia.media import StreamKey

AUTHORIZER_SECONDS: Final = 15.0
"""The longest that one authorizer may take: a callback waits 5 s, and asks twice."""

_LOADING: Final = Verdict(False, "the server is starting", rule="loading")


@implementer(IAccess)
class Access:
    """Decide by the rules that there are.

    Args:
        applications: By name. Read at every decision, so that a change counts at once.
        data: The data folder, with the key that addresses are signed with.
        wall_clock: Returns the seconds since 1970.
        random: Returns that many unpredictable bytes.
        store: The database. Nobody may do anything before the rules were read from it (F-AC-10).
            Without one, for tests, there are none.
        events: Tells of applications, and is told of changes.
        reactor: For the time; without one authorizers may take as long as they like.
        outbound: Asks for keys of tokens.
        is_set_up: Says whether the server has an administrator. Before, only private networks may
            publish and play.

    Attributes:
        forbidden: Streams that nobody has.
        ip_rules: By address.
        shares: Share links.
        keys: What addresses are signed with.
        authorizers: Asked in order after the rules, each an `IAuthorizer`.
        limits: Called last, for those who come: says whether there is room. It returns a verdict
            that refuses, or None.
        watching: Returns how many there are with a ticket; see `Verdict`.
        refused: How many were refused, by application (empty for one that there is not), protocol
            and rule.
    """

    _log = Logger()

    def __init__(
        self,
        applications: Mapping[str, Application],
        data: Path = Path("data"),
        wall_clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = secrets.token_bytes,
        *,
        store: Any = None,
        events: EventBus | None = None,
        reactor: Any = None,
        outbound: Any = None,
        is_set_up: Callable[[], bool] = lambda: True,
    ) -> None:
        self._applications = applications
        self._data = data
        self._wall_clock = wall_clock
        self._random = random
        self._reactor = reactor
        self._is_set_up = is_set_up
        self._is_loading = store is not None
        clock: Callable[[], float] = wall_clock if reactor is None else reactor.seconds
        events = EventBus() if events is None else events
        kept = (store, events, wall_clock, reactor)
        self.forbidden = ForbiddenStreams(*kept)
        self.ip_rules = IPRules(*kept, random=random)
        self.shares = ShareLinks(*kept, random=random)
        self.keys = SigningKeys(*kept, random=random)
        self._blocks = Blocks(clock)
        self._rules = Rules(
            applications,
            self.forbidden,
            self.ip_rules,
            self.shares,
            self.keys,
            self._blocks,
            Guesses(clock),
            wall_clock,
            is_set_up,
        )
        self._tokens = Tokens(KeySets(outbound, clock), wall_clock)
        self.authorizers: list[Any] = []
        self.limits: Callable[[Request], Verdict | None] | None = None
        self.watching: Callable[[str], int] = lambda _ticket: 0
        self.refused: Counter[tuple[str, str, str]] = Counter()

    def load(self) -> None:
        """Read the rules, and the key that addresses are signed with, or make it; blocking.

        Before, whatever needs them is refused. Authorizers of plugins join those that are there.

        Raises:
            ConfigError: They cannot be read, or the key not made.
        """
        self.keys.own = keep_signing_key(self._data, self._random)
        for rules in (self.forbidden, self.ip_rules, self.shares, self.keys):
            rules.load()
        self.authorizers += [
            plugin for plugin in getPlugins(IAuthorizer) if plugin not in self.authorizers
        ]
        self._is_loading = False
        if not self._is_set_up():
            self._log.warn(
                "there is no administrator yet: until then only loopback and private networks may "
                "publish and play"
            )

    def decide(
        self,
        request: Request,
        *,
        again: bool = False,
        ask: bool | None = None,
        has: StreamKey | None = None,
    ) -> Deferred[Verdict]:
        if self._is_loading:
            return succeed(self._counted(request, _LOADING, again))
        verdict = self._rules.verdict(request, again=again)
        if verdict.allowed and has is not None and has != request.key:
            found = self._rules.of_stream(replace(request, key=has))
            verdict = verdict if found.allowed else found
        if not verdict.allowed or verdict.trusted:
            return succeed(self._counted(request, verdict, again))
        asks = not again if ask is None else ask
        application = self._applications[request.key.application]
        if (asks and self.authorizers) or self._needs_token(application, request, verdict):
            asking = Deferred.fromCoroutine(
                self._ask(application, request, verdict, again=again, asks=asks)
            )
            if not asking.called:
                asking.addCallback(self._looked_at_again, request, again)
            return asking
        return succeed(self._finished(request, verdict, again))

    def sent_away(self, request: Request) -> Verdict | None:
        """Say why one may not begin who was allowed a while ago, and sent away since.

        Args:
            request: Of one who is not there yet; its key is that of the stream he would have.

        Returns:
            A verdict that refuses; None where nothing has come between.
        """
        return self._rules.sent_away(request)

    def tells_players_apart(self, application: str) -> bool:
        """Say whether it matters who plays: for some addresses, or those outside have a say.

        Where it does not, all who play without a signed address, a page or a token have the same
        verdict, whoever asks.
        """
        return (
            self._is_loading
            or self._rules.tells_addresses_apart
            or self.is_asked_outside(application)
        )

    def is_asked_outside(self, application: str) -> bool:
        """Say whether an authorizer has a say in who plays.

        Each has, but for those that say in a method `has_a_say(application)` that they have none.
        """
        for authorizer in self.authorizers:
            has_a_say = getattr(authorizer, "has_a_say", None)
            if has_a_say is None or has_a_say(application):
                return True
        return False

    def block(
        self,
        peer_host: str,
        key: StreamKey | None,
        seconds: float,
        action: Action = Action.PLAY,
    ) -> None:
        """Refuse an address for a while, as after somebody was sent away.

        Args:
            peer_host: An IP address, with or without a port.
            key: The stream that it may not have; None for all.
            seconds: From now.
            action: What it may not do.
        """
        self._blocks.add(parse_host(host_of(peer_host)), key, action, seconds)

    def is_console_blocked(self, peer_host: str) -> bool:
        """Say whether an address may not use pages and API for administrators."""
        return self.ip_rules.is_blocked("console", parse_host(host_of(peer_host)))

    def trusts(self, peer_host: str, scope: str) -> bool:
        """Say whether an address is in a trusted network.

        Args:
            peer_host: An IP address, with or without a port.
            scope: "publish", "play" or "console".
        """
        return self.ip_rules.is_trusted(scope, parse_host(host_of(peer_host)))

    def now(self) -> float:
        """Return the time that expiries are compared with, in seconds since 1970."""
        return self._wall_clock()

    def page_session(self, key: StreamKey, seconds: float = PAGE_SECONDS) -> str:
        """Return what an allowed page with a stream gives its player, for `Request.page_session`.

        Args:
            key: The stream on the page.
            seconds: How long it holds.
        """
        return make_page_session(self.keys.own, key, int(self._wall_clock() + seconds))

    def share_token(self, id: str) -> str:
        """Return what stands behind `share=` in the address of a share link."""
        return self.shares.token(self.keys.own, id)

    def signed_query(
        self, key: StreamKey, expires: int, *, ip: str = "", viewers: int = 0, key_id: str = ""
    ) -> str:
        """Return the query of a signed address; as `ntvmedia.access.signing.signed_query`.

        Raises:
            NoRule: There is no such key, or it is disabled or another application's.
        """
        secret = self.keys.key_of(key_id, key.application)
        if not secret:
            raise NoRule("there is no such signing key for this application")
        return signed_query(secret, key, expires, ip=ip, viewers=viewers, key_id=key_id)

    def _needs_token(self, application: Application, request: Request, verdict: Verdict) -> bool:
        if not application.jwks_url or verdict.share:
            return False
        # A publisher that has the password needs no token: encoders seldom can have one.
        return request.action is Action.PLAY or not application.publish_password

    async def _ask(
        self,
        application: Application,
        request: Request,
        verdict: Verdict,
        *,
        again: bool,
        asks: bool,
    ) -> Verdict:
        """Go on with the rules that others have a part in."""
        if asks and not again:
            # Whoever has no room for a viewer asks nobody about him.
            full = self._full(request, verdict)
            if full is not None:
                return self._counted(request, full, again)
        if self._needs_token(application, request, verdict):
            if asks:
                token = await self._tokens.check(application, request)
            else:
                token = self._tokens.recheck(application, request)
            if token.problem:
                refusal = Verdict(False, token.problem, rule="jwt")
                return self._counted(request, refusal, again)
            if application.cut_at_expiry:
                left = max(token.expires - self._wall_clock(), 1.0)
                verdict = replace(verdict, lifetime=_shorter(verdict.lifetime, left))
        for authorizer in tuple(self.authorizers) if asks else ():
            opinion = await self._opinion(authorizer, request)
            if opinion is None:
                continue
            if not opinion.allowed:
                opinion = opinion if opinion.rule else replace(opinion, rule="plugin")
                return self._counted(request, opinion, again)
            verdict = replace(
                verdict,
                lifetime=_shorter(verdict.lifetime, opinion.lifetime),
                rename=verdict.rename or opinion.rename,
                audio_only=verdict.audio_only or opinion.audio_only,
            )
        return self._finished(request, verdict, again)

    def _looked_at_again(self, verdict: Verdict, request: Request, again: bool) -> Verdict:
        """Decide by the rules as they are now that others have answered, which may take seconds."""
        if not verdict.allowed:
            return verdict
        found = self._rules.verdict(request, again=again)
        if not found.allowed:
            return self._counted(request, found, again)
        if found.trusted:
            return verdict
        application = self._applications[request.key.application]
        if self._needs_token(application, request, found):
            token = self._tokens.recheck(application, request)
            if token.problem:
                return self._counted(request, Verdict(False, token.problem, rule="jwt"), again)
        return replace(verdict, audio_only=verdict.audio_only or found.audio_only)

    async def _opinion(self, authorizer: Any, request: Request) -> Verdict | None:
        try:
            asking: Deferred[Verdict | None] = authorizer.decide(request)
            if self._reactor is not None and not asking.called:
                asking.addTimeout(AUTHORIZER_SECONDS, self._reactor)
            return await asking
        except CancelledError:
            raise
        except TimeoutError:
            self._log.error("an authorizer takes too long: {who}", who=authorizer)
            return Verdict(False, "the decision took too long", rule="plugin")
        except Exception:
            self._log.failure("an authorizer failed: {who}", who=authorizer)
            return Verdict(False, "the decision failed", rule="plugin")

    def _finished(self, request: Request, verdict: Verdict, again: bool) -> Verdict:
        """Decide by what is last: another name, and limits."""
        if verdict.rename is not None and verdict.rename != request.key:
            # What others name is looked at as if the peer had named it.
            request = replace(request, key=verdict.rename)
            renamed = self._rules.of_stream(request)
            if not renamed.allowed:
                return self._counted(request, renamed, again)
            away = None if again else self._rules.sent_away(request)
            if away is not None:
                return self._counted(request, away, again)
            if renamed.audio_only:
                verdict = replace(verdict, audio_only=True)
        if not again:
            full = self._full(request, verdict)
            if full is not None:
                return self._counted(request, full, again)
        return verdict

    def _full(self, request: Request, verdict: Verdict) -> Verdict | None:
        if request.protocol == PAGE:
            return None
        if verdict.limit and self.watching(verdict.ticket) >= verdict.limit:
            what = "share link" if verdict.share else "signed address"
            reason = f"the {what} is in use by as many viewers as it allows"
            return Verdict(False, reason, rule="limit", share=verdict.share)
        if self.limits is None:
            return None
        full = self.limits(request)
        return full if full is None or full.rule else replace(full, rule="limit")

    def _counted(self, request: Request, verdict: Verdict, again: bool) -> Verdict:
        if not verdict.allowed and not again:
            name = request.key.application
            # Names that anybody makes up are not kept.
            known = name if name in self._applications else ""
            self.refused[known, request.protocol, verdict.rule] += 1
        return verdict


def _shorter(one: float, other: float) -> float:
    """Return the shorter of two lifetimes, of which 0 is for ever."""
    return min(one, other) if one and other else one or other
