"""Tests of ntvmedia.endpoints.rtmp: connections, players, and their ports."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ntvmedia.config import HubSettings, RTMPSettings
from ntvmedia.endpoints.draining import MOST_TOLD
from ntvmedia.endpoints.rtmp.connection import GOODBYE_SECONDS, RECONNECT_SECONDS
from ntvmedia.endpoints.rtmp.factory import RTMPEndpoint, RTMPSEndpoint
from ntvmedia.errors import ConfigError
from ntvmedia.hub.context import StreamState
from ntvmedia.interfaces import IMediaEndpoint
from ntvmedia.media import MediaKind, Packet, Track
from ntvmedia.wire.rtmp import commands
from ntvmedia.wire.rtmp.events import (
    Accepted,
    Ended,
    MetadataReceived,
    ReconnectRequested,
    Rejected,
)
from tests.endpoints.rtmp.server import AUDIO, KEY, VIDEO, Peer, Server, Transport, frame, sound

GROUP = [frame(0, is_keyframe=True), sound(0), frame(40), sound(23), frame(80), sound(46)]


class PublishTests(SynchronousTestCase):
    """An encoder's stream comes into being, and goes."""

    def setUp(self) -> None:
        self.server = Server()

    def test_publishes(self) -> None:
        """The tracks and packets are the hub's, as they were sent."""
        peer = self.server.publisher()
        peer.send(*GROUP)
        stream = self.server.hub.streams[KEY]
        self.assertEqual(
            {(x.codec, x.config) for x in stream.tracks},
            {(VIDEO.codec, VIDEO.config), (AUDIO.codec, AUDIO.config)},
        )
        self.assertEqual([x.payload for x in stream.backlog], [packet.payload for packet in GROUP])
        self.assertEqual([x.dts for x in stream.backlog], [packet.dts for packet in GROUP])
        self.assertTrue(peer.transport.no_delay)

    def test_leaves(self) -> None:
        """One that says goodbye ends its stream at once; its name is free."""
        peer = self.server.publisher()
        peer.send(*GROUP)
        peer.session.leave()
        peer.exchange()
        self.assertEqual(self.server.hub.streams, {})
        self.server.publisher()
        self.assertEqual(self.server.kinds(), ["PublishStarted", "PublishEnded", "PublishStarted"])

    def test_lost_and_back(self) -> None:
        """A-SE-03, G-RS-08: one that is lost finds its stream again, and its viewers with it."""
        first = self.server.publisher()
        first.send(*GROUP)
        player = self.server.player()
        first.lose()
        self.assertIs(self.server.hub.streams[KEY].state, StreamState.WAITING)
        self.server.reactor.advance(5)
        second = self.server.publisher()
        second.send(frame(0, is_keyframe=True), sound(0), frame(40))
        player.exchange()
        self.assertEqual(len(player.media()), 9)
        times = [x.dts / x.track.clock_rate for x in player.events if isinstance(x, Packet)]
        video = [x.dts for x in player.events if isinstance(x, Packet) and x.track.kind == "video"]
        self.assertEqual(video, sorted(set(video)))
        self.assertGreaterEqual(times[6] - times[4], 5.0)

    def test_lost_for_good(self) -> None:
        """When the grace is over its viewers are told, and cut off."""
        first = self.server.publisher()
        first.send(*GROUP)
        player = self.server.player()
        first.lose()
        self.server.reactor.advance(15)
        player.exchange()
        self.assertIsInstance(player.events[-1], Ended)
        self.assertTrue(player.transport.disconnecting)
        self.assertEqual(
            self.server.kinds(), ["PublishStarted", "PlayStarted", "PublishEnded", "PlayEnded"]
        )

    def test_name_taken(self) -> None:
        """A-SE-01: a second one is refused and cut off; the first goes on."""
        first = self.server.publisher()
        first.send(*GROUP)
        second = self.server.connect(publishing=True)
        self.assertEqual(second.events[-1].code, "NetStream.Publish.BadName")
        self.assertTrue(second.transport.disconnecting)
        first.send(frame(120))
        self.assertEqual(len(self.server.hub.streams[KEY].backlog), 7)
        self.assertEqual(self.server.kinds(), ["PublishStarted"])

    def test_takeover(self) -> None:
        """A-SE-02: where the policy says so the old one is told and cut off, and viewers stay."""
        self.server = Server(HubSettings(publish_policy="takeover"))
        first = self.server.publisher()
        first.send(*GROUP)
        player = self.server.player()
        second = self.server.publisher()
        first.exchange()
        self.assertIsInstance(first.events[-1], Ended)
        self.assertTrue(first.transport.disconnecting)
        first.protocol.dataReceived(b"\0" * 100)  # still on its way
        second.send(frame(0, is_keyframe=True), sound(0))
        player.exchange()
        self.assertEqual(len(player.media()), 8)

    def test_silent_one_loses(self) -> None:
        """A-SE-03: one that was silent for 5 s gives way whatever the policy."""
        first = self.server.publisher()
        first.send(*GROUP)
        self.server.reactor.advance(5)
        self.server.publisher()
        self.assertTrue(first.transport.disconnecting)

    def test_refused_names(self) -> None:
        """A-UR-03, A-UR-12: what is no name is refused with a reason, and starts nothing."""
        for app, name in [
            ("nowhere", "test"),
            ("liveshow", ""),
            ("liveshow", "../etc"),
            ("liveshow", "a/b"),
            ("liveshow", "x" * 5000),
            ("mserver", "test"),
        ]:
            peer = self.server.connect(publishing=True, app=app, name=name)
            self.assertIsInstance(peer.events[-1], Rejected, name[:20])
            self.assertTrue(peer.events[-1].description)
            self.assertTrue(peer.transport.disconnecting)
        self.assertEqual(self.server.kinds(), [])

    def test_audio_application(self) -> None:
        """P-207: application `audio` keeps the sound only, whatever was sent."""
        peer = self.server.publisher(app="audio")
        peer.send(*GROUP)
        (stream,) = self.server.hub.streams.values()
        self.assertEqual([x.kind for x in stream.tracks], [MediaKind.AUDIO])
        player = self.server.player(app="audio")
        self.assertEqual(len(player.media()), 3)

    def test_publishes_again(self) -> None:
        """A-AM-19: after it stopped, a connection may publish something else."""
        peer = self.server.publisher()
        peer.send(*GROUP)
        for name, *arguments in (("closeStream", None), ("publish", None, "other", "live")):
            peer.protocol.dataReceived(
                commands.command(name, 0.0, *arguments, stream_id=1, chunk_size=60000)
            )
        self.assertEqual([str(key) for key in self.server.hub.streams], ["liveshow/other"])

    def test_silent(self) -> None:
        """A-MD-19: one that sends no media is cut off in time, and its end is told once."""
        peer = self.server.publisher()
        for _ in range(21):
            self.server.reactor.advance(1)
            self.server.hub.tick()
        self.assertTrue(peer.transport.disconnecting)
        self.assertEqual(self.server.kinds(), ["PublishStarted", "PublishEnded"])


