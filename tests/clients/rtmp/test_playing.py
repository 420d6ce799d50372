"""Tests of playing from servers in memory."""

from __future__ import annotations

from twisted.internet.defer import CancelledError

from ntvmedia.media.hops import HOPS_PROPERTY
from ntvmedia.wire.rtmp import writer
from ntvmedia.wire.rtmp.events import PlayRequested, ServerEvent
from ntvmedia.wire.rtmp.serialiser import RTMPSerialiser
from ntvmedia.wire.rtmp.server import ServerSession
from tests.clients.rtmp.rig import (
    AUDIO,
    URL,
    VIDEO,
    ClientCase,
    Remote,
    accept,
    frame,
    refuse,
    sound,
)


def media(*packets: object) -> bytes:
    """Return what a server sends of packets, with the headers before them."""
    serialiser = RTMPSerialiser()
    parts = [serialiser.tracks_changed((VIDEO, AUDIO), {}, 0)]
    parts.append(serialiser.metadata(0))
    for packet in packets:
        serialiser.packet(packet, parts)  # type: ignore[arg-type]
    return b"".join(parts)


MEDIA = (frame(0, is_keyframe=True), sound(0), frame(40), sound(23))


class PlayingTests(ClientCase):
    """A stream, from the first byte to the last."""

    def test_play(self) -> None:
        """Tracks, what is said of them, and packets, as they were sent; whose batches end."""
        ending = self.play()
        remote = self.connected()
        self.assertEqual(
            remote.requests, [("liveshow", "test?key=secret", "rtmp://192.0.2.7/liveshow")]
        )
        remote.say(media(*MEDIA))
        self.assertEqual(self.sink.tracks, [VIDEO, AUDIO])
        self.assertEqual(tuple(self.sink.packets), MEDIA)
        self.assertEqual(len(self.sink.fields), 1)
        self.assertGreater(self.sink.batches, 0)
        self.assertNoResult(ending)

    def test_hops(self) -> None:
        """E-ST-08: the server is told which servers the stream has passed."""
        self.play(hops=("one", "two"))
        remote = self.connected()
        self.assertIn(b"ntvHops\x02\x00\x07one,two", remote.taken)

    def test_no_hops(self) -> None:
        """A viewer of nobody's relay says nothing of that."""
        self.play()
        self.assertNotIn(b"ntvHops", self.connected().taken)

    def test_passed(self) -> None:
        """E-ST-08: what the server says of the stream's way is told before media."""
        told = "00000000000000a1,00000000000000a2"
        for said, expected in ((told, [tuple(told.split(","))]), ("nonsense", []), ("", [])):
            passed: list[tuple[str, ...]] = []
            self.sink.passed = passed.append  # type: ignore[attr-defined]
            remote = self.playing(said)
            self.assertEqual(passed, expected)
            remote.say(media(*MEDIA))
        del self.sink.passed  # type: ignore[attr-defined]
        remote = self.playing(told)  # a sink that does not care
        remote.say(media(*MEDIA))
        self.assertTrue(self.sink.packets)

    def playing(self, said: str) -> Remote:
        """Play from a server that says which servers the stream has passed."""

        def answer(session: ServerSession, event: ServerEvent) -> None:
            if isinstance(event, PlayRequested):
                session.accept_play(more={HOPS_PROPERTY: said})

        self.ending = self.play(hops=("0" * 16,))
        return self.connected(answer)

    def test_passed_us(self) -> None:
        """E-ST-08: what has passed this server is not played, for good."""
        self.client._server_id = "00000000000000a2"
        self.playing("00000000000000a1,00000000000000a2")
        problem = self.problem(self.ending)
        self.assertIn("a loop", str(problem))
        self.assertEqual((problem.status, problem.is_permanent), (508, True))
        self.assertEqual(self.sink.packets, [])

    def test_ends(self) -> None:
        """A publisher that leaves ends the stream well."""
        ending = self.play()
        remote = self.connected()
        remote.session.stop_play("NetStream.Play.UnpublishNotify", "it left", 1)
        remote.run()
        self.successResultOf(ending)
        self.assertTrue(remote.transport.disconnecting)

    def test_kicked(self) -> None:
        """A server that ends it for another reason failed."""
        ending = self.play()
        remote = self.connected()
        remote.session.stop_play("NetStream.Play.Failed", "kicked", 1)
        remote.run()
        self.assertIn("it ended the stream", str(self.problem(ending)))

    def test_refused(self) -> None:
        """E-ST-05: no such stream, in the server's words but for those that are the address."""
        ending = self.play()
        self.connected(refuse("NetStream.Play.StreamNotFound", "liveshow/test is not there"))
        problem = self.problem(ending)
        self.assertEqual((problem.status, problem.is_permanent), (404, True))
        self.assertEqual(
            str(problem),
            "rtmp://192.0.2.7: it refused: NetStream.Play.StreamNotFound"
            " - (...)/(...) is not there",
        )

    def test_lost(self) -> None:
        """A connection that ends without a word is no end of the stream."""
        ending = self.play()
        remote = self.connected()
        remote.lose()
        self.assertEqual(
            str(self.problem(ending)), "rtmp://192.0.2.7: the server closed the connection"
        )

    def test_wrong_bytes(self) -> None:
        """A server that breaks the protocol ends that try, and says where."""
        ending = self.play()
        remote = self.connected()
        remote.say(writer.message_bytes(2, 0, 1, 0, b"\x00"))
        self.assertIn("protocol control message is shorter", str(self.problem(ending)))
        self.assertTrue(remote.transport.disconnecting)

    def test_silent_server(self) -> None:
        """E-ST-01: no answer to `connect` within 15 s is the end."""
        ending = self.play()
        remote = self.connected()
        other = self.play()
        remote_without_words = self.connected()
        remote_without_words.takes = False
        self.pass_time(1.0, remote)
        self.assertNoResult(other)
        ending.cancel()
        self.failureResultOf(ending, CancelledError)
        self.pass_time(60.5)
        self.assertIn("no answer to a ping", str(self.problem(other)))

    def test_says_nothing_at_all(self) -> None:
        """A port that takes the connection and is no server of RTMP is given up after 15 s."""
        ending = self.play()
        host, port, factory, *_rest = self.reactor.tcpClients[-1]
        self.assertEqual((host, port), ("192.0.2.7", 1935))
        remote = Remote(factory.buildProtocol(None), accept)
        self.remotes.append(remote)
        self.pass_time(14.5)
        self.assertNoResult(ending)
        self.pass_time(1.5)
        self.assertIn("not connected after 15 s", str(self.problem(ending)))

    def test_cancel(self) -> None:
        """Who does not want it any more is let go at once; the server hears a goodbye."""
        ending = self.play()
        remote = self.connected()
        ending.cancel()
        self.failureResultOf(ending, CancelledError)
        self.assertIn(b"deleteStream", remote.transport.value())
        self.assertTrue(remote.transport.disconnecting)

    def test_cancel_amid_packets(self) -> None:
        """The sink is never called after the Deferred has fired."""
        ending = self.play()
        remote = self.connected()
        remote.session.ping(0.0)
        self.sink.at_packet = ending.cancel
        remote.say(media(*MEDIA))
        self.assertEqual(len(self.sink.packets), 1)
        self.failureResultOf(ending, CancelledError)

    def test_cancel_amid_events(self) -> None:
        """The same where the short way is not taken."""
        ending = self.play()
        remote = self.connected()
        self.sink.at_packet = ending.cancel
        remote.say(writer.message_bytes(3, 0, 18, 1, b"?") + media(*MEDIA))
        self.assertEqual(len(self.sink.packets), 1)
        self.failureResultOf(ending, CancelledError)

    def test_bug_in_sink(self) -> None:
        """What a sink raises ends that play, and is what it fails with."""

        def bug() -> None:
            raise ZeroDivisionError

        self.sink.at_packet = bug
        ending = self.play()
        self.connected().say(media(*MEDIA))
        self.failureResultOf(ending, ZeroDivisionError)

    def test_pings_without_end(self) -> None:
        """A server that asks and asks, and takes no answer, is left."""
        ending = self.play()
        remote = self.connected()
        remote.stop_taking()
        pings = writer.ping_request(1) * 1000
        for _time in range(6):
            remote.protocol.dataReceived(pings)
        self.assertIn("does not take the answers", str(self.problem(ending)))

    def test_reads_in_turn(self) -> None:
        """In memory nothing is read in rounds, whatever the sink's patience."""
        self.sink.patience = 0.1
        self.play()
        remote = self.connected()
        remote.say(media(*MEDIA))
        self.assertEqual(len(self.client.merged_reads(0.1)), 0)

    def test_addresses(self) -> None:
        """What is no address is refused, and not shown."""
        for url in ("", "http://192.0.2.7/a/secret", "rtmp://a b/secret", "rtmp://192.0.2.7/"):
            problem = self.problem(self.play(url))
            self.assertTrue(problem.is_permanent)
            self.assertNotIn("secret", str(problem))

    def test_forbidden_network(self) -> None:
        """F-SS-03: what the policy forbids is not connected to."""
        for url in ("rtmp://127.0.0.1/a/b", "rtmps://[::1]/a/b", "rtmp://[::ffff:127.0.0.1]/a/b"):
            self.assertTrue(self.problem(self.play(url)).is_permanent, url)
        self.assertEqual(self.reactor.tcpClients, [])

    def test_stop(self) -> None:
        """A server that stops ends all of it, and waits for the goodbyes."""
        ending = self.play(URL)
        remote = self.connected()
        stopping = self.client.stopService()
        self.failureResultOf(ending, CancelledError)
        self.assertNoResult(stopping)
        remote.lose()
        self.successResultOf(stopping)
