"""Tests of ntvmedia.admin.tail and ntvmedia.admin.log: the last lines of the log."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.admin.site import make_control_resource
from ntvmedia.admin.tail import MAX_LINES, LogTail, masked
from tests.admin.web import ROOT, Host, ask


class TailTests(SynchronousTestCase):
    """Lines that are kept, and what the API shows of them."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = Host(Path(folder.name))
        self.publisher = LogPublisher()
        self.tail = LogTail(self.host, self.publisher)
        self.host._parts[LogTail] = self.tail
        self.tail.begin()
        self.tail.startService()
        self.log: Any = Logger("test", observer=self.publisher)
        self.resource = make_control_resource(cast(Any, self.host))

    def lines(self, query: str = "") -> list[Any]:
        """Return what the API shows."""
        path = ROOT + b"/log" + query.encode()
        found: list[Any] = ask(self.resource, self.host.reactor, b"GET", path).json()["lines"]
        return found

    def test_lines(self) -> None:
        """Each event once, as one line, with its number."""
        self.log.info("hello {who}", who="you\n\x1b[2J")
        self.log.warn("watch out")
        found = self.lines()
        self.assertEqual([x["number"] for x in found], [1, 2])
        self.assertEqual(found[0]["message"], "hello you\\x0a\\x1b[2J")
        self.assertEqual((found[1]["level"], found[1]["system"]), ("warn", "test"))
        self.assertTrue(found[1]["time"].endswith("Z"))

    def test_level(self) -> None:
        """What the settings leave out of the log is not here either."""
        self.log.debug("x")
        self.assertEqual(self.lines(), [])

    def test_query(self) -> None:
        """By level, by text, by number; the last ones."""
        for number in range(5):
            self.log.info("line {number}", number=number)
        self.log.error("Bad thing")
        self.assertEqual([x["number"] for x in self.lines("?level=warn")], [6])
        self.assertEqual([x["number"] for x in self.lines("?q=bAd")], [6])
        self.assertEqual([x["number"] for x in self.lines("?after=4")], [5, 6])
        self.assertEqual([x["number"] for x in self.lines("?limit=2")], [5, 6])
        path = ROOT + b"/log?level=all"
        self.assertEqual(ask(self.resource, self.host.reactor, b"GET", path).status, 400)

    def test_following(self) -> None:
        """Who asks for what came since gets all of it, some at a time, however much it is."""
        for number in range(10):
            self.log.info("line {number}", number=number)
        self.assertEqual([x["number"] for x in self.lines("?after=4&limit=2")], [5, 6])
        self.assertEqual([x["number"] for x in self.lines("?after=6&limit=3")], [7, 8, 9])
        self.assertEqual(self.lines("?after=10"), [])

    def test_following_over_a_restart(self) -> None:
        """A number of an earlier run, which had more lines, does not hide those of this one."""
        self.log.info("first")
        self.log.info("second")
        self.assertEqual([x["number"] for x in self.lines("?after=700")], [1, 2])

    def test_beside_the_writer(self) -> None:
        """It has what the log has, from the first line, each once, and takes no other lines."""
        written: list[Any] = []
        tail = LogTail(self.host, self.publisher)
        both = tail.beside(cast(Any, written.append))
        tail.begin()
        tail.startService()
        log: Any = Logger("test", observer=both)
        log.info("one")
        self.log.info("not of this log")
        self.assertEqual([x["log_format"] for x in written], ["one"])
        self.assertEqual([x.message for x in tail.lines()], ["one"])

    def test_bounded(self) -> None:
        """Of a chatty log the last lines are kept, and no more; each of a bounded length."""
        for number in range(MAX_LINES + 5):
            self.log.info("{text}", text="x" * 10_000 + str(number))
        found = self.tail.lines()
        self.assertEqual((len(found), found[0].number), (MAX_LINES, 6))
        self.assertLess(max(len(line.message) for line in found), 5000)

    def test_tracebacks(self) -> None:
        """A bug is one line here; its traceback is in the log itself."""
        try:
            raise ValueError("x")
        except ValueError:
            self.log.failure("it failed", Failure())
        (line,) = self.lines()
        self.assertEqual((line["level"], line["message"]), ("critical", "it failed"))

    def test_stopping(self) -> None:
        """It listens no more."""
        self.tail.stopService()
        self.log.info("x")
        self.assertEqual(self.lines(), [])

    def test_secrets(self) -> None:
        """F-AC-03: what may open something is not shown, should it have got into the log."""
        self.log.info("from {url}", url="rtmp://me:sEcReT@a/b?password=sEcReT&sign=sEcReT&x=1")
        (line,) = self.lines()
        self.assertEqual(line["message"], "from rtmp://***@a/b?password=***&sign=***&x=1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("token=abc, x", "token=*** x"),
        ("Bearer ntv_" + "a" * 43, "Bearer ntv_***"),
        ("?Password=a%20b&c=d", "?Password=***&c=d"),
        ("a://b/c@d", "a://b/c@d"),
        ("mypassword=1", "mypassword=1"),
        ("the password is wrong", "the password is wrong"),
    ],
)
def test_masked(text: str, expected: str) -> None:
    """Only what is a secret."""
    assert masked(text) == expected


@pytest.mark.parametrize("text", ["://" * 1400, "a" * 4096, "ntv_" * 1000, "password=" * 450])
def test_time(text: str) -> None:
    """F-RE-14: no line takes long."""
    began = time.perf_counter()
    for _number in range(10):
        masked(text)
    assert time.perf_counter() - began < 1.0
