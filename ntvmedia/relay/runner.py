"""Keeps one stream coming: pulls its source, tries again, and takes another where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ntvmedia.events import RelayDown, RelayUp
from ntvmedia.media import StreamKey
from ntvmedia.media.relaying import PullOptions
from ntvmedia.relay.addresses import shown_address
from ntvmedia.relay.attempt import Attempt, Outcome, Surroundings, when_done
from ntvmedia.relay.backoff import LONGEST_SECONDS, STABLE_SECONDS, TOLD_EVERY, Backoff
from ntvmedia.relay.failover import Order
from ntvmedia.relay.recovery import Recovery
from ntvmedia.relay.states import Rate, RelayState, State
from ntvmedia.relay.task import Relay

RETURN_SECONDS: Final = 60.0
"""A source that gave something is asked as often as any for so long, though its server says that it
does not have it: its publisher may have to begin anew, while our viewers wait."""

SHORT_SECONDS: Final = 5.0
"""A source that ends sooner has not played, and is asked less and less often."""


class Runner:
    """Runs one task, or one name of a pattern.

    ::

        stopped --start--> connecting --first media--> running
           ^                |   ^  ^                      |
           |          failed|   |  +----another source----+ failed
           |                v   |retry                    |
         stop             waiting <-----------------------+

    There is never more than one pull at a time, but for the one of `Recovery`, by which the first
    source is taken again. Of `RelayUp` and `RelayDown` each has the other after or before it.

    Args:
        surroundings: The server.
        relay: What is run; not a pattern.
        keys: The streams that are published, the main one first.
        problem: Says why these may not be published, as one clause, or the empty text. Called with
            whether they are.
        note: Called with a line for the operator.
        hops: Ids of the servers that ask for the stream by way of this one.
        backoff: Of one that ran before for the same; a new one by default.

    Attributes:
        relay: As given; its description may be another later.
        keys: As given.
        backoff: Of what failed so far.
        has_been_up: Media came at least once.
    """

    _log = Logger()

    def __init__(
        self,
        surroundings: Surroundings,
        relay: Relay,
        keys: Sequence[StreamKey],
        problem: Callable[[bool], str],
        note: Callable[[str], None],
        hops: tuple[str, ...] = (),
        backoff: Backoff | None = None,
    ) -> None:
        host = surroundings.host
        self.relay = relay
        self.keys = tuple(keys)
        self.backoff = Backoff(surroundings.fraction) if backoff is None else backoff
        self.has_been_up = False
        self._surroundings = surroundings
        self._reactor = host.reactor
        self._events = host.events
        self._problem = problem
        self._note = note
        self._options = PullOptions(
            transport=relay.transport,
            loop=relay.loop,
            stall_seconds=relay.stall_seconds,
            hops=(*hops, host.server_id),
        )
        # Of each source, for its next pull.
        self._memories: list[dict[str, Any]] = [{} for _source in relay.sources]
        self._order = Order(len(relay.sources))
        self._recovery = Recovery(
            self._reactor, surroundings.fraction, relay.recover_seconds, self._recovery_attempt
        )
        self._state: State = "stopped"
        self._reason = ""
        self._is_permanent = False
        self._next_retry_at = 0.0
        self._since = surroundings.wall_clock()
        self._index = 0
        self._tries = 0
        self._bytes_before = 0
        self._rate = Rate()
        self._is_gated = False
        self._refusals = 0
        self._timer: IDelayedCall | None = None
        self._current: Attempt | None = None
        self._worked_at = -RETURN_SECONDS
        self._up: RelayUp | None = None
        # Those that are over, and have not given everything back.
        self._closing: set[Attempt] = set()

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more comes of it."""
        return self._state == "stopped"

    @property
    def retry_in(self) -> float:
        """Seconds until the next try; 0 where none waits."""
        timer = self._timer
        return 0.0 if timer is None else max(0.0, timer.getTime() - self._reactor.seconds())

    @property
    def bytes_in(self) -> int:
        """Media bytes so far."""
        current = self._current
        return self._bytes_before + (current.bytes_in if current is not None else 0)

    def state(self) -> RelayState:
        """Return how it is doing."""
        return RelayState(
            self._state,
            self._reason,
            self._is_permanent,
            self._next_retry_at,
            self._index,
            self._since,
            self._rate.kbps if self._state == "running" else 0,
            self.bytes_in,
            max(0, self._tries - 1),
        )

    def start(self, delay: float = 0.0, *, after: Deferred[None] | None = None) -> None:
        """Begin; once.

        Args:
            delay: Seconds until the first question, as where many begin at once.
            after: The pull of the same before is not over until it fires.
        """
        self._enter("connecting")
        if after is not None and not after.called:
            after.addCallback(self._go_on)
        elif delay > 0:
            self._later(delay)
        else:
            self._try()

    def stop(self, reason: str, *, lost: bool = False) -> Deferred[None]:
        """End for good. Idempotent.

        Args:
            reason: One lower-case clause.
            lost: Another one makes the same streams at once, so they wait for that.

        Returns:
            Fires when everything has been given back, or soon after it should have been.
        """
        if self._state != "stopped":
            self._finish(reason, lost=lost)
        return when_done(self._closing, self._reactor)

    def look_again(self) -> None:
        """Find out whether it may run: something has changed."""
        if self._state == "stopped":
            return
        if self._is_gated:
            self._try()
            return
        reason = self._problem(self._current is not None) if self._current is not None else ""
        if reason:
            self._close_current(reason, lost=False)
            self._refused(reason)

    def try_now(self) -> None:
        """Ask again at once, where it waits to: somebody may have mended what was wrong."""
        if self._state == "waiting":
            self._cancel_timer()
            self._try()

    def tick(self, now: float) -> None:
        """Measure; about once a second."""
        self._rate.sample(now, self.bytes_in)

    # States

    def _enter(
        self, state: State, reason: str = "", *, is_permanent: bool = False, retry: float = 0.0
    ) -> None:
        if state != self._state:
            self._since = self._surroundings.wall_clock()
        self._state, self._reason, self._is_permanent = state, reason, is_permanent
        self._next_retry_at = self._surroundings.wall_clock() + retry if retry else 0.0

    def _try(self) -> None:
        """Ask a source, if that may be, as soon as the last one has given everything back."""
        self._cancel_timer()
        closing = when_done(self._closing, self._reactor)
        if not closing.called:
            self._is_gated = False
            self._enter("connecting")
            closing.addCallback(self._go_on)
            return
        self._ask()

    def _go_on(self, _result: None) -> None:
        # Unless it was stopped meanwhile, or goes on already.
        if self._state == "connecting" and self._current is None and self._timer is None:
            self._ask()

    def _ask(self) -> None:
        if any(not attempt.done.called for attempt in self._closing):
            self._log.warn("relay {id}: a source does not let go", id=self.relay.id)
        self._closing.clear()
        self._is_gated = False
        reason = self._problem(False)
        if reason:
            self._refused(reason)
            return
        index = self._order.next()
        if index is None:
            self._order.begin()
            index = 0
        self._refusals = 0
        self._index = index
        self._tries += 1
        self._enter("connecting")
        self._current = attempt = self._attempt(index)
        attempt.start()

    def _attempt(self, index: int, *, is_held: bool = False) -> Attempt:
        url = self.relay.sources[index]
        return Attempt(
            self._surroundings,
            self,
            url,
            index,
            self._options._replace(memory=self._memories[index]),
            self.relay.outputs,
            self.keys,
            shown_address(url),
            ends_at_end=not self.relay.loop,
            is_held=is_held,
        )

    def _recovery_attempt(self) -> Attempt | None:
        """Make the pull by which it is seen whether the first source works again."""
        if self._current is None:
            return None
        return self._attempt(0, is_held=True)

    def _refused(self, reason: str) -> None:
        """Wait until it may run; changes are looked at at once, and the rest now and then."""
        self._is_gated = True
        self._refusals += 1
        fraction = self._surroundings.fraction()
        self._wait(reason, LONGEST_SECONDS * (0.8 + 0.4 * fraction), is_permanent=False)
        if self._refusals % TOLD_EVERY == 1:
            self._tell(f"waits: {reason}")

    def _wait(self, reason: str, seconds: float, *, is_permanent: bool) -> None:
        self._enter("waiting", reason, is_permanent=is_permanent, retry=seconds)
        self._later(seconds)

    def _later(self, seconds: float) -> None:
        self._cancel_timer()
        self._timer = self._reactor.callLater(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        self._try()

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _finish(self, reason: str, *, lost: bool = False) -> None:
        """Stop, with nothing left that could go on."""
        self._cancel_timer()
        self._close(self._recovery.stop())
        self._is_gated = False
        self._close_current(reason, lost=lost)
        # Those that wait for the next attempt, of which there will be none.
        if self.has_been_up and not lost:
            for key in self.keys:
                stream = self._surroundings.streams.get(key)
                if stream is not None and stream.publication is None:
                    stream.end(reason)
        self._enter("stopped", reason)
        self._tell(f"stopped: {reason}")

    def _close(self, attempts: Iterable[Attempt]) -> None:
        """Know of attempts that are over until they have given everything back, and no longer."""
        for attempt in attempts:
            if not attempt.done.called:
                self._closing.add(attempt)
                attempt.done.addCallback(self._closed, attempt)

    def _closed(self, _result: None, attempt: Attempt) -> None:
        self._closing.discard(attempt)

    def _close_current(self, reason: str, *, lost: bool) -> None:
        """End the attempt that there is, and say that its source is gone."""
        current, self._current = self._current, None
        if current is not None:
            self._bytes_before += current.bytes_in
            current.end(reason, lost=lost)
            self._close([current])
        self._down(reason)
        self._close(self._recovery.stop())

    # Of attempts

    def attempt_up(self, attempt: Attempt) -> None:
        if attempt is not self._current:
            return
        self.has_been_up = True
        self._index = attempt.index
        self._enter("running")
        target = self.relay.target
        source = shown_address(self.relay.sources[attempt.index])
        key = self.keys[0] if not target.server else StreamKey(target.application, target.stream)
        self._up = RelayUp(key, self.relay.id, source, shown_address(target.server))
        self._tell(f"{source} is there")
        self._events.emit(self._up)
        if attempt.index and self._current is attempt:
            self._recovery.begin()

    def attempt_ready(self, attempt: Attempt) -> None:
        self._take_over("the first source is back")

    def attempt_lost(self, attempt: Attempt, outcome: Outcome) -> None:
        self._close([attempt])
        if attempt is not self._current:
            if self._recovery.lost(attempt, outcome):
                self._note(f"the first source does not work yet: {outcome.reason}")
            return
        self._current = None
        self._bytes_before += attempt.bytes_in
        self._down(outcome.reason)
        if self._state == "stopped":  # by who was told
            return
        if outcome.is_end and not self.relay.loop:
            self._finish(outcome.reason)
            return
        reason = self._problem(False)
        if reason:
            self._close(self._recovery.stop())
            self._refused(reason)
            return
        if self._recovery.has_media:
            self._take_over(outcome.reason)
            return
        self._close(self._recovery.stop())
        self._failed(attempt, outcome)

    def noted(self, line: str) -> None:
        self._note(line)
        if self._state == "connecting":
            self._reason = line

    def _failed(self, attempt: Attempt, outcome: Outcome) -> None:
        """Take another source, or wait."""
        seconds = attempt.media_seconds
        now = self._reactor.seconds()
        if attempt.has_media:
            self._worked_at = now
        if outcome.is_absent and now - self._worked_at < RETURN_SECONDS:
            # It was there a moment ago: its publisher may be coming back.
            outcome = outcome._replace(is_permanent=False, is_absent=False)
        if attempt.has_media and seconds >= SHORT_SECONDS and outcome.is_end:
            self.backoff.reset()
        self.backoff.worked(seconds)
        if seconds >= STABLE_SECONDS:
            self._order.begin()
        self._order.failed(
            attempt.index, is_permanent=outcome.is_permanent, is_absent=outcome.is_absent
        )
        if attempt.index == 0:
            self._recovery.failed(seconds, outcome)
        if self._order.next() is not None:
            self._tell_failure(outcome.reason, "the next source")
            self._try()
            return
        is_permanent, is_absent = self._order.is_permanent, self._order.is_absent
        self._order.begin()
        wait = self.backoff.failed(is_permanent=is_permanent, is_absent=is_absent)
        self._tell_failure(outcome.reason, f"retrying in {wait:.0f} s")
        self._wait(outcome.reason, wait, is_permanent=is_permanent)

    def _take_over(self, reason: str) -> None:
        """Go on with the first source, which was pulled beside the other (and is at a keyframe)."""
        attempt = self._recovery.take()
        if attempt is None:
            return
        old, self._current = self._current, attempt
        if old is not None:
            self._bytes_before += old.bytes_in
            old.end(reason, lost=True)
            self._close([old])
        self._down(reason)
        if self._current is not attempt:  # stopped by who was told
            attempt.end(reason, lost=False)
            self._close([attempt])
            return
        self._index = 0
        self._order.begin()
        self._enter("connecting")
        attempt.release()

    def _down(self, reason: str) -> None:
        up, self._up = self._up, None
        if up is not None:
            self._events.emit(RelayDown(up.key, up.relay, up.source, reason, up.server))

    # Said

    def _tell_failure(self, reason: str, further: str) -> None:
        if self.backoff.failures <= 1 or self.backoff.is_told:
            self._tell(f"{reason}; {further}")

    def _tell(self, text: str) -> None:
        self._note(text)
        self._log.info("relay {id} to {key}: {text}", id=self.relay.id, key=self.keys[0], text=text)
