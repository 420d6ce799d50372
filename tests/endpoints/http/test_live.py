"""Tests of ntvmedia.endpoints.http.live: what every endless answer has, whatever its format."""

from __future__ import annotations

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import provider

from ntvmedia.access import Verdict
from ntvmedia.hub.publication import Publication
from ntvmedia.media import Codec, Packet, Track
from tests.endpoints.http.live_rig import AUDIO, KEY, Case, Publisher, SlowAccess
from tests.endpoints.http.rig import body_of_answer, request, status_of
from tests.endpoints.http.test_websocket import FIELDS

AV1 = Track(Codec.AV1, config=b"\x81\x00\x0c\x00")
FLAC = Track(Codec.FLAC, clock_rate=48000, config=b"\x80\x00\x00\x22" + bytes(34))


class TrackTests(Case):
    """Tracks that a format has no way to carry, or that are not there."""

    def setUp(self) -> None:
        super().setUp()
        self.lines: list[str] = []

        @provider(ILogObserver)
        def observe(event: LogEvent) -> None:
            self.lines.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def publish_tracks(self, *tracks: Track) -> Publication:
        """Publish a packet of each track, and wait until the hub knows them."""
        publication = self.host.hub.publish(KEY, Publisher())
        for track in tracks:
            publication.track_received(track)
            publication.packet_received(Packet(track, 0, 0, True, bytes(64)))
        publication.batch_ended()
        self.host.reactor.advance(2)
        return publication

    def test_no_track_fits(self) -> None:
        """C-TS-07: a stream of which TS can carry nothing is refused, not answered with nothing."""
        self.publish_tracks(AV1, FLAC)
        for method in (b"GET", b"HEAD"):
            answer = self.client.send(request(method, b"/liveshow/test.ts"))
            self.assertEqual(status_of(answer), 404)
        answer = self.client.send(request(b"GET", b"/liveshow/test.ts", *FIELDS))
        self.assertEqual(status_of(answer), 404)
        self.assertIn(b"ts cannot carry av1 and flac", answer)
        self.assertEqual(self.plays, [])
        self.assertEqual(status_of(self.client.get(b"/liveshow/test.flv")), 200)

    def test_one_track_is_left_out(self) -> None:
        """C-TS-07: a track that TS cannot carry is left out, which is logged once."""
        self.publish_tracks(AV1, AUDIO)
        for _number in range(3):
            self.assertEqual(status_of(self.connect().get(b"/liveshow/test.ts")), 200)
        said = [line for line in self.lines if "left out" in line]
        self.assertEqual(said, ["liveshow/test: its av1 is left out of ts"])

    def test_only_what_is_left_out_was_asked_for(self) -> None:
        """With `audio=1` a video track is nobody's concern, and audio that does not fit is all."""
        publication = self.publish_tracks(AV1, AUDIO)
        self.assertEqual(status_of(self.connect().get(b"/liveshow/test.ts?audio=1")), 200)
        self.assertEqual([line for line in self.lines if "left out" in line], [])
        publication.close("over", lost=False)
        self.publish_tracks(FLAC)
        answer = self.connect().get(b"/liveshow/test.ts?audio=1")
        self.assertEqual(status_of(answer), 404)

    def test_no_such_track(self) -> None:
        """P-503: the audio of a stream without any is refused, in every format."""
        self.publish_tracks(AV1)
        for target in (b"/liveshow/test.flv?audio=1", b"/liveshow/test.ts?audio=1"):
            answer = self.client.get(target)
            self.assertEqual(status_of(answer), 404)
            self.assertIn(b"liveshow/test has no such track", body_of_answer(answer))


class AccessTests(Case):
    """What access is asked."""

    def setUp(self) -> None:
        self.access = self.slow = SlowAccess()
        super().setUp()

    def test_protocols(self) -> None:
        """Each way to play has a name of its own; a HEAD has that of HTTP."""
        for method, target, fields in (
            (b"GET", b"/liveshow/test.flv", ()),
            (b"GET", b"/liveshow/test.flv", FIELDS),
            (b"GET", b"/liveshow/test.ts", ()),
            (b"GET", b"/liveshow/test.ts", FIELDS),
            (b"HEAD", b"/liveshow/test.ts", FIELDS),
        ):
            self.connect().send(request(method, target, *fields))
        asked = [question.protocol for question, _verdict in self.slow.asked]
        self.assertEqual(asked, ["flv", "ws-flv", "ts", "ws-ts", "ts"])

    def test_page(self) -> None:
        """B-WS-04: a page that hides its address is still known by its origin."""
        for fields in (
            (b"Origin: https://a.example",),
            (b"Origin: https://a.example", b"Referer: https://a.example/page"),
            (b"Origin: null",),
        ):
            self.connect().get(b"/liveshow/test.flv", *fields)
        pages = [question.page_url for question, _verdict in self.slow.asked]
        self.assertEqual(pages, ["https://a.example", "https://a.example/page", "null"])

    def test_refused_later(self) -> None:
        """B-WS-04: access that takes its time is waited for before the switch, too."""
        self.publish()
        self.client.send(request(b"GET", b"/liveshow/test.flv", *FIELDS))
        self.host.reactor.advance(30)
        self.assertEqual(self.client.received(), b"")
        ((_asked, verdict),) = self.slow.asked
        verdict.callback(Verdict(False, "the token is old"))
        answer = self.client.received()
        self.assertEqual(status_of(answer), 403)
        self.assertIn(b"the token is old", answer)

    def test_ended_as_it_came(self) -> None:
        """A stream that ends while its viewers are let in: the next is not served, nor a bug."""
        publication = self.publish()
        (stream,) = self.host.hub.streams.values()
        play = stream.play

        def ends(*arguments: object) -> object:
            publication.close("over", lost=False)
            return play(*arguments)  # type: ignore[arg-type]

        stream.play = ends  # type: ignore[method-assign, assignment]
        self.client.get(b"/liveshow/test.flv")
        self.slow.asked[0][1].callback(Verdict(True))
        self.assertTrue(self.client.transport.disconnected)
        self.assertEqual(self.flushLoggedErrors(), [])
