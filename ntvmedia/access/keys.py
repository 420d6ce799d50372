"""The server's own secret keys: each made at the first start, and kept in a file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ntvmedia.access.signing import KEY_BYTES
from ntvmedia.errors import ConfigError

KEY_FILE: Final = Path("keys", "signing")
"""What addresses are signed with. In the data folder: one line of 64 hexadecimal digits."""

HLS_KEY_FILE: Final = Path("keys", "hls")
"""What the keys of encrypted segments are derived from; of the same form."""

# The line, and what an editor may have added.
_MAX_FILE_BYTES: Final = 200


def read_signing_key(data: Path) -> bytes:
    """Read the key that addresses are signed with; as `read_key`."""
    return read_key(data, KEY_FILE)


def keep_signing_key(data: Path, random: Callable[[int], bytes]) -> bytes:
    """Read the key that addresses are signed with, or make it; as `keep_key`."""
    return keep_key(data, KEY_FILE, random)


def read_key(data: Path, name: Path) -> bytes:
    """Read a key of `KEY_BYTES` bytes.

    Args:
        data: The data folder.
        name: The file in it, such as `KEY_FILE`.

    Raises:
        ConfigError: There is none, it cannot be read, others than its owner may read it, or it is
            no key.
    """
    path = data / name
    where = (str(path),)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where) from None
    if mode & 0o077:
        raise ConfigError("others may read or write it: chmod 600", where)
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"no key: expected {2 * KEY_BYTES} hexadecimal digits", where)
    return key


def keep_key(data: Path, name: Path, random: Callable[[int], bytes]) -> bytes:
    """Read a key of `KEY_BYTES` bytes, or make one where there is none.

    Args:
        data: The data folder, which exists.
        name: The file in it, such as `KEY_FILE`.
        random: Returns that many unpredictable bytes.

    Raises:
        ConfigError: As for `read_key`; or it cannot be written.
    """
    path = data / name
    # A link that leads nowhere is no reason to make a key of its own either.
    if not os.path.lexists(path):
        try:
            _write(path, random(KEY_BYTES).hex() + "\n")
        except OSError as error:
            raise ConfigError(f"cannot be written: {error.strerror}", (str(path),)) from None
    return read_key(data, name)


def _write(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all, whatever happens meanwhile."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    # One that a killed process of the same number left may have another mode.
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    for folder in (path.parent, path.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
