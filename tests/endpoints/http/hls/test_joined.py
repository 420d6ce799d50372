"""Joined streams over a whole server: sessions that move between them, and addresses of caches."""

from __future__ import annotations

from typing import Any

from ntvmedia.access import Access, Request, Verdict
from ntvmedia.endpoints.http.hls.sessions import REMEMBERED_SECONDS
from ntvmedia.media import StreamKey
from tests.endpoints.http.hls.cases import HLSCase
from tests.hls.m3u8 import parse_media
from tests.hls.rig import KEY, PATH, Feed, Player, Rig


class JoinedCase(HLSCase):
    """`test_720p` and `test_480p`, joined under `test`, which is not published itself."""

    options: dict[str, Any] = {"hls_variants": ("_720p", "_480p")}  # noqa: RUF012
    names: tuple[str, ...] = ("test_720p", "test_480p")

    def setUp(self) -> None:
        super().setUp()
        self.rig.unpublish()
        self.rig.run(100.0)
        self.plays.clear()
        self.feeds = [self.begin(name) for name in self.names]
        self.rig.run(5.0)

    def begin(self, name: str) -> Feed:
        """Publish a stream."""
        feed = self.rig.feed(name)
        feed.publish()
        return feed

    def member(self, number: int) -> Player:
        """Return the player at one of the variants."""
        assert self.player.multivariant is not None
        return self.player.other(self.player.multivariant.variants[number].uri)

    def watched(self) -> list[str]:
        """Return which streams have how many viewers."""
        streams = self.rig.host.hub.streams
        return [key.stream for key, stream in streams.items() for _viewer in stream.viewers]

    def status(self, address: str) -> int:
        """Return the status of an answer, which may take a moment."""
        pending = self.rig.ask(address)
        for _wait in range(50):
            if pending.answer is None:
                self.rig.run(0.1)
        assert pending.answer is not None
        pending.leave()
        return pending.answer.status


