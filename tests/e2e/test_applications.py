"""Applications on a running server: `ntvmedia app` from another process, with real media."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.clients import publish_command
from tests.e2e.conftest import StartServer
from tests.e2e.processes import Program, wait_until
from tests.e2e.server import ROOT, Server

NTVMEDIA = Path(sys.executable).with_name("ntvmedia")

# Of an operator's patience; the machine may be busy with other tests.
AT_ONCE_SECONDS = 1.0


def ntvmedia(server: Server, *words: str, status: int = 0, given: str = "") -> tuple[str, str]:
    """Run the command line on a server's data, and return what it said and complained of."""
    command, *rest = words
    action = [rest.pop(0)] if command == "app" else []
    done = subprocess.run(
        [NTVMEDIA, command, *action, f"--data={server.folder / 'data'}", *rest],
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def app(server: Server, *words: str, status: int = 0, given: str = "") -> tuple[str, str]:
    """Run `ntvmedia app`."""
    return ntvmedia(server, "app", *words, status=status, given=given)


def publisher(server: Server, stream: str, folder: Path, clip: Path) -> Program:
    """Publish a clip again and again."""
    command = publish_command(clip, server.rtmp(stream))
    command[command.index("-i") : command.index("-i")] = ["-stream_loop", "-1"]
    return Program(command, folder, "publisher")


def is_published(server: Server, stream: str) -> bool:
    """Say whether a stream has a publisher and can be played."""
    return any(
        x["name"] == stream and x["publisher"] and x["tracks"]
        for x in server.api("streams")["streams"]
    )


def play(server: Server, url: str, folder: Path) -> Program:
    """Play until the end."""
    path = folder / f"{time.monotonic_ns()}.flv"
    return Program(["curl", "-sS", "-f", "-o", path, url], folder, "curl")


def test_life_of_an_application(start_server: StartServer, tmp_path: Path, clip: Path) -> None:
    """P-203, P-204: made, used, disabled, enabled, renamed, deleted; each at once, and for good."""
    server = start_server("hub.publisher_grace=0", "hub.play_wait=1")
    for refused in ("studio/a", "studio/a?password=x"):
        publish_command_ends(server, refused, tmp_path, clip)
    assert app(server, "add", "studio", "outputs=flv,rtmp")[0] == "application studio was added\n"
    with publisher(server, "studio/a", tmp_path, clip) as sender:
        wait_until(lambda: is_published(server, "studio/a"), "the stream was there")
        with play(server, server.flv("studio/a"), tmp_path) as viewer:
            wait_until(lambda: server.api("streams/studio/a")["viewers"] == 1, "somebody watched")
            assert "studio  " in app(server, "list")[0]
            shown = json.loads(app(server, "show", "studio", "--json")[0])
            assert (shown["streams"], shown["viewers"]) == (1, 1)
            # Nobody is disturbed by a change that does not concern them.
            app(server, "set", "studio", "hls_segment_count=5")
            app(server, "set", "studio", "publish_password=later")
            assert sender.is_running and viewer.is_running
            app(server, "set", "studio", "enabled=false")
            told = time.monotonic()
            wait_until(
                lambda: not is_published(server, "studio/a") and not viewer.is_running,
                "publisher and viewer were dropped",
                AT_ONCE_SECONDS,
            )
            assert time.monotonic() - told <= AT_ONCE_SECONDS
            assert sender.wait() != 0
    assert server.get("/studio/a.flv")[0] == 403
    publish_command_ends(server, "studio/a?password=later", tmp_path, clip)
    app(server, "set", "studio", "enabled=true", "name=atelier")
    assert server.get("/studio/a.flv")[0] == 403
    publish_command_ends(server, "atelier/a", tmp_path, clip)
    with publisher(server, "atelier/a?password=later", tmp_path, clip):
        wait_until(lambda: is_published(server, "atelier/a"), "the stream was there")
        with play(server, server.flv("atelier/a"), tmp_path) as viewer:
            wait_until(lambda: server.api("streams/atelier/a")["viewers"] == 1, "somebody watched")
            app(server, "set", "atelier", "outputs=rtmp")
            wait_until(lambda: not viewer.is_running, "the viewer was dropped", AT_ONCE_SECONDS)
            assert is_published(server, "atelier/a")
        assert server.get("/atelier/a.flv")[0] == 403
        _said, why = app(server, "delete", "atelier", status=1)
        assert why == "ntvmedia: there is no terminal to ask on: use --yes to delete it\n"
        app(server, "delete", "atelier", "--yes")
        wait_until(
            lambda: not is_published(server, "atelier/a"), "all were dropped", AT_ONCE_SECONDS
        )
    assert app(server, "show", "atelier", status=1)[1].startswith("ntvmedia: there is no appl")
    assert "later" not in server.log


def publish_command_ends(server: Server, stream: str, folder: Path, clip: Path) -> None:
    """Have somebody publish who must be refused."""
    with publisher(server, stream, folder, clip) as refused:
        assert refused.wait() != 0


def test_restart(start_server: StartServer, tmp_path: Path) -> None:
    """What was changed is there after a stop, after a kill, and when no server runs at all."""
    server = start_server()
    control = server.folder / "data" / "control.sock"
    app(server, "add", "a", "publish_password=-", given="pässword\n")
    app(server, "set", "tv", "enabled=false")
    assert stat.S_IMODE(control.stat().st_mode) == 0o600
    server.program.send(signal.SIGKILL)
    server.program.wait()
    assert control.is_socket()
    before = json.loads(app(server, "show", "a", "--json")[0])
    assert (before["publish_password_set"], "streams" in before) == (True, False)
    app(server, "set", "a", "hls_segment_count=9")
    app(server, "add", "b")
    again = Server(server.folder, ["hub.play_wait=0.1"])
    try:
        shown = json.loads(app(again, "show", "a", "--json")[0])
        assert (shown["hls_segment_count"], shown["publish_password_set"]) == (9, True)
        assert (shown["created_at"], shown["streams"]) == (before["created_at"], 0)
        assert "enabled=false\n" in app(again, "show", "tv")[0]
        assert [again.get(f"/{name}/x.flv")[0] for name in ("a", "b", "c", "tv")] == [
            *(404, 404, 403, 403)
        ]
        app(again, "delete", "b", "--yes")
    finally:
        again.close()
    assert not control.exists()
    assert [x["name"] for x in json.loads(app(server, "list", "--json")[0])] == [
        *("a", "audio", "liveshow", "tv", "vod")
    ]


def test_one_server_for_one_folder(server: Server, tmp_path: Path) -> None:
    """A second server of the same data does not start, says why, and the first goes on."""
    command: list[str | Path] = [
        *(NTVMEDIA, "serve", f"--data={server.folder / 'data'}"),
        *("--set=rtmp.listen=", "--set=http.listen=", "--set=rtsp.listen="),
    ]
    with Program(command, tmp_path, "second", cwd=ROOT) as second:
        second.finish(30, status=1)
        assert "another server uses this data folder" in (
            second.errors + second.output.decode("utf-8")
        )
    assert "liveshow" in app(server, "list")[0]
    assert server.get("/readyz")[0] == 200


def test_signed(server: Server, tmp_path: Path, clip: Path) -> None:
    """P-305: signed addresses play, on RTMP and HTTP alike, and no others."""
    app(server, "set", "liveshow", "signed=true")
    query = ntvmedia(server, "sign", "liveshow/a", "--hours", "1")[0].strip()
    other = ntvmedia(server, "sign", "liveshow/b", "--hours", "1")[0].strip()
    with publisher(server, "liveshow/a", tmp_path, clip):
        wait_until(lambda: is_published(server, "liveshow/a"), "the stream was there")
        for bad in ("", other, query + "&expires=99999999999"):
            assert server.get(f"/liveshow/a.flv?{bad}")[0] == 403
        for url in (server.flv("liveshow/a"), server.rtmp("liveshow/a")):
            for asked, works in ((query, True), (other, False)):
                player = Program(
                    ["ffprobe", "-v", "error", f"{url}?{asked}"],
                    tmp_path,
                    "ffprobe",
                )
                with player:
                    assert (player.wait() == 0) is works, urlsplit(url).scheme
    sign = query.partition("sign=")[2]
    assert sign not in server.log
