"""Where a server keeps what it knows: the options `--data` and `--config`, as `serve` has them."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ntvmedia.cli.failures import Failed
from ntvmedia.config import DatabaseSettings, parse_section

# As the server has it.
_MAX_CONFIG_BYTES: Final = 1 << 20


def add_places(parser: argparse.ArgumentParser, *, config: bool = True) -> None:
    """Give a command the options.

    Args:
        parser: The command's.
        config: The command may use the database.
    """
    parser.add_argument(
        *("-d", "--data"),
        type=Path,
        default=Path("data"),
        metavar="DIR",
        help="the server's data folder; default: data",
    )
    if config:
        parser.add_argument(
            *("-c", "--config"),
            type=Path,
            metavar="FILE",
            help="the server's settings, where they name a database",
        )


@contextlib.contextmanager
def claimed(data: Path) -> Iterator[bool]:
    """Have a data folder, so that no server starts to use it meanwhile.

    Returns:
        Whether no server has it.

    Raises:
        Failed: It cannot be used.
    """
    try:
        folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        text = f"--data {data}: there is no such folder; a server's first start makes it"
        raise Failed(text) from None
    except OSError as error:
        raise Failed(f"--data {data}: {error.strerror}") from None
    try:
        yield _lock(folder)
    finally:
        os.close(folder)


def database_url(config: Path | None) -> str:
    """Return the address of the database that the settings name; empty for the data folder's.

    Raises:
        Failed: The file cannot be read, or is wrong.
        ConfigError: The section `database` is wrong.
    """
    if config is None:
        return ""
    try:
        with config.open("rb") as file:
            data = file.read(_MAX_CONFIG_BYTES + 1)
        if len(data) > _MAX_CONFIG_BYTES:
            raise Failed(f"--config {config}: larger than {_MAX_CONFIG_BYTES:,} bytes")
        raw = tomllib.loads(data.decode("utf-8")).get("database", {})
    except OSError as error:
        raise Failed(f"--config {config}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Failed(f"--config {config}: {error}") from None
    if not isinstance(raw, dict):
        raise Failed(f"--config {config}: database: expected a section")
    return parse_section(DatabaseSettings, "database", raw).url


def _lock(folder: int) -> bool:
    """Take an open folder; return whether nobody else has it."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # network file systems may lock no folders
    return True
