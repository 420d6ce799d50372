"""Programs that end-to-end tests run: with a time limit, their output in files, stopped by id."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

DEFAULT_SECONDS = 60.0

# Tests run on machines with two cores beside other work: limits of time are generous.
STOP_SECONDS = 20.0


class Failed(AssertionError):
    """A program did not do what it was run for; the message has the end of its output."""


def require(program: str) -> str:
    """Return the path of a program.

    Raises:
        Failed: It is not installed.
    """
    path = shutil.which(program)
    if path is None:
        raise Failed(f"{program} is not installed: run script/clients as root")
    return path


def wait_until(
    condition: Callable[[], object], what: str, seconds: float = DEFAULT_SECONDS
) -> None:
    """Ask again and again until the condition holds.

    Raises:
        Failed: It does not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"waited {seconds} seconds in vain until {what}")
        time.sleep(0.05)


class Program:
    """A running program, best used in a `with` statement, which stops it.

    Args:
        command: The program and its arguments.
        folder: Where its output is written, to files named after `name`.
        name: A word for messages.
        env: More variables of its environment.
        cwd: Its folder.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        folder: Path,
        name: str = "",
        *,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        words = [str(word) for word in command]
        self.name = name or Path(words[0]).name
        number = len(list(folder.glob(f"{self.name}-*.err")))
        self._out_path = folder / f"{self.name}-{number}.out"
        self._err_path = folder / f"{self.name}-{number}.err"
        with self._out_path.open("wb") as out, self._err_path.open("wb") as err:
            self._process = subprocess.Popen(
                [require(words[0]), *words[1:]],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
                cwd=cwd,
            )

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def output(self) -> bytes:
        """What it wrote to standard output so far."""
        return self._out_path.read_bytes()

    @property
    def errors(self) -> str:
        """What it wrote to standard error so far."""
        return self._err_path.read_text("utf-8", "replace")

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait(self, seconds: float = DEFAULT_SECONDS) -> int:
        """Wait for its end.

        Returns:
            Its status; the negative number of the signal that ended it.

        Raises:
            Failed: It runs on. It is killed then.
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise Failed(f"{self.name} ran on after {seconds} seconds{self.tail()}") from None

    def finish(self, seconds: float = DEFAULT_SECONDS, status: int = 0) -> Program:
        """Wait for its end, which must be a good one.

        Raises:
            Failed: It runs on, or its status is another.
        """
        found = self.wait(seconds)
        if found != status:
            raise Failed(f"{self.name} ended with status {found}, not {status}{self.tail()}")
        return self

    def send(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.is_running:
            self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, seconds: float = STOP_SECONDS) -> int:
        """Send a signal and wait; kill it when that does not help.

        Returns:
            Its status.
        """
        self.send(number)
        # One that a test has stopped (SIGSTOP) does not see the signal before it goes on.
        self.send(signal.SIGCONT)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def tail(self) -> str:
        """Return the end of both its outputs, for messages."""
        text = self.output.decode("utf-8", "replace")[-2000:] + self.errors[-4000:]
        return f"\n--- output of {self.name} ---\n{text}"


def run(
    command: Sequence[str | Path],
    folder: Path,
    *,
    seconds: float = DEFAULT_SECONDS,
    status: int = 0,
    env: dict[str, str] | None = None,
) -> Program:
    """Run a program to its end.

    Raises:
        Failed: It takes longer, or ends with another status.
    """
    with Program(command, folder, env=env) as program:
        return program.finish(seconds, status)


def is_listening(port: int) -> bool:
    """Whether somebody listens at a port. Nobody is asked: some take one connection, the first."""
    # Of proc(5): the local address, and the state, of which 0A is "listens".
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)
