"""What the outlets of one server share: how much may wait for a peer, and for how long."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import TYPE_CHECKING

from twisted.logger import Logger

if TYPE_CHECKING:
    from ntvmedia.hub.outlet import Outlet

_log = Logger()


class OutletPolicy:
    """What the outlets of one server share: the clock, their limits, and who of them waits.

    Args:
        clock: Monotonic seconds.
        queue_bytes: Most bytes of blocks that wait for one connection.
        queue_seconds: Longest time that a block waits.
        stall_timeout: Seconds without progress after which a connection is cut.

    Attributes:
        waiting: The outlets whose peer has not yet taken what was sent.
        cut: How many connections were cut since their peer took nothing.
    """

    __slots__ = ("clock", "cut", "queue_bytes", "queue_seconds", "stall_timeout", "waiting")

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        queue_bytes: int,
        queue_seconds: float,
        stall_timeout: float,
    ) -> None:
        self.clock = clock
        self.queue_bytes = queue_bytes
        self.queue_seconds = queue_seconds
        self.stall_timeout = stall_timeout
        self.waiting: set[Outlet] = set()
        self.cut = 0

    def cut_stalled(self) -> None:
        """Abort the connections that have made no progress for too long.

        To be called about once a second.
        """
        oldest = self.clock() - self.stall_timeout
        for outlet in [x for x in self.waiting if x.progressed_at <= oldest]:
            try:
                outlet.cut()
            except Exception:
                _log.failure("cutting a stalled connection failed")


def unacknowledged(sock: socket.socket) -> int:
    """Return how many bytes a peer's kernel has not yet taken (tcp(7), SIOCOUTQ)."""
    return int.from_bytes(ioctl(sock.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)
