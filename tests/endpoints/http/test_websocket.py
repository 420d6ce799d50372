"""Tests of ntvmedia.endpoints.http.websocket: streams over WebSocket, in a server in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.testing import StringTransport

from ntvmedia.config import HTTPSettings, Settings
from ntvmedia.endpoints.http.websocket import MAX_UNANSWERED, PING_SECONDS
from ntvmedia.events import PlayStarted
from tests.endpoints.http.live_rig import Case, SlowAccess, kinds
from tests.endpoints.http.rig import Client, HalfCloseable, request, status_of
from tests.wire.test_websocket import frame

# RFC 6455 section 1.3.
CLIENT_KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
FIELDS = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    CLIENT_KEY,
)
OPEN = request(b"GET", b"/liveshow/test.flv", *FIELDS, b"User-Agent: browser")
PING = b"\x89\x00"


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Return opcodes and payloads of what a server sent: whole frames, none of them masked."""
    found = []
    while data:
        assert data[0] & 0xF0 == 0x80, "not final, or a reserved bit"
        size, at = data[1], 2
        assert size < 128, "masked"
        if size > 125:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at], "big")
        assert len(data) >= at + size, "torn"
        found.append((data[0] & 0x0F, data[at : at + size]))
        data = data[at + size :]
    return found


def media(data: bytes) -> bytes:
    """Return what is in the binary messages."""
    return b"".join(payload for opcode, payload in frames(data) if opcode == 2)


class Full(StringTransport):
    """A transport that says when it is full, as a TLS one does."""

    def fill(self) -> None:
        """Take nothing for now."""
        assert self.producer is not None
        self.producer.pauseProducing()

    def drain(self) -> None:
        """Take more."""
        assert self.producer is not None
        self.producer.resumeProducing()


class WebSocketCase(Case):
    """A stream, and a client that wants it by WebSocket."""

    def open(self, data: bytes = OPEN, transport: Any = None) -> bytes:
        """Open a WebSocket, and return what came behind the head."""
        self.client = Client(self.service.front, "192.0.2.1", transport)
        head, _end, rest = self.client.send(data).partition(b"\r\n\r\n")
        self.assertEqual(status_of(head), 101)
        return rest

    def timers(self) -> list[Any]:
        """Return the timers of WebSockets."""
        calls = self.host.reactor.getDelayedCalls()
        return [call for call in calls if "WebSocket" in str(call)]

    def refused(self, *fields: bytes, data: bytes = b"") -> bytes:
        """Ask in a wrong way on a new connection, and return the answer."""
        answer = self.connect().send(data or request(b"GET", b"/liveshow/test.flv", *fields))
        self.assertNotEqual(status_of(answer), 101)
        self.assertEqual(self.plays, [])
        return answer


