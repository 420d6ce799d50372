"""What a child process gives up before it looks at anything from outside. In the child only.

FFmpeg reads whatever the world sends, in C: a process that it has broken into or thrown down shall
have little to do harm with.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from typing import Final

from ntvmedia.avtools.job import Limits

DESCRIPTORS: Final = 64
"""Files and sockets at a time: a source has one, or two."""

# <linux/prctl.h>
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

# Whom the kernel ends first when memory runs out: 0 is as likely as others, 1000 first of all.
_OOM_SCORE: Final = b"500"

_NICE: Final = 5
"""The server itself goes before: it sends to everybody."""


def leave_parent(parent: int) -> None:
    """Become a process that dies with its parent, and has nothing else of it.

    Args:
        parent: Its process id: it may have died already.
    """
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    with contextlib.suppress(OSError):
        # A session of its own: signals of a terminal are the server's.
        os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o077)
    _enter_nowhere()
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError):
        _write("/proc/self/oom_score_adj", _OOM_SCORE)


def apply(limits: Limits) -> None:
    """Have the kernel hold the limits of a job, and those of every job: no file is written."""
    sys.dont_write_bytecode = True
    _limit(resource.RLIMIT_DATA, limits.memory_bytes)
    if limits.limits_addresses:
        _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_NOFILE, DESCRIPTORS)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    if limits.cpu_seconds:
        _limit(resource.RLIMIT_CPU, limits.cpu_seconds)


def _limit(what: int, value: int) -> None:
    _soft, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))


def _enter_nowhere() -> None:
    """Stand in a folder that nobody can put anything into, and that needs no tidying up."""
    path = f"/tmp/ntvmedia-{os.getpid()}-{os.urandom(8).hex()}"  # noqa: S108 - it is gone at once
    try:
        os.mkdir(path, 0o700)
        os.chdir(path)
        os.rmdir(path)
    except OSError:
        os.chdir("/")


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
