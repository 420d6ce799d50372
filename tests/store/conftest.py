"""Fixtures: a store on each kind of database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ntvmedia.store import Store
from ntvmedia.store.migration import MIGRATIONS
from tests.e2e.postgres import PostgreSQLServer
from tests.store.dumps import NEWEST
from tests.store.places import Place
from tests.store.slow import put_empty_database

# A revision after the newest one: it changes a table, and what is in it.
GOOD = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9000", "{before}"

def upgrade():
    op.add_column("applications", sa.Column("note", sa.Text(), server_default="none"))
    op.execute("UPDATE applications SET note = name, enabled = false")
"""


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
    if place.server is None:
        place.data.mkdir(0o700)
        put_empty_database(place.data)
    return place.store()


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """Migrations of a program that is one revision newer than this one."""
    folder = tmp_path / "100% newer"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "r9000_note.py").write_text(GOOD.format(before=NEWEST), "utf-8")
    return folder
