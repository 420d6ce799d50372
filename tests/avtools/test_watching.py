"""Tests of ntvmedia.avtools.watching."""

from __future__ import annotations

import os
import time

from ntvmedia.avtools.watching import CPU_SECONDS, CPUShare, cpu_seconds_of


def test_of_this_process() -> None:
    """What the kernel says agrees with what Python says."""
    taken = cpu_seconds_of(os.getpid())
    assert taken is not None
    assert abs(taken - time.process_time()) < 1.0
    assert cpu_seconds_of(1 << 30) is None


def test_share() -> None:
    """The share is that of the last half minute, and none before there is one."""
    share = CPUShare()
    for second in range(int(CPU_SECONDS)):
        assert share.add(second * 0.5, float(second)) == 0.0
    assert share.add(CPU_SECONDS * 0.5, CPU_SECONDS) == 0.5
    for second in range(int(CPU_SECONDS) + 1, int(CPU_SECONDS) * 3):
        last = share.add(CPU_SECONDS * 0.5, float(second))
    assert last == 0.0
    assert len(share._samples) < CPU_SECONDS + 3
