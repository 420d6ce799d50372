"""Bringing a database to the schema of this program, whole or not at all."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from ntvmedia.errors import ConfigError
from ntvmedia.store.problems import StoreError
from ntvmedia.store.schema import METADATA

# Not Alembic's own name: a PostgreSQL database may be shared with a program that uses that.
VERSION_TABLE: Final = "ntvmedia_revision"

# Alembic's environment and versions.
MIGRATIONS: Final = Path(__file__).parent / "migrations"


class Backend(Protocol):
    """A kind of database.

    Attributes:
        setting: What an operator changes to have another one.
    """

    setting: tuple[str, ...]

    def engine(self, *, pooled: bool) -> Engine:
        """Make what opens connections; at most one, which is kept, or one for each use."""

    def migrating(self) -> AbstractContextManager[Connection]:
        """Give a connection in a transaction while no other process migrates."""

    def finish(self, connection: Connection) -> None:
        """Check what a migration made, before it is committed."""

    def keep_copy(self, connection: Connection, revision: str) -> None:
        """Keep what there is before it is migrated to a revision, where that is of use."""

    def problem(self, error: SQLAlchemyError) -> StoreError | None:
        """Put an exception into words; `None` for a bug of this program."""

    def interrupt(self, raw: Any) -> None:
        """End what a driver's connection does, from another thread."""


def migrate(backend: Backend) -> None:
    """Make the tables, or bring them to what this program uses.

    Blocking. Of several processes one does it, and the others wait.

    Raises:
        ConfigError: The database cannot be used, or is newer than this program, or its migration
            failed. It is as it was before.
    """
    try:
        with backend.migrating() as connection:
            _bring_to_newest(backend, connection)
    except StoreError as error:
        raise ConfigError(str(error), backend.setting) from None
    except SQLAlchemyError as error:
        problem = backend.problem(error)
        if problem is None:
            raise
        raise ConfigError(str(problem), backend.setting) from None


def _bring_to_newest(backend: Backend, connection: Connection) -> None:
    known = revisions()
    newest = known[0]
    found = current_revision(connection)
    if found == newest:
        _check_columns(backend, connection)
        return
    if found is None:
        taken = set(inspect(connection).get_table_names()) & set(METADATA.tables)
        if taken:
            message = f'another program has a table "{min(taken)}" in this database'
            raise ConfigError(message, backend.setting)
    elif found not in known:
        message = (
            f"the database has schema {found}, which is newer than this program's {newest}: "
            "run a newer program, or put back a copy of the database"
        )
        raise ConfigError(message, backend.setting)
    else:
        backend.keep_copy(connection, newest)
    try:
        upgrade(connection, newest)
        backend.finish(connection)
    except Exception as error:
        problem = backend.problem(error) if isinstance(error, SQLAlchemyError) else None
        if isinstance(error, StoreError):
            problem = error
        # What a driver says of a statement may have SQL in it; its kind has not.
        reason = problem or type(getattr(error, "orig", error)).__name__
        message = f"the change from schema {found or 'none'} to {newest} failed: {reason}"
        raise ConfigError(f"{message}; the database is as it was", backend.setting) from error


def _check_columns(backend: Backend, connection: Connection) -> None:
    """Refuse a database in which something is missing; what there is besides does not matter.

    Somebody changed it, or put a part of it back: it would fail later, at the first who needs it.

    Raises:
        ConfigError: A table or a column is missing.
    """
    there = inspect(connection)
    tables = set(there.get_table_names())
    for name, table in sorted(METADATA.tables.items()):
        if name not in tables:
            what = f'no table "{name}"'
        else:
            columns = {column["name"] for column in there.get_columns(name)}
            missing = [column.name for column in table.columns if column.name not in columns]
            if not missing:
                continue
            what = f'no column "{missing[0]}" in its table "{name}"'
        message = f"the database has {what}, which its schema has: put back a copy of it"
        raise ConfigError(message, backend.setting)


def current_revision(connection: Connection) -> str | None:
    """Return the revision of the tables that there are; `None` where there are none."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def revisions() -> list[str]:
    """Return the revisions that this program knows, the newest first."""
    scripts = ScriptDirectory.from_config(_config())
    return [script.revision for script in scripts.walk_revisions()]


def upgrade(connection: Connection, revision: str) -> None:
    """Bring the tables to a known revision, in the connection's transaction.

    Raises:
        SQLAlchemyError: The database did not do it.
    """
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _config() -> Config:
    config = Config()
    # The parser of Alembic's configuration takes a percent sign for a reference.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
