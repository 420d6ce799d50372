"""Tests of ntvmedia.cli.hls_download.following: live streams that another run has begun with."""

from __future__ import annotations

from collections.abc import Iterable

from ntvmedia.cli.hls_download.following import Following, Window
from tests.cli.hls_download.rig import media_list, names, ts
from tests.cli.hls_download.test_following import LIST, WHOLE, FollowingCase


class ResumeTests(FollowingCase):
    """The same command goes on."""

    def there(self, numbers: Iterable[int], lost: Iterable[int] = ()) -> None:
        """Load segments, end the process, and lose some that it had not completed."""
        numbers = list(numbers)
        body = media_list(numbers, before="#EXT-X-PLAYLIST-TYPE:EVENT")
        self.follow(body).begin(None)
        self.assertEqual(self.loaded(), names(numbers))
        for number in lost:
            self.folder.segment_path(0, numbers.index(number)).unlink()
        self.reopen()
        self.progress.done = 0.0

    def go_on(self, body: bytes, window: Window = WHOLE) -> Following:
        """Begin with a list."""
        following = self.follow(body, window=window)
        self.assertIsNotNone(following.begin(None))
        return following

    def test_goes_on(self) -> None:
        """Behind the last one, without a discontinuity, and without loading any again."""
        self.there([3, 4, 5])
        following = self.go_on(media_list(range(2, 12)))
        self.assertEqual(self.loaded(), names(range(3, 12)))
        self.assertEqual(
            self.outbound.urls(), [f"https://example.org/{i}.ts" for i in range(6, 12)]
        )
        self.then(media_list(range(4, 14), ended=True))
        self.run_out(following)
        self.assertEqual(self.loaded(), names(range(3, 14)))
        self.assertEqual(self.progress.done, 44.0)

    def test_nothing_since(self) -> None:
        """Nothing is new, and the rest comes later."""
        self.there([3, 4, 5])
        following = self.go_on(media_list(range(6)))
        self.assertEqual(self.loaded(), names([3, 4, 5]))
        self.then(media_list(range(7), ended=True))
        self.run_out(following)
        self.assertEqual(self.loaded(), names([3, 4, 5, 6]))

    def test_next_number(self) -> None:
        """The last one has just left the list, which begins with the next: nothing is missing."""
        self.there([3, 4, 5])
        self.go_on(media_list(range(6, 14)))
        self.assertEqual(self.loaded(), names(range(3, 14)))

    def test_too_late(self) -> None:
        """What is missing between is gone: behind a discontinuity comes all that is there yet."""
        self.there([3, 4, 5])
        self.go_on(media_list(range(100, 110)))
        self.assertEqual(self.loaded(), [*names([3, 4, 5]), "|100.ts", *names(range(101, 110))])

    def test_holes(self) -> None:
        """Of several, those that are listed still are filled, and those that are gone are not."""
        self.there(range(3, 13), lost=[5, 8, 10])
        self.go_on(media_list(range(7, 15)))
        there = {place: entry.name for (_, place), entry in sorted(self.folder.entries.items())}
        self.assertEqual(there, {i - 3: f"{i}.ts" for i in range(3, 15) if i != 5})
        self.assertEqual(
            sorted(self.outbound.urls()),
            sorted(f"https://example.org/{i}.ts" for i in (8, 10, 13, 14)),
        )

    def test_hole(self) -> None:
        """An earlier one is missing, and is still listed: that alone is loaded again."""
        self.there(range(3, 9), lost=[5, 6])
        self.go_on(media_list(range(3, 11)))
        self.assertEqual(self.loaded(), names(range(3, 11)))
        self.assertEqual(
            self.outbound.urls(), [f"https://example.org/{i}.ts" for i in (5, 6, 9, 10)]
        )
        for place in range(8):
            self.assertEqual(self.folder.segment_path(0, place).read_bytes(), ts(place + 3))

    def test_hole_that_is_gone(self) -> None:
        """It is not listed any more: what is there stays, and it goes on behind."""
        self.there(range(3, 9), lost=[5])
        self.go_on(media_list(range(7, 11)))
        there = {place: entry.name for (_, place), entry in self.folder.entries.items()}
        self.assertEqual(
            there, {0: "3.ts", 1: "4.ts", 3: "6.ts", 4: "7.ts", 5: "8.ts", 6: "9.ts", 7: "10.ts"}
        )

    def test_hole_at_the_beginning(self) -> None:
        """The very first is missing, and still listed."""
        self.there(range(3, 7), lost=[3])
        self.go_on(media_list(range(3, 9)))
        self.assertEqual(self.loaded(), names(range(3, 9)))

    def test_duration(self) -> None:
        """What is there counts for what is wanted."""
        self.there([3, 4, 5])
        following = self.go_on(media_list(range(2, 12)), Window(None, None, 20.0))
        self.assertEqual(self.loaded(), names([3, 4, 5, 6, 7]))
        self.run_out(following)
        self.assertEqual(self.times, [])

    def test_duration_with_a_hole(self) -> None:
        """So does what is missing of it and listed still."""
        self.there(range(3, 7), lost=[4])
        following = self.go_on(media_list(range(3, 12)), Window(None, None, 16.0))
        self.run_out(following)
        self.assertEqual(self.loaded(), names(range(3, 7)))

    def test_enough_already(self) -> None:
        """There is enough: nothing is loaded."""
        self.there([3, 4, 5])
        following = self.go_on(media_list(range(2, 12)), Window(None, None, 12.0))
        self.run_out(following)
        self.assertEqual((self.loaded(), self.outbound.asked), (names([3, 4, 5]), []))

    def test_ended_meanwhile(self) -> None:
        """It has ended since, and has all of it: nothing is asked for but what is missing."""
        self.there([3, 4, 5])
        following = self.go_on(media_list(range(3, 8), ended=True))
        self.run_out(following)
        self.assertEqual(self.loaded(), names(range(3, 8)))
        self.assertEqual(self.times, [])

    def test_another_server(self) -> None:
        """The stream has begun anew since, with numbers that meet: nothing of it is known."""
        self.there(range(3, 8), lost=[5])
        self.serve_segments(range(20), f"{LIST.removesuffix('index.m3u8')}new{{}}.ts")
        self.go_on(media_list(range(12), name="new{}.ts"))
        there = {place: entry.name for (_, place), entry in sorted(self.folder.entries.items())}
        new = {place: f"new{place - 5}.ts" for place in range(5, 17)}
        self.assertEqual(there, {0: "3.ts", 1: "4.ts", 3: "6.ts", 4: "7.ts", **new})
        self.assertTrue(self.folder.entries[0, 5].discontinuity)

    def test_again_and_again(self) -> None:
        """However often it is ended, each segment is there once, in order."""
        self.there([3, 4, 5])
        for last in range(7, 30, 3):
            self.go_on(media_list(range(last - 6, last)))
            self.reopen()
        self.assertEqual(self.loaded(), names(range(3, 28)))
