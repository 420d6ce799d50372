"""Who was asked about, and who has begun: each start that a receiver knows has exactly one end.

Our own dialect has two messages for it: a question before, and a notification when it happens. SRS
has one: who says yes to `on_play` counts a player. So whoever said yes in that dialect is not told
of the start again, and is told of an end even where nothing began: another one refused, the client
has left, or the stream never came (G-HK-03).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall

from ntvmedia.access import Action, Request
from ntvmedia.callbacks.answers import Opinion
from ntvmedia.callbacks.callback import Callback
from ntvmedia.callbacks.facts import client_facts
from ntvmedia.events import PlayEnded, PlayStarted, PublishEnded, PublishStarted
from ntvmedia.media import StreamKey

START_SECONDS: Final = 60.0
"""From a yes to the beginning: a player waits for a stream, or has yet to send PLAY."""

SWEEP_SECONDS: Final = 5.0
"""How often it is looked for those who did not begin."""

MAX_CLIENTS: Final = 20_000
"""Who was asked about and has not begun; more, and the oldest is taken for gone."""

_END_OF: Final = {"publish": "unpublish", "play": "stop"}
_NO_START: Final = "it did not begin"

Tell = Callable[[str, StreamKey, Mapping[str, object], Iterable[Callback]], None]
"""Called with an event, its stream, its facts, and whom to tell."""


class Client:
    """One who asked to publish or play.

    Attributes:
        request: What for. The same object, the same client.
        client_id: What receivers know it by.
        opinions: What each callback thinks, and until when by the reactor's clock.
        owed: The callbacks that count it, and have to be told of an end.
        sessions: How many times it goes on now.
        expires_at: When it is taken for gone unless it has begun.
    """

    __slots__ = ("client_id", "expires_at", "opinions", "owed", "request", "sessions")

    def __init__(self, request: Request, client_id: str) -> None:
        self.request = request
        self.client_id = client_id
        self.opinions: dict[str, tuple[Opinion, float]] = {}
        self.owed: set[str] = set()
        self.sessions = 0
        self.expires_at = math.inf

    def has_opinion(self, callback: str, now: float) -> bool:
        """Whether a callback's answer still holds; one that does not is forgotten."""
        found = self.opinions.get(callback)
        if found is not None and found[1] <= now:
            del self.opinions[callback]
            return False
        return found is not None

    def answered(self, callback: Callback, opinion: Opinion, now: float) -> None:
        """Note an opinion."""
        until = now + opinion.lifetime if opinion.lifetime else math.inf
        self.opinions[callback.id] = (opinion, until)
        is_yes = opinion.allowed and opinion.is_answer
        # A second yes, at the end of a lifetime, is to the same player.
        if callback.dialect == "srs" and is_yes and not self.sessions:
            self.owed.add(callback.id)

    def facts(self, key: StreamKey) -> dict[str, object]:
        """Tell who it is."""
        return client_facts(key, self.client_id, self.request)


class _Session:
    """One who publishes or plays."""

    __slots__ = ("client", "end", "facts", "heard", "started_at")

    def __init__(
        self,
        client: Client | None,
        end: str,
        facts: Mapping[str, object],
        heard: frozenset[str],
        started_at: float,
    ) -> None:
        self.client = client
        self.end = end
        self.facts = facts
        self.heard = heard
        self.started_at = started_at