class SessionTests(JoinedCase):
    """C-PL-20: one that watches several variants in turn is one viewer."""

    def setUp(self) -> None:
        super().setUp()
        self.player.join()
        self.variants = [self.member(0), self.member(1)]
        self.variants[0].wait()

    def test_addresses(self) -> None:
        """Each has an address below that of the name that was asked for."""
        assert self.player.multivariant is not None
        uris = [x.uri for x in self.player.multivariant.variants]
        for uri, name in zip(uris, self.names, strict=True):
            self.assertRegex(uri, rf"^test/~[\w-]{{22}}/{name}/ts-av/index\.m3u8$")

    def test_counted_once(self) -> None:
        """Wherever it moves, it is a viewer of what it plays, and of nothing else."""
        self.assertEqual(self.watched(), ["test_720p"])
        for number in (1, 1, 0, 1, 0, 0):
            self.rig.run(1.0)
            self.variants[number].wait()
            self.assertEqual(self.watched(), [self.names[number]])
            self.assertEqual(self.rig.host.hub.viewers, 1)
        self.assertEqual(len(self.outputs.sessions), 1)

    def test_back_and_forth_from_memory(self) -> None:
        """Nor is it counted where it was when it comes back to a folder that was in memory."""
        for _turn in range(5):
            for number in (0, 1):
                self.variants[number].wait()
                for _poll in range(3):
                    body = self.variants[number].poll().body
                    uri = parse_media(body).segments[-1].uri
                    self.assertEqual(self.variants[number].fetch(uri).status, 200)
                self.assertEqual(self.watched(), [self.names[number]])
        self.assertLessEqual(len(self.outputs._visits), 2)

    def test_segments_of_the_other(self) -> None:
        """A player that loads its last segment of one while it is at the other moves nowhere."""
        uri = parse_media(self.variants[0].poll().body).segments[-1].uri
        self.variants[1].wait()
        self.assertEqual(self.variants[0].fetch(uri).status, 200)
        self.assertEqual(self.watched(), ["test_480p"])

    def test_kicked(self) -> None:
        """B-HT-11: who is sent away is refused in all folders, also where it was before."""
        addresses = []
        for variant in self.variants:
            variant.wait()
            uri = parse_media(variant.poll().body).segments[-1].uri
            self.assertEqual(variant.fetch(uri).status, 200)
            folder = variant.playlist.rpartition("/")[0]
            addresses += [variant.playlist, f"{folder}/{uri}"]
        (viewer,) = (viewer for x in self.rig.host.hub.streams.values() for viewer in x.viewers)
        viewer.kick("sent away")
        self.assertEqual([self.rig.get(x).status for x in addresses], [403] * 4)
        self.assertEqual(self.watched(), [])
        self.assertEqual(self.outputs._visits, {})

    def test_kicked_from_what_it_left(self) -> None:
        """A viewer that moved on is no viewer of the first stream: nobody sends it away there."""
        (viewer,) = self.rig.host.hub.streams[StreamKey("liveshow", "test_720p")].viewers
        self.variants[1].wait()
        self.assertFalse(viewer.watching)
        self.assertEqual(self.variants[1].poll().status, 200)

    def test_no_more_requests(self) -> None:
        """It has left ten seconds after its last request, whichever that was for."""
        self.variants[1].wait()
        self.rig.run(13.0)
        self.assertEqual((self.watched(), self.plays[-1]), ([], "no more requests"))
        self.rig.run(REMEMBERED_SECONDS)
        self.assertEqual(self.outputs.sessions, {})
        self.assertEqual(self.outputs.presentations, {})

    def test_one_is_over(self) -> None:
        """When the stream that it plays is over it goes on with another one."""
        self.feeds[0].leave(lost=False)
        self.rig.run(2.0)
        self.variants[1].wait()
        self.assertEqual(self.watched(), ["test_480p"])
        self.assertEqual(self.variants[1].poll().status, 200)

    def test_one_comes_back(self) -> None:
        """C-PL-24: a variant whose stream is back is made again while another is watched."""
        self.feeds[1].leave(lost=False)
        self.rig.run(3.0)
        self.feeds[1].publish()
        for _poll in range(8):
            self.rig.run(1.0)
            self.variants[0].poll()
        before = self.rig.now
        self.variants[1].wait()
        self.assertEqual(self.rig.now, before)

    def test_other_group(self) -> None:
        """A session reads what is joined under its name, and no other stream."""
        for name in ("other", "test_1080p", "tes_720p", "test_720p_720p"):
            self.begin(name)
        self.rig.run(3.0)
        own = self.variants[0].playlist
        for name in ("other", "test_1080p", "tes_720p", "tes", "..", "%2e%2e", "test_720p%2f"):
            self.assertEqual(self.status(own.replace("/test_720p/", f"/{name}/")), 404, name)
        session = own.split("/")[3]
        for address in (
            f"/liveshow/other/{session}/other/ts-av/index.m3u8",
            f"/liveshow/other/{session}/test_720p/ts-av/index.m3u8",
            f"/liveshow/test_720p/{session}/test_720p/ts-av/index.m3u8",
            f"/liveshow/test_720p/{session}/ts-av/index.m3u8",
            f"/tv/test/{session}/test_720p/ts-av/index.m3u8",
        ):
            self.assertEqual(self.status(address), 404, address)
        self.assertEqual(self.status(own), 200)

    def test_session_of_one_member(self) -> None:
        """A session for one of them is for that alone: for the others nobody was asked."""
        player = Player(self.rig, "/liveshow/test_480p.m3u8")
        self.watch(player)
        for name in ("test_720p", "test"):
            address = player.playlist.replace("/test_480p/ts-", f"/{name}/ts-")
            self.assertNotEqual(address, player.playlist)
            self.assertEqual(self.status(address), 404)
        self.assertEqual(player.poll().status, 200)

    def test_asked_for_the_name(self) -> None:
        """F-AC: access is asked once for the name, and its answer holds for all variants."""
        asked: list[StreamKey] = []

        class Noted(Access):
            """Allows all."""

            def decide(self, request: Request, **_how: Any) -> Any:
                """Note it."""
                asked.append(request.key)
                return super().decide(request)

        self.rig.host.access = Noted(self.rig.host.applications)
        player = Player(self.rig)
        player.join()
        assert player.multivariant is not None
        for variant in player.multivariant.variants:
            player.other(variant.uri).wait()
        self.assertEqual(asked, [KEY])

    def test_renamed(self) -> None:
        """A verdict may name another group; the address stays."""

        class Renaming(Access):
            """Names another."""

            def decide(self, request: Request, **_how: Any) -> Any:
                """Allow."""
                verdict = super().decide(request)
                return verdict.addCallback(lambda _found: Verdict(True, rename=KEY))

        self.rig.host.access = Renaming(self.rig.host.applications)
        player = Player(self.rig, "/liveshow/alias.m3u8")
        self.watch(player)
        self.assertRegex(player.playlist, r"^/liveshow/alias/~[\w-]{22}/test_720p/ts-av/")


