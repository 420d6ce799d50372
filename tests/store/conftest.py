"""Fixtures: a store on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ntvmedia.store import Store
from tests.e2e.postgres import PostgreSQLServer
from tests.store.places import Place


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQLServer]:
    """A real PostgreSQL server for the whole run."""
    with PostgreSQLServer() as server:
        yield server


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Iterator[Place]:
    """An empty place for SQLite, in a folder that is still to be made."""
    place = Place(tmp_path / "data")
    yield place
    place.close()


@pytest.fixture
def postgresql_place(tmp_path: Path, postgresql: PostgreSQLServer) -> Iterator[Place]:
    """An empty database of PostgreSQL."""
    place = Place(tmp_path / "data", postgresql)
    yield place
    place.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    """Either, one after the other."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


@pytest.fixture
def store(place: Place) -> Store:
    """An open store on either, with the built-in applications."""
    return place.store()
