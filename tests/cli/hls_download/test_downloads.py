"""Tests of ntvmedia.cli.hls_download.downloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred

from ntvmedia.cli.hls_download.downloads import Downloads, Task, gather
from ntvmedia.clients.hls.loader import LoadError
from ntvmedia.clients.hls.retries import Retries
from ntvmedia.formats.m3u8 import ByteRange
from ntvmedia.wire.hls.resources import InitSection, Key, MediaSegment
from tests.cli.hls_download.rig import SITE, DownloadCase, names, ts
from tests.clients.hls.fakes import Reply

INIT = InitSection(f"{SITE}init.mp4", None, None)
OTHER_INIT = InitSection(f"{SITE}init.mp4", ByteRange(4, 2), None)


def task(number: int, *, start: float | None = None, live: bool = False, **fields: Any) -> Task:
    """Return the task to load a segment."""
    values: dict[str, Any] = {
        "number": number,
        "url": f"{SITE}{number}.ts",
        "byte_range": None,
        "duration": 4.0,
        "wall_seconds": None,
        "discontinuity": False,
        "gap": False,
        "init_section": None,
        "key": None,
        **fields,
    }
    source, place = values.pop("source", 0), values.pop("place", number)
    begin = 4.0 * number if start is None else start
    return Task(begin, source, place, MediaSegment(**values), is_live=live)


class DownloadsTests(DownloadCase):
    """Segments that are loaded."""

    def run_all(self, downloads: Downloads, *tasks: Task) -> Deferred[Any]:
        """Load some; return what became of it."""
        for one in tasks:
            downloads.add(one)
        downloads.close()
        return self.patience(downloads.run())

    def test_all(self) -> None:
        """Each is asked for once, and is there."""
        self.serve_segments(range(9))
        downloads = self.downloads()
        self.successResultOf(self.run_all(downloads, *map(task, range(9))))
        self.assertEqual(self.loaded(), names(range(9)))
        self.assertEqual(sorted(self.outbound.urls()), sorted(f"{SITE}{i}.ts" for i in range(9)))
        for i in range(9):
            self.assertEqual(self.folder.segment_path(0, i).read_bytes(), ts(i))
        self.assertEqual((downloads.missing, self.told()), (0, []))
        self.assertEqual(self.progress.done, 36.0)
        self.assertEqual(self.progress.received, sum(len(ts(i)) for i in range(9)))

    def test_nothing(self) -> None:
        """There may be nothing to load."""
        self.successResultOf(self.run_all(self.downloads()))

    def test_jobs(self) -> None:
        """So many at a time, and never more; when one is done, the next begins."""
        for number in range(5):
            self.serve(f"{SITE}{number}.ts", None)
        downloads = self.downloads(3)
        done = self.run_all(downloads, *map(task, range(5)))
        self.assertEqual(self.outbound.urls(), [f"{SITE}{i}.ts" for i in range(3)])
        self.outbound.waiting[1].errback(OSError(28, "No space left on device"))
        self.failureResultOf(done, OSError)

    def test_order(self) -> None:
        """What is played earlier is loaded earlier, of whatever list it is."""
        downloads = self.downloads(1)
        order = [
            task(7, start=8.0),
            task(5, start=0.0),
            task(1, start=6.0, source=1, place=1),
            task(6, start=4.0),
            task(0, start=0.0, source=1, place=0),
        ]
        self.serve_segments(range(9))
        self.successResultOf(self.run_all(downloads, *order))
        self.assertEqual(self.outbound.urls(), [f"{SITE}{i}.ts" for i in (5, 0, 6, 1, 7)])

    def test_added_while_it_runs(self) -> None:
        """A list that grows: whoever is idle begins at once, and nobody ends before the end."""
        self.serve_segments(range(9))
        downloads = self.downloads(2)
        done = self.start(downloads.run())
        for number in range(5):
            downloads.add(task(number))
            self.assertEqual(self.outbound.urls()[-1], f"{SITE}{number}.ts")
        self.assertNoResult(done)
        downloads.close()
        self.successResultOf(done)
        self.assertEqual(self.loaded(), names(range(5)))

    def test_there_already(self) -> None:
        """What is there is not loaded again, and counts as done."""
        self.serve_segments(range(4))
        self.successResultOf(self.run_all(self.downloads(), task(0), task(1), task(2)))
        self.reopen()
        self.progress.done = 0.0
        self.successResultOf(self.run_all(self.downloads(), *map(task, range(4))))
        self.assertEqual(self.outbound.urls(), [f"{SITE}3.ts"])
        self.assertEqual(self.progress.done, 16.0)

    def test_another_segment(self) -> None:
        """What stands in that place and is another segment is loaded again."""
        self.serve_segments(range(9))
        self.serve(f"{SITE}x/0.ts", Reply(ts(0)))
        self.serve(f"{SITE}0.ts?token=2", Reply(ts(0)))
        self.successResultOf(self.run_all(self.downloads(), task(0)))
        for other, count in (
            ({"number": 5}, 1),
            ({"duration": 4.5}, 1),
            ({"url": f"{SITE}6.ts"}, 1),
            ({"byte_range": ByteRange(188, 0)}, 1),
            ({}, 1),
            # Another folder, or another token, may be the same.
            ({"url": f"{SITE}x/0.ts"}, 0),
            ({"url": f"{SITE}0.ts?token=2"}, 0),
        ):
            self.reopen()
            one = task(0)
            segment = one.segment._replace(**other)
            self.successResultOf(self.run_all(self.downloads(), one._replace(segment=segment)))
            self.assertEqual(len(self.outbound.asked), count, other)

    def test_same_name_in_folders(self) -> None:
        """Segments of one name in different folders do not collide."""
        for number in range(3):
            self.serve(f"{SITE}{number}/media.ts", Reply(ts(number)))
        tasks = [task(i, url=f"{SITE}{i}/media.ts") for i in range(3)]
        self.successResultOf(self.run_all(self.downloads(), *tasks))
        found = [self.folder.segment_path(0, i).read_bytes() for i in range(3)]
        self.assertEqual(found, [ts(0), ts(1), ts(2)])

    def test_names_are_not_paths(self) -> None:
        """Whatever a server calls its segments, nothing is written outside the folder."""
        uris = ["..%2f..%2fevil", "/etc/passwd", "C:\\x", "\0", "x" * 4000, "%00", "-rf", ""]
        for number, uri in enumerate(uris):
            self.serve(f"{SITE}{uri}", Reply(ts(number)))
        tasks = [task(i, url=f"{SITE}{uri}") for i, uri in enumerate(uris)]
        self.successResultOf(self.run_all(self.downloads(), *tasks))
        expected = {"journal", *(f"0-{i:06d}.segment" for i in range(len(uris)))}
        self.assertEqual({x.name for x in self.path.iterdir()}, expected)
        self.assertEqual([x.name for x in self.path.parent.iterdir()], [self.path.name])
        self.reopen()
        self.assertEqual(len(self.folder.entries), len(uris))

    def test_gap(self) -> None:
        """E-SR-08: there is nothing to ask for, and its place is kept."""
        self.serve_segments(range(3))
        gap = task(1, url="", gap=True)
        downloads = self.downloads()
        self.successResultOf(self.run_all(downloads, task(0), gap, task(2)))
        self.assertEqual(self.loaded(), ["0.ts", "-", "2.ts"])
        self.assertEqual((downloads.missing, self.progress.done), (0, 12.0))

    def test_init_sections(self) -> None:
        """Each is loaded and written once, and each segment names its own."""
        self.serve(INIT.url, Reply(b"0123456789"))
        self.serve_segments(range(6))
        inits = [INIT, INIT, OTHER_INIT, OTHER_INIT, INIT, None]
        tasks = [task(i, init_section=x) for i, x in enumerate(inits)]
        self.successResultOf(self.run_all(self.downloads(2), *tasks))
        found = [
            (self.path / x.init).read_bytes() if x.init else b""
            for x in self.folder.entries.values()
        ]
        first, other = b"0123456789", b"2345"
        self.assertEqual(sorted(found), sorted([first, first, other, other, first, b""]))
        self.assertEqual(len(list(self.path.glob("*.init"))), 2)
        self.assertEqual(self.outbound.urls().count(INIT.url), 2)

    def test_encrypted(self) -> None:
        """What cannot be decrypted is not kept."""
        self.serve(f"{SITE}0.ts", Reply(bytes(160)))
        self.serve(f"{SITE}key", Reply(b"k" * 16))
        one = task(0, key=Key(f"{SITE}key", bytes(16)))
        error = self.failureResultOf(self.run_all(self.downloads(), one), LoadError).value
        self.assertIn("the key is wrong", str(error))
        self.assertEqual(self.folder.entries, {})
        self.assertEqual(list(self.path.glob("*.segment")), [])

    def test_no_media(self) -> None:
        """A page in place of a segment is not kept."""
        self.serve(f"{SITE}0.ts", Reply(b"<!DOCTYPE html><title>Sorry</title>" + bytes(2000)))
        error = self.failureResultOf(self.run_all(self.downloads(), task(0)), LoadError).value
        self.assertIn("HTML", str(error))
        self.assertEqual((len(self.outbound.asked), self.folder.entries), (1, {}))

    def test_failure(self) -> None:
        """One that cannot be had ends all; what is there stays, and nothing goes on."""
        self.serve_segments(range(9))
        self.serve(f"{SITE}3.ts", Reply(b"", 403))
        self.serve(f"{SITE}4.ts", None)
        self.serve(f"{SITE}5.ts", None)
        done = self.run_all(self.downloads(3), task(4), task(5), task(0), task(1), task(3))
        # Those that hang are of later times.
        error = self.failureResultOf(done, LoadError).value
        self.assertIn("segment 3", str(error))
        self.assertEqual(self.outbound.waiting, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.loaded(), names([0, 1]))

    def test_failure_cancels(self) -> None:
        """What the others wait for is cancelled."""
        self.serve(f"{SITE}0.ts", None)
        self.serve(f"{SITE}1.ts", Reply(b"", 503), Reply(b"", 403))
        self.serve(f"{SITE}2.ts", Reply(b"", 503))
        done = self.start(self.downloads_of(3, task(0), task(1), task(2)).run())
        self.assertNoResult(done)
        self.clock.advance(0.6)
        self.failureResultOf(done, LoadError)
        self.assertEqual(self.outbound.cancelled, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def downloads_of(self, jobs: int, *tasks: Task) -> Downloads:
        """Return what loads some, and no more."""
        downloads = self.downloads(jobs)
        for one in tasks:
            downloads.add(one)
        downloads.close()
        return downloads

    def test_cancelled(self) -> None:
        """Ctrl-C: everything ends, and what is half loaded is not there."""
        self.serve(f"{SITE}0.ts", Reply(ts(0)))
        self.serve(f"{SITE}1.ts", None)
        self.serve(f"{SITE}2.ts", Reply(b"", 503))
        done = self.start(self.downloads_of(3, task(0), task(1), task(2)).run())
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual((self.outbound.cancelled, self.clock.getDelayedCalls()), (1, []))
        self.assertEqual(self.loaded(), names([0]))

    def test_cancelled_while_idle(self) -> None:
        """So it is while there is nothing to do."""
        downloads = self.downloads(3)
        done = self.start(downloads.run())
        done.cancel()
        self.failureResultOf(done, CancelledError)
        downloads.add(task(0))
        self.assertEqual(self.outbound.asked, [])

    def test_partial(self) -> None:
        """`--partial`: what cannot be had is told, left out, and tried again the next time."""
        self.serve_segments(range(3))
        self.serve(f"{SITE}1.ts", Reply(b"", 404))
        downloads = self.downloads(partial=True)
        self.successResultOf(self.run_all(downloads, *map(task, range(3))))
        self.assertEqual(self.loaded(), ["0.ts", "-1.ts", "2.ts"])
        self.assertEqual(downloads.missing, 1)
        [line] = self.told()
        self.assertIn("1.ts: the server does not have it (404); it is left out", line)
        self.serve_segments([1])
        self.reopen()
        self.successResultOf(self.run_all(self.downloads(), *map(task, range(3))))
        self.assertEqual(self.loaded(), names(range(3)))
        self.assertEqual(self.outbound.urls(), [f"{SITE}1.ts"])

    def test_live(self) -> None:
        """Of a live stream, what is gone is left out; what is not there yet is waited for."""
        self.serve_segments(range(4))
        self.serve(f"{SITE}1.ts", Reply(b"", 404), Reply(b"", 404), Reply(ts(1)))
        self.serve(f"{SITE}2.ts", Reply(b"", 404))
        self.serve(f"{SITE}3.ts", Reply(b"", 410))
        downloads = self.downloads()
        tasks = [task(i, live=True) for i in range(4)]
        self.successResultOf(self.run_all(downloads, *tasks))
        self.assertEqual(self.loaded(), ["0.ts", "1.ts", "-2.ts", "-3.ts"])
        self.assertEqual(downloads.missing, 2)
        asked = self.outbound.urls()
        self.assertEqual(asked.count(f"{SITE}2.ts"), 1 + Retries().times)
        self.assertEqual(asked.count(f"{SITE}3.ts"), 1)

    def test_live_refused(self) -> None:
        """What is refused is no segment that went by."""
        self.serve(f"{SITE}0.ts", Reply(b"", 403))
        done = self.run_all(self.downloads(), task(0, live=True))
        self.failureResultOf(done, LoadError)

    def test_disk_full(self) -> None:
        """What cannot be written is the end, with the name of the file."""
        self.serve_segments(range(2))

        def full(path: Path, *_arguments: Any) -> Any:
            raise OSError(28, "No space left on device", str(path))

        with mock.patch.object(Path, "open", full):
            done = self.run_all(self.downloads(partial=True), task(0), task(1))
        error = self.failureResultOf(done, OSError).value
        self.assertEqual(error.errno, 28)
        self.assertEqual(self.folder.entries, {})


class GatherTests(DownloadCase):
    """Several things that are waited for."""

    def test_all(self) -> None:
        """All have to be done."""
        first, second = Deferred[None](), Deferred[None]()
        done = self.start(gather([first, second]))
        first.callback(None)
        self.assertNoResult(done)
        second.callback(None)
        self.successResultOf(done)

    def test_failure(self) -> None:
        """The first failure is that of all, as it is, and the others are cancelled."""
        waiting = [Deferred[None]() for _ in range(3)]
        done = self.start(gather(waiting))
        waiting[1].errback(LoadError("no", 403))
        self.assertEqual(self.failureResultOf(done, LoadError).value.status, 403)
        self.assertTrue(all(x.called for x in waiting))

    def test_cancelled(self) -> None:
        """So it is when nobody waits any more."""
        waiting = [Deferred[None]() for _ in range(3)]
        done = self.start(gather(waiting))
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertTrue(all(x.called for x in waiting))
