"""Playing over UDP: where to, how fast, for how long, and that ports come back."""

from __future__ import annotations

import socket

from ntvmedia.config.reading import PortRange
from ntvmedia.endpoints.rtsp.connection import GOODBYE_SECONDS
from ntvmedia.endpoints.rtsp.ports import UDPPorts
from ntvmedia.endpoints.rtsp.tunnel import TunnelFactory
from ntvmedia.wire.rtp.packets import parse_packet
from ntvmedia.wire.rtp.rtcp import (
    Goodbye,
    ReceiverReport,
    SenderReport,
    build_compound,
    parse_compound,
)
from tests.endpoints.rtsp.server import KEY, TCP, infos, media, sound
from tests.endpoints.rtsp.udp import LOCAL, Ends, UDPCase, bound, free_ports, server_port, taken

REPORT = build_compound((ReceiverReport(7, ()),))


class PlayTests(UDPCase):
    """A player gets what others get."""

    def test_plays(self) -> None:
        """D-PL-01, D-PL-05, D-PL-08: reports first, then from the keyframe on as was announced."""
        source = self.server.source()
        video, audio = Ends(self), Ends(self)
        peer = self.peer()
        peer.describe()
        answer = peer.ok("SETUP", "/trackID=0", Transport=video.offer)
        self.assertIn("RTP/AVP;unicast;", answer.headers.get("transport"))
        self.assertIn(f"client_port={video.port}-{video.port + 1}", answer.headers.get("transport"))
        peer.ok("SETUP", "/trackID=1", Transport=audio.offer)
        starts = infos(peer.ok("PLAY"))
        for ends in (video, audio):
            (report,) = ends.rtcp()
            self.assertIsInstance(parse_compound(report)[0], SenderReport)
        self.server.reactor.pump([0.01] * 30)
        for place, ends in enumerate((video, audio)):
            packets = [parse_packet(data) for data in ends.rtp()]
            self.assertEqual(packets[0].sequence_number, starts[place].sequence_number)
            numbers = [x.sequence_number for x in packets]
            first = numbers[0]
            self.assertEqual(numbers, [(first + x) % 65536 for x in range(len(numbers))])
            self.assertGreaterEqual(len(packets), 5)
        source.send(*media(2200, 2240))
        self.assertEqual(len(audio.rtp()), 1)
        self.assertEqual(audio.rtp(), [])

    def test_paced(self) -> None:
        """What there was before comes in bursts of 50 ms of media at most."""
        self.server.source().send(sound(2200))
        audio = Ends(self)
        self.player({1: audio, 0: Ends(self)})
        got = len(audio.rtp())
        self.assertLessEqual(got, 2)
        bursts = []
        for _step in range(20):
            self.server.reactor.advance(0.01)
            bursts.append(len(audio.rtp()))
        self.assertLessEqual(max(bursts), 2)
        self.assertGreaterEqual(got + sum(bursts), 5)

    def test_end(self) -> None:
        """At the end of the stream a goodbye tells so, and the ports are back at once.

        The connection ends a little later: GStreamer has something to say in it.
        """
        source = self.server.source()
        video, audio = Ends(self), Ends(self)
        peer = self.player({0: video, 1: audio})
        source.leave()
        for ends in (video, audio):
            compound = parse_compound(ends.rtcp()[-1])
            self.assertIsInstance(compound[-1], Goodbye)
        self.assertEqual(self.ports.pool.free, self.pairs)
        self.assertEqual(peer.ask("PLAY").status, 404)
        peer.ok("PAUSE")
        peer.ok("TEARDOWN")
        self.assertFalse(peer.transport.disconnecting)
        self.server.reactor.advance(GOODBYE_SECONDS)
        self.assertTrue(peer.transport.disconnecting)

    def test_server_stops_at_the_end(self) -> None:
        """When it stops right after, nothing is left that waits."""
        source = self.server.source()
        peer = self.player({0: Ends(self)})
        source.leave()
        peer.protocol.close("the server stops")
        self.assertTrue(peer.transport.disconnecting)
        peer.lose()
        self.assertNotIn("_hang_up", "".join(self.server.pending()))

    def test_pause(self) -> None:
        """Nothing comes in a pause, of the past either; then it goes on at a keyframe."""
        source = self.server.source()
        video, audio = Ends(self), Ends(self)
        peer = self.player({0: video, 1: audio})
        peer.ok("PAUSE")
        video.rtp(), audio.rtp()
        self.server.reactor.pump([0.01] * 30)
        source.send(*media(2200, 2960))
        self.assertEqual((video.rtp(), audio.rtp()), ([], []))
        peer.ok("PLAY")
        source.send(*media(2960, 3080))
        self.assertEqual((len(video.rtp()), len(audio.rtp())), (2, 2))

    def test_counted(self) -> None:
        """The viewer is seen with his bytes, and may be sent away."""
        self.server.source()
        peer = self.player({0: Ends(self), 1: Ends(self)})
        self.server.reactor.pump([0.01] * 30)
        (viewer,) = self.server.hub.streams[KEY].viewers
        self.assertGreater(viewer.bytes_out, 100)
        self.assertEqual((viewer.info.protocol, viewer.info.peer), ("rtsp", peer.protocol.peer))
        viewer.kick("go")
        self.assertTrue(peer.transport.disconnecting)
        self.assertEqual(self.server.kinds()[-1], "PlayEnded")

    def test_shared(self) -> None:
        """All players have one pair of the server's, and one rendition."""
        self.server.source()
        ends = [{0: Ends(self), 1: Ends(self)} for _player in range(3)]
        for each in ends:
            self.player(each)
        self.assertEqual(self.ports.pool.free, self.pairs - 1)
        self.assertEqual(len(self.server.hub.streams[KEY].renditions), 1)
        self.server.reactor.pump([0.01] * 30)
        sent = [[(x[0].rtp(), x[1].rtp())] for x in ends]
        self.assertEqual(sent[0], sent[1])
        self.assertEqual(sent[0], sent[2])


