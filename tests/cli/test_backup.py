"""Tests of ntvmedia.cli.backup and ntvmedia.cli.restore: `ntvmedia backup`, `ntvmedia restore`."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import ntvmedia
from ntvmedia.cli.archive import Manifest, entry_of, read_archive, write_archive
from ntvmedia.cli.main import main
from ntvmedia.cli.places import claimed
from ntvmedia.store import Store, list_stream_labels
from tests.cli.sockets import answer, serving
from tests.e2e.postgres import PostgreSQLServer
from tests.store.dumps import NEWEST, dump_of, revisions
from tests.store.places import BUILT_IN, add, kept

Run = Callable[..., tuple[str, str]]

ROOT = Path(ntvmedia.__file__).parent.parent

KEY = "ab" * 32 + "\n"

# Of most systems: somebody who owns nothing.
NOBODY = 65534

PROGRAM = "import sys; from ntvmedia.cli.main import main; sys.exit(main())"

# Writes two labels in each transaction, and says which once they are kept.
WRITER = """
import sys
from pathlib import Path
from ntvmedia.store import LabelRow, Store, set_stream_label
store = Store(None, "", Path(sys.argv[1]))
store.open()
number = int(sys.argv[2])
while True:
    def work(connection):
        for stream in ("left", "right"):
            set_stream_label(connection, LabelRow("a", stream, str(number)))
    store.run_now(work)
    print(number, flush=True)
    number += 1
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `ntvmedia`; returns its output and its complaints."""

    def do(*words: str | Path, status: int = 0) -> tuple[str, str]:
        found = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert (found, bool(err)) == (status, bool(status)), err
        assert err.count("\n") == status
        return out, err

    return do


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of a server that has run, and was stopped."""
    folder = tmp_path / "data"
    add(opened(folder), "studio")
    (folder / "keys").mkdir(mode=0o700)
    for name in ("signing", "hls"):
        (folder / "keys" / name).write_text(KEY, "ascii")
        (folder / "keys" / name).chmod(0o600)
    (folder / "keys" / ".signing.77").write_text("half of a", "ascii")
    (folder / "setup-code").write_text("1234-5678\n", "ascii")
    return folder


def opened(folder: Path) -> Store:
    """Open the database of a data folder."""
    store = Store(None, "", folder)
    store.open()
    return store


def files(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder but the database's, by their relative names."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "ntvmedia.db" not in path.name
    }


def forge(source: Path, folder: Path, **fields: object) -> Path:
    """Write a whole backup again with something else in its list."""
    folder.mkdir()
    with source.open("rb") as file:
        manifest = read_archive(file, folder)
    paths = [folder / entry.name for entry in manifest.files]
    forged = folder / "forged.tar"
    with forged.open("wb") as file:
        write_archive(file, msgspec.structs.replace(manifest, **fields), paths)
    return forged


def test_round_trip(run: Run, data: Path, tmp_path: Path) -> None:
    """A new folder has all of it afterwards: applications, keys, the setup code."""
    out, _err = run("backup", tmp_path / "b.tar", "--data", data)
    assert "It holds secrets" in out
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    other = tmp_path / "srv" / "other"
    out, _err = run("restore", tmp_path / "b.tar", "--data", other)
    assert f"schema {NEWEST}" in out
    assert kept(opened(other)) == sorted([*BUILT_IN, "studio"])
    expected = {"keys/signing": KEY, "keys/hls": KEY, "setup-code": "1234-5678\n"}
    assert files(other) == {name: text.encode() for name, text in expected.items()}
    for name in (*expected, "ntvmedia.db"):
        assert (other / name).stat().st_mode & 0o777 == 0o600, name
    assert (other / "keys").stat().st_mode & 0o777 == 0o700
    assert sorted(x.name for x in tmp_path.iterdir()) == ["b.tar", "data", "srv"]


def test_running_server(run: Run, data: Path, tmp_path: Path) -> None:
    """A backup asks no server and disturbs none; a restore never touches what one uses."""
    with claimed(data) as is_free:
        assert is_free
        run("backup", tmp_path / "b.tar", "--data", data)
        before = files(data)
        for force in ((), ("--force",)):
            _out, err = run("restore", tmp_path / "b.tar", "--data", data, *force, status=1)
            assert err == "ntvmedia: a server uses the data folder: stop it first\n"
        assert files(data) == before


def test_server_on_a_file_system_without_locks(run: Run, data: Path, tmp_path: Path) -> None:
    """A server that answers on its socket runs, whatever the lock says."""
    run("backup", tmp_path / "b.tar", "--data", data)
    with serving(data, [answer(b'{"version": "1"}')]):
        _out, err = run("restore", tmp_path / "b.tar", "--data", data, "--force", status=1)
    assert "stop it first" in err


