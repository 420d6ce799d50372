"""Who is given what below a stream's playlist, and for how long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urljoin

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ntvmedia.access import Access, Request, Verdict
from ntvmedia.endpoints.http.hls import sessions
from ntvmedia.endpoints.http.hls.outputs import HLSOutputs
from ntvmedia.endpoints.http.hls.route import HLSRoute
from ntvmedia.events import ApplicationChanged, PlayEnded, PlayStarted
from ntvmedia.interfaces import IFolderRoute, IMediaRoute
from ntvmedia.media import Codec, Packet, Track
from tests.hls.rig import KEY, PATH, Player, Publisher, Rig


class HLSCase(SynchronousTestCase):
    """A server with a publisher and one player."""

    options: dict[str, Any] = {}  # noqa: RUF012

    def setUp(self) -> None:
        self.rig = Rig(**self.options)
        self.addCleanup(self.rig.close)
        self.rig.publish()
        self.rig.run(5.0)
        self.plays: list[str] = []
        self.rig.host.events.subscribe(PlayStarted, lambda x: self.plays.append(x.protocol))
        self.rig.host.events.subscribe(PlayEnded, lambda x: self.plays.append(x.reason))
        self.player = Player(self.rig)

    @property
    def outputs(self) -> HLSOutputs:
        """What the server has of HLS."""
        found: HLSOutputs = self.rig.host.part(HLSOutputs)
        return found

    @property
    def viewers(self) -> list[Any]:
        """Who watches."""
        return list(self.rig.host.hub.streams[KEY].viewers)

    def watch(self, player: Player | None = None) -> Player:
        """Have a player that has its playlist."""
        player = player or self.player
        player.join()
        player.wait()
        return player

    def segment(self, player: Player) -> str:
        """Return the address of the last segment that a player sees."""
        lines = player.poll().body.decode("ascii").splitlines()
        return urljoin(player.playlist, [x for x in lines if x.endswith(".ts")][-1])


class ViewerTests(HLSCase):
    """C-PL-20: an HLS viewer is one like all others."""

    def test_counted_once(self) -> None:
        """From the first playlist on, however often it asks, on any number of connections."""
        self.player.join()
        self.assertEqual((self.viewers, self.plays), ([], []))
        self.player.wait()
        for _poll in range(5):
            self.player.poll()
        (viewer,) = self.viewers
        self.assertEqual(viewer.info.protocol, "hls")
        self.assertEqual(self.plays, ["hls"])
        self.assertEqual(self.rig.host.hub.viewers, 1)

    def test_bytes(self) -> None:
        """What it was sent is counted, from memory or not."""
        player = self.watch()
        before = self.viewers[0].bytes_out
        sizes = [len(self.rig.get(self.segment(player)).body) for _time in range(3)]
        polls = len(player.poll().body)
        self.assertEqual(self.viewers[0].bytes_out - before, sum(sizes) + 4 * polls)

    def test_no_more_requests(self) -> None:
        """It has left 10 s after its last request: once."""
        self.watch()
        self.rig.run(8.0)
        self.assertEqual(len(self.viewers), 1)
        self.rig.run(4.0)
        self.assertEqual((self.viewers, self.plays), ([], ["hls", "no more requests"]))

    def test_it_comes_back_after_a_pause(self) -> None:
        """A player that paused goes on in the same session, as one more play."""
        self.watch()
        self.rig.run(60.0)
        self.player.wait()
        self.assertEqual(self.plays, ["hls", "no more requests", "hls"])
        self.assertEqual(len(self.viewers), 1)

    def test_forgotten(self) -> None:
        """A session that was never used is soon forgotten; one that was, after ten minutes."""
        self.watch()
        Player(self.rig).join()
        self.assertEqual(len(self.outputs.sessions), 2)
        self.rig.run(35.0)
        self.assertEqual(len(self.outputs.sessions), 1)
        self.rig.run(sessions.REMEMBERED_SECONDS)
        self.assertEqual(self.outputs.sessions, {})
        self.assertEqual(self.rig.get(self.player.playlist).status, 404)

    def test_two_viewers(self) -> None:
        """Each has a session that nobody can guess; the rest is the same for both."""
        other = self.watch(Player(self.rig))
        self.watch()
        self.assertNotEqual(self.player.playlist, other.playlist)
        self.assertRegex(self.player.playlist, r"^/liveshow/test/~[\w-]{22}/av/index\.m3u8$")
        self.assertEqual(self.player.poll().body, other.poll().body)
        self.assertEqual(len(self.viewers), 2)

    def test_kicked(self) -> None:
        """B-HT-11: playlist and segments are refused from then on; others do not notice."""
        player, other = self.watch(), self.watch(Player(self.rig))
        segment = self.segment(player)
        self.viewers[0].kick("sent away by the operator")
        for target in (player.playlist, segment):
            answer = self.rig.get(target)
            self.assertEqual(answer.status, 403)
            self.assertIn(b"sent away by the operator", answer.body)
        self.assertEqual(other.poll().status, 200)
        self.assertEqual(self.plays[2:], ["sent away by the operator"])

    def test_unknown_sessions(self) -> None:
        """A session that is none, or another stream's, is 404 and makes nothing."""
        player = self.watch()
        name = player.playlist.split("/")[3]
        for target in (
            "/liveshow/test/~AAAAAAAAAAAAAAAAAAAAAA/av/index.m3u8",
            f"/liveshow/other/{name}/av/index.m3u8",
            f"/tv/test/{name}/av/index.m3u8",
            f"/liveshow/test/{name}/audio/index.m3u8",
            f"/liveshow/test/{name}/av/nothing.ts",
            f"/liveshow/test/{name}/av",
            f"/liveshow/test/{name}/av/x/index.m3u8",
            f"/liveshow/test/{name}/%61v/index.m3u8",
            f"/liveshow/test/{name}/av/%2e%2e/index.m3u8",
        ):
            answer = self.rig.get(target)
            self.assertEqual(answer.status, 404, target)
            self.assertEqual(answer.headers["cache-control"], "no-store")
            self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        self.assertEqual(len(self.viewers), 1)

    def test_other_spellings(self) -> None:
        """An encoded tilde and a query are the same address."""
        player = self.watch()
        encoded = player.playlist.replace("~", "%7E") + "?x=1"
        self.assertEqual(self.rig.get(encoded).body, player.poll().body)
        for number in range(20):  # spellings are remembered, but not without end
            self.rig.get(player.playlist.replace("/liveshow", "/" * (number + 1) + "liveshow"))
        self.assertLessEqual(len(self.outputs._visits), sessions.MAX_SPELLINGS)

    def test_segments_alone(self) -> None:
        """Who asks for a segment first is counted as well; by HEAD nobody is."""
        segment = self.segment(self.watch())
        player = Player(self.rig)
        player.join()
        target = urljoin(player.playlist, segment.rpartition("/")[2])
        self.assertEqual(self.rig.get(target, method=b"HEAD").status, 200)
        self.assertEqual(len(self.viewers), 1)
        self.assertEqual(self.rig.get(target).status, 200)
        self.assertEqual(len(self.viewers), 2)

    def test_too_many(self) -> None:
        """F-RE-05: sessions are bounded; one more is told to come later."""
        self.patch(sessions, "MAX_SESSIONS", 0)
        self.patch(__import__(HLSOutputs.__module__, fromlist=["x"]), "MAX_SESSIONS", 2)
        statuses = [self.rig.get(PATH).status for _request in range(3)]
        self.assertEqual(statuses, [200, 200, 503])


