"""The guide `docs/relay.md`: its commands are run in order, and its tables say what there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from ntvmedia.media.relaying import VideoOptions
from ntvmedia.relay.pushes import FIELDS as PUSH_FIELDS
from ntvmedia.relay.states import State
from tests.e2e.conftest import StartServer
from tests.e2e.processes import wait_until
from tests.e2e.server import ROOT, Server

PAGE = (ROOT / "docs" / "relay.md").read_text("utf-8")

FILM = "/srv/films/"


def table(heading: str, number: int = 0) -> list[str]:
    """Return the names in the first cells of a table below a heading."""
    text = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)[number].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])]


def test_tables() -> None:
    """Fields and states are those that there are."""
    names = ["bitrate_kbps", "width", "height", *VideoOptions._fields[4:]]
    assert table("Copied, or encoded") == names
    assert tuple(table("States, and what to do")) == get_args(State)
    own = {"id", "description", "enabled", "transport"}
    assert set(table("To other servers")) == set(PUSH_FIELDS) - own


@pytest.fixture
def server(start_server: StartServer, tmp_path: Path, clip: Path) -> Server:
    """A server with films."""
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("one.mp4", "two.mp4"):
        shutil.copy(clip, folder / name)
    return start_server(f"relay.folders={folder}")


def run(script: str, server: Server, folder: Path) -> str:
    """Run an example, and return what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = script.replace("localhost:8080", f"127.0.0.1:{server.http_port}")
    done = subprocess.run(
        ["bash", "-euc", script.replace(FILM, f"{folder / 'films'}/")],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def relay(server: Server, stream: str) -> Any:
    """Return the task that makes a stream."""
    found = server.api("relays?page_size=500")["relays"]
    return next(x for x in found if x["target"]["stream"] == stream)


def runs(server: Server, stream: str) -> None:
    """Wait until media come."""
    wait_until(
        lambda: relay(server, stream)["status"]["state"] == "running",
        f"{stream} runs",
        seconds=60,
    )


def test_commands(server: Server, tmp_path: Path) -> None:
    """What it says works as it stands, but for the port and the folder of films."""
    if not (tmp_path / "data").exists():
        (tmp_path / "data").symlink_to(server.data)
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 14
    printed = [run(block, server, tmp_path) for block in blocks]
    # A picture at once.
    assert int(printed[0].split()[-1]) == 100_000
    assert "640x360" in printed[1]
    assert "relay" in printed[1] and "test: is there" in printed[1]
    for stream in ("test", "second", "test_low", "second_aac", "show_360p", "film"):
        runs(server, stream)
    wait_until(
        lambda: (
            {"show_360p", "show_180p"} <= {x["stream"] for x in server.api("streams")["streams"]}
        ),
        "both sizes are there",
    )
    assert relay(server, "door")["source"] == "rtsp://<hidden>@192.168.1.20/stream1"
    assert relay(server, "cams-*")["status"]["state"] == "idle"
    # Nobody answers under the names of the examples: the third source has its turn.
    wait_until(
        lambda: relay(server, "event")["status"]["source"] == 2, "the last source plays", seconds=90
    )
    assert not re.search(r"abcd-efgh-ijkl-mnop|FB-1234", "".join(printed))
    pushes = server.api("pushes?sort=description")["pushes"]
    assert [x["description"] for x in pushes] == ["a second platform", "edge", "platform"]
    assert server.api("preferences")["outbound_networks"] == ["192.168.1.0/24"]
