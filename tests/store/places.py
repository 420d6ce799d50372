"""Where a store is, for tests: an empty database of either kind, and a way to look into it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ntvmedia.store import ApplicationRow, Store, insert_application, list_applications
from tests.e2e.postgres import PostgreSQLServer

T = TypeVar("T")

# A thread that does not answer in this time never will.
PATIENCE_SECONDS = 60.0

# What a new database has.
BUILT_IN = ["audio", "liveshow", "tv", "vod"]


class Pump(Clock):
    """The part of a reactor that a store uses: other threads' calls are made by `turn`."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, function: Callable[..., object], *arguments: Any) -> None:
        self._calls.put(lambda: function(*arguments))

    def turn(self) -> None:
        """Make one call that a thread has asked for, if there is any in 50 ms."""
        try:
            call = self._calls.get(timeout=0.05)
        except Empty:
            return
        call()

    def wait(self, deferred: Deferred[T]) -> T:
        """Turn until a Deferred has fired.

        Returns:
            Its result.

        Raises:
            Exception: It failed with that.
        """
        good: list[T] = []
        bad: list[BaseException] = []
        deferred.addCallbacks(good.append, lambda failure: bad.append(failure.value))
        self.turn_until(lambda: good or bad)
        if bad:
            raise bad[0]
        return good[0]

    def turn_until(self, condition: Callable[[], object]) -> None:
        """Turn until something holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.turn()


class Place:
    """An empty database.

    Attributes:
        url: As in the settings.
        data: The data folder.
        server: The real PostgreSQL; `None` for SQLite.
    """

    def __init__(self, data: Path, server: PostgreSQLServer | None = None) -> None:
        self.data = data
        self.server = server
        # A test may connect as somebody else.
        self.url = self._made = server.new_database() if server else ""
        self.pump = Pump()
        self._stores: list[Store] = []

    @property
    def file(self) -> Path:
        """The file of SQLite."""
        return self.data / "ntvmedia.db"

    def unopened(self) -> Store:
        """Return a store that was not opened. It is closed after the test."""
        self._stores.append(Store(self.pump, self.url, self.data))
        return self._stores[-1]

    def store(self) -> Store:
        """Return an open store."""
        store = self.unopened()
        store.open()
        return store

    def sql(self, commands: str) -> list[tuple[Any, ...]]:
        """Do something in the database behind the store's back.

        Returns:
            The rows of the one command that there is, texts for PostgreSQL; none for several.
        """
        if self.server:
            lines = self.server.psql(commands, self.url).splitlines()
            return [tuple(line.split("|")) for line in lines]
        with closing(sqlite3.connect(self.file)) as connection:
            if ";" in commands:
                connection.executescript(commands)
                return []
            rows = connection.execute(commands).fetchall()
            connection.commit()
            return rows

    def close(self) -> None:
        """Close the stores, of which no thread is left, and remove PostgreSQL's database."""
        for store in self._stores:
            self.pump.wait(store.close())
        assert not [thread for thread in threading.enumerate() if "store" in thread.name]
        if self.server:
            self.server.drop_database(self._made)


def row(name: str, **fields: Any) -> ApplicationRow:
    """Make an application."""
    defaults: dict[str, Any] = {
        "type": "live",
        "enabled": True,
        "outputs": ("rtmp", "flv"),
        "recording": "manual",
        "publish_password": "",
        "rtmp_authentication": False,
        "referers": (),
        "allow_empty_referer": True,
        "signed": False,
        "encrypted": False,
        "hls_key_segments": 10,
        "hls_key_url": "",
        "hls_format": "ts",
        "hls_segment_seconds": 2.0,
        "hls_segment_count": 7,
        "hls_part_seconds": 0.2,
        "hls_blocking": True,
        "hls_variants": (),
        "hls_audio_variant": True,
        "hls_always": False,
        "hls_sessions": True,
        "hls_end_list": False,
        "rtsp_multicast": False,
        "max_players": 0,
        "max_publishers": 0,
        "max_stream_players": 0,
        "max_bandwidth_kbps": 0,
        "authorize_url": "",
        "authorize_failure": "deny",
        "jwks_url": "",
        "jwt_issuer": "",
        "jwt_audience": "",
        "cut_at_expiry": False,
        "created_at": 1_700_000_000.125,
        "updated_at": 1_700_000_000.25,
    }
    return ApplicationRow(name=name, **{**defaults, **fields})


def add(store: Store, name: str) -> None:
    """Add an application, in one transaction."""
    add_all(store, [row(name)])


def add_all(store: Store, rows: Iterable[ApplicationRow]) -> None:
    """Add applications, in one transaction."""

    def work(connection: Connection) -> None:
        for added in rows:
            insert_application(connection, added)

    store.run_now(work)


def kept(store: Store) -> list[str]:
    """Return the names of the applications that there are."""
    return [row.name for row in store.run_now(list_applications)]
