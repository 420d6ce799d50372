"""Tests of ntvmedia.cli.main."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from unittest import mock

import pytest

from ntvmedia import __version__
from ntvmedia.cli.main import main


@pytest.fixture
def twistd(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Have `main` run nothing, and keep the command lines that it would have run."""
    ran: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["ntvmedia"])
    monkeypatch.setattr("twisted.scripts.twistd.run", lambda: ran.append(sys.argv))
    return ran


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["serve"], []),
        (["serve", "--config", "x.toml", "--set=a.b=c"], ["--config", "x.toml", "--set=a.b=c"]),
        (["serve", "--help"], ["--help"]),
        (["serve", "-c", "-h"], ["-c", "-h"]),
        (["check"], ["--check"]),
        (["check", "--set", "hub.latency=low"], ["--check", "--set", "hub.latency=low"]),
    ],
)
def test_twistd(twistd: list[list[str]], arguments: Sequence[str], options: Sequence[str]) -> None:
    """What follows the command is for twistd, untouched."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert twistd == [["twistd", "--nodaemon", "--pidfile=", "ntvmedia", *options]]


def test_version(capsys: pytest.CaptureFixture[str], twistd: list[list[str]]) -> None:
    """The version is printed, and nothing runs."""
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"NTV Media Server {__version__}\n"
    assert twistd == []


def test_arguments_of_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    """Without arguments those of the process count."""
    with mock.patch.object(sys, "argv", ["ntvmedia", "version"]):
        assert main() == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["serv"], ["version", "now"], ["--config", "x"]])
def test_refusals(
    arguments: Sequence[str], capsys: pytest.CaptureFixture[str], twistd: list[list[str]]
) -> None:
    """What is no command is refused, and nothing runs."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "ntvmedia: error: " in capsys.readouterr().err
    assert twistd == []
