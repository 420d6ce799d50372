"""Whether those who are there may still be: asked again when something changes, or time is over.

`access` decides about those who come, and `hub` knows those who are there: each viewer and each
publisher keeps what it asked for. One that would be refused now is sent away, in the words of its
protocol, which are its endpoint's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Final, NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.access import ApplicationType, Request, Verdict
from ntvmedia.access.outputs import OUTPUTS, output_of
from ntvmedia.events import (
    AccessChanged,
    ApplicationChanged,
    PlayEnded,
    PlayStarted,
    PreferencesChanged,
    PublishEnded,
    PublishStarted,
)
from ntvmedia.limits import Limits, viewer_of
from ntvmedia.media import StreamKey

TICK_SECONDS: Final = 1.0

SLICE: Final = 500
"""So many are asked again in a row: some 5 ms, during which nobody else is served."""

# Entries that do not hold any more, before they are thrown away.
_MOST_VOID: Final = 1000


class _Present(NamedTuple):
    """One who is there.

    Attributes:
        session: Its number, which nobody else has.
        request: What it was allowed.
        key: The stream that it has.
        is_there: Whether it still is.
        send_away: Ends it, with a reason.
    """

    session: int
    request: Request
    key: StreamKey
    is_there: Callable[[], bool]
    send_away: Callable[[str], None]


class Enforcement(Service):
    """Asks again, and sends away (P-203, P-204, F-AC-09). It also looks after the limits.

    Args:
        host: The server.
        limits: Told of each second.
    """

    _log = Logger()

    def __init__(self, host: Any, limits: Limits) -> None:
        self._host = host
        self._limits = limits
        # Those whose verdict ends: when, a number that tells equal times apart, and who. What does
        # not agree with the second, by session, does not hold any more.
        self._ends: list[tuple[float, int, _Present]] = []
        self._until: dict[int, float] = {}
        self._numbers = 0
        self._asking: set[Deferred[None]] = set()
        # Those still to be asked since the last change, and the call that goes on with them.
        self._waiting: Iterator[_Present] = iter(())
        self._call: Any = None
        self._loop = LoopingCall(self._tick)
        self._loop.clock = host.reactor
        events = host.events
        events.subscribe(ApplicationChanged, self._application_changed)
        events.subscribe(AccessChanged, lambda _event: self._ask_all())
        events.subscribe(PreferencesChanged, lambda _event: self._ask_all())
        events.subscribe(PlayStarted, self._play_started)
        events.subscribe(PublishStarted, self._publish_started)
        events.subscribe(PlayEnded, self._gone)
        events.subscribe(PublishEnded, self._gone)

    def startService(self) -> None:
        super().startService()
        self._limits.load()
        self._loop.start(TICK_SECONDS, now=False).addErrback(
            lambda failure: self._log.failure("looking after limits failed", failure)
        )

    def stopService(self) -> None:
        """Ask no more."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._waiting = iter(())
        self._ends.clear()
        self._until.clear()
        for asking in tuple(self._asking):
            asking.cancel()

    # Who comes with a verdict that ends

    def _play_started(self, event: PlayStarted) -> None:
        viewer = viewer_of(self._host.hub.streams.get(event.key), event.session)
        verdict = None if viewer is None else viewer.info.verdict
        if verdict is not None and verdict.lifetime:
            self._end_after(_viewer(event.key, viewer), verdict.lifetime)

    def _publish_started(self, event: PublishStarted) -> None:
        stream = self._host.hub.streams.get(event.key)
        publication = None if stream is None else stream.publication
        if publication is None or publication.session != event.session:
            return
        verdict = publication.verdict
        if verdict is not None and verdict.lifetime:
            self._end_after(_publisher(event.key, publication), verdict.lifetime)

    def _gone(self, event: PlayEnded | PublishEnded) -> None:
        if self._until.pop(event.session, None) is None:
            return
        if len(self._ends) > 2 * len(self._until) + _MOST_VOID:
            self._ends = [x for x in self._ends if self._until.get(x[2].session) == x[0]]
            heapify(self._ends)

    def _end_after(self, present: _Present, seconds: float) -> None:
        until = self._host.reactor.seconds() + seconds
        # The same moment is told again with each change, give or take what a clock is off.
        if until > self._until.get(present.session, float("inf")) - TICK_SECONDS:
            return
        self._until[present.session] = until
        self._numbers += 1
        heappush(self._ends, (until, self._numbers, present))

    def _tick(self) -> None:
        now = self._host.reactor.seconds()
        try:
            self._limits.tick(now)
        except Exception:  # a bug there is no reason to look after nobody any more
            self._log.failure("looking after limits failed")
        ends = self._ends
        while ends and ends[0][0] <= now:
            until, _number, present = heappop(ends)
            if self._until.get(present.session) == until:
                del self._until[present.session]
                self._ask(present, ask=True)

    # Changes

    def _application_changed(self, event: ApplicationChanged) -> None:
        name = event.name
        application = self._host.applications.get(name)
        streams = [x for key, x in self._host.hub.streams.items() if key.application == name]
        for stream in streams:
            if application is None:
                stream.end(f'application "{name}" was deleted or renamed')
            elif not application.enabled:
                stream.end(f'application "{name}" was disabled')
            elif stream.audio_only is not (application.type is ApplicationType.AUDIO):
                stream.end(f'application "{name}" has another type now')
            else:
                for viewer in tuple(stream.viewers):
                    output = output_of(viewer.info.protocol)
                    if output in OUTPUTS and output not in application.outputs:
                        viewer.kick(f"the output {output} was turned off")
        self._ask_all(name)

    def _ask_all(self, application: str = "") -> None:
        """Ask everybody again: the first at once, and the others in slices.

        Args:
            application: Only whom a change of this one concerns; empty for all.
        """
        # Where some of those of another change still wait, it is all of them again.
        self._waiting = self._all(application if self._call is None else "")
        if self._call is None:
            self._ask_some()

    def _all(self, application: str) -> Iterator[_Present]:
        """Yield all who are there. They may come and go meanwhile; who comes is asked anyway."""
        for key, stream in tuple(self._host.hub.streams.items()):
            if application and key.application != application:
                continue
            publication = stream.publication
            if publication is not None and publication.request is not None:
                yield _publisher(key, publication)
            for viewer in tuple(stream.viewers):
                if viewer.info.request is not None:
                    yield _viewer(key, viewer)

    def _ask_some(self) -> None:
        self._call = None
        for count, present in enumerate(self._waiting, 1):
            if present.is_there():
                self._ask(present, ask=False)
            if count >= SLICE:
                self._call = self._host.reactor.callLater(0, self._ask_some)
                return

    # One

    def _ask(self, present: _Present, *, ask: bool) -> None:
        """Ask whether one may still be there.

        Args:
            present: The one.
            ask: Ask those outside too: what they said holds no longer.
        """
        asking = Deferred.fromCoroutine(self._decide(present, ask=ask))
        if asking.called and not asking.paused:
            asking.addErrback(self._failed)
            return
        self._asking.add(asking)
        asking.addErrback(self._failed)
        asking.addBoth(lambda _result: self._asking.discard(asking))

    async def _decide(self, present: _Present, *, ask: bool) -> None:
        verdict: Verdict = await self._host.access.decide(
            present.request, again=True, ask=ask, has=present.key
        )
        if not present.is_there():
            return
        if not verdict.allowed:
            self._log.info(
                "{peer}: may no longer {action} {key}: {reason}",
                peer=present.request.peer,
                action=present.request.action.value,
                key=present.key,
                reason=verdict.reason,
            )
            present.send_away(verdict.reason)
        elif ask and (verdict.rename or present.request.key) != present.key:
            present.send_away("it has another name now")
        elif verdict.lifetime:
            self._end_after(present, verdict.lifetime)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("a decision failed", failure)


def _viewer(key: Any, viewer: Any) -> _Present:
    return _Present(
        viewer.session, viewer.info.request, key, lambda: bool(viewer.watching), viewer.kick
    )


def _publisher(key: Any, publication: Any) -> _Present:
    return _Present(
        publication.session,
        publication.request,
        key,
        lambda: bool(publication.active),
        lambda reason: publication.dismiss(reason, lost=False),
    )