class PortsTests(UDPCase):
    """Which ports a client may name, and what becomes of those of the server."""

    pairs = 2

    def test_impossible_ports(self) -> None:
        """D-TR-06: ports that cannot be are 461, and nothing is taken for them."""
        self.server.source()
        peer = self.peer()
        peer.describe()
        for ports in ("0-0", "65536-65537", "65535-65536", "x", ""):
            offer = f"RTP/AVP;unicast;client_port={ports}"
            self.assertEqual(peer.ask("SETUP", "/trackID=0", Transport=offer).status, 461, ports)
        self.assertEqual(self.ports.pool.free, self.pairs)

    def test_destination(self) -> None:
        """D-TR-06, F-RE-11: whatever a client says, it goes to its own address alone."""
        self.server.source()
        ends = Ends(self)
        other = bound("127.0.0.3", ends.port)
        self.addCleanup(other.close)
        peer = self.peer()
        peer.describe()
        offer = f"{ends.offer};destination=127.0.0.3"
        answer = peer.ok("SETUP", "/trackID=0", Transport=offer)
        self.assertNotIn("destination", answer.headers.get("transport"))
        peer.ok("PLAY")
        self.assertGreaterEqual(len(ends.rtp()), 1)
        self.assertEqual(taken(other), [])

    def test_source_address(self) -> None:
        """It comes from the address that the client connected to, and from the announced port."""
        self.server.source()
        ends = Ends(self)
        peer = self.peer(local="127.0.0.4")
        peer.describe()
        port = server_port(peer.ok("SETUP", "/trackID=0", Transport=ends.offer))
        peer.ok("PLAY")
        self.assertEqual(ends.packets.recvfrom(2000)[1], ("127.0.0.4", port))
        self.assertEqual(ends.reports.recvfrom(2000)[1], ("127.0.0.4", port + 1))

    def test_hole_punching(self) -> None:
        """D-TR-07: what a client sends to open its router disturbs nobody, whatever it is."""
        self.server.source()
        video, audio = Ends(self), Ends(self)
        self.player({0: video, 1: audio})
        (sender,) = {x[1] for x in [video.packets.recvfrom(2000)]}
        for data in (b"\xce\xfa\xed\xfe", b"", bytes(1400)):
            video.packets.sendto(data, sender)
            video.reports.sendto(data, (sender[0], sender[1] + 1))
            self.read()
        self.server.reactor.pump([0.01] * 30)
        self.assertGreaterEqual(len(audio.rtp()), 5)

    def test_two_behind_one_address(self) -> None:
        """D-TR-08: the second with the same ports is refused, or takes TCP: nothing is mixed."""
        self.server.source()
        ends = Ends(self)
        self.player({0: ends})
        second = self.peer()
        second.describe()
        self.assertEqual(second.ask("SETUP", "/trackID=0", Transport=ends.offer).status, 461)
        both = f"{ends.offer},{TCP}0-1"
        answer = second.ok("SETUP", "/trackID=0", Transport=both)
        self.assertIn("interleaved=0-1", answer.headers.get("transport"))

    def test_used_up(self) -> None:
        """D-TR-05: without ports it is 461, so that players take TCP; they do."""
        self.server.source()
        taken_ones = [self.ports.take(LOCAL) for _each in range(2)]
        peer = self.peer()
        peer.describe()
        offer = Ends(self).offer
        self.assertEqual(peer.ask("SETUP", "/trackID=0", Transport=offer).status, 461)
        self.assertIn("Transport", peer.ok("SETUP", "/trackID=0", Transport=f"{TCP}0-1").headers)
        for pair in taken_ones:
            self.ports.pool.give_back(pair)

    def test_back_however_it_ends(self) -> None:
        """D-TR-05: by TEARDOWN, by a lost connection, before PLAY and after it."""
        self.server.source()
        for ending in ("teardown", "vanish", "vanish before"):
            peer = self.peer()
            peer.describe()
            peer.ok("SETUP", "/trackID=0", Transport=Ends(self).offer)
            self.assertEqual(self.ports.pool.free, self.pairs - 1)
            if ending != "vanish before":
                peer.ok("PLAY")
            if ending == "teardown":
                peer.ok("TEARDOWN")
            else:
                peer.lose()
            self.assertEqual(self.ports.pool.free, self.pairs, ending)
            self.assertEqual(len(self.server.hub.streams[KEY].viewers), 0)
            self.assertEqual(self.server.reactor.readers, set())

    def test_again_after_teardown(self) -> None:
        """In the same connection one may begin anew, another way too."""
        self.server.source()
        peer = self.peer()
        for offer in (Ends(self).offer, f"{TCP}0-1", Ends(self).offer):
            peer.describe()
            peer.ok("SETUP", "/trackID=0", Transport=offer)
            peer.ok("PLAY")
            peer.ok("TEARDOWN")
            peer.session = ""
        self.assertEqual(self.ports.pool.free, self.pairs)

    def test_address_of_others(self) -> None:
        """Behind a balancer that hides the server's address it is 461."""
        self.server.source()
        peer = self.peer(local="192.0.2.77")
        peer.describe()
        self.assertEqual(peer.ask("SETUP", "/trackID=0", Transport=Ends(self).offer).status, 461)


