"""What the administration costs: joins that rules are asked about, and pages of long lists."""

from __future__ import annotations

import dataclasses
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.task import Clock

from bench.address import APPLICATION, HOST, stream_name
from bench.control import Control
from bench.measure import CHUNK_BYTES, Child, publishing_plan
from bench.proc import run_seconds, waited_seconds
from bench.publisher import run_publishers
from bench.report import Metrics
from bench.servers import Ours
from bench.source import Source
from ntvmedia.store import AuditRow, Store, insert_application, insert_audit, list_applications

JOINS: Final = 1000
RULES: Final = 100
APPLICATIONS: Final = 10_000
AUDIT_ROWS: Final = 100_000
PAGES: Final = 100

_WARM_SECONDS: Final = 3.0
_FIRST_BYTES: Final = 2000


def measure_joins(server: Ours, source: Source, *, guarded: bool) -> Metrics:
    """Let players of HTTP-FLV come and go, one after the other.

    Args:
        server: Not started yet.
        source: What is published.
        guarded: The application wants signed addresses, and there are `RULES` IP rules, none of
            which is about the players.
    """
    plan = publishing_plan(server, 1, CHUNK_BYTES)
    with server, Child(run_publishers, plan, source) as publisher:
        publisher.answer()
        control = Control(server.data)
        query = f"?{_guard(control)}" if guarded else ""
        path = f"/{APPLICATION}/{stream_name(0)}.flv{query}"
        time.sleep(_WARM_SECONDS)
        idle = _measured(server, lambda: time.sleep(_WARM_SECONDS))
        for _join in range(50):
            _join_once(server.address.http_port, path)
        waited = -waited_seconds(server.pid)
        began = time.monotonic()
        cpu = _measured(server, lambda: _join_all(server.address.http_port, path))
        seconds = time.monotonic() - began
        waited += waited_seconds(server.pid)
        publisher.pipe.send(time.monotonic())
        publisher.answer()
    # What the publisher costs meanwhile is not the joins'.
    cpu -= idle / _WARM_SECONDS * seconds
    return {
        "cpu_per_1000": cpu / JOINS * 1000,
        "waited_percent": 100 * waited / seconds,
        "answers_per_second": JOINS / seconds,
    }


def measure_pages(server: Ours, path: str, *, filled: bool) -> Metrics:
    """Ask for a page of a list, again and again.

    Args:
        server: Not started yet.
        path: Of the list, below the API.
        filled: There are `APPLICATIONS` applications and `AUDIT_ROWS` rows in the audit log.
    """
    if filled:
        _fill(server.data)
    with server:
        control = Control(server.data)
        for _page in range(10):
            control.ask("GET", path)
        times = []
        before = run_seconds(server.pid)
        waited = -waited_seconds(server.pid)
        began = time.monotonic()
        for _page in range(PAGES):
            start = time.monotonic()
            control.ask("GET", path)
            times.append(time.monotonic() - start)
        seconds = time.monotonic() - began
        return {
            "cpu_per_1000": (run_seconds(server.pid) - before) / PAGES * 1000,
            "answer_p50": 1000 * statistics.median(times),
            "answer_p99": 1000 * sorted(times)[-1 - PAGES // 100],
            "waited_percent": 100 * (waited + waited_seconds(server.pid)) / seconds,
        }


def _guard(control: Control) -> str:
    """Make the rules; returns what signs the stream's address."""
    for number in range(RULES):
        rule = {
            "network": f"10.{number}.0.0/16",
            "action": "block" if number % 2 else "trust",
            "scopes": ["play"],
        }
        control.ask("POST", "/ip-rules", rule)
    control.ask("PATCH", f"/applications/{APPLICATION}", {"signed": True})
    body = {"application": APPLICATION, "stream": stream_name(0), "seconds": 3600}
    signed: str = control.ask("POST", "/signed-addresses", body)["query"]
    return signed


def _join_all(port: int, path: str) -> None:
    for _join in range(JOINS):
        _join_once(port, path)


def _join_once(port: int, path: str) -> None:
    with socket.create_connection((HOST, port), 10.0) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        got = b""
        while len(got) < _FIRST_BYTES:
            data = sock.recv(65536)
            if not data:
                raise ConnectionError(f"a player was refused: {got[:300]!r}")
            got += data
        if not got.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(f"a player was refused: {got[:300]!r}")


def _measured(server: Ours, work: Callable[[], None]) -> float:
    """Return the CPU seconds that the server takes meanwhile."""
    before = run_seconds(server.pid)
    work()
    return run_seconds(server.pid) - before


def _fill(data: Path) -> None:
    """Make the database that a busy server has after some years, before the server starts."""
    data.mkdir(parents=True, exist_ok=True)
    store = Store(Clock(), "", data)
    store.open()

    def fill(connection: Any) -> None:
        (first, *_others) = list_applications(connection)
        for number in range(APPLICATIONS):
            name = f"application-{number:05}"
            insert_application(connection, dataclasses.replace(first, name=name))
        now = time.time()
        for number in range(AUDIT_ROWS):
            row = AuditRow(
                time=now - number,
                who=f"user{number % 7}",
                kind="session",
                session="",
                peer_host="192.0.2.1",
                action="applications.change",
                subject=f"application-{number % APPLICATIONS:05}",
                before={"enabled": True},
                after={"enabled": False},
            )
            insert_audit(connection, row)

    store.run_now(fill)
