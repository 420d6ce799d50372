"""Tests of publishing to servers in memory: headers, times, slow servers, the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings, strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from zope.interface.verify import verifyObject

from ntvmedia.clients.rtmp.publishing import MAX_QUEUE_BYTES, MAX_QUEUE_SECONDS
from ntvmedia.interfaces import IPushFeed
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtmp.chunks import ChunkReader, MessageType
from ntvmedia.wire.rtmp.handshake import BLOCK_SIZE
from tests.clients.rtmp.rig import (
    AUDIO,
    VIDEO,
    ClientCase,
    MetadataReceived,
    Remote,
    frame,
    refuse,
    sound,
)

DATA = Track(Codec.AMF0, clock_rate=1000)
TITLE = Packet(DATA, 5000, 5000, True, b"\x02\x00\x01x\x05")
OTHER_AUDIO = replace(AUDIO, config=bytes.fromhex("1190"))


def big(milliseconds: int, size: int, *, is_keyframe: bool = False) -> Packet:
    """A picture of a size."""
    payload = (size - 4).to_bytes(4, "big") + b"\x65" * (size - 4)
    return Packet(VIDEO, milliseconds * 90, milliseconds * 90, is_keyframe, payload)


class PublishingCase(ClientCase):
    """A stream that is published."""

    ending: Deferred[None]

    def begun(self, **options: Any) -> tuple[Remote, Any]:
        """Publish two tracks; return the server, and the feed that it was given."""
        self.ending = self.publish(**options)
        remote = self.connected()
        feed = self.feeds[-1]
        feed.track_received(VIDEO)
        feed.track_received(AUDIO)
        return remote, feed

    def give(self, feed: Any, *packets: Packet) -> None:
        """Give packets that came together."""
        for packet in packets:
            feed.packet_received(packet)
        feed.batch_ended()

    def kinds(self, remote: Remote) -> list[str]:
        """Name what the client sent of media, in order."""
        return [
            type(event).__name__
            for event in remote.events
            if isinstance(event, Track | Packet | MetadataReceived)
        ]


class PublishingTests(PublishingCase):
    """What a server gets."""

    def test_publish(self) -> None:
        """E-ST-13: headers before frames, and times from 0 on."""
        remote, feed = self.begun()
        verifyObject(IPushFeed, feed)
        self.give(feed, frame(5000, is_keyframe=True), sound(5010), frame(5040))
        remote.run()
        self.assertEqual(
            remote.requests, [("liveshow", "test?key=secret", "rtmp://192.0.2.7/liveshow")]
        )
        self.assertEqual(
            self.kinds(remote), ["MetadataReceived", "Track", "Track", "Packet", "Packet", "Packet"]
        )
        self.assertEqual([packet.dts for packet in remote.packets], [0, 441, 3600])
        self.assertEqual(feed.dropped, 0)
        self.assertGreater(feed.bytes_out, 100)

    def test_order_of_commands(self) -> None:
        """E-ST-13: the chunk size goes before all that is longer, and commands in FMLE's order."""
        remote, _feed = self.begun()
        reader = ChunkReader()
        reader.receive_data(remote.taken[1 + 2 * BLOCK_SIZE :])
        names = []
        while (message := reader.next_message()) is not None:
            if message.type_id == MessageType.COMMAND_AMF0:
                length = int.from_bytes(message.payload[1:3], "big")
                names.append((message.payload[3 : 3 + length].decode(), reader.chunk_size))
        self.assertEqual(
            names,
            [
                ("connect", 128),
                ("releaseStream", 60000),
                ("FCPublish", 60000),
                ("createStream", 60000),
                ("publish", 60000),
            ],
        )

    def test_begins_with_a_keyframe(self) -> None:
        """Whatever is given before a keyframe is not sent, nor sound of before its time."""
        remote, feed = self.begun()
        self.give(feed, frame(960), sound(990), frame(1000, is_keyframe=True))
        self.give(feed, sound(980), sound(1010))
        remote.run()
        self.assertEqual([packet.dts for packet in remote.packets], [0, 441])

    def test_audio_alone(self) -> None:
        """A stream without pictures begins with what there is."""
        self.publish(tracks=(AUDIO,))
        remote = self.connected()
        self.feeds[0].track_received(AUDIO)
        self.give(self.feeds[0], sound(700), sound(723))
        remote.run()
        self.assertEqual([packet.dts for packet in remote.packets], [0, 1014])

    def test_new_configuration(self) -> None:
        """A track that changes is told before its next packet, and so is one that appears."""
        self.ending = self.publish()
        remote = self.connected()
        feed = self.feeds[0]
        feed.track_received(VIDEO)
        self.give(feed, frame(1000, is_keyframe=True))
        feed.track_received(AUDIO)
        self.give(feed, sound(1050))
        feed.track_received(OTHER_AUDIO)
        self.give(feed, sound(1100)._replace(track=OTHER_AUDIO))
        remote.run()
        self.assertEqual([track.config for track in remote.tracks][1:], [AUDIO.config, b"\x11\x90"])
        self.assertEqual(self.kinds(remote)[-4:], ["Track", "Packet", "Track", "Packet"])

    def test_script_data(self) -> None:
        """E-ST-13: behind the first frame, only who knows Enhanced RTMP gets some."""
        for is_enhanced in (False, True):
            remote, feed = self.begun()
            feed._takes_data = is_enhanced
            feed.track_received(DATA)
            self.give(feed, frame(5000, is_keyframe=True), TITLE)
            feed.metadata_received({"encoder": "y"})
            feed.batch_ended()
            remote.run()
            titles = [e.fields["encoder"] for e in remote.events if isinstance(e, MetadataReceived)]
            self.assertEqual(titles, ["x", "y"] if is_enhanced else ["x"])
            self.assertEqual(
                [packet.track.codec for packet in remote.packets],
                [Codec.H264, Codec.AMF0] if is_enhanced else [Codec.H264],
            )

    def test_whether_a_server_knows_enhanced_rtmp(self) -> None:
        """It says so in its answer to `connect`, as this server does."""
        _remote, feed = self.begun()
        self.assertTrue(feed._takes_data)

    def test_metadata_before_the_first_frame(self) -> None:
        """The last that was said of the stream is what goes first."""
        remote, feed = self.begun()
        feed.metadata_received({"encoder": "z"})
        self.give(feed, frame(0, is_keyframe=True))
        remote.run()
        titles = [e.fields["encoder"] for e in remote.events if isinstance(e, MetadataReceived)]
        self.assertEqual(titles, ["z"])

    def test_what_cannot_be_carried(self) -> None:
        """It is left out; where nothing is left, no server is asked."""
        g722 = Track(Codec.VVC)
        problem = self.problem(self.publish(tracks=(g722,)))
        self.assertTrue(problem.is_permanent)
        self.assertIn("RTMP carries none of it: vvc", str(problem))
        self.assertEqual(self.reactor.tcpClients, [])
        remote, feed = self.begun()
        feed.track_received(Track(Codec.VVC, number=1))
        picture = frame(40)._replace(track=Track(Codec.VVC, number=1))
        self.give(feed, frame(0, is_keyframe=True), picture, frame(80))
        remote.run()
        self.assertEqual(len(remote.packets), 2)

    def test_hops(self) -> None:
        """E-ST-08: the server is told which servers the stream has passed."""
        remote, _feed = self.begun(hops=("one", "two"))
        self.assertIn(b"ntvHops\x02\x00\x07one,two", remote.taken)

    def test_refused(self) -> None:
        """E-ST-05, E-ST-14: the job fails with the server's words, and gets no feed."""
        ending = self.publish()
        self.connected(refuse("NetStream.Publish.BadName", "publishing is denied"))
        problem = self.problem(ending)
        self.assertEqual((problem.status, problem.is_permanent), (403, True))
        self.assertEqual(self.feeds, [])

    def test_end(self) -> None:
        """The end is said, after what was given; the push fires when the server has it."""
        remote, feed = self.begun()
        feed.packet_received(frame(0, is_keyframe=True))
        feed.end()
        self.assertNoResult(self.ending)
        self.assertIn(b"FCUnpublish", remote.transport.value())
        remote.run()
        self.assertEqual(self.kinds(remote)[-1], "Packet")
        self.assertEqual(type(remote.events[-1]).__name__, "Unpublished")
        remote.lose()
        self.successResultOf(self.ending)
        feed.end()
        self.give(feed, frame(40))

    def test_end_without_answer(self) -> None:
        """A server that took all and does not hang up does not hold it back."""
        _remote, feed = self.begun()
        feed.end()
        self.pass_time(3.25)
        self.successResultOf(self.ending)

    def test_end_not_taken(self) -> None:
        """E-ST-14: what a server does not take is no success."""
        remote, feed = self.begun()
        remote.stop_taking()
        self.give(feed, frame(0, is_keyframe=True))
        feed.end()
        self.pass_time(3.25)
        self.assertIn("did not take the end", str(self.problem(self.ending)))

    def test_lost_at_the_end(self) -> None:
        """E-ST-14: nor is a connection that breaks with something in it."""
        remote, feed = self.begun()
        remote.stop_taking()
        feed.end()
        remote.lose(ConnectionLost())
        self.assertIn("the connection was lost", str(self.problem(self.ending)))

    def test_lost(self) -> None:
        """E-ST-14: a write that failed reaches the job, and the feed takes what still comes."""
        remote, feed = self.begun()
        self.give(feed, frame(0, is_keyframe=True))
        remote.lose(ConnectionLost())
        self.assertEqual(
            str(self.problem(self.ending)), "rtmp://192.0.2.7: the connection was lost"
        )
        self.give(feed, frame(40))
        feed.track_received(OTHER_AUDIO)
        feed.metadata_received({})
        feed.end()

    def test_ended_by_the_server(self) -> None:
        """Another publisher took over: that passes, or not."""
        remote, _feed = self.begun()
        remote.session.stop_publish("NetStream.Publish.BadName", "another publisher took over")
        remote.run()
        problem = self.problem(self.ending)
        self.assertIn("it ended the stream: NetStream.Publish.BadName", str(problem))
        self.assertFalse(problem.is_permanent)

    def test_a_bug(self) -> None:
        """What cannot be written ends that push alone, and not who gives the packet."""
        _remote, feed = self.begun()
        self.give(feed, frame(0, is_keyframe=True))
        self.give(feed, Packet(VIDEO, 3600, 3600, False, None))  # type: ignore[arg-type]
        self.failureResultOf(self.ending, TypeError)

    def test_cancel(self) -> None:
        """Who does not want it any more is let go at once."""
        remote, feed = self.begun()
        self.ending.cancel()
        self.failureResultOf(self.ending, CancelledError)
        self.assertIn(b"FCUnpublish", remote.transport.value())
        self.give(feed, frame(0, is_keyframe=True))

    def test_again(self) -> None:
        """E-ST-10: a server that restarts gets headers, a keyframe, and times from 0 on."""
        for start in (5000, 90_000):
            remote, feed = self.begun()
            self.give(feed, frame(start, is_keyframe=True), sound(start), frame(start + 40))
            remote.run()
            self.assertEqual(self.kinds(remote)[:3], ["MetadataReceived", "Track", "Track"])
            self.assertTrue(remote.packets[0].is_keyframe)
            self.assertEqual([packet.dts for packet in remote.packets], [0, 0, 3600])
            remote.lose()
            self.problem(self.ending)


