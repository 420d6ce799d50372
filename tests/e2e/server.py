"""A real server for end-to-end tests: `twistd -n ntvmedia` on free ports of this machine."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import random
import re
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ntvmedia
from ntvmedia.cli.control import ControlClient, NotRunning, Refusal
from ntvmedia.cli.failures import Failed as CommandFailed
from tests.e2e.processes import Failed, Program, wait_until

ROOT = Path(ntvmedia.__file__).parent.parent

# What no log of a good run has: a bug, or one that Twisted found.
_TROUBLE = re.compile(r"Traceback|Unhandled|^\S+ critical ", re.MULTILINE)


# What the API has in pages.
_LISTS = ("applications", "streams", "viewers")

# Below those that the kernel gives to clients, and above those that services have.
_PORTS = range(12_000, 28_000)
_ports = itertools.cycle(random.SystemRandom().sample(_PORTS, len(_PORTS)))


def free_port() -> int:
    """Find a port that nobody listens on now, and that no client is given meanwhile."""
    while True:
        port = next(_ports)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """A running server.

    Args:
        folder: For its data, its log and the output of its clients.
        settings: More settings as `SECTION.KEY=VALUE`.
        options: More options of `twistd ntvmedia`.

    Attributes:
        rtmp_port: Where RTMP is served on 127.0.0.1.
        http_port: Where HTTP is.
        rtsp_port: Where RTSP is.
        data: Its data folder.
        program: The process.

    Raises:
        Failed: It was not ready in time.
    """

    def __init__(
        self, folder: Path, settings: Sequence[str] = (), options: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.rtmp_port, self.http_port, self.rtsp_port = free_port(), free_port(), free_port()
        given = [x.removeprefix("--data=") for x in options if x.startswith("--data=")]
        self.data = Path(given[-1]) if given else folder / "data"
        self._may_have_trouble = False
        self.program = Program(
            [
                Path(sys.executable).with_name("twistd"),
                "--nodaemon",
                "--pidfile=",
                "ntvmedia",
                f"--data={folder / 'data'}",
                f"--set=rtmp.listen=tcp:{self.rtmp_port}:interface=127.0.0.1",
                f"--set=http.listen=tcp:{self.http_port}:interface=127.0.0.1",
                f"--set=rtsp.listen=tcp:{self.rtsp_port}:interface=127.0.0.1",
                *(f"--set={setting}" for setting in settings),
                *options,
            ],
            folder,
            "server",
            env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        )
        try:
            wait_until(self._answers, "the server was ready")
        except BaseException:
            self.program.stop(signal.SIGKILL)
            raise

    def _answers(self) -> bool:
        if not self.program.is_running:
            raise Failed(f"the server ended at its start{self.program.tail()}")
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def rtmp(self, name: str) -> str:
        """Return the RTMP address of "APP/STREAM", query included."""
        return f"rtmp://127.0.0.1:{self.rtmp_port}/{name}"

    def rtsp(self, name: str) -> str:
        """Return the RTSP address of "APP/STREAM", query included."""
        return f"rtsp://127.0.0.1:{self.rtsp_port}/{name}"

    def http(self, path: str) -> str:
        """Return the address of a path that begins with a slash."""
        return f"http://127.0.0.1:{self.http_port}{path}"

    def flv(self, name: str) -> str:
        """Return the HTTP-FLV address of "APP/STREAM"."""
        return self.http(f"/{name}.flv")

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Fetch something small on a connection of its own.

        Returns:
            Status and body.

        Raises:
            OSError: Nobody answers.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def api(self, name: str, method: str = "GET", body: object = None) -> Any:
        """Ask for `/mserver/api/v1/NAME`, over the control socket.

        Returns:
            What the answer says; of a list, as much as one page can have.

        Raises:
            Failed: It is refused, or there is no answer.
        """
        if name in _LISTS and method == "GET":
            name += "?page_size=500"
        return self.control(f"/mserver/api/v1/{name}", method, body)

    def control(self, path: str, method: str = "GET", body: object = None) -> Any:
        """Ask for a path over the control socket, as the operator on the host.

        Returns:
            What the JSON of the answer says; or its text.

        Raises:
            Failed: It is refused, or there is no answer.
        """
        client = ControlClient(self.data, timeout=20)
        data = None if body is None else json.dumps(body).encode("ascii")
        try:
            content = client.fetch(method, path, data)
        except Refusal as error:
            raise Failed(f"{method} {path}: status {error.status}, {error}") from error
        except NotRunning as error:
            raise Failed(f"{method} {path}: nobody listens") from error
        except CommandFailed as error:
            raise Failed(f"{method} {path}: {error}") from error
        if content.media_type == "application/json":
            return json.loads(content.body)
        return content.body.decode("utf-8")

    @property
    def log(self) -> str:
        """The log so far."""
        return self.program.output.decode("utf-8", "replace") + self.program.errors

    def wait_for_log(self, text: str, seconds: float = 30.0) -> None:
        """Wait until the log has a text.

        Raises:
            Failed: It has not in time.
        """
        wait_until(lambda: text in self.log, f'the log said "{text}"', seconds)

    @property
    def rss_bytes(self) -> int:
        """The memory that the process has in use now."""
        status = Path(f"/proc/{self.program.pid}/status").read_text("utf-8")
        kilobytes: str = re.findall(r"VmRSS:\s+(\d+) kB", status)[0]
        return int(kilobytes) * 1024

    @property
    def open_files(self) -> int:
        """How many file descriptors it has open."""
        return len(list(Path(f"/proc/{self.program.pid}/fd").iterdir()))

    def expect_trouble(self) -> None:
        """Let the log have tracebacks: the test makes them on purpose, and looks at them."""
        self._may_have_trouble = True

    def stop(self) -> int:
        """Tell it to stop as an operator would.

        Returns:
            The status: -15 after a stop in order.
        """
        return self.program.stop(signal.SIGTERM)

    def close(self) -> None:
        """End it, and look at what it logged.

        Raises:
            Failed: There is a traceback in the log, or it did not stop in order.
        """
        ran = self.program.is_running
        status = self.stop()
        found = None if self._may_have_trouble else _TROUBLE.search(self.log)
        if found:
            where = max(found.start() - 2000, 0)
            raise Failed(f"the server logged trouble:\n{self.log[where : found.end() + 6000]}")
        if ran and status != -signal.SIGTERM:
            raise Failed(f"the server ended with status {status}{self.program.tail()}")
