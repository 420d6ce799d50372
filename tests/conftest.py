"""What all tests share: the size of the dose, and the order of unit and end-to-end tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

E2E = Path(__file__).parent / "e2e"

# The full dose of `script/test --long`; tests that name their own number of examples keep it.
settings.register_profile("long", max_examples=2000, deadline=None)
# No deadline: on a busy machine a slow example is no failure.
settings.register_profile("short", deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--long`."""
    parser.addoption("--long", action="store_true", help="full doses of fuzz, soak and fault tests")


def pytest_configure(config: pytest.Config) -> None:
    """Tell tests and their child processes how large the dose is: NTVMEDIA_LONG=1."""
    config.addinivalue_line("markers", "long: only in the full dose, of `script/test --long`")
    if config.getoption("--long"):
        os.environ["NTVMEDIA_LONG"] = "1"
    settings.load_profile("long" if os.environ.get("NTVMEDIA_LONG") == "1" else "short")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the end-to-end tests last: what is quick fails first. Leave out what takes long."""
    items.sort(key=lambda item: E2E in item.path.parents)
    if os.environ.get("NTVMEDIA_LONG") != "1":
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture(scope="session")
def long_dose() -> bool:
    """Whether fuzz, soak and fault tests run their full dose."""
    return os.environ.get("NTVMEDIA_LONG") == "1"