class SlowServerTests(PublishingCase):
    """Servers that take less than they are sent (E-ST-11)."""

    def test_too_many_bytes(self) -> None:
        """A bounded amount waits; then packets are dropped and counted up to a keyframe."""
        remote, feed = self.begun()
        self.give(feed, frame(0, is_keyframe=True))
        remote.run()
        remote.stop_taking()
        size = 1 << 20
        for time in range(1, 8):
            self.give(feed, big(time * 40, size))
        self.assertEqual(feed.dropped, 7 - MAX_QUEUE_BYTES // size)
        self.assertLess(remote.protocol._wrappedProtocol.outlet.queued_bytes, MAX_QUEUE_BYTES * 1.3)
        remote.take()
        before = len(remote.packets)
        dropped = feed.dropped
        self.give(feed, frame(400), sound(400))
        self.assertEqual(feed.dropped, dropped + 2)
        self.give(feed, frame(440, is_keyframe=True), sound(450), frame(480))
        remote.run()
        later = remote.packets[before:]
        self.assertEqual([packet.dts for packet in later], [440 * 90, 19845, 480 * 90])
        self.assertTrue(later[0].is_keyframe)

    def test_too_old(self) -> None:
        """Little is dropped, too, when it has waited for too long."""
        remote, feed = self.begun(stall_seconds=60.0)
        self.give(feed, frame(0, is_keyframe=True))
        remote.run()
        remote.stop_taking()
        for step in range(1, 40):
            self.give(feed, frame(step * 250))
            self.reactor.advance(0.25)
        kept = int(MAX_QUEUE_SECONDS * 4) + 1
        self.assertEqual(feed.dropped, 39 - kept)
        remote.take()
        self.assertEqual(len(remote.packets), 1 + kept)

    def test_configuration_amid_a_gap(self) -> None:
        """What changed of a track while packets were dropped is told before the keyframe."""
        remote, feed = self.begun()
        self.give(feed, frame(0, is_keyframe=True))
        remote.run()
        remote.stop_taking()
        for time in range(1, 8):
            self.give(feed, big(time * 40, 1 << 20))
        tracks = len(remote.tracks)
        for _time in range(1000):
            feed.track_received(AUDIO)
            feed.track_received(OTHER_AUDIO)
        waiting = remote.protocol._wrappedProtocol.outlet.queued_bytes
        feed.batch_ended()
        self.assertEqual(remote.protocol._wrappedProtocol.outlet.queued_bytes, waiting)
        remote.take()
        self.give(feed, frame(440, is_keyframe=True), sound(450)._replace(track=OTHER_AUDIO))
        remote.run()
        self.assertEqual([track.config for track in remote.tracks[tracks:]], [OTHER_AUDIO.config])

    def test_takes_nothing(self) -> None:
        """A server that takes nothing for `stall_seconds` ends the push."""
        remote, feed = self.begun(stall_seconds=4.0)
        self.give(feed, frame(0, is_keyframe=True))
        remote.run()
        remote.stop_taking()
        for step in range(1, 4):
            self.give(feed, frame(step * 40))
            self.pass_time(1.0)
        self.assertNoResult(self.ending)
        self.pass_time(3.0)
        self.assertTrue(remote.transport.disconnected)
        remote.lose(ConnectionLost())
        self.assertEqual(
            str(self.problem(self.ending)), "rtmp://192.0.2.7: it took nothing for 4 seconds"
        )


class TimeTests(PublishingCase):
    """Times, whatever is given."""

    def setUp(self) -> None:
        """Keep the reactor for each example: `check` makes its own."""

    @settings(max_examples=25, deadline=None)
    @given(
        st.integers(0, 1 << 40),
        st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3000)), max_size=30),
    )
    def test_monotone(self, start: int, steps: list[tuple[bool, bool, int]]) -> None:
        """E-ST-10: from 0 on, and never backwards in a track, through gaps of any kind."""
        super().setUp()
        remote, feed = self.begun()
        self.give(feed, frame(start, is_keyframe=True))
        remote.run()
        now = start
        for is_slow, is_keyframe, step in steps:
            now += step
            if is_slow and remote.takes:
                remote.stop_taking()
            elif not is_slow:
                remote.take()
            self.give(feed, frame(now, is_keyframe=is_keyframe), sound(now))
            self.reactor.advance(step / 1000)
        if not remote.transport.disconnected:
            remote.take()
        remote.run()
        times = [packet.dts for packet in remote.packets if packet.track.codec is Codec.H264]
        self.assertEqual(times[0], 0)
        self.assertEqual(times, sorted(times))
        self.assertEqual(
            len(times) + sum(p.track.codec is Codec.AAC for p in remote.packets) + feed.dropped,
            1 + 2 * len(steps),
        )
        self._end()
