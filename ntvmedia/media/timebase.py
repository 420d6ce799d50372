"""Clock rates, wrapped counters, and where media time meets wall time."""

from __future__ import annotations

from dataclasses import dataclass


def from_milliseconds(milliseconds: int, clock_rate: int) -> int:
    """Convert to ticks, to the nearest.

    For a clock of 1000 ticks a second or more `to_milliseconds` gives the argument back exactly.
    """
    return (milliseconds * clock_rate + 500) // 1000


def to_milliseconds(ticks: int, clock_rate: int) -> int:
    """Convert ticks to milliseconds, to the nearest."""
    return (ticks * 1000 + (clock_rate >> 1)) // clock_rate


def rescale(ticks: int, from_rate: int, to_rate: int) -> int:
    """Convert ticks of one clock to those of another, to the nearest."""
    return (ticks * to_rate + (from_rate >> 1)) // from_rate


def unwrap(value: int, reference: int, bits: int) -> int:
    """Extend a counter of `bits` bits to the unbounded value nearest to `reference`.

    Args:
        value: What was received, 0 to 2**bits - 1.
        reference: The unbounded value before it.
        bits: 32 for RTMP and RTP times, 33 for MPEG-TS.
    """
    half = 1 << (bits - 1)
    return reference + ((value - reference + half) & ((1 << bits) - 1)) - half


@dataclass(frozen=True, slots=True)
class Epoch:
    """A stretch of a stream's life on one timeline.

    Attributes:
        id: Differs from every other epoch's, on every node.
        wall_seconds: The wall clock, in seconds since 1970, when media time was 0.
    """

    id: str
    wall_seconds: float

    def wall_time(self, ticks: int, clock_rate: int) -> float:
        """Return the wall clock, in seconds since 1970, of a media time in ticks."""
        return self.wall_seconds + ticks / clock_rate
