"""Playing from multicast groups, on this machine's loopback interface."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from ipaddress import ip_network
from select import select
from typing import Any

from ntvmedia.access import Application
from ntvmedia.endpoints.rtsp.connection import GOODBYE_SECONDS
from ntvmedia.endpoints.rtsp.multicast import Groups, interface_of
from ntvmedia.enforcement import Enforcement
from ntvmedia.limits import Limits
from ntvmedia.wire.rtp.packets import parse_packet
from ntvmedia.wire.rtp.rtcp import (
    Goodbye,
    ReceiverReport,
    SenderReport,
    build_compound,
    parse_compound,
)
from tests.endpoints.rtsp.server import KEY, Peer, Server, media
from tests.endpoints.rtsp.udp import LOCAL, Ends, UDPCase, taken

OFFER = "RTP/AVP;multicast"
REPORT = build_compound((ReceiverReport(7, ()),))
LIVESHOW = Application("liveshow", rtsp_multicast=True)
# Others for each process that tests at the same time: all that is sent to a group is heard by all.
NETWORK = f"239.192.{os.getpid() % 251}"
GROUP = f"{NETWORK}.0/28"


def fields_of(transport: str) -> dict[str, str]:
    """Read the parameters of a `Transport` header."""
    pairs = (field.partition("=") for field in transport.split(";"))
    return {name: value for name, _mark, value in pairs}


class MulticastCase(UDPCase):
    """Has a server with a few groups."""

    def make(self, **settings: Any) -> Server:
        """Make it."""
        groups = (ip_network(settings.pop("groups", GROUP)),)
        server = super().make(multicast_groups=groups, **settings)
        server.change(LIVESHOW)
        return server

    def joined(self, group: str, port: int) -> socket.socket:
        """Make a client's socket that hears a group."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((group, port))
        request = socket.inet_aton(group) + socket.inet_aton(LOCAL)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        return sock

    def set_up(self, path: str = "/liveshow/test", offer: str = OFFER) -> tuple[Peer, list[Any]]:
        """Have somebody set up all tracks; returns the sockets for packets and reports of each."""
        peer = self.peer(path=path)
        description = peer.describe()
        ends = []
        for place in range(len(description.media)):
            answer = peer.ok("SETUP", f"/trackID={place}", Transport=offer)
            fields = fields_of(answer.headers.get("transport"))
            first, last = map(int, fields["port"].split("-"))
            group = fields["destination"]
            ends.append((self.joined(group, first), self.joined(group, last)))
        return peer, ends


