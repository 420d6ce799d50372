"""How far it is: a bar where somebody watches, else a line now and then."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress as Bars, TextColumn
from rich.text import Text

from ntvmedia.cli.tables import printable

# Of the speed: long enough for segments that come at once, short enough to follow the network.
_SPEED_SECONDS: Final = 10.0

_PLAIN_SECONDS: Final = 10.0

# Before that, how long the rest takes is a guess.
_FIRST_GUESS_SECONDS: Final = 1.0

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


class Progress:
    """Counts, and writes a line now and then, as is good in a log.

    Args:
        out: Where it is shown.

    Attributes:
        received: Bytes that came over the network.
        done: Seconds of media that this stage is done with.
        total: Seconds of media that there are; None where nobody knows.
    """

    def __init__(self, out: TextIO) -> None:
        self.received = 0
        self.done = 0.0
        self.total: float | None = None
        self._out = out
        self._title = ""
        self._next_line = time.monotonic() + _PLAIN_SECONDS
        self._restart()

    def begin(self, title: str, total: float | None, done: float = 0.0) -> None:
        """Begin another stage.

        Args:
            title: A word or two.
            total: Seconds of media.
            done: What is done already.
        """
        self._title, self.total, self.done = title, total, done
        self._restart()

    def _restart(self) -> None:
        self._began = time.monotonic()
        # What was there at the beginning took no time.
        self._done_before = self.done
        self._marks = deque([(self._began, self.received)])

    def tick(self) -> None:
        """Show how far it is; called some times a second."""
        now = time.monotonic()
        if now >= self._next_line:
            self._next_line = now + _PLAIN_SECONDS
            text = ", ".join(filter(None, (self.share(), self.speed(), self.left())))
            self.say(f"{self._title}: {text}")

    def say(self, line: str) -> None:
        """Tell something for good."""
        # Whoever read it may have gone: that is no reason to stop.
        with contextlib.suppress(OSError):
            self._out.write(f"ntvmedia: {printable(line)}\n")
            self._out.flush()

    def end(self) -> None:
        """Show how far it came, and nothing more after it. Idempotent."""

    def share(self) -> str:
        """Return how much is done."""
        if not self.total:
            return clock(self.done)
        percent = min(100.0, 100 * self.done / self.total)
        return f"{clock(self.done)} of {clock(self.total)} ({percent:.0f} %)"

    def speed(self) -> str:
        """Return what comes each second."""
        now = time.monotonic()
        self._marks.append((now, self.received))
        while len(self._marks) > 2 and now - self._marks[0][0] > _SPEED_SECONDS:
            self._marks.popleft()
        then, received = self._marks[0]
        rate = (self.received - received) / (now - then) if now > then else 0.0
        return f"{size(rate)}/s" if rate else ""

    def left(self) -> str:
        """Return how long the rest takes."""
        gained = self.done - self._done_before
        seconds = time.monotonic() - self._began
        if not self.total or gained <= 0 or seconds < _FIRST_GUESS_SECONDS:
            return ""
        return f"{clock(max(self.total - self.done, 0.0) * seconds / gained)} left"


class BarProgress(Progress):
    """The same as a bar on a terminal."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._console = Console(file=out)
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=self._console,
            auto_refresh=False,
        )
        self._task = self._bars.add_task("", total=None, text="")
        self._bars.start()

    def tick(self) -> None:
        text = "  ".join(filter(None, (self.share(), self.speed(), self.left())))
        with contextlib.suppress(OSError):
            self._bars.update(
                self._task,
                description=self._title,
                completed=self.done,
                total=self.total,
                text=text,
                refresh=True,
            )

    def say(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._console.print(Text(f"ntvmedia: {printable(line)}"), soft_wrap=True)

    def end(self) -> None:
        self.tick()
        with contextlib.suppress(OSError):
            self._bars.stop()


def new_progress(out: TextIO) -> Progress:
    """Return what fits where it is shown."""
    return BarProgress(out) if out.isatty() else Progress(out)


def clock(seconds: float) -> str:
    """Return a time as "1:02:03" or "2:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(count: float) -> str:
    """Return bytes as "12.3 MB"."""
    index = 0
    while count >= 1000 and index < len(_UNITS) - 1:
        count /= 1000
        index += 1
    return f"{count:.1f} {_UNITS[index]}" if index else f"{count:.0f} B"