def test_place_that_is_not_empty(run: Run, data: Path, tmp_path: Path) -> None:
    """Nothing is replaced unless it was asked for; `--force` keeps what was there."""
    run("backup", tmp_path / "b.tar", "--data", data)
    add(opened(data), "later")
    (data / "keys" / "signing").write_text("cd" * 32, "ascii")
    (data / "keys" / "newer").write_text("ef" * 32, "ascii")
    (data / "setup-code").unlink()
    (data / "recordings").mkdir()
    before = files(data)
    _out, err = run("restore", tmp_path / "b.tar", "--data", data, status=1)
    assert "is not empty" in err
    assert files(data) == before

    out, _err = run("restore", tmp_path / "b.tar", "--data", data, "--force")
    assert f"what was there before is in {data}/before-restore" in out
    assert kept(opened(data)) == sorted([*BUILT_IN, "studio"])
    assert (data / "keys" / "signing").read_text("ascii") == KEY
    assert (data / "setup-code").exists()
    assert not (data / "keys" / "newer").exists()
    assert (data / "recordings").is_dir()
    aside = data / "before-restore"
    assert files(aside) == {name: x for name, x in before.items() if ".signing" not in name}
    assert kept(opened(aside)) == sorted([*BUILT_IN, "later", "studio"])
    # The originals are not lost when it is done once more.
    run("restore", tmp_path / "b.tar", "--data", data, "--force")
    assert kept(opened(aside)) == sorted([*BUILT_IN, "later", "studio"])
    assert (data / "before-restore-2" / "keys" / "hls").exists()


def test_setup_code_that_is_not_wanted(run: Run, data: Path, tmp_path: Path) -> None:
    """F-AC-01: a server that was set up gets no code from the place that it is put into."""
    (data / "setup-code").unlink()
    run("backup", tmp_path / "b.tar", "--data", data)
    (data / "setup-code").write_text("8765-4321\n", "ascii")
    run("restore", tmp_path / "b.tar", "--data", data, "--force")
    assert not (data / "setup-code").exists()


def test_file_that_is_there(run: Run, data: Path, tmp_path: Path) -> None:
    """A backup is replaced by another one only when asked for, and never by a failed one."""
    target = tmp_path / "b.tar"
    target.write_text("an older one", "ascii")
    _out, err = run("backup", target, "--data", data, status=1)
    assert err == f"ntvmedia: {target} is there already: see --force\n"
    _out, err = run("backup", target, "--data", tmp_path / "none", "--force", status=1)
    assert "there is no such folder" in err
    assert target.read_text("ascii") == "an older one"
    run("backup", target, "--data", data, "--force")
    with tarfile.open(target) as archive:
        assert archive.getnames()[0] == "manifest.json"
    _out, err = run("backup", data, "--data", data, "--force", status=1)
    assert "is there already" in err


@pytest.fixture
def place() -> Iterator[Path]:
    """A data folder of somebody whom modes of files concern, as the server's user is."""
    folder = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def owners(folder: Path) -> set[tuple[int, int]]:
    """Return whom what is in a folder belongs to."""
    found = [path.lstat() for path in folder.rglob("*")]
    return {(status.st_uid, status.st_gid) for status in found}


def test_owner(run: Run, data: Path, tmp_path: Path, place: Path) -> None:
    """What root puts back belongs to whom the data folder belongs to: the server's user."""
    run("backup", tmp_path / "b.tar", "--data", data)
    before = (os.geteuid(), os.getegid(), os.getgroups())
    for force in ((), ("--force",)):
        run("restore", tmp_path / "b.tar", "--data", place, *force)
        assert owners(place) == {(place.stat().st_uid, place.stat().st_gid)}
    assert {"ntvmedia.db", "keys", "setup-code", "before-restore"} <= {
        path.name for path in place.iterdir()
    }
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


