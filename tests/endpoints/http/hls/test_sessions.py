"""Viewers by HLS, and the answers that they get."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

from zope.interface.verify import verifyObject

from ntvmedia.endpoints.http import connection
from ntvmedia.endpoints.http.hls import guests, sessions
from ntvmedia.endpoints.http.hls.route import HLSRoute
from ntvmedia.events import PlayStarted
from ntvmedia.hub.outlet import Outlet
from ntvmedia.interfaces import IFolderRoute, IMediaRoute
from ntvmedia.media import Codec, Packet, Track
from tests.endpoints.http.hls.cases import HLSCase
from tests.hls.rig import KEY, PATH, Player, Publisher


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
        self.assertRegex(self.player.playlist, r"^/liveshow/test/~[\w-]{22}/ts-av/index\.m3u8$")
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
            "/liveshow/test/~AAAAAAAAAAAAAAAAAAAAAA/ts-av/index.m3u8",
            f"/liveshow/other/{name}/ts-av/index.m3u8",
            f"/tv/test/{name}/ts-av/index.m3u8",
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
        for number in range(20):  # only one spelling is remembered
            self.rig.get(player.playlist.replace("/liveshow", "/" * (number + 1) + "liveshow"))
        self.assertEqual(len(self.outputs._visits), 1)

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
        """F-RE-05: sessions are bounded; the oldest that does not watch makes room."""
        self.patch(guests, "MAX_SESSIONS", 3)
        watching = self.watch()
        for _request in range(10):
            Player(self.rig).join()
        self.assertEqual(len(self.outputs.sessions), 3)
        self.assertEqual(watching.poll().status, 200)
        for _viewer in range(2):
            self.watch(Player(self.rig))
        self.assertEqual(self.rig.get(PATH).status, 503)

    def test_room_behind_those_that_watch(self) -> None:
        """F-RE-05: sessions that nobody uses make room, however many watch that came before."""
        self.patch(guests, "MAX_SESSIONS", 5)
        self.patch(guests, "_MOST_PASSED", 2)
        for _viewer in range(3):
            self.watch(Player(self.rig))
        for _request in range(10):
            self.assertEqual(self.rig.get(PATH).status, 200)

    def test_too_many_of_one_host(self) -> None:
        """F-RE-05: one address does not take the room of all others."""
        self.patch(guests, "MAX_SESSIONS_OF_HOST", 2)
        for _viewer in range(2):
            self.watch(Player(self.rig))
        self.assertEqual(self.rig.get(PATH).status, 503)
        other = self.rig.ask(PATH, host="192.0.2.77")
        assert other.answer is not None
        self.assertEqual(other.answer.status, 200)
        other.leave()
        self.rig.run(700.0)
        self.assertEqual(self.outputs.sessions._of_hosts, {})

    def test_size(self) -> None:
        """What a client says of itself is cut short before it is kept."""
        self.rig.get(PATH, b"User-Agent: " + b"u" * 9000, b"Referer: http://a/" + b"r" * 5000)
        (session,) = self.outputs.sessions.values()
        self.assertEqual(len(session.request.user_agent), 512)
        self.assertEqual(len(session.request.page_url), 512)

    def test_kicked_at_the_start(self) -> None:
        """Whoever is told of a viewer may send it away at once: nothing is served then."""
        self.player.join()

        def send_away(_event: PlayStarted) -> None:
            for viewer in self.viewers:
                viewer.kick("not today")

        self.rig.host.events.subscribe(PlayStarted, send_away)
        for _request in range(3):
            self.assertEqual(self.rig.get(self.player.playlist).status, 403)
        self.assertEqual(self.plays, ["hls", "not today"])

    def test_held_for_long(self) -> None:
        """One whose first request is held for longer than the time without requests watches."""
        self.rig.unpublish()
        self.rig.encoder.gop_seconds = 15.0
        self.rig.run(1.0)
        self.plays.clear()
        self.rig.publish()
        self.rig.run(1.0)
        self.player.join()
        self.player.wait(20.0)
        self.assertEqual(self.plays, ["hls"])


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

    def test_head_makes_nothing(self) -> None:
        """B-HT-04: below the playlist too: nothing is held, made, counted or kept alive."""
        self.player.join()
        (playlist,) = self.outputs.playlists.by_place.values()
        self.assertEqual(self.rig.get(self.player.playlist, method=b"HEAD").status, 404)
        self.player.wait()
        for _second in range(30):
            self.rig.run(1.0)
            self.rig.get(self.player.playlist, method=b"HEAD")
        self.assertEqual((self.viewers, playlist.stream), ([], None))

    def test_large_answers_are_not_copied(self) -> None:
        """Those who are sent the same, or parts of it, share its bytes while they wait."""
        self.patch(connection, "JOINED_BYTES", 1000)
        given: list[Any] = []

        def write_both(outlet: Outlet, head: bytes, body: Any, descriptor: int = -1) -> None:
            given.append(body)
            outlet.write(head + bytes(body))

        segment = self.segment(self.watch()).replace("~", "%7E")  # the long way
        self.patch(Outlet, "write_both", write_both)
        body = self.rig.get(segment).body
        self.assertEqual(self.rig.get(segment, b"Range: bytes=7-").body, body[7:])
        self.assertIs(given[1].obj, given[0])

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

    def test_bandwidth(self) -> None:
        """C-PL-21: no less than the segments have, nor twice that; sound alone has its own."""
        self.watch()
        for path, folder in ((PATH, "ts-av"), (f"{PATH}?audio=1", "ts-audio")):
            player = Player(self.rig, path)
            self.watch(player)
            for _second in range(10):
                self.rig.run(1.0)
                player.poll()
            player.join()
            assert player.multivariant is not None
            told = int(player.multivariant.variants[0].attributes["BANDWIDTH"])
            peak = self.outputs.playlists.by_place[KEY, folder].window.peak_bitrate
            self.assertTrue(peak <= told <= 2 * peak, (folder, told, peak))

    def test_audio_only(self) -> None:
        """P-503: `audio=1` has a playlist of its own, and tells only of sound."""
        player = Player(self.rig, f"{PATH}?audio=1")
        self.watch(player)
        assert player.multivariant is not None
        self.assertEqual(player.multivariant.variants[0].attributes["CODECS"], "mp4a.40.2")
        self.assertTrue(player.playlist.endswith("/ts-audio/index.m3u8"))

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
        (playlist,) = self.outputs.playlists.by_place.values()
        self.assertEqual(len(playlist._first_waiters), 1)
        pending.leave()
        self.assertEqual(playlist._first_waiters, [])

    def test_nothing_to_carry(self) -> None:
        """C-TS-07: a stream of other codecs is refused with their names, and nothing is made."""
        self.rig.unpublish()
        publication = self.rig.host.hub.publish(KEY, Publisher())
        track = Track(Codec.SPEEX, clock_rate=16000, channels=1)
        publication.track_received(track)
        for at in range(0, 32000, 320):
            publication.packet_received(Packet(track, at, at, True, b"x"))
        publication.batch_ended()
        self.rig.run(2.0)
        answer = self.rig.get(PATH)
        self.assertEqual(answer.status, 404)
        self.assertIn(b"speex", answer.body)
        self.assertEqual((self.outputs.playlists.by_place, self.outputs.sessions), ({}, {}))

    def test_provides(self) -> None:
        """The route is what the front looks for."""
        verifyObject(IMediaRoute, HLSRoute())
        verifyObject(IFolderRoute, HLSRoute())
