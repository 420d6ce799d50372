"""Metrics of relay tasks and pushes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from ntvmedia.relay.states import State

_STATES: Final[tuple[str, ...]] = get_args(State)


class Growth:
    """A sum that never falls, of counters that begin anew and go away.

    What a counter grew between the last look and its end is not in it.

    Attributes:
        total: So far.
    """

    def __init__(self) -> None:
        self.total = 0
        self._seen: Mapping[Any, int] = {}

    def look(self, counters: Mapping[Any, int]) -> int:
        """Add what the counters have grown since the last look, and return the total."""
        for name, count in counters.items():
            before = self._seen.get(name, 0)
            self.total += count - before if count >= before else count
        self._seen = counters
        return self.total


class TaskMetrics:
    """Reads tasks when asked for; a part of the host, so that all who ask see the same sums.

    Args:
        host: The server.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self._sums: dict[str, Growth] = {}

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of now."""
        yield from self._relays()
        yield from self._pushes()

    def _relays(self) -> Iterator[Metric]:
        relays = self._host.relays
        states = {id_: relays.state(id_) for id_ in relays.registry}
        yield _by_state("relays", "Relay tasks, by state.", states)
        # Those of a pattern come and go, each with counters of its own.
        single = {
            (id_, name): state
            for id_, whole in states.items()
            for name, state in (whole.instances or {"": whole}).items()
        }
        yield self._counter(
            "relay_received_bytes", "Media bytes that relay tasks took in.", single, "bytes_in"
        )
        yield self._counter(
            "relay_restarts", "How often sources were asked again.", single, "restarts"
        )

    def _pushes(self) -> Iterator[Metric]:
        pushes = self._host.pushes
        states = {id_: pushes.state(id_) for id_ in pushes.registry}
        yield _by_state("pushes", "Pushes, by state.", states)
        single = {
            (id_, key): state
            for id_ in pushes.registry
            for key, state in pushes.states(id_).items()
        }
        yield _by_state("pushed_streams", "Streams of pushes, by state.", single)
        yield self._counter(
            "push_sent_bytes", "Bytes that were sent to other servers.", single, "bytes_out"
        )
        yield self._counter(
            "push_dropped_packets", "Packets for which servers were too slow.", single, "dropped"
        )
        yield self._counter(
            "push_restarts", "How often servers were asked again.", single, "restarts"
        )

    def _counter(self, name: str, text: str, states: Mapping[Any, Any], field: str) -> Metric:
        growth = self._sums.setdefault(name, Growth())
        total = growth.look({key: getattr(state, field) for key, state in states.items()})
        return CounterMetricFamily(f"ntvmedia_{name}", text, total)


def _by_state(name: str, text: str, states: Mapping[Any, Any]) -> Metric:
    family = GaugeMetricFamily(f"ntvmedia_{name}", text, labels=("state",))
    counts = Counter(x.state for x in states.values())
    for state in _STATES:
        family.add_metric((state,), counts[state])
    return family
