"""A database comes to the schema of this program whole, or stays as it was."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from ntvmedia.errors import ConfigError
from ntvmedia.store import StoreError, list_applications, migration, sqlite
from ntvmedia.store.migration import MIGRATIONS, VERSION_TABLE
from ntvmedia.store.schema import METADATA
from tests.e2e.postgres import server_program
from tests.store.dumps import NEWEST, added_until, dump_of, revisions
from tests.store.places import BUILT_IN, Place, add, add_all, kept, row

# What makes the migration of `newer` fail when it has done its work: the database, or a bug.
FAILURES = {
    "sql": '    op.execute("UPDATE applications SET hls_segment_count = -1")\n',
    "bug": '    raise KeyError("hush")\n',
}


def revision_of(place: Place) -> str:
    """Return the revision that a database says it has."""
    [[found]] = place.sql(f"SELECT version_num FROM {VERSION_TABLE}")
    return str(found)


def schema_of(place: Place) -> list[tuple[str, ...]]:
    """Return tables and columns as the database has them."""
    if place.server:
        return place.sql(
            "SELECT table_name, column_name, data_type, is_nullable FROM "
            "information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
        )
    return place.sql("SELECT name, sql FROM sqlite_master ORDER BY name")


def restore(place: Place, revision: str) -> None:
    """Fill an empty place with the database of a release."""
    kind = "postgresql" if place.server else "sqlite"
    place.data.mkdir()
    place.sql(dump_of(kind, revision).read_text("utf-8"))


def test_new_database(place: Place) -> None:
    """An empty place gets all tables at once; opened again, nothing changes."""
    place.store()
    assert revision_of(place) == NEWEST
    before = schema_of(place)
    assert kept(place.store()) == BUILT_IN
    assert schema_of(place) == before


def test_tables_are_those_of_the_program(place: Place) -> None:
    """What the migrations make is what `schema` says: columns, types, keys."""

    def compare(connection: Connection) -> object:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

    assert place.store().run_now(compare) == []
    checks = {
        str(constraint.name)
        for table in METADATA.tables.values()
        for constraint in table.constraints
        if constraint.name
    }
    dump = "\n".join(
        [dump_of(kind, NEWEST).read_text("utf-8") for kind in ("sqlite", "postgresql")]
    )
    assert all(dump.count(f"CONSTRAINT {name}") == 2 for name in checks), checks


def test_revisions_are_one_line() -> None:
    """Each revision has one before it, and its file is named after it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())
    assert [script.revision for script in reversed(scripts)] == revisions()
    assert [script.down_revision for script in reversed(scripts)] == [None, *revisions()[:-1]]


@pytest.mark.parametrize("revision", revisions())
def test_earlier_releases(place: Place, revision: str) -> None:
    """The database of each release so far is brought to the newest schema with all that it had."""
    restore(place, revision)
    assert revision_of(place) == revision
    expected = added_until(revision)
    store = place.store()
    rows = {found.name: found for found in store.run_now(list_applications)}
    assert sorted(rows) == sorted([*BUILT_IN, *(added.name for added in expected)])
    assert [rows[added.name] for added in expected] == expected
    assert revision_of(place) == NEWEST
    # And it is one that this program writes into as into its own.
    add(store, "new")
    with pytest.raises(StoreError, match="refuses a value"):
        add_all(store, [row("bad", hls_key_segments=0)])