class AnswerTests(HLSCase):
    """The answers themselves."""

    def test_from_memory_or_not(self) -> None:
        """The first answer and those from memory are the same but for ranges."""
        player = self.watch()
        segment = self.segment(player)
        first, second = self.rig.get(segment), self.rig.get(segment)
        self.assertEqual(first.body, second.body)
        for name in ("content-type", "cache-control", "access-control-allow-origin", "date"):
            self.assertIn(name, second.headers)
            self.assertEqual(first.headers[name], second.headers[name])

    def test_ranges(self) -> None:
        """A player may ask for a part of a segment."""
        segment = self.segment(self.watch())
        whole = self.rig.get(segment).body
        part = self.rig.get(segment, b"Range: bytes=188-375")
        self.assertEqual((part.status, part.body), (206, whole[188:376]))
        self.assertEqual(part.headers["content-range"], f"bytes 188-375/{len(whole)}")

    def test_head(self) -> None:
        """B-HT-04: HEAD tells the same length, and nobody watches."""
        self.player.join()
        head = self.rig.get(PATH, method=b"HEAD")
        self.assertEqual(head.status, 200)
        self.assertEqual(
            head.headers["content-length"], self.rig.get(PATH).headers["content-length"]
        )
        self.assertEqual(len(self.outputs.sessions), 2)
        self.assertEqual(self.rig.get("/liveshow/none.m3u8", method=b"HEAD").status, 404)

    def test_caching(self) -> None:
        """C-PL-12: the multivariant playlist is nobody else's."""
        self.assertEqual(self.rig.get(PATH).headers["cache-control"], "no-store")

    def test_preflight(self) -> None:
        """B-HT-02: other sites' pages may ask, below the stream too."""
        player = self.watch()
        answer = self.rig.get(player.playlist, b"Origin: https://a.example", method=b"OPTIONS")
        self.assertEqual(answer.status, 204)

    def test_multivariant(self) -> None:
        """C-PL-21: codecs, resolution and rate of what is there."""
        self.player.join()
        assert self.player.multivariant is not None
        (variant,) = self.player.multivariant.variants
        self.assertRegex(variant.attributes["CODECS"], r"^avc1\.[0-9a-f]{6},mp4a\.40\.2$")
        self.assertIn("RESOLUTION", variant.attributes)
        self.assertGreater(int(variant.attributes["BANDWIDTH"]), 0)

    def test_audio_only(self) -> None:
        """P-503: `audio=1` has a playlist of its own, and tells only of sound."""
        player = Player(self.rig, f"{PATH}?audio=1")
        self.watch(player)
        assert player.multivariant is not None
        self.assertEqual(player.multivariant.variants[0].attributes["CODECS"], "mp4a.40.2")
        self.assertTrue(player.playlist.endswith("/audio/index.m3u8"))

    def test_absent_stream(self) -> None:
        """It is waited for, and then 404; a stream that comes meanwhile is served."""
        self.rig.unpublish()
        self.rig.run(1.0)
        early, late = self.rig.ask(PATH), self.rig.ask("/liveshow/none.m3u8")
        self.assertIsNone(early.answer)
        self.rig.publish()
        self.rig.run(5.0)
        assert early.answer is not None
        self.assertEqual(early.answer.status, 200)
        self.rig.run(15.0)
        assert late.answer is not None
        self.assertEqual(late.answer.status, 404)
        early.leave()
        late.leave()

    def test_a_player_that_gives_up(self) -> None:
        """B-HT-08: who leaves while its playlist is awaited leaves nothing behind."""
        self.rig.unpublish()
        self.rig.run(0.5)
        self.rig.publish()
        self.rig.run(0.4)
        self.player.join()
        pending = self.player.ask()
        self.assertIsNone(pending.answer)
        (playlist,) = self.outputs.playlists.values()
        self.assertEqual(len(playlist._waiters), 1)
        pending.leave()
        self.assertEqual(playlist._waiters, [])

    def test_nothing_to_carry(self) -> None:
        """C-TS-07: a stream of other codecs is refused with their names, and nothing is made."""
        self.rig.unpublish()
        publication = self.rig.host.hub.publish(KEY, Publisher())
        track = Track(Codec.OPUS, clock_rate=48000, channels=2)
        publication.track_received(track)
        for at in range(0, 96000, 960):
            publication.packet_received(Packet(track, at, at, True, b"x"))
        publication.batch_ended()
        self.rig.run(2.0)
        answer = self.rig.get(PATH)
        self.assertEqual(answer.status, 404)
        self.assertIn(b"opus", answer.body)
        self.assertEqual((self.outputs.playlists, self.outputs.sessions), ({}, {}))

    def test_provides(self) -> None:
        """The route is what the front looks for."""
        verifyObject(IMediaRoute, HLSRoute())
        verifyObject(IFolderRoute, HLSRoute())


