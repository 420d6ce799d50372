"""Sums over the streams of a hub."""

from __future__ import annotations

from typing import Any, NamedTuple


class Totals(NamedTuple):
    """What the server did since its start, and does now.

    Attributes:
        streams: How many there are.
        publishers: How many of them have one.
        viewers: How many watch.
        waiting: How many wait for a stream that is not there.
        bytes_in: Media bytes from publishers, since the start.
        bytes_out: Bytes to viewers, since the start.
        bitrate_in: Bits a second.
        bitrate_out: Bits a second.
        reactor_lag_seconds: How late the reactor came to what was due, the last time.
        largest_reactor_lag_seconds: The most since the start.
    """

    streams: int
    publishers: int
    viewers: int
    waiting: int
    bytes_in: int
    bytes_out: int
    bitrate_in: int
    bitrate_out: int
    reactor_lag_seconds: float
    largest_reactor_lag_seconds: float


class Uptime:
    """How long the server runs: a part of the host, made when the server is.

    Args:
        host: The server.
    """

    def __init__(self, host: Any) -> None:
        self._reactor = host.reactor
        self._began = host.reactor.seconds()

    @property
    def seconds(self) -> float:
        """Since the start."""
        elapsed: float = self._reactor.seconds() - self._began
        return elapsed


def totals(hub: Any) -> Totals:
    """Add up, from the counters of an `ntvmedia.hub.streams.Hub`."""
    streams = tuple(hub.streams.values())
    bytes_out: int = hub.finished_bytes_out
    bitrate_out = 0.0
    for stream in streams:
        bytes_out += stream.bytes_out
        for viewer in stream.viewers:
            bytes_out += viewer.bytes_out
            bitrate_out += viewer.bitrate
    return Totals(
        streams=len(streams),
        publishers=sum(stream.publication is not None for stream in streams),
        viewers=hub.viewers,
        waiting=hub.waiting,
        bytes_in=hub.finished_bytes_in + sum(stream.bytes_in for stream in streams),
        bytes_out=bytes_out,
        bitrate_in=round(sum(stream.bitrate for stream in streams)),
        bitrate_out=round(bitrate_out),
        reactor_lag_seconds=round(hub.lag.seconds, 6),
        largest_reactor_lag_seconds=round(hub.lag.largest, 6),
    )
