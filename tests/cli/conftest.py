"""Fixtures of the tests of commands."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ntvmedia.cli.main import main

Command = Callable[..., tuple[str, str]]


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Run a command and its action on the data of the test; returns its output and complaints."""

    def do(
        name: str, action: str, *words: str, status: int = 0, stdin: str = ""
    ) -> tuple[str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        found = main([name, action, f"--data={tmp_path}", *words])
        out, err = capsys.readouterr()
        assert found == status, err
        return out, err

    return do
