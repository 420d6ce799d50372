"""Tests of ntvmedia.config.document."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from ntvmedia.config import SECTIONS, Settings, parse_settings
from ntvmedia.config.document import configuration_page

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_current() -> None:
    """The page in the repository is what the sections say now."""
    assert PAGE.read_text("utf-8") == configuration_page()


def test_defaults_can_be_copied() -> None:
    """Each default is shown as it would be written into the file."""
    text = ""
    for line in configuration_page().splitlines():
        section = re.fullmatch(r"## `(\[\w+\])`", line)
        row = re.match(r"\| `(\w+)` \| `(.*?)` \|", line)
        if section:
            text += f"{section[1]}\n"
        elif row:
            text += f"{row[1]} = {row[2]}\n"
    raw = tomllib.loads(text)
    assert set(raw) == set(SECTIONS)
    assert parse_settings(raw) == Settings()


def test_example() -> None:
    """The example of the page is a good configuration."""
    (example,) = re.findall(r"```toml\n(.*?)```", configuration_page(), re.DOTALL)
    assert parse_settings(tomllib.loads(example)).hub.latency == "low"