class TimeTests(JoinedCase):
    """Dates and times of what is joined."""

    def listed(self, number: int) -> list[tuple[int, bool]]:
        """Return dates of the segments of a variant, and which are gaps."""
        segments = parse_media(self.member(number).poll().body).segments
        return [(segment.date, segment.gap) for segment in segments]

    def test_same_dates(self) -> None:
        """C-PL-24: the same segments have the same dates."""
        self.player.join()
        for number in (0, 1):
            self.member(number).wait()
        for _poll in range(12):
            self.rig.run(1.0)
            self.listed(0)
        one, other = dict(self.listed(0)), dict(self.listed(1))
        self.assertGreaterEqual(len(set(one) & set(other)), 3)

    def test_clock_set_back(self) -> None:
        """C-PL-11, G-RS-06: who sets the wall clock stops no publisher that comes again."""
        for step in (-3600.0, 3600.0):
            self.player.join()
            self.member(0).wait()
            self.rig.run(6.0)
            for feed in self.feeds:
                feed.leave(lost=False)
            self.rig.wall_offset += step
            self.rig.run(3.0)
            for feed in self.feeds:
                feed.publish(50.0)
            for _poll in range(12):
                self.rig.run(1.0)
                found = self.listed(0)
            self.assertEqual([gap for _date, gap in found[-3:]], [False] * 3)
            dates = [date for date, _gap in found]
            self.assertEqual(dates, sorted(set(dates)))


class SharedTests(JoinedCase):
    """Without sessions, for a CDN."""

    options: dict[str, Any] = {**JoinedCase.options, "hls_sessions": False}  # noqa: RUF012

    def test_addresses(self) -> None:
        """The addresses are the same for all, and answered from memory."""
        self.player.join()
        variants = [self.member(0), self.member(1)]
        self.assertEqual(
            [x.playlist for x in variants],
            [f"/liveshow/test/~/{name}/ts-av/index.m3u8" for name in self.names],
        )
        for variant in variants:
            variant.wait()
            self.assertIsNotNone(self.outputs.find_file(variant.playlist.encode()))
            uri = parse_media(variant.poll().body).segments[-1].uri
            self.assertEqual(variant.fetch(uri).status, 200)
        self.assertEqual((self.watched(), self.plays), ([], []))

    def test_one_by_its_name(self) -> None:
        """A member that is asked for by its own name is the same playlist."""
        self.player.join()
        self.member(0).wait()
        player = Player(self.rig, "/liveshow/test_720p.m3u8")
        self.watch(player)
        self.assertEqual(player.playlist, "/liveshow/test_720p/~/test_720p/ts-av/index.m3u8")
        self.assertEqual(player.poll().body, self.member(0).poll().body)
        self.assertEqual(len(self.outputs.playlists.by_place), 2)


