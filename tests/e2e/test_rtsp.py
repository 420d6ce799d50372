"""RTSP with real programs: what comes in by it goes out by every protocol; passwords; the end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e import clients, rtsp
from tests.e2e.clients import PLAY_WAIT, wait_for_viewers, wait_for_waiting
from tests.e2e.media import (
    Frame,
    assert_in_step,
    assert_monotone,
    assert_part,
    assert_same,
    beeps,
    flashes,
    make_clip,
    make_flashes,
    packets,
    pictures,
)
from tests.e2e.processes import Program, run, wait_until
from tests.e2e.server import Server
from tests.e2e.test_applications import ntvmedia

SECONDS = 2.0

# What FFmpeg as a publisher keeps of the sound when it ends.
LOST = 4

PASSWORD = "a/b c"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests here."""
    server = Server(tmp_path_factory.mktemp("server"), [PLAY_WAIT])
    ntvmedia(server, "app", "set", "liveshow", "hls_end_list=true")
    ntvmedia(server, "app", "set", "tv", f"publish_password={PASSWORD}")
    yield server
    server.close()


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of H.264 with B-frames and AAC."""
    return make_clip(tmp_path_factory.mktemp("clip") / "short.flv", SECONDS)


@pytest.fixture(scope="module")
def seen(short_clip: Path) -> list[Frame]:
    """The pictures of the clip."""
    return pictures(short_clip)


def test_every_output(server: Server, short_clip: Path, seen: list[Frame], tmp_path: Path) -> None:
    """Issue 6: RTMP, HTTP-FLV, HTTP-TS, HLS and RTSP of one stream, with decode times made up."""
    name = "liveshow/outputs"
    players = (clients.CURL, clients.FFMPEG_RTMP, clients.CURL_TS)
    with ExitStack() as programs:
        found = {}
        for player in players:
            found[player] = player.start(server, name, tmp_path)
            programs.enter_context(found[player].program)
        own = rtsp.FFMPEG.start(server.rtsp(name), tmp_path)
        programs.enter_context(own.program)
        wait_for_waiting(server, 4)
        command = rtsp.publish_command(short_clip, server.rtsp(name))
        with Program(command, tmp_path, "publisher") as publisher:
            wait_until(lambda: server.get(f"/{name}.m3u8")[0] == 200, "there was a playlist")
            hls = clients.FFMPEG_HLS.start(server, name, tmp_path)
            programs.enter_context(hls.program)
            publisher.finish()
        sent = packets(short_clip, "a")
        for player, recording in found.items():
            path = recording.finish()
            assert_same(pictures(path), seen)
            came = packets(path, "v")
            assert len(came) == len(seen)
            assert_monotone(came)
            heard = packets(path, "a")
            assert_monotone(heard)
            if player is not clients.CURL_TS:  # which has ADTS headers
                assert_part(heard, sent, len(sent) - 6 - LOST)
        assert_same(own.finish().pictures(), seen)
        start = assert_part(pictures(hls.finish()), seen, 25)
        assert start in (0, 30)


@pytest.mark.parametrize("way", ["rtsp", pytest.param("flv", marks=pytest.mark.long)])
def test_in_step(server: Server, tmp_path: Path, way: str) -> None:
    """D-PL-06: a flash and its beep stay together, in by RTSP with B-frames, and out."""
    clip = make_flashes(tmp_path / "flashes.flv", 2, 3.0)
    name = f"liveshow/flashes-{way}"
    player: rtsp.Recording | clients.Recording
    with ExitStack() as programs:
        if way == "rtsp":
            recording = rtsp.GSTREAMER.start(server.rtsp(name), tmp_path)
            player, path = recording, recording.video
        else:
            other = clients.CURL.start(server, name, tmp_path)
            player, path = other, other.path
        programs.enter_context(player.program)
        wait_for_waiting(server, 1)
        run(rtsp.publish_command(clip, server.rtsp(name)), tmp_path)
        player.finish()
    assert_in_step(flashes(path), beeps(path), 2)


@pytest.mark.parametrize(
    ("user", "query", "program"),
    [
        pytest.param("me:a%2Fb%20c@", "", "ffmpeg", id="digest"),
        pytest.param("me:a%2Fb%20c@", "", clients.FFMPEG9, id="ffmpeg9"),
        pytest.param("", "?password=a%2Fb%20c", "ffmpeg", id="query"),
    ],
)
def test_password(
    server: Server,
    short_clip: Path,
    tmp_path: Path,
    user: str,
    query: str,
    program: str,
    request: pytest.FixtureRequest,
) -> None:
    """D-RQ-03: the password is asked for, and taken as a digest or in the address."""
    name = f"tv/{request.node.callspec.id}"
    address = server.rtsp(name + query).replace("rtsp://", f"rtsp://{user}")
    command = rtsp.publish_command(short_clip, address, program=program)
    with Program(command, tmp_path, "publisher") as publisher:
        wait_until(lambda: is_published(server, name), "it was published", 15)
        publisher.stop()


@pytest.mark.parametrize("user", ["", "me:wrong@"], ids=["none", "wrong"])
def test_wrong_password(server: Server, short_clip: Path, tmp_path: Path, user: str) -> None:
    """D-RQ-02: nothing is published then, and the program is told why."""
    address = server.rtsp("tv/wrong").replace("rtsp://", f"rtsp://{user}")
    with Program(rtsp.publish_command(short_clip, address), tmp_path, "publisher") as program:
        assert program.wait(20) != 0
        assert "401" in program.errors
    assert not is_published(server, "tv/wrong")
    assert PASSWORD not in server.log


def is_published(server: Server, name: str) -> bool:
    """Whether a stream is there."""
    return name in {x["name"] for x in server.api("streams")["streams"]}


def test_options_and_refusals(server: Server, tmp_path: Path) -> None:
    """D-RQ-01, D-RQ-16: a stream that is not there is waited for, then 404; OPTIONS are open."""
    with socket.create_connection(("127.0.0.1", server.rtsp_port), 10) as peer:
        peer.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n")
        answer = peer.recv(4096)
        assert answer.startswith(b"RTSP/1.0 200 OK\r\n")
        assert b"CSeq: 7\r\n" in answer
        assert b"DESCRIBE" in answer
        peer.sendall(b"DESCRIBE rtsp://x/nowhere/x RTSP/1.0\r\nCSeq: 8\r\n\r\n")
        assert peer.recv(4096).startswith(b"RTSP/1.0 403 ")
    with Program(
        [
            *("ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", server.rtsp("nowhere/x")),
            *("-f", "null", "-"),
        ],
        tmp_path,
        "ffmpeg",
    ) as player:
        assert player.wait(20) != 0
        assert "403" in player.errors


def test_viewers_leave(server: Server, short_clip: Path, tmp_path: Path) -> None:
    """A player that is killed is forgotten at once, its memory too, and nobody else notices."""
    name = "liveshow/leave"
    folders = [tmp_path / "stays", tmp_path / "leaves"]
    for folder in folders:
        folder.mkdir()
    stays, leaves = (rtsp.FFMPEG.start(server.rtsp(name), folder) for folder in folders)
    with stays.program, leaves.program:
        wait_for_waiting(server, 2)
        command = rtsp.publish_command(short_clip, server.rtsp(name))
        with Program(command, tmp_path, "publisher") as publisher:
            wait_until(lambda: is_published(server, name), "it was published")
            wait_for_viewers(server, name, 2)
            leaves.program.stop(9)
            wait_until(lambda: server.api(f"streams/{name}")["viewers"] == 1, "one was left", 10)
            publisher.finish()
        assert_same(stays.finish().pictures(), pictures(short_clip))


def test_stop(tmp_path: Path, clip: Path) -> None:
    """G-LC-01: a server that stops ends its publishers and players of RTSP, in order and soon."""
    server = Server(tmp_path, [PLAY_WAIT])
    name = "liveshow/stop"
    try:
        command = rtsp.publish_command(clip, server.rtsp(name))
        with (
            rtsp.FFMPEG.start(server.rtsp(name), tmp_path).program as player,
            Program(command, tmp_path, "publisher") as publisher,
        ):
            wait_until(lambda: is_published(server, name), "it was published")
            wait_for_viewers(server, name, 1)
            server.close()
            player.wait(10)
            publisher.wait(10)
    finally:
        server.stop()
