"""Tests of playing: what comes, over TCP and UDP, and what does not."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost

from ntvmedia.clients.rtsp.connection import MAX_WAITING_BYTES
from ntvmedia.clients.rtsp.options import Carrier, Options
from ntvmedia.media.packets import Packet
from ntvmedia.wire.rtp.rtcp import Goodbye, ReceiverReport, build_compound, parse_compound
from ntvmedia.wire.rtsp.headers import Headers
from ntvmedia.wire.rtsp.messages import Request, Response, build_interleaved, build_request
from ntvmedia.wire.rtsp.transport import Lower, parse_transport
from ntvmedia.wire.sdp import CONTENT_TYPE
from tests.clients.rtsp.rig import (
    AUDIO,
    LOCAL,
    PEER,
    URL,
    VIDEO,
    ClientCase,
    Remote,
    UDPPort,
    media,
    response,
)

TCP = Options(carrier=Carrier.TCP)
UDP = Options(carrier=Carrier.UDP)
MEDIA = media(0, 400)


def shown(packets: list[Packet]) -> list[tuple[str, bytes]]:
    """Return what packets are, without times, each track for itself."""
    kinds = sorted(packets, key=lambda packet: packet.track.id)
    return [(packet.track.codec.value, packet.payload) for packet in kinds]


def lowers(remote: Remote) -> list[Lower]:
    """Return what carriers were asked for."""
    setups = [x for x in remote.requests if x.method == "SETUP"]
    return [parse_transport(x.headers.get("transport"))[0].lower for x in setups]


def goodbye(remote: Remote, place: int) -> bytes:
    """Return an RTCP goodbye of a track."""
    ssrc = remote.stream.ssrc((VIDEO, AUDIO)[place])
    return build_compound((ReceiverReport(ssrc, ()), Goodbye((ssrc,))))


class TCPTests(ClientCase):
    """Media between the messages."""

    def test_play(self) -> None:
        """All that is sent reaches the sink, and the connection's end is that of the stream."""
        ending = self.play(TCP)
        remote = self.connected()
        self.assertEqual(remote.methods, ["OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY"])
        self.assertEqual(lowers(remote), [Lower.TCP, Lower.TCP])
        remote.play(MEDIA)
        remote.lose()
        self.successResultOf(ending)
        self.assertEqual(shown(self.sink.packets), shown(MEDIA))
        self.assertEqual(sorted({x.id for x in self.sink.tracks}), [VIDEO.id, AUDIO.id])
        self.assertGreaterEqual(self.sink.batches, 1)

    def test_any_cut(self) -> None:
        """However the bytes are cut, the same comes out."""
        self.play(TCP)
        remote = self.connected()
        frames = b"".join(build_interleaved(2 * at, data) for at, data in remote.rtp(MEDIA))
        for place in range(0, len(frames), 7):
            remote.say(frames[place : place + 7])
        remote.lose()
        self.assertEqual(shown(self.sink.packets), shown(MEDIA))

    def test_goodbye(self) -> None:
        """RTCP's goodbye of all tracks that came ends the stream; that of one does not."""
        ending = self.play(TCP)
        remote = self.connected()
        remote.play(MEDIA)
        remote.say(build_interleaved(1, goodbye(remote, 0)))
        self.pass_time(2.0, remote)
        self.assertNoResult(ending)
        remote.say(build_interleaved(3, goodbye(remote, 1)))
        self.pass_time(1.0, remote)
        self.successResultOf(ending)
        self.assertEqual(remote.methods[-1], "TEARDOWN")
        self.assertEqual(shown(self.sink.packets), shown(MEDIA))

    def test_server_ends(self) -> None:
        """TEARDOWN of the server ends the stream, too."""
        ending = self.play(TCP)
        remote = self.connected()
        remote.say(build_request(Request("TEARDOWN", URL, Headers([("CSeq", "1")]))))
        self.successResultOf(ending)

    def test_cut_off(self) -> None:
        """A connection that breaks is an error, of which no more is told than who it was."""
        ending = self.play(TCP, f"rtsp://me:secret@{PEER}/live/test?key=secret")
        self.connected().lose(ConnectionLost())
        problem = self.problem(ending)
        self.assertEqual(str(problem), f"rtsp://{PEER}: the connection was lost")
        self.assertFalse(problem.is_permanent)

    def test_closed_early(self) -> None:
        """A connection that is closed before there is media is no good end."""
        self.answers["PLAY"] = lambda _request: None
        ending = self.play(TCP)
        self.connected().lose()
        self.assertIn("the server closed the connection", str(self.problem(ending)))

    def test_silence(self) -> None:
        """A server of which no media comes is given up."""
        ending = self.play(TCP._replace(silence_seconds=7.0))
        remote = self.connected()
        remote.play(MEDIA)
        self.pass_time(6.75, remote)
        self.assertNoResult(ending)
        self.pass_time(1.5, remote)
        self.assertEqual(str(self.problem(ending)), f"rtsp://{PEER}: no media came for 7 seconds")
        self.assertEqual(remote.methods[-1], "TEARDOWN")

    def test_reports_are_no_media(self) -> None:
        """E-ST-02: nor does one go on that sends nothing but reports."""
        ending = self.play(TCP._replace(silence_seconds=7.0))
        remote = self.connected()
        remote.play(MEDIA)
        ssrc = remote.stream.ssrc(VIDEO)
        for _second in range(6):
            self.pass_time(1.0, remote)
            remote.say(build_interleaved(1, build_compound((ReceiverReport(ssrc, ()),))))
        self.assertNoResult(ending)
        self.pass_time(2.5, remote)
        self.assertIn("no media came for 7 seconds", str(self.problem(ending)))

    def test_no_answer(self) -> None:
        """A server that does not answer is given up."""
        for method in ("OPTIONS", "DESCRIBE", "SETUP", "PLAY"):
            self.answers = {method: lambda _request: None}
            ending = self.play(TCP)
            remote = self.connected()
            self.pass_time(9.75, remote)
            self.assertNoResult(ending)
            self.pass_time(1.5, remote)
            self.assertIn(f"no answer to {method} for 10 s", str(self.problem(ending)))

    def test_reports(self) -> None:
        """Each track has its reception reported every 5 seconds."""
        self.play(TCP)
        remote = self.connected()
        remote.play(MEDIA)
        self.pass_time(11.0, remote)
        self.assertEqual(sorted({frame.channel for frame in remote.frames}), [1, 3])
        self.assertEqual(len(remote.frames), 2 * 2)
        last = parse_compound(remote.frames[-1].payload)[0]
        assert isinstance(last, ReceiverReport)
        self.assertEqual(last.blocks[0].ssrc, remote.stream.ssrc(AUDIO))

    def test_keepalive(self) -> None:
        """D-TR-12: at four fifths of the server's timeout, by GET_PARAMETER as it lists that."""
        self.play(TCP._replace(silence_seconds=1000.0))
        remote = self.connected()
        self.pass_time(47.0, remote)
        self.assertNotIn("GET_PARAMETER", remote.methods)
        self.pass_time(2.5, remote)
        self.assertEqual(remote.methods.count("GET_PARAMETER"), 1)

    def test_cancel(self) -> None:
        """Who cancels is out at once; the server is told, and has 3 seconds to hear it."""
        ending = self.play(TCP)
        remote = self.connected()
        ending.cancel()
        self.failureResultOf(ending, CancelledError)
        remote.run()
        self.assertEqual(remote.methods[-1], "TEARDOWN")
        self.assertTrue(remote.transport.disconnecting)
        self.assertFalse(remote.transport.disconnected)
        self.reactor.advance(3.0)
        self.assertTrue(remote.transport.disconnected)
        remote.play(MEDIA)
        self.assertEqual(self.sink.packets, [])

    def test_cancel_in_all_states(self) -> None:
        """Wherever the conversation is, everything is given back."""
        for method in ("OPTIONS", "DESCRIBE", "SETUP", "PLAY"):
            for options in (TCP, UDP):
                self.answers = {method: lambda _request: None}
                ending = self.play(options)
                self.connected()
                ending.cancel()
                self.failureResultOf(ending, CancelledError)
                self.assertEqual(self.reactor.open_ports, [])

    def test_sink_fails(self) -> None:
        """What a sink raises ends the playing, and is what that fails with."""
        ending = self.play(TCP)
        remote = self.connected()
        self.sink.problem = LookupError("sink")
        remote.play(MEDIA)
        self.failureResultOf(ending, LookupError)
        self.assertTrue(remote.transport.disconnecting)

    def test_not_rtsp(self) -> None:
        """A server of another protocol is an error."""
        ending = self.play(TCP)
        self.connected().say(b"\0\0\0\0")
        self.assertIn("neither a message nor a frame", str(self.problem(ending)))

    def test_asks_without_end(self) -> None:
        """A server that asks on and on and takes no answer is given up, before they pile up."""
        ending = self.play(TCP)
        remote = self.connected()
        remote.producer.pauseProducing()
        question = build_request(Request("OPTIONS", URL, Headers([("CSeq", "1")])))
        sent = 0
        while not remote.transport.disconnecting and sent < 10_000:
            remote.protocol.dataReceived(question)
            sent += 1
        self.assertIn("does not take the answers", str(self.problem(ending)))
        self.assertLess(len(remote.transport.value()), MAX_WAITING_BYTES + 1000)
        remote.transport.clear()

    def test_answers_are_taken(self) -> None:
        """One that takes them again may ask for more."""
        ending = self.play(TCP)
        remote = self.connected()
        question = build_request(Request("OPTIONS", URL, Headers([("CSeq", "1")])))
        for _time in range(2000):
            remote.producer.pauseProducing()
            remote.say(question)
            remote.producer.resumeProducing()
        self.assertNoResult(ending)

    def test_nothing_to_play(self) -> None:
        """What cannot be played is said, with what it is."""
        body = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 theora\x07/90000\r\n"
        kind = ("Content-Type", CONTENT_TYPE)
        self.answers["DESCRIBE"] = lambda _request: response(200, kind, body=body)
        ending = self.play(TCP)
        self.connected()
        problem = self.problem(ending)
        self.assertIn("none of its tracks can be played: theora\\x07", str(problem))
        self.assertTrue(problem.is_permanent)

    def test_back_channel(self) -> None:
        """D-RQ-14: what a camera listens to is set up only where that is asked for."""
        media = "m=audio 0 RTP/AVP 0\r\na=control:{}\r\na={}\r\n"
        body = ("v=0\r\n" + media.format("a", "recvonly") + media.format("b", "sendonly")).encode()
        kind = ("Content-Type", CONTENT_TYPE)
        self.answers["DESCRIBE"] = lambda _request: response(200, kind, body=body)
        for wanted, controls in ((False, ["a"]), (True, ["a", "b"])):
            self.play(TCP._replace(back_channel=wanted))
            remote = self.connected()
            setups = [x.url for x in remote.requests if x.method == "SETUP"]
            self.assertEqual(setups, [f"{URL}/{control}" for control in controls])

    def test_base(self) -> None:
        """D-RQ-12: tracks are asked for below the base that the server tells."""
        body = (
            b"v=0\r\nm=audio 0 RTP/AVP 0\r\na=control:trackID=0\r\n"
            b"m=audio 0 RTP/AVP 8\r\na=control:rtsp://192.0.2.7/x/one?a=b\r\n"
        )
        base = ("Content-Base", "rtsp://192.0.2.7/other/?user=x")
        self.answers["DESCRIBE"] = lambda _request: response(200, base, body=body)
        self.play(TCP)
        remote = self.connected()
        setups = [x.url for x in remote.requests if x.method == "SETUP"]
        self.assertEqual(
            setups, ["rtsp://192.0.2.7/other/?user=x/trackID=0", "rtsp://192.0.2.7/x/one?a=b"]
        )


