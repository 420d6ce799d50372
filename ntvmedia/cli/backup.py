"""`ntvmedia backup`: what a server keeps, but for media, as one file.

In it are the database, the server's keys and the setup code: all that is not media, and that the
operator does not write himself, as the settings and certificates are.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from ntvmedia import __version__
from ntvmedia.cli.archive import FORMAT, Entry, Manifest, entry_of, write_archive
from ntvmedia.cli.failures import Failed
from ntvmedia.cli.places import add_places, database_url
from ntvmedia.cli.rights import rights_of_owner
from ntvmedia.store.backups import DatabaseBackup, database_backup

# Of the data folder.
KEYS: Final = "keys"
SETUP_CODE: Final = "setup-code"

# A key is a line; what is larger was put there by somebody else.
_MAX_KEY_BYTES: Final = 1 << 20

_SECRETS: Final = (
    "It holds secrets: keys, passwords, hashes of passwords and tokens. Keep it as safe as the "
    "server itself.\n"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `ntvmedia backup` its options."""
    parser.description = (
        "Copy what a server keeps, but for media, into one file: its database, its keys, its "
        "setup code. The server may run meanwhile. " + _SECRETS.strip()
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a tar file, to be made")
    parser.add_argument("--force", action="store_true", help="replace FILE where it is there")
    add_places(parser)
    parser.set_defaults(run=backup)


def backup(options: argparse.Namespace) -> None:
    """Make a backup. Its file appears when it is whole.

    Raises:
        Failed: It cannot be made; there is no file then, or the one that was there.
        StoreError: The database cannot be copied.
        ConfigError: The settings are wrong.
    """
    target: Path = options.file
    if os.path.lexists(target) and (not options.force or target.is_dir()):
        raise Failed(f"{target} is there already{'' if target.is_dir() else ': see --force'}")
    with told(options.data):
        if not options.data.is_dir():
            raise Failed(f"--data {options.data}: there is no such folder")
    database = database_backup(
        database_url(options.config), options.data, partial(rights_of_owner, options.data)
    )
    with told(target), _folder_beside(target) as folder:
        manifest, paths = _collect(database, options.data, folder)
        whole = folder / "whole"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(whole, flags, 0o600), "wb") as file:
            write_archive(file, manifest, paths)
            file.flush()
            os.fsync(file.fileno())
        size = whole.stat().st_size
        _appear(whole, target, replace=options.force)
        keep_names(target.absolute().parent)
    sys.stdout.write(f"{target} was written: {size:,} bytes, schema {manifest.schema}\n{_SECRETS}")


def _collect(database: DatabaseBackup, data: Path, folder: Path) -> tuple[Manifest, list[Path]]:
    """Copy what belongs into a backup.

    The keys come after the database: none that it refers to can be missing.
    """
    copied = database.save(made(folder / "database"))
    entries: list[Entry] = []
    paths: list[Path] = []
    for name in copied.files:
        paths.append(folder / "database" / name)
        entries.append(entry_of(f"database/{name}", paths[-1]))
    secrets = made(folder / "data")
    made(secrets / KEYS)
    with rights_of_owner(data):
        names = small_files(data)
    for name in names:
        copy = secrets / name
        with contextlib.suppress(FileNotFoundError):  # the setup code goes when it was used
            _copy_small(data, name, copy)
            paths.append(copy)
            entries.append(entry_of(f"data/{name}", copy))
    return (
        Manifest(
            format=FORMAT,
            program="ntvmedia",
            version=__version__,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            database="sqlite" if database.kind == "sqlite" else "postgresql",
            schema=copied.schema,
            files=tuple(entries),
        ),
        paths,
    )


def small_files(data: Path) -> list[str]:
    """List the keys and the setup code, relative to the data folder."""
    keys = data / KEYS
    # One that a server is about to write begins with a dot.
    names = [
        f"{KEYS}/{path.name}"
        for path in (sorted(keys.iterdir()) if keys.is_dir() else ())
        if not path.name.startswith(".") and path.is_file()
    ]
    if (data / SETUP_CODE).is_file():
        names.append(SETUP_CODE)
    return names


def _copy_small(data: Path, name: str, target: Path) -> None:
    source = data / name
    # A link may lead to what the owner of the folder could not read, and would be given back.
    with rights_of_owner(data):
        opened = source.open("rb")
    with opened:
        content = opened.read(_MAX_KEY_BYTES + 1)
    if len(content) > _MAX_KEY_BYTES:
        raise Failed(f"{source} is larger than {_MAX_KEY_BYTES:,} bytes: it is no key")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o600), "wb") as file:
        file.write(content)


@contextlib.contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """Give an empty folder beside a file, for its owner only; one at a time.

    What a killed process left in it is removed.
    """
    path = target.absolute().parent / f".{target.name}.part"
    made(path)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_uid != os.geteuid():
            # Who made it, in /tmp say, could put links into it, and take what is put there.
            raise Failed(f"{path} belongs to somebody else")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"{target} is being written by another command") from None
        try:
            path.chmod(0o700)
            empty(path)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(handle)


def made(path: Path) -> Path:
    """Return a folder that is there, for its owner only where it was not.

    Raises:
        OSError: It cannot be made.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def empty(folder: Path) -> None:
    """Remove what is in a folder; links are not followed.

    Raises:
        OSError: Something cannot be removed.
    """
    for left in folder.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


def keep_names(folder: Path) -> None:
    """Have the disk keep the names in a folder.

    Raises:
        OSError: It does not.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Say in one line which file or folder cannot be used.

    Raises:
        Failed: One cannot.
    """
    try:
        yield
    except OSError as error:
        raise Failed(f"{error.filename or path}: {error.strerror}") from None


def _appear(whole: Path, target: Path, *, replace: bool) -> None:
    """Give a finished file its name."""
    if not replace:
        try:
            # One that came meanwhile is not replaced.
            os.link(whole, target)
            return
        except FileExistsError:
            raise
        except OSError:
            # Not all file systems can have two names for a file.
            if os.path.lexists(target):
                raise
    whole.replace(target)
