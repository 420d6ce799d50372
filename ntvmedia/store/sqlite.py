"""SQLite: one file in the data folder, with a write-ahead log.

A committed change survives the end of the process and a power cut (`synchronous = FULL`).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from ntvmedia.errors import ConfigError
from ntvmedia.store.problems import StoreError, describe

FILE_NAME: Final = "ntvmedia.db"

# Another program that writes (the command line, a backup) is done after milliseconds; one that is
# not done after this has hung.
BUSY_SECONDS: Final = 5.0

# A migration copies the database, and may rewrite it.
ALONE_SECONDS: Final = 60.0

# A database of at most so many pages of 4096 bytes is looked through at start: some 0.1 s.
_CHECKED_PAGES: Final = 1 << 14

# And one of at most so many before each change: some milliseconds. One of settings has 10.
_CHECKED_EACH_TIME: Final = 1 << 8

_MODE: Final = 0o600


class SQLite:
    """The database of a server that was given none.

    Args:
        data: The folder of the file; made when it is missing.

    Attributes:
        setting: What an operator changes to have another database, for `ConfigError`.
        path: The file.
    """

    def __init__(self, data: Path) -> None:
        self.setting: tuple[str, ...] = (f"--data {data}",)
        self.path = data / FILE_NAME

    def engine(self, *, pooled: bool) -> Engine:
        """Make what opens connections. The file must be there: it is never made by a connection.

        Args:
            pooled: Keep one connection open. It is exchanged when the file is another one.
        """
        sizes = {"pool_size": 1, "max_overflow": 0} if pooled else {}
        engine = create_engine(
            "sqlite://",
            creator=self._connect,
            poolclass=QueuePool if pooled else NullPool,
            # What is bound may be a password.
            hide_parameters=True,
            **sizes,
        )
        event.listen(engine, "checkout", self._check_file)
        event.listen(engine, "begin", _begin)
        return engine

    def _connect(self) -> sqlite3.Connection:
        # SQLite gives a new log the mode of the file, and never looks again: one that was made
        # while the file was read-only would keep all from writing for good.
        for log in ("-wal", "-shm"):
            with suppress(OSError):
                _change_mode(f"{self.path}{log}", self.path.stat().st_mode & 0o777)
        raw = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_SECONDS,
            # Transactions are begun by `_begin`, not by a guess of the driver.
            isolation_level=None,
            # One thread at a time; the pool sees to that.
            check_same_thread=False,
        )
        try:
            raw.execute("PRAGMA synchronous = FULL")
            raw.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            raw.close()
            raise
        return raw

    def _check_file(self, raw: Any, record: Any, proxy: Any) -> None:
        """Have the pool connect again when the file was removed, or another one put there.

        Else all changes would go into a file that has no name any more, and be lost. Pages that
        are in memory are forgotten, or a file that somebody writes over would not be noticed.
        """
        raw.execute("PRAGMA shrink_memory")
        try:
            status = self.path.stat()
        except OSError:
            raise DisconnectionError("the file is gone") from None
        found = (status.st_dev, status.st_ino)
        if record.info.setdefault("file", found) != found:
            raise DisconnectionError("the file is another one")

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Give a connection in a transaction while no other process migrates.

        The file is made when it is missing, and again removed when the body raises. The
        transaction is committed at the end of the body.

        Raises:
            ConfigError: The file or its folder cannot be used.
            SQLAlchemyError: The database cannot.
        """
        with self._alone():
            is_new = self._make_file()
            engine = self.engine(pooled=False)
            try:
                with engine.connect() as connection:
                    connection.execution_options(is_bare=True)
                    _check(connection, _CHECKED_PAGES)
                    # Tables are rebuilt without asking whether others refer to them; `finish`
                    # does. It cannot be changed within a transaction.
                    connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
                    connection.rollback()
                    connection.execution_options(is_bare=False)
                    with connection.begin():
                        yield connection
                    # Not before, since it is kept in the file, and one that is refused stays as it
                    # is. Nor within a transaction.
                    connection.execution_options(is_bare=True)
                    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            except BaseException:
                if is_new:
                    self.path.unlink(missing_ok=True)
                raise
            finally:
                engine.dispose()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold a lock that the system gives back when the process ends."""
        path = self.path.with_name(f"{FILE_NAME}.lock")
        try:
            self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError as error:
            raise ConfigError(f"{path} cannot be made: {error.strerror}", self.setting) from None
        try:
            self._wait_for(lock)
            yield
        finally:
            os.close(lock)

    def _wait_for(self, lock: int) -> None:
        deadline = time.monotonic() + ALONE_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = "another program has kept the database locked for too long"
                    raise ConfigError(message, self.setting) from None
                time.sleep(0.05)
            except OSError as error:
                message = f"{self.path.parent} cannot have locks: {error.strerror}"
                raise ConfigError(message, self.setting) from None

    def _make_file(self) -> bool:
        """Make the file, for its owner only, as its log becomes after it.

        Returns:
            Whether it was missing.
        """
        try:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                os.close(os.open(self.path, flags, _MODE))
                return True
            except FileExistsError:
                # A copy that was put back often has the mode of all files. Somebody else's file is
                # left as it is.
                with suppress(PermissionError):
                    self.path.chmod(_MODE)
                return False
        except OSError as error:
            message = f"{self.path} cannot be made: {error.strerror}"
            raise ConfigError(message, self.setting) from None

    def finish(self, connection: Connection) -> None:
        """Check what a migration made, before it is committed.

        Raises:
            StoreError: A row refers to one that there is not.
        """
        if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
            raise StoreError("a row refers to a missing one")

    def keep_copy(self, connection: Connection, revision: str) -> None:
        """Copy the database beside it, as it was before a migration.

        The file appears under its name when it is whole.

        Args:
            connection: It has written nothing yet.
            revision: The one that is migrated to: the copy is "ntvmedia.db.before-REVISION".

        Raises:
            StoreError: There is no room, for one.
        """
        path = self.path.with_name(f"{FILE_NAME}.before-{revision}")
        part = path.with_name(f"{path.name}.part")
        try:
            part.unlink(missing_ok=True)
            self.copy_to(part)
            part.replace(path)
        except (OSError, sqlite3.Error) as error:
            part.unlink(missing_ok=True)
            reason = getattr(error, "strerror", None) or "the disk is full or failed"
            raise StoreError(f"{path} cannot be written: {reason}") from None

    def copy_to(self, path: Path, reading: AbstractContextManager[None] | None = None) -> None:
        """Copy the database as it is at one moment, while others use it.

        All of it is read in one step, and so in one transaction: writers need not wait for it,
        and it not for them.

        Args:
            path: Of a file to be made, for its owner only: it has no log beside it.
            reading: Entered while the database is used, with other rights perhaps.

        Raises:
            OSError: It cannot be made, or is there already.
            sqlite3.Error: The database cannot be read, or the copy not be written.
        """
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
        with closing(sqlite3.connect(path)) as target:
            # A copy that is cut is of use to nobody; and a journal would be made while reading.
            target.execute("PRAGMA journal_mode = OFF")
            with reading or nullcontext(), closing(self._connect()) as source:
                source.backup(target)
            # Without a log beside it: one file is what an operator puts back.
            target.execute("PRAGMA journal_mode = DELETE")

    def problem(self, error: SQLAlchemyError) -> StoreError | None:
        """Put an exception into words; see `problems.describe`."""
        found = describe(error)
        code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF
        if found is not None and code == sqlite3.SQLITE_CANTOPEN:
            return StoreError(f"{found}: {self._reason()}")
        return found

    def _reason(self) -> str:
        """Say why the file cannot be opened, which SQLite does not."""
        try:
            return (
                "permission denied" if stat.S_ISREG(self.path.stat().st_mode) else "it is no file"
            )
        except FileNotFoundError:
            return "it is gone"
        except OSError as error:
            return (error.strerror or "its folder cannot be read").lower()

    def interrupt(self, raw: Any) -> None:
        """End what a connection does, from another thread."""
        with suppress(sqlite3.Error):
            raw.interrupt()


def _change_mode(path: str, mode: int) -> None:
    """Change the mode of a file; of what a link leads to nothing changes.

    An ordinary descriptor would do harm: when it is closed, the locks of SQLite are gone.

    Raises:
        OSError: It cannot be.
    """
    handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            os.chmod(f"/proc/self/fd/{handle}", mode)
    finally:
        os.close(handle)


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("is_bare"):
        return
    # A transaction that begins by reading and then writes fails at once, without waiting, when
    # another program wrote in between: one that may write takes the lock first.
    reads = options.get("read_only", False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if reads else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
    if not reads:
        # Else a change could be kept on good pages of a file whose others are junk by now.
        _check(connection, _CHECKED_EACH_TIME)


def _check(connection: Connection, pages: int) -> None:
    """Look through a database, unless it has more pages than that.

    Raises:
        StoreError: It is broken.
    """
    if (
        connection.exec_driver_sql("PRAGMA page_count").scalar_one() <= pages
        and connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one() != "ok"
    ):
        raise StoreError("the database file is broken")
