"""Tests of ntvmedia.cli.hls_download.following."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.hls_download.downloads import Downloads
from ntvmedia.cli.hls_download.folder import Entry
from ntvmedia.cli.hls_download.following import (
    Following,
    Made,
    Window,
    load_media_playlist,
    made,
    plan,
)
from ntvmedia.outbound import OutboundError
from tests.cli.hls_download.rig import SITE, DownloadCase, media_list, names
from tests.clients.hls.fakes import Reply

LIST = f"{SITE}index.m3u8"
WHOLE = Window(None, None, None)


class PlanTests(DownloadCase):
    """Lists that have ended."""

    def planned(self, window: Window, body: bytes = b"") -> tuple[range, list[str]]:
        """Return what is wanted of a list of ten segments, and what is loaded of it."""
        self.serve_segments(range(10))
        downloads = self.downloads()
        body = body or media_list(range(10), ended=True)
        places = plan(self.source(LIST, body), window, downloads)
        downloads.close()
        self.successResultOf(self.patience(downloads.run()))
        return places, [x.name for _place, x in sorted(self.folder.entries.items())]

    def test_windows(self) -> None:
        """Whole segments, of which some is wanted: of 40 s in segments of 4 s."""
        for window, places in (
            (WHOLE, range(10)),
            (Window(0.0, None, None), range(10)),
            (Window(8.0, None, None), range(2, 10)),
            (Window(7.9, 8.1, None), range(1, 3)),
            (Window(None, 8.0, None), range(2)),
            (Window(None, None, 8.0), range(2)),
            (Window(None, 1000.0, None), range(10)),
            (Window(6.0, None, 3.0), range(1, 3)),
            (Window(6.0, 9.0, 1000.0), range(1, 3)),
            (Window(39.9, None, None), range(9, 10)),
        ):
            with self.subTest(window=window):
                self.folder.entries.clear()
                found, loaded = self.planned(window)
                self.assertEqual((found, loaded), (places, names(places)))

    def test_nothing(self) -> None:
        """What is not in it is told, with its length."""
        for window in (Window(40.0, None, None), Window(9.0, 8.0, None), Window(8.0, 8.0, None)):
            with self.assertRaisesRegex(Failed, "0:40"):
                self.planned(window)

    def test_empty(self) -> None:
        """A list may have ended without anything."""
        with self.assertRaisesRegex(Failed, "no segments"):
            self.planned(WHOLE, media_list([], ended=True))

    def test_unknown_durations(self) -> None:
        """Where a list tells no durations, all of it is wanted."""
        body = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:0,\n0.ts\n#EXTINF:,\n1.ts\n"
        found, loaded = self.planned(WHOLE, body + b"#EXT-X-ENDLIST\n")
        self.assertEqual((found, loaded), (range(2), names(range(2))))

    def test_all_is_taken_whatever_it_was_numbered(self) -> None:
        """The places are those in the list, whatever numbers it has."""
        found, loaded = self.planned(WHOLE, media_list([7, 8, 9], ended=True))
        self.assertEqual((found, loaded), (range(3), names([7, 8, 9])))


class MadeTests(DownloadCase):
    """What there is in the end."""

    def test_made(self) -> None:
        """Places, and the seconds of those that are there."""
        for source, place, size in ((0, 3, 10), (0, 4, -1), (0, 5, 10), (1, 0, 10), (0, 9, 10)):
            self.folder.complete(Entry(source, place, place, "x", None, 4.5, False, "", size))
        self.assertEqual(made(self.folder, 0, range(3, 6)), Made(3, 5, 2, 9.0))
        self.assertEqual(made(self.folder, 0, None), Made(3, 9, 3, 13.5))
        self.assertEqual(made(self.folder, 1, None), Made(0, 0, 1, 4.5))
        self.assertEqual(made(self.folder, 2, None), Made(0, 0, 0, 0.0))


class LoadMediaPlaylistTests(DownloadCase):
    """A list that a multivariant one names."""

    def test_nested(self) -> None:
        """F-SS-04: it may not be another multivariant one, itself for one."""
        self.serve(LIST, Reply(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n"))
        error = self.problem(load_media_playlist(self.loader, LIST, {}), Failed)
        self.assertEqual(
            str(error), "/index.m3u8: a variant leads to another multivariant playlist"
        )


class FollowingCase(DownloadCase):
    """A live list, and one who follows it."""

    def setUp(self) -> None:
        super().setUp()
        self.serve_segments(range(200))
        self.lists: dict[str, Any] = {}
        self.times: list[float] = []
        self.runs: list[Deferred[Any]] = []

    def follow(
        self,
        body: bytes,
        *,
        window: Window = WHOLE,
        downloads: Downloads | None = None,
        number: int = 0,
        url: str = LIST,
    ) -> Following:
        """Return who follows a list that was loaded."""
        source = self.source(url, body, number)
        return Following(
            self.clock,
            self.loader,
            downloads or self.begun(),
            self.folder,
            self.progress,
            source,
            window,
        )

    def begun(self) -> Downloads:
        """Return what loads segments at once."""
        downloads = self.downloads()
        running = self.start(downloads.run())
        self.runs.append(running)
        self.addCleanup(self._end, running)
        return downloads

    def _end(self, running: Deferred[Any]) -> None:
        """Cancel what waits for more to load."""
        self.assertNoResult(running)
        running.cancel()
        self.failureResultOf(running, CancelledError)

    def then(self, *bodies: Any, url: str = LIST) -> None:
        """Say what the list is the next times, noting when it is asked for."""
        left = list(bodies)

        def answer(_asked: Any) -> Any:
            self.times.append(self.clock.seconds())
            body = left.pop(0) if len(left) > 1 else left[0]
            return Reply(body) if isinstance(body, bytes) else body

        self.serve(url, answer)

    def run_out(self, following: Following) -> None:
        """Follow to the end."""
        self.successResultOf(self.patience(following.run()))


class FollowingTests(FollowingCase):
    """One list."""

    def test_to_its_end(self) -> None:
        """It begins some seconds before the end, and asks in time until the list has ended."""
        following = self.follow(media_list(range(6)))
        found = following.begin(None)
        assert found is not None
        self.assertEqual(found.number, 3)
        self.then(
            media_list(range(2, 8)),
            media_list(range(2, 8)),
            media_list(range(3, 9)),
            media_list(range(3, 9), ended=True),
        )
        self.run_out(following)
        self.assertEqual(self.loaded(), names(range(3, 9)))
        self.assertEqual(self.times, [4.0, 8.0, 10.0, 14.0])
        self.assertEqual((following.problem, self.told()), ("", []))

    def test_time_of_the_request(self) -> None:
        """RFC 8216bis 6.3.4: the wait is from request to request, however long an answer takes."""
        following = self.follow(media_list(range(6)))
        following.begin(None)
        self.serve(LIST, None)
        done = self.start(following.run())
        self.clock.advance(4.0)
        [waiting] = self.outbound.waiting
        self.clock.advance(3.0)
        self.then(media_list(range(1, 7)), media_list(range(1, 7), ended=True))
        waiting.errback(OutboundError("https://example.org: no answer within 3 seconds"))
        self.clock.advance(0.5)
        self.assertEqual(len(self.times), 1)
        self.clock.advance(0.4)
        self.assertEqual(len(self.times), 1)
        self.clock.advance(0.2)
        self.assertEqual(self.times[1:], [self.clock.seconds()])
        self.successResultOf(done)

    def test_event(self) -> None:
        """A list that keeps all is loaded from its beginning."""
        following = self.follow(media_list(range(6), before="#EXT-X-PLAYLIST-TYPE:EVENT"))
        following.begin(None)
        self.assertEqual(self.loaded(), names(range(6)))

    def test_duration(self) -> None:
        """`--duration`: whole segments, until there is as much."""
        following = self.follow(media_list(range(6)), window=Window(None, None, 17.0))
        following.begin(None)
        self.assertFalse(following.is_done)
        self.then(media_list(range(2, 7)), media_list(range(4, 12)))
        self.run_out(following)
        self.assertTrue(following.is_done)
        self.assertEqual(self.loaded(), names(range(3, 8)))
        self.assertEqual(len(self.times), 2)

    def test_duration_that_is_there(self) -> None:
        """Nothing more is asked for where the first list has enough."""
        following = self.follow(media_list(range(6)), window=Window(None, None, 8.0))
        following.begin(None)
        self.run_out(following)
        self.assertEqual((self.loaded(), self.times), (names([3, 4]), []))

    def test_nothing_yet(self) -> None:
        """A list that is empty at first."""
        following = self.follow(media_list([]))
        self.assertIsNone(following.begin(None))
        self.then(media_list([]), media_list([0, 1, 2]), media_list([0, 1, 2], ended=True))
        self.run_out(following)
        self.assertEqual(self.loaded(), names(range(3)))

    def test_missed(self) -> None:
        """What was gone before it was seen is told."""
        following = self.follow(media_list(range(6)))
        following.begin(None)
        self.then(media_list(range(9, 12)), media_list(range(9, 12), ended=True))
        self.run_out(following)
        self.assertEqual(self.loaded(), names([3, 4, 5, 9, 10, 11]))
        self.assertEqual(self.told(), ["3 segments were gone before they were seen"])

    def test_dead(self) -> None:
        """Nothing new for a minute, or ten target durations: it is over, without an end."""
        for target, seconds in ((4.0, 60.0), (10.0, 100.0)):
            self.times.clear()
            following = self.follow(media_list(range(6), target=target))
            following.begin(None)
            self.then(media_list(range(6), target=target))
            began = self.clock.seconds()
            self.run_out(following)
            self.assertEqual(following.problem, "")
            passed = self.clock.seconds() - began
            self.assertTrue(seconds < passed <= seconds + target, passed)
            self.assertRegex(self.told()[-1], r"^nothing new for \d+ s; the stream is over$")
            self.folder.entries.clear()

    def test_dead_later(self) -> None:
        """The minute begins with the last segment that came."""
        following = self.follow(media_list(range(6)))
        following.begin(None)
        lists = [media_list(range(i, i + 6)) for i in range(1, 41)]
        self.then(*lists, lists[-1])
        self.run_out(following)
        self.assertEqual(self.loaded(), names(range(3, 46)))
        self.assertTrue(220 < self.clock.seconds() < 230, self.clock.seconds())

    def test_gone(self) -> None:
        """A list that is no more is the end of the stream."""
        for status in (404, 410):
            following = self.follow(media_list(range(6)))
            following.begin(None)
            self.then(Reply(b"", status))
            self.run_out(following)
            self.assertEqual(following.problem, "")
            self.assertIn(f"the server does not have it ({status}); the stream", self.told()[-1])
            self.folder.entries.clear()

    def test_server_gone(self) -> None:
        """A server that goes away, or breaks, ends the stream with a reason; what is there is."""
        for reply in (OutboundError("https://example.org: no route"), Reply(b"", 500)):
            following = self.follow(media_list(range(6)))
            following.begin(None)
            self.then(media_list(range(1, 7)), reply)
            self.run_out(following)
            self.assertIn("the playlist, ", following.problem)
            self.assertEqual(self.loaded(), names(range(3, 7)))
            self.folder.entries.clear()

    def test_hiccup(self) -> None:
        """An error in between is passed over, as well as a page that is no list."""
        following = self.follow(media_list(range(6)))
        following.begin(None)
        self.then(
            Reply(b"", 503),
            OutboundError("https://example.org: the connection was lost"),
            media_list(range(2, 8)),
            b"<html>one moment</html>",
            media_list(range(3, 9), ended=True),
        )
        self.run_out(following)
        self.assertEqual(self.loaded(), names(range(3, 9)))
        self.assertEqual(following.problem, "")

    def test_restart(self) -> None:
        """A server that begins anew: its segments follow behind a discontinuity."""
        following = self.follow(media_list(range(106, 112)))
        following.begin(None)
        new = media_list([0, 1, 2])
        self.then(*[new] * 4, media_list([0, 1, 2, 3], ended=True))
        self.run_out(following)
        self.assertEqual(self.loaded(), [*names(range(109, 112)), "|0.ts", "1.ts", "2.ts", "3.ts"])

    def test_progress(self) -> None:
        """The seconds of the first list count, and no other's."""
        for number in (0, 1):
            self.follow(media_list(range(6)), number=number).begin(None)
        self.assertEqual(self.progress.done, 12.0)