class HandshakeTests(WebSocketCase):
    """What opens a WebSocket, and what does not."""

    def test_opening(self) -> None:
        """RFC 6455 section 4.2.2: the answer, with the example's key."""
        self.publish()
        head = self.client.send(OPEN).partition(b"\r\n\r\n")[0]
        self.assertEqual(
            head.split(b"\r\n", 2)[0], b"HTTP/1.1 101 Switching Protocols", "status line"
        )
        for field in (
            b"\r\nUpgrade: websocket",
            b"\r\nConnection: Upgrade",
            b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        ):
            self.assertIn(field, head)
        for name in (b"Content-Length", b"Transfer-Encoding", b"Content-Type"):
            self.assertNotIn(name, head)

    def test_spellings(self) -> None:
        """B-WS-02: `keep-alive, Upgrade` as Firefox sends it, any case, more blanks."""
        self.publish()
        for fields in (
            (b"Connection: keep-alive, Upgrade", b"Upgrade: websocket"),
            (b"CONNECTION:   Keep-Alive ,UPGRADE ", b"upgrade:  WebSocket "),
            (b"Connection: upgrade", b"Connection: keep-alive", b"Upgrade: websocket, h2c"),
        ):
            self.open(request(b"GET", b"/liveshow/test.flv", *fields, *FIELDS[2:]))
        self.assertEqual(self.plays, ["ws-flv"] * 3)

    def test_nothing_negotiated(self) -> None:
        """Extensions and subprotocols are offers, which are not taken up."""
        self.publish()
        offers = (
            b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            b"Sec-WebSocket-Protocol: token-123, flv",
        )
        head = self.client.send(request(b"GET", b"/liveshow/test.flv", *FIELDS, *offers))
        self.assertEqual(status_of(head), 101)
        self.assertNotIn(b"Sec-WebSocket-Extensions", head)
        self.assertNotIn(b"Sec-WebSocket-Protocol", head)

    def test_version(self) -> None:
        """B-WS-02: another version, or none, is answered 426 and the version that is known."""
        self.publish()
        for fields in (
            (*FIELDS[:2], b"Sec-WebSocket-Version: 8", CLIENT_KEY),
            (*FIELDS[:2], b"Sec-WebSocket-Version: 13, 8", CLIENT_KEY),
            (*FIELDS[:2], CLIENT_KEY),
        ):
            answer = self.refused(*fields)
            self.assertEqual(status_of(answer), 426)
            self.assertIn(b"\r\nSec-WebSocket-Version: 13\r\n", answer)
            self.assertIn(b"\r\nUpgrade: websocket\r\n", answer)

    def test_bad_requests(self) -> None:
        """B-WS-02: no key or a bad one, no `Connection`, HTTP/1.0, a body: 400."""
        self.publish()
        plain = b"GET /liveshow/test.flv HTTP/1.0\r\n" + b"\r\n".join(FIELDS) + b"\r\n\r\n"
        for answer in (
            self.refused(*FIELDS[:3]),
            self.refused(*FIELDS[:3], b"Sec-WebSocket-Key: c2hvcnQ="),
            self.refused(*FIELDS, CLIENT_KEY),
            self.refused(FIELDS[0], *FIELDS[2:]),
            self.refused(FIELDS[0], b"Connection: keep-alive", *FIELDS[2:]),
            self.refused(data=plain),
            self.refused(
                data=request(
                    b"GET", b"/liveshow/test.flv", *FIELDS, b"Content-Length: 1", body=b"x"
                )
            ),
            self.refused(
                data=request(b"GET", b"/liveshow/test.flv", *FIELDS, b"Transfer-Encoding: chunked")
            ),
        ):
            self.assertEqual(status_of(answer), 400)
            self.assertIn(b"\r\nAccess-Control-Allow-Origin: *\r\n", answer)

    def test_other_upgrades(self) -> None:
        """An offer of another protocol is declined by the ordinary answer; so is one with HEAD."""
        self.publish()
        answer = self.client.get(
            b"/liveshow/test.flv", b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings"
        )
        self.assertEqual(status_of(answer), 200)
        answer = self.connect().send(request(b"HEAD", b"/liveshow/test.flv", *FIELDS))
        self.assertEqual(status_of(answer), 200)

    def test_refused_as_http(self) -> None:
        """B-WS-04: before the switch a refusal is an ordinary answer, with its reason."""
        answer = self.refused(data=OPEN.replace(b"liveshow", b"nowhere"))
        self.assertEqual(status_of(answer), 403)
        self.client.send(OPEN)
        self.host.reactor.advance(self.host.settings.hub.play_wait)
        self.assertEqual(status_of(self.client.received()), 404)
        for number in range(self.host.settings.hub.max_waiting_names):
            self.connect().get(b"/liveshow/s%d.flv" % number)
        self.assertEqual(status_of(self.refused(data=OPEN.replace(b"test", b"more"))), 503)

    def test_stops_while_it_waits(self) -> None:
        """A client that waits for its stream is refused when the server stops."""
        self.client.send(OPEN)
        self.service.stopService()
        self.assertEqual(status_of(self.client.received()), 503)