class PlayTests(MulticastCase):
    """One stream, sent once, for all."""

    def test_answer(self) -> None:
        """The server says where: group, ports and time to live; the client's wishes are none."""
        self.server.source()
        peer = self.peer()
        peer.describe()
        offer = f"{OFFER};destination=239.1.2.3;port=9000-9001;ttl=200"
        found = [
            fields_of(peer.ok("SETUP", f"/trackID={x}", Transport=offer).headers.get("transport"))
            for x in (0, 1)
        ]
        self.assertIn("multicast", found[0])
        self.assertEqual([x["destination"] for x in found], [f"{NETWORK}.1"] * 2)
        self.assertEqual([x["ttl"] for x in found], ["1", "1"])
        ports = [x["port"].split("-") for x in found]
        self.assertEqual(len({port for pair in ports for port in pair}), 4)
        self.assertTrue(all(int(first) + 1 == int(last) for first, last in ports))

    def test_plays(self) -> None:
        """Reports, then packets from the keyframe on; nothing before somebody plays."""
        source = self.server.source()
        peer, ends = self.set_up()
        source.send(*media(2200, 2240))
        self.assertEqual(taken(ends[0][0]), [])
        peer.ok("PLAY")
        self.server.reactor.pump([0.01] * 30)
        for packets, reports in ends:
            numbers = [parse_packet(x).sequence_number for x in taken(packets)]
            self.assertGreaterEqual(len(numbers), 5)
            self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
            (report,) = taken(reports)
            self.assertIsInstance(parse_compound(report)[0], SenderReport)

    def test_sent_once(self) -> None:
        """A second player costs nothing: no port, no group, no packet; both are seen."""
        source = self.server.source()
        peers = [self.set_up(), self.set_up()]
        for peer, _ends in peers:
            peer.ok("PLAY")
        self.assertEqual(self.ports.pool.free, self.pairs - 1)
        self.server.reactor.pump([0.01] * 30)
        for _peer, ends in peers:
            taken(ends[1][0])
        source.send(*media(2240, 2280))
        for _peer, ends in peers:
            self.assertEqual(len(taken(ends[1][0])), 1)
        viewers = [x.info.peer for x in self.server.hub.streams[KEY].viewers]
        self.assertEqual(len(viewers), 3)
        self.assertEqual(len([x for x in viewers if x.startswith(f"{NETWORK}.1:")]), 1)

    def test_last_leaves(self) -> None:
        """It is sent to while one plays, whoever began; then all is given back."""
        source = self.server.source()
        (first, ends), (second, _ends) = self.set_up(), self.set_up()
        first.ok("PLAY")
        second.ok("PLAY")
        first.ok("TEARDOWN")
        self.server.reactor.pump([0.01] * 30)
        taken(ends[1][0])
        source.send(*media(2240, 2280))
        self.assertEqual(len(taken(ends[1][0])), 1)
        second.lose()
        source.send(*media(2280, 2320))
        self.assertEqual(taken(ends[1][0]), [])
        self.assertEqual(len(self.server.hub.streams[KEY].viewers), 0)
        self.assertEqual(self.ports.pool.free, self.pairs)
        self.assertEqual(self.server.reactor.readers, set())

    def test_pause(self) -> None:
        """When all pause nothing is sent; it goes on with a keyframe."""
        source = self.server.source()
        peer, ends = self.set_up()
        peer.ok("PLAY")
        peer.ok("PAUSE")
        self.server.reactor.pump([0.01] * 30)
        taken(ends[0][0]), taken(ends[1][0])
        source.send(*media(2240, 2320))
        self.assertEqual(taken(ends[1][0]), [])
        peer.ok("PLAY")
        self.server.reactor.pump([0.01] * 30)
        self.assertGreaterEqual(len(taken(ends[1][0])), 2)

    def test_stream_ends(self) -> None:
        """A goodbye tells so, and all connections end."""
        source = self.server.source()
        (first, ends), (second, _ends) = self.set_up(), self.set_up()
        first.ok("PLAY")
        second.ok("PLAY")
        source.leave()
        self.assertIsInstance(parse_compound(taken(ends[0][1])[-1])[-1], Goodbye)
        self.assertEqual(self.ports.pool.free, self.pairs)
        self.server.reactor.advance(GOODBYE_SECONDS)
        for peer in (first, second):
            self.assertTrue(peer.transport.disconnecting)

    def test_kick(self) -> None:
        """One player may be sent away; or the group, and with it all."""
        self.server.source()
        (first, _ends), (second, _ends2) = self.set_up(), self.set_up()
        first.ok("PLAY")
        second.ok("PLAY")
        viewers = {x.info.peer.partition(":")[0]: x for x in self.server.hub.streams[KEY].viewers}
        viewers[LOCAL].kick("go")
        states = sorted(x.transport.disconnecting for x in (first, second))
        self.assertEqual(states, [False, True])
        viewers[f"{NETWORK}.1"].kick("go")
        states = [x.transport.disconnecting for x in (first, second)]
        self.assertEqual(states, [True, True])
        self.assertEqual(len(self.server.hub.streams[KEY].viewers), 0)


