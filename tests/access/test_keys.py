"""Tests of ntvmedia.access.keys: the files of the server's own keys."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ntvmedia.access.keys import (
    HLS_KEY_FILE,
    KEY_FILE,
    keep_key,
    keep_signing_key,
    read_key,
    read_signing_key,
)
from ntvmedia.errors import ConfigError

KEY = bytes(range(32))


def make(data: Path, key: bytes = KEY) -> bytes:
    """Make a key, or read the one that is there."""
    return keep_signing_key(data, lambda count: key[:count])


def mode(path: Path) -> int:
    """Return what others may do with a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_first_start(tmp_path: Path) -> None:
    """It is made once, for its owner only, whatever the umask, and nothing else is left."""
    before = os.umask(0)
    try:
        assert make(tmp_path) == KEY
    finally:
        os.umask(before)
    path = tmp_path / KEY_FILE
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert path.read_text("ascii") == KEY.hex() + "\n"
    assert list(path.parent.iterdir()) == [path]
    assert make(tmp_path, bytes(32)) == KEY
    assert read_signing_key(tmp_path) == KEY


def test_not_there(tmp_path: Path) -> None:
    """Whoever only reads makes none."""
    with pytest.raises(ConfigError, match="keys/signing: cannot be read: No such file"):
        read_signing_key(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_left_over(tmp_path: Path) -> None:
    """What a process that was killed while it wrote has left is no key, and in nobody's way."""
    folder = tmp_path / KEY_FILE.parent
    folder.mkdir()
    (folder / f".{KEY_FILE.name}.{os.getpid()}").write_text("00")
    assert make(tmp_path) == KEY
    assert [path.name for path in folder.iterdir()] == [KEY_FILE.name]


@pytest.mark.parametrize(
    "text", ["", "00", KEY.hex()[:-2], KEY.hex() + "00", "x" * 64, "é", "00" * 500]
)
def test_broken(tmp_path: Path, text: str) -> None:
    """A broken key stops the start, and is not replaced: addresses were signed with it."""
    make(tmp_path)
    path = tmp_path / KEY_FILE
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="keys/signing: no key: expected 64 hexadecimal digits"):
        make(tmp_path)
    assert path.read_text("utf-8") == text


@pytest.mark.parametrize("bits", [0o604, 0o640, 0o660, 0o602])
def test_others(tmp_path: Path, bits: int) -> None:
    """A key that others may read or write is none."""
    make(tmp_path)
    (tmp_path / KEY_FILE).chmod(bits)
    with pytest.raises(ConfigError, match="others may read or write it: chmod 600"):
        make(tmp_path)


def test_link_to_nowhere(tmp_path: Path) -> None:
    """Where the key is kept elsewhere, and that is not there now, no other is made."""
    (tmp_path / KEY_FILE.parent).mkdir()
    (tmp_path / KEY_FILE).symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="cannot be read"):
        make(tmp_path)
    assert (tmp_path / KEY_FILE).is_symlink()


def test_not_written(tmp_path: Path) -> None:
    """What stands in the way is named, and nothing half-made is left."""
    (tmp_path / KEY_FILE.parent).write_text("a file")
    with pytest.raises(ConfigError, match="keys/signing: cannot be written: "):
        make(tmp_path)
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        make(tmp_path / "none")


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full leaves no key, and no half of one, behind."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        make(tmp_path)
    assert list((tmp_path / KEY_FILE.parent).iterdir()) == []
    monkeypatch.undo()
    assert make(tmp_path) == KEY


def test_each_has_its_file(tmp_path: Path) -> None:
    """The two keys of a server are independent: one may be replaced, or be missing, by itself."""
    make(tmp_path)
    other = keep_key(tmp_path, HLS_KEY_FILE, lambda count: bytes(count))
    assert (read_signing_key(tmp_path), other) == (KEY, bytes(32))
    assert mode(tmp_path / HLS_KEY_FILE) == 0o600
    assert keep_key(tmp_path, HLS_KEY_FILE, lambda count: KEY[:count]) == other
    (tmp_path / KEY_FILE).unlink()
    assert read_key(tmp_path, HLS_KEY_FILE) == other
    with pytest.raises(ConfigError, match="keys/signing: cannot be read: No such file"):
        read_key(tmp_path, KEY_FILE)
    (tmp_path / HLS_KEY_FILE).chmod(0o640)
    with pytest.raises(ConfigError, match="keys/hls: others may read or write it: chmod 600"):
        keep_key(tmp_path, HLS_KEY_FILE, lambda count: KEY[:count])
