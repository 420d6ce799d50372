"""Tests of ntvmedia.admin: who may ask, the API, and metrics."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.server import Site

from ntvmedia import __version__
from ntvmedia.admin import make_resource
from ntvmedia.admin.owner import is_local
from ntvmedia.config import Settings
from ntvmedia.events import EventBus
from ntvmedia.hub.rendition import RenditionKey
from ntvmedia.hub.streams import Hub
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.media import Codec, Packet, StreamKey, Track

AUDIO = Track(Codec.MP3, clock_rate=44100, channels=2)
LOOPBACK = IPv4Address("TCP", "127.0.0.1", 50000)
FRAME = b"\xff\xfb\x90\x64" + b"a" * 96


class Silent:
    """A serialiser that sends the payloads as they are."""

    def tracks_changed(self, tracks: Any, metadata: Any, timestamp: int) -> bytes:
        """Say nothing."""
        return b""

    def header(self, timestamp: int) -> bytes:
        """Return no header."""
        return b""

    def packet(self, packet: Packet, parts: list[bytes]) -> None:
        """Append the payload."""
        parts.append(packet.payload)

    def trailer(self) -> bytes:
        """Return no trailer."""
        return b""

    def frame(self, block: bytes) -> bytes:
        """Return the block."""
        return block


class Publisher:
    """Whoever publishes."""

    protocol = "test"
    peer = "192.0.2.9:1"

    def dismissed(self, reason: str) -> None:
        """Never in these tests."""
        raise AssertionError(reason)


class Host:
    """A server with nothing but a hub."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.settings = Settings()
        self.hub = Hub(self.reactor, self.settings.hub, EventBus(), lambda: 784111777.0)
        self.hub.register_format("raw", lambda options: Silent())
        self.draining = False

    def publish(self, key: StreamKey) -> Any:
        """Publish some sound; returns the publication."""
        publication = self.hub.publish(key, Publisher())
        publication.track_received(AUDIO)
        for number in range(5):
            at = number * 1152
            publication.packet_received(Packet(AUDIO, at, at, True, FRAME))
        publication.batch_ended()
        self.reactor.advance(2)
        return publication

    def play(self, key: StreamKey) -> None:
        """Have somebody listen."""
        stream = self.hub.streams[key]
        outlet = self.hub.outlet(StringTransport())
        info = ViewerInfo("test", "192.0.2.5:2", "player", "http://a.example/")
        stream.play(RenditionKey("raw"), outlet, info, lambda reason: None)