class GroupTests(MulticastCase):
    """Who gets which group."""

    def test_streams_apart(self) -> None:
        """Each stream has a group and ports of its own, and so has each choice of tracks."""
        self.server.source()
        self.server.source(key=KEY._replace(stream="other"))
        found = set()
        for path in ("/liveshow/test", "/liveshow/other", "/liveshow/test?audio=1"):
            peer = self.peer(path=path)
            peer.describe()
            answer = peer.ok("SETUP", "/trackID=0", Transport=OFFER)
            fields = fields_of(answer.headers.get("transport"))
            found.add((fields["destination"], fields["port"]))
        self.assertEqual(len({group for group, _ports in found}), len(found))
        self.assertEqual(len({ports for _group, ports in found}), len(found))

    def test_used_up(self) -> None:
        """Without a group it is 461, or the next that the client offers; then it is free again."""
        self.server = self.make(groups=f"{NETWORK}.9/32")
        self.server.source()
        self.server.source(key=KEY._replace(stream="other"))
        first, _ends = self.set_up()
        second = self.peer(path="/liveshow/other")
        second.describe()
        self.assertEqual(second.ask("SETUP", "/trackID=0", Transport=OFFER).status, 461)
        both = f"{OFFER},{Ends(self).offer}"
        answer = second.ok("SETUP", "/trackID=0", Transport=both)
        self.assertIn("unicast", answer.headers.get("transport"))
        second.ok("TEARDOWN")
        second.session = ""
        first.lose()
        second.describe()
        second.ok("SETUP", "/trackID=0", Transport=OFFER)

    def test_family(self) -> None:
        """A client of IPv6 gets no group of IPv4."""
        self.server.source()
        peer = self.peer("::1", local="::1")
        peer.describe()
        self.assertEqual(peer.ask("SETUP", "/trackID=0", Transport=OFFER).status, 461)
        self.assertEqual(self.ports.pool.free, self.pairs)

    def test_no_ports(self) -> None:
        """Without a pair to send from it is 461, and the group is not lost."""
        self.server.source()
        pairs = [self.ports.take(LOCAL) for _each in range(self.pairs)]
        peer = self.peer()
        peer.describe()
        self.assertEqual(peer.ask("SETUP", "/trackID=0", Transport=OFFER).status, 461)
        for pair in pairs:
            self.ports.pool.give_back(pair)
        for _each in range(20):
            peer, _ends = self.set_up()
            peer.lose()

    def test_off(self) -> None:
        """It is not there unless the application has it; unicast is."""
        self.server.change(replace(LIVESHOW, rtsp_multicast=False))
        self.server.source()
        peer = self.peer()
        peer.describe()
        self.assertEqual(peer.ask("SETUP", "/trackID=0", Transport=OFFER).status, 461)
        ends = Ends(self)
        both = f"{OFFER},{ends.offer}"
        answer = peer.ok("SETUP", "/trackID=0", Transport=both)
        self.assertIn("client_port", answer.headers.get("transport"))

    def test_turned_off(self) -> None:
        """Those who play from a group are sent away; who had not begun does not."""
        self.server.source()
        peers = [self.set_up()[0], self.set_up()[0]]
        peers[0].ok("PLAY")
        self.server.change(replace(LIVESHOW, signed=True))
        self.assertFalse(peers[0].transport.disconnecting)
        self.server.change(replace(LIVESHOW, rtsp_multicast=False))
        self.assertTrue(peers[0].transport.disconnecting)
        self.assertEqual(len(self.server.hub.streams[KEY].viewers), 0)
        self.assertEqual(peers[1].ask("PLAY").status, 404)

    def test_may_no_longer(self) -> None:
        """F-AC-09: members, and players over UDP, leave when a rule changes; the group too."""
        limits = Limits(self.server)
        enforcement = Enforcement(self.server, limits)
        self.addCleanup(enforcement.stopService)
        self.server.source()
        members = [self.set_up()[0], self.set_up()[0]]
        for member in members:
            member.ok("PLAY")
        other = self.peer()
        other.describe()
        other.ok("SETUP", "/trackID=0", Transport=Ends(self).offer)
        other.ok("PLAY")
        # The group is sent to once, and is none of those who asked.
        self.assertEqual(len(self.server.hub.streams[KEY].viewers), 4)
        self.assertEqual(limits.load_of().players, 3)
        self.server.change(replace(LIVESHOW, signed=True))
        self.assertTrue(all(x.transport.disconnecting for x in (*members, other)))
        self.assertEqual(len(self.server.hub.streams[KEY].viewers), 0)
        self.assertEqual(limits.load_of().players, 0)

    def test_publishers(self) -> None:
        """Nobody publishes to a group."""
        peer = self.peer()
        peer.announce()
        answer = peer.ask("SETUP", "/trackID=0", Transport=f"{OFFER};mode=record")
        self.assertEqual(answer.status, 461)

    def test_part(self) -> None:
        """All sections share the groups."""
        self.assertIs(self.server.factory.groups, self.server.part(Groups))


