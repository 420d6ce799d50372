"""Tests of ntvmedia.cli.hls_download.command: from the address to the file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.hls_download import command as module
from ntvmedia.cli.hls_download.folder import entries_of, segment_path
from ntvmedia.cli.hls_download.options import add_options
from ntvmedia.cli.hls_download.progress import Progress
from ntvmedia.clients.hls.loader import LoadError
from tests.cli.hls_download.rig import SITE, DownloadCase, Gone, media_list, names
from tests.clients.hls.fakes import Reply

LIST = f"{SITE}index.m3u8"
MULTIVARIANT = b"""#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",LANGUAGE="en",DEFAULT=YES,URI="en/x.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Deutsch",LANGUAGE="de",URI="de/x.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1000000,RESOLUTION=640x360,AUDIO="a"
sd/x.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720,AUDIO="a"
hd/x.m3u8
"""
GOOD = {"discontinuities": 0, "frame_seconds": 0.04, "left_out": 0, "unknown": [], "size": 1000}


class CommandCase(DownloadCase):
    """The command, with servers and a process that merges as a test says.

    Attributes:
        out: The file to make.
        jobs: What was to be merged, and the segments of its sources that were there.
        result: What comes of it; its seconds are those of the segments, if none are told.
    """

    def setUp(self) -> None:
        super().setUp()
        self.folder.remove()
        self.out = self.path.with_suffix("")
        self.jobs: list[Mapping[str, Any]] = []
        self.merged: list[list[bytes]] = []
        self.result: Any = {}
        self.before_end: Callable[[], object] = lambda: None
        self.serve_segments(range(200))
        worker = mock.Mock(merge=self._merge)
        patch = mock.patch.object(module, "start_worker", lambda _reactor: worker)
        patch.start()
        self.addCleanup(patch.stop)

    def _merge(self, job: Mapping[str, Any], progressed: Any) -> Deferred[Any]:
        self.jobs.append(job)
        folder = Path(job["folder"])
        entries = {(x.source, x.place): x for x in entries_of(folder)}
        self.merged = []
        seconds = 0.0
        for number, source in enumerate(job["sources"]):
            places = range(source["first"], source["last"] + 1)
            there = [x for x in places if (number, x) in entries and entries[number, x].size >= 0]
            self.merged.append([segment_path(folder, number, x).read_bytes() for x in there])
            if not number:
                seconds = sum(entries[0, x].duration for x in there)
        if isinstance(self.result, Exception):
            return fail(self.result)
        progressed(seconds / 2)
        Path(job["out"]).write_bytes(b"a film")
        self.before_end()
        return succeed({"seconds": seconds, **GOOD, **self.result})

    def options(self, *words: str, url: str = LIST) -> argparse.Namespace:
        """Read a command line."""
        parser = argparse.ArgumentParser()
        add_options(parser)
        return parser.parse_args([url, "-o", str(self.out), *words])

    def begin(self, *words: str, url: str = LIST) -> Deferred[Any]:
        """Begin."""
        options = self.options(*words, url=url)
        out = None if options.list else self.out
        outbound: Any = self.outbound
        command = module._Command(self.clock, options, out, outbound, self.progress)
        return self.start(command.run())

    def run_command(self, *words: str, url: str = LIST) -> Deferred[Any]:
        """Run it, as long as it takes."""
        done = self.begin(*words, url=url)
        for _step in range(5000):
            if done.called and not done.paused:
                break
            self.clock.advance(0.25)
        self.assertTrue(self.outbound.is_closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return done

    def succeed(self, *words: str, url: str = LIST) -> None:
        """Run it to its good end."""
        self.successResultOf(self.run_command(*words, url=url))
        self.assertEqual(self.out.read_bytes(), b"a film")
        self.assertFalse(self.path.exists())

    def fail_with(self, *words: str, url: str = LIST) -> str:
        """Run it in vain; return why."""
        failure: Failure = self.failureResultOf(self.run_command(*words, url=url))
        self.assertTrue(failure.check(Failed, LoadError, OSError), failure)
        return str(failure.value)

    def names_of(self, source: int = 0) -> list[str]:
        """Return what was merged of a source."""
        return [f"{int(data[1:7])}.ts" for data in self.merged[source]]


class WholeTests(CommandCase):
    """Lists that have ended."""

    def test_media(self) -> None:
        """A media playlist, whole."""
        self.serve(LIST, Reply(media_list(range(5), ended=True)))
        self.succeed()
        self.assertEqual(self.names_of(), names(range(5)))
        [job] = self.jobs
        self.assertEqual(job["trims"], False)
        self.assertEqual(job["sources"], [{"first": 0, "last": 4, "language": "", "only": None}])
        self.assertEqual(self.told(), [f"{self.out}: 0:20, 1.0 kB"])

    def test_part(self) -> None:
        """`--from`, `--to`."""
        self.serve(LIST, Reply(media_list(range(10), ended=True)))
        self.succeed("--from", "9", "--to", "0:13")
        self.assertEqual(self.names_of(), names([2, 3]))
        self.assertEqual(self.jobs[0]["trims"], True)

    def test_multivariant(self) -> None:
        """The best pictures, and the sound that the list wants, by their own addresses."""
        self.serve(LIST, Reply(MULTIVARIANT, url=f"{SITE}r/index.m3u8"))
        for name in ("hd", "en", "de"):
            body = media_list(range(4), ended=True)
            self.serve(f"{SITE}r/{name}/x.m3u8", Reply(body))
            self.serve_segments(range(4), f"{SITE}r/{name}/{{}}.ts")
        self.succeed()
        self.assertEqual([self.names_of(0), self.names_of(1)], [names(range(4))] * 2)
        sources = self.jobs[0]["sources"]
        self.assertEqual([x["only"] for x in sources], ["video", None])
        self.assertEqual([x["language"] for x in sources], ["", "en"])
        self.assertFalse([x for x in self.outbound.urls() if "/sd/" in x or "/de/" in x])
        self.out.unlink()
        self.succeed("--audio", "all")
        self.assertEqual([x["language"] for x in self.jobs[1]["sources"]], ["", "en", "de"])
        # The renditions go along: what is done is done of the pictures.
        self.assertEqual(self.progress.done, 16.0)

    def test_nested(self) -> None:
        """F-SS-04: a list that leads to itself ends at once."""
        body = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n"
        self.serve(LIST, Reply(body))
        self.assertIn("another multivariant playlist", self.fail_with())
        self.assertEqual(self.outbound.urls(), [LIST] * 2)
        self.assertFalse(self.path.exists())

    def test_list(self) -> None:
        """`--list` prints, and loads no segment and makes no file."""
        self.serve(LIST, Reply(MULTIVARIANT))
        with redirect_stdout(StringIO()) as printed:
            self.successResultOf(self.run_command("--list"))
        self.assertIn("1280x720", printed.getvalue())
        for ended, state in ((True, "has ended"), (False, "is live")):
            self.serve(LIST, Reply(media_list(range(4), ended=ended)))
            with redirect_stdout(StringIO()) as printed:
                self.successResultOf(self.run_command("--list"))
            self.assertIn(f"4 segments of 0:16, and {state}", printed.getvalue())
        self.assertEqual(self.outbound.urls(), [LIST] * 3)
        self.assertEqual(list(self.out.parent.iterdir()), [])

    def test_nothing_there(self) -> None:
        """A list without segments, or of which none can be had, is no film."""
        self.serve(LIST, Reply(media_list([], ended=True)))
        self.assertIn("no segments", self.fail_with())
        self.assertFalse(self.path.exists())
        self.serve(LIST, Reply(media_list([300], ended=True)))
        self.assertIn("no segments", self.fail_with("--partial"))
        self.assertEqual(self.jobs, [])

    def test_failure_keeps(self) -> None:
        """What is there stays, and the same command goes on."""
        self.serve(LIST, Reply(media_list(range(5), ended=True)))
        self.serve(f"{SITE}3.ts", Reply(b"", 403))
        self.assertIn("segment 3", self.fail_with("--jobs", "1"))
        self.assertFalse(self.out.exists())
        self.serve_segments([3])
        self.outbound.asked.clear()
        self.succeed()
        self.assertEqual(self.names_of(), names(range(5)))
        self.assertEqual(self.outbound.urls(), [LIST, f"{SITE}3.ts", f"{SITE}4.ts"])

    def test_token_has_run_out(self) -> None:
        """An address with another query: `--resume` goes on, and nothing else does."""
        for token in (1, 2):
            self.serve(f"{LIST}?t={token}", Reply(media_list(range(5), ended=True)))
        self.serve(f"{SITE}3.ts", Reply(b"", 403))
        self.fail_with("--jobs", "1", url=f"{LIST}?t=1")
        self.serve_segments([3])
        self.outbound.asked.clear()
        self.assertIn("--resume goes on", self.fail_with(url=f"{LIST}?t=2"))
        self.assertIn("other options", self.fail_with("--variant", "worst", url=f"{LIST}?t=1"))
        self.assertEqual(len(entries_of(self.path)), 3)
        self.succeed("--resume", url=f"{LIST}?t=2")
        segments = [url for url in self.outbound.urls() if url.endswith(".ts")]
        self.assertEqual(segments, [f"{SITE}3.ts", f"{SITE}4.ts"])

    def test_failure_of_all_leaves_nothing(self) -> None:
        """Where nothing was loaded, nothing is left."""
        self.serve(LIST, Reply(media_list(range(5), ended=True)))
        self.serve(f"{SITE}0.ts", Reply(b"", 403))
        self.fail_with("--jobs", "1")
        self.assertEqual(list(self.out.parent.iterdir()), [])

    def test_merge_fails(self) -> None:
        """What was loaded is kept."""
        self.serve(LIST, Reply(media_list(range(5), ended=True)))
        self.result = Failed("segment 3: the header is broken")
        self.assertEqual(self.fail_with(), "segment 3: the header is broken")
        self.assertEqual(len(entries_of(self.path)), 5)
        self.result = {}
        self.outbound.asked.clear()
        self.succeed()
        self.assertEqual(self.outbound.urls(), [LIST])

    def test_interrupted(self) -> None:
        """Ctrl-C, anywhere: what is there is kept."""
        self.serve(LIST, Reply(media_list(range(5), ended=True)))
        self.serve(f"{SITE}3.ts", None)
        done = self.begin()
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertTrue(self.outbound.is_closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(sorted(x.place for x in entries_of(self.path)), [0, 1, 2, 4])

    def test_nobody_reads_the_progress(self) -> None:
        """Whoever read what is told has gone, as `head` does: the file is made all the same."""
        self.progress = Progress(Gone())
        self.serve(LIST, Reply(b"", 503), Reply(media_list(range(5), ended=True)))
        with mock.patch.object(self.progress, "_next_line", 0.0):
            self.succeed()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_says_what_is_odd(self) -> None:
        """A length that is another one, and what was left out."""
        self.serve(LIST, Reply(media_list(range(5), ended=True)))
        for result, told in (
            ({"seconds": 20.03}, None),
            ({"seconds": 20.09}, "the file is 20.090 s long; the playlist says 20.000 s"),
            ({"seconds": 20.09, "discontinuities": 2}, None),
            ({"unknown": ["vp8"], "left_out": 9}, "left out, since it cannot be carried: vp8"),
            ({"left_out": 9}, "9 pictures or sounds were broken, and are left out"),
        ):
            self.result = result
            before = len(self.told())
            self.succeed("--force")
            lines = self.told()[before:]
            self.assertEqual(lines[:-1], [told] if told else [])
            self.assertTrue(lines[-1].startswith(f"{self.out}: 0:20"))


class LiveTests(CommandCase):
    """Lists that grow."""

    def test_live(self) -> None:
        """To its end."""
        self.serve(
            LIST,
            Reply(media_list(range(6))),
            Reply(media_list(range(3, 9))),
            Reply(media_list(range(4, 10), ended=True)),
        )
        self.succeed()
        self.assertEqual(self.names_of(), names(range(3, 10)))

    def test_duration(self) -> None:
        """For a while."""
        lists = [Reply(media_list(range(i, i + 6))) for i in range(30)]
        self.serve(LIST, *lists)
        self.succeed("--duration", "0:20")
        self.assertEqual(self.names_of(), names(range(3, 8)))

    def test_from(self) -> None:
        """`--from` is for what keeps its beginning."""
        self.serve(LIST, Reply(media_list(range(6))))
        self.assertIn(
            "the stream is live: --from and --to mean nothing", self.fail_with("--to", "9")
        )
        body = media_list(range(6), before="#EXT-X-PLAYLIST-TYPE:EVENT")
        self.serve(LIST, Reply(body))
        self.succeed("--from", "4", "--to", "12")
        self.assertEqual(self.names_of(), names([1, 2]))

    def test_server_gone(self) -> None:
        """What there is becomes a file, and the command fails with the reason."""
        self.serve(LIST, Reply(media_list(range(6))), Reply(b"", 403))
        message = self.fail_with()
        self.assertIn(f"{self.out}: it ends where this happened: the playlist", message)
        self.assertEqual(self.names_of(), names(range(3, 6)))
        self.assertEqual(self.out.read_bytes(), b"a film")

    def test_ended_meanwhile(self) -> None:
        """A recording that goes on when the stream is over, and lists its last segments only."""
        for words in ((), ("--force",)):
            self.serve(LIST, Reply(media_list(range(6))))
            done = self.begin(*words)
            self.clock.advance(1.0)
            done.cancel()
            self.failureResultOf(done, CancelledError)
            self.serve(LIST, Reply(media_list(range(5, 9), ended=True)))
            self.succeed(*words)
            self.assertEqual(self.names_of(), names(range(3, 9)))

    def test_list_gone_meanwhile(self) -> None:
        """When not even the list is there, `--partial` makes the file of what there is."""
        self.serve(LIST, Reply(media_list(range(6))))
        done = self.begin()
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.serve(LIST, Reply(b"", 404))
        self.fail_with()
        self.assertEqual(len(entries_of(self.path)), 3)
        self.succeed("--partial")
        self.assertEqual(self.names_of(), names(range(3, 6)))


class FileTests(CommandCase):
    """The file, its name, and who else wants it."""

    def test_appeared_meanwhile(self) -> None:
        """Somebody else has made one of that name: it stays, and so does what was loaded."""
        self.serve(LIST, Reply(media_list(range(3), ended=True)))
        self.before_end = lambda: self.out.write_bytes(b"another's")
        for links in (True, False):
            with mock.patch("os.link", os_link if links else no_link):
                self.assertIn("it is there already; --force", self.fail_with())
            self.assertEqual(self.out.read_bytes(), b"another's")
            self.assertEqual(len(entries_of(self.path)), 3)
        self.succeed("--force")

    def test_without_links(self) -> None:
        """A file system that has no links."""
        self.serve(LIST, Reply(media_list(range(3), ended=True)))
        with mock.patch("os.link", no_link):
            self.succeed()

    def test_checked_first(self) -> None:
        """Before anything is asked for."""
        self.out.write_bytes(b"there")
        for out, told in (
            (self.out, "it is there already; --force replaces it"),
            (self.out.parent, "it is a folder"),
            (self.out.parent / "none" / "x.mp4", "there is no such folder"),
        ):
            with self.assertRaisesRegex(Failed, told):
                module._checked(out, self.options())
        self.assertEqual(module._checked(self.out, self.options("--force")), self.out)
        dangling = self.out.parent / "dangling"
        dangling.symlink_to("nowhere")
        with self.assertRaisesRegex(Failed, "there already"):
            module._checked(dangling, self.options())

    def test_default_names(self) -> None:
        """The list's own name, as one for a file in this folder and nowhere else."""
        for path, name in (
            ("a/film.m3u8", "film"),
            ("a/film.m3u", "film"),
            ("a/film.m3u8?x=/y.m3u8", "film"),
            ("a/my%20film.m3u8", "my film"),
            ("a/%2e%2e%2fevil.m3u8", "_evil"),
            ("a/..%2f..%2fevil", "_.._evil"),
            ("a/.hidden.m3u8", "hidden"),
            ("a/-rf.m3u8", "rf"),
            ("a/C%3A%5Cx.m3u8", "C__x"),
            ("a/%00%1b%0a.m3u8", "___"),
            ("a/", "download"),
            ("", "download"),
            ("a/.m3u8", "download"),
            ("a/%E2%98%83.m3u8", "\N{SNOWMAN}"),
        ):
            self.assertEqual(module._default_output(SITE + path), Path(f"{name}.mp4"), path)

    def test_long_default_names(self) -> None:
        """File systems have 255 bytes for a name, and the folder's is longer."""
        for letter in ("x", "\u00e4", "\N{SNOWMAN}", "\U0001f600", "%f0%9f"):
            name = module._default_output(f"{SITE}{letter * 4000}.m3u8").name
            self.assertLessEqual(len(f"{name}.download".encode()), 255)
            self.assertGreater(len(name), 20)

    def test_what_tells_it_apart(self) -> None:
        """The journal has no secret of the address."""
        url = "https://me:secret1@example.org/index.m3u8?token=secret2"
        wanted = module._wanted(self.options(url=url), [])
        self.assertEqual(wanted["url"], LIST)
        self.assertNotIn("secret", str(wanted))
        other = module._wanted(self.options(url=url.replace("secret2", "x")), [])
        self.assertNotEqual(wanted["query"], other["query"])
        self.assertEqual({**wanted, "query": ""}, {**other, "query": ""})


def os_link(_source: Path, _target: Path) -> None:
    """Refuse as a file system does where the name is taken."""
    raise FileExistsError


def no_link(_source: Path, _target: Path) -> None:
    """Refuse as a file system without links does."""
    raise OSError(95, "Operation not supported")
