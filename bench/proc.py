"""What the kernel knows of a process: CPU time, memory, connections. And where it may run."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

# /proc/net/tcp: the state of a connection that both sides still hold open.
_ESTABLISHED: Final = "01"


def tree(pid: int) -> list[int]:
    """List a process and all that it started, living ones only."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and its children, to 1/100 s."""
    total = 0
    for member in tree(pid):
        # The name may hold spaces and brackets: count from the last bracket.
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def run_seconds(pid: int) -> float:
    """Return how long a process's threads had a CPU, without its children, to the nanosecond.

    Exact while it waits; while it runs, up to its last time slice.
    """
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def waited_seconds(pid: int) -> float:
    """Return how long a process and its children were ready and another had their CPU.

    Main threads only. What it tells is whether a measurement was disturbed.
    """
    delays = (Path(f"/proc/{member}/schedstat").read_text().split()[1] for member in tree(pid))
    return sum(map(int, delays)) / 1e9


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and its children."""
    pages = (Path(f"/proc/{member}/statm").read_text().split()[1] for member in tree(pid))
    return sum(map(int, pages)) * _PAGE


def proportional_bytes(pid: int) -> int:
    """Return the memory of one process, of what it shares with others its share ("PSS")."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not tell the share")


def open_peers(port: int) -> set[int]:
    """Return the client ports of the connections that the server at `port` has not closed."""
    peers = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == _ESTABLISHED and int(fields[1].rpartition(":")[2], 16) == port:
            peers.add(int(fields[2].rpartition(":")[2], 16))
    return peers


def pin(core: int) -> None:
    """Let this process and those that it forks run on one core only."""
    os.sched_setaffinity(0, {core})


def raise_file_limit(wanted: int) -> None:
    """Allow this many open files, as far as the system lets us.

    Raises:
        OSError: The hard limit is lower and this user may not raise it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except ValueError as error:
        raise OSError(f"at most {hard} open files allowed, {wanted} needed") from error
