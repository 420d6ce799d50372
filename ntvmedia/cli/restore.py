"""`ntvmedia restore`: puts back what `ntvmedia backup` wrote, in a stopped server's data folder."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final

from ntvmedia.cli.archive import Manifest, read_archive
from ntvmedia.cli.backup import KEYS, SETUP_CODE, empty, keep_names, made, small_files, told
from ntvmedia.cli.control import ControlClient, NotRunning
from ntvmedia.cli.failures import Failed
from ntvmedia.cli.places import add_places, claimed, database_url
from ntvmedia.cli.rights import rights_of_owner
from ntvmedia.store.backups import Copied, DatabaseBackup, database_backup

# Where a restore works, and where it keeps what was there before; in the data folder.
STAGING: Final = ".restore"
BEFORE: Final = "before-restore"

# Of an empty data folder: its file system makes the one, a restore that was killed the other.
_NOTHING: Final = frozenset({"lost+found", STAGING})

_KINDS: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `ntvmedia restore` its options."""
    parser.description = (
        "Put back what `ntvmedia backup` made. The server must not run. Nobody is logged in "
        "afterwards. A backup of an older version is brought up to date by the server's next start."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what `ntvmedia backup` wrote")
    parser.add_argument(
        "--force",
        action="store_true",
        help=f"replace what is there; its files are kept in DIR/{BEFORE}",
    )
    add_places(parser)
    parser.set_defaults(run=restore)


def restore(options: argparse.Namespace) -> None:
    """Put a backup back.

    All of it is checked before anything is touched; the database is replaced last, at once. What
    ends it before that is mended by doing it again. Root reads the file, and does the rest with the
    rights of whom the data folder belongs to.

    Raises:
        Failed: It cannot be; the message says why.
        StoreError: The database cannot be replaced.
        ConfigError: The settings are wrong.
    """
    data: Path = options.data
    database = database_backup(database_url(options.config), data)
    with told(options.file):
        source = options.file.open("rb")
    with source, told(data):
        data.mkdir(mode=0o750, parents=True, exist_ok=True)
        with rights_of_owner(data), claimed(data) as is_free:
            if not is_free or _runs(data):
                raise Failed("a server uses the data folder: stop it first")
            if not options.force:
                _check_empty(database, data)
            with _staging(data) as folder:
                manifest = _read(source, options.file, folder)
                _check_kind(database, manifest)
                copied = _copied(manifest)
                database.check(folder / "database", copied)
                aside = _new(data)
                _put_files(folder / "data", data, aside)
                database.restore(folder / "database", copied, aside)
                kept = any(aside.iterdir())
                if not kept:
                    aside.rmdir()
    sys.stdout.write(
        f"the backup of {manifest.made_at} was put back: schema {manifest.schema}, made by "
        f"version {manifest.version}\n"
    )
    if kept:
        sys.stdout.write(f"what was there before is in {aside}; remove it in time\n")


def _check_empty(database: DatabaseBackup, data: Path) -> None:
    found = sorted({path.name for path in data.iterdir()} - _NOTHING)
    if found:
        raise Failed(
            f'--data {data} is not empty: it has "{found[0]}"; --force replaces the database and '
            "the keys in it"
        )
    if not database.is_empty():
        raise Failed("the database is not empty: --force replaces what is in it")


def _read(source: BinaryIO, path: Path, folder: Path) -> Manifest:
    try:
        return read_archive(source, folder)
    except Failed as error:
        raise Failed(f"{path}: {error}") from None


def _check_kind(database: DatabaseBackup, manifest: Manifest) -> None:
    if manifest.database != database.kind:
        raise Failed(
            f"the backup is of {_KINDS[manifest.database]}, and the settings name "
            f"{_KINDS[database.kind]}: a backup goes back to the kind that it is of"
        )


def _copied(manifest: Manifest) -> Copied:
    places = [entry.name.partition("/") for entry in manifest.files]
    for place, _slash, name in places:
        if place == "data" and name != SETUP_CODE and not name.startswith(f"{KEYS}/"):
            raise Failed(f'the backup has a file "{name}", which no data folder has')
    return Copied(
        manifest.schema, tuple(name for place, _slash, name in places if place == "database")
    )


def _put_files(source: Path, data: Path, aside: Path) -> None:
    """Replace the keys and the setup code, each at once, and keep those of before."""
    before, after = small_files(data), small_files(source)
    for name in before:
        (aside / name).parent.mkdir(mode=0o700, exist_ok=True)
        # A link stays one: it is what was there.
        shutil.copy2(data / name, aside / name, follow_symlinks=False)
    made(data / KEYS)
    for name in after:
        (source / name).replace(data / name)
    for name in set(before) - set(after):
        # A key that the restored server does not know, or a code for one that needs none.
        (data / name).unlink()
    keep_names(data / KEYS)
    keep_names(data)


def _runs(data: Path) -> bool:
    """Say whether a server answers: a network file system may lock no folders."""
    try:
        ControlClient(data).ask("GET", "/mserver/api/v1/status")
    except NotRunning:
        return False
    except Failed:
        return True
    return True


@contextlib.contextmanager
def _staging(data: Path) -> Iterator[Path]:
    path = _fresh(data / STAGING)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _new(data: Path) -> Path:
    """Make a folder for what was there before; an earlier one stays, since it has the originals."""
    for number in count(1):
        path = data / (BEFORE if number == 1 else f"{BEFORE}-{number}")
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return path
    raise AssertionError("numbers do not end")


def _fresh(path: Path) -> Path:
    """Return a folder, empty and for its owner only; what had its name is gone."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    made(path).chmod(0o700)
    empty(path)
    return path
