"""Tests of ntvmedia.cli.hls_download.progress."""

from __future__ import annotations

import re
import time
from io import StringIO

import pytest

from ntvmedia.cli.hls_download.progress import BarProgress, Progress, clock, new_progress, size
from tests.cli.hls_download.rig import Gone


class Terminal(StringIO):
    """A terminal that keeps what it was sent."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        """Return what was sent, without what moves the cursor or sets colours."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue())


class Time:
    """The monotonic clock, as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Time stands still but for what a test says."""
    return Time(monkeypatch)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 100 columns."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def run(progress: Progress, watch: Time, seconds: int, rate: int = 250_000) -> None:
    """Load for a while, with a tick each quarter of a second and as fast as it is shown."""
    for _tick in range(seconds * 4):
        watch.now += 0.25
        progress.received += rate
        progress.done += 0.5
        progress.tick()


# Words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (0.4, "0:00"),
        (59.4, "0:59"),
        (59.6, "1:00"),
        (754, "12:34"),
        (3599.6, "1:00:00"),
        (3661, "1:01:01"),
        (360_000, "100:00:00"),
    ],
)
def test_clock(seconds: float, text: str) -> None:
    """Minutes and seconds, and hours where there are any."""
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (12_345_678, "12.3 MB"),
        (5e9, "5.0 GB"),
        (5e12, "5.0 TB"),
        (5e15, "5000.0 TB"),
    ],
)
def test_size(count: float, text: str) -> None:
    """Three digits or so, in steps of a thousand."""
    assert size(count) == text


# Lines in a log


def test_plain(watch: Time) -> None:
    """Where nobody watches: a line each ten seconds, of how far, how fast and how long yet."""
    out = StringIO()
    progress = new_progress(out)
    assert type(progress) is Progress
    progress.begin("loading", 120.0)
    run(progress, watch, 9)
    assert out.getvalue() == ""
    run(progress, watch, 11)
    assert out.getvalue() == (
        "ntvmedia: loading: 0:20 of 2:00 (17 %), 1.0 MB/s, 0:50 left\n"
        "ntvmedia: loading: 0:40 of 2:00 (33 %), 1.0 MB/s, 0:40 left\n"
    )
    progress.end()
    progress.end()
    assert out.getvalue().count("\n") == 2


def test_plain_live(watch: Time) -> None:
    """Of a stream without an end, how much there is."""
    out = StringIO()
    progress = Progress(out)
    progress.begin("loading", None)
    run(progress, watch, 10)
    assert out.getvalue() == "ntvmedia: loading: 0:20, 1.0 MB/s\n"


def test_plain_merging(watch: Time) -> None:
    """Another stage begins anew: nothing comes over the network, and it has its own time."""
    out = StringIO()
    progress = Progress(out)
    progress.begin("loading", 120.0)
    run(progress, watch, 5)
    progress.begin("merging", 120.0)
    run(progress, watch, 5, rate=0)
    assert out.getvalue() == "ntvmedia: merging: 0:10 of 2:00 (8 %), 0:55 left\n"


def test_plain_after_a_pause(watch: Time) -> None:
    """Who was stopped for an hour has no hour of lines to make up for."""
    out = StringIO()
    progress = Progress(out)
    progress.begin("loading", 120.0)
    watch.now += 3600
    run(progress, watch, 8)
    assert out.getvalue().count("\n") == 1


def test_say() -> None:
    """A line at once, of which the terminal only shows what is written."""
    out = StringIO()
    progress = Progress(out)
    progress.say("segment 1, https://x/\x1b[31m\x9b\n\u202e.ts: no")
    assert out.getvalue() == ("ntvmedia: segment 1, https://x/\\x1b[31m\\x9b\\n\\u202e.ts: no\n")


def test_nobody_reads(watch: Time) -> None:
    """Who told this has gone: that is no reason not to go on."""
    progress = Progress(Gone())
    progress.begin("loading", 120.0)
    run(progress, watch, 20)
    progress.say("1")
    progress.end()


def test_speed(watch: Time) -> None:
    """Of the last ten seconds; nothing where nothing came."""
    progress = Progress(StringIO())
    assert progress.speed() == ""
    run(progress, watch, 20)
    assert progress.speed() == "1.0 MB/s"
    for _tick in range(60):
        watch.now += 0.25
        progress.speed()
    assert progress.speed() == ""


def test_left(watch: Time) -> None:
    """What was there at the beginning took no time; before a second it is a guess, not told."""
    progress = Progress(StringIO())
    progress.begin("loading", 100.0, done=50.0)
    progress.done = 60.0
    watch.now += 0.9
    assert progress.left() == ""
    watch.now += 4.1
    assert progress.left() == "0:20 left"
    progress.done = 130.0
    assert progress.left() == "0:00 left"
    assert progress.share() == "2:10 of 1:40 (100 %)"


# Bars on a terminal


def test_bar(watch: Time, terminal: Terminal) -> None:
    """Where somebody watches: one line, that is drawn again and again."""
    progress = new_progress(terminal)
    assert isinstance(progress, BarProgress)
    progress.begin("loading", 120.0)
    run(progress, watch, 20)
    assert "0:40 of 2:00 (33 %)  1.0 MB/s  0:40 left" in terminal.text()
    progress.end()
    shown = terminal.getvalue()
    progress.end()
    # The cursor, which was hidden, is there again.
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert terminal.getvalue().count("loading") <= shown.count("loading") + 1


def test_bar_says(watch: Time, terminal: Terminal) -> None:
    """Lines stand above the bar as they are: no markup, no pictures, no breaks, no colours."""
    progress = BarProgress(terminal)
    progress.begin("loading", 120.0)
    line = "segment 1, https://x:80/a:x:b/[red]/:100:/" + "y" * 200 + ".ts: no\x1b[31m"
    progress.say(line)
    progress.end()
    assert "ntvmedia: " + line.replace("\x1b", "\\x1b") in terminal.text()


def test_bar_without_total(watch: Time, terminal: Terminal) -> None:
    """A live stream has no share."""
    progress = BarProgress(terminal)
    progress.begin("loading", None)
    run(progress, watch, 2)
    progress.end()
    assert "0:04  1.0 MB/s" in terminal.text()
    assert "%" not in terminal.text()
