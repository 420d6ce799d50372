"""A server that is not there, goes away, comes back or hangs; and what its address may say."""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from ntvmedia.errors import ConfigError
from ntvmedia.store import (
    Store,
    StoreError,
    database,
    insert_application,
    list_applications,
)
from ntvmedia.store.postgresql import check_url
from tests.e2e.postgres import PASSWORD, USER, PostgreSQLServer
from tests.e2e.server import free_port
from tests.store.places import BUILT_IN, Place, kept, row


def write(place: Place, store: Store, name: str, password: str = "") -> None:
    """Add an application in the store's own thread, by the connection that it keeps."""
    added = row(name, publish_password=password)
    place.pump.wait(store.run(lambda connection: insert_application(connection, added)))


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgreSQLServer]:
    """A server that a test may stop: the one of all tests goes on."""
    with PostgreSQLServer() as server:
        yield server


@pytest.fixture
def own_place(tmp_path: Path, own_server: PostgreSQLServer) -> Iterator[Place]:
    """An empty database there."""
    place = Place(tmp_path, own_server)
    yield place
    place.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["in-order", "at-once"])
def test_stopped_and_started(
    own_server: PostgreSQLServer, own_place: Place, number: signal.Signals
) -> None:
    """While the server is gone each change fails with its address; when it is back, it is found."""
    store = own_place.store()
    write(own_place, store, "before")
    own_server.stop(number)
    expected = rf"^the database at 127.0.0.1:{own_server.port} cannot be used: Connection refused$"
    for _ in range(2):
        with pytest.raises(StoreError, match=expected):
            write(own_place, store, "lost")
        with pytest.raises(StoreError, match=expected):
            store.run_now(list_applications)
    with pytest.raises(ConfigError, match="cannot be used: Connection refused"):
        own_place.unopened().open()
    own_server.start()
    write(own_place, store, "after")
    assert kept(store) == sorted([*BUILT_IN, "before", "after"])


def test_stopped_in_the_middle(own_server: PostgreSQLServer, own_place: Place) -> None:
    """A transaction that loses its server is not kept, and the next one finds it again."""
    store = own_place.store()

    def work(connection: Connection) -> None:
        insert_application(connection, row("lost"))
        own_server.stop()
        list_applications(connection)

    with pytest.raises(StoreError, match=r"shutting down|connection to the database is lost"):
        own_place.pump.wait(store.run(work))
    own_server.start()
    write(own_place, store, "after")
    assert kept(store) == sorted([*BUILT_IN, "after"])


