"""Databases as files: to be copied while a server uses them, and to be put back.

What is copied is what one transaction sees. It has the schema that the database had, an older one
too: the next start of the server brings it to its own, as it does with any database.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ntvmedia.store.migration import VERSION_TABLE, current_revision, revisions, upgrade
from ntvmedia.store.postgresql import PostgreSQL
from ntvmedia.store.problems import StoreError, describe
from ntvmedia.store.sqlite import FILE_NAME, SQLite

# Of a table that has who is logged in. A session that was ended after a backup must not come back
# with it, so none does.
SESSIONS: Final = "sessions"


class Copied(NamedTuple):
    """What a backup has of a database.

    Attributes:
        schema: The revision of its tables.
        files: Their names, in the folder that was given.
    """

    schema: str
    files: tuple[str, ...]


class DatabaseBackup(Protocol):
    """Copies a database, and puts copies back; all of it blocking.

    Attributes:
        kind: "sqlite" or "postgresql": a copy can be put back into the same kind only.
    """

    kind: str

    def save(self, folder: Path) -> Copied:
        """Copy the database as it is at one moment into files of an empty folder.

        Raises:
            StoreError: It cannot be read, or the files not be written.
        """

    def is_empty(self) -> bool:
        """Say whether there is no database yet.

        Raises:
            StoreError: It cannot be known.
        """

    def check(self, folder: Path, copied: Copied) -> None:
        """Check the files of a copy before anything is touched.

        Raises:
            StoreError: They are not what `save` makes, or have a schema that is not known.
        """

    def restore(self, folder: Path, copied: Copied, aside: Path) -> None:
        """Have the database be what a checked copy has. Nobody is logged in then.

        Args:
            folder: With the copy's files; they are used up.
            aside: A folder for what was there before, where that can be kept.

        Raises:
            StoreError: It cannot be; the database is as it was.
        """


def database_backup(
    url: str, data: Path, reading: Callable[[], AbstractContextManager[None]] = nullcontext
) -> DatabaseBackup:
    """Return what copies a server's database.

    Args:
        url: As of `Store`.
        data: The data folder.
        reading: Makes what is entered while the files of SQLite are read, with other rights
            perhaps.

    Raises:
        ConfigError: The address is wrong, or its driver is not installed.
    """
    if not url:
        return SQLiteBackup(data, reading)
    # Here: the two modules need each other, and SQLite alone needs no PostgreSQL.
    from ntvmedia.store.postgresql_backup import PostgreSQLBackup

    return PostgreSQLBackup(PostgreSQL(url))


class SQLiteBackup:
    """The file of SQLite.

    Args:
        data: The data folder.
        reading: As in `database_backup`.
    """

    kind = "sqlite"

    def __init__(
        self, data: Path, reading: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self._reading = reading
        self._path = data / FILE_NAME
        self._database = SQLite(data)

    def save(self, folder: Path) -> Copied:
        if self.is_empty():
            raise StoreError(f"{self._path}: there is no database; a server's first start makes it")
        path = folder / FILE_NAME
        try:
            self._database.copy_to(path, self._reading())
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from None
        except sqlite3.Error as error:
            raise problem_of(error, "the database cannot be copied") from None
        return Copied(_schema_of(folder), (FILE_NAME,))

    def is_empty(self) -> bool:
        return not os.path.lexists(self._path)

    def check(self, folder: Path, copied: Copied) -> None:
        if copied.files != (FILE_NAME,):
            raise StoreError("the backup has not the files of an SQLite database")
        check_schema(copied.schema)
        if _schema_of(folder) != copied.schema:
            raise StoreError("the backup's database has another schema than the backup says")

    def restore(self, folder: Path, copied: Copied, aside: Path) -> None:
        staged = folder / FILE_NAME
        try:
            with closing(sqlite3.connect(staged)) as copy:
                if SESSIONS in tables_of(copied.schema):
                    copy.execute(f"DELETE FROM {SESSIONS}")  # noqa: S608 - a constant
                    copy.commit()
            _sync(staged)
            if not self.is_empty():
                self._put_aside(aside)
            staged.replace(self._path)
            _sync(self._path.parent)
        except OSError as error:
            raise StoreError(f"{self._path} cannot be replaced: {error.strerror}") from None
        except sqlite3.Error as error:
            raise problem_of(error, "the backup's database cannot be used") from None

    def _put_aside(self, aside: Path) -> None:
        """Keep the database that is there under another name as well, and let it have no log."""
        logs = [Path(f"{self._path}{end}") for end in ("-wal", "-shm", "-journal")]
        # First: SQLite removes the log of a file that it finds broken.
        copies = [Path(shutil.copy2(log, aside / log.name)) for log in logs if os.path.lexists(log)]
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True)) as old,
        ):
            old.execute("PRAGMA journal_mode = DELETE").fetchall()
            for copy in copies:
                copy.unlink()
        try:
            os.link(self._path, aside / FILE_NAME)
        except OSError:
            # Not all file systems can have two names for a file.
            shutil.copy2(self._path, aside / FILE_NAME)
        for log in logs:
            # SQLite would take it for the log of the file that comes.
            log.unlink(missing_ok=True)


def check_schema(schema: str) -> None:
    """Check that this program knows a revision of the tables.

    Raises:
        StoreError: It does not.
    """
    known = revisions()
    if schema not in known:
        raise StoreError(
            f"the backup has schema {ascii(schema)[1:-1]}, which is newer than this program's "
            f"{known[0]}: use the program that made it, or a newer one"
        )


def tables_of(schema: str) -> dict[str, list[str]]:
    """Return the tables of a known revision, with their columns in the order of the migrations."""
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            upgrade(connection, schema)
            found = inspect(connection)
            return {
                name: [column["name"] for column in found.get_columns(name)]
                for name in sorted(found.get_table_names())
                if name != VERSION_TABLE
            }
    finally:
        engine.dispose()


def problem_of(error: Exception, what: str) -> StoreError:
    """Put a driver's exception into words.

    Args:
        error: As of the driver, not of SQLAlchemy.
        what: What did not go, as one clause: for errors that have no words of their own.
    """
    return describe(DBAPIError(None, None, error)) or StoreError(what)


def _schema_of(folder: Path) -> str:
    """Look through a copy, and return the revision of its tables.

    Raises:
        StoreError: It is broken, or no database of this program.
    """
    database = SQLite(folder)
    engine = database.engine(pooled=False)
    try:
        with engine.connect() as connection:
            connection.execution_options(read_only=True)
            with connection.begin():
                if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one() != "ok":
                    raise StoreError("the database file is broken")
                found = current_revision(connection)
    except SQLAlchemyError as error:
        problem = database.problem(error)
        if problem is None:
            raise
        raise problem from None
    finally:
        engine.dispose()
    if found is None:
        raise StoreError("the database has not the tables of this program")
    return found


def _sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder.

    Raises:
        OSError: It does not.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
