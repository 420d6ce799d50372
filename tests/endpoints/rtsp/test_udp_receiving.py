"""Publishing over UDP: from whom, in what order, for how long, and that ports come back."""

from __future__ import annotations

from ntvmedia.media import MediaKind
from ntvmedia.wire.rtp.rtcp import ReceiverReport, SourceDescription, parse_compound
from tests.endpoints.rtsp.server import AUDIO, KEY, TCP, VIDEO, WALL_CLOCK, Peer, frame, media
from tests.endpoints.rtsp.udp import LOCAL, Ends, UDPCase, bound, free_ports


class PublishTests(UDPCase):
    """A stream comes into being."""

    def setUp(self) -> None:
        super().setUp()
        self.ends = [Ends(self), Ends(self)]

    def begin(self) -> tuple[Peer, list[int]]:
        """Have somebody publish."""
        return self.publisher(self.ends)

    def kept(self, kind: MediaKind = MediaKind.VIDEO) -> list[bytes]:
        """Payloads of one kind that the hub keeps of the stream."""
        backlog = self.server.hub.streams[KEY].backlog
        return [x.payload for x in backlog if x.track.kind is kind]

    def test_publishes(self) -> None:
        """D-RT-13: the packets are the hub's, as they were sent."""
        peer, ports = self.begin()
        self.send(peer, self.ends, ports, *media(0, 400))
        for kind in (MediaKind.VIDEO, MediaKind.AUDIO):
            sent = [x.payload for x in media(0, 400) if x.track.kind is kind]
            came = self.kept(kind)
            # The first sound may be there before the first picture is known to be whole.
            self.assertEqual(came, sent[-len(came) :])
            self.assertGreaterEqual(len(came), len(sent) - 1)

    def test_not_before_record(self) -> None:
        """What comes before RECORD is thrown away, and makes nobody the sender."""
        stranger = bound(LOCAL, 0)
        self.addCleanup(stranger.close)
        peer = self.peer()
        peer.announce((VIDEO,))
        offer = f"{self.ends[0].offer};mode=record"
        answer = peer.ok("SETUP", "/trackID=0", Transport=offer)
        port = int(answer.headers.get("transport").partition("server_port=")[2].split("-")[0])
        assert peer.sender is not None
        early = peer.sender.packets(frame(0, is_keyframe=True))
        stranger.sendto(early[0], (LOCAL, port))
        self.read()
        peer.ok("RECORD")
        self.send(peer, self.ends, [port], frame(40, is_keyframe=True), frame(80), frame(120))
        wanted = (frame(40, is_keyframe=True), frame(80), frame(120))
        self.assertEqual(self.kept(), [x.payload for x in wanted])

    def test_latch(self) -> None:
        """D-TR-07: the port is that of the first packet, whatever was announced; then only that."""
        peer, ports = self.begin()
        changed = [bound(LOCAL, 0), bound(LOCAL, 0)]
        for sock in changed:
            self.addCleanup(sock.close)
        announced, self.ends[0].packets = self.ends[0].packets, changed[0]
        self.send(peer, self.ends, ports, *media(0, 200))
        before = self.kept()
        self.assertGreaterEqual(len(before), 3)
        for sock in (announced, changed[1]):
            self.ends[0].packets = sock
            self.send(peer, self.ends, ports, frame(1000, is_keyframe=True), frame(1040))
        self.assertEqual(self.kept(), before)

    def test_other_hosts(self) -> None:
        """F-RE-11: a flood from other addresses is dropped, before the first packet and after."""
        peer, ports = self.begin()
        stranger = bound("127.0.0.5", 0)
        self.addCleanup(stranger.close)
        assert peer.sender is not None
        evil = peer.sender.packets(frame(0, is_keyframe=True))[-1]
        for _packet in range(500):
            stranger.sendto(evil, (LOCAL, ports[0]))
            stranger.sendto(evil, (LOCAL, ports[0] + 1))
            self.read()
        self.assertEqual(self.server.hub.streams[KEY].tracks, [])
        self.send(peer, self.ends, ports, *media(40, 240, group=40))
        self.assertGreaterEqual(len(self.kept(MediaKind.AUDIO)), 1)
        before = self.server.hub.streams[KEY].bytes_in
        for _packet in range(100):
            stranger.sendto(evil, (LOCAL, ports[0]))
        self.read()
        self.assertEqual(self.server.hub.streams[KEY].bytes_in, before)

    def test_kernel_drops_others(self) -> None:
        """F-RE-11: once the sender is known, the kernel takes nothing from others at all."""
        peer, ports = self.begin()
        self.send(peer, self.ends, ports, *media(0, 80))
        (reader,) = (x for x in self.server.reactor.readers if _port(x) == ports[0])
        self.assertEqual(reader._socket.getpeername(), (LOCAL, self.ends[0].port))

    def test_first_packet_is_no_text(self) -> None:
        """D-TR-07: what opens a router, or went to the wrong port, is not the sender's packet."""
        peer, ports = self.begin()
        opener = bound(LOCAL, 0)
        self.addCleanup(opener.close)
        for data in (b"", b"\xce\xfa\xed\xfe", b"\x80\xc9" + bytes(30), b"hello, hello, hello"):
            opener.sendto(data, (LOCAL, ports[0]))
        self.read()
        self.send(peer, self.ends, ports, *media(0, 200))
        self.assertGreaterEqual(len(self.kept()), 3)

    def test_two_behind_one_address(self) -> None:
        """D-TR-08: two publishers of one address are two streams, whatever ports they announce."""
        first, ports = self.begin()
        others = [Ends(self), Ends(self)]
        announced = [self.ends[0].port, self.ends[1].port]
        for ends, port in zip(others, announced, strict=True):
            ends.port = port
        second, other_ports = self.publisher(others, "/liveshow/other")
        self.assertEqual(set(ports) & set(other_ports), set())
        self.send(first, self.ends, ports, *media(0, 200))
        self.send(second, others, other_ports, *media(5000, 5200))
        streams = {str(key): x for key, x in self.server.hub.streams.items()}
        found = {
            name: [x.payload for x in stream.backlog if x.track.kind is MediaKind.AUDIO][-2:]
            for name, stream in streams.items()
        }
        wanted = [[x.payload for x in media(at, at + 80) if x.track is AUDIO] for at in (120, 5120)]
        self.assertEqual(found, dict(zip(("liveshow/test", "liveshow/other"), wanted, strict=True)))


