"""Tests of ntvmedia.accounts.setup: the code that proves who owns a new server."""

from __future__ import annotations

import re
import secrets
import stat
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from ntvmedia.accounts.setup import FILE_NAME, SetupCode
from ntvmedia.errors import ConfigError


def make(data: Path) -> SetupCode:
    """Return what a server that starts now has."""
    made = SetupCode(data, secrets.token_bytes)
    made.keep()
    return made


@pytest.fixture
def logged() -> Any:
    """Return what is logged."""
    texts: list[str] = []

    def observe(event: LogEvent) -> None:
        texts.append(formatEvent(event))

    observer: Any = observe
    globalLogPublisher.addObserver(observer)
    yield texts
    globalLogPublisher.removeObserver(observer)


def test_first_start(tmp_path: Path, logged: list[str]) -> None:
    """F-AC-01: a code of its own for each installation, in a file for its owner only."""
    code = make(tmp_path)
    assert re.fullmatch("[a-z2-7]{5}(-[a-z2-7]{5}){3}", code.code)
    path = tmp_path / FILE_NAME
    assert path.read_text("ascii") == f"{code.code}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [x.name for x in tmp_path.iterdir()] == [FILE_NAME]
    assert len(logged) == 1
    assert code.code in logged[0]
    assert str(path) in logged[0]
    other = tmp_path / "other"
    other.mkdir()
    assert make(other).code != code.code


def test_next_start(tmp_path: Path, logged: list[str]) -> None:
    """F-AC-01: the code stays the same, and is not said again; where it is, is."""
    code = make(tmp_path).code
    del logged[:]
    assert make(tmp_path).code == code
    assert len(logged) == 1
    assert str(tmp_path / FILE_NAME) in logged[0]
    assert code not in logged[0]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_others_may_have_read_it(tmp_path: Path, mode: int) -> None:
    """A file that others may read or write proves nothing: there is a new code."""
    code = make(tmp_path).code
    path = tmp_path / FILE_NAME
    path.chmod(mode)
    assert make(tmp_path).code != code
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"short", b"\xff" * 23, b"a" * 5000, b"abcde-fghij-klmno-pqrs!\n"]
)
def test_broken_file(tmp_path: Path, content: bytes) -> None:
    """What is no code is replaced: an empty one would let everybody in."""
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    path.chmod(0o600)
    code = make(tmp_path)
    assert len(code.code) == 23
    assert not code.matches(content.decode("latin-1"))
    assert path.read_text("ascii") == f"{code.code}\n"


def test_left_over(tmp_path: Path) -> None:
    """What a process of the same number left, before it was killed, does not matter."""
    import os

    (tmp_path / f".{FILE_NAME}.{os.getpid()}").write_text("x", "ascii")
    make(tmp_path)
    assert [x.name for x in tmp_path.iterdir()] == [FILE_NAME]


def test_not_writable(tmp_path: Path) -> None:
    """A code that nobody can read is no code: the server does not start."""
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        make(tmp_path)


def test_typed(tmp_path: Path) -> None:
    """It is the code in any case, with spaces or without dashes; and nothing else is."""
    code = make(tmp_path)
    for typed in (code.code, code.code.upper(), code.code.replace("-", " "), f" {code.code}\r\n"):
        assert code.matches(typed)
    for typed in ("", "-", " ", code.code[:-1], f"{code.code}a", "\ud800", "x" * 100_000):
        assert not code.matches(typed)


def test_removed(tmp_path: Path) -> None:
    """Once the server is set up nothing matches, not even nothing; and the file is gone."""
    code = make(tmp_path)
    before = code.code
    code.remove()
    code.remove()
    assert list(tmp_path.iterdir()) == []
    assert code.code == ""
    assert not code.matches("")
    assert not code.matches(before)


def test_cannot_be_removed(tmp_path: Path, logged: list[str]) -> None:
    """A file that stays is told, and its code is worthless all the same."""
    code = make(tmp_path)
    path = tmp_path / FILE_NAME
    path.unlink()
    path.mkdir()
    code.remove()
    assert code.code == ""
    assert "stays" in logged[-1]
