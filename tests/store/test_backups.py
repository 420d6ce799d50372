"""Tests of ntvmedia.store.backups: databases as files, of both kinds."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from ntvmedia.errors import ConfigError
from ntvmedia.store import (
    LabelRow,
    Store,
    StoreError,
    list_stream_labels,
    migration,
    set_stream_label,
)
from ntvmedia.store.backups import Copied, DatabaseBackup, database_backup, tables_of
from ntvmedia.store.migration import VERSION_TABLE
from ntvmedia.store.schema import METADATA
from tests.store.dumps import NEWEST, added_until, dump_of, revisions
from tests.store.places import BUILT_IN, Place, add, kept


def backup_of(place: Place) -> DatabaseBackup:
    """Return what copies a place."""
    return database_backup(place.url, place.data)


def saved(place: Place, folder: Path) -> Copied:
    """Copy a place into a new folder, and check the copy."""
    folder.mkdir()
    copied = backup_of(place).save(folder)
    backup_of(place).check(folder, copied)
    return copied


def put_back(place: Place, folder: Path, copied: Copied) -> Path:
    """Restore into a place; returns where the old files are."""
    aside = folder.parent / f"{folder.name}-aside"
    aside.mkdir()
    place.data.mkdir(exist_ok=True)
    backup_of(place).restore(folder, copied, aside)
    return aside


def other_place(place: Place, folder: Path) -> Place:
    """Make an empty place of the same kind."""
    return Place(folder, place.server)


def test_round_trip(place: Place, tmp_path: Path) -> None:
    """What one database has, an empty one has afterwards; the copies are all that is needed."""
    store = place.store()
    add(store, "Über-uns")
    odd = LabelRow("a\\b", "tab\tnew\nline \\N", "é中\U0001f600 '\"")
    store.run_now(lambda connection: set_stream_label(connection, odd))
    copied = saved(place, tmp_path / "copy")
    assert copied.schema == NEWEST
    assert {path.name for path in (tmp_path / "copy").iterdir()} == set(copied.files)
    other = other_place(place, tmp_path / "other")
    try:
        assert backup_of(other).is_empty()
        put_back(other, tmp_path / "copy", copied)
        assert not backup_of(other).is_empty()
        opened = other.store()
        assert kept(opened) == sorted([*BUILT_IN, "Über-uns"])
        assert opened.run_now(list_stream_labels) == [odd]
    finally:
        other.close()


def test_replaced(place: Place, tmp_path: Path) -> None:
    """What a database had is gone when another one is put in its place."""
    store = place.store()
    add(store, "before")
    copied = saved(place, tmp_path / "copy")
    add(store, "after")
    place.pump.wait(store.close())
    aside = put_back(place, tmp_path / "copy", copied)
    assert kept(place.store()) == sorted([*BUILT_IN, "before"])
    if not place.server:
        with closing(sqlite3.connect(aside / "ntvmedia.db")) as old:
            found = {name for (name,) in old.execute("SELECT name FROM applications")}
        assert found == {*BUILT_IN, "before", "after"}


@pytest.mark.parametrize("revision", revisions()[:-1])
def test_older_schema(place: Place, revision: str, tmp_path: Path) -> None:
    """A database that was not migrated yet is copied as it is, and migrated where it is put."""
    place.data.mkdir()
    kind = "postgresql" if place.server else "sqlite"
    place.sql(dump_of(kind, revision).read_text("utf-8"))
    copied = saved(place, tmp_path / "copy")
    assert copied.schema == revision
    other = other_place(place, tmp_path / "other")
    try:
        put_back(other, tmp_path / "copy", copied)
        [[found]] = other.sql(f"SELECT version_num FROM {VERSION_TABLE}")
        assert found == revision
        names = [added.name for added in added_until(revision)]
        assert kept(other.store()) == sorted([*BUILT_IN, *names])
    finally:
        other.close()


def test_one_moment(place: Place, tmp_path: Path) -> None:
    """A copy has each transaction whole or not at all, while somebody writes all the time."""
    store = place.store()
    ended = threading.Event()
    written: list[int] = []
    problems: list[BaseException] = []

    def pair(number: int) -> None:
        def work(connection: Connection) -> None:
            for stream in ("left", "right"):
                set_stream_label(connection, LabelRow("a", stream, str(number)))

        store.run_now(work)
        written.append(number)

    def write() -> None:
        try:
            while not ended.is_set():
                pair(len(written) + 1)
        except BaseException as error:
            problems.append(error)

    pair(1)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            least = written[-1]
            copied = saved(place, tmp_path / f"copy{number}")
            most = written[-1] + 1
            other = other_place(place, tmp_path / f"other{number}")
            try:
                put_back(other, tmp_path / f"copy{number}", copied)
                left, right = other.store().run_now(list_stream_labels)
            finally:
                other.close()
            assert left.label == right.label
            assert least <= int(left.label) <= most
    finally:
        ended.set()
        writer.join()
    assert problems == []
    assert written[-1] > 4


def test_numbers_go_on(postgresql_place: Place, tmp_path: Path) -> None:
    """A number that PostgreSQL gave out before is not given out again after a restore."""
    place = postgresql_place
    place.store()
    found = [
        (table.name, column.name)
        for table in METADATA.sorted_tables
        for column in table.primary_key
        if column is table.autoincrement_column
    ]
    copied = saved(place, tmp_path / "copy")
    other = other_place(place, tmp_path / "other")
    try:
        put_back(other, tmp_path / "copy", copied)
        for table, column in found:
            where = f"pg_get_serial_sequence('{table}', '{column}')"
            [[exists]] = other.sql(f"SELECT {where} IS NOT NULL")
            if exists == "t":
                [[highest]] = other.sql(f"SELECT coalesce(max({column}), 0) FROM {table}")
                [[given]] = other.sql(f"SELECT nextval({where})")
                assert int(given) == int(highest) + 1
    finally:
        other.close()


def test_nobody_is_logged_in(place: Place, tmp_path: Path) -> None:
    """F-AC: a session that was ended after the backup does not come back with it."""
    place.store()
    fill_sessions(place)
    copied = saved(place, tmp_path / "copy")
    other = other_place(place, tmp_path / "other")
    try:
        put_back(other, tmp_path / "copy", copied)
        [[count]] = other.sql("SELECT count(*) FROM sessions")
        assert int(count) == 0
        [[users]] = other.sql("SELECT count(*) FROM users")
        assert int(users) == 1
    finally:
        other.close()


def fill_sessions(place: Place) -> None:
    """Put a user and a session into a database, whatever columns they have."""
    store = place.store()

    def work(connection: Connection) -> None:
        for name in ("users", "sessions"):
            table = METADATA.tables[name]
            values = {}
            for column in table.columns:
                kind = column.type.python_type
                values[column.name] = {str: "viewer", int: 1, float: 1.0, bool: True}.get(kind)
            connection.execute(table.insert().values(values))

    store.run_now(work)


def test_shared_database(postgresql_place: Place, tmp_path: Path) -> None:
    """Tables of other programs in the same database are neither copied nor touched."""
    place = postgresql_place
    place.store()
    place.sql("CREATE TABLE theirs (x integer); INSERT INTO theirs VALUES (7)")
    copied = saved(place, tmp_path / "copy")
    assert "theirs.copy" not in copied.files
    put_back(place, tmp_path / "copy", copied)
    assert place.sql("SELECT x FROM theirs") == [("7",)]


def test_tables_of_another_program(postgresql_place: Place, tmp_path: Path) -> None:
    """A table that only has a name of ours is not dropped."""
    place = postgresql_place
    place.store()
    copied = saved(place, tmp_path / "copy")
    other = other_place(place, tmp_path / "other")
    try:
        other.sql("CREATE TABLE applications (x integer)")
        assert not backup_of(other).is_empty()
        with pytest.raises(StoreError, match='another program has a table "applications"'):
            put_back(other, tmp_path / "copy", copied)
        assert other.sql("SELECT count(*) FROM applications") == [("0",)]
    finally:
        other.close()


def test_used_database(postgresql_place: Place, tmp_path: Path) -> None:
    """A database that a server is connected to is not replaced."""
    place = postgresql_place
    store = place.store()
    copied = saved(place, tmp_path / "copy")
    # A server has a connection from its first change on.
    place.pump.wait(store.run(lambda connection: connection.execute(text("SELECT 1")).scalar()))
    with pytest.raises(StoreError, match="a server uses the database"):
        put_back(place, tmp_path / "copy", copied)
    assert kept(place.store()) == BUILT_IN


def test_failed_restore(postgresql_place: Place, tmp_path: Path) -> None:
    """A copy that PostgreSQL refuses leaves the database as it was."""
    place = postgresql_place
    add(place.store(), "mine")
    copied = saved(place, tmp_path / "copy")
    (tmp_path / "copy" / "applications.copy").write_bytes(b"one\ttwo\n")
    with pytest.raises(StoreError):
        put_back(place, tmp_path / "copy", copied)
    assert kept(place.store()) == sorted([*BUILT_IN, "mine"])


def test_nothing_to_copy(place: Place, tmp_path: Path) -> None:
    """A place without a database is told so."""
    place.data.mkdir()
    (tmp_path / "copy").mkdir()
    with pytest.raises(StoreError, match=r"there is no database|has no tables"):
        backup_of(place).save(tmp_path / "copy")


def test_gone_database(postgresql_place: Place, tmp_path: Path) -> None:
    """A server that cannot be reached is told in words, without the password."""
    place = postgresql_place
    address = place.url.replace("127.0.0.1", "127.0.0.2")
    backup = database_backup(address, place.data)
    for ask in (backup.is_empty, lambda: backup.save(tmp_path)):
        with pytest.raises(StoreError, match="cannot be used") as caught:
            ask()
        assert "kept-out-of-messages" not in str(caught.value)
    with pytest.raises(ConfigError):
        database_backup("mysql://me@host/x", place.data)


def test_wrong_copies(place: Place, tmp_path: Path) -> None:
    """Before anything is touched: schemas that are unknown, files that are missing."""
    place.store()
    copied = saved(place, tmp_path / "copy")
    backup = backup_of(place)
    with pytest.raises(StoreError, match="schema 9999, which is newer than this program"):
        backup.check(tmp_path / "copy", copied._replace(schema="9999"))
    with pytest.raises(StoreError, match="the backup has not"):
        backup.check(tmp_path / "copy", copied._replace(files=("x",)))


def test_wrong_files(sqlite_place: Place, tmp_path: Path) -> None:
    """A file that is broken, empty or of another schema than announced is found out."""
    place = sqlite_place
    place.store()
    copied = saved(place, tmp_path / "copy")
    backup = backup_of(place)
    path = tmp_path / "copy" / "ntvmedia.db"
    with pytest.raises(StoreError, match="another schema"):
        backup.check(tmp_path / "copy", copied._replace(schema="0001"))
    good = path.read_bytes()
    for bad in (b"", b"x" * 5000, good[:4096] + b"x" * (len(good) - 4096), good[: len(good) // 2]):
        path.write_bytes(bad)
        with pytest.raises(StoreError, match=r"broken|has not the tables"):
            backup.check(tmp_path / "copy", copied)


def test_broken_database_is_replaced(sqlite_place: Place, tmp_path: Path) -> None:
    """A restore is for a day when the database is broken: its files are kept as they are."""
    place = sqlite_place
    store = place.store()
    copied = saved(place, tmp_path / "copy")
    place.pump.wait(store.close())
    place.file.write_bytes(b"junk" * 3000)
    Path(f"{place.file}-wal").write_bytes(b"log")
    aside = put_back(place, tmp_path / "copy", copied)
    assert kept(place.store()) == BUILT_IN
    assert (aside / "ntvmedia.db").read_bytes() == b"junk" * 3000
    assert (aside / "ntvmedia.db-wal").read_bytes() == b"log"


def test_newer_database(postgresql_place: Place, newer: Path, tmp_path: Path) -> None:
    """A database of a newer program is neither copied nor replaced: it may have unknown tables."""
    place = postgresql_place
    place.store()
    copied = saved(place, tmp_path / "copy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migration, "MIGRATIONS", newer)
        Store(None, place.url, place.data).open()
    (tmp_path / "again").mkdir()
    with pytest.raises(StoreError, match="schema 9000, which is newer"):
        backup_of(place).save(tmp_path / "again")
    with pytest.raises(StoreError, match="newer schema 9000"):
        put_back(place, tmp_path / "copy", copied)


def test_tables_of_each_revision() -> None:
    """Which tables a schema has is known without a database of it."""
    assert list(tables_of("0001")) == ["applications"]
    assert set(tables_of(NEWEST)) == set(METADATA.tables)