class SlowAccess(Access):
    """Answers as it is told to.

    Attributes:
        verdict: What.
        asked: How often.
    """

    verdict = Verdict(True)
    asked = 0

    def decide(self, request: Request) -> Deferred[Verdict]:
        """Answer."""
        self.asked += 1
        return succeed(self.verdict)


class AccessTests(HLSCase):
    """Asked before served, and again when something changed."""

    def setUp(self) -> None:
        super().setUp()
        self.access = SlowAccess({})
        self.rig.host.access = self.access

    def test_refused(self) -> None:
        """B-AC-01: 403 with the reason, and no session."""
        self.access.verdict = Verdict(False, "not from here")
        answer = self.rig.get(PATH)
        self.assertEqual(answer.status, 403)
        self.assertIn(b"not from here", answer.body)
        self.assertEqual(self.outputs.sessions, {})

    def test_asked_once(self) -> None:
        """One decision holds for all requests of a session."""
        player = self.watch()
        for _poll in range(5):
            player.poll()
            self.rig.get(self.segment(player))
        self.assertEqual(self.access.asked, 1)

    def test_after_a_pause(self) -> None:
        """Who comes back is asked like one who comes."""
        self.watch()
        self.rig.run(30.0)
        self.access.verdict = Verdict(False, "closed")
        self.assertEqual(self.rig.get(self.player.playlist).status, 403)

    def test_lifetime(self) -> None:
        """F-AC-09: a verdict that holds for a time is asked for again; withdrawn, it ends all."""
        self.access.verdict = Verdict(True, lifetime=20.0)
        player = self.watch()
        for _second in range(30):
            self.rig.run(1.0)
            self.assertEqual(player.poll().status, 200)
        self.assertEqual(self.access.asked, 2)
        segment = self.segment(player)
        self.access.verdict = Verdict(False, "paid until now")
        for _second in range(15):
            self.rig.run(1.0)
            player.poll()
        self.assertEqual(self.rig.get(player.playlist).status, 403)
        self.assertEqual(self.rig.get(segment).status, 403)
        self.assertEqual(self.plays[-1], "paid until now")

    def test_application_changed(self) -> None:
        """P-204: each session is decided again before its next answer, from memory or not."""
        player = self.watch()
        segment = self.segment(player)
        self.rig.get(segment)
        self.access.verdict = Verdict(False, "the referers have changed")
        self.rig.host.events.emit(ApplicationChanged("liveshow", "liveshow"))
        self.assertEqual(self.rig.get(segment).status, 403)
        self.assertEqual(self.rig.get(player.playlist).status, 403)
        self.assertEqual(self.viewers, [])

    def test_change_of_another(self) -> None:
        """What happens to other applications is not theirs."""
        self.watch()
        self.rig.host.events.emit(ApplicationChanged("tv", "tv"))
        self.player.poll()
        self.assertEqual(self.access.asked, 1)

    def test_renamed(self) -> None:
        """A verdict may name another stream; the address stays."""
        self.access.verdict = Verdict(True, rename=KEY)
        player = Player(self.rig, "/liveshow/alias.m3u8")
        self.watch(player)
        self.assertTrue(player.playlist.startswith("/liveshow/alias/~"))
        self.assertEqual(len(self.viewers), 1)


