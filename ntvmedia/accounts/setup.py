"""The setup code: who can read it owns the server, and may make its first administrator (P-102)."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from ntvmedia.accounts.credentials import is_same
from ntvmedia.errors import ConfigError

FILE_NAME: Final = "setup-code"
"""In the data folder; one line, for its owner only. It is gone once the server is set up."""

# 100 bits and some: 20 characters, in groups that can be typed from a screen.
_CODE_BYTES: Final = 13
_CODE_LENGTH: Final = 20
_GROUP_LENGTH: Final = 5

# RFC 4648 6, in lower case.
_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz234567")

# What somebody types, with some spaces.
_MAX_TYPED_LENGTH: Final = 100


class SetupCode:
    """The code of this server, and its file.

    Args:
        data: The data folder.
        random: Returns that many unpredictable bytes.

    Attributes:
        code: "abcde-fghij-klmno-pqrst"; empty where there is none.
        path: The file.
    """

    _log = Logger()

    def __init__(self, data: Path, random: Callable[[int], bytes]) -> None:
        self.path = data / FILE_NAME
        self.code = ""
        self._random = random

    def keep(self) -> None:
        """Read the code, or make one; and say where it is.

        Raises:
            ConfigError: The file cannot be written.
        """
        self.code = _read(self.path)
        if self.code:
            self._log.warn(
                "there is no administrator yet: the setup code is in {path}", path=self.path
            )
            return
        code = base64.b32encode(self._random(_CODE_BYTES)).decode("ascii").lower()[:_CODE_LENGTH]
        groups = [code[at : at + _GROUP_LENGTH] for at in range(0, _CODE_LENGTH, _GROUP_LENGTH)]
        self.code = "-".join(groups)
        try:
            _write(self.path, f"{self.code}\n")
        except OSError as error:
            where = (str(self.path),)
            raise ConfigError(f"cannot be written: {error.strerror}", where) from None
        # This once (F-AC-01): it is worth nothing when the server is set up.
        self._log.warn(
            "there is no administrator yet: the setup code is {code}, and is kept in {path}",
            code=self.code,
            path=self.path,
        )

    def remove(self) -> None:
        """Make the code worthless, and remove the file. Idempotent."""
        self.code = ""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            self._log.error("{path} stays: {error}", path=self.path, error=error.strerror)

    def matches(self, typed: str) -> bool:
        """Whether somebody typed the code: in any case, with or without the dashes."""
        bare = _bare(typed)
        return bool(self.code) and is_same(bare, _bare(self.code))


def _bare(typed: str) -> str:
    return "".join(x for x in typed[:_MAX_TYPED_LENGTH].lower() if x != "-" and not x.isspace())


def _read(path: Path) -> str:
    """Return the code that is kept; empty where there is none, or others may have read it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MAX_TYPED_LENGTH).decode("ascii").strip()
    except (OSError, ValueError):
        return ""
    bare = _bare(text)
    is_code = len(bare) == _CODE_LENGTH and _CHARACTERS.issuperset(bare)
    return text if is_code and not mode & 0o077 else ""


def _write(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all, for its owner only."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    # One that a killed process of the same number left may have another mode.
    new.unlink(missing_ok=True)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
