"""`ntvmedia` without the seconds of its start: a process that has imported it, and forks.

Where it is looked at what the command does with a server, and not how it starts, a test saves
most of its time so. `python -m tests.e2e.forked` is that process.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.e2e.processes import Failed, Program
from tests.e2e.server import ROOT


class Forker:
    """The process that forks, one run at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=20)

    def start(
        self, words: Sequence[str], folder: Path, *, cwd: Path, env: dict[str, str]
    ) -> Forked:
        """Run the command.

        Args:
            words: Without the program's name.
            folder: Where its output is kept.
            cwd: Its folder.
            env: More variables of its environment, and of what it starts.
        """
        return Forked(self, words, folder, {"cwd": str(cwd), "env": env})

    def send(self, job: dict[str, Any]) -> int:
        """Have a job begun; return the id of its process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        return self.read(60.0)

    def read(self, seconds: float) -> int:
        """Read the next number.

        Raises:
            subprocess.TimeoutExpired: It does not come in time.
        """
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            raise subprocess.TimeoutExpired("ntvmedia", seconds)
        return int(self._process.stdout.readline())


class Forked(Program):
    """A run of the command in a forked process."""

    def __init__(
        self, forker: Forker, words: Sequence[str], folder: Path, job: dict[str, Any]
    ) -> None:
        self.name = "download"
        number = len(list(folder.glob("download-*.err")))
        self._out_path = folder / f"download-{number}.out"
        self._err_path = folder / f"download-{number}.err"
        self._forker = forker
        self._status: int | None = None
        paths = {"out": str(self._out_path), "err": str(self._err_path)}
        self._pid = forker.send({"words": list(words), **job, **paths})

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def is_running(self) -> bool:
        if self._status is None:
            try:
                self._status = self._forker.read(0)
            except subprocess.TimeoutExpired:
                return True
        return False

    def wait(self, seconds: float = 60.0) -> int:
        if self._status is None:
            try:
                self._status = self._forker.read(seconds)
            except subprocess.TimeoutExpired:
                self.stop(signal.SIGKILL)
                raise Failed(f"it ran on after {seconds} seconds{self.tail()}") from None
        return self._status

    def send(self, number: int) -> None:
        if self.is_running:
            os.kill(self._pid, number)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20.0) -> int:
        self.send(number)
        if self._status is None:
            self._status = self._forker.read(seconds)
        return self._status


def main() -> None:
    """Fork for each line of the standard input; write the process's id, then its status."""
    from ntvmedia.cli.hls_download import command
    from ntvmedia.cli.main import main as run

    # Each run has a reactor of its own.
    assert command.__name__ in sys.modules
    assert "twisted.internet.reactor" not in sys.modules
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if not pid:
            os._exit(_run_job(run, job))
        print(pid, flush=True)  # noqa: T201 - that is what the parent reads
        _pid, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


def _run_job(run: Any, job: dict[str, Any]) -> int:
    """Be the command, as the console script is."""
    os.chdir(job["cwd"])
    os.environ.update(job["env"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, place in ((0, os.devnull), (1, job["out"]), (2, job["err"])):
        os.dup2(os.open(place, flags if number else os.O_RDONLY, 0o600), number)
    sys.argv = ["ntvmedia", *job["words"]]
    status: Any = 99
    try:
        status = run(job["words"])
    except SystemExit as error:
        status = error.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    return int(status)


if __name__ == "__main__":
    main()