class OriginTests(WebSocketCase):
    """Pages of other sites."""

    def test_page_url(self) -> None:
        """B-WS-04: access is told the origin as the page, or the referer where there is one."""
        self.publish()
        for fields, page in (
            ((b"Origin: https://a.example",), "https://a.example"),
            (
                (b"Origin: https://a.example", b"Referer: https://a.example/p"),
                "https://a.example/p",
            ),
            ((b"Origin: null",), "null"),  # F-AC-07
            ((), ""),
        ):
            self.open(request(b"GET", b"/liveshow/test.flv", *FIELDS, *fields))
            (stream,) = self.host.hub.streams.values()
            self.assertEqual(list(stream.viewers)[-1].info.page_url, page)

    def test_foreign_page(self) -> None:
        """B-WS-04: browsers leave it to us to refuse a WebSocket of a page that may not fetch."""
        self.host.settings = Settings(http=HTTPSettings(allowed_origins=("https://a.example",)))
        self.make_service()
        self.publish()
        for origin, status in (
            (b"https://evil.example", 403),
            (b"null", 403),
            (b"https://a.example.evil.example", 403),
            (b"https://A.example", 101),
            (b"http://example.org", 101),  # the request's own host
        ):
            answer = self.connect().send(
                request(b"GET", b"/liveshow/test.flv", *FIELDS, b"Origin: " + origin)
            )
            self.assertEqual((origin, status_of(answer)), (origin, status))
        self.open()

    def test_token(self) -> None:
        """B-WS-04: access decides by the query as over HTTP."""
        self.access = slow = SlowAccess()
        self.host.access = slow
        self.client.send(OPEN.replace(b".flv", b".flv?token=1"))
        ((asked, _verdict),) = slow.asked
        self.assertEqual((asked.protocol, asked.query), ("ws-flv", {"token": "1"}))


class StreamTests(WebSocketCase):
    """What is sent, and the end."""

    def test_binary_messages(self) -> None:
        """B-WS-01: binary messages only, the first of which begins with the FLV header."""
        publication = self.publish()
        data = self.open()
        self.feed(publication)
        data += self.client.received()
        self.assertEqual({opcode for opcode, _payload in frames(data)}, {2})
        self.assertTrue(frames(data)[0][1].startswith(b"FLV\x01\x05"))
        self.assertEqual(set(kinds(media(data))), {8, 9, 18})
        (stream,) = self.host.hub.streams.values()
        (viewer,) = stream.viewers
        self.assertEqual((viewer.info.protocol, viewer.info.user_agent), ("ws-flv", "browser"))

    def test_shared(self) -> None:
        """All viewers over WebSocket share one rendition, made once."""
        self.publish()
        first, second = self.open(), self.open()
        self.assertEqual(first, second)
        (stream,) = self.host.hub.streams.values()
        self.assertEqual([x.users for x in stream.renditions.values()], [2])

    def test_audio_only(self) -> None:
        """P-503: queries mean what they mean over HTTP."""
        self.publish()
        data = self.open(OPEN.replace(b".flv", b".flv?audio=1"))
        self.assertEqual(set(kinds(media(data))), {8, 18})

    def test_stream_ends(self) -> None:
        """B-HT-09: at the end of the stream there is a close frame with code 1000."""
        publication = self.publish()
        self.open(transport=HalfCloseable())
        publication.close("publisher stopped", lost=False)
        found = frames(self.client.received())
        self.assertEqual(found[-1], (8, b"\x03\xe8publisher stopped"))
        self.assertEqual([opcode for opcode, _payload in found].count(8), 1)
        # Our side is closed, and what the client answers is read.
        self.assertTrue(self.client.transport.half_closed)
        self.assertEqual(self.client.send(frame(8, b"\x03\xe8")), b"")
        self.client.leave()
        self.assertEqual(len(self.plays), 2)

    def test_kicked(self) -> None:
        """B-HT-11: a viewer that is sent away gets code 1008 and the reason."""
        self.publish()
        self.open()
        (stream,) = self.host.hub.streams.values()
        (viewer,) = stream.viewers
        viewer.kick("sent away by the operator")
        self.assertEqual(
            frames(self.client.received()), [(8, b"\x03\xf0sent away by the operator")]
        )
        self.assertTrue(self.client.closed)
        self.assertEqual(list(stream.viewers), [])

    def test_kicked_as_it_came(self) -> None:
        """A viewer who is sent away by whoever hears that it came gets code 1008."""
        self.publish()
        (stream,) = self.host.hub.streams.values()
        self.host.events.subscribe(
            PlayStarted, lambda _event: next(iter(stream.viewers)).kick("no")
        )
        found = frames(self.open())
        self.assertEqual(found, [(8, b"\x03\xf0no")])
        self.assertTrue(self.client.closed)

    def test_server_stops(self) -> None:
        """G-LC-01: when the server stops there is a close frame with code 1001."""
        self.publish()
        self.client.leave()
        self.open()
        stopping = self.service.stopService()
        self.assertEqual(frames(self.client.received()), [(8, b"\x03\xe9the server is stopping")])
        self.assertTrue(self.client.closed)
        self.client.leave()
        self.successResultOf(stopping)

    def test_bug(self) -> None:
        """G-LC-08: after the switch, a failure ends its connection, and only that."""
        self.publish()
        (stream,) = self.host.hub.streams.values()
        stream.play = lambda *args, **named: 1 / 0  # type: ignore[method-assign, assignment]
        self.client.send(OPEN)
        self.assertTrue(self.client.transport.disconnected)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.client.leave()
        self.assertEqual(self.timers(), [])