class AlignmentTests(FollowingCase):
    """Two lists of one stream, for pictures and sound."""

    def both(self, first: bytes, second: bytes) -> list[str]:
        """Begin with both; return what is loaded of the second."""
        downloads = self.begun()
        leader = self.follow(first, downloads=downloads)
        beside = leader.begin(None)
        url = f"{SITE}audio/index.m3u8"
        self.serve_segments(range(200), f"{SITE}audio/{{}}.ts")
        self.other = self.follow(second, downloads=downloads, number=1, url=url)
        self.other.begin(beside)
        self.assertEqual([x for x in self.outbound.urls() if "invalid" in x], [])
        self.assertNoResult(self.runs[-1])
        return self.loaded(1)

    def test_by_number(self) -> None:
        """The same numbers are the same times."""
        self.assertEqual(self.both(media_list(range(6)), media_list(range(8))), names(range(3, 8)))

    def test_by_date(self) -> None:
        """Dates say it better than numbers, where segments are of other lengths."""
        date = "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:{:02d}Z"
        first = media_list(range(6), before=date.format(0))
        # The first list is begun at 12 s; here 3 s each, numbered by others, and from 2 s on.
        second = media_list(range(50, 57), before=date.format(2), target=3.0)
        self.assertEqual(self.both(first, second), names(range(53, 57)))

    def test_by_date_later(self) -> None:
        """All of a list that begins only later is wanted."""
        date = "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:{:02d}Z"
        second = media_list([7, 8], before=date.format(20))
        self.assertEqual(
            self.both(media_list(range(6), before=date.format(0)), second), names([7, 8])
        )

    def test_by_the_edge(self) -> None:
        """Where neither tells: as far before the end; and from where the list is."""
        found = self.both(media_list(range(6)), media_list(range(100, 109)))
        self.assertEqual(found, names(range(106, 109)))
        self.assertIn(f"{SITE}audio/106.ts", self.outbound.urls())

    def test_goes_on(self) -> None:
        """What the second list gets later is all of it."""
        self.both(media_list(range(6)), media_list(range(8)))
        self.then(media_list(range(4, 10), ended=True), url=f"{SITE}audio/index.m3u8")
        self.run_out(self.other)
        self.assertEqual(self.loaded(1), names(range(3, 10)))
