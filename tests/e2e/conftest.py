"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.hls_sources import Sources
from tests.e2e.media import make_clip
from tests.e2e.server import Server

StartServer = Callable[..., Server]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers with settings of the test's own: `start_server("hub.latency=low")`.

    All are stopped after the test, which fails if one of them logged a traceback.
    """
    servers: list[Server] = []

    def start(*settings: str, options: tuple[str, ...] = ()) -> Server:
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        servers.append(Server(folder, settings, options))
        return servers[-1]

    yield start
    problems: list[AssertionError] = []
    for server in servers:
        try:
            server.close()
        except AssertionError as error:
            problems.append(error)
    if problems:
        raise problems[0]


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """A server with the default settings, for one test."""
    return start_server()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the default settings for all tests of a module, which use streams of their own.

    The last of them has an error if the server logged a traceback.
    """
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of H.264 and AAC in an FLV file: see `make_clip`."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.flv")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """Playlists that FFmpeg wrote, and what it made them from."""
    return Sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a download goes to: the only file of its folder."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "x.mp4"
