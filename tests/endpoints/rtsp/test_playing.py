"""Players over RTSP: what they are told and sent, from the first packet to the last."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.config import HubSettings
from ntvmedia.endpoints.rtsp import senders
from ntvmedia.events import PlayEnded, PlayStarted
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtp.rtcp import unix_from_ntp
from ntvmedia.wire.rtsp.transport import parse_transport
from tests.endpoints.rtsp.server import (
    AUDIO,
    KEY,
    TCP,
    URL,
    VIDEO,
    WALL_CLOCK,
    Peer,
    Server,
    assert_in_order,
    frame,
    infos,
    media,
    pictures,
    sound,
    texts,
)

CLOCKS = {0: 90000, 2: 48000}

# The type of several NAL units in one packet (RFC 6184 5.7.1).
STAP_A = 24


class StartTests(SynchronousTestCase):
    """What a player gets first."""

    def setUp(self) -> None:
        self.server = Server()
        self.source = self.server.source()

    def test_described(self) -> None:
        """D-RQ-12, D-PL-08: the tracks, and a base that any client can make addresses from."""
        peer = self.server.peer()
        answer = peer.ok("DESCRIBE", Accept="application/sdp")
        self.assertEqual(answer.headers.get("content-base"), URL + "/")
        self.assertEqual(answer.headers.get("content-type"), "application/sdp")
        description = peer.describe()
        self.assertEqual([x.kind for x in description.media], ["video", "audio"])
        self.assertEqual([x.control for x in description.media], ["trackID=0", "trackID=1"])
        self.assertIn("sprop-parameter-sets", description.media[0].fmtp(96))
        self.assertEqual(description.name, "test")

    def test_base_without_a_host(self) -> None:
        """D-RQ-12: the base is absolute even where a client asks for a path."""
        peer = self.server.peer()
        peer.protocol.dataReceived(b"DESCRIBE /liveshow/test RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        (answer,) = peer.answers()
        self.assertTrue(answer.headers.get("content-base").startswith("rtsp://"))
        self.assertTrue(answer.headers.get("content-base").endswith("/liveshow/test/"))

    def test_query(self) -> None:
        """D-RQ-12: a query is no part of the base, and the tracks are those it asks for."""
        peer = self.server.peer(path="/liveshow/test?audio=1")
        answer = peer.ok("DESCRIBE")
        self.assertEqual(answer.headers.get("content-base"), URL + "/")
        self.assertEqual([x.kind for x in peer.describe().media], ["audio"])
        peer.ok("SETUP", f"{URL}/trackID=0", Transport=TCP + "0-1")
        peer.ok("PLAY", f"{URL}/")
        found = peer.rtp(0)
        self.assertGreater(len(found), 0)
        self.assertEqual({packet.payload_type for packet in found}, {97})

    def test_start(self) -> None:
        """D-PL-01, D-PL-08: RTP-Info is that of the first packets, which are a keyframe's."""
        peer = self.server.peer()
        peer.describe()
        peer.set_up({0: "0-1", 1: "2-3"})
        answer = peer.ok("PLAY", Range="npt=0.000-")
        self.assertEqual(answer.headers.get("range"), "npt=now-")
        starts = infos(answer)
        self.assertEqual([x.url for x in starts.values()], [f"{URL}/trackID=0", f"{URL}/trackID=1"])
        video, heard = peer.rtp(0), peer.rtp(2)
        for start, packets in ((starts[0], video), (starts[1], heard)):
            first = packets[0]
            self.assertEqual(start.sequence_number, first.sequence_number)
            self.assertEqual(start.rtptime, first.timestamp)
            assert_in_order(packets)
        self.assertIn(video[0].payload[0] & 31, (7, STAP_A))
        self.assertEqual(pictures(video), [2000, 2040, 2080, 2120, 2160])
        self.assertEqual(texts(heard), [2000, 2040, 2080, 2120, 2160])

    def test_answer_first(self) -> None:
        """RFC 2326 10.5: the answer to PLAY is before the media, and that in whole frames."""
        peer = self.server.peer()
        peer.describe()
        peer.set_up({0: "0-1"})
        peer.send("PLAY")
        self.assertTrue(peer.transport.value().startswith(b"RTSP/1.0 200 OK\r\n"))

    def test_ssrc(self) -> None:
        """RFC 2326 12.39: a track's source is known before its packets."""
        peer = self.server.peer()
        for track in range(2):
            channels = f"{2 * track}-{2 * track + 1}"
            answer = peer.ok("SETUP", f"/trackID={track}", Transport=TCP + channels)
            (transport,) = parse_transport(answer.headers.get("transport"))
            peer.frames.clear()
            self.assertEqual(transport.interleaved, (2 * track, 2 * track + 1))
            setattr(self, f"ssrc{track}", transport.ssrc)
        peer.ok("PLAY")
        for track in range(2):
            wanted = {getattr(self, f"ssrc{track}")}
            self.assertEqual({packet.ssrc for packet in peer.rtp(2 * track)}, wanted)

    def test_first_reports(self) -> None:
        """D-PL-05: a report of each track comes before its packets, on the media's clock."""
        self.patch(senders, "time", SimpleNamespace(time=lambda: WALL_CLOCK + 5.5))
        peer = self.server.player()
        peer.receive()
        self.assertEqual([frame.channel for frame in peer.frames[:2]], [1, 3])
        for channel, rate in CLOCKS.items():
            (report, *others) = peer.reports(channel + 1)
            self.assertEqual(others, [])
            for packet in peer.rtp(channel):
                self.assertEqual(report.ssrc, packet.ssrc)
                # When the packet was, by the report: the wall clock at the stream's start and
                # the time that is written in it.
                ticks = (report.timestamp - packet.timestamp) % (1 << 32)
                at = unix_from_ntp(report.ntp) - ticks / rate - WALL_CLOCK
                self.assertAlmostEqual(at, int(packet.payload[-8:]) / 1000, places=3)

    def test_reports_go_on(self) -> None:
        """D-PL-05: there are more of them each 5 s of media, for all tracks."""
        peer = self.server.player()
        peer.receive()
        peer.frames.clear()
        self.source.send(*media(2200, 14_200))
        peer.receive()
        for channel in (1, 3):
            self.assertIn(len(peer.reports(channel)), (2, 3))

    def test_no_keyframe_kept(self) -> None:
        """One that joins where nothing is kept begins with the next keyframe, and is told none."""
        self.server = Server(HubSettings(gop_cache_frames=4))
        source = self.server.source()
        peer = self.server.peer()
        self.assertEqual(peer.play(), {})
        self.assertEqual([frame.channel for frame in peer.frames], [1, 3])
        source.send(*media(2200, 3080))
        self.assertEqual(pictures(peer.rtp(0)), [3000, 3040])
        self.assertEqual(texts(peer.rtp(2)), [3000, 3040])

    def test_one_track_of_two(self) -> None:
        """What is not set up is not sent, and not waited for."""
        for track, kept in ((0, [2000, 2040, 2080, 2120, 2160]), (1, None)):
            peer = self.server.peer()
            starts = peer.play({track: "0-1"})
            self.assertEqual(list(starts), [track])
            found = peer.rtp(0)
            self.assertEqual({frame.channel for frame in peer.frames}, {1})
            self.assertEqual(starts[track].sequence_number, found[0].sequence_number)
            if kept is not None:
                self.assertEqual(pictures(found), kept)
            self.assertEqual(texts(found)[-1], 2160)

    def test_channels(self) -> None:
        """D-TR-01: whatever channels a client wants, those it is told are those that are used."""
        for wanted in ("2-3", "8-9", "254-255", "5", "4-9", ""):
            peer = self.server.peer()
            text = TCP + wanted if wanted else "RTP/AVP/TCP;unicast"
            answer = peer.ok("SETUP", "/trackID=0", Transport=text)
            (transport,) = parse_transport(answer.headers.get("transport"))
            assert transport.interleaved is not None
            other = peer.ok("SETUP", "/trackID=1", Transport=text)
            (second,) = parse_transport(other.headers.get("transport"))
            assert second.interleaved is not None
            self.assertEqual(len({*transport.interleaved, *second.interleaved}), 4, wanted)
            peer.ok("PLAY")
            peer.receive()
            used = {frame.channel for frame in peer.frames}
            self.assertEqual(used, {*transport.interleaved, *second.interleaved}, wanted)
            for pair in (transport.interleaved, second.interleaved):
                self.assertEqual(len(peer.reports(pair[1])), 1, wanted)
                self.assertGreater(len(peer.rtp(pair[0])), 0, wanted)

    def test_track_number(self) -> None:
        """P-503: `track=` chooses among several of a kind."""
        second = Track(Codec.AAC, 1, clock_rate=48000, config=AUDIO.config, channels=2)
        source = self.server.source(tracks=[VIDEO, AUDIO, second], key=KEY._replace(stream="many"))
        for time in range(2200, 4000, 40):
            heard = sound(time)
            other = Packet(second, heard.dts, heard.pts, True, b"#%08d" % time)
            source.send(frame(time, is_keyframe=time % 1000 == 0), heard, other)
        self.server.reactor.advance(2)
        for query, mark in (("", b"!"), ("?track=1", b"#"), ("?track=1&audio=1", b"#")):
            peer = self.server.peer(path=f"/liveshow/many{query}")
            description = peer.describe()
            place = len(description.media) - 1
            self.assertEqual(place, 0 if "audio=1" in query else 1)
            peer.ok("SETUP", f"{URL[:-4]}many/trackID={place}", Transport=TCP + "0-1")
            peer.ok("PLAY")
            self.assertEqual({packet.payload[4:5] for packet in peer.rtp(0)}, {mark})

    def test_without_a_description(self) -> None:
        """Some know a stream from before: SETUP is enough."""
        peer = self.server.peer()
        peer.set_up({0: "0-1", 1: "2-3"})
        self.assertEqual(set(infos(peer.ok("PLAY"))), {0, 1})
        self.assertGreater(len(peer.rtp(2)), 0)

    def test_played_late(self) -> None:
        """Long after it was described a stream is still what was described."""
        peer = self.server.peer()
        peer.describe()
        answer = peer.ok("SETUP", "/trackID=0", Transport=TCP + "0-1")
        (transport,) = parse_transport(answer.headers.get("transport"))
        for second in range(3, 300):
            self.source.send(*media(second * 1000, second * 1000 + 80))
            self.server.wait(1)
            if second % 50 == 0:
                peer.ok("OPTIONS")
        peer.ok("PLAY")
        packets = peer.rtp(0)
        self.assertEqual({packet.ssrc for packet in packets}, {transport.ssrc})
        self.assertEqual({packet.payload_type for packet in packets}, {96})