@pytest.mark.parametrize("name", ["keys", ".restore", "before-restore", "ntvmedia.db-wal"])
def test_owner_lays_traps(run: Run, data: Path, tmp_path: Path, place: Path, name: str) -> None:
    """F-SS-06: links that the folder's owner laid lead root nowhere where he could not go."""
    run("backup", tmp_path / "b.tar", "--data", data)
    run("restore", tmp_path / "b.tar", "--data", place)
    hers = Path(tempfile.mkdtemp())
    try:
        (hers / "shadow").write_text("root only", "ascii")
        (hers / "shadow").chmod(0o600)
        hers.chmod(0o755)
        before = files(hers)
        shutil.rmtree(place / name, ignore_errors=True)
        (place / name).symlink_to(hers / "shadow" if name.endswith("-wal") else hers)
        main(["restore", str(tmp_path / "b.tar"), "--data", str(place), "--force"])
        if os.geteuid() == 0:
            # Whoever is not root restores into a place of his own: his links are his business.
            assert files(hers) == before
            assert (hers / "shadow").stat().st_mode & 0o777 == 0o600
        assert {x.stat().st_uid for x in (hers, hers / "shadow")} == {os.geteuid()}
        secrets = [x for x in place.rglob("*") if x.is_file() and not x.is_symlink()]
        assert os.geteuid() or all(b"root only" not in path.read_bytes() for path in secrets)
    finally:
        shutil.rmtree(hers)


def test_backup_of_root(run: Run, data: Path, tmp_path: Path, place: Path) -> None:
    """Root copies what the folder's owner may read, to where that one may not, and leaves all."""
    run("backup", tmp_path / "b.tar", "--data", data)
    run("restore", tmp_path / "b.tar", "--data", place)
    run("backup", tmp_path / "again.tar", "--data", place)
    run("restore", tmp_path / "again.tar", "--data", tmp_path / "other")
    assert set(files(tmp_path / "other")) == {"keys/hls", "keys/signing", "setup-code"}
    assert files(tmp_path / "other").items() <= files(data).items()
    assert "studio" in kept(opened(tmp_path / "other"))
    assert owners(place) == {(place.stat().st_uid, place.stat().st_gid)}
    secret = tmp_path / "secret"
    secret.write_text("root only", "ascii")
    secret.chmod(0o600)
    (place / "keys" / "mine").symlink_to(secret)
    if os.geteuid() == 0:
        # Whoever is not root backs up his own: what he may read, he may have.
        _out, err = run("backup", tmp_path / "c.tar", "--data", place, status=1)
        assert "Permission denied" in err
        assert not (tmp_path / "c.tar").exists()


def test_places_that_cannot_be(run: Run, data: Path, tmp_path: Path) -> None:
    """What is missing or no folder is told in one line."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x", "ascii")
    for words, message in (
        (("backup", tmp_path / "no" / "b.tar", "--data", data), "No such file or directory"),
        (("backup", tmp_path / "b.tar", "--data", tmp_path / "empty"), "there is no database"),
        (("restore", tmp_path / "none.tar", "--data", tmp_path / "x"), "No such file or directory"),
        (("restore", tmp_path / "file", "--data", tmp_path / "x"), "is cut off"),
        (("restore", tmp_path / "file", "--data", tmp_path / "file"), "File exists"),
    ):
        _out, err = run(*words, status=1)
        assert message in err
    assert not (tmp_path / "b.tar").exists()
    # What was begun for it is not left there.
    assert list((tmp_path / "x").iterdir()) == []


def test_key_that_is_none(run: Run, data: Path, tmp_path: Path) -> None:
    """Somebody's film in the folder of keys is not taken along, and not left out without a word."""
    (data / "keys" / "film").write_bytes(bytes((1 << 20) + 1))
    _out, err = run("backup", tmp_path / "b.tar", "--data", data, status=1)
    assert "it is no key" in err
    assert not list(tmp_path.glob("*.tar"))


