"""The store: transactions in a thread of their own, answers in the reactor's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from ntvmedia.errors import UsageError
from ntvmedia.store.migration import Backend, migrate
from ntvmedia.store.postgresql import PostgreSQL
from ntvmedia.store.problems import Duplicate, StoreError
from ntvmedia.store.sqlite import SQLite

T = TypeVar("T")

# Changes come from an operator, or in batches: a queue of this length is a database that hangs.
MAX_WAITING: Final = 1000

# What has waited this long in the queue is not begun any more.
QUEUE_SECONDS: Final = 20.0

# A transaction that takes longer is ended. Longer than the drivers' own limits, which say more.
WORK_SECONDS: Final = 20.0

# `StagedService` gives all services together 10 s by default.
CLOSE_SECONDS: Final = 5.0


class Store:
    """What the server keeps, in SQLite or PostgreSQL.

    All transactions follow one another, in the order in which they were asked for.

    Args:
        reactor: Where answers are delivered.
        url: "postgresql://USER:PASSWORD@HOST/NAME"; empty for a file "ntvmedia.db" in `data`.
        data: The data folder.
    """

    _log = Logger()

    def __init__(self, reactor: Any, url: str, data: Path) -> None:
        self._reactor = reactor
        self._url = url
        self._data = data
        self._backend: Backend | None = None
        self._session: _Session | None = None
        self._pool: _Pool | None = None
        self._waiting = 0
        self._is_closing = False
        self._is_closed = False
        self._closers: list[Deferred[None]] = []

    def open(self) -> None:
        """Connect, and bring the tables to the schema of this program.

        Blocking: call it before the reactor runs. No connection and no thread is left, so the
        process may fork after it.

        Raises:
            ConfigError: The database cannot be used, is newer than this program, or could not be
                migrated. It is as it was before.
        """
        backend: Backend = PostgreSQL(self._url) if self._url else SQLite(self._data)
        migrate(backend)
        self._backend = backend

    def run(self, work: Callable[[Connection], T], *, read_only: bool = False) -> Deferred[T]:
        """Do some work in one transaction, in the store's own thread.

        Call it from the reactor thread. Cancelling the Deferred keeps work from being begun; what
        has begun goes on.

        Args:
            work: It is called with a connection in that thread, and must end soon. What it raises
                undoes the transaction.
            read_only: The work writes nothing. It then need not wait for another program that
                writes.

        Returns:
            Fires in the reactor thread with what the work returned, after it was committed. Fails
            with `StoreError` when the database does not do it, with `Duplicate` when a key is
            taken, and else with what the work raised: nothing is kept then.

        Raises:
            UsageError: The store was not opened.
        """
        backend = self._opened()
        if self._is_closing:
            return fail(StoreError("the database is closed"))
        if self._waiting >= MAX_WAITING:
            return fail(StoreError(f"{MAX_WAITING:,} changes are waiting for the database already"))
        if self._pool is None or self._session is None:
            # Not before: threads do not survive a fork.
            self._session = _Session(backend, pooled=True)
            self._pool = _Pool(minthreads=0, maxthreads=1, name="store")
            self._pool.start()
        answer: Deferred[T] = Deferred()
        self._waiting += 1
        self._pool.callInThreadWithCallback(
            partial(self._reactor.callFromThread, self._done, answer),
            self._in_turn,
            partial(self._session.transact, work, read_only),
            answer,
            time.monotonic() + QUEUE_SECONDS,
        )
        return answer

    def run_now(self, work: Callable[[Connection], T], *, read_only: bool = False) -> T:
        """Do some work in one transaction, and wait for it.

        Blocking: call it before the reactor runs, or where there is none.

        Raises:
            StoreError: As for `run`; and so all else.
            UsageError: The store was not opened.
        """
        session = _Session(self._opened(), pooled=False)
        try:
            return session.transact(work, read_only)
        finally:
            session.close()

    def close(self) -> Deferred[None]:
        """Do what was asked for, and then disconnect.

        May be called again. From now on `run` fails.

        Returns:
            Fires after `CLOSE_SECONDS` at the latest. Work that has not begun until then fails.
        """
        if not self._is_closing:
            self._is_closing = True
            if self._pool is None or self._session is None:
                self._is_closed = True
            else:
                limit = self._reactor.callLater(CLOSE_SECONDS, self._give_up)
                # The queue is kept in order: this comes last.
                self._pool.callInThreadWithCallback(
                    partial(self._reactor.callFromThread, self._disconnected, limit),
                    self._session.close,
                )
        if self._is_closed:
            return succeed(None)
        closer: Deferred[None] = Deferred()
        self._closers.append(closer)
        return closer

    def _opened(self) -> Backend:
        if self._backend is None:
            raise UsageError("the store was not opened")
        return self._backend

    def _in_turn(self, transact: Callable[[], T], answer: Deferred[T], deadline: float) -> T | None:
        """Begin work whose turn it is, in the thread."""
        if answer.called:
            return None
        if self._is_closed or time.monotonic() > deadline:
            raise StoreError("the database took too long with earlier changes")
        return transact()

    def _done(self, answer: Deferred[T], is_good: bool, result: T | Failure) -> None:
        self._waiting -= 1
        if not answer.called:
            # A Failure goes the way of errors by itself.
            answer.callback(result)

    def _give_up(self) -> None:
        self._log.warn("the database did not finish in time: it is left as it is")
        self._closed()

    def _disconnected(self, limit: Any, is_good: bool, result: Failure | None) -> None:
        if isinstance(result, Failure):
            self._log.failure("the database was not closed in order", result)
        if limit.active():
            limit.cancel()
        assert self._pool is not None
        # Its thread has nothing to do any more, so waiting for its end is short.
        self._pool.stop()
        self._closed()

    def _closed(self) -> None:
        self._is_closed = True
        closers, self._closers = self._closers, []
        for closer in closers:
            if not closer.called:
                closer.callback(None)


class _Session:
    """Transactions one after the other, in one thread at a time.

    Args:
        pooled: Keep a connection open between them.
    """

    def __init__(self, backend: Backend, *, pooled: bool) -> None:
        self._backend = backend
        self._engine: Engine = backend.engine(pooled=pooled)
        self._raw: Any = None
        event.listen(self._engine, "connect", self._connected)

    def transact(self, work: Callable[[Connection], T], read_only: bool) -> T:
        """Do work in a transaction of its own, within `WORK_SECONDS`; see `Store.run`."""
        limit = threading.Timer(WORK_SECONDS, self._interrupt)
        limit.daemon = True
        limit.start()
        try:
            with self._engine.connect() as connection:
                if read_only:
                    # One for SQLite, and one for PostgreSQL; to say the contrary there would
                    # overrule an operator.
                    connection.execution_options(read_only=True, postgresql_readonly=True)
                with connection.begin():
                    return work(connection)
        except Duplicate:
            raise
        except StoreError:
            self._engine.dispose()
            raise
        except SQLAlchemyError as error:
            problem = self._backend.problem(error)
            if problem is None:
                raise
            if not isinstance(problem, Duplicate):
                # Whatever it was, the next transaction does not meet what is left of it.
                self._engine.dispose()
            # The text of the cause has SQL in it.
            raise problem from None
        finally:
            limit.cancel()
            # It must not hit the next transaction, nor be there when the process forks.
            limit.join()

    def close(self) -> None:
        """Disconnect."""
        self._engine.dispose()

    def _connected(self, raw: Any, record: Any) -> None:
        self._raw = raw

    def _interrupt(self) -> None:
        if self._raw is not None:
            self._backend.interrupt(self._raw)


class _Thread(threading.Thread):
    """One that does not keep the process from ending, should a disk hang for ever."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, daemon=True)


class _Pool(ThreadPool):
    threadFactory = _Thread
