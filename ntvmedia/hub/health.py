"""The health of the streams: noted once a second, judged when somebody asks.

Nothing is done for it per packet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ntvmedia.hub.findings import Finding, Rules, Severity, judge
from ntvmedia.hub.health_samples import History, reorders, sample_of

if TYPE_CHECKING:
    from ntvmedia.hub.stream import Stream
    from ntvmedia.hub.streams import Hub

__all__ = ["Finding", "HealthWatch", "Rules", "Severity"]

# Of the packets that came last, these are looked at for pictures out of order.
_LOOKED_AT: Final = 16


class HealthWatch:
    """Remembers what the streams of a hub were like.

    Args:
        hub: Whose streams.
        clock: Monotonic seconds.
    """

    def __init__(self, hub: Hub, clock: Callable[[], float]) -> None:
        self._hub = hub
        self._clock = clock
        self._histories: dict[Stream, History] = {}

    def look(self) -> None:
        """Note the counters of all streams; to be called once a second."""
        now = self._clock()
        before = self._histories
        self._histories = {
            stream: self._looked(stream, before.get(stream), now)
            for stream in self._hub.streams.values()
        }

    def observed_seconds(self, stream: Stream) -> float:
        """Return how far back it is remembered."""
        history = self._histories.get(stream)
        if history is None or not history.samples:
            return 0.0
        return self._clock() - history.samples[0].at

    def findings(self, stream: Stream, rules: Rules) -> list[Finding]:
        """Return what is wrong now, the worst first."""
        history = self._histories.get(stream) or History(0)
        return judge(stream, history, rules)

    def _looked(self, stream: Stream, history: History | None, now: float) -> History:
        session = stream.publication.session if stream.publication is not None else 0
        if history is None or (session and session != history.session):
            history = History(session)
        if session:
            history.add(sample_of(stream, now))
            if not history.reorders:
                history.reorders = reorders(stream.backlog[-_LOOKED_AT:])
        return history
