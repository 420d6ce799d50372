"""A database for tests: a real one, whose transactions happen when the test says so."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ntvmedia.store import ApplicationRow, Store, list_applications


@cache
def _empty_database() -> bytes:
    with TemporaryDirectory() as folder:
        Store(None, "", Path(folder)).open()
        with closing(sqlite3.connect(Path(folder) / "ntvmedia.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return (Path(folder) / "ntvmedia.db").read_bytes()


def put_empty_database(data: Path) -> None:
    """Have a database in a folder, as a server's first start makes it, in a tenth of the time.

    One that is there stays.
    """
    file = data / "ntvmedia.db"
    if not file.exists():
        file.write_bytes(_empty_database())


class SlowStore:
    """A real SQLite database whose transactions happen when the test says so.

    Attributes:
        problem: What the next transactions fail with, instead of being done.
        lost: What the next transaction fails with, after it was committed.
    """

    def __init__(self, data: Path) -> None:
        put_empty_database(data)
        self._store = Store(None, "", data)
        self._store.open()
        self._waiting: list[tuple[Callable[[Any], Any], Deferred[Any]]] = []
        self.at_once = True
        self.problem: Exception | None = None
        self.lost: Exception | None = None

    def run(self, work: Callable[[Any], Any], *, read_only: bool = False) -> Deferred[Any]:
        """Put the work in the queue."""
        answer: Deferred[Any] = Deferred()
        self._waiting.append((work, answer))
        if self.at_once:
            self.step()
        return answer

    def run_now(self, work: Callable[[Any], Any]) -> Any:
        """Do it."""
        if self.problem is not None:
            raise self.problem
        return self._store.run_now(work)

    @property
    def waiting(self) -> int:
        """How many transactions have not begun."""
        return len(self._waiting)

    def step(self) -> None:
        """Do the oldest transaction."""
        work, answer = self._waiting.pop(0)
        try:
            result = self.run_now(work)
            lost, self.lost = self.lost, None
            if lost is not None:
                raise lost
        except Exception:
            if not answer.called:
                answer.errback(Failure())
        else:
            if not answer.called:
                answer.callback(result)

    def rows(self) -> dict[str, ApplicationRow]:
        """Return what the database has."""
        return {row.name: row for row in self._store.run_now(list_applications)}
