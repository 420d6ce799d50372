"""What happens to a file: a clear error each time, nothing half kept, and work goes on after it."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from ntvmedia.errors import ConfigError
from ntvmedia.store import (
    Store,
    StoreError,
    insert_application,
    list_applications,
    migration,
    sqlite,
)
from tests.store.dumps import NEWEST
from tests.store.places import BUILT_IN, Place, add, kept, row

# Who has no rights, for tests that run as root.
NOBODY = 65534


def write(place: Place, store: Store, name: str, password: str = "") -> None:
    """Add an application in the store's own thread, by the connection that it keeps."""
    added = row(name, publish_password=password)
    place.pump.wait(store.run(lambda connection: insert_application(connection, added)))


def read(place: Place, store: Store) -> list[str]:
    """Return the names, as that connection sees them."""
    rows = place.pump.wait(store.run(list_applications, read_only=True))
    return [row.name for row in rows]


@pytest.fixture
def place(sqlite_place: Place) -> Place:
    """SQLite only."""
    return sqlite_place


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not wait long for locks."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)


def test_modes(place: Place) -> None:
    """Passwords are in there: the files are for their owner only, the log beside it too."""
    store = place.store()
    write(place, store, "x")
    modes = {path.name: path.stat().st_mode & 0o777 for path in place.data.iterdir()}
    assert modes == {
        "ntvmedia.db": 0o600,
        "ntvmedia.db-shm": 0o600,
        "ntvmedia.db-wal": 0o600,
        "ntvmedia.db.lock": 0o600,
    }
    assert place.data.stat().st_mode & 0o007 == 0


def test_mode_of_a_copy(place: Place) -> None:
    """A copy that was put back with the mode of all files is shut again."""
    place.store()
    place.file.chmod(0o644)
    place.store()
    assert place.file.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("impatient")
