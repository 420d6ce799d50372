"""A real browser, Chromium without a window, that opens pages and tells what goes on in them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.e2e.processes import STOP_SECONDS, Failed, require, wait_until

_SCRIPT = Path(__file__).parent / "node" / "browser.cjs"

# Of one command: the start of a browser on a busy machine takes longest.
COMMAND_SECONDS = 60.0

# Nothing outside of this machine is asked for anything. Names below ".test" (RFC 6761) are this
# machine: sites of others.
_NAMES = "MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"


class Browser:
    """A running Chromium, best used in a `with` statement, which ends it.

    Args:
        folder: Where its messages are written.
        autoplay: Whether pages may play with sound that nobody has touched. Without it, as browsers
            are delivered, they may not.
        switches: More switches of Chromium.

    Raises:
        Failed: It does not start.
    """

    def __init__(self, folder: Path, *, autoplay: bool = True, switches: tuple[str, ...] = ()):
        number = len(list(folder.glob("browser-*.err")))
        self._err_path = folder / f"browser-{number}.err"
        command = [
            *(require("node"), str(_SCRIPT), require("chromium")),
            f"--host-resolver-rules={_NAMES}",
            *(["--autoplay-policy=no-user-gesture-required"] if autoplay else []),
            *(["--no-sandbox"] if os.getuid() == 0 else []),
            *switches,
        ]
        with self._err_path.open("wb") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        self._count = 0
        self._received = b""
        try:
            self.version: str = self.command("start")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def open(self, url: str, *, before: str = "", **options: object) -> Page:
        """Open a page in a context of its own.

        Args:
            url: Its address.
            before: JavaScript that runs in each frame before the page's own.
            options: Of Playwright's `newContext`: locale, colorScheme, viewport, permissions.

        Raises:
            Failed: Nobody answers there.
        """
        answer = self.command("open", url=url, before=before, options=options)
        return Page(self, self._count, answer["status"], answer["headers"])

    def command(self, name: str, **arguments: object) -> Any:
        """Give a command to node/browser.cjs and return its value.

        Raises:
            Failed: It failed, or took too long.
        """
        self._count += 1
        line = json.dumps({"id": self._count, "name": name, **arguments})
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise Failed(f"the browser has ended{self._tail()}") from None
        reply = json.loads(self._read_line(time.monotonic() + COMMAND_SECONDS))
        assert reply["id"] == self._count
        if "error" in reply:
            raise Failed(f"{line}: {reply['error']}")
        return reply["value"]

    def close(self) -> None:
        """End it and its pages. Idempotent."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if not self._process.stdin.closed:
            # What it was not told any more does not matter.
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # Playwright ends Chromium when it is told to end itself.
            self._process.terminate()
            self._process.wait(STOP_SECONDS)
        self._process.stdout.close()

    def _read_line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise Failed(f"the browser said nothing in {COMMAND_SECONDS} seconds{self._tail()}")
            data = os.read(self._process.stdout.fileno(), 65536)
            if not data:
                raise Failed(f"the browser has ended{self._tail()}")
            self._received += data
        line, _end, self._received = self._received.partition(b"\n")
        return line

    def _tail(self) -> str:
        return "\n" + self._err_path.read_text("utf-8", "replace")[-4000:]


class Page:
    """An open page. Made by `Browser.open`.

    A method with `frame` works in the first frame whose address has this text in it; without one,
    in the page itself.

    Attributes:
        status: Of the answer.
        headers: Of it, with lower-case names.
    """

    def __init__(self, browser: Browser, number: int, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers
        self._browser = browser
        self._number = number

    def evaluate(self, expression: str, frame: str = "", *, given: object = None) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise.

        Args:
            expression: It; or with something given, a function.
            frame: Where.
            given: What the function is called with; None is nothing.
        """
        more = {} if given is None else {"argument": given}
        return self._command("evaluate", expression=expression, frame=frame, **more)

    def wait_for(self, expression: str, frame: str = "", seconds: float = 60.0) -> Any:
        """Wait until a JavaScript expression is true, and return its value.

        Raises:
            Failed: It is not in time; the message says what the page had to say.
        """
        try:
            wait_until(lambda: self.evaluate(expression, frame), expression, seconds)
        except Failed as error:
            text = self.evaluate("document.body.innerText", frame)
            raise Failed(f"{error}\n{text}\n{self.trouble()}") from None
        return self.evaluate(expression, frame)

    def add_script(self, path: Path) -> None:
        """Run a file of JavaScript in the page, as one of its own."""
        self._command("script", path=str(path))

    def click(self, selector: str, frame: str = "") -> None:
        """Click on an element, once it is there to be clicked on."""
        self._command("click", selector=selector, frame=frame)

    def press(self, key: str) -> None:
        """Press and release a key, such as `Tab` or `Enter`."""
        self._command("press", key=key)

    def set_offline(self, offline: bool) -> None:
        """Take the page's network away, or give it back."""
        self._command("offline", offline=offline)

    def screenshot(self, path: Path) -> None:
        """Draw all of the page into a PNG file."""
        self._command("screenshot", path=str(path))

    def trouble(self) -> list[str]:
        """Return errors and warnings of the console, and what was thrown and not caught."""
        found: list[str] = self._command("trouble")
        return found

    def close(self) -> None:
        """Close it."""
        self._command("close")

    def _command(self, name: str, **arguments: object) -> Any:
        return self._browser.command(name, page=self._number, **arguments)
