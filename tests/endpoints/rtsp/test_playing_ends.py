"""Players over RTSP that pause or leave, and streams that end."""

from __future__ import annotations

from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Application
from ntvmedia.config import HubSettings
from ntvmedia.endpoints.rtsp.connection import GOODBYE_SECONDS
from ntvmedia.media import Codec, Track
from ntvmedia.wire.rtp.rtcp import Goodbye, parse_compound
from tests.codecs import vectors
from tests.endpoints.rtsp.server import (
    AUDIO,
    KEY,
    URL,
    VIDEO,
    Peer,
    Server,
    assert_in_order,
    media,
    pictures,
    texts,
)

CLOCKS = {0: 90000, 2: 48000}

# The type of several NAL units in one packet (RFC 6184 5.7.1).
STAP_A = 24


def goodbyes(peer: Peer) -> list[int]:
    """Return the channels whose last report is a goodbye."""
    peer.receive()
    reports = {x.channel: parse_compound(x.payload) for x in peer.frames if x.channel % 2}
    return sorted(x for x, found in reports.items() if isinstance(found[-1], Goodbye))


class PauseTests(SynchronousTestCase):
    """D-PL-03, D-PL-04: a live stream is paused, and goes on where it is by then."""

    def setUp(self) -> None:
        self.server = Server()
        self.source = self.server.source()

    def test_pause(self) -> None:
        """Nothing comes; then it goes on with a keyframe; the connection answers meanwhile."""
        peer = self.server.player()
        peer.ok("PAUSE")
        peer.frames.clear()
        self.source.send(*media(2200, 3400))
        peer.receive()
        self.assertEqual(peer.frames, [])
        peer.ok("PAUSE")
        peer.ok("PLAY")
        self.source.send(*media(3400, 4200))
        found = peer.rtp(0)
        self.assertEqual(pictures(found), [4000, 4040, 4080, 4120, 4160])
        assert_in_order(found)
        self.assertEqual(texts(peer.rtp(2)), [4000, 4040, 4080, 4120, 4160])
        self.assertEqual(self.server.hub.viewers, 1)

    def test_others_do_not_notice(self) -> None:
        """A viewer that pauses is alone with it."""
        peer, other = self.server.player(), self.server.player()
        peer.ok("PAUSE")
        self.source.send(*media(2200, 3400))
        self.assertEqual(pictures(other.rtp(0))[-1], 3360)

    def test_ends_while_paused(self) -> None:
        """One that pauses is told of the end like any other."""
        peer = self.server.player()
        peer.ok("PAUSE")
        self.source.leave()
        self.assertEqual(goodbyes(peer), [1, 3])
        self.server.wait(GOODBYE_SECONDS)
        self.assertTrue(peer.transport.disconnecting)

    def test_again(self) -> None:
        """D-PL-04: after TEARDOWN the connection may play again, the same or another."""
        self.server.source(key=KEY._replace(stream="other"))
        peer = self.server.player()
        first = peer.session
        peer.ok("TEARDOWN")
        peer.frames.clear()
        self.source.send(*media(2200, 2400))
        peer.receive()
        self.assertEqual(peer.frames, [])
        peer.session = ""
        peer.url = f"{URL[:-4]}other"
        peer.play()
        self.assertNotEqual(peer.session, first)
        self.assertEqual([str(x) for x in self.viewed()], ["liveshow/other"])

    def viewed(self) -> list[object]:
        """Return the names of the streams that have viewers."""
        return [key for key, stream in self.server.hub.streams.items() if stream.viewers]