class PlayTests(SynchronousTestCase):
    """A player gets what it asks for."""

    def setUp(self) -> None:
        self.server = Server()
        self.encoder = self.server.publisher()
        self.encoder.send(*GROUP)

    def test_late_joiner(self) -> None:
        """A-SE-06: headers, then from the last keyframe on, then what follows."""
        player = self.server.player()
        tracks = [event for event in player.events if isinstance(event, Track)]
        self.assertEqual({x.config for x in tracks}, {VIDEO.config, AUDIO.config})
        self.assertEqual(sorted(player.media()), sorted(x.payload for x in GROUP))
        self.encoder.send(frame(120), sound(69))
        player.exchange()
        self.assertEqual(len(player.media()), 8)

    def test_early_joiner(self) -> None:
        """A-SE-07, A-SE-10: one that is too early waits for the stream."""
        player = self.server.player(name="later")
        self.assertFalse([x for x in player.events if isinstance(x, Accepted)])
        self.server.reactor.advance(10)
        encoder = self.server.publisher(name="later")
        encoder.send(*GROUP)
        player.exchange()
        self.assertTrue([x for x in player.events if isinstance(x, Accepted)])
        self.assertEqual(len(player.media()), 6)

    def test_never_there(self) -> None:
        """A-SE-10: one that waited in vain is told, and cut off."""
        player = self.server.player(name="never")
        self.server.reactor.advance(15)
        player.exchange()
        self.assertEqual(player.events[-1].code, "NetStream.Play.StreamNotFound")
        self.assertTrue(player.transport.disconnecting)
        self.assertEqual(self.server.hub.waiting, 0)

    def test_leaves_while_waiting(self) -> None:
        """One that does not wait that long leaves nothing behind."""
        player = self.server.player(name="never")
        player.lose()
        self.assertEqual(self.server.hub.waiting, 0)
        self.assertEqual(self.server.reactor.getDelayedCalls(), [])

    def test_audio_only(self) -> None:
        """`audio=1` leaves the pictures out (P-503)."""
        player = self.server.player(name="test?audio=1")
        self.assertEqual(len(player.media()), 3)
        self.assertEqual(len(self.server.hub.streams[KEY].renditions), 1)

    def test_one_rendition(self) -> None:
        """Two that ask for the same share their bytes."""
        players = [self.server.player() for _ in range(2)]
        self.assertEqual(len(self.server.hub.streams[KEY].renditions), 1)
        for player in players:
            player.lose()
        self.assertEqual(self.server.hub.streams[KEY].renditions, {})
        self.assertEqual(self.server.hub.viewers, 0)

    def test_publisher_leaves(self) -> None:
        """Players are told when it is over, and cut off once they have taken all."""
        player = self.server.player()
        self.encoder.session.leave()
        self.encoder.exchange()
        player.exchange()
        self.assertIsInstance(player.events[-1], Ended)
        self.assertTrue(player.transport.disconnecting)
        self.server.reactor.advance(GOODBYE_SECONDS)
        self.assertTrue(player.transport.disconnected)

    def command(self, player: Peer, name: str, *arguments: object) -> None:
        """Have a player call something."""
        values = (None, *arguments)
        player.protocol.dataReceived(
            commands.command(name, 0.0, *values, stream_id=1, chunk_size=60000)  # type: ignore[arg-type]
        )
        player.exchange()

    def test_pause(self) -> None:
        """A-AM-20: one that paused gets nothing, and goes on at a keyframe."""
        player = self.server.player()
        self.command(player, "pause", True, 0.0)
        self.encoder.send(frame(120))
        player.exchange()
        self.assertEqual(len(player.media()), 6)
        self.command(player, "pause", False, 0.0)
        self.encoder.send(frame(160), frame(200, is_keyframe=True))
        player.exchange()
        self.assertEqual(player.media()[6:], [frame(200, is_keyframe=True).payload])

    def test_receive(self) -> None:
        """A-AM-20: pictures can be switched off, and on again."""
        player = self.server.player()
        self.command(player, "receiveVideo", False)
        self.encoder.send(frame(120), sound(1100), frame(160, is_keyframe=True), sound(2200))
        player.exchange()
        self.assertEqual(player.media()[6:], [sound(1100).payload, sound(2200).payload])
        self.command(player, "receiveVideo", True)
        self.encoder.send(frame(2300, is_keyframe=True))
        player.exchange()
        self.assertEqual(player.media()[8:], [frame(2300, is_keyframe=True).payload])

    def test_new_metadata(self) -> None:
        """Who joins after the publisher described its stream anew gets that."""
        self.server.player()
        self.encoder.session.send_metadata({"encoder": "Anew 1.0"})
        self.encoder.exchange()
        player = self.server.player()
        (event,) = [x for x in player.events if isinstance(x, MetadataReceived)]
        self.assertEqual(event.fields["encoder"], "Anew 1.0")

    def test_one_at_a_time(self) -> None:
        """A second stream on the same connection is refused."""
        player = self.server.player()
        player.protocol.dataReceived(
            commands.command("createStream", 9.0, None, stream_id=0, chunk_size=60000)
            + commands.command("play", 0.0, None, "test", stream_id=2, chunk_size=60000)
        )
        self.assertTrue(player.transport.disconnecting)
        self.assertEqual(self.server.hub.viewers, 0)

    def test_output_fails(self) -> None:
        """G-LC-08: an output with a bug ends those who wanted it, and nobody else."""
        self.server.hub.register_format("rtmp", lambda _options: None)
        player = self.server.player()
        self.assertTrue(player.transport.disconnecting)
        self.assertEqual(player.events[-1].code, "NetStream.Play.Failed")
        self.encoder.send(frame(120))
        self.assertFalse(self.encoder.transport.disconnecting)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.assertEqual(self.server.hub.viewers, 0)

    def test_stops(self) -> None:
        """One that stops watching may ask for something else on its connection."""
        player = self.server.player()
        self.command(player, "closeStream")
        self.assertEqual(self.server.hub.viewers, 0)
        self.command(player, "play", "test")
        self.assertEqual(self.server.hub.viewers, 1)
        self.assertEqual(
            self.server.kinds(), ["PublishStarted", "PlayStarted", "PlayEnded", "PlayStarted"]
        )