class IPv6Tests(UDPCase):
    """The same for a client of IPv6."""

    def test_plays(self) -> None:
        """It is sent to from the address it connected to, and heard."""
        self.server.source()
        first = free_ports(1).first
        ends = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _each in range(2)]
        for number, sock in enumerate(ends):
            self.addCleanup(sock.close)
            sock.settimeout(5)
            sock.bind(("::1", first + number))
        peer = self.peer("::1", local="::1")
        peer.describe()
        offer = f"RTP/AVP;unicast;client_port={first}-{first + 1}"
        port = server_port(peer.ok("SETUP", "/trackID=0", Transport=offer))
        peer.ok("PLAY")
        self.assertEqual(ends[0].recvfrom(2000)[1][:2], ("::1", port))
        self.assertEqual(ends[1].recvfrom(2000)[1][:2], ("::1", port + 1))
        self.server.wait(5)
        ends[1].sendto(REPORT, ("::1", port + 1))
        self.read()
        self.assertEqual(peer.protocol._carriers.heard_at, self.server.reactor.seconds())


class KeepaliveTests(UDPCase):
    """D-TR-09: who is silent for 60 s is ended; all that a client may say keeps it."""

    def setUp(self) -> None:
        super().setUp()
        self.source = self.server.source()
        self.ends = Ends(self)
        self.peer_ = self.player({0: self.ends})
        self.position = 2200

    def wait(self, seconds: int) -> None:
        """Let time pass while the stream goes on."""
        for _second in range(seconds):
            self.source.send(*media(self.position, self.position + 1000))
            self.position += 1000
            self.server.wait(1)

    def test_silence(self) -> None:
        """After 60 s it is over, and the ports are back; not before."""
        self.wait(59)
        self.assertFalse(self.peer_.transport.disconnecting)
        self.wait(3)
        self.assertTrue(self.peer_.transport.disconnecting)
        self.assertEqual(self.ports.pool.free, self.pairs)

    def test_requests(self) -> None:
        """Any of the requests does."""
        for method in ("GET_PARAMETER", "SET_PARAMETER", "OPTIONS", "PLAY"):
            self.wait(50)
            self.peer_.ok(method)
        self.wait(50)
        self.assertFalse(self.peer_.transport.disconnecting)

    def test_reports(self) -> None:
        """So do reports alone, as some players send nothing else."""
        server = self.ends.packets.recvfrom(2000)[1]
        for _turn in range(3):
            self.wait(50)
            self.ends.reports.sendto(REPORT, (server[0], server[1] + 1))
            self.read()
        self.assertFalse(self.peer_.transport.disconnecting)

    def test_reports_of_others(self) -> None:
        """F-RE-11: reports from elsewhere keep nobody."""
        server = self.ends.packets.recvfrom(2000)[1]
        strangers = [bound("127.0.0.5", self.ends.port + 1), bound(LOCAL, 0)]
        for stranger in strangers:
            self.addCleanup(stranger.close)
        for _turn in range(2):
            self.wait(31)
            for stranger in strangers:
                stranger.sendto(REPORT, (server[0], server[1] + 1))
            self.read()
        self.assertTrue(self.peer_.transport.disconnecting)


