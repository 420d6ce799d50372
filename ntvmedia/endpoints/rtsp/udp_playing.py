"""What one session plays over UDP: to ports of its client, and nobody else's.

A client says which ports it listens on; where they are is known from its connection, whatever it
says (D-TR-06, D-TR-07). All sessions send through the same two ports of the server, and are told
apart by where their reports come from.
"""

from __future__ import annotations

from collections.abc import Callable

from ntvmedia.endpoints.rtsp.ports import NoPorts, UDPPorts
from ntvmedia.hub.datagrams import DatagramOutlet
from ntvmedia.hub.many_messages import Address
from ntvmedia.wire.rtsp.transport import Transport


class UDPPlaying:
    """The ports of one session that plays.

    Args:
        ports: Of the server.
        local: The address of this server that the client connected to.
        peer: Whence it did.
        broken: Called when what is sent has to end because of a bug.

    Raises:
        NoPorts: There are none to send from.

    Attributes:
        heard_at: Monotonic seconds when a report came last; 0 before.
    """

    __slots__ = (
        "_addresses",
        "_broken",
        "_closed",
        "_outlet",
        "_peer",
        "_ports",
        "_sending",
        "heard_at",
    )

    def __init__(self, ports: UDPPorts, local: str, peer: str, broken: Callable[[], None]) -> None:
        self.heard_at = 0.0
        self._ports = ports
        self._peer = peer
        self._broken = broken
        self._addresses: dict[int, Address] = {}
        self._outlet: DatagramOutlet | None = None
        self._sending = ports.sending(local)
        self._closed = False

    @property
    def channels(self) -> dict[int, int]:
        """Which channel of blocks the packets of each track are on: by its place."""
        return {channel // 2: channel for channel in self._addresses if not channel & 1}

    def set_up(self, place: int, offer: Transport) -> Transport:
        """Get ready for a track; returns the server's answer.

        Args:
            place: Of it.
            offer: With the client's ports.

        Raises:
            NoPorts: Another session has those.
        """
        wanted = offer.client_port
        assert wanted is not None
        addresses = [(self._peer, port) for port in wanted]
        if not self._sending.claim(self, addresses, self._heard):
            raise NoPorts("another session plays to those ports")
        self._addresses.update(enumerate(addresses, 2 * place))
        port = self._sending.pair.port
        return offer._replace(server_port=(port, port + 1))

    def outlet(self) -> DatagramOutlet:
        """Return the way out, when all tracks are set up."""
        if self._outlet is None:
            self._outlet = DatagramOutlet(self._sending.sockets, self._addresses, self._broken)
        return self._outlet

    def close(self) -> None:
        """Send nothing more, and let go of all ports. Idempotent."""
        if not self._closed:
            self._closed = True
            if self._outlet is not None:
                self._outlet.close()
            self._sending.give_up(self)
            self._ports.sent(self._sending)

    def _heard(self) -> None:
        self.heard_at = self._ports.reactor.seconds()
