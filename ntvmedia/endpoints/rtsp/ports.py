"""UDP ports: pairs of them, who sends through which, and what is read from them.

RTP has an even port, and RTCP the next one (RFC 3550 section 11). A socket is bound to the address
that its client connected to: what is sent comes from where the client expects it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from ntvmedia.config.reading import PortRange
from ntvmedia.errors import Refused
from ntvmedia.hub.datagram_sockets import DatagramSockets, can_segment
from ntvmedia.hub.many_messages import Address, SocketMessages, has_many_messages

# The largest that UDP has.
_MAX_DATAGRAM: Final = 65535

# Datagrams read in one turn of the reactor: 5 ms of work at most, and then the others.
_MAX_READS: Final = 200

# What a publisher sends while the reactor is busy: half a second at 32 Mb/s. Linux allows less
# unless net.core.rmem_max is raised, and takes that silently.
_RECEIVE_BYTES: Final = 2 << 20

# Of all players: Linux allows less, as above.
_SEND_BYTES: Final = 4 << 20

# The least that Linux has: for what is not read.
_NO_BYTES: Final = 2304

# Another socket has it, or it is not for us.
_TAKEN: Final = frozenset({errno.EADDRINUSE, errno.EACCES})

_log = Logger()


class NoPorts(Refused):
    """There is no pair of ports for a client; it may take TCP."""


class PortPair:
    """Two sockets, not blocking, on an even port and the next one.

    Attributes:
        host: Where they are bound.
        port: The even one.
        packets: Its socket.
        reports: That of the next port.
    """

    def __init__(self, host: str, port: int) -> None:
        """Bind them.

        Raises:
            OSError: One of them is taken, or the address is not this machine's.
        """
        self.host = host
        self.port = port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.packets = socket.socket(family, socket.SOCK_DGRAM)
        self.reports = socket.socket(family, socket.SOCK_DGRAM)
        try:
            for sock, number in ((self.packets, port), (self.reports, port + 1)):
                sock.setblocking(False)
                sock.bind((host, number))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close both. Idempotent."""
        self.packets.close()
        self.reports.close()


class PortPool:
    """The pairs that there are.

    Args:
        ports: Where they are from.
    """

    def __init__(self, ports: PortRange) -> None:
        self._free = dict.fromkeys(range(ports.first + ports.first % 2, ports.last, 2))

    @property
    def free(self) -> int:
        """How many pairs nobody has."""
        return len(self._free)

    def take(self, host: str) -> PortPair:
        """Bind a pair: the one that is free for the longest time.

        What is still under way to its last owner is not for the next one, then.

        Args:
            host: An address of this machine.

        Raises:
            NoPorts: All are taken, by us or by others, or there is no such address.
        """
        for port in tuple(self._free):
            try:
                pair = PortPair(host, port)
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise NoPorts(f"no ports on {host}: {error.strerror}") from None
                # Another program has it: it is not looked at again for a while.
                del self._free[port]
                self._free[port] = None
            else:
                del self._free[port]
                return pair
        raise NoPorts("there are no ports left")

    def give_back(self, pair: PortPair) -> None:
        """Close a pair. To be called once for each."""
        pair.close()
        self._free[pair.port] = None