class SiteTests(SynchronousTestCase):
    """What the resource answers, over HTTP."""

    def setUp(self) -> None:
        self.host = Host()
        self.resource = make_resource(cast(Any, self.host))

    def ask(
        self,
        path: bytes,
        *fields: bytes,
        method: bytes = b"GET",
        host: bytes = b"localhost:8080",
        peer: Any = LOOPBACK,
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        """Return status, header fields and body of an answer."""
        channel = Site(self.resource, reactor=self.host.reactor).buildProtocol(peer)
        assert channel is not None
        transport = StringTransport(peerAddress=peer)
        channel.makeConnection(transport)
        head = (method + b" " + path + b" HTTP/1.1", b"Host: " + host, *fields, b"", b"")
        channel.dataReceived(b"\r\n".join(head))
        answer, _mark, body = transport.value().partition(b"\r\n\r\n")
        first, *lines = answer.split(b"\r\n")
        found = dict(line.lower().split(b": ", 1) for line in lines)
        if found.get(b"transfer-encoding") == b"chunked":
            body = body.partition(b"\r\n")[2][: int(body.partition(b"\r\n")[0], 16)]
        return int(first.split()[1]), found, body

    def json(self, path: bytes) -> Any:
        """Return what a good answer says."""
        status, fields, body = self.ask(path)
        self.assertEqual((status, fields[b"content-type"]), (200, b"application/json"))
        self.assertEqual(fields[b"cache-control"], b"no-store")
        return json.loads(body)

    def test_only_from_here(self) -> None:
        """F-AC-02: nothing is open to others, whatever the spelling of the path."""
        peer = IPv4Address("TCP", "192.0.2.1", 50000)
        for path in (
            b"/mserver/api/v1/status",
            b"/mserver/api/v1/streams",
            b"/mserver/api/v1/streams/liveshow/test",
            b"/metrics",
            b"//metrics",
            b"/%6detrics",
            b"/./metrics",
            b"/nothing",
            b"/",
        ):
            for refused in (
                self.ask(path, peer=peer),
                self.ask(path, host=b"example.org"),
                self.ask(path, b"X-Forwarded-For: 127.0.0.1"),
            ):
                status, fields, body = refused
                self.assertEqual(status, 403, path)
                self.assertEqual(fields[b"content-type"], b"application/json")
                self.assertEqual(list(json.loads(body)), ["error"])

    def test_no_server_field(self) -> None:
        """Nobody is told which server this is, good or bad."""
        for path in (b"/metrics", b"/nothing"):
            self.assertNotIn(b"server", self.ask(path)[1])
        self.assertNotIn(b"server", self.ask(b"/metrics", host=b"example.org")[1])

    def test_status(self) -> None:
        """The server as a whole."""
        self.host.publish(StreamKey("liveshow", "a"))
        self.host.play(StreamKey("liveshow", "a"))
        self.host.hub.wait_for(StreamKey("liveshow", "b")).addErrback(lambda failure: None)
        found = self.json(b"/mserver/api/v1/status")
        self.assertEqual((found["version"], found["uptime_seconds"]), (__version__, 2.0))
        self.assertEqual(
            [found[name] for name in ("streams", "publishers", "viewers", "waiting")], [1, 1, 1, 1]
        )
        self.assertEqual((found["bytes_in"], found["draining"]), (500, False))
        self.assertGreater(found["bytes_out"], 0)
        self.host.draining = True
        self.assertTrue(self.json(b"/mserver/api/v1/status")["draining"])

    def test_lag(self) -> None:
        """G-RS-13: how late the reactor is, and the most since the start."""
        self.host.hub.lag.measured(0.25, 10.0)
        self.host.hub.lag.measured(0.001, 11.0)
        status, found = self.json(b"/mserver/api/v1/status"), self.metrics()
        for last, largest in (
            (status["reactor_lag_seconds"], status["largest_reactor_lag_seconds"]),
            (
                found["ntvmedia_reactor_lag_seconds", ""],
                found["ntvmedia_reactor_lag_largest_seconds", ""],
            ),
        ):
            self.assertEqual((last, largest), (0.001, 0.25))

    def test_streams(self) -> None:
        """All streams, by name."""
        self.assertEqual(self.json(b"/mserver/api/v1/streams"), {"streams": []})
        for name in ("b", "a", "中"):
            self.host.publish(StreamKey("liveshow", name))
        found = self.json(b"/mserver/api/v1/streams")["streams"]
        self.assertEqual([x["name"] for x in found], ["liveshow/a", "liveshow/b", "liveshow/中"])
        self.assertEqual(found[0]["tracks"][0]["codec"], "mp3")

    def test_stream(self) -> None:
        """One stream with its viewers; its name may be spelt as in its other addresses."""
        key = StreamKey("liveshow", "中")
        self.host.publish(key)
        self.host.play(key)
        found = self.json(b"/mserver/api/v1/streams/liveshow/%E4%B8%AD")
        self.assertEqual((found["name"], found["viewers"]), ("liveshow/中", 1))
        (viewer,) = found["viewer_list"]
        self.assertEqual((viewer["peer"], viewer["protocol"]), ("192.0.2.5:2", "test"))

    def test_viewers(self) -> None:
        """Who watches is one list for all streams and protocols, with connections or without."""
        keys = [StreamKey("liveshow", "b"), StreamKey("tv", "a")]
        for key in keys:
            self.host.publish(key)
            self.host.play(key)
        info = ViewerInfo("hls", "192.0.2.6:3", "phone")
        self.host.hub.streams[keys[0]].visit(info, lambda reason: None).sent_bytes += 7
        found = self.json(b"/mserver/api/v1/viewers")["viewers"]
        self.assertEqual(
            [(x["application"], x["stream"], x["protocol"], x["user_agent"]) for x in found],
            [
                ("liveshow", "b", "test", "player"),
                ("tv", "a", "test", "player"),
                ("liveshow", "b", "hls", "phone"),
            ],
        )
        self.assertEqual((found[2]["bytes_out"], found[2]["started_at"]), (7, 784111777.0))
        _status, _fields, text = self.ask(b"/metrics")
        self.assertIn(b'ntvmedia_protocol_viewers{protocol="hls"} 1.0\n', text)
        self.assertIn(b'ntvmedia_protocol_viewers{protocol="test"} 2.0\n', text)

    def test_not_found(self) -> None:
        """A stream, a name or a path that there is not."""
        for path, text in (
            (b"/mserver/api/v1/streams/liveshow/x", "liveshow/x is not published"),
            (b"/mserver/api/v1/streams/mserver/x", 'application name "mserver" is reserved'),
            (b"/mserver/api/v1/nothing", "Not Found"),
            (b"/", "Not Found"),
        ):
            status, _fields, body = self.ask(path)
            self.assertEqual((status, json.loads(body)), (404, {"error": text}))

    def test_reading_only(self) -> None:
        """F-IN-07: what a browser may be made to send changes nothing, whatever it says it is."""
        for method in (b"POST", b"PATCH", b"PUT", b"DELETE", b"OPTIONS", b"get", b"X"):
            for path in (b"/metrics", b"/mserver/api/v1/applications", b"/nothing"):
                status, fields, body = self.ask(
                    path, b"Content-Type: application/json", method=method
                )
                self.assertEqual(status, 403, (method, path))
                self.assertEqual(
                    json.loads(body), {"error": "changes are made by the command ntvmedia"}
                )
                self.assertEqual(
                    [name for name in fields if name.startswith(b"access-control")], []
                )

    def test_head(self) -> None:
        """HEAD is GET without the body."""
        status, _fields, body = self.ask(b"/mserver/api/v1/status", method=b"HEAD")
        self.assertEqual((status, body), (200, b""))

    def metrics(self) -> dict[tuple[str, str], float]:
        """Return the metrics, by name and stream."""
        status, fields, body = self.ask(b"/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(fields[b"content-type"].startswith(b"text/plain; version="))
        return {
            (sample.name, sample.labels.get("stream", "")): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    def test_metrics(self) -> None:
        """Prometheus reads the hub's counters; what came in is counted on when a stream ends."""
        publication = self.host.publish(StreamKey("liveshow", "a"))
        self.host.play(StreamKey("liveshow", "a"))
        found = self.metrics()
        self.assertEqual(found["ntvmedia_streams", ""], 1)
        self.assertEqual(found["ntvmedia_viewers", ""], 1)
        self.assertEqual(found["ntvmedia_received_bytes_total", ""], 500)
        self.assertEqual(found["ntvmedia_stream_received_bytes_total", "a"], 500)
        self.assertEqual(found["ntvmedia_stream_viewers", "a"], 1)
        self.assertIn(("process_resident_memory_bytes", ""), found)
        self.assertEqual(found["ntvmedia_sent_bytes_total", ""], 500)
        self.assertEqual(found["ntvmedia_stream_sent_bytes_total", "a"], 500)
        publication.close("publisher stopped", lost=False)
        found = self.metrics()
        self.assertEqual((found["ntvmedia_streams", ""], found["ntvmedia_viewers", ""]), (0, 0))
        self.assertEqual(found["ntvmedia_received_bytes_total", ""], 500)
        self.assertNotIn(("ntvmedia_stream_viewers", "a"), found)

    def test_two_servers(self) -> None:
        """Nothing is global: two servers in one process have metrics of their own."""
        other = Host()
        make_resource(cast(Any, other))
        other.publish(StreamKey("liveshow", "a"))
        self.assertEqual(self.metrics()["ntvmedia_streams", ""], 0)

    def test_a_socket_of_this_machine(self) -> None:
        """A unix socket is a proxy's way in: nobody is local there."""
        self.assertEqual(self.ask(b"/metrics", peer=UNIXAddress(b"/run/x"))[0], 403)


@pytest.mark.parametrize(
    ("peer", "fields", "local"),
    [
        ("127.0.0.1", {"Host": ["127.0.0.1"]}, True),
        ("127.0.0.1", {"Host": ["localhost:8080"]}, True),
        ("127.0.0.2", {"Host": ["LOCALHOST"]}, True),
        ("::1", {"Host": ["[::1]:8080"]}, True),
        ("::1", {"Host": ["[::1]"]}, True),
        ("::ffff:127.0.0.1", {"Host": ["127.0.0.1:80"]}, True),
        ("192.0.2.1", {"Host": ["127.0.0.1"]}, False),
        ("::ffff:192.0.2.1", {"Host": ["127.0.0.1"]}, False),
        ("fe80::1", {"Host": ["[::1]"]}, False),
        ("", {"Host": ["localhost"]}, False),
        ("127.0.0.1", {}, False),
        ("127.0.0.1", {"Host": [""]}, False),
        ("127.0.0.1", {"Host": ["example.org"]}, False),
        ("127.0.0.1", {"Host": ["localhost.example.org"]}, False),
        ("127.0.0.1", {"Host": ["localhost", "localhost"]}, False),
        ("127.0.0.1", {"Host": ["localhost:x"]}, False),
        ("127.0.0.1", {"Host": ["0.0.0.0"]}, False),
        ("127.0.0.1", {"Host": ["localhost"], "Via": ["1.1 x"]}, False),
        ("127.0.0.1", {"Host": ["localhost"], "Forwarded": ["for=127.0.0.1"]}, False),
        ("127.0.0.1", {"Host": ["localhost"], "X-Real-IP": ["127.0.0.1"]}, False),
        ("127.0.0.1", {"Host": ["localhost"], "X-Forwarded-For": ["127.0.0.1"]}, False),
        ("127.0.0.1", {"Host": ["localhost"], "x-forwarded-proto": [""]}, False),
        ("127.0.0.1", {"Host": ["localhost"], "X-Forwarded": ["a"]}, False),
    ],
)
def test_is_local(peer: str, fields: dict[str, list[str]], local: bool) -> None:
    """F-AC-05, F-AC-11: peer, Host and the traces of proxies decide together."""
    assert is_local(peer, Headers(cast(Any, fields))) is local


def test_nginx() -> None:
    """F-AC-05: nginx as it is installed: HTTP/1.0, a loopback Host, and nothing added."""
    headers = Headers({"host": ["127.0.0.1:8080"], "connection": ["close"]})
    assert is_local("127.0.0.1", headers)
    assert not is_local("127.0.0.1", headers, b"HTTP/1.0")
