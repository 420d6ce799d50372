"""The file of a backup: a tar (POSIX.1-1988 "ustar") that begins with a list of what is in it.

Any tar reads it. What is read here is only what is written here: regular files with the names and
sizes of the list, in its order, and nothing is compressed or sparse. So no file can come to lie
elsewhere than was meant, and none can be larger than the archive is (F-SS-06).
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal

import msgspec

from ntvmedia.cli.failures import Failed

FORMAT: Final = 1
"""Of the archive; another one is not read."""

MANIFEST: Final = "manifest.json"

# Keys and tables are some 30 files of 150 bytes each in the list.
_MAX_MANIFEST_BYTES: Final = 1 << 20
_MAX_FILES: Final = 1000

# A folder, and a file in it; or one in a folder of that.
_NAME: Final = re.compile(r"(?:database|data|data/keys)/[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

_BLOCK: Final = tarfile.BLOCKSIZE
_CHUNK_BYTES: Final = 1 << 20


# What is shown on a terminal.
_Word = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z:.+-]{1,40}\Z")]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the backup.

    Attributes:
        name: Of the form "database/NAME", "data/NAME" or "data/keys/NAME".
        size: Bytes.
        sha256: Of its content, in lower-case hexadecimal digits.
    """

    name: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup says of itself.

    Attributes:
        format: `FORMAT`.
        program: "ntvmedia".
        version: Of the program that made it.
        made_at: In UTC, as in RFC 3339.
        database: "sqlite" or "postgresql".
        schema: The revision of the database's tables.
        files: What follows it, in this order.
    """

    format: Literal[1]
    program: Literal["ntvmedia"]
    version: _Word
    made_at: _Word
    database: Literal["sqlite", "postgresql"]
    schema: str
    files: tuple[Entry, ...]


class _Head(msgspec.Struct):
    """What every format of a backup has."""

    format: int
    program: str


def entry_of(name: str, path: Path) -> Entry:
    """Describe a file.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            digest.update(data)
            size += len(data)
    return Entry(name, size, digest.hexdigest())


def write_archive(target: BinaryIO, manifest: Manifest, paths: Sequence[Path]) -> None:
    """Write a backup.

    Args:
        target: Where to.
        manifest: Its list has the files in the order of `paths`.
        paths: Where the files are.

    Raises:
        Failed: A file is not as it was when it was described.
        OSError: A file cannot be read, or the target not be written.
    """
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    target.write(_header(MANIFEST, len(text)) + text + _padding(len(text)))
    for entry, path in zip(manifest.files, paths, strict=True):
        target.write(_header(entry.name, entry.size))
        left = entry.size
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while left and (data := file.read(min(left, _CHUNK_BYTES))):
                target.write(data)
                digest.update(data)
                left -= len(data)
        if left or digest.hexdigest() != entry.sha256:
            raise Failed(f"{path} changed meanwhile: try again")
        target.write(_padding(entry.size))
    target.write(bytes(2 * _BLOCK))


def read_archive(source: BinaryIO, folder: Path) -> Manifest:
    """Read a backup, and put its files into an empty folder, for their owner only.

    Args:
        source: The archive.
        folder: Where "database/", "data/" and "data/keys/" are made.

    Raises:
        Failed: It is no whole backup, or one of another program or format.
        OSError: It cannot be read, or a file not be written.
    """
    name, size = _next(source)
    if name != MANIFEST or size > _MAX_MANIFEST_BYTES:
        raise Failed("it is no backup: it does not begin with a list of its files")
    manifest = _manifest(_exactly(source, size))
    _skip_padding(source, size)
    for part in ("database", "data", "data/keys"):
        (folder / part).mkdir(mode=0o700)
    for entry in manifest.files:
        if _next(source) != (entry.name, entry.size):
            raise Failed("it is broken: its files are not those of its list")
        _extract(source, entry, folder / entry.name)
        _skip_padding(source, entry.size)
    if source.read(_BLOCK).strip(b"\0"):
        raise Failed("it is broken: more follows the files of its list")
    return manifest


def _manifest(data: bytes) -> Manifest:
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.program == "ntvmedia" and head.format != FORMAT:
            raise Failed(f"it has format {head.format}: use the program that made it")
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Failed(f"it is no backup: {error}") from None
    names = [entry.name for entry in manifest.files]
    if len(names) > _MAX_FILES or len(set(names)) != len(names):
        raise Failed("it is no backup: its list has too many files, or one of them twice")
    for name in names:
        if not _NAME.fullmatch(name) or name == "data/keys":
            raise Failed(f"it has a file that no backup has: {name[:100]!a}")
    return manifest


def _extract(source: BinaryIO, entry: Entry, path: Path) -> None:
    digest = hashlib.sha256()
    left = entry.size
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        while left:
            data = _exactly(source, min(left, _CHUNK_BYTES))
            digest.update(data)
            file.write(data)
            left -= len(data)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != entry.sha256:
        raise Failed(f"it is broken: {entry.name} has another checksum than its list says")


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o600
    # One block for any size: above 8 GiB it is binary, which tar programs know too.
    return info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


def _next(source: BinaryIO) -> tuple[str, int]:
    """Read the header of the next file; return its name and its size in bytes."""
    block = _exactly(source, _BLOCK)
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, ValueError, IndexError):
        raise Failed("it is no backup, or it is broken") from None
    if not info.type == tarfile.REGTYPE or info.size < 0:
        raise Failed(f"it has something else than files: {info.name[:100]!a}")
    return info.name, info.size


def _exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) != size:
        raise Failed("it is cut off: some of it is missing")
    return data


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _skip_padding(source: BinaryIO, size: int) -> None:
    _exactly(source, -size % _BLOCK)
