"""Tests of ntvmedia.cli.rights: root with the rights of whom a folder belongs to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ntvmedia.cli.rights import rights_of_owner


class Owner(NamedTuple):
    """What `stat` says of a folder."""

    st_uid: int
    st_gid: int


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Note what the system is asked for, without having it done."""
    found: list[tuple[str, Any]] = []
    for name in ("setgroups", "setegid", "seteuid"):
        monkeypatch.setattr(os, name, lambda value, name=name: found.append((name, value)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "getegid", lambda: 5)
    monkeypatch.setattr(os, "getgroups", lambda: [5, 6])
    monkeypatch.setattr(Path, "exists", lambda path: path.name != "none")
    monkeypatch.setattr(Path, "stat", lambda path: Owner(0 if path.name == "roots" else 7, 8))
    return found


def test_there_and_back(calls: list[tuple[str, Any]]) -> None:
    """The user last, and first to come back; also from a failure."""
    there = [("setgroups", [8]), ("setegid", 8), ("seteuid", 7)]
    back = [("seteuid", 0), ("setegid", 5), ("setgroups", [5, 6])]
    with pytest.raises(ZeroDivisionError), rights_of_owner(Path("data")):
        assert calls == there
        raise ZeroDivisionError
    assert calls == there + back


@pytest.mark.parametrize("name", ["none", "roots"])
def test_nobody_elses(calls: list[tuple[str, Any]], name: str) -> None:
    """A folder that is not there, or root's own, changes nothing."""
    with rights_of_owner(Path(name)):
        pass
    assert calls == []


def test_not_root(calls: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not root has his own rights only."""
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    with rights_of_owner(Path("data")):
        pass
    assert calls == []