class SharingTests(SynchronousTestCase):
    """What is sent is made once, whoever plays."""

    def setUp(self) -> None:
        self.server = Server()
        self.source = self.server.source()

    def test_same_channels(self) -> None:
        """Two on the same channels get the same blocks: not a byte is copied for the second."""
        peers = [self.server.player() for _ in range(2)]
        stream = self.server.hub.streams[KEY]
        self.assertEqual(len(stream.renditions), 1)
        for peer in peers:
            peer.transport.writes.clear()
        for time in range(2200, 3400, 40):
            self.source.send(frame(time, is_keyframe=time == 3000), sound(time))
        first, second = (peer.transport.writes for peer in peers)
        self.assertEqual(len(first), 30)
        for one, other in zip(first, second, strict=True):
            self.assertIs(one, other)

    def test_other_channels(self) -> None:
        """D-TR-08: others have blocks of their own, with the same packets in them."""
        peers = [self.server.peer() for _ in range(3)]
        peers[0].play({0: "0-1", 1: "2-3"})
        peers[1].play({0: "2-3", 1: "0-1"})
        peers[2].play({1: "6-7"})
        self.source.send(*media(2200, 3400))
        self.assertEqual(len(self.server.hub.streams[KEY].renditions), 3)
        self.assertEqual(peers[0].rtp(0), peers[1].rtp(2))
        heard = peers[0].rtp(2)
        self.assertEqual(heard, peers[1].rtp(0))
        alone = peers[2].rtp(6)
        self.assertEqual(alone[-30:], heard[-30:])
        assert_in_order(alone)

    def test_later_one(self) -> None:
        """One that comes later sees the same numbers, without a gap."""
        early = self.server.player()
        self.source.send(*media(2200, 3400))
        late = self.server.player()
        self.source.send(*media(3400, 3600))
        for channel in CLOCKS:
            one, other = early.rtp(channel), late.rtp(channel)
            assert_in_order(one)
            assert_in_order(other)
            self.assertEqual(one[-len(other) :], other)

    def test_counted(self) -> None:
        """Viewers are counted, with who they are and what they were sent."""
        peers = [self.server.peer(), self.server.peer("192.0.2.2")]
        for number, peer in enumerate(peers):
            peer.ok("DESCRIBE", User_Agent=f"player/{number}")
            peer.set_up({0: "0-1"})
            peer.ok("PLAY")
        self.assertEqual(self.server.hub.viewers, 2)
        viewers = list(self.server.hub.streams[KEY].viewers)
        self.assertEqual([x.info.protocol for x in viewers], ["rtsp", "rtsp"])
        self.assertEqual(
            [x.info.peer.partition(":")[0] for x in viewers], ["192.0.2.1", "192.0.2.2"]
        )
        self.assertEqual([x.info.user_agent for x in viewers], ["player/0", "player/1"])
        before = viewers[0].bytes_out
        size = len(peers[0].transport.value())
        self.source.send(*media(2200, 2400))
        self.assertEqual(viewers[0].bytes_out - before, len(peers[0].transport.value()) - size)
        self.assertGreater(before, 200)
        peers[0].ok("TEARDOWN")
        self.assertEqual(self.server.hub.viewers, 1)
        peers[1].lose()
        self.assertEqual(self.server.hub.viewers, 0)
        told = [x for x in self.server.told if isinstance(x, PlayStarted | PlayEnded)]
        self.assertEqual([type(x) for x in told], [PlayStarted, PlayStarted, PlayEnded, PlayEnded])
        self.assertEqual({x.protocol for x in told if isinstance(x, PlayStarted)}, {"rtsp"})
        self.assertEqual(self.server.hub.streams[KEY].renditions, {})

    def test_counted_once(self) -> None:
        """PLAY of what plays is nothing new."""
        peer = self.server.player()
        for _ in range(3):
            self.assertEqual(peer.ok("PLAY", Range="npt=now-").headers.get("rtp-info"), "")
        self.assertEqual(self.server.hub.viewers, 1)
        self.source.send(*media(2200, 2400))
        assert_in_order(peer.rtp(0))

    def test_not_counted_before(self) -> None:
        """Who has not said PLAY is no viewer."""
        peer = self.server.peer()
        peer.describe()
        peer.set_up({0: "0-1", 1: "2-3"})
        self.assertEqual(self.server.hub.viewers, 0)
        self.source.send(*media(2200, 2400))
        peer.receive()
        self.assertEqual(peer.frames, [])


