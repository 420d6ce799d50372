"""A server in memory whose UDP ports are real ones on 127.0.0.1, and sockets of its clients."""

from __future__ import annotations

import os
import socket
from itertools import count
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.config import RTSPSettings
from ntvmedia.config.reading import PortRange
from ntvmedia.endpoints.rtsp.ports import UDPPorts
from ntvmedia.media import Packet
from ntvmedia.wire.rtsp.messages import Response
from tests.endpoints.rtsp.server import AUDIO, VIDEO, Peer, Server

LOCAL = "127.0.0.1"

# Below what the system gives out, and others for each process that tests at the same time.
_FIRST = 10240 + os.getpid() % 400 * 20
_NEXT = count()


def bound(host: str, port: int) -> socket.socket:
    """Make a socket.

    Raises:
        OSError: The port is taken.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def free_ports(pairs: int) -> PortRange:
    """Find ports that nobody has: so many pairs, the first even."""
    for _try in range(200):
        first = 10240 + (_FIRST + next(_NEXT) * 40) % 18000 // 2 * 2
        found: list[socket.socket] = []
        try:
            found.extend(bound(LOCAL, port) for port in range(first, first + 2 * pairs))
        except OSError:
            continue
        finally:
            for sock in found:
                sock.close()
        return PortRange(first, first + 2 * pairs - 1)
    raise AssertionError("there are no free ports")


class Ends:
    """A client's two sockets for one track.

    Attributes:
        host: Where they are.
        packets: For RTP.
        reports: For RTCP.
        port: Of the first.
    """

    def __init__(self, case: SynchronousTestCase, host: str = LOCAL) -> None:
        self.host = host
        while True:
            self.port = free_ports(1).first
            try:
                self.packets = bound(host, self.port)
            except OSError:
                continue
            try:
                self.reports = bound(host, self.port + 1)
            except OSError:
                self.packets.close()
                continue
            break
        case.addCleanup(self.packets.close)
        case.addCleanup(self.reports.close)

    @property
    def offer(self) -> str:
        """What a client writes of it."""
        return f"RTP/AVP;unicast;client_port={self.port}-{self.port + 1}"

    def rtp(self) -> list[bytes]:
        """Take the packets that came."""
        return taken(self.packets)

    def rtcp(self) -> list[bytes]:
        """Take the reports that came."""
        return taken(self.reports)


def taken(sock: socket.socket) -> list[bytes]:
    """Take all that came on a socket."""
    found = []
    while True:
        try:
            found.append(sock.recv(65535))
        except OSError:
            return found


class UDPCase(SynchronousTestCase):
    """Has a server with some pairs of ports."""

    pairs = 10

    def setUp(self) -> None:
        self.server = self.make()

    def make(self, **settings: Any) -> Server:
        """Make a server."""
        ports = free_ports(self.pairs)
        server = Server(rtsp=RTSPSettings(udp_ports=ports, **settings))
        self.addCleanup(self._close, server)
        return server

    @property
    def ports(self) -> UDPPorts:
        """The server's."""
        found: UDPPorts = self.server.part(UDPPorts)
        return found

    def peer(self, host: str = LOCAL, path: str = "/liveshow/test", local: str = LOCAL) -> Peer:
        """Have somebody connect to an address of the server."""
        peer = self.server.peer(host, path)
        peer.transport.hostAddr = IPv4Address("TCP", local, 8554)
        return peer

    def player(self, ends: dict[int, Ends], host: str = LOCAL) -> Peer:
        """Have somebody play tracks, each with its ends."""
        peer = self.peer(host)
        peer.describe()
        for track, end in ends.items():
            peer.ok("SETUP", f"/trackID={track}", Transport=end.offer)
        peer.ok("PLAY")
        return peer

    def publisher(
        self, ends: list[Ends], path: str = "/liveshow/test", tracks: Any = (VIDEO, AUDIO)
    ) -> tuple[Peer, list[int]]:
        """Have somebody publish; returns the server's port for each track too."""
        peer = self.peer(ends[0].host, path)
        peer.announce(tracks)
        ports = []
        for place, end in enumerate(ends):
            offer = f"{end.offer};mode=record"
            ports.append(server_port(peer.ok("SETUP", f"/trackID={place}", Transport=offer)))
        peer.ok("RECORD", Range="npt=0.000-")
        return peer, ports

    def send(self, peer: Peer, ends: list[Ends], ports: list[int], *packets: Packet) -> None:
        """Publish media, video from the first ends and sound from the second."""
        assert peer.sender is not None
        for packet in packets:
            place = 1 if packet.track is AUDIO else 0
            for data in peer.sender.packets(packet):
                ends[place].packets.sendto(data, (LOCAL, ports[place]))
            # One after the other, as they come in time.
            self.read()

    def read(self) -> None:
        """Let the server read what came for it."""
        for reader in tuple(self.server.reactor.readers):
            reader.doRead()

    def _close(self, server: Server) -> None:
        for connection in tuple(server.factory.connections):
            connection.close("the test is over")
        self.assertEqual(server.reactor.readers, set())
        self.assertEqual(server.part(UDPPorts).pool.free, self.pairs)


def server_port(answer: Response) -> int:
    """Return the even port of the server in an answer to SETUP."""
    fields = answer.headers.get("transport").split(";")
    (ports,) = (field for field in fields if field.startswith("server_port="))
    first, last = ports.partition("=")[2].split("-")
    assert int(last) == int(first) + 1
    assert int(first) % 2 == 0
    return int(first)