@pytest.mark.parametrize("revision", revisions())
@pytest.mark.parametrize("failure", FAILURES)
def test_failed_update(
    place: Place, newer: Path, monkeypatch: pytest.MonkeyPatch, revision: str, failure: str
) -> None:
    """Of several migrations the last one fails: those before it did nothing either."""
    restore(place, revision)
    before, rows = schema_of(place), place.sql("SELECT * FROM applications ORDER BY name")
    version = newer / "versions" / "r9000_note.py"
    version.write_text(version.read_text("utf-8") + FAILURES[failure], "utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(migration, "MIGRATIONS", newer)
        with pytest.raises(ConfigError, match=f"from schema {revision} to 9000 failed"):
            place.unopened().open()
    assert schema_of(place) == before
    assert place.sql("SELECT * FROM applications ORDER BY name") == rows
    assert revision_of(place) == revision
    assert len(kept(place.store())) == len(rows)


def test_newer_database(place: Place, newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G-LC-09, downgrade: a newer schema is refused, both revisions are named, nothing changes."""
    with monkeypatch.context() as patch:
        patch.setattr(migration, "MIGRATIONS", newer)
        place.store()
    before = schema_of(place)
    content = place.file.read_bytes() if place.file.exists() else b""
    message = f"schema 9000, which is newer than this program's {NEWEST}: run a newer program"
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        place.unopened().open()
    assert caught.value.path == (("database", "url") if place.server else (f"--data {place.data}",))
    assert schema_of(place) == before
    assert revision_of(place) == "9000"
    assert (place.file.read_bytes() if place.file.exists() else b"") == content


def test_migration(place: Place, newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer program changes the tables and the rows; what was there stays."""
    add(place.store(), "mine")
    monkeypatch.setattr(migration, "MIGRATIONS", newer)
    rows = place.store().run_now(list_applications)
    assert [row.name for row in rows] == sorted([*BUILT_IN, "mine"])
    assert not any(row.enabled for row in rows)
    assert ("mine", "mine") in place.sql("SELECT name, note FROM applications")
    assert revision_of(place) == "9000"


def test_copy_before_migration(
    sqlite_place: Place, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is copied before it is migrated; put back, the older program goes on with it."""
    place = sqlite_place
    add(place.store(), "mine")
    copy = place.data / "ntvmedia.db.before-9000"
    # Left by one that was killed while it copied.
    copy.with_name(f"{copy.name}.part").write_bytes(b"half")
    with monkeypatch.context() as patch:
        patch.setattr(migration, "MIGRATIONS", newer)
        place.store()
    assert sorted(path.name for path in place.data.iterdir()) == [
        "ntvmedia.db",
        "ntvmedia.db.before-9000",
        "ntvmedia.db.lock",
    ]
    assert copy.stat().st_mode & 0o777 == 0o600
    copy.replace(place.file)
    assert kept(place.store()) == sorted([*BUILT_IN, "mine"])


@pytest.mark.parametrize("failure", FAILURES)
def test_failed_migration(
    place: Place, newer: Path, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    """A migration that fails half-way leaves everything as it was, and the old program works."""
    version = newer / "versions" / "r9000_note.py"
    version.write_text(version.read_text("utf-8") + FAILURES[failure], "utf-8")
    add(place.store(), "mine")
    rows = place.store().run_now(list_applications)
    before = schema_of(place)
    message = f"the change from schema {NEWEST} to 9000 failed: .*; the database is as it was$"
    with monkeypatch.context() as patch:
        patch.setattr(migration, "MIGRATIONS", newer)
        with pytest.raises(ConfigError, match=message) as caught:
            place.unopened().open()
    for secret in ("hush", "UPDATE", "applications"):
        assert secret not in str(caught.value)
    assert schema_of(place) == before
    assert revision_of(place) == NEWEST
    assert place.store().run_now(list_applications) == rows


@pytest.mark.parametrize("failure", FAILURES)
def test_failed_creation(
    place: Place, newer: Path, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    """One that fails at the first start leaves nothing behind, and the next start makes it all."""
    version = newer / "versions" / "r9000_note.py"
    version.write_text(version.read_text("utf-8") + FAILURES[failure], "utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(migration, "MIGRATIONS", newer)
        with pytest.raises(ConfigError, match="the change from schema none to 9000 failed"):
            place.unopened().open()
    if not place.server:
        assert [path.name for path in place.data.iterdir()] == ["ntvmedia.db.lock"]
    assert kept(place.store()) == BUILT_IN


def test_dangling_rows(sqlite_place: Place, newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are rebuilt with SQLite's foreign keys off: what dangles then fails the migration."""
    place = sqlite_place
    place.store()
    version = newer / "versions" / "r9000_note.py"
    dangling = "CREATE TABLE x (name TEXT REFERENCES applications); INSERT INTO x VALUES ('no')"
    lines = [f'    op.execute("{command}")\n' for command in dangling.split("; ")]
    version.write_text(version.read_text("utf-8") + "".join(lines), "utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(migration, "MIGRATIONS", newer)
        with pytest.raises(ConfigError, match="failed: a row refers to a missing one; the data"):
            place.unopened().open()
    assert kept(place.store()) == BUILT_IN


def test_tables_of_another_program(place: Place) -> None:
    """A table of that name that is not ours is left alone."""
    place.data.mkdir()
    place.sql("CREATE TABLE applications (id INTEGER); INSERT INTO applications VALUES (7);")
    with pytest.raises(ConfigError, match='another program has a table "applications"'):
        place.unopened().open()
    assert [str(value) for [value] in place.sql("SELECT id FROM applications")] == ["7"]


def test_several_processes(place: Place) -> None:
    """Of several that start at once one makes the tables, and the others wait for it."""
    code = (
        "import sys; from pathlib import Path; from ntvmedia.store import Store, list_applications;"
        "sys.stdin.read(); store = Store(None, sys.argv[1], Path(sys.argv[2])); store.open();"
        "print(len(store.run_now(list_applications)))"
    )
    command = [sys.executable, "-c", code, place.url, str(place.data)]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)
    ]
    # They have imported everything by the time that the last one has started; then they may go.
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    for child in children:
        with child:
            assert child.stdout is not None
            assert child.stdout.read() == b"4\n"
            assert child.wait(60) == 0
    assert kept(place.store()) == BUILT_IN


@contextmanager
def held_lock(place: Place) -> Iterator[None]:
    """Be another process that migrates."""
    if place.server:
        statement = f"SELECT pg_advisory_lock({int.from_bytes(b'ntvmedia')}); SELECT pg_sleep(600)"
        command = [server_program("psql"), "-qX", place.url, "-c", statement]
        holder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        while place.sql(waiting) != [("1",)]:
            time.sleep(0.02)
        try:
            yield
        finally:
            place.server.psql(
                "SELECT pg_terminate_backend(pid) FROM pg_locks "
                "WHERE locktype = 'advisory' AND granted"
            )
            holder.wait(60)
    else:
        place.data.mkdir(exist_ok=True)
        with (place.data / "ntvmedia.db.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def test_waits_for_another_process(place: Place) -> None:
    """While another process migrates, opening waits; then it finds the tables."""
    store = place.unopened()
    opening = threading.Thread(target=store.open)
    with held_lock(place):
        opening.start()
        opening.join(0.5)
        assert opening.is_alive()
    opening.join(60)
    assert not opening.is_alive()
    assert kept(store) == BUILT_IN


def test_does_not_wait_for_ever(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs with the lock is told, not waited for without an end."""
    monkeypatch.setattr(sqlite, "ALONE_SECONDS", 0.2)
    with held_lock(sqlite_place), pytest.raises(ConfigError, match="locked for too long"):
        sqlite_place.unopened().open()
    assert kept(sqlite_place.store()) == BUILT_IN


def test_write_ahead_log(sqlite_place: Place) -> None:
    """The file has a write-ahead log, and each commit reaches the disk."""
    store = sqlite_place.store()
    with closing(sqlite3.connect(sqlite_place.file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def pragma(name: str, connection: Connection) -> object:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

    # 2 is FULL.
    assert store.run_now(partial(pragma, "synchronous")) == 2
    assert store.run_now(partial(pragma, "foreign_keys")) == 1


def test_folder_without_locks(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system that has no locks is told as that."""

    def flock(_file: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        with pytest.raises(ConfigError, match="data cannot have locks: No locks available"):
            sqlite_place.unopened().open()
    assert kept(sqlite_place.store()) == BUILT_IN


def test_missing_column(place: Place) -> None:
    """A database without a column or table of its schema is told in one line, before any start."""
    place.store()
    place.sql("ALTER TABLE users DROP COLUMN logged_in_at")
    with pytest.raises(ConfigError, match='no column "logged_in_at" in its table "users"'):
        place.store()
    place.sql("DROP TABLE stream_labels")
    with pytest.raises(ConfigError, match='no table "stream_labels"'):
        place.store()