def test_leftovers_and_others(run: Run, data: Path, tmp_path: Path) -> None:
    """What a killed backup left is removed by the next one; two at a time are one too many."""
    left = tmp_path / ".b.tar.part"
    (left / "data" / "keys").mkdir(parents=True)
    (left / "data" / "keys" / "signing").write_text(KEY, "ascii")
    (left / "link").symlink_to(data)
    handle = os.open(left, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _out, err = run("backup", tmp_path / "b.tar", "--data", data, status=1)
        assert "is being written by another command" in err
        assert (left / "link").is_symlink()
    finally:
        os.close(handle)
    run("backup", tmp_path / "b.tar", "--data", data)
    assert not left.exists()
    assert (data / "keys" / "signing").exists()


def test_links_among_keys(run: Run, data: Path, tmp_path: Path) -> None:
    """What root restores is given to the server's user: not what a link of his leads to."""
    secret = tmp_path / "shadow"
    secret.write_text("root's own", "ascii")
    run("backup", tmp_path / "b.tar", "--data", data)
    (data / "keys" / "bait").symlink_to(secret)
    run("restore", tmp_path / "b.tar", "--data", data, "--force")
    assert (data / "before-restore" / "keys" / "bait").is_symlink()
    assert not (data / "keys" / "bait").exists()
    assert secret.read_text("ascii") == "root's own"


def test_folder_of_somebody_else(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In /tmp anybody may make the folder before: who owns it could take what is put there."""
    left = tmp_path / ".b.tar.part"
    left.mkdir()
    (left / "bait").write_bytes(b"")
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    _out, err = run("backup", tmp_path / "b.tar", "--data", data, status=1)
    assert "belongs to somebody else" in err
    assert [path.name for path in left.iterdir()] == ["bait"]
    assert not (tmp_path / "b.tar").exists()


def test_no_hard_links(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stick with exFAT, which has no hard links, is a good place too."""

    def link(_source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(target))

    monkeypatch.setattr(os, "link", link)
    run("backup", tmp_path / "b.tar", "--data", data)
    run("restore", tmp_path / "b.tar", "--data", data, "--force")
    assert kept(opened(data / "before-restore")) == sorted([*BUILT_IN, "studio"])


@pytest.mark.parametrize("revision", revisions()[:-1])
def test_older_schema(run: Run, tmp_path: Path, revision: str) -> None:
    """A backup of an older version is migrated by the next start, as its database would be."""
    data = tmp_path / "data"
    data.mkdir()
    with contextlib.closing(sqlite3.connect(data / "ntvmedia.db")) as connection:
        connection.executescript(dump_of("sqlite", revision).read_text("utf-8"))
    run("backup", tmp_path / "b.tar", "--data", data)
    out, _err = run("restore", tmp_path / "b.tar", "--data", tmp_path / "other")
    assert f"schema {revision}" in out
    assert "empty" in kept(opened(tmp_path / "other"))


def test_other_backups(run: Run, data: Path, tmp_path: Path) -> None:
    """Newer schemas, another kind of database, and odd files are refused, untouched."""
    run("backup", tmp_path / "b.tar", "--data", data)
    config = tmp_path / "ntvmedia.toml"
    config.write_text('[database]\nurl = "postgresql://me:hush@127.0.0.1:1/x"\n', "utf-8")
    newer = forge(tmp_path / "b.tar", tmp_path / "1", schema="9999")
    other = forge(tmp_path / "b.tar", tmp_path / "2", schema="0001")
    (tmp_path / "extra").write_text("x", "ascii")
    with (tmp_path / "b.tar").open("rb") as file:
        (tmp_path / "3").mkdir()
        manifest = read_archive(file, tmp_path / "3")
    extra = odd_archive(manifest, tmp_path / "3", tmp_path / "extra")
    before = files(data)
    for file_name, options, message in (
        (newer, (), "newer than this program"),
        (other, (), "another schema"),
        (extra, (), 'a file "ntvmedia.toml", which no data folder has'),
        (tmp_path / "b.tar", ("--config", config), "the settings name PostgreSQL"),
    ):
        _out, err = run("restore", file_name, "--data", data, "--force", *options, status=1)
        assert message in err
        assert "hush" not in err
    assert files(data) == before
    assert kept(opened(data)) == sorted([*BUILT_IN, "studio"])


def odd_archive(manifest: Manifest, folder: Path, extra: Path) -> Path:
    """Add a file to a backup that belongs to no data folder."""
    entries = (*manifest.files, entry_of("data/ntvmedia.toml", extra))
    paths = [*(folder / entry.name for entry in manifest.files), extra]
    target = folder / "odd.tar"
    with target.open("wb") as file:
        write_archive(file, msgspec.structs.replace(manifest, files=entries), paths)
    return target


def test_postgresql(run: Run, tmp_path: Path) -> None:
    """The same for a database of PostgreSQL, which the settings name."""
    with PostgreSQLServer() as server:
        config = {}
        for name in ("one", "two"):
            config[name] = tmp_path / f"{name}.toml"
            url = server.new_database()
            config[name].write_text(f'[database]\nurl = "{url}"\n', "utf-8")
            if name == "one":
                store = Store(None, url, tmp_path)
                store.open()
                add(store, "studio")
            else:
                other = Store(None, url, tmp_path)
        data = tmp_path / "data"
        (data / "keys").mkdir(parents=True)
        (data / "keys" / "signing").write_text(KEY, "ascii")
        backup = tmp_path / "b.tar"
        run("backup", backup, "--data", data, "--config", config["one"])
        _out, err = run("restore", backup, "--data", tmp_path / "x", status=1)
        assert "the settings name SQLite" in err
        options = ("--data", tmp_path / "x", "--config", config["two"])
        run("restore", backup, *options)
        other.open()
        assert kept(other) == sorted([*BUILT_IN, "studio"])
        assert files(tmp_path / "x") == {"keys/signing": KEY.encode()}
        options = ("--data", tmp_path / "y", "--config", config["two"])
        _out, err = run("restore", backup, *options, status=1)
        assert "the database is not empty" in err
        run("restore", backup, *options, "--force")


@contextlib.contextmanager
def command(*words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of Python, and kill it at the end."""
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_while_somebody_writes_and_dies(run: Run, data: Path, tmp_path: Path) -> None:
    """Backups of a server that writes all the time and is killed have what it said was kept.

    Never half of a change, never fewer changes than were answered before the backup began.
    """
    number = 1
    for turn in range(2):
        with command("-c", WRITER, data, str(number)) as writer:
            assert writer.stdout is not None
            said = int(writer.stdout.readline())
            for part in range(3):
                archive = tmp_path / f"{turn}-{part}.tar"
                run("backup", archive, "--data", data)
                assert_pair(run, archive, tmp_path / f"{turn}-{part}", said)
                said = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = writer.communicate()[0].split()
        number = int(rest[-1]) if rest else said
        # Nobody has opened it since: what was written last is in the log of SQLite alone.
        run("backup", tmp_path / f"{turn}.tar", "--data", data)
        assert_pair(run, tmp_path / f"{turn}.tar", tmp_path / str(turn), number)
        number += 1


def assert_pair(run: Run, archive: Path, folder: Path, least: int) -> None:
    """Check the database of a backup."""
    run("restore", archive, "--data", folder)
    left, right = opened(folder).run_now(list_stream_labels)
    assert left.label == right.label
    assert int(left.label) >= least


def test_killed_backups(run: Run, data: Path, tmp_path: Path) -> None:
    """G-LC-09: a backup that is killed at any moment leaves no file, or a whole one."""
    with contextlib.closing(sqlite3.connect(data / "ntvmedia.db")) as connection:
        rows = [("a", str(number), "x" * 200) for number in range(50_000)]
        connection.executemany("INSERT INTO stream_labels VALUES (?, ?, ?)", rows)
        connection.commit()
    target = tmp_path / "b.tar"
    times = random.Random(1)
    whole = 0
    for turn in range(5):
        with command("-c", PROGRAM, "backup", target, "--data", data) as process:
            if turn:
                # Not before it has begun: Python takes a while.
                deadline = time.monotonic() + 20
                while process.poll() is None and time.monotonic() < deadline:
                    if (tmp_path / ".b.tar.part").exists():
                        break
                    time.sleep(0.002)
                time.sleep(times.uniform(0, 0.08))
                process.send_signal(signal.SIGKILL)
            else:
                assert process.wait(60) == 0, process.communicate()[1]
        if target.exists():
            run("restore", target, "--data", tmp_path / f"x{turn}")
            whole += 1
            target.unlink()
    assert whole
    run("backup", target, "--data", data)
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_killed_restores(run: Run, data: Path, tmp_path: Path) -> None:
    """A restore that is killed at any moment is mended by doing it again; nothing old is lost."""
    run("backup", tmp_path / "b.tar", "--data", data)
    place = tmp_path / "place"
    (place / "keys").mkdir(parents=True)
    add(opened(place), "old")
    (place / "keys" / "signing").write_text("cd" * 32, "ascii")
    times = random.Random(2)
    for _turn in range(4):
        words = ("restore", tmp_path / "b.tar", "--data", place, "--force")
        with command("-c", PROGRAM, *words) as process:
            deadline = time.monotonic() + 20
            while process.poll() is None and time.monotonic() < deadline:
                if (place / ".restore").exists():
                    break
                time.sleep(0.001)
            time.sleep(times.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        # Whatever there is can be used: the old database or the new one.
        assert kept(opened(place)) in (
            sorted([*BUILT_IN, "old"]),
            sorted([*BUILT_IN, "studio"]),
        )
    run("restore", tmp_path / "b.tar", "--data", place, "--force")
    assert kept(opened(place)) == sorted([*BUILT_IN, "studio"])
    assert (place / "keys" / "signing").read_text("ascii") == KEY
    assert not (place / ".restore").exists()
    olds = [path / "keys" / "signing" for path in place.glob("before-restore*")]
    assert "cd" * 32 in {path.read_text("ascii") for path in olds if path.exists()}


def test_help_says_that_secrets_are_inside(capsys: pytest.CaptureFixture[str]) -> None:
    """Who asks how it is done is told too."""
    with pytest.raises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
        main(["backup", "--help"])
    assert "secrets" in capsys.readouterr().out