class OrderTests(UDPCase):
    """D-RT-03: what is out of order is put in order; what is lost is waited for, but not long."""

    def setUp(self) -> None:
        super().setUp()
        self.ends = [Ends(self)]
        self.peer_, self.ports_ = self.publisher(self.ends, tracks=(VIDEO,))
        assert self.peer_.sender is not None
        self.packets = [
            data
            for time in range(0, 400, 40)
            for data in self.peer_.sender.packets(frame(time, is_keyframe=not time))
        ]

    def deliver(self, *numbers: int) -> None:
        """Let some packets arrive."""
        for number in numbers:
            self.ends[0].packets.sendto(self.packets[number], (LOCAL, self.ports_[0]))
        self.read()

    def kept(self) -> int:
        """How many pictures came through."""
        return len(self.server.hub.streams[KEY].backlog)

    def test_order(self) -> None:
        """Neighbours that changed places, and twins, do no harm."""
        count = len(self.packets)
        order = list(range(count))
        order[3], order[4] = order[4], order[3]
        self.deliver(*order[:6], order[5], *order[6:])
        self.assertGreaterEqual(self.kept(), 9)
        self.assertEqual(self.server.reactor.getDelayedCalls(), self.waiting())

    def waiting(self) -> list[object]:
        """Timers that have nothing to do with what was received."""
        calls = self.server.reactor.getDelayedCalls()
        return [x for x in calls if "_timed_out" not in str(x)]

    def test_lost(self) -> None:
        """What follows a lost packet goes on after 100 ms though nothing more comes."""
        count = len(self.packets)
        self.deliver(*range(count - 4), *range(count - 3, count))
        before = self.kept()
        self.server.reactor.advance(0.09)
        self.assertEqual(self.kept(), before)
        self.server.reactor.advance(0.02)
        self.assertGreater(self.kept(), before)
        self.assertEqual(self.server.reactor.getDelayedCalls(), self.waiting())

    def test_closed_while_waiting(self) -> None:
        """When the publisher leaves meanwhile, no timer is left."""
        self.deliver(*range(3), 4, 5)
        self.assertNotEqual(self.server.reactor.getDelayedCalls(), self.waiting())
        self.peer_.ok("TEARDOWN")
        self.assertEqual(self.server.reactor.getDelayedCalls(), self.waiting())


