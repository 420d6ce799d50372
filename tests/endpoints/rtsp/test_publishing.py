"""Publishers over RTSP: what they may announce, and that all of it becomes a stream."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.config import HubSettings
from ntvmedia.endpoints.rtsp.connection import GOODBYE_SECONDS
from ntvmedia.endpoints.rtsp.publishing import Incoming, Unsupported
from ntvmedia.events import PublishStarted
from ntvmedia.hub.context import StreamState
from ntvmedia.media import Codec, MediaKind, Packet, Track
from ntvmedia.wire.rtp.rtcp import ReceiverReport, SourceDescription, parse_compound
from ntvmedia.wire.rtsp.messages import build_interleaved
from ntvmedia.wire.sdp import Attribute, MediaDescription, SessionDescription
from tests.codecs import vectors
from tests.endpoints.rtsp.server import (
    AUDIO,
    KEY,
    TCP,
    VIDEO,
    Peer,
    Server,
    frame,
    media,
    sound,
)


def sdp(*lines: str) -> bytes:
    """Write a description with these lines of media."""
    head = ("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "t=0 0")
    return "".join(f"{line}\r\n" for line in (*head, *lines)).encode()


class PublishTests(SynchronousTestCase):
    """D-RT-13: a stream comes into being, and goes."""

    def setUp(self) -> None:
        self.server = Server()

    def test_publishes(self) -> None:
        """The tracks and packets are the hub's, as they were sent."""
        peer = self.server.publisher()
        peer.publish(*media(0, 2200))
        stream = self.server.hub.streams[KEY]
        self.assertEqual(
            {(x.codec, x.config) for x in stream.tracks},
            {(VIDEO.codec, VIDEO.config), (AUDIO.codec, AUDIO.config)},
        )
        kept = media(2000, 2200)
        self.assertEqual([x.payload for x in stream.backlog], [x.payload for x in kept])
        for kind in (MediaKind.VIDEO, MediaKind.AUDIO):
            came = [x.dts for x in stream.backlog if x.track.kind is kind]
            sent = [x.dts for x in kept if x.track.kind is kind]
            self.assertEqual([x - came[0] for x in came], [x - sent[0] for x in sent])
        self.assertEqual(
            [x.is_keyframe for x in stream.backlog if x.track.kind == "video"][:2],
            [
                True,
                False,
            ],
        )
        (event,) = self.server.told
        assert isinstance(event, PublishStarted)
        self.assertEqual((event.protocol, event.peer), ("rtsp", "192.0.2.1:50000"))

    def test_plays_what_is_published(self) -> None:
        """What comes in by RTSP goes out by RTSP, picture for picture."""
        publisher = self.server.publisher()
        publisher.publish(*media(0, 2200))
        player = self.server.player()
        publisher.publish(*media(2200, 2400))
        sent = [x.payload for x in player.rtp(2)]
        self.assertEqual([int(x[-8:]) for x in sent], list(range(2000, 2400, 40)))

    def test_modes(self) -> None:
        """D-RT-13: however a client writes that it records."""
        for number, mode in enumerate(("record", "RECORD", '"RECORD"', '"PLAY,RECORD"', "receive")):
            peer = self.server.peer(path=f"/liveshow/mode{number}")
            peer.announce()
            for track in range(2):
                transport = f"{TCP}{2 * track}-{2 * track + 1};mode={mode}"
                answer = peer.ok("SETUP", f"/trackID={track}", Transport=transport)
                self.assertIn("mode=record", answer.headers.get("transport").lower())
            peer.ok("RECORD")
        self.assertEqual(len(self.server.hub.streams), 5)

    def test_address_of_tracks(self) -> None:
        """D-RQ-12: tracks by their control, whatever it looks like."""
        for number, (control, url) in enumerate(
            (
                ("streamid=0", "/streamid=0"),
                ("trackID=1", "/trackID=1"),
                ("track1", "/track1"),
                ("rtsp://192.0.2.9:8554/liveshow/c3/video", "/video"),
                ("*", ""),
            )
        ):
            peer = self.server.peer(path=f"/liveshow/c{number}")
            body = sdp("m=audio 0 RTP/AVP 8", f"a=control:{control}")
            peer.ok("ANNOUNCE", "", body, Content_Type="application/sdp")
            peer.ok("SETUP", url, Transport=f"{TCP}0-1;mode=record")
            peer.ok("RECORD")
        self.assertEqual(len(self.server.hub.streams), 5)

    def test_states(self) -> None:
        """D-RQ-10: nothing is recorded that was not announced and set up."""
        peer = self.server.peer()
        self.assertEqual(peer.ask("RECORD").status, 455)
        self.assertEqual(peer.announce().status, 200)
        self.assertEqual(peer.ask("RECORD").status, 455)
        self.assertEqual(peer.announce().status, 455)
        for url, status in (("/trackID=9", 404), ("/other", 404)):
            answer = peer.ask("SETUP", url, Transport=f"{TCP}0-1;mode=record")
            self.assertEqual(answer.status, status)
        peer.ok("SETUP", "/trackID=0", Transport=f"{TCP}0-1;mode=record")
        self.assertEqual(peer.ask("PLAY").status, 455)
        self.assertEqual(self.server.kinds(), [])
        peer.ok("RECORD")
        self.assertEqual(peer.ask("RECORD").status, 200)
        self.assertEqual(self.server.kinds(), ["PublishStarted"])

    def test_media_before_record(self) -> None:
        """What is sent too early is dropped."""
        peer = self.server.peer()
        peer.announce()
        peer.ok("SETUP", "/trackID=0", Transport=f"{TCP}0-1;mode=record")
        peer.publish(frame(0, is_keyframe=True))
        self.assertEqual(peer.ask("RECORD").status, 200)
        self.assertEqual(self.server.hub.streams[KEY].bytes_in, 0)
        # Whether markers are to be trusted is known with the second picture.
        peer.publish(frame(40, is_keyframe=True), frame(80))
        self.assertGreater(self.server.hub.streams[KEY].bytes_in, 0)

    def test_unsupported(self) -> None:
        """D-RT-09: where nothing can be taken it is told at once, and what it was is logged."""
        peer = self.server.peer()
        body = sdp("m=audio 0 RTP/AVP 97", "a=rtpmap:97 G726-32/8000", "a=control:trackID=0")
        answer = peer.ask("ANNOUNCE", "", body, Content_Type="application/sdp")
        self.assertEqual(answer.status, 415)
        self.assertEqual(peer.ask("OPTIONS").status, 200)

    def test_names_of_the_unsupported(self) -> None:
        """F-IN-06: what a peer calls its tracks is text for one line of the log."""
        media = MediaDescription(
            "video", ("96",), attributes=(Attribute("rtpmap", "96 X\x1b[31m\u2028Y/90000"),)
        )
        with self.assertRaises(Unsupported) as caught:
            Incoming(SessionDescription(media=(media,)), 1, "us")
        self.assertEqual(
            str(caught.exception), r"none of its tracks can be taken: X\x1b[31m\u2028Y"
        )

    def test_unsupported_among_others(self) -> None:
        """A track that nobody can use is taken and thrown away; the rest is published."""
        peer = self.server.peer()
        body = sdp(
            "m=application 0 RTP/AVP 107",
            "a=rtpmap:107 vnd.onvif.metadata/90000",
            "a=control:trackID=0",
            "m=audio 0 RTP/AVP 8",
            "a=control:trackID=1",
        )
        peer.ok("ANNOUNCE", "", body, Content_Type="application/sdp")
        peer.ok("SETUP", "/trackID=0", Transport=f"{TCP}0-1;mode=record")
        peer.ok("SETUP", "/trackID=1", Transport=f"{TCP}2-3;mode=record")
        peer.ok("RECORD")
        for number in range(200):
            head = b"\x80\x6b" + number.to_bytes(2, "big") + bytes(8)
            heard = b"\x80\x08" + number.to_bytes(2, "big") + (160 * number).to_bytes(4, "big")
            peer.protocol.dataReceived(build_interleaved(0, head + b"<xml/>"))
            peer.protocol.dataReceived(build_interleaved(2, heard + bytes(4) + b"\xd5" * 160))
        self.server.reactor.advance(2)
        (track,) = self.server.hub.streams[KEY].tracks
        self.assertEqual((track.codec, track.clock_rate), (Codec.PCM_ALAW, 8000))

    def test_broken_track(self) -> None:
        """D-RT-07: AAC whose description lacks its configuration is refused, nothing else."""
        peer = self.server.peer()
        body = sdp(
            "m=audio 0 RTP/AVP 97",
            "a=rtpmap:97 mpeg4-generic/48000/2",
            "a=fmtp:97 mode=AAC-hbr;sizelength=0;indexlength=0;config=zz",
            "a=control:trackID=0",
            "m=audio 0 RTP/AVP 8",
            "a=control:trackID=1",
        )
        peer.ok("ANNOUNCE", "", body, Content_Type="application/sdp")
        answer = peer.ask("SETUP", "/trackID=0", Transport=f"{TCP}0-1;mode=record")
        self.assertEqual(answer.status, 400)
        peer.ok("SETUP", "/trackID=1", Transport=f"{TCP}0-1;mode=record")
        peer.ok("RECORD")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_some_tracks(self) -> None:
        """Announced tracks may be left out."""
        peer = self.server.peer()
        peer.announce()
        peer.ok("SETUP", "/trackID=1", Transport=f"{TCP}2-3;mode=record")
        peer.ok("RECORD")
        peer.publish(*media(0, 2200))
        self.server.reactor.advance(2)
        self.assertEqual([x.kind for x in self.server.hub.streams[KEY].tracks], ["audio"])

    def test_two_of_a_kind(self) -> None:
        """P-503: tracks of one kind are numbered as they are announced."""
        peer = self.server.peer()
        lines = [
            line
            for number in range(3)
            for line in (f"m=audio 0 RTP/AVP {8 if number else 0}", f"a=control:trackID={number}")
        ]
        peer.ok("ANNOUNCE", "", sdp(*lines), Content_Type="application/sdp")
        for number in range(3):
            channels = f"{2 * number}-{2 * number + 1}"
            peer.ok("SETUP", f"/trackID={number}", Transport=f"{TCP}{channels};mode=record")
        peer.ok("RECORD")
        for count in range(100):
            for number in range(3):
                head = bytes((0x80, 8 if number else 0)) + count.to_bytes(2, "big")
                data = head + (160 * count).to_bytes(4, "big") + bytes(4) + b"\xd5" * 160
                peer.protocol.dataReceived(build_interleaved(2 * number, data))
        self.server.reactor.advance(2)
        tracks = self.server.hub.streams[KEY].tracks
        self.assertEqual(
            sorted((x.number, x.codec.value) for x in tracks),
            [(0, "pcm_mulaw"), (1, "pcm_alaw"), (2, "pcm_alaw")],
        )

    def test_many_tracks(self) -> None:
        """F-RE-01: a description of a thousand tracks costs no more than a few."""
        peer = self.server.peer()
        lines = [
            line
            for number in range(1000)
            for line in ("m=audio 0 RTP/AVP 8", f"a=control:trackID={number}")
        ]
        answer = peer.ask("ANNOUNCE", "", sdp(*lines), Content_Type="application/sdp")
        self.assertIn(answer.status, (200, 400, 413))
        if answer.status == 200:
            incoming = peer.protocol._incoming
            assert incoming is not None
            self.assertLessEqual(len(incoming.formats), 16)

    def test_hevc_and_g711(self) -> None:
        """D-RT-12: another pair of codecs."""
        hevc = Track(Codec.HEVC, config=vectors.HVCC_720)
        alaw = Track(Codec.PCM_ALAW, clock_rate=8000, channels=1)
        peer = self.server.publisher(tracks=(hevc, alaw))
        assert peer.sender is not None
        frames = []
        for number in range(80):
            unit = (b"\x26\x01" if number % 25 == 0 else b"\x02\x01") + b"\x88%08d" % number
            payload = len(unit).to_bytes(4, "big") + unit
            picture = Packet(hevc, 3600 * number, 3600 * number, number % 25 == 0, payload)
            heard = Packet(alaw, 320 * number, 320 * number, True, b"%08d" % number * 40)
            for channel, packet in ((0, picture), (2, heard)):
                frames += [build_interleaved(channel, x) for x in peer.sender.packets(packet)]
        peer.protocol.dataReceived(b"".join(frames))
        stream = self.server.hub.streams[KEY]
        self.assertEqual({x.codec for x in stream.tracks}, {Codec.HEVC, Codec.PCM_ALAW})
        kept = [x.payload[-8:] for x in stream.backlog if x.track.codec is Codec.HEVC]
        self.assertEqual(kept, [b"%08d" % number for number in range(75, 80)])

    def test_reports(self) -> None:
        """RFC 3550 6.4.2: a publisher is told every 5 s what came, on the channel for reports."""
        peer = self.server.publisher()
        peer.publish(*media(0, 400))
        self.server.wait(6)
        peer.receive()
        self.assertEqual({frame.channel for frame in peer.frames}, {1, 3})
        for channel, track in ((1, VIDEO), (3, AUDIO)):
            found = [x.payload for x in peer.frames if x.channel == channel]
            report, described = parse_compound(found[-1])
            assert isinstance(report, ReceiverReport)
            assert isinstance(described, SourceDescription)
            (block,) = report.blocks
            assert peer.sender is not None
            self.assertEqual(block.ssrc, peer.sender.ssrc(track))
            self.assertEqual((block.fraction_lost, block.packets_lost), (0, 0))
            self.assertEqual(report.ssrc, described.ssrc)
        peer.frames.clear()
        peer.publish(*media(400, 600))
        self.server.wait(4)
        peer.receive()
        self.assertLessEqual(len(peer.frames), 2)

    def test_sender_reports(self) -> None:
        """D-PL-06: sound that comes late by the clock of arrival is put right by the reports."""
        peer = self.server.publisher()
        peer.report(VIDEO, 1, 0.0)
        peer.report(AUDIO, 3, 0.0)
        for time in range(0, 4000, 40):
            peer.publish(frame(time, is_keyframe=time % 1000 == 0))
            if time >= 400:  # its way through the encoder is longer
                peer.publish(sound(time - 400))
            self.server.reactor.advance(0.04)
        backlog = self.server.hub.streams[KEY].backlog
        times = {
            kind: [
                x.dts / x.track.clock_rate - int(x.payload[-8:]) / 1000
                for x in backlog
                if x.track.kind is kind
            ]
            for kind in (MediaKind.VIDEO, MediaKind.AUDIO)
        }
        apart = times[MediaKind.AUDIO][-1] - times[MediaKind.VIDEO][-1]
        self.assertAlmostEqual(apart, 0.0, delta=0.1)

    def test_malformed_packets(self) -> None:
        """D-PL-07, D-RT-01: what is no RTP, or no RTCP, is left out."""
        peer = self.server.publisher()
        for size in (0, 1, 11, 12, 13, 2000):
            for channel in range(4):
                peer.protocol.dataReceived(build_interleaved(channel, b"\xff" * size))
                peer.protocol.dataReceived(build_interleaved(channel, b"\x80" * size))
        self.assertFalse(peer.transport.disconnecting)
        peer.publish(*media(0, 2200))
        self.assertEqual(len(self.server.hub.streams[KEY].backlog), 10)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_other_peer_is_not_mixed(self) -> None:
        """D-TR-08: two publishers behind one address are two streams."""
        one = self.server.publisher(path="/liveshow/one")
        other = self.server.publisher(path="/liveshow/other")
        one.publish(*media(0, 2200))
        other.publish(*media(0, 1200))
        backlogs = [
            [x.payload[-8:] for x in stream.backlog if x.track.kind == "video"]
            for stream in self.server.hub.streams.values()
        ]
        self.assertEqual([x[0] for x in backlogs], [b"00002000", b"00001000"])


