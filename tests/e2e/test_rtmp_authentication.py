"""Encoders publish with user and password, as `authmod=adobe` has them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.clients import FFMPEG9, publish_command
from tests.e2e.conftest import StartServer
from tests.e2e.peers import Publisher
from tests.e2e.processes import Failed, Program, run, wait_until
from tests.e2e.server import Server
from tests.e2e.test_applications import app, is_published

SOURCE = (
    *("videotestsrc", "is-live=true", "!", "video/x-raw,width=64,height=64,format=I420", "!"),
    *("x264enc", "tune=zerolatency", "key-int-max=15", "!", "flvmux", "streamable=true", "!"),
)

PROGRAMS = {"5": "ffmpeg", "9": FFMPEG9}


def publisher(server: Server, stream: str, user: str, clip: Path) -> Program:
    """Publish by the FFmpeg that the stream is named for; `user` is "name:password@" or empty."""
    address = server.rtmp(stream).replace("://", f"://{user}", 1)
    command = publish_command(clip, address, program=PROGRAMS[stream[-1]])
    command[command.index("-i") : command.index("-i")] = ["-stream_loop", "-1"]
    return Program(command, server.folder, stream.replace("/", "-"))


def test_user_and_password(start_server: StartServer, clip: Path) -> None:
    """A-UR-10: the right password publishes, a wrong one or none does not; nobody else is asked."""
    server = start_server()
    app(server, "add", "studio", "publish_password=s3 cret", "rtmp_authentication=true")
    with ExitStack() as stack:
        programs = {
            stream: stack.enter_context(publisher(server, stream, user, clip))
            for number in PROGRAMS
            for stream, user in (
                (f"studio/right{number}", "ann:s3%20cret@"),
                (f"studio/wrong{number}", "ann:s3cret@"),
                (f"studio/none{number}", ""),
                (f"liveshow/user{number}", "ann:s3cret@"),
                (f"liveshow/none{number}", ""),
            )
        }
        for number in PROGRAMS:
            assert programs[f"studio/wrong{number}"].wait() != 0
            server.wait_for_log(
                f"publish of studio/wrong{number} refused: the publish password is missing or wrong"
            )
            asked = programs[f"studio/none{number}"]
            assert asked.wait() != 0
            assert "No credentials set" in asked.errors
        published = [f"studio/right{number}" for number in PROGRAMS]
        published += [
            f"liveshow/{name}{number}" for name in ("user", "none") for number in PROGRAMS
        ]
        wait_until(lambda: all(is_published(server, x) for x in published), "the others published")
        assert len(server.api("streams")["streams"]) == len(published)
        played = server.folder / "played.flv"
        command = ["ffmpeg", "-v", "error", "-i", server.rtmp("studio/right5"), "-t", "1"]
        run([*command, "-c", "copy", played], server.folder)
        assert played.stat().st_size > 10_000
    for secret in ("cret", "authmod", "response=", "opaque"):
        assert secret not in server.log


def test_our_own_client(start_server: StartServer) -> None:
    """A-UR-10: our own client answers too, in three connections; a wrong password is refused."""
    server = start_server()
    app(server, "add", "studio", "publish_password=s3 crét&", "rtmp_authentication=true")
    port = server.rtmp_port
    for user in ("ann", "änn & bob"):
        with Publisher(port, "studio/a", user=user, password="s3 crét&") as publisher:
            assert publisher.connections == 3
    with pytest.raises(Failed, match="the publish password is missing or wrong"):
        Publisher(port, "studio/a", user="ann", password="s3 cret&")
    with pytest.raises(Failed, match="code=403 need auth"):
        Publisher(port, "studio/a")
    with Publisher(port, "liveshow/a", user="ann", password="s3 crét&") as publisher:
        assert publisher.connections == 1


def test_gstreamer(start_server: StartServer) -> None:
    """A-UR-10: GStreamer's own client brings its own as well."""
    server = start_server()
    app(server, "add", "studio", "publish_password=s3cret", "rtmp_authentication=true")
    for password in ("s3cret", "wrong"):
        stream = f"studio/{password}"
        sink = ("rtmp2sink", f"location={server.rtmp(stream)}", "username=ann")
        with Program(
            ["gst-launch-1.0", "-q", *SOURCE, *sink, f"password={password}"],
            server.folder,
            f"gst-{password}",
        ) as program:
            if password == "wrong":
                server.wait_for_log("publish of studio/wrong refused: the publish password is")
            else:
                wait_until(lambda: is_published(server, "studio/s3cret"), "it published")
                assert program.is_running