class LifeTests(UDPCase):
    """How long a publisher is taken for alive, and what he is told."""

    def setUp(self) -> None:
        super().setUp()
        self.ends = [Ends(self), Ends(self)]
        self.peer_, self.ports_ = self.publisher(self.ends)

    def go_on(self, start: int, seconds: int) -> None:
        """Publish for some seconds, without a word of RTSP."""
        for second in range(start, start + seconds):
            at = second * 1000
            self.send(self.peer_, self.ends, self.ports_, *media(at, at + 1000))
            self.server.wait(1)

    def test_packets_are_life(self) -> None:
        """D-TR-10: `ffmpeg -f rtsp` sends no keepalives: its packets are as good."""
        self.go_on(0, 130)
        self.assertFalse(self.peer_.transport.disconnecting)

    def test_silence(self) -> None:
        """Without them he is sent away, and his ports are free."""
        self.go_on(0, 3)
        self.server.wait(15)
        self.assertTrue(self.peer_.transport.disconnecting)
        self.assertEqual(self.ports.pool.free, self.pairs)

    def test_reports_come(self) -> None:
        """Every 5 s each track is reported to the port that was announced for it."""
        self.go_on(0, 12)
        for ends in self.ends:
            found = ends.rtcp()
            self.assertIn(len(found), (2, 3))
            report, description = parse_compound(found[-1])
            assert isinstance(report, ReceiverReport)
            self.assertIsInstance(description, SourceDescription)
            self.assertEqual(report.blocks[0].packets_lost, 0)
            self.assertEqual(ends.rtp(), [])

    def test_reports_go_where_they_come_from(self) -> None:
        """D-TR-07: behind a router the port for reports is another one too."""
        changed = bound(LOCAL, 0)
        stranger = bound("127.0.0.5", 0)
        for sock in (changed, stranger):
            self.addCleanup(sock.close)
        assert self.peer_.sender is not None
        self.go_on(0, 1)
        report = self.peer_.sender.report(VIDEO, WALL_CLOCK)
        changed.sendto(report, (LOCAL, self.ports_[0] + 1))
        stranger.sendto(report, (LOCAL, self.ports_[0] + 1))
        changed.sendto(b"open, please", (LOCAL, self.ports_[0] + 1))
        self.read()
        for ends in self.ends:
            ends.rtcp()
        self.go_on(1, 6)
        (data,) = [changed.recv(2000)]
        (report_, _description) = parse_compound(data)
        assert isinstance(report_, ReceiverReport)
        self.assertNotEqual(report_.blocks[0].last_report, 0)
        self.assertEqual(self.ends[0].rtcp(), [])
        self.assertRaises(OSError, stranger.recv, 2000)


class PoolTests(UDPCase):
    """D-TR-05: ten pairs, twenty clients; half of them end, half of them vanish."""

    def test_twenty_clients(self) -> None:
        """Ten publish, ten are told 461; when all have left, all pairs are there again."""
        peers = []
        for number in range(20):
            peer = self.peer(path=f"/liveshow/number{number}")
            peer.announce((AUDIO,))
            offer = f"RTP/AVP;unicast;client_port={5000 + 2 * number}-{5001 + 2 * number}"
            answer = peer.ask("SETUP", "/trackID=0", Transport=f"{offer};mode=record")
            self.assertEqual(answer.status, 200 if number < 10 else 461)
            if number < 10:
                peer.ok("RECORD")
            peers.append(peer)
        self.assertEqual(self.ports.pool.free, 0)
        for number, peer in enumerate(peers[:10]):
            if number % 2:
                peer.ok("TEARDOWN")
            else:
                peer.lose()
        self.assertEqual(self.ports.pool.free, 10)
        self.assertEqual(self.server.reactor.readers, set())
        answer = peers[10].ask("SETUP", "/trackID=0", Transport=f"{offer};mode=record")
        self.assertEqual(answer.status, 200)

    def test_tcp_instead(self) -> None:
        """A client that offers both ways has the other one when there is no port."""
        taken = [self.ports.take(LOCAL) for _each in range(10)]
        peer = self.peer()
        peer.announce((AUDIO,))
        both = f"RTP/AVP;unicast;client_port=5000-5001;mode=record,{TCP}0-1;mode=record"
        answer = peer.ok("SETUP", "/trackID=0", Transport=both)
        self.assertIn("interleaved=0-1", answer.headers.get("transport"))
        for pair in taken:
            self.ports.pool.give_back(pair)

    def test_refused_track(self) -> None:
        """A track whose description lacks what is needed leaves no port taken behind it."""
        lines = ("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "t=0 0", "m=audio 0 RTP/AVP 97")
        body = "\r\n".join((*lines, "a=rtpmap:97 mpeg4-generic/48000/2", "a=control:trackID=0", ""))
        peer = self.peer()
        peer.ok("ANNOUNCE", "", body.encode(), Content_Type="application/sdp")
        offer = "RTP/AVP;unicast;client_port=5000-5001;mode=record"
        for _try in range(3):
            self.assertEqual(peer.ask("SETUP", "/trackID=0", Transport=offer).status, 400)
        self.assertGreaterEqual(self.ports.pool.free, 9)
        peer.lose()
        self.assertEqual(self.ports.pool.free, 10)


def _port(reader: object) -> int:
    """Return the port that a reader reads from."""
    port: int = reader._socket.getsockname()[1]  # type: ignore[attr-defined]
    return port


def test_free_ports() -> None:
    """The ports that these tests use are even, and as many as were asked for."""
    ports = free_ports(10)
    assert ports.first % 2 == 0
    assert ports.last - ports.first == 19