class LeaveTests(SynchronousTestCase):
    """How publishers go, by their own will or not."""

    def setUp(self) -> None:
        self.server = Server()

    def publisher(self) -> Peer:
        """Have one whose stream is seen."""
        peer = self.server.publisher()
        peer.publish(*media(0, 2200))
        return peer

    def test_leaves(self) -> None:
        """One that says goodbye ends its stream at once; its name is free, also for itself."""
        peer = self.publisher()
        peer.ok("TEARDOWN")
        self.assertEqual(self.server.hub.streams, {})
        self.assertFalse(peer.transport.disconnecting)
        peer.session = ""
        self.assertEqual(peer.record().status, 200)
        self.assertEqual(self.server.kinds(), ["PublishStarted", "PublishEnded", "PublishStarted"])

    def test_lost_and_back(self) -> None:
        """A-SE-03: one that is lost finds its stream again, and its viewers with it."""
        first = self.publisher()
        player = self.server.player()
        first.lose()
        self.assertIs(self.server.hub.streams[KEY].state, StreamState.WAITING)
        self.server.reactor.advance(5)
        self.assertFalse(player.transport.disconnecting)
        self.publisher()
        heard = player.rtp(2)
        self.assertEqual([int(x.payload[-8:]) for x in heard][-1], 2160)
        numbers = [x.sequence_number for x in heard]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))

    def test_lost_for_good(self) -> None:
        """When the grace is over its viewers are told, and then cut off."""
        first = self.publisher()
        player = self.server.player()
        first.lose()
        self.server.reactor.advance(15)
        self.server.wait(GOODBYE_SECONDS)
        self.assertTrue(player.transport.disconnecting)
        self.assertEqual(
            sorted(self.server.kinds()),
            ["PlayEnded", "PlayStarted", "PublishEnded", "PublishStarted"],
        )

    def test_name_taken(self) -> None:
        """A-SE-01: a second one is refused; the first goes on."""
        first = self.publisher()
        second = self.server.peer()
        self.assertEqual(second.record().status, 403)
        first.publish(frame(2200))
        self.assertEqual(len(self.server.hub.streams[KEY].backlog), 11)
        self.assertEqual(self.server.kinds(), ["PublishStarted"])
        # It may try again when the first is gone.
        first.ok("TEARDOWN")
        self.assertEqual(second.ask("RECORD").status, 200)

    def test_takeover(self) -> None:
        """A-SE-02: where the policy says so the old one is cut off, and viewers stay."""
        self.server = Server(HubSettings(publish_policy="takeover"))
        first = self.publisher()
        player = self.server.player()
        player.rtp(2)
        second = self.server.publisher()
        self.assertTrue(first.transport.disconnecting)
        first.publish(*media(2200, 3400))  # still on its way
        second.publish(*media(0, 400))
        self.assertEqual([int(x.payload[-8:]) for x in player.rtp(2)], list(range(0, 400, 40)))
        self.assertFalse(player.transport.disconnecting)

    def test_silent(self) -> None:
        """A-MD-19: one that sends no media is cut off in time, and its end is told once."""
        peer = self.server.publisher()
        self.server.wait(21)
        self.assertTrue(peer.transport.disconnecting)
        self.assertEqual(self.server.kinds(), ["PublishStarted", "PublishEnded"])
        self.server.wait(GOODBYE_SECONDS)
        self.assertTrue(peer.transport.disconnected)

    def test_falls_silent(self) -> None:
        """D-TR-10: media is the sign of life; requests are none for it."""
        peer = self.publisher()
        for second in range(3, 90):
            peer.publish(*media(second * 1000, second * 1000 + 80))
            self.server.wait(1)
        self.assertFalse(peer.transport.disconnecting)
        for _ in range(12):
            peer.protocol.dataReceived(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            self.server.wait(1)
        self.assertTrue(peer.transport.disconnecting)

    def test_never_records(self) -> None:
        """One that announces and does no more is closed, and holds no name."""
        peer = self.server.peer()
        peer.announce()
        self.publisher()
        self.server.wait(62)
        self.assertTrue(peer.transport.disconnecting)

    def test_pauses(self) -> None:
        """PAUSE of a publisher: what it sends is not looked at, until RECORD."""
        peer = self.publisher()
        before = self.server.hub.streams[KEY].bytes_in
        peer.ok("PAUSE")
        peer.publish(frame(2200))
        self.assertEqual(self.server.hub.streams[KEY].bytes_in, before)
        peer.ok("RECORD")
        peer.publish(frame(3000, is_keyframe=True))
        self.assertGreater(self.server.hub.streams[KEY].bytes_in, before)
        self.assertEqual(self.server.kinds(), ["PublishStarted"])

    def test_says_goodbye_in_rtcp(self) -> None:
        """What was complete is given on when the connection ends, the last picture too."""
        peer = self.publisher()
        peer.publish(frame(2200), sound(2200))
        stream = self.server.hub.streams[KEY]
        peer.lose()
        self.assertEqual(len(stream.backlog), 12)
