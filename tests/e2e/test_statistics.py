"""What FFmpeg published and watched is in the statistics, also after `kill -9`."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.e2e.conftest import StartServer
from tests.e2e.processes import Program, wait_until
from tests.e2e.server import Server


def days(server: Server) -> dict[str, Any]:
    """Return what was counted of the stream, by protocol."""
    found = server.control("/mserver/api/v1/statistics/days?stream=counted&by=protocol")["days"]
    return {row["protocol"]: row for row in found}


def test_kill(start_server: StartServer, clip: Path, tmp_path: Path) -> None:
    """P-308: a server that is killed loses the last batch of its statistics, and no more."""
    server = start_server()
    name = "liveshow/counted"
    publish = f"ffmpeg -v error -re -stream_loop -1 -i {clip} -c copy -f flv {server.rtmp(name)}"
    play = f"ffmpeg -v error -i {server.flv(name)} -map 0 -c copy -f null -"
    with Program(publish.split(), tmp_path, "publisher"):
        wait_until(lambda: server.api("streams")["streams"], "it is published")
        with Program(play.split(), tmp_path, "player"):
            wait_until(
                lambda: days(server).get("flv", {}).get("seconds", 0) > 5, "a batch was written"
            )
            health = server.api("streams/liveshow/counted/health")
            assert health["state"] == "live"
            assert health["observed_seconds"] > 4
            assert "codec_no_browser" not in {x["code"] for x in health["findings"]}
            before = days(server)
            chart = server.control("/mserver/api/v1/statistics/points")["points"]
            server.program.stop(signal.SIGKILL)
    assert max(point["viewers"] for point in chart) == 1
    assert max(point["bitrate_out"] for point in chart) > 10_000
    again = Server(server.folder)
    try:
        after = days(again)
        assert set(after) >= {"rtmp", "flv"}
        for protocol, row in before.items():
            for field in ("viewers", "peak", "seconds", "bytes_in", "bytes_out", "publishes"):
                assert after[protocol][field] >= row[field], (protocol, field)
        assert (after["flv"]["viewers"], after["rtmp"]["publishes"]) == (1, 1)
        assert after["flv"]["bytes_out"] > 10_000
        assert after["rtmp"]["bytes_in"] > 10_000
        log = again.control("/mserver/api/v1/statistics/viewers")
        [viewer] = log["viewers"]
        assert viewer["peer"] == "127.0.0.1"
        assert viewer["user_agent"].startswith("Lavf")
        assert viewer["reason"] == "the server was stopped without a word"
        assert viewer["ended_at"] - viewer["started_at"] >= 5
        table = again.control("/mserver/api/v1/statistics/viewers.csv")
        assert [line.split(",")[0] for line in table.splitlines()] == ["application", "liveshow"]
    finally:
        again.close()


def test_stop(start_server: StartServer, clip: Path, tmp_path: Path) -> None:
    """A server that is stopped in order writes all, also what is younger than a batch."""
    server = start_server()
    name = "liveshow/counted"
    publish = f"ffmpeg -v error -re -stream_loop -1 -i {clip} -c copy -f flv {server.rtmp(name)}"
    play = f"ffmpeg -v error -i {server.rtmp(name)} -map 0 -c copy -f null -"
    with Program(publish.split(), tmp_path, "publisher"):
        wait_until(lambda: server.api("streams")["streams"], "it is published")
        with Program(play.split(), tmp_path, "player"):
            wait_until(
                lambda: any(x["bytes_out"] for x in server.api("viewers")["viewers"]), "it plays"
            )
            server.program.stop(signal.SIGTERM)
    with closing(sqlite3.connect(server.folder / "data" / "ntvmedia.db")) as connection:
        [counts] = connection.execute(
            "SELECT viewers, publishes, seconds > 0.1, bytes_in > 1000, bytes_out > 1000 "
            "FROM statistics_days"
        )
        assert counts == (1, 1, True, True, True)
        [viewer] = connection.execute("SELECT ended_at > started_at, reason FROM viewer_log")
        assert viewer == (True, "server is stopping")
