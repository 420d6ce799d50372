"""Whether a server takes anything of what it is sent, as the kernel knows it.

The kernel takes up to 4 MiB for a server that takes nothing, half a minute of an ordinary stream,
and a transport the rest: neither tells that a server is dead from that it is slow.
"""

from __future__ import annotations

import socket
import sys
from typing import Any, Final

from ntvmedia.hub.policy import unacknowledged

# tcpi_bytes_acked in Linux's `struct tcp_info` (since 4.1): behind 8 single bytes, 24 words and
# two pacing rates; a number of 8 bytes.
_ACKED_AT: Final = 8 + 24 * 4 + 2 * 8
_ACKED_SIZE: Final = 8


class Progress:
    """Watches one connection.

    Args:
        transport: Of TCP, with TLS or without. One that has no socket is taken to go on.
        now: Monotonic seconds.
    """

    def __init__(self, transport: Any, now: float) -> None:
        carrier = getattr(transport, "transport", None) or transport
        self._socket: Any = getattr(carrier, "socket", None)
        self._acked = -1
        self._at = now

    def idle_seconds(self, now: float) -> float:
        """Return for how long something has waited of which the server took nothing.

        To be called about every second.

        Args:
            now: Monotonic seconds.
        """
        if self._socket is None:
            return 0.0
        try:
            waiting = unacknowledged(self._socket)
            acked = bytes_acknowledged(self._socket)
        except (OSError, ValueError):
            return 0.0  # it is gone, and the reactor is about to say so
        if not waiting or acked != self._acked:
            self._acked, self._at = acked, now
        return now - self._at


def bytes_acknowledged(connection: socket.socket) -> int:
    """Return how many bytes a peer's kernel has taken since the connection was made (tcp(7))."""
    size = _ACKED_AT + _ACKED_SIZE
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
    return int.from_bytes(info[_ACKED_AT:], sys.byteorder)