class UDPTests(ClientCase):
    """Media beside the connection."""

    def begin(self, options: Options = UDP) -> Remote:
        """Begin to play."""
        self.ending = self.play(options)
        return self.connected()

    def port(self, place: int, *, reports: bool = False) -> UDPPort:
        """Return one of those that are bound now."""
        return [port for port in self.reactor.ports if port.open][2 * place + reports]

    def test_play(self) -> None:
        """All that is sent reaches the sink; ports are pairs, given back at the end."""
        remote = self.begin()
        numbers = self.reactor.open_ports
        self.assertEqual(len(numbers), 4)
        self.assertEqual([number % 2 for number in numbers], [0, 1, 0, 1])
        self.assertEqual({port.interface for port in self.reactor.ports}, {LOCAL})
        for place, data in remote.rtp(MEDIA):
            self.port(place).receive(data, (PEER, 6000))
        self.pass_time(1.0, remote)
        self.assertGreaterEqual(self.sink.batches, 1)
        for place in (0, 1):
            self.port(place, reports=True).receive(goodbye(remote, place), (PEER, 6001))
        self.pass_time(1.0, remote)
        self.successResultOf(self.ending)
        self.assertEqual(shown(self.sink.packets), shown(MEDIA))
        self.assertEqual(self.reactor.open_ports, [])

    def test_reordered(self) -> None:
        """What comes in the wrong order or twice is put right; what is lost is not waited for."""
        remote = self.begin()
        packets = [data for place, data in remote.rtp(MEDIA) if place == 1]
        packets[2:4] = [packets[3], packets[2], packets[2]]
        for data in packets[:4] + packets[5:]:
            self.port(1).receive(data, (PEER, 6000))
        lost = len(packets) - 1
        self.pass_time(0.5, remote)
        sounds = [packet for packet in MEDIA if packet.track is AUDIO]
        self.assertGreaterEqual(len(self.sink.packets), lost - 2)
        times = [packet.dts for packet in self.sink.packets]
        self.assertEqual(times, sorted(set(times)))
        self.assertEqual(self.sink.packets[-1].payload, sounds[-1].payload)

    def test_sources(self) -> None:
        """D-TR-07: packets of another host, and later of another port, are not for us."""
        remote = self.begin()
        (_place, first), (_place, second), *_rest = [x for x in remote.rtp(MEDIA) if x[0] == 1]
        for data, address in (
            (first, ("192.0.2.66", 6000)),
            (first, (PEER, 7777)),
            (second, (PEER, 6000)),
            (b"", (PEER, 7777)),
        ):
            self.port(1).receive(data, address)
        self.pass_time(0.5, remote)
        self.assertEqual(len(self.sink.packets), 1)
        # Reports may come from any port of the server, and are answered there.
        self.port(1, reports=True).receive(goodbye(remote, 1), (PEER, 9999))
        self.port(1, reports=True).receive(goodbye(remote, 1), ("192.0.2.66", 9))

    def test_way_opened(self) -> None:
        """D-TR-07: something is sent from each port to the server's, and nowhere else."""
        self.answers["SETUP"] = lambda request: response(
            200,
            ("Session", "s1"),
            (
                "Transport",
                request.headers.get("transport")
                + ";server_port=6000-6001;source=203.0.113.9;destination=203.0.113.9",
            ),
        )
        self.begin()
        sent = [address for port in self.reactor.ports for _data, address in port.written]
        self.assertEqual(sent, [(PEER, 6000), (PEER, 6001)] * 2)

    def test_reports(self) -> None:
        """Reception is reported to the server's second port."""
        remote = self.begin()
        for place, data in remote.rtp(MEDIA):
            self.port(place).receive(data, (PEER, 6000))
        self.pass_time(6.0, remote)
        written = self.port(0, reports=True).written
        report = parse_compound(written[-1][0])[0]
        assert isinstance(report, ReceiverReport)
        self.assertEqual(report.blocks[0].ssrc, remote.stream.ssrc(VIDEO))
        self.assertEqual(written[-1][1], (PEER, 6001))

    def test_fallback(self) -> None:
        """D-TR-04: when nothing came for 3 seconds, the same is asked for over TCP."""
        first = self.begin(Options())
        self.assertEqual(lowers(first), [Lower.UDP, Lower.UDP])
        self.pass_time(2.75, first)
        self.assertEqual(len(self.reactor.tcpClients), 1)
        self.pass_time(1.25, first)
        self.assertEqual(first.methods[-1], "TEARDOWN")
        self.assertEqual(self.reactor.open_ports, [])
        second = self.connected()
        self.assertEqual(lowers(second), [Lower.TCP, Lower.TCP])
        second.play(MEDIA)
        second.lose()
        self.successResultOf(self.ending)
        self.assertEqual(shown(self.sink.packets), shown(MEDIA))

    def test_no_fallback(self) -> None:
        """One packet, and UDP works; and who wants UDP alone gets nothing else."""
        for options, packets in ((Options(), 1), (UDP, 0)):
            before = len(self.reactor.tcpClients)
            remote = self.begin(options)
            for place, data in remote.rtp(MEDIA)[:packets]:
                self.port(place).receive(data, (PEER, 6000))
            self.pass_time(17.0, remote)
            self.assertIn("no media came for 15 seconds", str(self.problem(self.ending)))
            self.assertEqual(len(self.reactor.tcpClients), before + 1)

    def test_refused(self) -> None:
        """A server that answers 461 is asked for TCP on the same connection."""

        def set_up(request: Request) -> Response:
            text = request.headers.get("transport")
            if "client_port" in text:
                return response(461)
            return response(200, ("Transport", text), ("Session", "s2"))

        self.answers["SETUP"] = set_up
        remote = self.begin(Options())
        self.assertEqual(lowers(remote), [Lower.UDP, Lower.TCP, Lower.TCP])
        self.assertEqual(self.reactor.open_ports, [])
        remote.play(MEDIA)
        remote.lose()
        self.successResultOf(self.ending)
        self.assertEqual(shown(self.sink.packets), shown(MEDIA))
        self.begin(UDP)
        problem = self.problem(self.ending)
        self.assertEqual(str(problem), f"rtsp://{PEER}: the server does not carry media over UDP")
        self.assertEqual(problem.status, 461)
        self.assertTrue(problem.is_permanent)

    def test_answers_tcp(self) -> None:
        """A server may answer TCP where UDP was asked for."""
        channels = iter(("0-1", "2-3"))
        self.answers["SETUP"] = lambda _request: response(
            200,
            ("Session", "s3"),
            ("Transport", f"RTP/AVP/TCP;unicast;interleaved={next(channels)}"),
        )
        remote = self.begin()
        self.assertEqual(self.reactor.open_ports, [])
        remote.play(MEDIA)
        remote.lose()
        self.assertEqual(shown(self.sink.packets), shown(MEDIA))

    def test_multicast(self) -> None:
        """A group that was not asked for is joined by nobody."""
        self.answers["SETUP"] = lambda _request: response(
            200,
            ("Session", "s3"),
            ("Transport", "RTP/AVP;multicast;destination=239.1.1.1;port=5000-5001;ttl=1"),
        )
        self.begin()
        self.assertIn("multicast", str(self.problem(self.ending)))

    def test_no_ports(self) -> None:
        """Without ports there is TCP, or an error where that is not wanted."""
        self.reactor.taken = None
        remote = self.begin(Options())
        self.assertEqual(lowers(remote), [Lower.TCP, Lower.TCP])
        self.begin()
        self.assertIn("there are no UDP ports left", str(self.problem(self.ending)))

    def test_ports_taken(self) -> None:
        """A pair of which somebody has one port is no pair, and another is found."""
        self.begin()
        self.reactor.taken = {port.number for port in self.reactor.ports[1::2]}
        bound = len(self.reactor.ports)
        self._count = 0
        self.begin()
        for port in self.reactor.ports[bound:]:
            self.assertNotIn(port.number, self.reactor.taken)
        self.assertEqual(len(self.reactor.open_ports), 8)

    def test_sink_fails(self) -> None:
        """What a sink raises on a datagram ends the playing, too."""
        remote = self.begin()
        self.sink.problem = LookupError("sink")
        for place, data in remote.rtp(MEDIA):
            for port in [x for x in self.reactor.ports if x.open][2 * place :][:1]:
                port.receive(data, (PEER, 6000))
        self.pass_time(0.5, remote)
        self.failureResultOf(self.ending, LookupError)
