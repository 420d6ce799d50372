"""Callbacks of a real server: publishers and players of all protocols, and who is told of them."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import publish_command
from tests.e2e.conftest import StartServer
from tests.e2e.hooks import BusinessSystem, hang
from tests.e2e.media import make_clip
from tests.e2e.processes import Failed, Program, wait_until
from tests.e2e.server import Server

ALL = ["publish", "unpublish", "play", "stop"]
FIELDS = {
    "server_id",
    "service_id",
    "action",
    "client_id",
    "ip",
    "vhost",
    "app",
    "tcUrl",
    "stream",
    "param",
    "stream_url",
    "stream_id",
}


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds."""
    return make_clip(tmp_path_factory.mktemp("clip") / "long.flv", 20)


def add(server: Server, system: BusinessSystem, **fields: Any) -> Any:
    """Make a callback."""
    values = {"name": "cms", "url": system.url, "events": ALL, **fields}
    return server.api("callbacks", "POST", values)


def play(address: str, seconds: float = 2.0, *options: str) -> Sequence[str]:
    """Return the command of an FFmpeg that plays for a while."""
    return ["ffmpeg", "-v", "error", *options, "-i", address, "-t", str(seconds), "-f", "null", "-"]


def pairs(system: BusinessSystem, start: str, end: str) -> list[str]:
    """Return the clients of all starts, each of which has one end after it."""
    told = system.actions()
    starts = [client for action, client in told if action == start]
    ends = [client for action, client in told if action == end]
    assert sorted(starts) == sorted(ends), told
    assert len(set(starts)) == len(starts), told
    for client in starts:
        assert told.index((start, client)) < told.index((end, client))
    return starts


def test_protocols(start_server: StartServer, long_clip: Path, tmp_path: Path) -> None:
    """G-HK-03/04: SRS's words, the same fields on all protocols, and one end for each start."""
    server = start_server("outbound.allow=127.0.0.1")
    name = "liveshow/one"
    with BusinessSystem() as system:
        add(server, system, dialect="srs", decides=True, secret="s")
        source = publish_command(long_clip, server.rtmp(f"{name}?token=pub"))
        with Program(source, tmp_path, "publisher"):
            wait_until(lambda: server.api("streams")["streams"], "it was published")
            ways = {
                "rtmp": play(server.rtmp(f"{name}?token=rtmp")),
                "flv": play(server.flv(name) + "?token=flv"),
                "ts": play(server.http(f"/{name}.ts?token=ts")),
                "hls": play(server.http(f"/{name}.m3u8?token=hls"), 3),
                "rtsp": play(server.rtsp(f"{name}?token=rtsp"), 2, "-rtsp_transport", "tcp"),
            }
            for way, command in ways.items():
                with Program(command, tmp_path, way) as player:
                    player.finish()
            # A player of HLS has left when it has not asked for a while.
            wait_until(lambda: not server.api("viewers")["viewers"], "all had left", 60)
        wait_until(lambda: system.actions(action="on_unpublish"), "the end was told")
        wait_until(lambda: len(system.actions(action="on_stop")) >= len(ways), "all ends were told")
        time.sleep(1)
        assert len(pairs(system, "on_publish", "on_unpublish")) == 1
        assert len(pairs(system, "on_play", "on_stop")) == len(ways)
        for posted, headers in zip(system.got, system.headers, strict=True):
            assert set(posted) - {"pageUrl"} == FIELDS, posted
            assert "x-ntvmedia-signature" in headers
            assert posted["ip"] == "127.0.0.1"
            assert (posted["app"], posted["stream"]) == ("liveshow", "one")
            assert posted["stream_url"] == "/liveshow/one"
            assert posted["tcUrl"].endswith("/liveshow")
            assert "//127.0.0.1:" in posted["tcUrl"]
        params = {x["param"] for x in system.got if x["action"] == "on_play"}
        assert params == {f"?token={way}" for way in ways}
        schemes = {x["tcUrl"].partition(":")[0] for x in system.got}
        assert schemes == {"rtmp", "http", "rtsp"}


def test_refusals(start_server: StartServer, clip: Path, tmp_path: Path) -> None:
    """A-SE-05: a refused publisher is told at once, and nobody hears of an end (G-HK-03)."""
    server = start_server("outbound.allow=127.0.0.1")
    name = "liveshow/refused"
    with BusinessSystem(lambda _posted: (200, b'{"code": 1}')) as system:
        add(server, system, dialect="srs", decides=True)
        began = time.monotonic()
        with Program(publish_command(clip, server.rtmp(name)), tmp_path, "publisher") as publisher:
            assert publisher.wait() != 0
        assert time.monotonic() - began < 3
        for address in (server.flv(name), server.http(f"/{name}.m3u8"), server.rtsp(name)):
            with Program(play(address), tmp_path, "player") as player:
                assert player.wait() != 0
        assert server.get(f"/{name}.flv")[0] == 403
        time.sleep(1)
        assert {action for action, _client in system.actions()} == {"on_publish", "on_play"}
        assert "the authorization server refused" in server.log


