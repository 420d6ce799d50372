"""One relay task at run time: what runs of it, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed

from ntvmedia.errors import Refused
from ntvmedia.media import StreamKey
from ntvmedia.relay.attempt import Surroundings
from ntvmedia.relay.backoff import Backoff
from ntvmedia.relay.remote import Remote
from ntvmedia.relay.runner import Runner
from ntvmedia.relay.states import RelayState, TaskLog
from ntvmedia.relay.task import Relay, keys, with_text


class Task:
    """A task of the registry.

    Args:
        surroundings: The server, publishing here.
        remote: Sends streams to other servers.
        problem: Says why a stream may not be published; as of `Gate.problem`.
        relay: What it is.

    Attributes:
        relay: As given, or as it was changed since.
        log: For the operator.
        is_active: It was started, and not stopped.
        runners: What runs, by what the pattern's `*` stands for; by the empty text for one stream.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        remote: Remote,
        problem: Callable[..., str],
        relay: Relay,
    ) -> None:
        self.relay = relay
        self.log = TaskLog(surroundings.wall_clock)
        self.is_active = False
        self.runners: dict[str, Runner] = {}
        self._surroundings = surroundings
        self._remote = remote
        self._problem = problem
        self._since = surroundings.wall_clock()
        self._reason = ""
        self._push: Any = None
        # What was stopped and has not given everything back.
        self._closing: dict[str, Deferred[None]] = {}

    def start(self, delay: float = 0.0) -> None:
        """Run it, or be ready to; what runs already goes on, and what waits tries at once.

        Args:
            delay: Seconds, where many start at once.
        """
        if not self.is_active:
            self.is_active = True
            self._since = self._surroundings.wall_clock()
            self._reason = ""
            self.log.add("started")
        if not self.relay.on_demand:
            found = self.runners.get("")
            if found is not None and not found.is_stopped:
                found.try_now()
                return
            # Its source came to its end: what sent it to another server has no end of its own.
            self.end("", "started again")
            self.run("", (), delay=delay)

    def run(
        self,
        text: str,
        hops: tuple[str, ...],
        *,
        delay: float = 0.0,
        backoff: Backoff | None = None,
    ) -> Runner | None:
        """Run one stream, which does not run.

        Args:
            text: What the pattern's `*` stands for.
            hops: As of `Runner`, as is `backoff`.
            delay: Seconds until it begins.
            backoff: Of one that ran before.

        Returns:
            What runs; None where the names that it would make are none.
        """
        relay = with_text(self.relay, text) if self.relay.is_pattern else self.relay
        surroundings = self._surroundings
        streams: tuple[StreamKey, ...]
        if relay.target.server:
            streams = (self._remote.key(relay),)
            surroundings = self._remote.surroundings
            self._push = self._remote.push(relay, self.log.add)
        else:
            try:
                streams = keys(relay)
            except Refused as error:
                self.log.add(f"{text}: {error}")
                return None
        note = self._note_of(relay.target.stream) if self.relay.is_pattern else self.log.add
        runner = Runner(surroundings, relay, streams, self._look(streams), note, hops, backoff)
        self.runners[text] = runner
        runner.start(delay, after=self._closing.get(text))
        return runner

    def end(self, text: str, reason: str, *, lost: bool = False) -> Deferred[None]:
        """Stop one stream.

        Args:
            text: What the pattern's `*` stands for.
            reason: Why.
            lost: As of `Runner.stop`.

        Returns:
            Fires when it has given everything back.
        """
        runner = self.runners.pop(text, None)
        push, self._push = self._push, None
        if runner is None:
            return succeed(None)
        closing = runner.stop(reason, lost=lost)
        if push is not None:
            stopped: Deferred[None] = push.stop()
            before = closing
            closing = stopped.addCallback(lambda _none: before)
        if closing.called and not closing.paused:
            return closing
        answer: Deferred[None] = Deferred()
        self._closing[text] = answer
        closing.addBoth(self._closed, text, answer)
        return _waiting_for(answer)

    def stop(self, reason: str, *, lost: bool = False) -> Deferred[None]:
        """Stop all.

        Args:
            reason: Why.
            lost: As of `Runner.stop`.

        Returns:
            Fires when everything has been given back.
        """
        if self.is_active:
            self.is_active = False
            self._since = self._surroundings.wall_clock()
            self._reason = reason
            if not self.runners:
                self.log.add(f"stopped: {reason}")
        for text in tuple(self.runners):
            self.end(text, reason, lost=lost)
        return all_of(list(self._closing.values()))

    def take_note_of(self, relay: Relay) -> bool:
        """Go on as another that is run in the same way, if it is one.

        Returns:
            Whether it is: else this has to be stopped, and started with the other.
        """
        if replace(relay, description="", enabled=True) != replace(
            self.relay, description="", enabled=True
        ):
            return False
        self.relay = relay
        return True

    def makes_the_same(self, relay: Relay) -> bool:
        """Say whether another makes the same streams, and at once: their viewers can wait."""
        if not relay.enabled or relay.on_demand or self.relay.on_demand:
            return False
        return relay.target == self.relay.target and _names(relay) == _names(self.relay)

    def look_again(self) -> None:
        """Find out whether all may run: something has changed."""
        for runner in tuple(self.runners.values()):
            runner.look_again()

    def state(self) -> RelayState:
        """Return how it is doing."""
        if not self.is_active:
            return RelayState("stopped", self._reason, since=self._since)
        if self.relay.is_pattern:
            return self._state_of_all()
        runner = self.runners.get("")
        if runner is None:
            return RelayState("idle", since=self._since)
        state = runner.state()
        if self._push is not None and state.state == "running":
            sent = self._push.state
            if sent.state in ("connecting", "waiting"):
                return state._replace(
                    state=sent.state,
                    reason=sent.reason,
                    is_permanent=sent.is_permanent,
                    next_retry_at=sent.next_retry_at,
                    since=sent.since,
                )
        return state

    def _note_of(self, name: str) -> Callable[[str], None]:
        """Return what takes the lines of one stream of many."""
        return lambda line: self.log.add(f"{name}: {line}")

    def _state_of_all(self) -> RelayState:
        target = self.relay.target.stream
        found = {target.replace("*", text): x.state() for text, x in self.runners.items()}
        states = list(found.values())
        if not states:
            return RelayState("idle", since=self._since)
        ranks = ("running", "connecting", "waiting", "stopped")
        name, best = min(found.items(), key=lambda item: ranks.index(item[1].state))
        return best._replace(
            reason=f"{name}: {best.reason}" if best.reason else "",
            since=min(x.since for x in states),
            bitrate_kbps=sum(x.bitrate_kbps for x in states),
            bytes_in=sum(x.bytes_in for x in states),
            restarts=sum(x.restarts for x in states),
            instances=found,
        )

    def _look(self, streams: tuple[StreamKey, ...]) -> Callable[[bool], str]:
        if self.relay.target.server:
            return lambda _is_there: ""

        def problem(is_there: bool) -> str:
            found = (self._problem(key, is_there=is_there) for key in streams)
            return next((reason for reason in found if reason), "")

        return problem

    def _closed(self, _result: object, text: str, answer: Deferred[None]) -> None:
        if self._closing.get(text) is answer:
            del self._closing[text]
        answer.callback(None)


def _names(relay: Relay) -> list[str]:
    """Return what the renditions of a task are called."""
    return [rendition.stream for rendition in relay.renditions]


def _waiting_for(deferred: Deferred[None]) -> Deferred[None]:
    """Return one that fires with another, and may be cancelled and chained without harm to it."""
    answer: Deferred[None] = Deferred()

    def fired(_result: object) -> None:
        if not answer.called:
            answer.callback(None)

    deferred.addCallback(fired)
    return answer


def all_of(deferreds: list[Deferred[None]]) -> Deferred[None]:
    """Return one that fires when all have."""
    answer: Deferred[None] = Deferred()
    left = len(deferreds)
    if not left:
        answer.callback(None)

    def one_less(_result: object) -> None:
        nonlocal left
        left -= 1
        if not left and not answer.called:
            answer.callback(None)

    for deferred in deferreds:
        _waiting_for(deferred).addCallback(one_less)
    return answer