@implementer(IReadDescriptor)
class DatagramReader:
    """Reads what comes on a socket.

    Args:
        reactor: Tells when there is something; an `IReactorFDSet`.
        sock: Not blocking. Somebody else closes it, after `stop`.
        received: Called with each datagram and the address that it is from.
        ended: Called when all that was there is read.
    """

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        received: Callable[[bytes, Address], None],
        ended: Callable[[], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._socket = sock
        self._received = received
        self._ended = ended
        self._stopped = False
        reactor.addReader(self)

    def stop(self) -> None:
        """Read no more. Idempotent."""
        if not self._stopped:
            self._stopped = True
            self._reactor.removeReader(self)

    # What the reactor calls

    def fileno(self) -> int:
        return self._socket.fileno()

    def doRead(self) -> None:
        receive = self._socket.recvfrom
        try:
            for _datagram in range(_MAX_READS):
                if self._stopped:
                    return
                try:
                    data, address = receive(_MAX_DATAGRAM)
                except OSError:
                    # There is no more; or somebody's kernel has nobody for what we sent.
                    break
                self._received(data, address)
            if self._ended is not None and not self._stopped:
                self._ended()
        except Exception:
            # The reactor would close what is a bug of ours, and nothing would be read any more.
            _log.failure("a datagram could not be read")

    def connectionLost(self, reason: object) -> None:
        """Go on: the reactor takes an ICMP message, which anybody may send, for the end."""
        if self._stopped or self._socket.fileno() < 0:
            self._stopped = True
            return
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # which forgets it
        self._reactor.addReader(self)

    def logPrefix(self) -> str:
        return "datagrams"


class SendingPorts:
    """The pair through which all players of one local address are sent to.

    Args:
        reactor: As of `DatagramReader`.
        pair: Given back by `UDPPorts`.
        segmented: As wished; it is the kernel's to allow it.
        most_waiting: As in `DatagramSockets`.

    Attributes:
        pair: As given.
        sockets: For outlets.
        users: Sessions that use it.
    """

    def __init__(self, reactor: Any, pair: PortPair, *, segmented: bool, most_waiting: int) -> None:
        self.pair = pair
        self.users = 0
        # What players send to the even port, to open their routers for what comes from it, is
        # never read: it costs nothing there (D-TR-07, F-RE-11).
        set_buffers(pair.packets, sent=_SEND_BYTES, received=_NO_BYTES)
        segmented = segmented and can_segment(pair.packets)
        many = None
        if has_many_messages():
            many = SocketMessages(pair.packets, segmented=segmented)
        self.sockets = DatagramSockets(
            reactor,
            pair.packets,
            pair.reports,
            segmented=segmented,
            most_waiting=most_waiting,
            many=many,
        )
        self._reader = DatagramReader(reactor, pair.reports, self._report_received)
        self._owners: dict[tuple[str, int], object] = {}
        self._heard: dict[tuple[str, int], Callable[[], None]] = {}

    def claim(
        self, owner: object, addresses: Sequence[tuple[str, int]], heard: Callable[[], None]
    ) -> bool:
        """Have two ports of a client for one session; it may do so again for its other tracks.

        Args:
            owner: The session.
            addresses: The client's two.
            heard: Called when a report comes from the second.

        Returns:
            Whether no other session has one of them: two would be mixed there (D-TR-08).
        """
        if any(self._owners.get(address, owner) is not owner for address in addresses):
            return False
        self._owners.update(dict.fromkeys(addresses, owner))
        self._heard[addresses[1]] = heard
        return True

    def give_up(self, owner: object) -> None:
        """Let go of all ports of a session. Idempotent."""
        for address in [x for x, found in self._owners.items() if found is owner]:
            del self._owners[address]
            self._heard.pop(address, None)

    def close(self) -> None:
        """Read and send nothing more."""
        self._reader.stop()
        self.sockets.close()

    def _report_received(self, data: bytes, address: Address) -> None:
        heard = self._heard.get((host_of_address(address), address[1]))
        if heard is not None and is_report(data):
            heard()


class UDPPorts:
    """All of a server's; `host.part(UDPPorts)`.

    Args:
        host: An `ntvmedia.interfaces.IHost`.

    Attributes:
        pool: For publishers.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self.pool = PortPool(host.settings.rtsp.udp_ports)
        self._sending: dict[str, SendingPorts] = {}

    @property
    def reactor(self) -> Any:
        """The server's."""
        return self._host.reactor

    def take(self, local: str) -> PortPair:
        """Return a pair to receive on, with large buffers; as of `PortPool.take`."""
        pair = self.pool.take(local)
        set_buffers(pair.packets, received=_RECEIVE_BYTES)
        return pair

    def sending(self, local: str) -> SendingPorts:
        """Return what sends from an address, for one session more.

        Raises:
            NoPorts: There is none for it.
        """
        found = self._sending.get(local)
        if found is None:
            host = self._host
            found = SendingPorts(
                host.reactor,
                self.pool.take(local),
                segmented=host.settings.rtsp.udp_segmentation,
                most_waiting=host.hub.outlet_policy.queue_bytes,
            )
            self._sending[local] = found
        found.users += 1
        return found

    def sent(self, sending: SendingPorts) -> None:
        """Count one session less; the last one gives the pair back."""
        sending.users -= 1
        if not sending.users:
            sending.close()
            del self._sending[sending.pair.host]
            self.pool.give_back(sending.pair)


def host_of_address(address: Address) -> str:
    """Return the host of a socket's address, without zone."""
    host: str = address[0]
    return host.partition("%")[0]


def is_report(data: bytes) -> bool:
    """Whether a datagram begins as RTCP does: version 2, and one of its packet types."""
    return len(data) >= 4 and data[0] & 0xC0 == 0x80 and 200 <= data[1] <= 207


def set_buffers(sock: socket.socket, *, sent: int = 0, received: int = 0) -> None:
    """Wish for buffers of some sizes in bytes; 0 leaves one as it is."""
    for option, size in ((socket.SO_SNDBUF, sent), (socket.SO_RCVBUF, received)):
        if size:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, option, size)
