"""What one session publishes over UDP: a pair of ports for each track, and who may send to them.

Packets are taken from the address of the RTSP connection alone. A router in between may have
changed the ports that the client announced, so the port is that of the first packet (D-TR-07);
from then on the kernel drops all others, before they cost anything (F-RE-11).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall

from ntvmedia.endpoints.rtsp.ports import (
    DatagramReader,
    PortPair,
    UDPPorts,
    host_of_address,
    is_report,
)
from ntvmedia.endpoints.rtsp.publishing import Incoming
from ntvmedia.hub.datagram_sockets import send_datagram
from ntvmedia.hub.many_messages import Address
from ntvmedia.hub.publication import Publication
from ntvmedia.wire.rtsp.transport import Transport


class _Track:
    """One track: its pair, and where its packets and reports come from."""

    def __init__(self, receiving: UDPReceiving, place: int, pair: PortPair) -> None:
        self.pair = pair
        # Where reports go to: where the client says, until one comes from somewhere else.
        self.reports_to: Address | None = None
        self._receiving = receiving
        self._place = place
        self._packets_from: Address | None = None
        reactor = receiving.ports.reactor
        self._readers = (
            DatagramReader(reactor, pair.packets, self._packet_received, receiving.batch_ended),
            DatagramReader(reactor, pair.reports, self._report_received),
        )

    def close(self) -> None:
        for reader in self._readers:
            reader.stop()

    def _packet_received(self, data: bytes, address: Address) -> None:
        if address != self._packets_from:
            if self._packets_from is not None or not self._is_from_peer(address, data):
                return
            self._packets_from = address
            # Without it, each of the others is compared above: that is all that it saves.
            with contextlib.suppress(OSError):
                self.pair.packets.connect(address)
        self._receiving.packet_received(self._place, data)

    def _report_received(self, data: bytes, address: Address) -> None:
        if host_of_address(address) == self._receiving.peer and is_report(data):
            self.reports_to = address
            self._receiving.report_received(self._place, data)

    def _is_from_peer(self, address: Address, data: bytes) -> bool:
        """Whether a packet is of the publisher, and not before it records."""
        host = host_of_address(address)
        # Some open their router with reports sent to the wrong port, or with text.
        is_packet = len(data) >= 12 and data[0] & 0xC0 == 0x80 and not is_report(data)
        return host == self._receiving.peer and is_packet and self._receiving.takes_packets


class UDPReceiving:
    """The ports of one session that publishes.

    Args:
        ports: Of the server.
        incoming: What takes the packets.
        local: The address of this server that the client connected to.
        peer: Whence it did.

    Attributes:
        ports: As given.
        peer: As given.
    """

    def __init__(self, ports: UDPPorts, incoming: Incoming, local: str, peer: str) -> None:
        self.ports = ports
        self.peer = peer
        self._incoming = incoming
        self._local = local
        self._tracks: dict[int, _Track] = {}
        self._publication: Callable[[], Publication | None] = lambda: None
        self._timer: IDelayedCall | None = None

    @property
    def takes_packets(self) -> bool:
        """Whether the client has begun to record."""
        return self._publication() is not None

    def set_up(self, place: int, offer: Transport) -> Transport:
        """Get a pair for a track; returns the server's answer.

        Args:
            place: Of it.
            offer: With the client's ports.

        Raises:
            NoPorts: There is none.
        """
        assert offer.client_port is not None
        self._give_back(self._tracks.pop(place, None))  # of a SETUP that was refused after this
        pair = self.ports.take(self._local)
        self._tracks[place] = track = _Track(self, place, pair)
        track.reports_to = (self.peer, offer.client_port[1])
        return offer._replace(server_port=(pair.port, pair.port + 1))

    def record(self, publication: Callable[[], Publication | None]) -> None:
        """Take packets from now on.

        Args:
            publication: Returns where to, or None when nothing is wanted any more.
        """
        self._publication = publication

    def report(self, place: int, data: bytes) -> None:
        """Send a report about a track to the publisher."""
        track = self._tracks.get(place)
        if track is not None and track.reports_to is not None:
            send_datagram(track.pair.reports, data, track.reports_to)

    def close(self) -> None:
        """Give all ports back. Idempotent."""
        tracks, self._tracks = self._tracks, {}
        for track in tracks.values():
            self._give_back(track)
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    # What tracks call

    def packet_received(self, place: int, data: bytes) -> None:
        """Pass a packet on."""
        publication = self._publication()
        if publication is not None:
            self._incoming.packet_received(place, data, self.ports.reactor.seconds(), publication)

    def report_received(self, place: int, data: bytes) -> None:
        """Pass a report on."""
        self._incoming.report_received(place, data, self.ports.reactor.seconds())

    def batch_ended(self) -> None:
        """Send on what is complete; what waits for a lost packet does so for a while only."""
        publication = self._publication()
        if publication is None:
            return
        publication.batch_ended()
        due = self._incoming.next_timeout()
        if due is not None and self._timer is None and self._tracks:
            reactor = self.ports.reactor
            self._timer = reactor.callLater(max(0.0, due - reactor.seconds()), self._timed_out)

    def _give_back(self, track: _Track | None) -> None:
        if track is not None:
            track.close()
            self.ports.pool.give_back(track.pair)

    def _timed_out(self) -> None:
        self._timer = None
        publication = self._publication()
        if publication is not None:
            self._incoming.handle_timeout(self.ports.reactor.seconds(), publication)
            self.batch_ended()
