"""Databases of PostgreSQL as files: what its `COPY` makes of each table, in text format.

The programs of PostgreSQL itself need not be installed where the server is. Of a database that is
shared with others, the tables of this program are copied, and no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from ntvmedia.store.backups import SESSIONS, Copied, check_schema, problem_of, tables_of
from ntvmedia.store.migration import VERSION_TABLE, current_revision, revisions, upgrade
from ntvmedia.store.postgresql import PostgreSQL
from ntvmedia.store.problems import StoreError
from ntvmedia.store.schema import METADATA

_ENDING: Final = ".copy"

# Read from the disk, and sent at once.
_CHUNK_BYTES: Final = 1 << 16

# In place of the limits of changes: a copy takes as long as it takes, and blocks nobody.
_LIMITS: Final = (
    "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
)

# A server keeps its connection open, under this name unless its address has another one.
_OTHERS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'ntvmedia' AND pid <> pg_backend_pid()"
)


class PostgreSQLBackup:
    """A database of PostgreSQL.

    Args:
        database: Which one.
    """

    kind = "postgresql"

    def __init__(self, database: PostgreSQL) -> None:
        self._database = database

    def save(self, folder: Path) -> Copied:
        with self._words("the database cannot be copied"):
            schema = self._schema()
            tables = tables_of(schema)
            with self._reading() as connection:
                # The first statement: what is seen is fixed by the next one, when no migration
                # can come between any more (PostgreSQL, "LOCK").
                names = ", ".join(_quoted(name) for name in [VERSION_TABLE, *tables])
                connection.exec_driver_sql(f"LOCK TABLE {names} IN ACCESS SHARE MODE")
                if current_revision(connection) != schema:
                    raise StoreError("a server changes the database's tables now: try again")
                for table, columns in tables.items():
                    _copy_out(connection, table, columns, folder / f"{table}{_ENDING}")
        return Copied(schema, tuple(f"{table}{_ENDING}" for table in tables))

    def is_empty(self) -> bool:
        with self._words("the database cannot be read"), self._reading() as connection:
            found = set(inspect(connection).get_table_names())
        return not found & {VERSION_TABLE, *METADATA.tables}

    def check(self, folder: Path, copied: Copied) -> None:
        check_schema(copied.schema)
        if copied.files != tuple(f"{table}{_ENDING}" for table in tables_of(copied.schema)):
            raise StoreError("the backup has not the tables of the schema that it says it has")

    def restore(self, folder: Path, copied: Copied, aside: Path) -> None:
        tables = tables_of(copied.schema)
        with (
            self._words("the backup's tables cannot be put back"),
            self._database.migrating() as connection,
        ):
            connection.exec_driver_sql(_LIMITS)
            if connection.exec_driver_sql(_OTHERS).scalar_one():
                raise StoreError("a server uses the database: stop it")
            _drop_all(connection)
            upgrade(connection, copied.schema)
            # The migrations have put in what a new database has.
            names = ", ".join(map(_quoted, tables))
            connection.exec_driver_sql(f"TRUNCATE {names}")
            for table in _in_order(connection, tables):
                if table != SESSIONS:
                    _copy_in(connection, table, tables[table], folder / f"{table}{_ENDING}")
                _continue_numbers(connection, table, tables[table])

    def _schema(self) -> str:
        with self._reading() as connection:
            found = current_revision(connection)
        if found is None:
            raise StoreError("the database has no tables of this program")
        if found not in (known := revisions()):
            raise StoreError(
                f"the database has schema {found}, which is newer than this program's {known[0]}: "
                "use the program of the server"
            )
        return found

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Give a connection in a transaction that sees one moment, and changes nothing."""
        engine = self._database.engine(pooled=False)
        try:
            with engine.connect() as connection:
                connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
                with connection.begin():
                    connection.exec_driver_sql(_LIMITS)
                    yield connection
        finally:
            engine.dispose()

    @contextmanager
    def _words(self, what: str) -> Iterator[None]:
        """Put what fails into words.

        Raises:
            StoreError: Something did.
        """
        try:
            yield
        except OSError as error:
            raise StoreError(f"{what}: {error.strerror}") from None
        except SQLAlchemyError as error:
            problem = self._database.problem(error)
            if problem is None:
                raise
            raise problem from None
        except Exception as error:
            # `COPY` goes by the driver itself, whose exceptions have a code.
            if getattr(error, "sqlstate", None) is None:
                raise
            raise problem_of(error, what) from None


def _copy_out(connection: Connection, table: str, columns: list[str], path: Path) -> None:
    with (
        path.open("xb") as file,
        _cursor(connection) as cursor,
        cursor.copy(f"COPY {_table(table, columns)} TO STDOUT") as copy,
    ):
        for data in copy:
            file.write(data)


def _copy_in(connection: Connection, table: str, columns: list[str], path: Path) -> None:
    with (
        path.open("rb") as file,
        _cursor(connection) as cursor,
        cursor.copy(f"COPY {_table(table, columns)} FROM STDIN") as copy,
    ):
        while data := file.read(_CHUNK_BYTES):
            copy.write(data)


def _drop_all(connection: Connection) -> None:
    """Remove this program's tables, where there are any.

    Raises:
        StoreError: They are somebody else's, or have a newer schema.
    """
    taken = sorted(set(inspect(connection).get_table_names()) & set(METADATA.tables))
    found = current_revision(connection)
    if found is None:
        if taken:
            raise StoreError(f'another program has a table "{taken[0]}" in this database')
        return
    if found not in revisions():
        raise StoreError(f"the database has the newer schema {found}: use an empty one")
    names = ", ".join(_quoted(name) for name in [VERSION_TABLE, *tables_of(found)])
    connection.exec_driver_sql(f"DROP TABLE {names}")


def _in_order(connection: Connection, tables: dict[str, list[str]]) -> list[str]:
    """Return the tables, each after those that its rows refer to."""
    ordered = inspect(connection).get_sorted_table_and_fkc_names()
    return [name for name, _keys in ordered if name in tables]


def _continue_numbers(connection: Connection, table: str, columns: list[str]) -> None:
    """Have the numbers that PostgreSQL gives out go on after those that are there."""
    for column in columns:
        sequence = connection.execute(
            text("SELECT pg_get_serial_sequence(:table, :column)"),
            {"table": _quoted(table), "column": column},
        ).scalar_one()
        if sequence is not None:
            connection.execute(
                text(
                    f"SELECT setval(:sequence, (SELECT coalesce(max({_quoted(column)}), 0) + 1 "  # noqa: S608
                    f"FROM {_quoted(table)}), false)"
                ),
                {"sequence": sequence},
            )


def _cursor(connection: Connection) -> Any:
    """Return a cursor of the driver, in the connection's transaction."""
    driver: Any = connection.connection.driver_connection
    return driver.cursor()


def _table(table: str, columns: list[str]) -> str:
    return f"{_quoted(table)} ({', '.join(map(_quoted, columns))})"


def _quoted(name: str) -> str:
    # Names of the migrations: constants of this program.
    return f'"{name}"'
