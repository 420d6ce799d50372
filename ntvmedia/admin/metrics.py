"""Counters for Prometheus, read from hub and tasks when asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ntvmedia import __version__
from ntvmedia.admin.task_metrics import TaskMetrics
from ntvmedia.admin.totals import totals


class Metrics:
    """A registry of its own: nothing is global, and nothing is counted twice.

    Args:
        host: The server.
    """

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, host: Any) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(HubCollector(host))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all metrics in the text format."""
        return generate_latest(self._registry)


class HubCollector(Collector):
    """Turns what the hub counts into metrics.

    Args:
        host: The server.
    """

    def __init__(self, host: Any) -> None:
        self._host = host

    def describe(self) -> list[Metric]:
        """Name nothing beforehand: it would read the hub before it is asked."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of now."""
        hub = self._host.hub
        yield InfoMetricFamily("ntvmedia", "The server.", {"version": __version__})
        draining = GaugeMetricFamily("ntvmedia_draining", "1 while the server stops.")
        draining.add_metric([], float(bool(self._host.draining)))
        yield draining
        now = totals(hub)
        for name, text, value in (
            ("streams", "Streams that exist.", now.streams),
            ("publishers", "Streams with a publisher.", now.publishers),
            ("viewers", "Viewers.", now.viewers),
            ("waiting_viewers", "Viewers that wait for a stream.", now.waiting),
            ("reactor_lag_seconds", "How late the reactor last was.", now.reactor_lag_seconds),
            (
                "reactor_lag_largest_seconds",
                "The latest that the reactor was since the start.",
                now.largest_reactor_lag_seconds,
            ),
        ):
            yield GaugeMetricFamily(f"ntvmedia_{name}", text, value)
        for name, text, value in (
            ("received_bytes", "Media bytes from publishers.", now.bytes_in),
            ("sent_bytes", "Bytes to viewers.", now.bytes_out),
            ("stalled_connections", "Connections cut since their peer took nothing.", hub.stalled),
            ("refused_publishers", "Publishers refused by the hub.", hub.refused_publishers),
        ):
            yield CounterMetricFamily(f"ntvmedia_{name}", text, value)
        protocols = GaugeMetricFamily(
            "ntvmedia_protocol_viewers", "Viewers of all streams.", labels=("protocol",)
        )
        counts = Counter(x.info.protocol for s in hub.streams.values() for x in s.viewers)
        for protocol, count in sorted(counts.items()):
            protocols.add_metric((protocol,), count)
        yield protocols
        yield self._refusals()
        yield from self._callbacks()
        yield from self._host.part(TaskMetrics).collect()
        yield from self._streams()

    def _refusals(self) -> Metric:
        refusals = CounterMetricFamily(
            "ntvmedia_refusals",
            "Who was refused to publish or play, by the rule that refused.",
            labels=("application", "protocol", "rule"),
        )
        for labels, count in sorted(self._host.access.refused.items()):
            refusals.add_metric(labels, count)
        return refusals

    def _callbacks(self) -> Iterator[Metric]:
        """Yield what became of the messages of callbacks, as `/callbacks/counts` has it."""
        counts = self._host.callbacks.counts
        yield GaugeMetricFamily(
            "ntvmedia_callbacks_waiting",
            "Notifications that are still to be told.",
            counts.waiting,
        )
        yield CounterMetricFamily(
            "ntvmedia_callbacks_delivered", "Notifications that were taken.", counts.delivered
        )
        yield CounterMetricFamily(
            "ntvmedia_callbacks_failed", "Tries to tell that were not taken.", counts.failed
        )
        dropped = CounterMetricFamily(
            "ntvmedia_callbacks_dropped",
            "Notifications that were never told, by reason.",
            labels=("reason",),
        )
        asked = CounterMetricFamily(
            "ntvmedia_callbacks_asked",
            "Questions who may publish and play, by what came of them.",
            labels=("outcome",),
        )
        for family, numbers in ((dropped, counts.dropped), (asked, counts.asked)):
            for label, count in sorted(numbers.items()):
                family.add_metric((label,), count)
            yield family

    def _streams(self) -> Iterator[Metric]:
        labels = ("application", "stream")
        viewers = GaugeMetricFamily("ntvmedia_stream_viewers", "Viewers.", labels=labels)
        received = CounterMetricFamily(
            "ntvmedia_stream_received_bytes", "Media bytes from its publishers.", labels=labels
        )
        sent = CounterMetricFamily(
            "ntvmedia_stream_sent_bytes", "Bytes to its viewers.", labels=labels
        )
        rate = GaugeMetricFamily(
            "ntvmedia_stream_frame_rate", "Frames a second that come in.", labels=labels
        )
        for key, stream in self._host.hub.streams.items():
            viewers.add_metric(key, len(stream.viewers))
            received.add_metric(key, stream.bytes_in)
            sent.add_metric(key, stream.bytes_out + sum(x.bytes_out for x in stream.viewers))
            rate.add_metric(key, stream.frame_rate)
        yield from (viewers, received, sent, rate)