class ClientTests(WebSocketCase):
    """What clients send."""

    def setUp(self) -> None:
        super().setUp()
        self.publication = self.publish()

    def viewers(self) -> int:
        """Return how many watch."""
        (stream,) = self.host.hub.streams.values()
        return len(stream.viewers)

    def test_ping(self) -> None:
        """RFC 6455 section 5.5.2: a ping is answered with its payload, between blocks."""
        self.open()
        self.assertEqual(self.client.send(frame(9, b"hello")), b"\x8a\x05hello")
        self.feed(self.publication)
        self.assertEqual({opcode for opcode, _data in frames(self.client.received())}, {2})

    def test_messages_are_ignored(self) -> None:
        """What the client says means nothing, text or binary, and does no harm."""
        self.open()
        self.assertEqual(self.client.send(frame(1, b"{}"), frame(2, bytes(300))), b"")
        self.assertEqual(self.viewers(), 1)

    def test_close(self) -> None:
        """RFC 6455 section 5.5.1: a close is answered with its code, and nothing follows."""
        for payload, answer in ((b"\x03\xe9bye", b"\x88\x02\x03\xe9"), (b"", b"\x88\x00")):
            self.open()
            self.assertEqual(self.client.send(frame(8, payload) + frame(9)), answer)
            self.assertTrue(self.client.closed)
            self.assertEqual(self.viewers(), 0)
            self.feed(self.publication)
            self.assertEqual(self.client.received(), b"")
            self.client.leave()
        self.assertEqual(self.timers(), [])

    def test_close_with_the_request(self) -> None:
        """A client that closes before it has its answer gets both, and no media."""
        rest = self.open(OPEN + frame(8, b"\x03\xe8"))
        self.assertEqual(rest, b"\x88\x02\x03\xe8")
        self.assertTrue(self.client.closed)
        self.assertEqual(self.plays, [])

    def test_ping_with_the_request(self) -> None:
        """What comes with the request is not lost."""
        rest = self.open(OPEN + frame(9, b"1"))
        self.assertEqual([opcode for opcode, _payload in frames(rest)][:2], [10, 2])

    def test_broken_rules(self) -> None:
        """B-WS-05: the client is told which rule it broke, and the viewer is gone at once."""
        for data, code in (
            (frame(2, b"x", mask=None), b"\x03\xea"),
            (frame(3), b"\x03\xea"),
            (b"\x82\xff" + (1 << 30).to_bytes(8, "big"), b"\x03\xf1"),
            (frame(1, b"\xff"), b"\x03\xef"),
        ):
            self.open()
            answer = self.client.send(frame(9))
            self.assertEqual(frames(answer)[-1:], [(10, b"")])
            ((opcode, payload),) = frames(self.client.send(data))
            self.assertEqual((opcode, payload[:2]), (8, code))
            self.assertTrue(self.client.closed)
            self.assertEqual(self.viewers(), 0)
            self.assertEqual(self.client.send(bytes(100)), b"")
            self.client.leave()
        self.assertEqual(self.timers(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_too_much(self) -> None:
        """F-RE-04: a viewer has little to say; who sends without end is told so, with code 1008."""
        self.open()
        for _period in range(3):
            for _number in range(2):
                self.assertEqual(self.client.send(frame(2, bytes(60000))), b"")
            self.host.reactor.advance(PING_SECONDS)
            self.assertEqual(self.client.received(), PING)
        for _number in range(2):
            self.client.send(frame(2, bytes(60000)))
        answer = self.client.send(frame(2, bytes(60000)))
        self.assertEqual(frames(answer), [(8, b"\x03\xf0sends too much")])
        self.assertEqual((self.viewers(), self.client.closed), (0, True))

    def test_many_pings_at_once(self) -> None:
        """RFC 6455 section 5.5.3: of the pings that came together the last is answered."""
        self.open()
        data = b"".join(frame(9, b"%d" % number) for number in range(1000))
        self.assertEqual(self.client.send(data), b"\x8a\x03999")

    def test_leaves(self) -> None:
        """B-WS-03: nothing is left of a client who went without a word."""
        self.open()
        self.client.leave()
        self.assertEqual((self.viewers(), self.timers()), (0, []))


class PingTests(WebSocketCase):
    """Signs of life."""

    def setUp(self) -> None:
        super().setUp()
        self.publication = self.publish()

    def wait(self, seconds: float) -> bytes:
        """Let time pass without media, and return what was sent."""
        self.host.reactor.advance(seconds)
        return self.client.received()

    def test_pings(self) -> None:
        """B-HT-13: a silent stream has a ping more often than every 30 seconds."""
        self.assertLess(PING_SECONDS, 30)
        self.open()
        self.assertEqual(self.wait(PING_SECONDS - 1), b"")
        for _number in range(10):
            self.assertEqual(self.wait(1), PING)
            self.client.send(frame(10))
            self.assertEqual(self.wait(PING_SECONDS - 1), b"")
        self.assertFalse(self.client.closed)

    def test_no_answer(self) -> None:
        """B-WS-03: a client that answers no ping is cut off; any frame counts as an answer."""
        self.open()
        self.wait(PING_SECONDS)
        self.client.send(frame(2, b"I am here"))
        for _number in range(MAX_UNANSWERED):
            self.assertEqual(self.wait(PING_SECONDS), PING)
        self.client.send(frame(10)[:1])  # the beginning of an answer is none
        self.wait(PING_SECONDS - 1)
        self.assertFalse(self.client.transport.disconnected)
        self.wait(1)
        self.assertTrue(self.client.transport.disconnected)
        self.client.leave()
        self.assertIn("the viewer answers no ping", self.plays)
        self.assertEqual(self.timers(), [])

    def test_blocked(self) -> None:
        """B-SL-01: a client to which media are on their way is not asked in vain meanwhile."""
        self.open(transport=Full())
        self.client.transport.fill()
        for _number in range(MAX_UNANSWERED + 2):
            self.host.reactor.advance(PING_SECONDS)
        self.assertFalse(self.client.transport.disconnected)
        self.client.transport.drain()
        self.client.received()
        self.assertEqual(self.wait(PING_SECONDS), PING)

    def test_pings_of_one_who_takes_nothing(self) -> None:
        """B-SL-02: who pings and takes nothing fills no memory; the last ping is answered."""
        self.open(transport=Full())
        self.client.transport.fill()
        (stream,) = self.host.hub.streams.values()
        (viewer,) = stream.viewers
        for number in range(10000):
            self.client.send(frame(9, b"%d" % number))
        self.assertEqual(viewer.queued_bytes, 0)
        self.client.transport.drain()
        self.assertEqual(self.client.received(), b"\x8a\x049999")
        self.client.transport.fill()
        self.client.transport.drain()
        self.assertEqual(self.client.received(), b"")

    def test_whole_frames_only(self) -> None:
        """B-SL-04: control frames and what is left out for a slow viewer tear no frame."""
        self.open(transport=Full())
        data = b""
        for number in range(60):
            if number % 7 == 1:
                self.client.transport.fill()
            self.client.send(frame(9, b"x"))
            self.feed(self.publication)
            if number % 7 == 4:
                self.client.transport.drain()
            data += self.client.received()
        found = frames(data)
        self.assertEqual({opcode for opcode, _payload in found}, {2, 9, 10})
        kinds(b"FLV\x01\x05\0\0\0\x09\0\0\0\0" + media(data))