def test_locked(place: Place) -> None:
    """Another program that keeps the lock: writing fails after a time, reading goes on."""
    store = place.store()
    write(place, store, "before")
    with closing(sqlite3.connect(place.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with pytest.raises(StoreError, match=r"^the database is locked by another program$"):
                write(place, store, "during")
            assert "before" in read(place, store)
        with pytest.raises(ConfigError, match="the database is locked by another program"):
            place.unopened().open()
        other.execute("ROLLBACK")
    write(place, store, "after")
    assert kept(store) == sorted([*BUILT_IN, "before", "after"])


def test_short_locks_are_waited_for(place: Place) -> None:
    """A command line that writes at the same time disturbs nobody."""
    store, other = place.store(), place.store()

    def work(name: str, connection: Connection) -> None:
        insert_application(connection, row(name))

    answers = [
        writer.run(partial(work, f"{letter}{number}"))
        for number in range(30)
        for letter, writer in (("a", store), ("b", other))
    ]
    for answer in answers:
        place.pump.wait(answer)
    assert len(kept(store)) == 64


@contextmanager
def tiny_disk(folder: Path) -> Iterator[None]:
    """A file system of its own with room for little more than a new database."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=384k", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def limit_files(size: int) -> None:
    """Let no file of this process grow beyond a size: writing fails as with a quota."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


@contextmanager
def small_files(folder: Path) -> Iterator[None]:
    """Files with room for little more than a new database."""
    limit_files(288 << 10)
    try:
        yield
    finally:
        limit_files(resource.RLIM_INFINITY)


def can_mount() -> bool:
    """Whether a file system may be mounted here: as root, outside of most containers."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tiny_disk(Path(folder)):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


DISKS = {"limit": (small_files, "the disk of the database failed")}
if can_mount():
    DISKS["full"] = (tiny_disk, "the disk of the database is full")


@pytest.mark.parametrize("disk", DISKS)
def test_full_disk(place: Place, disk: str) -> None:
    """A full disk: the change is refused, the rest stays readable, and room helps at once."""
    full, message = DISKS[disk]
    with full(place.data):
        store = place.store()
        write(place, store, "before")
        with pytest.raises(StoreError, match=f"^{message}$"):
            write(place, store, "large", "x" * (512 << 10))
        assert read(place, store) == sorted([*BUILT_IN, "before"])
        # Until nothing goes in any more; what went in before is kept.
        kept_names: list[str] = []
        with pytest.raises(StoreError, match=f"^{message}$"):
            for number in range(100):
                write(place, store, f"n{number}", "x" * 4096)
                kept_names.append(f"n{number}")
        assert kept_names
        assert read(place, store) == sorted([*BUILT_IN, "before", *kept_names])
        if disk == "full":
            subprocess.run(["mount", "-o", "remount,size=4m", place.data], check=True)
        else:
            limit_files(resource.RLIM_INFINITY)
        write(place, store, "after")
        assert read(place, store) == sorted([*BUILT_IN, "before", "after", *kept_names])
        place.pump.wait(store.close())
        assert len(kept(place.store())) == 6 + len(kept_names)


@pytest.mark.parametrize("disk", DISKS)
def test_full_disk_at_migration(
    place: Place, newer: Path, monkeypatch: pytest.MonkeyPatch, disk: str
) -> None:
    """No room for the copy before a migration: it is not begun, and no half copy is left."""
    full, _message = DISKS[disk]
    with full(place.data):
        store = place.store()
        write(place, store, "mine", "x" * (60 << 10))
        place.pump.wait(store.close())
        filler = place.data / "filler"
        if disk == "full":
            with filler.open("wb", 0) as file, pytest.raises(OSError):
                while True:
                    file.write(bytes(4096))
        else:
            limit_files(40 << 10)
        with monkeypatch.context() as patch:
            patch.setattr(migration, "MIGRATIONS", newer)
            with pytest.raises(ConfigError, match=r"cannot be written|disk of the database"):
                place.unopened().open()
        filler.unlink(missing_ok=True)
        assert not [path for path in place.data.iterdir() if "before" in path.name]
        [[revision]] = place.sql("SELECT version_num FROM ntvmedia_revision")
        assert revision == NEWEST
    if disk == "limit":
        assert "mine" in kept(place.store())


def junk_all(file: Path) -> None:
    """Write over all of it."""
    with file.open("r+b") as opened:
        opened.write(os.urandom(file.stat().st_size))


def junk_behind_the_header(file: Path) -> None:
    """Write over all pages but the first."""
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(os.urandom(file.stat().st_size - 4096))


def cut(file: Path) -> None:
    """Cut off all but its beginning."""
    os.truncate(file, 5000)


def empty(file: Path) -> None:
    """Leave nothing."""
    os.truncate(file, 0)


DAMAGES = [junk_all, junk_behind_the_header, cut, empty]


@pytest.mark.parametrize("damage", DAMAGES)
def test_broken_while_open(place: Place, damage: Callable[[Path], None]) -> None:
    """A file that somebody writes over is noticed before a change goes into it.

    With a good copy put in its place, work goes on.
    """
    store = place.store()
    write(place, store, "before")
    copy = place.data / "copy"
    with closing(sqlite3.connect(place.file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    damage(place.file)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"^the database file is broken|has not the tables"):
            write(place, store, "lost")
    for log in ("-wal", "-shm"):
        place.file.with_name(f"{place.file.name}{log}").unlink(missing_ok=True)
    copy.replace(place.file)
    write(place, store, "after")
    assert read(place, store) == sorted([*BUILT_IN, "before", "after"])


@pytest.mark.parametrize("damage", DAMAGES[:3])
def test_broken_at_start(place: Place, damage: Callable[[Path], None]) -> None:
    """G-LC-09: a broken file is refused with a clear message, and left as it is."""
    store = place.store()
    write(place, store, "before")
    place.pump.wait(store.close())
    damage(place.file)
    content = place.file.read_bytes()
    with pytest.raises(ConfigError, match="the database file is broken") as caught:
        place.unopened().open()
    assert caught.value.path == (f"--data {place.data}",)
    assert place.file.read_bytes() == content
    assert sorted(path.name for path in place.data.iterdir()) == [
        "ntvmedia.db",
        "ntvmedia.db.lock",
    ]


def test_empty_at_start(place: Place) -> None:
    """An empty file is a new database: SQLite itself makes no difference."""
    place.data.mkdir()
    place.file.touch()
    assert kept(place.store()) == BUILT_IN


def test_removed_while_open(place: Place) -> None:
    """Nothing is written into a file that has no name any more, nor is a new one begun."""
    store = place.store()
    write(place, store, "before")
    hidden = place.data / "hidden"
    place.file.rename(hidden)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"^the database file cannot be opened: it is gone$"):
            write(place, store, "lost")
    assert not place.file.exists()
    hidden.rename(place.file)
    write(place, store, "after")
    assert read(place, store) == sorted([*BUILT_IN, "before", "after"])


def test_replaced_while_open(place: Place) -> None:
    """A copy that was put in the place of the file is used from then on."""
    store = place.store()
    copy = place.data / "copy"
    with closing(sqlite3.connect(place.file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    write(place, store, "not-in-the-copy")
    for log in ("-wal", "-shm"):
        place.file.with_name(f"{place.file.name}{log}").unlink()
    copy.replace(place.file)
    assert read(place, store) == BUILT_IN
    write(place, store, "after")
    assert kept(place.store()) == sorted([*BUILT_IN, "after"])


@pytest.fixture
def as_nobody(place: Place) -> Iterator[Place]:
    """SQLite in a folder of somebody whom modes of files concern."""
    place.data = folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield place
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_read_only_folder_at_start(as_nobody: Place) -> None:
    """A folder that may not be written is refused with its name."""
    place, folder = as_nobody, as_nobody.data
    place.data = folder / "data"
    folder.chmod(0o500)
    with pytest.raises(ConfigError, match="Permission denied") as caught:
        place.unopened().open()
    assert str(place.data) in str(caught.value)
    folder.chmod(0o700)
    assert kept(place.store()) == BUILT_IN


def test_read_only_database_at_start(as_nobody: Place) -> None:
    """So is a database in one that may not be written any more: nothing half starts."""
    place = as_nobody
    place.store()
    (place.data / "ntvmedia.db.lock").unlink()
    place.data.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be made: Permission denied"):
        place.unopened().open()
    place.data.chmod(0o700)
    assert kept(place.store()) == BUILT_IN


def test_rights_taken_while_open(as_nobody: Place) -> None:
    """Rights that are taken away are told, and given back are used, without a new start."""
    place = as_nobody
    store = place.store()
    # The log beside the file cannot be made.
    place.data.chmod(0o500)
    with pytest.raises(StoreError, match=r"^the database (is read-only|file cannot be opened)"):
        write(place, store, "x")
    place.data.chmod(0o700)
    place.file.chmod(0)
    with pytest.raises(
        StoreError, match=r"^the database file cannot be opened: permission denied$"
    ):
        write(place, store, "x")
    # SQLite makes a log now that is read-only as well.
    place.file.chmod(0o400)
    with pytest.raises(StoreError, match=r"^the database is read-only$"):
        write(place, store, "x")
    place.file.chmod(0o600)
    write(place, store, "after")
    assert kept(store) == sorted([*BUILT_IN, "after"])


def test_folder_in_the_place_of_the_file(place: Place) -> None:
    """What is no file is told as that."""
    place.file.mkdir(parents=True)
    with pytest.raises(ConfigError, match="the database file cannot be opened: it is no file"):
        place.unopened().open()
    place.data.joinpath("ntvmedia.db").rmdir()
    assert kept(place.store()) == BUILT_IN


def test_file_in_the_place_of_the_folder(place: Place) -> None:
    """So is a data folder that is none."""
    place.data.touch()
    with pytest.raises(ConfigError, match="cannot be made: File exists"):
        place.unopened().open()
    place.data.unlink()


@pytest.mark.parametrize("name", ["with space", "100%", "a?b#c", "ünïcode", "x&mode=ro"])
def test_any_folder(tmp_path: Path, name: str) -> None:
    """The names of folders are no part of an address's syntax."""
    place = Place(tmp_path / name / "data")
    add(place.store(), "x")
    assert [path.name for path in (tmp_path / name).iterdir()] == ["data"]
    assert place.file.stat().st_size
    assert "x" in kept(place.store())
    place.close()


def test_mode_of_a_link(sqlite_place: Place) -> None:
    """F-SS-06: of what somebody linked in place of the log no mode changes."""
    store = sqlite_place.store()
    secret = sqlite_place.data / "secret"
    secret.write_text("x", "ascii")
    secret.chmod(0o400)
    log = Path(f"{sqlite_place.file}-wal")
    log.unlink(missing_ok=True)
    log.symlink_to(secret)
    with contextlib.suppress(StoreError):
        kept(store)
    assert secret.stat().st_mode & 0o777 == 0o400
