"""The folder beside the file that is being made: what is there already, for the next time too.

It has a journal, a line of JSON for each thing that is complete, and the segments, which are named
by their place: nothing that a server says becomes part of a path. A line is written after its
file is closed and has its name, so that a process that is killed loses what was not complete, and
nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from ntvmedia.cli.failures import Failed

VERSION: Final = 1

_JOURNAL: Final = "journal"

# Of the fields of an entry.
_KINDS: Final = (
    *(int, int, int, str, object, (int, float), bool, str, int, (int, float, type(None))),
)
_MERGED: Final = "merged"

# What is in such a folder: nothing else is ever deleted.
_OURS: Final = re.compile(rf"\d+-\d{{6,}}\.(?:segment|init|part)|{_JOURNAL}|{_MERGED}")


class Entry(NamedTuple):
    """A segment that needs nothing more.

    Attributes:
        source: Number of its playlist: 0 for the variant, then the renditions.
        place: Its place in what is made of that playlist.
        number: Media sequence number, as the playlist has it.
        name: What stands last in the path of its address.
        byte_range: Length and offset; None for all of it.
        duration: Seconds, as the playlist has it.
        discontinuity: Its times do not go on from those of the one before.
        init: Name of the file with its init section; empty for none.
        size: Bytes of its file; -1 where there is none: it was not to be had.
        wall_seconds: Of its beginning, seconds since 1970; None where the playlist does not tell.
    """

    source: int
    place: int
    number: int
    name: str
    byte_range: tuple[int, int] | None
    duration: float
    discontinuity: bool
    init: str
    size: int
    wall_seconds: float | None = None


class WorkFolder:
    """The folder, claimed by this process until it is closed.

    Args:
        path: Made if it is not there.
        wanted: What is to be made; the folder of another download is not used.
        force: It is emptied then.
        resume: It is used all the same where only the address's query is another one.

    Attributes:
        path: As given.
        entries: By source and index.

    Raises:
        Failed: It belongs to another download, or another process works in it.
    """

    def __init__(self, path: Path, wanted: dict[str, Any], *, force: bool, resume: bool) -> None:
        self.path = path
        self.entries: dict[tuple[int, int], Entry] = {}
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileExistsError, NotADirectoryError):
            raise Failed(f"{path}: it is in the way, and no folder") from None
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._folder)
            raise Failed(f"{path}: another download works in it") from None
        self._journal: BinaryIO | None = None
        try:
            self._open(wanted, force=force, resume=resume)
        except BaseException:
            self.close()
            raise

    def _open(self, wanted: dict[str, Any], *, force: bool, resume: bool) -> None:
        journal = self.path / _JOURNAL
        header = {"version": VERSION, **wanted}
        lines, good = _read_lines(journal)
        is_same = bool(lines) and lines[0] == header
        if lines and not is_same:
            is_same = resume and lines[0] | {"query": ""} == header | {"query": ""}
            if not is_same and not force:
                raise Failed(
                    f"{self.path}: it has a download from another address or with other options; "
                    f"--force begins anew, --resume goes on where only the query is another one"
                )
        if not is_same:
            if not lines and any(not _is_ours(x) for x in self.path.iterdir()):
                raise Failed(f"{self.path}: it is in the way, with files of somebody else")
            self._empty()
            lines, good = [], 0
        self._journal = journal.open("ab")
        self._journal.truncate(good)
        if not lines:
            self._write(header)
        for line in lines[1:]:
            entry = _entry(line)
            if entry is not None and self._is_whole(entry):
                self.entries[entry.source, entry.place] = entry

    def _is_whole(self, entry: Entry) -> bool:
        if entry.size < 0:
            return True
        with contextlib.suppress(OSError):
            found = self.segment_path(entry.source, entry.place).stat().st_size
            return found == entry.size and (
                not entry.init or (self.path / entry.init).stat().st_size > 0
            )
        return False

    @property
    def merged_path(self) -> Path:
        """Where the file is, or will be, before it has its own name."""
        return self.path / _MERGED

    def segment_path(self, source: int, index: int) -> Path:
        """Return where a segment is, or will be."""
        return segment_path(self.path, source, index)

    def complete(self, entry: Entry) -> None:
        """Note that a segment is there, or not to be had."""
        self.entries[entry.source, entry.place] = entry
        self._write(entry._asdict())

    def write_init(self, source: int, index: int, data: bytes) -> str:
        """Keep an init section.

        Args:
            source: Of the segment that needs it first.
            index: Likewise.
            data: All of it.

        Returns:
            The name of its file.
        """
        name = f"{source}-{index:06d}.init"
        path = self.path / name
        partial = path.with_suffix(".part")
        partial.write_bytes(data)
        partial.replace(path)
        return name

    def _write(self, line: dict[str, Any]) -> None:
        assert self._journal is not None
        self._journal.write(json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n")
        self._journal.flush()

    def close(self) -> None:
        """Let others have it. Idempotent."""
        if self._journal is not None:
            # What could not be written before cannot be now.
            with contextlib.suppress(OSError):
                self._journal.close()
            self._journal = None
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def remove(self) -> None:
        """Delete it with all that is ours in it."""
        self._empty()
        # What somebody else has put into it stays.
        with contextlib.suppress(OSError):
            self.path.rmdir()
        self.close()

    def _empty(self) -> None:
        for path in self.path.iterdir():
            if _is_ours(path):
                path.unlink()


def _is_ours(path: Path) -> bool:
    return _OURS.fullmatch(path.name) is not None and (path.is_file() or path.is_symlink())


class SegmentFile:
    """A sink: a segment that has its own name only when it is complete.

    Args:
        path: Its own name.
        written: Called with how many bytes there are, when they are fewer than before too.
    """

    def __init__(self, path: Path, written: Callable[[int], None] = lambda _count: None) -> None:
        self._path = path
        self._partial = path.with_suffix(".part")
        self._file: BinaryIO | None = None
        self._written = written
        self._size = 0

    def begin(self) -> None:
        self.close()
        self._file = self._partial.open("wb")
        self._size = 0
        self._written(0)

    def write(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)
        self._size += len(data)
        self._written(self._size)

    def complete(self) -> int:
        """Give it its name; return its size in bytes."""
        self.close()
        self._partial.replace(self._path)
        return self._size

    def close(self) -> None:
        """Close it. Idempotent."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()