def test_hanging(start_server: StartServer, clip: Path, tmp_path: Path) -> None:
    """G-HK-01: without an answer it is a refusal after 5 s and one more try; others go on."""
    server = start_server("outbound.allow=127.0.0.1", "hub.play_wait=1")
    with BusinessSystem(hang) as system:
        add(server, system, events=["publish"], decides=True)
        began = time.monotonic()
        with Program(
            publish_command(clip, server.rtmp("liveshow/x")), tmp_path, "publisher"
        ) as publisher:
            assert server.get("/liveshow/none.flv?nobody=1")[0] == 404
            assert publisher.wait() != 0
        took = time.monotonic() - began
        assert 9.5 < took < 14
        assert len(system.got) == 2
        assert system.got[0] == system.got[1]


def test_third_party(start_server: StartServer, clip: Path, tmp_path: Path) -> None:
    """P-304: an application's own system decides by token, and may rename."""
    server = start_server("outbound.allow=127.0.0.1")

    def judge(posted: dict[str, Any]) -> tuple[int, bytes]:
        if posted["param"] == "?token=good":
            return 200, b'{"allow": true, "stream": "renamed"}'
        return 403, b'{"reason": "who are you"}'

    with BusinessSystem(judge) as system:
        server.api("applications/liveshow", "PATCH", {"authorize_url": system.url})
        bad = publish_command(clip, server.rtmp("liveshow/a?token=bad"))
        with Program(bad, tmp_path, "bad") as publisher:
            assert publisher.wait() != 0
        assert "who are you" in server.log
        good = publish_command(clip, server.rtmp("liveshow/a?token=good"))
        with Program(good, tmp_path, "good"):
            wait_until(lambda: server.api("streams")["streams"], "it was published")
            (stream,) = server.api("streams")["streams"]
            assert stream["name"] == "liveshow/renamed"
            # Whoever plays under the first name is sent to the second.
            with Program(play(server.flv("liveshow/a") + "?token=good"), tmp_path, "p") as player:
                player.finish()
        assert {posted["kind"] for posted in system.got} == {"decision"}


def test_redirect(start_server: StartServer) -> None:
    """An answer may send a player to another server."""
    server = start_server("outbound.allow=127.0.0.1")
    body = b'{"redirect": "http://edge.example/liveshow/a.flv?x=1"}'
    with BusinessSystem(lambda _posted: (200, body)) as system:
        add(server, system, decides=True)
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
        connection.request("GET", "/liveshow/a.flv")
        answer = connection.getresponse()
        connection.close()
        assert answer.status in (302, 303, 307)
        assert answer.headers["location"] == "http://edge.example/liveshow/a.flv?x=1"


def test_start_and_stop(start_server: StartServer) -> None:
    """The server's start and stop are told, even where the receiver comes later."""
    server = start_server("outbound.allow=127.0.0.1")
    with BusinessSystem() as system:
        add(server, system, events=["server_start", "server_stop"])
        assert server.program.stop(signal.SIGTERM) in (0, -signal.SIGTERM, 143)
        assert [posted["event"] for posted in system.got] == ["server_stop"]
        assert system.got[0]["kind"] == "notification"
        again = Server(server.folder, ["outbound.allow=127.0.0.1"])
        wait_until(lambda: len(system.got) > 1, "the start was told")
        again.close()
        told = [posted["event"] for posted in system.got]
        assert told == ["server_stop", "server_start", "server_stop"]
        assert system.got[0]["server_id"] == system.got[1]["server_id"]
        assert system.got[0]["service_id"] != system.got[1]["service_id"]


def test_not_there(start_server: StartServer) -> None:
    """Who asks for a stream that is not there is told of, and no token is in the log."""
    server = start_server("outbound.allow=127.0.0.1", "hub.play_wait=1")
    with BusinessSystem() as system:
        made = add(server, system, events=["stream_not_found"], secret="topsecret")
        assert server.get("/liveshow/absent.flv?token=hush")[0] == 404
        wait_until(lambda: system.got, "it was told")
        assert system.got[0]["stream"] == "absent"
        # It has asked; that it was answered is known a moment later.
        path = f"callbacks/{made['id']}/deliveries"
        wait_until(lambda: server.api(path)["deliveries"], "the answer has come")
        done = server.api(f"callbacks/{made['id']}/test", "POST", {})
        assert done["status"] == 200
        deliveries = server.api(path)["deliveries"]
        assert [x["kind"] for x in deliveries] == ["test", "notification"]
    with pytest.raises(Failed, match="404"):
        server.api("callbacks/none")
    for secret in ("topsecret", "hush"):
        assert secret not in server.log
