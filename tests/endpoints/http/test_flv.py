"""Tests of ntvmedia.endpoints.http.flv and endpoint: HTTP-FLV over a whole server in memory."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ntvmedia.access import BUILT_IN, Access, Verdict
from ntvmedia.config import HTTPSettings, Settings
from ntvmedia.endpoints.http.endpoint import HTTPEndpoint, HTTPSEndpoint
from ntvmedia.endpoints.http.flv import FLVRoute
from ntvmedia.errors import ConfigError
from ntvmedia.hub.rendition import RenditionKey
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.interfaces import IMediaEndpoint, IMediaRoute
from ntvmedia.media import Codec, Packet, StreamKey, Track
from ntvmedia.preferences import Values
from tests.endpoints.http.live_rig import (
    GET,
    KEY,
    Case,
    Host,
    Publisher,
    SlowAccess,
    dechunked,
    kinds,
)
from tests.endpoints.http.rig import Pages, body_of_answer, request, status_of


class PlayTests(Case):
    """Playing."""

    def test_interfaces(self) -> None:
        """The plugins keep their promises."""
        verifyObject(IMediaRoute, FLVRoute())
        verifyObject(IMediaEndpoint, HTTPEndpoint())
        verifyObject(IMediaEndpoint, HTTPSEndpoint())

    def test_chunked(self) -> None:
        """B-HT-01: over HTTP/1.1 in chunks; B-FL-06: with all that a late viewer needs."""
        publication = self.publish()
        answer = self.client.send(GET)
        head = answer.partition(b"\r\n\r\n")[0] + b"\r\n"
        for field in (
            b"HTTP/1.1 200 OK\r\n",
            b"\r\nContent-Type: video/x-flv\r\n",
            b"\r\nTransfer-Encoding: chunked\r\n",
            b"\r\nAccess-Control-Allow-Origin: *\r\n",
            b"\r\nX-Accel-Buffering: no\r\n",
        ):
            self.assertIn(field, head)
        self.assertIn(b"no-cache", head)
        self.assertNotIn(b"Content-Length", head)
        self.assertNotIn(b"Content-Encoding", head)
        self.feed(publication)
        content, ended = dechunked(body_of_answer(answer) + self.client.received())
        self.assertFalse(ended)
        self.assertEqual(set(kinds(content)), {8, 9, 18})
        (stream,) = self.host.hub.streams.values()
        (viewer,) = stream.viewers
        self.assertEqual(
            (viewer.info.protocol, viewer.info.peer, viewer.info.user_agent, viewer.info.page_url),
            ("flv", "192.0.2.1:50000", "player", "http://a.example/"),
        )

    def test_plain(self) -> None:
        """B-HT-01: over HTTP/1.0 the end of the connection is the end of the answer."""
        publication = self.publish()
        answer = self.client.send(b"GET /liveshow/test.flv HTTP/1.0\r\n\r\n")
        self.assertNotIn(b"Transfer-Encoding", answer)
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        self.feed(publication)
        content = body_of_answer(answer) + self.client.received()
        self.assertEqual(set(kinds(content)), {8, 9, 18})
        publication.close("publisher stopped", lost=False)
        self.assertTrue(self.client.closed)

    def test_audio_only(self) -> None:
        """P-503: with `audio=1` there is no video, and no flag that promises any."""
        self.publish()
        answer = self.client.get(b"/liveshow/test.flv?audio=1")
        content, _ended = dechunked(body_of_answer(answer))
        self.assertEqual(set(kinds(content)), {8, 18})
        self.assertEqual(content[4], 4)

    def test_shared(self) -> None:
        """Viewers that want the same share one rendition; HTTP/1.0 has another framing."""
        self.publish()
        for data in (GET, GET, b"GET /liveshow/test.flv HTTP/1.0\r\n\r\n"):
            self.connect().send(data)
        (stream,) = self.host.hub.streams.values()
        self.assertEqual(sorted(x.users for x in stream.renditions.values()), [1, 2])

    def test_stream_ends(self) -> None:
        """B-HT-09: when the publisher leaves there is one last chunk and one end."""
        publication = self.publish()
        answer = self.client.send(GET)
        publication.close("publisher stopped", lost=False)
        _content, ended = dechunked(body_of_answer(answer) + self.client.received())
        self.assertTrue(ended)
        self.assertEqual(len(self.plays), 2)
        self.assertEqual(body_of_answer(self.client.get(b"/healthz")), b"ok\n")
        self.client.leave()
        self.assertEqual(len(self.plays), 2)

    def test_sent_away(self) -> None:
        """B-HT-11: a viewer that is sent away has its last chunk; the entry is gone."""
        self.publish()
        answer = self.client.send(GET)
        (stream,) = self.host.hub.streams.values()
        (viewer,) = stream.viewers
        viewer.end("kicked")
        _content, ended = dechunked(body_of_answer(answer) + self.client.received())
        self.assertTrue(ended)
        self.assertEqual((list(stream.viewers), self.plays), ([], ["flv", "kicked"]))

    def test_client_leaves(self) -> None:
        """B-HT-08: nothing is left of a viewer who went, or of one who still waited."""
        publication = self.publish()
        self.client.send(GET)
        waiting = self.connect()
        waiting.get(b"/liveshow/other.flv")
        self.assertEqual(self.host.hub.waiting, 1)
        self.client.leave()
        waiting.leave()
        (stream,) = self.host.hub.streams.values()
        self.assertEqual((len(stream.viewers), self.host.hub.waiting), (0, 0))
        publication.close("publisher stopped", lost=False)
        self.assertEqual(self.host.reactor.getDelayedCalls(), [])

    def test_head_and_range(self) -> None:
        """B-HT-04: HEAD makes no viewer; a range is ignored."""
        self.publish()
        answer = self.client.send(request(b"HEAD", b"/liveshow/test.flv"))
        self.assertEqual((status_of(answer), body_of_answer(answer)), (200, b""))
        self.assertIn(b"\r\nContent-Type: video/x-flv\r\n", answer)
        self.assertEqual(self.plays, [])
        answer = self.client.send(request(b"HEAD", b"/liveshow/other.flv"))
        self.assertEqual((status_of(answer), self.host.hub.waiting), (404, 0))
        answer = self.client.get(b"/liveshow/test.flv", b"Range: bytes=0-99")
        self.assertEqual(status_of(answer), 200)
        self.assertNotIn(b"Content-Range", answer)

    def test_sent_meanwhile(self) -> None:
        """B-HT-12: what the client sends during the stream does not disturb it."""
        publication = self.publish()
        answer = self.client.send(GET + request(b"GET", b"/healthz") + b"junk")
        self.feed(publication)
        content, _ended = dechunked(body_of_answer(answer) + self.client.received())
        self.assertEqual(set(kinds(content)), {8, 9, 18})

    def test_play_before_publish(self) -> None:
        """A viewer waits for its stream, and is served when it comes."""
        self.assertEqual(self.client.send(GET), b"")
        self.publish()
        self.assertEqual(status_of(self.client.received()), 200)

    def test_not_published(self) -> None:
        """A viewer who waited in vain gets 404 with the reason, and may ask again."""
        self.client.send(GET)
        self.host.reactor.advance(self.host.settings.hub.play_wait)
        answer = self.client.received()
        self.assertEqual(status_of(answer), 404)
        self.assertIn(b"liveshow/test is not published", answer)
        self.assertIn(b"\r\nAccess-Control-Allow-Origin: *\r\n", answer)
        self.assertEqual(body_of_answer(self.client.get(b"/healthz")), b"ok\n")

    def test_too_many_wait(self) -> None:
        """F-RE-05: when too many wait, the next one gets 503 at once."""
        self.host.preferences.values = Values(max_connections_per_address=0)
        names = self.host.settings.hub.max_waiting_names
        for number in range(names):
            self.connect().get(b"/liveshow/s%d.flv" % number)
        answer = self.client.get(b"/liveshow/more.flv")
        self.assertEqual(status_of(answer), 503)

    def test_no_such_application(self) -> None:
        """Refusals of access are 403 with the reason; never 200 with an empty body."""
        answer = self.client.get(b"/nowhere/test.flv")
        self.assertEqual(status_of(answer), 403)
        self.assertIn(b'there is no application "nowhere"', answer)

    def test_bug(self) -> None:
        """G-LC-08: a failure that is nobody's fault but ours is 500, and logged once."""
        self.patch(self.host.hub, "wait_for", lambda *_key: 1 / 0)
        self.assertEqual(status_of(self.client.send(GET)), 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_late_bug(self) -> None:
        """G-LC-08: after the answer began, a failure ends its connection, and only that."""
        self.publish()
        (stream,) = self.host.hub.streams.values()
        stream.play = lambda *args, **named: 1 / 0  # type: ignore[method-assign, assignment]
        self.client.send(GET)
        self.assertTrue(self.client.transport.disconnected)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(body_of_answer(self.connect().get(b"/healthz")), b"ok\n")

    def test_server_stops(self) -> None:
        """G-LC-01: viewers' answers end in good form, who waits is refused, all is closed."""
        self.publish()
        answer = self.client.send(GET)
        waiting = self.connect()
        waiting.get(b"/liveshow/other.flv")
        stopping = self.service.stopService()
        _content, ended = dechunked(body_of_answer(answer) + self.client.received())
        self.assertTrue(ended)
        self.assertEqual(status_of(waiting.received()), 503)
        self.assertEqual((self.client.closed, waiting.closed), (True, True))
        self.client.leave()
        self.assertNoResult(stopping)
        waiting.leave()
        self.successResultOf(stopping)
        self.assertEqual(self.host.hub.waiting, 0)


class LegacyHEVCTests(SynchronousTestCase):
    """HEVC in the spelling that the operator chose."""

    def test_setting(self) -> None:
        """B-FL-08, A-ER-11: as `hvc1` by default, under codec id 12 where that is set."""
        track = Track(Codec.HEVC, config=b"\x01" + bytes(22))
        for legacy, first in ((False, b"\x90hvc1"), (True, b"\x1c\x00\x00\x00\x00")):
            host = Host(Access(BUILT_IN))
            host.settings = Settings(http=HTTPSettings(legacy_hevc=legacy))
            FLVRoute().make_handler(cast(Any, host))
            publication = host.hub.publish(StreamKey("liveshow", "x"), Publisher())
            publication.track_received(track)
            publication.packet_received(Packet(track, 0, 0, True, b"\0\0\0\x02\x26\x01"))
            host.reactor.advance(1.0)
            stream = host.hub.streams[StreamKey("liveshow", "x")]
            transport = StringTransport()
            stream.play(
                RenditionKey("flv"), host.hub.outlet(transport), ViewerInfo("flv", "x"), print
            )
            self.assertIn(first + b"\x01" + bytes(22), transport.value())


class SlowAccessTests(Case):
    """Access that takes its time."""

    def setUp(self) -> None:
        self.access = self.slow = SlowAccess()
        super().setUp()

    def test_asked_before_served(self) -> None:
        """Nothing is sent before the answer; then it counts, with another name for the stream."""
        self.publish()
        answer = self.client.get(b"/liveshow/alias.flv?token=1")
        self.assertEqual((answer, self.plays), (b"", []))
        ((asked, verdict),) = self.slow.asked
        self.assertEqual((asked.action, str(asked.key)), ("play", "liveshow/alias"))
        self.assertEqual((asked.query, asked.protocol), ({"token": "1"}, "flv"))
        verdict.callback(Verdict(True, rename=KEY))
        self.assertEqual(status_of(self.client.received()), 200)
        self.assertEqual(self.plays, ["flv"])

    def test_client_leaves_meanwhile(self) -> None:
        """The question of a client who left after five seconds is cancelled."""
        self.publish()
        self.client.send(GET)
        ((_asked, verdict),) = self.slow.asked
        self.host.reactor.advance(5)
        self.client.leave()
        self.assertTrue(verdict.called)
        self.assertEqual(self.plays, [])
        self.assertEqual(self.flushLoggedErrors(), [])


class EndpointTests(Case):
    """The ports."""

    def test_listens(self) -> None:
        """The port is opened at start, and the web resource made when the reactor runs."""
        made: list[int] = []

        def web_resource() -> Pages:
            made.append(1)
            return Pages()

        self.host.web_resource = web_resource  # type: ignore[method-assign]
        ((port, factory, _backlog, _interface),) = self.host.reactor.tcpServers
        self.assertEqual(port, 8080)
        self.assertIs(getattr(factory, "wrappedFactory", factory), self.service.front)
        self.assertEqual(made, [])
        self.host.reactor.run()
        self.assertEqual(made, [1])
        self.assertEqual(body_of_answer(self.client.get(b"/page")), b"GET /page ")
        self.assertEqual(made, [1])

    def test_one_output_twice(self) -> None:
        """Two plugins for one extension are a mistake of the operator."""
        self.host.routes.append(FLVRoute())
        endpoint = HTTPEndpoint()
        settings = endpoint.parse_settings({})
        self.assertRaises(ConfigError, endpoint.make_service, cast(Any, self.host), settings)

    def test_https_needs_certificates(self) -> None:
        """HTTPS without a certificate is a mistake of the operator; not listening is none."""
        endpoint = HTTPSEndpoint()
        host = cast(Any, self.host)
        self.assertRaises(
            ConfigError,
            endpoint.make_service,
            host,
            endpoint.parse_settings({"listen": "tcp:8443"}),
        )
        endpoint.make_service(host, endpoint.parse_settings({}))