def segment_path(folder: Path, source: int, index: int) -> Path:
    """Return where a segment is in a folder."""
    return folder / f"{source}-{index:06d}.segment"


def header_of(path: Path) -> dict[str, Any]:
    """Return what was to be made in a folder, as it was given; empty where nobody can tell."""
    lines, _good = _read_lines(path / _JOURNAL)
    header = lines[0] if lines else {}
    return header if header.get("version") == VERSION else {}


def entries_of(path: Path) -> list[Entry]:
    """Return what a journal says is there, ordered by source and index."""
    lines, _good = _read_lines(path / _JOURNAL)
    found = {(x.source, x.place): x for x in map(_entry, lines[1:]) if x is not None}
    return [found[place] for place in sorted(found)]


def _read_lines(journal: Path) -> tuple[list[dict[str, Any]], int]:
    """Read a journal up to the first line that is not whole.

    Returns:
        The lines; and where the last of them ends.
    """
    lines: list[dict[str, Any]] = []
    good = 0
    try:
        data = journal.read_bytes()
    except FileNotFoundError:
        return lines, good
    while (end := data.find(b"\n", good)) >= 0:
        try:
            line = json.loads(data[good:end])
        except ValueError:
            break
        if not isinstance(line, dict):
            break
        lines.append(line)
        good = end + 1
    return lines, good


def _entry(line: dict[str, Any]) -> Entry | None:
    """Return what a line says; None where nobody can tell."""
    try:
        entry = Entry(**line)
        if entry.byte_range is not None:
            length, offset = entry.byte_range
            entry = entry._replace(byte_range=(int(length), int(offset)))
    except (TypeError, ValueError):
        return None
    values: tuple[Any, ...] = entry
    is_known = all(map(_is_a, values, _KINDS))
    return entry if is_known else None


def _is_a(value: object, kind: Any) -> bool:
    # A truth value is a number too, to Python.
    return isinstance(value, kind) and (kind in (bool, object) or not isinstance(value, bool))
