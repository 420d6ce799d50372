"""Operators and streams: what the API does, seen by FFmpeg at both ends; and backups."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.processes import Failed, Program, wait_until
from tests.e2e.server import Server

NTVMEDIA = Path(sys.executable).with_name("ntvmedia")


def publisher(server: Server, clip: Path, name: str, folder: Path) -> Program:
    """Publish a clip over and over."""
    command = f"ffmpeg -v error -re -stream_loop -1 -i {clip} -c copy -f flv {server.rtmp(name)}"
    return Program(command.split(), folder, f"publisher-{name.replace('/', '-')}")


def player(address: str, folder: Path, name: str) -> Program:
    """Play until it ends."""
    command = f"ffmpeg -v error -i {address} -map 0 -c copy -f null -"
    return Program(command.split(), folder, name)


def command(*words: str | Path) -> str:
    """Run `ntvmedia`; returns what it says."""
    done = subprocess.run(
        [NTVMEDIA, *words], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise Failed(f"ntvmedia {words}: {done.stderr}")
    return done.stdout


def viewers(server: Server, name: str) -> list[dict[str, Any]]:
    """Return who watches a stream."""
    application, _slash, stream = name.partition("/")
    found: list[dict[str, Any]] = server.control(
        f"/mserver/api/v1/viewers?application={application}&stream={stream}"
    )["viewers"]
    return found


def test_every_viewer_is_kicked(server: Server, clip: Path, tmp_path: Path) -> None:
    """Viewers of every protocol are listed, kicked, and kept away for a while; others stay."""
    name = "liveshow/show"
    addresses = {
        "rtmp": server.rtmp(name),
        "flv": server.flv(name),
        "ts": server.http(f"/{name}.ts"),
        "hls": server.http(f"/{name}.m3u8"),
        "rtsp": server.rtsp(name),
    }
    with publisher(server, clip, name, tmp_path), publisher(server, clip, "tv/other", tmp_path):
        wait_until(lambda: len(server.api("streams")["streams"]) == 2, "both are published")
        with player(server.flv("tv/other"), tmp_path, "other") as other:
            players = {x: player(address, tmp_path, x) for x, address in addresses.items()}
            try:
                wait_until(
                    lambda: {x["protocol"] for x in viewers(server, name)} == set(addresses),
                    "all of them play",
                )
                found = server.api(
                    "streams/liveshow/show/viewers/kick", "POST", {"block_seconds": 600}
                )
                assert found["kicked"] == len(addresses)
                wait_until(
                    lambda: not any(x.is_running for x in players.values()), "all of them left", 30
                )
            finally:
                for program in players.values():
                    program.stop(signal.SIGKILL)
            assert viewers(server, name) == []
            assert other.is_running
            # All come from the one address, which may not have this stream, and may have others.
            status, _body = server.get(f"/{name}.flv")
            assert status == 403
            assert len(viewers(server, "tv/other")) == 1


def test_close_and_forbid(server: Server, clip: Path, tmp_path: Path) -> None:
    """A closed stream may come back; a forbidden one may not, until it is allowed (P-404)."""
    name = "liveshow/show"
    with publisher(server, clip, name, tmp_path) as first:
        wait_until(lambda: server.api("streams")["streams"], "it is published")
        server.api("streams/liveshow/show/close", "POST", {})
        wait_until(lambda: not first.is_running, "its publisher was dropped")
    with publisher(server, clip, name, tmp_path) as again:
        wait_until(lambda: server.api("streams")["streams"], "it is back")
        server.api("streams/liveshow/show/forbidden", "PUT", {"comment": "copyright"})
        wait_until(lambda: not again.is_running, "forbidden, it ended")
    with publisher(server, clip, name, tmp_path) as refused:
        wait_until(lambda: not refused.is_running, "it was refused")
    assert server.api("streams")["streams"] == []
    assert server.get(f"/{name}.flv")[0] == 403
    server.api("streams/liveshow/show/forbidden", "DELETE")
    with publisher(server, clip, name, tmp_path):
        wait_until(lambda: server.api("streams")["streams"], "it was allowed again")


def test_addresses_play(server: Server, clip: Path, tmp_path: Path) -> None:
    """Each address that is shown plays, with a name that needs encoding too (P-501)."""
    # "\u0444" is one letter of two bytes.
    with publisher(server, clip, "liveshow/%D1%84-1", tmp_path):
        wait_until(lambda: server.api("streams")["streams"], "it is published")
        [stream] = server.api("streams")["streams"]
        assert stream["name"] == "liveshow/\u0444-1"
        found = server.api("streams/liveshow/%D1%84-1/addresses")
        assert len(found["addresses"]) == 8
        for address in found["addresses"]:
            url = address["url"]
            if address["output"] in ("page", "embed"):
                path = "/" + url.partition("://")[2].partition("/")[2]
                assert server.get(path)[0] == 200, url
            elif not url.startswith("ws:"):
                probe = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", url]
                done = subprocess.run(
                    probe, capture_output=True, text=True, timeout=30, check=False
                )
                assert "codec_name=h264" in done.stdout, (url, done.stderr)


@pytest.mark.parametrize("killed", [False, True])
def test_backup_of_a_running_server(
    start_server: StartServer, tmp_path: Path, killed: bool
) -> None:
    """What a running server has confirmed is in the backup, and in the server that it becomes.

    G-LC-09: also after `kill -9`, when nobody has opened the database since.
    """
    server = start_server()
    data = server.folder / "data"
    for number in range(20):
        server.api("applications", "POST", {"name": f"studio{number}"})
    server.api("streams/studio3/a", "PATCH", {"label": "Main hall"})
    server.api("streams/studio3/b/forbidden", "PUT", {})
    if killed:
        server.program.stop(signal.SIGKILL)
    said = command("backup", tmp_path / "b.tar", "--data", data)
    assert "secrets" in said
    folder = tmp_path / "restored"
    folder.mkdir()
    command("restore", tmp_path / "b.tar", "--data", folder / "data")
    assert (folder / "data/keys/signing").read_bytes() == (data / "keys/signing").read_bytes()
    copy = Server(folder)
    try:
        names = {x["name"] for x in copy.api("applications")["applications"]}
        assert {f"studio{number}" for number in range(20)} <= names
        tag = command("api", "PATCH", "/streams/studio3/a", "{}", "--data", folder / "data")
        assert json.loads(tag)["label"] == "Main hall"
        with pytest.raises(Failed):
            command("restore", tmp_path / "b.tar", "--data", folder / "data", "--force")
    finally:
        copy.close()


def test_backups_while_the_server_changes(start_server: StartServer, tmp_path: Path) -> None:
    """A backup never disturbs the server, and has every change that was answered before it."""
    server = start_server()
    data = server.folder / "data"
    slowest = 0.0
    for turn in range(4):
        began = time.monotonic()
        with Program(
            [str(NTVMEDIA), "backup", str(tmp_path / f"{turn}.tar"), "--data", str(data)],
            tmp_path,
            f"backup{turn}",
        ) as backup:
            number = 0
            while backup.is_running:
                asked = time.monotonic()
                server.api("streams/liveshow/a", "PATCH", {"label": f"{turn}-{number}"})
                slowest = max(slowest, time.monotonic() - asked)
                number += 1
            backup.finish(30)
        assert time.monotonic() - began < 60
    # Those of SQLite would wait 5 s for a writer that does not end.
    assert slowest < 4