class SharedTests(HLSCase):
    """Without sessions, for a CDN."""

    options: dict[str, Any] = {"hls_sessions": False}  # noqa: RUF012

    def test_one_address_for_all(self) -> None:
        """The addresses are the same for everybody, and nobody is counted."""
        player, other = self.watch(), self.watch(Player(self.rig))
        self.assertEqual(player.playlist, "/liveshow/test/~/av/index.m3u8")
        self.assertEqual(other.playlist, player.playlist)
        self.assertEqual((self.viewers, self.plays), ([], []))
        self.assertEqual(self.rig.get(self.segment(player)).status, 200)

    def test_made_while_asked_for(self) -> None:
        """Segments are made while somebody asks, counted or not."""
        self.watch()
        (playlist,) = self.outputs.playlists.values()
        for _second in range(20):
            self.rig.run(1.0)
            self.player.poll()
        self.assertIsNotNone(playlist.stream)
        self.rig.run(12.0)
        self.assertIsNone(playlist.stream)

    def test_published_anew(self) -> None:
        """C-PL-15: who polls on finds the stream when it is back."""
        player = self.watch()
        self.rig.unpublish()
        self.rig.run(5.0)
        before = player.poll().body
        self.rig.publish()
        for _second in range(5):
            self.rig.run(1.0)
            player.poll()
        self.assertNotEqual(player.poll().body, before)

    def test_turned_on(self) -> None:
        """When sessions are turned on again the common address is refused."""
        player = self.watch()
        segment = self.segment(player)
        self.rig.get(segment)
        self.rig.set_options(hls_sessions=True)
        self.assertEqual(self.rig.get(player.playlist).status, 403)
        self.assertEqual(self.rig.get(segment).status, 403)

    def test_protected(self) -> None:
        """What is protected has sessions, whatever the option says: nobody goes around it."""
        player = self.watch()
        self.rig.set_options(referers=("a.example",))
        self.assertEqual(self.rig.get(player.playlist).status, 403)
        other = Player(self.rig)
        other.join()
        self.assertIn("/~", other.playlist)
        self.assertNotIn("/~/", other.playlist)

    def test_renditions(self) -> None:
        """Nobody has playlists made that no address names (F-RE-05)."""
        self.watch()
        for name in ("track0", "track1", "track00", "track007", "audio-audio", "", "av0"):
            answer = self.rig.get(f"/liveshow/test/~/{name}/index.m3u8")
            self.assertEqual(answer.status, 404, name)
        self.assertEqual(len(self.outputs.playlists), 1)

    def test_lifetime_needs_a_session(self) -> None:
        """A verdict that ends, or names another stream, has a session to end with."""
        self.rig.host.access = access = SlowAccess({})
        for access.verdict in (Verdict(True, lifetime=5.0), Verdict(True, rename=KEY)):
            player = Player(self.rig)
            player.join()
            self.assertNotIn("/~/", player.playlist)

    def test_disabled(self) -> None:
        """Nothing is served from memory to whom access would refuse."""
        player = self.watch()
        segment = self.segment(player)
        for options in ({"enabled": False}, {"enabled": True, "outputs": ("rtmp",)}):
            self.rig.get(segment)
            self.rig.set_options(**options)
            self.assertEqual(self.rig.get(segment).status, 403)
            self.assertEqual(self.rig.get(player.playlist).status, 403)