@pytest.mark.parametrize("when", ["between", "within"])
def test_hanging_server(
    own_server: PostgreSQLServer,
    own_place: Place,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    """One that keeps its connections and never answers is given up after a time."""
    store = own_place.store()
    write(own_place, store, "before")
    monkeypatch.setattr(database, "WORK_SECONDS", 0.5)

    def work(connection: Connection) -> None:
        insert_application(connection, row("lost"))
        own_server.suspend()
        list_applications(connection)

    if when == "between":
        own_server.suspend()
    started = time.monotonic()
    try:
        with pytest.raises(StoreError, match=r"is lost|connection timeout expired"):
            own_place.pump.wait(store.run(work if when == "within" else list_applications))
    finally:
        own_server.resume()
    assert time.monotonic() - started < 20
    monkeypatch.undo()
    write(own_place, store, "after")
    assert kept(store) == sorted([*BUILT_IN, "before", "after"])


def test_locked(postgresql_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that somebody else keeps locked is waited for a limited time."""
    place = postgresql_place
    store = place.store()
    monkeypatch.setattr("ntvmedia.store.postgresql._LIMITS", "SET lock_timeout = 200")
    blocker = place.store()
    write(place, store, "before")

    def work(connection: Connection) -> None:
        connection.exec_driver_sql("LOCK TABLE applications IN EXCLUSIVE MODE")
        with pytest.raises(StoreError, match=r"^the database is locked by another program$"):
            store.run_now(lambda connection: insert_application(connection, row("during")))

    place.pump.wait(blocker.run(work))
    write(place, store, "after")
    assert kept(store) == sorted([*BUILT_IN, "before", "after"])


def test_full_disk(postgresql: PostgreSQLServer, postgresql_place: Place) -> None:
    """A server without room says so (here by a limit that answers with the same code)."""
    store = postgresql_place.store()
    postgresql_place.sql(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$;"
        "CREATE TRIGGER full_disk BEFORE INSERT ON applications EXECUTE FUNCTION full_disk();"
    )
    with pytest.raises(StoreError, match=r"^the disk of the database is full$"):
        write(postgresql_place, store, "x")
    postgresql_place.sql("DROP TRIGGER full_disk ON applications")
    write(postgresql_place, store, "after")


def test_read_only_database(postgresql: PostgreSQLServer, postgresql_place: Place) -> None:
    """A standby, or a database that an operator made read-only, is told as that."""
    store = postgresql_place.store()
    name = postgresql_place.url.rpartition("/")[2]
    postgresql.psql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(StoreError, match=r"^the database is read-only$"):
        write(postgresql_place, store, "x")


def test_rights(postgresql: PostgreSQLServer, postgresql_place: Place) -> None:
    """A user who may not make tables is told at start."""
    postgresql.psql("CREATE USER guest PASSWORD 'guest'")
    name = postgresql_place.url.rpartition("/")[2]
    postgresql_place.url = postgresql.url(name, "guest", "guest")
    with pytest.raises(ConfigError, match="may not do this: permission denied"):
        postgresql_place.unopened().open()


def refusal(url: str) -> str:
    """Return what opening a database is refused with."""
    with pytest.raises(ConfigError) as caught:
        Store(None, url, Path("nowhere")).open()
    assert caught.value.path == ("database", "url")
    for secret in (PASSWORD, "wrong-one", "SELECT"):
        assert secret not in str(caught.value)
    return str(caught.value).removeprefix("database.url: ")


def test_not_reachable(postgresql: PostgreSQLServer) -> None:
    """Each way of not getting in has its reason, with the address and without the password."""
    at = f"the database at 127.0.0.1:{postgresql.port} cannot be used: "
    assert refusal(postgresql.url("nix")) == f'{at}database "nix" does not exist'
    assert refusal(postgresql.url("postgres", password="wrong-one")) == (
        f'{at}password authentication failed for user "{USER}"'
    )
    # The name of the user would show the password here.
    assert refusal(postgresql.url("postgres", "wrong-one", "wrong-one")) == (
        f"{at}the connection failed"
    )
    assert refusal(f"{postgresql.url('postgres')}?sslmode=require") == (
        f"{at}server does not support SSL, but SSL was required"
    )
    nobody = free_port()
    assert refusal(f"postgresql://u:wrong-one@127.0.0.1:{nobody}/x") == (
        f"the database at 127.0.0.1:{nobody} cannot be used: Connection refused"
    )
    both = f"postgresql://u:wrong-one@/x?host=127.0.0.1:{nobody}&host=127.0.0.1:{nobody}"
    assert refusal(both).endswith("cannot be used: Connection refused")
    assert "failed to resolve host" in refusal("postgresql://u:wrong-one@none.invalid/x")
    assert refusal("postgresql:///x?host=/nowhere") == (
        "the database at /nowhere cannot be used: No such file or directory"
    )


def test_silent_server() -> None:
    """One that takes the connection and says nothing is given up after some seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        started = time.monotonic()
        message = refusal(f"postgresql://u:wrong-one@127.0.0.1:{port}/x?connect_timeout=2")
    assert message.endswith("cannot be used: connection timeout expired")
    assert time.monotonic() - started < 15


@pytest.mark.parametrize(
    "parameter", ["nix=3", "connect_timeout=x", "sslmode=maybe", "target_session_attrs=x"]
)
def test_wrong_parameters(postgresql: PostgreSQLServer, parameter: str) -> None:
    """A parameter that libpq does not know is named."""
    message = refusal(f"{postgresql.url('postgres')}?{parameter}")
    assert parameter.partition("=")[0] in message


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:p@host/name",
        "sqlite:///file",
        "postgres://u:p@host/name",
        "postgresql+asyncpg://u:p@host/name",
        "postgresql+psycopg://u:p@host/name",
        "host=example.org",
        "postgresql://u:p@host:port/name",
        "nonsense",
        "//",
    ],
)
def test_other_addresses(url: str) -> None:
    """Only PostgreSQL's own form is taken; the message does not repeat what may have a password."""
    with pytest.raises(ConfigError) as caught:
        check_url(url)
    assert str(caught.value) == (
        "database.url: expected postgresql://USER:PASSWORD@HOST/NAME, or nothing"
    )
    assert refusal(url).startswith("expected postgresql://")


def test_missing_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psycopg the extra that has it is named."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert refusal("postgresql://u:p@127.0.0.1/x") == (
        "PostgreSQL needs psycopg: install ntvmedia[postgresql]"
    )


def test_special_password(postgresql: PostgreSQLServer, postgresql_place: Place) -> None:
    """A password with characters of an address's syntax is written with percent signs."""
    postgresql.psql("CREATE USER special SUPERUSER PASSWORD 'p@ss:/?#w%rd'")
    secret = "special:p%40ss%3A%2F%3F%23w%25rd"
    postgresql_place.url = postgresql_place.url.replace(f"{USER}:{PASSWORD}", secret)
    assert kept(postgresql_place.store()) == BUILT_IN