class Attendance:
    """All who were asked about or have begun.

    Args:
        reactor: Its clock is monotonic.
        callbacks: By id.
        new_client_id: Makes one.
        tell: Has callbacks told.
    """

    def __init__(
        self,
        reactor: Any,
        callbacks: Mapping[str, Callback],
        new_client_id: Callable[[], str],
        tell: Tell,
    ) -> None:
        self._reactor = reactor
        self._callbacks = callbacks
        self._new_client_id = new_client_id
        self._tell = tell
        # By the identity of the request, which the client keeps alive.
        self._clients: dict[int, Client] = {}
        self._sessions: dict[int, _Session] = {}
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._clients)

    def client(self, request: Request) -> Client:
        """Return who asks, as he is known from before or as somebody new."""
        found = self._clients.get(id(request))
        if found is None:
            if len(self._clients) >= MAX_CLIENTS:
                self._drop_oldest()
            found = self._clients[id(request)] = Client(request, self._new_client_id())
        return found

    def admitted(self, client: Client) -> None:
        """All agree: wait for the beginning."""
        client.expires_at = self._reactor.seconds() + START_SECONDS
        if self._timer is None:
            self._timer = self._reactor.callLater(SWEEP_SECONDS, self._sweep)

    def left(self, client: Client) -> None:
        """Forget one who does not begin; whoever counts him is told of an end."""
        if client.sessions:
            return
        # An answer that comes late is about who he was before: he may have asked again.
        if self._clients.get(id(client.request)) is client:
            del self._clients[id(client.request)]
        owed, client.owed = client.owed, set()
        client.opinions.clear()
        if owed:
            start = "publish" if client.request.action is Action.PUBLISH else "play"
            key = client.request.key
            facts = {**client.facts(key), "reason": _NO_START, "bytes": 0, "seconds": 0.0}
            self._tell_end(_END_OF[start], key, facts, owed)

    def publish_started(self, event: PublishStarted) -> None:
        """A publisher has begun."""
        self._started("publish", event)

    def play_started(self, event: PlayStarted) -> None:
        """A viewer has begun."""
        self._started("play", event)

    def publish_ended(self, event: PublishEnded) -> None:
        """That publisher is gone."""
        self._ended(event.key, event.session, event.reason, event.bytes_in)

    def play_ended(self, event: PlayEnded) -> None:
        """That viewer is gone."""
        self._ended(event.key, event.session, event.reason, event.bytes_out)

    def stop(self) -> None:
        """Take all who have not begun for gone."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        for client in tuple(self._clients.values()):
            self.left(client)

    def _started(self, start: str, event: PublishStarted | PlayStarted) -> None:
        end = _END_OF[start]
        client = None if event.request is None else self._clients.get(id(event.request))
        interested = [
            callback
            for callback in self._callbacks.values()
            if callback.enabled and (start in callback.events or end in callback.events)
        ]
        if client is None and not interested:
            return
        owed: set[str] = set()
        if client is None or client.sessions:
            client_id = self._new_client_id()
        else:
            client_id = client.client_id
            owed, client.owed = client.owed, set()
        facts = client_facts(event.key, client_id, event.request, event.protocol, event.peer)
        untold = [x for x in interested if start in x.events and x.id not in owed]
        if untold:
            self._tell(start, event.key, facts, untold)
        if client is not None:
            client.sessions += 1
            client.expires_at = math.inf
        self._sessions[event.session] = _Session(
            client,
            end,
            facts,
            frozenset(callback.id for callback in interested) | owed,
            self._reactor.seconds(),
        )

    def _ended(self, key: StreamKey, number: int, reason: str, size: int) -> None:
        session = self._sessions.pop(number, None)
        if session is None:
            return
        seconds = round(self._reactor.seconds() - session.started_at, 3)
        facts = {**session.facts, "reason": reason, "bytes": size, "seconds": seconds}
        self._tell_end(session.end, key, facts, session.heard)
        client = session.client
        if client is not None:
            client.sessions -= 1
            if not client.sessions:
                # He may go on with what he was allowed, as after PAUSE.
                self.admitted(client)

    def _tell_end(
        self, end: str, key: StreamKey, facts: Mapping[str, object], ids: Iterable[str]
    ) -> None:
        known = set(ids)
        told = [
            callback
            for callback in self._callbacks.values()
            if callback.id in known and callback.enabled and end in callback.events
        ]
        if told:
            self._tell(end, key, facts, told)

    def _sweep(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        for client in tuple(self._clients.values()):
            if client.expires_at <= now:
                self.left(client)
        if any(client.expires_at < math.inf for client in self._clients.values()):
            self._timer = self._reactor.callLater(SWEEP_SECONDS, self._sweep)

    def _drop_oldest(self) -> None:
        for client in self._clients.values():
            if not client.sessions:
                self.left(client)
                return