class ConnectionTests(SynchronousTestCase):
    """What a connection may do, and for how long."""

    def setUp(self) -> None:
        self.server = Server(rtmp=RTMPSettings(max_connections=3, max_connections_per_address=2))

    def raw(self) -> tuple[object, Transport]:
        """Connect a peer that speaks for itself."""
        peer = Peer(self.server, self.server.build(), None)
        return peer.protocol, peer.transport

    def test_wrong_protocol(self) -> None:
        """A-HS-08: what is no RTMP is cut off, and no error is logged."""
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\x06" * 100):
            protocol, transport = self.raw()
            protocol.dataReceived(data)  # type: ignore[attr-defined]
            self.assertTrue(transport.disconnected)
            protocol.dataReceived(data)  # type: ignore[attr-defined]
            protocol.connectionLost()  # type: ignore[attr-defined]
        self.assertEqual(len(self.server.factory.connections), 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_handshake_deadline(self) -> None:
        """A-HS-09: one that trickles is cut off when the handshake should be done."""
        protocol, transport = self.raw()
        for _ in range(16):
            protocol.dataReceived(b"\x03")  # type: ignore[attr-defined]
            self.server.reactor.advance(1)
            self.server.factory.tick()
        self.assertTrue(transport.disconnected)

    def test_unfinished_message_is_given_back(self) -> None:
        """F-RE-01: what a peer left unfinished does not outlive its connection."""
        peer = self.server.publisher()
        session = peer.protocol._session
        header = b"\x06" + bytes(3) + (9 << 20).to_bytes(3, "big") + b"\x09" + bytes(4)
        peer.protocol.dataReceived(header + bytes(100_000))
        self.assertGreater(session.buffered, 50_000)
        peer.lose()
        self.assertEqual(session.buffered, 0)

    def test_limits(self) -> None:
        """G-RS-03: one more than allowed is refused; each that goes makes room."""
        first, _transport = self.raw()
        self.raw()
        for publishing in (True, False):
            told = self.server.connect(publishing=publishing)
            [refusal] = [x for x in told.events if isinstance(x, Rejected)]
            self.assertEqual(refusal.description, "too many connections")
            self.assertTrue(told.transport.disconnecting)
            told.lose()
        self.assertEqual(self.server.factory.connections.refused, 2)
        # Whom it tells takes no room from others, and it tells only so many at a time.
        waiting = [self.raw() for _connection in range(MOST_TOLD)]
        self.assertIsNone(self.server.build())
        other = Peer(self.server, self.server.build("192.0.2.2"), None)
        self.assertFalse(other.protocol._refusal)
        first.connectionLost()  # type: ignore[attr-defined]
        self.assertFalse(self.server.build()._refusal)
        for protocol, _transport in waiting:
            protocol.connectionLost()  # type: ignore[attr-defined]
        self.assertTrue(self.server.factory.connections.may_tell)

    def test_drain(self) -> None:
        """G-LC-01, A-ER-10: those who can are asked to move, and then all are told and cut off."""
        publisher, player = self.server.publisher(), self.server.player()
        publisher.send(*GROUP)
        player.exchange()
        done = self.server.factory.connections.close("server is stopping")
        publisher.exchange()
        player.exchange()
        for peer in (publisher, player):
            self.assertIsInstance(peer.events[-1], ReconnectRequested)
        publisher.send(frame(120))
        player.exchange()
        self.assertEqual(len(player.media()), 7)  # served until it leaves
        self.server.reactor.advance(RECONNECT_SECONDS)
        for peer in (publisher, player):
            self.assertTrue(peer.transport.disconnecting)
        self.assertIsNone(self.server.build())
        self.assertNoResult(done)
        for peer in (publisher, player):
            peer.lose()
        self.successResultOf(done)
        self.assertEqual(self.server.reactor.getDelayedCalls(), [])
        self.assertEqual(
            sorted(self.server.kinds()),
            ["PlayEnded", "PlayStarted", "PublishEnded", "PublishStarted"],
        )

    def test_bug_in_one(self) -> None:
        """G-LC-08: a bug that one connection meets ends that one only."""
        publisher, player = self.server.publisher(), self.server.player()
        publisher.send(*GROUP)

        def broken(_now: float) -> None:
            raise ZeroDivisionError

        player.protocol.tick = broken  # type: ignore[assignment, method-assign]
        self.server.factory.tick()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(player.transport.disconnected)
        self.assertFalse(publisher.transport.disconnected)


class EndpointTests(SynchronousTestCase):
    """The plugins."""

    def test_interfaces(self) -> None:
        """They keep their promises."""
        verifyObject(IMediaEndpoint, RTMPEndpoint())
        verifyObject(IMediaEndpoint, RTMPSEndpoint())

    def test_needs_certificate(self) -> None:
        """RTMPS without a certificate is the operator's to mend."""
        endpoint = RTMPSEndpoint()
        settings = endpoint.parse_settings({"listen": "tcp:1936"})
        error = self.assertRaises(ConfigError, endpoint.make_service, Server(), settings)
        self.assertEqual(error.path, ("rtmps", "listen"))
