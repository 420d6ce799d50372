"""Tests of ntvmedia.admin.task_metrics: what Prometheus is told of relay tasks and pushes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given, strategies as st

from ntvmedia.admin.task_metrics import Growth, TaskMetrics
from ntvmedia.media import StreamKey
from ntvmedia.relay.push import PushState
from ntvmedia.relay.states import RelayState


class Fake:
    """A service whose tasks are as the test says."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self.of_streams: dict[str, dict[StreamKey, Any]] = {}

    @property
    def registry(self) -> dict[str, Any]:
        """All of them."""
        return self.found

    def state(self, id_: str) -> Any:
        """Return how one is doing."""
        return self.found[id_]

    def states(self, id_: str) -> dict[StreamKey, Any]:
        """Return how its streams are doing."""
        return self.of_streams.get(id_, {})


def read(metrics: TaskMetrics) -> dict[str, float]:
    """Return the values that are not zero, by name and label."""
    return {
        "/".join((sample.name, *sample.labels.values())): sample.value
        for family in metrics.collect()
        for sample in family.samples
        if sample.value and not sample.name.endswith("_created")
    }


def test_relays_and_pushes() -> None:
    """States are counted, bytes added up; those of patterns by stream."""
    host = SimpleNamespace(relays=Fake(), pushes=Fake())
    metrics = TaskMetrics(host)
    assert read(metrics) == {}
    one = RelayState("running", bytes_in=100, restarts=1)
    host.relays.found = {
        "a": one,
        "b": RelayState("waiting", bytes_in=5),
        "p": one._replace(bytes_in=30, instances={"x": one, "y": one._replace(bytes_in=20)}),
    }
    host.pushes.found = {"c": PushState("running")}
    host.pushes.of_streams["c"] = {
        StreamKey("a", "b"): PushState("running", bytes_out=70, dropped=3, restarts=2),
        StreamKey("a", "c"): PushState("waiting"),
    }
    assert read(metrics) == {
        "ntvmedia_relays/running": 2,
        "ntvmedia_relays/waiting": 1,
        "ntvmedia_relay_received_bytes_total": 225,
        "ntvmedia_relay_restarts_total": 3,
        "ntvmedia_pushes/running": 1,
        "ntvmedia_pushed_streams/running": 1,
        "ntvmedia_pushed_streams/waiting": 1,
        "ntvmedia_push_sent_bytes_total": 70,
        "ntvmedia_push_dropped_packets_total": 3,
        "ntvmedia_push_restarts_total": 2,
    }
    host.relays.found = {"a": one._replace(bytes_in=110)}
    host.pushes.of_streams.clear()
    after = read(metrics)
    assert after["ntvmedia_relay_received_bytes_total"] == 235
    assert after["ntvmedia_push_sent_bytes_total"] == 70


def test_growth() -> None:
    """A counter that begins anew is added from nothing; one that went away stays in the sum."""
    growth = Growth()
    assert [growth.look({"a": x}) for x in (5, 7, 3)] == [5, 7, 10]
    assert growth.look({}) == 10
    assert growth.look({"a": 4}) == 14


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 1000)), max_size=20))
def test_never_falls(looks: list[dict[str, int]]) -> None:
    """Whatever tasks do, a counter of Prometheus only grows."""
    growth = Growth()
    totals = [growth.look({**look}) for look in looks]
    assert totals == sorted(totals)