class IPv6Tests(MulticastCase):
    """The same on IPv6, by the interface that the client connected to."""

    def test_interface(self) -> None:
        """By its address, or the zone in it."""
        loopback = socket.if_nametoindex("lo")
        self.assertEqual(interface_of("::1"), loopback)
        self.assertEqual(interface_of("fe80::1%lo"), loopback)
        self.assertEqual(interface_of("fe80::1%7"), 7)
        for host in ("2001:db8::1", "fe80::1%nowhere", "127.0.0.1"):
            self.assertEqual(interface_of(host), 0)

    def test_answer(self) -> None:
        """The group is one of IPv6 where the client came by that; playing ends well.

        Linux sends no multicast of IPv6 on its loopback interface: whether it comes is not tried.
        """
        self.server = self.make(groups="ff15::77:0/112")
        source = self.server.source()
        peer = self.peer(host="::1", local="::1")
        peer.describe()
        answer = peer.ok("SETUP", "/trackID=0", Transport=OFFER)
        fields = fields_of(answer.headers.get("transport"))
        self.assertEqual(fields["destination"], "ff15::77:1")
        peer.ok("PLAY")
        source.send(*media(2200, 2240))
        self.assertFalse(peer.transport.disconnecting)
        peer.ok("TEARDOWN")


class KeepaliveTests(MulticastCase):
    """D-TR-09: reports to the group, or to where packets come from, keep a player."""

    def setUp(self) -> None:
        super().setUp()
        self.source = self.server.source()
        self.peer_, self.ends = self.set_up()
        self.peer_.ok("PLAY")
        self.position = 2200

    def wait(self, seconds: int) -> None:
        """Let time pass while the stream goes on, and let the server read."""
        for _second in range(seconds):
            self.source.send(*media(self.position, self.position + 1000))
            self.position += 1000
            self.server.wait(1)
            self.read()

    def read_what_comes(self) -> None:
        """Let the server read what the system may take a moment to hand over."""
        until = time.monotonic() + 0.1
        while (left := until - time.monotonic()) > 0:
            select(tuple(self.server.reactor.readers), (), (), left)
            self.read()

    def test_silence(self) -> None:
        """After 60 s it is over: our own reports, which come back to us, are no sign of life."""
        self.wait(59)
        self.assertFalse(self.peer_.transport.disconnecting)
        self.wait(3)
        self.assertTrue(self.peer_.transport.disconnecting)

    def test_reports(self) -> None:
        """From the player's address, either way."""
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOCAL))
        group = self.ends[0][1].getsockname()
        _report, server = self.ends[0][1].recvfrom(2000)
        for address in (group, server, group):
            self.wait(50)
            client.sendto(REPORT, address)
            self.read_what_comes()
        self.wait(30)
        self.assertFalse(self.peer_.transport.disconnecting)
