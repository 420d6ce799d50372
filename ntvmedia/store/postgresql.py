"""PostgreSQL, by its address; with the driver psycopg, which is an extra."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from ntvmedia.errors import ConfigError
from ntvmedia.store.problems import StoreError, describe

SETTING: Final = ("database", "url")

# Parameters of libpq ("Parameter Key Words") and psycopg; the address may have others.
_PARAMETERS: Final = {
    "application_name": "ntvmedia",
    "client_encoding": "utf8",
    # Seconds for each address of the host.
    "connect_timeout": 5,
    # A peer that is gone without a word is noticed after some 20 s.
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    # Statements that the server remembers for a session do not survive a pooler such as pgbouncer.
    "prepare_threshold": None,
}

# Sent after connecting, since a pooler refuses them as parameters. Milliseconds.
_LIMITS: Final = (
    "SET statement_timeout = 10000; SET lock_timeout = 5000; "
    "SET idle_in_transaction_session_timeout = 60000"
)

# A migration may rewrite tables, and waits for one that another process does.
_MIGRATION_LIMITS: Final = "SET statement_timeout = 600000; SET lock_timeout = 60000"

# Any number that no other program takes: "ntvmedia" in ASCII.
_LOCK: Final = int.from_bytes(b"ntvmedia")


class PostgreSQL:
    """A database of a server that is there already.

    Args:
        url: As in libpq: "postgresql://USER:PASSWORD@HOST:PORT/NAME?PARAMETER=VALUE".

    Attributes:
        setting: What an operator changes to have another database, for `ConfigError`.

    Raises:
        ConfigError: The address is of another kind, or the driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.setting: tuple[str, ...] = SETTING
        self._url = check_url(url)
        try:
            import psycopg  # an extra
        except ImportError as error:
            message = f"PostgreSQL needs {error.name}: install ntvmedia[postgresql]"
            raise ConfigError(message, SETTING) from None
        self._driver = psycopg

    def engine(self, *, pooled: bool) -> Engine:
        """Make what opens connections.

        Args:
            pooled: Keep one connection open, which is tried out before each use.
        """
        options: dict[str, Any] = {"poolclass": NullPool}
        if pooled:
            options = {
                "poolclass": QueuePool,
                "pool_size": 1,
                "max_overflow": 0,
                "pool_pre_ping": True,
            }
        engine = create_engine(
            self._url,
            connect_args={
                name: value for name, value in _PARAMETERS.items() if name not in self._url.query
            },
            # What is bound may be a password.
            hide_parameters=True,
            **options,
        )
        event.listen(engine, "connect", _limit)
        return engine

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Give a connection in a transaction while no other process migrates.

        It is committed at the end of the body.

        Raises:
            SQLAlchemyError: The database cannot be used.
        """
        engine = self.engine(pooled=False)
        try:
            with self._first_connection(engine) as connection, connection.begin():
                connection.exec_driver_sql(_MIGRATION_LIMITS)
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
                yield connection
        finally:
            engine.dispose()

    def _first_connection(self, engine: Engine) -> Connection:
        try:
            return engine.connect()
        except ProgrammingError as error:
            # What psycopg and libpq say of a parameter of the address that is unknown or wrong.
            message = f"wrong parameter of the address: {self._reason(str(error.orig))}"
            raise ConfigError(message, SETTING) from None

    def finish(self, connection: Connection) -> None:
        """Do nothing: PostgreSQL has checked each statement."""

    def keep_copy(self, connection: Connection, revision: str) -> None:
        """Do nothing: PostgreSQL takes back what a failed migration did, and has its own copies."""

    def problem(self, error: SQLAlchemyError) -> StoreError | None:
        """Put an exception into words; see `problems.describe`."""
        found = describe(error)
        # What fails before there is a session has no code.
        if found is None and isinstance(error, OperationalError):
            reason = self._reason(str(error.orig))
            return StoreError(f"the database at {self._place()} cannot be used: {reason}")
        return found

    def _place(self) -> str:
        host = self._url.host or self._url.query.get("host") or "the local socket"
        place = host if isinstance(host, str) else ", ".join(host)
        return f"{place}:{self._url.port}" if self._url.port else place

    def _reason(self, text: str) -> str:
        """Return the last clause of what psycopg says of a connection that failed."""
        # One line for each address that was tried. What is indented asks back, as in "Is the
        # server running on that host?".
        lines = [line for line in text.splitlines() if line and not line[0].isspace()]
        reason = lines[-1] if lines else ""
        for mark in ("FATAL: ", "failed: ", "connection is bad: "):
            reason = reason.rpartition(mark)[2].strip()
        password = self._url.password
        if not reason or (password and password in reason):
            return "the connection failed"
        return reason

    def interrupt(self, raw: Any) -> None:
        """End what a connection does, from another thread, by cutting it off."""
        # It may be closed by now, or just be ending.
        with (
            suppress(OSError, self._driver.Error),
            socket.socket(fileno=os.dup(raw.fileno())) as copy,
        ):
            copy.shutdown(socket.SHUT_RDWR)


def check_url(url: str) -> URL:
    """Check an address, without connecting.

    Raises:
        ConfigError: It is not one of PostgreSQL. The message does not repeat it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.drivername != "postgresql":
        raise ConfigError("expected postgresql://USER:PASSWORD@HOST/NAME, or nothing", SETTING)
    return parsed.set(drivername="postgresql+psycopg")


def _limit(raw: Any, record: Any) -> None:
    with raw.cursor() as cursor:
        cursor.execute(_LIMITS)
    raw.commit()
