"""One push at run time: the streams that it sends, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ntvmedia.media import StreamKey
from ntvmedia.relay.push import Pusher, PushState, State
from ntvmedia.relay.pushes import Push
from ntvmedia.relay.states import TaskLog

# What is told of a push that sends several streams: where there is trouble, that.
_ORDER: Final[tuple[State, ...]] = ("waiting", "connecting", "running", "idle", "stopped")


class Sending(NamedTuple):
    """One stream of a push.

    Attributes:
        pusher: Sends it.
        place: What it has for itself; see `ntvmedia.relay.pushes.place`.
    """

    pusher: Pusher
    place: str


class PushTask:
    """A push of the registry.

    Args:
        push: What it is.
        wall_clock: Seconds since 1970.

    Attributes:
        push: As given, or as it was changed since.
        log: For the operator.
        is_active: It was started, and not stopped.
        sending: The streams that it sends, or tries to.
        held_back: Why other streams are not sent, though they are there.
    """

    def __init__(self, push: Push, wall_clock: Callable[[], float]) -> None:
        self.push = push
        self.log = TaskLog(wall_clock)
        self.is_active = False
        self.sending: dict[StreamKey, Sending] = {}
        self.held_back: dict[StreamKey, PushState] = {}
        self._wall_clock = wall_clock
        self._since = wall_clock()

    def set_active(self, is_active: bool) -> None:
        """Note that it was started or stopped."""
        if is_active != self.is_active:
            self.is_active = is_active
            self._since = self._wall_clock()
            self.log.add("started" if is_active else "stopped")

    def hold_back(self, key: StreamKey, reason: str) -> None:
        """Note why a stream is not sent now."""
        before = self.held_back.get(key)
        if before is None or before.reason != reason:
            self.held_back[key] = PushState("waiting", reason, since=self._wall_clock())
            self.log.add(f"{key}: {reason}")

    def let_go(self, key: StreamKey) -> Sending | None:
        """Forget a stream, which is not to be sent any more; returns what sends it, if it is."""
        was_idle = self._is_idle
        self.held_back.pop(key, None)
        sending = self.sending.pop(key, None)
        if not was_idle and self._is_idle:
            self._since = self._wall_clock()
        return sending

    @property
    def _is_idle(self) -> bool:
        return not self.sending and not self.held_back

    def states(self) -> Mapping[StreamKey, PushState]:
        """Return how each stream is doing that it sends or would send now, by name."""
        found = {key: sending.pusher.state for key, sending in self.sending.items()}
        return dict(sorted({**self.held_back, **found}.items()))

    def state(self) -> PushState:
        """Return how it is doing as a whole: its worst state, and the sums of what is counted."""
        if not self.is_active:
            return PushState("stopped", since=self._since)
        states = self.states()
        if not states:
            return PushState("idle", since=self._since)
        key, worst = min(states.items(), key=lambda item: _ORDER.index(item[1].state))
        return worst._replace(
            reason=f"{key}: {worst.reason}" if worst.reason else "",
            bytes_out=sum(x.bytes_out for x in states.values()),
            bitrate_kbps=sum(x.bitrate_kbps for x in states.values()),
            dropped=sum(x.dropped for x in states.values()),
            restarts=sum(x.restarts for x in states.values()),
        )
