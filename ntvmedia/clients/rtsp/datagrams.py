"""A pair of UDP ports for one track: RTP on an even one, RTCP on the next (RFC 3550 section 11).

Datagrams are taken from the address of the RTSP connection alone, and are sent nowhere else,
whatever host a server names: else it could have us flood others. A router in between may change
its ports, so that of RTP is the one of the first packet (D-TR-07).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol

from ntvmedia.clients.rtsp.options import RTSPError

# The largest that UDP has.
_MAX_DATAGRAM: Final = 65535

# The ports that nobody has by rights (RFC 6335 section 6).
_FIRST_PORT: Final = 49152
_PAIRS: Final = (65536 - _FIRST_PORT) // 2

# With half of them taken, none of a million sessions finds no pair in so many tries.
_TRIES: Final = 40

# What comes while the reactor is busy: half a second at 32 Mb/s. Linux allows less unless
# net.core.rmem_max is raised, and takes that silently.
_BUFFER_BYTES: Final = 2 << 20


class DatagramPair:
    """Two ports.

    Args:
        reactor: An `IReactorUDP`.
        local: Address of this machine to bind to: that of the connection to the server.
        peer: Address of the server.
        random: Returns as many unpredictable bytes as it is asked for.
        received: Called with each datagram of the server, and whether it is of RTCP.

    Raises:
        RTSPError: There are no ports.

    Attributes:
        ports: RTP's and RTCP's.
    """

    def __init__(
        self,
        reactor: Any,
        local: str,
        peer: str,
        random: Callable[[int], bytes],
        received: Callable[[bytes, bool], None],
    ) -> None:
        self._ends = (_End(peer, received, is_rtcp=False), _End(peer, received, is_rtcp=True))
        for _try in range(_TRIES):
            port = _FIRST_PORT + 2 * (int.from_bytes(random(4), "big") % _PAIRS)
            self.ports = (port, port + 1)
            if self._bind(reactor, local):
                return
        raise RTSPError("there are no UDP ports left on this machine")

    def send_to(self, ports: tuple[int, int]) -> None:
        """Send to these ports of the server, until its own packets come from others."""
        for end, port in zip(self._ends, ports, strict=True):
            end.target = port

    def write_packet(self, data: bytes) -> None:
        """Write an RTP packet to the server, once its port is known."""
        self._ends[0].write(data)

    def write_report(self, data: bytes) -> None:
        """Write an RTCP compound, likewise."""
        self._ends[1].write(data)

    def close(self) -> None:
        """Give both ports back. Idempotent."""
        for end in self._ends:
            end.close()

    def _bind(self, reactor: Any, local: str) -> bool:
        try:
            for end, port in zip(self._ends, self.ports, strict=True):
                reactor.listenUDP(port, end, interface=local, maxPacketSize=_MAX_DATAGRAM)
        except CannotListenError:
            self.close()
            return False
        return True


class _End(DatagramProtocol):
    """One of the two.

    Attributes:
        target: The server's port; 0 while it is not known.
    """

    noisy = False

    def __init__(self, peer: str, received: Callable[[bytes, bool], None], *, is_rtcp: bool):
        self.target = 0
        self._peer = peer
        self._received = received
        self._is_rtcp = is_rtcp
        self._from = 0

    def startProtocol(self) -> None:
        port: Any = self.transport
        handle = port.getHandle()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            with contextlib.suppress(OSError):
                handle.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        host, port = addr[0].partition("%")[0], addr[1]
        if host != self._peer or is_report(datagram) is not self._is_rtcp:
            return
        if port != self._from:
            if self._from and not self._is_rtcp:
                return
            self._from = self.target = port
        self._received(datagram, self._is_rtcp)

    def write(self, data: bytes) -> None:
        port: Any = self.transport
        if port is not None and self.target:
            # A full buffer or a lost network: datagrams get lost.
            with contextlib.suppress(OSError):
                port.write(data, (self._peer, self.target))

    def close(self) -> None:
        port: Any = self.transport
        if port is not None:
            self.transport = None
            port.stopListening()


def is_report(data: bytes) -> bool:
    """Whether a datagram begins as RTCP does: version 2, and one of its packet types."""
    return len(data) >= 4 and data[0] & 0xC0 == 0x80 and 200 <= data[1] <= 207
