"""Pulls of streams by a source of ours, each in a process of its own, and what they brought."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from tests.e2e.processes import Program, wait_until


class Got(NamedTuple):
    """A packet.

    Attributes:
        at: Seconds since the process began.
        kind: "video" or "audio".
        dts: In seconds.
        pts: Likewise.
        is_keyframe: As told.
        size: Of the payload.
        digest: MD5 of it.
    """

    at: float
    kind: str
    dts: float
    pts: float
    is_keyframe: bool
    size: int
    digest: str


class End(NamedTuple):
    """How it ended.

    Attributes:
        at: Seconds since the process began.
        error: Empty for well.
        status: Of HTTP.
        is_permanent: As told.
        peak: Megabytes of memory.
    """

    at: float
    error: str
    status: int
    is_permanent: bool
    peak: int


class Pull:
    """A pull, best used in a `with` statement.

    Args:
        url: Of what.
        folder: For files.
        seconds: After which it is cancelled.
        options: More arguments of `pull_process`.
    """

    def __init__(self, url: str, folder: Path, seconds: float = 60.0, *options: str) -> None:
        number = len(list(folder.glob("pulled-*.json")))
        self.path = folder / f"pulled-{number}.json"
        self.path.touch()
        words: list[str | Path] = [
            "-m",
            "tests.e2e.pull_process",
            self.path,
            url,
            str(seconds),
            *options,
        ]
        root = Path(__file__).parent.parent.parent
        command = [sys.executable, *words]
        self._program = Program(command, folder, "pull", env={"PYTHONPATH": str(root)}, cwd=root)

    def __enter__(self) -> Pull:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._program.stop()

    @property
    def pictures(self) -> Path:
        """The pictures of H.264, as a file that decoders take."""
        return self.path.with_suffix(".h264")

    def lines(self, word: str) -> list[Any]:
        """Return what was written so far, of one kind."""
        text = self.path.read_text("utf-8")
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [line[1:] for line in map(json.loads, whole) if line[0] == word]

    def packets(self, kind: str = "") -> list[Got]:
        """Return the packets so far."""
        found = [Got(*line) for line in self.lines("packet")]
        return [packet for packet in found if not kind or packet.kind == kind]

    def notes(self) -> list[str]:
        """Return what was noted so far."""
        return [line for _at, line in self.lines("note")]

    def wait_for(self, count: int, kind: str = "video") -> list[Got]:
        """Wait until so many packets came."""
        wait_until(lambda: self.lines("end") or len(self.packets(kind)) >= count, f"{count} came")
        return self.packets(kind)

    def end(self, seconds: float = 60.0) -> End:
        """Wait for its end; no traceback may have been written."""
        self._program.finish(seconds)
        assert self._program.errors == "", self._program.errors
        return End(*self.lines("end")[0])
