"""The queue survives `kill -9`: whatever was written down is told, in order, at least once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

STREAMS = 5
ROUNDS = 5
PER_ROUND = 400


class Taker(ThreadingHTTPServer):
    """A receiver that takes most, refuses some, and breaks off at times.

    Attributes:
        taken: Events that it took, with their numbers, in the order in which they came.
    """

    daemon_threads = True

    def __init__(self, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[tuple[str, int, str]] = []
        self.chance = random.Random(seed)
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the other end is killed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Taker

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            luck = self.server.chance.random()
            if luck > 0.02:
                entry = (body["stream"], int(body["file"]), self.headers["X-Ntvmedia-Event-Id"])
                self.server.taken.append(entry)
        if luck < 0.01:
            self.close_connection = True
            return
        self.send_response(200 if luck > 0.02 else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def taker() -> Iterator[Taker]:
    """A receiver that runs."""
    server = Taker(7)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(data: Path, url: str, first: int, count: int, kill_after: float | None) -> set[int]:
    """Run the process until it is killed or done; return what the database had for sure.

    Args:
        data: The data folder.
        url: The receiver's.
        first: The number of its first event.
        count: How many events it makes.
        kill_after: Seconds from its first event; None to let it end.
    """
    command = [sys.executable, "-m", "tests.callbacks.victim", str(data), url]
    command += [str(first), str(count), str(STREAMS)]
    lines: list[str] = []
    killer = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        for line in process.stdout:
            lines.append(line)
            if killer is None and kill_after is not None:
                killer = threading.Timer(kill_after, process.kill)
                killer.start()
            if line == "done\n":
                process.kill()
        process.wait()
    for timer in (watchdog, killer):
        if timer is not None:
            timer.cancel()
            timer.join()
    assert lines, "it never began"
    if kill_after is None:
        assert lines[-1] == "done\n"
    return {int(line) for line in lines if line.endswith("\n") and line.strip().isdigit()}


def test_killed(tmp_path: Path, taker: Taker) -> None:
    """G-HK-02: killed at random moments, all that was written down is told, in order per stream.

    What was told just before may be told again, with the same id: whoever passes over the ids that
    he knows sees each event once, and each stream in order.
    """
    url = f"http://127.0.0.1:{taker.server_port}/"
    chance = random.Random(time.time_ns())
    saved: set[int] = set()
    for number in range(ROUNDS):
        saved |= run(tmp_path, url, number * PER_ROUND, PER_ROUND, chance.uniform(0.01, 0.9))
    saved |= run(tmp_path, url, ROUNDS * PER_ROUND, 1, None)
    taken = list(taker.taken)
    assert len(saved) > ROUNDS
    assert saved <= {number for _stream, number, _id in taken}
    ids: dict[int, str] = {}
    latest: dict[str, int] = {}
    for stream, number, event_id in taken:
        if number in ids:
            assert ids[number] == event_id
            continue
        assert event_id not in ids.values()
        assert number > latest.get(stream, -1)
        ids[number] = event_id
        latest[stream] = number
    # A few for each kill, and for each answer that was lost.
    assert len(taken) < len(ids) * 1.5 + 20 * ROUNDS
