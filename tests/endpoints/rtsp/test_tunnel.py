"""Tests of ntvmedia.endpoints.rtsp.tunnel: RTSP within HTTP, in a server in memory."""

from __future__ import annotations

import base64
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Access, Request, Verdict
from ntvmedia.config import RTSPSettings
from ntvmedia.endpoints.http.endpoint import make_http_service
from ntvmedia.endpoints.rtsp.tunnel import HTTPTunnels
from ntvmedia.events import PlayEnded, PlayStarted, PublishEnded, PublishStarted
from ntvmedia.media import StreamKey
from ntvmedia.wire.rtp.packets import parse_packet
from tests.endpoints.http.rig import Client, request, status_of
from tests.endpoints.rtsp.server import (
    AUDIO,
    KEY,
    TCP,
    URL,
    VIDEO,
    Peer,
    Server,
    Transport,
    media,
)

COOKIE = b"x-sessioncookie: 3ca93e94bcc12d25"
ACCEPT = b"Accept: application/x-rtsp-tunnelled"
TYPE = b"Content-Type: application/x-rtsp-tunnelled"
LENGTH = b"Content-Length: 32767"
PATH = b"/liveshow/test"
GET = request(b"GET", PATH, b"Range: bytes=0-", b"Connection: close", COOKIE, ACCEPT)
POST = request(b"POST", PATH, b"Connection: close", COOKIE, TYPE, LENGTH)
OPTIONS = f"OPTIONS {URL} RTSP/1.0\r\nCSeq: 7\r\n\r\n".encode()
ADDRESS = "192.0.2.1"


class Both:
    """The two connections of a client, seen as the one that they are to RTSP.

    Attributes:
        get: Of the answers.
        post: Of the requests.
    """

    def __init__(self, server: TunnelServer, address: str) -> None:
        self._server = server
        self._address = address

    def makeConnection(self, transport: Transport) -> None:
        """Open both, as ffmpeg does."""
        self.get = Client(self._server.front, self._address, transport)
        self.head = self.get.send(GET)
        self.post = self._server.connect(POST, self._address)

    def dataReceived(self, data: bytes) -> None:
        """Say something."""
        self.post.protocol.dataReceived(base64.b64encode(data))

    def connectionLost(self, _reason: Any = None) -> None:
        """Close the answers' connection."""
        self.get.leave()


class TunnelServer(Server):
    """A server with the port of HTTP.

    Attributes:
        front: Of HTTP.
        tunnels: Those of the server.
    """

    def __init__(self, rtsp: RTSPSettings | None = None, *, certificates: Any = None) -> None:
        super().__init__(rtsp=rtsp)
        self.http = make_http_service(self, (), self.settings.http, certificates)
        self.front = self.http.front
        self.tunnels: HTTPTunnels = self.part(HTTPTunnels)
        self.tunnels.startService()

    def build(self, host: str = ADDRESS) -> Any:
        """Return what a peer talks to."""
        return Both(self, host)

    def connect(self, data: bytes, address: str = ADDRESS) -> Client:
        """Connect to HTTP, and say something."""
        transport = Transport(IPv4Address("TCP", address, 50000))
        client = Client(self.front, address, transport)
        client.protocol.dataReceived(data)
        return client


class SlowAccess(Access):
    """Answers when it is told to.

    Attributes:
        asked: Where the answers go.
    """

    def decide(self, request: Request, **_how: Any) -> Deferred[Verdict]:
        """Keep the question."""
        self.asked: Deferred[Verdict] = Deferred()
        return self.asked


class TunnelCase(SynchronousTestCase):
    """A server, and its clients."""

    def setUp(self) -> None:
        self.server = TunnelServer()

    def open(self) -> tuple[Peer, Client, Client]:
        """Open a tunnel; return its client, and the two connections."""
        peer = Peer(self.server)
        both: Any = peer.protocol
        return peer, both.get, both.post

    def refused(self, data: bytes, status: int = 400, address: str = ADDRESS) -> None:
        """Send something on a new connection, which must be answered so and closed."""
        client = self.server.connect(data, address)
        self.assertEqual(status_of(client.received()), status)
        self.server.reactor.advance(5)
        self.assertTrue(client.closed)

    def told(self, kind: Any) -> list[Any]:
        """Return what the server told of one kind."""
        return [event for event in self.server.told if isinstance(event, kind)]


