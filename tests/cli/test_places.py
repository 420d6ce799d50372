"""Tests of ntvmedia.cli.places: where the server's data and database are."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.places import add_places, database_url
from ntvmedia.errors import ConfigError


def test_options() -> None:
    """As `ntvmedia serve` has them."""
    parser = argparse.ArgumentParser()
    add_places(parser)
    assert vars(parser.parse_args([])) == {"data": Path("data"), "config": None}
    found = parser.parse_args(["--data", "a", "--config", "b"])
    assert found == parser.parse_args(["-d", "a", "-c", "b"])
    assert vars(found) == {"data": Path("a"), "config": Path("b")}
    without = argparse.ArgumentParser()
    add_places(without, config=False)
    assert vars(without.parse_args([])) == {"data": Path("data")}


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", ""),
        ("[rtmp]\nlisten = []\n", ""),
        ("[database]\n", ""),
        ('[database]\nurl = "postgresql://a@b/c"\n', "postgresql://a@b/c"),
        ('[plugin]\nx = 1\n[database]\nurl = ""\n', ""),
    ],
)
def test_database(tmp_path: Path, text: str, url: str) -> None:
    """What the section `database` says; the other sections are the server's business."""
    config = tmp_path / "x.toml"
    config.write_text(text)
    assert database_url(config) == url
    assert database_url(None) == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x", "Expected '='"),
        ("\xff", "utf-8"),
        ("x = " + "[" * 100_000, "--config"),
        ("database = 1", "database: expected a section"),
        ("x" * (1 << 20) + "x", "larger than 1,048,576 bytes"),
    ],
)
def test_broken(tmp_path: Path, text: str, problem: str) -> None:
    """A file that is none is named."""
    config = tmp_path / "x.toml"
    config.write_bytes(text.encode("latin-1"))
    with pytest.raises(Failed, match=problem) as failed:
        database_url(config)
    assert str(failed.value).startswith(f"--config {config}: ")
    with pytest.raises(Failed, match="cannot be read: No such file"):
        database_url(tmp_path / "none")


def test_wrong(tmp_path: Path) -> None:
    """A setting that is wrong is told as the server tells it."""
    config = tmp_path / "x.toml"
    config.write_text("[database]\nurll = 5\n")
    with pytest.raises(ConfigError, match=r"^database\.urll: unknown setting; did you mean url\?"):
        database_url(config)
