"""A business system for end-to-end tests, as one that was made for SRS would be written."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Judge = Callable[[dict[str, Any]], tuple[int, bytes]]
"""Returns status and body of the answer to what was posted."""


class BusinessSystem(ThreadingHTTPServer):
    """Takes what is posted.

    Args:
        judge: Answers.

    Attributes:
        got: All that was posted, in order.
        headers: The header fields of each, by lower-case name.
    """

    daemon_threads = True

    def __init__(self, judge: Judge = lambda _posted: (200, b"0")) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.judge = judge
        self.got: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}/hooks"

    def __enter__(self) -> BusinessSystem:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the other end may be killed."""

    def actions(self, **facts: object) -> list[tuple[str, str]]:
        """Return action or event, and client, of what was posted with such fields."""
        return [
            (posted.get("action") or posted["event"], posted.get("client_id", ""))
            for posted in list(self.got)
            if all(posted.get(name) == value for name, value in facts.items())
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BusinessSystem

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        posted = json.loads(body)
        self.server.headers.append({k.lower(): v for k, v in self.headers.items()})
        self.server.got.append(posted)
        status, answer = self.server.judge(posted)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def hang(_posted: dict[str, Any]) -> tuple[int, bytes]:
    """Answer later than anybody waits."""
    time.sleep(12)
    return 200, b"0"