class EndTests(SynchronousTestCase):
    """How it ends for a player."""

    def setUp(self) -> None:
        self.server = Server()
        self.source = self.server.source()

    def test_stream_ends(self) -> None:
        """All that was sent comes, then a goodbye; the connection is closed a little later.

        GStreamer's player has something to say in it, and fails without it.
        """
        peer = self.server.player()
        self.source.send(*media(2200, 2400))
        self.source.leave()
        self.assertEqual(pictures(peer.rtp(0))[-1], 2360)
        self.assertEqual(goodbyes(peer), [1, 3])
        peer.ok("PAUSE")
        peer.ok("TEARDOWN")
        self.assertFalse(peer.transport.disconnecting)
        self.server.wait(GOODBYE_SECONDS)
        self.assertTrue(peer.transport.disconnecting)
        self.server.reactor.advance(GOODBYE_SECONDS)
        self.assertTrue(peer.transport.disconnected)
        peer.lose()
        self.assertEqual(self.server.hub.viewers, 0)
        self.assertEqual(self.server.kinds()[-1], "PlayEnded")

    def test_plays_another_at_the_end(self) -> None:
        """Who asks for something else within the time that it has goes on in its connection."""
        peer = self.server.player()
        self.source.leave()
        source = self.server.source(key=KEY._replace(stream="other"))
        peer.ok("TEARDOWN")
        peer.session = ""
        peer.url = f"{URL[:-4]}other"
        peer.play()
        self.server.wait(2 * GOODBYE_SECONDS)
        self.assertFalse(peer.transport.disconnecting)
        source.send(*media(2200, 2400))
        self.assertEqual(pictures(peer.rtp(0))[-1], 2360)

    def test_ends_before_play(self) -> None:
        """What was there when it was described may be gone: 404, and the connection stays."""
        peer = self.server.peer()
        peer.describe()
        peer.set_up({0: "0-1"})
        self.source.leave()
        self.assertEqual(peer.ask("PLAY").status, 404)
        self.assertFalse(peer.transport.disconnecting)
        self.assertEqual(peer.ask("TEARDOWN").status, 200)

    def test_kicked(self) -> None:
        """One that is sent away is; the others stay."""
        peer, other = self.server.player(), self.server.player()
        viewer = next(iter(self.server.hub.streams[KEY].viewers))
        viewer.kick("by the administrator")
        self.assertTrue(peer.transport.disconnecting)
        self.assertFalse(other.transport.disconnecting)
        self.assertEqual(self.server.hub.viewers, 1)

    def test_application_disabled(self) -> None:
        """A stream that the administrator ends is over for all of them."""
        peer = self.server.player()
        self.server.change(Application("liveshow", enabled=False))
        self.server.hub.streams[KEY].end("it was disabled")
        self.assertEqual(goodbyes(peer), [1, 3])
        self.server.wait(GOODBYE_SECONDS)
        self.assertTrue(peer.transport.disconnecting)

    def test_publisher_comes_back(self) -> None:
        """A-SE-03: a publisher that is lost and returns is the same stream: times and numbers."""
        peer = self.server.player()
        self.source.leave(lost=True)
        self.server.reactor.advance(5)
        self.assertFalse(peer.transport.disconnecting)
        source = self.server.source()
        source.send(*media(2200, 2400))
        for channel in CLOCKS:
            found = peer.rtp(channel)
            assert_in_order(found)
            rising = [
                (after.timestamp - before.timestamp) % (1 << 32)
                for before, after in pairwise(found)
            ]
            self.assertTrue(all(step < 1 << 31 for step in rising))
            self.assertEqual(texts(found)[-1], 2360)

    def test_takeover(self) -> None:
        """A-SE-02: another publisher takes the stream; its viewers stay."""
        self.server = Server(HubSettings(publish_policy="takeover"))
        first = self.server.source()
        peer = self.server.player()
        second = self.server.source()
        self.assertEqual(len(first.dismissals), 1)
        second.send(*media(2200, 2400))
        self.assertFalse(peer.transport.disconnecting)
        assert_in_order(peer.rtp(0))

    def test_other_sets(self) -> None:
        """D-RT-05: another configuration of the same codec is told by the packets themselves."""
        peer = self.server.player()
        other = Track(Codec.H264, config=vectors.AVCC_576I)
        self.source.publication.track_received(other)
        peer.rtp(0)
        packets = [packet._replace(track=other) for packet in media(3000, 3080)[::2]]
        self.source.send(*packets)
        found = peer.rtp(0)
        self.assertEqual(pictures(found), [3000, 3040])
        sets = other.config[8:35]
        self.assertIn(sets, b"".join(packet.payload for packet in found))

    def test_other_codec(self) -> None:
        """Another codec is no part of what was described: its viewers are sent away, no more."""
        peer = self.server.player()
        flac = Track(Codec.FLAC, clock_rate=48000, channels=2, config=b"fLaC" + bytes(34))
        for other in (Track(Codec.HEVC, config=vectors.HVCC_720), flac):
            source = self.server.source(key=KEY._replace(stream=other.codec))
            peer = self.server.player(path=f"/liveshow/{other.codec}")
            source.publication.track_received(other)
            before = VIDEO if other.kind is VIDEO.kind else AUDIO
            source.send(
                *(
                    packet._replace(track=other) if packet.track is before else packet
                    for packet in media(3000, 6000)
                )
            )
            self.assertTrue(peer.transport.disconnecting, other.codec)
            self.assertFalse(source.dismissals)
            types = {packet.payload_type for packet in peer.rtp(0)}
            self.assertLessEqual(types, {96})
        self.assertEqual(self.flushLoggedErrors(), [])
