"""Who makes the RTP packets of live streams: one for each stream, as long as it is needed."""

from __future__ import annotations

import gc
import weakref

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.endpoints.rtsp.senders import Senders
from ntvmedia.hub.stream import Stream
from ntvmedia.media import Codec, Packet, Track
from tests.endpoints.rtsp.server import AUDIO, KEY, Server, frame, media, sound


class SendersTests(SynchronousTestCase):
    """What is made, and for how long it is kept."""

    def setUp(self) -> None:
        self.server = Server()
        self.source = self.server.source()

    @property
    def stream(self) -> Stream:
        """The stream that there is."""
        return self.server.hub.streams[KEY]

    def test_one_for_each_stream(self) -> None:
        """All ports have the same: RTSPS and RTSP share what is sent."""
        senders = self.server.part(Senders)
        self.assertIs(self.server.factory.senders, senders)
        sender = senders.of(self.stream)
        self.assertIs(senders.of(self.stream), sender)
        self.server.source(key=KEY._replace(stream="other"))
        other = senders.of(self.server.hub.streams[KEY._replace(stream="other")])
        self.assertIsNot(other, sender)
        self.assertNotEqual(other.cname, sender.cname)
        self.assertNotEqual(other.ssrc(AUDIO), sender.ssrc(AUDIO))

    def test_nobody_plays(self) -> None:
        """A stream that nobody asked for by RTSP makes no packet."""
        before = len(self.stream.audience.sinks)
        self.source.send(*media(2200, 4000))
        self.assertEqual(len(self.stream.audience.sinks), before)
        self.server.player()
        self.assertGreater(len(self.stream.audience.sinks), before)

    def test_given_up(self) -> None:
        """When nobody plays, or could at once, nothing is made; who comes then plays."""
        before = len(self.stream.audience.sinks)
        player, other = self.server.player(), self.server.peer()
        other.describe()
        player.lose()
        self.source.send(*media(3000, 3080))
        self.assertGreater(len(self.stream.audience.sinks), before)
        other.lose()
        del player, other
        gc.collect()
        self.source.send(*media(4000, 4080))
        self.assertEqual(len(self.stream.audience.sinks), before)
        late = self.server.player()
        self.source.send(*media(5000, 5400))
        self.assertEqual([int(x.payload[-8:]) for x in late.rtp(2)][:3], [4000, 4040, 5000])

    def test_kept_while_played(self) -> None:
        """One who plays has the same for as long as he does, pauses included."""
        player = self.server.player()
        first = {packet.ssrc for packet in player.rtp(0)}
        for second in range(3, 400):
            if second == 10:
                player.ok("PAUSE")
            if second == 390:
                player.ok("PLAY")
            self.source.send(*media(second * 1000, second * 1000 + 80))
        self.assertEqual({packet.ssrc for packet in player.rtp(0)}, first)

    def test_goes_with_the_stream(self) -> None:
        """What was made of a stream goes with it."""
        sender = weakref.ref(self.server.part(Senders).of(self.stream))
        stream = weakref.ref(self.stream)
        player = self.server.player()
        self.source.leave()
        player.lose()
        del player, self.source
        gc.collect()
        self.assertIsNone(sender())
        self.assertIsNone(stream())

    def test_who_comes_first_does_not_matter(self) -> None:
        """Groups of 20 s: one plays the sound, later one both: nobody sees a gap."""
        source = self.server.source(key=KEY._replace(stream="long"))
        early = self.server.peer(path="/liveshow/long?audio=1")
        early.play()
        source.send(*media(2200, 19_000, group=20_000))
        late = self.server.player(path="/liveshow/long")
        source.send(*media(19_000, 21_000, group=20_000))
        for peer, channels in ((early, (0,)), (late, (0, 2))):
            for channel in channels:
                numbers = [x.sequence_number for x in peer.rtp(channel)]
                self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))

    def test_what_cannot_be_sent(self) -> None:
        """A track without a payload format is left out; the others are played."""
        flac = Track(Codec.FLAC, clock_rate=48000, channels=2, config=b"fLaC" + bytes(34))
        key = KEY._replace(stream="flac")
        source = self.server.source(key=key, tracks=())
        source.publication.track_received(frame(0).track)
        source.publication.track_received(flac)
        for time in range(3000, 5000, 40):
            heard = sound(time)
            source.send(
                frame(time, is_keyframe=time % 1000 == 0),
                Packet(flac, heard.dts, heard.pts, True, heard.payload),
            )
        self.server.reactor.advance(2)
        peer = self.server.peer(path="/liveshow/flac")
        self.assertEqual([x.kind for x in peer.describe().media], ["video"])
        peer.play()
        source.send(frame(5000, is_keyframe=True))
        self.assertGreater(len(peer.rtp(0)), 0)
        self.assertEqual({frame.channel for frame in peer.frames}, {1})
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_output_fails(self) -> None:
        """G-LC-08: an output with a bug ends those who wanted it, and nobody else."""
        self.server.hub.register_format("rtsp", lambda _options: None)
        peer = self.server.peer()
        peer.describe()
        peer.set_up({0: "0-1"})
        peer.send("PLAY")
        found = peer.answers()
        self.assertTrue(peer.transport.disconnecting or [x.status for x in found] == [500])
        self.assertGreaterEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.source.send(frame(2200))
        self.assertEqual(self.source.dismissals, [])
        self.assertEqual(self.server.hub.viewers, 0)