class TunnelTests(TunnelCase):
    """What clients do."""

    def test_answer(self) -> None:
        """Apple's RTSP over HTTP: GET is answered at once, without a length; POST never is."""
        peer, get, post = self.open()
        both: Any = peer.protocol
        head = both.head
        self.assertEqual(head.partition(b"\r\n")[0], b"HTTP/1.1 200 OK")
        self.assertTrue(head.endswith(b"\r\n\r\n"))
        self.assertIn(b"\r\nContent-Type: application/x-rtsp-tunnelled\r\n", head)
        self.assertIn(b"\r\nCache-Control: no-cache, no-store\r\n", head)
        self.assertEqual(head.lower().count(b"\r\nconnection: close\r\n"), 1)
        for name in (b"content-length", b"transfer-encoding"):
            self.assertNotIn(name, head.lower())
        self.assertEqual(peer.ok("OPTIONS").headers.get("cseq"), "1")
        self.assertEqual(post.received(), b"")
        self.assertFalse(get.closed or post.closed)

    def test_play(self) -> None:
        """The same packets come as within RTSP's own connection."""
        source = self.server.source()
        peer, _get, _post = self.open()
        starts = peer.play()
        source.send(*media(2200, 3000))
        packets = peer.rtp(0)
        self.assertEqual(packets[0].sequence_number, starts[0][1])
        self.assertTrue(any(b"%08d" % 2960 in packet.payload for packet in packets))
        self.assertEqual([event.protocol for event in self.told(PlayStarted)], ["rtsp-http"])
        peer.lose()
        self.assertEqual(len(self.told(PlayEnded)), 1)

    def test_publish(self) -> None:
        """As GStreamer's rtspclientsink does."""
        peer, _get, _post = self.open()
        self.assertEqual(peer.record().status, 200)
        peer.publish(*media(0, 2000))
        self.server.wait(1)
        self.assertEqual([event.protocol for event in self.told(PublishStarted)], ["rtsp-http"])
        tracks = self.server.hub.streams[KEY].tracks
        self.assertEqual({track.codec for track in tracks}, {VIDEO.codec, AUDIO.codec})
        peer.lose()
        self.assertEqual(len(self.told(PublishEnded)), 1)

    def test_tls(self) -> None:
        """On the port of HTTPS it has a name of its own."""
        self.server = TunnelServer(certificates=object())
        peer, _get, _post = self.open()
        self.assertEqual(peer.record().status, 200)
        self.assertEqual([event.protocol for event in self.told(PublishStarted)], ["rtsp-https"])

    def test_split(self) -> None:
        """D-TR-14: base64 in any pieces, with line ends and padding anywhere."""
        peer, get, post = self.open()
        text = base64.b64encode(OPTIONS)
        assert text.endswith(b"=")
        for pieces in (
            [text[at : at + 1] for at in range(len(text))],
            [text + text],
            [base64.encodebytes(OPTIONS)],
            [text[:5], b"\r\n", text[5:]],
        ):
            for piece in pieces:
                post.protocol.dataReceived(piece)
            statuses = [answer.status for answer in peer.answers()]
            self.assertEqual(statuses, [200] * (2 if pieces == [text + text] else 1))
        self.assertFalse(get.closed or post.closed)

    def test_body_with_head(self) -> None:
        """The first request may come in the same read as the head of POST, and ask to go on."""
        get = self.server.connect(GET)
        post = self.server.connect(
            request(b"POST", PATH, COOKIE, TYPE, LENGTH, b"Expect: 100-continue")
            + base64.b64encode(OPTIONS)
        )
        self.assertEqual(post.received(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertIn(b"\r\n\r\nRTSP/1.0 200 OK\r\nCSeq: 7\r\n", get.received())

    def test_http_1_0(self) -> None:
        """D-TR-14: as QuickTime and GStreamer say it, without `Host`."""
        get = self.server.connect(
            b"GET /liveshow/test HTTP/1.0\r\n" + COOKIE + b"\r\n" + ACCEPT + b"\r\n\r\n"
        )
        self.assertEqual(status_of(get.received()), 200)
        post = self.server.connect(
            b"POST /liveshow/test HTTP/1.0\r\n"
            + b"\r\n".join((COOKIE, TYPE, LENGTH, b"Expires: Sun, 9 Jan 1972 00:00:00 GMT"))
            + b"\r\n\r\n"
        )
        post.send(base64.b64encode(OPTIONS))
        self.assertTrue(get.received().startswith(b"RTSP/1.0 200 OK\r\nCSeq: 7\r\n"))

    def test_no_udp(self) -> None:
        """D-TR-03: UDP is refused within a tunnel, so that the client asks for TCP."""
        self.server.source()
        peer, _get, _post = self.open()
        peer.describe()
        for transport in ("RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP;multicast"):
            answer = peer.ask("SETUP", "/trackID=0", Transport=transport)
            self.assertEqual(answer.status, 461)
        peer.set_up({0: "0-1"})

    def test_any_address(self) -> None:
        """What GET and POST are of means nothing; RTSP says what is wanted."""
        get = self.server.connect(request(b"GET", b"/", COOKIE, ACCEPT))
        post = self.server.connect(request(b"POST", b"/mserver/x?y", COOKIE, TYPE, LENGTH))
        self.assertEqual(status_of(get.received()), 200)
        post.send(base64.b64encode(OPTIONS))
        self.assertTrue(get.received().startswith(b"RTSP/1.0 200 OK\r\n"))

    def test_length_means_nothing(self) -> None:
        """A POST of ffmpeg and GStreamer goes on, longer than it said."""
        peer, get, post = self.open()
        for _time in range(32767 // len(base64.b64encode(OPTIONS)) + 10):
            post.protocol.dataReceived(base64.b64encode(OPTIONS))
            self.assertEqual([answer.status for answer in peer.answers()], [200])
        self.assertFalse(get.closed or post.closed)

    def test_next_post(self) -> None:
        """QuickTime opens another POST when the length of one is used up; that one is closed."""
        peer, get, post = self.open()
        self.refused(POST)
        for _time in range(32767 // len(base64.b64encode(OPTIONS)) + 1):
            post.protocol.dataReceived(base64.b64encode(OPTIONS))
        peer.answers()
        following = self.server.connect(POST)
        self.assertTrue(post.closed)
        following.send(base64.b64encode(OPTIONS))
        self.assertEqual([answer.status for answer in peer.answers()], [200])
        self.refused(POST)
        self.assertFalse(get.closed or following.closed)

    def test_post_lost(self) -> None:
        """Without a POST a player goes on, and may open another."""
        source = self.server.source()
        peer, _get, post = self.open()
        peer.play()
        post.leave()
        self.server.reactor.advance(100)
        peer.frames.clear()
        source.send(*media(3000, 4000))
        self.assertTrue(peer.rtp(0))
        following = self.server.connect(POST)
        following.send(base64.b64encode(OPTIONS))
        self.assertEqual([answer.status for answer in peer.answers()], [200])

    def test_waiting(self) -> None:
        """While a request waits for its answer no POST is read, also not another one."""
        access = SlowAccess(self.server.applications)
        self.server.access = access
        self.server.source()
        peer, _get, post = self.open()
        peer.send("DESCRIBE")
        peer.send("OPTIONS")
        self.assertEqual(post.transport.producerState, "paused")
        post.leave()
        following = self.server.connect(POST + base64.b64encode(OPTIONS))
        self.assertEqual(following.transport.producerState, "paused")
        self.assertEqual(peer.answers(), [])
        access.asked.callback(Verdict(allowed=True))
        self.assertEqual([answer.status for answer in peer.answers()], [200] * 3)
        self.assertEqual(following.transport.producerState, "producing")

    def test_many(self) -> None:
        """D-TR-08: tunnels of one address are not mixed."""
        cookies = [b"x-sessioncookie: %d" % number for number in range(20)]
        gets = [self.server.connect(request(b"GET", PATH, cookie)) for cookie in cookies]
        posts = [self.server.connect(request(b"POST", PATH, cookie, LENGTH)) for cookie in cookies]
        for number, post in enumerate(posts):
            post.send(base64.b64encode(OPTIONS.replace(b"CSeq: 7", b"CSeq: 1%03d" % number)))
        for number, get in enumerate(gets):
            self.assertIn(b"\r\nCSeq: 1%03d\r\n" % number, get.received())


class AbuseTests(TunnelCase):
    """D-TR-14: what is no tunnel is answered 400, or only closed where that comes too late."""

    def test_post_alone(self) -> None:
        """A POST without its GET, before it and behind it."""
        self.refused(POST)
        _peer, get, post = self.open()
        get.leave()
        self.server.reactor.advance(5)
        self.assertTrue(post.closed)
        self.refused(POST)

    def test_two(self) -> None:
        """A second GET, a second POST: the first ones do not notice."""
        peer, get, post = self.open()
        self.refused(GET)
        self.refused(POST)
        self.refused(POST + base64.b64encode(OPTIONS))
        peer.ok("OPTIONS")
        self.assertFalse(get.closed or post.closed)

    def test_cookies(self) -> None:
        """None, one of 10 KB, one with blanks, two of them."""
        for method in (b"GET", b"POST"):
            for value in (b"", b" ", b"a b", b"\xe4", b"a" * 129, b"a" * 10240):
                self.refused(request(method, PATH, b"x-sessioncookie: " + value, ACCEPT))
            self.refused(request(method, PATH, COOKIE, COOKIE))
            self.refused(request(method, PATH, b"x-sessioncookie: " + b"a" * 20000), 431)

    def test_methods(self) -> None:
        """Neither GET nor POST; a GET with a body; a POST in chunks."""
        for method in (b"PUT", b"HEAD", b"OPTIONS", b"DELETE"):
            self.refused(request(method, PATH, COOKIE))
        self.refused(request(b"GET", PATH, COOKIE, b"Content-Length: 5"))
        self.server.connect(GET)
        self.refused(request(b"POST", PATH, COOKIE, b"Transfer-Encoding: chunked", body=b"4\r\n"))

    def test_one_connection(self) -> None:
        """GET and POST on one connection: at once, and one after the other."""
        self.refused(GET + POST)
        self.assertEqual(self.told(PublishStarted), [])
        client = self.server.connect(GET)
        self.assertEqual(status_of(client.received()), 200)
        client.protocol.dataReceived(b"\r\n")
        self.assertFalse(client.closed)
        client.protocol.dataReceived(POST)
        client.protocol.dataReceived(POST)
        self.assertTrue(client.closed)
        self.assertEqual(client.received(), b"")

    def test_one_connection_publishing(self) -> None:
        """Whoever says something within GET while it publishes gives its stream back."""
        peer, get, post = self.open()
        peer.record()
        get.protocol.dataReceived(b"x")
        self.assertTrue(get.closed)
        self.assertEqual(len(self.told(PublishEnded)), 1)
        get.leave()
        self.assertTrue(post.closed)
        self.refused(POST)

    def test_base64(self) -> None:
        """Bad base64, in one read and in several: both connections are closed."""
        for pieces in ((b"T1BU!!!!",), (b"T1B", b"U", b"=", b"A", b"AA"), (b"\0\0\0\0",)):
            peer, get, post = self.open()
            self.assertEqual(peer.record().status, 200)
            for piece in pieces:
                post.protocol.dataReceived(piece)
            self.assertEqual(status_of(post.received()), 400)
            self.assertTrue(get.closed)
            self.assertEqual(len(self.told(PublishEnded)), 1)
            post.protocol.dataReceived(base64.b64encode(OPTIONS))
            self.assertEqual(peer.answers(), [])
            get.leave()
            self.server.reactor.advance(5)
            self.assertTrue(post.closed)
            self.server.told.clear()

    def test_good_before_bad(self) -> None:
        """What stands before the bad base64 is answered."""
        peer, _get, post = self.open()
        post.protocol.dataReceived(base64.b64encode(OPTIONS) + b"!!!!")
        self.assertEqual([answer.status for answer in peer.answers()], [200])

    def test_no_rtsp(self) -> None:
        """Good base64 of something else, and of a message that is too long."""
        for junk in (b"GET / HTTP/1.1\r\n\r\n", b"A" * 100_000, b"\0" * 1000):
            _peer, get, post = self.open()
            post.protocol.dataReceived(base64.b64encode(junk))
            self.assertIn(b"RTSP/1.0 4", get.received())
            self.assertTrue(get.closed)
            get.leave()
            self.assertTrue(post.closed)

    def test_other_address(self) -> None:
        """A POST from another address is refused, though it knows the cookie."""
        get = self.server.connect(GET)
        self.refused(POST, address="192.0.2.66")
        post = self.server.connect(POST + base64.b64encode(OPTIONS))
        self.assertIn(b"\r\n\r\nRTSP/1.0 200 OK\r\n", get.received())
        self.assertFalse(post.closed)

    def test_idle(self) -> None:
        """A GET without a POST, and a tunnel in which nothing is said, have their time."""
        limit = self.server.settings.rtsp.idle_timeout
        alone = self.server.connect(GET)
        self.server.reactor.pump([1.0] * int(limit))
        self.assertFalse(alone.closed)
        self.server.reactor.pump([1.0] * 2)
        self.assertTrue(alone.closed)
        alone.leave()
        _peer, get, post = self.open()
        # Not even a byte of a request now and then counts.
        for byte in base64.b64encode(OPTIONS)[: int(limit) + 2]:
            post.protocol.dataReceived(bytes((byte,)))
            self.server.reactor.advance(1)
        self.assertTrue(get.closed)
        get.leave()
        self.assertTrue(post.closed)
        self.server.connect(GET)

    def test_no_goodbye(self) -> None:
        """A client that does not close when it is told to go is cut off."""
        client = self.server.connect(GET)
        client.protocol.dataReceived(b"x")
        self.assertFalse(client.transport.disconnected)
        self.server.reactor.pump([1.0] * 6)
        self.assertTrue(client.transport.disconnected)

    def test_too_many(self) -> None:
        """Tunnels have the limits of `rtsp`."""
        self.server = TunnelServer(RTSPSettings(max_connections_per_address=2))
        cookies = [b"x-sessioncookie: %d" % number for number in range(3)]
        clients = [self.server.connect(request(b"GET", PATH, cookie)) for cookie in cookies]
        self.assertEqual([status_of(x.received()) for x in clients], [200, 200, 503])
        clients[0].leave()
        self.assertEqual(status_of(self.server.connect(GET).received()), 200)

    def test_off(self) -> None:
        """The operator may turn tunnels off: then they are requests like any other."""
        self.server = TunnelServer(RTSPSettings(http_tunnel=False))
        client = self.server.connect(request(b"GET", b"/liveshow/test.flv", COOKIE, ACCEPT))
        self.assertEqual(status_of(client.received()), 404)
        self.assertFalse(client.closed)


class StopTests(TunnelCase):
    """The server stops."""

    def stop(self, *clients: Client) -> Deferred[None]:
        """Stop the port; the clients close what the server has closed."""
        stopped: Deferred[None] = self.server.http.stopService()
        for client in clients:
            self.assertTrue(client.closed)
            client.leave()
        return stopped

    def test_player(self) -> None:
        """A player's connections are both closed, and no viewer is left."""
        self.server.source()
        peer, get, post = self.open()
        peer.play()
        stopped = self.stop(get, post)
        self.successResultOf(stopped)
        self.assertEqual(len(self.told(PlayEnded)), 1)

    def test_publisher(self) -> None:
        """A publisher's stream ends."""
        peer, get, post = self.open()
        peer.record()
        stopped = self.stop(get, post)
        self.successResultOf(stopped)
        self.assertEqual(len(self.told(PublishEnded)), 1)
        self.assertNotIn(StreamKey("liveshow", "test"), self.server.hub.streams)

    def test_unpaired(self) -> None:
        """A GET that waits for its POST is closed; a new one is refused."""
        get = self.server.connect(GET)
        late = Client(self.server.front, ADDRESS, Transport(IPv4Address("TCP", ADDRESS, 50000)))
        self.server.http.stopService()
        self.assertTrue(get.closed)
        late.protocol.dataReceived(POST)
        self.assertTrue(late.closed)


class PacketTests(TunnelCase):
    """What comes within the connection beside requests."""

    def test_reports(self) -> None:
        """The server's reports to a publisher go out by GET."""
        peer, _get, _post = self.open()
        peer.record()
        peer.publish(*media(0, 1000))
        peer.report(VIDEO, 1, 0.0)
        for time in range(1000, 8000, 1000):
            peer.publish(*media(time, time + 1000))
            self.server.wait(1)
        peer.receive()
        self.assertTrue([frame for frame in peer.frames if frame.channel == 1])

    def test_video_alone(self) -> None:
        """One track is set up as over TCP, on whatever channels the client says."""
        source = self.server.source()
        peer, _get, _post = self.open()
        peer.describe()
        peer.ok("SETUP", "/trackID=0", Transport=f"{TCP}6-7")
        peer.ok("PLAY")
        source.send(*media(2200, 3000))
        peer.receive()
        self.assertEqual({frame.channel for frame in peer.frames}, {6, 7})
        video = [frame.payload for frame in peer.frames if frame.channel == 6]
        self.assertTrue(all(parse_packet(data).payload_type == 96 for data in video))