class WantedTests(HLSCase):
    """Segments are made while somebody wants them."""

    def test_idle(self) -> None:
        """An idle stream costs nothing; its numbers go on when somebody comes."""
        self.watch()
        (playlist,) = self.outputs.playlists.values()
        number = playlist.window.number
        segment = self.segment(self.player)
        self.rig.run(12.0)
        self.assertIsNone(playlist.stream)
        # What a player may just have read of is there a little longer (C-PL-14).
        self.assertEqual(self.rig.get(segment).status, 200)
        self.rig.run(30.0)
        self.assertEqual(dict(playlist.files), {})
        sinks = self.rig.host.hub.streams[KEY].audience.sinks
        self.assertEqual(sinks, {})
        self.player.wait()
        self.assertGreaterEqual(playlist.window.number, number)
        self.assertIn(b"#EXT-X-DISCONTINUITY\n", self.player.poll().body)

    def test_first_playlist(self) -> None:
        """It is there within 2.5 s at a GOP of 2 s, whenever somebody comes."""
        for pause in (13.0, 13.3, 14.7, 15.1):
            self.rig.run(pause)
            player = Player(self.rig)
            player.join()
            self.assertLess(player.wait(), 2.5)

    def test_always(self) -> None:
        """With the option it is there at once, for streams that come and those that are there."""
        self.rig.set_options(hls_always=True)
        self.rig.run(30.0)
        self.player.join()
        self.assertEqual(self.player.wait(), 0.0)
        self.rig.unpublish()
        self.rig.run(100.0)
        self.rig.publish()
        self.rig.run(30.0)
        player = Player(self.rig)
        player.join()
        self.assertEqual(player.wait(), 0.0)

    def test_after_the_end(self) -> None:
        """C-PL-15: the list can be had for a minute, then everything is let go of."""
        player = self.watch()
        segment = self.segment(player)
        self.rig.unpublish()
        self.rig.run(50.0)
        self.assertEqual(player.poll().status, 200)
        self.assertNotIn(b"ENDLIST", player.poll().body)
        self.assertEqual(self.rig.get(segment).status, 200)
        self.rig.run(12.0)
        self.assertEqual(self.rig.get(segment).status, 404)
        self.assertEqual(self.outputs.playlists, {})

    def test_end_of_the_list(self) -> None:
        """Where the operator wants it players are told that it is over."""
        self.rig.set_options(hls_end_list=True)
        player = self.watch()
        self.rig.unpublish()
        self.assertTrue(player.poll().body.endswith(b"#EXT-X-ENDLIST\n"))

    def test_stopped(self) -> None:
        """The server's end is that of all its viewers."""
        self.watch()
        self.rig.host.hub.stop("the server is stopping")
        self.outputs.stopService()
        self.assertEqual(self.plays, ["hls", "the server is stopping"])
        self.assertEqual(self.outputs._visits, {})
        self.outputs.startService()

    def test_a_bug_while_looking(self) -> None:
        """One that cannot be looked after does not keep the others from it."""
        self.watch()
        self.outputs.sessions[""] = cast(Any, SimpleNamespace(key=KEY))
        (playlist,) = self.outputs.playlists.values()
        self.patch(playlist, "look", None)
        self.rig.run(30.0)
        self.assertEqual((len(self.viewers), self.plays[-1]), (0, "no more requests"))
        self.assertGreater(len(self.flushLoggedErrors(AttributeError)), 20)
        self.assertGreater(len(self.flushLoggedErrors(TypeError)), 20)
        del self.outputs.sessions[""]

    def test_a_bug_in_the_segmenter(self) -> None:
        """G-LC-08: the stream and its other viewers go on; who waits is answered."""
        self.player.join()
        (playlist,) = self.outputs.playlists.values()
        self.patch(playlist.segmenter, "packet", None)
        self.rig.run(0.5)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertIsNone(playlist.stream)
        self.assertIn(KEY, self.rig.host.hub.streams)