class ChangedTests(JoinedCase):
    """The operator changes which streams are joined while somebody watches."""

    def test_taken_apart(self) -> None:
        """What is not joined any more is 404; each stream can be watched by its own name."""
        self.player.join()
        self.member(0).wait()
        self.rig.set_options(hls_variants=())
        self.assertEqual(self.status(self.member(0).playlist), 404)
        self.assertEqual(self.outputs._visits, {})
        player = self.watch(Player(self.rig, "/liveshow/test_720p.m3u8"))
        self.assertRegex(player.playlist, r"^/liveshow/test_720p/~[\w-]{22}/ts-av/index\.m3u8$")
        self.rig.run(15.0)
        self.assertEqual(len(self.outputs.sessions), 2)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_one_less(self) -> None:
        """A variant that is no longer joined is 404, the other one goes on, and its numbers."""
        self.player.join()
        self.member(0).wait()
        before = parse_media(self.member(0).poll().body).segments[-1].number
        self.rig.set_options(hls_variants=("_720p",))
        self.assertEqual(self.status(self.member(1).playlist), 404)
        player = self.member(0)
        player.wait()
        self.assertGreaterEqual(parse_media(player.poll().body).segments[-1].number, before)

    def test_joined_later(self) -> None:
        """Who watched one alone goes on at its address; a new player has them all."""
        self.rig.set_options(hls_variants=())
        player = self.watch(Player(self.rig, "/liveshow/test_720p.m3u8"))
        uri = parse_media(player.poll().body).segments[-1]
        self.rig.set_options(hls_variants=("_720p", "_480p"))
        self.assertIn(self.status(player.playlist), (200, 404))
        player = Player(self.rig)
        self.watch(player)
        assert player.multivariant is not None
        self.assertEqual(len(player.multivariant.variants), 2)
        last = parse_media(player.poll().body).segments[-1]
        self.assertGreater(last.number, uri.number)
        self.rig.run(200.0)
        self.assertEqual(self.flushLoggedErrors(), [])
        for playlist in self.outputs.playlists.by_place.values():
            self.assertIsNone(playlist.stream)

    def test_held_request(self) -> None:
        """Who waits for the first segment of what is no longer joined is told so."""
        feed = self.begin("test_b")
        feed.encoder.gop_seconds = 8.0
        self.rig.set_options(hls_variants=("_b",))
        self.rig.run(2.0)
        player = Player(self.rig)
        player.join()
        pending = player.ask()
        self.assertIsNone(pending.answer)
        self.rig.set_options(hls_variants=())
        self.rig.run(0.5)
        assert pending.answer is not None
        self.assertEqual(pending.answer.status, 404)
        pending.leave()

    def test_other_settings(self) -> None:
        """Nobody is disturbed when the operator changes something else."""
        self.player.join()
        self.member(0).wait()
        before = dict(self.outputs.playlists.by_place)
        self.rig.set_options(hls_segment_seconds=3.0)
        self.assertEqual(self.outputs.playlists.by_place, before)
        self.assertEqual(self.member(0).poll().status, 200)


class EndingTests(HLSCase):
    """Endings that are ends of each other."""

    options: dict[str, Any] = {"hls_variants": ("_hd", "_x_hd")}  # noqa: RUF012

    def test_endings_within_endings(self) -> None:
        """Each that is listed can be watched, and is aligned with the others."""
        for name in ("test_hd", "test_x_hd"):
            self.rig.feed(name).publish()
        self.rig.run(4.0)
        player = Player(self.rig, PATH)
        player.join()
        assert player.multivariant is not None
        found = []
        for variant in player.multivariant.variants:
            other = player.other(variant.uri)
            other.wait()
            self.assertEqual(other.poll().status, 200)
            found.append(variant.uri.split("/")[2])
        self.assertEqual(found, ["test", "test_hd", "test_x_hd"])
        playlists = self.outputs.playlists.by_place.values()
        self.assertEqual(len({id(playlist.alignment) for playlist in playlists}), 1)


def test_any_of_them() -> None:
    """The name alone need not be published: a player waits for any of what is joined."""
    rig = Rig(hls_variants=("_a", "_b"), hls_audio_variant=False)
    pending = rig.ask(PATH)
    rig.run(1.0)
    assert not pending.has_begun
    rig.feed("test_b").publish()
    rig.run(2.0)
    assert pending.answer is not None
    assert pending.answer.status == 200
    assert pending.answer.body.count(b"EXT-X-STREAM-INF") == 1
    pending.leave()
    rig.close()
