"""Tests of ntvmedia.avtools.pacing."""

from __future__ import annotations

from ntvmedia.avtools.pacing import AHEAD_SECONDS, Pace


def play(pace: Pace, times: list[float], now: float) -> list[float]:
    """Return when packets go out that are at hand from a moment on."""
    out = []
    for time in times:
        now += pace.delay(time, now)
        out.append(round(now, 6))
    return out


def test_speed_of_life() -> None:
    """The first second goes out at once, and what follows when its time has come."""
    times = [100 + x / 10 for x in range(40)]
    out = play(Pace(), times, 5.0)
    assert out[:11] == [5.0] * 11
    assert out[11:] == [round(5 + x / 10 - AHEAD_SECONDS, 6) for x in range(11, 40)]


def test_jump() -> None:
    """E-SR-06: over a jump of the times, in either direction, the speed stays."""
    for base in (1e6, 0.0):
        pace = Pace()
        assert play(pace, [500.0, 501.0, 502.0], 0.0) == [0.0, 0.0, 1.0]
        assert play(pace, [base, base + 1, base + 2], 1.0) == [1.0, 2.0, 3.0]


def test_tracks_apart() -> None:
    """Tracks of a file that are some seconds apart are one clock."""
    pace = Pace()
    assert play(pace, [10.0, 8.0, 10.5, 8.5, 13.0, 11.0], 0.0) == [0, 0, 0, 0, 2.0, 2.0]


def test_late() -> None:
    """A source that was too slow is not caught up with in a burst."""
    pace = Pace()
    play(pace, [0.0, 1.0], 0.0)
    assert play(pace, [2.0, 2.5, 3.0], 100.0) == [100.0, 100.5, 101.0]
