"""Tests of publishing: what a server gets, and what it does not take."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from ntvmedia.clients.rtsp.options import DEFAULTS, Carrier, Options
from ntvmedia.clients.rtsp.publishing import MAX_QUEUE_BYTES, Target
from ntvmedia.media.packets import Codec, Packet, Track
from ntvmedia.wire.rtp.clock import SessionClock
from ntvmedia.wire.rtp.formats import find_format
from ntvmedia.wire.rtp.packets import parse_packet
from ntvmedia.wire.rtp.receiver import Receiver
from ntvmedia.wire.rtp.rtcp import Goodbye, SenderReport, parse_compound, unix_from_ntp
from ntvmedia.wire.rtsp.messages import Request, Response
from ntvmedia.wire.rtsp.transport import parse_transport
from ntvmedia.wire.sdp import parse_sdp
from tests.clients.rtsp.rig import (
    AUDIO,
    PEER,
    URL,
    VIDEO,
    WALL,
    ClientCase,
    Remote,
    media,
    response,
)
from tests.endpoints.rtsp.server import frame

MEDIA = media(0, 400)
DATA = Track(Codec.AMF0, clock_rate=1000)


def received(remote: Remote, packets: list[tuple[int, bytes]]) -> list[tuple[str, bytes]]:
    """Read RTP as the announced description has it; each track for itself."""
    announced = next(x for x in remote.requests if x.method == "ANNOUNCE")
    description = parse_sdp(announced.body)
    clock = SessionClock()
    found: list[tuple[str, bytes]] = []
    for place, described in enumerate(description.media):
        payload_type = described.payload_types[0]
        rtpmap = described.rtpmap(payload_type)
        assert rtpmap is not None
        text = "/".join(map(str, rtpmap))
        format = find_format(payload_type, text, described.fmtp(payload_type))
        assert format is not None
        receiver = Receiver(format, clock, in_order=True)
        events = []
        for at, data in packets:
            if at == place:
                events += receiver.receive_packet(data, 0.0)
        events += receiver.flush(0.0)
        found += [(x.track.codec.value, x.payload) for x in events if isinstance(x, Packet)]
    return found


def sent() -> list[tuple[str, bytes]]:
    """Return what `MEDIA` is, each track for itself."""
    kinds = sorted(MEDIA, key=lambda packet: packet.track.id)
    return [(packet.track.codec.value, packet.payload) for packet in kinds]


class PublishTests(ClientCase):
    """A publisher, and a server in memory."""

    def begin(self, options: Options = DEFAULTS, *tracks: Track) -> Remote:
        """Begin to publish."""
        self.targets: list[Target] = []
        publishing: Deferred[None] = self.client.publish(
            URL, tracks or (VIDEO, AUDIO), self.targets.append, options
        )
        self.ending = self.kept(publishing)
        return self.connected()

    def test_tcp(self) -> None:
        """All that is given comes interleaved, with reports before it; then it ends well."""
        remote = self.begin(DEFAULTS, VIDEO, DATA, AUDIO)
        self.assertEqual(remote.methods, ["OPTIONS", "ANNOUNCE", "SETUP", "SETUP", "RECORD"])
        offers = [x.headers.get("transport") for x in remote.requests if x.method == "SETUP"]
        self.assertEqual(
            offers,
            [
                "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record",
                "RTP/AVP/TCP;unicast;interleaved=2-3;mode=record",
            ],
        )
        (target,) = self.targets
        for packet in MEDIA:
            target.packet_received(packet)
        remote.run()
        self.assertEqual([frame.channel for frame in remote.frames[:2]], [1, 3])
        rtp = [(x.channel // 2, x.payload) for x in remote.frames if x.channel % 2 == 0]
        self.assertEqual(received(remote, rtp), sent())
        target.end()
        self.successResultOf(self.ending)
        remote.run()
        self.assertEqual(remote.methods[-1], "TEARDOWN")
        last = parse_compound(remote.frames[-1].payload)
        self.assertIsInstance(last[-1], Goodbye)
        self.assertEqual(target.dropped, 0)
        before = len(remote.frames)
        target.packet_received(MEDIA[0])
        target.end()
        remote.run()
        self.assertEqual(len(remote.frames), before)

    def test_udp(self) -> None:
        """All of it goes to the ports that the server named, and ports are given back."""
        remote = self.begin(Options(carrier=Carrier.UDP))
        setup = next(x for x in remote.requests if x.method == "SETUP")
        offer = parse_transport(setup.headers.get("transport"))[0]
        self.assertTrue(offer.records)
        self.assertEqual(offer.client_port, tuple(self.reactor.open_ports[:2]))
        for packet in MEDIA:
            self.targets[0].packet_received(packet)
        ports = self.reactor.ports
        rtp = [(at // 2, data) for at in (0, 2) for data, _address in ports[at].written]
        self.assertEqual(received(remote, rtp), sent())
        for port, number in zip(ports, (6000, 6001, 6000, 6001), strict=True):
            self.assertEqual({address for _data, address in port.written}, {(PEER, number)})
        self.targets[0].end()
        self.successResultOf(self.ending)
        self.assertEqual(self.reactor.open_ports, [])
        self.assertIsInstance(parse_compound(ports[1].written[-1][0])[-1], Goodbye)

    def test_udp_without_ports(self) -> None:
        """A server that names no ports cannot be sent to."""
        self.answers["SETUP"] = lambda request: response(
            200, ("Session", "s"), ("Transport", request.headers.get("transport"))
        )
        self.begin(Options(carrier=Carrier.UDP))
        self.assertIn("the server tells no ports", str(self.failureResultOf(self.ending).value))

    def test_tcp_refused(self) -> None:
        """A server that takes UDP alone is given that."""

        def set_up(request: Request) -> Response:
            text = request.headers.get("transport")
            if "interleaved" in text:
                return response(461)
            fields = ("Transport", f"{text};server_port=7000-7001")
            return response(200, ("Session", "s"), fields)

        self.answers["SETUP"] = set_up
        self.begin()
        self.targets[0].packet_received(MEDIA[0])
        self.assertEqual(self.reactor.ports[0].written[0][1], (PEER, 7000))

    def test_reports(self) -> None:
        """Sender reports tell what time it is in the media: at once, and every 5 seconds."""
        remote = self.begin()
        self.targets[0].packet_received(MEDIA[0])
        self.targets[0].packet_received(MEDIA[1])
        self.pass_time(5.5, remote)
        reports = [parse_compound(x.payload)[0] for x in remote.frames if x.channel == 1]
        self.assertEqual(len(reports), 2)
        report = reports[0]
        assert isinstance(report, SenderReport)
        rtp = parse_packet(next(x.payload for x in remote.frames if x.channel == 0))
        self.assertEqual(report.timestamp, rtp.timestamp)
        self.assertAlmostEqual(unix_from_ntp(report.ntp), WALL, 3)

    def test_configuration(self) -> None:
        """A track may change its configuration; one that was not announced is left out."""
        remote = self.begin(DEFAULTS, VIDEO)
        target = self.targets[0]
        target.track_received(VIDEO)
        target.track_received(AUDIO)
        for packet in MEDIA:
            target.packet_received(packet)
        remote.run()
        self.assertEqual({x.channel for x in remote.frames}, {0, 1})

    def test_slow(self) -> None:
        """A server that takes nothing loses whole groups; memory is bounded, and it goes on."""
        remote = self.begin(DEFAULTS, VIDEO)
        target, producer = self.targets[0], remote.producer
        producer.pauseProducing()
        for time in range(0, 20_000, 40):
            target.packet_received(frame(time, is_keyframe=time % 1000 == 0, size=40_000))
        waiting = len(remote.transport.value())
        self.assertLess(waiting, MAX_QUEUE_BYTES + 100_000)
        self.assertGreater(waiting, MAX_QUEUE_BYTES // 2)
        self.assertGreater(target.dropped, 300)
        dropped = target.dropped
        remote.transport.clear()
        producer.resumeProducing()
        target.packet_received(frame(20_040))
        self.assertEqual(remote.transport.value(), b"")
        self.assertEqual(target.dropped, dropped + 1)
        for time in (21_000, 21_040):
            target.packet_received(frame(time, is_keyframe=time == 21_000))
        remote.run()
        self.assertGreaterEqual(len([x for x in remote.frames if x.channel == 0]), 2)
        self.assertEqual(target.dropped, dropped + 1)

    def test_server_ends(self) -> None:
        """A server that ends the connection is an error: it does not take the rest."""
        self.begin().lose()
        problem = self.failureResultOf(self.ending).value
        self.assertEqual(str(problem), f"rtsp://{PEER}: the server closed the connection")

    def test_refused(self) -> None:
        """A server that takes no publishers says so."""
        self.answers["ANNOUNCE"] = lambda _request: response(405)
        self.begin()
        problem = self.problem(self.ending)
        self.assertEqual(problem.status, 405)
        self.assertTrue(problem.is_permanent)
        self.assertEqual(self.targets, [])

    def test_nothing_to_send(self) -> None:
        """What RTP does not carry is refused before anything is connected."""
        ending = self.client.publish(URL, (DATA,), lambda _target: None)
        problem = self.problem(ending)
        self.assertIn("RTP carries none of it: amf0", str(problem))
        self.assertTrue(problem.is_permanent)
        self.assertEqual(self.reactor.tcpClients, [])

    def test_owner_fails(self) -> None:
        """What the owner raises is what publishing fails with."""

        def started(_target: Target) -> None:
            raise LookupError("owner")

        ending = self.client.publish(URL, (VIDEO,), started)
        self.connected()
        self.failureResultOf(ending, LookupError)

    def test_cancel(self) -> None:
        """Who cancels is out at once, and the server is told."""
        remote = self.begin(Options(carrier=Carrier.UDP))
        self.ending.cancel()
        self.failureResultOf(self.ending, CancelledError)
        self.assertEqual(self.reactor.open_ports, [])
        remote.run()
        self.assertEqual(remote.methods[-1], "TEARDOWN")
        self.targets[0].packet_received(MEDIA[0])