class SlowTests(SynchronousTestCase):
    """D-TR-13: a player that takes too little loses whole groups, never a part of a frame."""

    def test_slow(self) -> None:
        """What waits is limited; it goes on at a keyframe; answers come between whole frames."""
        server = Server(HubSettings(queue_bytes=100_000))
        source = server.source()
        slow, quick = server.player(), server.player()
        before = slow.rtp(0)
        outlet = slow.protocol.outlet
        outlet.pauseProducing()
        for time in range(2200, 5400, 40):
            source.send(frame(time, is_keyframe=time % 1000 == 0, size=5000), sound(time))
            if time == 3400:
                slow.send("GET_PARAMETER")
        self.assertLess(outlet.queued_bytes, 110_000)
        self.assertGreater(outlet.dropped_blocks, 0)
        outlet.resumeProducing()
        source.send(*media(5400, 6400))
        (answer,) = slow.answers()
        self.assertEqual(answer.status, 200)
        seen = before + slow.rtp(0)
        self.assertEqual(pictures(seen[-5:])[-1], 6360)
        # Each gap is followed by a keyframe with its sets.
        gaps = [
            y for x, y in pairwise(seen) if y.sequence_number != (x.sequence_number + 1) & 0xFFFF
        ]
        self.assertGreater(len(gaps), 0)
        for first in gaps:
            self.assertIn(first.payload[0] & 31, (7, STAP_A))
        assert_in_order(quick.rtp(0))


def test_memory() -> None:
    """A viewer costs less than 16 KiB of Python's memory: nothing of the media is its own."""
    import gc
    import tracemalloc

    count = 40
    server = Server()
    source = server.source()
    peers = [server.player()]
    tracemalloc.start()
    try:
        peers += [_quiet(server) for _ in range(count)]
        source.send(*media(2200, 3400))
        gc.collect()
        taken = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(True, "*/ntvmedia/*", all_frames=True)]
        )
    finally:
        tracemalloc.stop()
    assert sum(trace.size for trace in taken.traces) / count < 16 << 10
    assert server.hub.viewers == count + 1


def _quiet(server: Server) -> Peer:
    peer = server.player()
    peer.transport.quiet = True
    peer.transport.clear()
    peer.transport.writes.clear()
    peer.frames.clear()
    return peer
