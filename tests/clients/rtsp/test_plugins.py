"""Tests of RTSP as a source and as a target of relays."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from ntvmedia.clients.rtsp.hosted import HostedRTSPClient, pull_options, push_options
from ntvmedia.clients.rtsp.options import Carrier
from ntvmedia.clients.rtsp.source import RTSPSource
from ntvmedia.clients.rtsp.target import Feed, RTSPTarget
from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import IPushFeed, ISource, ITarget
from ntvmedia.media.hops import HOPS_FIELD as HOPS
from ntvmedia.media.relaying import PullOptions, PushOptions
from ntvmedia.wire.rtp.presentation import describe_stream
from ntvmedia.wire.rtp.stream_sender import StreamSender
from ntvmedia.wire.rtsp.messages import Response
from ntvmedia.wire.sdp import CONTENT_TYPE, build_sdp
from tests.clients.rtsp.rig import AUDIO, URL, VIDEO, WALL, ClientCase, media, response
from tests.endpoints.rtmp.server import frame, sound

MEDIA = tuple(media(0, 200))


class PluginTests(ClientCase):
    """What the server finds, and the client that it has one of."""

    def setUp(self) -> None:
        """Let the host have the client of the rig."""
        super().setUp()
        case = self

        class Host:
            """Of a server what is asked of it here."""

            reactor = case.reactor
            connector = case.client._connector
            random = staticmethod(case._random)
            server_id = "0" * 16

            def __init__(self) -> None:
                self.hosted: Any = None

            def part(self, kind: Any) -> Any:
                """Return the one that there is."""
                if self.hosted is None:
                    self.hosted = kind(self)
                    self.hosted.startService()
                    self.hosted.client = case.client
                return self.hosted

        self.host: Any = Host()
        self.feeds: list[Any] = []

    def test_source(self) -> None:
        """It plays; hops are told in each request (E-ST-08)."""
        source: Any = RTSPSource()
        verifyObject(ISource, source)
        options = PullOptions(transport="tcp", hops=("one", "two"))
        self.kept(source.pull(self.host, URL, options, self.sink))
        remote = self.connected()
        self.assertEqual({x.headers.get(HOPS) for x in remote.requests}, {"one,two"})
        remote.play(MEDIA)
        self.assertEqual([track.codec for track in self.sink.tracks], [VIDEO.codec, AUDIO.codec])
        self.assertGreater(len(self.sink.packets), 3)

    def test_no_hops(self) -> None:
        """Where there are none, there is no such header."""
        self.kept(RTSPSource().pull(self.host, URL, PullOptions(), self.sink))  # type: ignore[arg-type]
        self.assertEqual([x for x in self.connected().requests if HOPS.lower() in x.headers], [])

    def test_passed(self) -> None:
        """E-ST-08: what the server says of the stream's way is told, and refused if it was here."""
        told = "00000000000000a1,00000000000000a2"
        self.answers["DESCRIBE"] = self.described_with(told)
        passed: list[tuple[str, ...]] = []
        self.sink.passed = passed.append  # type: ignore[attr-defined]
        options = PullOptions(transport="tcp", hops=("0" * 16,))
        source: Any = RTSPSource()
        self.kept(source.pull(self.host, URL, options, self.sink))
        self.connected().play(MEDIA)
        self.assertEqual(passed, [tuple(told.split(","))])
        self.client._server_id = "00000000000000a1"
        ending = self.kept(source.pull(self.host, URL, options, self.sink))
        self.connected()
        error = self.failureResultOf(ending, RemoteError).value
        self.assertIn("a loop", str(error))
        self.assertEqual((error.status, error.is_permanent), (508, True))
        self.assertEqual(len(passed), 1)

    def described_with(self, told: str) -> Any:
        """Return an answer to DESCRIBE with what a server says."""
        sender = StreamSender(bytes(16), WALL, "cname", 1 << 20)
        body = build_sdp(describe_stream(sender, (VIDEO, AUDIO), "test", "1"))
        fields = (("Content-Type", CONTENT_TYPE), (HOPS, told))
        return lambda _request: response(200, *fields, body=body)

    def test_check(self) -> None:
        """An address is looked at without asking anybody, and not shown."""
        for plugin in (RTSPSource(), RTSPTarget()):
            plugin.check(URL)
            for url in ("", "http://h/secret", "rtspu://h/secret", "rtsp://a b/secret"):
                error = self.assertRaises(RemoteError, plugin.check, url)
                self.assertTrue(error.is_permanent)
                self.assertNotIn("secret", str(error))

    def push(self, **options: Any) -> Deferred[None]:
        """Publish by the plugin."""
        target: Any = RTSPTarget()
        verifyObject(ITarget, target)
        tracks = (VIDEO, AUDIO)
        return self.kept(
            target.push(self.host, URL, tracks, {}, PushOptions(**options), self.feeds.append)
        )

    def test_target(self) -> None:
        """A feed takes what a stream has, from a keyframe on, and its end ends the push well."""
        ending = self.push(hops=("one",))
        remote = self.connected()
        self.assertEqual({x.headers.get(HOPS) for x in remote.requests}, {"one"})
        feed = self.feeds[0]
        self.assertIsInstance(feed, Feed)
        verifyObject(IPushFeed, feed)
        feed.metadata_received({"title": "x"})
        feed.track_received(VIDEO)
        feed.track_received(AUDIO)
        feed.packet_received(frame(0)._replace(track=VIDEO))
        feed.packet_received(sound(0)._replace(track=AUDIO))
        feed.batch_ended()
        remote.run()
        self.assertEqual(feed.bytes_out, 0)
        for packet in MEDIA:
            feed.packet_received(packet)
        feed.batch_ended()
        remote.run()
        self.assertEqual(feed.dropped, 0)
        rtp = [x for x in remote.frames if x.channel in (0, 2)]
        self.assertEqual(feed.bytes_out, sum(len(x.payload) for x in rtp))
        feed.end()
        self.successResultOf(ending)

    def test_sound_alone(self) -> None:
        """Without pictures it begins with what there is."""
        self.kept(
            RTSPTarget().push(
                self.host,
                URL,
                (AUDIO,),
                {},
                PushOptions(),
                self.feeds.append,
            )
        )
        self.connected()
        self.feeds[0].track_received(AUDIO)
        self.feeds[0].packet_received(next(x for x in MEDIA if x.track is AUDIO))
        self.assertGreater(self.feeds[0].bytes_out, 0)

    def test_refused(self) -> None:
        """E-ST-14: a refusal is what the push comes to."""

        def refuse(_request: object) -> Response:
            return response(403)

        self.answers["ANNOUNCE"] = refuse
        ending = self.push()
        self.connected()
        self.assertEqual(self.problem(ending).status, 403)

    def test_dead(self) -> None:
        """A server that takes nothing for `stall_seconds` ends the push."""
        ending = self.push(stall_seconds=4.0)
        remote = self.connected()
        publisher = self.feeds[0]._target
        idle = 0.0
        publisher._progress.idle_seconds = lambda _now: idle
        idle = 3.9
        self.pass_time(2.0, remote)
        self.assertNoResult(ending)
        idle = 4.0
        self.pass_time(1.25, remote)
        self.assertIn("it took nothing for 4 seconds", str(self.problem(ending)))

    def test_stop(self) -> None:
        """A server that stops ends all of it."""
        ending = self.push()
        remote = self.connected()
        stopping = self.host.part(HostedRTSPClient).stopService()
        self.failureResultOf(ending, CancelledError)
        self.assertNoResult(stopping)
        remote.lose()
        self.successResultOf(stopping)

    def test_options(self) -> None:
        """What a relay is told becomes what the client knows."""
        pulled = pull_options(PullOptions(transport="udp", stall_seconds=4.0))
        self.assertEqual((pulled.carrier, pulled.silence_seconds), (Carrier.UDP, 4.0))
        self.assertEqual(pulled.fallback_seconds, 2.0)
        self.assertEqual(pull_options(PullOptions()).fallback_seconds, 3.0)
        pushed = push_options(PushOptions(transport="tcp", stall_seconds=4.0))
        self.assertEqual((pushed.carrier, pushed.stall_seconds), (Carrier.TCP, 4.0))
        self.assertEqual(push_options(PushOptions()).carrier, Carrier.AUTO)