class SettingsTests(UDPCase):
    """Where there is no UDP, players are told to take TCP."""

    def test_off(self) -> None:
        """D-TR-04: 461, and no port is touched."""
        self.server = self.make(udp=False)
        self.server.source()
        peer = self.peer()
        peer.describe()
        self.assertEqual(peer.ask("SETUP", "/trackID=0", Transport=Ends(self).offer).status, 461)

    def test_with_tls(self) -> None:
        """D-TR-03: never where the connection is TLS."""
        factory = type(self.server.factory)(
            self.server,
            self.server.settings.rtsp,
            "rtsps",
        )
        self.assertIsNone(factory.ports)
        self.assertIsNone(factory.groups)

    def test_in_a_tunnel(self) -> None:
        """D-TR-03: nor where it is a tunnel."""
        factory = TunnelFactory(self.server, self.server.settings.rtsp, "rtsp")
        self.assertIsNone(factory.ports)
        self.assertIsNone(factory.groups)

    def test_without_segmentation(self) -> None:
        """The kernel is not asked to cut anything where the operator does not want it."""
        self.server = self.make(udp_segmentation=False)
        sending = self.ports.sending(LOCAL)
        self.assertFalse(sending.sockets.segmented)
        self.ports.sent(sending)

    def test_range(self) -> None:
        """The ports are those of the settings."""
        ports = self.server.settings.rtsp.udp_ports
        self.assertIsInstance(ports, PortRange)
        sending = self.server.part(UDPPorts).sending(LOCAL)
        self.assertEqual(sending.pair.port, ports.first)
        self.ports.sent(sending)
