"""Files below the folders that the operator allows, and what they are. In the child only."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ntvmedia.errors import RemoteError

MAX_SNIFFED: Final = 8192
"""Bytes that `format_of` looks at."""

_TS_SIZES: Final = ((188, 0), (192, 4), (204, 0), (208, 0))
_TS_PACKETS: Final = 5

# Where it begins, what is there, and the demuxer. No playlist and nothing else that names other
# files: those are not formats here (F-SS-01).
_MAGIC: Final = (
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"FLV\x01", "flv"),
    (0, bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "asf"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"\0\0\x01\xba", "mpeg"),
    (0, b".RMF", "rm"),
    (0, b"DKIF", "ivf"),
    (0, b"caff\0\x01", "caf"),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", "mxf"),
    (0, b"ID3", "mp3"),
    (4, b"ftyp", "mov"),
    (4, b"moov", "mov"),
    (4, b"mdat", "mov"),
    (4, b"wide", "mov"),
    (4, b"skip", "mov"),
    (4, b"free", "mov"),
)
_RIFF: Final = {b"AVI ": "avi", b"WAVE": "wav"}


def format_of(data: bytes) -> str:
    """Return FFmpeg's name of the demuxer for what begins so; empty where there is none."""
    for place, magic, name in _MAGIC:
        if data.startswith(magic, place):
            return name
    if data[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(data[8:12], "")
    for size, offset in _TS_SIZES:
        places = range(offset, offset + size * _TS_PACKETS, size)
        if places[-1] < len(data) and all(data[x] == 0x47 for x in places):
            return "mpegts"
    if len(data) > 1 and data[0] == 0xFF:
        # 12 bits of synchronisation; of the two that say the layer, ADTS has none (MPEG-4 3 1.A).
        if data[1] & 0xF6 == 0xF0:
            return "aac"
        if data[1] & 0xE0 == 0xE0 and data[1] & 0x06 and data[1] & 0x18 != 0x08:
            return "mp3"
    return ""


class OpenFile:
    """A file that is read, wherever its name leads later.

    Args:
        path: Absolute, or below one of the folders.
        folders: Where files may be.

    Raises:
        RemoteError: It is not there, in none of the folders once all links are followed, or no
            file.
    """

    name = "<file>"

    def __init__(self, path: str, folders: Sequence[str]) -> None:
        self._descriptor = _open_below(path, folders)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise RemoteError("this is no file", is_permanent=True)
        self._size = status.st_size

    def read(self, count: int) -> bytes:
        """Return the next bytes; none at the end."""
        return os.read(self._descriptor, count)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place, and return it."""
        return os.lseek(self._descriptor, place, whence)

    def tell(self) -> int:
        """Return the place of the next byte."""
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def close(self) -> None:
        """Close it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _open_below(path: str, folders: Sequence[str]) -> int:
    """Open a file below one of the folders, and return its descriptor."""
    if "\0" in path:
        raise RemoteError("the name of a file has no NUL", is_permanent=True)
    roots = [os.path.realpath(folder) for folder in folders]
    candidates = [path] if path.startswith("/") else [f"{root}/{path}" for root in roots]
    for candidate in candidates:
        real = os.path.realpath(candidate)
        for root in roots:
            parts = _parts_below(real, root)
            if parts and (candidate == path or os.path.lexists(real)):
                return _open_parts(root, parts)
    if path.startswith("/"):
        raise RemoteError("the file is in none of relay.folders", is_permanent=True)
    raise RemoteError("there is no such file in relay.folders", is_permanent=True)


def _parts_below(real: str, root: str) -> tuple[str, ...]:
    """Return the names that lead from a folder to a file in it; none where it is not."""
    try:
        return Path(real).relative_to(root).parts
    except ValueError:
        return ()


def _open_parts(root: str, parts: Sequence[str]) -> int:
    """Go down name by name, so that no link that was just put there leads elsewhere."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        folder = os.open(root, flags | os.O_DIRECTORY)
        try:
            for name in parts[:-1]:
                below = os.open(name, flags | os.O_DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = below
            # Without waiting: a FIFO that nobody writes to would hold this process.
            return os.open(parts[-1], flags | os.O_NONBLOCK, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else ""
        raise RemoteError(why or f"the file: {error.strerror}", is_permanent=True) from None
